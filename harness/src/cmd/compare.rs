//! `freezeframe compare`: picture metrics of any two videos, images or depth clips, frame by frame.

mod align;
mod feed;
mod notes;
mod print;
mod rgb;
mod score;
mod source;
pub mod vmaf;

use align::Alignment;
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use contract::{Metric, exit};
use score::{Options, Scored};
use source::{Kind, Source, TakeAs};
use std::path::{Path, PathBuf};
use video::DepthUnit;

/// Metrics of two videos or images, frame by frame and in summary
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe compare reference.mp4 shown.mp4
  freezeframe compare reference.y4m shown.mkv --metrics psnr,ssim,lpips_squeeze --json > scores.json
  freezeframe compare reference.png shown.png --metrics all
  freezeframe compare depth_reference.mkv depth_shown.mkv --fov 70
  freezeframe compare reference.mp4 recorded.mkv --align --metrics psnr,vmaf

Frame i of SHOWN is compared with frame i of REF, samples as they are stored; --align looks for the frames between them first. Definitions of the metrics, and which to quote: docs/METRICS.md.")]
pub struct Args {
    /// The original: a video, a picture, a folder of pictures, 16-bit depth; `-` or a pipe too
    #[arg(value_name = "REF")]
    pub reference: PathBuf,
    /// What was shown
    #[arg(value_name = "SHOWN")]
    pub shown: PathBuf,
    /// Which metrics, by name, or `all`; default: psnr,ssim,ssim_full,ms_ssim (depth clips: the depth metrics). `vmaf` is measured by
    /// another program where there is one (docs/METRICS.md) and is no part of `all`
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
    /// What to take grey of more than 8 bits for; default: 16 bits is depth, fewer are pictures unless depth metrics are asked for
    #[arg(long = "as", value_enum, value_name = "KIND")]
    pub take_as: Option<TakeAs>,
    /// Unit of depth: mm, m, or how many codes make a metre, 5000/m (TUM RGB-D), 256/m (KITTI); default: millimetres, floating point
    /// metres
    #[arg(long, default_value = "usual", value_name = "UNIT")]
    pub depth_unit: DepthUnit,
    /// Compare as many frames as the shorter clip has instead of refusing
    #[arg(long)]
    pub shortest: bool,
    /// Find by how many frames SHOWN is late or early (up to N, 30 unless given), say so, and compare it so; what has no counterpart at
    /// either end is left out
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "30")]
    pub align: Option<usize>,
    /// Model of vmaf: the name of one that the program has, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = vmaf::MODEL)]
    pub vmaf_model: String,
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

/// Something the user can fix: said on stderr, exit code 2.
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
        "{shorter} ends after {frames} frames but {longer} goes on; --shortest compares the first {frames}{hint}"
    )]
    Length { shorter: String, longer: String, frames: usize, hint: String },
    #[error("{0}")]
    Input(String),
}

/// Compares and prints.
///
/// # Errors
/// When the output cannot be written or libtorch fails; what the user can fix is an exit code with a message.
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
    let open = |path: &Path, take_as| {
        Source::open(path, take_as, args.depth_unit).map_err(|e| {
            // Most errors name the file themselves.
            let (path, text) = (path.display().to_string(), contract::said(&*e));
            Refusal::Input(if text.contains(&path) { text } else { format!("{path}: {text}") })
        })
    };
    let name = |path: &Path| path.display().to_string();
    let wants_depth = args.metrics.iter().any(|m| m.trim().starts_with("depth_"));
    let take_as = args.take_as.or(wants_depth.then_some(TakeAs::Depth));
    let mut reference = open(&args.reference, take_as)?;
    let kind = reference.about().kind;
    // Grey of more than 8 bits is on both sides what it is on one.
    let same = if kind == Kind::Depth { TakeAs::Depth } else { TakeAs::Pictures };
    let grey =
        reference.about().format.model == media::picture::Model::Grey && reference.about().format.bits > 8;
    let take_as = take_as.or(grey.then_some(same));
    let mut shown = open(&args.shown, take_as)?;
    if (kind == Kind::Depth) != (shown.about().kind == Kind::Depth) {
        return Err(Refusal::Mixed {
            reference: name(&args.reference),
            shown: name(&args.shown),
            found: kind.name(),
            other: shown.about().kind.name(),
        }
        .into());
    }
    if args.align.is_some() && kind == Kind::Depth {
        let (path, remedy) = (name(&args.reference), "leave --align out, or align the colour beside it");
        return Err(Refusal::Input(format!(
            "--align is for pictures, but {path} is {}: {remedy}",
            kind.name()
        ))
        .into());
    }
    let (ours, vmaf_wanted) = without_vmaf(&args.metrics);
    for (path, source) in [(&args.reference, &reference), (&args.shown, &shown)] {
        if source.about().once && (args.align.is_some() || vmaf_wanted) {
            let text = "is a pipe, and --align and VMAF read the pictures twice; write it to a file first";
            return Err(Refusal::Input(format!("{} {text}", path.display())).into());
        }
    }
    let metrics = if ours.is_empty() && vmaf_wanted {
        Vec::new()
    } else {
        chosen(&ours, kind, &name(&args.reference))?
    };
    let sizes = (reference.about().size, shown.about().size);
    if sizes.0 != sizes.1 {
        if !args.scale {
            return Err(
                Refusal::Size { reference: name(&args.reference), shown: name(&args.shown), sizes }.into()
            );
        }
        shown.scale(sizes.0);
    }
    let notes =
        notes::of((&args.reference, reference.about()), (&args.shown, shown.about()), sizes.0 != sizes.1);
    let options = Options {
        metrics,
        threads: args.threads.max(1),
        cuda: args.device == DeviceArg::Cuda,
        fov: args.fov,
        filters: notes::filters(reference.about(), shown.about()),
        notes,
    };
    let readable = |e: anyhow::Error| {
        if e.is::<source::Unreadable>() { Refusal::Input(contract::said(&*e)).into() } else { e }
    };
    let aligned = match args.align {
        Some(reach) => aligned(args, [&mut reference, &mut shown], reach).map_err(readable)?,
        None => None,
    };
    let mut scored = score::all(reference, shown, &options).map_err(readable)?;
    let found = Alignment::find(&scored.smalls[0], &scored.smalls[1], align::REACH);
    let shifted = found.filter(|found| args.align.is_none() && found.is_suspicious());
    match scored.longer {
        Some(side) if !args.shortest && args.align.is_none() => {
            let (a, b) = (name(&args.reference), name(&args.shown));
            let (longer, shorter) = if side == score::Side::Reference { (a, b) } else { (b, a) };
            let hint = shifted.map_or(String::new(), |f| {
                format!(
                    "; {} looks {} ({}), --align compares it so",
                    name(&args.shown),
                    f.in_words(),
                    f.gain()
                )
            });
            return Err(Refusal::Length { shorter, longer, frames: scored.frames.len(), hint }.into());
        }
        _ => {}
    }
    if let Some(found) = shifted {
        eprintln!(
            "note: {} looks {} ({}); the values are those of frame i beside frame i, --align compares it so",
            name(&args.shown),
            found.in_words(),
            found.gain()
        );
    }
    if vmaf_wanted {
        scored.vmaf = Some(measure_vmaf(args, kind, &options, aligned.as_ref(), scored.frames.len()));
    }
    scored.aligned = aligned;
    Ok(scored)
}

/// Finds the frames between the two, says what was found, and leaves out what has no counterpart at the beginning.
fn aligned(args: &Args, sources: [&mut Source; 2], reach: usize) -> Result<Option<Alignment>> {
    let [reference, shown] = sources;
    let name = |path: &Path| path.display().to_string();
    let open = |path: &Path| Source::open(path, Some(TakeAs::Pictures), args.depth_unit);
    let mut again = [open(&args.reference)?, open(&args.shown)?];
    if args.scale {
        again[1].scale(reference.about().size);
    }
    let [a, b] = &mut again;
    let Some(found) = feed::alignment(a, b, reach)? else { return Ok(None) };
    let (skip_reference, skip_shown) = found.skips();
    eprintln!(
        "aligned: {} is {} ({}); left out at the beginning: {skip_reference} frames of {}, {skip_shown} of {}",
        name(&args.shown),
        found.in_words(),
        found.gain(),
        name(&args.reference),
        name(&args.shown),
    );
    if !found.rivals.is_empty() {
        let offsets = found.rivals.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        eprintln!(
            "warning: it fits as well when taken to be late by {offsets} frames (still or repeating pictures do not say which it is); \
             the nearest to 0 was taken"
        );
    }
    feed::skip(reference, skip_reference)?;
    feed::skip(shown, skip_shown)?;
    Ok(Some(found))
}

/// VMAF of what was compared, or why there is none.
fn measure_vmaf(
    args: &Args,
    kind: Kind,
    options: &Options,
    aligned: Option<&Alignment>,
    frames: usize,
) -> Result<vmaf::Measured, String> {
    if kind == Kind::Depth {
        return Err("VMAF is for pictures, not for depth".into());
    }
    if args.scale {
        return Err("VMAF gets the pictures as they are: it is not measured with --scale".into());
    }
    let program = vmaf::Program::find()?;
    let skips = aligned.map_or((0, 0), Alignment::skips);
    let clips = [args.reference.as_path(), args.shown.as_path()];
    feed::vmaf(&program, &args.vmaf_model, options.threads, clips, skips, frames)
        .map_err(|e| contract::said(&*e))
}

/// The names but `vmaf`, and whether that is among them.
fn without_vmaf(names: &[String]) -> (Vec<String>, bool) {
    let ours: Vec<String> = names.iter().filter(|n| n.trim() != "vmaf").cloned().collect();
    let wanted = ours.len() < names.len();
    (ours, wanted)
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
        let known = || Metric::ALL.map(Metric::name).join(", ") + ", vmaf";
        let metric = Metric::from_name(name.trim()).ok_or_else(|| Refusal::Metric(name.clone(), known()))?;
        if !fits(metric) {
            let needs = if kind == Kind::Depth {
                "pictures (--as pictures takes it for such)"
            } else {
                "metric depth, 16-bit grey"
            };
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
