//! Why a frame did not render: its own packets, then the frames it refers to.

use super::fates::state_name;
use super::join::carried;
use contract::{Event, EventKind, FrameRow, LossCause, Role, Side, Status, Stream};
use link::{Direction, FateRecord, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// A packet that the sender reported, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    role: Role,
    index: u32,
    sent: Timestamp,
    bytes: u32,
    received: Option<Timestamp>,
    fate: Option<FateRecord>,
    /// The system dropped it itself, before the path.
    at_sender: bool,
}

/// The frames that `frame` needs, oldest first, itself last: back to the last key frame sent before it. Itself alone if the
/// system does not report which frames are key frames, or nobody can tell.
#[must_use]
pub fn chain(rows: &[FrameRow], frame: u32, stream: Stream) -> Vec<&FrameRow> {
    let mut chain: Vec<&FrameRow> = Vec::new();
    for row in rows.iter().filter(|r| r.stream == stream && r.frame_id <= frame).rev() {
        chain.push(row);
        if row.is_key != Some(false) || row.encoded_bytes.is_none() {
            break;
        }
    }
    chain.reverse();
    chain
}

/// The answer for one stream of one frame, a few lines of text.
///
/// `rows` are the run's joined rows; `events` and `fates` are its whole record, the fates in the order in which packets
/// entered the path ([`read_fates`](super::read_fates)).
///
/// # Errors
/// The first of `events` or `fates`.
pub fn explain<E>(
    rows: &[FrameRow],
    (frame, stream): (u32, Stream),
    events: impl IntoIterator<Item = Result<Event, E>>,
    fates: impl IntoIterator<Item = Result<FateRecord, E>>,
) -> Result<String, E> {
    let chain = chain(rows, frame, stream);
    let Some(row) = chain.last().filter(|r| r.frame_id == frame) else {
        return Ok(format!("frame {frame} has no {} picture\n", stream.name()));
    };
    let mut text = String::new();
    headline(&mut text, row);
    if row.status == Status::Rendered {
        return Ok(text);
    }
    // The first frame of the chain that is not whole is what broke it.
    let root = chain.iter().find(|r| r.status != Status::Rendered).copied().unwrap_or(row);
    let evidence = Evidence::of(&[row.frame_id, root.frame_id], stream, events, fates)?;
    evidence.tell(&mut text, row, rows);
    if chain.len() > 1 {
        needs(&mut text, &chain, root);
        if root.frame_id != row.frame_id {
            evidence.tell(&mut text, root, rows);
        }
    }
    Ok(text)
}

fn headline(text: &mut String, row: &FrameRow) {
    let stream = row.stream.name();
    let screen = match row.shown_frame_id {
        Some(shown) if shown == row.frame_id => "the screen showed the frame itself".to_owned(),
        Some(shown) => format!("the screen kept frame {shown}"),
        None => "the screen was black".to_owned(),
    };
    let status = match row.status {
        Status::Rendered => "was rendered from complete data",
        Status::Concealed => "was concealed: shown from partial data",
        Status::Frozen => "froze",
        Status::DroppedSender => "was dropped by the sender",
    };
    let cause = match row.loss_cause {
        Some(LossCause::Network) => " (its packets were lost)",
        Some(LossCause::Late) => " (its packets came too late)",
        Some(LossCause::Decoder) => " (the decoder gave no picture)",
        Some(LossCause::Dependency) => " (a frame that it refers to was lost)",
        Some(LossCause::Sender) if row.status == Status::DroppedSender => " (it was never sent)",
        Some(LossCause::Sender) => " (the sender dropped it, or packets of it)",
        Some(LossCause::Unknown) => " (why is unknown)",
        None => "",
    };
    let _ = writeln!(text, "frame {} {stream} {status}{cause}; {screen}", row.frame_id);
    let kind = if row.is_key == Some(true) { "key frame" } else { "frame" };
    let size = row.encoded_bytes.map_or_else(|| "unknown size".to_owned(), |b| format!("{b} bytes"));
    let _ = match (row.data, row.parity, row.repeat) {
        (Some(data), Some(parity), Some(repeat)) => write!(
            text,
            "  {kind} of {size} in {} data + {} parity + {} repeated packets",
            data.packets, parity.packets, repeat.packets
        ),
        _ => write!(text, "  {kind} of {size} in an unknown number of packets"),
    };
    if let (Some(capture), Some(deadline)) = (row.capture, row.deadline) {
        let _ = write!(text, "; captured at {}, due at {}", ms(capture), ms(deadline));
    }
    text.push('\n');
    if let (Some(complete), Some(deadline)) = (row.complete, row.deadline) {
        let (a, b) = (complete.as_nanos(), deadline.as_nanos());
        let _ = if a > b {
            writeln!(text, "  complete at {}: missed its deadline by {}", ms(complete), ms(Timestamp(a - b)))
        } else {
            writeln!(text, "  complete at {}: {} before its deadline", ms(complete), ms(Timestamp(b - a)))
        };
    }
    if row.loss_cause == Some(LossCause::Unknown) {
        let lacking = [
            (row.data.is_none(), "sent"),
            (row.late.is_none(), "received"),
            (row.recovered.is_none(), "complete"),
        ];
        let kinds: Vec<&str> = lacking.iter().filter(|(lacks, _)| *lacks).map(|(_, kind)| *kind).collect();
        if !kinds.is_empty() {
            let _ = writeln!(text, "  the system reports no `{}` events", kinds.join("`, no `"));
        }
    }
}

/// What the record says about the packets of a few frames.
struct Evidence {
    /// Of each frame, in the order in which they were sent.
    packets: BTreeMap<u32, Vec<Packet>>,
    /// What entered the forward path, in order.
    forward: Vec<FateRecord>,
    /// The system reports what it sends.
    sent: bool,
    /// The system reports what it receives.
    received: bool,
}

impl Evidence {
    /// Reads the record, and keeps what concerns `frames`.
    fn of<E>(
        frames: &[u32],
        stream: Stream,
        events: impl IntoIterator<Item = Result<Event, E>>,
        fates: impl IntoIterator<Item = Result<FateRecord, E>>,
    ) -> Result<Self, E> {
        // Of all frames and streams and of the set-up: packets of equal time and size are told apart in the ledger by
        // their order alone, so each must be there to take its own line.
        let mut sends: Vec<Sent> = Vec::new();
        let mut lost_at_sender: Vec<Sent> = Vec::new();
        let mut arrivals: BTreeMap<(u32, Stream, Role, u32), VecDeque<Timestamp>> = BTreeMap::new();
        let mut received = false;
        let packet = |role, index, sent, bytes| Packet {
            role,
            index,
            sent,
            bytes,
            received: None,
            fate: None,
            at_sender: false,
        };
        for event in events {
            let event = event?;
            match event.kind {
                EventKind::Sent { frame, stream, role, index, bytes } if event.side == Side::Sender => {
                    sends.push(Sent { frame, stream, packet: packet(role, index, event.t_ns, bytes) });
                }
                EventKind::LostAtSender { frame, stream, role, index, bytes }
                    if event.side == Side::Sender =>
                {
                    let packet = Packet { at_sender: true, ..packet(role, index, event.t_ns, bytes) };
                    lost_at_sender.push(Sent { frame, stream, packet });
                }
                EventKind::Received { frame, stream, role, index, .. }
                    if !matches!(role, Role::Control | Role::Feedback) =>
                {
                    received = true;
                    if frames.contains(&frame) {
                        let key = (frame, stream, carried(role), index);
                        arrivals.entry(key).or_default().push_back(event.t_ns);
                    }
                }
                _ => {}
            }
        }
        let forward: Vec<FateRecord> = fates
            .into_iter()
            .filter(|f| f.as_ref().map_or(true, |f| f.direction == Direction::Forward))
            .collect::<Result<_, _>>()?;
        sends.sort_by_key(|s| s.packet.sent);
        attach_fates(&mut sends, &forward);
        sends.append(&mut lost_at_sender);
        sends.sort_by_key(|s| s.packet.sent);
        let sent = !sends.is_empty();
        let mut packets: BTreeMap<u32, Vec<Packet>> = BTreeMap::new();
        for Sent { frame, stream: of, mut packet } in sends {
            if !frames.contains(&frame) || matches!(packet.role, Role::Control | Role::Feedback) {
                continue;
            }
            // Arrivals belong to the copies that the path let through, oldest first.
            if !packet.at_sender && packet.fate.as_ref().is_none_or(|f| f.loss().is_none()) {
                let key = (frame, of, carried(packet.role), packet.index);
                packet.received = arrivals.get_mut(&key).and_then(VecDeque::pop_front);
            }
            if of == stream {
                packets.entry(frame).or_default().push(packet);
            }
        }
        Ok(Self { packets, forward, sent, received })
    }

    fn tell(&self, text: &mut String, row: &FrameRow, rows: &[FrameRow]) {
        let id = row.frame_id;
        if !self.sent {
            return self.path_meanwhile(text, row, rows);
        }
        let packets = self.packets.get(&id).map_or(&[][..], Vec::as_slice);
        if packets.is_empty() {
            let _ = writeln!(text, "  no packet of frame {id} was sent");
            return;
        }
        let gone = |p: &&Packet| match (&p.fate, self.received) {
            _ if p.at_sender => true,
            (_, true) => p.received.is_none(),
            (Some(fate), false) => fate.loss().is_some(),
            (None, false) => true,
        };
        let gone: Vec<&Packet> = packets.iter().filter(gone).collect();
        let came = packets.len() - gone.len();
        let _ = write!(text, "  frame {id}: {came} of {} packets ", packets.len());
        text.push_str(match (self.received, self.forward.is_empty()) {
            (true, _) => "arrived",
            (false, false) => "were let through by the path (the system reports no `received` events)",
            (false, true) => {
                "are known to have arrived (the system reports no `received` events, and there is no ledger)"
            }
        });
        if let Some(missing) = row.missing.filter(|m| *m > 0) {
            let _ = write!(text, ", {missing} source symbols missing at the end");
        }
        text.push('\n');
        // Packets with one reason share a line: a burst reads as a burst.
        let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for packet in gone {
            let name = format!("{} {}", role_name(packet.role), packet.index);
            by_reason.entry(self.reason(packet)).or_default().push(name);
        }
        for (reason, names) in by_reason {
            let _ = writeln!(text, "    {}: {reason}", names.join(", "));
        }
        for packet in packets {
            let (Some(arrived), Some(deadline)) = (packet.received, row.deadline) else { continue };
            let Some(after) = arrived.as_nanos().checked_sub(deadline.as_nanos()).filter(|ns| *ns > 0) else {
                continue;
            };
            let travel = match arrived.as_nanos().checked_sub(packet.sent.as_nanos()) {
                Some(travel) => format!("{} on its way", ms(Timestamp(travel))),
                None => "said to have arrived before it was sent".to_owned(),
            };
            let name = role_name(packet.role);
            let after = ms(Timestamp(after));
            let _ =
                writeln!(text, "    {name} {}: {travel}, arrived {after} after the deadline", packet.index);
        }
    }

    fn reason(&self, packet: &Packet) -> String {
        if packet.at_sender {
            return "dropped by the system itself before it was sent (its own loss model)".to_owned();
        }
        match &packet.fate {
            Some(fate) => match fate.loss() {
                Some(_) => lost_by(fate),
                None => "let through by the path, never seen by the receiver".to_owned(),
            },
            None if self.forward.is_empty() => "never arrived (no ledger of the path)".to_owned(),
            None if self.received => "never arrived (not found in the ledger of the path)".to_owned(),
            None => "not found in the ledger of the path".to_owned(),
        }
    }

    /// Which packets are the frame's is unknown; what the path did from its capture to the next one is not.
    fn path_meanwhile(&self, text: &mut String, row: &FrameRow, rows: &[FrameRow]) {
        let id = row.frame_id;
        let _ = writeln!(text, "  which packets belonged to frame {id} is unknown: no `sent` events");
        let next =
            rows.iter().find(|r| r.stream == row.stream && r.frame_id == id + 1).and_then(|r| r.capture);
        let (Some(from), Some(until)) = (row.capture, next) else { return };
        let meanwhile: Vec<&FateRecord> =
            self.forward.iter().filter(|f| (from..until).contains(&f.in_ns)).collect();
        if meanwhile.is_empty() {
            return;
        }
        let mut by_reason: BTreeMap<String, u32> = BTreeMap::new();
        for fate in meanwhile.iter().filter(|f| f.loss().is_some()) {
            *by_reason.entry(lost_by(fate)).or_default() += 1;
        }
        let lost: u32 = by_reason.values().sum();
        let _ = writeln!(
            text,
            "  from its capture to the next one {} packets entered the path, {lost} of them were lost",
            meanwhile.len()
        );
        for (reason, count) in by_reason {
            let _ = writeln!(text, "    {count}: {reason}");
        }
    }
}

fn lost_by(fate: &FateRecord) -> String {
    let cause = match fate.loss() {
        Some("corrupted") => "damaged on the way, discarded by its checksum".to_owned(),
        Some("unknown") | None => "lost, the ledger does not say how".to_owned(),
        Some(cause) => format!("lost by {cause}"),
    };
    match (fate.state, fate.row) {
        (Some(state), _) => format!("{cause}, channel in state {}", state_name(state)),
        (None, Some(row)) => format!("{cause}, row {row} of the trace"),
        (None, None) => cause,
    }
}

fn needs(text: &mut String, chain: &[&FrameRow], root: &FrameRow) {
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else { return };
    let kind = if first.is_key == Some(true) { "key" } else { "no key frame before it" };
    let _ = match last.frame_id - first.frame_id {
        1 => write!(text, "  needs frame {} ({kind}): ", first.frame_id),
        _ => write!(text, "  needs frames {} ({kind}) to {}: ", first.frame_id, last.frame_id - 1),
    };
    if root.frame_id == last.frame_id {
        let _ = writeln!(text, "all rendered");
        return;
    }
    let broken = chain[..chain.len() - 1].iter().filter(|r| r.status != Status::Rendered).count();
    let _ = writeln!(
        text,
        "{broken} of {} not whole; the first was frame {} ({}{})",
        chain.len() - 1,
        root.frame_id,
        root.status.name(),
        root.loss_cause.map(|c| format!(", {}", c.name())).unwrap_or_default()
    );
}

/// A packet that the sender reported.
struct Sent {
    frame: u32,
    stream: Stream,
    packet: Packet,
}

/// A packet enters the path at or after the moment at which its sender says it was sent: at most so much before it (two
/// clocks are read) ...
const BEFORE_NS: u64 = 200_000;
/// ... and at most so much after it.
const AFTER_NS: u64 = 10_000_000;
/// What transport, encryption, UDP and IP add at most, bytes.
const HEADERS: u32 = 120;

/// Gives each line of the ledger to the first packet sent that fits it and has none yet: by time and size, and by frame and
/// role where the ledger could parse packets. Both lists are in order, and a path takes packets in the order in which they
/// are sent, so packets of equal time and size get their own lines.
fn attach_fates(sends: &mut [Sent], forward: &[FateRecord]) {
    let mut first = 0;
    for fate in forward {
        let entered = fate.in_ns.as_nanos();
        while sends.get(first).is_some_and(|s| s.packet.sent.as_nanos() + AFTER_NS < entered) {
            first += 1;
        }
        let place = sends[first..]
            .iter_mut()
            .take_while(|s| s.packet.sent.as_nanos() <= entered + BEFORE_NS)
            .find(|s| fits(s, fate));
        if let Some(sent) = place {
            sent.packet.fate = Some(fate.clone());
        }
    }
}

fn fits(Sent { frame, packet: p, .. }: &Sent, fate: &FateRecord) -> bool {
    let role = |r: &str| r == role_name(p.role) || r == role_name(carried(p.role));
    p.fate.is_none()
        && fate.frame.is_none_or(|f| f == *frame || matches!(p.role, Role::Control | Role::Feedback))
        && fate.role.as_deref().is_none_or(role)
        && (p.bytes..=p.bytes + HEADERS).contains(&fate.bytes)
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Data => "data",
        Role::Parity => "parity",
        Role::Repeat => "repeat",
        Role::Feedback => "feedback",
        Role::Control => "control",
    }
}

fn ms(t: Timestamp) -> String {
    let tenths = (t.as_nanos() + 50_000) / 100_000;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
