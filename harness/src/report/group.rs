//! Runs that differ in nothing but the seed, and what they are called.
//!
//! Runs are told apart by their keys ([`contract::RunKey`]), never by what they are called: two clips of one name, two sizes, two
//! revisions of a system are different rows. Where rows would read the same, the words that tell them apart are added.

use super::columns::Column;
use super::load::Run;
use crate::score::session;
use contract::{Metric, RunKey, Stream};
use metrics::Better;
use metrics::stats::{Estimate, Interval, Observation, Unit, estimate, jackknife};
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
    /// The clip of each of its runs: [`Group::clip`], but for groups [`over_clips`].
    pub clips: Vec<String>,
}

impl<'a> Group<'a> {
    /// Mean over valid runs of what `get` gives (the unit of replication is the run or the clip, never the frame) and its
    /// interval. A single run is shown even if it is invalid: it carries its mark, and nothing is averaged.
    pub fn estimate(&self, get: impl Fn(&Run) -> Option<f64>) -> Option<Estimate> {
        let single = self.runs.len() == 1;
        let mut names: Vec<&String> = Vec::new();
        let mut observations = Vec::new();
        for (run, clip) in self.runs.iter().zip(&self.clips) {
            let Some(value) = get(run).filter(|_| single || run.scores.health.valid) else { continue };
            let clip = names.iter().position(|n| *n == clip).unwrap_or_else(|| {
                names.push(clip);
                names.len() - 1
            });
            observations.push(Observation { clip, trace: 0, seed: run.scores.key.seed, value });
        }
        estimate(&observations)
    }

    /// The mean alone.
    pub fn mean(&self, get: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        self.estimate(get).map(|e| e.mean)
    }

    /// The clip of one of its runs.
    #[must_use]
    pub fn clip_of(&self, run: &Run) -> String {
        let place = self.runs.iter().position(|r| std::ptr::eq(*r, run));
        place.map_or_else(|| self.clip.clone(), |at| self.clips[at].clone())
    }

    /// The group's value in a column: the mean over valid runs, or for a pooled column the worst tenth of all their frames.
    #[must_use]
    pub fn value(&self, column: &Column) -> Option<Estimate> {
        match column.pooled {
            Some((stream, metric)) => self.worst_tenth(stream, metric),
            None => self.estimate(column.get),
        }
    }

    /// Mean over valid runs of a metric's mean over frames.
    #[must_use]
    pub fn quality(&self, stream: Stream, metric: Metric) -> Option<Estimate> {
        self.estimate(|r| Some(r.scores.streams.get(&stream)?.quality.get(&metric)?.all.mean))
    }

    /// The worst tenth of the frames of all valid runs together, with an interval over the same units as those of means (jackknife: the
    /// worst tenth without one unit at a time).
    #[must_use]
    pub fn worst_tenth(&self, stream: Stream, metric: Metric) -> Option<Estimate> {
        let mean =
            self.estimate(|r| Some(r.scores.streams.get(&stream)?.quality.get(&metric)?.all.worst10))?;
        let alone = self.runs.len() == 1;
        let unit = |run: &Run, clip: &str| match mean.unit {
            Unit::Clip => clip.to_owned(),
            Unit::Trace | Unit::Seed => run.scores.key.seed.to_string(),
        };
        let runs = self.runs.iter().zip(&self.clips).filter(|(r, _)| alone || r.scores.health.valid);
        let frames = runs.flat_map(|(run, clip)| {
            let name = unit(run, clip);
            let values = run.stream(stream).filter_map(move |r| r.metrics.get(&metric).copied());
            values.map(move |value| (value, name.clone()))
        });
        let (value, interval) = worst_tenth(frames.collect(), session::better(metric))?;
        // No interval where the runs' own values have none: too few of them, or all alike.
        Some(Estimate { mean: value, interval: interval.filter(|_| mean.interval.is_some()), ..mean })
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
    pub fn valid(&self) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().copied().filter(|r| r.scores.health.valid)
    }

    /// How many runs were left out.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.runs.len() - self.valid().count()
    }
}

/// Worst tenth of frames, each with the unit it belongs to, and its jackknife interval over units.
fn worst_tenth(mut frames: Vec<(f64, String)>, better: Better) -> Option<(f64, Option<Interval>)> {
    frames.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    if better == Better::Lower {
        frames.reverse();
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, unit) in &frames {
        *sizes.entry(unit).or_default() += 1;
    }
    let without = |left_out: Option<&str>| {
        let gone = left_out.map_or(0, |unit| sizes[unit]);
        let worst = (frames.len() - gone).div_ceil(10);
        let kept = frames.iter().filter(|(_, unit)| Some(unit.as_str()) != left_out);
        metrics::mean(&kept.take(worst).map(|(value, _)| *value).collect::<Vec<f64>>())
    };
    let all = without(None)?;
    let parts: Vec<f64> = sizes.keys().filter_map(|unit| without(Some(unit))).collect();
    Some((all, jackknife(all, &parts)))
}

/// One thing that may tell runs of one name apart; `None` of a run that has nothing of the kind.
type Word<'a> = Box<dyn Fn(&Run) -> Option<String> + 'a>;

/// For each run its `name`, and after it those words that differ among the runs of that name which have them.
fn told_apart(runs: &[Run], name: impl Fn(&Run) -> String, words: &[Word]) -> Vec<String> {
    let named: Vec<(String, Vec<Option<String>>)> =
        runs.iter().map(|r| (name(r), words.iter().map(|w| w(r)).collect())).collect();
    // By name, of each word: the first one, and whether another one is different.
    let mut differ: BTreeMap<&str, Vec<(Option<&String>, bool)>> = BTreeMap::new();
    for (name, words) in &named {
        let known = differ.entry(name).or_insert_with(|| vec![(None, false); words.len()]);
        for ((first, differs), word) in known.iter_mut().zip(words) {
            let Some(word) = word else { continue };
            *differs |= *first.get_or_insert(word) != word;
        }
    }
    let full = |(name, words): &(String, Vec<Option<String>>)| {
        let differ = &differ[name.as_str()];
        let said = words
            .iter()
            .zip(differ)
            .filter(|(_, (_, differs))| *differs)
            .filter_map(|(word, _)| word.as_deref());
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
    // Options and names come from outside.
    let plain = |text: String| contract::text::line(&text);
    names
        .map(|((system, scenario), clip)| Labels {
            system: plain(system),
            scenario: plain(scenario),
            clip: plain(clip),
        })
        .collect()
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
    // How depth is meant differs among runs that have depth.
    let of_depth =
        |r: &Run, word: Option<String>| r.scores.key.depth_hash.is_some().then(|| word.unwrap_or_default());
    let words: [Word; 9] = [
        Box::new(|r| Some(r.scores.key.option("transport").map_or_else(String::new, |t| format!("/{t}")))),
        Box::new(move |r| Some(options(r))),
        Box::new(|r| Some(format!("@{}", r.scores.key.backend))),
        Box::new(move |r| Some(shaper(r))),
        Box::new(move |r| Some(depth(r))),
        Box::new(move |r| {
            let range = r.scores.key.depth_range_mm.as_ref();
            of_depth(r, range.map(|(near, far)| format!(" range {near}-{far} mm")))
        }),
        Box::new(move |r| of_depth(r, r.scores.key.depth_fov_degrees.as_ref().map(|f| format!(" fov {f}")))),
        Box::new(move |r| {
            of_depth(r, r.scores.key.depth_per_metre.as_ref().map(|u| format!(" {u} codes/m")))
        }),
        Box::new(|r| Some(format!(" rev {}", short(&r.scores.key.revision)))),
    ];
    // Kept although it would come out otherwise today: said of every such run, not only where runs differ in it.
    let stale = |(name, run): (String, &Run)| if run.stale.is_empty() { name } else { name + " (stale)" };
    told_apart(runs, |r| r.scores.run.system.clone(), &words).into_iter().zip(runs).map(stale).collect()
}

fn scenario_names(runs: &[Run]) -> Vec<String> {
    let words: [Word; 3] = [
        Box::new(|r| Some(format!(" playout {}", r.scores.key.playout))),
        Box::new(|r| Some(format!(" costs {}", r.scores.key.costs))),
        Box::new(|r| Some(format!(" #{}", short(&r.scores.key.scenario_hash)))),
    ];
    told_apart(runs, |r| r.scores.run.scenario.clone(), &words)
}

fn clip_names(runs: &[Run]) -> Vec<String> {
    let words: [Word; 4] = [
        Box::new(|r| Some(format!(" {}x{}", r.scores.key.width, r.scores.key.height))),
        Box::new(|r| Some(format!(" {}/s", r.scores.key.fps))),
        Box::new(|r| Some(format!(" {} frames", r.scores.key.frames))),
        // The hash names the shape, too.
        Box::new(|r| {
            Some(format!(" #{}", short(r.scores.key.clip_hash.split('-').next().unwrap_or_default())))
        }),
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
        let new = || Group { system, scenario, clip, key, runs: Vec::new(), clips: Vec::new() };
        let group = groups.entry(place).or_insert_with(new);
        group.runs.push(run);
        group.clips.push(label.clip.clone());
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

/// The same with all clips of a system and scenario in one group, called after how many they are.
#[must_use]
pub fn over_clips<'a>(groups: &[Group<'a>]) -> Vec<Group<'a>> {
    let mut merged: Vec<(Group, Vec<&str>)> = Vec::new();
    for group in groups {
        let same =
            |(m, _): &&mut (Group, Vec<&str>)| m.system == group.system && m.scenario == group.scenario;
        match merged.iter_mut().find(same) {
            Some((into, clips)) => {
                into.runs.extend(&group.runs);
                into.clips.extend(group.clips.iter().cloned());
                if !clips.contains(&group.clip.as_str()) {
                    clips.push(&group.clip);
                }
            }
            None => merged.push((group.clone(), vec![&group.clip])),
        }
    }
    let named = |(mut group, clips): (Group<'a>, Vec<&str>)| {
        if clips.len() > 1 {
            group.clip = format!("{} clips", clips.len());
        }
        group
    };
    let mut all: Vec<Group> = merged.into_iter().map(named).collect();
    // Scenario by scenario, as in a table of one clip.
    let mut scenarios: Vec<String> = Vec::new();
    for group in groups {
        if !scenarios.contains(&group.scenario) {
            scenarios.push(group.scenario.clone());
        }
    }
    all.sort_by_key(|g| scenarios.iter().position(|s| *s == g.scenario));
    all
}
