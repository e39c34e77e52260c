//! A sweep on other machines: parts are started, and brought together.

use super::here::records;
use super::{Args, Engine, merged_cases, say_missing};
use crate::plan::{self, Plan, Planned};
use crate::sweep::State;
use crate::sweep::engine::{Job, Lost, kubernetes, slurm, ssh};
use crate::sweep::merge::{self, Merged};
use crate::sweep::shard::{self, Outcome, Record, Shard};
use crate::{bad_input, launch};
use anyhow::{Context, Result};
use contract::exit;
use std::path::Path;

/// The parts of the plan on other machines.
pub(super) fn elsewhere(
    args: &Args,
    engine: Engine,
    plan: &Plan,
    runs: &[Planned],
    out: &Path,
) -> Result<i32> {
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
    let loaded = crate::outcome::sweep_report(out, &plan.name, &dirs, args.baseline.as_deref())
        .context("failed to write the report")?;
    crate::outcome::print(&loaded, args.json, args.baseline.as_deref())?;
    say_missing(merged);
    if !args.json {
        eprintln!("report: {}", out.join("report.html").display());
    }
    Ok(if merged.missing.is_empty() && merged.damaged == 0 { exit::OK } else { exit::FAILED })
}
