//! Systems against each other, pair by pair: same clip, same scenario, same seed.

use crate::report::escape;
use crate::report::group::Group;
use crate::report::significance::{Compared, Family, families};
use metrics::stats::{Evidence, LEAST_UNITS};
use std::fmt::Write as _;

/// Headline columns that are compared.
pub const KEYS: [&str; 5] =
    ["psnr_mean_db", "psnr_worst10_db", "ssim_mean", "non_rendered_play_percent", "latency_p98_ms"];

/// The table of paired differences, `None` where no two systems share two runs.
#[must_use]
pub fn comparisons(groups: &[Group], against: Option<&str>) -> Option<String> {
    let families: Vec<Family> = families(groups, &KEYS, against);
    let mut out = String::from(
        r#"<table class="wide"><thead><tr><th class="l">scenario</th><th class="l">first</th><th class="l">second</th><th class="l">value</th><th class="l">over</th><th>first - second</th><th>95 % interval</th><th>p</th><th>p (Holm)</th></tr></thead><tbody>"#,
    );
    let (mut last, mut any) = ("", false);
    for family in &families {
        for row in family.rows.iter().filter(|r| r.comparison.pairs > 1) {
            let new = any && last != family.scenario;
            write_row(&mut out, family, row, new);
            (last, any) = (&family.scenario, true);
        }
    }
    out.push_str("</tbody></table>");
    any.then_some(out)
}

fn write_row(out: &mut String, family: &Family, row: &Compared, new_scenario: bool) {
    let digits = family.column.digits + 1;
    let class = match row.better(family.column.better) {
        Some(true) => "clear",
        Some(false) => "trouble",
        None => "",
    };
    let (interval, p, holm) = match row.comparison.evidence {
        Evidence::TooFew => (format!("fewer than {LEAST_UNITS}"), String::new(), String::new()),
        Evidence::NoVariation => {
            (format!("no variation over {}", row.comparison.unit.word(2)), String::new(), String::new())
        }
        Evidence::Tested { interval, p } => (
            interval.map_or("–".to_owned(), |i| format!("{:+.digits$} … {:+.digits$}", i.low, i.high)),
            p_value(p),
            row.corrected.map(p_value).unwrap_or_default(),
        ),
    };
    let _ = write!(
        out,
        r#"<tr{}><td class="l">{}</td><td class="l">{}</td><td class="l">{}</td><td class="l">{} {}</td><td class="l">{}</td><td class="{class}">{:+.digits$}</td><td>{interval}</td><td>{p}</td><td>{holm}</td></tr>"#,
        if new_scenario { r#" class="sep""# } else { "" },
        escape(&family.scenario),
        escape(&row.first),
        escape(&row.second),
        escape(family.column.group),
        escape(family.column.name),
        escape(&over(family, row)),
        row.comparison.mean,
    );
}

/// What a comparison is over: `10 seeds`, `8 clips, 5 seeds`, and of which clip if there are several.
fn over(family: &Family, row: &Compared) -> String {
    let c = &row.comparison;
    let units = format!("{} {}", c.units, c.unit.word(c.units));
    match row.clip {
        Some(clip) if family.clips.len() > 1 => format!("{units} of {}", family.clips[clip]),
        Some(_) => units,
        None if c.seeds == 1 => format!("{units}, one seed: this loss pattern alone"),
        None => format!("{units}, {} seeds", c.seeds),
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt; 0.001".to_owned() } else { format!("{p:.3}") }
}
