//! Learning rate over time.

/// A linear warm-up followed by a cosine to a hundredth of the peak.
///
/// Progress is a fraction, so that it can follow steps or a time budget: on a machine shared with
/// others the hour is known and the number of steps is not.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f64,
    /// Steps of linear warm-up.
    pub warm_up: u64,
}

impl Schedule {
    /// The learning rate of `step` when `progress` (0..1) of the training is done.
    #[must_use]
    pub fn rate(&self, step: u64, progress: f64) -> f64 {
        let warm = ((step + 1) as f64 / self.warm_up as f64).min(1.0);
        let cosine = 0.5 + 0.5 * (std::f64::consts::PI * progress.clamp(0.0, 1.0)).cos();
        self.peak * warm * (0.01 + 0.99 * cosine)
    }
}
