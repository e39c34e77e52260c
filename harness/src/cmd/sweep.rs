//! `freezeframe sweep`: a whole plan; what is finished stays finished.

use super::run::{ClipArgs, relative_dir};
use crate::launch::child::Interrupted;
use crate::launch::{self, Launched, clip};
use crate::plan::{Plan, Planned};
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::{Backend, ClipSpec, exit};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Run a plan: systems x scenarios x clips x seeds, resumable, one report for all
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
An interrupted sweep resumes: the same command skips every finished run.

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
    /// Directory of the runs and the report; default: runs/PLAN
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only runs of this backend
    #[arg(long, value_enum)]
    pub backend: Option<super::run::BackendArg>,
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
    let plan = Plan::find(&args.plan)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&plan.name));
    let only = args.backend.map(Backend::from);
    let mut runs = plan.runs(&args.clip.request(), args.seeds);
    runs.retain(|r| only.is_none_or(|b| r.request.backend == b));

    let mut sweep = Sweep {
        clips: BTreeMap::new(),
        done: Vec::new(),
        failed: Vec::new(),
        skipped: Vec::new(),
        warned: BTreeSet::new(),
    };
    let bar = crate::progress::bar(runs.len() as u64, &plan.name);
    for planned in &runs {
        bar.set_message(format!("{} {}", planned.request.scenario, planned.request.system));
        let name = planned.request.replay();
        match sweep.one(planned, &out, !args.no_video, &bar) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => {
                bar.finish_and_clear();
                eprintln!("freezeframe: {error}");
                return Ok(exit::INTERRUPTED);
            }
            Err(error) if planned.optional => {
                bar.suspend(|| eprintln!("left out: {name}\n  {error:#}"));
                sweep.skipped.push(name);
            }
            Err(error) => {
                bar.suspend(|| eprintln!("failed: {name}\n  {error:#}"));
                sweep.failed.push(name);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if sweep.done.is_empty() {
        anyhow::bail!("no run of the plan {} could be done", plan.name);
    }
    crate::outcome::sweep_report(&out, &plan.name, &sweep.done).context("failed to write the report")?;
    crate::outcome::print(&sweep.done, args.json)?;
    if !args.json {
        eprintln!("report: {}", out.join("report.html").display());
        if !sweep.skipped.is_empty() {
            eprintln!(
                "{} run(s) left out; `freezeframe doctor` says what this machine lacks",
                sweep.skipped.len()
            );
        }
    }
    Ok(if sweep.failed.is_empty() { exit::OK } else { exit::FAILED })
}

struct Sweep {
    clips: BTreeMap<String, ClipSpec>,
    done: Vec<PathBuf>,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Scenarios whose warnings have been printed.
    warned: BTreeSet<String>,
}

impl Sweep {
    fn one(
        &mut self,
        planned: &Planned,
        out: &std::path::Path,
        video: bool,
        bar: &indicatif::ProgressBar,
    ) -> Result<()> {
        if launch::child::interrupted() {
            return Err(Interrupted.into());
        }
        let request = &planned.request;
        let key = format!("{:?}", request.clip);
        let clip = match self.clips.get(&key) {
            Some(clip) => clip.clone(),
            None => {
                let clip =
                    clip::resolve(&request.clip, &mut |line| bar.suspend(|| eprintln!("clip: {line}")))?;
                self.clips.insert(key, clip.clone());
                clip
            }
        };
        let (spec, manifest) = request.resolve(clip)?;
        if self.warned.insert(spec.scenario.name.clone()) {
            for warning in spec.scenario.warnings() {
                bar.suspend(|| eprintln!("scenario {}: {warning}", spec.scenario.name));
            }
        }
        let dir = out.join(relative_dir(&spec, &request.options));
        let launched = launch::launch(&spec, &manifest, &dir, true)?;
        if launched == Launched::Fresh || !dir.join("scores.json").is_file() {
            crate::outcome::score_and_report(&dir, video)?;
        }
        self.done.push(dir);
        Ok(())
    }
}
