//! Scores with a tolerance beside each.

use super::Explained;
use super::case::is_tolerance;
use crate::bad_input;
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

/// What says nothing about a run in virtual time: work is charged by a table there, and the rest follows from what is kept.
const SAYS_NOTHING: [&str; 6] =
    ["decode_time", "encode_time", "excess_ns", "longest_ns", "per_minute", "ratio"];

/// The numbers of a run worth keeping: counts, freezes, bitrates, losses, of latencies count, mean, 95th percentile and maximum,
/// and of each picture metric the mean and the mean of the worst tenth. Nothing of a direction without packets.
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
    let empty: Vec<String> = ["network.forward", "network.reverse"]
        .into_iter()
        .filter(|way| numbers.get(&format!("{way}.packets")) == Some(&0.0))
        .map(|way| format!("{way}."))
        .collect();
    numbers.retain(|name, _| {
        let percentile = ["p50_ns", "p98_ns", "p99_ns"].iter().any(|p| name.ends_with(p));
        !name.contains("_psnr_curve.")
            && !name.split('.').any(|part| SAYS_NOTHING.contains(&part))
            && !percentile
            && !empty.iter().any(|way| name.starts_with(way))
    });
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
    let kept: BTreeMap<String, Golden> =
        toml::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
    if let Some((name, golden)) = kept.iter().find(|(_, golden)| !is_tolerance(golden.tolerance)) {
        let (path, tolerance) = (path.display(), golden.tolerance);
        bad_input!("{path}: \"{name}\": the tolerance is {tolerance}; write a number from 0 on");
    }
    Ok(kept)
}

/// A name of `tolerances` that no value has.
pub(super) fn unfitting<'a>(now: &Numbers, tolerances: &'a BTreeMap<String, f64>) -> Option<&'a str> {
    tolerances.keys().map(String::as_str).find(|part| !now.keys().any(|name| fits(name, part)))
}

/// Whether a part of a name is in it, whole words of it.
fn fits(name: &str, part: &str) -> bool {
    format!(".{name}.").contains(&format!(".{part}."))
}

/// `scores.toml` of `now`. A tolerance is the case's, or what a person has set in `kept`, or the usual one.
#[must_use]
pub fn write_numbers(
    kept: &BTreeMap<String, Golden>,
    now: &Numbers,
    tolerances: &BTreeMap<String, f64>,
) -> String {
    let mut text = String::from("# value, and how far it may move in its own unit; golden/README.md\n");
    let named = |name: &str| {
        let fitting = tolerances.iter().filter(|(part, _)| fits(name, part));
        fitting.max_by_key(|(part, _)| part.len()).map(|(_, tolerance)| *tolerance)
    };
    for (name, value) in now {
        let own = || kept.get(name).map(|g| g.tolerance);
        let tolerance = named(name).or_else(own).unwrap_or_else(|| usual_tolerance(name));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_name_that_says_most_decides_a_tolerance() {
        let now: Numbers =
            [("streams.rgb.quality.psnr.all.mean", 30.0), ("streams.rgb.quality.ffmpeg_psnr.all.mean", 31.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        let tolerances = [("quality".to_owned(), 0.5), ("quality.psnr".to_owned(), 0.1)].into();
        let kept = BTreeMap::new();
        let text = write_numbers(&kept, &now, &tolerances);
        let read: BTreeMap<String, Golden> = toml::from_str(&text).expect("TOML");
        assert_eq!(read["streams.rgb.quality.psnr.all.mean"], Golden { value: 30.0, tolerance: 0.1 });
        assert_eq!(read["streams.rgb.quality.ffmpeg_psnr.all.mean"], Golden { value: 31.0, tolerance: 0.5 });
        let kept =
            [("streams.rgb.quality.psnr.all.mean".to_owned(), Golden { value: 0.0, tolerance: 7.0 })].into();
        let text = write_numbers(&kept, &now, &BTreeMap::new());
        let read: BTreeMap<String, Golden> = toml::from_str(&text).expect("TOML");
        assert_eq!(read["streams.rgb.quality.psnr.all.mean"].tolerance, 7.0);
        assert_eq!(read["streams.rgb.quality.ffmpeg_psnr.all.mean"].tolerance, 0.02);
    }
}
