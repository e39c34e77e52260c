//! GF(2^32) with the polynomial x^32+x^22+x^2+x+1, on blocks of 64 words: the field of the streaming code.
//!
//! A [`Block`] is one 256-byte stripe, read as little-endian words. Sums of products are added up unreduced
//! (carry-less products have 63 bits) and reduced once at the end.
//!
//! | processor | kernel |
//! |---|---|
//! | AVX-512 with VPCLMULQDQ | four carry-less products an instruction |
//! | PCLMULQDQ | one |
//! | any | tables of the products with 16 nibbles, per constant |
//!
//! Every kernel gives the same words (tested).

use std::sync::OnceLock;

/// Words in a [`Block`].
pub const WORDS: usize = 64;
/// Bytes in a [`Block`]: the stripe of the streaming code.
pub const BLOCK_BYTES: usize = 4 * WORDS;
/// One stripe.
pub type Block = [u32; WORDS];

/// The polynomial without x^32.
const POLYNOMIAL: u64 = 0x0040_0007;

/// Product.
#[must_use]
pub fn mul(a: u32, b: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: the processor has it.
        return unsafe { x86::mul(a, b) };
    }
    mul_by_bits(a, b)
}

/// The definition.
fn mul_by_bits(a: u32, b: u32) -> u32 {
    let (mut product, mut a) = (0u32, a);
    for i in 0..32 {
        product ^= a & 0u32.wrapping_sub(b >> i & 1);
        a = a << 1 ^ (POLYNOMIAL as u32 & 0u32.wrapping_sub(a >> 31));
    }
    product
}

/// A carry-less product modulo the polynomial, by Barrett's reduction: floor(x^64 / polynomial) is
/// x^32+x^22+x^12+x+1, of which the product's upper 31 bits meet the first three terms only.
#[inline]
fn reduce(product: u64) -> u32 {
    let high = product >> 32;
    let quotient = high ^ high >> 10 ^ high >> 20;
    (product ^ quotient ^ quotient << 1 ^ quotient << 2 ^ quotient << 22) as u32
}

/// Inverse, a^(2^32 - 2).
///
/// # Panics
/// If `a` is zero.
#[must_use]
pub fn inverse(a: u32) -> u32 {
    assert_ne!(a, 0, "zero has no inverse in GF(2^32)");
    let (mut square, mut result) = (a, 1);
    for _ in 1..32 {
        square = mul(square, square);
        result = mul(result, square);
    }
    result
}

/// All values inverted with one inversion and three products each.
///
/// # Panics
/// If a value is zero.
pub fn invert_all(values: &mut [u32]) {
    let mut product = 1;
    let before: Vec<u32> = values
        .iter()
        .map(|&v| {
            let p = product;
            product = mul(product, v);
            p
        })
        .collect();
    let mut rest = inverse(product);
    for (v, before) in values.iter_mut().zip(before).rev() {
        let inverted = mul(rest, before);
        rest = mul(rest, *v);
        *v = inverted;
    }
}

/// Which kernel computes [`combine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 F and VPCLMULQDQ.
    Vpclmul,
    /// PCLMULQDQ.
    Clmul,
    /// Tables.
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
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("vpclmulqdq") {
                    kernels.push(Kernel::Vpclmul);
                }
                if is_x86_feature_detected!("pclmulqdq") {
                    kernels.push(Kernel::Clmul);
                }
            }
            kernels.push(Kernel::Portable);
            kernels
        })
    }
}

/// Adds `sum of c * block` to `output`, on the fastest kernel.
pub fn combine(terms: &[(u32, &Block)], output: &mut Block) {
    combine_with(Kernel::available()[0], terms, output);
}

/// [`combine`] on a named kernel.
///
/// # Panics
/// If this processor does not have the kernel.
pub fn combine_with(kernel: Kernel, terms: &[(u32, &Block)], output: &mut Block) {
    assert!(Kernel::available().contains(&kernel), "{kernel:?} is not available here");
    match kernel {
        // SAFETY: the processor has the features (checked above).
        #[cfg(target_arch = "x86_64")]
        Kernel::Vpclmul => unsafe { x86::combine_vpclmul(terms, output) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Clmul => unsafe { x86::combine_clmul(terms, output) },
        _ => {
            for &(c, block) in terms {
                let table = nibble_products(c);
                for (out, &word) in output.iter_mut().zip(block) {
                    for (i, products) in table.iter().enumerate() {
                        *out ^= products[(word >> (4 * i) & 15) as usize];
                    }
                }
            }
        }
    }
}

/// Row i: c * (nibble << 4i).
fn nibble_products(c: u32) -> [[u32; 16]; 8] {
    let mut table = [[0; 16]; 8];
    let mut power = c;
    for products in &mut table {
        for bit in [1, 2, 4, 8] {
            for low in 0..bit {
                products[bit + low] = products[low] ^ power;
            }
            power = power << 1 ^ (POLYNOMIAL as u32 & 0u32.wrapping_sub(power >> 31));
        }
    }
    table
}

/// Kernels that need instructions beyond the base of x86-64.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Block, WORDS, reduce};
    use core::arch::x86_64::{
        __m128i, __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_loadu_si128,
        _mm_setzero_si128, _mm_unpackhi_epi32, _mm_unpacklo_epi32, _mm_xor_si128, _mm256_loadu_si256,
        _mm512_clmulepi64_epi128, _mm512_cvtepu32_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
        _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
    };

    #[target_feature(enable = "pclmulqdq")]
    pub fn mul(a: u32, b: u32) -> u32 {
        let (a, b) = (_mm_cvtsi64_si128(i64::from(a)), _mm_cvtsi64_si128(i64::from(b)));
        reduce(_mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(a, b)).cast_unsigned())
    }

    /// Eight words at a time, so that their sums stay in registers over all terms.
    #[target_feature(enable = "pclmulqdq")]
    pub fn combine_clmul(terms: &[(u32, &Block)], output: &mut Block) {
        let zero = _mm_setzero_si128();
        for at in (0..WORDS).step_by(8) {
            let mut sums = [zero; 8];
            for &(c, block) in terms {
                let c = _mm_cvtsi64_si128(i64::from(c));
                for (four, sums) in sums.chunks_exact_mut(4).enumerate() {
                    // SAFETY: four words from at + 4 four <= 60.
                    let words =
                        unsafe { _mm_loadu_si128(block.as_ptr().add(at + 4 * four).cast::<__m128i>()) };
                    let (low, high) = (_mm_unpacklo_epi32(words, zero), _mm_unpackhi_epi32(words, zero));
                    sums[0] = _mm_xor_si128(sums[0], _mm_clmulepi64_si128::<0x00>(low, c));
                    sums[1] = _mm_xor_si128(sums[1], _mm_clmulepi64_si128::<0x01>(low, c));
                    sums[2] = _mm_xor_si128(sums[2], _mm_clmulepi64_si128::<0x00>(high, c));
                    sums[3] = _mm_xor_si128(sums[3], _mm_clmulepi64_si128::<0x01>(high, c));
                }
            }
            for (out, sum) in output[at..at + 8].iter_mut().zip(sums) {
                *out ^= reduce(_mm_cvtsi128_si64(sum).cast_unsigned());
            }
        }
    }

    /// All 64 words in 16 registers, two terms at a time.
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub fn combine_vpclmul(terms: &[(u32, &Block)], output: &mut Block) {
        // Even and odd words of each eight: a product fills the low half of a 128-bit lane.
        let mut even = [_mm512_setzero_si512(); WORDS / 8];
        let mut odd = [_mm512_setzero_si512(); WORDS / 8];
        let (pairs, last) = terms.as_chunks::<2>();
        for &[(c, x), (d, y)] in pairs {
            let (c, d) = (_mm512_set1_epi64(i64::from(c)), _mm512_set1_epi64(i64::from(d)));
            for i in 0..WORDS / 8 {
                // SAFETY: eight words from 8 i <= 56.
                let (x, y) = unsafe {
                    (
                        _mm256_loadu_si256(x.as_ptr().add(8 * i).cast::<__m256i>()),
                        _mm256_loadu_si256(y.as_ptr().add(8 * i).cast::<__m256i>()),
                    )
                };
                let (x, y) = (_mm512_cvtepu32_epi64(x), _mm512_cvtepu32_epi64(y));
                // 0x96: a ^ b ^ c
                even[i] = _mm512_ternarylogic_epi64::<0x96>(
                    even[i],
                    _mm512_clmulepi64_epi128::<0x00>(x, c),
                    _mm512_clmulepi64_epi128::<0x00>(y, d),
                );
                odd[i] = _mm512_ternarylogic_epi64::<0x96>(
                    odd[i],
                    _mm512_clmulepi64_epi128::<0x01>(x, c),
                    _mm512_clmulepi64_epi128::<0x01>(y, d),
                );
            }
        }
        for &(c, block) in last {
            let c = _mm512_set1_epi64(i64::from(c));
            for i in 0..WORDS / 8 {
                // SAFETY: eight words from 8 i <= 56.
                let words = unsafe { _mm256_loadu_si256(block.as_ptr().add(8 * i).cast::<__m256i>()) };
                let words = _mm512_cvtepu32_epi64(words);
                even[i] = _mm512_xor_si512(even[i], _mm512_clmulepi64_epi128::<0x00>(words, c));
                odd[i] = _mm512_xor_si512(odd[i], _mm512_clmulepi64_epi128::<0x01>(words, c));
            }
        }
        let mut sums = [0u64; WORDS];
        for i in 0..WORDS / 8 {
            // SAFETY: eight sums from 8 i <= 56.
            unsafe {
                let both = _mm512_unpacklo_epi64(even[i], odd[i]);
                _mm512_storeu_si512(sums.as_mut_ptr().add(8 * i).cast(), both);
            }
        }
        // Shifts alone: done eight words at a time.
        for (out, sum) in output.iter_mut().zip(sums) {
            *out ^= reduce(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_a_field() {
        // x^31 * x = x^32 = x^22 + x^2 + x + 1, the definition.
        assert_eq!(mul(1 << 31, 2), 0x0040_0007);
        let mut values: Vec<u32> = (1..200u32).map(|i| i.wrapping_mul(0x9E37_79B1)).collect();
        let originals = values.clone();
        invert_all(&mut values);
        for (a, b) in originals.iter().zip(&values) {
            assert_eq!(mul(*a, *b), 1);
            assert_eq!(inverse(*a), *b);
            assert_eq!(mul(*a, 0x1234_5678), mul(0x1234_5678, *a));
            assert_eq!(mul(*a, *b ^ 77), mul_by_bits(*a, *b ^ 77));
        }
        for (a, b) in [(u32::MAX, u32::MAX), (u32::MAX, 1), (0, 5), (1 << 31, 1 << 31)] {
            assert_eq!(mul(a, b), mul_by_bits(a, b));
        }
    }

    #[test]
    fn every_kernel_gives_the_words_of_the_definition() {
        let word = |i: usize, j: usize| ((i * 64 + j) as u32 + 1).wrapping_mul(0x85EB_CA6B).rotate_left(9);
        let blocks: Vec<Block> = (0..9).map(|i| std::array::from_fn(|j| word(i, j))).collect();
        let constants: Vec<u32> = (0..9).map(|i| if i == 3 { 0 } else { word(i, 77) }).collect();
        for count in 0..=blocks.len() {
            let mut expected: Block = std::array::from_fn(|j| word(20, j));
            for (c, block) in constants.iter().zip(&blocks[..count]) {
                for (e, w) in expected.iter_mut().zip(block) {
                    *e ^= mul_by_bits(*c, *w);
                }
            }
            let terms: Vec<(u32, &Block)> = constants.iter().copied().zip(&blocks[..count]).collect();
            for &kernel in Kernel::available() {
                let mut got: Block = std::array::from_fn(|j| word(20, j));
                combine_with(kernel, &terms, &mut got);
                assert_eq!(got, expected, "{kernel:?} {count}");
            }
        }
    }
}
