//! How many runs on the wall clock go side by side: as many as leave them punctual.

use contract::scores::Health;
use std::time::Duration;

/// Cores that such a run keeps busy: the emulator, both ends, an encoder.
const CORES: usize = 4;
/// So late may 99 of 100 packets and captures be at most where one more run may go beside: a fifth of what a slot may be off.
const PUNCTUAL: Duration = Duration::from_millis(1);
/// Beyond this there are too many.
const LATE: Duration = Duration::from_micros(2500);

/// Begins with one, and learns from what each batch of runs was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    now: usize,
    most: usize,
}

impl Width {
    /// For a machine of so many cores.
    #[must_use]
    pub fn of(cores: usize) -> Self {
        Self { now: 1, most: (cores / CORES).max(1) }
    }

    /// How many runs the next batch has.
    #[must_use]
    pub fn now(self) -> usize {
        self.now
    }

    /// The latest run of a batch was so late; `None`: nobody knows.
    pub fn learn(&mut self, worst: Option<Duration>) {
        match worst {
            Some(late) if late <= PUNCTUAL => self.now = (self.now + 1).min(self.most),
            Some(late) if late <= LATE => {}
            _ => self.now = (self.now / 2).max(1),
        }
    }
}

/// The 99th percentile of lateness of a run, of packets or of captures, whichever is more.
#[must_use]
pub fn lateness(health: &Health) -> Option<Duration> {
    let of = [&health.emulator_lateness, &health.capture_lateness];
    of.into_iter().flatten().map(|late| Duration::from_nanos(late.p99_ns)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On two cores runs stay alone; on sixteen they widen one by one while they are punctual, and halve when they are not.
    #[test]
    fn punctual_runs_go_side_by_side() {
        let punctual = Some(Duration::from_micros(900));
        let mut small = Width::of(2);
        (0..5).for_each(|_| small.learn(punctual));
        assert_eq!(small.now(), 1);
        let mut large = Width::of(16);
        let mut after = |late: Option<Duration>| {
            large.learn(late);
            large.now()
        };
        assert_eq!([(); 5].map(|()| after(punctual)), [2, 3, 4, 4, 4]);
        assert_eq!(after(Some(Duration::from_millis(2))), 4);
        assert_eq!(after(Some(Duration::from_millis(3))), 2);
        assert_eq!(after(None), 1);
        assert_eq!(after(punctual), 2);
    }
}
