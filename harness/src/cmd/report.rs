//! `freezeframe report`: tables and pages from finished runs.

use crate::report;
use crate::report::columns::COLUMNS;
use crate::report::load::{Loaded, load_all};
use crate::report::rate::Deltas;
use contract::exit;
use std::path::PathBuf;

/// Show finished runs: a table here, a page beside them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  freezeframe report runs/default                         table, and runs/default/report.html
  freezeframe report runs/default --format latex          for a paper
  freezeframe report runs/reparo-figures --format pooled  one row per scenario and system, over all clips and seeds
  freezeframe report runs/default --format markdown --columns psnr_mean_db,non_rendered_play_percent
  freezeframe report runs/papers --over-clips             means and intervals over clips
  freezeframe report runs --out everything.html           one page over several sweeps
  freezeframe report runs/rates --baseline revo-h264      BD-rates, where systems were run at four rates or more")]
pub struct Args {
    /// A run directory, or a directory of runs
    pub dir: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    pub format: Format,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// Where the page goes; default: report.html in the directory
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// System (as the table calls it, without its rate) that rate-quality curves are compared with, and the only one that others are
    /// compared with; default: the first with four rates, and all with all
    #[arg(long, value_name = "SYSTEM")]
    pub baseline: Option<String>,
    /// One row per scenario and system over all clips, instead of one per clip
    #[arg(long)]
    pub over_clips: bool,
    /// Only these columns of the table, in this order (keys of --format csv); for Markdown and LaTeX
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub columns: Option<Vec<String>>,
    /// Print only, write no file
    #[arg(long)]
    pub no_files: bool,
}

/// What `report` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned and, in a terminal, coloured
    Terminal,
    /// Every column, full precision
    Csv,
    /// GitHub-flavoured
    Markdown,
    /// A booktabs tabular
    Latex,
    /// An array of rows
    Json,
    /// One Markdown row per scenario and system, the frames of all clips and seeds pooled: the papers' figures
    Pooled,
}

/// Runs the command.
///
/// # Errors
/// When a run's results are damaged, or a file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    let Loaded { runs, left_out } = load_all(&args.dir)?;
    if runs.is_empty() {
        crate::bad_input!(
            "{} holds no finished run (a directory with scores.json); `freezeframe score` makes them",
            args.dir.display()
        );
    }
    if let Some(unknown) = args.columns.iter().flatten().find(|k| !COLUMNS.iter().any(|c| c.key == *k)) {
        let keys: Vec<&str> = COLUMNS.iter().map(|c| c.key).collect();
        crate::bad_input!("--columns: no column is called {unknown:?}; there are: {}", keys.join(", "));
    }
    let mut groups = report::group::group(&runs);
    if args.over_clips {
        groups = report::group::over_clips(&groups);
    }
    let table = report::table::Table::of(&groups);
    let columns = args.columns.as_deref();
    match if args.json { Format::Json } else { args.format } {
        Format::Terminal => {
            print!("{}", report::terminal(&table, report::colour_wanted()));
            match report::rate::deltas(&runs, args.baseline.as_deref()) {
                Deltas::None(reason) if args.baseline.is_some() => eprintln!("no BD-rate: {reason}"),
                deltas => print!("{}", deltas.terminal()),
            }
        }
        Format::Csv => print!("{}", report::csv(&table)),
        Format::Markdown => {
            let deltas = report::rate::deltas(&runs, args.baseline.as_deref());
            print!("{}{}", report::markdown(&table, columns), deltas.markdown());
        }
        Format::Latex => print!("{}", report::latex(&table, columns)),
        Format::Pooled => print!("{}", report::pooled(&groups)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report::json(&table))?),
    }
    if let Some(path) = &args.out {
        let folder = path.parent().unwrap_or(std::path::Path::new("."));
        let page =
            report::html::page(&report::title(&args.dir, &runs), &runs, args.baseline.as_deref(), folder);
        crate::output::put(path, page)?;
        report::write_details(&runs);
    } else if !args.no_files {
        report::write_runs(&args.dir, &report::title(&args.dir, &runs), &runs, args.baseline.as_deref())?;
        eprintln!("report: {}", args.dir.join("report.html").display());
    }
    let all_valid = runs.iter().all(|r| r.scores.health.valid);
    Ok(if all_valid && left_out == 0 { exit::OK } else { exit::INVALID })
}
