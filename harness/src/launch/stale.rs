//! Whether a finished run is still what would be run now, and if not, why: one line per reason.

use super::is_run_dir;
use anyhow::{Context, Result};
use contract::identity::{changed, differences};
use contract::seal::{self, Seal, SealError};
use contract::{Backend, RunKey, RunSpec};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the file in a run directory that says why its results are not those of today.
pub const FILE_NAME: &str = "stale.txt";

/// What stands where a run would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No finished run.
    Nothing,
    /// The same run.
    Same,
    /// A run whose files are not what was written, and how.
    Damaged(String),
    /// Another one at these places, each with the reasons why it is no longer what was asked for.
    Stale(Vec<(PathBuf, Vec<String>)>),
}

/// What stands at `run_dir`, and beside it from the same request with other content (an edited plug-in, clip, scenario): directories
/// are called by content, so that such a run has a name of its own.
#[must_use]
pub fn standing(run_dir: &Path, spec: &RunSpec) -> Standing {
    if is_run_dir(run_dir) {
        let reasons = seal::check_evidence(run_dir)
            .map_err(|e| damage(&e))
            .and_then(|()| RunSpec::read(run_dir).map_err(|e| contract::text::line(&contract::said(&e))))
            .map(|old| changes(&old, spec));
        return match reasons {
            Ok(reasons) if reasons.is_empty() => Standing::Same,
            Ok(reasons) => Standing::Stale(vec![(run_dir.into(), reasons)]),
            Err(why) => Standing::Damaged(why),
        };
    }
    let beside = run_dir.parent().and_then(|folder| fs::read_dir(folder).ok());
    let mut stale: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for path in beside.into_iter().flatten().flatten().map(|entry| entry.path()) {
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && is_run_dir(&path)
            && let Ok(old) = RunSpec::read(&path)
            && old.replay == spec.replay
        {
            let reasons =
                seal::check_evidence(&path).map_or_else(|e| vec![damage(&e)], |()| changes(&old, spec));
            if !reasons.is_empty() {
                stale.push((path, reasons));
            }
        }
    }
    stale.sort();
    if stale.is_empty() { Standing::Nothing } else { Standing::Stale(stale) }
}

/// What is wrong with a run, without what to do: that is done.
#[must_use]
pub fn damage(error: &SealError) -> String {
    let name = |path: &str| Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned());
    match error {
        SealError::Missing { .. } => {
            format!("it has no {}, made by an earlier version or removed", seal::FILE_NAME)
        }
        SealError::Broken { path, why } => format!("{} is damaged: {why}", name(path).unwrap_or_default()),
        SealError::Evidence { path, why } | SealError::Result { path, why } => {
            format!("{} {why}", name(path).unwrap_or_default())
        }
        SealError::Io { .. } => contract::said(error),
    }
}

/// Why results of `old` are not those that `new` would give; empty if they are.
#[must_use]
pub fn changes(old: &RunSpec, new: &RunSpec) -> Vec<String> {
    if old.identity.tool.version.is_empty() {
        return vec!["made by an earlier version, which did not note with what".to_owned()];
    }
    let mut reasons = differences(&old.identity.system, &new.identity.system);
    let mut compare = |what: &str, name: &str, old: &str, new: &str| {
        if old != new {
            reasons.push(changed(what, name, Some(&old.to_owned()), Some(&new.to_owned())));
        }
    };
    if new.backend == Backend::Namespaces {
        compare("emulator", "", &old.identity.tool.path_sources, &new.identity.tool.path_sources);
    }
    let (a, b) = (RunKey::of(old), RunKey::of(new));
    compare("system", "", &a.system, &b.system);
    let names: std::collections::BTreeSet<&String> = a.options.keys().chain(b.options.keys()).collect();
    for name in names {
        let value = |key: &RunKey| key.options.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        compare("option", &format!("{name}:"), &value(&a), &value(&b));
    }
    let content = |hash: &str| hash.split('-').next().unwrap_or_default().to_owned();
    let depth = |key: &RunKey| key.depth_hash.clone().unwrap_or_else(|| "none".to_owned());
    let view = |key: &RunKey| key.depth_range_mm.map_or_else(String::new, |(n, f)| format!("{n} to {f} mm"));
    let shape =
        |key: &RunKey| format!("{}x{} at {}/s, {} frames", key.width, key.height, key.fps, key.frames);
    let setup = |spec: &RunSpec| format!("{} ms", spec.capture_start_ns / 1_000_000);
    let warm = |spec: &RunSpec| format!("{} ms", spec.warm_ns / 1_000_000);
    compare("clip content", "", &content(&a.clip_hash), &content(&b.clip_hash));
    compare("clip", "", &a.clip, &b.clip);
    compare("clip's shape", "", &shape(&a), &shape(&b));
    compare("depth content", "", &depth(&a), &depth(&b));
    compare("depth view", "", &view(&a), &view(&b));
    let unit = |key: &RunKey| key.depth_per_metre.clone().unwrap_or_else(|| "usual".to_owned());
    compare("depth unit", "", &unit(&a), &unit(&b));
    compare("scenario", "", &a.scenario, &b.scenario);
    compare("scenario content", "", &a.scenario_hash, &b.scenario_hash);
    compare("playout", "", &a.playout, &b.playout);
    compare("backend", "", &a.backend.to_string(), &b.backend.to_string());
    compare("shaper", "", &a.shaper.to_string(), &b.shaper.to_string());
    compare("seed", "", &a.seed.to_string(), &b.seed.to_string());
    compare("set-up time", "", &setup(old), &setup(new));
    compare("warm-up", "", &warm(old), &warm(new));
    reasons
}

/// The same run stands at `run_dir`: what says where its clip lies, how to repeat it and how its depth is scored becomes that of
/// `spec`; what it was made with stays. True if something that only scoring uses has changed.
pub fn refresh(run_dir: &Path, spec: &RunSpec) -> Result<bool> {
    let old = RunSpec::read(run_dir)?;
    unmark(run_dir)?;
    let now = RunSpec { identity: old.identity.clone(), revision: old.revision.clone(), ..spec.clone() };
    if now != old {
        let mut seal = Seal::read(run_dir)?;
        now.write(run_dir)?;
        seal.renew(run_dir, contract::spec::FILE_NAME)?;
    }
    Ok(now.clip.depth_fov_degrees != old.clip.depth_fov_degrees)
}

/// Notes in a run directory why its results are not those of today.
pub fn mark(run_dir: &Path, reasons: &[String]) -> Result<()> {
    let path = run_dir.join(FILE_NAME);
    fs::write(&path, reasons.join("\n") + "\n").with_context(|| format!("failed to write {}", path.display()))
}

fn unmark(run_dir: &Path) -> Result<()> {
    let path = run_dir.join(FILE_NAME);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The reasons that a run directory is marked with; empty for one that is not.
#[must_use]
pub fn marks(run_dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(run_dir.join(FILE_NAME)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
