//! The result as a table, JSON or CSV.

use super::Args;
use super::score::Scored;
use super::vmaf::Measured;
use anyhow::Result;
use contract::Metric;
use metrics::Better;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Prints in the form that was asked for.
pub fn scored(args: &Args, scored: &Scored) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = if args.json {
        json_text(args, scored, &mut out)
    } else if args.csv {
        csv(scored, &mut out)
    } else {
        table(scored, &mut out)
    };
    crate::stdio::reader_gone(written.and_then(|()| out.flush()))?;
    for note in &scored.notes {
        eprintln!("note: {note}");
    }
    if args.json || args.csv {
        for (metric, reason) in &scored.missing {
            eprintln!("{}: no value: {reason}", metric.name());
        }
        if let Some(Err(reason)) = &scored.vmaf {
            eprintln!("vmaf: no value: {reason}");
        }
    }
    Ok(())
}

/// What a metric's frames come to.
struct Summary {
    mean: f64,
    worst10: f64,
    percentiles: [f64; 5],
}

const PERCENTILES: [f64; 5] = [5.0, 25.0, 50.0, 75.0, 95.0];

fn summary(scored: &Scored, column: usize) -> Option<Summary> {
    let metric = scored.metrics[column];
    let values: Vec<f64> = scored.frames.iter().filter_map(|f| f[column]).collect();
    let better = if metric.higher_is_better() { Better::Higher } else { Better::Lower };
    let mean = match metric {
        // FFmpeg's clip value: one identical frame would make the mean of the frames infinite.
        Metric::FfmpegPsnr => metrics::psnr_of_mean_error(&values)?,
        _ => metrics::mean(&values)?,
    };
    Summary::of(&values, mean, better)
}

impl Summary {
    fn of(values: &[f64], mean: f64, better: Better) -> Option<Self> {
        let percentiles = PERCENTILES.map(|p| metrics::percentile(values, p).unwrap_or(f64::NAN));
        Some(Summary { mean, worst10: metrics::worst10(values, better)?, percentiles })
    }

    /// Of VMAF: the mean is the program's own.
    fn of_vmaf(measured: &Measured) -> Option<Self> {
        Self::of(&measured.frames, measured.mean, Better::Higher)
    }
}

/// JSON has no infinity; text that every language's number parser takes stands in for it.
fn number(v: Option<f64>) -> Value {
    match v {
        Some(v) if v.is_finite() => json!(v),
        Some(v) if v > 0.0 => json!("inf"),
        Some(v) if v < 0.0 => json!("-inf"),
        _ => Value::Null,
    }
}

fn json_text(args: &Args, scored: &Scored, out: &mut impl Write) -> std::io::Result<()> {
    let vmaf = scored.vmaf.as_ref().and_then(|v| v.as_ref().ok());
    let frame = |(i, values): (usize, &Vec<Option<f64>>)| -> Map<String, Value> {
        let ours = scored.metrics.iter().zip(values).map(|(m, v)| (m.name().to_owned(), number(*v)));
        ours.chain(vmaf.map(|v| ("vmaf".to_owned(), number(v.frames.get(i).copied())))).collect()
    };
    let summaries: Vec<Option<Summary>> = (0..scored.metrics.len()).map(|c| summary(scored, c)).collect();
    let each = |f: &dyn Fn(&Summary) -> Value| -> Map<String, Value> {
        let value = |s: &Option<Summary>| s.as_ref().map_or(Value::Null, f);
        let ours = scored.metrics.iter().zip(&summaries).map(|(m, s)| (m.name().to_owned(), value(s)));
        ours.chain(vmaf.map(|v| ("vmaf".to_owned(), value(&Summary::of_vmaf(v))))).collect()
    };
    let why_not = scored.vmaf.as_ref().and_then(|v| v.as_ref().err());
    let missing: Map<String, Value> =
        (scored.missing.iter().map(|(m, why)| (m.name().to_owned(), json!(why))))
            .chain(why_not.map(|why| ("vmaf".to_owned(), json!(why))))
            .collect();
    let definitions: Map<String, Value> =
        scored.metrics.iter().map(|m| (m.name().to_owned(), json!(m.definition()))).collect();
    let percentiles = |s: &Summary| {
        let map: Map<String, Value> =
            PERCENTILES.iter().zip(s.percentiles).map(|(p, v)| (format!("p{p}"), number(Some(v)))).collect();
        Value::Object(map)
    };
    let mut whole = json!({
        "reference": args.reference.display().to_string(),
        "shown": args.shown.display().to_string(),
        "frames": scored.frames.iter().enumerate().map(frame).collect::<Vec<_>>(),
        "mean": each(&|s| number(Some(s.mean))),
        "worst10": each(&|s| number(Some(s.worst10))),
        "percentiles": each(&percentiles),
        "missing": missing,
        "notes": scored.notes,
        "definitions": definitions,
    });
    if let Some(v) = vmaf {
        // What another program measured, and with what.
        whole["external"] = json!({"vmaf": {
            "model": v.model, "library": v.library, "program": v.program,
            "mean": number(Some(v.mean)), "harmonic_mean": number(Some(v.harmonic_mean)),
            "min": number(v.frames.iter().copied().reduce(f64::min)),
        }});
    }
    if let Some(found) = &scored.aligned {
        let (reference, shown) = found.skips();
        whole["aligned"] = json!({
            "offset": found.offset, "skipped_reference": reference, "skipped_shown": shown,
            "fits_as_well": found.rivals, "looked_at": found.frames, "small_mse": number(Some(found.error)), "small_mse_at_0": number(Some(found.error_at_0)),
        });
    }
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

fn csv(scored: &Scored, out: &mut impl Write) -> std::io::Result<()> {
    let vmaf = scored.vmaf.as_ref().map(|v| v.as_ref().ok());
    let names: Vec<&str> = scored.metrics.iter().map(|m| m.name()).chain(vmaf.map(|_| "vmaf")).collect();
    writeln!(out, "frame,{}", names.join(","))?;
    for (i, frame) in scored.frames.iter().enumerate() {
        let other = vmaf.map(|v| v.and_then(|v| v.frames.get(i).copied()));
        let cells: Vec<String> = frame
            .iter()
            .copied()
            .chain(other)
            .map(|v| v.map(|v| v.to_string()).unwrap_or_default())
            .collect();
        writeln!(out, "{i},{}", cells.join(","))?;
    }
    Ok(())
}

fn table(scored: &Scored, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{} frame{}\n", scored.frames.len(), if scored.frames.len() == 1 { "" } else { "s" })?;
    writeln!(
        out,
        "{:<15} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "metric", "mean", "worst 10%", "p5", "median", "p95"
    )?;
    for (c, metric) in scored.metrics.iter().enumerate() {
        let Some(s) = summary(scored, c) else {
            let why = scored.missing.get(metric).map_or("no frames", String::as_str);
            writeln!(out, "{:<15} {:>10}   {why}", metric.name(), "-")?;
            continue;
        };
        let digits = metric.digits() + 2;
        write!(out, "{:<15}", metric.name())?;
        for v in [s.mean, s.worst10, s.percentiles[0], s.percentiles[2], s.percentiles[4]] {
            write!(out, " {v:>10.digits$}")?;
        }
        writeln!(out, " {}", metric.unit())?;
    }
    match &scored.vmaf {
        Some(Ok(v)) => {
            if let Some(s) = Summary::of_vmaf(v) {
                write!(out, "{:<15}", "vmaf")?;
                for v in [s.mean, s.worst10, s.percentiles[0], s.percentiles[2], s.percentiles[4]] {
                    write!(out, " {v:>10.4}")?;
                }
                writeln!(out)?;
            }
        }
        Some(Err(why)) => writeln!(out, "{:<15} {:>10}   {why}", "vmaf", "-")?,
        None => {}
    }
    writeln!(out)?;
    if let Some(Ok(v)) = &scored.vmaf {
        writeln!(
            out,
            "vmaf: harmonic mean {:.4}; model {}, {}, measured by {}",
            v.harmonic_mean, v.model, v.library, v.program
        )?;
    }
    for metric in &scored.metrics {
        writeln!(out, "{}: {}", metric.name(), metric.definition())?;
    }
    Ok(())
}
