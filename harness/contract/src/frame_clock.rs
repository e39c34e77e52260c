//! The one frame clock: when frames are captured. Both ends, the emulator and whoever judges a run compute it here, so that none is a
//! nanosecond off.

use std::time::Duration;

/// Time from the first capture to that of `frame`, at `rate.0 / rate.1` frames per second; rounded down, without drift.
#[must_use]
pub fn capture_offset(frame: u32, rate: (u32, u32)) -> Duration {
    let nanos = u128::from(frame) * 1_000_000_000 * u128::from(rate.1) / u128::from(rate.0.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame 3000 of 30 per second is captured after 100 s, not after 3000 times a rounded interval.
    #[test]
    fn the_clock_does_not_drift() {
        let ns = |frame, rate| capture_offset(frame, rate).as_nanos();
        assert_eq!(ns(1, (30, 1)), 33_333_333);
        assert_eq!(ns(3000, (30, 1)), 100_000_000_000);
        assert_eq!(ns(7, (30_000, 1001)), 233_566_666);
        assert_eq!(ns(u32::MAX, (1, u32::MAX)), u128::from(u64::MAX));
        assert_eq!(ns(5, (0, 1)), 5_000_000_000);
    }
}
