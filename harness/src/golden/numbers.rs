//! Scores with a tolerance beside each.

use super::Explained;
use anyhow::{Context, Result};
use contract::Scores;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Values by dotted name, for instance `streams.rgb.quality.psnr.all.mean`.
pub type Numbers = BTreeMap<String, f64>;

/// A kept value.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// What it was.
    pub value: f64,
    /// How far it may move, in its own unit; 0 is exact.
    pub tolerance: f64,
}

/// The numbers of a run worth keeping: counts, freezes, bitrates, losses, latencies, and of each picture
/// metric the mean and the mean of the worst tenth.
#[must_use]
pub fn flatten(scores: &Scores) -> Numbers {
    let mut numbers = Numbers::new();
    let whole = serde_json::to_value(scores).unwrap_or(Value::Null);
    for part in ["frames", "interval_ns", "budget", "streams", "bitrate", "network"] {
        leaves(part, &whole[part], &mut numbers);
    }
    numbers.retain(|name, _| {
        !name.contains(".quality.") || name.ends_with(".mean") || name.ends_with(".worst10")
    });
    numbers.retain(|name, _| !name.contains("_psnr_curve."));
    numbers
}

fn leaves(name: &str, value: &Value, into: &mut Numbers) {
    match value {
        Value::Number(n) => {
            into.extend(n.as_f64().map(|n| (name.to_owned(), n)));
        }
        Value::Object(map) => map.iter().for_each(|(key, v)| leaves(&format!("{name}.{key}"), v, into)),
        _ => {}
    }
}

/// Reads `scores.toml`.
///
/// # Errors
/// When it is not there or not such a file.
pub fn read_numbers(path: &Path) -> Result<BTreeMap<String, Golden>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("failed to read {}", path.display()))
}

/// `scores.toml` of `now`; tolerances that a person has set in `kept` stay.
#[must_use]
pub fn write_numbers(kept: &BTreeMap<String, Golden>, now: &Numbers) -> String {
    let mut text = String::from("# value, and how far it may move in its own unit; golden/README.md\n");
    for (name, value) in now {
        let tolerance = kept.get(name).map_or_else(|| usual_tolerance(name), |g| g.tolerance);
        let _ = writeln!(text, "\"{name}\" = {{ value = {value:?}, tolerance = {tolerance:?} }}");
    }
    text
}

/// What a new value is given. Picture metrics leave room for another order of summation and another
/// version of an encoder; everything else is counted and repeats exactly in virtual time.
fn usual_tolerance(name: &str) -> f64 {
    let metric = |key: &str| name.contains(&format!(".quality.{key}."));
    if ["psnr", "ffmpeg_psnr", "depth_d1", "depth_d2"].into_iter().any(metric) {
        0.02
    } else if ["ssim", "ssim_full", "ms_ssim", "ffmpeg_ssim"].into_iter().any(metric) {
        0.0005
    } else if name.contains(".quality.lpips") {
        0.001
    } else if metric("depth_rmse_mm") {
        0.5
    } else if name.contains(".quality.") {
        0.001
    } else {
        0.0
    }
}

/// Compares; `None` if every value is within its tolerance and none is new or gone.
#[must_use]
pub fn compare_numbers(kept: &BTreeMap<String, Golden>, now: &Numbers) -> Option<Explained> {
    let mut moved: Vec<(f64, String)> = Vec::new();
    for (name, golden) in kept {
        match now.get(name) {
            None => {
                moved
                    .push((f64::INFINITY, format!("{name}: was {}, is not measured any more", golden.value)));
            }
            Some(&value) => {
                let by = value - golden.value;
                // Not `>`: a NaN on either side has moved.
                if by.is_nan() || by.abs() > golden.tolerance {
                    let over = if golden.tolerance > 0.0 { by.abs() / golden.tolerance } else { f64::MAX };
                    let limit = if golden.tolerance > 0.0 {
                        format!("{:.1} times its tolerance of {}", over, golden.tolerance)
                    } else {
                        "it must not move".to_owned()
                    };
                    moved.push((over, format!("{name}: {} -> {value} ({by:+.6}; {limit})", golden.value)));
                }
            }
        }
    }
    for (name, value) in now {
        if !kept.contains_key(name) {
            moved.push((0.0, format!("{name}: {value} is new")));
        }
    }
    if moved.is_empty() {
        return None;
    }
    moved.sort_by(|a, b| b.0.total_cmp(&a.0));
    let summary = format!("{} of {} values moved", moved.len(), kept.len().max(now.len()));
    let lines: Vec<String> = moved.iter().take(20).map(|(_, line)| format!("  {line}")).collect();
    let rest = moved.len().saturating_sub(lines.len());
    let mut explanation = lines.join("\n");
    if rest > 0 {
        let _ = write!(explanation, "\n  … {rest} more");
    }
    Some(Explained { summary, explanation })
}
