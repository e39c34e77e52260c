//! Weights and pictures by formula, the same as beside the reference vectors of DCVC-RT.

/// `SplitMix64`.
pub fn splitmix(seed: u64, i: u64) -> u64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The formula that fills every tensor (section 1.1 of the notes beside the vectors).
pub fn synthetic(model: &str, key: &str, shape: &[i64], seed: u64) -> Vec<f32> {
    let name = format!("{model}/{key}");
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let n = shape.iter().product::<i64>() as u64;
    let u = |i: u64| (splitmix(hash ^ seed, i) >> 40) as f64 / f64::from(1 << 23) - 1.0;
    let ramp = |i: u64, from: u64| 0.15 + 0.25 * ((i - from) % 8) as f64;
    let offset = |i: u64| match (model, key, i) {
        ("DMCI", "y_prior_fusion.3.bias", 2..258) => ramp(i, 2),
        ("DMCI", "y_spatial_prior.3.bias", 0..256) | ("DMC", "y_spatial_prior.conv.2.bias", 0..128) => {
            ramp(i, 0)
        }
        ("DMCI", "dec.dec_2.ffn.2.bias", 0..192) | ("DMC", "recon_generation_net.head.bias", 0..192) => 0.5,
        ("DMC", "y_prior_fusion.conv.3.bias", 0..128) => 1.0,
        ("DMC", "y_prior_fusion.conv.3.bias", 128..256) => ramp(i, 128),
        _ => 0.0,
    };
    let value = |i: u64| -> f64 {
        if key.starts_with("q_") {
            let row = i / (n / shape[0] as u64);
            (0.75 + row as f64 / 126.0) + 0.1 * u(i)
        } else if key.starts_with("bit_estimator_z") {
            if key.ends_with(".h") { 0.55 + 0.4 * u(i) } else { 0.3 * u(i) }
        } else if key.ends_with(".bias") {
            0.05 * u(i) + offset(i)
        } else {
            let fan = (shape[1] * shape[2] * shape[3]) as f64;
            gain(model, key) * (3.0 / fan).sqrt() * u(i)
        }
    };
    (0..n).map(|i| value(i) as f32).collect()
}

fn gain(model: &str, key: &str) -> f64 {
    let exact = match (model, key.trim_end_matches(".weight")) {
        ("DMCI", "enc.enc_2.6") => 2.5,
        ("DMCI", "hyper_enc.2.down") | ("DMC", "hyper_encoder.conv.2.down") => 0.5,
        ("DMCI", "y_prior_fusion.3" | "y_spatial_prior.3") => 0.4,
        ("DMC", "y_prior_fusion.conv.3" | "y_spatial_prior.conv.2") => 0.4,
        ("DMCI", "hyper_dec.2.adaptor") => 0.6,
        ("DMCI", "dec.dec_2.adaptor") => 0.04,
        ("DMC", "encoder.down") => 1.6,
        ("DMC", "feature_adaptor_p") => 0.3,
        ("DMC", "encoder.conv1") => 2.0,
        ("DMC", "recon_generation_net.head") => 0.15,
        _ => 0.0,
    };
    if exact > 0.0 {
        return exact;
    }
    let ends =
        [(".dc.3.weight", 0.35), (".ffn.2.weight", 0.25), (".down.weight", 0.5), (".up.conv.0.weight", 0.5)];
    ends.iter().find(|(end, _)| key.ends_with(end)).map_or(1.0, |(_, gain)| *gain)
}

/// Picture `t` of a case (section 1.3 there), `[h, w, 3]` bytes.
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
