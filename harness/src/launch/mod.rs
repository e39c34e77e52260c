//! One run: resolve what was asked for, launch the system, wait, and leave a complete run directory or none.
//!
//! | room | what |
//! |---|---|
//! | [`request`] | what a user asks for, resolved into a [`RunSpec`] |
//! | [`clip`] | clips: files, the embedded people, what is done to them |
//! | [`simulated`] | virtual time: one child process |
//! | [`lab`] | namespaces: two children, the emulator between them |
//! | [`playable`] | what was on the screen, as an ordinary video file |
//! | [`child`] | children: control lines, time limits, no orphans |

pub mod child;
pub mod clip;
pub mod lab;
pub mod playable;
pub mod request;
pub mod simulated;

pub use request::Request;

use crate::bad_input;
use anyhow::{Context, Result};
use contract::lock::Lock;
use contract::{Backend, RunSpec, spec};
use std::fs;
use std::path::{Path, PathBuf};

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launched {
    /// It ran now.
    Fresh,
    /// The directory held the same run, finished; nothing was done.
    Kept,
}

/// Keeps other processes and threads away from a run directory until it is dropped; `None` where there is no place for the
/// lock, which is in the cache folder so that nothing but results lies among the runs.
///
/// # Errors
/// [`child::Interrupted`] while waiting.
pub fn hold(run_dir: &Path) -> Result<Option<Lock>> {
    let Ok(cache) = clip::cache_dir() else { return Ok(None) };
    // The directory may not be there yet, but its parents' links count.
    let full = std::path::absolute(run_dir)?;
    let known = full.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
    let real = known.map_or(full.clone(), |(a, real)| real.join(full.strip_prefix(a).unwrap_or(&full)));
    let name = xxhash_rust::xxh3::xxh3_128(real.as_os_str().as_encoded_bytes());
    match Lock::take(&cache.join("locks").join(format!("{name:032x}.lock")), &child::interrupted) {
        Ok(None) => Err(child::Interrupted.into()),
        Ok(held) => Ok(held),
        Err(_) => Ok(None),
    }
}

/// Runs `spec` into `run_dir`. A directory that already holds the same finished run is kept when `resume`.
///
/// Everything is written beside the final place and moved there at the end, so that a run directory is complete
/// whenever it exists.
pub fn launch(
    spec: &RunSpec,
    manifest: &contract::Manifest,
    run_dir: &Path,
    resume: bool,
) -> Result<Launched> {
    if run_dir.exists() {
        let earlier = RunSpec::read(run_dir).ok();
        if earlier.is_none() && fs::read_dir(run_dir).is_ok_and(|mut d| d.next().is_some()) {
            bad_input!("{} exists and is no run directory; choose another --out", run_dir.display());
        }
        if resume && earlier.as_ref().is_some_and(|e| is_same_run(e, spec)) {
            return Ok(Launched::Kept);
        }
    }
    let partial = partial_path(run_dir);
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).with_context(|| format!("failed to create {}", partial.display()))?;
    spec.write(&partial)?;
    let result = match spec.backend {
        Backend::Virtual => simulated::run(spec, manifest, &partial),
        Backend::Namespaces => lab::run(spec, manifest, &partial),
    };
    if let Err(error) = result {
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    if run_dir.exists() {
        fs::remove_dir_all(run_dir).with_context(|| format!("failed to replace {}", run_dir.display()))?;
    }
    fs::rename(&partial, run_dir)
        .with_context(|| format!("failed to move the run to {}", run_dir.display()))?;
    Ok(Launched::Fresh)
}

/// Same condition, whatever the command line was.
fn is_same_run(a: &RunSpec, b: &RunSpec) -> bool {
    // The depth camera matters to scoring alone.
    let plain = |s: &RunSpec| RunSpec {
        replay: String::new(),
        cache: None,
        clip: contract::ClipSpec { depth_fov_degrees: None, ..s.clip.clone() },
        ..s.clone()
    };
    plain(a) == plain(b)
}

fn partial_path(run_dir: &Path) -> PathBuf {
    let name = run_dir.file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy().into_owned());
    run_dir.with_file_name(format!(".{name}.partial"))
}

/// Files of a run directory that a re-run replaces; used in messages and by `score`.
#[must_use]
pub fn is_run_dir(path: &Path) -> bool {
    path.join(spec::FILE_NAME).is_file()
}
