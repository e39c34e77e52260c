//! Runs that differ in nothing but the seed, and what they are called.
//!
//! Runs are told apart by their keys ([`contract::RunKey`]), never by what they are called: two clips of one name, two sizes, two
//! revisions of a system are different rows. Where rows would read the same, the words that tell them apart are added.

use super::columns::Column;
use super::load::Run;
use crate::score::session;
use contract::{Metric, RunKey, Stream};
use std::collections::BTreeMap;

/// All seeds of one system under one condition.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// System under test ([`Labels::system`]).
    pub system: String,
    /// Scenario; more than its name where two of one name differ.
    pub scenario: String,
    /// Clip; more than its name where two of one name differ, in content or in how they were sent.
    pub clip: String,
    /// What its runs share; the seed is 0.
    pub key: RunKey,
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

/// One thing that may tell runs of one name apart.
type Word<'a> = Box<dyn Fn(&Run) -> String + 'a>;

/// For each run its `name`, and after it those words that differ among the runs of that name.
fn told_apart(runs: &[Run], name: impl Fn(&Run) -> String, words: &[Word]) -> Vec<String> {
    let named: Vec<(String, Vec<String>)> =
        runs.iter().map(|r| (name(r), words.iter().map(|w| w(r)).collect())).collect();
    let mut differ: BTreeMap<&str, (&Vec<String>, Vec<bool>)> = BTreeMap::new();
    for (name, words) in &named {
        let (first, differ) = differ.entry(name).or_insert_with(|| (words, vec![false; words.len()]));
        for (i, differs) in differ.iter_mut().enumerate() {
            *differs |= first[i] != words[i];
        }
    }
    let full = |(name, words): &(String, Vec<String>)| {
        let differ = &differ[name.as_str()].1;
        let said = words.iter().zip(differ).filter(|(_, differs)| **differs).map(|(word, _)| word.as_str());
        std::iter::once(name.as_str()).chain(said).collect::<String>()
    };
    named.iter().map(full).collect()
}

/// What a run is called in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The system's name, and after it whatever of transport, other given options, backend, depth and revision differs among the
    /// runs of that name.
    pub system: String,
    /// The scenario's name, and after it play-out and hash where those differ.
    pub scenario: String,
    /// The clip's name, and after it size, rate, frames and hash where those differ.
    pub clip: String,
}

/// How each run is called among `runs`, as if the options `passed_over` had not been given.
#[must_use]
pub fn labels(runs: &[Run], passed_over: &[&str]) -> Vec<Labels> {
    let names = system_names(runs, passed_over).into_iter().zip(scenario_names(runs)).zip(clip_names(runs));
    names.map(|((system, scenario), clip)| Labels { system, scenario, clip }).collect()
}

fn system_names(runs: &[Run], passed_over: &[&str]) -> Vec<String> {
    let options = move |r: &Run| {
        let given = r.scores.run.given.iter().map(String::as_str);
        let kept = given.filter(|o| *o != "transport" && !passed_over.contains(o));
        kept.filter_map(|o| Some(format!(" {o}={}", r.scores.key.option(o)?))).collect::<String>()
    };
    let shaper = |r: &Run| match r.scores.key.shaper {
        contract::Shaping::Auto => String::new(),
        shaper => format!("+{shaper}"),
    };
    let depth =
        |r: &Run| if r.scores.key.depth_hash.is_some() { " with depth" } else { " colour alone" }.to_owned();
    let words: [Word; 8] = [
        Box::new(|r| r.scores.key.option("transport").map_or_else(String::new, |t| format!("/{t}"))),
        Box::new(options),
        Box::new(|r| format!("@{}", r.scores.key.backend)),
        Box::new(shaper),
        Box::new(depth),
        Box::new(|r| match &r.scores.key.depth_range_mm {
            Some((near, far)) => format!(" depth {near}-{far} mm"),
            None => String::new(),
        }),
        Box::new(|r| {
            r.scores.key.depth_fov_degrees.as_ref().map_or_else(String::new, |f| format!(" fov {f}"))
        }),
        Box::new(|r| format!(" rev {}", short(&r.scores.key.revision))),
    ];
    // Kept although it would come out otherwise today: said of every such run, not only where runs differ in it.
    let stale = |(name, run): (String, &Run)| if run.stale.is_empty() { name } else { name + " (stale)" };
    told_apart(runs, |r| r.scores.run.system.clone(), &words).into_iter().zip(runs).map(stale).collect()
}

fn scenario_names(runs: &[Run]) -> Vec<String> {
    let words: [Word; 2] = [
        Box::new(|r| format!(" playout {}", r.scores.key.playout)),
        Box::new(|r| format!(" #{}", short(&r.scores.key.scenario_hash))),
    ];
    told_apart(runs, |r| r.scores.run.scenario.clone(), &words)
}

fn clip_names(runs: &[Run]) -> Vec<String> {
    let words: [Word; 4] = [
        Box::new(|r| format!(" {}x{}", r.scores.key.width, r.scores.key.height)),
        Box::new(|r| format!(" {}/s", r.scores.key.fps)),
        Box::new(|r| format!(" {} frames", r.scores.key.frames)),
        // The hash names the shape, too.
        Box::new(|r| format!(" #{}", short(r.scores.key.clip_hash.split('-').next().unwrap_or_default()))),
    ];
    told_apart(runs, |r| r.scores.run.clip.clone(), &words)
}

fn short(hash: &str) -> &str {
    hash.get(..6).unwrap_or(hash)
}

/// Groups `runs`; scenarios and systems keep the order of their first run, so that a plan's order is the table's.
#[must_use]
pub fn group(runs: &[Run]) -> Vec<Group<'_>> {
    let labels = labels(runs, &[]);
    let order = |of: fn(&Labels) -> &String| {
        let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
        for label in &labels {
            let next = seen.len();
            seen.entry(of(label)).or_insert(next);
        }
        seen
    };
    let (by_clip, by_scenario, by_system) =
        (order(|l| &l.clip), order(|l| &l.scenario), order(|l| &l.system));
    let mut groups: BTreeMap<(usize, usize, usize, RunKey), Group> = BTreeMap::new();
    for (run, label) in runs.iter().zip(&labels) {
        let key = run.scores.key.without_seed();
        let place =
            (by_clip[&label.clip], by_scenario[&label.scenario], by_system[&label.system], key.clone());
        let Labels { system, scenario, clip } = label.clone();
        let group =
            groups.entry(place).or_insert_with(|| Group { system, scenario, clip, key, runs: Vec::new() });
        group.runs.push(run);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.iter_mut().for_each(|g| g.runs.sort_by_key(|r| r.scores.run.seed));
    // No two rows read alike.
    for i in 0..groups.len() {
        let reads = |g: &Group| (g.clip.clone(), g.scenario.clone(), g.system.clone());
        let alike = |j: &usize| reads(&groups[*j]) == reads(&groups[i]);
        let twins: Vec<usize> = (i..groups.len()).filter(alike).collect();
        if twins.len() > 1 {
            for j in twins {
                let hash = groups[j].key.hash();
                groups[j].system += &format!(" #{}", short(&hash));
            }
        }
    }
    groups
}
