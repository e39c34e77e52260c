//! What figures are made from: runs, grouped over clips and seeds.

use super::model::Figure;
use super::style::{Look, Looks, Named};
use crate::report::group::{Group, group, labels, over_clips};
use crate::report::load::Run;
use crate::report::rate::RATE_OPTIONS;
use contract::{Metric, Stream};
use std::collections::BTreeMap;

/// A figure, or what the runs lack for it.
pub type Made = Result<Figure, String>;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Pictures.
    pub stream: Stream,
    /// Their metric.
    pub metric: Metric,
    /// Which loss pattern a time series is of; absent: the first.
    pub seed: Option<u64>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { stream: Stream::Rgb, metric: Metric::Psnr, seed: None }
    }
}

/// Runs and what they are called.
pub struct Data<'a> {
    /// All of them.
    pub runs: &'a [Run],
    /// One per system and scenario, over all clips and seeds, scenarios by the loss that they met.
    pub groups: Vec<Group<'a>>,
    /// What was chosen.
    pub choice: Choice,
    looks: Looks,
}

impl<'a> Data<'a> {
    /// Groups `runs` and gives every system its look.
    #[must_use]
    pub fn new(runs: &'a [Run], choice: Choice) -> Self {
        let mut groups = over_clips(&group(runs));
        by_loss(&mut groups);
        let given = |run: &Run, passed_over: &[&str]| {
            run.scores.run.given.iter().any(|o| !passed_over.contains(&o.as_str()))
        };
        let curves = labels(runs, &RATE_OPTIONS);
        let named = |run: &'a Run, label, passed_over: &[&str]| Named {
            plain: run.scores.key.system.as_str(),
            label,
            usual: run.scores.key.system.as_str() == label || !given(run, passed_over),
        };
        let of_curves = runs.iter().zip(&curves).map(|(r, l)| named(r, &l.system, &RATE_OPTIONS));
        let of_groups = groups.iter().filter_map(|g| Some(named(g.runs.first().copied()?, &g.system, &[])));
        let looks = Looks::new(of_groups.chain(of_curves));
        Self { runs, groups, choice, looks }
    }

    /// How a system looks.
    #[must_use]
    pub fn look(&self, system: &str) -> Look {
        self.looks.of(system)
    }

    /// Systems in the order of the table.
    #[must_use]
    pub fn systems(&self) -> Vec<&str> {
        unique(self.groups.iter().map(|g| g.system.as_str()))
    }

    /// Scenarios in the order of their loss.
    #[must_use]
    pub fn scenarios(&self) -> Vec<&str> {
        unique(self.groups.iter().map(|g| g.scenario.as_str()))
    }

    /// All runs of a system under a scenario.
    #[must_use]
    pub fn group(&self, system: &str, scenario: &str) -> Option<&Group<'a>> {
        self.groups.iter().find(|g| g.system == system && g.scenario == scenario)
    }

    /// All systems under a scenario.
    pub fn under<'s>(&'s self, scenario: &'s str) -> impl Iterator<Item = &'s Group<'a>> {
        self.groups.iter().filter(move |g| g.scenario == scenario)
    }
}

/// Scenarios in the order of the loss that their runs met, as papers set them beside each other; without any, as in tables.
fn by_loss(groups: &mut [Group]) {
    let mut met: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for group in groups.iter() {
        let losses = group.valid().filter_map(|r| r.scores.network.get("forward")?.realised_loss);
        met.entry(group.scenario.clone()).or_default().extend(losses);
    }
    let mean = |g: &Group| metrics::mean(&met[&g.scenario]).unwrap_or(0.0);
    groups.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
}

/// Each once, in the order of their first.
pub fn unique<'s>(all: impl Iterator<Item = &'s str>) -> Vec<&'s str> {
    let mut names: Vec<&str> = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What an axis of a metric is called.
#[must_use]
pub fn metric_label(stream: Stream, metric: Metric) -> String {
    let depth = if stream == Stream::Depth && !metric.title().starts_with("depth") { "depth " } else { "" };
    let unit = if metric.unit().is_empty() { String::new() } else { format!(", {}", metric.unit()) };
    format!("{depth}{}{unit}", metric.title())
}

/// The largest value that a metric can have.
#[must_use]
pub fn most(metric: Metric) -> Option<f64> {
    matches!(
        metric,
        Metric::Ssim | Metric::SsimFull | Metric::MsSsim | Metric::FfmpegSsim | Metric::DepthDelta1
    )
    .then_some(1.0)
}

/// The smallest value that a metric can have, where an axis may reach it.
#[must_use]
pub fn least(metric: Metric) -> Option<f64> {
    (!metric.higher_is_better()).then_some(0.0)
}
