//! DCVC-RT's weights by formula, the same as beside its reference vectors.

use crate::formula::units;

/// The formula that fills every tensor (section 1.1 of the notes beside the vectors).
pub fn synthetic(model: &str, key: &str, shape: &[i64], seed: u64) -> Vec<f32> {
    let n = shape.iter().product::<i64>() as u64;
    let u = units(model, key, seed);
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
