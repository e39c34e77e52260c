//! One run: resolve what was asked for, launch the system, wait, and leave a complete run directory or none.
//!
//! | module | what |
//! |---|---|
//! | [`request`] | what a user asks for, resolved into a [`RunSpec`] |
//! | [`identity`] | what a run is made with: program, weights, encoders, machine |
//! | [`stale`] | whether a finished run is still what would be run now |
//! | [`clip`] | clips: files, the embedded people, what is done to them |
//! | [`simulated`] | virtual time: one process |
//! | [`traffic`] | what crossed the path outside of the clip's window |
//! | [`worker`] | processes that simulate one run after the other, for this project's own systems |
//! | [`described`] | what systems say of themselves, kept |
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
pub mod described;
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
pub mod traffic;
pub mod worker;

pub use child::program_beside;
pub use request::Request;

use crate::bad_input;
use anyhow::{Context, Result};
use contract::lock::Lock;
use contract::seal::{self, Seal};
use contract::{Backend, Manifest, RunSpec, spec};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
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
pub fn launch(spec: &RunSpec, manifest: &Manifest, run_dir: &Path) -> Result<()> {
    if !is_run_dir(run_dir) && fs::read_dir(run_dir).is_ok_and(|mut d| d.next().is_some()) {
        bad_input!("{} exists and is no run directory; choose another --out", run_dir.display());
    }
    let partial = partial_path(run_dir, manifest);
    remove::remove_tree(&partial).with_context(|| {
        format!("failed to remove {}, which a run left that was cut off", partial.display())
    })?;
    fs::create_dir_all(&partial).with_context(|| format!("failed to create {}", partial.display()))?;
    spec.write(&partial)?;
    let result = match spec.backend {
        Backend::Virtual => simulated::run(spec, manifest, &partial, run_dir),
        Backend::Namespaces => lab::run(spec, manifest, &partial, run_dir),
    };
    let sealed = result.and_then(|()| Ok(Seal::evidence(&partial)?));
    if let Err(error) = sealed {
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

/// Where a run is made: the same place for the same run, so that what a killed one has left is found. A plug-in sees this name, from
/// which it must not learn the seed that stands in the run directory's own: it is hashed with a number that only this user knows.
fn partial_path(run_dir: &Path, manifest: &Manifest) -> PathBuf {
    let name = run_dir.file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy().into_owned());
    let secret = if manifest.is_shipped() { None } else { secret() };
    let name = match secret {
        Some(mut secret) => {
            secret.extend(name.as_bytes());
            format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&secret))
        }
        None => name,
    };
    run_dir.with_file_name(format!(".{name}.partial"))
}

/// 32 random bytes, made once and kept in the cache folder, which no plug-in sees; `None` where nothing can be kept there.
fn secret() -> Option<Vec<u8>> {
    let path = clip::cache_dir().ok()?.join("secret");
    let read = || fs::read(&path).ok().filter(|bytes| bytes.len() == 32);
    read().or_else(|| {
        let mut bytes = vec![0; 32];
        fs::File::open("/dev/urandom").ok()?.read_exact(&mut bytes).ok()?;
        fs::create_dir_all(path.parent()?).ok()?;
        files::write_new(&path, &bytes).ok()?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).ok()?;
        read()
    })
}

/// Whether a directory is a run's, whole or damaged: a re-run replaces it. One file of a run may have been lost.
#[must_use]
pub fn is_run_dir(path: &Path) -> bool {
    let has = |name: &&&str| path.join(name).is_file();
    [spec::FILE_NAME, seal::FILE_NAME].iter().any(|name| has(&name))
        || ["events.jsonl", "fates.jsonl", "frames.csv", "scores.json"].iter().filter(has).count() > 1
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
