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
/// floor(x^64 / polynomial), for Barrett's reduction; the x^32 term included.
const BARRETT: u64 = barrett();

const fn barrett() -> u64 {
    let full = 1u128 << 32 | POLYNOMIAL as u128;
    let (mut rest, mut quotient, mut bit) = (1u128 << 64, 0u64, 64);
    while bit >= 32 {
        if rest >> bit & 1 == 1 {
            rest ^= full << (bit - 32);
            quotient |= 1 << (bit - 32);
        }
        bit -= 1;
    }
    quotient
}

/// Product.
#[must_use]
pub fn mul(a: u32, b: u32) -> u32 {
    let (mut product, mut a) = (0u32, a);
    for i in 0..32 {
        product ^= a & 0u32.wrapping_sub(b >> i & 1);
        a = a << 1 ^ (POLYNOMIAL as u32 & 0u32.wrapping_sub(a >> 31));
    }
    product
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
pub fn combine<'a>(terms: impl Iterator<Item = (u32, &'a Block)>, output: &mut Block) {
    combine_with(Kernel::available()[0], terms, output);
}

/// [`combine`] on a named kernel.
///
/// # Panics
/// If this processor does not have the kernel.
pub fn combine_with<'a>(kernel: Kernel, terms: impl Iterator<Item = (u32, &'a Block)>, output: &mut Block) {
    assert!(Kernel::available().contains(&kernel), "{kernel:?} is not available here");
    match kernel {
        // SAFETY: the processor has the features (checked above).
        #[cfg(target_arch = "x86_64")]
        Kernel::Vpclmul => unsafe { x86::combine_vpclmul(terms, output) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Clmul => unsafe { x86::combine_clmul(terms, output) },
        _ => {
            for (c, block) in terms {
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
    use super::{BARRETT, Block, POLYNOMIAL, WORDS};
    use core::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm256_loadu_si256,
        _mm512_clmulepi64_epi128, _mm512_cvtepu32_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
        _mm512_storeu_si512, _mm512_unpacklo_epi64, _mm512_xor_si512,
    };

    /// Barrett's reduction of a 63-bit product.
    #[target_feature(enable = "pclmulqdq")]
    fn reduce(product: u64) -> u32 {
        let quotient = clmul(product >> 32, BARRETT) >> 32;
        (product ^ clmul(quotient & 0xFFFF_FFFF, 1 << 32 | POLYNOMIAL)) as u32
    }

    /// Low 64 bits of the carry-less product.
    #[target_feature(enable = "pclmulqdq")]
    fn clmul(a: u64, b: u64) -> u64 {
        let product =
            _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(a.cast_signed()), _mm_cvtsi64_si128(b.cast_signed()));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }

    #[target_feature(enable = "pclmulqdq")]
    pub fn combine_clmul<'a>(terms: impl Iterator<Item = (u32, &'a Block)>, output: &mut Block) {
        let mut sums = [0u64; WORDS];
        for (c, block) in terms {
            for (sum, &word) in sums.iter_mut().zip(block) {
                *sum ^= clmul(u64::from(c), u64::from(word));
            }
        }
        for (out, sum) in output.iter_mut().zip(sums) {
            *out ^= reduce(sum);
        }
    }

    #[target_feature(enable = "avx512f,vpclmulqdq,pclmulqdq")]
    pub fn combine_vpclmul<'a>(terms: impl Iterator<Item = (u32, &'a Block)>, output: &mut Block) {
        // Even and odd words of each eight: a product fills the low half of a 128-bit lane.
        let mut even = [_mm512_setzero_si512(); WORDS / 8];
        let mut odd = [_mm512_setzero_si512(); WORDS / 8];
        for (c, block) in terms {
            let c = _mm512_set1_epi64(i64::from(c));
            for (i, (even, odd)) in even.iter_mut().zip(&mut odd).enumerate() {
                // SAFETY: eight words from 8 i <= 56.
                let words = unsafe { _mm256_loadu_si256(block.as_ptr().add(8 * i).cast::<__m256i>()) };
                let words = _mm512_cvtepu32_epi64(words);
                *even = _mm512_xor_si512(*even, _mm512_clmulepi64_epi128::<0x00>(words, c));
                *odd = _mm512_xor_si512(*odd, _mm512_clmulepi64_epi128::<0x01>(words, c));
            }
        }
        let mut sums = [0u64; WORDS];
        for (i, (even, odd)) in even.into_iter().zip(odd).enumerate() {
            // SAFETY: eight sums from 8 i <= 56.
            unsafe {
                _mm512_storeu_si512(sums.as_mut_ptr().add(8 * i).cast(), _mm512_unpacklo_epi64(even, odd));
            }
        }
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
        }
    }

    #[test]
    fn every_kernel_gives_the_words_of_the_definition() {
        let word = |i: usize, j: usize| ((i * 64 + j) as u32 + 1).wrapping_mul(0x85EB_CA6B).rotate_left(9);
        let blocks: Vec<Block> = (0..9).map(|i| std::array::from_fn(|j| word(i, j))).collect();
        let constants: Vec<u32> = (0..9).map(|i| if i == 3 { 0 } else { word(i, 77) }).collect();
        let mut expected: Block = std::array::from_fn(|j| word(20, j));
        for (c, block) in constants.iter().zip(&blocks) {
            for (e, w) in expected.iter_mut().zip(block) {
                *e ^= mul(*c, *w);
            }
        }
        for &kernel in Kernel::available() {
            let mut got: Block = std::array::from_fn(|j| word(20, j));
            combine_with(kernel, constants.iter().copied().zip(&blocks), &mut got);
            assert_eq!(got, expected, "{kernel:?}");
        }
    }
}
