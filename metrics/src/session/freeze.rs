//! Freezes under each definition in use, by name.
//!
//! Input is the list of times at which a *new* picture came on the screen; `d_k` is the gap before picture `k`. All
//! decisions are made on integers, so two machines never disagree about a freeze.
//!
//! | rule | a gap `d_k` is a freeze if | source |
//! |---|---|---|
//! | `w3c` | `d_k >= max(3 A, A + 150 ms)`, A = mean of up to 30 gaps before it | W3C webrtc-stats, `freezeCount` |
//! | `libwebrtc` | the same on whole milliseconds, A = rounded-down mean of the last 30 gaps *with* `d_k`, from the 5th gap on | libwebrtc, `VideoQualityObserver` |
//! | `tambur` | `d_k > max(3 A, A + 150 ms)`, A over exactly 30 gaps before; the first 31 pictures are skipped | Tambur, NSDI 2023 |
//! | `revo` | a slot repeats the last picture: every gap longer than one slot, its repeated part counting | ReVo's display thread |
//! | `stall200` | `d_k > 200 ms` | GRACE, NSDI 2024 |
//!
//! None of them counts a clip that *ends* frozen, or frozen slots too short for the rule: [`frozen_runs`] does.

const MS: u64 = 1_000_000;
const WINDOW: usize = 30;

/// Which definition of a freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FreezeRule {
    /// W3C webrtc-stats.
    W3c,
    /// What browsers based on libwebrtc count.
    Libwebrtc,
    /// Tambur's evaluation.
    Tambur,
    /// ReVo's display repeats; `interval_ns` is the slot length.
    Revo {
        /// Slot length, nanoseconds.
        interval_ns: u64,
    },
    /// GRACE's stalls.
    Stall200,
}

impl FreezeRule {
    /// Every rule, for a clip of this slot length.
    #[must_use]
    pub fn all(interval_ns: u64) -> [Self; 5] {
        [Self::W3c, Self::Libwebrtc, Self::Tambur, Self::Revo { interval_ns }, Self::Stall200]
    }

    /// The name that reports use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::W3c => "w3c",
            Self::Libwebrtc => "libwebrtc",
            Self::Tambur => "tambur",
            Self::Revo { .. } => "revo",
            Self::Stall200 => "stall200",
        }
    }
}

/// One freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// When the last picture before it came on the screen, nanoseconds.
    pub start_ns: u64,
    /// How long it stayed (for `revo`: beyond its own slot), nanoseconds.
    pub duration_ns: u64,
    /// The part beyond the usual gap A, nanoseconds; the whole duration where the rule has no A.
    pub excess_ns: u64,
}

/// The freezes of a session under one rule.
///
/// `rendered_ns` are the times at which a new picture came on the screen, in ascending order.
#[must_use]
pub fn freezes(rule: FreezeRule, rendered_ns: &[u64]) -> Vec<Freeze> {
    // libwebrtc's clock is in whole milliseconds.
    let unit = if rule == FreezeRule::Libwebrtc { MS } else { 1 };
    let times: Vec<u64> = rendered_ns.iter().map(|t| t / unit).collect();
    let gaps: Vec<u64> = times.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
    let mut found = Vec::new();
    for (k, &gap) in gaps.iter().enumerate() {
        let usual = match rule {
            FreezeRule::W3c => long_gap(gap, &gaps[k.saturating_sub(WINDOW)..k], |a, b| a >= b),
            FreezeRule::Tambur if k >= WINDOW => long_gap(gap, &gaps[k - WINDOW..k], |a, b| a > b),
            FreezeRule::Libwebrtc if k >= 4 => {
                let window = &gaps[(k + 1).saturating_sub(WINDOW)..=k];
                let usual = window.iter().sum::<u64>() / window.len() as u64;
                (gap >= (3 * usual).max(usual + 150)).then_some(usual)
            }
            FreezeRule::Revo { interval_ns } => {
                // A picture shown for n slots was repeated n - 1 times; capture jitter below half a slot is none.
                let repeats = (gap + interval_ns / 2).checked_div(interval_ns).unwrap_or(0).saturating_sub(1);
                if repeats > 0 {
                    let duration_ns = repeats * interval_ns;
                    found.push(Freeze { start_ns: rendered_ns[k], duration_ns, excess_ns: duration_ns });
                }
                None
            }
            FreezeRule::Stall200 => (gap > 200 * MS).then_some(0),
            FreezeRule::Tambur | FreezeRule::Libwebrtc => None,
        };
        if let Some(usual) = usual {
            found.push(Freeze {
                start_ns: rendered_ns[k],
                duration_ns: gap * unit,
                excess_ns: (gap - usual.min(gap)) * unit,
            });
        }
    }
    found
}

/// The mean of `before` (rounded down) if `gap` is long against it; exact: both sides times the number of gaps.
fn long_gap(gap: u64, before: &[u64], beats: impl Fn(u128, u128) -> bool) -> Option<u64> {
    let n = before.len() as u128;
    if n == 0 {
        return None;
    }
    let sum: u128 = before.iter().map(|&g| u128::from(g)).sum();
    let limit = (3 * sum).max(sum + 150 * u128::from(MS) * n);
    beats(u128::from(gap) * n, limit).then(|| u64::try_from(sum / n).unwrap_or(u64::MAX))
}

/// Freezes of a session in the figures that papers quote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FreezeSummary {
    /// How many.
    pub count: u32,
    /// Their length together, nanoseconds.
    pub total_ns: u64,
    /// The longest, nanoseconds.
    pub longest_ns: u64,
    /// Sum of the parts beyond the usual gap, nanoseconds.
    pub excess_ns: u64,
    /// `total / session`, 0 to 1.
    pub ratio: f64,
    /// Freezes per minute of session.
    pub per_minute: f64,
}

impl FreezeSummary {
    /// Sums up freezes of a session of `session_ns` nanoseconds; ratios are 0 for an empty session.
    #[must_use]
    pub fn of(freezes: &[Freeze], session_ns: u64) -> Self {
        let total_ns = freezes.iter().map(|f| f.duration_ns).sum();
        let per = |x: f64| if session_ns == 0 { 0.0 } else { x / session_ns as f64 };
        Self {
            count: freezes.len() as u32,
            total_ns,
            longest_ns: freezes.iter().map(|f| f.duration_ns).max().unwrap_or(0),
            excess_ns: freezes.iter().map(|f| f.excess_ns).sum(),
            ratio: per(total_ns as f64),
            per_minute: per(freezes.len() as f64 * 60e9),
        }
    }
}

/// libwebrtc's harmonic frame rate, 1/s: time over the sum of squared gaps; long gaps weigh as a viewer feels them.
/// 0 for fewer than two pictures.
///
/// Source: libwebrtc, `VideoQualityObserver`, whole milliseconds.
#[must_use]
pub fn harmonic_fps(rendered_ns: &[u64]) -> f64 {
    let times: Vec<u64> = rendered_ns.iter().map(|t| t / MS).collect();
    let squares: f64 = times.windows(2).map(|w| (w[1].saturating_sub(w[0]) as f64 / 1e3).powi(2)).sum();
    match (times.first(), times.last()) {
        (Some(a), Some(b)) if squares > 0.0 => b.saturating_sub(*a) as f64 / 1e3 / squares,
        _ => 0.0,
    }
}

/// Runs of consecutive frozen slots. A session in which every fifth slot is frozen may have no freeze at all under
/// `w3c`; here it has its runs of length 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrozenRuns {
    /// Length of each run, slots, in the order of the session.
    pub lengths: Vec<u32>,
    /// Length of the run that reaches the end of the session (also in `lengths`), 0 if it ends with a new picture:
    /// the terminal freeze, which no rule counts.
    pub terminal: u32,
}

impl FrozenRuns {
    /// Percentile of the lengths by nearest rank, slots; 0 if there is no run.
    #[must_use]
    pub fn percentile(&self, p: f64) -> u32 {
        crate::summary::nearest_rank(&self.lengths, p).unwrap_or(0)
    }

    /// The longest run, slots.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// How long the screen had been still when the session ended, nanoseconds: 0 if its last slot showed a new picture.
    #[must_use]
    pub fn terminal_ns(&self, interval_ns: u64) -> u64 {
        u64::from(self.terminal) * interval_ns
    }
}

/// Finds the runs; `frozen[i]` says that slot `i` showed nothing new.
#[must_use]
pub fn frozen_runs(frozen: &[bool]) -> FrozenRuns {
    let lengths = frozen.chunk_by(|a, b| a == b).filter(|run| run[0]).map(|run| run.len() as u32).collect();
    let terminal = frozen.iter().rev().take_while(|f| **f).count() as u32;
    FrozenRuns { lengths, terminal }
}

/// ReVo's `frozen` mask: at the first frame of a group of pictures the flag says that no picture was decoded; after
/// that a missing payload sets it until the next group, even if later frames are decoded and shown.
///
/// `decoded[i]` and `payload[i]` say that frame `i` gave a picture and had a payload. The longer list is cut.
///
/// # Panics
/// If `gop` is 0.
#[must_use]
pub fn revo_frozen_mask(decoded: &[bool], payload: &[bool], gop: usize) -> Vec<bool> {
    let mut flag = false;
    decoded
        .iter()
        .zip(payload)
        .enumerate()
        .map(|(i, (&picture, &payload))| {
            flag = if i.is_multiple_of(gop) { !picture } else { flag || !payload };
            flag
        })
        .collect()
}

/// ReVo's `corrupted` mask: the first frame of a group of pictures is never marked, but a missing picture there or a
/// missing payload or picture later marks the rest of the group.
///
/// # Panics
/// If `gop` is 0.
#[must_use]
pub fn revo_corrupted_mask(decoded: &[bool], payload: &[bool], gop: usize) -> Vec<bool> {
    let mut flag = false;
    decoded
        .iter()
        .zip(payload)
        .enumerate()
        .map(|(i, (&picture, &payload))| {
            if i.is_multiple_of(gop) {
                flag = !picture;
                return false;
            }
            flag |= !payload || !picture;
            flag
        })
        .collect()
}
