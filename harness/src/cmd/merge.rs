//! `freezeframe merge`: the parts of a sweep in one folder.

use super::sweep::{merged_cases, say_missing};
use crate::bad_input;
use crate::ci::CiArgs;
use crate::sweep::merge;
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::exit;
use std::path::PathBuf;

/// Bring the parts of a sweep together, check that nothing contradicts, and write the report
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
The tables are those that one machine would have written, to the byte. Refused, with exit code 2 and nothing changed: parts of
different plans, two results of one run that differ, and parts whose systems were made of different things (program, weights,
encoder, libraries). Exit code 1: a run of the plan is missing; each is named.

Examples:
  freezeframe merge part-1 part-2 part-3 --into runs/mine
  freezeframe merge runs/mine                     parts that were written into one folder: checks, report")]
pub struct Args {
    /// Folders of runs
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Folder that gets all runs and the report; may be one of the others, and is the only one by default
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// System (as the table calls it) that rate-quality curves are compared with; default: the first
    #[arg(long, value_name = "SYSTEM")]
    pub baseline: Option<String>,
    /// Print the table as JSON
    #[arg(long)]
    pub json: bool,
    /// For continuous integration
    #[command(flatten)]
    pub ci: CiArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// When the folders contradict each other, or cannot be read or written.
pub fn run(args: &Args) -> Result<i32> {
    let into = match (&args.into, &args.dirs[..]) {
        (Some(into), _) => into,
        (None, [one]) => one,
        (None, _) => bad_input!("name the folder that gets all runs with --into"),
    };
    let merged = merge::merge(&args.dirs, into)?;
    let dirs = [&merged.dirs[..], &merged.others].concat();
    let name = into.file_name().map_or_else(|| "runs".into(), |n| n.to_string_lossy().into_owned());
    let loaded = crate::outcome::sweep_report(
        into,
        merged.plan.as_deref().unwrap_or(&name),
        &dirs,
        args.baseline.as_deref(),
    )
    .context("failed to write the report")?;
    crate::outcome::print(&loaded, args.json, args.baseline.as_deref())?;
    say_missing(&merged);
    args.ci.tell("merge", &merged_cases(&merged))?;
    if !args.json {
        eprintln!("report: {}", into.join("report.html").display());
    }
    Ok(if merged.missing.is_empty() && merged.damaged == 0 { exit::OK } else { exit::FAILED })
}
