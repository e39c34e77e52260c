//! What counts as one independent observation.
//!
//! Values come from runs, and a run has a clip, a trace and a seed. Runs of one clip have more in common than runs of two
//! clips, so the runs form a tree: clips, in each clip traces, in each trace seeds. The *unit of replication* is the
//! topmost level that really varies: the clip where there are several, else the trace, else the seed. Everything below it is
//! averaged, and each unit counts once, however many runs it has.

use super::random::Random;
use std::collections::BTreeMap;

/// Which level of the tree is the unit of replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// There are several clips.
    Clip,
    /// One clip under several traces.
    Trace,
    /// One clip, one trace.
    Seed,
}

impl Unit {
    /// The word for `n` of them.
    #[must_use]
    pub fn word(self, n: usize) -> &'static str {
        match (self, n) {
            (Self::Clip, 1) => "clip",
            (Self::Clip, _) => "clips",
            (Self::Trace, 1) => "trace",
            (Self::Trace, _) => "traces",
            (Self::Seed, 1) => "seed",
            (Self::Seed, _) => "seeds",
        }
    }
}

/// One value (of a system, or a difference of two) and where it comes from. Numbers of clips and traces are names: only
/// whether they are equal matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Which clip.
    pub clip: usize,
    /// Which trace.
    pub trace: usize,
    /// Which seed.
    pub seed: u64,
    /// The value.
    pub value: f64,
}

/// The same with the values of one clip, trace and seed averaged: a repeat of a measurement is no unit of its own. In the order of clips,
/// traces, seeds.
pub(super) fn without_repeats(observations: &[Observation]) -> Vec<Observation> {
    let mut places: BTreeMap<(usize, usize, u64), Vec<f64>> = BTreeMap::new();
    for o in observations {
        places.entry((o.clip, o.trace, o.seed)).or_default().push(o.value);
    }
    let mean = |((clip, trace, seed), mut values): ((usize, usize, u64), Vec<f64>)| {
        // Not in the order they came.
        values.sort_by(f64::total_cmp);
        Some(Observation { clip, trace, seed, value: crate::mean(&values)? })
    };
    places.into_iter().filter_map(mean).collect()
}

/// The tree of one set of observations.
#[derive(Clone, Debug)]
pub(super) struct Replicates {
    /// What the top level is.
    pub unit: Unit,
    units: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(f64),
    Branch(Vec<Node>),
}

impl Replicates {
    pub(super) fn of(observations: &[Observation]) -> Self {
        let mut clips: BTreeMap<usize, BTreeMap<usize, Vec<(u64, f64)>>> = BTreeMap::new();
        for o in observations {
            clips.entry(o.clip).or_default().entry(o.trace).or_default().push((o.seed, o.value));
        }
        let traces = |mut seeds: Vec<(u64, f64)>| {
            // Not in the order they came: a resampling must not depend on it.
            seeds.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            Node::branch(seeds.into_iter().map(|(_, v)| Node::Leaf(v)).collect())
        };
        let mut units: Vec<Node> =
            clips.into_values().map(|t| Node::branch(t.into_values().map(traces).collect())).collect();
        let unit = match units.len() {
            0 | 1 if observations.iter().any(|o| o.trace != observations[0].trace) => Unit::Trace,
            0 | 1 => Unit::Seed,
            _ => Unit::Clip,
        };
        let units = match units.pop() {
            Some(Node::Branch(below)) if units.is_empty() => below,
            last => {
                units.extend(last);
                units
            }
        };
        Self { unit, units }
    }

    pub(super) fn means(&self) -> Vec<f64> {
        self.units.iter().map(Node::mean).collect()
    }

    /// A resample: units with replacement, in each of them what is below with replacement, and so on.
    pub(super) fn resample(&self, random: &mut Random, means: &mut Vec<f64>) {
        means.clear();
        for _ in 0..self.units.len() {
            means.push(self.units[random.below(self.units.len())].resampled_mean(random));
        }
    }
}

impl Node {
    /// A level with a single member is no level.
    fn branch(mut below: Vec<Node>) -> Self {
        if below.len() == 1 { below.remove(0) } else { Self::Branch(below) }
    }

    fn mean(&self) -> f64 {
        match self {
            Self::Leaf(value) => *value,
            Self::Branch(below) => below.iter().map(Node::mean).sum::<f64>() / below.len() as f64,
        }
    }

    fn resampled_mean(&self, random: &mut Random) -> f64 {
        match self {
            Self::Leaf(value) => *value,
            Self::Branch(below) => {
                let draw = |_| below[random.below(below.len())].resampled_mean(random);
                (0..below.len()).map(draw).sum::<f64>() / below.len() as f64
            }
        }
    }
}
