//! Links that are what they say but hardly what was meant.

use crate::resolve::{self, Source};
use crate::spec::{DelayBase, LinkSpec, LossSpec, QueueLimit};
use crate::units::Span;
use std::fmt;

/// Something about a link that a study should know, with the next step. Not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The trace's window holds no loss.
    TraceWithoutLoss,
    /// A full-size packet never fits the queue.
    QueueBelowPacket {
        /// The queue's limit, bytes.
        limit: u64,
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
            Warning::QueueBelowPacket { limit } => {
                write!(
                    f,
                    "a packet of 1500 bytes never fits the queue of {limit} bytes: raise bottleneck.queue"
                )
            }
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
        let far = link("delay = { base = \"10ms\" }");
        assert_eq!(far.warnings_with(&far), []);
    }
}
