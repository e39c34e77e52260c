//! What an RTP program encoded, sent and received, read from the ledger: for programs that nobody can label.
//!
//! ```text
//!  fates.jsonl (first 96 bytes of every packet) ─▶ demux ─┐
//!  signals.jsonl (session descriptions) ─────────▶ sdp  ──┴▶ roles ─▶ frames ─▶ events `encoded`, `sent`, `received`
//! ```
//! | room | what |
//! |---|---|
//! | [`demux`] | STUN, DTLS, RTP and RTCP on one port |
//! | [`sdp`] | which payload type and SSRC is media, repair, retransmission |
//! | [`roles`] | what each packet carries |
//! | [`frames`] | which captured frame a timestamp is of |
//! | [`doubts`] | where all of this contradicts what happened |
//!
//! SRTP (RFC 3711) leaves headers in clear, so that all of it holds for encrypted calls, too; only key frames, and which packet a
//! retransmission repeats, cannot be seen there. [`wire`] is pure; [`read_the_wire`] does it to the files of a run.

pub mod demux;
pub mod doubts;
pub mod frames;
pub mod roles;
pub mod sdp;

use super::{read_events, read_fates};
use crate::launch::files::write_new;
use anyhow::{Context, Result};
use contract::scores::Warning;
use contract::{Event, EventKind, Role, RunSpec, Side, Status, Stream};
use demux::{Datagram, head};
use doubts::Doubt;
use frames::{Clock, Placed, Seen, frames_of};
use link::{Direction, FateRecord, Timestamp};
use roles::{Packet, Reader};
use sdp::Description;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the ends told each other, one line each.
pub const SIGNALS: &str = "signals.jsonl";

/// What the path tells of an RTP program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wire {
    /// `encoded`, `sent` and `received`, in the order of time.
    pub events: Vec<Event>,
    /// Frame and role of each forward record, by its number.
    pub labels: BTreeMap<u64, (Option<u32>, Role)>,
    /// RTP packets of a payload type that no description names.
    pub unnamed: u64,
    /// What contradicts the rest: with any, none of it is to be believed.
    pub doubts: Vec<Doubt>,
}

/// What the path saw of a stream's timestamps.
type Timestamps = BTreeMap<u32, Seen>;

/// Of a packet of the forward path.
struct Seal<'a> {
    record: &'a FateRecord,
    length: u32,
    packet: Packet,
    frame: Option<i64>,
}

/// Reads the ledger of an RTP program. `fates` are in the order in which packets entered each direction; `shown` are the frames that the
/// receiver showed and when, nanoseconds of the run; `frames` is how many were captured, by `clock`.
#[must_use]
pub fn wire(
    fates: &[FateRecord],
    descriptions: &[Description],
    (clock, frames): (Clock, u32),
    shown: &BTreeMap<i64, u64>,
) -> Wire {
    let mut reader = Reader::new(descriptions);
    let mut packets: Vec<Seal<'_>> = Vec::new();
    for record in fates.iter().filter(|f| f.direction == Direction::Forward) {
        let bytes = head(record);
        let Some(datagram) = Datagram::of(&bytes, record.bytes) else { continue };
        let packet = reader.read(&datagram);
        packets.push(Seal { record, length: datagram.length, packet, frame: None });
    }
    let streams = place(&mut packets, &reader, clock, shown);
    let doubts = doubts::of(&packets, &streams, (clock, frames), shown);
    let mut wire = Wire { doubts, ..Wire::default() };
    for seal in &packets {
        wire.unnamed += u64::from(seal.packet.unnamed);
        let frame = seal.frame.and_then(|f| u32::try_from(f).ok()).filter(|f| *f < frames);
        // Media of warm-up and tail is none of the clip's frames.
        let role = match seal.packet.role {
            Role::Data | Role::Parity | Role::Repeat if frame.is_none() => Role::Control,
            role => role,
        };
        wire.labels.insert(seal.record.n, (frame, role));
    }
    wire.events = events(&packets, &wire.labels);
    wire
}

/// Gives each RTP packet its frame; what it went by, per SSRC of media.
fn place(
    packets: &mut [Seal<'_>],
    reader: &Reader,
    clock: Clock,
    shown: &BTreeMap<i64, u64>,
) -> BTreeMap<u32, (Timestamps, Placed)> {
    // Streams of media, each with timestamps of its own.
    let mut streams: BTreeMap<u32, (u32, Timestamps)> = BTreeMap::new();
    for seal in packets.iter().filter(|s| s.packet.role == Role::Data) {
        let Some(header) = &seal.packet.header else { continue };
        let ticks = reader.clock(header.payload_type);
        let (_, seen) = streams.entry(header.ssrc).or_insert((ticks, BTreeMap::new()));
        let entered_ns = seal.record.in_ns.as_nanos();
        seen.entry(header.timestamp).or_insert(Seen { entered_ns, delivered_ns: None });
    }
    // Whatever of a timestamp came first, repair too, may have been enough.
    for seal in packets.iter() {
        let Some(header) = &seal.packet.header else { continue };
        let Some(at) = delivered(seal.record).map(Timestamp::as_nanos) else { continue };
        for (_, seen) in streams.values_mut() {
            if let Some(seen) = seen.get_mut(&header.timestamp) {
                seen.delivered_ns = Some(seen.delivered_ns.map_or(at, |before| before.min(at)));
            }
        }
    }
    let placed: BTreeMap<u32, (Timestamps, Placed)> = streams
        .into_iter()
        .map(|(ssrc, (ticks, seen))| {
            let placed = frames_of(&seen, ticks, clock, shown);
            (ssrc, (seen, placed))
        })
        .collect();
    let mut newest = None;
    for seal in packets.iter_mut() {
        let Some(header) = &seal.packet.header else { continue };
        let of = |ssrc: &u32| placed.get(ssrc)?.1.frames.get(&header.timestamp).copied();
        seal.frame = match seal.packet.role {
            Role::Data => {
                newest = of(&header.ssrc).or(newest);
                of(&header.ssrc)
            }
            // Retransmissions keep the timestamp of what they repeat (RFC 4588, section 4).
            Role::Repeat => of(&header.ssrc).or_else(|| placed.keys().find_map(of)),
            // A stream of its own has timestamps of its own: it protects what went before it.
            Role::Parity => of(&header.ssrc).or(newest),
            Role::Feedback | Role::Control => None,
        };
    }
    placed
}

/// When a packet came out whole for the first time.
fn delivered(record: &FateRecord) -> Option<Timestamp> {
    if record.loss().is_some() {
        return None;
    }
    record.actual_ns.or(record.out_ns)
}

/// As a program that labels its packets would have written them.
fn events(packets: &[Seal<'_>], labels: &BTreeMap<u64, (Option<u32>, Role)>) -> Vec<Event> {
    let stream = Stream::Rgb;
    let mut events = Vec::new();
    let mut add = |t: Timestamp, side: Side, kind: EventKind| events.push(Event { t_ns: t, side, kind });
    let label = |seal: &Seal<'_>| labels.get(&seal.record.n).copied().unwrap_or((None, Role::Control));
    // Source packets of a frame are numbered first, so that a retransmission of an unknown one gets a number of its own.
    let mut numbers: BTreeMap<(u32, Role), u32> = BTreeMap::new();
    let mut next = |frame: u32, role: Role| {
        let number = numbers.entry((frame, role)).or_default();
        *number += 1;
        *number - 1
    };
    let mut index: BTreeMap<u64, u32> = BTreeMap::new();
    let mut original: BTreeMap<(u32, u64), u32> = BTreeMap::new();
    for seal in packets {
        let (Some(frame), role @ (Role::Data | Role::Parity)) = label(seal) else { continue };
        let number = next(frame, role);
        index.insert(seal.record.n, number);
        if let (Role::Data, Some(header)) = (role, &seal.packet.header) {
            original.insert((header.ssrc, seal.packet.sequence), number);
        }
    }
    for seal in packets {
        let (Some(frame), Role::Repeat) = label(seal) else { continue };
        let ssrc = seal.packet.header.as_ref().map_or(0, |h| h.ssrc);
        let known = seal.packet.repeats.and_then(|sequence| original.get(&(ssrc, sequence)).copied());
        index.insert(seal.record.n, known.unwrap_or_else(|| next(frame, Role::Data)));
    }
    let mut encoded: BTreeMap<u32, (Timestamp, u32, Option<bool>)> = BTreeMap::new();
    let mut came: BTreeSet<(u32, Role, u32)> = BTreeSet::new();
    for seal in packets {
        let (frame, role) = label(seal);
        let (in_ns, index) = (seal.record.in_ns, index.get(&seal.record.n).copied().unwrap_or(0));
        if let (Some(frame), Role::Data) = (frame, role) {
            let of_frame = encoded.entry(frame).or_insert((in_ns, 0, seal.packet.key));
            of_frame.1 = of_frame.1.saturating_add(seal.packet.payload);
        }
        let (frame, bytes) = (frame.unwrap_or(0), seal.length);
        add(in_ns, Side::Sender, EventKind::Sent { frame, stream, role, index, bytes });
        let Some(out) = delivered(seal.record) else { continue };
        let copies = [Some(out), seal.record.copy_ns];
        for t in copies.into_iter().flatten() {
            let duplicate = !came.insert((frame, super::join::carried(role), index));
            let kind = EventKind::Received { frame, stream, role, index, bytes, duplicate };
            add(t, Side::Receiver, kind);
        }
    }
    for (frame, (t, bytes, key)) in encoded {
        add(t, Side::Sender, EventKind::Encoded { frame, stream, bytes, key });
    }
    events.sort_by_key(|e| e.t_ns);
    events
}

/// What the ends told each other in a run.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn told(run_dir: &Path) -> Result<Vec<Description>> {
    let path = run_dir.join(SIGNALS);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let data = text.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(line.get("data")?.as_str().map_or_else(|| line["data"].to_string(), str::to_owned))
    });
    Ok(data.flat_map(|data| sdp::descriptions(&data)).collect())
}

/// Puts what the path tells in the place of what a program said of its packets, in the files of a run that is just over: `events.jsonl`
/// and, with the frame and role of each packet, `fates.jsonl`. A warning if the path does not tell, or tells what cannot be: then nothing is put there.
///
/// # Errors
/// When a file cannot be read or written.
pub fn read_the_wire(run_dir: &Path, spec: &RunSpec) -> Result<Option<Warning>> {
    let paths = [run_dir.join("events.jsonl"), run_dir.join("fates.jsonl")];
    let believed = |event: &Event| {
        !matches!(event.kind, EventKind::Encoded { .. } | EventKind::Sent { .. } | EventKind::Received { .. })
    };
    let mut events: Vec<Event> = read_events(&paths[0])?.collect::<Result<_, _>>()?;
    events.retain(believed);
    let mut fates: Vec<FateRecord> = read_fates(&paths[1])?.collect::<Result<_, _>>()?;
    let descriptions = told(run_dir)?;
    let named = Reader::new(&descriptions).knows_media();
    let mut wire = None;
    if named {
        let shown = events.iter().filter_map(|event| match event.kind {
            EventKind::Slot { frame, stream: Stream::Rgb, status: Status::Rendered, .. } => {
                Some((i64::from(frame), event.t_ns.as_nanos()))
            }
            _ => None,
        });
        let clock = Clock { first_ns: spec.first_capture_ns(), fps: spec.clip.fps };
        wire = Some(self::wire(&fates, &descriptions, (clock, spec.clip.frames), &shown.collect()));
    }
    let text = unread(wire.as_ref());
    if let Some(wire) = wire.filter(|wire| wire.doubts.is_empty()) {
        for fate in &mut fates {
            let label = match fate.direction {
                Direction::Forward => wire.labels.get(&fate.n).copied(),
                Direction::Reverse => backwards(fate),
            };
            if let Some((frame, role)) = label {
                (fate.frame, fate.role) = (frame, Some(super::why::role_name(role).to_owned()));
            }
        }
        events.extend(wire.events);
        events.sort_by_key(|e| e.t_ns);
        write_new(&paths[1], &lines(&fates)?)?;
    }
    write_new(&paths[0], &lines(&events)?)?;
    Ok(text.map(|text| Warning { code: "wire_not_read".to_owned(), text }))
}

/// What of a reading is missing; `None` stands for a session without descriptions.
fn unread(wire: Option<&Wire>) -> Option<String> {
    const UNKNOWN: &str = "media rate, frame sizes, redundancy and causes are unknown";
    let Some(wire) = wire else {
        return Some(format!(
            "no session description (SDP) with video was seen in `signal` lines, so that nobody can tell which packets are media: {UNKNOWN}; \
             let both ends exchange their SDP by `signal` (docs/PLUGIN.md)"
        ));
    };
    if !wire.doubts.is_empty() {
        let why: Vec<String> = wire.doubts.iter().map(Doubt::to_string).collect();
        return Some(format!(
            "what the RTP headers and the session descriptions say contradicts what happened: {}; {UNKNOWN}; timestamps must tick at the clock \
             of the session description from one frame to the next, and payload types and SSRCs be what it says (docs/PLUGIN.md)",
            why.join("; ")
        ));
    }
    (wire.unnamed > 0).then(|| {
        let n = wire.unnamed;
        format!("{n} RTP packets are of payload types that no session description names; they count in no rate but the wire's")
    })
}

/// Of a packet of the reverse path.
fn backwards(record: &FateRecord) -> Option<(Option<u32>, Role)> {
    let bytes = head(record);
    let datagram = Datagram::of(&bytes, record.bytes)?;
    let reports = demux::Protocol::of(datagram.payload) == Some(demux::Protocol::Rtcp);
    Some((None, if reports { Role::Feedback } else { Role::Control }))
}

fn lines<T: serde::Serialize>(values: &[T]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for value in values {
        serde_json::to_writer(&mut text, value)?;
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
