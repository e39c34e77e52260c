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
//! [`freezes`] sees what lies between two pictures. A session also has a beginning and an end: [`Screen::freezes`] adds
//! the time without a first picture, and the time after the last one, under the two rules that need no usual gap to
//! judge by (`stall200`, `revo`). The other three cannot see them: W3C counts nothing when only frame 0 is ever shown.
//! [`frozen_runs`] sees every frozen slot.

use serde::{Deserialize, Serialize};

const MS: u64 = 1_000_000;
const WINDOW: usize = 30;
/// GRACE's limit of a stall.
const STALL_NS: u64 = 200 * MS;

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
            FreezeRule::Stall200 => (gap > STALL_NS).then_some(0),
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

/// What a screen did over a session: which captured frames came on it in their own slots, and when.
#[derive(Clone, Copy, Debug)]
pub struct Screen<'a> {
    /// When frame 0 was captured, nanoseconds.
    pub captured_ns: u64,
    /// When frame 0 was due on the screen: its capture plus the playout budget.
    pub due_ns: u64,
    /// Slot length, nanoseconds.
    pub interval_ns: u64,
    /// Per captured frame when it came on the screen; `None`: it never did.
    pub shown_ns: &'a [Option<u64>],
}

impl Screen<'_> {
    /// Length of the session: one slot per captured frame.
    #[must_use]
    pub fn session_ns(&self) -> u64 {
        self.interval_ns * self.shown_ns.len() as u64
    }

    /// When new pictures came on the screen, in order.
    #[must_use]
    pub fn rendered_ns(&self) -> Vec<u64> {
        let mut times: Vec<u64> = self.shown_ns.iter().flatten().copied().collect();
        times.sort_unstable();
        times
    }

    /// The freezes of the session under one rule, those before the first picture and after the last one included where
    /// the rule can see them. Together they are never longer than the session.
    #[must_use]
    pub fn freezes(&self, rule: FreezeRule) -> Vec<Freeze> {
        let rendered = self.rendered_ns();
        let (Some(&first), Some(&last)) = (rendered.first(), rendered.last()) else {
            return self
                .edge(rule, self.due_ns, self.session_ns(), self.shown_ns.len())
                .into_iter()
                .collect();
        };
        let leading = self.shown_ns.iter().take_while(|s| s.is_none()).count();
        let trailing = self.shown_ns.iter().rev().take_while(|s| s.is_none()).count();
        let mut found: Vec<Freeze> =
            self.edge(rule, self.due_ns, first.saturating_sub(self.due_ns), leading).into_iter().collect();
        found.extend(freezes(rule, &rendered));
        if trailing > 0 {
            // The last picture stays for its own slot and for every frozen one after it.
            let end = self.due_ns + self.session_ns();
            let stayed = (self.interval_ns * (trailing as u64 + 1)).min(end.saturating_sub(last));
            found.extend(self.edge(rule, last, stayed, trailing));
        }
        found
    }

    fn edge(&self, rule: FreezeRule, start_ns: u64, gap_ns: u64, slots: usize) -> Option<Freeze> {
        let duration_ns = match rule {
            FreezeRule::Stall200 if gap_ns > STALL_NS => gap_ns,
            FreezeRule::Revo { interval_ns } if slots > 0 => interval_ns * slots as u64,
            _ => return None,
        };
        Some(Freeze { start_ns, duration_ns, excess_ns: duration_ns })
    }

    /// Time from the capture of frame 0 to the first picture on the screen.
    #[must_use]
    pub fn startup(&self) -> Startup {
        let first = self.shown_ns.iter().flatten().min();
        let startup_ns = first.and_then(|t| t.checked_sub(self.captured_ns));
        let whole = self.due_ns.saturating_sub(self.captured_ns) + self.session_ns();
        Startup { startup_ns, never_rendered: first.is_none(), penalised_ns: startup_ns.unwrap_or(whole) }
    }
}

/// How long a viewer waited for the first picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Startup {
    /// Capture of frame 0 to the first picture; `None`: there never was one (or it is said to have come before).
    pub startup_ns: Option<u64>,
    /// No picture ever came.
    pub never_rendered: bool,
    /// The same, and for a session without any picture the time from the capture of frame 0 to the end of its last slot.
    pub penalised_ns: u64,
}

/// Freezes of a session in the figures that papers quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// Runs of consecutive slots without a new picture, frozen or dropped by the sender. A session in which every fifth slot
/// is frozen may have no freeze at all under `w3c`; here it has its runs of length 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenRuns {
    /// How many runs.
    pub count: u32,
    /// Median length, slots (nearest rank); 0 without a run.
    pub p50: u32,
    /// 95th percentile of the length, slots.
    pub p95: u32,
    /// Longest, slots.
    pub max: u32,
    /// Length of the run that reaches the end of the session, slots; 0 if it ends with a new picture.
    pub terminal: u32,
    /// The same as time: `terminal` slot lengths, nanoseconds.
    pub terminal_ns: u64,
}

/// Finds the runs; `frozen[i]` says that slot `i` showed nothing new.
#[must_use]
pub fn frozen_runs(frozen: &[bool], interval_ns: u64) -> FrozenRuns {
    let lengths: Vec<u32> =
        frozen.chunk_by(|a, b| a == b).filter(|run| run[0]).map(|run| run.len() as u32).collect();
    let terminal = frozen.iter().rev().take_while(|f| **f).count() as u32;
    let rank = |p| crate::summary::nearest_rank(&lengths, p).unwrap_or(0);
    FrozenRuns {
        count: lengths.len() as u32,
        p50: rank(50.0),
        p95: rank(95.0),
        max: rank(100.0),
        terminal,
        terminal_ns: u64::from(terminal) * interval_ns,
    }
}
