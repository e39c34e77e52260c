//! What is written after a run or a sweep: scores, frames, reports.

use crate::launch::{child::Failure, failed};
use crate::report::load::Run;
use crate::report::{self, group::group, table::Table};
use crate::score;
use anyhow::{Context, Result};
use contract::{Manifest, Scores, exit};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Scores a run directory and writes its report; with `video`, a playable file too. Gives the run, loaded.
pub fn score_and_report(dir: &Path, options: &score::Options, video: bool) -> Result<Run> {
    let bar = crate::progress::bar(0, "scoring");
    let scores = score::score_run(dir, options, &|slots| bar.inc(u64::from(slots)))
        .with_context(|| format!("failed to score {}", dir.display()))?;
    bar.finish_and_clear();
    if video {
        crate::launch::playable::write(dir)?;
    }
    let run = Run::load(dir)?;
    let title = format!("{} under {}", scores.run.system, scores.run.scenario);
    report::write_runs(dir, &title, std::slice::from_ref(&run), None)?;
    Ok(run)
}

/// The same of a run just made. One whose pictures are no store of the contract has failed, whoever finds that out: what it left is kept
/// where that of others is.
pub fn score_and_report_new(
    dir: &Path,
    manifest: &Manifest,
    options: &score::Options,
    video: bool,
) -> Result<Run> {
    score_and_report(dir, options, video).map_err(|error| {
        if error.chain().any(<dyn std::error::Error>::is::<Failure>) {
            failed::keep(error, dir, dir, manifest)
        } else {
            error
        }
    })
}

/// The report of a whole sweep over the runs in `dirs`, in `out`; gives the runs, loaded.
pub fn sweep_report(out: &Path, name: &str, dirs: &[PathBuf], baseline: Option<&str>) -> Result<Vec<Run>> {
    let mut runs = load(dirs)?;
    let folders: BTreeSet<PathBuf> = dirs.iter().map(|d| d.with_file_name(failed::FOLDER)).collect();
    failed::note(&mut runs, folders.into_iter().collect());
    report::write_runs(out, &format!("Plan {name}"), &runs, baseline)?;
    Ok(runs)
}

fn load(dirs: &[PathBuf]) -> Result<Vec<Run>> {
    dirs.iter().map(|d| Run::load(d)).collect()
}

/// Prints the table of these runs, and how their rate-quality curves compare with the baseline's.
pub fn print(runs: &[Run], json: bool, baseline: Option<&str>) -> Result<()> {
    let groups = group(runs);
    let table = Table::of(&groups);
    if json {
        println!("{}", serde_json::to_string_pretty(&report::json(&table))?);
    } else {
        print!("{}", report::terminal(&table, std::io::stdout().is_terminal()));
        print!("{}", report::rate::deltas(runs, baseline).terminal());
    }
    Ok(())
}

/// [`exit::INVALID`] for a run whose numbers must not be used.
pub fn exit_code(dir: &Path) -> Result<i32> {
    let scores = Scores::read(&dir.join("scores.json"))?;
    Ok(if scores.health.valid { exit::OK } else { exit::INVALID })
}
