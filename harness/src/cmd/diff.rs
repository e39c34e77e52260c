//! `freezeframe diff`: what changed between two folders of runs.

use super::text_table::text_table;
use crate::bad_input;
use crate::ci::{Case, CiArgs, Verdict};
use crate::report::columns::COLUMNS;
use crate::report::diff::{Diff, Other, Row, Tolerance, ambiguous, diff};
use crate::report::load::{Loaded, load_all};
use crate::report::table::UNKNOWN;
use contract::exit;
use std::path::{Path, PathBuf};

/// Compare two folders of runs, run by run: what changed, and is it beyond tolerance
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Runs are paired by what they are (system and its options, scenario, clip, seed, clock), whatever revision made them. A pair is
beyond tolerance if one value of it is: nothing is averaged first. Exit code 3: a value is beyond its tolerance, a run of OLD is
missing in NEW, a run is valid in only one of them, or one was left out because its files are damaged. Runs that only NEW has are listed and change nothing.

Default tolerances: PSNR and other dB 0.1, SSIM 0.001, LPIPS 0.002, percentages 0.5, freezes 0, ms and mm 1, rates 1 %.

Examples:
  freezeframe diff runs/before runs/after
  freezeframe diff runs/before runs/after --tolerance psnr_mean_db=0.2 --tolerance wire_kbps=5%
  freezeframe diff runs/before runs/after --tolerance all=0          every bit
  freezeframe diff OLD/ge-high/reparo/talk/seed-1 NEW/ge-high/reparo/talk/seed-1 --json")]
pub struct Args {
    /// A run directory, or a directory of runs
    pub old: PathBuf,
    /// The same, later
    pub new: PathBuf,
    /// How much a column of `report --format csv` may differ, absolutely or as a share of the old value (5%); `all` for every
    /// column; may be given several times, the last one counts
    #[arg(long = "tolerance", value_name = "KEY=VALUE")]
    pub tolerances: Vec<String>,
    /// Compare only the runs that both folders have; missing ones are listed and change nothing
    #[arg(long)]
    pub common: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// For continuous integration
    #[command(flatten)]
    pub ci: CiArgs,
}

/// Runs the command.
///
/// # Errors
/// When a folder has no finished run, the two have no run in common, or a tolerance makes no sense.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    let given = tolerances(&args.tolerances)?;
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let damaged = old.left_out + new.left_out;
    for (folder, runs) in [(&args.old, &old.runs), (&args.new, &new.runs)] {
        if let Some((one, other)) = ambiguous(runs).first() {
            bad_input!(
                "{} has one run twice, {} and {} ({}); which of them is to be compared is not known: take one away",
                folder.display(),
                one.dir.display(),
                other.dir.display(),
                if one.scores.key == other.scores.key {
                    "a repeat"
                } else {
                    "another revision of the system"
                }
            );
        }
    }
    let mut found = diff(&old.runs, &new.runs, |value| {
        let said = given.iter().rev().find(|(key, _)| key == value || key == "all");
        said.map_or_else(|| Tolerance::default_of(value), |(_, tolerance)| *tolerance)
    });
    if found.pairs == 0 {
        bad_input!(
            "{} and {} have no run in common; the first has {}, the second {}",
            args.old.display(),
            args.new.display(),
            found.missing.first().map_or("none", String::as_str),
            found.added.first().map_or("none", String::as_str)
        );
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&json(&found))?);
    } else {
        print!("{}", text(&found));
    }
    if args.common {
        found.missing.clear();
    }
    args.ci.tell("diff", &cases(&found))?;
    // Nobody can say that what was left out is the same.
    Ok(if found.differs() || damaged > 0 { exit::DIFFERENT } else { exit::OK })
}

/// A case per system, scenario and clip that both folders have, and one per run that only one has or that is valid in only one.
fn cases(found: &Diff) -> Vec<Case> {
    let mut cases = Vec::new();
    for named in &found.named {
        let rows = found
            .rows
            .iter()
            .filter(|r| (&r.scenario, &r.clip, &r.system) == (&named.scenario, &named.clip, &named.system));
        let beyond: Vec<[String; 10]> = rows.filter(|r| r.beyond > 0).map(cells).collect();
        let line = |c: &[String; 10]| {
            format!("{}: {} -> {}, largest change {}, tolerance {}, {}", c[3], c[5], c[6], c[7], c[8], c[9])
        };
        let verdict = if beyond.is_empty() {
            Verdict::Passed
        } else {
            let keys: Vec<&str> = beyond.iter().map(|c| c[3].as_str()).collect();
            let text = beyond.iter().map(line).collect::<Vec<_>>().join("\n");
            Verdict::Failed { summary: format!("beyond tolerance: {}", keys.join(", ")), text, file: None }
        };
        let name = format!("{} {}", named.scenario, named.clip);
        cases.push(Case { group: named.system.clone(), name, verdict });
    }
    for (group, summary, list) in [
        ("missing", "missing in the second folder", &found.missing),
        ("validity", "valid in one folder only", &found.validity),
    ] {
        cases.extend(list.iter().map(|line| Case {
            group: group.into(),
            name: line.clone(),
            verdict: Verdict::Failed { summary: summary.into(), text: String::new(), file: None },
        }));
    }
    cases
}

fn load(dir: &Path) -> anyhow::Result<Loaded> {
    let loaded = load_all(dir)?;
    if loaded.runs.is_empty() {
        bad_input!(
            "{} holds no finished run (a directory with scores.json); `freezeframe score` makes them",
            dir.display()
        );
    }
    Ok(loaded)
}

fn tolerances(words: &[String]) -> anyhow::Result<Vec<(String, Tolerance)>> {
    let mut all = Vec::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            bad_input!("--tolerance {word:?}: write it as KEY=VALUE, such as psnr_mean_db=0.2");
        };
        if key != "all" && !COLUMNS.iter().any(|c| c.key == key) && !Other::all().any(|o| o.key() == key) {
            let keys: Vec<&str> = COLUMNS.iter().map(|c| c.key).collect();
            bad_input!(
                "--tolerance {word:?}: no column is called {key:?}; there are: all, {}",
                keys.join(", ")
            );
        }
        match value.parse() {
            Ok(tolerance) => all.push((key.to_owned(), tolerance)),
            Err(why) => bad_input!("--tolerance {word:?}: {why}"),
        }
    }
    Ok(all)
}

fn text(found: &Diff) -> String {
    let mut out = String::new();
    if !found.rows.is_empty() {
        let mut rows = vec![
            ["scenario", "clip", "system", "value", "runs", "old", "new", "largest change", "tolerance", ""]
                .map(str::to_owned),
        ];
        rows.extend(found.rows.iter().map(cells));
        out += &text_table(&rows, 4);
    }
    for (what, list) in [
        ("missing in the second folder", &found.missing),
        ("only in the second folder", &found.added),
        ("valid in one folder only", &found.validity),
    ] {
        for line in list {
            out += &format!("{what}: {line}\n");
        }
    }
    let beyond = found.rows.iter().filter(|r| r.beyond > 0).count();
    out += &format!(
        "{} runs in common; {} values equal, {} differ, {beyond} of them beyond tolerance\n",
        found.pairs,
        found.equal,
        found.rows.len()
    );
    out
}

fn cells(row: &Row) -> [String; 10] {
    let number = |v: f64| if v.is_nan() { UNKNOWN.to_owned() } else { format!("{v:.*}", row.digits) };
    let largest = match row.largest {
        f64::INFINITY => "appeared".to_owned(),
        f64::NEG_INFINITY => "gone".to_owned(),
        v => format!("{v:+.*}", row.digits + 2),
    };
    let word = match (row.beyond, row.better) {
        (0, _) => String::new(),
        (n, Some(true)) => format!("{n} beyond, better"),
        (n, Some(false)) => format!("{n} beyond, worse"),
        (n, None) => format!("{n} beyond"),
    };
    [
        row.scenario.clone(),
        row.clip.clone(),
        row.system.clone(),
        row.key.to_owned(),
        row.pairs.to_string(),
        number(row.old),
        number(row.new),
        largest,
        row.tolerance.to_string(),
        word,
    ]
}

fn json(found: &Diff) -> serde_json::Value {
    // JSON has no infinity and no NaN: they are null there, and `pairs` says why.
    let row = |r: &Row| {
        serde_json::json!({
            "scenario": r.scenario, "clip": r.clip, "system": r.system, "value": r.key, "pairs": r.pairs,
            "old": r.old, "new": r.new, "largest": r.largest, "tolerance": r.tolerance.to_string(),
            "beyond": r.beyond, "better": r.better,
        })
    };
    let rows: Vec<serde_json::Value> = found.rows.iter().map(row).collect();
    serde_json::json!({
        "pairs": found.pairs, "equal": found.equal, "differs": found.differs(), "rows": rows,
        "missing": found.missing, "added": found.added, "validity": found.validity,
    })
}
