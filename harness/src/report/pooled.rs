//! One row per scenario and system over all clips and seeds: the numbers behind the papers' figures.

use super::export::pipe;
use super::group::Group;
use super::load::Run;
use super::table::UNKNOWN;
use crate::score::session;
use contract::scores::{Dist, StreamScores};
use contract::{Metric, Stream};
use metrics::percentile;
use std::fmt::Write as _;

/// All clips and seeds of one system under one scenario.
struct Pool<'a> {
    scenario: &'a str,
    system: &'a str,
    runs: Vec<&'a Run>,
}

/// A GitHub-flavoured table. Pictures and sizes are pooled: their percentiles and worst tenths are those of the frames of all
/// valid runs together. Everything else is a mean over these runs. Columns without a value are left out; where a row has none, `–`
/// stands.
#[must_use]
pub fn pooled(groups: &[Group]) -> String {
    let mut pools: Vec<Pool> = Vec::new();
    for group in groups {
        let same = |p: &Pool| (p.scenario, p.system) == (group.scenario.as_str(), group.system.as_str());
        let place = pools.iter().position(same).unwrap_or_else(|| {
            pools.push(Pool { scenario: &group.scenario, system: &group.system, runs: Vec::new() });
            pools.len() - 1
        });
        pools[place].runs.extend(group.valid());
    }
    let rows: Vec<Vec<(String, String)>> = pools.iter().map(Pool::cells).collect();
    let Some(first) = rows.first() else { return String::new() };
    let used: Vec<usize> = (0..first.len()).filter(|&c| rows.iter().any(|r| r[c].1 != UNKNOWN)).collect();
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(used.iter().map(|&c| first[c].0.as_str()).collect());
    let rules = used.iter().map(|&c| if c < 2 { "---" } else { "--:" }).collect::<Vec<_>>();
    let _ = writeln!(out, "|{}|", rules.join("|"));
    for row in &rows {
        out.push_str(&line(used.iter().map(|&c| row[c].1.as_str()).collect()));
    }
    out
}

impl Pool<'_> {
    /// Heading and text of every column.
    fn cells(&self) -> Vec<(String, String)> {
        let mut cells: Vec<(String, String)> = vec![
            ("scenario".into(), pipe(self.scenario)),
            ("system".into(), pipe(self.system)),
            ("runs".into(), self.runs.len().to_string()),
            (
                "frames".into(),
                self.runs.iter().map(|r| r.stream(Stream::Rgb).count()).sum::<usize>().to_string(),
            ),
        ];
        let mut add = |name: &str, digits: usize, value: Option<f64>| {
            cells.push((
                name.to_owned(),
                value.map_or_else(|| UNKNOWN.to_owned(), |v| format!("{v:.digits$}")),
            ));
        };
        let psnr = self.dist(Metric::Psnr);
        for (name, of) in [
            ("PSNR dB", (|d: &Dist| d.mean) as fn(&Dist) -> f64),
            ("worst 10 %", |d| d.worst10),
            ("p5", |d| d.p5),
            ("p25", |d| d.p25),
            ("p50", |d| d.p50),
            ("p75", |d| d.p75),
            ("p95", |d| d.p95),
        ] {
            add(name, 2, psnr.as_ref().map(of));
        }
        let ssim = self.dist(Metric::Ssim);
        add("SSIM", 4, ssim.map(|d| d.mean));
        add("SSIM worst 10 %", 4, ssim.map(|d| d.worst10));
        for metric in [Metric::LpipsVgg, Metric::LpipsAlex, Metric::LpipsSqueeze] {
            add(metric.title(), 3, self.dist(metric).map(|d| d.mean));
        }
        add("< 30 dB %", 1, metrics::non_rendered_psnr(&self.values(Metric::Psnr), metrics::PSNR_THETA_DB));
        let kept = self.runs.iter().filter_map(|r| r.scores.budget.kept_ns);
        add("budget ms", 1, metrics::mean(&kept.map(super::budget::ms).collect::<Vec<_>>()));
        add("not rendered %", 1, self.not_rendered());
        let stalls = |part: fn(&contract::scores::FreezeScores) -> f64| {
            self.mean(|r| r.freezes.get("stall200").map(part))
        };
        add("stalls", 1, stalls(|f| f64::from(f.count)));
        add("stalled %", 1, stalls(|f| 100.0 * f.ratio));
        let rate = |of: fn(&Run) -> Option<u64>| {
            #[allow(clippy::cast_precision_loss)] // rates are far below 2^53
            let rates: Vec<f64> = self.runs.iter().filter_map(|r| Some(of(r)? as f64 / 1e3)).collect();
            metrics::mean(&rates)
        };
        add("payload kbit/s", 0, rate(|r| r.scores.bitrate.payload_bps));
        add("wire kbit/s", 0, rate(|r| r.scores.bitrate.wire_bps));
        let losses = self.runs.iter().filter_map(|r| r.scores.network.get("forward")?.realised_loss);
        add("loss %", 1, metrics::mean(&losses.map(|l| 100.0 * l).collect::<Vec<_>>()));
        let sizes = self.sizes();
        for (name, p) in [("frame bytes p50", 50.0), ("frame bytes p95", 95.0), ("frame bytes max", 100.0)] {
            add(name, 0, percentile(&sizes, p));
        }
        cells
    }

    fn values(&self, metric: Metric) -> Vec<f64> {
        let rows = self.runs.iter().flat_map(|r| r.stream(Stream::Rgb));
        rows.filter_map(|r| r.metrics.get(&metric).copied()).collect()
    }

    fn dist(&self, metric: Metric) -> Option<Dist> {
        session::dist(&self.values(metric), metric)
    }

    fn mean(&self, of: impl Fn(&StreamScores) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> =
            self.runs.iter().filter_map(|r| of(r.scores.streams.get(&Stream::Rgb)?)).collect();
        metrics::mean(&values)
    }

    fn not_rendered(&self) -> Option<f64> {
        let (mut frozen, mut dropped, mut frames) = (0, 0, 0);
        for run in &self.runs {
            let rgb = run.scores.streams.get(&Stream::Rgb)?;
            (frozen, dropped, frames) =
                (frozen + rgb.frozen, dropped + rgb.dropped_sender, frames + run.scores.frames);
        }
        metrics::non_rendered_play(frozen, dropped, frames)
    }

    /// Bytes of every packet of a colour frame.
    #[allow(clippy::cast_precision_loss)] // sizes are far below 2^53
    fn sizes(&self) -> Vec<f64> {
        let rows = self.runs.iter().flat_map(|r| r.stream(Stream::Rgb));
        rows.filter_map(|r| Some(r.sent()?.bytes as f64)).collect()
    }
}
