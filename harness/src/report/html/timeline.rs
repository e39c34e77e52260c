//! What happened frame by frame, with a cross hair that reads it out.

use crate::figure::{draw, series};
use crate::report::escape;
use crate::report::load::Run;
use contract::{FrameRow, Metric, Stream};
use serde_json::{Value, json};

/// The figure of a run, with the numbers that the cross hair shows; empty without frames.
#[must_use]
pub fn timeline(run: &Run) -> String {
    let Some(figure) = series::run(run) else { return String::new() };
    let drawn = draw::draw(&figure);
    let streams: Vec<(Stream, Vec<&FrameRow>)> = run
        .streams()
        .map(|s| (s, run.stream(s).collect()))
        .filter(|(_, r): &(_, Vec<_>)| !r.is_empty())
        .collect();
    #[allow(clippy::cast_precision_loss)] // durations of runs are far below 2^53 ns
    let interval = run.scores.interval_ns as f64 / 1e9;
    let numbers = numbers(&streams, interval, drawn.plots.first().copied().unwrap_or_default());
    format!(
        r#"<div class="timeline" tabindex="0" role="group" aria-label="{}; arrow keys read out frame by frame"><div class="tip" role="status"></div><div class="cross"></div>{}<script type="application/json">{}</script></div>"#,
        escape(&figure.title),
        drawn.inline(),
        // `</` would end the script element; JSON allows the escaped slash.
        numbers.to_string().replace("</", "<\\/")
    )
}

/// What the cross hair shows, per stream and frame.
fn numbers(streams: &[(Stream, Vec<&FrameRow>)], interval: f64, plot: [f64; 4]) -> Value {
    let metrics: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|m| streams.iter().any(|(_, rows)| rows.iter().any(|r| r.metrics.contains_key(m))))
        .collect();
    let heads: Vec<Vec<String>> = streams
        .iter()
        .map(|(stream, _)| {
            let mut heads = vec![format!("{}:", stream.name())];
            heads.extend(metrics.iter().map(|m| format!("  {}", m.title())));
            heads.push("  packets".to_owned());
            heads
        })
        .collect();
    let frames: Vec<Vec<Value>> = streams
        .iter()
        .map(|(_, rows)| {
            rows.iter()
                .map(|r| {
                    let mut cells = vec![json!(status_text(r))];
                    cells.extend(metrics.iter().map(|m| match r.metrics.get(m) {
                        Some(v) => json!(format!("{v:.*} {}", m.digits(), m.unit()).trim_end()),
                        None => Value::Null,
                    }));
                    cells.push(json!(packets_text(r)));
                    Value::Array(cells)
                })
                .collect()
        })
        .collect();
    let n = streams.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
    json!({ "n": n, "left": plot[0], "right": plot[1], "interval": interval, "heads": heads, "frames": frames })
}

fn packets_text(row: &FrameRow) -> String {
    let Some(sent) = row.sent() else { return "packets unknown".to_owned() };
    let mut text = format!("{} sent", sent.packets);
    for (count, what) in [(row.lost, "lost"), (row.late, "late")] {
        if let Some(count) = count.filter(|n| *n > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn status_text(row: &FrameRow) -> String {
    let cause = row.loss_cause.map(|c| format!(" ({})", c.name())).unwrap_or_default();
    match row.shown_frame_id {
        Some(shown) if shown != row.frame_id => format!("{}{cause}, shows {shown}", row.status.name()),
        None => format!("{}{cause}, black", row.status.name()),
        _ => format!("{}{cause}", row.status.name()),
    }
}
