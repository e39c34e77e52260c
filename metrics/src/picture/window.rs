//! The Gaussian window that SSIM, full SSIM and MS-SSIM share, as one separable pass over a picture pair.
//!
//! With `s = x + y` and `d = x - y` the structure term is
//!
//! ```text
//! cs = (2 cov + c2) / (var x + var y + c2) = 1 - V(d) / ((V(s) + V(d)) / 2 + c2)
//! l  = (2 mx my + c1) / (mx^2 + my^2 + c1) = 1 - m(d)^2 / ((m(s)^2 + m(d)^2) / 2 + c1)
//! ```
//!
//! so four filtered maps suffice (`s`, `d`, `s^2`, `d^2`), equal pictures give exactly 1, and the
//! cancellation in `E[s^2] - E[s]^2` only touches what is multiplied by the (usually small) loss. That is
//! what lets single precision meet 1e-6 of a double-precision reference; pictures with few windows, where
//! errors do not average out, are done in double precision.
//!
//! Rows are taken as they lie in memory (channels interleaved): the vertical pass does not care, and the
//! horizontal one steps by the number of channels.

use super::lanes::{Lanes, PortableF32, PortableF64, Sample, SimdLevel};

/// Taps of the window.
pub(crate) const TAPS: usize = 11;
/// Below this many windows (over all channels) the arithmetic is double precision.
const FEW: usize = 20_000;

/// A window and the corrections that make it exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Weights as the definition has them.
    taps: [f64; TAPS],
    /// Whether the definition's weights sum to one; if not, their deficit belongs to its result.
    normalised: bool,
}

/// The window's weights as pytorch_msssim computes them. In single precision with fused products they stand for the exact ones, too, from
/// which their nearest neighbours differ by a unit or two in the last place at two of six: so SSIM and a scale of MS-SSIM can share a
/// pass. (On flat pictures with steps SSIM is then 1e-7 from its value in doubles, with the nearest neighbours 5e-7; where every product is
/// rounded by itself it is the other way round, 9e-7 and 5e-7.)
const SINGLE: [u32; 6] = [0x3a86_cab8, 0x3bf8_ff01, 0x3d13_758c, 0x3ddf_f87f, 0x3e5a_1e1f, 0x3e88_32b0];

fn single_taps() -> [f64; TAPS] {
    std::array::from_fn(|i| f64::from(f32::from_bits(SINGLE[i.min(10 - i)])))
}

impl Window {
    /// `exp(-(i - 5)^2 / (2 * 1.5^2))`, normalised in double precision: PIQ's and skimage's.
    pub(crate) fn gaussian() -> Self {
        let raw: [f64; TAPS] = std::array::from_fn(|i| (-(i as f64 - 5.0).powi(2) / 4.5).exp());
        let sum: f64 = raw.iter().sum();
        Self { taps: raw.map(|v| v / sum), normalised: true }
    }

    /// The same computed in single precision, as pytorch_msssim does whatever the pictures' precision; its sum
    /// misses one by 3e-8, which moves the result by up to 1e-5 and so is part of the definition.
    pub(crate) fn gaussian_f32() -> Self {
        Self { taps: single_taps(), normalised: false }
    }

    /// `1 - (sum of the definition's weights)^2`.
    fn raw(&self) -> f64 {
        if self.normalised { 0.0 } else { 1.0 - self.taps.iter().sum::<f64>().powi(2) }
    }
}

/// A picture plane with interleaved channels.
#[derive(Clone, Copy)]
pub(crate) struct Plane<'a, S> {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub data: &'a [S],
}

/// What a pass sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// The structure term, `cs`.
    Structure,
    /// Luminance times structure.
    Ssim,
}

/// A term's sums over all windows, per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub sum: [f64; 3],
    /// Windows per channel.
    pub windows: usize,
}

/// Buffers that a pass needs; grown once, then reused.
#[derive(Default)]
pub(crate) struct Scratch {
    single: Vec<f32>,
    double: Vec<f64>,
    columns: Vec<f64>,
}

struct Job<'a, S> {
    x: Plane<'a, S>,
    y: Plane<'a, S>,
    taps: [f64; TAPS],
    /// `V = E - m^2 + centred * m^2 + raw * (m + centre)^2` with m about the block's centre.
    centred: f64,
    /// Of each term.
    raw: [f64; 2],
    c1: f64,
    c2: f64,
}

/// Whether a pass over such planes is done in double precision.
fn is_double((width, height): (usize, usize), channels: usize, precise: bool) -> bool {
    let (columns, gone) = (width * channels, (TAPS - 1) * channels);
    // The widest single-precision vector is 16.
    precise || (columns - gone) * (height - (TAPS - 1)) < FEW || columns < 16
}

/// Whether both terms can come of one pass over such planes: where both windows have one set of weights.
pub(crate) fn has_both((level, precise): (SimdLevel, bool), size: (usize, usize), channels: usize) -> bool {
    level.supported() > SimdLevel::Portable && !is_double(size, channels, precise)
}

/// One pass over a pair whose samples go from 0 to `peak`: the sums of one term, or of two at once, which are then to the bit what a
/// pass for each gives. Both planes have the same shape, at least 11x11, and one or three channels. `precise` asks for double
/// precision whatever the size; two terms at once there are only where [`has_both`] says so.
pub(crate) fn pass<S: Sample, const N: usize>(
    (level, precise): (SimdLevel, bool),
    terms: [(Term, &Window); N],
    x: Plane<'_, S>,
    y: Plane<'_, S>,
    peak: f64,
    scratch: &mut Scratch,
) -> [Sums; N] {
    let columns = x.width * x.channels;
    assert!(
        x.width >= TAPS && x.height >= TAPS && (x.channels == 1 || x.channels == 3),
        "checked by the caller"
    );
    assert_eq!((x.width, x.height, x.channels), (y.width, y.height, y.channels), "checked by the caller");
    assert!(
        x.data.len() >= columns * x.height && y.data.len() >= columns * y.height,
        "checked by the caller"
    );
    let out_columns = columns - (TAPS - 1) * x.channels;
    let out_rows = x.height - (TAPS - 1);
    let double = is_double((x.width, x.height), x.channels, precise);
    let own = terms[0].1.taps;
    let taps = match (double, level.supported()) {
        (true, _) => own,
        (false, SimdLevel::Portable) => own.map(|w| f64::from(w as f32)),
        (false, _) => single_taps(),
    };
    let actual = taps.iter().sum::<f64>().powi(2);
    let raw = [terms[0].1.raw(), terms[N - 1].1.raw()];
    let job =
        Job { x, y, taps, centred: actual - 1.0, raw, c1: (0.01 * peak).powi(2), c2: (0.03 * peak).powi(2) };
    let Scratch { single, double: doubles, columns: sums } = scratch;
    sums.clear();
    sums.resize(N * out_columns, 0.0);
    let buffers = (single, doubles);
    match terms.map(|(term, _)| term)[..] {
        [Term::Structure] => dispatch::<S, STRUCTURE>(&job, (level, double), buffers, sums),
        [Term::Ssim] => dispatch::<S, SSIM>(&job, (level, double), buffers, sums),
        [Term::Structure, Term::Ssim] if has_both((level, precise), (x.width, x.height), x.channels) => {
            dispatch::<S, BOTH>(&job, (level, double), buffers, sums);
        }
        _ => unreachable!("no other terms share a pass"),
    }
    let windows = out_rows * x.width.saturating_sub(TAPS - 1);
    let mut totals = [Sums { windows, ..Sums::default() }; N];
    for (total, sums) in totals.iter_mut().zip(sums.chunks_exact(out_columns)) {
        for (i, sum) in sums.iter().enumerate() {
            total.sum[i % x.channels] += sum;
        }
    }
    totals
}

/// What a kernel sums up: [`Term::Structure`], [`Term::Ssim`], or both, the second behind the first.
const STRUCTURE: u8 = 0;
const SSIM: u8 = 1;
const BOTH: u8 = 2;

fn dispatch<S: Sample, const TERMS: u8>(
    job: &Job<'_, S>,
    (level, double): (SimdLevel, bool),
    (single, doubles): (&mut Vec<f32>, &mut Vec<f64>),
    sums: &mut [f64],
) {
    match (level.supported(), double) {
        // SAFETY: `supported` has asked the processor; shapes are asserted by the caller.
        #[cfg(target_arch = "x86_64")]
        (SimdLevel::Avx512, false) => unsafe { x86::avx512_single::<S, TERMS>(job, single, sums) },
        #[cfg(target_arch = "x86_64")]
        (SimdLevel::Avx512, true) => unsafe { x86::avx512_double::<S, TERMS>(job, doubles, sums) },
        #[cfg(target_arch = "x86_64")]
        (SimdLevel::Avx2, false) => unsafe { x86::avx2_single::<S, TERMS>(job, single, sums) },
        #[cfg(target_arch = "x86_64")]
        (SimdLevel::Avx2, true) => unsafe { x86::avx2_double::<S, TERMS>(job, doubles, sums) },
        (_, false) => unsafe { run::<PortableF32, S, 2, TERMS>(job, single, sums) },
        (_, true) => unsafe { run::<PortableF64, S, 2, TERMS>(job, doubles, sums) },
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Job, Sample, run};
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    macro_rules! entry {
        ($name:ident, $features:literal, $lanes:ty, $elem:ty, $rows:literal) => {
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name<S: Sample, const TERMS: u8>(
                job: &Job<'_, S>,
                buffer: &mut Vec<$elem>,
                sums: &mut [f64],
            ) {
                unsafe { run::<$lanes, S, $rows, TERMS>(job, buffer, sums) }
            }
        };
    }
    entry!(avx512_single, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", __m512, f32, 4);
    entry!(avx512_double, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", __m512d, f64, 4);
    entry!(avx2_single, "avx2,fma", __m256, f32, 2);
    entry!(avx2_double, "avx2,fma", __m256d, f64, 2);
}

/// `B` output rows at a time; the rest one by one.
#[inline(always)]
unsafe fn run<L: Lanes, S: Sample, const B: usize, const TERMS: u8>(
    job: &Job<'_, S>,
    buffer: &mut Vec<L::Elem>,
    sums: &mut [f64],
) {
    let columns = job.x.width * job.x.channels;
    let stride = columns + 2 * L::N;
    if buffer.len() < B * MAPS * stride {
        buffer.resize(B * MAPS * stride, L::Elem::default());
    }
    let rows = job.x.height - (TAPS - 1);
    let mut row = 0;
    while row + B <= rows {
        unsafe { block::<L, S, B, TERMS>(job, row, buffer, stride, sums) };
        row += B;
    }
    while row < rows {
        unsafe { block::<L, S, 1, TERMS>(job, row, buffer, stride, sums) };
        row += 1;
    }
}

/// Filtered maps: s, d, s^2, d^2.
const MAPS: usize = 4;
/// Vectors of columns that go through the vertical pass before the horizontal pass catches up, so that
/// what lies between the two stays in the first-level cache.
const CHUNK: usize = 12;

#[inline(always)]
unsafe fn block<L: Lanes, S: Sample, const B: usize, const TERMS: u8>(
    job: &Job<'_, S>,
    row: usize,
    buffer: &mut [L::Elem],
    stride: usize,
    sums: &mut [f64],
) {
    let columns = job.x.width * job.x.channels;
    let (px, py) =
        unsafe { (job.x.data.as_ptr().add(row * columns), job.y.data.as_ptr().add(row * columns)) };
    let buf = buffer.as_mut_ptr();
    let weights: [L; TAPS] = std::array::from_fn(|k| unsafe { L::splat(job.taps[k]) });
    let centre = unsafe { centre(job, row + (TAPS + B) / 2 - 1) };
    let (mut done, mut out) = (0, 0);
    // Where the second term's sums begin.
    let second = if TERMS == BOTH { sums.len() / 2 } else { 0 };
    let columns_out = if TERMS == BOTH { second } else { sums.len() };
    while done < columns {
        let end = columns.min(done + CHUNK * L::N);
        while done < end {
            // The last vector overlaps its neighbour instead of reading past the row.
            let at = done.min(columns - L::N);
            unsafe {
                vertical::<L, S, B>(px.add(at), py.add(at), columns, &weights, &centre, buf.add(at), stride);
            };
            done = at + L::N;
        }
        let reach = (TAPS - 1) * job.x.channels;
        while out + L::N + reach <= done {
            unsafe {
                let to = sums.as_mut_ptr().add(out);
                horizontal::<L, B, TERMS>(job, buf.add(out), stride, &weights, &centre, (to, second));
            }
            out += L::N;
        }
    }
    let left = columns_out - out;
    if left > 0 {
        // Reads the slack at the end of each row of the buffer; only `left` lanes are kept.
        let mut tails = [[0.0; 16]; 2];
        unsafe {
            let to = tails.as_mut_ptr().cast();
            horizontal::<L, B, TERMS>(job, buf.add(out), stride, &weights, &centre, (to, 16));
        }
        let terms = if TERMS == BOTH { 2 } else { 1 };
        for (term, tail) in tails.into_iter().enumerate().take(terms) {
            let to = term * second + out;
            sums[to..to + left].iter_mut().zip(tail).for_each(|(sum, tail)| *sum += tail);
        }
    }
}

/// Rounded means of `x + y` and `x - y` over the block's middle row. Variances do not depend on what is subtracted
/// first, but their rounding errors do: about these centres a flat picture, or a plain change of brightness, has none.
#[inline(always)]
unsafe fn centre<L: Lanes, S: Sample>(job: &Job<'_, S>, row: usize) -> [L; 2] {
    let columns = job.x.width * job.x.channels;
    let sum = |p: &Plane<'_, S>| -> u64 {
        p.data[row * columns..(row + 1) * columns].iter().map(|&v| v.into()).sum()
    };
    let (x, y) = (sum(&job.x) as f64, sum(&job.y) as f64);
    let n = columns as f64;
    unsafe { [L::splat(((x + y) / n).round()), L::splat(((x - y) / n).round())] }
}

#[inline(always)]
unsafe fn vertical<L: Lanes, S: Sample, const B: usize>(
    x: *const S,
    y: *const S,
    columns: usize,
    weights: &[L; TAPS],
    centre: &[L; 2],
    out: *mut L::Elem,
    stride: usize,
) {
    unsafe {
        let zero = L::splat(0.0);
        let mut acc = [[zero; MAPS]; B];
        macro_rules! row {
            ($r:expr, $from:expr, $to:expr) => {
                let a: L = S::lanes(x.add($r * columns));
                let b: L = S::lanes(y.add($r * columns));
                let s = a.add(b).sub(centre[0]);
                let d = a.sub(b).sub(centre[1]);
                let maps = [s, d, s.mul(s), d.mul(d)];
                for o in $from..$to {
                    for m in 0..MAPS {
                        acc[o][m] = maps[m].fma(weights[$r - o], acc[o][m]);
                    }
                }
            };
        }
        for r in 0..B - 1 {
            row!(r, 0, r + 1);
        }
        for r in B - 1..TAPS {
            row!(r, 0, B);
        }
        for r in TAPS..TAPS + B - 1 {
            row!(r, r - (TAPS - 1), B);
        }
        for (o, maps) in acc.iter().enumerate() {
            for (m, v) in maps.iter().enumerate() {
                v.store(out.add((o * MAPS + m) * stride));
            }
        }
    }
}

#[inline(always)]
unsafe fn horizontal<L: Lanes, const B: usize, const TERMS: u8>(
    job: &Job<'_, impl Sample>,
    buf: *const L::Elem,
    stride: usize,
    weights: &[L; TAPS],
    centre: &[L; 2],
    (sums, second): (*mut f64, usize),
) {
    unsafe {
        let channels = job.x.channels;
        let half = L::splat(0.5);
        let (c1, c2) = (L::splat(job.c1), L::splat(job.c2));
        let (centred, raw) = (L::splat(job.centred), job.raw.map(|raw| L::splat(raw)));
        let mut totals = [L::splat(0.0); 2];
        for o in 0..B {
            let mut acc = [L::splat(0.0); MAPS];
            for (k, &w) in weights.iter().enumerate() {
                for (m, acc) in acc.iter_mut().enumerate() {
                    let v = L::load(buf.add((o * MAPS + m) * stride + k * channels));
                    *acc = v.fma(w, *acc);
                }
            }
            let [ms, md, ss, dd] = acc;
            let (mean_s, mean_d) = (ms.add(centre[0]), md.add(centre[1]));
            let (ms2, md2) = (ms.mul(ms), md.mul(md));
            let (mean_s2, mean_d2) = (mean_s.mul(mean_s), mean_d.mul(mean_d));
            let (vs, vd) = (ms2.fma(centred, ss.sub(ms2)), md2.fma(centred, dd.sub(md2)));
            // Half of both variances and c2, then the structure term as a fraction.
            let structure = |raw: L| {
                let (vs, vd) = (mean_s2.fma(raw, vs), mean_d2.fma(raw, vd));
                let below = vs.add(vd).fma(half, c2);
                (below.sub(vd), below)
            };
            if TERMS != SSIM {
                let (above, below) = structure(raw[0]);
                totals[0] = totals[0].add(above.div(below));
            }
            if TERMS != STRUCTURE {
                let (above, below) = structure(raw[1]);
                let luminance = mean_s2.add(mean_d2).fma(half, c1);
                let term = above.div(below).mul(luminance.sub(mean_d2)).div(luminance);
                let to = if TERMS == BOTH { 1 } else { 0 };
                totals[to] = totals[to].add(term);
            }
        }
        totals[0].accumulate(sums);
        if TERMS == BOTH {
            totals[1].accumulate(sums.add(second));
        }
    }
}
