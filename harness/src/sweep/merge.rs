//! Folders of runs in one: what several machines did, as if one had done it.
//!
//! Nothing is written before everything has been looked at. Two runs of one key (whatever its system was made of then) contradict each
//! other unless their results are the same to the byte; so do parts of different plans, and parts of one plan whose systems were made
//! of different things (another encoder, another program): one table of them would be of two experiments.

use super::shard::{FOLDER, Outcome, Record, Shard};
use crate::bad_input;
use crate::cmd::run::relative_dir;
use crate::launch::remove::remove_tree;
use crate::report::load::{Run, load_all};
use anyhow::{Context, Result};
use contract::identity::differences;
use contract::{RunKey, RunSpec};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a merged folder has and lacks.
#[derive(Debug, Default)]
pub struct Merged {
    /// Heading of its report, if its parts are of a plan.
    pub plan: Option<String>,
    /// Run directories, in the plan's order.
    pub dirs: Vec<PathBuf>,
    /// Those that no record names.
    pub others: Vec<PathBuf>,
    /// What is not there although the plan requires it: the run, and why.
    pub missing: Vec<Missing>,
    /// Runs that were left out because their files are damaged, they were never scored, or they failed; each was named on standard error.
    pub damaged: usize,
    /// Runs of optional blocks that a machine could not do, and why.
    pub left_out: Vec<(String, String)>,
}

/// A run that a plan names and no folder has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// As people call it.
    pub name: String,
    /// Its part.
    pub shard: Shard,
    /// Why it is missing.
    pub why: String,
}

/// A run that was found, and where it goes.
struct Found {
    run: Run,
    spec: RunSpec,
}

/// Brings the runs of `dirs` into `into` (which may be one of them).
///
/// # Errors
/// [`crate::BadInput`] when they contradict each other: nothing is changed then.
pub fn merge(dirs: &[PathBuf], into: &Path) -> Result<Merged> {
    let mut found: BTreeMap<RunKey, Found> = BTreeMap::new();
    let mut records: Vec<(PathBuf, Record)> = Vec::new();
    let mut folders: Vec<&Path> = Vec::new();
    let mut damaged = 0;
    // What is in the folder already is one of them.
    for dir in dirs.iter().map(PathBuf::as_path).chain(into.is_dir().then_some(into)) {
        let real = |d: &Path| d.canonicalize().unwrap_or_else(|_| d.to_owned());
        if folders.iter().any(|known| real(known) == real(dir)) {
            continue;
        }
        folders.push(dir);
        records.extend(Record::read_all(dir)?.into_iter().map(|r| (dir.to_owned(), r)));
        let loaded = load_all(dir)?;
        damaged += loaded.left_out;
        for run in loaded.runs {
            let spec = RunSpec::read(&run.dir)?;
            let key = RunKey::of(&spec).without_revision();
            match found.get(&key) {
                None => {
                    found.insert(key, Found { run, spec });
                }
                Some(other) => {
                    same(other, &run, &spec)?;
                    // The one that is in its place stays there.
                    if run.dir.starts_with(into) {
                        found.insert(key, Found { run, spec });
                    }
                }
            }
        }
    }
    let plan = one_plan(&records)?;
    if let Some(plan) = &plan {
        one_revision(plan, &found)?;
    }
    if found.is_empty() {
        let names: Vec<String> = dirs.iter().map(|d| d.display().to_string()).collect();
        bad_input!("{}: no finished run (a directory with scores.json)", names.join(", "));
    }
    let mut places = BTreeMap::new();
    for (key, found) in &found {
        let place = into.join(relative_dir(&found.spec));
        bring(&found.run.dir, &place)?;
        places.insert(key.clone(), place);
    }
    for (_, record) in records.iter().filter(|(dir, _)| dir != into) {
        record.write(into)?;
    }
    Ok(Merged { damaged, ..in_order(plan, &found, &places, into) })
}

/// Fails unless two runs of one key have the same results.
fn same(one: &Found, other: &Run, spec: &RunSpec) -> Result<()> {
    let both = format!("{} and {} are the same run", one.run.dir.display(), other.dir.display());
    let remedy = "keep one of them and remove the other, or sweep it again on one machine";
    let made_of = differences(&one.spec.identity.system, &spec.identity.system);
    if let Some(first) = made_of.first() {
        bad_input!("{both}, but not of the same system: {first}; {remedy}");
    }
    // The command that repeats it names files where they lie on that machine.
    let results = |run: &Run| {
        let mut scores = run.scores.clone();
        scores.run.replay.clear();
        (scores, fs::read(run.dir.join("frames.csv")).unwrap_or_default())
    };
    if results(&one.run) != results(other) {
        bad_input!("{both}, and their results differ (`freezeframe diff` says in what); {remedy}");
    }
    Ok(())
}

/// The plan that all records are of, with what became of every run; `None` without records.
fn one_plan(records: &[(PathBuf, Record)]) -> Result<Option<Record>> {
    let Some((place, first)) = records.first() else { return Ok(None) };
    let mut whole = Record { shard: 0, ..first.clone() };
    for (dir, record) in &records[1..] {
        let (a, b) = (place.join(FOLDER), dir.join(FOLDER));
        let says = |what: &str| {
            format!("the records in {} and {} are of different {what}", a.display(), b.display())
        };
        if record.plan != first.plan {
            bad_input!("{} ({} and {}); merge them one by one", says("plans"), first.plan, record.plan);
        }
        if record.of != first.of {
            bad_input!(
                "{}: one of {} and one of {}; remove the records that are out of date",
                says("divisions of the plan"),
                first.of,
                record.of
            );
        }
        let ids = |r: &Record| r.runs.iter().map(|e| e.id.clone()).collect::<Vec<_>>();
        if ids(record) != ids(first) {
            let differ = record.runs.iter().zip(&first.runs).find(|(x, y)| x.id != y.id);
            let example = differ.map_or_else(
                || format!("{} runs and {}", first.runs.len(), record.runs.len()),
                |(x, y)| format!("the first that differs is {} and {}", y.name, x.name),
            );
            bad_input!(
                "{} ({example}): the machines need the same plan, options of sweep, clips and scenarios; sweep one of them again",
                says("runs")
            );
        }
        for (into, from) in whole.runs.iter_mut().zip(&record.runs) {
            into.outcome = into.outcome.take().or(from.outcome.clone());
        }
    }
    Ok(Some(whole))
}

/// Fails if the runs of a plan were made with different revisions of a system.
fn one_revision(plan: &Record, found: &BTreeMap<RunKey, Found>) -> Result<()> {
    let done: Vec<&String> = plan
        .runs
        .iter()
        .filter_map(|e| match &e.outcome {
            Some(Outcome::Done(dir)) => Some(dir),
            _ => None,
        })
        .collect();
    let mut first: BTreeMap<(String, String), &Found> = BTreeMap::new();
    for (key, run) in found {
        let place = relative_dir(&run.spec).display().to_string();
        if !done.contains(&&place) || !run.run.stale.is_empty() {
            continue;
        }
        let system = (key.system.to_string(), format!("{:?}", key.options));
        let known = first.entry(system).or_insert(run);
        let differ = differences(&known.spec.identity.system, &run.spec.identity.system);
        if let Some(reason) = differ.first() {
            bad_input!(
                "{} and {} are of one plan, but {} is not the same system in both: {reason}; sweep one of the parts again with the other's \
                 program and libraries",
                known.run.dir.display(),
                run.run.dir.display(),
                key.system
            );
        }
    }
    Ok(())
}

/// Copies a run to its place in one step, if it is not there.
fn bring(from: &Path, place: &Path) -> Result<()> {
    if from.canonicalize().ok() == place.canonicalize().ok() && place.exists() {
        return Ok(());
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let partial = place.with_file_name(format!(".{name}.merge"));
    let copied = copy(from, &partial).and_then(|()| {
        remove_tree(place)?;
        fs::rename(&partial, place)
    });
    copied.with_context(|| format!("failed to copy {} to {}", from.display(), place.display()))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    remove_tree(to)?;
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, place) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &place)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

fn in_order(
    plan: Option<Record>,
    found: &BTreeMap<RunKey, Found>,
    places: &BTreeMap<RunKey, PathBuf>,
    into: &Path,
) -> Merged {
    let mut all: Vec<PathBuf> = found.keys().map(|key| places[key].clone()).collect();
    all.sort();
    let mut merged = Merged::default();
    for entry in plan.iter().flat_map(|p| &p.runs) {
        let of = plan.as_ref().map_or(1, |p| p.of);
        let shard = Shard { index: super::shard::part(&entry.id, of), of };
        let missing = |why: String| Missing { name: entry.name.clone(), shard, why };
        match &entry.outcome {
            Some(Outcome::Done(dir)) => match all.iter().position(|p| *p == into.join(dir)) {
                Some(at) => merged.dirs.push(all.remove(at)),
                // A plan may name a run twice.
                None if merged.dirs.contains(&into.join(dir)) => {}
                None => merged.missing.push(missing(format!("{dir} is in none of the folders"))),
            },
            Some(Outcome::LeftOut(why)) => merged.left_out.push((entry.name.clone(), why.clone())),
            Some(Outcome::Failed(why)) => merged.missing.push(missing(format!("it failed: {why}"))),
            None => merged.missing.push(missing(format!("part {shard} was not done, or not to its end"))),
        }
    }
    merged.plan = plan.map(|p| p.plan);
    merged.others = all;
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::shard::Entry;

    fn record(plan: &str, shard: u32, of: u32, ids: &[&str]) -> (PathBuf, Record) {
        let entry = |id: &&str| Entry { id: (*id).to_owned(), name: format!("run {id}"), outcome: None };
        let runs = ids.iter().map(entry).collect();
        (PathBuf::from(format!("d{shard}")), Record { plan: plan.into(), shard, of, finished: true, runs })
    }

    #[test]
    fn parts_of_one_plan_complete_each_other_and_others_are_refused() {
        let mut one = record("p", 1, 2, &["a", "b"]);
        let mut two = record("p", 2, 2, &["a", "b"]);
        one.1.runs[0].outcome = Some(Outcome::Done("x".into()));
        two.1.runs[1].outcome = Some(Outcome::Failed("y".into()));
        let whole = one_plan(&[one.clone(), two]).unwrap().unwrap();
        assert_eq!(whole.runs[0].outcome, Some(Outcome::Done("x".into())));
        assert_eq!(whole.runs[1].outcome, Some(Outcome::Failed("y".into())));
        for (other, said) in [
            (record("q", 2, 2, &["a", "b"]), "plans"),
            (record("p", 2, 3, &["a", "b"]), "divisions"),
            (record("p", 2, 2, &["a", "c"]), "run b and run c"),
            (record("p", 2, 2, &["a"]), "2 runs and 1"),
        ] {
            let error = one_plan(&[one.clone(), other]).unwrap_err().to_string();
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(one_plan(&[]).unwrap().is_none());
    }
}
