//! Figures and tables of Reparo's and ReVo's evaluations that are not simply those of the field.

use super::data::{Data, Made, metric_label, unique};
use super::field::{boxes_of, freezes_of};
use super::model::{Axis, Figure, Grid};
use super::rates::{Rate, mark_link, panels, papers_metrics, pooled, several_rates, systems_of};
use crate::report::group::Group;
use crate::report::load::Run;
use contract::{FrameRow, Stream};
use metrics::stats::Estimate;

const PAYLOAD: (Rate, &str) = (|b| b.payload_bps, "payload, kbit/s");

/// Figure 5: every metric, mean and worst tenth, against the rate, a column per loss level.
///
/// # Errors
/// When no system was run at several rates.
pub fn reparo_5(data: &Data) -> Made {
    let curves = pooled(data);
    several_rates(&curves)?;
    let metrics = papers_metrics(data);
    let means: Vec<_> = metrics.iter().map(|&m| move |g: &Group| g.quality(Stream::Rgb, m)).collect();
    let worst: Vec<_> = metrics.iter().map(|&m| move |g: &Group| g.worst_tenth(Stream::Rgb, m)).collect();
    let mut values: Vec<(Axis, &dyn Fn(&Group) -> Option<Estimate>)> = Vec::new();
    for (i, &metric) in metrics.iter().enumerate() {
        let axis = |what: &str| Axis {
            at_most: super::data::most(metric),
            at_least: super::data::least(metric),
            ..Axis::of(format!("{}, {what}", metric_label(Stream::Rgb, metric)))
        };
        values.push((axis("mean"), &means[i]));
        values.push((axis("worst tenth"), &worst[i]));
    }
    let (panels, scenarios) = panels(data, &curves, PAYLOAD, &values);
    if panels.is_empty() {
        return Err("no run has a picture metric".to_owned());
    }
    Ok(Figure::of_panels(
        "reparo-5",
        "quality against the rate without IP and UDP headers, mean over frames and mean of their worst tenth, by loss level; 95 % intervals over runs",
        scenarios.clamp(1, 4),
        panels,
    )
    .high(27.0))
}

/// Figure 11: behind a bottleneck, what is sent against what is seen.
///
/// # Errors
/// When nothing was run at several rates behind a bottleneck.
pub fn reparo_11(data: &Data) -> Made {
    let limited =
        |g: &Group| g.runs.first().and_then(|r| r.scores.run.conditions.get("forward_bottleneck").cloned());
    let curves: Vec<_> =
        pooled(data).into_iter().filter(|c| c.points.iter().any(|g| limited(g).is_some())).collect();
    if curves.is_empty() {
        return Err(
            "no run met a bottleneck (a scenario with [forward.bottleneck], such as fifo-320k)".to_owned()
        );
    }
    several_rates(&curves)?;
    let (mut panels, scenarios) = panels(
        data,
        &curves,
        PAYLOAD,
        &[
            (Axis::of("PSNR, dB"), &|g| g.quality(Stream::Rgb, contract::Metric::Psnr)),
            (Axis { at_most: Some(104.0), ..Axis::from_zero("non-rendered frames, %") }, &|g| {
                g.estimate(|r| r.scores.streams.get(&Stream::Rgb)?.non_rendered_play_percent)
            }),
        ],
    );
    for panel in &mut panels {
        let of = curves.iter().find(|c| c.scenario == panel.title);
        let text = of.and_then(|c| c.points.first().and_then(&limited));
        if let Some(kbps) = text.as_deref().and_then(kbps_of) {
            mark_link(panel, kbps);
        }
    }
    let columns = if scenarios == 1 { 2 } else { scenarios.min(4) };
    Ok(Figure::of_panels(
        "reparo-11",
        "behind a bottleneck: quality and non-rendered frames against the rate that is sent, without IP and UDP headers; 95 % intervals over runs",
        columns,
        panels,
    ))
}

/// The rate that begins the description of a bottleneck (`320kbps, queue …`), kbit/s.
fn kbps_of(text: &str) -> Option<f64> {
    let rate = text.split(',').next()?.trim();
    let digits = rate.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '/');
    let value: f64 = digits.trim().parse().ok()?;
    match rate[digits.len()..].to_ascii_lowercase().as_str() {
        "gbps" | "gbit/s" | "gbit" => Some(value * 1e6),
        "mbps" | "mbit/s" | "mbit" => Some(value * 1e3),
        "kbps" | "kbit/s" | "kbit" => Some(value),
        "bps" | "bit/s" | "bit" => Some(value / 1e3),
        _ => None,
    }
}

/// Figure 12: Reparo's variants.
///
/// # Errors
/// When there are no two variants of Reparo.
pub fn reparo_12(data: &Data) -> Made {
    let mut curves = pooled(data);
    let variants: Vec<String> = systems_of(&curves, "reparo").into_iter().map(str::to_owned).collect();
    if variants.len() < 2 {
        return Err(format!(
            "there are not two variants of reparo (option grid, fill or weights) but {}",
            if variants.is_empty() { "none".to_owned() } else { variants.join(", ") }
        ));
    }
    curves.retain(|c| variants.contains(&c.system));
    several_rates(&curves)?;
    let (panels, scenarios) = panels(
        data,
        &curves,
        PAYLOAD,
        &[
            (Axis::of("PSNR, dB, mean"), &|g| g.quality(Stream::Rgb, contract::Metric::Psnr)),
            (Axis::of("PSNR, dB, worst tenth"), &|g| g.worst_tenth(Stream::Rgb, contract::Metric::Psnr)),
        ],
    );
    Ok(Figure::of_panels(
        "reparo-12",
        "Reparo's variants: PSNR against the rate without IP and UDP headers; 95 % intervals over runs",
        scenarios.clamp(1, 4),
        panels,
    ))
}

/// Table 1: the loss levels.
///
/// # Errors
/// When no run knows its loss.
pub fn table_1(data: &Data) -> Made {
    let mut rows = Vec::new();
    for scenario in data.scenarios() {
        let of: Vec<&Group> = data.under(scenario).collect();
        let model =
            of.iter().find_map(|g| g.runs.first()?.scores.run.conditions.get("forward_loss").cloned());
        let losses: Vec<f64> = of
            .iter()
            .flat_map(|g| g.valid())
            .filter_map(|r| Some(100.0 * r.scores.network.get("forward")?.realised_loss?))
            .collect();
        let (Some(mean), Some((least, most))) =
            (metrics::mean(&losses), super::axis::ends(losses.iter().copied()))
        else {
            continue;
        };
        rows.push(vec![
            scenario.to_owned(),
            model.unwrap_or_else(|| "unknown".to_owned()),
            format!("{mean:.2}"),
            format!("{least:.2}–{most:.2}"),
            losses.len().to_string(),
        ]);
    }
    table(
        "reparo-table-1",
        "loss levels, and the loss that runs met",
        &["scenario", "model of the forward path", "loss met, %", "least–most, %", "runs"],
        rows,
        "no run has a record of its path",
    )
}

/// Table 2: milliseconds by stage, over the frames of all runs of a system.
///
/// # Errors
/// When no run has events of frames.
pub fn table_2(data: &Data) -> Made {
    type Stage = fn(&Run, &FrameRow) -> Option<f64>;
    fn between(from: Option<link::Timestamp>, to: Option<link::Timestamp>) -> Option<f64> {
        let ns = to?.as_nanos().checked_sub(from?.as_nanos())?;
        Some(crate::report::budget::ms(ns))
    }
    const STAGES: [(&str, Stage); 4] = [
        ("encode", |run, r| between(run.captured(r), r.encode_end)),
        // Not apart: a pacer still sends repair when the frame is complete.
        ("send, path and repair", |run, r| between(r.encode_end.or(run.captured(r)), r.complete)),
        ("decode", |_, r| between(r.complete, r.decode_end)),
        ("capture to screen", |run, r| between(run.captured(r), r.render)),
    ];
    let mut rows = Vec::new();
    for system in data.systems() {
        let of: Vec<(&Run, &FrameRow)> = data
            .groups
            .iter()
            .filter(|g| g.system == system)
            .flat_map(Group::valid)
            .flat_map(|run: &Run| run.stream(Stream::Rgb).map(move |row| (run, row)))
            .collect();
        let mut row = vec![system.to_owned()];
        for (_, stage) in STAGES {
            let times: Vec<f64> = of.iter().filter_map(|(run, r)| stage(run, r)).collect();
            row.push(match metrics::mean(&times) {
                None => "–".to_owned(),
                Some(mean) => {
                    #[allow(clippy::cast_precision_loss)] // frames are far below 2^53
                    let n = times.len() as f64;
                    let sd =
                        (times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
                    format!("{mean:.1} ± {sd:.1}")
                }
            });
        }
        if row.iter().skip(1).any(|cell| cell != "–") {
            rows.push(row);
        }
    }
    let head: Vec<&str> = std::iter::once("ms, mean ± sd").chain(STAGES.iter().map(|(n, _)| *n)).collect();
    table(
        "reparo-table-2",
        "milliseconds from capture to screen by stage, mean and standard deviation over frames",
        &head,
        rows,
        "no run has events of its frames",
    )
}

fn table(name: &str, title: &str, head: &[&str], rows: Vec<Vec<String>>, missing: &str) -> Made {
    if rows.is_empty() {
        return Err(missing.to_owned());
    }
    let grid = Grid { head: head.iter().map(|h| (*h).to_owned()).collect(), rows };
    Ok(Figure { table: Some(grid), wide: true, ..Figure::of_panels(name, title, 1, Vec::new()) })
}

/// The class of a run's path: the folder of its trace's file, a shipped trace's name, or the scenario where there is no trace.
fn class(group: &Group) -> String {
    let trace = group.runs.first().and_then(|r| r.scores.run.conditions.get("forward_trace"));
    let file = trace.and_then(|t| t.split(" from ").next());
    let folder =
        file.and_then(|f| std::path::Path::new(f).parent()?.file_name()?.to_str().map(str::to_owned));
    folder.or_else(|| file.map(str::to_owned)).unwrap_or_else(|| group.scenario.clone())
}

fn classes(data: &Data) -> Vec<String> {
    let names: Vec<String> = data.groups.iter().map(class).collect();
    unique(names.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
}

/// Quality by class of traces.
///
/// # Errors
/// When no frame has the metric.
pub fn revo_traces(data: &Data) -> Made {
    let categories: Vec<(String, Vec<&Group>)> = classes(data)
        .into_iter()
        .map(|name| {
            let of = data.groups.iter().filter(|g| class(g) == name).collect();
            (name, of)
        })
        .collect();
    let figure = boxes_of(data, data.choice.stream, data.choice.metric, &categories)?;
    Ok(Figure { name: "revo-traces".to_owned(), ..figure })
}

/// Stalls by class of traces.
///
/// # Errors
/// When no run has them.
pub fn revo_freezes(data: &Data) -> Made {
    let names = classes(data);
    freezes_of(data, "revo-freezes", &names, &|system, c| {
        let mut of = data.groups.iter().filter(|g| g.system == system && class(g) == names[c]);
        let mut all = of.next()?.clone();
        for group in of {
            all.runs.extend(&group.runs);
            all.clips.extend(group.clips.iter().cloned());
        }
        Some(all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_bottlenecks_are_read() {
        for (text, kbps) in
            [("320kbps, queue 6000B", Some(320.0)), ("1.5Mbit/s, queue 1", Some(1500.0)), ("fast", None)]
        {
            assert_eq!(kbps_of(text), kbps, "{text}");
        }
    }
}
