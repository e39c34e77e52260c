//! One run: what it was, what it measured, how to repeat it.

use super::strips::strips;
use super::timeline::timeline;
use crate::report::escape;
use crate::report::load::Run;
use crate::report::table::UNKNOWN;
use anyhow::Context as _;
use contract::scores::{Durations, StreamScores};
use contract::{Metric, Scores, Stream};
use std::fmt::Write as _;

/// The name by which a run is addressed inside the page.
#[must_use]
pub fn anchor(run: &Run) -> String {
    format!("run-{}", run.scores.key.hash())
}

/// The file in a run's directory that holds what a page shows of the run when it is opened.
pub const FILE: &str = "report-details.js";

/// A run's line in a page whose address of the run's directory is `base`; what is behind it is loaded when it is opened.
#[must_use]
pub fn summary(system: &str, run: &Run, open: bool, base: &str) -> String {
    let id = &run.scores.run;
    let mut out = String::new();
    let _ = write!(
        out,
        r#"<details class="run" id="{}" data-base="{}"{}><summary><b>{}</b><span>{}</span><span>seed {}</span>"#,
        escape(&anchor(run)),
        escape(base),
        if open { " open" } else { "" },
        escape(system),
        escape(&id.scenario),
        id.seed
    );
    if let Some(rgb) = run.scores.streams.get(&Stream::Rgb) {
        if let Some(q) = rgb.quality.get(&Metric::Psnr) {
            let _ = write!(out, "<span>PSNR {:.2} dB</span>", q.all.mean);
        }
        if let Some(q) = rgb.quality.get(&Metric::Ssim) {
            let _ = write!(out, "<span>SSIM {:.4}</span>", q.all.mean);
        }
        if let Some(share) = rgb.non_rendered_play_percent {
            let _ = write!(out, "<span>{share:.1} % not rendered</span>");
        }
    }
    if let Some(loss) = run.scores.network.get("forward").and_then(|f| f.realised_loss) {
        let _ = write!(out, "<span>{:.2} % loss</span>", 100.0 * loss);
    }
    if !run.scores.health.valid {
        out.push_str(r#"<span class="badge bad">invalid</span>"#);
    }
    out.push_str(
        r#"</summary><div class="inside"><noscript>JavaScript shows the details.</noscript></div></details>"#,
    );
    out
}

/// Everything of a run: what it was, what it measured, how to repeat it.
#[must_use]
pub fn inside(run: &Run) -> String {
    let mut out = String::new();
    warnings(&mut out, run);
    facts(&mut out, run);
    let _ = write!(
        out,
        r#"<div class="cmd"><code>{}</code><button class="copy" type="button">copy</button></div><h3>Frame by frame</h3>"#,
        escape(&run.scores.run.replay)
    );
    out.push_str(&timeline(run));
    scores_table(&mut out, run);
    out.push_str(&strips(run));
    out
}

/// Writes [`FILE`] into the run's directory, unless it is there as it should be. It is a script, since a page opened as a file may load
/// scripts beside it and nothing else.
///
/// # Errors
/// When it cannot be written.
pub fn write(run: &Run) -> anyhow::Result<()> {
    let text = format!(
        "freezeframeDetails({}, {});\n",
        serde_json::Value::from(anchor(run)),
        serde_json::Value::from(inside(run))
    );
    let path = run.dir.join(FILE);
    if path.symlink_metadata().is_ok_and(|m| m.is_file())
        && std::fs::read(&path).is_ok_and(|had| had == text.as_bytes())
    {
        return Ok(());
    }
    contract::write_whole(&path, text.as_bytes())
        .with_context(|| format!("failed to write {}", path.display()))
}

fn warnings(out: &mut String, run: &Run) {
    if !run.scores.health.valid {
        out.push_str(
            r#"<div class="warnings bad"><b>This run is invalid; its numbers are not averaged.</b>"#,
        );
        for problem in &run.scores.health.problems {
            let _ = write!(out, "<br>{}", escape(problem));
        }
        out.push_str("</div>");
    }
    if !run.stale.is_empty() {
        out.push_str(
            r#"<div class="warnings"><b>Kept although it is stale; run now, it would be another:</b>"#,
        );
        for reason in &run.stale {
            let _ = write!(out, "<br>{}", escape(reason));
        }
        out.push_str("</div>");
    }
    for warning in &run.scores.warnings {
        let _ = write!(
            out,
            r#"<div class="warnings"><b>{}</b> {}</div>"#,
            escape(&warning.code.replace('_', " ")),
            escape(&warning.text)
        );
    }
}

fn facts(out: &mut String, run: &Run) {
    let id = &run.scores.run;
    let scores = &run.scores;
    let mut facts: Vec<(String, String)> = vec![
        ("system".into(), id.system.clone()),
        ("scenario".into(), id.scenario.clone()),
        ("clip".into(), id.clip.clone()),
        ("frames".into(), format!("{} at {:.2} per second", scores.frames, 1e9 / to_f64(scores.interval_ns))),
        ("playout".into(), playout(scores)),
        ("seed".into(), id.seed.to_string()),
        ("backend".into(), id.backend.clone()),
        ("revision".into(), id.revision.clone()),
    ];
    facts.extend(id.conditions.iter().map(|(k, v)| (k.replace('_', " "), v.clone())));
    for (direction, path) in &scores.network {
        let mut text = format!("{} packets", path.packets);
        if let Some(loss) = path.realised_loss {
            let _ = write!(text, ", {:.2} % lost", 100.0 * loss);
        }
        for (cause, count) in &path.drops {
            let _ = write!(text, ", {count} {}", cause.replace('_', " "));
        }
        for (when, outside) in [("before", path.before), ("after", path.after)] {
            if outside.packets > 0 {
                let _ = write!(text, "; {} more {when} the clip", outside.packets);
            }
        }
        facts.push((format!("{direction} path"), text));
        if let Some(delay) = path.delay {
            let text =
                format!("p50 {}, p98 {}, max {} ms", ms(delay.p50_ns), ms(delay.p98_ns), ms(delay.max_ns));
            facts.push((format!("{direction} delay"), text));
        }
    }
    for (name, lateness) in [
        ("emulator lateness", scores.health.emulator_lateness),
        ("capture lateness", scores.health.capture_lateness),
    ] {
        if let Some(l) = lateness {
            let text = format!("p50 {}, p99 {}, max {} ms", ms(l.p50_ns), ms(l.p99_ns), ms(l.max_ns));
            facts.push((name.to_owned(), text));
        }
    }
    out.push_str(r#"<div class="facts">"#);
    for (k, v) in facts {
        let _ = write!(
            out,
            r#"<div><span class="k">{}</span><span class="v">{}</span></div>"#,
            escape(&k),
            escape(&v)
        );
    }
    out.push_str("</div>");
}

/// What was asked for, and what was kept.
fn playout(scores: &Scores) -> String {
    let budget = &scores.budget;
    let kept = budget.kept_ns.map_or("never judged".to_owned(), |ns| {
        format!("kept {} ms, farthest {} ms off", ms(ns), ms(budget.max_deviation_ns))
    });
    format!("{} asked, {kept}", budget.asked_ns)
}

fn scores_table(out: &mut String, run: &Run) {
    out.push_str(r#"<h3>Scores</h3><div class="grid2 scores">"#);
    for (stream, scores) in &run.scores.streams {
        let (quality, session) = (quality_table(*stream, scores), session_table(*stream, scores));
        let _ = write!(out, r#"<div><div class="scroll">{quality}</div>{session}</div>"#);
    }
    out.push_str("</div>");
}

fn quality_table(stream: Stream, scores: &StreamScores) -> String {
    let mut out = format!(
        r#"<table class="wide"><thead><tr><th class="l">{}, all frames</th><th>mean</th><th>worst 10 %</th><th>p5</th><th>p50</th><th>p95</th><th>rendered</th></tr></thead><tbody>"#,
        stream.name()
    );
    for (metric, q) in &scores.quality {
        let d = metric.digits();
        let _ = write!(
            out,
            r#"<tr><td class="l">{} {}</td><td>{:.d$}</td><td>{:.d$}</td><td>{:.d$}</td><td>{:.d$}</td><td>{:.d$}</td><td>{}</td></tr>"#,
            escape(metric.title()),
            metric.unit(),
            q.all.mean,
            q.all.worst10,
            q.all.p5,
            q.all.p50,
            q.all.p95,
            q.rendered.map_or_else(|| UNKNOWN.to_owned(), |r| format!("{:.d$}", r.mean))
        );
    }
    out.push_str("</tbody></table>");
    out
}

fn session_table(stream: Stream, scores: &StreamScores) -> String {
    let mut rows: Vec<(String, String)> = vec![
        (
            format!("{} slots", stream.name()),
            format!(
                "{} rendered, {} concealed, {} frozen, {} dropped by the sender",
                scores.rendered, scores.concealed, scores.frozen, scores.dropped_sender
            ),
        ),
        (
            "non-rendered, play".into(),
            scores.non_rendered_play_percent.map_or_else(|| "unknown".into(), |p| format!("{p:.2} %")),
        ),
    ];
    if let Some(of_sent) = scores.non_rendered_of_sent_percent.filter(|_| scores.dropped_sender > 0) {
        rows.push(("non-rendered, of those sent".into(), format!("{of_sent:.2} %")));
    }
    rows.push((
        "first picture".into(),
        scores.startup_ns.map_or_else(
            || if scores.never_rendered { "never".into() } else { "unknown".into() },
            |ns| format!("{} ms after the first capture", ms(ns)),
        ),
    ));
    if let Some(psnr) = scores.non_rendered_psnr_percent {
        rows.push(("non-rendered, below 30 dB".into(), format!("{psnr:.2} %")));
    }
    if !scores.causes.is_empty() {
        let causes: Vec<String> = scores.causes.iter().map(|(c, n)| format!("{n} {}", c.name())).collect();
        rows.push(("causes".into(), causes.join(", ")));
    }
    for (name, f) in &scores.freezes {
        let text = format!(
            "{} · {} ms · {:.2} % of the time · longest {} ms",
            f.count,
            f.total_ns / 1_000_000,
            100.0 * f.ratio,
            f.longest_ns / 1_000_000
        );
        rows.push((format!("freezes, {name}"), text));
    }
    let runs = scores.frozen_runs;
    if runs.count > 0 {
        let text =
            format!("{} · p50 {} · p95 {} · longest {} slots", runs.count, runs.p50, runs.p95, runs.max);
        rows.push(("frozen runs".into(), text));
    }
    if runs.terminal > 0 {
        let text = format!("{} slots, {} ms", runs.terminal, runs.terminal_ns / 1_000_000);
        rows.push(("frozen at the end".into(), text));
    }
    let durations = |d: Option<Durations>| {
        d.map(|d| {
            format!(
                "p50 {} · p95 {} · p98 {} · p99 {} ms",
                ms(d.p50_ns),
                ms(d.p95_ns),
                ms(d.p98_ns),
                ms(d.p99_ns)
            )
        })
    };
    for (name, value) in [
        ("latency to the screen", scores.latency),
        ("the same, penalised", scores.latency_penalised),
        ("latency to decoded", scores.decoded_latency),
        ("encode time", scores.encode_time),
        ("decode time", scores.decode_time),
    ] {
        if let Some(text) = durations(value) {
            rows.push((name.to_owned(), text));
        }
    }
    if let Some(ever) = scores.shown_ever_percent {
        let within = scores.shown_within_percent.iter().map(|(ms, share)| format!("{share:.1} % by {ms} ms"));
        let text = within.chain([format!("{ever:.1} % ever")]).collect::<Vec<_>>().join(" · ");
        rows.push(("on the screen after capture".into(), text));
    }
    let mut out = String::from(r#"<table class="wide pairs"><tbody>"#);
    for (k, v) in rows {
        let _ = write!(out, r#"<tr><td class="l">{}</td><td>{}</td></tr>"#, escape(&k), escape(&v));
    }
    out.push_str("</tbody></table>");
    out
}

fn ms(ns: u64) -> String {
    format!("{:.1}", to_f64(ns) / 1e6)
}

#[allow(clippy::cast_precision_loss)] // durations of runs are far below 2^53 ns
fn to_f64(ns: u64) -> f64 {
    ns as f64
}
