//! What happened frame by frame: plots that share one time axis and one cross hair.

use super::svg::{Margin, Plot, range_of};
use crate::report::load::Run;
use contract::{FrameRow, Metric, Status, Stream};
use serde_json::{Value, json};

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 12.0;
/// Above this many frames, neighbours share a column of every plot (the worst of them is shown).
const MAX_COLUMNS: usize = 1100;

/// All plots of a run, with the numbers that the cross hair shows.
#[must_use]
pub fn timeline(run: &Run) -> String {
    let streams: Vec<(Stream, Vec<&FrameRow>)> = run
        .streams()
        .map(|s| (s, run.stream(s).collect()))
        .filter(|(_, r): &(_, Vec<_>)| !r.is_empty())
        .collect();
    let Some(frames) = streams.iter().map(|(_, rows)| rows.len()).max() else { return String::new() };
    let interval = seconds(run.scores.interval_ns);
    let view = View { streams: &streams, frames, interval };
    let mut out = String::from(r#"<div class="timeline"><div class="tip"></div>"#);
    out.push_str(&view.ladder());
    for metric in [
        Metric::Psnr,
        Metric::Ssim,
        Metric::MsSsim,
        Metric::LpipsVgg,
        Metric::LpipsAlex,
        Metric::LpipsSqueeze,
        Metric::DepthD1,
        Metric::DepthD2,
    ] {
        out.push_str(&view.quality(metric));
    }
    out.push_str(&view.sizes());
    out.push_str(&view.latency());
    out.push_str(r#"<script type="application/json">"#);
    // `</` would end the script element; JSON allows the escaped slash.
    out.push_str(&view.numbers().to_string().replace("</", "<\\/"));
    out.push_str("</script></div>");
    out
}

/// What the colours and marks of the plots mean.
#[must_use]
pub fn legend() -> String {
    let mut out = String::from(r#"<div class="legend">"#);
    for (colour, text) in [
        ("rendered", "rendered"),
        ("concealed", "concealed: shown from partial data"),
        ("frozen", "frozen"),
        ("dropped", "dropped by the sender"),
        ("bad", "share of the frame's packets lost"),
        ("data", "source bytes"),
        ("parity", "repair bytes"),
        ("repeat", "repeated bytes"),
    ] {
        out.push_str(&format!(
            r#"<span><span class="sw" style="background:var(--{colour})"></span>{text}</span>"#
        ));
    }
    for (colour, text) in [("s0", "colour"), ("s1", "depth")] {
        out.push_str(&format!(
            r#"<span><span class="line" style="border-color:var(--{colour})"></span>{text}</span>"#
        ));
    }
    out.push_str("</div>");
    out
}

struct View<'a> {
    streams: &'a [(Stream, Vec<&'a FrameRow>)],
    frames: usize,
    interval: f64,
}

impl View<'_> {
    fn plot(&self, height: f64, top: f64, y: (f64, f64), what: &str) -> Plot {
        let margin = Margin { left: LEFT, right: RIGHT, top, bottom: 22.0 };
        #[allow(clippy::cast_precision_loss)] // frame counts are far below 2^53
        let end = self.frames as f64 * self.interval;
        Plot::new((WIDTH, height), margin, ((0.0, end), y), ("plot", what))
    }

    fn close(mut plot: Plot) -> String {
        let (top, floor) = (plot.ceiling(), plot.floor());
        plot.stroke("cross", (0.0, top), (0.0, floor), "");
        plot.finish()
    }

    /// Columns of the plots: ranges of frames.
    fn columns(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (frames, step) = (self.frames, self.frames.div_ceil(MAX_COLUMNS).max(1));
        (0..frames).step_by(step).map(move |i| i..(i + step).min(frames))
    }

    #[allow(clippy::cast_precision_loss)]
    fn time(&self, frame: usize) -> f64 {
        frame as f64 * self.interval
    }

    fn middle(&self, range: &std::ops::Range<usize>) -> f64 {
        f64::midpoint(self.time(range.start), self.time(range.end))
    }

    /// One cell per slot, and under it how much of the frame was lost.
    fn ladder(&self) -> String {
        let rows = self.streams.len();
        #[allow(clippy::cast_precision_loss)]
        let height = 26.0 + 44.0 * rows as f64 + 22.0;
        let mut plot = self.plot(height, 20.0, (0.0, 1.0), "status of every slot");
        plot.text(
            "name",
            (4.0, 12.0),
            "start",
            "status of every slot, and the share of its packets that were lost",
        );
        let mut y = 20.0;
        for (stream, rows) in self.streams {
            plot.text("tick", (LEFT - 6.0, y + 15.0), "end", stream.name());
            for range in self.columns() {
                let Some(cell) = rows.get(range.clone()).filter(|c| !c.is_empty()) else { continue };
                let (x0, x1) = (plot.x.at(self.time(range.start)), plot.x.at(self.time(range.end)));
                let gap = if x1 - x0 > 2.2 { 0.5 } else { 0.0 };
                let worst =
                    cell.iter().map(|r| r.status).max_by_key(|s| severity(*s)).unwrap_or(Status::Rendered);
                plot.rect(worst.name(), (x0, y), (x1 - x0 - gap, 22.0), "");
                let (sent, lost) = sent_and_lost(cell.iter().copied());
                if lost > 0 {
                    let h = 14.0 * f64::from(lost) / f64::from(sent.max(1));
                    plot.rect("lossmark", (x0, y + 24.0), (x1 - x0 - gap, h.max(1.5)), "");
                }
            }
            y += 44.0;
        }
        plot.x_ticks(12);
        Self::close(plot)
    }

    /// A metric over time: lines per stream, frozen stretches as bands, losses as ticks on the floor.
    fn quality(&self, metric: Metric) -> String {
        let values = self.streams.iter().flat_map(|(_, rows)| rows.iter());
        let Some((lo, hi)) = range_of(values.filter_map(|r| r.metrics.get(&metric).copied())) else {
            return String::new();
        };
        let hi = if metric.unit().is_empty() { hi.min(1.0) } else { hi };
        let name = [metric.title(), metric.unit()].join(" ");
        let mut plot = self.plot(170.0, 24.0, (lo, hi), &format!("{} over time", metric.title()));
        plot.names("seconds", name.trim());
        self.bands(&mut plot);
        plot.y_grid(5);
        if metric == Metric::Psnr && lo < 30.0 && hi > 30.0 {
            let y = plot.y.at(30.0);
            plot.stroke(
                "theta",
                (LEFT, y),
                (WIDTH - RIGHT, y),
                "30 dB: below, a frame counts as not rendered",
            );
        }
        for (stream, rows) in self.streams {
            let points: Vec<(f64, f64)> = self
                .columns()
                .map(|range| {
                    let cell = rows.get(range.clone()).unwrap_or(&[]);
                    let values = cell.iter().filter_map(|r| r.metrics.get(&metric).copied());
                    let worst = if metric.higher_is_better() {
                        values.reduce(f64::min)
                    } else {
                        values.reduce(f64::max)
                    };
                    (self.middle(&range), worst.unwrap_or(f64::NAN))
                })
                .collect();
            plot.line(&format!("l-{}", stream.name()), points.into_iter());
        }
        self.loss_ticks(&mut plot);
        plot.x_ticks(12);
        Self::close(plot)
    }

    fn bands(&self, plot: &mut Plot) {
        let Some((_, rows)) = self.streams.first() else { return };
        let (top, floor) = (plot.ceiling(), plot.floor());
        let mut start = None;
        for i in 0..=rows.len() {
            let still = rows.get(i).is_some_and(|r| !r.is_shown());
            match (start, still) {
                (None, true) => start = Some(i),
                (Some(from), false) => {
                    let (x0, x1) = (plot.x.at(self.time(from)), plot.x.at(self.time(i)));
                    plot.rect("band", (x0, top), (x1 - x0, floor - top), "");
                    start = None;
                }
                _ => {}
            }
        }
    }

    fn loss_ticks(&self, plot: &mut Plot) {
        let floor = plot.floor();
        for range in self.columns() {
            let cells = self.streams.iter().filter_map(|(_, rows)| rows.get(range.clone())).flatten();
            let (sent, lost) = sent_and_lost(cells.copied());
            if lost > 0 {
                let (x0, x1) = (plot.x.at(self.time(range.start)), plot.x.at(self.time(range.end)));
                let h = 3.0 + 13.0 * f64::from(lost) / f64::from(sent.max(1));
                plot.rect("lossmark", (x0, floor - h), ((x1 - x0 - 0.5).max(1.0), h), "");
            }
        }
    }

    /// Bytes sent per frame, by role; a triangle marks key frames.
    fn sizes(&self) -> String {
        let sum = |range: &std::ops::Range<usize>, of: &dyn Fn(&FrameRow) -> u64| -> u64 {
            let cells = self.streams.iter().filter_map(|(_, rows)| rows.get(range.clone())).flatten();
            // Mean over the frames of a column, so that the axis keeps its meaning.
            cells.map(|r| of(r)).sum::<u64>() / (range.len() as u64).max(1)
        };
        let most =
            self.columns().map(|c| sum(&c, &|r| r.sent().unwrap_or_default().bytes)).max().unwrap_or(0);
        if most == 0 {
            return String::new();
        }
        #[allow(clippy::cast_precision_loss)]
        let kilobytes = |bytes: u64| bytes as f64 / 1e3;
        let Some((_, hi)) = range_of([0.0, kilobytes(most)].into_iter()) else { return String::new() };
        let mut plot = self.plot(150.0, 24.0, (0.0, hi), "bytes sent per frame");
        plot.names("seconds", "kB sent per frame");
        plot.y_grid(4);
        for range in self.columns() {
            let (x0, x1) = (plot.x.at(self.time(range.start)), plot.x.at(self.time(range.end)));
            let gap = if x1 - x0 > 2.2 { 0.6 } else { 0.0 };
            let mut below = 0;
            for (class, of) in [
                ("data", (|r: &FrameRow| r.data.unwrap_or_default().bytes) as fn(&FrameRow) -> u64),
                ("parity", |r| r.parity.unwrap_or_default().bytes),
                ("repeat", |r| r.repeat.unwrap_or_default().bytes),
            ] {
                let bytes = sum(&range, &of);
                if bytes > 0 {
                    let (y0, y1) = (plot.y.at(kilobytes(below)), plot.y.at(kilobytes(below + bytes)));
                    plot.rect(class, (x0, y1), (x1 - x0 - gap, y0 - y1), "");
                    below += bytes;
                }
            }
            let key = self
                .streams
                .iter()
                .any(|(_, rows)| rows.get(range.clone()).is_some_and(|c| c.iter().any(|r| r.is_key)));
            if key {
                let x = f64::midpoint(x0, x1);
                let y = plot.ceiling() - 1.0;
                plot.path("key", &format!("M{:.1} {:.1}h5l-2.5 4.5z", x - 2.5, y - 4.5), "key frame");
            }
        }
        plot.x_ticks(12);
        Self::close(plot)
    }

    /// Capture to decoded and to screen, with the slot that each frame was judged by.
    fn latency(&self) -> String {
        let Some((_, rows)) = self.streams.first() else { return String::new() };
        let since = |row: &FrameRow, to: Option<link::Timestamp>| -> f64 {
            match (row.capture, to) {
                (Some(from), Some(to)) => seconds(to.as_nanos().saturating_sub(from.as_nanos())) * 1e3,
                _ => f64::NAN,
            }
        };
        let all = rows.iter().flat_map(|r| [since(r, r.decode_end), since(r, r.deadline), 0.0]);
        let Some((_, hi)) = range_of(all) else { return String::new() };
        if rows.iter().all(|r| r.decode_end.is_none() && r.render.is_none()) {
            return String::new();
        }
        let mut plot = self.plot(140.0, 24.0, (0.0, hi), "latency per frame");
        plot.names("seconds", "ms from capture to decoded (line) and to the screen (dots); dashed: slot");
        self.bands(&mut plot);
        plot.y_grid(4);
        let slots: Vec<(f64, f64)> = self
            .columns()
            .map(|range| {
                let cell = rows.get(range.clone()).unwrap_or(&[]);
                let worst =
                    cell.iter().map(|r| since(r, r.deadline)).filter(|v| v.is_finite()).reduce(f64::max);
                (self.middle(&range), worst.unwrap_or(f64::NAN))
            })
            .collect();
        plot.line("theta", slots.into_iter());
        for range in self.columns() {
            let cell = rows.get(range.clone()).unwrap_or(&[]);
            if let Some(worst) =
                cell.iter().map(|r| since(r, r.render)).filter(|v| v.is_finite()).reduce(f64::max)
            {
                let at = (plot.x.at(self.middle(&range)), plot.y.at(worst));
                plot.dot("rendered", at, 1.5, "");
            }
        }
        let points: Vec<(f64, f64)> = self
            .columns()
            .map(|range| {
                let cell = rows.get(range.clone()).unwrap_or(&[]);
                let worst =
                    cell.iter().map(|r| since(r, r.decode_end)).filter(|v| v.is_finite()).reduce(f64::max);
                (self.middle(&range), worst.unwrap_or(f64::NAN))
            })
            .collect();
        plot.line("l-rgb", points.into_iter());
        plot.x_ticks(12);
        Self::close(plot)
    }

    /// What the cross hair shows, per stream and frame.
    fn numbers(&self) -> Value {
        let metrics: Vec<Metric> = Metric::ALL
            .into_iter()
            .filter(|m| self.streams.iter().any(|(_, rows)| rows.iter().any(|r| r.metrics.contains_key(m))))
            .collect();
        let heads: Vec<Vec<String>> = self
            .streams
            .iter()
            .map(|(stream, _)| {
                let mut heads = vec![format!("{}:", stream.name())];
                heads.extend(metrics.iter().map(|m| format!("  {}", m.title())));
                heads.push("  packets".to_owned());
                heads
            })
            .collect();
        let frames: Vec<Vec<Value>> = self
            .streams
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
        json!({
            "n": self.frames, "left": LEFT, "right": RIGHT, "width": WIDTH, "interval": self.interval,
            "heads": heads, "frames": frames,
        })
    }
}

/// Packets sent and lost, of the rows in which both are known.
fn sent_and_lost<'a>(rows: impl Iterator<Item = &'a FrameRow>) -> (u32, u32) {
    rows.filter_map(|r| Some((r.sent()?.packets, r.lost?))).fold((0, 0), |(s, l), (a, b)| (s + a, l + b))
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

fn severity(status: Status) -> u8 {
    match status {
        Status::Rendered => 0,
        Status::Concealed => 1,
        Status::DroppedSender => 2,
        Status::Frozen => 3,
    }
}

#[allow(clippy::cast_precision_loss)] // durations of runs are far below 2^53 ns
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
