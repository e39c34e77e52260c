//! Systems against each other, pair by pair: same clip, same scenario, same seed.

use super::svg::escape;
use crate::report::columns::{Better, COLUMNS, Column};
use crate::report::group::Group;
use crate::report::pair::pairs;
use metrics::stats::{holm, paired_bootstrap, wilcoxon_signed_rank};
use std::fmt::Write as _;

/// Resamples of the bootstrap; its seed is fixed, so that equal runs give equal pages.
const RESAMPLES: u32 = 10_000;
const SEED: u64 = 0x000F_5EED;
/// Headline columns that are compared.
const KEYS: [&str; 5] =
    ["psnr_mean_db", "psnr_worst10_db", "ssim_mean", "non_rendered_play_percent", "latency_p98_ms"];
/// Below this many pairs there is nothing to test.
const LEAST_PAIRS: usize = 2;

struct Comparison<'a> {
    column: &'a Column,
    scenario: String,
    a: &'a str,
    b: &'a str,
    pairs: usize,
    mean: f64,
    low: f64,
    high: f64,
    p: f64,
}

/// The table of paired differences, `None` where no two systems share two seeds. All pairs of systems per scenario, p-values
/// corrected (Holm) over the whole table.
#[must_use]
pub fn comparisons(groups: &[Group]) -> Option<String> {
    let mut all: Vec<Comparison> = Vec::new();
    for (i, a) in groups.iter().enumerate() {
        for b in &groups[i + 1..] {
            if a.scenario == b.scenario && a.clip == b.clip {
                all.extend(KEYS.iter().filter_map(|key| compare(a, b, key)));
            }
        }
    }
    if all.is_empty() {
        return None;
    }
    let corrected = holm(&all.iter().map(|c| c.p).collect::<Vec<f64>>());
    let mut out = String::from(
        r#"<table class="wide"><thead><tr><th class="l">scenario</th><th class="l">first</th><th class="l">second</th><th class="l">value</th><th>pairs</th><th>first - second</th><th>95 % interval</th><th>p (Wilcoxon)</th><th>p (Holm)</th></tr></thead><tbody>"#,
    );
    let mut last = "";
    for (c, p) in all.iter().zip(&corrected) {
        let digits = c.column.digits + 1;
        let clear = c.low > 0.0 || c.high < 0.0;
        let good = (c.mean > 0.0) == (c.column.better == Better::Higher);
        let class = match (clear, good) {
            (true, true) => "best",
            (true, false) => "trouble",
            _ => "",
        };
        let _ = write!(
            out,
            r#"<tr{}><td class="l">{}</td><td class="l">{}</td><td class="l">{}</td><td class="l">{} {}</td><td>{}</td><td class="{class}">{:+.digits$}</td><td>{:+.digits$} … {:+.digits$}</td><td>{}</td><td>{}</td></tr>"#,
            if last.is_empty() || last == c.scenario { "" } else { r#" class="sep""# },
            escape(&c.scenario),
            escape(c.a),
            escape(c.b),
            escape(c.column.group),
            escape(c.column.name),
            c.pairs,
            c.mean,
            c.low,
            c.high,
            p_value(c.p),
            p_value(*p)
        );
        last = &c.scenario;
    }
    out.push_str("</tbody></table>");
    Some(out)
}

fn compare<'a>(a: &'a Group, b: &'a Group, key: &str) -> Option<Comparison<'a>> {
    let column = COLUMNS.iter().find(|c| c.key == key)?;
    let mut first = Vec::new();
    let mut second = Vec::new();
    for pair in pairs(a.valid(), b.valid()) {
        if let Some((x, y)) = (column.get)(pair.first).zip((column.get)(pair.second)) {
            first.push(x);
            second.push(y);
        }
    }
    if first.len() < LEAST_PAIRS {
        return None;
    }
    let interval = paired_bootstrap(&first, &second, RESAMPLES, SEED).ok()?;
    let p = wilcoxon_signed_rank(&first, &second).ok()?.p;
    let scenario = a.scenario.clone();
    let (mean, low, high) = (interval.mean, interval.low, interval.high);
    Some(Comparison { column, scenario, a: &a.system, b: &b.system, pairs: first.len(), mean, low, high, p })
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt; 0.001".to_owned() } else { format!("{p:.3}") }
}
