//! What a picture is drawn from: the tokens that a receiver has at each place, and how old they are.
//!
//! For every place of the grid the decoder sees the frame's own token, or what recovery guesses for it, and those that
//! came there before, the newest first. A place whose tokens get lost is so drawn from what came earlier, not from
//! guesses of earlier frames; what a picture is drawn from stays a few tokens per place, never an earlier picture.

use half::f16;

/// Stands for "no token".
pub const NONE: u16 = u16::MAX;

/// Ages told apart; what is older is as old.
pub(super) const OLDEST: u8 = 8;

/// What one picture is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Of each slot all places, row by row: first the frame's own tokens ([`NONE`] where they are guessed), then those that
    /// came before, newest first ([`NONE`] where nothing did).
    pub tokens: Vec<u16>,
    /// Age in frames of each token that came before, in the same order.
    pub ages: Vec<u8>,
    /// Code vectors of the guesses, in the order of their places.
    pub guesses: Vec<f16>,
}

impl View {
    /// Number of places.
    fn places(&self) -> usize {
        self.tokens.len() - self.ages.len()
    }

    /// Appends what the network takes: per place the vectors of all slots and then, with `marks`, one number per
    /// slot: whether the first is a guess, and the logarithm of how much older than usual the others are. Where nothing
    /// came before, the slot before stands for it.
    pub(super) fn vectors(&self, codebook: &[f32], values: usize, marks: bool, into: &mut Vec<f32>) {
        let places = self.places();
        let slots = self.tokens.len() / places;
        let mut guesses = self.guesses.chunks_exact(values);
        for place in 0..places {
            for slot in 0..slots {
                match (self.tokens[slot * places + place], slot) {
                    (NONE, 0) => {
                        let guess = guesses.next().expect("a guess for every place without a token");
                        into.extend(guess.iter().map(|v| v.to_f32()));
                    }
                    (NONE, _) => into.extend_from_within(into.len() - values..),
                    (token, _) => into.extend_from_slice(&codebook[usize::from(token) * values..][..values]),
                }
            }
            if marks {
                into.push(if self.tokens[place] == NONE { 1.0 } else { 0.0 });
                for slot in 1..slots {
                    let age = match self.tokens[slot * places + place] {
                        NONE => slot as f32,
                        _ => f32::from(self.ages[(slot - 1) * places + place]),
                    };
                    into.push((age / slot as f32).ln());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_takes_vectors_and_marks() {
        let codebook = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5];
        let view =
            View { tokens: vec![1, NONE, 2, NONE], ages: vec![2, 0], guesses: vec![f16::from_f32(9.0); 2] };
        let mut taken = Vec::new();
        view.vectors(&codebook, 2, true, &mut taken);
        assert_eq!(taken, [1.0, 1.5, 2.0, 2.5, 0.0, 2f32.ln(), 9.0, 9.0, 9.0, 9.0, 1.0, 0.0]);
    }
}
