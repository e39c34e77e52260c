//! Runs that differ in nothing but the seed.

use super::columns::Column;
use super::load::Run;
use crate::score::session;
use contract::{Metric, Stream};
use std::collections::BTreeMap;

/// All seeds of one system under one condition.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// System under test ([`system_names`]).
    pub system: String,
    /// Scenario.
    pub scenario: String,
    /// Clip.
    pub clip: String,
    /// Its runs, by seed.
    pub runs: Vec<&'a Run>,
}

impl Group<'_> {
    /// Mean over valid runs of what `get` gives (the unit of replication is the run, never the frame). A single run is shown
    /// even if it is invalid: it carries its mark, and nothing is averaged.
    pub fn mean(&self, get: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        if let [run] = self.runs[..] {
            return get(run);
        }
        let values: Vec<f64> = self.valid().filter_map(get).collect();
        #[allow(clippy::cast_precision_loss)] // run counts are far below 2^53
        let n = values.len() as f64;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / n)
    }

    /// The group's value in a column: the mean over valid runs, or for a pooled column the worst tenth of all their frames.
    #[must_use]
    pub fn value(&self, column: &Column) -> Option<f64> {
        let Some((stream, metric)) = column.pooled else {
            return self.mean(column.get);
        };
        metrics::worst10(&self.frames(stream, metric), session::better(metric))
    }

    /// A metric's values over the frames of all valid runs (of a single run, valid or not).
    #[must_use]
    pub fn frames(&self, stream: Stream, metric: Metric) -> Vec<f64> {
        let alone = self.runs.len() == 1;
        let runs = self.runs.iter().filter(|r| alone || r.scores.health.valid);
        let rows = runs.flat_map(|r| r.stream(stream));
        rows.filter_map(|r| r.metrics.get(&metric).copied()).collect()
    }

    /// Runs whose numbers may be used.
    pub fn valid(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().copied().filter(|r| r.scores.health.valid)
    }

    /// How many runs were left out.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.runs.len() - self.valid().count()
    }
}

/// How the system of each run is called in tables: its own name, and after it whatever of transport, other given options and
/// backend differs among runs of that name.
#[must_use]
pub fn system_names(runs: &[Run]) -> Vec<String> {
    system_names_without(runs, &[])
}

/// As [`system_names`], as if these options had not been given.
#[must_use]
pub fn system_names_without(runs: &[Run], passed_over: &[&str]) -> Vec<String> {
    let transport = |r: &Run| r.scores.run.conditions.get("transport").cloned().unwrap_or_default();
    // What was given on the command line; what was not has the system's default in every run.
    let options = |r: &Run| {
        let words: Vec<&str> = r.scores.run.replay.split_whitespace().collect();
        let given = words.windows(2).filter(|w| w[0] == "--option").map(|w| w[1]);
        let key = |option: &str| option.split_once('=').map_or(option, |(k, _)| k).to_owned();
        let kept = given.filter(|o| key(o) != "transport" && !passed_over.contains(&key(o).as_str()));
        kept.collect::<Vec<_>>().join(" ")
    };
    let backend = |r: &Run| r.scores.run.backend.clone();
    let differs = |run: &Run, of: &dyn Fn(&Run) -> String| {
        runs.iter().any(|r| r.scores.run.system == run.scores.run.system && of(r) != of(run))
    };
    let name = |run: &Run| {
        let mut name = run.scores.run.system.clone();
        if differs(run, &transport) {
            name = format!("{name}/{}", transport(run));
        }
        if differs(run, &options) && !options(run).is_empty() {
            name = format!("{name} {}", options(run));
        }
        if differs(run, &backend) {
            name = format!("{name}@{}", backend(run));
        }
        name
    };
    runs.iter().map(name).collect()
}

/// Groups `runs`; scenarios and systems keep the order of their first run, so that a plan's order is the table's.
#[must_use]
pub fn group(runs: &[Run]) -> Vec<Group<'_>> {
    let names = system_names(runs);
    let order = |of: &dyn Fn(usize) -> String| {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for i in 0..runs.len() {
            let next = seen.len();
            seen.entry(of(i)).or_insert(next);
        }
        seen
    };
    let clips = order(&|i| runs[i].scores.run.clip.clone());
    let scenarios = order(&|i| runs[i].scores.run.scenario.clone());
    let systems = order(&|i| names[i].clone());
    let mut groups: BTreeMap<(usize, usize, usize), Group> = BTreeMap::new();
    for (run, system) in runs.iter().zip(&names) {
        let id = &run.scores.run;
        let key = (clips[&id.clip], scenarios[&id.scenario], systems[system]);
        let group = groups.entry(key).or_insert_with(|| Group {
            system: system.clone(),
            scenario: id.scenario.clone(),
            clip: id.clip.clone(),
            runs: Vec::new(),
        });
        group.runs.push(run);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.iter_mut().for_each(|g| g.runs.sort_by_key(|r| r.scores.run.seed));
    groups
}
