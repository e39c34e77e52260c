//! Which packets the channel loses: the native model.
//!
//! Every decision is found by its place (see [`crate::rng`]), so nothing here depends on how many packets were
//! sent before, except through the packet's number where the model steps per packet.

use crate::fate::{Channel, DropCause, State};
use crate::rng::{Chance, Purpose, Stream};
use crate::spec::{LossBy, LossSpec, Step};
use crate::trace::Playback;
use std::sync::Arc;

/// A loss model in operation.
#[derive(Clone, Debug)]
pub(crate) enum Loss {
    None,
    Random { chance: Chance, draws: Stream, packets: u64 },
    GilbertElliott { chain: Chain, good: Chance, bad: Chance, draws: Stream, place: Place },
    Pattern { lost: Vec<bool>, repeat: bool, place: Place },
    Trace { rows: Arc<Playback>, draws: Stream, row: Option<(u64, u64)>, hint: usize },
}

impl Loss {
    pub(crate) fn new(spec: &LossSpec, trace: Option<&Arc<Playback>>, seed: u64) -> Self {
        let draws = Stream::new(seed, Purpose::Loss);
        match spec {
            LossSpec::None => Loss::None,
            LossSpec::Random { probability } => {
                Loss::Random { chance: Chance::of(*probability), draws, packets: 0 }
            }
            LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, step, loss_by } => {
                Loss::GilbertElliott {
                    chain: Chain::new(
                        Chance::of(*good_to_bad),
                        Chance::of(*bad_to_good),
                        Stream::new(seed, Purpose::ChannelState),
                        *loss_by,
                    ),
                    good: Chance::of(*loss_good),
                    bad: Chance::of(*loss_bad),
                    draws,
                    place: Place::new(*step),
                }
            }
            LossSpec::Pattern { pattern, repeat, step } => {
                Loss::Pattern { lost: pattern.0.clone(), repeat: *repeat, place: Place::new(*step) }
            }
            LossSpec::Trace => {
                trace.map_or(Loss::None, |rows| Loss::Trace { rows: rows.clone(), draws, row: None, hint: 0 })
            }
        }
    }

    /// Judges the next packet, which meets the channel `t` nanoseconds after its epoch. `t` never decreases.
    pub(crate) fn judge(&mut self, t: u64) -> (Option<DropCause>, Channel) {
        match self {
            Loss::None => (None, Channel::default()),
            Loss::Random { chance, draws, packets } => {
                let lost = chance.hits(draws.draw(*packets));
                *packets += 1;
                (lost.then_some(DropCause::Random), Channel::default())
            }
            Loss::GilbertElliott { chain, good, bad, draws, place } => {
                let (i, j) = place.next(t);
                let is_bad = chain.judging(i);
                let (chance, cause, state) = match is_bad {
                    false => (*good, DropCause::GeGood, State::Good),
                    true => (*bad, DropCause::GeBad, State::Bad),
                };
                let lost = chance.hits(draws.draw_in(i, j));
                (lost.then_some(cause), Channel { state: Some(state), row: None })
            }
            Loss::Pattern { lost, repeat, place } => {
                let (i, _) = place.next(t);
                let i = if *repeat && !lost.is_empty() { i % lost.len() as u64 } else { i };
                let hit = usize::try_from(i).ok().and_then(|i| lost.get(i)).copied().unwrap_or(false);
                (hit.then_some(DropCause::Pattern), Channel::default())
            }
            Loss::Trace { rows, draws, row, hint } => {
                let at = rows.row_at(t, hint);
                let j = row.map_or(0, |(previous, j)| if previous == at.played { j + 1 } else { 0 });
                *row = Some((at.played, j));
                let lost = at.loss.hits(draws.draw_in(at.played, j));
                (lost.then_some(DropCause::Trace), Channel { state: None, row: Some(at.row) })
            }
        }
    }
}

/// Where a packet stands: the j-th of step i.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    interval: Option<u64>,
    i: u64,
    j: u64,
    started: bool,
}

impl Place {
    fn new(step: Step) -> Self {
        let interval = step.interval().map(|span| span.as_nanos().max(1));
        Place { interval, i: 0, j: 0, started: false }
    }

    fn next(&mut self, t: u64) -> (u64, u64) {
        let (i, j) = match self.interval {
            None => (if self.started { self.i + 1 } else { 0 }, 0),
            Some(interval) => {
                let i = t / interval;
                (i, if self.started && i == self.i { self.j + 1 } else { 0 })
            }
        };
        (self.i, self.j, self.started) = (i, j, true);
        (i, j)
    }
}

/// The two-state chain. State 0 is good by definition; step k (k >= 1) leads from state k-1 to state k.
///
/// One word decides a step for both states at once: good goes bad if the word is small, bad goes good if the word is
/// large. So a step whose word is small or large enough leads to the same state from anywhere, and the state after a long
/// pause is found by looking back to the last such step instead of walking through the pause. A pause costs as
/// many steps as the chain remembers (a handful for the papers' parameters), never more than it has.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    good_to_bad: Chance,
    bad_to_good: Chance,
    words: Stream,
    loss_by: LossBy,
    /// A step whose state is known.
    known: u64,
    bad: bool,
}

impl Chain {
    pub(crate) fn new(good_to_bad: Chance, bad_to_good: Chance, words: Stream, loss_by: LossBy) -> Self {
        Chain { good_to_bad, bad_to_good, words, loss_by, known: 0, bad: false }
    }

    /// Whether the state that judges packets of step `i` (from 0) is bad.
    pub(crate) fn judging(&mut self, i: u64) -> bool {
        self.state(match self.loss_by {
            LossBy::Old => i,
            LossBy::New => i.saturating_add(1),
        })
    }

    /// Where step `k` leads from good and from bad.
    #[inline]
    fn step(&self, k: u64) -> (bool, bool) {
        let word = self.words.draw(k);
        (self.good_to_bad.hits(word), !self.bad_to_good.hits(!word))
    }

    /// State `k`; asked in any order, fast when `k` does not decrease.
    pub(crate) fn state(&mut self, k: u64) -> bool {
        // What never leaves the good state, or always changes, remembers for ever: no looking back.
        match (self.good_to_bad, self.bad_to_good) {
            (Chance::NEVER, _) => return false,
            (Chance::ALWAYS, Chance::ALWAYS) => return k % 2 == 1,
            _ => {}
        }
        let (from, known) = if k >= self.known { (self.known, self.bad) } else { (0, false) };
        let mut bad = known;
        // `flips`: the steps seen so far, taken together, swap the states.
        let mut flips = false;
        let mut at = k;
        while at > from {
            match self.step(at) {
                (g, b) if g == b => {
                    bad = g;
                    break;
                }
                (g, _) => flips ^= g,
            }
            at -= 1;
        }
        bad ^= flips;
        (self.known, self.bad) = (k, bad);
        bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Probability;
    use proptest::prelude::*;

    fn chain(gb: u64, bg: u64, seed: u64) -> Chain {
        let p = |parts| Chance::of(Probability::from_parts(parts).unwrap());
        Chain::new(p(gb), p(bg), Stream::new(seed, Purpose::ChannelState), LossBy::Old)
    }

    proptest! {
        /// Looking back gives what walking forward step by step gives, whatever is asked and in whichever order.
        #[test]
        fn jumping_equals_walking(
            gb in prop_oneof![Just(0u64), Just(1_000_000_000_000), 0u64..=1_000_000_000_000],
            bg in prop_oneof![Just(0u64), Just(1_000_000_000_000), 0u64..=1_000_000_000_000],
            seed: u64,
            asked in proptest::collection::vec(0u64..3000, 1..60),
        ) {
            let mut walk = vec![false];
            let steps = chain(gb, bg, seed);
            for k in 1..3000 {
                let (from_good, from_bad) = steps.step(k);
                let last = walk[walk.len() - 1];
                walk.push(if last { from_bad } else { from_good });
            }
            let mut jumping = chain(gb, bg, seed);
            for k in asked {
                prop_assert_eq!(jumping.state(k), walk[k as usize]);
            }
        }
    }

    #[test]
    fn a_pause_of_years_costs_nothing() {
        const ONE: u64 = 1_000_000_000_000;
        for (gb, bg) in
            [(68_000_000_000, 852_000_000_000), (0, 0), (0, 1), (ONE, ONE), (ONE, 0), (ONE / 2, ONE / 2)]
        {
            let mut chain = chain(gb, bg, 1);
            for years in 1..1000u64 {
                chain.state(years * 31_536_000 * 1_000_000);
            }
        }
    }
}
