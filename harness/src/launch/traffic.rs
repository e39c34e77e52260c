//! What crossed the path outside of the clip's window, by the ledger: what is sent then counts in no rate.

use crate::record::{EventsError, Finding, read_fates};
use crate::score::slots_of;
use contract::{Manifest, RunSpec};
use link::Direction;
use metrics::Place;
use std::path::Path;

/// Bytes of a ledger, by when they entered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Before the channel began, of the larger direction.
    setup: u64,
    /// Forward, from the channel's beginning to frame 0.
    warm: u64,
    /// Forward, in the clip's window.
    within: u64,
    /// Forward, from there to the last slot of a fixed budget.
    after: u64,
}

impl Traffic {
    /// Of a run's ledger.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(spec: &RunSpec, run_dir: &Path) -> Result<Self, EventsError> {
        let window = slots_of(spec).window();
        let (channel, last_slot) = (spec.channel_start_ns(), last_slot(spec, window.until_ns));
        let (mut traffic, mut setup) = (Self::default(), [0; 2]);
        for record in read_fates(&run_dir.join("fates.jsonl"))? {
            let record = record?;
            let (t, bytes) = (record.in_ns.as_nanos(), u64::from(record.bytes));
            let reverse = record.direction == Direction::Reverse;
            match window.place(t) {
                _ if t < channel => setup[usize::from(reverse)] += bytes,
                _ if reverse => {}
                Place::Before => traffic.warm += bytes,
                Place::Within => traffic.within += bytes,
                Place::After if t <= last_slot => traffic.after += bytes,
                Place::After => {}
            }
        }
        traffic.setup = setup[0].max(setup[1]);
        Ok(traffic)
    }

    /// More than a handshake before the channel began, where packets are never lost. Between namespaces the emulator counts these.
    #[must_use]
    pub fn setup(&self, manifest: &Manifest) -> Option<Finding> {
        let limit = manifest.limits.setup_kb << 10;
        (self.setup > limit).then_some(Finding::SetupTraffic { bytes: self.setup, limit })
    }

    /// More than twice what the clip's own rate gives for that time (and what a handshake may have), before frame 0 or after the clip. Of
    /// an app, whose camera is the harness's, nothing can cross before its time.
    #[must_use]
    pub fn outside(&self, spec: &RunSpec, manifest: &Manifest) -> Vec<Finding> {
        if manifest.is_app() {
            return Vec::new();
        }
        let window = slots_of(spec).window();
        let length = u128::from(window.length_ns().max(1));
        let usual = |ns: u64| {
            let share = u128::from(self.within) * u128::from(ns) / length;
            2 * u64::try_from(share).unwrap_or(u64::MAX / 4) + (manifest.limits.setup_kb << 10)
        };
        let after_ns = last_slot(spec, window.until_ns).saturating_sub(window.until_ns);
        let parts = [("before frame 0", self.warm, spec.warm_ns), ("after the clip", self.after, after_ns)];
        parts
            .into_iter()
            .filter(|(_, bytes, ns)| *bytes > usual(*ns))
            .map(|(when, bytes, _)| Finding::MuchOutside { when, bytes, within: self.within })
            .collect()
    }
}

/// When the last frame is due, by a fixed budget. With a clock of the system's own the window itself goes to the last slot.
fn last_slot(spec: &RunSpec, clip_ends_ns: u64) -> u64 {
    let budget = spec.scenario.playout.budget_ns().unwrap_or(0);
    (clip_ends_ns + budget).saturating_sub(spec.interval_ns())
}
