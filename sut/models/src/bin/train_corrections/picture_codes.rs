//! Which of the tokenizer's codes become picture codes.

use models::layers::floats;
use models::tokenizer::{Codes, Tokenizer};
use models::train::{Data, Random, Shape};

/// Batches and crops of features that are looked at.
const BATCHES: u64 = 24;
const CROPS: usize = 8;
const CROP: usize = 256;
/// Codes left out at a time.
const LOT: usize = 32;

/// The codes whose absence costs most, in their order.
pub fn choose(data: &Data, tokenizer: &Tokenizer, wanted: usize, seed: u64) -> Vec<u16> {
    let values = tokenizer.values();
    let mut features = Vec::new();
    for batch in 0..BATCHES {
        let mut random = Random::of_step(seed ^ 0xc0d5, batch);
        let shape = Shape { crop: CROP, frames: 1, stills: 0.5 };
        let (pictures, _) = data.batch(CROPS, shape, &mut random);
        features.extend(floats(&tokenizer.features(&pictures[0])));
    }
    let codebook = floats(tokenizer.codebook());
    let mut left: Vec<u16> = (0..tokenizer.codes() as u16).collect();
    while left.len() > wanted {
        let vectors = |codes: &[u16]| -> Vec<f32> {
            codes.iter().flat_map(|&c| codebook[usize::from(c) * values..][..values].to_vec()).collect()
        };
        let costs = costs(&Codes::new(vectors(&left), values), &features, values);
        let mut order: Vec<usize> = (0..left.len()).collect();
        order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
        order.truncate(LOT.min(left.len() - wanted));
        order.sort_unstable();
        for at in order.into_iter().rev() {
            left.remove(at);
        }
    }
    left
}

/// By how much the squared distance of features to their codes grows without each of the codes.
fn costs(codes: &Codes, features: &[f32], values: usize) -> Vec<f64> {
    let mut costs = vec![0.0; codes.len()];
    for feature in features.chunks_exact(values) {
        let [(best, near), (_, next)] = codes.two_nearest(feature);
        costs[best] += f64::from(next - near);
    }
    costs
}
