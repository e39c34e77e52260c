//! The bridge between the run's time and the opaque clock type of the WebRTC stack.

use link::Timestamp;
use std::time::Instant;

/// Maps [`Timestamp`]s to [`Instant`]s and back. Only differences of instants matter to the stack, so
/// that the epoch, the one reading of a clock in this crate, has no influence on what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "only differences count")]
    pub(crate) fn new() -> Self {
        Clock { epoch: Instant::now() }
    }

    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        // 292 years is as far as any run goes; beyond what an Instant holds, the epoch is as good as any.
        self.epoch.checked_add(at - Timestamp::ZERO).unwrap_or(self.epoch)
    }

    pub(crate) fn timestamp(&self, at: Instant) -> Timestamp {
        Timestamp::ZERO + at.saturating_duration_since(self.epoch)
    }
}
