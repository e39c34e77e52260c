//! One run: resolve what was asked for, launch the system, wait, and leave a complete run directory or none.
//!
//! | module | what |
//! |---|---|
//! | [`request`] | what a user asks for, resolved into a [`RunSpec`] |
//! | [`identity`] | what a run is made with: program, weights, encoders, machine |
//! | [`stale`] | whether a finished run is still what would be run now |
//! | [`clip`] | clips: files, the embedded people, what is done to them |
//! | [`simulated`] | virtual time: one child process |
//! | [`lab`] | namespaces: two children, the emulator between them |
//! | [`playable`] | what was on the screen, as an ordinary video file |
//! | [`child`] | children: control lines, limits on what they say and store, no orphans |
//! | [`sandbox`] | what a child may see |
//! | [`copies`] | copies of what a child must not see |
//! | [`files`] | what a child may write, and how it comes out of there |
//! | [`remove`] | what a child has left is removed, however it is made |
//! | [`failed`] | what stays of a run that failed |

pub mod child;
pub mod clip;
pub mod copies;
pub mod failed;
pub mod files;
pub mod identity;
pub mod lab;
pub mod playable;
pub mod remove;
pub mod request;
pub mod sandbox;
pub mod simulated;
pub mod stale;

pub use child::program_beside;
pub use request::Request;

use crate::bad_input;
use anyhow::{Context, Result};
use contract::lock::Lock;
use contract::{Backend, RunSpec, spec};
use std::fs;
use std::path::{Path, PathBuf};

/// Keeps other processes and threads away from a run directory until it is dropped. The lock is in the cache folder, so that nothing
/// but results lies among the runs; `None`, and one line that says so, where none can be made there.
///
/// # Errors
/// [`child::Interrupted`] while waiting.
pub fn hold(run_dir: &Path) -> Result<Option<Lock>> {
    let unlocked = |why: &dyn std::fmt::Display| {
        static SAID: std::sync::Once = std::sync::Once::new();
        SAID.call_once(|| {
            eprintln!("no lock on run directories ({why}): do not let two freezeframe processes write into one folder");
        });
        Ok(None)
    };
    let cache = match clip::cache_dir() {
        Ok(cache) => cache,
        Err(why) => return unlocked(&why),
    };
    // The directory may not be there yet, but its parents' links count.
    let full = std::path::absolute(run_dir)?;
    let known = full.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
    let real = known.map_or(full.clone(), |(a, real)| real.join(full.strip_prefix(a).unwrap_or(&full)));
    let name = xxhash_rust::xxh3::xxh3_128(real.as_os_str().as_encoded_bytes());
    match Lock::take(&cache.join("locks").join(format!("{name:032x}.lock")), &child::interrupted) {
        Ok(None) => Err(child::Interrupted.into()),
        Ok(held) => Ok(held),
        Err(why) => unlocked(&format!("{}: {why}", cache.display())),
    }
}

/// Runs `spec` into `run_dir`, in place of a run that may be there.
///
/// Everything is written beside the final place and moved there at the end, so that a run directory is complete
/// whenever it exists. What a failed run has written is kept, in `.failed` beside it.
pub fn launch(spec: &RunSpec, manifest: &contract::Manifest, run_dir: &Path) -> Result<()> {
    if !is_run_dir(run_dir) && fs::read_dir(run_dir).is_ok_and(|mut d| d.next().is_some()) {
        bad_input!("{} exists and is no run directory; choose another --out", run_dir.display());
    }
    let partial = partial_path(run_dir);
    remove::remove_tree(&partial).with_context(|| {
        format!("failed to remove {}, which a run left that was cut off", partial.display())
    })?;
    fs::create_dir_all(&partial).with_context(|| format!("failed to create {}", partial.display()))?;
    spec.write(&partial)?;
    let result = match spec.backend {
        Backend::Virtual => simulated::run(spec, manifest, &partial, run_dir),
        Backend::Namespaces => lab::run(spec, manifest, &partial, run_dir),
    };
    if let Err(error) = result {
        return Err(failed::keep(error, &partial, run_dir, manifest));
    }
    move_into_place(&partial, run_dir)
        .with_context(|| format!("failed to move the run to {}", run_dir.display()))
}

/// Puts `new` where `place` is, in one step: whoever is killed midway leaves the old run or the new one, whole.
fn move_into_place(new: &Path, place: &Path) -> std::io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    if !place.exists() {
        return fs::rename(new, place);
    }
    match renameat2(AT_FDCWD, new, AT_FDCWD, place, RenameFlags::RENAME_EXCHANGE) {
        // What was there is now beside it.
        Ok(()) => fs::remove_dir_all(new),
        // A file system that cannot exchange (some network mounts): the old run goes aside, and comes back if the new one cannot.
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => {
            let aside = new.with_extension("old");
            let _ = fs::remove_dir_all(&aside);
            fs::rename(place, &aside)?;
            if let Err(error) = fs::rename(new, place) {
                fs::rename(&aside, place)?;
                return Err(error);
            }
            fs::remove_dir_all(&aside)
        }
        Err(error) => Err(error.into()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_the_place_of_another_whole() {
        let root = tempfile::tempdir().unwrap();
        let (new, place) = (root.path().join(".a.partial"), root.path().join("a"));
        for (text, had) in [("first", false), ("second", true)] {
            assert_eq!(place.exists(), had);
            fs::create_dir(&new).unwrap();
            fs::write(new.join("x"), text).unwrap();
            move_into_place(&new, &place).unwrap();
            assert_eq!(fs::read_to_string(place.join("x")).unwrap(), text);
            assert!(!new.exists(), "nothing is left beside it");
        }
    }
}
