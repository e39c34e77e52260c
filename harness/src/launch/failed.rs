//! What stays of a run that failed: `.failed/NAME` beside the run directory, with the events so far, the words of both ends, the ledger
//! and the emulator's counts. No report and no sweep takes it for a run; reports say that it is missing.

use super::child::{Failure, Interrupted};
use super::files::{EndFiles, write_new};
use super::remove::remove_tree;
use crate::report::load::Run;
use contract::{Manifest, RunKey, RunSpec};
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

/// Notes at one run of each group of `runs` which seeds are missing because they failed, by the folders `.failed` beside them, and names all
/// on standard error. One that was done again since is none. Gives how many there are.
pub fn note(runs: &mut [Run], folders: Vec<PathBuf>) -> usize {
    let key = |run: &Run| run.scores.key.without_revision();
    let mut named = Vec::new();
    for (folder, key_of) in folders.into_iter().flat_map(|f| all_in(&f)) {
        if runs.iter().any(|run| key(run) == key_of) {
            continue;
        }
        let group = key_of.without_seed();
        if let Some(run) = runs.iter_mut().find(|run| key(run).without_seed() == group) {
            run.failed.push(key_of.seed);
        }
        named.push(folder);
    }
    if !named.is_empty() {
        let names: Vec<String> = named.iter().take(5).map(|n| n.display().to_string()).collect();
        let more = if named.len() > names.len() { ", …" } else { "" };
        eprintln!(
            "freezeframe: {} failed and are in no mean (failure.json says why): {}{more}",
            if named.len() == 1 { "1 run".to_owned() } else { format!("{} runs", named.len()) },
            contract::text::line(&names.join(", "))
        );
    }
    named.len()
}

/// What is kept in a folder, and which runs they were.
fn all_in(folder: &Path) -> Vec<(PathBuf, RunKey)> {
    let mut kept: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    kept.sort();
    let of = |path: PathBuf| {
        let key = RunKey::of(&RunSpec::read(&path).ok()?);
        path.join("failure.json").is_file().then(|| (path, key.without_revision()))
    };
    kept.into_iter().filter_map(of).collect()
}
