//! Runs of two systems that met the same: clip, scenario, shape, clock, play-out and seed, all by content.
//!
//! ```text
//! for pair in pairs(a.valid(), b.valid()) {
//!     differences.push(value(pair.first) - value(pair.second));
//! }
//! ```
//! The first and the second may come from any number of clips, scenarios and seeds; [`Pair::condition`] says which.

use super::load::Run;
use contract::key::Condition;
use std::collections::BTreeMap;

/// Two runs under one condition.
#[derive(Clone, Debug)]
pub struct Pair<'a> {
    /// What both met.
    pub condition: Condition,
    /// Run of the first system.
    pub first: &'a Run,
    /// Run of the second system.
    pub second: &'a Run,
}

/// Pairs runs of one system with those of another, in the order of conditions. Runs without a partner are left out. A run that was repeated
/// (equal keys, on the wall clock) is paired in every repeat: statistics average them. Where a side has several different runs under one
/// condition (two revisions of one system thrown together), which of them is meant is not known, and there is no pair.
#[must_use]
pub fn pairs<'a>(
    first: impl IntoIterator<Item = &'a Run>,
    second: impl IntoIterator<Item = &'a Run>,
) -> Vec<Pair<'a>> {
    let (first, mut second) = (by_condition(first), by_condition(second));
    let both =
        first.into_iter().filter_map(|(condition, a)| Some((second.remove(&condition)?, condition, a)));
    let repeats = |runs: &[&Run]| runs.iter().all(|r| r.scores.key == runs[0].scores.key);
    let mut pairs = Vec::new();
    for (b, condition, a) in both.filter(|(b, _, a)| repeats(a) && repeats(b)) {
        for first in a {
            let with = |second: &&'a Run| Pair { condition: condition.clone(), first, second };
            pairs.extend(b.iter().map(with));
        }
    }
    pairs
}

fn by_condition<'a>(runs: impl IntoIterator<Item = &'a Run>) -> BTreeMap<Condition, Vec<&'a Run>> {
    let mut map: BTreeMap<Condition, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        map.entry(run.scores.key.condition()).or_default().push(run);
    }
    map
}
