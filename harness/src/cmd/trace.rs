//! `freezeframe trace`: look into link traces, convert them, make the project's own, print the equivalent tc commands.

use crate::cmd::link::{FormatArg, Way};
use anyhow::{Context, Result, anyhow};
use clap::{Args as ClapArgs, Subcommand};
use contract::{Scenario, exit};
use link::trace::{Format, SHIPPED, Summary, Trace, TraceSpec, mahimahi, revo};
use link::{Direction, Span, TraceError, rate_text, tc_script};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Look into link traces, convert them, print the tc commands of a scenario
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// What is in a trace: length, rate, round-trip time, loss, and the windows with the most loss
    Info {
        /// File, or name of a shipped trace
        trace: String,
        /// How the file is written; absent: guessed from its first line
        #[arg(long, value_enum)]
        format: Option<FormatArg>,
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
        /// File, or name of a shipped trace
        trace: String,
        /// How the file is written; absent: guessed from its first line
        #[arg(long, value_enum)]
        from: Option<FormatArg>,
        /// Length of a row made from packet deliveries
        #[arg(long, default_value = "100ms")]
        step: Span,
        /// Where to write; absent: standard output
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Write a trace for other tools
    Export {
        /// File, or name of a shipped trace
        trace: String,
        /// How the file is written; absent: guessed from its first line
        #[arg(long, value_enum)]
        from: Option<FormatArg>,
        /// Format to write
        #[arg(long, value_enum, default_value_t = FormatArg::Mahimahi)]
        to: FormatArg,
        /// Length of a row made from packet deliveries
        #[arg(long, default_value = "100ms")]
        step: Span,
        /// Where to write; absent: standard output
        #[arg(long, short)]
        output: Option<PathBuf>,
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
    },
    /// Make one of the project's own traces
    Make {
        /// Name of a shipped trace
        name: String,
    },
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    match &args.command {
        Command::Info { trace, format, window, top, json } => info(trace, *format, *window, *top, *json)?,
        Command::Import { trace, from, step, output } => {
            let text = revo::write(&rows(trace, *from, *step)?.rows);
            write(output.as_deref(), &text)?;
        }
        Command::Export { trace, from, to: FormatArg::Revo, step, output } => {
            write(output.as_deref(), &revo::write(&rows(trace, *from, *step)?.rows))?;
        }
        Command::Export { trace, from, to: FormatArg::Mahimahi, output, .. } => {
            let text =
                match read(trace, *from)? {
                    Trace::Opportunities(times) => mahimahi::write(&times),
                    Trace::Rows(rows) => {
                        let times = rows.opportunities();
                        mahimahi::write(&times.ok_or_else(|| {
                            anyhow!("trace {trace}: its rate never lets 1500 bytes through")
                        })?)
                    }
                };
            write(output.as_deref(), &text)?;
        }
        Command::Tc { scenario, direction, dev, seed } => {
            let direction = match direction {
                Way::Forward => Direction::Forward,
                Way::Reverse => Direction::Reverse,
            };
            let scenario = Scenario::find(scenario)?;
            write(None, &tc_script(scenario.path(direction), dev, direction.seed(*seed))?.to_string())?;
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

fn read(trace: &str, format: Option<FormatArg>) -> Result<Trace> {
    if let Some(shipped) = SHIPPED.iter().find(|s| s.name == trace) {
        return Ok(Trace::parse(trace, shipped.format, shipped.text.as_bytes())?);
    }
    let format = format.map_or_else(|| guess(Path::new(trace)), Format::from);
    let mut spec = TraceSpec::file(Path::new(trace), format);
    spec.load(Path::new(""))?;
    let content = spec.content.context("the trace has no content")?;
    Ok((*content).clone())
}

/// One column is mahimahi's, more are ReVo's. A file that cannot be read is reported when it is loaded.
fn guess(path: &Path) -> Format {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("");
    if line.split_whitespace().count() == 1 { Format::Mahimahi } else { Format::Revo }
}

fn rows(trace: &str, format: Option<FormatArg>, step: Span) -> Result<revo::Rows> {
    match read(trace, format)? {
        Trace::Rows(rows) => Ok(rows),
        Trace::Opportunities(times) => times.rows(step).context("--step must be above 0"),
    }
}

fn write(output: Option<&Path>, text: &str) -> Result<()> {
    match output {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
        }
        None => match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("failed to write to standard output"),
        },
    }
}

fn info(name: &str, format: Option<FormatArg>, window: Span, top: usize, json: bool) -> Result<()> {
    let trace = read(name, format)?;
    let whole = trace.summary();
    let (windows, clamped) = match &trace {
        Trace::Rows(rows) if rows.summary().length > window => {
            let mut windows = rows.lossiest(window, Span(window.0 / 6));
            windows.truncate(top);
            (windows, rows.clamped)
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
            })
        };
        let windows: Vec<_> = windows.iter().map(object).collect();
        let text = serde_json::to_string_pretty(
            &json!({"trace": name, "negative_losses": clamped, "whole": object(&whole), "windows": windows}),
        )?;
        return write(None, &format!("{text}\n"));
    }
    let mut text = format!("trace   {name}\nlength  {}, {} rows\n", whole.length, whole.rows);
    text += &format!(
        "rate    mean {}, {} to {}\n",
        rate_text(whole.rate_mean),
        rate_text(whole.rate_min),
        rate_text(whole.rate_max)
    );
    if matches!(trace, Trace::Rows(_)) {
        text += &format!("rtt     mean {}, {} to {}\n", whole.rtt_mean, whole.rtt_min, whole.rtt_max);
        text += &format!(
            "loss    mean {:.3} %, worst row {:.1} %, {} rows with loss, longest run of them {}\n",
            whole.loss_mean.as_f64() * 100.0,
            whole.loss_max.as_f64() * 100.0,
            whole.rows_with_loss,
            whole.longest_burst
        );
    }
    if clamped > 0 {
        text += &format!("warning: {clamped} rows have a negative loss; it counts as 0\n");
    }
    if !windows.is_empty() {
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
