//! Peak signal-to-noise ratio on RGB.

use super::lanes::SimdLevel;
use super::same_rgb;
use crate::MetricError;
use media::Rgb;

/// PSNR in dB, PIQ's definition: `-10 log10(mse + 1e-8)` with samples in `[0, 1]` and the mean over
/// rows, columns and channels.
///
/// Range: 0 dB (black against white) to 80 dB (identical pictures; a consequence of the `1e-8`).
/// Without that constant the value would be up to 4.3e-4 dB higher at 40 dB; skimage and FFmpeg
/// leave it out and give infinity for identical pictures. Computed from the integer squared error,
/// so the value is the same on every machine.
///
/// Source: PIQ 0.8.0 `piq.psnr(data_range=1.0)`, reduction over the whole picture.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], or [`MetricError::Nothing`] for an
/// empty picture.
pub fn psnr(reference: &Rgb, shown: &Rgb) -> Result<f64, MetricError> {
    same_rgb(reference, shown)?;
    psnr_of_sse(sse(&reference.data, &shown.data), reference.data.len() as u64)
}

/// PIQ's PSNR in dB from a sum of squared errors of 8-bit samples.
///
/// # Errors
/// [`MetricError::Nothing`] if `samples` is 0.
pub fn psnr_of_sse(sse: u64, samples: u64) -> Result<f64, MetricError> {
    psnr_at(sse, samples, 255)
}

/// The same of samples up to `peak`.
pub(super) fn psnr_at(sse: u64, samples: u64, peak: u16) -> Result<f64, MetricError> {
    if samples == 0 {
        return Err(MetricError::Nothing { metric: "psnr", why: "the picture is empty" });
    }
    let mse = sse as f64 / (f64::from(peak).powi(2) * samples as f64);
    Ok(-10.0 * (mse + 1e-8).log10())
}

/// Sum of squared differences of samples of up to 16 bits: below 2^32 times their number.
pub(super) fn sse16(a: &[u16], b: &[u16]) -> u64 {
    assert_eq!(a.len(), b.len(), "rows of one length");
    a.iter().zip(b).map(|(&p, &q)| u64::from(u32::from(p.abs_diff(q)).pow(2))).sum()
}

/// Sum of squared differences of two equally long rows of 8-bit samples.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn sse(a: &[u8], b: &[u8]) -> u64 {
    sse_at(SimdLevel::best(), a, b)
}

pub(crate) fn sse_at(level: SimdLevel, a: &[u8], b: &[u8]) -> u64 {
    assert_eq!(a.len(), b.len(), "rows of one length");
    match level.supported() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `supported` has asked the processor.
        SimdLevel::Avx512 => unsafe { x86::avx512(a, b) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        SimdLevel::Avx2 => unsafe { x86::avx2(a, b) },
        _ => portable(a, b),
    }
}

fn portable(a: &[u8], b: &[u8]) -> u64 {
    let mut total = 0u64;
    // 2^12 samples of at most 255^2 fit a u32.
    for (ca, cb) in a.chunks(4096).zip(b.chunks(4096)) {
        let part: u32 = ca.iter().zip(cb).map(|(&p, &q)| u32::from(p.abs_diff(q)).pow(2)).sum();
        total += u64::from(part);
    }
    total
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    // A lane grows by at most 4 * 255^2 per step, so 2^13 steps stay below 2^31.
    const STEPS: usize = 1 << 13;

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) unsafe fn avx512(a: &[u8], b: &[u8]) -> u64 {
        let zero = _mm512_setzero_si512();
        let mut total = 0u64;
        let whole = a.len() / 64 * 64;
        for start in (0..whole).step_by(64 * STEPS) {
            let end = whole.min(start + 64 * STEPS);
            let (mut acc0, mut acc1) = (zero, zero);
            for i in (start..end).step_by(64) {
                // SAFETY: i + 64 <= whole <= len of both.
                let (p, q) = unsafe {
                    (
                        _mm512_loadu_si512(a.as_ptr().add(i).cast()),
                        _mm512_loadu_si512(b.as_ptr().add(i).cast()),
                    )
                };
                let d = _mm512_or_si512(_mm512_subs_epu8(p, q), _mm512_subs_epu8(q, p));
                let (lo, hi) = (_mm512_unpacklo_epi8(d, zero), _mm512_unpackhi_epi8(d, zero));
                acc0 = _mm512_add_epi32(acc0, _mm512_madd_epi16(lo, lo));
                acc1 = _mm512_add_epi32(acc1, _mm512_madd_epi16(hi, hi));
            }
            for acc in [acc0, acc1] {
                let mut lanes = [0u32; 16];
                // SAFETY: 64 bytes.
                unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), acc) };
                total += lanes.iter().map(|&v| u64::from(v)).sum::<u64>();
            }
        }
        total + super::portable(&a[whole..], &b[whole..])
    }

    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2(a: &[u8], b: &[u8]) -> u64 {
        let zero = _mm256_setzero_si256();
        let mut total = 0u64;
        let whole = a.len() / 32 * 32;
        for start in (0..whole).step_by(32 * STEPS) {
            let end = whole.min(start + 32 * STEPS);
            let (mut acc0, mut acc1) = (zero, zero);
            for i in (start..end).step_by(32) {
                // SAFETY: i + 32 <= whole <= len of both.
                let (p, q) = unsafe {
                    (
                        _mm256_loadu_si256(a.as_ptr().add(i).cast()),
                        _mm256_loadu_si256(b.as_ptr().add(i).cast()),
                    )
                };
                let d = _mm256_or_si256(_mm256_subs_epu8(p, q), _mm256_subs_epu8(q, p));
                let (lo, hi) = (_mm256_unpacklo_epi8(d, zero), _mm256_unpackhi_epi8(d, zero));
                acc0 = _mm256_add_epi32(acc0, _mm256_madd_epi16(lo, lo));
                acc1 = _mm256_add_epi32(acc1, _mm256_madd_epi16(hi, hi));
            }
            for acc in [acc0, acc1] {
                let mut lanes = [0u32; 8];
                // SAFETY: 32 bytes.
                unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), acc) };
                total += lanes.iter().map(|&v| u64::from(v)).sum::<u64>();
            }
        }
        total + super::portable(&a[whole..], &b[whole..])
    }
}
