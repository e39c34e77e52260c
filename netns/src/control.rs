//! What a lab and its emulator say to each other: one JSON object per line on the emulator's stdin and stdout.

use crate::kind::Others;
use crate::lateness::Lateness;
use crate::lost::Lost;
use link::LinkSpec;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// First line to the emulator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    /// Sender's and receiver's address: IPv4 between them is shaped, nothing else crosses.
    pub(crate) addresses: [Ipv4Addr; 2],
    pub(crate) forward: LinkSpec,
    pub(crate) reverse: LinkSpec,
    pub(crate) seed: u64,
    pub(crate) fates: Option<PathBuf>,
    pub(crate) timing: Timing,
    pub(crate) bound: Bound,
    /// The kernel forwards and shapes; the emulator watches.
    pub(crate) kernel: bool,
}

/// How the emulator meets its departures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Awake this long before a departure and spin, ns: hides the time it takes to be scheduled. 0 never spins.
    pub spin_ns: u64,
    /// Ask for `SCHED_FIFO`; without permission the emulator runs as usual and says so in [`Health::realtime`].
    pub realtime: bool,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { spin_ns: 60_000, realtime: true }
    }
}

/// The lateness that a run may have before its latencies mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// For 99 of 100 packets, ns.
    pub p99_ns: u64,
    /// For every packet, ns.
    pub max_ns: u64,
}

impl Default for Bound {
    /// 5 ms for 99 of 100 packets, one frame time at 30 frames/s for the worst.
    fn default() -> Self {
        Bound { p99_ns: 5_000_000, max_ns: 33_333_333 }
    }
}

/// Lines after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Links, counters and ledger start anew with time zero at this reading of `CLOCK_MONOTONIC`, ns; the channel begins
    /// so many ns later.
    Start { at_ns: u64, begins_ns: u64 },
    /// Answer with [`Answer::Health`].
    Health,
    /// Finish the ledger, answer with [`Answer::Health`], end.
    Stop,
}

/// Lines from the emulator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Ready,
    Started,
    Health(Box<Health>),
    Failed(String),
}

/// Packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Shaped packets that entered.
    pub packets_in: u64,
    /// Their bytes, IP header included.
    pub bytes_in: u64,
    /// Packets sent on (a duplicate counts).
    pub packets_out: u64,
    /// Packets that the model dropped.
    pub dropped: u64,
    /// Packets still in the model when the counts were read.
    pub waiting: u64,
    /// Frames that the model does not decide over, so that they did not cross: anything but IPv4 between the ends. Where the
    /// kernel shapes they are shaped like the rest.
    pub unshaped: u64,
    /// What was not UDP, by kind.
    #[serde(default)]
    pub others: Others,
    /// Packets that entered before the channel began, and so met the delay alone.
    #[serde(default)]
    pub setup_packets: u64,
    /// Their bytes, IP header included.
    #[serde(default)]
    pub setup_bytes: u64,
    /// Packets lost although the model did not drop them: the sum of `lost`.
    pub lost_here: u64,
    /// Where.
    #[serde(default)]
    pub lost: Lost,
    /// Where the kernel shapes: records of the ledger that contradict what the model says the kernel did.
    #[serde(default)]
    pub unexplained: u64,
}

/// Whether a run's emulation can be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Actual minus intended departure over both directions.
    pub lateness: Lateness,
    /// How late the rows of a trace were in force, where the kernel shapes. One count is one row of one direction.
    #[serde(default)]
    pub late_steps: Lateness,
    /// Sender to receiver.
    pub forward: Counts,
    /// Receiver to sender.
    pub reverse: Counts,
    /// Lateness within the bound and nothing lost outside the model.
    pub valid: bool,
    /// Why not, empty if valid.
    pub why_invalid: Vec<String>,
    /// The emulator ran under `SCHED_FIFO`.
    pub realtime: bool,
    /// Who shaped: "user" or "kernel".
    pub shaper: String,
    /// Why.
    #[serde(default)]
    pub shaper_reason: String,
    /// `CLOCK_REALTIME` at time zero of the ledger, ns since 1970: joins the ledger to captures and other clocks.
    pub epoch_realtime_ns: u64,
    /// `CLOCK_MONOTONIC` at time zero of the ledger, ns.
    pub epoch_monotonic_ns: u64,
}

impl Health {
    /// Applies the bound.
    pub(crate) fn judge(&mut self, bound: Bound) {
        let ms = |ns: u64| format!("{}.{:03} ms", ns / 1_000_000, ns % 1_000_000 / 1000);
        let mut why = Vec::new();
        for (of, late) in [("", self.lateness), (" of the trace's rows", self.late_steps)] {
            for (what, got, allowed) in
                [("p99", late.p99_ns, bound.p99_ns), ("maximum", late.max_ns, bound.max_ns)]
            {
                if got > allowed {
                    why.push(format!("{what} lateness{of} {} is above {}", ms(got), ms(allowed)));
                }
            }
        }
        for (direction, counts) in [("forward", &mut self.forward), ("reverse", &mut self.reverse)] {
            counts.lost_here = counts.lost.sum();
            if counts.lost_here > 0 {
                why.push(format!(
                    "{} packets of the {direction} path were lost outside the model ({})",
                    counts.lost_here, counts.lost
                ));
            }
            if counts.unexplained > 0 {
                why.push(format!(
                    "{} fates of the {direction} path are not those of its channel",
                    counts.unexplained
                ));
            }
        }
        self.valid = why.is_empty();
        self.why_invalid = why;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_valid_up_to_its_bound_and_no_further() {
        let bound = Bound::default();
        let lateness = Lateness { packets: 100, p50_ns: 1, p99_ns: bound.p99_ns, max_ns: bound.max_ns };
        let mut health = Health { lateness, ..Health::default() };
        health.judge(bound);
        assert!(health.valid && health.why_invalid.is_empty());
        health.lateness.max_ns += 1;
        health.reverse.lost.endpoint = 2;
        health.judge(bound);
        assert!(!health.valid);
        assert_eq!(
            health.why_invalid,
            [
                "maximum lateness 33.333 ms is above 33.333 ms",
                "2 packets of the reverse path were lost outside the model (2 in the receiving program's socket, whose buffer was full)"
            ]
        );
    }
}
