//! Slurm: one job array, one task per part. The sweep's folder must be one that the nodes share.

use super::{Job, Lost, last_words, quoted, ranges};
use crate::launch::child::{Interrupted, interrupted};
use crate::sweep::shard::{FOLDER, Record};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// Name of the file, among the records, with the number of the job that is at work.
const JOB: &str = "slurm.job";
/// How often the queue is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// So often in a row the controller may not answer; ten minutes.
const PATIENCE: u32 = 300;

/// Submits the parts that have something to do, unless a job of an earlier call is still at work; with `wait`, until all have ended:
/// then those that did not come to their end. `None`: not waited for.
///
/// # Errors
/// [`Interrupted`] while waiting; the job goes on.
pub fn run(job: &Job, wait: bool) -> Result<Option<Vec<Lost>>> {
    let folder = job.out.join(FOLDER);
    let number = folder.join(JOB);
    let id = match std::fs::read_to_string(&number).map(|t| t.trim().to_owned()) {
        Ok(id) if is_at_work(&id)? => {
            eprintln!("slurm: job {id} of an earlier call is still at work");
            id
        }
        _ => submit(job)?,
    };
    std::fs::write(&number, format!("{id}\n"))
        .with_context(|| format!("failed to write {}", number.display()))?;
    if !wait {
        eprintln!("slurm: job {id}; the same command without --no-wait waits for it and writes the report");
        return Ok(None);
    }
    let mut silent = 0;
    loop {
        match is_at_work(&id) {
            Ok(false) => break,
            Ok(true) => silent = 0,
            Err(why) if silent < PATIENCE => {
                if silent == 0 {
                    eprintln!("slurm: {why:#}; asking again");
                }
                silent += 1;
            }
            Err(why) => return Err(why),
        }
        if interrupted() {
            eprintln!("slurm: job {id} goes on; the same command waits for it again, `scancel {id}` ends it");
            return Err(Interrupted.into());
        }
        std::thread::sleep(LOOK);
    }
    let _ = std::fs::remove_file(&number);
    let done: Vec<u32> = Record::read_all(job.out)?
        .into_iter()
        .filter(|r| r.of == job.parts && r.finished)
        .map(|r| r.shard)
        .collect();
    let lost = job.pending.iter().filter(|p| !done.contains(p)).map(|&part| Lost {
        part,
        why: format!("task {id}_{part} did not come to its end; {}", last_words(&log(job, part))),
    });
    Ok(Some(lost.collect()))
}

fn log(job: &Job, part: u32) -> PathBuf {
    job.out.join(FOLDER).join(format!("task-{part}.log"))
}

/// The script that every task runs.
fn script(job: &Job) -> Result<String> {
    let folder = std::env::current_dir().context("failed to name the current folder")?;
    let program = std::env::current_exe().context("failed to find this program's own path")?;
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let mut words = vec![text(&program)];
    words.extend(job.words.iter().cloned());
    words.extend(["--out".to_owned(), text(job.out)]);
    Ok(format!(
        "#!/bin/sh\ncd {} || exit 1\nexec {} --shard \"$SLURM_ARRAY_TASK_ID/{}\"\n",
        quoted(&[text(&folder)])?,
        quoted(&words)?,
        job.parts
    ))
}

fn submit(job: &Job) -> Result<String> {
    let folder = job.out.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let path = folder.join("task.sh");
    std::fs::write(&path, script(job)?).with_context(|| format!("failed to write {}", path.display()))?;
    let output = call(
        Command::new("sbatch")
            .args(["--parsable", &format!("--job-name=freezeframe-{}", job.name)])
            .arg(format!("--array={}", ranges(job.pending)))
            .arg(format!("--output={}", folder.join("task-%a.log").display()))
            .args(job.options)
            .arg(&path),
    )?;
    if !output.status.success() {
        bail!(
            "sbatch refused the job: {}",
            contract::text::line(String::from_utf8_lossy(&output.stderr).trim())
        );
    }
    // NUMBER, or NUMBER;CLUSTER
    let said = String::from_utf8_lossy(&output.stdout);
    let id = said.trim().split(';').next().unwrap_or_default().to_owned();
    eprintln!("slurm: job {id}, tasks {} of {}", ranges(job.pending), job.parts);
    Ok(id)
}

/// Whether any task of the job waits or runs. Accounting (`sacct`), which many clusters have not, is not asked.
fn is_at_work(id: &str) -> Result<bool> {
    let output = call(Command::new("squeue").args(["--noheader", "--format=%i", "--jobs", id]))?;
    if output.status.success() {
        return Ok(!output.stdout.iter().all(u8::is_ascii_whitespace));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Ended so long ago that the controller has forgotten it.
    if said.contains("Invalid job id") {
        return Ok(false);
    }
    bail!("squeue does not answer: {}", contract::text::line(said.trim()))
}

fn call(command: &mut Command) -> Result<Output> {
    match command.output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => crate::bad_input!(
            "--on slurm: there is no program {}; run this on a machine that may submit jobs",
            command.get_program().display()
        ),
        other => other.with_context(|| format!("failed to start {}", command.get_program().display())),
    }
}
