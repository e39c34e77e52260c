//! Plots over many runs: percentiles, distributions, rates, loss against quality.

use super::svg::{Margin, Plot, escape, range_of};
use crate::report::group::Group;
use crate::score::session;
use contract::scores::BitrateScores;
use contract::{Metric, Stream};
use metrics::percentile_of_sorted;
use std::fmt::Write as _;

/// Colours of the style sheet.
const COLOURS: usize = 16;

/// Classes that give a system its colour, by its place among the systems; beyond 16 systems, and again beyond 32, a pattern
/// tells those of one colour apart.
#[must_use]
pub fn colour(place: usize) -> String {
    match place / COLOURS {
        0 => format!("s{place}"),
        round => format!("s{} d{}", place % COLOURS, 1 + (round - 1) % 2),
    }
}

/// Systems in the order of the table.
#[must_use]
pub fn systems<'a>(groups: &'a [Group]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for group in groups {
        if !names.contains(&group.system.as_str()) {
            names.push(&group.system);
        }
    }
    names
}

/// Conditions (scenario and clip) in the order of the table.
#[must_use]
pub fn conditions<'a>(groups: &'a [Group]) -> Vec<(&'a str, &'a str)> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for group in groups {
        let name = (group.scenario.as_str(), group.clip.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// One coloured mark per system.
#[must_use]
pub fn legend(groups: &[Group]) -> String {
    let mut out = String::from(r#"<div class="legend">"#);
    for (i, system) in systems(groups).iter().enumerate() {
        let _ =
            write!(out, r#"<span class="{}"><span class="sw c"></span>{}</span>"#, colour(i), escape(system));
    }
    out.push_str("</div>");
    out
}

/// True if the percentile bars of these groups need a whole row of the page.
#[must_use]
pub fn is_wide(groups: &[Group]) -> bool {
    systems(groups).len() * conditions(groups).len() > 18
}

/// Per condition and system: whiskers 5-95 %, box 25-75 %, bar at the median, dot at the mean, triangle at the mean of the
/// worst tenth. Each is the mean over runs of that run's value.
#[must_use]
pub fn percentile_bars(groups: &[Group], stream: Stream, metric: Metric) -> Option<String> {
    // The frames of all runs of a row together, as its worst tenth in the table is.
    let dist = |g: &Group| -> Option<[f64; 7]> {
        let d = session::dist(&g.frames(stream, metric), metric)?;
        Some([d.p5, d.p25, d.p50, d.p75, d.p95, d.mean, d.worst10])
    };
    let dists: Vec<(&Group, [f64; 7])> = groups.iter().filter_map(|g| Some((g, dist(g)?))).collect();
    let (lo, hi) = range_of(dists.iter().flat_map(|(_, d)| *d))?;
    let hi = if metric.unit().is_empty() { hi.min(1.0) } else { hi };
    let (systems, conditions) = (systems(groups), conditions(groups));
    #[allow(clippy::cast_precision_loss)]
    let (count, each) = (conditions.len() as f64, systems.len() as f64);
    let width = if is_wide(groups) { 1160.0 } else { 570.0 };
    let margin = Margin { left: 46.0, right: 10.0, top: 26.0, bottom: 30.0 };
    let mut plot = Plot::new(
        (width, 250.0),
        margin,
        ((0.0, count), (lo, hi)),
        ("plot", &format!("{} percentiles", metric.title())),
    );
    let word = if metric.title().starts_with("depth") { "" } else { stream_word(stream) };
    let name = format!("{word} {} {}", metric.title(), metric.unit());
    plot.names("", name.trim());
    plot.y_grid(6);
    for (c, (scenario, clip)) in conditions.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let (x0, x1) = (plot.x.at(c as f64), plot.x.at(c as f64 + 1.0));
        plot.text("strong", (f64::midpoint(x0, x1), plot.floor() + 18.0), "middle", scenario);
        let step = (x1 - x0) / (each + 1.0);
        for (s, system) in systems.iter().enumerate() {
            let Some((group, d)) =
                dists.iter().find(|(g, _)| g.system == *system && g.scenario == *scenario && g.clip == *clip)
            else {
                continue;
            };
            #[allow(clippy::cast_precision_loss)]
            let x = x0 + step * (s as f64 + 1.0);
            let half = (step * 0.3).min(13.0);
            let y = d.map(|v| plot.y.at(v));
            let digits = metric.digits();
            let title = format!(
                "{} · {scenario}: mean {:.digits$}, median {:.digits$}, 25-75 % {:.digits$}-{:.digits$}, 5-95 % {:.digits$}-{:.digits$}, worst tenth {:.digits$} ({} runs)",
                group.system,
                d[5],
                d[2],
                d[1],
                d[3],
                d[0],
                d[4],
                d[6],
                group.valid().count()
            );
            let class = colour(s);
            plot.stroke(&format!("whisker stroke-c {class}"), (x, y[0]), (x, y[4]), "");
            plot.rect(
                &format!("box fill-c {class}"),
                (x - half, y[3]),
                (2.0 * half, (y[1] - y[3]).max(1.5)),
                &title,
            );
            plot.stroke(&format!("median stroke-c {class}"), (x - half, y[2]), (x + half, y[2]), "");
            plot.dot(&format!("fill-c {class}"), (x, y[5]), 3.0, &title);
            let triangle = format!("M{:.1} {:.1}h9l-4.5 7z", x - 4.5, y[6] - 3.5);
            plot.path(&format!("worst fill-c {class}"), &triangle, &title);
        }
    }
    plot.x_ticks_none();
    Some(plot.finish())
}

/// Share of frames at or below a value, one line per system; frames of all valid runs together.
#[must_use]
pub fn cdf(
    groups: &[Group],
    (scenario, clip): (&str, &str),
    stream: Stream,
    metric: Metric,
) -> Option<String> {
    let names = systems(groups);
    let lines: Vec<(usize, Vec<f64>)> = groups
        .iter()
        .filter(|g| g.scenario == scenario && g.clip == clip)
        .filter_map(|g| {
            let mut values = g.frames(stream, metric);
            values.sort_unstable_by(f64::total_cmp);
            let place = names.iter().position(|n| *n == g.system)?;
            (!values.is_empty()).then_some((place, values))
        })
        .collect();
    let (lo, hi) = range_of(lines.iter().flat_map(|(_, v)| [v[0], v[v.len() - 1]]))?;
    let hi = if metric.unit().is_empty() { hi.min(1.0) } else { hi };
    let margin = Margin { left: 42.0, right: 10.0, top: 26.0, bottom: 34.0 };
    let what = format!("distribution of {} under {scenario}", metric.title());
    let mut plot = Plot::new((420.0, 230.0), margin, ((lo, hi), (0.0, 100.0)), ("plot", &what));
    let name = format!("{} {}", metric.title(), metric.unit());
    plot.names(name.trim(), "% of frames at or below");
    plot.y_grid(4);
    plot.x_ticks(5);
    for (place, values) in &lines {
        // 201 quantiles draw every step that a person can see, whatever the number of frames.
        let points = (0..=200).map(|i| {
            let p = f64::from(i) / 2.0;
            (percentile_of_sorted(values, p).unwrap_or(f64::NAN), p)
        });
        plot.line(&format!("stroke-c {}", colour(*place)), points);
    }
    Some(plot.finish())
}

/// Where the bits go: encoded pictures, the system's headers, repair, repeats, transport.
#[must_use]
pub fn bitrates(groups: &[Group]) -> Option<String> {
    let part = |g: &Group, of: fn(&BitrateScores) -> Option<u64>| g.mean(|r| of(&r.scores.bitrate).map(kbps));
    let rows: Vec<(&Group, [f64; 5])> = groups
        .iter()
        .filter_map(|g| {
            let media = part(g, |b| b.media_bps)?;
            let data = part(g, |b| b.data_bps)?;
            let parity = part(g, |b| b.parity_bps)?;
            let repeat = part(g, |b| b.repeat_bps)?;
            let wire = part(g, BitrateScores::on_the_wire)?;
            let headers = (data - media).max(0.0);
            // Without headers of its own, what a system sends is never more than what it encoded.
            let media = media.min(data);
            Some((g, [media, headers, parity, repeat, (wire - media - headers - parity - repeat).max(0.0)]))
        })
        .collect();
    let (_, hi) = range_of(rows.iter().map(|(_, p)| p.iter().sum()).chain([0.0]))?;
    #[allow(clippy::cast_precision_loss)]
    let height = 30.0 + 25.0 * rows.len() as f64 + 34.0;
    let longest = rows.iter().map(|(g, _)| g.scenario.len() + g.system.len() + 3).max().unwrap_or(10);
    #[allow(clippy::cast_precision_loss)]
    let left = (longest as f64 * 6.9 + 14.0).clamp(120.0, 360.0);
    let margin = Margin { left, right: 96.0, top: 8.0, bottom: 34.0 };
    let mut plot = Plot::new((1160.0, height), margin, ((0.0, hi), (0.0, 1.0)), ("plot", "bitrate by part"));
    plot.x_ticks(8);
    plot.names("kbit/s", "");
    let mut y = 14.0;
    for (group, parts) in &rows {
        plot.text(
            "strong",
            (left - 10.0, y + 13.0),
            "end",
            &format!("{} · {}", group.scenario, group.system),
        );
        let mut at = 0.0;
        for (value, (class, what)) in parts.iter().zip([
            ("data", "encoded pictures"),
            ("header", "headers of the system"),
            ("parity", "repair"),
            ("repeat", "repeats"),
            ("transport", "transport, encryption, IP and UDP"),
        ]) {
            let (x0, x1) = (plot.x.at(at), plot.x.at(at + value));
            if *value > 0.0 {
                plot.rect(class, (x0, y), (x1 - x0, 17.0), &format!("{what}: {value:.0} kbit/s"));
            }
            at += value;
        }
        let repair = group
            .mean(|r| Some(100.0 * r.scores.bitrate.redundancy?))
            .map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.0} %"));
        let end = plot.x.at(at) + 7.0;
        plot.text("value", (end, y + 13.0), "start", &format!("{at:.0}, {repair} repair"));
        y += 25.0;
    }
    Some(plot.finish())
}

/// What the colours of [`bitrates`] mean.
#[must_use]
pub fn bitrate_legend() -> String {
    let mut out = String::from(r#"<div class="legend">"#);
    for (colour, text) in [
        ("data", "encoded pictures"),
        ("header", "the system's own headers"),
        ("parity", "repair"),
        ("repeat", "repeats"),
        ("transport", "transport, encryption, IP and UDP"),
    ] {
        let _ =
            write!(out, r#"<span><span class="sw" style="background:var(--{colour})"></span>{text}</span>"#);
    }
    out.push_str("</div>");
    out
}

/// A quality of every run against the loss that it really met.
#[must_use]
pub fn against_loss(
    groups: &[Group],
    what: &str,
    get: impl Fn(&crate::report::load::Run) -> Option<f64>,
) -> Option<String> {
    let names = systems(groups);
    let dots: Vec<(usize, f64, f64, String)> = groups
        .iter()
        .flat_map(|g| g.valid().map(move |r| (g, r)))
        .filter_map(|(g, r)| {
            let loss = r.scores.network.get("forward")?.realised_loss? * 100.0;
            let place = names.iter().position(|n| *n == g.system)?;
            let value = get(r)?;
            let title = format!(
                "{} · {} · seed {}: {value:.2} at {loss:.2} % loss",
                g.system, g.scenario, r.scores.run.seed
            );
            Some((place, loss, value, title))
        })
        .collect();
    let (_, x_hi) = range_of(dots.iter().map(|d| d.1).chain([0.0, 0.5]))?;
    let (y_lo, y_hi) = range_of(dots.iter().map(|d| d.2))?;
    let margin = Margin { left: 48.0, right: 12.0, top: 24.0, bottom: 34.0 };
    let y_lo = if what.contains('%') { 0.0 } else { y_lo };
    let mut plot = Plot::new(
        (560.0, 270.0),
        margin,
        ((0.0, x_hi), (y_lo, y_hi)),
        ("plot", &format!("{what} against loss")),
    );
    plot.names("realised loss of the forward path, %", what);
    plot.y_grid(5);
    plot.x_ticks(6);
    for place in 0..names.len() {
        let mut of: Vec<(f64, f64)> = dots.iter().filter(|d| d.0 == place).map(|d| (d.1, d.2)).collect();
        of.sort_by(|a, b| a.0.total_cmp(&b.0));
        // A line through a cloud of seeds would say nothing: only single runs per condition are joined.
        if groups.iter().all(|g| g.runs.len() == 1) {
            plot.line(&format!("stroke-c {}", colour(place)), of.into_iter());
        }
    }
    for (place, loss, value, title) in &dots {
        let at = (plot.x.at(*loss), plot.y.at(*value));
        plot.dot(&format!("fill-c {}", colour(*place)), at, 4.0, title);
    }
    Some(plot.finish())
}

/// Share of frames displayed below a PSNR threshold, for every threshold.
#[must_use]
pub fn theta_curve(groups: &[Group], (scenario, clip): (&str, &str)) -> Option<String> {
    let names = systems(groups);
    let mut lines: Vec<(usize, Vec<(f64, f64)>)> = Vec::new();
    for group in groups.iter().filter(|g| g.scenario == scenario && g.clip == clip) {
        let points: Vec<(f64, f64)> = (20..=40)
            .filter_map(|theta: u32| {
                let y = group.mean(|r| {
                    r.scores.streams.get(&Stream::Rgb)?.non_rendered_psnr_curve.get(&theta).copied()
                })?;
                Some((f64::from(theta), y))
            })
            .collect();
        if let (false, Some(place)) = (points.is_empty(), names.iter().position(|n| *n == group.system)) {
            lines.push((place, points));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let margin = Margin { left: 42.0, right: 10.0, top: 26.0, bottom: 34.0 };
    let what = format!("frames below a PSNR threshold under {scenario}");
    let mut plot = Plot::new((420.0, 230.0), margin, ((20.0, 40.0), (0.0, 100.0)), ("plot", &what));
    plot.names("threshold, dB", "% of frames displayed below");
    plot.y_grid(4);
    plot.x_ticks(5);
    let x = plot.x.at(30.0);
    plot.stroke("theta", (x, plot.ceiling()), (x, plot.floor()), "30 dB");
    for (place, points) in lines {
        plot.line(&format!("stroke-c {}", colour(place)), points.into_iter());
    }
    Some(plot.finish())
}

fn stream_word(stream: Stream) -> &'static str {
    match stream {
        Stream::Rgb => "colour",
        Stream::Depth => "depth",
    }
}

#[allow(clippy::cast_precision_loss)]
fn kbps(bps: u64) -> f64 {
    bps as f64 / 1e3
}
