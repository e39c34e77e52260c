//! `freezeframe budget`: what the play-out budget decides.

use crate::bad_input;
use crate::figure::data::{Choice, Data};
use crate::figure::field;
use crate::report::budget::{Curve, RECORDED, RULE, curves, ms, usual};
use crate::report::group::group;
use crate::report::html::figure_page;
use crate::report::load::{Loaded, load_folders};
use crate::report::table::{UNKNOWN, UNKNOWN_CSV};
use contract::{Playout, Stream, exit};
use link::Span;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Show non-rendered frames and freezes against the play-out budget, from finished runs
#[derive(clap::Args)]
#[command(after_help = "\
Nothing is run or encoded again: at budget T a frame is shown if its picture was decoded by capture + T.
docs/METRICS.md has the rule, and for which systems the curve is exact.

Examples:
  freezeframe budget runs/default                              every run below, one curve per system
  freezeframe budget runs/a runs/b --at 100ms,150ms,250ms      these budgets
  freezeframe budget runs/default --html budget.html           plots")]
pub struct Args {
    /// Run directories, or directories of runs
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Budgets, as times from capture to screen
    #[arg(long, value_name = "TIME,...", value_delimiter = ',')]
    pub at: Vec<Playout>,
    /// Of the depth pictures
    #[arg(long)]
    pub depth: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV, one line per system and budget
    #[arg(long)]
    pub csv: bool,
    /// Write a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When a run's results are damaged, or the page cannot be written.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    let Loaded { runs, left_out } = load_folders(&args.runs)?;
    let stream = if args.depth { Stream::Depth } else { Stream::Rgb };
    let mut budgets = Vec::new();
    for playout in &args.at {
        match playout.budget_ns() {
            Some(ns) => budgets.push(Span(ns)),
            None => bad_input!("--at own: write times, such as --at 100ms,150ms"),
        }
    }
    budgets.sort_unstable();
    budgets.dedup();
    let budgets = if budgets.is_empty() { usual() } else { budgets };
    let groups = group(&runs);
    let found = curves(&groups, stream, &budgets);
    if found.is_empty() {
        bad_input!("none of these runs has {} pictures", stream.name());
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&found, stream))?);
    } else if args.csv {
        print!("{}", as_csv(&found, stream));
    } else {
        print!("{}", text(&found, &budgets));
    }
    if let Some(path) = &args.html {
        let data = Data::new(&runs, Choice { stream, ..Choice::default() });
        let page = match field::budget(&data) {
            Ok(figure) => figure_page(&figure, RULE),
            Err(why) => bad_input!("--html: {why}"),
        };
        crate::output::put(path, page)?;
    }
    Ok(if left_out == 0 { exit::OK } else { exit::INVALID })
}

fn as_json(curves: &[Curve], stream: Stream) -> serde_json::Value {
    let curve = |c: &Curve| {
        let points = c.points.as_ref().map(|points| {
            let point = |p: &crate::report::budget::Point| {
                json!({
                    "budget_ms": ms(p.budget.as_nanos()),
                    "non_rendered_percent": p.non_rendered_percent,
                    "freezes_stall200_count": p.freezes,
                    "freezes_stall200_time_percent": p.freeze_time_percent,
                })
            };
            points.iter().map(point).collect::<Vec<_>>()
        });
        json!({
            "clip": c.clip, "scenario": c.scenario, "system": c.system, "stream": stream.name(), "runs": c.runs,
            "budget_ms": c.kept_ms, "decided_at_deadline_percent": c.decided_at_deadline,
            "points": points.as_ref().ok(), "missing": points.as_ref().err(),
        })
    };
    json!({ "rule": RULE, "curves": curves.iter().map(curve).collect::<Vec<_>>() })
}

fn as_csv(curves: &[Curve], stream: Stream) -> String {
    let mut out = String::from(
        "clip,scenario,system,stream,runs,run_budget_ms,decided_at_deadline_percent,budget_ms,non_rendered_percent,freezes_stall200_count,freezes_stall200_time_percent\n",
    );
    for curve in curves {
        let names = [&curve.clip, &curve.scenario, &curve.system].map(|name| crate::report::quote(name));
        for p in curve.points.iter().flatten() {
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{},{}",
                names.join(","),
                stream.name(),
                curve.runs,
                curve.kept_ms.map_or_else(|| UNKNOWN_CSV.to_owned(), |ms| ms.to_string()),
                curve.decided_at_deadline,
                ms(p.budget.as_nanos()),
                p.non_rendered_percent,
                p.freezes,
                p.freeze_time_percent
            );
        }
    }
    out
}

fn text(curves: &[Curve], budgets: &[Span]) -> String {
    let mut out = String::new();
    let width = curves.iter().map(|c| c.system.chars().count()).max().unwrap_or(0).max(8);
    let heads: Vec<String> = budgets.iter().map(ToString::to_string).collect();
    for together in curves.chunk_by(|a, b| a.scenario == b.scenario && a.clip == b.clip) {
        let _ = writeln!(out, "{}, clip {}", together[0].scenario, together[0].clip);
        for (what, of) in [
            (
                "non-rendered %",
                (|p| format!("{:.2}", p.non_rendered_percent)) as fn(&crate::report::budget::Point) -> String,
            ),
            ("stalls >200 ms", |p| format!("{:.1}", p.freezes)),
        ] {
            let _ = write!(out, "  {what:width$}   run at");
            heads.iter().for_each(|head| {
                let _ = write!(out, " {head:>7}");
            });
            out.push('\n');
            for curve in together {
                let kept = curve.kept_ms.map_or(UNKNOWN.to_owned(), |ms| format!("{ms:.1}ms"));
                let _ = write!(out, "  {:w$} {kept:>8}", curve.system, w = width.max(what.len()));
                match &curve.points {
                    Ok(points) => points.iter().for_each(|p| {
                        let _ = write!(out, " {:>7}", of(p));
                    }),
                    Err(reason) => {
                        let _ = write!(out, " {reason}");
                    }
                }
                out.push('\n');
            }
        }
        for curve in together.iter().filter(|c| c.decided_at_deadline > 0.0 && c.points.is_ok()) {
            let _ = writeln!(
                out,
                "  {}: {:.1} % of its frames were made or given up at the run's own deadline; another budget would have decided them \
                 otherwise, so that its curve is what this run's own deliveries allow",
                curve.system, curve.decided_at_deadline
            );
        }
    }
    if budgets.iter().any(|b| *b > RECORDED) {
        let _ = writeln!(
            out,
            "above {RECORDED} the last frames may be missing: packets are taken for that long after the clip"
        );
    }
    out
}
