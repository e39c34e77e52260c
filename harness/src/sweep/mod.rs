//! Sweeps: the runs of a plan, here or on many machines.
//!
//! | file | what |
//! |---|---|
//! | this one | runs side by side on this machine; what is finished stays finished |
//! | [`beside`] | how many of those on the wall clock go side by side |
//! | [`cost`] | what runs have taken, and what others will take by that |
//! | [`shard`] | which part of a plan a machine does, and its record |
//! | [`merge`] | parts in one folder |
//! | [`engine`] | starting the parts elsewhere: Slurm, ssh, Kubernetes |

pub mod beside;
pub mod cost;
pub mod engine;
pub mod merge;
pub mod shard;

use crate::cmd::run::relative_dir;
use crate::launch::child::Interrupted;
use crate::launch::clip::ClipRequest;
use crate::launch::stale::{self, Standing};
use crate::launch::{self, clip};
use crate::plan::Planned;
use crate::score;
use anyhow::{Context, Result};
use contract::scores::Scores;
use contract::{Backend, ClipSpec, Manifest, RunSpec, seal};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The runs of a plan, into one folder.
pub struct Sweep<'a> {
    out: &'a Path,
    scoring: score::Options,
    keep_stale: bool,
    video: bool,
    bar: indicatif::ProgressBar,
    shared: Mutex<Shared>,
}

/// What the runs of a sweep have in common.
#[derive(Default)]
struct Shared {
    clips: BTreeMap<String, ClipSpec>,
    /// Scenarios whose warnings have been printed.
    warned: BTreeSet<String>,
}

/// What there is of a run before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    ToDo,
    /// Another revision's, or a damaged one, which will be replaced.
    Stale,
    /// The run, without scores.
    ToScore,
    /// The run and its scores.
    Finished,
}

/// A stale run can be kept if its files are what was written.
fn is_whole((dir, _): &(PathBuf, Vec<String>)) -> bool {
    seal::check_evidence(dir).is_ok()
}

impl<'a> Sweep<'a> {
    /// Runs go below `out`.
    #[must_use]
    pub fn new(
        out: &'a Path,
        scoring: score::Options,
        keep_stale: bool,
        video: bool,
        bar: indicatif::ProgressBar,
    ) -> Self {
        let scoring = score::Options { shared: Arc::new(score::shared::Shared::of_a_sweep()), ..scoring };
        Self { out, scoring, keep_stale, video, bar, shared: Mutex::default() }
    }

    /// Does all runs, at most `jobs` of those in virtual time at once; what came of each, in the plan's order.
    ///
    /// Runs on the wall clock come last, by themselves, and only as many at once as leave them punctual ([`beside`]). `tell` hears of
    /// each run, by its place, when it is over.
    pub fn all(
        &self,
        runs: &[Planned],
        jobs: usize,
        tell: &(dyn Fn(usize, &Result<PathBuf>) + Sync),
    ) -> Vec<Result<PathBuf>> {
        let (side_by_side, alone): (Vec<usize>, Vec<usize>) =
            (0..runs.len()).partition(|&i| runs[i].request.backend == Backend::Virtual);
        let next = AtomicUsize::new(0);
        let outcomes: Mutex<BTreeMap<usize, Result<PathBuf>>> = Mutex::default();
        let work = || {
            while let Some(&run) = side_by_side.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.one(&runs[run]);
                tell(run, &outcome);
                outcomes.lock().expect("no run panicked").insert(run, outcome);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..jobs.clamp(1, side_by_side.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        let mut outcomes = outcomes.into_inner().expect("no run panicked");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut width = beside::Width::of(cores);
        let mut alone = std::collections::VecDeque::from(alone);
        while !alone.is_empty() {
            let batch: Vec<usize> = alone.drain(..width.now().min(alone.len())).collect();
            let mut worst = None;
            for (run, outcome) in self.batch(runs, &batch) {
                let health = |dir: &PathBuf| Some(Scores::read(&dir.join("scores.json")).ok()?.health);
                let health = outcome.as_ref().ok().and_then(health);
                worst = worst.max(health.as_ref().and_then(beside::lateness));
                let outcome = match (outcome, health) {
                    (Ok(dir), Some(health)) if !health.valid && batch.len() > 1 => {
                        self.again(&runs[run], &dir)
                    }
                    (outcome, _) => outcome,
                };
                tell(run, &outcome);
                outcomes.insert(run, outcome);
            }
            width.learn(worst);
        }
        self.bar.finish_and_clear();
        outcomes.into_values().collect()
    }

    /// These runs, all at once.
    fn batch(&self, runs: &[Planned], batch: &[usize]) -> Vec<(usize, Result<PathBuf>)> {
        if let [run] = *batch {
            return vec![(run, self.one(&runs[run]))];
        }
        std::thread::scope(|scope| {
            let one = |&run: &usize| (run, scope.spawn(move || self.one(&runs[run])));
            let started: Vec<_> = batch.iter().map(one).collect();
            let ended = started.into_iter().map(|(run, thread)| {
                let panicked = |_| Err(anyhow::anyhow!("the thread of this run panicked"));
                (run, thread.join().unwrap_or_else(panicked))
            });
            ended.collect()
        })
    }

    /// A run that was invalid beside others, once more by itself.
    fn again(&self, planned: &Planned, dir: &Path) -> Result<PathBuf> {
        self.say(&format!("again, by itself: {}: it was invalid beside others", dir.display()));
        let held = launch::hold(dir)?;
        std::fs::remove_dir_all(dir).with_context(|| format!("failed to remove {}", dir.display()))?;
        drop(held);
        self.run_and_score(planned)
    }

    /// One run, and a line if it fails.
    fn one(&self, planned: &Planned) -> Result<PathBuf> {
        self.bar.set_message(format!("{} {}", planned.request.scenario, planned.request.system));
        let outcome = self.run_and_score(planned);
        if let Err(error) = &outcome
            && !error.is::<Interrupted>()
        {
            let word = if planned.optional { "left out" } else { "failed" };
            let what = planned.request.replay().unwrap_or_else(|_| format!("{:?}", planned.request));
            self.say(&format!("{word}: {what}\n  {}", contract::said(&**error)));
        }
        self.bar.inc(1);
        outcome
    }

    /// The run, resolved, and where it goes.
    ///
    /// # Errors
    /// When it cannot be: the machine lacks something, or the plan is wrong.
    pub fn resolve(&self, planned: &Planned) -> Result<(RunSpec, Manifest, PathBuf)> {
        let (spec, manifest) = planned.request.resolve(self.clip(&planned.request.clip)?)?;
        let dir = self.out.join(relative_dir(&spec));
        Ok((spec, manifest, dir))
    }

    /// What there is of a resolved run.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn state(&self, spec: &RunSpec, dir: &Path) -> Result<State> {
        Ok(match stale::standing(dir, spec) {
            Standing::Nothing => State::ToDo,
            Standing::Stale(stale) if self.keep_stale && stale.iter().any(is_whole) => State::Finished,
            Standing::Stale(_) | Standing::Damaged(_) => State::Stale,
            Standing::Same if score::lacks(dir, &mut self.scoring.clone())?.is_some() => State::ToScore,
            Standing::Same => State::Finished,
        })
    }

    fn run_and_score(&self, planned: &Planned) -> Result<PathBuf> {
        if launch::child::interrupted() {
            return Err(Interrupted.into());
        }
        let (spec, manifest, dir) = self.resolve(planned)?;
        if self.shared.lock().expect("no run panicked").warned.insert(spec.scenario.content_hash()) {
            for warning in spec.scenario.warnings(spec.clip.fps) {
                self.say(&format!("scenario {}: {warning}", spec.scenario.name));
            }
        }
        let _held = launch::hold(&dir)?;
        let stale = match stale::standing(&dir, &spec) {
            Standing::Same => {
                let rescore = stale::refresh(&dir, &spec)?.then(|| "another field of view".to_owned());
                self.score_if_lacking(&dir, rescore)?;
                return Ok(dir);
            }
            Standing::Stale(stale) if self.keep_stale && stale.iter().any(is_whole) => {
                return self.keep(&dir, &stale);
            }
            Standing::Damaged(why) => vec![(dir.clone(), vec![why])],
            Standing::Stale(stale) => stale,
            Standing::Nothing => Vec::new(),
        };
        for (old, reasons) in &stale {
            reasons.iter().for_each(|why| self.say(&format!("again: {}: {why}", old.display())));
        }
        let start = std::time::Instant::now();
        launch::launch(&spec, &manifest, &dir)?;
        crate::outcome::score_and_report_new(&dir, &manifest, &self.scoring, self.video)?;
        cost::note(&cost::Cost::of(&spec, &self.scoring.metrics, start.elapsed(), &dir));
        for (old, _) in stale.iter().filter(|(old, _)| *old != dir) {
            let _held = launch::hold(old)?;
            std::fs::remove_dir_all(old).with_context(|| format!("failed to remove {}", old.display()))?;
        }
        Ok(dir)
    }

    /// Stays with the newest of the stale runs, which is marked.
    fn keep(&self, dir: &Path, stale: &[(PathBuf, Vec<String>)]) -> Result<PathBuf> {
        let made = |path: &Path| std::fs::metadata(path.join("events.jsonl")).and_then(|m| m.modified()).ok();
        let newest = stale.iter().filter(|run| is_whole(run)).max_by_key(|(path, _)| made(path));
        let (kept, reasons) = newest.with_context(|| format!("nothing stands at {}", dir.display()))?;
        let _held = if kept == dir { None } else { launch::hold(kept)? };
        reasons.iter().for_each(|why| self.say(&format!("kept: {}: {why}", kept.display())));
        stale::mark(kept, reasons)?;
        if seal::check(kept).is_err() {
            crate::outcome::score_and_report(kept, &self.scoring, self.video)?;
        }
        Ok(kept.clone())
    }

    /// Scores a finished run whose scores are missing, unreadable, of another version, or lack what is asked for.
    fn score_if_lacking(&self, dir: &Path, known: Option<String>) -> Result<()> {
        let mut scoring = self.scoring.clone();
        if let Some(why) = known.or(score::lacks(dir, &mut scoring)?) {
            self.say(&format!("scored again: {}: {why}", dir.display()));
            crate::outcome::score_and_report(dir, &scoring, self.video)?;
            return Ok(());
        }
        if self.video {
            crate::launch::playable::write_missing(dir)?;
        }
        Ok(())
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// The clip, resolved by the first who needs it.
    fn clip(&self, request: &ClipRequest) -> Result<ClipSpec> {
        let key = format!("{request:?}");
        // Held meanwhile: the others mostly need the same clip.
        let mut shared = self.shared.lock().expect("no run panicked");
        if let Some(clip) = shared.clips.get(&key) {
            return Ok(clip.clone());
        }
        let clip = clip::resolve(request, &mut |line| self.say(&format!("clip: {line}")))?;
        shared.clips.insert(key, clip.clone());
        Ok(clip)
    }
}
