//! `freezeframe power`: how many seeds or clips a difference needs.

use crate::bad_input;
use crate::report::columns::{Better, COLUMNS, Column};
use crate::report::group::group;
use crate::report::load::{Loaded, load_all};
use crate::report::significance::{Compared, Family, families};
use contract::exit;
use metrics::stats::{MOST_UNITS, Needed, needed};
use std::path::PathBuf;

/// How many seeds or clips it takes to find a difference, from the spread that finished runs show
#[derive(clap::Args, Debug)]
#[command(after_help = "\
For every two systems under one scenario: the spread of their paired differences over seeds (or clips, from 6 clips on), and
how many of them find the difference with 80 % probability when the report tests it (level .05, corrected for all comparisons of
the metric under the scenario; docs/METRICS.md). The spread of few pairs is itself uncertain: `at most` plans for the largest that
goes with them (one-sided 90 %).

Examples:
  freezeframe power runs/default --metric psnr_mean_db --difference 0.5
  freezeframe power runs/default --metric non_rendered_play_percent --difference 2 --baseline vp9-tambur
  freezeframe power runs/default --metric ssim_mean                    for the differences that were seen")]
pub struct Args {
    /// A directory of runs, at least two seeds or clips of two systems
    pub dir: PathBuf,
    /// Which metric: a column of `report --format csv`
    #[arg(long, value_name = "KEY")]
    pub metric: String,
    /// The true difference that is to be found, in the metric's unit; default: the one that was seen
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub difference: Option<f64>,
    /// Compare only with this system (as the table calls it): fewer comparisons need fewer seeds
    #[arg(long, value_name = "SYSTEM")]
    pub baseline: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

struct Line<'a> {
    family: &'a Family,
    row: &'a Compared,
    spread: f64,
    difference: f64,
    needed: Option<Needed>,
}

/// Runs the command.
///
/// # Errors
/// When the metric is unknown, no two systems share two runs, or a run's results are damaged.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    let column = column(&args.metric)?;
    if args.difference.is_some_and(|d| d == 0.0 || !d.is_finite()) {
        bad_input!(
            "--difference {}: no number of seeds finds it; give another",
            args.difference.unwrap_or(0.0)
        );
    }
    let Loaded { runs, left_out } = load_all(&args.dir)?;
    let groups = group(&runs);
    if let Some(name) = &args.baseline
        && !groups.iter().any(|g| g.system == *name)
    {
        let mut names: Vec<&str> = groups.iter().map(|g| g.system.as_str()).collect();
        names.dedup();
        bad_input!(
            "--baseline {name:?}: no such system in {}; there are: {}",
            args.dir.display(),
            names.join(", ")
        );
    }
    let families = families(&groups, &[column.key], args.baseline.as_deref());
    let mut lines = Vec::new();
    for family in &families {
        for row in &family.rows {
            let Some(spread) = row.comparison.spread else { continue };
            let difference = args.difference.unwrap_or(row.comparison.mean);
            let needed = needed(difference, spread, row.comparison.units, family.rows.len());
            lines.push(Line { family, row, spread, difference, needed });
        }
    }
    if lines.is_empty() {
        bad_input!(
            "{}: no two systems have {} under two equal conditions (clip, scenario, seed); run at least two seeds, better six",
            args.dir.display(),
            column.key
        );
    }
    if args.json {
        let all: Vec<serde_json::Value> = lines.iter().map(Line::json).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print!("{}", text(column, &lines));
    }
    Ok(if left_out == 0 { exit::OK } else { exit::INVALID })
}

/// A result column by its key.
///
/// # Errors
/// When there is none of that name, or it is a condition and no result.
pub fn column(key: &str) -> anyhow::Result<&'static Column> {
    match COLUMNS.iter().find(|c| c.key == key) {
        Some(column) if column.better != Better::Neither => Ok(column),
        _ => {
            let keys: Vec<&str> =
                COLUMNS.iter().filter(|c| c.better != Better::Neither).map(|c| c.key).collect();
            bad_input!("--metric {key:?} is no result column; there are: {}", keys.join(", "))
        }
    }
}

fn text(column: &Column, lines: &[Line]) -> String {
    let digits = column.digits + 1;
    let mut rows = vec![
        ["scenario", "first", "second", "over", "first - second", "spread", "to find", "needs", "at most"]
            .map(str::to_owned),
    ];
    for line in lines {
        let c = &line.row.comparison;
        let clip = line.row.clip.filter(|_| line.family.clips.len() > 1);
        let of = clip.map(|at| format!(" of {}", line.family.clips[at])).unwrap_or_default();
        let (needs, most) = match line.needed {
            Some(n) => (format!("{} {}", n.units, c.unit.word(n.units)), n.at_most.to_string()),
            None if line.spread == 0.0 => ("no variation".to_owned(), String::new()),
            None => (format!("over {MOST_UNITS}"), String::new()),
        };
        rows.push([
            line.family.scenario.clone(),
            line.row.first.clone(),
            line.row.second.clone(),
            format!("{} {}{of}", c.units, c.unit.word(c.units)),
            format!("{:+.digits$}", c.mean),
            format!("{:.digits$}", line.spread),
            format!("{:.digits$}", line.difference.abs()),
            needs,
            most,
        ]);
    }
    super::text_table::text_table(&rows, 4)
}

impl Line<'_> {
    fn json(&self) -> serde_json::Value {
        let c = &self.row.comparison;
        serde_json::json!({
            "scenario": self.family.scenario,
            "metric": self.family.column.key,
            "clip": self.row.clip.map(|at| &self.family.clips[at]),
            "first": self.row.first,
            "second": self.row.second,
            "unit": c.unit.word(1),
            "units": c.units,
            "difference_seen": c.mean,
            "spread": self.spread,
            "comparisons": self.family.rows.len(),
            "difference": self.difference.abs(),
            "needs": self.needed.map(|n| n.units),
            "needs_at_most": self.needed.map(|n| n.at_most),
        })
    }
}
