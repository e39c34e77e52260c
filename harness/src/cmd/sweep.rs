//! `freezeframe sweep`: a whole plan; what is finished stays finished.

mod elsewhere;
mod here;
mod list;
mod merged;
mod words;

use super::metric_args::MetricArgs;
use super::run::ClipArgs;
use crate::ci::CiArgs;
use crate::launch;
use crate::plan::{self, Instead, Plan, PlanClip, Planned};
use crate::sweep::Sweep;
use crate::sweep::shard::Shard;
use crate::{BadInput, bad_input};
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use contract::Backend;
pub use merged::{merged_cases, say_missing};
use std::path::{Path, PathBuf};

/// Run a plan: systems x scenarios x clips x options x seeds, resumable, one report for all
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
An interrupted sweep resumes: the same command skips every finished run. A run whose system, weights, encoder, clip or scenario
has changed since, or whose files are damaged, is done again, with one line per reason; one that lacks a metric is scored again. Runs in virtual time go side by side
(--jobs), with the same results in every number of jobs; runs in namespaces follow, side by side only where that leaves them punctual. Several
freezeframe processes may share a cache and a directory of runs: nothing is encoded or scored twice.

On many machines: --shard I/N does part I of N parts, `freezeframe merge` brings the parts together, and --on starts them. What
follows -- goes to the engine as it is.

Exit code 0: every run was done and scored; runs that proved invalid are marked in the table and do not change it.

Examples:
  freezeframe sweep default
  freezeframe sweep default --seeds 10 --out runs/ten-seeds
  freezeframe sweep plans/mine.toml --clips videos/ --list
  freezeframe sweep plans/mine.toml --shard 2/8 --out part-2
  freezeframe sweep plans/mine.toml --on slurm --tasks 50 -- --partition=short --time=2:00:00
  freezeframe sweep plans/mine.toml --on ssh --hosts lab1,lab2,lab3
  freezeframe sweep plans/mine.toml --on kubernetes --tasks 50 --image registry/freezeframe:0.1 --claim data > job.yaml")]
pub struct Args {
    /// Plan: a name (`freezeframe list`) or a TOML file (docs/PLANS.md)
    #[arg(default_value = "default")]
    pub plan: String,
    /// The clip that is sent
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Clips instead of the plan's: files, folders of videos, lists (.txt, a clip on each line)
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., conflicts_with_all = ["clip", "depth"])]
    pub clips: Vec<String>,
    /// Run seeds 1 to N instead of the plan's own
    #[arg(long, value_name = "N")]
    pub seeds: Option<u64>,
    /// What work costs in virtual time, for all runs alike; default: as the plan says, else ideal
    #[arg(long, value_name = "ideal|NAME|FILE")]
    pub costs: Option<String>,
    /// Directory of the runs and the report; default: runs/PLAN
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Runs in virtual time at once; default: one per core, at most 8
    #[arg(long, short, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub jobs: Option<usize>,
    /// Which metrics the runs are scored with; finished runs are scored again if they lack one
    #[command(flatten)]
    pub metrics: MetricArgs,
    /// System (as the table calls it) that rate-quality curves are compared with; default: the first
    #[arg(long, value_name = "SYSTEM")]
    pub baseline: Option<String>,
    /// Only runs of this backend
    #[arg(long, value_enum)]
    pub backend: Option<super::run::BackendArg>,
    /// Keep runs whose system, weights, encoder, clip or scenario has changed since, and mark them as stale
    #[arg(long)]
    pub keep_stale: bool,
    /// Write what was on the screen as rendered.STREAM.mp4, for any player, for finished runs too
    #[arg(long, conflicts_with = "no_video")]
    pub video: bool,
    /// As is usual: no video
    #[arg(long, hide = true)]
    pub no_video: bool,
    /// Print the table (or the list) as JSON
    #[arg(long)]
    pub json: bool,
    /// Run nothing: list the runs, which of them are finished, and what the others will take, by past runs on this machine
    #[arg(long)]
    pub list: bool,
    /// Do only part I of N; writes no report (`freezeframe merge` does)
    #[arg(long, value_name = "I/N", conflicts_with = "on")]
    pub shard: Option<Shard>,
    /// Start the parts elsewhere
    #[arg(long, value_enum, value_name = "ENGINE", conflicts_with = "list")]
    pub on: Option<Engine>,
    /// Slurm, Kubernetes: in how many parts
    #[arg(long, value_name = "N", requires = "on", value_parser = clap::value_parser!(u32).range(1..))]
    pub tasks: Option<u32>,
    /// Slurm: submit, and wait for nothing
    #[arg(long, requires = "on")]
    pub no_wait: bool,
    /// ssh: the machines, each of which does one part
    #[arg(long, value_name = "HOST,...", value_delimiter = ',', requires = "on")]
    pub hosts: Vec<String>,
    /// ssh: this program's path there; default: as here
    #[arg(long, value_name = "PATH", requires = "on")]
    pub program: Option<String>,
    /// Kubernetes: the container image
    #[arg(long, value_name = "IMAGE", requires = "on")]
    pub image: Option<String>,
    /// Kubernetes: claim of the volume with clips and results
    #[arg(long, value_name = "NAME", requires = "on")]
    pub claim: Option<String>,
    /// For continuous integration
    #[command(flatten)]
    pub ci: CiArgs,
    /// Options of the engine: for sbatch, for ssh, or cpu=, memory=, namespace=, parallelism= for Kubernetes
    #[arg(last = true, requires = "on")]
    pub engine_options: Vec<String>,
}

/// What starts the parts of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// A job array, on a folder that the nodes share
    Slurm,
    /// One part per host; a shared folder is used if there is one
    Ssh,
    /// Print the manifest of an Indexed Job
    Kubernetes,
}

/// Runs the subcommand.
///
/// # Errors
/// When the plan makes no sense, or nothing of it could be done.
pub fn run(args: &Args) -> Result<i32> {
    launch::child::catch_interrupts();
    let mut plan = Plan::find(&args.plan)?;
    if let Some(costs) = &args.costs {
        plan.costs.clone_from(costs);
    }
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&plan.name));
    let runs = args.runs(&plan)?;
    if runs.is_empty() {
        bad_input!("no run of the plan {} is left; look at its `exclude` rules and at --backend", plan.name);
    }
    if args.list {
        return list::list(args, &plan, &runs, &out);
    }
    match args.on {
        Some(engine) => elsewhere::elsewhere(args, engine, &plan, &runs, &out),
        None => here::here(args, &plan, runs, &out),
    }
}

impl Args {
    fn runs(&self, plan: &Plan) -> Result<Vec<Planned>> {
        let mut clips: Vec<PlanClip> = Vec::new();
        for word in &self.clips {
            clips.extend(plan::clips::named(word).map_err(|why| BadInput(format!("--clips: {why}")))?);
        }
        let mut runs = plan.runs(&Instead {
            clip: self.clip.request(),
            clips,
            seeds: self.seeds,
            costs: self.costs.clone(),
        });
        let only = self.backend.map(Backend::from);
        runs.retain(|r| only.is_none_or(|b| r.request.backend == b));
        Ok(runs)
    }

    fn sweep<'a>(&self, out: &'a Path, bar: indicatif::ProgressBar) -> Result<Sweep<'a>> {
        // Codecs and comparisons keep one core busy per run; what cores are left share in each run's comparisons.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores / self.jobs.unwrap_or_else(default_jobs)).max(1);
        let scoring = crate::score::Options { threads, ..self.metrics.options()? };
        Ok(Sweep::new(out, scoring, self.keep_stale, self.video, bar))
    }
}

/// Codecs are pinned to one thread, so that a run keeps one core busy until it is scored. More than eight at a time would
/// want more memory than machines of so many cores can be trusted to have free. A task of Slurm has the cores that it asked for.
fn default_jobs() -> usize {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok().filter(|n| *n > 0);
    let of_task = number("SLURM_JOB_ID").map(|_| number("SLURM_CPUS_PER_TASK").unwrap_or(1));
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(8);
    of_task.unwrap_or_else(cores)
}
