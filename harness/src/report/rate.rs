//! Rate-quality curves of systems that were run at several rates, and Bjontegaard deltas between them.
//!
//! A curve is everything of one clip, scenario and system that differs in [`RATE_OPTIONS`] alone; each of its points is the
//! mean over the valid runs at one setting. Two curves are compared over the seeds that all points of both have: a point of other loss
//! patterns is another network's. Refusals of [`metrics::stats`] stand where a number would mean nothing. A delta
//! is one clip's; over clips it is their mean, with an interval from six clips on.

use super::export::pipe;
use super::group::{Labels, labels};
use super::load::Run;
use contract::{Metric, Stream};
use metrics::stats::{BdError, Estimate, Observation, RatePoint, bd_quality, bd_rate, estimate};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Options of systems that set the rate: whatever differs in them alone lies on one curve.
/// `drop_permille` is Reparo's, which sends a share of its tokens.
pub const RATE_OPTIONS: [&str; 6] = ["qp", "crf", "target_kbps", "bitrate_kbps", "bitrate", "drop_permille"];

/// What is compared of two curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Above the column.
    pub heading: &'static str,
    /// After the point.
    digits: usize,
    metric: Metric,
    /// Quality at equal rate, rather than rate at equal quality.
    at_equal_rate: bool,
}

impl Delta {
    const fn rate(heading: &'static str, metric: Metric) -> Self {
        Self { heading, digits: 1, metric, at_equal_rate: false }
    }

    const fn quality(heading: &'static str, metric: Metric, digits: usize) -> Self {
        Self { heading, digits, metric, at_equal_rate: true }
    }

    /// Of two curves; of LPIPS, which is a distance, less is better.
    fn of(self, anchor: &[RatePoint], test: &[RatePoint]) -> Result<f64, BdError> {
        let distance = !self.metric.higher_is_better();
        let better = |points: &[RatePoint]| -> Vec<RatePoint> {
            let turned =
                |p: &RatePoint| RatePoint { quality: if distance { -p.quality } else { p.quality }, ..*p };
            points.iter().map(turned).collect()
        };
        let (anchor, test) = (better(anchor), better(test));
        match self.at_equal_rate {
            true => bd_quality(&anchor, &test).map(|delta| if distance { -delta } else { delta }),
            false => bd_rate(&anchor, &test),
        }
    }
}

/// What is compared always.
const DELTAS: [Delta; 3] = [
    Delta::rate("BD-rate % (PSNR)", Metric::Psnr),
    Delta::quality("BD-PSNR dB", Metric::Psnr, 2),
    Delta::rate("BD-rate % (SSIM)", Metric::Ssim),
];
/// What is compared besides where every run has the metric: the first of these.
const LPIPS: [[Delta; 2]; 3] = [
    [
        Delta::rate("BD-rate % (LPIPS VGG)", Metric::LpipsVgg),
        Delta::quality("BD-LPIPS (VGG)", Metric::LpipsVgg, 4),
    ],
    [
        Delta::rate("BD-rate % (LPIPS Alex)", Metric::LpipsAlex),
        Delta::quality("BD-LPIPS (Alex)", Metric::LpipsAlex, 4),
    ],
    [
        Delta::rate("BD-rate % (LPIPS Squeeze)", Metric::LpipsSqueeze),
        Delta::quality("BD-LPIPS (Squeeze)", Metric::LpipsSqueeze, 4),
    ],
];

fn compared(runs: &[Run]) -> Vec<Delta> {
    let measured = |metric: Metric| {
        let quality = |r: &Run| r.scores.streams.get(&Stream::Rgb).map(|s| s.quality.contains_key(&metric));
        let mut valid = runs.iter().filter(|r| r.scores.health.valid).peekable();
        valid.peek().is_some() && valid.all(|r| quality(r) == Some(true))
    };
    let lpips = LPIPS.into_iter().find(|[delta, _]| measured(delta.metric));
    DELTAS.into_iter().chain(lpips.into_iter().flatten()).collect()
}

/// Why there is no delta.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The curves have none.
    #[error(transparent)]
    Curves(#[from] BdError),
    /// Their points are of different loss patterns.
    #[error("no seed was run at every rate of both curves")]
    Seeds,
}

/// Points below which Bjontegaard deltas are refused.
const LEAST_POINTS: usize = 4;

/// All curves of a report against their baselines, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub enum Deltas {
    /// At least one row.
    Table(Table),
    /// Why there is no row.
    None(String),
}

/// Deltas, and what they are of.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// One row per system and condition; never empty.
    pub rows: Vec<Comparison>,
    /// One row per system and scenario that was compared on several clips.
    pub over_clips: Vec<OverClips>,
    /// What the deltas of each row are.
    pub columns: Vec<Delta>,
    /// Which rate it is, as a sentence.
    pub rate: String,
}

/// One system against the baseline over the clips of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct OverClips {
    /// Scenario.
    pub scenario: String,
    /// System that is the anchor.
    pub baseline: String,
    /// System that is compared with it.
    pub system: String,
    /// Clips it was compared on.
    pub clips: usize,
    /// In the order of [`Table::columns`]: mean over the clips that have the delta, and its interval.
    pub deltas: Vec<Option<Estimate>>,
}

/// One system against the baseline, under one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Scenario.
    pub scenario: String,
    /// Clip.
    pub clip: String,
    /// System that is the anchor.
    pub baseline: String,
    /// System that is compared with it.
    pub system: String,
    /// Rate points of the baseline and of the system.
    pub rates: (usize, usize),
    /// Seeds that every point of both curves has, and how many there are of any.
    pub seeds: (usize, usize),
    /// In the order of [`Table::columns`].
    pub deltas: Vec<Result<f64, Refused>>,
}

/// One clip, scenario and system at several rates.
pub struct Curve {
    /// Clip.
    pub clip: String,
    /// Scenario.
    pub scenario: String,
    /// System, without its rate.
    pub system: String,
    /// Of its runs, without rate and seed.
    pub key: contract::RunKey,
    /// Setting, and the valid runs at it.
    pub points: Vec<(String, Vec<usize>)>,
}

/// Holds every curve of `runs` against the curve of the system called `baseline` (absent: the first with enough points) of the
/// same clip and scenario.
#[must_use]
pub fn deltas(runs: &[Run], baseline: Option<&str>) -> Deltas {
    let curves: Vec<Curve> = curves(runs).into_iter().filter(|c| c.points.len() > 1).collect();
    if curves.is_empty() {
        return Deltas::None(format!(
            "no system was run at several rates; it takes at least {LEAST_POINTS} (options {}) of two systems, or of one with \
             different options, on the same clip under the same scenario",
            RATE_OPTIONS.join(", ")
        ));
    }
    let systems = || {
        let mut names: Vec<&str> = Vec::new();
        curves.iter().for_each(|c| {
            if !names.contains(&c.system.as_str()) {
                names.push(&c.system);
            }
        });
        names.join(", ")
    };
    if let Some(wanted) = baseline
        && !curves.iter().any(|c| c.system == wanted)
    {
        return Deltas::None(format!(
            "the baseline {wanted} was not run at several rates; there are: {}",
            systems()
        ));
    }
    // One kind of rate for all.
    let on_the_wire = runs.iter().all(|r| r.scores.bitrate.wire_bps.is_some());
    let columns = compared(runs);
    let mut rows = Vec::new();
    for (i, curve) in curves.iter().enumerate() {
        let same = |c: &&Curve| c.clip == curve.clip && c.scenario == curve.scenario;
        let named = curves.iter().filter(same).find(|c| Some(c.system.as_str()) == baseline);
        let enough = || curves.iter().filter(same).find(|c| c.points.len() >= LEAST_POINTS);
        let anchor = match baseline {
            Some(_) => named,
            None => enough().or_else(|| curves.iter().find(same)),
        };
        let Some(anchor) = anchor.filter(|a| !std::ptr::eq(*a, &raw const curves[i])) else { continue };
        let (shared, all) = seeds(runs, [anchor, curve]);
        let delta = |delta: &Delta| {
            if shared.is_empty() {
                return Err(Refused::Seeds);
            }
            let of = |curve| points(runs, curve, &shared, delta.metric, on_the_wire);
            Ok(delta.of(&of(anchor), &of(curve))?)
        };
        rows.push(Comparison {
            scenario: curve.scenario.clone(),
            clip: curve.clip.clone(),
            baseline: anchor.system.clone(),
            system: curve.system.clone(),
            rates: (anchor.points.len(), curve.points.len()),
            seeds: (shared.len(), all),
            deltas: columns.iter().map(delta).collect(),
        });
    }
    if rows.is_empty() {
        return Deltas::None(format!(
            "nothing to compare with: of each clip and scenario only one curve has several rates ({})",
            systems()
        ));
    }
    let over_clips = over_clips(&rows);
    let rate = if on_the_wire {
        "Rates are those on the wire: IP packets as they entered the forward path".to_owned()
    } else {
        let without = runs.iter().filter(|r| r.scores.bitrate.wire_bps.is_none()).count();
        format!(
            "Rates are what systems handed to their transport plus 28 bytes of IP and UDP header per packet, for all runs alike: {without} of {} have no record of the path",
            runs.len()
        )
    };
    Deltas::Table(Table { rows, over_clips, columns, rate })
}

fn over_clips(rows: &[Comparison]) -> Vec<OverClips> {
    let mut all: Vec<OverClips> = Vec::new();
    for row in rows {
        let same = |r: &&Comparison| {
            (&r.scenario, &r.baseline, &r.system) == (&row.scenario, &row.baseline, &row.system)
        };
        let of: Vec<&Comparison> = rows.iter().filter(same).collect();
        if of.len() < 2 || !std::ptr::eq(of[0], row) {
            continue;
        }
        let delta = |i: usize| {
            let values = of.iter().enumerate().filter_map(|(clip, r)| {
                let value = *r.deltas[i].as_ref().ok()?;
                Some(Observation { clip, trace: 0, seed: 0, value })
            });
            estimate(&values.collect::<Vec<Observation>>())
        };
        let deltas = (0..row.deltas.len()).map(delta).collect();
        let Comparison { scenario, baseline, system, .. } = row.clone();
        all.push(OverClips { scenario, baseline, system, clips: of.len(), deltas });
    }
    all
}

/// Every curve of `runs`, of one point, too.
#[must_use]
pub fn curves(runs: &[Run]) -> Vec<Curve> {
    let labels = labels(runs, &RATE_OPTIONS);
    let mut curves: Vec<Curve> = Vec::new();
    for (index, (run, label)) in
        runs.iter().zip(labels).enumerate().filter(|(_, (r, _))| r.scores.health.valid)
    {
        let mut key = run.scores.key.without_seed();
        let setting: Vec<String> = RATE_OPTIONS
            .iter()
            .filter_map(|option| Some(format!("{option}={}", run.scores.key.option(option)?)))
            .collect();
        let setting = setting.join(" ");
        key.options.retain(|option, _| !RATE_OPTIONS.contains(&option.as_str()));
        let place = curves.iter().position(|c| c.key == key).unwrap_or_else(|| {
            let Labels { system, scenario, clip } = label;
            curves.push(Curve { clip, scenario, system, key, points: Vec::new() });
            curves.len() - 1
        });
        let points = &mut curves[place].points;
        match points.iter_mut().find(|(s, _)| *s == setting) {
            Some((_, at)) => at.push(index),
            None => points.push((setting, vec![index])),
        }
    }
    curves
}

/// Seeds that all points of both curves have, and how many there are in any point.
fn seeds(runs: &[Run], of: [&Curve; 2]) -> (BTreeSet<u64>, usize) {
    let of_point = |at: &[usize]| at.iter().map(|&i| runs[i].scores.key.seed).collect::<BTreeSet<u64>>();
    let points: Vec<_> = of.iter().flat_map(|c| &c.points).map(|(_, at)| of_point(at)).collect();
    let any: BTreeSet<u64> = points.iter().flatten().copied().collect();
    let shared = any.iter().copied().filter(|seed| points.iter().all(|p| p.contains(seed))).collect();
    (shared, any.len())
}

/// The curve in one metric over some seeds: rate in bits per second, quality averaged over frames, then over runs.
fn points(
    runs: &[Run],
    curve: &Curve,
    seeds: &BTreeSet<u64>,
    metric: Metric,
    on_the_wire: bool,
) -> Vec<RatePoint> {
    let point = |(_, at): &(String, Vec<usize>)| {
        let at: Vec<usize> =
            at.iter().copied().filter(|&i| seeds.contains(&runs[i].scores.key.seed)).collect();
        let rate = |i: &usize| {
            let b = &runs[*i].scores.bitrate;
            #[allow(clippy::cast_precision_loss)] // rates are far below 2^53
            let bps = (if on_the_wire { b.wire_bps } else { b.with_headers_bps })? as f64;
            Some(bps)
        };
        let quality =
            |i: &usize| Some(runs[*i].scores.streams.get(&Stream::Rgb)?.quality.get(&metric)?.all.mean);
        let qualities: Vec<f64> = at.iter().filter_map(quality).collect();
        let bps = metrics::mean(&at.iter().filter_map(rate).collect::<Vec<f64>>())?;
        Some(RatePoint { bps, quality: metrics::mean(&qualities)? })
    };
    curve.points.iter().filter_map(point).collect()
}

impl Delta {
    /// As a person reads it, or why there is none.
    fn shown(self, found: &Result<f64, Refused>) -> Result<String, String> {
        match found {
            Ok(value) => Ok(format!("{value:+.*}", self.digits)),
            Err(reason) => Err(reason.to_string()),
        }
    }

    /// As a person reads it: mean, half of the 95 % interval, and over how many of the `clips` if not all have one.
    fn shown_over(self, found: Option<&Estimate>, clips: usize) -> String {
        let Some(delta) = found else { return "none".to_owned() };
        let digits = self.digits;
        let half = delta.interval.map(|x| format!(" ± {:.digits$}", (x.high - x.low) / 2.0));
        let n = (delta.n < clips).then(|| format!(" ({} clips)", delta.n));
        format!("{:+.digits$}{}{}", delta.mean, half.unwrap_or_default(), n.unwrap_or_default())
    }
}

/// Scenario, clip or how many, baseline, system, rates, seeds; deltas or why there is none.
pub type Line = ([String; 6], Vec<Result<String, String>>);

impl Table {
    /// All rows as a person reads them.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let one = |r: &Comparison| {
            let rates = format!("{} / {}", r.rates.0, r.rates.1);
            let seeds = match r.seeds {
                (shared, all) if shared == all => all.to_string(),
                (shared, all) => format!("{shared} of {all}"),
            };
            let deltas = self.columns.iter().zip(&r.deltas).map(|(column, d)| column.shown(d)).collect();
            let names =
                [r.scenario.clone(), r.clip.clone(), r.baseline.clone(), r.system.clone(), rates, seeds];
            (names, deltas)
        };
        let many = |r: &OverClips| {
            let clips = format!("{} clips", r.clips);
            let deltas = self.columns.iter().zip(&r.deltas);
            let deltas = deltas.map(|(column, d)| Ok(column.shown_over(d.as_ref(), r.clips))).collect();
            let (scenario, baseline, system) = (r.scenario.clone(), r.baseline.clone(), r.system.clone());
            ([scenario, clips, baseline, system, String::new(), String::new()], deltas)
        };
        self.rows.iter().map(one).chain(self.over_clips.iter().map(many))
    }
}

impl Deltas {
    /// A section for `report.md`; empty if nothing was run at several rates.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self::Table(table) = self else { return String::new() };
        let headings: Vec<&str> = table.columns.iter().map(|c| c.heading).collect();
        let mut out = format!(
            "\n| scenario | clip | baseline | system | rates | seeds | {} |\n|---|---|---|---|---|---|{}\n",
            headings.join(" | "),
            "--:|".repeat(headings.len())
        );
        for (names, deltas) in table.lines() {
            let cells = deltas.iter().map(|v| v.as_ref().unwrap_or_else(|reason| reason));
            let cells: Vec<String> = names.iter().chain(cells).map(|c| pipe(c)).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        let _ = writeln!(out, "\n{}.", table.rate);
        out
    }

    /// Lines for a terminal, as [`Deltas::markdown`].
    #[must_use]
    pub fn terminal(&self) -> String {
        let Self::Table(table) = self else { return String::new() };
        let mut out = String::new();
        for ([scenario, clip, baseline, system, ..], deltas) in table.lines() {
            let _ = writeln!(out, "\n{system} against {baseline}, {scenario}, {clip}:");
            for (Delta { heading, .. }, value) in table.columns.iter().zip(deltas) {
                let _ = writeln!(
                    out,
                    "  {heading:17} {}",
                    value.unwrap_or_else(|reason| format!("none: {reason}"))
                );
            }
        }
        let _ = writeln!(out, "{}.", table.rate);
        out
    }
}
