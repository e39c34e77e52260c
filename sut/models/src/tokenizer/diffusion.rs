//! From feature vectors to codes with error diffusion, as Floyd and Steinberg (1976) do it for grey levels.
//!
//! The nearest code alone is blind to a plain wall whose colour lies between codes: every token of the wall gets the
//! same code and the whole wall the wrong colour. Here what a code gets wrong is handed to the neighbours that
//! come later, as far as their features are alike; the decoder, which sees a large surrounding, gets the mean right.

/// Share of the error that is handed on.
const STRENGTH: f32 = 0.9;
/// Squared distance between the features of two tokens (of squared length 16) at which a third of it is.
const ALIKE: f32 = 6.0;
/// Row, column and weight of the neighbours that get a share.
const NEIGHBOURS: [(usize, isize, f32); 4] =
    [(0, 1, 7.0 / 16.0), (1, -1, 3.0 / 16.0), (1, 0, 5.0 / 16.0), (1, 1, 1.0 / 16.0)];
/// Codes that are compared at a time, in registers.
const LANES: usize = 32;

/// A codebook laid out for comparing one vector with all codes.
#[derive(Debug)]
pub struct Codes {
    values: usize,
    /// `[codes, values]`.
    vectors: Vec<f32>,
    /// `[blocks, values, LANES]`; codes that are not there are zero.
    blocks: Vec<f32>,
    /// Half the squared length of each code; infinite for codes that are not there.
    halves: Vec<f32>,
}

/// Tokens and what they were chosen for: features with the errors of their neighbours, `[places, values]`.
#[derive(Debug)]
pub struct Quantised {
    /// One code per place.
    pub tokens: Vec<u16>,
    /// What each code is the nearest of.
    pub targets: Vec<f32>,
}

impl Codes {
    /// From a codebook of `[codes, values]`, row by row.
    #[must_use]
    pub fn new(vectors: Vec<f32>, values: usize) -> Self {
        let codes = vectors.len() / values;
        let places = codes.div_ceil(LANES) * LANES;
        let (mut blocks, mut halves) = (vec![0.0; places * values], vec![f32::INFINITY; places]);
        for (code, vector) in vectors.chunks_exact(values).enumerate() {
            halves[code] = 0.5 * vector.iter().map(|v| v * v).sum::<f32>();
            for (i, &value) in vector.iter().enumerate() {
                blocks[(code / LANES * values + i) * LANES + code % LANES] = value;
            }
        }
        Self { values, vectors, blocks, halves }
    }

    /// The code nearest to a vector, the first among equals.
    #[must_use]
    pub fn nearest(&self, vector: &[f32]) -> usize {
        let (mut best, mut at) = (f32::NEG_INFINITY, 0);
        for (block, halves) in self.halves.chunks_exact(LANES).enumerate() {
            let mut scores: [f32; LANES] = std::array::from_fn(|lane| -halves[lane]);
            let rows = &self.blocks[block * self.values * LANES..][..self.values * LANES];
            for (row, &value) in rows.chunks_exact(LANES).zip(vector) {
                for (score, code) in scores.iter_mut().zip(row) {
                    *score += code * value;
                }
            }
            for (lane, &score) in scores.iter().enumerate() {
                if score > best {
                    (best, at) = (score, block * LANES + lane);
                }
            }
        }
        at
    }

    /// Tokens of a grid of features, `columns` wide, row by row.
    ///
    /// # Panics
    /// When `features` are not whole rows.
    #[must_use]
    pub fn diffuse(&self, features: &[f32], columns: usize) -> Quantised {
        let values = self.values;
        assert!(features.len().is_multiple_of(columns * values), "whole rows of features");
        let rows = features.len() / (columns * values);
        let at = |place: usize| place * values..(place + 1) * values;
        let mut targets = features.to_vec();
        let mut tokens = Vec::with_capacity(rows * columns);
        let mut error = vec![0.0; values];
        for place in 0..rows * columns {
            let code = self.nearest(&targets[at(place)]);
            tokens.push(code as u16);
            for ((error, target), code) in
                error.iter_mut().zip(&targets[at(place)]).zip(&self.vectors[at(code)])
            {
                *error = target - code;
            }
            let (row, column) = (place / columns, place % columns);
            for (down, right, weight) in NEIGHBOURS {
                let Some(column) = column.checked_add_signed(right).filter(|&c| c < columns) else {
                    continue;
                };
                if row + down >= rows {
                    continue;
                }
                let other = (row + down) * columns + column;
                let apart: f32 = features[at(place)]
                    .iter()
                    .zip(&features[at(other)])
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum();
                let share = STRENGTH * weight * (-apart / ALIKE).exp();
                for (target, error) in targets[at(other)].iter_mut().zip(&error) {
                    *target += share * error;
                }
            }
        }
        Quantised { tokens, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Random;

    fn random_values(n: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::of_step(seed, 0);
        (0..n).map(|_| random.normal() as f32).collect()
    }

    #[test]
    fn nearest_is_what_a_search_of_distances_finds() {
        // 77 codes: the last block is not full.
        let vectors = random_values(77 * 5, 1);
        let codes = Codes::new(vectors.clone(), 5);
        for point in random_values(200 * 5, 2).chunks_exact(5) {
            let distance = |code: usize| -> f64 {
                let code = &vectors[5 * code..][..5];
                code.iter().zip(point).map(|(a, b)| f64::from(a - b).powi(2)).sum()
            };
            let expected = (0..77).map(distance).fold(f64::INFINITY, f64::min);
            assert!(distance(codes.nearest(point)) < expected + 1e-5);
        }
    }

    #[test]
    fn a_plain_area_between_two_codes_gets_its_mean() {
        let codes = Codes::new(vec![0.0, 0.0, 1.0, 0.0, 0.0, 5.0], 2);
        let plain: Vec<f32> = [0.3, 0.0].repeat(24 * 24);
        let found = codes.diffuse(&plain, 24);
        let ones = found.tokens.iter().filter(|&&t| t == 1).count() as f64 / (24.0 * 24.0);
        assert!((ones - 0.3).abs() < 0.06, "{ones}");
    }

    #[test]
    fn a_feature_unlike_its_neighbours_is_left_alone() {
        let codes = Codes::new(vec![0.0, 0.0, 10.0, 0.0], 2);
        let mut features: Vec<f32> = [4.0, 0.0].repeat(16);
        features[2 * 15] = 10.0;
        features[2 * 15 + 1] = 1.0;
        let found = codes.diffuse(&features, 4);
        assert!((found.targets[2 * 15] - 10.0).abs() < 0.01);
        assert_eq!(found.tokens[15], 1);
    }
}
