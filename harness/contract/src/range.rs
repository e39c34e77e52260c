//! What values of `scores.json` and `frames.csv` can be: a number outside is damage, not a result.

use crate::{Metric, Scores};
use serde_json::Value;

/// What rounding may add at the ends of a range.
const ROUNDING: f64 = 1e-6;

impl Metric {
    /// Smallest and largest value that it can have, by its definition.
    #[must_use]
    pub const fn range(self) -> (f64, f64) {
        match self {
            // 1e-8 is added to the error: 80 dB for identical pictures.
            Metric::Psnr => (0.0, 80.0),
            Metric::Ssim | Metric::SsimFull | Metric::MsSsim | Metric::FfmpegSsim => (-1.0, 1.0),
            Metric::DepthDelta1 => (0.0, 1.0),
            Metric::FfmpegPsnr
            | Metric::LpipsVgg
            | Metric::LpipsAlex
            | Metric::LpipsSqueeze
            | Metric::DepthRmseMm
            | Metric::DepthAbsRel => (0.0, f64::INFINITY),
            // Errors may be larger than the peak.
            Metric::DepthD1 | Metric::DepthD2 => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// Whether `value` can be one of this metric; NaN is none.
    #[must_use]
    pub fn can_be(self, value: f64) -> bool {
        within(value, self.range())
    }
}

fn within(value: f64, (least, most): (f64, f64)) -> bool {
    value >= least - ROUNDING && value <= most + ROUNDING
}

/// The first field of a `scores.json` with a number that cannot be, and why not.
pub(crate) fn impossible(scores: &Value) -> Option<(String, String)> {
    walk(&mut Vec::new(), scores)
}

fn walk<'a>(path: &mut Vec<&'a str>, value: &'a Value) -> Option<(String, String)> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            path.push(name);
            let found = walk(path, value);
            path.pop();
            found
        }),
        _ => {
            let range = allowed(path)?;
            let number = match value {
                Value::Number(n) => n.as_f64()?,
                // How JSON has an infinity.
                Value::String(text) if path.contains(&"quality") => text.parse().ok()?,
                _ => return None,
            };
            (!within(number, range)).then(|| {
                let (least, most) = range;
                let allowed = match (least.is_finite(), most.is_finite()) {
                    (true, true) => format!("{least} to {most} is possible"),
                    _ => format!("nothing below {least} is possible"),
                };
                (path.join("."), format!("it is {value}, {allowed}"))
            })
        }
    }
}

/// Range of the number at `path`; `None` where any number may stand.
fn allowed(path: &[&str]) -> Option<(f64, f64)> {
    let name = *path.last()?;
    if ["key", "run", "scoring"].contains(path.first()?) || path.contains(&"exits") {
        return None; // options of systems
    }
    let metric =
        path.iter().position(|p| *p == "quality").and_then(|at| Metric::from_name(path.get(at + 1)?));
    Some(match (name, metric) {
        ("n", _) => (0.0, f64::INFINITY),
        (_, Some(metric)) => metric.range(),
        ("realised_loss", _) => (0.0, 1.0),
        _ if name.ends_with("_percent") || path.contains(&"non_rendered_psnr_curve") => (0.0, 100.0),
        _ => (0.0, f64::INFINITY),
    })
}

/// The first field that contradicts another, and how.
pub(crate) fn contradiction(scores: &Scores) -> Option<(String, String)> {
    let frames = scores.frames;
    for (stream, of) in &scores.streams {
        let at = |field: &str| format!("streams.{}.{field}", stream.name());
        let slots = [of.rendered, of.concealed, of.frozen, of.dropped_sender].map(u64::from);
        let sum = slots.iter().sum::<u64>();
        if sum != u64::from(frames) {
            let fields = "rendered + concealed + frozen + dropped_sender";
            return Some((at(fields), format!("they are {sum} together, the run has {frames} frames")));
        }
        for (metric, quality) in &of.quality {
            for (part, dist) in [("all", Some(quality.all)), ("rendered", quality.rendered)] {
                let Some(d) = dist else { continue };
                let rising = [d.min, d.p5, d.p25, d.p50, d.p75, d.p90, d.p95, d.p99, d.max];
                if rising.windows(2).any(|w| w[0] > w[1]) {
                    return Some((
                        at(&format!("quality.{}.{part}", metric.name())),
                        "its percentiles fall".into(),
                    ));
                }
                if d.n > u64::from(frames) {
                    let why = format!("it is {}, the run has {frames} frames", d.n);
                    return Some((at(&format!("quality.{}.{part}.n", metric.name())), why));
                }
            }
        }
        // Slots at capture + budget last as long as the clip, and no freeze longer (but for slots that a clock of a machine makes late). Where they come as somebody's own clock has it, or
        // the run is invalid for where they are, freezes may be longer than the clip.
        let fixed = scores.health.valid && scores.budget.asked_ns.budget().is_some();
        if let Some((name, freeze)) = of.freezes.iter().find(|(_, f)| fixed && f.ratio > 1.1) {
            return Some((
                at(&format!("freezes.{name}.ratio")),
                format!("it is {}, 0 to 1 is possible", freeze.ratio),
            ));
        }
        for (name, d) in [
            ("latency", of.latency),
            ("latency_penalised", of.latency_penalised),
            ("decoded_latency", of.decoded_latency),
            ("encode_time", of.encode_time),
            ("decode_time", of.decode_time),
        ] {
            let Some(d) = d else { continue };
            let rising = [d.p50_ns, d.p95_ns, d.p98_ns, d.p99_ns, d.max_ns];
            if rising.windows(2).any(|w| w[0] > w[1]) {
                return Some((at(name), "its percentiles fall".into()));
            }
        }
    }
    for (direction, path) in &scores.network {
        if path.delivered > path.packets {
            let why = format!("it is {}, {} packets entered", path.delivered, path.packets);
            return Some((format!("network.{direction}.delivered"), why));
        }
    }
    if scores.health.valid && !scores.health.problems.is_empty() {
        return Some(("health.valid".to_owned(), "it is true beside problems".to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_cannot_be_are_named() {
        let of = |field: Value| json!({"key": {"options": {"offset": -3}}, "streams": {"rgb": field}});
        for (field, path) in [
            (json!({"quality": {"ssim": {"all": {"mean": 7}}}}), "streams.rgb.quality.ssim.all.mean"),
            (json!({"quality": {"psnr": {"all": {"max": 80.1}}}}), "streams.rgb.quality.psnr.all.max"),
            (json!({"quality": {"psnr": {"all": {"max": "inf"}}}}), "streams.rgb.quality.psnr.all.max"),
            (
                json!({"quality": {"lpips_vgg": {"all": {"p5": -0.1}}}}),
                "streams.rgb.quality.lpips_vgg.all.p5",
            ),
            (json!({"frozen": -1}), "streams.rgb.frozen"),
            (json!({"non_rendered_play_percent": 100.5}), "streams.rgb.non_rendered_play_percent"),
            (json!({"non_rendered_psnr_curve": {"30": 101}}), "streams.rgb.non_rendered_psnr_curve.30"),
            (json!({"freezes": {"w3c": {"ratio": -0.5}}}), "streams.rgb.freezes.w3c.ratio"),
            (json!({"startup_ns": -5}), "streams.rgb.startup_ns"),
        ] {
            let found = impossible(&of(field)).unwrap();
            assert_eq!(found.0, path, "{}", found.1);
        }
        for fine in [
            json!({"quality": {"ssim": {"all": {"mean": -0.2, "n": 300}}}}),
            json!({"quality": {"ffmpeg_psnr": {"all": {"max": "inf"}}}}),
            json!({"quality": {"depth_d1": {"all": {"min": -12.5}}}}),
            // -10 log10(1 + 1e-8), of black against white.
            json!({"quality": {"psnr": {"all": {"min": -4.3e-8}}}}),
            json!({"non_rendered_play_percent": 100, "startup_ns": null}),
        ] {
            assert_eq!(impossible(&of(fine)), None);
        }
    }
}
