//! Kept files that nothing makes: a golden whose `case.toml` or `stream.units` is gone would otherwise be no golden, without a word.

use super::{Findings, Moved, Walk, case, stream};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether a file below the goldens is what a review writes.
fn is_kept(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let picture = || {
        let slot = name.strip_suffix(".png").and_then(|name| name.rsplit_once('-'));
        slot.is_some_and(|(_, slot)| !slot.is_empty() && slot.bytes().all(|b| b.is_ascii_digit()))
    };
    let repair = || path.parent().is_some_and(|p| p.ends_with("repair")) && name.ends_with(".txt");
    ["ladder.txt", "timeline.txt", "statuses.txt", "scores.toml", stream::PICTURES].contains(&name)
        || picture()
        || repair()
}

/// Adds every kept file that was not compared, but for those of folders that failed.
pub(super) fn over(walk: &Walk<'_>, findings: &mut Findings) -> Result<()> {
    let compared: BTreeSet<&PathBuf> = findings.compared.iter().collect();
    let mut left = Vec::new();
    let mut waiting = vec![walk.dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                if path != walk.out {
                    waiting.push(path);
                }
                continue;
            }
            let below = path.strip_prefix(walk.dir).unwrap_or(&path).to_string_lossy();
            let named = walk.filter.is_none_or(|f| below.contains(f));
            let failed = findings.failed.iter().any(|(failed, _)| *failed == folder);
            if named && !failed && is_kept(&path) && !compared.contains(&path) {
                left.push(path);
            }
        }
    }
    left.sort();
    for file in left {
        let beside = |name: &str| file.parent().is_some_and(|folder| folder.join(name).is_file());
        let explanation = if beside(case::FILE_NAME) {
            format!(
                "{} does not ask for it: name it there (`keep`, `pictures`), or delete it",
                case::FILE_NAME
            )
        } else if beside(stream::STREAM) {
            format!("{} gives none: delete it", stream::STREAM)
        } else {
            let (case, stream) = (case::FILE_NAME, stream::STREAM);
            format!("nothing says how it is made: restore {case} or {stream} beside it, or delete it")
        };
        findings.compared.push(file.clone());
        findings.moved.push(Moved { file, summary: "kept, but nothing makes it".to_owned(), explanation });
    }
    Ok(())
}
