//! Quality against rate, of systems that were run at several rates.

use super::data::{Data, Made, least, metric_label, most, unique};
use super::model::{Axis, Figure, Panel, Point, Shape};
use super::style::rule;
use crate::report::group::Group;
use crate::report::rate::{RATE_OPTIONS, curves};
use contract::scores::BitrateScores;
use contract::{Metric, Stream};
use metrics::stats::Estimate;

/// One system under one scenario at several rates, over all clips and seeds.
pub(super) struct Curve<'a> {
    pub scenario: String,
    pub system: String,
    /// Each setting's runs.
    pub points: Vec<Group<'a>>,
}

/// Every curve; of one point, too.
pub(super) fn pooled<'a>(data: &Data<'a>) -> Vec<Curve<'a>> {
    let mut all: Vec<(Curve<'a>, Vec<String>)> = Vec::new();
    for curve in curves(data.runs) {
        let same = |(c, _): &(Curve, Vec<String>)| c.scenario == curve.scenario && c.system == curve.system;
        let at = all.iter().position(same).unwrap_or_else(|| {
            let (scenario, system) = (curve.scenario.clone(), curve.system.clone());
            all.push((Curve { scenario, system, points: Vec::new() }, Vec::new()));
            all.len() - 1
        });
        let (into, settings) = &mut all[at];
        for (setting, runs) in curve.points {
            let place = settings.iter().position(|s| *s == setting).unwrap_or_else(|| {
                settings.push(setting);
                into.points.push(Group {
                    system: curve.system.clone(),
                    scenario: curve.scenario.clone(),
                    clip: String::new(),
                    key: curve.key.clone(),
                    runs: Vec::new(),
                    clips: Vec::new(),
                });
                into.points.len() - 1
            });
            for run in runs {
                into.points[place].runs.push(&data.runs[run]);
                into.points[place].clips.push(curve.clip.clone());
            }
        }
    }
    all.into_iter().map(|(curve, _)| curve).collect()
}

/// A rate of a run.
pub(super) type Rate = fn(&BitrateScores) -> Option<u64>;

/// The curve in one value: mean rate in kbit/s, and the value with its interval.
pub(super) fn line(curve: &Curve, rate: Rate, value: &dyn Fn(&Group) -> Option<Estimate>) -> Vec<Point> {
    #[allow(clippy::cast_precision_loss)] // rates are far below 2^53
    let kbps = |g: &Group| g.mean(|r| rate(&r.scores.bitrate).map(|bps| bps as f64 / 1e3));
    let mut points: Vec<Point> =
        curve.points.iter().filter_map(|g| Some(Point::mean(kbps(g)?, &value(g)?))).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

/// Fails unless one system was run at two rates or more.
pub(super) fn several_rates(curves: &[Curve]) -> Result<(), String> {
    if curves.iter().any(|c| c.points.len() > 1) {
        return Ok(());
    }
    Err(format!("no system was run at several rates (options {})", RATE_OPTIONS.join(", ")))
}

/// Panels of values by scenario.
pub(super) fn panels(
    data: &Data,
    curves: &[Curve],
    (rate, rate_label): (Rate, &str),
    values: &[(Axis, &dyn Fn(&Group) -> Option<Estimate>)],
) -> (Vec<Panel>, usize) {
    let scenarios: Vec<&str> = data
        .scenarios()
        .into_iter()
        .filter(|s| curves.iter().any(|c| c.scenario == *s && c.points.len() > 1))
        .collect();
    let mut all = Vec::new();
    for (axis, value) in values {
        let row: Vec<Panel> = scenarios
            .iter()
            .map(|scenario| {
                let mut panel = Panel::new(*scenario, Axis::of(rate_label), axis.clone());
                for curve in curves.iter().filter(|c| c.scenario == **scenario) {
                    let points = line(curve, rate, value);
                    if !points.is_empty() {
                        let shape = Shape::Line { points, markers: true, band: false };
                        panel.add(&curve.system, data.look(&curve.system), shape);
                    }
                }
                panel
            })
            .collect();
        // A metric that no run has is left out as a whole.
        if row.iter().any(|p| !p.layers.is_empty()) {
            all.extend(row);
        }
    }
    (all, scenarios.len())
}

/// Mean and worst tenth of a metric against the rate on the wire.
///
/// # Errors
/// When no system was run at several rates.
pub fn quality(data: &Data) -> Made {
    let curves = pooled(data);
    several_rates(&curves)?;
    let (stream, metric) = (data.choice.stream, data.choice.metric);
    let axis = |what: &str| Axis {
        at_most: most(metric),
        at_least: least(metric),
        ..Axis::of(format!("{}, {what}", metric_label(stream, metric)))
    };
    let on_the_wire = data.runs.iter().all(|r| r.scores.bitrate.wire_bps.is_some());
    let rate: (Rate, &str) = if on_the_wire {
        (|b| b.wire_bps, "on the wire, kbit/s")
    } else {
        (|b| b.with_headers_bps, "with IP and UDP, kbit/s")
    };
    let (panels, scenarios) = panels(
        data,
        &curves,
        rate,
        &[
            (axis("mean"), &|g| g.quality(stream, metric)),
            (axis("worst tenth"), &|g| g.worst_tenth(stream, metric)),
        ],
    );
    if panels.is_empty() {
        return Err(format!("no run has {}", metric_label(stream, metric)));
    }
    let title = format!(
        "{} against rate, mean over frames and mean of their worst tenth; 95 % intervals over runs",
        metric_label(stream, metric)
    );
    Ok(Figure::of_panels("rate-quality", title, scenarios.clamp(1, 4), panels))
}

/// Marks the rate of the link.
pub(super) fn mark_link(panel: &mut Panel, kbps: f64) {
    panel.add("rate of the link", rule(), Shape::Rule(kbps, true));
}

/// Metrics that Reparo's figure has, those of them that runs have.
pub(super) fn papers_metrics(data: &Data) -> Vec<Metric> {
    let has = |m: &Metric| {
        data.runs
            .iter()
            .any(|r| r.scores.streams.get(&Stream::Rgb).is_some_and(|s| s.quality.contains_key(m)))
    };
    let lpips = [Metric::LpipsVgg, Metric::LpipsAlex, Metric::LpipsSqueeze].into_iter().find(has);
    [Metric::Psnr, Metric::Ssim].into_iter().filter(has).chain(lpips).collect()
}

/// Systems that begin with a name.
pub(super) fn systems_of<'c>(curves: &'c [Curve], plain: &str) -> Vec<&'c str> {
    let of = curves.iter().filter(|c| c.points.iter().any(|g| g.key.system == plain));
    unique(of.map(|c| c.system.as_str()))
}
