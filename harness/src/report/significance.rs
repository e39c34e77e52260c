//! Which differences between systems are more than chance. Everything that colours a result asks here.
//!
//! A *family* is one metric under one scenario: all comparisons of it are corrected together (Holm), so that the chance that any
//! difference of a family is called one without being one is at most 5 %. Clips are the unit of replication from
//! [`LEAST_UNITS`] clips on; with fewer, each clip is a condition of its own, compared over its seeds.

use super::columns::{Better, COLUMNS, Column};
use super::group::Group;
use super::pair::pairs;
use metrics::stats::{Comparison, Evidence, LEAST_UNITS, Pair, compare, holm};
use std::collections::BTreeMap;

/// Chance of a false alarm that is accepted per family.
pub const LEVEL: f64 = 0.05;

/// Two systems in one metric under one scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// First system.
    pub first: String,
    /// Second system.
    pub second: String,
    /// Which of the family's clips; absent: over all of them.
    pub clip: Option<usize>,
    /// First minus second.
    pub comparison: Comparison,
    /// p-value corrected within the family; absent where nothing was tested.
    pub corrected: Option<f64>,
}

impl Compared {
    /// Whether the first system's values are higher (true) or lower than the second's, if that is more than chance.
    #[must_use]
    pub fn higher(&self) -> Option<bool> {
        self.corrected.filter(|p| *p < LEVEL).map(|_| self.comparison.mean > 0.0)
    }

    /// Whether the first system is better (true) or worse, if that is more than chance.
    #[must_use]
    pub fn better(&self, which: Better) -> Option<bool> {
        match which {
            Better::Neither => None,
            Better::Higher => self.higher(),
            Better::Lower => self.higher().map(|h| !h),
        }
    }
}

/// All pairs of `systems` (only those with `against`, if that is one of them), corrected together. `pairs_of` gives the
/// conditions that two systems, by their places, were both run under.
#[must_use]
pub fn family(
    systems: &[&str],
    against: Option<&str>,
    mut pairs_of: impl FnMut(usize, usize) -> Vec<Pair>,
) -> Vec<Compared> {
    let against = against.and_then(|name| systems.iter().position(|s| *s == name));
    let mut all = Vec::new();
    for i in 0..systems.len() {
        for j in i + 1..systems.len() {
            if against.is_some_and(|a| a != i && a != j) {
                continue;
            }
            let mut clips: BTreeMap<usize, Vec<Pair>> = BTreeMap::new();
            for pair in pairs_of(i, j) {
                clips.entry(pair.clip).or_default().push(pair);
            }
            let parts: Vec<(Option<usize>, Vec<Pair>)> = if clips.len() < LEAST_UNITS {
                clips.into_iter().map(|(clip, pairs)| (Some(clip), pairs)).collect()
            } else {
                vec![(None, clips.into_values().flatten().collect())]
            };
            for (clip, pairs) in parts {
                let Ok(comparison) = compare(&pairs) else { continue };
                let (first, second) = (systems[i].to_owned(), systems[j].to_owned());
                all.push(Compared { first, second, clip, comparison, corrected: None });
            }
        }
    }
    let tested = |c: &Compared| match c.comparison.evidence {
        Evidence::Tested { p, .. } => Some(p),
        Evidence::TooFew | Evidence::NoVariation => None,
    };
    let corrected = holm(&all.iter().filter_map(tested).collect::<Vec<f64>>());
    for (row, p) in all.iter_mut().filter(|c| tested(c).is_some()).zip(corrected) {
        row.corrected = Some(p);
    }
    all
}

/// A family of a report.
#[derive(Clone, Debug)]
pub struct Family {
    /// Metric.
    pub column: &'static Column,
    /// Scenario.
    pub scenario: String,
    /// Its clips; [`Compared::clip`] is a place in it.
    pub clips: Vec<String>,
    /// Its comparisons.
    pub rows: Vec<Compared>,
}

/// The families of these columns in the order of scenarios, then of `keys`. Families without a pair are left out. `against`
/// is the only system that others are compared with, if it is one of them.
#[must_use]
pub fn families(groups: &[Group], keys: &[&str], against: Option<&str>) -> Vec<Family> {
    let mut scenarios: Vec<&str> = Vec::new();
    groups.iter().for_each(|g| {
        if !scenarios.contains(&g.scenario.as_str()) {
            scenarios.push(&g.scenario);
        }
    });
    let mut all = Vec::new();
    for scenario in scenarios {
        let of: Vec<&Group> = groups.iter().filter(|g| g.scenario == scenario).collect();
        for key in keys {
            let Some(column) = COLUMNS.iter().find(|c| c.key == *key) else { continue };
            let (clips, rows) = of_column(&of, column, against);
            if !rows.is_empty() {
                all.push(Family { column, scenario: scenario.to_owned(), clips, rows });
            }
        }
    }
    all
}

fn of_column(groups: &[&Group], column: &Column, against: Option<&str>) -> (Vec<String>, Vec<Compared>) {
    let mut systems: Vec<&str> = Vec::new();
    let mut clips: Vec<String> = Vec::new();
    for group in groups {
        if !systems.contains(&group.system.as_str()) {
            systems.push(&group.system);
        }
    }
    let rows = family(&systems, against, |i, j| {
        let names = &systems;
        let of = |place: usize| groups.iter().filter(move |g| g.system == names[place]);
        let mut found = Vec::new();
        for a in of(i) {
            for b in of(j) {
                for pair in pairs(a.valid(), b.valid()) {
                    let Some((first, second)) = (column.get)(pair.first).zip((column.get)(pair.second))
                    else {
                        continue;
                    };
                    let name = a.clip_of(pair.first);
                    let clip = clips.iter().position(|c| *c == name).unwrap_or_else(|| {
                        clips.push(name);
                        clips.len() - 1
                    });
                    found.push(Pair { clip, trace: 0, seed: pair.first.scores.key.seed, first, second });
                }
            }
        }
        found
    });
    (clips, rows)
}
