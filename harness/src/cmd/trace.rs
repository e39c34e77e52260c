//! `freezeframe trace`: look into link traces, convert them, make the project's own, print the equivalent tc commands.

use crate::BadInput;
use crate::cmd::link::{FormatArg, Way};
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use contract::{Scenario, exit};
use link::trace::revo::Rows;
use link::trace::{Format, Read, SHIPPED, Summary, Trace, read_file};
use link::{Direction, Span, TraceError, rate_text, tc_script};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Look into link traces, convert them, print the tc commands of a scenario
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// What is in a trace: its kind, length, rate, outages, round-trip time, loss, and the windows with the most loss
    Info {
        #[command(flatten)]
        source: Source,
        /// Length of the windows to compare
        #[arg(long, default_value = "30s")]
        window: Span,
        /// How many windows to list
        #[arg(long, default_value_t = 5)]
        top: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read a trace strictly and write it as four columns
    Import {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        target: Target,
    },
    /// Write a trace for other tools
    Export {
        #[command(flatten)]
        source: Source,
        /// Format to write
        #[arg(long, value_enum, default_value_t = FormatArg::Mahimahi)]
        to: FormatArg,
        #[command(flatten)]
        target: Target,
    },
    /// Print the tc commands that come nearest to a scenario, and in what they differ
    Tc {
        /// Scenario: a name or a TOML file
        scenario: String,
        /// Which direction of the scenario
        #[arg(long, value_enum, default_value_t = Way::Forward)]
        direction: Way,
        /// Network device
        #[arg(long, default_value = "eth0")]
        dev: String,
        /// Seed of the run
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print what a new tc takes (netem's `seed`), whatever is installed here
        #[arg(long)]
        newest: bool,
    },
    /// Make one of the project's own traces
    Make {
        /// Name of a shipped trace
        name: String,
    },
}

/// A trace to read.
#[derive(ClapArgs, Debug)]
struct Source {
    /// File, or name of a shipped trace
    trace: String,
    /// How the file is written; absent: guessed from its first lines
    #[arg(long, visible_alias = "from", value_enum)]
    format: Option<FormatArg>,
    /// What the columns of a file without a header are, in order: `time_s,rate_mbps,-,rtt_ms,loss` (`-` for one to ignore)
    #[arg(long, conflicts_with = "format")]
    columns: Option<String>,
}

/// A file to write.
#[derive(ClapArgs, Debug)]
struct Target {
    /// Length of a row made from packet deliveries, rounded up to whole milliseconds
    #[arg(long, default_value = "100ms")]
    step: Span,
    /// Where to write; absent: standard output
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// Name the trace, the line and the remedy.
pub fn run(args: &Args) -> Result<i32> {
    match &args.command {
        Command::Info { source, window, top, json } => info(source, *window, *top, *json)?,
        Command::Import { source, target } => convert(source, Format::Revo, target)?,
        Command::Export { source, to, target } => convert(source, (*to).into(), target)?,
        Command::Tc { scenario, direction, dev, seed, newest } => {
            let direction = match direction {
                Way::Forward => Direction::Forward,
                Way::Reverse => Direction::Reverse,
            };
            let scenario = Scenario::find(scenario)?;
            let script = tc_script(scenario.path(direction), dev, direction.seed(*seed))?;
            let script = if *newest { script } else { crate::tc::as_installed(script) };
            write(None, &script.to_string())?;
        }
        Command::Make { name } => {
            let known = || SHIPPED.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
            let shipped = SHIPPED.iter().find(|s| s.name == name);
            let unknown = || TraceError::NotShipped { name: name.clone(), known: known() };
            let shipped = shipped.ok_or_else(unknown)?;
            write(None, &(shipped.make)())?;
        }
    }
    Ok(exit::OK)
}

/// A trace and the format in which it was read.
fn read(source: &Source) -> Result<(Format, Read)> {
    let name = &source.trace;
    if let Some(shipped) = SHIPPED.iter().find(|s| s.name == name) {
        return Ok((shipped.format, Trace::read(name, shipped.format, shipped.text.as_bytes())?));
    }
    let bytes = read_file(Path::new(name))?;
    if let Some(columns) = &source.columns {
        return Ok((Format::Csv, Trace::read_columns(name, columns, &bytes)?));
    }
    let format = match source.format {
        Some(format) => format.into(),
        None => Format::guess(name, &bytes)?,
    };
    Ok((format, Trace::read(name, format, &bytes)?))
}

fn convert(source: &Source, to: Format, target: &Target) -> Result<()> {
    let (_, Read { trace, notes }) = read(source)?;
    if let Trace::Rows(Rows { first_clamped: Some((line, loss)), clamped, .. }) = &trace {
        eprintln!("note: {clamped} losses are negative (the first: {loss} in line {line}); written as 0");
    }
    let (text, note) = trace
        .write(to, target.step)
        .map_err(|problem| BadInput(format!("trace {}: {problem}", source.trace)))?;
    for note in notes.iter().chain(&note) {
        eprintln!("note: {note}");
    }
    write(target.output.as_deref(), &text)
}

fn write(output: Option<&Path>, text: &str) -> Result<()> {
    match output {
        Some(path) => crate::output::put(path, text),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

fn info(source: &Source, window: Span, top: usize, json: bool) -> Result<()> {
    let (format, Read { trace, notes }) = read(source)?;
    let name = &source.trace;
    let whole = trace.summary();
    let (windows, clamped) = match &trace {
        Trace::Rows(rows) if whole.length > window => {
            (rows.lossiest(window, Span(window.0 / 6), top), rows.clamped)
        }
        Trace::Rows(rows) => (Vec::new(), rows.clamped),
        Trace::Opportunities(_) => (Vec::new(), 0),
    };
    if json {
        let object = |s: &Summary| {
            json!({
                "from_ns": s.from.0, "length_ns": s.length.0, "rows": s.rows,
                "rate_mean_bps": s.rate_mean.0, "rate_min_bps": s.rate_min.0, "rate_max_bps": s.rate_max.0,
                "rtt_mean_ns": s.rtt_mean.0, "rtt_min_ns": s.rtt_min.0, "rtt_max_ns": s.rtt_max.0,
                "loss_mean": s.loss_mean.as_f64(), "loss_max": s.loss_max.as_f64(),
                "rows_with_loss": s.rows_with_loss, "longest_burst_ns": s.longest_burst.0,
                "outages": s.outages, "outage_total_ns": s.outage_total.0, "longest_outage_ns": s.longest_outage.0,
            })
        };
        let windows: Vec<_> = windows.iter().map(object).collect();
        let text = serde_json::to_string_pretty(&json!({
            "trace": name, "format": format.word(), "notes": notes, "negative_losses": clamped,
            "whole": object(&whole), "windows": windows,
        }))?;
        return write(None, &format!("{text}\n"));
    }
    let what = if matches!(trace, Trace::Rows(_)) { "rows" } else { "deliveries of 1500 bytes" };
    let mut text = format!(
        "trace   {name}\nkind    {}\nlength  {}, {} {what}\n",
        format.describe(),
        whole.length,
        whole.rows
    );
    let (has_rate, has_rtt, has_loss) = match &trace {
        Trace::Rows(rows) => (rows.has_rate, rows.has_rtt, rows.has_loss),
        Trace::Opportunities(_) => (true, false, false),
    };
    if has_rate {
        text += &format!(
            "rate    mean {}, {} to {}\n",
            rate_text(whole.rate_mean),
            rate_text(whole.rate_min),
            rate_text(whole.rate_max)
        );
        text += &match whole.outages {
            0 => "outages none\n".to_owned(),
            n => {
                format!("outages {n}, {} in all, the longest {}\n", whole.outage_total, whole.longest_outage)
            }
        };
    }
    if has_rtt {
        text += &format!("rtt     mean {}, {} to {}\n", whole.rtt_mean, whole.rtt_min, whole.rtt_max);
    }
    if has_loss {
        text += &format!(
            "loss    mean {:.3} %, worst row {:.1} %, {} rows with loss, longest run of them {}\n",
            whole.loss_mean.as_f64() * 100.0,
            whole.loss_max.as_f64() * 100.0,
            whole.rows_with_loss,
            whole.longest_burst
        );
    }
    for note in &notes {
        text += &format!("note: {note}\n");
    }
    if clamped > 0 {
        text += &format!("warning: {clamped} rows have a negative loss; it counts as 0\n");
    }
    if has_loss && !windows.is_empty() {
        text += &format!(
            "\nwindows of {window} with the most loss (for `trace.offset`)\n  offset   loss %   rate\n"
        );
        for w in &windows {
            text += &format!(
                "  {:<8} {:<8.3} {}\n",
                w.from.to_string(),
                w.loss_mean.as_f64() * 100.0,
                rate_text(w.rate_mean)
            );
        }
    }
    write(None, &text)
}
