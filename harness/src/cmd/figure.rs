//! `freezeframe figure`: figures for papers, from finished runs.

use crate::bad_input;
use crate::figure::data::{Choice, Data};
use crate::figure::files::{Kind, bytes, latex};
use crate::figure::model::Figure;
use crate::figure::{ALL, Entry, find, numbers, vega};
use crate::report::group::labels;
use crate::report::load::{Loaded, Run, load_folders};
use anyhow::Context as _;
use contract::{Metric, Stream, exit};
use std::path::{Path, PathBuf};

/// Draw a figure for a paper from finished runs: SVG, PDF, PNG, its numbers, a Vega-Lite specification
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  freezeframe figure --list                                       names, and the plan that makes the runs of each
  freezeframe figure non-rendered runs/default --out nr.pdf       one of the field's
  freezeframe figure cdf runs/papers --metric ssim --out cdf.svg --out cdf.png
  freezeframe figure reparo-5 runs/reparo-figures --csv           the numbers behind
  freezeframe figure timeline runs/default --scenario ge-high --seed 3 --out t.pdf
  freezeframe figure boxes runs/default --vega=boxes.json         to draw it otherwise
  freezeframe figure all runs/papers --out figures                every figure that these runs allow: SVG, PDF, CSV

One column of a paper is 85 mm, both are 178 mm; texts are of 6.5 to 7.5 points. A system has the same colour, mark and dash in every
figure. Intervals are those of tables (docs/METRICS.md).")]
pub struct Args {
    /// Which figure, or all
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Run directories, or directories of runs
    #[arg(value_name = "RUN", required_unless_present = "list")]
    pub runs: Vec<PathBuf>,
    /// Say which figures there are
    #[arg(long, conflicts_with_all = ["name", "out", "csv", "vega"])]
    pub list: bool,
    /// Where it goes: .svg, .pdf or .png (tables: .tex, too); may be given several times; default: NAME.svg. For all: a folder
    #[arg(long, value_name = "FILE")]
    pub out: Vec<PathBuf>,
    /// Print the numbers behind it as CSV, or write them to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub csv: Option<PathBuf>,
    /// Print it as a Vega-Lite specification, or write that to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub vega: Option<PathBuf>,
    /// Only these scenarios
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub scenario: Vec<String>,
    /// Only these systems, by name or as the table calls them
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub system: Vec<String>,
    /// Only these clips
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub clip: Vec<String>,
    /// Picture metric of figures that have a choice: a column of frames.csv
    #[arg(long, value_name = "METRIC", default_value = "psnr")]
    pub metric: String,
    /// Of the depth pictures
    #[arg(long)]
    pub depth: bool,
    /// Loss pattern that a time series is of; default: the first
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Dots per inch of PNG
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=2400))]
    pub dpi: u32,
}

/// Runs the command.
///
/// # Errors
/// When the runs lack what the figure needs, or a file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    if args.list {
        print!("{}", list());
        return Ok(exit::OK);
    }
    let name = args.name.as_deref().unwrap_or_default();
    let all = name == "all";
    let entry = find(name);
    if entry.is_none() && !all {
        let names: Vec<&str> = ALL.iter().map(|e| e.name).collect();
        bad_input!("no figure is called {name:?}; there are: all, {}", names.join(", "));
    }
    let Some(metric) = Metric::from_name(&args.metric) else {
        let names: Vec<&str> = Metric::ALL.iter().map(|m| m.name()).collect();
        bad_input!("--metric: no metric is called {:?}; there are: {}", args.metric, names.join(", "));
    };
    for path in args.out.iter().filter(|_| !all) {
        let tex = path.extension().is_some_and(|e| e == "tex");
        if Kind::of(path).is_none() && !tex {
            bad_input!("--out {}: the name must end in .svg, .pdf or .png", path.display());
        }
    }
    let Loaded { runs, left_out } = load_folders(&args.runs)?;
    // As in tables: what is there is shown, and the exit code says that it is not all.
    let done = if left_out == 0 { exit::OK } else { exit::INVALID };
    let runs = chosen(runs, args)?;
    let stream = if args.depth { Stream::Depth } else { Stream::Rgb };
    let data = Data::new(&runs, Choice { stream, metric, seed: args.seed });
    let Some(entry) = entry else { return every(args, &data).map(|()| done) };
    let mut figure = (entry.make)(&data).or_else(|why| lacking(entry, &why))?;
    entry.name.clone_into(&mut figure.name);
    write(args, &figure)?;
    Ok(done)
}

/// Every figure that the runs allow, into a folder.
fn every(args: &Args, data: &Data) -> anyhow::Result<()> {
    let [folder] = &args.out[..] else { bad_input!("figure all: --out FOLDER says where they go") };
    if args.csv.is_some() || args.vega.is_some() {
        bad_input!("figure all writes NAME.csv of every figure; --csv and --vega are for one");
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for entry in &ALL {
        let figure = match (entry.make)(data) {
            Ok(figure) => Figure { name: entry.name.to_owned(), ..figure },
            Err(why) => {
                eprintln!("not drawn: {}: {why} (plan {})", entry.name, entry.plan);
                continue;
            }
        };
        let file = |end: &str| folder.join(format!("{}.{end}", entry.name));
        for (end, kind) in [("svg", Kind::Svg), ("pdf", Kind::Pdf)] {
            crate::output::put(&file(end), bytes(&figure, kind, args.dpi)?)?;
        }
        put(&file("csv"), &numbers::csv(&figure))?;
        eprintln!("figure: {}: {}", file("pdf").display(), figure.title);
    }
    Ok(())
}

fn lacking(entry: &Entry, why: &str) -> anyhow::Result<Figure> {
    let (name, plan) = (entry.name, entry.plan);
    bad_input!(
        "figure {name}: {why}; the plan {plan} makes such runs: `freezeframe sweep {plan} --clip FILE`, then `freezeframe figure {name} runs/{plan}`"
    );
}

/// The runs that were asked for.
fn chosen(runs: Vec<Run>, args: &Args) -> anyhow::Result<Vec<Run>> {
    let labels = labels(&runs, &[]);
    let named: Vec<[Vec<String>; 3]> = runs
        .iter()
        .zip(&labels)
        .map(|(r, l)| {
            let run = &r.scores.run;
            [
                vec![run.scenario.clone(), l.scenario.clone()],
                vec![run.system.clone(), l.system.clone()],
                vec![run.clip.clone(), l.clip.clone()],
            ]
        })
        .collect();
    for (k, (option, wanted)) in
        [("--scenario", &args.scenario), ("--system", &args.system), ("--clip", &args.clip)]
            .into_iter()
            .enumerate()
    {
        if let Some(unknown) = wanted.iter().find(|w| !named.iter().any(|n| n[k].contains(w))) {
            let mut there: Vec<&str> = named.iter().map(|n| n[k][1].as_str()).collect();
            there.sort_unstable();
            there.dedup();
            bad_input!("{option} {unknown}: no such run; there are: {}", there.join(", "));
        }
    }
    let wanted = |n: &[Vec<String>; 3]| {
        let asked = [&args.scenario, &args.system, &args.clip];
        asked.iter().zip(n).all(|(asked, names)| asked.is_empty() || asked.iter().any(|a| names.contains(a)))
    };
    let kept: Vec<Run> = runs.into_iter().zip(&named).filter(|(_, n)| wanted(n)).map(|(r, _)| r).collect();
    if kept.is_empty() {
        bad_input!("no run is of such a scenario, system and clip together");
    }
    Ok(kept)
}

fn write(args: &Args, figure: &Figure) -> anyhow::Result<()> {
    let default = [PathBuf::from(format!("{}.svg", figure.name))];
    let nothing = args.out.is_empty() && args.csv.is_none() && args.vega.is_none();
    for path in if nothing { &default[..] } else { &args.out } {
        let content = match (Kind::of(path), &figure.table) {
            (Some(kind), _) => bytes(figure, kind, args.dpi)?,
            (None, Some(grid)) => latex(grid).into_bytes(),
            (None, None) => bad_input!("--out {}: only tables can be .tex", path.display()),
        };
        crate::output::put(path, content)?;
        eprintln!("figure: {}: {}", path.display(), figure.title);
    }
    if let Some(path) = &args.csv {
        put(path, &numbers::csv(figure))?;
    }
    if let Some(path) = &args.vega {
        put(path, &(serde_json::to_string_pretty(&vega::spec(figure))? + "\n"))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        print!("{text}");
        return Ok(());
    }
    crate::output::put(path, text)
}

/// Names, what they show, the plan of their runs.
fn list() -> String {
    let name = ALL.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let plan = ALL.iter().map(|e| e.plan.len()).max().unwrap_or(0);
    let mut out = format!("{:name$}  {:plan$}  shows\n", "figure", "plan");
    for e in &ALL {
        out.push_str(&format!("{:name$}  {:plan$}  {}\n", e.name, e.plan, e.about));
    }
    out
}
