//! Finding and loading finished runs.

use crate::launch::is_run_dir;
use anyhow::Context as _;
use contract::frames::{FrameRow, read_frames};
use contract::seal::{self, Seal};
use contract::{Scores, Stream};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its directory.
    pub dir: PathBuf,
    /// Its `scores.json`.
    pub scores: Scores,
    /// Its `frames.csv`.
    pub rows: Vec<FrameRow>,
    /// Why its results are not those of today, if somebody chose to keep them all the same.
    pub stale: Vec<String>,
}

impl Run {
    /// Loads one run directory.
    ///
    /// # Errors
    /// When a file is missing, has changed since it was written, or makes no sense (the message names it and what to do).
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        seal::check(dir)?;
        let scores = Scores::read(&dir.join("scores.json"))?;
        let path = dir.join("frames.csv");
        let file = File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
        let rows = read_frames(BufReader::new(file))
            .with_context(|| format!("failed to read {}", path.display()))?;
        Ok(Self { dir: dir.to_owned(), scores, rows, stale: crate::launch::stale::marks(dir) })
    }

    /// Rows of one stream, in frame order.
    pub fn stream(&self, stream: Stream) -> impl Iterator<Item = &FrameRow> {
        self.rows.iter().filter(move |r| r.stream == stream)
    }

    /// Streams that it has, colour first.
    pub fn streams(&self) -> impl Iterator<Item = Stream> {
        self.scores.streams.keys().copied()
    }
}

/// What [`load_all`] found.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// In the order of their paths.
    pub runs: Vec<Run>,
    /// How many more there are, whose files are damaged; each was named on standard error.
    pub damaged: usize,
}

/// All finished runs in `dir` and below. A run that was never scored is not finished. One that is damaged does not take the
/// others with it: standard error names it.
///
/// # Errors
/// When a directory cannot be read, or no run in it can be loaded.
pub fn load_all(dir: &Path) -> anyhow::Result<Loaded> {
    let (mut runs, mut damaged) = (Vec::new(), Vec::new());
    collect(dir, &mut runs, &mut damaged)?;
    let first = (runs.is_empty() && !damaged.is_empty()).then(|| damaged.remove(0));
    damaged.iter().for_each(|why| eprintln!("freezeframe: left out: {}", contract::said(&**why)));
    match first {
        Some(why) => Err(why),
        None => Ok(Loaded { runs, damaged: damaged.len() }),
    }
}

/// As [`load_all`], over several directories.
///
/// # Errors
/// When a directory cannot be read, no run in one of them can be loaded, or there is no finished run in any.
pub fn load_folders(dirs: &[PathBuf]) -> anyhow::Result<Loaded> {
    let mut all = Loaded::default();
    for dir in dirs {
        let Loaded { runs, damaged } = load_all(dir)?;
        all.runs.extend(runs);
        all.damaged += damaged;
    }
    if all.runs.is_empty() {
        crate::bad_input!(
            "no finished run (a directory with scores.json) there; `freezeframe score` makes them"
        );
    }
    Ok(all)
}

/// Whether a directory is one of a run whose scores were written, here or not.
fn was_finished(dir: &Path) -> bool {
    dir.join("scores.json").is_file() || Seal::read(dir).is_ok_and(|seal| seal.has_results())
}

/// Runs in the making are in directories whose names begin with a point.
#[must_use]
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn collect(dir: &Path, runs: &mut Vec<Run>, damaged: &mut Vec<anyhow::Error>) -> anyhow::Result<()> {
    if was_finished(dir) {
        match Run::load(dir) {
            Ok(run) => runs.push(run),
            Err(why) => damaged.push(why),
        }
        return Ok(()); // runs do not nest
    }
    if is_run_dir(dir) {
        return Ok(()); // not scored yet
    }
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("failed to read the directory {}", dir.display()))
        .map_err(|e| crate::BadInput(contract::said(&*e)))?;
    let mut children: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("failed to read the directory {}", dir.display()))?.path();
        if path.is_dir() && !path.is_symlink() && !is_hidden(&path) {
            children.push(path);
        }
    }
    children.sort();
    children.iter().try_for_each(|child| collect(child, runs, damaged))
}
