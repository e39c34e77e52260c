//! Processes of `sut` that simulate one run after the other ([`contract::work`]), for this project's own systems.
//!
//! As many as runs are made at a time; they are kept, and end with this process. They are outside of the sandbox: what they run is
//! trusted. One that fails to answer in time or ends is gone; the next run has a new one.

use super::child::{Failure, Interrupted, Running, UNSUPPORTED, interrupted, sut_program};
use super::sandbox::Surroundings;
use anyhow::{Context, Result};
use contract::work::{Answer, Order, WORD};
use contract::{Limits, Manifest, exit};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static IDLE: Mutex<Vec<Running>> = Mutex::new(Vec::new());

/// How long a wait for an answer lasts before limits and interrupts are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Simulates the run in `folder`; false if `sut` does not have the system, so that it must be started by itself.
///
/// # Errors
/// As a process of its own would: why the run failed.
pub fn simulate(manifest: &Manifest, folder: &Path, limit: Duration) -> Result<bool> {
    let [program, system] = &manifest.command[..] else { return Ok(false) };
    if !manifest.is_shipped() || program != "{sut}" {
        return Ok(false);
    }
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    // One that has said more than it was asked is not asked again: its next answer would be taken for another run's.
    let mut worker = match idle.filter(|worker| worker.said().is_empty()) {
        Some(worker) => worker,
        None => start()?,
    };
    let order = Order { system: system.clone(), run_dir: folder.to_owned() };
    worker.say(&serde_json::to_string(&order).context("an order is text")?);
    let answer = answer(&mut worker, &manifest.name, limit)?;
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    match answer {
        Answer::Done => Ok(true),
        Answer::Elsewhere => Ok(false),
        Answer::Failed { code, why } if code == exit::UNSUPPORTED => {
            let text = format!("the {} does not support this scenario: {why}", manifest.name);
            Err(Failure::error(UNSUPPORTED, text))
        }
        Answer::Failed { why, .. } => {
            Err(Failure::error("system_failed", format!("the {} failed: {why}", manifest.name)))
        }
    }
}

/// Starts one that the next run will find, while this process gets ready for it. If that fails the run says why.
pub fn warm_up() {
    if let Ok(worker) = start() {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }
}

fn start() -> Result<Running> {
    let mut command = Command::new(sut_program()?);
    // For whoever looks at the list of processes: whose it is.
    command.args([WORD, &std::process::id().to_string()]);
    // It speaks a line a run, for as long as there are runs.
    let limits = Limits { stdout_kb: u64::MAX >> 10, stdout_lines: u64::MAX, ..Limits::default() };
    Running::start("worker of this project's systems", command, &Surroundings::open(limits)?, None, None)
}

fn answer(worker: &mut Running, name: &str, limit: Duration) -> Result<Answer> {
    let began = Instant::now();
    loop {
        if let Some(line) = worker.hear(LOOK) {
            return serde_json::from_str(&line).with_context(|| format!("the {name} answered {line:?}"));
        }
        let ended = worker.poll()?;
        // Ctrl-C reaches the worker, too: that it ended is then no failure of its own.
        if interrupted() {
            return Err(Interrupted.into());
        }
        if let Some(status) = ended {
            let words = worker.last_words();
            let words = if words.is_empty() { " and said nothing".to_owned() } else { format!(": {words}") };
            return Err(Failure::error("system_failed", format!("the {name} ended with {status}{words}")));
        }
        if began.elapsed() > limit {
            worker.kill();
            let text = format!("the {name} did not end within {limit:?} and was ended");
            return Err(Failure::error("time_limit", text));
        }
    }
}
