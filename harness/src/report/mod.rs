//! Results for people and for programs: terminal, CSV, Markdown, LaTeX, JSON, HTML.
//!
//! ```text
//!  run directories ─▶ load ─▶ Run ─▶ group (system x scenario x clip) ─▶ columns ─▶ Table ─▶ terminal, CSV, …
//!                                  │                         └─▶ significance: which differences are more than chance
//!                                  └─▶ html: figures, comparisons; every run's details in its directory
//! ```

pub mod budget;
pub mod columns;
pub mod diff;
mod export;
pub mod false_alarms;
pub mod group;
pub mod html;
pub mod load;
mod markup;
pub mod pair;
mod pooled;
pub mod rate;
pub mod significance;
pub mod table;
mod terminal;

pub use export::{comparisons_csv, csv, json, latex, latex_text, markdown, quote};
pub use markup::{allowed, escape};
pub use pooled::pooled;
pub use terminal::terminal;

use anyhow::Context as _;
use load::{Run, load_all};
use std::io::IsTerminal as _;
use std::path::Path;

/// Writes the results of all finished runs in `dir` and below into `dir`. A sweep writes its own with
/// [`write_runs`], when an interruption ends it, too.
///
/// # Errors
/// When a run's results are damaged, or a file cannot be written; a former report then stays as it was.
pub fn write(dir: &Path) -> anyhow::Result<()> {
    let runs = load_all(dir)?.runs;
    write_runs(dir, &title(dir, &runs), &runs, None)
}

/// As [`write()`], for runs already loaded, under a heading: `report.html`, `report.csv`, `report-pairs.csv`, `report.md`,
/// `report.tex`. `baseline` is what rate-quality curves are compared with (absent: the first), and the only system that others are
/// compared with (absent: all with all).
///
/// # Errors
/// When a file cannot be written.
pub fn write_runs(dir: &Path, title: &str, runs: &[Run], baseline: Option<&str>) -> anyhow::Result<()> {
    let groups = group::group(runs);
    let table = table::Table::of(&groups);
    for (name, text) in [
        ("report.csv", csv(&table)),
        ("report-pairs.csv", comparisons_csv(&groups, baseline)),
        ("report.md", markdown(&table, None) + &rate::deltas(runs, baseline).markdown()),
        ("report.tex", latex(&table, None)),
        ("report.html", html::page(title, runs, baseline, dir)),
    ] {
        // Several sweeps may share a directory.
        let path = dir.join(name);
        contract::write_whole(&path, text.as_bytes())
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    write_details(runs);
    Ok(())
}

/// Writes what pages show of each run when it is opened into the run's directory. Where that is not possible, the page says so, and so does
/// standard error: the results do not depend on it.
pub fn write_details(runs: &[Run]) {
    use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
    let failed: Vec<anyhow::Error> =
        runs.par_iter().filter_map(|run| html::details::write(run).err()).collect();
    if let Some(first) = failed.first() {
        eprintln!(
            "freezeframe: pages cannot show the details of {} of {} runs: {}",
            failed.len(),
            runs.len(),
            contract::said(&**first)
        );
    }
}

/// Heading of the page: what a single run was, or the directory's name.
#[must_use]
pub fn title(dir: &Path, runs: &[Run]) -> String {
    match runs {
        [run] => format!("{} under {}", run.scores.run.system, run.scores.run.scenario),
        _ => {
            let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
            full.file_name().map_or_else(|| "Results".to_owned(), |name| name.to_string_lossy().into_owned())
        }
    }
}

/// Colour for a person at a terminal who has not said otherwise (`NO_COLOR`).
#[must_use]
pub fn colour_wanted() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
