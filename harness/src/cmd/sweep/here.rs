//! A sweep, or one part of it, on this machine.

use super::{Args, default_jobs};
use crate::ci::{Case, Verdict};
use crate::launch::child::Interrupted;
use crate::plan::{Plan, Planned};
use crate::sweep::shard::{self, Entry, Identifier, Outcome, Record, Shard};
use anyhow::{Context, Result};
use contract::{Scores, exit};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// All runs of the plan, or those of one part, on this machine.
pub(super) fn here(args: &Args, plan: &Plan, runs: Vec<Planned>, out: &Path) -> Result<i32> {
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
    let mut loaded = Vec::new();
    if let Some(noted) = &noted {
        noted.end(interrupted.is_none())?;
    } else if !done.is_empty() {
        loaded = crate::outcome::sweep_report(out, &plan.name, &done, args.baseline.as_deref())
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
            crate::outcome::print(&loaded, args.json, args.baseline.as_deref())?;
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
pub(super) fn records(plan: &Plan, runs: &[Planned], part: Shard) -> Result<Record> {
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
