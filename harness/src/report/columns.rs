//! The headline columns, each with the one place that says where its value comes from.

use super::load::Run;
use contract::scores::{Quality, StreamScores};
use contract::{Metric, Stream};

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Larger.
    Higher,
    /// Smaller.
    Lower,
    /// It is a condition, not a result.
    Neither,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Heading that neighbouring columns share.
    pub group: &'static str,
    /// Heading of its own, may be empty.
    pub name: &'static str,
    /// Name in CSV and JSON: what, which part, unit.
    pub key: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// Which direction is better.
    pub better: Better,
    /// Its value in a run.
    pub get: fn(&Run) -> Option<f64>,
}

/// All headline columns in order.
pub const COLUMNS: [Column; 25] = [
    column("PSNR dB", "mean", "psnr_mean_db", 2, Better::Higher, |r| {
        quality(r, Stream::Rgb, Metric::Psnr, mean)
    }),
    column("PSNR dB", "worst", "psnr_worst10_db", 2, Better::Higher, |r| {
        quality(r, Stream::Rgb, Metric::Psnr, worst10)
    }),
    column("SSIM", "mean", "ssim_mean", 4, Better::Higher, |r| quality(r, Stream::Rgb, Metric::Ssim, mean)),
    column("SSIM", "worst", "ssim_worst10", 4, Better::Higher, |r| {
        quality(r, Stream::Rgb, Metric::Ssim, worst10)
    }),
    column("MS-SSIM", "mean", "ms_ssim_mean", 4, Better::Higher, |r| {
        quality(r, Stream::Rgb, Metric::MsSsim, mean)
    }),
    column("LPIPS", "vgg", "lpips_vgg_mean", 4, Better::Lower, |r| {
        quality(r, Stream::Rgb, Metric::LpipsVgg, mean)
    }),
    column("LPIPS", "alex", "lpips_alex_mean", 4, Better::Lower, |r| {
        quality(r, Stream::Rgb, Metric::LpipsAlex, mean)
    }),
    column("LPIPS", "squeeze", "lpips_squeeze_mean", 4, Better::Lower, |r| {
        quality(r, Stream::Rgb, Metric::LpipsSqueeze, mean)
    }),
    column("non-rendered %", "play", "non_rendered_play_percent", 2, Better::Lower, |r| {
        rgb(r).map(|s| s.non_rendered_play_percent)
    }),
    column("non-rendered %", "<30 dB", "non_rendered_psnr_percent", 2, Better::Lower, |r| {
        rgb(r).and_then(|s| s.non_rendered_psnr_percent)
    }),
    column("freezes", "n", "freezes_w3c_count", 1, Better::Lower, |r| freeze(r, |f| f64::from(f.count))),
    column("freezes", "time %", "freezes_w3c_time_percent", 2, Better::Lower, |r| {
        freeze(r, |f| 100.0 * f.ratio)
    }),
    column("freezes", "end ms", "freeze_terminal_ms", 0, Better::Lower, |r| {
        rgb(r).map(|s| ms(s.frozen_runs.terminal_ns))
    }),
    column("latency ms", "p50", "latency_p50_ms", 1, Better::Lower, |r| {
        rgb(r).and_then(|s| s.latency).map(|l| ms(l.p50_ns))
    }),
    column("latency ms", "p98", "latency_p98_ms", 1, Better::Lower, |r| {
        rgb(r).and_then(|s| s.latency).map(|l| ms(l.p98_ns))
    }),
    column("kbit/s", "media", "media_kbps", 0, Better::Neither, |r| Some(kbps(r.scores.bitrate.media_bps))),
    column("kbit/s", "wire", "wire_kbps", 0, Better::Neither, |r| r.scores.bitrate.wire_bps.map(kbps)),
    column("redund.", "%", "redundancy_percent", 1, Better::Neither, |r| {
        Some(100.0 * r.scores.bitrate.redundancy)
    }),
    column("loss %", "fwd", "realised_loss_forward_percent", 2, Better::Neither, |r| loss(r, "forward")),
    column("loss %", "rev", "realised_loss_reverse_percent", 2, Better::Neither, |r| loss(r, "reverse")),
    column("depth", "SSIM", "depth_ssim_mean", 4, Better::Higher, |r| {
        quality(r, Stream::Depth, Metric::Ssim, mean)
    }),
    column("depth", "RMSE mm", "depth_rmse_mm", 1, Better::Lower, |r| {
        quality(r, Stream::Depth, Metric::DepthRmseMm, mean)
    }),
    column("depth", "frozen %", "depth_non_rendered_play_percent", 2, Better::Lower, |r| {
        r.scores.streams.get(&Stream::Depth).map(|s| s.non_rendered_play_percent)
    }),
    column("depth", "D1 dB", "depth_d1_mean_db", 2, Better::Higher, |r| {
        quality(r, Stream::Depth, Metric::DepthD1, mean)
    }),
    column("depth", "D2 dB", "depth_d2_mean_db", 2, Better::Higher, |r| {
        quality(r, Stream::Depth, Metric::DepthD2, mean)
    }),
];

const fn column(
    group: &'static str,
    name: &'static str,
    key: &'static str,
    digits: usize,
    better: Better,
    get: fn(&Run) -> Option<f64>,
) -> Column {
    Column { group, name, key, digits, better, get }
}

fn rgb(run: &Run) -> Option<&StreamScores> {
    run.scores.streams.get(&Stream::Rgb)
}

fn quality(run: &Run, stream: Stream, metric: Metric, part: fn(&Quality) -> f64) -> Option<f64> {
    run.scores.streams.get(&stream)?.quality.get(&metric).map(part)
}

fn mean(q: &Quality) -> f64 {
    q.all.mean
}

fn worst10(q: &Quality) -> f64 {
    q.all.worst10
}

fn freeze(run: &Run, part: fn(&contract::scores::FreezeScores) -> f64) -> Option<f64> {
    rgb(run)?.freezes.get("w3c").map(part)
}

fn loss(run: &Run, direction: &str) -> Option<f64> {
    run.scores.network.get(direction).filter(|p| p.packets > 0).map(|p| 100.0 * p.realised_loss)
}

#[allow(clippy::cast_precision_loss)] // durations and rates are far below 2^53
fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[allow(clippy::cast_precision_loss)]
fn kbps(bps: u64) -> f64 {
    bps as f64 / 1e3
}
