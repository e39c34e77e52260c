//! `freezeframe sweep`: a whole plan; what is finished stays finished.

use super::metric_args::MetricArgs;
use super::run::ClipArgs;
use crate::ci::{Case, CiArgs, Verdict};
use crate::launch::{self, child::Interrupted};
use crate::plan::{self, Instead, Plan, PlanClip, Planned};
use crate::sweep::cost::{Cost, Costs, Estimate};
use crate::sweep::engine::{Job, Lost, kubernetes, slurm, ssh};
use crate::sweep::merge::{self, Merged};
use crate::sweep::shard::{self, Entry, Identifier, Outcome, Record, Shard};
use crate::sweep::{State, Sweep};
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use clap::{Args as ClapArgs, ValueEnum};
use contract::{Backend, Scores, exit};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Run a plan: systems x scenarios x clips x options x seeds, resumable, one report for all
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
An interrupted sweep resumes: the same command skips every finished run. A run whose system, weights, encoder, clip or scenario
has changed since, or whose files are damaged, is done again, with one line per reason; one that lacks a metric is scored again. Runs in virtual time go side by side
(--jobs), with the same results in every number of jobs; runs in namespaces follow one at a time. Several
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
    /// Do not write playable videos
    #[arg(long)]
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
        return list(args, &plan, &runs, &out);
    }
    match args.on {
        Some(engine) => elsewhere(args, engine, &plan, &runs, &out),
        None => here(args, &plan, runs, &out),
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
        Ok(Sweep::new(out, self.metrics.options()?, self.keep_stale, !self.no_video, bar))
    }

    /// The command of a part, without `--shard` and `--out`.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["sweep".to_owned(), self.plan.clone()];
        let mut add = |flag: &str, value: String| words.push(format!("--{flag}={value}"));
        let ClipArgs { clip, depth, depth_unit, no_depth, frames, size, fps, fov } = &self.clip;
        if let Some(clip) = clip {
            add("clip", clip.clone());
        }
        if let Some(depth) = depth {
            add("depth", depth.display().to_string());
        }
        if !depth_unit.is_usual() {
            add("depth-unit", depth_unit.to_string());
        }
        if let Some(frames) = frames {
            add("frames", frames.to_string());
        }
        add("size", format!("{}x{}", size.0, size.1));
        add("fps", fps.to_string());
        if let Some(fov) = fov {
            add("fov", fov.to_string());
        }
        self.clips.iter().for_each(|c| add("clips", c.clone()));
        if let Some(seeds) = self.seeds {
            add("seeds", seeds.to_string());
        }
        if let Some(costs) = &self.costs {
            add("costs", costs.clone());
        }
        if let Some(jobs) = self.jobs {
            add("jobs", jobs.to_string());
        }
        if !self.metrics.metrics.is_empty() {
            add("metrics", self.metrics.metrics.join(","));
        }
        if let Some(weights) = &self.metrics.lpips_weights {
            add("lpips-weights", weights.display().to_string());
        }
        if let Some(super::compare::DeviceArg::Cuda) = self.metrics.device {
            add("device", "cuda".to_owned());
        }
        if let Some(backend) = &self.backend {
            add("backend", Backend::from(*backend).to_string());
        }
        for (flag, given) in
            [("no-depth", *no_depth), ("keep-stale", self.keep_stale), ("no-video", self.no_video)]
        {
            if given {
                words.push(format!("--{flag}"));
            }
        }
        words
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

/// All runs of the plan, or those of one part, on this machine.
fn here(args: &Args, plan: &Plan, runs: Vec<Planned>, out: &Path) -> Result<i32> {
    let (runs, record) = match args.shard {
        Some(shard) => {
            let record = records(plan, &runs, shard)?;
            let mine = runs
                .into_iter()
                .zip(&record.runs)
                .filter(|(_, e)| shard::part(&e.id, shard.of) == shard.index);
            (mine.map(|(r, _)| r).collect(), Some(record))
        }
        None => (runs, None),
    };
    let noted = record.map(|record| {
        let mine = |(_, e): &(usize, &Entry)| shard::part(&e.id, record.of) == record.shard;
        let places = record.runs.iter().enumerate().filter(mine).map(|(place, _)| place).collect();
        Noted { out, places, state: Mutex::new((record.clone(), Instant::now())) }
    });
    if let Some(noted) = &noted {
        noted.write()?;
    }
    let sweep = args.sweep(out, crate::progress::bar(runs.len() as u64, &plan.name))?;
    let tell = |run: usize, outcome: &Result<PathBuf>| {
        if let Some(noted) = &noted {
            noted.add(run, runs[run].optional, outcome);
        }
    };
    let outcomes = sweep.all(&runs, args.jobs.unwrap_or_else(default_jobs), &tell);

    let (mut done, mut failed, mut skipped, mut interrupted) = (Vec::new(), 0, 0, None);
    let mut cases = Vec::new();
    for (planned, outcome) in runs.iter().zip(outcomes) {
        cases.extend(case(planned, &outcome));
        match outcome {
            Ok(dir) if done.contains(&dir) => {} // a plan may name a run twice
            Ok(dir) => done.push(dir),
            Err(error) if error.is::<Interrupted>() => interrupted = Some(error),
            Err(_) if planned.optional => skipped += 1,
            Err(_) => failed += 1,
        }
    }
    args.ci.tell("sweep", &cases)?;
    if let Some(noted) = &noted {
        noted.end(interrupted.is_none())?;
    } else if !done.is_empty() {
        crate::outcome::sweep_report(out, &plan.name, &done, args.baseline.as_deref())
            .context("failed to write the report")?;
    }
    if let Some(error) = interrupted {
        eprintln!("freezeframe: {error}");
        return Ok(exit::INTERRUPTED);
    }
    if done.is_empty() && !runs.is_empty() {
        anyhow::bail!("no run of the plan {} could be done", plan.name);
    }
    match args.shard {
        Some(shard) => {
            let folder = out.display();
            eprintln!(
                "part {shard}: {} runs in {folder}; `freezeframe merge` brings the parts together",
                done.len()
            );
        }
        None => {
            crate::outcome::print(&done, args.json, args.baseline.as_deref())?;
            if !args.json {
                eprintln!("report: {}", out.join("report.html").display());
            }
        }
    }
    if skipped > 0 && !args.json {
        eprintln!("{skipped} run(s) left out; `freezeframe doctor` says what this machine lacks");
    }
    Ok(if failed == 0 { exit::OK } else { exit::FAILED })
}

/// A run, as continuous integration sees it; none for one that was not come to.
fn case(planned: &Planned, outcome: &Result<PathBuf>) -> Option<Case> {
    let verdict = match outcome {
        Ok(dir) => match Scores::read(&dir.join("scores.json")) {
            Ok(scores) if scores.health.valid => Verdict::Passed,
            Ok(scores) => Verdict::Failed {
                summary: "the run is invalid".into(),
                text: scores.health.problems.join("\n"),
                file: None,
            },
            Err(why) => {
                Verdict::Failed { summary: "no scores".into(), text: contract::said(&why), file: None }
            }
        },
        Err(error) if error.is::<Interrupted>() => return None,
        Err(error) if planned.optional => Verdict::Skipped(contract::said(&**error)),
        Err(error) => Verdict::Failed {
            summary: "the run failed".into(),
            text: format!("{}\n{}", contract::said(&**error), planned.request.replay().unwrap_or_default()),
            file: None,
        },
    };
    Some(Case { group: planned.request.system.clone(), name: shard::name(&planned.request), verdict })
}

/// The record of a part before anything of it is done.
fn records(plan: &Plan, runs: &[Planned], part: Shard) -> Result<Record> {
    let mut ids = Identifier::default();
    let entry = |planned: &Planned| {
        let request = &planned.request;
        Ok(Entry { id: ids.id(request)?, name: shard::name(request), outcome: None })
    };
    let runs = runs.iter().map(entry).collect::<Result<_>>()?;
    Ok(Record { plan: plan.name.clone(), shard: part.index, of: part.of, finished: false, runs })
}

/// The record of the part that is being done, on disk every few seconds.
struct Noted<'a> {
    out: &'a Path,
    /// Where the part's runs stand in the plan.
    places: Vec<usize>,
    state: Mutex<(Record, Instant)>,
}

impl Noted<'_> {
    fn write(&self) -> Result<()> {
        self.state.lock().expect("nobody panicked").0.write(self.out)
    }

    fn add(&self, run: usize, optional: bool, outcome: &Result<PathBuf>) {
        let outcome = match outcome {
            Ok(dir) => {
                let below = dir.strip_prefix(self.out).unwrap_or(dir);
                Outcome::Done(below.display().to_string())
            }
            Err(error) if error.is::<Interrupted>() => return,
            Err(error) if optional => Outcome::LeftOut(contract::said(&**error)),
            Err(error) => Outcome::Failed(contract::said(&**error)),
        };
        let mut state = self.state.lock().expect("nobody panicked");
        state.0.runs[self.places[run]].outcome = Some(outcome);
        if state.1.elapsed() > Duration::from_secs(2) {
            // What cannot be written now is written at the end, or said there.
            let _ = state.0.write(self.out);
            state.1 = Instant::now();
        }
    }

    fn end(&self, whole: bool) -> Result<()> {
        self.state.lock().expect("nobody panicked").0.finished = whole;
        self.write()
    }
}

/// The parts of the plan on other machines.
fn elsewhere(args: &Args, engine: Engine, plan: &Plan, runs: &[Planned], out: &Path) -> Result<i32> {
    let out = &std::path::absolute(out)?;
    let parts = match (engine, args.tasks) {
        (Engine::Ssh, None) if !args.hosts.is_empty() => u32::try_from(args.hosts.len())?,
        (Engine::Ssh, None) => bad_input!("--on ssh: name the machines with --hosts a,b,c"),
        (Engine::Ssh, Some(_)) => bad_input!("--on ssh: one part for each of --hosts; leave --tasks out"),
        (_, Some(tasks)) => tasks,
        (_, None) => bad_input!(
            "--on: in how many parts? Write --tasks N; parts of 20 runs or more are of even length"
        ),
    };
    let words = args.words();
    let mut job =
        Job { name: &plan.name, words: &words, out, parts, pending: &[], options: &args.engine_options };
    if engine == Engine::Kubernetes {
        let (Some(image), Some(claim)) = (&args.image, &args.claim) else {
            bad_input!(
                "--on kubernetes: name the container image with --image and the volume's claim with --claim"
            );
        };
        let text = plan::is_path(&args.plan).then(|| std::fs::read_to_string(&args.plan)).transpose()?;
        print!(
            "{}",
            kubernetes::manifest(&job, &kubernetes::Cluster { image, claim, plan: text.as_deref() })?
        );
        eprintln!(
            "apply it with `kubectl apply -f`; when the job is complete, `freezeframe merge` in runs/{} of the volume checks the parts \
             and writes the report",
            plan.name
        );
        return Ok(exit::OK);
    }
    let records = records(plan, runs, Shard { index: 1, of: parts })?;
    forget_others(out, &records)?;
    let pending = pending(args, runs, &records, out)?;
    job.pending = &pending;
    let mut lost = Vec::new();
    let mut folders = vec![out.clone()];
    if !pending.is_empty() {
        for &part in &pending {
            Record::remove(out, Shard { index: part, of: parts })?;
        }
        lost = match engine {
            Engine::Ssh => {
                let (lost, fetched) = ssh::run(&job, &args.hosts, args.program.as_deref())?;
                folders.extend(fetched);
                lost
            }
            _ => match slurm::run(&job, !args.no_wait)? {
                Some(lost) => lost,
                None => return Ok(exit::OK),
            },
        };
    }
    let merged = merge::merge(&folders, out);
    for fetched in &folders[1..] {
        launch::remove::remove_tree(fetched)?;
    }
    let merged = match merged {
        Err(error) if !lost.is_empty() => {
            say_lost(&lost);
            return Err(error);
        }
        merged => merged?,
    };
    say_lost(&lost);
    let code = finish(args, plan, &merged, out)?;
    Ok(if lost.is_empty() { code } else { exit::FAILED })
}

fn say_lost(lost: &[Lost]) {
    for Lost { part, why } in lost {
        eprintln!("part {part} was lost: {why}");
    }
    if !lost.is_empty() {
        eprintln!("the same command does what is missing, and nothing twice");
    }
}

/// Records of another division of the plan, or of what the plan was before, say nothing of this sweep.
fn forget_others(out: &Path, now: &Record) -> Result<()> {
    let ids = |r: &Record| r.runs.iter().map(|e| e.id.clone()).collect::<Vec<_>>();
    for record in Record::read_all(out)? {
        if record.of != now.of || ids(&record) != ids(now) || record.plan != now.plan {
            Record::remove(out, record.part())?;
        }
    }
    Ok(())
}

/// The parts that have something to do, or no record of having done it.
fn pending(args: &Args, runs: &[Planned], records: &Record, out: &Path) -> Result<Vec<u32>> {
    let mut pending = std::collections::BTreeSet::new();
    let known: Vec<Record> = Record::read_all(out)?.into_iter().filter(|r| r.finished).collect();
    // Resolving a run takes its clip and its system, which is worth it only where there may be something finished.
    let sweep = args.sweep(out, crate::progress::bar(0, ""))?;
    for (planned, entry) in runs.iter().zip(&records.runs) {
        let part = shard::part(&entry.id, records.of);
        if pending.contains(&part) {
            continue;
        }
        let noted = known
            .iter()
            .find(|r| r.shard == part)
            .and_then(|r| r.runs.iter().find(|e| e.id == entry.id).and_then(|e| e.outcome.as_ref()));
        let finished = match noted {
            Some(Outcome::LeftOut(_)) => true,
            Some(Outcome::Done(_)) => match sweep.resolve(planned) {
                Ok((spec, _, dir)) => sweep.state(&spec, &dir)? == State::Finished,
                Err(_) => false,
            },
            _ => false,
        };
        if !finished {
            pending.insert(part);
        }
    }
    Ok(pending.into_iter().collect())
}

/// The report over all parts, and what is missing in it.
fn finish(args: &Args, plan: &Plan, merged: &Merged, out: &Path) -> Result<i32> {
    args.ci.tell("sweep", &merged_cases(merged))?;
    let mut dirs = merged.dirs.clone();
    if !merged.missing.is_empty() {
        // What a lost part had finished and not noted.
        dirs.extend(merged.others.iter().cloned());
    }
    crate::outcome::sweep_report(out, &plan.name, &dirs, args.baseline.as_deref())
        .context("failed to write the report")?;
    crate::outcome::print(&dirs, args.json, args.baseline.as_deref())?;
    say_missing(merged);
    if !args.json {
        eprintln!("report: {}", out.join("report.html").display());
    }
    Ok(if merged.missing.is_empty() && merged.damaged == 0 { exit::OK } else { exit::FAILED })
}

/// Names what a merged folder lacks.
pub fn say_missing(merged: &Merged) {
    for missing in &merged.missing {
        eprintln!("missing: {} (part {}): {}", missing.name, missing.shard, missing.why);
    }
    if !merged.left_out.is_empty() {
        let (count, why) = (merged.left_out.len(), &merged.left_out[0].1);
        eprintln!("{count} run(s) of optional blocks left out, the first because: {why}");
    }
}

/// What continuous integration sees of a merged folder.
#[must_use]
pub fn merged_cases(merged: &Merged) -> Vec<Case> {
    let mut cases = Vec::new();
    for dir in &merged.dirs {
        let Ok(scores) = Scores::read(&dir.join("scores.json")) else { continue };
        let id = &scores.run;
        let verdict = if scores.health.valid {
            Verdict::Passed
        } else {
            Verdict::Failed {
                summary: "the run is invalid".into(),
                text: scores.health.problems.join("\n"),
                file: None,
            }
        };
        let name = format!("{} {} {} seed {}", id.scenario, id.system, id.clip, id.seed);
        cases.push(Case { group: id.system.clone(), name, verdict });
    }
    cases.extend(merged.left_out.iter().map(|(name, why)| Case {
        group: "left out".into(),
        name: name.clone(),
        verdict: Verdict::Skipped(why.clone()),
    }));
    cases.extend(merged.missing.iter().map(|m| Case {
        group: "missing".into(),
        name: m.name.clone(),
        verdict: Verdict::Failed { summary: "the run is missing".into(), text: m.why.clone(), file: None },
    }));
    cases
}

/// One run of the list.
struct Listed<'a> {
    planned: &'a Planned,
    part: Option<u32>,
    id: String,
    /// Where it goes and how it stands, or why it cannot be done.
    found: Result<(PathBuf, State, Option<Estimate>)>,
}

/// `--list`: what would be done.
fn list(args: &Args, plan: &Plan, runs: &[Planned], out: &Path) -> Result<i32> {
    let costs = Costs::load();
    let bar = crate::progress::bar(runs.len() as u64, "looking");
    let sweep = args.sweep(out, bar.clone())?;
    let metrics = args.metrics.options()?.metrics;
    let mut ids = Identifier::default();
    let mut rows = Vec::new();
    for planned in runs {
        let id = ids.id(&planned.request)?;
        let part = args.shard.map(|s| shard::part(&id, s.of));
        bar.inc(1);
        if args.shard.is_some_and(|s| part != Some(s.index)) {
            continue;
        }
        let found = sweep.resolve(planned).and_then(|(spec, _, dir)| {
            let state = sweep.state(&spec, &dir)?;
            Ok((dir, state, costs.estimate(&Cost::wanted(&spec, &metrics))))
        });
        rows.push(Listed { planned, part, id, found });
    }
    bar.finish_and_clear();
    let jobs = args.jobs.unwrap_or_else(default_jobs);
    let total = Total::of(&rows, jobs);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&list_json(plan, out, &rows, &total)?)?);
    } else {
        for row in &rows {
            match &row.found {
                Ok((dir, state, _)) => println!("{:9} {}", state_word(*state), dir.display()),
                Err(why) => println!(
                    "{:9} {}: {}",
                    "cannot",
                    shard::name(&row.planned.request),
                    contract::said(&**why)
                ),
            }
        }
        println!("{total}");
    }
    let wrong = rows.iter().any(|r| r.found.is_err() && !r.planned.optional);
    Ok(if wrong { exit::BAD_INPUT } else { exit::OK })
}

fn state_word(state: State) -> &'static str {
    match state {
        State::ToDo => "to do",
        State::Stale => "again",
        State::ToScore => "to score",
        State::Finished => "finished",
    }
}

fn list_json(plan: &Plan, out: &Path, rows: &[Listed], total: &Total) -> Result<serde_json::Value> {
    let row = |row: &Listed| {
        let request = &row.planned.request;
        let mut json = serde_json::json!({
            "id": row.id,
            "scenario": request.scenario,
            "system": request.system,
            "clip": request.clip.rgb.as_deref().unwrap_or(crate::launch::clip::DEFAULT),
            "options": request.options,
            "seed": request.seed,
            "frames": request.clip.frames,
            "backend": request.backend,
            "optional": row.planned.optional,
            "part": row.part,
            "command": request.replay()?,
        });
        match &row.found {
            Ok((dir, state, estimate)) => {
                json["dir"] = serde_json::json!(dir);
                json["state"] = serde_json::json!(state);
                json["estimate"] = serde_json::json!(estimate);
            }
            Err(why) => {
                json["state"] = serde_json::json!("cannot");
                json["reason"] = serde_json::json!(contract::said(&**why));
            }
        }
        Ok(json)
    };
    let runs = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
    Ok(serde_json::json!({
        "plan": plan.name,
        "out": out,
        "runs": runs,
        "finished": total.finished,
        "remaining": total.remaining,
        "estimate": {
            "seconds": total.seconds, "bytes": total.bytes, "jobs": total.jobs, "runs_not_measured_yet": total.unknown,
        },
    }))
}

/// What is left to do.
struct Total {
    runs: usize,
    finished: usize,
    remaining: usize,
    cannot: usize,
    /// Of those that are left, the ones of systems that nothing is known of.
    unknown: usize,
    seconds: f64,
    bytes: u64,
    jobs: usize,
}

impl Total {
    fn of(rows: &[Listed], jobs: usize) -> Self {
        let mut total = Self {
            runs: rows.len(),
            finished: 0,
            remaining: 0,
            cannot: 0,
            unknown: 0,
            seconds: 0.0,
            bytes: 0,
            jobs,
        };
        for row in rows {
            match &row.found {
                Err(_) => total.cannot += 1,
                Ok((_, State::Finished, _)) => total.finished += 1,
                Ok((_, _, estimate)) => {
                    total.remaining += 1;
                    // In namespaces runs follow one at a time.
                    let side = if row.planned.request.backend == Backend::Virtual { jobs } else { 1 };
                    total.unknown += usize::from(estimate.is_none());
                    total.seconds += estimate.map_or(0.0, |e| e.seconds / side as f64);
                    total.bytes += estimate.map_or(0, |e| e.bytes);
                }
            }
        }
        total
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} runs: {} finished, {} to do", self.runs, self.finished, self.remaining)?;
        if self.cannot > 0 {
            write!(f, ", {} that cannot be done", self.cannot)?;
        }
        let known = self.remaining - self.unknown;
        if known > 0 {
            let (minutes, megabytes) = (self.seconds / 60.0, self.bytes as f64 / 1e6);
            write!(
                f,
                "; about {minutes:.1} min with {} jobs, and {megabytes:.0} MB, by past runs here",
                self.jobs
            )?;
        }
        if self.unknown > 0 {
            write!(f, "; nothing is known yet of the time of {} of them", self.unknown)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Args {
        Probe::try_parse_from(words).unwrap_or_else(|e| panic!("{e}")).args
    }

    /// Every option that makes a difference to a run reaches the parts; what says where and in which parts does not.
    #[test]
    fn a_part_is_asked_for_the_same_runs() {
        for words in [
            vec!["sweep"],
            vec![
                "sweep",
                "p.toml",
                "--clips",
                "a",
                "b c",
                "--seeds",
                "4",
                "--jobs",
                "3",
                "--no-depth",
                "--size",
                "64x48",
            ],
            vec![
                "sweep",
                "p.toml",
                "--clip",
                "-x.mp4",
                "--depth",
                "d",
                "--depth-unit",
                "m",
                "--fov",
                "70.5",
                "--frames",
                "9",
                "--fps",
                "25",
                "--metrics",
                "psnr,ssim",
                "--lpips-weights",
                "w",
                "--device",
                "cuda",
                "--backend",
                "virtual",
                "--keep-stale",
                "--costs",
                "epyc-zen5",
                "--no-video",
            ],
        ] {
            let words: Vec<&str> =
                words.into_iter().map(|w| if w == "-x.mp4" { "./-x.mp4" } else { w }).collect();
            let given = parse(&words);
            let again = given.words();
            let again = parse(&again.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(format!("{given:?}"), format!("{again:?}"));
        }
        let on = parse(&[
            "sweep", "p", "--on", "slurm", "--tasks", "3", "--out", "o", "--json", "--junit", "j", "--",
            "--time=1",
        ]);
        assert_eq!(on.engine_options, ["--time=1"]);
        let part = on.words();
        let part = parse(&part.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(format!("{part:?}"), format!("{:?}", parse(&["sweep", "p"])));
    }
}
