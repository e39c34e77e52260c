//! Quantised cumulative distributions: 16 bits, every symbol at least one step wide.

use std::f64::consts::SQRT_2;

/// Width of a whole distribution.
pub const TOTAL: u32 = 1 << 16;
/// Rows of the Gaussian table.
pub const SCALES: usize = 128;

/// Cumulative widths of symbols with these probabilities: `n + 1` values from 0 to [`TOTAL`].
///
/// A symbol whose width rounds to nothing takes one step from the narrowest symbol that has more than one, the first such
/// on ties. Probabilities are clamped to 0..=1 (not-a-number to 0), so that every input gives a table that can be coded with.
///
/// # Panics
/// With no probability, or with more than [`TOTAL`] of them.
#[must_use]
pub fn quantised(probabilities: &[f32]) -> Vec<u32> {
    let n = probabilities.len();
    assert!(n > 0 && n <= TOTAL as usize, "{n} symbols do not share {TOTAL} steps");
    let widths: Vec<u64> = probabilities.iter().map(|&p| width(p)).collect();
    let total = widths.iter().sum::<u64>().max(1);
    let mut cumulative = Vec::with_capacity(n + 1);
    let mut sum = 0u32;
    cumulative.push(0);
    for w in widths {
        sum += u32::try_from(u64::from(TOTAL) * w / total).unwrap_or(TOTAL);
        cumulative.push(sum);
    }
    cumulative[n] = TOTAL;
    for empty in 0..n {
        if cumulative[empty] != cumulative[empty + 1] {
            continue;
        }
        let wide = |&j: &usize| cumulative[j + 1] - cumulative[j] > 1;
        let giver = (0..n).filter(wide).min_by_key(|&j| cumulative[j + 1] - cumulative[j]);
        let giver = giver.expect("n symbols of no more than TOTAL steps leave one that is wider than one");
        if giver < empty {
            cumulative[giver + 1..=empty].iter_mut().for_each(|c| *c -= 1);
        } else {
            cumulative[empty + 1..=giver].iter_mut().for_each(|c| *c += 1);
        }
    }
    cumulative
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn width(p: f32) -> u64 {
    // NaN fails the comparison and counts as nothing. `round` is half away from zero, as C's.
    let p = if p > 0.0 { p.min(1.0) } else { 0.0 };
    (p * TOTAL as f32).round() as u64
}

/// One distribution: symbols from `offset` upwards, the last one an escape for every other value.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Cumulative widths from 0 to [`TOTAL`], one more than symbols.
    pub cdf: &'a [u32],
    /// Value of the first symbol.
    pub offset: i32,
}

impl Row<'_> {
    /// Index of the escape symbol.
    #[must_use]
    pub fn escape(&self) -> usize {
        self.cdf.len() - 2
    }
}

/// Distributions by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    cdf: Vec<u32>,
    /// End of each row in `cdf`.
    ends: Vec<usize>,
    offsets: Vec<i32>,
}

impl Tables {
    /// Adds a row of symbols from `offset` upwards; the last probability is that of all other values together.
    ///
    /// # Panics
    /// With fewer than two probabilities: there must be a symbol and an escape.
    pub fn push(&mut self, offset: i32, probabilities: &[f32]) {
        assert!(probabilities.len() >= 2, "a row has a symbol and an escape");
        self.cdf.extend(quantised(probabilities));
        self.ends.push(self.cdf.len());
        self.offsets.push(offset);
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A row.
    ///
    /// # Panics
    /// When there is none of that number.
    #[must_use]
    pub fn row(&self, row: usize) -> Row<'_> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        Row { cdf: &self.cdf[start..self.ends[row]], offset: self.offsets[row] }
    }

    /// The Gaussians that latents are coded with: [`SCALES`] standard deviations, equally far apart in their logarithms,
    /// each cut where 99.99 % of it lie within (at 2 to 8 steps).
    ///
    /// Every operation is rounded to 32 bits in the original's order; the error function is computed in 64 bits.
    #[must_use]
    pub fn gaussian() -> Self {
        let mut tables = Self::default();
        for k in 0..SCALES {
            let inverse = 1.0 / scale(k);
            let cut = (2u8..8).find(|&i| normal(f32::from(i), inverse) > 0.9999).unwrap_or(8);
            let cut = i32::from(cut);
            #[allow(clippy::cast_precision_loss)] // at most 8
            let mut p: Vec<f32> = (-cut..=cut)
                .map(|v| normal(v as f32 + 0.5, inverse) - normal(v as f32 - 0.5, inverse))
                .collect();
            #[allow(clippy::cast_precision_loss)]
            p.push(2.0 * normal(-(cut as f32) - 0.5, inverse));
            tables.push(-cut, &p);
        }
        tables
    }
}

/// Standard deviation of row `k` of the Gaussian table.
///
/// # Panics
/// When `k` is not below [`SCALES`].
#[must_use]
pub fn scale(k: usize) -> f32 {
    f32::from_bits(SCALE_BITS[k])
}

/// The normal distribution function of `v`, standard deviation `1 / inverse`.
#[allow(clippy::cast_possible_truncation)]
fn normal(v: f32, inverse: f32) -> f32 {
    let x = v * inverse / SQRT_2 as f32;
    0.5 * (1.0 + libm::erf(f64::from(x)) as f32)
}

/// `torch.exp(torch.linspace(ln 0.11, ln 16, 128))` in 32-bit floats, as libtorch 2.11 computes it on a CPU (a test of the
/// networks asks it). A correctly rounded computation differs in the last bit of 27 of them, which changes four rows.
const SCALE_BITS: [u32; SCALES] = [
    0x3de1_47ae,
    0x3dea_49ff,
    0x3df3_a88b,
    0x3dfd_6701,
    0x3e03_c49d,
    0x3e09_0998,
    0x3e0e_8487,
    0x3e14_378f,
    0x3e1a_24f0,
    0x3e20_4eff,
    0x3e26_b82a,
    0x3e2d_62f7,
    0x3e34_5206,
    0x3e3b_8810,
    0x3e43_07ed,
    0x3e4a_d490,
    0x3e52_f10d,
    0x3e5b_6093,
    0x3e64_2676,
    0x3e6d_4629,
    0x3e76_c344,
    0x3e80_50c2,
    0x3e85_7265,
    0x3e8a_c890,
    0x3e90_555e,
    0x3e96_1afd,
    0x3e9c_1bb3,
    0x3ea2_59de,
    0x3ea8_d7f3,
    0x3eaf_987e,
    0x3eb6_9e29,
    0x3ebd_ebb8,
    0x3ec5_840b,
    0x3ecd_6a1f,
    0x3ed5_a110,
    0x3ede_2c1b,
    0x3ee7_0e9b,
    0x3ef0_4c10,
    0x3ef9_e81f,
    0x3f01_f347,
    0x3f07_25a6,
    0x3f0c_8d3a,
    0x3f12_2c21,
    0x3f18_0494,
    0x3f1e_18df,
    0x3f24_6b66,
    0x3f2a_fea7,
    0x3f31_d538,
    0x3f38_f1cb,
    0x3f40_572c,
    0x3f48_0845,
    0x3f50_081c,
    0x3f58_59d9,
    0x3f61_00c0,
    0x3f6a_003b,
    0x3f73_5bd4,
    0x3f7d_173a,
    0x3f83_9b21,
    0x3f88_de73,
    0x3f8e_57a7,
    0x3f94_08e4,
    0x3f99_f468,
    0x3fa0_1c86,
    0x3fa6_83ad,
    0x3fad_2c5d,
    0x3fb4_193c,
    0x3fbb_4d01,
    0x3fc2_ca82,
    0x3fca_94b1,
    0x3fd2_ae9f,
    0x3fdb_1b7e,
    0x3fe3_de9e,
    0x3fec_fb71,
    0x3ff6_758f,
    0x4000_285a,
    0x4005_485f,
    0x400a_9cdc,
    0x4010_27eb,
    0x4015_ebb8,
    0x401b_ea8b,
    0x4022_26be,
    0x4028_a2c6,
    0x402f_6131,
    0x4036_64a6,
    0x403d_afea,
    0x4045_45d9,
    0x404d_2970,
    0x4055_5dcb,
    0x405d_e624,
    0x4066_c5d8,
    0x4070_0064,
    0x4079_996d,
    0x4081_ca5b,
    0x4086_fb18,
    0x408c_60f7,
    0x4091_fe1a,
    0x4097_d4b5,
    0x409d_e715,
    0x40a4_379e,
    0x40aa_c8cd,
    0x40b1_9d38,
    0x40b8_b78e,
    0x40c0_1a9b,
    0x40c7_c947,
    0x40cf_c699,
    0x40d8_15b7,
    0x40e0_b9e5,
    0x40e9_b68c,
    0x40f3_0f32,
    0x40fc_c787,
    0x4103_71af,
    0x4108_b35a,
    0x410e_2ad4,
    0x4113_da46,
    0x4119_c3ec,
    0x411f_ea1a,
    0x4126_4f3c,
    0x412c_f5d6,
    0x4133_e087,
    0x413b_120a,
    0x4142_8d2f,
    0x414a_54ea,
    0x4152_6c4b,
    0x415a_d683,
    0x4163_96e0,
    0x416c_b0d5,
    0x4176_27f7,
    0x4180_0000,
];
