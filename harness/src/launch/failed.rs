//! What stays of a run that failed: `.failed/NAME` beside the run directory, with the events so far, the words of both ends, the ledger
//! and the emulator's counts. No report and no sweep takes it for a run: names that begin with a point are skipped.

use super::child::{Failure, Interrupted};
use super::files::{EndFiles, write_new};
use super::remove::remove_tree;
use contract::Manifest;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the folder.
pub const FOLDER: &str = ".failed";

/// Keeps what is in `partial`, and gives the error with the place in it. A run that was interrupted, or could not begin because
/// of what was asked for, leaves nothing.
#[must_use]
pub fn keep(error: anyhow::Error, partial: &Path, run_dir: &Path, manifest: &Manifest) -> anyhow::Error {
    let nothing_to_see = error.chain().any(|e| e.is::<Interrupted>() || e.is::<crate::BadInput>());
    if nothing_to_see {
        give_up(partial);
        return error;
    }
    for end in [EndFiles::sender(partial), EndFiles::receiver(partial), EndFiles::simulated(partial)] {
        end.salvage(partial, &manifest.limits);
    }
    let code = error.chain().find_map(|e| e.downcast_ref::<Failure>()).map_or("failed", |f| f.code);
    let failure = json!({"code": code, "text": contract::text::lines(&format!("{error:#}"))});
    let _ = write_new(&partial.join("failure.json"), format!("{failure:#}\n").as_bytes());
    match move_away(partial, run_dir) {
        Some(kept) => error.context(format!("the run failed; {} keeps what it left", kept.display())),
        None => {
            give_up(partial);
            error
        }
    }
}

fn give_up(folder: &Path) {
    if let Err(why) = remove_tree(folder) {
        eprintln!("{} could not be removed ({why}); remove it by hand", folder.display());
    }
}

fn move_away(partial: &Path, run_dir: &Path) -> Option<PathBuf> {
    let folder = run_dir.with_file_name(FOLDER);
    let kept = folder.join(run_dir.file_name()?);
    fs::create_dir_all(&folder).ok()?;
    give_up(&kept);
    fs::rename(partial, &kept).ok()?;
    Some(kept)
}
