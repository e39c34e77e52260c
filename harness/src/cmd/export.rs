//! `freezeframe export`: finished runs as tidy tables.

use crate::bad_input;
use crate::report::group::labels;
use crate::report::load::{Loaded, Run, load_folders};
use crate::tidy::{CsvFile, ParquetFile, Sink, Table, tables};
use anyhow::Context as _;
use contract::exit;
use std::path::{Path, PathBuf};

/// Write finished runs as tables for DuckDB, pandas and R: runs, frames, packets, as Parquet and CSV
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  freezeframe export runs/default --out data                        data/runs.parquet, data/runs.csv, and so on
  freezeframe export runs/a runs/b --out data --tables runs,frames --format parquet
  freezeframe export --columns                                      what every column means
  duckdb -c \"SELECT system, avg(psnr_mean_db) FROM 'data/runs.parquet' WHERE valid GROUP BY system\"

docs/DATA.md has the columns, and recipes for DuckDB and pandas.")]
pub struct Args {
    /// Run directories, or directories of runs
    #[arg(value_name = "RUN", required_unless_present = "columns")]
    pub runs: Vec<PathBuf>,
    /// Folder of the tables; made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "columns")]
    pub out: Option<PathBuf>,
    /// Only these tables
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TABLE,...", default_values = ["runs", "frames", "packets"])]
    pub tables: Vec<Which>,
    /// Only these kinds of files
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,...", default_values = ["parquet", "csv"])]
    pub format: Vec<Format>,
    /// Say what every column means, as Markdown
    #[arg(long)]
    pub columns: bool,
}

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// One row per run
    Runs,
    /// One row per run, captured frame and stream
    Frames,
    /// One row per run, direction and packet
    Packets,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Typed, compressed
    Parquet,
    /// For everything else
    Csv,
}

/// Runs the command.
///
/// # Errors
/// When a run's results are damaged, or a file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    if args.columns {
        print!("{}", markdown());
        return Ok(exit::OK);
    }
    let Loaded { runs, left_out } = load_folders(&args.runs)?;
    // As in tables: what is there is shown, and the exit code says that it is not all.
    let done = if left_out == 0 { exit::OK } else { exit::INVALID };
    refuse_twice(&runs)?;
    let Some(out) = &args.out else { bad_input!("--out DIR is missing") };
    std::fs::create_dir_all(out)
        .with_context(|| format!("failed to make the directory {}", out.display()))?;
    let mut which = args.tables.clone();
    which.dedup();
    for table in which {
        let rows = write(table, &runs, out, &args.format)?;
        eprintln!("export: {} rows of {}", rows, of(table).name);
    }
    Ok(done)
}

/// The same run from two folders would be counted twice in everything that is computed from the tables.
fn refuse_twice(runs: &[Run]) -> anyhow::Result<()> {
    let mut seen: std::collections::BTreeMap<String, &Path> = std::collections::BTreeMap::new();
    for run in runs {
        if let Some(had) = seen.insert(run.scores.key.hash(), &run.dir) {
            bad_input!(
                "{} and {} are the same run (equal keys); give one of them",
                had.display(),
                run.dir.display()
            );
        }
    }
    Ok(())
}

fn of(table: Which) -> Table {
    match table {
        Which::Runs => tables::runs(),
        Which::Frames => tables::frames(),
        Which::Packets => tables::packets(),
    }
}

/// A file that is not complete; gone with this unless it was renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write(which: Which, runs: &[Run], out: &Path, formats: &[Format]) -> anyhow::Result<usize> {
    let table = of(which);
    let mut files: Vec<(Box<dyn Sink>, Part, PathBuf)> = Vec::new();
    for (format, end) in [(Format::Parquet, "parquet"), (Format::Csv, "csv")] {
        if !formats.contains(&format) {
            continue;
        }
        let path = out.join(format!("{}.{end}", table.name));
        let partial = Part(out.join(format!("{}.{end}.{}.part", table.name, std::process::id())));
        let sink: Box<dyn Sink> = match format {
            Format::Parquet => Box::new(ParquetFile::create(&partial.0, &table)?),
            Format::Csv => Box::new(CsvFile::create(&partial.0, &table)?),
        };
        files.push((sink, partial, path));
    }
    let mut count = 0;
    let mut add = |row: Vec<crate::tidy::Value>| -> anyhow::Result<()> {
        count += 1;
        files.iter_mut().try_for_each(|(sink, ..)| sink.row(row.clone()))
    };
    match which {
        Which::Runs => {
            let labels = labels(runs, &[]);
            runs.iter().zip(&labels).try_for_each(|(run, label)| add(tables::run_row(run, &label.system)))?;
        }
        Which::Frames => {
            for run in runs {
                let hash = run.scores.key.hash();
                run.rows.iter().try_for_each(|row| add(tables::frame_row(&hash, row)))?;
            }
        }
        Which::Packets => {
            let mut without = 0;
            for run in runs {
                let hash = run.scores.key.hash();
                match tables::fates(run)? {
                    Some(fates) => fates.iter().try_for_each(|fate| add(tables::packet_row(&hash, fate)))?,
                    None => without += 1,
                }
            }
            if without > 0 {
                eprintln!(
                    "export: {without} of {} runs have no record of their path (fates.jsonl) and no packets here",
                    runs.len()
                );
            }
        }
    }
    for (sink, partial, path) in files {
        sink.finish()?;
        std::fs::rename(&partial.0, &path).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(count)
}

/// What docs/DATA.md has.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    for table in [tables::runs(), tables::frames(), tables::packets()] {
        out += &format!("### `{}`: {}\n\n| column | type | what |\n|---|---|---|\n", table.name, table.row);
        for c in &table.columns {
            out += &format!("| `{}` | {} | {} |\n", c.name, c.kind.name(), c.about.replace('|', "\\|"));
        }
        out.push('\n');
    }
    out.trim_end().to_owned() + "\n"
}
