//! Capture-to-screen latency.

use crate::summary::Durations;

/// What a frame that was never rendered counts as in the penalised statistics: 300 ms.
pub const NEVER_RENDERED_NS: u64 = 300_000_000;

/// Over the frames that were rendered. `None` if none was.
///
/// A system that renders only what is easy looks good here: quote [`latency_penalised`] beside it.
#[must_use]
pub fn latency(frames: &[Option<u64>]) -> Option<Durations> {
    Durations::of(frames.iter().flatten().copied().collect())
}

/// Over all captured frames, those never rendered counting [`NEVER_RENDERED_NS`]. `None` if there is no frame.
#[must_use]
pub fn latency_penalised(frames: &[Option<u64>]) -> Option<Durations> {
    Durations::of(frames.iter().map(|f| f.unwrap_or(NEVER_RENDERED_NS)).collect())
}
