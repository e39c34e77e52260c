//! The linear code: which data stripes a parity stripe covers, and with which coefficients.

use crate::fec::gf32::invert_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Most data stripes of a FEC frame: 16383 bytes in stripes of 256.
pub const MAX_DATA_STRIPES: usize = 64;
/// Most parity stripes a FEC frame carries (the block code carries those of four frames).
pub const MAX_PARITY_STRIPES: usize = 128;

/// Who protects whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Tambur's streaming code: the parity of frame t covers the v stripes of frames t-tau..=t and the u stripes
    /// of frames t and t-tau only. After a burst, the frames in between give back v alone, and the frame tau
    /// later gives back u: a burst is repaired piece by piece, each frame within tau frames.
    Streaming,
    /// Reed-Solomon over one frame.
    PerFrame,
    /// Reed-Solomon over blocks of tau + 1 frames, parity with the last of them.
    PerBlock,
}

/// Scheme and tau: the zero pattern of the matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    scheme: Scheme,
    tau: u64,
}

impl Rule {
    /// First frame that the parity of frame `t` covers; `None` if frame `t` carries no parity.
    pub(super) fn first_covered(self, t: u64) -> Option<u64> {
        match self.scheme {
            Scheme::Streaming => Some(t.saturating_sub(self.tau)),
            Scheme::PerFrame => Some(t),
            Scheme::PerBlock if t % (self.tau + 1) == self.tau => Some(t - self.tau),
            Scheme::PerBlock => None,
        }
    }

    /// Frames that packets of a frame may be overtaken by. The codes with a delay need none; a code per frame
    /// would lose a frame to one reordered packet.
    pub(super) fn grace(self) -> u64 {
        if self.scheme == Scheme::PerFrame { 2 } else { 0 }
    }

    /// Frames after which a complete frame is no longer delivered: those of the published receiver's window, `FECMultiReceiver` with
    /// 2 tau + 1 frames.
    pub(super) fn latest(self) -> u64 {
        if self.scheme == Scheme::PerFrame { self.grace() } else { 2 * self.tau }
    }

    /// Frames after which parity is no longer used. The published receiver's window of 2 tau + 1 frames has all that the parity of its
    /// newest tau + 1 frames covers, and uses no other (`StreamingCodeTheoretical`).
    pub(super) fn parity_age(self) -> u64 {
        if self.scheme == Scheme::Streaming { self.tau } else { u64::MAX }
    }

    /// Whether the parity of frame `t` covers stripe `column` of `frame`, one of `first_covered(t)..=t`.
    /// Stripes alternate: even columns are v, odd ones are u.
    pub(super) fn covers(self, t: u64, frame: u64, column: usize) -> bool {
        self.scheme != Scheme::Streaming || column.is_multiple_of(2) || frame == t || frame + self.tau == t
    }
}

/// Coefficients of one parity stripe; made when first asked for.
type Row = OnceLock<Box<[u32]>>;

/// The matrix: the rule, and the coefficients. These repeat with the period and are the same for every stream, so
/// each row is made once in a process.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) rule: Rule,
    tau: u64,
    /// Per frame modulo the period, per parity stripe: coefficients for the stripes of frames t-tau..=t.
    rows: Arc<[Row]>,
}

impl Code {
    pub(super) fn new(scheme: Scheme, tau: u64) -> Self {
        static MADE: Mutex<BTreeMap<(u64, u64), Arc<[Row]>>> = Mutex::new(BTreeMap::new());
        let rule = Rule { scheme, tau };
        let period = 3 * tau + 1 + rule.grace();
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = made
            .entry((tau, period))
            .or_insert_with(|| (0..period as usize * MAX_PARITY_STRIPES).map(|_| Row::new()).collect());
        Code { rule, tau, rows: Arc::clone(rows) }
    }

    /// Frames whose stripes one system of equations can meet: a recoverable frame is at most tau old, the
    /// parity that covers it up to 2 tau, and the oldest frame such parity covers 3 tau. Points of the Cauchy
    /// matrix repeat after that many frames.
    pub(super) fn period(&self) -> u64 {
        3 * self.tau + 1 + self.rule.grace()
    }

    /// Coefficients of parity stripe `row` of frame `t`: entry (frame + tau - t) * 64 + column belongs to stripe
    /// `column` of `frame`. Cauchy: 1 / (x + y) with all x and y of a period different.
    pub(super) fn row(&self, t: u64, row: usize) -> &[u32] {
        let (tau, period) = (self.tau, self.period());
        self.rows[(t % period) as usize * MAX_PARITY_STRIPES + row].get_or_init(|| {
            let x = point(t % period, row);
            let mut values: Vec<u32> = (0..=tau)
                .flat_map(|back| {
                    // (t - tau + back) modulo the period, without going below zero
                    let frame = (t % period + period - tau + back) % period;
                    (0..MAX_DATA_STRIPES).map(move |c| x ^ point(frame, MAX_PARITY_STRIPES + c))
                })
                .collect();
            invert_all(&mut values);
            values.into_boxed_slice()
        })
    }
}

/// The field element of a parity stripe (`stripe` below 128) or data stripe (128 and more) of a frame.
///
/// A bijective mixer: elements are all different, and spread over the field so that the zero pattern, which
/// takes away the Cauchy matrix's guarantee for every minor, leaves singular minors as rare as among random
/// matrices (about 2^-32).
fn point(frame: u64, stripe: usize) -> u32 {
    let mut z = (frame as u32) << 8 | stripe as u32;
    z = (z ^ z >> 16).wrapping_mul(0x7FEB_352D);
    z = (z ^ z >> 15).wrapping_mul(0x846C_A68B);
    z ^ z >> 16
}
