//! Time series: what happened frame by frame.

use super::axis::{ends, range_of};
use super::data::{Data, Made, metric_label, most};
use super::model::{Axis, Cell, Figure, Panel, Point, Shape};
use super::style::{part, rule};
use crate::report::group::Group;
use crate::report::load::Run;
use contract::{FrameRow, Metric, Status, Stream};
use std::ops::Range;

/// Above this many frames, neighbours share a column of every plot (the worst of them is shown).
const MAX_COLUMNS: usize = 1000;

/// A run's stream on its time axis.
struct View<'a> {
    run: &'a Run,
    rows: Vec<&'a FrameRow>,
    interval: f64,
}

impl<'a> View<'a> {
    fn of(run: &'a Run, stream: Stream) -> Self {
        Self { run, rows: run.stream(stream).collect(), interval: seconds(run.scores.interval_ns) }
    }

    #[allow(clippy::cast_precision_loss)] // frames are far below 2^53
    fn time(&self, frame: usize) -> f64 {
        frame as f64 * self.interval
    }

    fn end(&self) -> f64 {
        self.time(self.rows.len())
    }

    fn columns(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (frames, step) = (self.rows.len(), self.rows.len().div_ceil(MAX_COLUMNS).max(1));
        (0..frames).step_by(step).map(move |i| i..(i + step).min(frames))
    }

    fn middle(&self, range: &Range<usize>) -> f64 {
        f64::midpoint(self.time(range.start), self.time(range.end))
    }

    /// Worst value of each column.
    fn line(&self, higher_is_better: bool, of: impl Fn(&FrameRow) -> Option<f64>) -> Vec<Point> {
        self.columns()
            .map(|range| {
                let values = self.rows[range.clone()].iter().filter_map(|r| of(r)).filter(|v| v.is_finite());
                let worst = if higher_is_better { values.reduce(f64::min) } else { values.reduce(f64::max) };
                Point::at(self.middle(&range), worst.unwrap_or(f64::NAN))
            })
            .collect()
    }

    /// Stretches of columns for which `is` holds of a frame, between two heights.
    fn stretches(&self, y: (f64, f64), is: impl Fn(&FrameRow) -> bool) -> Vec<Cell> {
        let mut cells: Vec<Cell> = Vec::new();
        for range in self.columns() {
            if !self.rows[range.clone()].iter().any(|r| is(r)) {
                continue;
            }
            let x = (self.time(range.start), self.time(range.end));
            match cells.last_mut() {
                Some(last) if (last.x.1 - x.0).abs() < 1e-9 => last.x.1 = x.1,
                _ => cells.push(Cell { x, y }),
            }
        }
        cells
    }

    /// Cells that stand on `floor` and are as high as the share of their frames' packets that were lost.
    fn losses(&self, floor: f64, height: f64) -> Vec<Cell> {
        self.columns()
            .filter_map(|range| {
                let (sent, lost) = sent_and_lost(&self.rows[range.clone()]);
                let share = f64::from(lost) / f64::from(sent.max(1));
                let x = (self.time(range.start), self.time(range.end));
                (lost > 0).then_some(Cell { x, y: (floor, floor + height * share.max(0.15)) })
            })
            .collect()
    }

    /// Status of every slot as stretches, the worst of each column, between two heights.
    fn status(&self, panel: &mut Panel, y: (f64, f64)) {
        let severity = |s: Status| Status::ALL.iter().position(|x| *x == s).unwrap_or(0);
        let worst = |range: &Range<usize>| {
            let of = self.rows[range.clone()].iter().map(|r| r.status);
            // Frozen is worse than dropped: somebody waits for it.
            of.max_by_key(|s| if *s == Status::Frozen { 9 } else { severity(*s) })
        };
        for status in Status::ALL {
            let mut cells: Vec<Cell> = Vec::new();
            for range in self.columns().filter(|r| worst(r) == Some(status)) {
                let x = (self.time(range.start), self.time(range.end));
                match cells.last_mut() {
                    Some(last) if (last.x.1 - x.0).abs() < 1e-9 => last.x.1 = x.1,
                    _ => cells.push(Cell { x, y }),
                }
            }
            if !cells.is_empty() {
                let name = status_name(status);
                panel.add(name, part(name), Shape::Cells(cells));
            }
        }
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Rendered => "rendered",
        Status::Concealed => "concealed",
        Status::Frozen => "frozen",
        Status::DroppedSender => "dropped by the sender",
    }
}

/// Packets sent and lost, of the rows in which both are known.
fn sent_and_lost(rows: &[&FrameRow]) -> (u32, u32) {
    rows.iter()
        .filter_map(|r| Some((r.sent()?.packets, r.lost?)))
        .fold((0, 0), |(s, l), (a, b)| (s + a, l + b))
}

/// One run of each system under one condition: that which most systems met; of those with loss, if there are, and of the chosen seed, the
/// first in the order of the table.
fn together<'a>(data: &Data<'a>) -> Result<Vec<(String, &'a Run)>, String> {
    let met = data.scenarios().into_iter().filter_map(|scenario| met_under(data, scenario));
    first_best(met).map(|met| met.runs).ok_or_else(|| match data.choice.seed {
        Some(seed) => format!("no valid run has seed {seed}"),
        None => "there is no valid run".to_owned(),
    })
}

/// Valid runs that met the same, and whether anything was lost.
struct Met<'a> {
    runs: Vec<(String, &'a Run)>,
    lossy: bool,
}

impl Met<'_> {
    fn rank(&self) -> (usize, bool) {
        (self.runs.len(), self.lossy)
    }
}

/// The first of the highest rank.
fn first_best<'a>(met: impl Iterator<Item = Met<'a>>) -> Option<Met<'a>> {
    met.reduce(|best, met| if met.rank() > best.rank() { met } else { best })
}

/// Of a scenario, the first condition (clip, seed, path) that most systems met, with losses if there are some.
fn met_under<'a>(data: &Data<'a>, scenario: &str) -> Option<Met<'a>> {
    let groups: Vec<_> = data.under(scenario).collect();
    let mut conditions: Vec<contract::key::Condition> = Vec::new();
    for run in groups.iter().flat_map(|g| g.valid()) {
        let condition = run.scores.key.condition();
        if data.choice.seed.is_none_or(|s| s == condition.seed) && !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    conditions.sort();
    first_best(conditions.into_iter().map(|condition| {
        let of = |g: &&Group<'a>| {
            let run = g.valid().find(|r| r.scores.key.condition() == condition)?;
            Some((g.system.clone(), run))
        };
        let runs: Vec<(String, &Run)> = groups.iter().filter_map(of).collect();
        let lossy = runs.iter().any(|(_, r)| {
            r.scores.network.get("forward").and_then(|f| f.realised_loss).is_some_and(|l| l > 0.0)
        });
        Met { runs, lossy }
    }))
}

fn condition_of(runs: &[(String, &Run)]) -> String {
    runs.first().map_or(String::new(), |(_, r)| {
        format!("{}, clip {}, seed {}", r.scores.run.scenario, r.scores.run.clip, r.scores.run.seed)
    })
}

/// The metric over time, system by system, with freezes and losses.
///
/// # Errors
/// When no run has the metric.
pub fn timeline(data: &Data) -> Made {
    let runs = together(data)?;
    series(data, "timeline", &runs, None)
}

/// The worst burst: the frames around the longest stretch in which the first system that lost packets lost some in every frame or two.
///
/// # Errors
/// When nothing was lost.
pub fn burst(data: &Data) -> Made {
    let runs = together(data)?;
    let around = runs
        .iter()
        .find_map(|(_, run)| {
            let rows: Vec<&FrameRow> = run.stream(data.choice.stream).collect();
            // The 15 frames with the most packets lost.
            let lost =
                |i: usize| rows[i..(i + 15).min(rows.len())].iter().filter_map(|r| r.lost).sum::<u32>();
            let at = (0..rows.len()).rev().max_by_key(|i| lost(*i))?;
            (lost(at) > 0).then(|| at.saturating_sub(8)..(at + 32).min(rows.len()))
        })
        .ok_or("no run lost a packet")?;
    series(data, "reparo-9", &runs, Some(&around))
}

fn series(data: &Data, name: &str, runs: &[(String, &Run)], only: Option<&Range<usize>>) -> Made {
    let (stream, metric) = (data.choice.stream, data.choice.metric);
    let within = |i: usize| only.is_none_or(|r| r.contains(&i));
    let values = runs.iter().flat_map(|(_, run)| {
        let rows = run.stream(stream).enumerate().filter(|(i, _)| within(*i));
        rows.filter_map(|(_, r)| r.metrics.get(&metric).copied()).collect::<Vec<f64>>()
    });
    let Some((lo, hi)) = range_of(values) else {
        return Err(format!("no frame has {}", metric_label(stream, metric)));
    };
    let hi = most(metric).map_or(hi, |m| hi.min(m));
    let mut panels = Vec::new();
    for (i, (system, run)) in runs.iter().enumerate() {
        let view = View::of(run, stream);
        let last = i + 1 == runs.len();
        let end = view.end();
        let (from, to) = only.as_ref().map_or((0.0, end), |r| (view.time(r.start), view.time(r.end)));
        let x = Axis::between(if last { "seconds" } else { "" }, from, to);
        let y = Axis::between(metric_label(stream, metric), lo, hi);
        let mut panel = Panel::new(system.clone(), x, y);
        let inside = |cells: Vec<Cell>| -> Vec<Cell> {
            cells
                .into_iter()
                .filter(|c| c.x.1 > from && c.x.0 < to)
                .map(|c| Cell { x: (c.x.0.max(from), c.x.1.min(to)), ..c })
                .collect()
        };
        let frozen = inside(view.stretches((lo, hi), |r| !r.is_shown()));
        if !frozen.is_empty() {
            panel.add("nothing new on the screen", part("freeze"), Shape::Cells(frozen));
        }
        if metric == Metric::Psnr && lo < 30.0 && hi > 30.0 {
            panel.add_quietly("30 dB", rule(), Shape::Rule(30.0, false));
        }
        let mut points = view.line(metric.higher_is_better(), |r| r.metrics.get(&metric).copied());
        points.retain(|p| p.x >= from && p.x <= to);
        let look = super::style::Look { dash: super::style::Dash::Solid, ..data.look(system) };
        let markers = only.is_some();
        panel.add_quietly(system, look, Shape::Line { points, markers, band: false });
        let lost = inside(view.losses(lo, (hi - lo) * 0.22));
        if !lost.is_empty() {
            panel.add("share of the frame's packets lost", part("packets lost"), Shape::Cells(lost));
        }
        panels.push(panel);
    }
    let title = format!(
        "{} of the picture on the screen, system by system: {}",
        metric_label(stream, metric),
        condition_of(runs)
    );
    let columns = if only.is_some() && runs.len() > 1 { 2 } else { 1 };
    Ok(Figure::of_panels(name, title, columns, panels).across().high(17.0))
}

/// Bytes of encoded frames: in time, of one loss pattern; and their distribution over all runs of that scenario.
///
/// # Errors
/// When no system says how large its frames are.
pub fn frame_sizes(data: &Data) -> Made {
    let runs = together(data)?;
    // An empty frame has no place on a logarithmic axis.
    let kilo = |r: &FrameRow| r.encoded_bytes.filter(|b| *b > 0).map(|b| f64::from(b) / 1e3);
    let x = Axis::of("seconds");
    let mut time = Panel::new("", x, Axis::log("encoded frame, kB"));
    let mut spread =
        Panel::new("", Axis::log("encoded frame, kB"), Axis::between("% of frames at or below", 0.0, 100.0));
    for (system, run) in &runs {
        let view = View::of(run, data.choice.stream);
        let points = view.line(false, kilo);
        if points.iter().all(|p| !p.y.is_finite()) {
            continue;
        }
        let look = data.look(system);
        time.add(system, look, Shape::Line { points, markers: false, band: false });
        let of = data.group(system, &run.scores.run.scenario);
        let rows = of.into_iter().flat_map(Group::valid);
        let mut sizes: Vec<f64> = rows.flat_map(|r| r.stream(data.choice.stream)).filter_map(kilo).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let points = (0..=100)
            .filter_map(|p| {
                Some(Point::at(metrics::percentile_of_sorted(&sizes, f64::from(p))?, f64::from(p)))
            })
            .collect();
        spread.add(system, look, Shape::Line { points, markers: false, band: false });
    }
    if time.layers.is_empty() {
        return Err("no system says how large its encoded frames are".to_owned());
    }
    let title = format!(
        "bytes of encoded frames in time ({}), and over all runs of that scenario",
        condition_of(&runs)
    );
    Ok(Figure::of_panels("frame-sizes", title, 2, vec![time, spread]))
}

/// Status of every slot, a panel per scenario and a row per system.
///
/// # Errors
/// When there is no run.
pub fn masks(data: &Data) -> Made {
    let mut panels = Vec::new();
    for scenario in data.scenarios() {
        let Some(Met { runs: mut rows, .. }) = met_under(data, scenario) else { continue };
        rows.reverse();
        let end =
            ends(rows.iter().map(|(_, r)| View::of(r, data.choice.stream).end())).map_or(1.0, |(_, m)| m);
        let x = Axis::between("seconds", 0.0, end);
        let names: Vec<String> = rows.iter().map(|(s, _)| s.clone()).collect();
        let mut panel = Panel::new(condition_of(&rows), x, Axis::names(names));
        for (i, (_, run)) in rows.iter().enumerate() {
            let view = View::of(run, data.choice.stream);
            let middle = super::field::place(i);
            view.status(&mut panel, (middle - 0.12, middle + 0.42));
            let lost = view.losses(middle - 0.46, 0.3);
            if !lost.is_empty() {
                panel.add("share of the frame's packets lost", part("packets lost"), Shape::Cells(lost));
            }
        }
        #[allow(clippy::cast_precision_loss)] // systems are few
        let count = rows.len() as f64;
        panel.share = count / 4.0;
        panels.push(panel);
    }
    if panels.is_empty() {
        return Err("there is no such valid run".to_owned());
    }
    Ok(Figure::of_panels("masks", "status of every slot on the screen, and losses", 1, panels)
        .across()
        .high(14.0))
}

/// Everything of one run on one time axis: status, metrics, sizes, latency. Every panel's horizontal axis is the same.
#[must_use]
pub fn run(run: &Run) -> Option<Figure> {
    let views: Vec<(Stream, View)> =
        run.streams().map(|s| (s, View::of(run, s))).filter(|(_, v)| !v.rows.is_empty()).collect();
    let (_, first) = views.first()?;
    let end = views.iter().map(|(_, v)| v.end()).fold(0.0, f64::max);
    let x = || Axis::between("", 0.0, end);
    let mut panels = Vec::new();
    // The first stream on top.
    let names = views.iter().rev().map(|(s, _)| s.name().to_owned()).collect();
    let mut ladder = Panel::new("", x(), Axis::names(names));
    for (i, (_, view)) in views.iter().rev().enumerate() {
        let middle = super::field::place(i);
        view.status(&mut ladder, (middle - 0.15, middle + 0.42));
        let lost = view.losses(middle - 0.45, 0.26);
        if !lost.is_empty() {
            ladder.add("share of the frame's packets lost", part("packets lost"), Shape::Cells(lost));
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let count = views.len() as f64;
    ladder.share = 0.3 + 0.3 * count;
    panels.push(ladder);
    for metric in Metric::ALL {
        let values =
            views.iter().flat_map(|(_, v)| v.rows.iter()).filter_map(|r| r.metrics.get(&metric).copied());
        let Some((lo, hi)) = range_of(values) else { continue };
        let hi = most(metric).map_or(hi, |m| hi.min(m));
        let depth = !views
            .iter()
            .any(|(s, v)| *s == Stream::Rgb && v.rows.iter().any(|r| r.metrics.contains_key(&metric)));
        let label = metric_label(if depth { Stream::Depth } else { Stream::Rgb }, metric);
        let mut panel = Panel::new("", x(), Axis::between(label, lo, hi));
        freezes_and_losses(&mut panel, first, (lo, hi));
        if metric == Metric::Psnr && lo < 30.0 && hi > 30.0 {
            panel.add_quietly("30 dB", rule(), Shape::Rule(30.0, false));
        }
        for (stream, view) in &views {
            let points = view.line(metric.higher_is_better(), |r| r.metrics.get(&metric).copied());
            if points.iter().any(|p| p.y.is_finite()) {
                let name = stream_word(*stream);
                panel.add(name, part(name), Shape::Line { points, markers: false, band: false });
            }
        }
        panels.push(panel);
    }
    panels.extend(sizes(&views, x()));
    panels.extend(latency(first, x()));
    if let Some(last) = panels.last_mut() {
        "seconds".clone_into(&mut last.x.label);
    }
    let title = format!("frame by frame: {} under {}", run.scores.run.system, run.scores.run.scenario);
    Some(Figure::of_panels("run", title, 1, panels).across().high(20.0))
}

fn freezes_and_losses(panel: &mut Panel, view: &View, (lo, hi): (f64, f64)) {
    let frozen = view.stretches((lo, hi), |r| !r.is_shown());
    if !frozen.is_empty() {
        panel.add("nothing new on the screen", part("freeze"), Shape::Cells(frozen));
    }
    let lost = view.losses(lo, (hi - lo) * 0.12);
    if !lost.is_empty() {
        panel.add("share of the frame's packets lost", part("packets lost"), Shape::Cells(lost));
    }
}

/// Bytes sent per frame, by role.
fn sizes(views: &[(Stream, View)], x: Axis) -> Option<Panel> {
    type Part = fn(&FrameRow) -> u64;
    const PARTS: [(&str, Part); 3] = [
        ("source", |r| r.data.unwrap_or_default().bytes),
        ("repair", |r| r.parity.unwrap_or_default().bytes),
        ("repeats", |r| r.repeat.unwrap_or_default().bytes),
    ];
    let (_, first) = views.first()?;
    let mut panel = Panel::new("", x, Axis::from_zero("kB sent per frame"));
    let mut below: Vec<f64> = first.columns().map(|_| 0.0).collect();
    for (name, of) in PARTS {
        let mut cells = Vec::new();
        for (i, range) in first.columns().enumerate() {
            // The mean over the frames of a column, so that the axis keeps its meaning.
            let rows = views.iter().filter_map(|(_, v)| v.rows.get(range.clone())).flatten();
            #[allow(clippy::cast_precision_loss)] // sizes are far below 2^53
            let kilobytes = rows.map(|r| of(r)).sum::<u64>() as f64 / range.len() as f64 / 1e3;
            if kilobytes > 0.0 {
                let x = (first.time(range.start), first.time(range.end));
                cells.push(Cell { x, y: (below[i], below[i] + kilobytes) });
                below[i] += kilobytes;
            }
        }
        if !cells.is_empty() {
            panel.add(name, part(name), Shape::Steps(cells));
        }
    }
    (!panel.layers.is_empty()).then_some(panel)
}

/// Capture to decoded, with the slot that each frame was judged by.
fn latency(view: &View, x: Axis) -> Option<Panel> {
    let since = |row: &FrameRow, to: Option<link::Timestamp>| {
        Some(seconds(to?.as_nanos().checked_sub(view.run.captured(row)?.as_nanos())?) * 1e3)
    };
    let decoded = view.line(false, |r| since(r, r.decode_end));
    if decoded.iter().all(|p| !p.y.is_finite()) {
        return None;
    }
    let mut panel = Panel::new("", x, Axis::from_zero("capture to decoded, ms; dashed: slot"));
    let slots = view.line(false, |r| since(r, r.deadline));
    let (_, hi) = range_of(decoded.iter().chain(&slots).map(|p| p.y).chain([0.0]))?;
    panel.y.range = Some((0.0, hi));
    let frozen = view.stretches((0.0, hi), |r| !r.is_shown());
    if !frozen.is_empty() {
        panel.add_quietly("nothing new on the screen", part("freeze"), Shape::Cells(frozen));
    }
    panel.add_quietly("slot", rule(), Shape::Line { points: slots, markers: false, band: false });
    panel.add_quietly("colour", part("colour"), Shape::Line { points: decoded, markers: false, band: false });
    Some(panel)
}

fn stream_word(stream: Stream) -> &'static str {
    match stream {
        Stream::Rgb => "colour",
        Stream::Depth => "depth",
    }
}

#[allow(clippy::cast_precision_loss)] // durations of runs are far below 2^53 ns
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
