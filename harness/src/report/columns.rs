//! The headline columns, each with the one place that says where its value comes from.

use super::load::Run;
use contract::scores::{FreezeScores, Quality, StreamScores};
use contract::{Metric, Stream};

/// Where a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// In every table in which a row has a value.
    Always,
    /// In tables only where a row is not zero; always in CSV and JSON.
    WhenNotZero,
    /// In CSV and JSON only.
    InFiles,
}

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
    /// Where it stands.
    pub show: Show,
    /// Its value in a run.
    pub get: fn(&Run) -> Option<f64>,
    /// Set: the value of several runs is the worst tenth of their frames together, not the mean of `get`.
    pub pooled: Option<(Stream, Metric)>,
    /// Set: it is the mean of this metric over the captured frames of a stream.
    pub mean_of: Option<(Stream, Metric)>,
}

/// All headline columns in order.
///
/// The freezes that lead are those of `stall200`: it needs no gap before a freeze to judge it by, so it sees the time
/// before the first picture, a freeze right after frame 0 and the one that ends the clip. W3C's rule sees none of them (it
/// counts 0 for a clip that shows frame 0 and nothing else) and stays in CSV, JSON and the page.
pub const COLUMNS: [Column; 45] = [
    mean_of(Stream::Rgb, Metric::Psnr, "PSNR dB", "mean", "psnr_mean_db", 2, |r| {
        quality(r, Stream::Rgb, Metric::Psnr, mean)
    }),
    worst("PSNR dB", "psnr_worst10_db", 2, Metric::Psnr, |r| quality(r, Stream::Rgb, Metric::Psnr, worst10)),
    mean_of(Stream::Rgb, Metric::Ssim, "SSIM", "mean", "ssim_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::Ssim, mean)
    }),
    worst("SSIM", "ssim_worst10", 4, Metric::Ssim, |r| quality(r, Stream::Rgb, Metric::Ssim, worst10)),
    mean_of(Stream::Rgb, Metric::MsSsim, "MS-SSIM", "mean", "ms_ssim_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::MsSsim, mean)
    }),
    mean_of(Stream::Rgb, Metric::LpipsVgg, "LPIPS", "vgg", "lpips_vgg_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::LpipsVgg, mean)
    }),
    mean_of(Stream::Rgb, Metric::LpipsAlex, "LPIPS", "alex", "lpips_alex_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::LpipsAlex, mean)
    }),
    mean_of(Stream::Rgb, Metric::LpipsSqueeze, "LPIPS", "squeeze", "lpips_squeeze_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::LpipsSqueeze, mean)
    }),
    mean_of(Stream::Rgb, Metric::SsimFull, "SSIM", "full", "ssim_full_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::SsimFull, mean)
    }),
    mean_of(Stream::Rgb, Metric::FfmpegPsnr, "FFmpeg's", "PSNR", "ffmpeg_psnr_mean_db", 2, |r| {
        quality(r, Stream::Rgb, Metric::FfmpegPsnr, mean)
    }),
    mean_of(Stream::Rgb, Metric::FfmpegSsim, "FFmpeg's", "SSIM", "ffmpeg_ssim_mean", 4, |r| {
        quality(r, Stream::Rgb, Metric::FfmpegSsim, mean)
    }),
    column("budget", "ms", "budget_ms", 1, Better::Neither, |r| r.scores.budget.kept_ns.map(ms)),
    column("non-rendered %", "play", "non_rendered_play_percent", 2, Better::Lower, |r| {
        rgb(r)?.non_rendered_play_percent
    }),
    column("non-rendered %", "<30 dB", "non_rendered_psnr_percent", 2, Better::Lower, |r| {
        rgb(r)?.non_rendered_psnr_percent
    }),
    shown(
        Show::WhenNotZero,
        column("non-rendered %", "dropped", "dropped_by_sender_percent", 2, Better::Lower, |r| {
            let frames = Some(r.scores.frames).filter(|n| *n > 0)?;
            Some(100.0 * f64::from(rgb(r)?.dropped_sender) / f64::from(frames))
        }),
    ),
    shown(
        Show::InFiles,
        column("non-rendered %", "of sent", "non_rendered_of_sent_percent", 2, Better::Lower, |r| {
            rgb(r)?.non_rendered_of_sent_percent
        }),
    ),
    column("stalls >200 ms", "n", "freezes_stall200_count", 1, Better::Lower, |r| {
        freeze(r, "stall200", |f| f64::from(f.count))
    }),
    column("stalls >200 ms", "time %", "freezes_stall200_time_percent", 2, Better::Lower, |r| {
        freeze(r, "stall200", |f| 100.0 * f.ratio)
    }),
    column("stalls >200 ms", "end ms", "freeze_terminal_ms", 0, Better::Lower, |r| {
        rgb(r).map(|s| ms(s.frozen_runs.terminal_ns))
    }),
    shown(
        Show::InFiles,
        column("freezes W3C", "n", "freezes_w3c_count", 1, Better::Lower, |r| {
            freeze(r, "w3c", |f| f64::from(f.count))
        }),
    ),
    shown(
        Show::InFiles,
        column("freezes W3C", "time %", "freezes_w3c_time_percent", 2, Better::Lower, |r| {
            freeze(r, "w3c", |f| 100.0 * f.ratio)
        }),
    ),
    column("start-up", "ms", "startup_ms", 0, Better::Lower, |r| rgb(r)?.startup_ns.map(ms)),
    shown(
        Show::WhenNotZero,
        column("start-up", "never %", "never_rendered_percent", 1, Better::Lower, |r| {
            rgb(r).map(|s| if s.never_rendered { 100.0 } else { 0.0 })
        }),
    ),
    shown(
        Show::InFiles,
        column("start-up", "penalised ms", "startup_penalised_ms", 0, Better::Lower, |r| {
            rgb(r).map(|s| ms(s.startup_penalised_ns))
        }),
    ),
    column("latency ms", "p50", "latency_p50_ms", 1, Better::Lower, |r| {
        rgb(r)?.latency.map(|l| ms(l.p50_ns))
    }),
    column("latency ms", "p98", "latency_p98_ms", 1, Better::Lower, |r| {
        rgb(r)?.latency.map(|l| ms(l.p98_ns))
    }),
    shown(
        Show::InFiles,
        column("latency ms", "p98 penalised", "latency_penalised_p98_ms", 1, Better::Lower, |r| {
            rgb(r)?.latency_penalised.map(|l| ms(l.p98_ns))
        }),
    ),
    column("kbit/s", "media", "media_kbps", 0, Better::Neither, |r| kbps(r.scores.bitrate.media_bps)),
    column("kbit/s", "payload", "payload_kbps", 0, Better::Neither, |r| kbps(r.scores.bitrate.payload_bps)),
    column("kbit/s", "repair", "repair_kbps", 0, Better::Neither, |r| kbps(r.scores.bitrate.parity_bps)),
    shown(
        Show::WhenNotZero,
        column("kbit/s", "retransm.", "retransmission_kbps", 0, Better::Neither, |r| {
            kbps(r.scores.bitrate.repeat_bps)
        }),
    ),
    column("kbit/s", "wire", "wire_kbps", 0, Better::Neither, |r| kbps(r.scores.bitrate.wire_bps)),
    shown(
        Show::WhenNotZero,
        column("kbit/s", "wire back", "wire_reverse_kbps", 0, Better::Neither, |r| {
            kbps(r.scores.bitrate.reverse_wire_bps)
        }),
    ),
    column("redund.", "%", "redundancy_percent", 1, Better::Neither, |r| {
        r.scores.bitrate.redundancy.map(|share| 100.0 * share)
    }),
    column("loss %", "fwd", "realised_loss_forward_percent", 2, Better::Neither, |r| loss(r, "forward")),
    column("loss %", "rev", "realised_loss_reverse_percent", 2, Better::Neither, |r| loss(r, "reverse")),
    shown(
        Show::WhenNotZero,
        column("loss %", "at sender", "lost_at_sender_percent", 2, Better::Neither, |r| {
            Some(r.scores.lost_at_sender.map_or(0.0, |lost| 100.0 * lost.share))
        }),
    ),
    mean_of(Stream::Depth, Metric::Ssim, "depth", "SSIM", "depth_ssim_mean", 4, |r| {
        quality(r, Stream::Depth, Metric::Ssim, mean)
    }),
    mean_of(Stream::Depth, Metric::DepthRmseMm, "depth", "RMSE mm", "depth_rmse_mm", 1, |r| {
        quality(r, Stream::Depth, Metric::DepthRmseMm, mean)
    }),
    shown(
        Show::InFiles,
        mean_of(Stream::Depth, Metric::DepthAbsRel, "depth", "abs rel", "depth_abs_rel_mean", 4, |r| {
            quality(r, Stream::Depth, Metric::DepthAbsRel, mean)
        }),
    ),
    shown(
        Show::InFiles,
        mean_of(Stream::Depth, Metric::DepthDelta1, "depth", "δ<1.25", "depth_delta1_mean", 4, |r| {
            quality(r, Stream::Depth, Metric::DepthDelta1, mean)
        }),
    ),
    column("depth", "frozen %", "depth_non_rendered_play_percent", 2, Better::Lower, |r| {
        r.scores.streams.get(&Stream::Depth)?.non_rendered_play_percent
    }),
    mean_of(Stream::Depth, Metric::DepthD1, "depth", "D1 dB", "depth_d1_mean_db", 2, |r| {
        quality(r, Stream::Depth, Metric::DepthD1, mean)
    }),
    mean_of(Stream::Depth, Metric::DepthD2, "depth", "D2 dB", "depth_d2_mean_db", 2, |r| {
        quality(r, Stream::Depth, Metric::DepthD2, mean)
    }),
    // Of apps, whose call is set up before frame 0: from the start of the processes.
    column("first picture", "ms", "first_picture_ms", 0, Better::Lower, |r| {
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        r.scores.health.app?.first_picture_ms.map(|ms| ms as f64)
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
    Column { group, name, key, digits, better, show: Show::Always, get, pooled: None, mean_of: None }
}

/// The mean of a metric, which `get` has to be.
const fn mean_of(
    stream: Stream,
    metric: Metric,
    group: &'static str,
    name: &'static str,
    key: &'static str,
    digits: usize,
    get: fn(&Run) -> Option<f64>,
) -> Column {
    let better = if metric.higher_is_better() { Better::Higher } else { Better::Lower };
    Column { mean_of: Some((stream, metric)), ..column(group, name, key, digits, better, get) }
}

const fn shown(show: Show, column: Column) -> Column {
    Column { show, ..column }
}

/// The worst tenth of the frames of all runs of a row together, as the papers pool their corpus.
const fn worst(
    group: &'static str,
    key: &'static str,
    digits: usize,
    metric: Metric,
    get: fn(&Run) -> Option<f64>,
) -> Column {
    let column = column(group, "worst10 pooled", key, digits, Better::Higher, get);
    Column { pooled: Some((Stream::Rgb, metric)), ..column }
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

fn freeze(run: &Run, rule: &str, part: fn(&FreezeScores) -> f64) -> Option<f64> {
    rgb(run)?.freezes.get(rule).map(part)
}

fn loss(run: &Run, direction: &str) -> Option<f64> {
    run.scores.network.get(direction)?.realised_loss.map(|share| 100.0 * share)
}

#[allow(clippy::cast_precision_loss)] // durations and rates are far below 2^53
fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[allow(clippy::cast_precision_loss)]
fn kbps(bps: Option<u64>) -> Option<f64> {
    bps.map(|bps| bps as f64 / 1e3)
}
