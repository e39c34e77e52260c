//! Two folders of runs, run by run.
//!
//! Runs are paired if they are the same run whatever the system was made of then: key without revision. What differs is judged
//! run by run, never as a mean, in which two errors could cancel.

use super::columns::{Better, COLUMNS, Column};
use super::group::{Group, Labels, group};
use super::load::Run;
use crate::score::session;
use contract::scores::Quality;
use contract::{Metric, RunKey, Stream};
use metrics::Better as Direction;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How much a value may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In the column's unit.
    Absolute(f64),
    /// Share of the old value.
    Relative(f64),
}

impl Tolerance {
    /// What is tolerated where nothing is said. Runs in virtual time repeat to the bit; this much is what an update of a
    /// codec or a compiler may change without anybody seeing it. `key` names the value and its unit.
    #[must_use]
    pub fn default_of(key: &str) -> Self {
        let ends = |end: &str| key.ends_with(end);
        // In dB without saying so: what no column has is called by its metric.
        let decibels =
            ["psnr", "d1", "d2"].iter().any(|m| ends(&format!("{m}_mean")) || ends(&format!("{m}_worst10")));
        if ends("_db") || decibels {
            Self::Absolute(0.1)
        } else if key.contains("ssim") {
            Self::Absolute(0.001)
        } else if key.contains("lpips") {
            Self::Absolute(0.002)
        } else if ends("_percent") {
            Self::Absolute(0.5)
        } else if ends("_count") {
            Self::Absolute(0.0)
        } else if ends("_ms") || ends("_mm") {
            Self::Absolute(1.0)
        } else {
            Self::Relative(0.01)
        }
    }

    fn allows(self, old: f64, new: f64) -> bool {
        // Equal bits are equal, infinities too.
        old == new
            || match self {
                Self::Absolute(most) => (new - old).abs() <= most,
                Self::Relative(share) => (new - old).abs() <= share * old.abs(),
            }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Absolute(value) => write!(f, "{value}"),
            Self::Relative(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, relative) = text.strip_suffix('%').map_or((text, false), |n| (n, true));
        match number.trim().parse::<f64>() {
            Ok(value) if value >= 0.0 && value.is_finite() => {
                Ok(if relative { Self::Relative(value / 100.0) } else { Self::Absolute(value) })
            }
            _ => Err(format!("{text:?} is no tolerance; write 0.2, or 1% of the old value")),
        }
    }
}

/// One column of one system under one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Scenario.
    pub scenario: String,
    /// Clip.
    pub clip: String,
    /// System.
    pub system: String,
    /// Column.
    pub key: String,
    /// Digits that it is shown with.
    pub digits: usize,
    /// Pairs with a value on both sides.
    pub pairs: usize,
    /// Mean of the old values.
    pub old: f64,
    /// Mean of the new ones.
    pub new: f64,
    /// The largest difference of a pair, new minus old; infinite where a value came or went.
    pub largest: f64,
    /// What is tolerated.
    pub tolerance: Tolerance,
    /// Pairs beyond it, those of which only one side has a value among them.
    pub beyond: usize,
    /// Whether the new mean is better; absent for conditions and equal means.
    pub better: Option<bool>,
}

/// What two folders have in common and what not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Runs that both have.
    pub pairs: usize,
    /// What those runs are called.
    pub named: Vec<Labels>,
    /// Runs that only the old folder has.
    pub missing: Vec<String>,
    /// Runs that only the new folder has.
    pub added: Vec<String>,
    /// Runs that were valid on one side alone, and on which.
    pub validity: Vec<String>,
    /// Columns that differ at all, in the table's order.
    pub rows: Vec<Row>,
    /// Columns in which no pair differs.
    pub equal: usize,
}

impl Diff {
    /// True if anything is beyond its tolerance, a run is missing, or a run's validity changed.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.missing.is_empty() || !self.validity.is_empty() || self.rows.iter().any(|r| r.beyond > 0)
    }
}

/// What identifies a run whatever its system was made of.
fn key(run: &Run) -> RunKey {
    run.scores.key.without_revision()
}

/// How a run is called in lists.
fn named(run: &Run) -> String {
    let id = &run.scores.run;
    format!("{} {} {} seed {} ({})", id.scenario, id.system, id.clip, id.seed, run.dir.display())
}

/// Runs of one folder that are the same but for the revision, or repeats of one: which of them is meant is not known. Each once, with one
/// of the others.
#[must_use]
pub fn ambiguous(runs: &[Run]) -> Vec<(&Run, &Run)> {
    let mut known: BTreeMap<RunKey, &Run> = BTreeMap::new();
    let mut twice = Vec::new();
    for run in runs {
        match known.get(&key(run)) {
            Some(other) => twice.push((*other, run)),
            None => drop(known.insert(key(run), run)),
        }
    }
    twice
}

/// A value of pictures that no column of the table has.
pub struct Other {
    stream: Stream,
    metric: Metric,
    part: (&'static str, fn(&Quality) -> f64),
}

impl Other {
    /// Every metric of every stream that is in no column, mean and worst tenth.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = Stream::ALL.into_iter().flat_map(|stream| Metric::ALL.map(|metric| (stream, metric)));
        both.flat_map(|(stream, metric)| {
            let parts: [(&'static str, fn(&Quality) -> f64); 2] =
                [("mean", |q| q.all.mean), ("worst10", |q| q.all.worst10)];
            let shown = move |part: &str| {
                COLUMNS.iter().any(|c| {
                    let of = if part == "mean" { c.mean_of } else { c.pooled };
                    of == Some((stream, metric))
                })
            };
            let others = parts.into_iter().filter(move |(part, _)| !shown(part));
            others.map(move |part| Self { stream, metric, part })
        })
    }

    /// Its name: stream, metric, part.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}_{}_{}", self.stream.name(), self.metric.name(), self.part.0)
    }

    fn get(&self, run: &Run) -> Option<f64> {
        run.scores.streams.get(&self.stream)?.quality.get(&self.metric).map(self.part.1)
    }
}

/// What is compared: a column or another value.
struct Value<'a> {
    key: String,
    digits: usize,
    better: Better,
    tolerance: Tolerance,
    get: &'a dyn Fn(&Run) -> Option<f64>,
}

/// Compares the runs of two folders, each of which is there once ([`ambiguous`]); `tolerance` says what each column may differ by.
#[must_use]
pub fn diff(old: &[Run], new: &[Run], tolerance: impl Fn(&str) -> Tolerance) -> Diff {
    let partners: BTreeMap<RunKey, &Run> = new.iter().map(|r| (key(r), r)).collect();
    let known: BTreeMap<RunKey, &Run> = old.iter().map(|r| (key(r), r)).collect();
    let mut found = Diff {
        missing: old.iter().filter(|r| !partners.contains_key(&key(r))).map(named).collect(),
        added: new.iter().filter(|r| !known.contains_key(&key(r))).map(named).collect(),
        ..Diff::default()
    };
    for group in group(old) {
        let pairs: Vec<(&Run, &Run)> =
            group.runs.iter().filter_map(|o| Some((*o, *partners.get(&key(o))?))).collect();
        found.pairs += pairs.len();
        if !pairs.is_empty() {
            let (system, scenario, clip) = (group.system.clone(), group.scenario.clone(), group.clip.clone());
            found.named.push(Labels { system, scenario, clip });
        }
        for (o, n) in &pairs {
            if o.scores.health.valid != n.scores.health.valid {
                let now = if n.scores.health.valid { "valid now, was not" } else { "not valid any more" };
                found.validity.push(format!("{}: {now}", named(n)));
            }
        }
        let mut compare = |value: &Value| match row(&group, &pairs, value) {
            Some(row) => found.rows.push(row),
            None => found.equal += usize::from(pairs.iter().any(|(o, _)| (value.get)(o).is_some())),
        };
        for Column { key, digits, better, get, .. } in COLUMNS {
            let key = key.to_owned();
            compare(&Value { tolerance: tolerance(&key), key, digits, better, get: &get });
        }
        for other in Other::all() {
            let key = other.key();
            let better = match session::better(other.metric) {
                Direction::Higher => Better::Higher,
                Direction::Lower => Better::Lower,
            };
            let get = |run: &Run| other.get(run);
            let digits = other.metric.digits();
            compare(&Value { tolerance: tolerance(&key), key, digits, better, get: &get });
        }
    }
    found
}

fn row(group: &Group, pairs: &[(&Run, &Run)], value: &Value) -> Option<Row> {
    let tolerance = value.tolerance;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let (mut largest, mut beyond) = (0.0f64, 0);
    for (o, n) in pairs {
        match ((value.get)(o), (value.get)(n)) {
            (None, None) => {}
            (Some(a), Some(b)) => {
                old.push(a);
                new.push(b);
                let difference = if a == b { 0.0 } else { b - a };
                if difference.abs() > largest.abs() {
                    largest = difference;
                }
                beyond += usize::from(!tolerance.allows(a, b));
            }
            (gone, _) => {
                largest = if gone.is_some() { f64::NEG_INFINITY } else { f64::INFINITY };
                beyond += 1;
            }
        }
    }
    if largest == 0.0 && beyond == 0 {
        return None;
    }
    let mean = |v: &[f64]| metrics::mean(v).unwrap_or(f64::NAN);
    let (old_mean, new_mean) = (mean(&old), mean(&new));
    let better = match value.better {
        Better::Higher if new_mean != old_mean => Some(new_mean > old_mean),
        Better::Lower if new_mean != old_mean => Some(new_mean < old_mean),
        _ => None,
    };
    Some(Row {
        scenario: group.scenario.clone(),
        clip: group.clip.clone(),
        system: group.system.clone(),
        key: value.key.clone(),
        digits: value.digits,
        pairs: old.len(),
        old: old_mean,
        new: new_mean,
        largest,
        tolerance,
        beyond,
        better,
    })
}
