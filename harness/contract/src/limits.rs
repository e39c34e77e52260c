//! What a system may use up: the `[limits]` table of a manifest.

use serde::{Deserialize, Serialize};

/// Limits of each process tree that the harness starts. Beyond one of them the tree is ended and the run has failed
/// (or, for what crosses between the ends beside the path, is invalid), with the limit's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all its processes together, MiB; never more than three quarters of the machine's.
    pub memory_mb: u64,
    /// Processes and threads at one time.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u64,
    /// Everything in its run folder together, MiB.
    pub disk_mb: u64,
    /// Files in its run folder.
    pub files: u64,
    /// Its private `/tmp` and `/dev/shm`, MiB each.
    pub tmp_mb: u64,
    /// Its file of events, MiB.
    pub events_mb: u64,
    /// Standard output, KiB.
    pub stdout_kb: u64,
    /// Lines of standard output.
    pub stdout_lines: u64,
    /// Standard error, KiB. The first MiB is kept.
    pub stderr_kb: u64,
    /// `signal` lines to the other end.
    pub signals: u64,
    /// Their bytes, KiB: they cross beside the path.
    pub signal_kb: u64,
    /// Traffic of one direction before frame 0, KiB: it meets the path's delay alone.
    pub setup_kb: u64,
    /// Packets of one direction of the path, from frame 0 on.
    pub packets: u64,
    /// Seconds that `describe` may take.
    pub describe_s: u64,
    /// Seconds that `simulate` may take; absent: 120, and 2 per frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulate_s: Option<u64>,
    /// Seconds after `stop` within which both ends must have ended.
    pub stop_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mb: 8192,
            processes: 1024,
            open_files: 4096,
            disk_mb: 16_384,
            files: 4096,
            tmp_mb: 1024,
            events_mb: 1024,
            stdout_kb: 16_384,
            stdout_lines: 100_000,
            stderr_kb: 65_536,
            signals: 1000,
            signal_kb: 64,
            setup_kb: 64,
            packets: 1_000_000,
            describe_s: 60,
            simulate_s: None,
            stop_s: 20,
        }
    }
}
