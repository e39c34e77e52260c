//! What a system must not see among what it is shown: copies, found by size and then by content, and earlier runs.

use super::child::{Interrupted, interrupted};
use crate::bad_input;
use anyhow::Result;
use netns::sandbox::System;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Every file of `shown` and below, and of the machine's own folders if `system`, with the content of one of `originals`; and every
/// run directory below `shown`.
///
/// # Errors
/// When a folder cannot be searched whole.
pub fn copies(shown: &[PathBuf], system: bool, originals: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let metadata = originals.iter().filter_map(|o| fs::metadata(o).ok());
    // An empty file is no copy of anything.
    let sizes: BTreeSet<u64> = metadata.filter(|m| m.is_file() && m.len() > 0).map(|m| m.len()).collect();
    let (mut candidates, runs) = search(shown, &sizes)?;
    if system && !sizes.is_empty() {
        candidates.extend(in_the_system(&sizes)?);
    }
    candidates.retain(|path| originals.iter().any(|o| same_content(o, path)));
    candidates.extend(runs);
    Ok(candidates)
}

/// The machine's own folders are searched once for each set of sizes: they have a hundred thousand files and more, and do not change
/// during a sweep.
fn in_the_system(sizes: &BTreeSet<u64>) -> Result<Vec<PathBuf>> {
    static FOUND: Mutex<BTreeMap<BTreeSet<u64>, Vec<PathBuf>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = found.get(sizes) {
        return Ok(known.clone());
    }
    // `/bin` is `/usr/bin` on many machines.
    let folders: BTreeSet<PathBuf> =
        System::FOLDERS.iter().filter_map(|f| Path::new(f).canonicalize().ok()).collect();
    let apart: Vec<PathBuf> =
        folders.iter().filter(|f| !folders.iter().any(|o| o != *f && f.starts_with(o))).cloned().collect();
    let (paths, _) = search(&apart, sizes)?;
    found.insert(sizes.clone(), paths.clone());
    Ok(paths)
}

/// Plain files that have one of these sizes; and what lies below and is a run directory, or one of a run that failed.
fn search(places: &[PathBuf], sizes: &BTreeSet<u64>) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut found, mut runs, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    for place in places {
        match fs::metadata(place) {
            Ok(m) if m.is_dir() => folders.push(place.clone()),
            Ok(m) if m.is_file() && sizes.contains(&m.len()) => found.push(place.clone()),
            _ => {}
        }
    }
    while let Some(folder) = folders.pop() {
        if interrupted() {
            return Err(Interrupted.into());
        }
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::InvalidFilename => bad_input!(
                "{}...: folders there are nested deeper than a path can be long, so that they cannot be searched for copies of the clip; \
                 show the system less (`read`, docs/PLUGIN.md), or remove them",
                folder.display().to_string().chars().take(200).collect::<String>()
            ),
            entries => entries,
        };
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata().is_ok_and(|m| sizes.contains(&m.len())) {
                found.push(entry.path());
            }
            if entry.file_name() == contract::spec::FILE_NAME && !places.contains(&folder) {
                let of_a_run = ["events.jsonl", "fates.jsonl", "failure.json", "scores.json"];
                if of_a_run.iter().any(|name| folder.join(name).exists()) {
                    runs.push(folder.clone());
                }
            }
        }
    }
    Ok((found, runs))
}

fn same_content(a: &Path, b: &Path) -> bool {
    let compare = || -> std::io::Result<bool> {
        let (mut a, mut b) = (File::open(a)?, File::open(b)?);
        let (mut of_a, mut of_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            let n = a.read(&mut of_a)?;
            if n == 0 {
                return Ok(b.read(&mut of_b)? == 0);
            }
            b.read_exact(&mut of_b[..n])?;
            if of_a[..n] != of_b[..n] {
                return Ok(false);
            }
        }
    };
    compare().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_found_behind_any_number_of_files_and_a_neighbour_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let clip = path("clip");
        let shown = path("shown");
        fs::create_dir_all(shown.join("a/b")).unwrap();
        fs::create_dir_all(shown.join("z")).unwrap();
        fs::write(&clip, "the clip").unwrap();
        for i in 0..25_000 {
            File::create(shown.join(format!("a/{i}"))).unwrap();
        }
        fs::write(shown.join("a/b/spec.toml"), "the clip").unwrap();
        fs::write(shown.join("z/other"), "the clap").unwrap();
        fs::write(shown.join("z/short"), "the cli").unwrap();
        std::os::unix::fs::symlink(&clip, shown.join("z/link")).unwrap();
        let found = copies(std::slice::from_ref(&shown), false, std::slice::from_ref(&clip)).unwrap();
        assert_eq!(found, [shown.join("a/b/spec.toml")]);
        // An earlier run is hidden, what only looks like one is not.
        for (folder, file) in [("run", "scores.json"), (".failed/run", "failure.json"), ("none", "other")] {
            fs::create_dir_all(shown.join(folder)).unwrap();
            fs::write(shown.join(folder).join("spec.toml"), "x").unwrap();
            fs::write(shown.join(folder).join(file), "x").unwrap();
        }
        let mut found = copies(std::slice::from_ref(&shown), false, std::slice::from_ref(&clip)).unwrap();
        found.sort();
        assert_eq!(found, [shown.join(".failed/run"), shown.join("a/b/spec.toml"), shown.join("run")]);
        // A file that is shown by itself, too.
        let alone = path("alone");
        fs::hard_link(&clip, &alone).unwrap();
        assert_eq!(copies(std::slice::from_ref(&alone), false, &[clip]).unwrap(), [alone]);
    }
}
