//! Which run it was, and what the numbers mean, in words.

use super::camera::{self, Camera};
use contract::scores::{RunIdentity, Warning};
use contract::{ClipSpec, Metric, RunSpec};
use link::{LinkSpec, LossBy, LossSpec, Order};
use std::collections::BTreeMap;

/// Code of [`another_clip`].
pub const ANOTHER_CLIP: &str = "another_clip";

/// What a reader of scores must know that were asked for with `--allow-changed-clip`.
#[must_use]
pub fn another_clip(clip: &ClipSpec) -> Warning {
    let text = format!(
        "scored against {} as it is now ({}), which is not what was sent",
        clip.rgb.display(),
        clip.hash.get(..12).unwrap_or(&clip.hash)
    );
    Warning { code: ANOTHER_CLIP.to_owned(), text }
}

/// The identity of a run.
#[must_use]
pub fn identity(spec: &RunSpec) -> RunIdentity {
    let mut conditions: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in &spec.options {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        conditions.insert(key.clone(), text);
    }
    let clip = &spec.clip;
    conditions.insert("costs".into(), spec.costs.words());
    conditions.insert("size".into(), format!("{}x{} at {}/s", clip.width, clip.height, clip.fps));
    if let Some((near, far)) = clip.depth_range_mm {
        conditions.insert("depth_view".into(), format!("{near} to {far} mm, linear in inverse depth"));
    }
    if let Some(target) = spec.scenario.target {
        conditions.insert("target_rate".into(), link::rate_text(target));
    }
    for (direction, path) in [("forward", &spec.scenario.forward), ("reverse", &spec.scenario.reverse)] {
        conditions.extend(path_conditions(path).into_iter().map(|(k, v)| (format!("{direction}_{k}"), v)));
    }
    RunIdentity {
        system: spec.system.to_string(),
        scenario: spec.scenario.name.to_string(),
        clip: clip.shown().to_owned(),
        seed: spec.seed,
        backend: spec.backend.to_string(),
        revision: spec.revision.clone(),
        replay: spec.replay.clone(),
        given: spec.given.clone(),
        conditions,
    }
}

fn path_conditions(path: &LinkSpec) -> Vec<(&'static str, String)> {
    let order = match path.order {
        Order::LossFirst => "loss, queue, delay",
        Order::QueueFirst => "queue, loss, delay",
        Order::DelayFirst => "loss, delay, queue",
    };
    let mut conditions = vec![("loss", loss(&path.loss))];
    if let Some(bottleneck) = &path.bottleneck {
        conditions.push(("bottleneck", format!("{}, queue {}", bottleneck.rate, bottleneck.queue)));
        conditions.push(("stage_order", order.to_owned()));
    }
    let jitter = if path.delay.jitter.as_nanos() > 0 {
        format!(", jitter {}", path.delay.jitter)
    } else {
        String::new()
    };
    conditions.push(("delay", format!("{}{jitter}", path.delay.base)));
    if let Some(trace) = &path.trace {
        let file = trace.shipped.clone().or_else(|| trace.file.as_ref().map(|f| f.display().to_string()));
        conditions.push(("trace", format!("{} from {}", file.unwrap_or_default(), trace.offset)));
    }
    conditions
}

fn loss(loss: &LossSpec) -> String {
    match loss {
        LossSpec::None => "none".into(),
        LossSpec::Random { probability } => format!("each packet with {probability}"),
        LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, step, loss_by } => {
            let by = match loss_by {
                LossBy::Old => "old",
                LossBy::New => "new",
            };
            format!(
                "Gilbert-Elliott, to bad {good_to_bad}, to good {bad_to_good}, loss {loss_good} / {loss_bad}, step {step}, judged by the {by} state"
            )
        }
        LossSpec::Pattern { pattern, repeat, step } => {
            let lost = pattern.0.iter().filter(|l| **l).count();
            let again = if *repeat { ", repeated" } else { "" };
            format!("pattern of {} with {lost} lost, step {step}{again}", pattern.0.len())
        }
        LossSpec::Trace => "of the trace".into(),
    }
}

/// True if a path of the scenario is meant to lose packets.
#[must_use]
pub fn promises_loss(spec: &RunSpec) -> bool {
    spec.scenario.forward.loss != LossSpec::None
}

/// Definitions of everything in `scores.json`.
#[must_use]
pub fn definitions(measured: &[Metric], colour: &str, camera: &Camera) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        measured.iter().map(|m| (m.name().to_owned(), m.definition().to_owned())).collect();
    all.extend(metrics::SESSION_DEFINITIONS.map(|(name, text)| (name.to_owned(), text.to_owned())));
    for metric in camera::METRICS {
        if let Some(text) = all.get_mut(metric.name()) {
            *text = format!("{text}; {}", camera.words());
        }
    }
    all.insert(
        "colour".to_owned(),
        format!("{colour}, 8 bit; RGB from 4:2:0 with replicated chroma, as FFmpeg's default conversion"),
    );
    all
}
