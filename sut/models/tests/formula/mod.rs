//! The formulas that make weights and pictures of the vectors (section 1 of the notes beside them).
#![allow(dead_code)] // every test uses some of them

use sha2::{Digest as _, Sha256};

/// `SplitMix64`'s output number `i`.
pub fn splitmix(seed: u64, i: u64) -> u64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The random values in -1..1 of a model's tensor.
pub fn units(model: &str, key: &str, seed: u64) -> impl Fn(u64) -> f64 {
    let name = format!("{model}/{key}");
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    move |i| (splitmix(hash ^ seed, i) >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// Picture `t` of a case, `[h, w, 3]` bytes.
pub fn frame(w: usize, h: usize, t: i64, seed: u64) -> Vec<u8> {
    let tri = |v: i64| {
        let m = v.rem_euclid(512);
        if m <= 255 { m } else { 511 - m }
    };
    let s = (seed % 97) as i64;
    let mut out = Vec::with_capacity(w * h * 3);
    let block = 8.max(w.min(h) as i64 / 4);
    for y in 0..h as i64 {
        for x in 0..w as i64 {
            let noise = splitmix(seed, y as u64 * w as u64 + x as u64);
            for c in 0..3i64 {
                let a = tri(2 * x + y + 3 * t + 40 * c + s);
                let b = tri((c + 1) * x + 3 * y - 2 * t + 5 * s);
                let mut v = (3 * a + b) / 4;
                if (8 + 3 * t..8 + 3 * t + block).contains(&x) && (6 + 2 * t..6 + 2 * t + block).contains(&y)
                {
                    v = 255 - v;
                }
                v += ((noise >> (8 * c + 3)) & 31) as i64 - 16;
                out.push(v.clamp(0, 255) as u8);
            }
        }
    }
    out
}

/// Picture `t` as it is received: some blocks of the one before, and a grey bar.
pub fn damaged(w: usize, h: usize, t: i64, seed: u64, before: &[u8]) -> Vec<u8> {
    let mut out = frame(w, h, t, seed);
    let draws = seed.wrapping_mul(1_000_003).wrapping_add(t as u64);
    let across = w / 16;
    for k in 0..across * (h / 16) {
        if splitmix(draws, k as u64) >> 56 < 80 {
            for y in k / across * 16..(k / across + 1) * 16 {
                let row = 3 * (y * w + k % across * 16)..3 * (y * w + k % across * 16 + 16);
                out[row.clone()].copy_from_slice(&before[row]);
            }
        }
    }
    for y in 5 * h / 8..3 * h / 4 {
        out[3 * (y * w + w / 5)..3 * (y + 1) * w].fill(128);
    }
    out
}

/// A tensor of LossRec's.
pub fn lossrec(key: &str, shape: &[i64], seed: u64) -> Vec<f32> {
    let u = units("LossRec", key, seed);
    let fan: i64 = shape[1..].iter().product();
    let gain = match key {
        _ if key.ends_with("attn.qkv.weight") || key.starts_with("encoder.patch_embed.") => 1.5,
        _ if key.ends_with("attn.proj.weight") || key.ends_with("mlp.fc2.weight") => 0.5,
        "decoder.head.weight" => 0.4,
        _ => 1.0,
    };
    let value = |i: u64| match key {
        "mask_token" => 0.02 * u(i),
        _ if key.contains(".norm") && key.ends_with(".weight") => 1.0 + 0.1 * u(i),
        _ if key.ends_with(".bias") => 0.05 * u(i),
        _ => gain * (3.0 / fan as f64).sqrt() * u(i),
    };
    (0..shape.iter().product::<i64>() as u64).map(|i| value(i) as f32).collect()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
