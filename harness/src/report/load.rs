//! Finding and loading finished runs.

use crate::launch::{failed, is_run_dir};
use crate::record::Slots;
use crate::score::slots_of;
use anyhow::Context as _;
use contract::frames::{FrameRow, read_frames};
use contract::seal::{self, Seal};
use contract::{Backend, RunKey, RunSpec, Scores, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Seeds of runs that differ from this one in nothing else and failed: their loss patterns are missing where means are formed. Noted
    /// at one run of each group ([`failed::note`]).
    pub failed: Vec<u64>,
    /// Its frame clock; `None`: its `spec.toml` does not say.
    pub clock: Option<Slots>,
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
        Ok(Self {
            dir: dir.to_owned(),
            scores,
            rows,
            stale: crate::launch::stale::marks(dir),
            failed: Vec::new(),
            clock: RunSpec::read(dir).ok().map(|spec| slots_of(&spec)),
        })
    }

    /// When a frame was captured, by the frame clock rather than by its sender's word.
    #[must_use]
    pub fn captured(&self, row: &FrameRow) -> Option<Timestamp> {
        let said = row.capture?;
        Some(self.clock.as_ref().map_or(said, |clock| clock.capture_by_clock(row.frame_id, said)))
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
    /// How many more there are, whose files are damaged, that were never scored, or that failed; each was named on standard error.
    pub left_out: usize,
}

/// All finished runs in `dir` and below, links followed. What is no finished run does not take the others with it: standard error names
/// it. A run that is there twice in virtual time, where it can only be a copy, counts once.
///
/// # Errors
/// When a directory cannot be read, or no run in it can be loaded.
pub fn load_all(dir: &Path) -> anyhow::Result<Loaded> {
    let mut found = Found::default();
    found.collect(dir)?;
    let Found { mut runs, mut damaged, failed, .. } = found;
    let first = (runs.is_empty() && !damaged.is_empty()).then(|| damaged.remove(0));
    damaged.iter().for_each(|why| eprintln!("freezeframe: left out: {}", contract::said(&**why)));
    if let Some(why) = first {
        return Err(why);
    }
    once(&mut runs);
    let failed = failed::note(&mut runs, failed);
    Ok(Loaded { runs, left_out: damaged.len() + failed })
}

/// Of runs with equal keys in virtual time the first stays. On the wall clock the same again is another measurement.
fn once(runs: &mut Vec<Run>) {
    let mut known: BTreeMap<RunKey, PathBuf> = BTreeMap::new();
    runs.retain(|run| {
        if run.scores.key.backend != Backend::Virtual {
            return true;
        }
        let Some(first) = known.get(&run.scores.key) else {
            known.insert(run.scores.key.clone(), run.dir.clone());
            return true;
        };
        let name = |dir: &Path| contract::text::line(&dir.display().to_string());
        eprintln!(
            "freezeframe: {} is the same run as {} (equal keys) and is not counted again",
            name(&run.dir),
            name(first)
        );
        false
    });
}

/// As [`load_all`], over several directories.
///
/// # Errors
/// When a directory cannot be read, no run in one of them can be loaded, or there is no finished run in any.
pub fn load_folders(dirs: &[PathBuf]) -> anyhow::Result<Loaded> {
    let mut all = Loaded::default();
    for dir in dirs {
        let Loaded { runs, left_out } = load_all(dir)?;
        all.runs.extend(runs);
        all.left_out += left_out;
    }
    once(&mut all.runs);
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

/// What lies in a directory and below.
#[derive(Default)]
struct Found {
    runs: Vec<Run>,
    damaged: Vec<anyhow::Error>,
    failed: Vec<PathBuf>,
    /// Directories that have been looked at, without links: a link may lead back.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    fn collect(&mut self, dir: &Path) -> anyhow::Result<()> {
        if let Ok(real) = dir.canonicalize()
            && !self.seen.insert(real)
        {
            return Ok(());
        }
        if was_finished(dir) {
            match Run::load(dir) {
                Ok(run) => self.runs.push(run),
                Err(why) => self.damaged.push(why),
            }
            return Ok(()); // runs do not nest
        }
        if is_run_dir(dir) {
            let name = dir.display();
            self.damaged
                .push(anyhow::anyhow!("{name} is not scored yet; `freezeframe score {name}` does that"));
            return Ok(());
        }
        let entries = std::fs::read_dir(dir)
            .with_context(|| format!("failed to read the directory {}", dir.display()))
            .map_err(|e| crate::BadInput(contract::said(&*e)))?;
        let mut children: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let path =
                entry.with_context(|| format!("failed to read the directory {}", dir.display()))?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name == failed::FOLDER) {
                self.failed.push(path);
            } else if path.is_dir() && !is_hidden(&path) {
                children.push(path);
            }
        }
        children.sort();
        children.iter().try_for_each(|child| self.collect(child))
    }
}
