//! The packet ladder of a run: every message of the system, above encryption, in order of time.

use super::Explained;
use super::text::{Shape, lines_diff};
use contract::{Event, EventKind, Role, Stream};
use std::fmt::Write as _;

/// `>` is a packet that left the sending end, `<` one that arrived at the receiving end; feedback goes the
/// other way and is marked by its role. Times are nanoseconds of the run.
///
/// ```text
///      33333333 > data   rgb   frame 1 #0 1045 B
///      53333333 < data   rgb   frame 1 #0 1045 B
/// ```
#[must_use]
pub fn ladder(events: &[Event]) -> String {
    let mut text =
        String::from("# t_ns, > left or < arrived, role, stream, frame, index in the frame, bytes\n");
    for event in events {
        let (way, frame, stream, role, index, bytes, note) = match event.kind {
            EventKind::Sent { frame, stream, role, index, bytes } => {
                (">", frame, stream, role, index, bytes, "")
            }
            EventKind::Received { frame, stream, role, index, bytes, duplicate } => {
                ("<", frame, stream, role, index, bytes, if duplicate { " nothing new" } else { "" })
            }
            _ => continue,
        };
        let _ = writeln!(
            text,
            "{:>14} {way} {:<8} {:<5} frame {frame} #{index} {bytes} B{note}",
            event.t_ns.as_nanos(),
            role_name(role),
            stream_name(stream),
        );
    }
    text
}

/// Says how two ladders differ: only in times, only in sizes, or in the packets themselves.
pub(super) fn explain(kept: &str, now: &str) -> Option<Explained> {
    lines_diff(
        kept,
        now,
        &[
            Shape { what: "the same packets with the same sizes, at other times", strip: &[0] },
            Shape {
                what: "the same packets at the same times, of other sizes (another encoder version?)",
                strip: &[7],
            },
            Shape {
                what: "the same packets in the same order, at other times and of other sizes",
                strip: &[0, 7],
            },
        ],
    )
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

fn stream_name(stream: Stream) -> &'static str {
    stream.name()
}
