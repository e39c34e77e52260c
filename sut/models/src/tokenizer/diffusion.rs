//! From feature vectors to codes with error diffusion, as Floyd and Steinberg (1976) do it for grey levels.
//!
//! The nearest code alone is blind to a plain wall whose colour lies between codes: every token of the wall gets the
//! same code and the whole wall the wrong colour. Here what a code gets wrong is handed to the neighbours that
//! come later, as far as their features are alike; the decoder, which sees a large surrounding, gets the mean right.
//!
//! The neighbour at the same place in the next frame gets a share, too (a sigma-delta modulator in time). Where the
//! picture stands still, the codes of a few frames together say far more than each of them, and the decoder sees as many.

/// Share of the error that is handed on within the picture.
const STRENGTH: f32 = 0.6;
/// Share that is handed on to the next frame.
const NEXT_STRENGTH: f32 = 0.5;
/// Squared distance between the features of a place in two frames at which a third of it is.
const NEXT_ALIKE: f32 = 2.0;
/// Squared distance between the features of two tokens (of squared length 16) at which a third of it is.
const ALIKE: f32 = 6.0;
/// Row, column and weight of the neighbours that get a share.
const NEIGHBOURS: [(usize, isize, f32); 4] =
    [(0, 1, 7.0 / 16.0), (1, -1, 3.0 / 16.0), (1, 0, 5.0 / 16.0), (1, 1, 1.0 / 16.0)];
/// Codes that are compared at a time, in registers.
const LANES: usize = 32;

/// What becomes of a place's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is sent.
    Sent,
    /// It is not sent and says nothing to anybody: what came to it is handed on whole.
    Dropped,
    /// Something else is sent, which takes care of the place's own error: nothing is handed on.
    Corrected,
}

impl Use {
    /// Of tokens that are sent or not.
    #[must_use]
    pub fn of(sent: &[bool]) -> Vec<Self> {
        sent.iter().map(|&sent| if sent { Self::Sent } else { Self::Dropped }).collect()
    }
}

/// A codebook laid out for comparing one vector with all codes.
#[derive(Debug)]
pub struct Codes {
    values: usize,
    /// Whether errors are handed on at all.
    diffused: bool,
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
    /// What is handed on: what the codes lack of their targets.
    pub errors: Vec<f32>,
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
        Self { values, diffused: true, vectors, blocks, halves }
    }

    /// The same codes without diffusion: every feature gets the nearest.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { diffused: false, ..self }
    }

    /// Number of codes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a codebook is never empty")]
    pub fn len(&self) -> usize {
        self.vectors.len() / self.values
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

    /// The two codes nearest to a vector and half their squared distances, but for a part that all codes share.
    #[must_use]
    pub fn two_nearest(&self, vector: &[f32]) -> [(usize, f32); 2] {
        let mut found = [(0, f32::INFINITY); 2];
        for (code, own) in self.vectors.chunks_exact(self.values).enumerate() {
            let along: f32 = own.iter().zip(vector).map(|(a, b)| a * b).sum();
            let distance = self.halves[code] - along;
            if distance < found[0].1 {
                found = [(code, distance), found[0]];
            } else if distance < found[1].1 {
                found[1] = (code, distance);
            }
        }
        found
    }

    /// Tokens of the next picture's features, `columns` wide, row by row (see [`diffuse`](Self::diffuse)).
    pub fn next(&self, carry: &mut Carry, features: Vec<f32>, columns: usize, uses: &[Use]) -> Quantised {
        if !self.diffused {
            let tokens = features.chunks_exact(self.values).map(|f| self.nearest(f) as u16).collect();
            return Quantised { tokens, errors: vec![0.0; features.len()], targets: features };
        }
        let found = self.diffuse(&features, &carry.hand_on(&features, self.values), columns, uses);
        carry.leave(features, found.errors.clone());
        found
    }

    /// Tokens of a grid of features, `columns` wide, row by row; `carried` is what the frame before handed on.
    ///
    /// # Panics
    /// When `features` are not whole rows, or when there is not one use per token.
    #[must_use]
    pub fn diffuse(&self, features: &[f32], carried: &[f32], columns: usize, uses: &[Use]) -> Quantised {
        let values = self.values;
        assert!(features.len().is_multiple_of(columns * values), "whole rows of features");
        assert_eq!(uses.len() * values, features.len(), "one use per token");
        let rows = features.len() / (columns * values);
        let at = |place: usize| place * values..(place + 1) * values;
        let mut targets: Vec<f32> = features.iter().zip(carried).map(|(f, c)| f + c).collect();
        let mut errors = Vec::with_capacity(features.len());
        let mut tokens = Vec::with_capacity(rows * columns);
        let mut error = vec![0.0; values];
        for place in 0..rows * columns {
            if uses[place] == Use::Corrected {
                tokens.push(0);
                errors.resize(errors.len() + values, 0.0);
                continue;
            }
            let code = self.nearest(&targets[at(place)]);
            tokens.push(code as u16);
            let said = match uses[place] {
                Use::Sent => &self.vectors[at(code)],
                _ => &features[at(place)],
            };
            for ((error, target), code) in error.iter_mut().zip(&targets[at(place)]).zip(said) {
                *error = target - code;
            }
            errors.extend_from_slice(&error);
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
        Quantised { tokens, targets, errors }
    }
}

/// What the pictures of one sequence so far leave to the next one.
#[derive(Clone, Debug, Default)]
pub struct Carry {
    features: Vec<f32>,
    errors: Vec<f32>,
}

impl Carry {
    /// What comes to each value of the next frame's features: nothing where the picture has changed, and nothing at all
    /// when it has another size.
    pub(super) fn hand_on(&self, features: &[f32], values: usize) -> Vec<f32> {
        if self.features.len() != features.len() {
            return vec![0.0; features.len()];
        }
        let places = self.features.chunks_exact(values).zip(features.chunks_exact(values));
        let mut carried = self.errors.clone();
        for ((before, now), carried) in places.zip(carried.chunks_exact_mut(values)) {
            let apart: f32 = before.iter().zip(now).map(|(a, b)| (a - b) * (a - b)).sum();
            let share = NEXT_STRENGTH * (-apart / NEXT_ALIKE).exp();
            carried.iter_mut().for_each(|c| *c *= share);
        }
        carried
    }

    pub(super) fn leave(&mut self, features: Vec<f32>, errors: Vec<f32>) {
        (self.features, self.errors) = (features, errors);
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
    fn a_plain_area_between_two_codes_gets_most_of_its_mean() {
        let codes = Codes::new(vec![0.0, 0.0, 1.0, 0.0, 0.0, 5.0], 2);
        let plain: Vec<f32> = [0.3, 0.0].repeat(24 * 24);
        let found = codes.diffuse(&plain, &vec![0.0; plain.len()], 24, &[Use::Sent; 24 * 24]);
        let ones = found.tokens.iter().filter(|&&t| t == 1).count() as f64 / (24.0 * 24.0);
        // Of the nearest codes alone it would be 0; all of the error would give 0.3.
        assert!((0.2..0.31).contains(&ones), "{ones}");
    }

    #[test]
    fn a_still_picture_gets_most_of_its_mean_from_frame_to_frame() {
        let codes = Codes::new(vec![0.0, 0.0, 1.0, 0.0], 2);
        // Neighbours are unlike each other, so that only time is left.
        let still = [0.3, 0.0, 0.4, 90.0, 0.3, -90.0];
        let (mut carry, mut ones) = (Carry::default(), 0);
        for _ in 0..200 {
            let found = codes.diffuse(&still, &carry.hand_on(&still, 2), 3, &[Use::Sent; 3]);
            ones += usize::from(found.tokens[0] == 1);
            carry.leave(still.to_vec(), found.errors);
        }
        // All of the error would give 0.3; the share gives less, but not the nearest code's 0.
        assert!((0.15..0.31).contains(&(ones as f64 / 200.0)), "{ones}");
        // Another picture: nothing is handed on.
        let other = [8.0, 8.0, 8.0, 8.0, 8.0, 8.0];
        assert!(carry.hand_on(&other, 2).iter().all(|c| c.abs() < 1e-6));
        assert_eq!(carry.hand_on(&still[..2], 2), [0.0; 2]);
    }

    #[test]
    fn what_is_not_sent_takes_no_error_away() {
        let codes = Codes::new(vec![0.0, 0.0, 1.0, 0.0], 2);
        let still = [0.4, 0.0, 0.4, 90.0];
        // Errors come to the second token, which is not sent: they stay on their way, and its own picture adds none.
        let found = codes.diffuse(&still, &[0.0, 0.0, 0.3, 0.1], 2, &[Use::Sent, Use::Dropped]);
        assert_eq!(found.tokens[0], 0);
        assert!((found.errors[0] - 0.4).abs() < 1e-6);
        assert!((found.errors[2] - 0.3).abs() < 1e-4 && (found.errors[3] - 0.1).abs() < 1e-4);
    }

    #[test]
    fn a_corrected_place_hands_nothing_on() {
        let codes = Codes::new(vec![0.0, 0.0, 1.0, 0.0], 2);
        let found = codes.diffuse(&[0.4, 0.0, 0.4, 0.0], &[0.1; 4], 2, &[Use::Corrected, Use::Sent]);
        assert_eq!(found.errors[..2], [0.0; 2]);
        assert_eq!(found.targets[2..], [0.5, 0.1], "its own, and what the frame before left");
    }

    #[test]
    fn a_feature_unlike_its_neighbours_is_left_alone() {
        let codes = Codes::new(vec![0.0, 0.0, 10.0, 0.0], 2);
        let mut features: Vec<f32> = [4.0, 0.0].repeat(16);
        features[2 * 15] = 10.0;
        features[2 * 15 + 1] = 1.0;
        let found = codes.diffuse(&features, &[0.0; 32], 4, &[Use::Sent; 16]);
        assert!((found.targets[2 * 15] - 10.0).abs() < 0.01);
        assert_eq!(found.tokens[15], 1);
    }
}
