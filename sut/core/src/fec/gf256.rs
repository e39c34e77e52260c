//! GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1 (0x11D), and the one operation that costs time:
//! linear combinations of byte strings ([`combine`]).
//!
//! | processor | kernel |
//! |---|---|
//! | AVX-512 with GFNI | `gf2p8affineqb`: a product by a constant is an 8x8 bit matrix, whatever the polynomial |
//! | AVX2 | two 16-entry table look-ups per byte (`vpshufb`) |
//! | any | `reed_solomon_erasure::galois_8` |
//!
//! Every kernel gives the same bytes (tested against `galois_8`).

use reed_solomon_erasure::galois_8;
use std::sync::OnceLock;

/// alpha^i for i in 0..510, alpha = 2 (two periods, so that the sum of two logarithms needs no reduction).
static EXP: [u8; 510] = exponentials();
/// Discrete logarithm; entry 0 is unused.
static LOG: [u8; 256] = logarithms();

const fn exponentials() -> [u8; 510] {
    let mut table = [0; 510];
    let (mut i, mut value) = (0, 1u16);
    while i < 510 {
        table[i] = value as u8;
        value <<= 1;
        if value >= 256 {
            value ^= 0x11D;
        }
        i += 1;
    }
    table
}

const fn logarithms() -> [u8; 256] {
    let exp = exponentials();
    let mut table = [0; 256];
    let mut i = 0;
    while i < 255 {
        table[exp[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// alpha^i, alpha = 2.
#[must_use]
pub fn exp(i: usize) -> u8 {
    EXP[i % 255]
}

/// The i below 255 with alpha^i = `a`; 0 for 0, which has none.
#[must_use]
pub(super) fn log(a: u8) -> usize {
    usize::from(LOG[usize::from(a)])
}

/// Product.
#[must_use]
pub fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        0
    } else {
        EXP[usize::from(LOG[usize::from(a)]) + usize::from(LOG[usize::from(b)])]
    }
}

/// Quotient.
///
/// # Panics
/// If `b` is zero.
#[must_use]
pub fn div(a: u8, b: u8) -> u8 {
    assert_ne!(b, 0, "division by zero in GF(2^8)");
    if a == 0 { 0 } else { EXP[usize::from(LOG[usize::from(a)]) + 255 - usize::from(LOG[usize::from(b)])] }
}

/// Which kernel computes [`combine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 F, BW and GFNI.
    Avx512Gfni,
    /// AVX2.
    Avx2,
    /// `reed_solomon_erasure::galois_8`, which has kernels of its own for some processors.
    Portable,
}

impl Kernel {
    /// Kernels this processor can run, fastest first; [`Kernel::Portable`] is always the last.
    #[must_use]
    pub fn available() -> &'static [Kernel] {
        static AVAILABLE: OnceLock<Vec<Kernel>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let mut kernels = Vec::new();
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("gfni")
                {
                    kernels.push(Kernel::Avx512Gfni);
                }
                if is_x86_feature_detected!("avx2") {
                    kernels.push(Kernel::Avx2);
                }
            }
            kernels.push(Kernel::Portable);
            kernels
        })
    }
}

/// `outputs[r] = sum over c of coefficients[r * sources.len() + c] * sources[c]`, on the fastest kernel.
///
/// # Panics
/// If the lengths of sources and outputs differ or there are not outputs x sources coefficients.
pub fn combine(coefficients: &[u8], sources: &[&[u8]], outputs: &mut [&mut [u8]]) {
    combine_with(Kernel::available()[0], coefficients, sources, outputs);
}

/// [`combine`] on a named kernel.
///
/// # Panics
/// As [`combine`], and if this processor does not have the kernel.
pub fn combine_with(kernel: Kernel, coefficients: &[u8], sources: &[&[u8]], outputs: &mut [&mut [u8]]) {
    assert_eq!(coefficients.len(), sources.len() * outputs.len(), "one coefficient per source and output");
    assert!(Kernel::available().contains(&kernel), "{kernel:?} is not available here");
    let Some(length) = outputs.first().map(|o| o.len()) else { return };
    assert!(sources.iter().all(|s| s.len() == length), "sources and outputs have one length");
    assert!(outputs.iter().all(|o| o.len() == length), "sources and outputs have one length");
    if length == 0 {
        return; // galois_8 indexes byte 0
    }
    match kernel {
        // SAFETY: the processor has the features (checked above) and all strings have `length` bytes.
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Gfni => unsafe { x86::combine_gfni(coefficients, sources, outputs, length) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => unsafe { x86::combine_avx2(coefficients, sources, outputs, length) },
        _ => {
            for (output, row) in outputs.iter_mut().zip(coefficients.chunks(sources.len().max(1))) {
                output.fill(0);
                for (source, &c) in sources.iter().zip(row) {
                    galois_8::mul_slice_xor(c, source, output);
                }
            }
            if sources.is_empty() {
                outputs.iter_mut().for_each(|o| o.fill(0));
            }
        }
    }
}

/// Kernels that need instructions beyond the base of x86-64.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::mul;
    use core::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
        _mm256_loadu_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi64,
        _mm256_storeu_si256, _mm256_xor_si256, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512,
        _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_set1_epi64, _mm512_setzero_si512,
        _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_xor_si512,
    };
    use std::sync::LazyLock;

    /// Per constant the bit matrix of its product, in the order `gf2p8affineqb` wants: byte 7-i is the row of
    /// output bit i, bit j of it says whether input bit j takes part.
    static MATRICES: LazyLock<Box<[u64; 256]>> = LazyLock::new(|| {
        let mut table = Box::new([0u64; 256]);
        for c in 0..=255u8 {
            let mut matrix = 0u64;
            for j in 0..8 {
                let column = mul(c, 1 << j);
                for i in 0..8 {
                    matrix |= u64::from(column >> i & 1) << (8 * (7 - i) + j);
                }
            }
            table[usize::from(c)] = matrix;
        }
        table
    });

    /// Per constant its products with the 16 low and the 16 high nibbles.
    static NIBBLES: LazyLock<Box<[[u8; 32]; 256]>> = LazyLock::new(|| {
        let mut table = Box::new([[0u8; 32]; 256]);
        for c in 0..=255u8 {
            for x in 0..16u8 {
                table[usize::from(c)][usize::from(x)] = mul(c, x);
                table[usize::from(c)][16 + usize::from(x)] = mul(c, x << 4);
            }
        }
        table
    });

    /// # Safety
    /// AVX-512 F and BW and GFNI are there; every source and output has `length` bytes.
    #[target_feature(enable = "avx512f,avx512bw,gfni")]
    pub unsafe fn combine_gfni(
        coefficients: &[u8],
        sources: &[&[u8]],
        outputs: &mut [&mut [u8]],
        length: usize,
    ) {
        let matrices: &[u64; 256] = &MATRICES;
        // Five outputs fit the registers; as few passes over the sources as can be, of one size.
        let rows = outputs.len().div_ceil(outputs.len().div_ceil(5).max(1));
        let mut at = 0;
        // Columns outside, so that a strip of all sources stays in the first-level cache over all outputs.
        while at + 256 <= length {
            for (group, outputs) in outputs.chunks_mut(rows.max(1)).enumerate() {
                let row = &coefficients[group * rows * sources.len()..];
                // SAFETY: at + 256 <= length.
                unsafe {
                    match outputs.len() {
                        5 => strip::<5, 4>(matrices, row, sources, outputs, at),
                        4 => strip::<4, 4>(matrices, row, sources, outputs, at),
                        3 => strip::<3, 4>(matrices, row, sources, outputs, at),
                        2 => strip::<2, 4>(matrices, row, sources, outputs, at),
                        _ => strip::<1, 4>(matrices, row, sources, outputs, at),
                    }
                }
            }
            at += 256;
        }
        while at < length {
            let left = (length - at).min(64);
            let mask = if left == 64 { u64::MAX } else { (1u64 << left) - 1 };
            for (output, row) in outputs.iter_mut().zip(coefficients.chunks(sources.len().max(1))) {
                let mut sum = _mm512_setzero_si512();
                for (source, &c) in sources.iter().zip(row) {
                    // SAFETY: the mask ends at `length`.
                    let x = unsafe { _mm512_maskz_loadu_epi8(mask, source.as_ptr().add(at).cast()) };
                    let matrix = _mm512_set1_epi64(matrices[usize::from(c)].cast_signed());
                    sum = _mm512_xor_si512(sum, _mm512_gf2p8affine_epi64_epi8::<0>(x, matrix));
                }
                // SAFETY: the mask ends at `length`.
                unsafe { _mm512_mask_storeu_epi8(output.as_mut_ptr().add(at).cast(), mask, sum) };
            }
            if sources.is_empty() {
                outputs.iter_mut().for_each(|o| o[at..at + left].fill(0));
            }
            at += left;
        }
    }

    /// R outputs, 64 C bytes from `at`: the sums stay in R x C registers while the sources pass by.
    ///
    /// # Safety
    /// As [`combine_gfni`]; `at + 64 C` bytes exist; `rows` has R strings, `row` R rows of coefficients.
    #[target_feature(enable = "avx512f,avx512bw,gfni")]
    unsafe fn strip<const R: usize, const C: usize>(
        matrices: &[u64; 256],
        row: &[u8],
        sources: &[&[u8]],
        rows: &mut [&mut [u8]],
        at: usize,
    ) {
        let count = sources.len();
        let coefficients: [&[u8]; R] = std::array::from_fn(|r| &row[r * count..(r + 1) * count]);
        let mut sums = [[_mm512_setzero_si512(); C]; R];
        let load = |source: &[u8]| {
            let mut x = [_mm512_setzero_si512(); C];
            for (c, x) in x.iter_mut().enumerate() {
                // SAFETY: see above.
                *x = unsafe { _mm512_loadu_si512(source.as_ptr().add(at + 64 * c).cast::<__m512i>()) };
            }
            x
        };
        let matrix = |r: usize, index: usize| {
            _mm512_set1_epi64(matrices[usize::from(coefficients[r][index])].cast_signed())
        };
        let (pairs, last) = sources.as_chunks::<2>();
        for (pair, [first, second]) in pairs.iter().enumerate() {
            let (x, y) = (load(first), load(second));
            for (r, sums) in sums.iter_mut().enumerate() {
                let (mx, my) = (matrix(r, 2 * pair), matrix(r, 2 * pair + 1));
                for c in 0..C {
                    let px = _mm512_gf2p8affine_epi64_epi8::<0>(x[c], mx);
                    let py = _mm512_gf2p8affine_epi64_epi8::<0>(y[c], my);
                    // 0x96: a ^ b ^ c
                    sums[c] = _mm512_ternarylogic_epi64::<0x96>(sums[c], px, py);
                }
            }
        }
        if let Some(source) = last.first() {
            let x = load(source);
            for (r, sums) in sums.iter_mut().enumerate() {
                let matrix = matrix(r, count - 1);
                for c in 0..C {
                    let product = _mm512_gf2p8affine_epi64_epi8::<0>(x[c], matrix);
                    sums[c] = _mm512_xor_si512(sums[c], product);
                }
            }
        }
        for (output, sums) in rows.iter_mut().zip(&sums) {
            for (c, sum) in sums.iter().enumerate() {
                // SAFETY: see above.
                unsafe { _mm512_storeu_si512(output.as_mut_ptr().add(at + 64 * c).cast::<__m512i>(), *sum) };
            }
        }
    }

    /// # Safety
    /// AVX2 is there; every source and output has `length` bytes.
    #[target_feature(enable = "avx2")]
    pub unsafe fn combine_avx2(
        coefficients: &[u8],
        sources: &[&[u8]],
        outputs: &mut [&mut [u8]],
        length: usize,
    ) {
        let tables: &[[u8; 32]; 256] = &NIBBLES;
        let count = sources.len();
        let mut at = 0;
        while at + 64 <= length {
            for (group, rows) in outputs.chunks_mut(4).enumerate() {
                let coefficients = &coefficients[group * 4 * count..];
                // SAFETY: at + 64 <= length.
                unsafe {
                    match rows.len() {
                        1 => strip_avx2::<1>(tables, coefficients, sources, rows, at),
                        2 => strip_avx2::<2>(tables, coefficients, sources, rows, at),
                        3 => strip_avx2::<3>(tables, coefficients, sources, rows, at),
                        _ => strip_avx2::<4>(tables, coefficients, sources, rows, at),
                    }
                }
            }
            at += 64;
        }
        for (output, row) in outputs.iter_mut().zip(coefficients.chunks(count.max(1))) {
            for (i, byte) in output.iter_mut().enumerate().skip(at) {
                *byte = sources.iter().zip(row).fold(0, |sum, (s, &c)| {
                    let table = &tables[usize::from(c)];
                    sum ^ table[usize::from(s[i] & 15)] ^ table[16 + usize::from(s[i] >> 4)]
                });
            }
        }
        if sources.is_empty() {
            outputs.iter_mut().for_each(|o| o.fill(0));
        }
    }

    /// R outputs, 64 bytes from `at`: the sums stay in registers, nibbles are taken apart once per source.
    ///
    /// # Safety
    /// AVX2 is there; 64 bytes exist from `at`; there are R rows of coefficients and R outputs.
    #[target_feature(enable = "avx2")]
    unsafe fn strip_avx2<const R: usize>(
        tables: &[[u8; 32]; 256],
        coefficients: &[u8],
        sources: &[&[u8]],
        outputs: &mut [&mut [u8]],
        at: usize,
    ) {
        let low = _mm256_set1_epi8(0x0F);
        let count = sources.len();
        let rows: [&[u8]; R] = std::array::from_fn(|r| &coefficients[r * count..(r + 1) * count]);
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        for (index, source) in sources.iter().enumerate() {
            let load = |column: usize| {
                // SAFETY: see above.
                unsafe { _mm256_loadu_si256(source.as_ptr().add(at + column).cast::<__m256i>()) }
            };
            let (x, y) = (load(0), load(32));
            let high = |x| _mm256_and_si256(_mm256_srli_epi64::<4>(x), low);
            let nibbles = [[_mm256_and_si256(x, low), _mm256_and_si256(y, low)], [high(x), high(y)]];
            for (sums, row) in sums.iter_mut().zip(rows) {
                let table = &tables[usize::from(row[index])];
                for (half, nibbles) in nibbles.iter().enumerate() {
                    // SAFETY: a table has 32 bytes.
                    let products = unsafe {
                        _mm256_broadcastsi128_si256(_mm_loadu_si128(
                            table.as_ptr().cast::<__m128i>().add(half),
                        ))
                    };
                    for (sum, nibbles) in sums.iter_mut().zip(nibbles) {
                        *sum = _mm256_xor_si256(*sum, _mm256_shuffle_epi8(products, *nibbles));
                    }
                }
            }
        }
        for (output, sums) in outputs.iter_mut().zip(&sums) {
            for (c, sum) in sums.iter().enumerate() {
                // SAFETY: see above.
                unsafe {
                    _mm256_storeu_si256(output.as_mut_ptr().add(at + 32 * c).cast::<__m256i>(), *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_arithmetic_is_that_of_galois_8() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                assert_eq!(mul(a, b), galois_8::mul(a, b));
                if b != 0 {
                    assert_eq!(div(a, b), galois_8::div(a, b));
                }
            }
        }
    }

    #[test]
    fn every_kernel_gives_the_bytes_of_galois_8() {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let mut shapes = vec![(0, 2, 70), (1, 1, 1), (3, 2, 63), (5, 4, 64), (7, 5, 257), (1, 3, 0)];
        shapes.extend([(20, 9, 1024), (2, 7, 300), (0, 20, 300), (170, 85, 384), (171, 85, 129)]);
        // Every number of outputs in a pass, with odd and even numbers of sources and any length.
        shapes.extend((1..40).flat_map(|outputs| {
            [2, 3].map(|add| (usize::from(next() % 12) + add, outputs, usize::from(next()) * 3 + add))
        }));
        for (sources, outputs, length) in shapes {
            let data: Vec<Vec<u8>> = (0..sources).map(|_| (0..length).map(|_| next()).collect()).collect();
            let coefficients: Vec<u8> = (0..sources * outputs).map(|_| next()).collect();
            let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let mut expected = vec![vec![0u8; length]; outputs];
            for (r, out) in expected.iter_mut().enumerate() {
                for (c, source) in data.iter().enumerate() {
                    for (o, s) in out.iter_mut().zip(*source) {
                        *o ^= galois_8::mul(coefficients[r * sources + c], *s);
                    }
                }
            }
            for &kernel in Kernel::available() {
                let mut got = vec![vec![0xAAu8; length]; outputs];
                let mut slices: Vec<&mut [u8]> = got.iter_mut().map(Vec::as_mut_slice).collect();
                combine_with(kernel, &coefficients, &data, &mut slices);
                assert_eq!(got, expected, "{kernel:?} {sources} {outputs} {length}");
            }
        }
    }
}
