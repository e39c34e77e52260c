//! Figures of papers: which there are, from runs to a model, from the model to SVG, PDF, PNG, CSV and Vega-Lite.
//!
//! ```text
//!  runs ─▶ Data ─▶ field, rates, series, papers ─▶ Figure ─▶ draw (SVG) ─▶ files (PDF, PNG)
//!                                                    └─▶ numbers (CSV), vega
//! ```
//! The HTML report shows the same figures.

pub mod axis;
pub mod data;
pub mod draw;
pub mod field;
pub mod files;
pub mod model;
pub mod numbers;
pub mod papers;
pub mod rates;
pub mod series;
pub mod style;
pub mod text;
pub mod vega;

use contract::{Metric, Stream};
use data::{Data, Made};

/// A figure that can be asked for.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// The plan that makes the runs it needs.
    pub plan: &'static str,
    /// Draws it.
    pub make: fn(&Data) -> Made,
}

const fn entry(
    name: &'static str,
    about: &'static str,
    plan: &'static str,
    make: fn(&Data) -> Made,
) -> Entry {
    Entry { name, about, plan, make }
}

/// Every figure: those of the field, then those of the papers.
pub const ALL: [Entry; 25] = [
    entry("boxes", "percentiles of a metric over frames, by scenario and system", "default", |d| {
        field::boxes(d, d.choice.stream, d.choice.metric)
    }),
    entry("cdf", "distribution of a metric over frames, with 95 % intervals over runs", "papers", |d| {
        field::cdf(d, d.choice.stream, d.choice.metric)
    }),
    entry(
        "rate-quality",
        "mean and worst tenth of a metric against the rate on the wire",
        "reparo-figures",
        rates::quality,
    ),
    entry(
        "non-rendered",
        "frames not rendered, and frames shown below 30 dB, by scenario and system",
        "default",
        field::non_rendered,
    ),
    entry(
        "freezes",
        "stalls above 200 ms and their share of the time, by scenario and system",
        "default",
        field::freezes,
    ),
    entry("budget", "non-rendered frames and stalls against the play-out budget", "default", field::budget),
    entry(
        "loss",
        "quality and non-rendered frames against the loss that each run met",
        "papers",
        field::loss,
    ),
    entry("threshold", "share of frames shown below a PSNR, by the PSNR", "default", field::threshold),
    entry(
        "bitrate",
        "where the bits go: pictures, headers, repair, repeats, transport",
        "default",
        field::bitrate,
    ),
    entry(
        "timeline",
        "one loss pattern frame by frame, with losses and freezes, system by system",
        "default",
        series::timeline,
    ),
    entry(
        "frame-sizes",
        "bytes of every encoded frame, in time and as a distribution",
        "default",
        series::frame_sizes,
    ),
    entry("masks", "status of every slot under every scenario, system by system", "default", series::masks),
    entry(
        "reparo-5",
        "PSNR, SSIM and LPIPS against the rate, mean and worst tenth, by loss level",
        "reparo-figures",
        papers::reparo_5,
    ),
    entry("reparo-6", "percentiles of PSNR by loss level", "papers", |d| {
        field::boxes(d, Stream::Rgb, Metric::Psnr)
    }),
    entry("reparo-7", "PSNR in time under one loss pattern, with freezes", "papers", series::timeline),
    entry("reparo-8", "frames not rendered by loss level", "papers", field::non_rendered),
    entry("reparo-9", "the worst burst of one loss pattern, frame by frame", "papers", series::burst),
    entry("reparo-10", "sizes of encoded frames", "papers", series::frame_sizes),
    entry(
        "reparo-11",
        "quality behind a bottleneck against the rate that is sent",
        "reparo-figures",
        papers::reparo_11,
    ),
    entry("reparo-12", "Reparo's variants: quality against the rate", "reparo-figures", papers::reparo_12),
    entry(
        "reparo-table-1",
        "the loss levels: their model and the loss that runs met",
        "papers",
        papers::table_1,
    ),
    entry(
        "reparo-table-2",
        "where the time goes from capture to screen, by stage",
        "default",
        papers::table_2,
    ),
    entry(
        "revo-masks",
        "status of every slot under every scenario, system by system",
        "default",
        series::masks,
    ),
    entry("revo-traces", "quality by class of traces", "default", papers::revo_traces),
    entry(
        "revo-freezes",
        "stalls above 200 ms and their share of the time, by class of traces",
        "default",
        papers::revo_freezes,
    ),
];

/// The figure of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|e| e.name == name)
}
