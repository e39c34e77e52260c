//! How many frames something is true of, and the first of them: what most findings say.

use super::Finding;

/// Counts and remembers the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) count: u32,
    pub(super) first: u32,
}

impl Tally {
    pub(super) fn add(&mut self, frame: u32) {
        if self.count == 0 || frame < self.first {
            self.first = frame;
        }
        self.count += 1;
    }

    pub(super) fn report(&self, findings: &mut Vec<Finding>, make: impl FnOnce(u32, u32) -> Finding) {
        if self.count > 0 {
            findings.push(make(self.count, self.first));
        }
    }
}
