//! The 8-bit view of metric depth, and back.
//!
//! ReVo sends depth as an ordinary 8-bit video; nothing in it maps metres to codes. Here the map is stated
//! and inverted: linear in inverse depth (where stereo and learned estimators have even errors), near bright.
//!
//! ```text
//! q(d) = round(N (1/d - 1/far) / (1/near - 1/far))    d clamped to near..=far, N = steps of the range - 1
//! code = first + q;    d(q) = round(N near far / (N near + q (far - near)))
//! ```
//! | range | "no measurement" | far .. near | N |
//! |---|---|---|---|
//! | limited | 16 | 17 ..= 235 | 218 |
//! | full | 0 | 1 ..= 255 | 254 |
//!
//! Integers only. A code read back and written again is the same code as long as neighbouring codes differ
//! by a millimetre or more; the depth error is at most half a step, `d^2 (far - near) / (2 N near far)`,
//! and half a millimetre.

use crate::convert::Range;
use crate::{Depth16, Yuv420};

/// The depth interval that the 8-bit view spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DepthView {
    near_mm: u16,
    far_mm: u16,
}

/// An interval that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("depth view: near ({near_mm} mm) must be above zero and below far ({far_mm} mm)")]
pub struct EmptyInterval {
    /// Nearest depth asked for.
    pub near_mm: u16,
    /// Farthest depth asked for.
    pub far_mm: u16,
}

impl DepthView {
    /// A view of `near_mm ..= far_mm`.
    ///
    /// # Errors
    /// Unless `0 < near_mm < far_mm`.
    pub fn new(near_mm: u16, far_mm: u16) -> Result<Self, EmptyInterval> {
        if near_mm == 0 || near_mm >= far_mm {
            return Err(EmptyInterval { near_mm, far_mm });
        }
        Ok(Self { near_mm, far_mm })
    }

    /// A view that spans the measured depths of one picture, but for 1 % at each end. `None` if nothing is
    /// measured or everything is at one depth. Call it on the first frame and keep it for the clip.
    #[must_use]
    pub fn fit(depth: &Depth16) -> Option<Self> {
        let mut mm: Vec<u16> = depth.mm.iter().copied().filter(|d| *d != 0).collect();
        mm.sort_unstable();
        let last = mm.len().checked_sub(1)?;
        Self::new(mm[last / 100], mm[last - last / 100]).ok()
    }

    /// Nearest depth, millimetres.
    #[must_use]
    pub fn near_mm(&self) -> u16 {
        self.near_mm
    }

    /// Farthest depth, millimetres.
    #[must_use]
    pub fn far_mm(&self) -> u16 {
        self.far_mm
    }

    /// Code of one depth.
    #[must_use]
    pub fn code(&self, mm: u16, range: Range) -> u8 {
        let (first, steps) = codes(range);
        if mm == 0 {
            return first - 1;
        }
        let (near, far) = (u64::from(self.near_mm), u64::from(self.far_mm));
        let d = u64::from(mm).clamp(near, far);
        let (num, den) = (steps * (far - d) * near, d * (far - near));
        first + ((2 * num + den) / (2 * den)) as u8
    }

    /// Depth of one code, millimetres; 0 for "no measurement" and every code below the first.
    #[must_use]
    pub fn millimetres(&self, code: u8, range: Range) -> u16 {
        let (first, steps) = codes(range);
        let Some(q) = code.checked_sub(first) else { return 0 };
        let (near, far) = (u64::from(self.near_mm), u64::from(self.far_mm));
        let q = u64::from(q).min(steps);
        let (num, den) = (steps * near * far, steps * near + q * (far - near));
        ((2 * num + den) / (2 * den)) as u16
    }

    /// The 8-bit view as a grey picture, ready for a video codec.
    #[must_use]
    pub fn to_yuv420(&self, depth: &Depth16, range: Range) -> Yuv420 {
        let table: Vec<u8> = (0..=u16::MAX).map(|mm| self.code(mm, range)).collect();
        let mut picture = Yuv420::filled(depth.width, depth.height, (0, 128, 128));
        for (code, mm) in picture.y.iter_mut().zip(&depth.mm) {
            *code = table[usize::from(*mm)];
        }
        picture
    }

    /// Metric depth of a view; chroma is ignored.
    #[must_use]
    pub fn to_depth16(&self, view: &Yuv420, range: Range) -> Depth16 {
        let table: [u16; 256] = std::array::from_fn(|code| self.millimetres(code as u8, range));
        let mm = view.y.iter().map(|code| table[usize::from(*code)]).collect();
        Depth16 { width: view.width, height: view.height, mm }
    }
}

/// Code of the farthest depth, and the number of steps from there to the nearest.
fn codes(range: Range) -> (u8, u64) {
    match range {
        Range::Limited => (17, 218),
        Range::Full => (1, 254),
    }
}
