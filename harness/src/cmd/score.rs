//! `freezeframe score`: compares what was shown with what was captured, again if wanted.

use super::metric_args::{MetricArgs, parse_fov};
use crate::bad_input;
use crate::report;
use crate::report::load::Run;
use crate::score::{Options, run_dirs, score_run};
use contract::seal::{self, Seal};
use contract::{RunSpec, exit};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Score finished runs (again): pictures, freezes, latency, bitrate
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  freezeframe score runs/one                                     score one run directory
  freezeframe score runs/default                                 score every run below a directory
  freezeframe score runs/one --metrics psnr,ssim,ssim_full       only these metrics
  freezeframe score runs/one --metrics default,lpips_squeeze     with the weights that `freezeframe weights` lists
  freezeframe score runs/one --metrics depth_d1,depth_d2 --fov 70

A metric that cannot be computed leaves its column empty and says why.")]
pub struct Args {
    /// A run directory, or a directory of runs
    pub dir: PathBuf,
    /// Which metrics
    #[command(flatten)]
    pub metrics: MetricArgs,
    /// Horizontal field of view of the depth camera, degrees; default: the clip's, else 70 (depth_d1, depth_d2)
    #[arg(long, value_name = "DEGREES", value_parser = parse_fov)]
    pub fov: Option<f64>,
    /// Picture strips of the worst frames per stream
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub strips: usize,
    /// Threads that compare pictures; default: one per core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Score against the clip's files as they are, even if they have changed since the run
    #[arg(long)]
    pub allow_changed_clip: bool,
    /// Take the run's files as they are, even if they are not those that the run wrote: they are sealed anew
    #[arg(long)]
    pub reseal: bool,
    /// Compute everything, believe no cache
    #[arg(long)]
    pub no_cache: bool,
    /// Print the scores as JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a run is incomplete or damaged, or a metric's name is unknown.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    let options = options(args)?;
    let dirs = run_dirs(&args.dir)?;
    if dirs.is_empty() {
        bad_input!("{} holds no run (a directory with spec.toml and events.jsonl)", args.dir.display());
    }
    let mut valid = true;
    for dir in &dirs {
        if args.reseal {
            Seal::evidence(dir)?;
        }
        let bar = progress_bar(dir)?;
        let scores = score_run(dir, &options, &|slots| bar.inc(u64::from(slots)))?;
        bar.finish_and_clear();
        valid &= scores.health.valid;
        for warning in &scores.warnings {
            eprintln!("{}: {}", dir.display(), warning.text);
        }
        report::write(dir)?;
        if args.json && dirs.len() == 1 {
            print!("{}", scores.to_json());
        }
    }
    if dirs.len() > 1 {
        report::write(&args.dir)?;
    }
    if !args.json || dirs.len() > 1 {
        let runs: Vec<Run> = dirs.iter().map(|d| Run::load(d)).collect::<anyhow::Result<_>>()?;
        let table = report::table::Table::of(&report::group::group(&runs));
        if args.json {
            println!("{}", serde_json::to_string_pretty(&report::json(&table))?);
        } else {
            print!("{}", report::terminal(&table, report::colour_wanted()));
        }
    }
    Ok(if valid { exit::OK } else { exit::INVALID })
}

fn options(args: &Args) -> anyhow::Result<Options> {
    let mut options = Options { fov: args.fov, strips: args.strips, ..args.metrics.options()? };
    options.allow_changed_clip = args.allow_changed_clip;
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    if args.no_cache {
        options.cache = None;
    }
    Ok(options)
}

/// A bar over all slots of a run, invisible when standard error is no terminal.
fn progress_bar(dir: &Path) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    seal::check_evidence(dir)?;
    let spec = RunSpec::read(dir)?;
    let slots = u64::from(spec.clip.frames) * spec.clip.streams().len() as u64;
    let style = ProgressStyle::with_template("scoring {msg} {bar:30} {pos}/{len} {per_sec}")?;
    Ok(ProgressBar::new(slots).with_style(style).with_message(dir.display().to_string()))
}
