//! `--list`: the runs of a plan, how they stand, and what is left to do.

use super::{Args, default_jobs};
use crate::plan::{Plan, Planned};
use crate::sweep::State;
use crate::sweep::cost::{Cost, Costs, Estimate};
use crate::sweep::shard::{self, Identifier};
use anyhow::Result;
use contract::{Backend, exit};
use std::path::{Path, PathBuf};

/// One run of the list.
struct Listed<'a> {
    planned: &'a Planned,
    part: Option<u32>,
    id: String,
    /// Where it goes and how it stands, or why it cannot be done.
    found: Result<(PathBuf, State, Option<Estimate>)>,
}

/// `--list`: what would be done.
pub(super) fn list(args: &Args, plan: &Plan, runs: &[Planned], out: &Path) -> Result<i32> {
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
