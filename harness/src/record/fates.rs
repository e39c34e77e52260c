//! Reading `fates.jsonl`: what the path did to every packet.

use super::events::{EventsError, read_lines};
use contract::scores::{Durations, PathScores};
use link::{Direction, FateRecord, State};
use std::collections::BTreeMap;
use std::path::Path;

/// Both directions, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Sender to receiver.
    pub forward: PathScores,
    /// Receiver to sender.
    pub reverse: PathScores,
    frame_packets: Option<u64>,
}

impl Ledger {
    /// Counts every packet of `fates`.
    pub fn of<E>(fates: impl IntoIterator<Item = Result<FateRecord, E>>) -> Result<Self, E> {
        let mut ledger = Ledger::default();
        let mut delays: BTreeMap<Direction, Vec<u64>> = BTreeMap::new();
        for fate in fates {
            let fate = fate?;
            let path = match fate.direction {
                Direction::Forward => &mut ledger.forward,
                Direction::Reverse => &mut ledger.reverse,
            };
            path.packets += 1;
            path.bytes += u64::from(fate.bytes);
            if let Some(state) = fate.state {
                *path.states.entry(state_name(state).to_owned()).or_default() += 1;
            }
            match (fate.actual_ns.or(fate.out_ns), fate.cause) {
                (Some(out), None) => {
                    path.delivered += 1;
                    let delay = out.as_nanos().saturating_sub(fate.in_ns.as_nanos());
                    delays.entry(fate.direction).or_default().push(delay);
                }
                (_, cause) => {
                    let cause = cause.map_or("unknown", link::DropCause::name);
                    *path.drops.entry(cause.to_owned()).or_default() += 1;
                }
            }
            let of_a_frame = matches!(fate.role.as_deref(), Some("data" | "parity" | "repeat"));
            if fate.direction == Direction::Forward && of_a_frame {
                *ledger.frame_packets.get_or_insert(0) += 1;
            }
        }
        for (direction, path) in
            [(Direction::Forward, &mut ledger.forward), (Direction::Reverse, &mut ledger.reverse)]
        {
            path.delay = delays.remove(&direction).and_then(Durations::of);
            if path.packets > 0 {
                #[allow(clippy::cast_precision_loss)] // packet counts are far below 2^53
                let share = (path.packets - path.delivered) as f64 / path.packets as f64;
                path.realised_loss = share;
            }
        }
        Ok(ledger)
    }

    /// Forward packets that were recognised as part of a frame; `None` if none was.
    #[must_use]
    pub fn forward_frame_packets(&self) -> Option<u64> {
        self.frame_packets
    }
}

/// The fates of a file in the order in which packets entered. Memory does not grow with the file.
///
/// # Errors
/// When the file cannot be opened; each item is an error when its line cannot be read.
pub fn read_fates(path: &Path) -> Result<impl Iterator<Item = Result<FateRecord, EventsError>>, EventsError> {
    read_lines(path)
}

/// As records write it.
pub(super) const fn state_name(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Bad => "bad",
    }
}
