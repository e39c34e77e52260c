//! `report.html`: a page that needs no network, light or dark as the reader's system is. What it shows of a single run is in that run's
//! directory and loaded when it is opened ([`details`]).

mod compare;
pub mod details;
mod strips;
mod timeline;

use super::columns::{COLUMNS, Column};
use super::escape;
use super::group::{Group, group, over_clips};
use super::load::Run;
use super::rate::{Deltas, deltas};
use super::table::{Mark, Row, Shown, Table};
use crate::figure::data::{Choice, Data, Made, unique};
use crate::figure::model::Figure;
use crate::figure::{draw, field, rates, series, style};
use contract::{Metric, Stream};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// The page for one run or many, to stand in `folder`; `baseline` is what rate-quality curves are compared with.
#[must_use]
pub fn page(title: &str, runs: &[Run], baseline: Option<&str>, folder: &Path) -> String {
    let groups = group(runs);
    let data = Data::new(runs, Choice::default());
    let mut body = String::new();
    head(&mut body, title, runs, &groups);
    body.push_str("<main>");
    if let [run] = runs {
        tiles(&mut body, run);
    } else if runs.is_empty() {
        body.push_str(r#"<p class="lead">No finished run yet.</p>"#);
    }
    if !runs.is_empty() {
        results(&mut body, &groups, &data);
    }
    if runs.len() > 1 {
        figures(&mut body, &data);
        rate_and_quality(&mut body, &deltas(runs, baseline), &data);
        pairs(&mut body, &groups, baseline);
    }
    if !runs.is_empty() {
        all_details(&mut body, runs, &groups, folder);
        definitions(&mut body, runs);
    }
    body.push_str("<footer>Freezeframe · every number carries its definition, every run the command that repeats it</footer></main>");
    document(title, &body)
}

/// A page with the report's styles around a body.
#[must_use]
pub fn document(title: &str, body: &str) -> String {
    let dark = format!(
        "@media screen and (prefers-color-scheme:dark){{{}}}@media screen{{{}}}",
        style::dark(":root:not([data-theme=\"light\"])"),
        style::dark(":root[data-theme=\"dark\"]")
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title><style>{}{}{dark}</style></head><body>{body}<script>{}</script></body></html>\n",
        escape(title),
        crate::figure::text::font_face(),
        include_str!("style.css"),
        include_str!("script.js")
    )
}

fn head(out: &mut String, title: &str, runs: &[Run], groups: &[Group]) {
    let _ = write!(out, r#"<header class="top"><div><h1>{}</h1>"#, escape(title));
    let mut chips: Vec<(String, String)> = Vec::new();
    if runs.len() > 1 {
        chips.push((runs.len().to_string(), "runs".into()));
        let conditions: Vec<String> = groups.iter().map(|g| format!("{} {}", g.scenario, g.clip)).collect();
        let count = |names: Vec<&str>| names.len().to_string();
        chips.push((count(unique(groups.iter().map(|g| g.system.as_str()))), "systems".into()));
        chips.push((count(unique(conditions.iter().map(String::as_str))), "conditions".into()));
    }
    let shared = |of: fn(&Run) -> String| {
        let first = of(runs.first()?);
        runs.iter().all(|r| of(r) == first).then_some(first)
    };
    for (name, of) in [
        ("system", (|r: &Run| r.scores.run.system.clone()) as fn(&Run) -> String),
        ("scenario", |r| r.scores.run.scenario.clone()),
        ("clip", |r| r.scores.run.clip.clone()),
        ("frames", |r| r.scores.frames.to_string()),
        ("seed", |r| r.scores.run.seed.to_string()),
        ("backend", |r| r.scores.run.backend.clone()),
        ("revision", |r| r.scores.run.revision.clone()),
    ] {
        if let Some(value) = shared(of) {
            chips.push((value, name.into()));
        }
    }
    out.push_str(r#"<ul class="chips">"#);
    for (value, name) in chips {
        let _ = write!(out, "<li>{} <b>{}</b></li>", escape(&name), escape(&value));
    }
    out.push_str("</ul></div></header><nav><div>");
    out.push_str(r##"<a href="#results">Results</a>"##);
    if runs.len() > 1 {
        out.push_str(
            r##"<a href="#quality">Quality</a><a href="#freezes">Freezes</a><a href="#time">In time</a><a href="#rates">Bitrate</a><a href="#bd">BD-rate</a>"##,
        );
    }
    out.push_str(r##"<a href="#runs">Runs</a><a href="#definitions">Definitions</a><button id="theme" type="button">light / dark</button></div></nav>"##);
}

fn tiles(out: &mut String, run: &Run) {
    let scores = &run.scores;
    out.push_str(r#"<div class="tiles">"#);
    if let Some(rgb) = scores.streams.get(&Stream::Rgb) {
        for metric in [Metric::Psnr, Metric::Ssim] {
            if let Some(q) = rgb.quality.get(&metric) {
                let d = metric.digits();
                tile(
                    out,
                    "",
                    metric.title(),
                    (&format!("{:.d$}", q.all.mean), metric.unit()),
                    &format!("worst tenth {:.d$}", q.all.worst10),
                );
            }
        }
        let mut below = scores
            .budget
            .kept_ns
            .map_or("no slots".to_owned(), |ns| format!("{:.0} ms from capture", to_ms(ns)));
        if let Some(p) = rgb.non_rendered_psnr_percent {
            let _ = write!(below, ", {p:.1} % below 30 dB");
        }
        if rgb.dropped_sender > 0 {
            let _ = write!(below, ", {} dropped by the sender", rgb.dropped_sender);
        }
        if let Some(share) = rgb.non_rendered_play_percent {
            tile(out, level(share, 1.0, 10.0), "Not rendered", (&format!("{share:.1}"), "%"), &below);
        }
        if let Some(f) = rgb.freezes.get("stall200") {
            let detail =
                format!("{} ms still, longest {} ms", f.total_ns / 1_000_000, f.longest_ns / 1_000_000);
            let class = level(f64::from(f.count), 0.5, 3.5);
            tile(out, class, "Stalls above 200 ms", (&f.count.to_string(), ""), &detail);
        }
        if rgb.never_rendered {
            tile(out, "bad", "First picture", ("never", ""), "no picture ever came on the screen");
        }
        if let Some(l) = rgb.latency {
            tile(
                out,
                "",
                "Latency to screen",
                (&format!("{:.0}", to_ms(l.p50_ns)), "ms"),
                &format!("p98 {:.0} ms", to_ms(l.p98_ns)),
            );
        }
    }
    if let Some(depth) = scores.streams.get(&Stream::Depth)
        && let Some(q) = depth.quality.get(&Metric::DepthRmseMm).or_else(|| depth.quality.get(&Metric::Ssim))
    {
        let is_rmse = depth.quality.contains_key(&Metric::DepthRmseMm);
        let (value, unit) =
            if is_rmse { (format!("{:.1}", q.all.mean), "mm") } else { (format!("{:.4}", q.all.mean), "") };
        let name = if is_rmse { "Depth error (RMSE)" } else { "Depth SSIM" };
        tile(
            out,
            "",
            name,
            (&value, unit),
            &depth.non_rendered_play_percent.map(|p| format!("{p:.1} % not rendered")).unwrap_or_default(),
        );
    }
    let b = &scores.bitrate;
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let kbps = |bps: Option<u64>| or_unknown(bps.map(|b| format!("{:.0}", to_kbps(b))));
    let repair = or_unknown(b.redundancy.map(|r| format!("{:.0} %", 100.0 * r)));
    tile(
        out,
        "",
        "On the wire",
        (&kbps(b.on_the_wire()), "kbit/s"),
        &format!("media {}, repair {repair}", kbps(b.media_bps)),
    );
    if let Some(forward) = scores.network.get("forward")
        && let Some(loss) = forward.realised_loss
    {
        let detail = format!("{} of {} packets", forward.packets - forward.delivered, forward.packets);
        tile(out, "", "Realised loss", (&format!("{:.2}", 100.0 * loss), "%"), &detail);
    }
    out.push_str("</div>");
}

fn tile(out: &mut String, class: &str, name: &str, (value, unit): (&str, &str), detail: &str) {
    let _ = write!(
        out,
        r#"<div class="tile {class}"><div class="k">{}</div><div class="v">{}<small>{}</small></div><div class="d">{}</div></div>"#,
        escape(name),
        escape(value),
        escape(unit),
        escape(detail)
    );
}

fn level(value: f64, warn: f64, bad: f64) -> &'static str {
    match value {
        v if v >= bad => "bad",
        v if v >= warn => "warn",
        _ => "good",
    }
}

/// Over all clips first, where there are several; then clip by clip.
fn results(out: &mut String, groups: &[Group], data: &Data) {
    out.push_str(r##"<h2 id="results">Results</h2><p class="note">Means over all captured frames, a frozen slot counting with the old picture that was still on the screen; <em>worst</em> is the mean of the worst tenth. Several runs: mean over runs. Bold: best mean of its scenario; green: better than every other system there by more than chance (<a href="#pairs">systems in pairs</a>).</p>"##);
    let over_clips = over_clips(groups);
    if over_clips.len() == groups.len() {
        results_table(out, groups, data);
        return;
    }
    let clips = unique(groups.iter().map(|g| g.clip.as_str())).len();
    let _ = write!(out, r#"<p class="note">Means over {clips} clips.</p>"#);
    results_table(out, &over_clips, data);
    out.push_str(r#"<details class="clips"><summary>Clip by clip</summary>"#);
    results_table(out, groups, data);
    out.push_str("</details>");
}

fn results_table(out: &mut String, groups: &[Group], data: &Data) {
    let table = Table::of(groups);
    out.push_str(r#"<div class="card scroll">"#);
    let used: Vec<(usize, &Column)> =
        COLUMNS.iter().enumerate().zip(table.used()).filter(|(_, u)| *u).map(|(c, _)| c).collect();
    let several = table.several();
    let lead = 2 + usize::from(several) + usize::from(!table.one_clip());
    let _ = write!(out, r#"<table class="wide"><thead><tr><th colspan="{lead}"></th>"#);
    let mut k = 0;
    while k < used.len() {
        let name = used[k].1.group;
        let end = (k..used.len()).find(|&j| used[j].1.group != name).unwrap_or(used.len());
        let _ = write!(out, r#"<th class="g first" colspan="{}">{}</th>"#, end - k, escape(name));
        k = end;
    }
    out.push_str(r#"</tr><tr><th class="l">scenario</th>"#);
    if !table.one_clip() {
        out.push_str(r#"<th class="l">clip</th>"#);
    }
    out.push_str(r#"<th class="l">system</th>"#);
    if several {
        out.push_str("<th>runs</th>");
    }
    for (j, (_, column)) in used.iter().enumerate() {
        let _ = write!(out, r#"<th{}>{}</th>"#, first(&used, j), escape(column.name));
    }
    out.push_str("</tr></thead><tbody>");
    for (i, row) in table.rows.iter().enumerate() {
        let new = i == 0 || table.rows[i - 1].scenario != row.scenario || table.rows[i - 1].clip != row.clip;
        let _ = write!(
            out,
            r#"<tr{}><td class="l">{}</td>"#,
            if new && i > 0 { r#" class="sep""# } else { "" },
            if new { escape(&row.scenario) } else { String::new() }
        );
        if !table.one_clip() {
            let _ = write!(
                out,
                r#"<td class="l dim">{}</td>"#,
                if new { escape(&row.clip) } else { String::new() }
            );
        }
        let _ = write!(
            out,
            r##"<td class="l">{}<a href="#{}">{}</a>{}</td>"##,
            draw::swatch(data.look(&row.system)),
            escape(&anchor_of(groups, row)),
            escape(&row.system),
            marks(row)
        );
        if several {
            let _ = write!(out, "<td>{}</td>", row.runs);
        }
        for (j, (c, _)) in used.iter().enumerate() {
            let shown = Shown::of(row, *c);
            let mut classes: Vec<&str> = Vec::new();
            if !first(&used, j).is_empty() {
                classes.push("first");
            }
            if row.clear[*c] {
                classes.push("clear");
            } else if row.best[*c] {
                classes.push("best");
            } else if row.values[*c].is_none() {
                classes.push("dim");
            }
            let half = shown.half.map(|h| format!(" <small>±&#8239;{h}</small>")).unwrap_or_default();
            let n = shown.n.map(|n| format!(" <small>({n})</small>")).unwrap_or_default();
            let _ = write!(out, r#"<td class="{}">{}{half}{n}</td>"#, classes.join(" "), shown.mean);
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    for note in table.notes() {
        let _ = write!(out, r#"<p class="note">{}.</p>"#, escape(&note));
    }
}

fn marks(row: &Row) -> String {
    let sign = |m: &Mark| format!(r#" <span title="{}">{}</span>"#, escape(m.note), m.sign);
    let mut out: String = row.marks().map(sign).collect();
    if row.invalid > 0 {
        let _ = write!(out, r#" <span class="badge bad">{} invalid</span>"#, row.invalid);
    }
    out
}

fn first(used: &[(usize, &Column)], j: usize) -> &'static str {
    if j == 0 || used[j - 1].1.group != used[j].1.group { r#" class="first""# } else { "" }
}

fn anchor_of(groups: &[Group], row: &Row) -> String {
    groups
        .iter()
        .find(|g| g.system == row.system && g.scenario == row.scenario && g.clip == row.clip)
        .and_then(|g| worst(g).map(details::anchor))
        .unwrap_or_default()
}

/// The run of a group worth a look: the one with the worst mean PSNR.
fn worst<'a>(group: &Group<'a>) -> Option<&'a Run> {
    let quality = |r: &Run| {
        let rgb = r.scores.streams.get(&Stream::Rgb);
        rgb.and_then(|s| s.quality.get(&Metric::Psnr)).map_or(f64::INFINITY, |q| q.all.mean)
    };
    group.runs.iter().copied().min_by(|a, b| quality(a).total_cmp(&quality(b)))
}

/// A figure with what it shows below it, and the command that draws it for a paper; nothing where the runs lack what it needs.
fn card(out: &mut String, name: &str, options: &str, made: Made) {
    let Ok(figure) = made else { return };
    let _ = write!(
        out,
        r#"<figure class="card fig{}">{}<figcaption>{}. <code>freezeframe figure {name} RUNS{options}</code></figcaption></figure>"#,
        if figure.wide { " wide" } else { "" },
        draw::draw(&figure).inline(),
        escape(&first_upper(&figure.title)),
    );
}

fn first_upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A page that shows one figure.
#[must_use]
pub fn figure_page(figure: &Figure, note: &str) -> String {
    document(
        &figure.title,
        &format!(
            r#"<main><h2>{}</h2><p class="note">{}</p><figure class="card fig{}">{}</figure></main>"#,
            escape(&first_upper(&figure.title)),
            escape(note),
            if figure.wide { " wide" } else { "" },
            draw::draw(figure).inline()
        ),
    )
}

fn figures(out: &mut String, data: &Data) {
    out.push_str(r#"<h2 id="quality">Quality</h2>"#);
    for (stream, metric) in Stream::ALL.into_iter().flat_map(|s| Metric::ALL.map(|m| (s, m))) {
        // Depth has its own metrics; a full SSIM and FFmpeg's values would say the same again.
        let shown = match stream {
            Stream::Rgb => matches!(
                metric,
                Metric::Psnr | Metric::Ssim | Metric::LpipsVgg | Metric::LpipsAlex | Metric::LpipsSqueeze
            ),
            Stream::Depth => {
                matches!(metric, Metric::Ssim | Metric::DepthRmseMm | Metric::DepthD1 | Metric::DepthD2)
            }
        };
        if shown {
            card(out, "boxes", &options(stream, metric), field::boxes(data, stream, metric));
        }
    }
    for metric in [Metric::Psnr, Metric::Ssim] {
        card(out, "cdf", &options(Stream::Rgb, metric), field::cdf(data, Stream::Rgb, metric));
    }
    card(out, "threshold", "", field::threshold(data));
    card(out, "loss", "", field::loss(data));
    out.push_str(r#"<h2 id="freezes">Freezes</h2>"#);
    card(out, "non-rendered", "", field::non_rendered(data));
    card(out, "freezes", "", field::freezes(data));
    let _ = write!(out, r#"<p class="note">{}</p>"#, escape(super::budget::RULE));
    card(out, "budget", "", field::budget(data));
    out.push_str(r#"<h2 id="time">In time</h2>"#);
    card(out, "timeline", "", series::timeline(data));
    card(out, "masks", "", series::masks(data));
    out.push_str(r#"<h2 id="rates">Bitrate and redundancy</h2>"#);
    card(out, "bitrate", "", field::bitrate(data));
    card(out, "frame-sizes", "", series::frame_sizes(data));
}

fn options(stream: Stream, metric: Metric) -> String {
    let metric = if metric == Metric::Psnr { String::new() } else { format!(" --metric {}", metric.name()) };
    metric + if stream == Stream::Depth { " --depth" } else { "" }
}

fn rate_and_quality(out: &mut String, deltas: &Deltas, data: &Data) {
    out.push_str(r#"<h2 id="bd">Rate and quality</h2>"#);
    card(out, "rate-quality", "", rates::quality(data));
    let table = match deltas {
        Deltas::None(reason) => {
            let _ = write!(out, r#"<p class="note">No BD-rate: {}.</p>"#, escape(reason));
            return;
        }
        Deltas::Table(table) => table,
    };
    let _ = write!(
        out,
        r#"<p class="note">Bjontegaard deltas (PCHIP on log rate) between curves of at least four rates, over the seeds that every point of both has: how much more rate the system needs for the baseline's quality (negative: less), and how much better it is at equal rate. {}; where a delta would mean nothing, the reason stands instead. Over several clips: the mean of their deltas, ± half of Student's 95 % interval from 6 clips on.</p>"#,
        escape(&table.rate)
    );
    out.push_str(r#"<div class="card scroll"><table class="wide"><thead><tr><th class="l">scenario</th><th class="l">clip</th><th class="l">baseline</th><th class="l">system</th><th>rates</th><th>seeds</th>"#);
    for column in &table.columns {
        let _ = write!(out, "<th>{}</th>", escape(column.heading));
    }
    out.push_str("</tr></thead><tbody>");
    for (names, values) in table.lines() {
        let words = names.map(|w| escape(&w));
        let _ = write!(
            out,
            r#"<tr><td class="l">{}</td><td class="l dim">{}</td><td class="l">{}</td><td class="l">{}</td><td>{}</td><td>{}</td>"#,
            words[0], words[1], words[2], words[3], words[4], words[5]
        );
        for value in values {
            let _ = match value {
                Ok(text) => write!(out, "<td>{}</td>", escape(&text)),
                Err(reason) => write!(out, r#"<td class="dim">{}</td>"#, escape(&reason)),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

fn pairs(out: &mut String, groups: &[Group], against: Option<&str>) {
    let Some(table) = compare::comparisons(groups, against) else { return };
    out.push_str(r#"<h2 id="pairs">Systems in pairs</h2><p class="note">Differences between runs of the same clip, scenario and seed. From 6 clips on the clip is the unit (its seeds are averaged first), else the seed. Interval: studentised bootstrap over units and what is below them. p: the larger of that and of Wilcoxon's signed-rank test (exact); p (Holm): corrected over the comparisons of one value under one scenario. Green: the first is better and p (Holm) is below 0.05; red: worse. Fewer than 6 units, or units that do not vary, are not tested.</p>"#);
    let _ = write!(out, r#"<div class="card scroll">{table}</div>"#);
}

fn all_details(out: &mut String, runs: &[Run], groups: &[Group], folder: &Path) {
    out.push_str(r#"<h2 id="runs">Runs</h2>"#);
    for group in groups {
        for run in &group.runs {
            let base = address(folder, &run.dir);
            out.push_str(&details::summary(&group.system, run, runs.len() == 1, &base));
        }
    }
}

/// The address of a directory from a page in `folder`, with a slash at its end: `SCENARIO/SYSTEM/…/`.
fn address(folder: &Path, dir: &Path) -> String {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let plain = |p: &Path| p.components().filter(|c| *c != Component::CurDir).collect::<PathBuf>();
    let (from, to) = match (folder.canonicalize(), dir.canonicalize()) {
        (Ok(from), Ok(to)) => (from, to),
        _ => (plain(folder), plain(dir)),
    };
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(to.components().skip(shared)).collect();
    let mut out = String::new();
    for part in relative.components() {
        for byte in part.as_os_str().as_encoded_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                    out.push(char::from(*byte));
                }
                other => {
                    let _ = write!(out, "%{other:02X}");
                }
            }
        }
        out.push('/');
    }
    if out.is_empty() { "./".to_owned() } else { out }
}

fn definitions(out: &mut String, runs: &[Run]) {
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for run in runs {
        all.extend(run.scores.definitions.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    }
    if all.is_empty() {
        return;
    }
    out.push_str(r#"<h2 id="definitions">Definitions</h2><div class="card"><dl class="defs">"#);
    for (name, text) in all {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(text));
    }
    out.push_str("</dl></div>");
}

#[allow(clippy::cast_precision_loss)] // durations and rates are far below 2^53
fn to_ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[allow(clippy::cast_precision_loss)]
fn to_kbps(bps: u64) -> f64 {
    bps as f64 / 1e3
}
