//! What a process of a run may write, and how it comes out of there: a folder of its own, from which the harness takes the files
//! of the contract and nothing else.

use super::child::Failure;
use super::remove::remove_tree;
use anyhow::{Context, Result};
use contract::{Limits, RunSpec};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder of one process of a run.
#[derive(Clone, Debug)]
pub struct EndFiles {
    name: &'static str,
    folder: PathBuf,
    /// It must leave these.
    required: &'static [&'static str],
    /// It may leave these.
    optional: &'static [&'static str],
}

/// What a folder's owner needs to see what is in it.
pub(super) const OPEN: u32 = 0o500;

const PICTURES: [&str; 6] = [
    "rendered.rgb.units",
    "rendered.rgb.mkv",
    "rendered.rgb.y4m",
    "rendered.depth.units",
    "rendered.depth.mkv",
    "rendered.depth.y4m",
];

impl EndFiles {
    /// Of the sender of a run in `run_dir`.
    #[must_use]
    pub fn sender(run_dir: &Path) -> Self {
        Self::new("sender", run_dir, &["events.sender.jsonl"], &[])
    }

    /// Of its receiver.
    #[must_use]
    pub fn receiver(run_dir: &Path) -> Self {
        Self::new("receiver", run_dir, &["events.receiver.jsonl"], &PICTURES)
    }

    /// Of either end of an app, whose word nobody takes.
    #[must_use]
    pub fn of_an_app(name: &'static str, run_dir: &Path) -> Self {
        Self::new(name, run_dir, &[], &[])
    }

    /// Of a system that simulates both.
    #[must_use]
    pub fn simulated(run_dir: &Path) -> Self {
        const MAY: [&str; 7] =
            [PICTURES[0], PICTURES[1], PICTURES[2], PICTURES[3], PICTURES[4], PICTURES[5], "profile.json"];
        Self::new("system", run_dir, &["events.jsonl", "fates.jsonl"], &MAY)
    }

    fn new(
        name: &'static str,
        run_dir: &Path,
        required: &'static [&'static str],
        optional: &'static [&'static str],
    ) -> Self {
        let folder = std::path::absolute(run_dir.join(name)).unwrap_or_else(|_| run_dir.join(name));
        Self { name, folder, required, optional }
    }

    /// Where the process writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, with the run as the process is to see it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(&self, spec: &RunSpec) -> Result<()> {
        fs::create_dir(&self.folder)
            .with_context(|| format!("failed to create {}", self.folder.display()))?;
        Ok(spec.write(&self.folder)?)
    }

    /// Moves what the contract names into `run_dir` and removes the rest. Only once every process that could write there is gone.
    ///
    /// # Errors
    /// When something required is missing, or is not a plain file of its own.
    pub fn collect(&self, run_dir: &Path, limits: &Limits) -> Result<()> {
        let mode = fs::symlink_metadata(&self.folder).map_or(0, |m| m.mode());
        if mode & OPEN != OPEN {
            let text = format!("the {} closed its run folder (mode {:o})", self.name, mode & 0o7777);
            return Err(Failure::error("bad_file", text));
        }
        for name in self.required.iter().chain(self.optional) {
            let from = self.folder.join(name);
            let Ok(found) = fs::symlink_metadata(&from) else {
                if self.required.contains(name) {
                    return Err(Failure::error(
                        "file_missing",
                        format!("the {} left no {name} in its run folder (docs/PLUGIN.md)", self.name),
                    ));
                }
                continue;
            };
            let wrong = if !found.is_file() {
                Some("a link, a folder or another thing that is no file")
            } else if found.nlink() != 1 {
                Some("a second name of another file")
            } else if name.starts_with("events") && found.len() > limits.events_mb << 20 {
                Some("larger than limits.events_mb of the manifest")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                return Err(Failure::error("bad_file", format!("the {} left {name} as {wrong}", self.name)));
            }
            let to = run_dir.join(name);
            fs::rename(&from, &to).with_context(|| format!("failed to move {}", from.display()))?;
            ours(&to).with_context(|| format!("failed to open {}", to.display()))?;
        }
        remove_tree(&self.folder).with_context(|| format!("failed to remove {}", self.folder.display()))
    }

    /// The same for a run that failed: events so far, no pictures, no complaint.
    pub fn salvage(&self, run_dir: &Path, limits: &Limits) {
        // Whatever it was closed with.
        if fs::symlink_metadata(&self.folder).is_ok_and(|m| m.is_dir()) {
            let _ = fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700));
        }
        for name in self.required {
            let from = self.folder.join(name);
            let plain = fs::symlink_metadata(&from)
                .is_ok_and(|m| m.is_file() && m.nlink() == 1 && m.len() <= limits.events_mb << 20);
            if plain {
                let to = run_dir.join(name);
                let _ = fs::rename(&from, &to).and_then(|()| ours(&to));
            }
        }
        if let Err(why) = remove_tree(&self.folder) {
            eprintln!("{} could not be removed ({why}); remove it by hand", self.folder.display());
        }
    }
}

/// A plain file that a system's user has left becomes this process's.
fn ours(path: &Path) -> std::io::Result<()> {
    let me = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let found = fs::symlink_metadata(path)?;
    if (found.uid(), found.gid()) != me {
        std::os::unix::fs::lchown(path, Some(me.0), Some(me.1))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

/// [`contract::write_whole`], with the path in the error.
///
/// # Errors
/// When it cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> Result<()> {
    contract::write_whole(path, content).with_context(|| format!("failed to write {}", path.display()))
}
