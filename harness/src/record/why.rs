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
}

/// The frames that `frame` needs, oldest first, itself last: back to the last key frame sent before it.
#[must_use]
pub fn chain(rows: &[FrameRow], frame: u32, stream: Stream) -> Vec<&FrameRow> {
    let mut chain: Vec<&FrameRow> = Vec::new();
    for row in rows.iter().filter(|r| r.stream == stream && r.frame_id <= frame).rev() {
        chain.push(row);
        if row.is_key {
            break;
        }
    }
    chain.reverse();
    chain
}

/// The answer for one stream of one frame, a few lines of text.
///
/// `rows` are the run's joined rows; `events` and `fates` are its whole record, of which only what concerns the frame
/// and those it needs is kept in memory.
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
    let packets = packets_of(&[row.frame_id, root.frame_id], stream, events, fates)?;
    own_packets(&mut text, row, packets.get(&row.frame_id).map_or(&[], Vec::as_slice));
    if chain.len() > 1 {
        needs(&mut text, &chain, root);
        if root.frame_id != row.frame_id {
            own_packets(&mut text, root, packets.get(&root.frame_id).map_or(&[], Vec::as_slice));
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
        Some(LossCause::Sender) => " (it was never sent)",
        None => "",
    };
    let _ = writeln!(text, "frame {} {stream} {status}{cause}; {screen}", row.frame_id);
    let kind = if row.is_key { "key frame" } else { "frame" };
    let _ = write!(
        text,
        "  {kind} of {} bytes in {} data + {} parity + {} repeated packets",
        row.encoded_bytes, row.data.packets, row.parity.packets, row.repeat.packets
    );
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
}

fn own_packets(text: &mut String, row: &FrameRow, packets: &[Packet]) {
    let id = row.frame_id;
    if packets.is_empty() {
        let _ = writeln!(text, "  no packet of frame {id} was sent");
        return;
    }
    let gone: Vec<&Packet> = packets.iter().filter(|p| p.received.is_none()).collect();
    let late: Vec<&Packet> =
        packets.iter().filter(|p| p.received.is_some_and(|t| row.deadline.is_some_and(|d| t > d))).collect();
    let _ = writeln!(
        text,
        "  frame {id}: {} of {} packets arrived{}",
        packets.len() - gone.len(),
        packets.len(),
        if row.missing > 0 {
            format!(", {} source symbols missing at the end", row.missing)
        } else {
            String::new()
        }
    );
    // Packets with one reason share a line: a burst reads as a burst.
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for packet in gone {
        let reason = match &packet.fate {
            Some(FateRecord { cause: Some(cause), state, row, .. }) => match (state, row) {
                (Some(state), _) => {
                    format!("lost by {}, channel in state {}", cause.name(), state_name(*state))
                }
                (None, Some(row)) => format!("lost by {}, row {row} of the trace", cause.name()),
                (None, None) => format!("lost by {}", cause.name()),
            },
            Some(FateRecord { out_ns: Some(_), .. }) => {
                "let through by the path, never seen by the receiver".to_owned()
            }
            _ => "never arrived (no ledger of the path)".to_owned(),
        };
        by_reason.entry(reason).or_default().push(format!("{} {}", role_name(packet.role), packet.index));
    }
    for (reason, names) in by_reason {
        let _ = writeln!(text, "    {}: {reason}", names.join(", "));
    }
    for packet in late {
        let (Some(arrived), Some(deadline)) = (packet.received, row.deadline) else { continue };
        let after = Timestamp(arrived.as_nanos() - deadline.as_nanos());
        let travel = Timestamp(arrived.as_nanos().saturating_sub(packet.sent.as_nanos()));
        let _ = writeln!(
            text,
            "    {} {}: {} on its way, arrived {} after the deadline",
            role_name(packet.role),
            packet.index,
            ms(travel),
            ms(after)
        );
    }
}

fn needs(text: &mut String, chain: &[&FrameRow], root: &FrameRow) {
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else { return };
    let kind = if first.is_key { "key" } else { "no key frame before it" };
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

/// The packets of a few frames with what became of each.
fn packets_of<E>(
    frames: &[u32],
    stream: Stream,
    events: impl IntoIterator<Item = Result<Event, E>>,
    fates: impl IntoIterator<Item = Result<FateRecord, E>>,
) -> Result<BTreeMap<u32, Vec<Packet>>, E> {
    // Of all streams, in the order of the record: packets of equal time and size are told apart in the ledger by their order.
    let mut packets: Vec<(u32, Stream, Packet)> = Vec::new();
    let mut arrivals: BTreeMap<(u32, Stream, Role, u32), VecDeque<Timestamp>> = BTreeMap::new();
    for event in events {
        let event = event?;
        match event.kind {
            EventKind::Sent { frame, stream, role, index, bytes }
                if event.side == Side::Sender
                    && frames.contains(&frame)
                    && !matches!(role, Role::Control | Role::Feedback) =>
            {
                let packet = Packet { role, index, sent: event.t_ns, bytes, received: None, fate: None };
                packets.push((frame, stream, packet));
            }
            EventKind::Received { frame, stream, role, index, .. } if frames.contains(&frame) => {
                arrivals.entry((frame, stream, carried(role), index)).or_default().push_back(event.t_ns);
            }
            _ => {}
        }
    }
    packets.sort_by_key(|(_, _, p)| p.sent);
    attach_fates(&mut packets, fates)?;
    let mut of_frames: BTreeMap<u32, Vec<Packet>> = BTreeMap::new();
    for (frame, of, mut packet) in packets {
        // Arrivals belong to the copies that the path let through, oldest first.
        if packet.fate.as_ref().is_none_or(|f| f.cause.is_none()) {
            let key = (frame, of, carried(packet.role), packet.index);
            packet.received = arrivals.get_mut(&key).and_then(VecDeque::pop_front);
        }
        if of == stream {
            of_frames.entry(frame).or_default().push(packet);
        }
    }
    Ok(of_frames)
}

/// Finds each packet's line in the ledger by time and size (a packet enters the path at or after the moment when it was
/// sent, in order), and by frame and role where the ledger could parse packets.
fn attach_fates<E>(
    packets: &mut [(u32, Stream, Packet)],
    fates: impl IntoIterator<Item = Result<FateRecord, E>>,
) -> Result<(), E> {
    for fate in fates {
        let fate = fate?;
        if fate.direction != Direction::Forward {
            continue;
        }
        let place = packets.iter_mut().find(|(frame, _, p)| {
            p.fate.is_none()
                && fate.frame.is_none_or(|f| f == *frame)
                && fate
                    .role
                    .as_deref()
                    .is_none_or(|r| r == role_name(p.role) || r == role_name(carried(p.role)))
                && fate.in_ns >= p.sent
                && fate.in_ns.as_nanos() - p.sent.as_nanos() < 2_000_000
                && (p.bytes..=p.bytes + 120).contains(&fate.bytes)
        });
        if let Some((_, _, packet)) = place {
            packet.fate = Some(fate);
        }
    }
    Ok(())
}

fn role_name(role: Role) -> &'static str {
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
