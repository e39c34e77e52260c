//! A run in virtual time: one child that simulates both ends.

use super::child::{Running, command};
use crate::bad_input;
use anyhow::Result;
use contract::{Manifest, RunSpec};
use std::path::Path;
use std::time::Duration;

/// Real time that a simulated frame may take before the system counts as hung: slow encoders on slow machines.
const PER_FRAME: Duration = Duration::from_secs(2);
/// The same for everything else.
const START_UP: Duration = Duration::from_secs(120);

/// Runs `spec` in `run_dir`.
pub fn run(spec: &RunSpec, manifest: &Manifest, run_dir: &Path) -> Result<()> {
    if !manifest.simulate {
        bad_input!("{} has no virtual-time mode; use --backend namespaces", manifest.name);
    }
    let dir = run_dir.to_string_lossy();
    let mut child = Running::start(&spec.system, command(manifest, &["simulate", &dir])?)?;
    child.wait(START_UP + PER_FRAME * spec.clip.frames)
}
