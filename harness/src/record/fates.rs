//! Reading `fates.jsonl`: what the path did to every packet.

use super::Finding;
use super::events::{EventsError, read_lines};
use contract::scores::{Durations, Outside, PathScores};
use link::{Direction, FateRecord, State};
use metrics::{Place, Window, realised_loss};
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
    /// Packets that left before they entered: how many, the first one's number.
    impossible: BTreeMap<Direction, (u32, u64)>,
}

impl Ledger {
    /// Counts every packet of `fates`: those that entered in the clip's window, and apart from them those before and after.
    /// What became of a packet counts where it entered, whenever that was decided.
    ///
    /// # Errors
    /// The first of `fates`.
    pub fn of<E>(fates: impl IntoIterator<Item = Result<FateRecord, E>>, window: Window) -> Result<Self, E> {
        let mut ledger = Ledger::default();
        let mut delays: BTreeMap<Direction, Vec<u64>> = BTreeMap::new();
        for fate in fates {
            let fate = fate?;
            let of_a_frame = matches!(fate.role.as_deref(), Some("data" | "parity" | "repeat"));
            if fate.direction == Direction::Forward && of_a_frame {
                *ledger.frame_packets.get_or_insert(0) += 1;
            }
            let path = match fate.direction {
                Direction::Forward => &mut ledger.forward,
                Direction::Reverse => &mut ledger.reverse,
            };
            match window.place(fate.in_ns.as_nanos()) {
                Place::Before => add(&mut path.before, &fate),
                Place::After => add(&mut path.after, &fate),
                Place::Within => {
                    path.packets += 1;
                    path.bytes += u64::from(fate.bytes);
                    if let Some(state) = fate.state {
                        *path.states.entry(state_name(state).to_owned()).or_default() += 1;
                    }
                    match fate.loss() {
                        Some(cause) => *path.drops.entry(cause.to_owned()).or_default() += 1,
                        None => path.delivered += 1,
                    }
                }
            }
            let Some(out) = fate.actual_ns.or(fate.out_ns) else { continue };
            match out.as_nanos().checked_sub(fate.in_ns.as_nanos()) {
                None => ledger.impossible.entry(fate.direction).or_insert((0, fate.n)).0 += 1,
                Some(delay)
                    if fate.loss().is_none() && window.place(fate.in_ns.as_nanos()) == Place::Within =>
                {
                    delays.entry(fate.direction).or_default().push(delay);
                }
                Some(_) => {}
            }
        }
        for (direction, path) in
            [(Direction::Forward, &mut ledger.forward), (Direction::Reverse, &mut ledger.reverse)]
        {
            path.delay = delays.remove(&direction).and_then(Durations::of);
            path.realised_loss = realised_loss(path.packets - path.delivered, path.packets);
        }
        Ok(ledger)
    }

    /// Forward packets that were recognised as part of a frame; `None` if none was.
    #[must_use]
    pub fn forward_frame_packets(&self) -> Option<u64> {
        self.frame_packets
    }

    /// What in the ledger cannot be.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        self.impossible.iter().map(|(&direction, &(count, first))| Finding::LeftBeforeEntered {
            direction,
            count,
            first,
        })
    }
}

fn add(outside: &mut Outside, fate: &FateRecord) {
    outside.packets += 1;
    outside.bytes += u64::from(fate.bytes);
    outside.lost += u64::from(fate.loss().is_some());
}

/// The fates of a file in the order in which packets entered each direction, forward first. A live path writes a line when
/// it is done with a packet, dropped ones first, so the file's own order says nothing.
///
/// # Errors
/// When the file or a line of it cannot be read.
pub fn read_fates(path: &Path) -> Result<impl Iterator<Item = Result<FateRecord, EventsError>>, EventsError> {
    let mut fates: Vec<FateRecord> = read_lines(path)?.collect::<Result<_, _>>()?;
    fates.sort_by_key(|f| (f.direction, f.n));
    Ok(fates.into_iter().map(Ok))
}

/// As records write it.
pub(super) const fn state_name(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Bad => "bad",
    }
}
