//! `freezeframe sweep`: a whole plan; what is finished stays finished.

use super::metric_args::MetricArgs;
use super::run::{ClipArgs, relative_dir};
use crate::launch::child::Interrupted;
use crate::launch::clip::ClipRequest;
use crate::launch::stale::{self, Standing};
use crate::launch::{self, clip};
use crate::plan::{Plan, Planned};
use crate::score;
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::{Backend, ClipSpec, exit, seal};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Run a plan: systems x scenarios x clips x seeds, resumable, one report for all
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
An interrupted sweep resumes: the same command skips every finished run. A run whose system, weights, encoder, clip or scenario
has changed since, or whose files are damaged, is done again, with one line per reason; one that lacks a metric is scored again. Runs in virtual time go side by side
(--jobs), with the same results in every number of jobs; runs in namespaces follow one at a time. Several
freezeframe processes may share a cache and a directory of runs: nothing is encoded or scored twice.

Exit code 0: every run was done and scored; runs that proved invalid are marked in the table and do not change it.

Examples:
  freezeframe sweep default
  freezeframe sweep default --seeds 10 --out runs/ten-seeds
  freezeframe sweep plans/mine.toml --clip talk.mp4 --json")]
pub struct Args {
    /// Plan: a name (`freezeframe list`) or a TOML file
    #[arg(default_value = "default")]
    pub plan: String,
    /// The clip that is sent
    #[command(flatten)]
    pub clip: ClipArgs,
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
    /// Do not write playable videos
    #[arg(long)]
    pub no_video: bool,
    /// Print the table as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    launch::child::catch_interrupts();
    let mut plan = Plan::find(&args.plan)?;
    if let Some(costs) = &args.costs {
        plan.costs.clone_from(costs);
    }
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&plan.name));
    let only = args.backend.map(Backend::from);
    let mut runs = plan.runs(&args.clip.request(), args.seeds);
    runs.retain(|r| only.is_none_or(|b| r.request.backend == b));

    let sweep = Sweep {
        out: &out,
        scoring: args.metrics.options()?,
        keep_stale: args.keep_stale,
        video: !args.no_video,
        bar: crate::progress::bar(runs.len() as u64, &plan.name),
        shared: Mutex::default(),
    };
    let outcomes = sweep.all(&runs, args.jobs.unwrap_or_else(default_jobs));
    sweep.bar.finish_and_clear();

    let (mut done, mut failed, mut skipped, mut interrupted) = (Vec::new(), 0, 0, None);
    for (planned, outcome) in runs.iter().zip(outcomes) {
        match outcome {
            Ok(dir) if done.contains(&dir) => {} // a plan may name a run twice
            Ok(dir) => done.push(dir),
            Err(error) if error.is::<Interrupted>() => interrupted = Some(error),
            Err(_) if planned.optional => skipped += 1,
            Err(_) => failed += 1,
        }
    }
    if let Some(error) = interrupted {
        eprintln!("freezeframe: {error}");
        if !done.is_empty() {
            crate::outcome::sweep_report(&out, &plan.name, &done, args.baseline.as_deref())?;
        }
        return Ok(exit::INTERRUPTED);
    }
    if done.is_empty() {
        anyhow::bail!("no run of the plan {} could be done", plan.name);
    }
    crate::outcome::sweep_report(&out, &plan.name, &done, args.baseline.as_deref())
        .context("failed to write the report")?;
    crate::outcome::print(&done, args.json, args.baseline.as_deref())?;
    if !args.json {
        eprintln!("report: {}", out.join("report.html").display());
        if skipped > 0 {
            eprintln!("{skipped} run(s) left out; `freezeframe doctor` says what this machine lacks");
        }
    }
    Ok(if failed == 0 { exit::OK } else { exit::FAILED })
}

/// Codecs are pinned to one thread, so that a run keeps one core busy until it is scored. More than eight at a time would
/// want more memory than machines of so many cores can be trusted to have free.
fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// A stale run can be kept if its files are what was written.
fn is_whole((dir, _): &(PathBuf, Vec<String>)) -> bool {
    seal::check_evidence(dir).is_ok()
}

struct Sweep<'a> {
    out: &'a Path,
    scoring: score::Options,
    keep_stale: bool,
    video: bool,
    bar: indicatif::ProgressBar,
    shared: Mutex<Shared>,
}

/// What the runs of a sweep have in common.
#[derive(Default)]
struct Shared {
    clips: BTreeMap<String, ClipSpec>,
    /// Scenarios whose warnings have been printed.
    warned: BTreeSet<String>,
}

impl Sweep<'_> {
    /// Does all runs, at most `jobs` of those in virtual time at once; what came of each, in the plan's order.
    ///
    /// Runs on the wall clock come last and one at a time, with nothing beside them that would make them late.
    fn all(&self, runs: &[Planned], jobs: usize) -> Vec<Result<PathBuf>> {
        let (side_by_side, alone): (Vec<usize>, Vec<usize>) =
            (0..runs.len()).partition(|&i| runs[i].request.backend == Backend::Virtual);
        let next = AtomicUsize::new(0);
        let outcomes: Mutex<BTreeMap<usize, Result<PathBuf>>> = Mutex::default();
        let work = || {
            while let Some(&run) = side_by_side.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.one(&runs[run]);
                outcomes.lock().expect("no run panicked").insert(run, outcome);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..jobs.clamp(1, side_by_side.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        let mut outcomes = outcomes.into_inner().expect("no run panicked");
        for run in alone {
            outcomes.insert(run, self.one(&runs[run]));
        }
        outcomes.into_values().collect()
    }

    /// One run, and a line if it fails.
    fn one(&self, planned: &Planned) -> Result<PathBuf> {
        self.bar.set_message(format!("{} {}", planned.request.scenario, planned.request.system));
        let outcome = self.run_and_score(planned);
        if let Err(error) = &outcome
            && !error.is::<Interrupted>()
        {
            let word = if planned.optional { "left out" } else { "failed" };
            let what = planned.request.replay().unwrap_or_else(|_| format!("{:?}", planned.request));
            self.say(&format!("{word}: {what}\n  {}", contract::said(&**error)));
        }
        self.bar.inc(1);
        outcome
    }

    fn run_and_score(&self, planned: &Planned) -> Result<PathBuf> {
        if launch::child::interrupted() {
            return Err(Interrupted.into());
        }
        let request = &planned.request;
        let (spec, manifest) = request.resolve(self.clip(&request.clip)?)?;
        if self.shared.lock().expect("no run panicked").warned.insert(spec.scenario.content_hash()) {
            for warning in spec.scenario.warnings(spec.clip.fps) {
                self.say(&format!("scenario {}: {warning}", spec.scenario.name));
            }
        }
        let dir = self.out.join(relative_dir(&spec));
        let _held = launch::hold(&dir)?;
        let stale = match stale::standing(&dir, &spec) {
            Standing::Same => {
                let rescore = stale::refresh(&dir, &spec)?.then(|| "another field of view".to_owned());
                self.score_if_lacking(&dir, rescore)?;
                return Ok(dir);
            }
            Standing::Stale(stale) if self.keep_stale && stale.iter().any(is_whole) => {
                return self.keep(&dir, &stale);
            }
            Standing::Damaged(why) => vec![(dir.clone(), vec![why])],
            Standing::Stale(stale) => stale,
            Standing::Nothing => Vec::new(),
        };
        for (old, reasons) in &stale {
            reasons.iter().for_each(|why| self.say(&format!("again: {}: {why}", old.display())));
        }
        launch::launch(&spec, &manifest, &dir)?;
        crate::outcome::score_and_report(&dir, &self.scoring, self.video)?;
        for (old, _) in stale.iter().filter(|(old, _)| *old != dir) {
            let _held = launch::hold(old)?;
            std::fs::remove_dir_all(old).with_context(|| format!("failed to remove {}", old.display()))?;
        }
        Ok(dir)
    }

    /// Stays with the newest of the stale runs, which is marked.
    fn keep(&self, dir: &Path, stale: &[(PathBuf, Vec<String>)]) -> Result<PathBuf> {
        let made = |path: &Path| std::fs::metadata(path.join("events.jsonl")).and_then(|m| m.modified()).ok();
        let newest = stale.iter().filter(|run| is_whole(run)).max_by_key(|(path, _)| made(path));
        let (kept, reasons) = newest.with_context(|| format!("nothing stands at {}", dir.display()))?;
        let _held = if kept == dir { None } else { launch::hold(kept)? };
        reasons.iter().for_each(|why| self.say(&format!("kept: {}: {why}", kept.display())));
        stale::mark(kept, reasons)?;
        if seal::check(kept).is_err() {
            crate::outcome::score_and_report(kept, &self.scoring, self.video)?;
        }
        Ok(kept.clone())
    }

    /// Scores a finished run whose scores are missing, unreadable, of another version, or lack what is asked for.
    fn score_if_lacking(&self, dir: &Path, known: Option<String>) -> Result<()> {
        let mut scoring = self.scoring.clone();
        if let Some(why) = known.or(score::lacks(dir, &mut scoring)?) {
            self.say(&format!("scored again: {}: {why}", dir.display()));
            return crate::outcome::score_and_report(dir, &scoring, self.video);
        }
        if self.video {
            crate::launch::playable::write_missing(dir)?;
        }
        Ok(())
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// The clip, resolved by the first who needs it.
    fn clip(&self, request: &ClipRequest) -> Result<ClipSpec> {
        let key = format!("{request:?}");
        // Held meanwhile: the others mostly need the same clip.
        let mut shared = self.shared.lock().expect("no run panicked");
        if let Some(clip) = shared.clips.get(&key) {
            return Ok(clip.clone());
        }
        let clip = clip::resolve(request, &mut |line| self.say(&format!("clip: {line}")))?;
        shared.clips.insert(key, clip.clone());
        Ok(clip)
    }
}
