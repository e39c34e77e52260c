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

/// Pairs runs of one system with those of another, in the order of conditions. Runs without a partner are left out. Each side must
/// have one run per condition; where it has several (two revisions of one system thrown together), which of them is meant is not
/// known, and there is no pair.
#[must_use]
pub fn pairs<'a>(
    first: impl IntoIterator<Item = &'a Run>,
    second: impl IntoIterator<Item = &'a Run>,
) -> Vec<Pair<'a>> {
    let (first, mut second) = (by_condition(first), by_condition(second));
    let both =
        first.into_iter().filter_map(|(condition, a)| Some((second.remove(&condition)?, condition, a)));
    both.filter_map(|(b, condition, a)| match (&a[..], &b[..]) {
        (&[first], &[second]) => Some(Pair { condition, first, second }),
        _ => None,
    })
    .collect()
}

fn by_condition<'a>(runs: impl IntoIterator<Item = &'a Run>) -> BTreeMap<Condition, Vec<&'a Run>> {
    let mut map: BTreeMap<Condition, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        map.entry(run.scores.key.condition()).or_default().push(run);
    }
    map
}
