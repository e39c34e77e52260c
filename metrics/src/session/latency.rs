//! Capture-to-screen latency.

use crate::summary::nearest_rank;

/// What a frame that was never rendered counts as in the penalised statistics: 300 ms.
pub const NEVER_RENDERED_NS: u64 = 300_000_000;

/// Latency of a session, nanoseconds; percentiles by nearest rank, so each is a latency that occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Frames counted.
    pub frames: usize,
    /// Mean, rounded down.
    pub mean_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 98th percentile.
    pub p98_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl Latency {
    /// Over the frames that were rendered. `None` if none was.
    ///
    /// A system that renders only what is easy looks good here: quote [`Latency::penalised`] beside it.
    #[must_use]
    pub fn rendered(frames: &[Option<u64>]) -> Option<Self> {
        Self::of(&frames.iter().flatten().copied().collect::<Vec<_>>())
    }

    /// Over all sent frames, those never rendered counting [`NEVER_RENDERED_NS`]. `None` if there is no frame.
    #[must_use]
    pub fn penalised(frames: &[Option<u64>]) -> Option<Self> {
        Self::of(&frames.iter().map(|f| f.unwrap_or(NEVER_RENDERED_NS)).collect::<Vec<_>>())
    }

    fn of(values: &[u64]) -> Option<Self> {
        let at = |p| nearest_rank(values, p);
        let sum: u128 = values.iter().map(|&v| u128::from(v)).sum();
        Some(Self {
            frames: values.len(),
            mean_ns: u64::try_from(sum.checked_div(values.len() as u128)?).unwrap_or(u64::MAX),
            p50_ns: at(50.0)?,
            p95_ns: at(95.0)?,
            p98_ns: at(98.0)?,
            p99_ns: at(99.0)?,
            max_ns: values.iter().copied().max()?,
        })
    }
}
