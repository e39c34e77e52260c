//! Reading `fates.jsonl`: what the path did to every packet.

use super::events::{EventsError, read_lines};
use contract::scores::{Durations, PathScores};
use contract::{Role, Stream};
use link::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Sender to receiver.
    Forward,
    /// Receiver to sender.
    Reverse,
}

/// One packet's fate. Keys of the line that are not needed here are passed over: the ledger may say more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fate {
    /// Which way it went.
    pub direction: Direction,
    /// When it entered the path.
    pub in_ns: Timestamp,
    /// When the model let it out; absent if it was dropped.
    #[serde(default)]
    pub out_ns: Option<Timestamp>,
    /// Size with IP and UDP headers.
    pub bytes: u32,
    /// Why it was dropped; absent if it was not.
    #[serde(default)]
    pub drop: Option<String>,
    /// Channel state that it met.
    #[serde(default)]
    pub state: Option<String>,
    /// Captured frame, when the packet could be parsed.
    #[serde(default)]
    pub frame: Option<u32>,
    /// Stream, when the packet could be parsed.
    #[serde(default)]
    pub stream: Option<Stream>,
    /// Role, when the packet could be parsed.
    #[serde(default)]
    pub role: Option<Role>,
    /// Place among the packets of its frame and role, when the packet could be parsed.
    #[serde(default)]
    pub index: Option<u32>,
}

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
    pub fn of<E>(fates: impl IntoIterator<Item = Result<Fate, E>>) -> Result<Self, E> {
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
                *path.states.entry(state).or_default() += 1;
            }
            match (fate.out_ns, fate.drop) {
                (Some(out), None) => {
                    path.delivered += 1;
                    let delay = out.as_nanos().saturating_sub(fate.in_ns.as_nanos());
                    delays.entry(fate.direction).or_default().push(delay);
                }
                (_, cause) => {
                    *path.drops.entry(cause.unwrap_or_else(|| "unknown".to_owned())).or_default() += 1;
                }
            }
            if fate.direction == Direction::Forward
                && matches!(fate.role, Some(Role::Data | Role::Parity | Role::Repeat))
            {
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
pub fn read_fates(path: &Path) -> Result<impl Iterator<Item = Result<Fate, EventsError>>, EventsError> {
    read_lines(path)
}
