//! The figures that everybody in the field draws.

use super::data::{Data, Made, least, metric_label, most};
use super::model::{Axis, Bar, Figure, Panel, Percentiles, Point, Shape};
use super::style::{part, rule};
use crate::report::budget;
use crate::report::columns::COLUMNS;
use crate::report::group::Group;
use crate::report::load::Run;
use crate::score::session;
use contract::scores::BitrateScores;
use contract::{Metric, Stream};
use metrics::stats::Estimate;

/// Places of a group's bars or boxes around the middle of its scenario: offset and width.
#[allow(clippy::cast_precision_loss)] // systems are few
pub(super) fn offsets(count: usize) -> (impl Fn(usize) -> f64, f64) {
    let each = 0.84 / count.max(1) as f64;
    (move |i: usize| -0.42 + each * (i as f64 + 0.5), each * 0.86)
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn place(i: usize) -> f64 {
    i as f64
}

/// Per scenario and system: whiskers 5 to 95 %, box 25 to 75 %, line at the median, mark at the mean, black line at the mean of the worst
/// tenth; over the frames of all runs together.
///
/// # Errors
/// When no frame has the metric.
pub fn boxes(data: &Data, stream: Stream, metric: Metric) -> Made {
    let categories: Vec<(String, Vec<&Group>)> =
        data.scenarios().iter().map(|s| ((*s).to_owned(), data.under(s).collect())).collect();
    boxes_of(data, stream, metric, &categories)
}

/// The same for any categories.
///
/// # Errors
/// When no frame has the metric.
pub fn boxes_of(data: &Data, stream: Stream, metric: Metric, categories: &[(String, Vec<&Group>)]) -> Made {
    let systems = data.systems();
    let (offset, width) = offsets(systems.len());
    let axis =
        Axis { at_most: most(metric), at_least: least(metric), ..Axis::of(metric_label(stream, metric)) };
    let mut panel = Panel::new("", Axis::names(categories.iter().map(|(n, _)| n.clone()).collect()), axis);
    for (s, system) in systems.iter().enumerate() {
        let boxes: Vec<Percentiles> = categories
            .iter()
            .enumerate()
            .filter_map(|(c, (_, groups))| {
                let of = groups.iter().filter(|g| g.system == *system);
                let values: Vec<f64> = of.flat_map(|g| g.frames(stream, metric)).collect();
                let d = session::dist(&values, metric)?;
                Some(Percentiles {
                    x: place(c) + offset(s),
                    width,
                    at: [d.p5, d.p25, d.p50, d.p75, d.p95],
                    mean: d.mean,
                    worst10: d.worst10,
                    n: values.len(),
                })
            })
            .collect();
        if !boxes.is_empty() {
            panel.add(system, data.look(system), Shape::Boxes(boxes));
        }
    }
    if panel.layers.is_empty() {
        return Err(format!("no frame has {}", metric_label(stream, metric)));
    }
    let title = format!(
        "{} over frames by scenario and system: whiskers 5 to 95 %, boxes 25 to 75 %, median, mean (mark) and mean of the worst tenth (black line)",
        metric_label(stream, metric)
    );
    let figure = Figure::of_panels("boxes", title, 1, vec![panel]).high(45.0);
    Ok(if systems.len() * categories.len() > 10 { figure.across() } else { figure })
}

/// Share of frames at or below a value, a panel per scenario; the mean over runs of each run's share, with its interval.
///
/// # Errors
/// When no frame has the metric.
pub fn cdf(data: &Data, stream: Stream, metric: Metric) -> Made {
    let mut panels = Vec::new();
    for scenario in data.scenarios() {
        let sorted: Vec<(&Group, Vec<(&Run, Vec<f64>)>)> =
            data.under(scenario).map(|g| (g, by_run(g, stream, metric))).collect();
        let ends = super::axis::ends(
            sorted
                .iter()
                .flat_map(|(_, runs)| runs)
                .filter_map(|(_, v)| Some([*v.first()?, *v.last()?]))
                .flatten(),
        );
        let Some((lo, hi)) = ends else { continue };
        let axis =
            Axis { at_most: most(metric), at_least: least(metric), ..Axis::of(metric_label(stream, metric)) };
        let mut panel = Panel::new(scenario, axis, Axis::between("% of frames at or below", 0.0, 100.0));
        for (group, runs) in &sorted {
            let points: Vec<Point> = (0..=120)
                .filter_map(|i| {
                    let x = lo + (hi - lo) * f64::from(i) / 120.0;
                    let share = group.estimate(|run| {
                        let (_, values) = runs.iter().find(|(r, _)| std::ptr::eq(*r, run))?;
                        #[allow(clippy::cast_precision_loss)] // frames are far below 2^53
                        let below = 100.0 * values.partition_point(|v| *v <= x) as f64 / values.len() as f64;
                        (!values.is_empty()).then_some(below)
                    })?;
                    let mut point = Point::mean(x, &share);
                    point.interval = point.interval.map(|(low, high)| (low.max(0.0), high.min(100.0)));
                    Some(point)
                })
                .collect();
            if !points.is_empty() {
                panel.add(
                    &group.system,
                    data.look(&group.system),
                    Shape::Line { points, markers: false, band: true },
                );
            }
        }
        panels.push(panel);
    }
    if panels.is_empty() {
        return Err(format!("no frame has {}", metric_label(stream, metric)));
    }
    let title = format!(
        "distribution of {} over frames; bands: 95 % intervals over runs",
        metric_label(stream, metric)
    );
    let columns = panels.len().min(4);
    Ok(Figure::of_panels("cdf", title, columns, panels))
}

fn by_run<'a>(group: &Group<'a>, stream: Stream, metric: Metric) -> Vec<(&'a Run, Vec<f64>)> {
    let of = |run: &&'a Run| {
        let mut values: Vec<f64> =
            run.stream(stream).filter_map(|r| r.metrics.get(&metric).copied()).collect();
        values.sort_unstable_by(f64::total_cmp);
        (*run, values)
    };
    group.runs.iter().map(of).collect()
}

/// Bars by category and system, a panel per value.
pub(super) fn bars(
    data: &Data,
    name: &str,
    title: &str,
    categories: &[String],
    values: &[(Axis, &dyn Fn(&str, usize) -> Option<Estimate>)],
) -> Made {
    let systems = data.systems();
    let (offset, width) = offsets(systems.len());
    let mut panels = Vec::new();
    for (axis, value) in values {
        let mut panel = Panel::new("", Axis::names(categories.to_vec()), axis.clone());
        for (s, system) in systems.iter().enumerate() {
            let bars: Vec<Bar> = (0..categories.len())
                .filter_map(|c| {
                    let x = place(c) + offset(s);
                    let mut to = Point::mean(x, &value(system, c)?);
                    to.interval = to.interval.map(|(low, high)| (low.max(0.0), high));
                    Some(Bar { x, width, from: 0.0, to })
                })
                .collect();
            if !bars.is_empty() {
                panel.add(system, data.look(system), Shape::Bars(bars));
            }
        }
        if !panel.layers.is_empty() {
            panels.push(panel);
        }
    }
    if panels.is_empty() {
        return Err("no run has these values".to_owned());
    }
    let few = systems.len() * categories.len() <= 10;
    let figure = Figure::of_panels(name, title, if few { 1 } else { 2 }, panels);
    Ok(if few { figure } else { figure.across() })
}

/// The value of a column over all runs of a system under a scenario.
pub(super) fn column(group: &Group, key: &str) -> Option<Estimate> {
    group.value(COLUMNS.iter().find(|c| c.key == key)?)
}

/// Frames not rendered, and shown below 30 dB.
///
/// # Errors
/// When no run has them.
pub fn non_rendered(data: &Data) -> Made {
    let scenarios: Vec<String> = data.scenarios().iter().map(|s| (*s).to_owned()).collect();
    let of = |key: &'static str| {
        let scenarios = &scenarios;
        move |system: &str, c: usize| column(data.group(system, &scenarios[c])?, key)
    };
    bars(
        data,
        "non-rendered",
        "frames not rendered, and frames shown below 30 dB, in percent of all captured ones; 95 % intervals over runs",
        &scenarios,
        &[
            (
                Axis { at_most: Some(104.0), ..Axis::from_zero("non-rendered frames, %") },
                &of("non_rendered_play_percent"),
            ),
            (
                Axis { at_most: Some(104.0), ..Axis::from_zero("frames below 30 dB, %") },
                &of("non_rendered_psnr_percent"),
            ),
        ],
    )
}

/// Stalls above 200 ms.
///
/// # Errors
/// When no run has them.
pub fn freezes(data: &Data) -> Made {
    let scenarios: Vec<String> = data.scenarios().iter().map(|s| (*s).to_owned()).collect();
    freezes_of(data, "freezes", &scenarios, &|system, c| data.group(system, &scenarios[c]).cloned())
}

/// The same for any categories.
///
/// # Errors
/// When no run has them.
pub fn freezes_of<'a>(
    data: &Data<'a>,
    name: &str,
    categories: &[String],
    group: &dyn Fn(&str, usize) -> Option<Group<'a>>,
) -> Made {
    let per_minute = |run: &Run| {
        let stalls = run.scores.streams.get(&Stream::Rgb)?.freezes.get("stall200")?;
        #[allow(clippy::cast_precision_loss)] // durations are far below 2^53
        let minutes = u64::from(run.scores.frames) as f64 * run.scores.interval_ns as f64 / 60e9;
        (minutes > 0.0).then(|| f64::from(stalls.count) / minutes)
    };
    bars(
        data,
        name,
        "stalls above 200 ms: how many in a minute, and their share of the time; 95 % intervals over runs",
        categories,
        &[
            (Axis::from_zero("stalls per minute"), &|system, c| group(system, c)?.estimate(per_minute)),
            (Axis { at_most: Some(104.0), ..Axis::from_zero("stalled, % of the time") }, &|system, c| {
                column(&group(system, c)?, "freezes_stall200_time_percent")
            }),
        ],
    )
}

/// Non-rendered frames and stalls against the play-out budget.
///
/// # Errors
/// When no run says when its pictures were ready.
pub fn budget(data: &Data) -> Made {
    let curves = budget::curves(&data.groups, data.choice.stream, &budget::plotted());
    let scenarios = data.scenarios();
    let mut panels = Vec::new();
    type Value = fn(&budget::Point) -> (f64, Option<(f64, f64)>);
    for (what, of) in [
        ("non-rendered frames, %", (|p| (p.non_rendered_percent, p.non_rendered_interval)) as Value),
        ("stalled, % of the time", |p| (p.freeze_time_percent, p.freeze_time_interval)),
    ] {
        for scenario in &scenarios {
            let mut panel = Panel::new(
                *scenario,
                Axis::of("play-out budget, ms"),
                Axis { at_most: Some(104.0), ..Axis::from_zero(what) },
            );
            for curve in curves.iter().filter(|c| c.scenario == **scenario) {
                let Ok(points) = &curve.points else { continue };
                let points = points
                    .iter()
                    .map(|p| {
                        let (y, interval) = of(p);
                        Point { x: budget::ms(p.budget.as_nanos()), y, interval, n: curve.runs }
                    })
                    .collect();
                let look = data.look(&curve.system);
                panel.add(&curve.system, look, Shape::Line { points, markers: false, band: true });
            }
            let kept = curves.iter().filter(|c| c.scenario == **scenario).filter_map(|c| c.kept_ms);
            let kept = kept.map(|ms| (ms * 10.0).round() / 10.0).fold(Vec::new(), |mut all: Vec<f64>, ms| {
                if !all.contains(&ms) {
                    all.push(ms);
                }
                all
            });
            for ms in kept {
                panel.add_quietly("budget of the runs", rule(), Shape::Rule(ms, true));
            }
            panels.push(panel);
        }
    }
    panels.retain(|p| p.layers.iter().any(|l| l.in_legend));
    if panels.is_empty() {
        let why = curves.iter().find_map(|c| c.points.as_ref().err());
        return Err(why.cloned().unwrap_or_else(|| "no run has such pictures".to_owned()));
    }
    let columns = (panels.len() / 2).clamp(1, 4);
    Ok(Figure::of_panels(
        "budget",
        "non-rendered frames and stalls against the play-out budget; dashed: the budget of the runs; bands: 95 % intervals over runs",
        columns,
        panels,
    ))
}

/// What each run met against what it showed; joined: the means of scenarios.
///
/// # Errors
/// When no run knows its loss.
pub fn loss(data: &Data) -> Made {
    let met = |r: &Run| Some(100.0 * r.scores.network.get("forward")?.realised_loss?);
    let psnr = |r: &Run| Some(r.scores.streams.get(&Stream::Rgb)?.quality.get(&Metric::Psnr)?.all.mean);
    let not = |r: &Run| r.scores.streams.get(&Stream::Rgb)?.non_rendered_play_percent;
    let mut panels = Vec::new();
    for (axis, of) in [
        (Axis::of("PSNR, dB"), &psnr as &dyn Fn(&Run) -> Option<f64>),
        (Axis { at_most: Some(104.0), ..Axis::from_zero("non-rendered frames, %") }, &not),
    ] {
        let x = Axis { at_least: Some(0.0), ..Axis::from_zero("loss met on the forward path, %") };
        let mut panel = Panel::new("", x, axis);
        for system in data.systems() {
            let look = data.look(system);
            let of_system = || data.groups.iter().filter(|g| g.system == system);
            let all: Vec<Point> =
                of_system().flat_map(Group::valid).filter_map(|r| Some(Point::at(met(r)?, of(r)?))).collect();
            let mut means: Vec<Point> = of_system()
                .filter(|g| g.valid().count() > 1)
                .filter_map(|g| Some(Point::mean(g.estimate(met)?.mean, &g.estimate(of)?)))
                .collect();
            means.sort_by(|a, b| a.x.total_cmp(&b.x));
            let single = of_system().all(|g| g.valid().count() < 2);
            let mut line = if single { all.clone() } else { means };
            line.sort_by(|a, b| a.x.total_cmp(&b.x));
            if !single {
                panel.add_quietly(&format!("{system}, runs"), look, Shape::Points(all));
            }
            if !line.is_empty() {
                panel.add(system, look, Shape::Line { points: line, markers: true, band: false });
            }
        }
        if panel.layers.iter().any(|l| l.in_legend) {
            panels.push(panel);
        }
    }
    if panels.is_empty() {
        return Err("no run has a record of its path".to_owned());
    }
    Ok(Figure::of_panels(
        "loss",
        "quality and non-rendered frames against the loss that runs met; small marks: runs; joined marks: means of scenarios with 95 % intervals",
        2,
        panels,
    )
    .across())
}

/// Share of frames shown below a PSNR.
///
/// # Errors
/// When no run has PSNR.
pub fn threshold(data: &Data) -> Made {
    let mut panels = Vec::new();
    for scenario in data.scenarios() {
        let mut panel = Panel::new(
            scenario,
            Axis::between("threshold, dB", 20.0, 40.0),
            Axis::between("% of frames shown below", 0.0, 100.0),
        );
        for group in data.under(scenario) {
            let points: Vec<Point> = (20..=40u32)
                .filter_map(|theta| {
                    let share = group.estimate(|r| {
                        r.scores.streams.get(&Stream::Rgb)?.non_rendered_psnr_curve.get(&theta).copied()
                    })?;
                    Some(Point::mean(f64::from(theta), &share))
                })
                .collect();
            if !points.is_empty() {
                panel.add(
                    &group.system,
                    data.look(&group.system),
                    Shape::Line { points, markers: false, band: true },
                );
            }
        }
        if !panel.layers.is_empty() {
            panel.add_quietly("30 dB", rule(), Shape::Rule(30.0, true));
            panels.push(panel);
        }
    }
    if panels.is_empty() {
        return Err("no run has PSNR".to_owned());
    }
    let columns = panels.len().min(4);
    Ok(Figure::of_panels("threshold", "share of frames shown below a PSNR, by the PSNR", columns, panels))
}

/// Where the bits go.
///
/// # Errors
/// When no run says what it sent.
pub fn bitrate(data: &Data) -> Made {
    const PARTS: [&str; 5] = ["source", "headers", "repair", "repeats", "transport"];
    let rate = |g: &Group, of: fn(&BitrateScores) -> Option<u64>| {
        #[allow(clippy::cast_precision_loss)] // rates are far below 2^53
        g.mean(|r| of(&r.scores.bitrate).map(|bps| bps as f64 / 1e3))
    };
    let mut panels = Vec::new();
    for scenario in data.scenarios() {
        let rows: Vec<(&Group, [f64; 5])> = data
            .under(scenario)
            .filter_map(|g| {
                let media = rate(g, |b| b.media_bps)?;
                let source = rate(g, |b| b.data_bps)?;
                let repair = rate(g, |b| b.parity_bps)?;
                let repeats = rate(g, |b| b.repeat_bps)?;
                let wire = rate(g, BitrateScores::on_the_wire)?;
                // Without headers of its own, what a system sends is never more than what it encoded.
                let (headers, media) = ((source - media).max(0.0), media.min(source));
                let rest = (wire - media - headers - repair - repeats).max(0.0);
                Some((g, [media, headers, repair, repeats, rest]))
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        let names = rows.iter().map(|(g, _)| g.system.clone()).collect();
        let mut panel = Panel::new(scenario, Axis::names(names), Axis::from_zero("kbit/s"));
        for (i, name) in PARTS.iter().enumerate() {
            let bars = rows
                .iter()
                .enumerate()
                .filter(|(_, (_, parts))| parts[i] > 0.0)
                .map(|(c, (g, parts))| {
                    let from: f64 = parts[..i].iter().sum();
                    let to = Point { n: g.valid().count(), ..Point::at(place(c), from + parts[i]) };
                    Bar { x: place(c), width: 0.7, from, to }
                })
                .collect::<Vec<Bar>>();
            if !bars.is_empty() {
                panel.add(name, part(name), Shape::Bars(bars));
            }
        }
        panels.push(panel);
    }
    if panels.is_empty() {
        return Err("no run says what it sent".to_owned());
    }
    let columns = panels.len().min(4);
    Ok(Figure::of_panels(
        "bitrate",
        "rate by part: encoded pictures (source), the system's headers, repair, repeats, and transport with encryption, IP and UDP",
        columns,
        panels,
    ))
}
