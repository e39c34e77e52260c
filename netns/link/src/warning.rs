//! Links that are what they say but hardly what was meant.

use crate::resolve::{self, Source};
use crate::spec::{DelayBase, LinkSpec, LossSpec, QueueLimit, Step};
use crate::units::Span;
use std::fmt;

/// Something about a link that a study should know, with the next step. Not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The trace's window holds no loss.
    TraceWithoutLoss,
    /// Something was done to the trace's file on reading.
    Trace {
        /// The trace.
        name: String,
        /// What.
        note: String,
    },
    /// A full-size packet never fits the queue.
    QueueBelowPacket {
        /// The queue's limit, bytes.
        limit: u64,
    },
    /// A loss model whose step is that of another frame rate.
    StepOfAnotherRate {
        /// How long each state lasts.
        step: Span,
        /// Captures per second.
        fps: u32,
    },
    /// Two links whose round-trip time is so short that libwebrtc turns protection off when NACK is on.
    ShortRoundTrip {
        /// Both delays together.
        round_trip: Span,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::TraceWithoutLoss => f.write_str(
                "the trace's window holds no loss, so nothing will be lost at random: \
                 `freezeframe trace info FILE --window 30s` lists windows that do, for trace.offset",
            ),
            Warning::Trace { name, note } => write!(f, "trace {name}: {note}"),
            Warning::QueueBelowPacket { limit } => {
                write!(
                    f,
                    "a packet of 1500 bytes never fits the queue of {limit} bytes: raise bottleneck.queue"
                )
            }
            Warning::StepOfAnotherRate { step, fps } => write!(
                f,
                "the loss model draws a state every {step}, and frames are captured at {fps} per second: a state does not last one frame as in the papers; write step = \"frame\", or read the figures as those of a channel with that memory"
            ),
            Warning::ShortRoundTrip { round_trip } => write!(
                f,
                "the round-trip time is {round_trip}; below 20 ms libwebrtc sends no FEC when NACK is on: raise delay.base, or turn NACK off"
            ),
        }
    }
}

impl LinkSpec {
    /// What a study should know about this link. Says nothing about a link that cannot be, or whose trace is not loaded.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let Ok(spec) = self.resolved() else { return warnings };
        if let Some(trace) = &spec.trace {
            let note = |note: &String| Warning::Trace { name: trace.name(), note: note.clone() };
            warnings.extend(trace.notes.iter().map(note));
        }
        if spec.loss == LossSpec::Trace
            && let Ok(Source::Rows(rows)) = resolve::source(&spec)
            && rows.is_lossless()
        {
            warnings.push(Warning::TraceWithoutLoss);
        }
        if let Some(QueueLimit::Bytes(limit)) = spec.bottleneck.as_ref().map(|b| b.queue)
            && limit.0 < 1500 + spec.overhead.0
        {
            warnings.push(Warning::QueueBelowPacket { limit: limit.0 });
        }
        warnings
    }

    /// The same for pictures captured `fps` times a second: a loss model whose state is meant to last one frame of 1/30 s
    /// lasts another part of a frame at another rate.
    #[must_use]
    pub fn warnings_at(&self, fps: u32) -> Option<Warning> {
        let spec = self.resolved().ok()?;
        let (LossSpec::GilbertElliott { step, .. } | LossSpec::Pattern { step, .. }) = spec.loss else {
            return None;
        };
        // The frame of 1/30 s written out; `step = "frame"` follows the clip.
        let frame = Span::of_frame(30);
        (step == Step::Interval(frame) && fps != 30)
            .then_some(Warning::StepOfAnotherRate { step: frame, fps })
    }

    /// What a study should know about this link as one direction and `back` as the other.
    #[must_use]
    pub fn warnings_with(&self, back: &LinkSpec) -> Vec<Warning> {
        let mut warnings = self.warnings();
        warnings.extend(back.warnings());
        let base = |spec: &LinkSpec| match spec.resolved().map(|s| s.delay.base) {
            Ok(DelayBase::Constant(span)) => Some(span.0),
            Ok(DelayBase::Trace) | Err(_) => None,
        };
        if let (Some(there), Some(back)) = (base(self), base(back))
            && there + back < 20_000_000
        {
            warnings.push(Warning::ShortRoundTrip { round_trip: Span(there + back) });
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn traps_are_named() {
        let link = |text: &str| {
            let mut spec: LinkSpec = toml::from_str(text).unwrap();
            spec.load(Path::new("")).unwrap();
            spec
        };
        let trace = "trace = { shipped = \"wifi-lossy\", format = \"revo\", replay = \"full\" }";
        assert_eq!(link(trace).warnings(), []);
        let quiet = "trace = { shipped = \"wifi-lossy\", format = \"revo\", replay = \"full\", duration = \"300ms\" }";
        assert_eq!(link(quiet).warnings(), [Warning::TraceWithoutLoss]);
        let small = "bottleneck = { rate = \"1Mbit\", queue = \"1000B\" }";
        assert_eq!(link(small).warnings(), [Warning::QueueBelowPacket { limit: 1000 }]);
        let near = link("delay = { base = \"9ms\" }");
        assert_eq!(
            near.warnings_with(&near),
            [Warning::ShortRoundTrip { round_trip: Span::from_millis(18) }]
        );
        let bursty = |step: &str| {
            link(&format!(
                "loss = {{ model = \"gilbert_elliott\", good_to_bad = \"6%\", bad_to_good = \"80%\", loss_good = \"1%\", loss_bad = \"50%\", step = \"{step}\", loss_by = \"new\" }}"
            ))
        };
        assert_eq!(bursty("33.333333ms").warnings_at(30), None);
        assert_eq!(bursty("frame").warnings_at(25), None, "follows the clip");
        assert_eq!(bursty("packet").warnings_at(25), None, "no step of time");
        assert_eq!(bursty("40ms").warnings_at(25), None, "chosen for 25 per second");
        let said = bursty("33.333333ms").warnings_at(25).unwrap().to_string();
        assert!(said.contains("every 33.333333ms") && said.contains("write step = \"frame\""), "{said}");
        // Frame k of 25 per second is captured at 40 ms k, so that each meets the k-th state.
        let mut at_25 = bursty("frame");
        at_25.at_rate(25);
        assert_eq!(at_25, bursty("40ms"));
        let mut chosen = bursty("20ms");
        chosen.at_rate(25);
        assert_eq!(chosen, bursty("20ms"));
        let far = link("delay = { base = \"10ms\" }");
        assert_eq!(far.warnings_with(&far), []);
    }
}
