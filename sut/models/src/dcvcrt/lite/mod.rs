//! DCVC-RT-lite: a small codec of DCVC-RT's kind for one CPU core, whose streams survive loss.
//!
//! ```text
//! picture, reference ─▶ motion search ─▶ prediction ─┬─▶ analysis ─▶ y @1/16 ─▶ z @1/64
//!                                                    │              z, motion ─▶ prior, four steps ─▶ rANS
//!                                                    └─▶ synthesis(y, prediction) ─▶ picture
//! ```
//! | module | what |
//! |---|---|
//! | [`codec`] | predicted frames to bytes and back, in exact arithmetic |
//! | [`arithmetic`] | layers whose result is the same on every machine |
//! | [`history`] | pictures that later frames may refer to |
//! | [`key`] | key frames |
//! | [`cells`] | pictures as the networks see them |
//! | [`motion`] | vectors per block, and the prediction that follows, in integers |
//! | [`network`] | the network on tensors, for training |
//!
//! What is coded by which distribution depends on nothing but the frame's own stream (vectors, `z`, the steps before): a receiver
//! that lost frames reads the next one all the same, and draws it on the reference that it has.

pub mod arithmetic;
pub mod cells;
pub mod codec;
pub mod history;
pub mod key;
pub mod motion;
pub mod network;

use motion::Field;

/// What a weight file of this model says it is.
pub const MODEL: &str = "dcvcrt-lite";
/// Its file in the weights folder.
pub const FILE: &str = "dcvcrt-lite.safetensors";
/// Levels of difference that a bit of a vector is worth in the motion search.
pub const PRICE: u32 = 24;

/// Most layers.
pub const MOST_LAYERS: u32 = 3;

/// How far back the reference of frame `number` of a group of pictures is: with one layer the frame before; with more, frames at
/// multiples of 2, 4, ... refer to the multiple before, so that nothing refers to the others.
#[must_use]
pub fn distance(number: u32, layers: u32) -> u32 {
    1 << (layers.saturating_sub(1) - layer(number, layers))
}

/// Layer of frame `number` of a group of pictures: 0 is what all others refer to in the end, and nothing refers to the topmost.
#[must_use]
pub fn layer(number: u32, layers: u32) -> u32 {
    let top = layers.saturating_sub(1);
    top - number.trailing_zeros().min(top)
}

/// What the prior knows of each vector: lengths of its components, and how unexpected it is.
#[must_use]
pub fn features(field: &Field) -> Vec<f32> {
    let mut all = Vec::with_capacity(field.vectors.len() * network::MOTION as usize);
    for (i, vector) in field.vectors.iter().enumerate() {
        let expected = field.expected(i / field.columns, i % field.columns);
        let [x, y] = vector.map(i32::from);
        let off = (x - expected[0]).abs() + (y - expected[1]).abs();
        all.extend([x.abs(), y.abs(), off].map(|v| (v as f32 / 8.0).min(4.0)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_refer_to_layers_below() {
        let all = |layers| [1, 2, 3, 4, 5, 6, 7, 8].map(|n| distance(n, layers));
        assert_eq!(all(1), [1; 8]);
        assert_eq!(all(2), [1, 2, 1, 2, 1, 2, 1, 2]);
        assert_eq!(all(3), [1, 2, 1, 4, 1, 2, 1, 4]);
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(|n| layer(n, 3)), [2, 1, 2, 0, 2, 1, 2, 0]);
        assert_eq!([1, 2, 3].map(|n| layer(n, 1)), [0; 3]);
    }
}
