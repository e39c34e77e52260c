//! One source for every instruction set: kernels are written over [`Lanes`] and compiled once per
//! [`SimdLevel`], each copy inside a function that carries the matching `target_feature`.
//!
//! The compiler cannot vectorise these kernels by itself (they keep 16 accumulators in registers),
//! and the portable vector types of the standard library are not stable; hence this small trait.

/// Instruction set a kernel runs on. Results agree between levels to a few units in the last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimdLevel {
    /// Plain Rust; every machine.
    Portable,
    /// 256-bit vectors with fused multiply-add (x86-64, 2013 and later).
    Avx2,
    /// 512-bit vectors (x86-64 servers, Zen 4 and later).
    Avx512,
}

impl SimdLevel {
    /// The best level of this machine.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Every level this machine has, the portable one first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        [Self::Portable, Self::Avx2, Self::Avx512].into_iter().filter(|&l| l <= Self::best()).collect()
    }

    /// This level, or the best the machine has if that is less: kernels rely on it for safety.
    pub(crate) fn supported(self) -> Self {
        self.min(Self::best())
    }
}

/// A vector of `N` floating-point numbers.
///
/// # Safety
/// Every method may only run where the implementor's instruction set exists, and pointers must be
/// valid for `N` elements; there is no alignment requirement.
pub(crate) trait Lanes: Copy {
    type Elem: Copy + Default;
    const N: usize;
    unsafe fn splat(x: f64) -> Self;
    unsafe fn load(p: *const Self::Elem) -> Self;
    unsafe fn store(self, p: *mut Self::Elem);
    unsafe fn add(self, o: Self) -> Self;
    unsafe fn sub(self, o: Self) -> Self;
    unsafe fn mul(self, o: Self) -> Self;
    unsafe fn div(self, o: Self) -> Self;
    /// `self * b + c`.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    unsafe fn from_u8(p: *const u8) -> Self;
    unsafe fn from_u16(p: *const u16) -> Self;
    /// Numbers below 2^31.
    unsafe fn from_u32(p: *const u32) -> Self;
    /// Adds each lane to one of `N` doubles.
    unsafe fn accumulate(self, p: *mut f64);
}

/// Sample types a picture plane may have.
pub(crate) trait Sample: Copy + Into<u64> {
    unsafe fn lanes<L: Lanes>(p: *const Self) -> L;
}

impl Sample for u8 {
    #[inline(always)]
    unsafe fn lanes<L: Lanes>(p: *const Self) -> L {
        unsafe { L::from_u8(p) }
    }
}

impl Sample for u16 {
    #[inline(always)]
    unsafe fn lanes<L: Lanes>(p: *const Self) -> L {
        unsafe { L::from_u16(p) }
    }
}

impl Sample for u32 {
    #[inline(always)]
    unsafe fn lanes<L: Lanes>(p: *const Self) -> L {
        unsafe { L::from_u32(p) }
    }
}

macro_rules! portable {
    ($name:ident, $elem:ty, $n:literal) => {
        /// Plain arrays; the compiler makes of them what the baseline target offers.
        #[derive(Clone, Copy)]
        pub(crate) struct $name([$elem; $n]);

        impl $name {
            #[inline(always)]
            fn zip(self, o: Self, f: impl Fn($elem, $elem) -> $elem) -> Self {
                Self(std::array::from_fn(|i| f(self.0[i], o.0[i])))
            }
        }

        impl Lanes for $name {
            type Elem = $elem;
            const N: usize = $n;
            #[inline(always)]
            unsafe fn splat(x: f64) -> Self {
                Self([x as $elem; $n])
            }
            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                Self(unsafe { p.cast::<[$elem; $n]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                unsafe { p.cast::<[$elem; $n]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn add(self, o: Self) -> Self {
                self.zip(o, |a, b| a + b)
            }
            #[inline(always)]
            unsafe fn sub(self, o: Self) -> Self {
                self.zip(o, |a, b| a - b)
            }
            #[inline(always)]
            unsafe fn mul(self, o: Self) -> Self {
                self.zip(o, |a, b| a * b)
            }
            #[inline(always)]
            unsafe fn div(self, o: Self) -> Self {
                self.zip(o, |a, b| a / b)
            }
            #[inline(always)]
            unsafe fn fma(self, b: Self, c: Self) -> Self {
                // Not `mul_add`: without the instruction it is a library call.
                Self(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
            }
            #[inline(always)]
            unsafe fn from_u8(p: *const u8) -> Self {
                let v = unsafe { p.cast::<[u8; $n]>().read_unaligned() };
                Self(v.map(<$elem>::from))
            }
            #[inline(always)]
            unsafe fn from_u16(p: *const u16) -> Self {
                let v = unsafe { p.cast::<[u16; $n]>().read_unaligned() };
                Self(v.map(<$elem>::from))
            }
            #[inline(always)]
            unsafe fn from_u32(p: *const u32) -> Self {
                let v = unsafe { p.cast::<[u32; $n]>().read_unaligned() };
                Self(v.map(|v| v as $elem))
            }
            #[inline(always)]
            unsafe fn accumulate(self, p: *mut f64) {
                for (i, v) in self.0.into_iter().enumerate() {
                    unsafe { *p.add(i) += f64::from(v) };
                }
            }
        }
    };
}

portable!(PortableF32, f32, 4);
portable!(PortableF64, f64, 2);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($ty:ty, $elem:ty, $n:literal, $set:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
         $div:ident, $fma:ident, |$p8:ident| $u8:expr, |$p16:ident| $u16:expr, |$p32:ident| $u32:expr, |$v:ident, $acc:ident| $accumulate:expr) => {
            impl Lanes for $ty {
                type Elem = $elem;
                const N: usize = $n;
                #[inline(always)]
                unsafe fn splat(x: f64) -> Self {
                    unsafe { $set(x as $elem) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $elem) -> Self {
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $elem) {
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                unsafe fn add(self, o: Self) -> Self {
                    unsafe { $add(self, o) }
                }
                #[inline(always)]
                unsafe fn sub(self, o: Self) -> Self {
                    unsafe { $sub(self, o) }
                }
                #[inline(always)]
                unsafe fn mul(self, o: Self) -> Self {
                    unsafe { $mul(self, o) }
                }
                #[inline(always)]
                unsafe fn div(self, o: Self) -> Self {
                    unsafe { $div(self, o) }
                }
                #[inline(always)]
                unsafe fn fma(self, b: Self, c: Self) -> Self {
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                unsafe fn from_u8($p8: *const u8) -> Self {
                    unsafe { $u8 }
                }
                #[inline(always)]
                unsafe fn from_u16($p16: *const u16) -> Self {
                    unsafe { $u16 }
                }
                #[inline(always)]
                unsafe fn from_u32($p32: *const u32) -> Self {
                    unsafe { $u32 }
                }
                #[inline(always)]
                unsafe fn accumulate(self, $acc: *mut f64) {
                    let $v = self;
                    unsafe { $accumulate }
                }
            }
        };
    }

    vector!(
        __m256,
        f32,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_div_ps,
        _mm256_fmadd_ps,
        |p| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()))),
        |p| _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()))),
        |p| _mm256_cvtepi32_ps(_mm256_loadu_si256(p.cast())),
        |v, acc| {
            let lo = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
            let hi = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(v));
            _mm256_storeu_pd(acc, _mm256_add_pd(_mm256_loadu_pd(acc), lo));
            _mm256_storeu_pd(acc.add(4), _mm256_add_pd(_mm256_loadu_pd(acc.add(4)), hi));
        }
    );
    vector!(
        __m256d,
        f64,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        _mm256_div_pd,
        _mm256_fmadd_pd,
        |p| _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(p.cast::<i32>().read_unaligned()))),
        |p| _mm256_cvtepi32_pd(_mm_cvtepu16_epi32(_mm_loadl_epi64(p.cast()))),
        |p| _mm256_cvtepi32_pd(_mm_loadu_si128(p.cast())),
        |v, acc| _mm256_storeu_pd(acc, _mm256_add_pd(_mm256_loadu_pd(acc), v))
    );
    vector!(
        __m512,
        f32,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_div_ps,
        _mm512_fmadd_ps,
        |p| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))),
        |p| _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()))),
        |p| _mm512_cvtepi32_ps(_mm512_loadu_si512(p.cast())),
        |v, acc| {
            let lo = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
            let hi = _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(v));
            _mm512_storeu_pd(acc, _mm512_add_pd(_mm512_loadu_pd(acc), lo));
            _mm512_storeu_pd(acc.add(8), _mm512_add_pd(_mm512_loadu_pd(acc.add(8)), hi));
        }
    );
    vector!(
        __m512d,
        f64,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        _mm512_div_pd,
        _mm512_fmadd_pd,
        |p| _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()))),
        |p| _mm512_cvtepi32_pd(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()))),
        |p| _mm512_cvtepi32_pd(_mm256_loadu_si256(p.cast())),
        |v, acc| _mm512_storeu_pd(acc, _mm512_add_pd(_mm512_loadu_pd(acc), v))
    );
}
