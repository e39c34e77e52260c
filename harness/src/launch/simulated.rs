//! A run in virtual time: one process that simulates both ends, a worker's for this project's own systems, else one of its own.

use super::child::{Failure, Running, command};
use super::files::{EndFiles, write_new};
use super::sandbox::{Part, RunPlaces, Surroundings, isolation, not_isolated};
use super::traffic::Traffic;
use super::worker;
use crate::bad_input;
use crate::record::{EventsError, Finding, read_events, read_fates};
use anyhow::Result;
use contract::scores::Health;
use contract::{Manifest, RunSpec};
use std::path::Path;
use std::time::Duration;

/// Real time that a simulated frame may take before the system counts as hung: slow encoders on slow machines.
const PER_FRAME: Duration = Duration::from_secs(2);
/// The same for everything else.
const START_UP: Duration = Duration::from_secs(120);

/// Runs `spec` in `run_dir`, which will be moved to `final_dir`.
///
/// One process is both ends here, so that nothing but its word says what crossed between them. What the harness can prove it
/// does: the ledger is computed again from the link model when the run is scored. A plug-in's run says that it is self-reported.
pub fn run(spec: &RunSpec, manifest: &Manifest, run_dir: &Path, final_dir: &Path) -> Result<()> {
    if !manifest.simulate {
        bad_input!("{} has no virtual-time mode; use --backend namespaces", manifest.name);
    }
    let files = EndFiles::simulated(run_dir);
    let cache = spec.cache.clone().filter(|_| manifest.is_shipped());
    files.prepare(&RunSpec { cache, ..spec.clone() })?;
    let limit =
        manifest.limits.simulate_s.map_or(START_UP + PER_FRAME * spec.clip.frames, Duration::from_secs);
    if !worker::simulate(manifest, files.folder(), limit)? {
        alone(spec, manifest, &files, [run_dir, final_dir], limit)?;
    }
    files.collect(run_dir, &manifest.limits)?;
    if !manifest.is_shipped() {
        readable(run_dir)?;
        let traffic = Traffic::of(spec, run_dir)?;
        let found = traffic.setup(manifest);
        let outside = traffic.outside(spec, manifest);
        let warnings = found.iter().chain(&outside).map(Finding::to_warning);
        let health = Health {
            valid: found.is_none(),
            problems: found.iter().map(ToString::to_string).collect(),
            isolation: isolation(),
            self_reported: true,
            findings: not_isolated(manifest).into_iter().chain(warnings).collect(),
            ..Health::default()
        };
        write_new(&run_dir.join("health.json"), serde_json::to_string_pretty(&health)?.as_bytes())?;
    }
    Ok(())
}

/// In a process of its own, in a sandbox.
fn alone(
    spec: &RunSpec,
    manifest: &Manifest,
    files: &EndFiles,
    hidden: [&Path; 2],
    limit: Duration,
) -> Result<()> {
    let command = command(manifest, &["simulate", &files.folder().to_string_lossy()])?;
    let run = RunPlaces { spec, own: files.folder(), hidden };
    let surroundings = Surroundings::of(manifest, Part::Simulate, Some(run), &run.spec.options)?;
    let log = hidden[0].join("system.log");
    let mut child = Running::start(&spec.system, command, &surroundings, None, Some(&log))?;
    child.wait(limit, &mut |_| ())?;
    drop(child);
    if std::fs::metadata(&log).is_ok_and(|m| m.len() == 0) {
        let _ = std::fs::remove_file(&log);
    }
    Ok(())
}

/// Whether each line that a system wrote is what it should be.
fn readable(run_dir: &Path) -> Result<()> {
    let bad = |e: EventsError| Failure::error("bad_events", contract::said(&e));
    for event in read_events(&run_dir.join("events.jsonl")).map_err(bad)? {
        event.map_err(bad)?;
    }
    for record in read_fates(&run_dir.join("fates.jsonl")).map_err(bad)? {
        record.map_err(bad)?;
    }
    Ok(())
}
