//! `freezeframe compare`: picture metrics of any two videos, images or depth clips, frame by frame.

mod print;
mod score;
mod source;

use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use contract::{Metric, exit};
use score::{Options, Scored};
use source::{Kind, Source};
use std::path::{Path, PathBuf};

/// Metrics of two videos or images, frame by frame and in summary
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe compare reference.mp4 shown.mp4
  freezeframe compare reference.y4m shown.mkv --metrics psnr,ssim,lpips_squeeze --json > scores.json
  freezeframe compare reference.png shown.png --metrics all
  freezeframe compare depth_reference.mkv depth_shown.mkv --fov 70

Frame i of SHOWN is compared with frame i of REF. Definitions of the metrics, and which to quote: docs/METRICS.md.")]
pub struct Args {
    /// The original: a video, a PNG, a folder of PNGs, or 16-bit depth (millimetres)
    #[arg(value_name = "REF")]
    pub reference: PathBuf,
    /// What was shown
    #[arg(value_name = "SHOWN")]
    pub shown: PathBuf,
    /// Which metrics, by name, or `all`; default: psnr,ssim,ssim_full,ms_ssim (depth clips: the depth metrics)
    #[arg(long, short, value_delimiter = ',', value_name = "NAME,...")]
    pub metrics: Vec<String>,
    /// Print JSON: {"frames": [...], "mean": {...}, "worst10": {...}}, full double precision
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV: one row per frame
    #[arg(long)]
    pub csv: bool,
    /// Scale SHOWN to the size of REF instead of refusing (the scaling becomes part of the error)
    #[arg(long)]
    pub scale: bool,
    /// Compare as many frames as the shorter clip has instead of refusing
    #[arg(long)]
    pub shortest: bool,
    /// Threads; results do not depend on it
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from), value_name = "N")]
    pub threads: usize,
    /// Where neural metrics run
    #[arg(long, value_enum, default_value = "cpu")]
    pub device: DeviceArg,
    /// Horizontal field of view of depth clips, degrees; depth_d1 and depth_d2 need it
    #[arg(long, value_name = "DEGREES", value_parser = super::metric_args::parse_fov)]
    pub fov: Option<f64>,
}

/// Where neural metrics run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// The processor.
    Cpu,
    /// The first CUDA device.
    Cuda,
}

/// Something the user can mend: said on stderr, exit code 2.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("unknown metric \"{0}\"; known: {1}")]
    Metric(String, String),
    #[error("{metric} is for {needs}, but {path} is {found}")]
    NotFor { metric: &'static str, needs: &'static str, path: String, found: &'static str },
    #[error("{reference} is {found} but {shown} is {other}; both must be pictures or both metric depth")]
    Mixed { reference: String, shown: String, found: &'static str, other: &'static str },
    #[error(
        "the pictures differ in size: {reference} is {}x{}, {shown} is {}x{}; --scale scales SHOWN to REF",
        .sizes.0.0, .sizes.0.1, .sizes.1.0, .sizes.1.1
    )]
    Size { reference: String, shown: String, sizes: ((usize, usize), (usize, usize)) },
    #[error(
        "{shorter} ends after {frames} frames but {longer} goes on; --shortest compares the first {frames}"
    )]
    Length { shorter: String, longer: String, frames: usize },
    #[error("{0}")]
    Input(String),
}

/// Compares and prints.
///
/// # Errors
/// When the output cannot be written or libtorch fails; what the user can mend is an exit code with a message.
pub fn run(args: &Args) -> Result<i32> {
    match compare(args) {
        Ok(scored) => {
            print::scored(args, &scored)?;
            Ok(exit::OK)
        }
        Err(error) => match error.downcast_ref::<Refusal>() {
            Some(refusal) => {
                eprintln!("freezeframe compare: {refusal}");
                Ok(exit::BAD_INPUT)
            }
            None => Err(error),
        },
    }
}

fn compare(args: &Args) -> Result<Scored> {
    let open = |path: &Path, size| {
        Source::open(path, size).map_err(|e| {
            // Most errors name the file themselves.
            let (path, text) = (path.display().to_string(), e.to_string());
            Refusal::Input(if text.contains(&path) { text } else { format!("{path}: {e:#}") })
        })
    };
    let name = |path: &Path| path.display().to_string();
    let reference = open(&args.reference, None)?;
    let mut shown = open(&args.shown, None)?;
    let kind = reference.kind();
    if (kind == Kind::Depth) != (shown.kind() == Kind::Depth) {
        return Err(Refusal::Mixed {
            reference: name(&args.reference),
            shown: name(&args.shown),
            found: kind.name(),
            other: shown.kind().name(),
        }
        .into());
    }
    let metrics = chosen(&args.metrics, kind, &name(&args.reference))?;
    if reference.size() != shown.size() {
        if !args.scale {
            return Err(Refusal::Size {
                reference: name(&args.reference),
                shown: name(&args.shown),
                sizes: (reference.size(), shown.size()),
            }
            .into());
        }
        shown = open(&args.shown, Some(reference.size()))?;
    }
    let options = Options {
        metrics,
        threads: args.threads.max(1),
        cuda: args.device == DeviceArg::Cuda,
        fov: args.fov,
    };
    let scored = score::all(reference, shown, &options).map_err(|e| {
        if e.is::<source::Unreadable>() { Refusal::Input(format!("{e:#}")).into() } else { e }
    })?;
    match scored.longer {
        Some(side) if !args.shortest => {
            let (a, b) = (name(&args.reference), name(&args.shown));
            let (longer, shorter) = if side == score::Side::Reference { (a, b) } else { (b, a) };
            Err(Refusal::Length { shorter, longer, frames: scored.frames.len() }.into())
        }
        _ => Ok(scored),
    }
}

fn chosen(names: &[String], kind: Kind, path: &str) -> Result<Vec<Metric>, Refusal> {
    let fits = |m: Metric| m.name().starts_with("depth_") == (kind == Kind::Depth);
    if names.iter().any(|n| n == "all") {
        return Ok(Metric::ALL.into_iter().filter(|m| fits(*m)).collect());
    }
    if names.is_empty() {
        let usual = [Metric::Psnr, Metric::Ssim, Metric::SsimFull, Metric::MsSsim];
        return Ok(Metric::ALL
            .into_iter()
            .filter(|m| fits(*m) && (kind == Kind::Depth || usual.contains(m)))
            .collect());
    }
    let mut metrics = Vec::new();
    for name in names {
        let known = || Metric::ALL.map(Metric::name).join(", ");
        let metric = Metric::from_name(name.trim()).ok_or_else(|| Refusal::Metric(name.clone(), known()))?;
        if !fits(metric) {
            let needs = if kind == Kind::Depth { "pictures" } else { "16-bit metric depth" };
            return Err(Refusal::NotFor {
                metric: metric.name(),
                needs,
                path: path.into(),
                found: kind.name(),
            });
        }
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
}
