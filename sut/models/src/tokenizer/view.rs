//! What a picture is drawn from: the tokens that a receiver has at each place, and how old they are.
//!
//! For every place of the grid the decoder sees the frame's own token, or what recovery guesses for it, and those that
//! came there before, the newest first. A place whose tokens get lost is so drawn from what came earlier, not from
//! guesses of earlier frames; what a picture is drawn from stays a few tokens per place, never an earlier picture.

use half::f16;

/// Stands for "no token".
pub const NONE: u16 = u16::MAX;

/// Ages told apart; what is older is as old.
const OLDEST: u8 = 8;

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

    /// The view as bytes, little-endian: tokens, ages, guesses.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let tokens = self.tokens.iter().flat_map(|t| t.to_le_bytes());
        let guesses = self.guesses.iter().flat_map(|g| g.to_le_bytes());
        tokens.chain(self.ages.iter().copied()).chain(guesses).collect()
    }

    /// The view of `slots` of so many places in bytes; `None` when they are not one of a codebook of so many codes and values.
    #[must_use]
    pub fn from_bytes(
        bytes: &[u8],
        slots: usize,
        places: usize,
        codes: usize,
        values: usize,
    ) -> Option<Self> {
        let (tokens, rest) = bytes.split_at_checked(2 * slots * places)?;
        let (ages, guesses) = rest.split_at_checked((slots - 1) * places)?;
        let tokens: Vec<u16> = tokens.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        let guessed = tokens[..places].iter().filter(|&&t| t == NONE).count();
        let aged = tokens[places..].iter().zip(ages);
        let whole = guesses.len() == 2 * guessed * values
            && tokens.iter().all(|&t| t == NONE || usize::from(t) < codes)
            && aged.into_iter().all(|(&t, &age)| (t == NONE) == (age == 0) && age <= OLDEST);
        let guesses: Vec<f16> = guesses.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
        (whole && guesses.iter().all(|g| g.is_finite())).then(|| Self {
            tokens,
            ages: ages.to_vec(),
            guesses,
        })
    }
}

/// The tokens that came so far, as many as the decoder sees.
#[derive(Clone, Debug)]
pub struct Memory {
    places: usize,
    /// Of each slot all places.
    tokens: Vec<u16>,
    /// Age of each, as the next frame will see it.
    ages: Vec<u8>,
}

impl Memory {
    /// Nothing came yet.
    pub(super) fn new(slots: usize, places: usize) -> Self {
        let older = (slots - 1) * places;
        Self { places, tokens: vec![NONE; older], ages: vec![0; older] }
    }

    /// The next frame: what its picture is drawn from when so much of it came, with one guess (a code vector) for each
    /// token that did not.
    ///
    /// # Panics
    /// When `received` is not a grid of this memory.
    pub fn see(&mut self, received: &[Option<u16>], guesses: &[f32]) -> View {
        assert_eq!(received.len(), self.places, "a whole grid");
        let mut tokens: Vec<u16> = received.iter().map(|t| t.unwrap_or(NONE)).collect();
        tokens.extend_from_slice(&self.tokens);
        let guesses = guesses.iter().map(|&g| f16::from_f32(g)).collect();
        let view = View { tokens, ages: self.ages.clone(), guesses };
        self.pass(received);
        view
    }

    /// A frame goes by of which so much came.
    pub fn pass(&mut self, received: &[Option<u16>]) {
        let older = self.tokens.len();
        for (token, age) in self.tokens.iter().zip(&mut self.ages) {
            *age = if *token == NONE { 0 } else { (*age + 1).min(OLDEST) };
        }
        for (place, token) in received.iter().enumerate() {
            let Some(token) = *token else { continue };
            for at in (place..older).step_by(self.places).rev() {
                let newer = at.checked_sub(self.places);
                self.tokens[at] = newer.map_or(token, |newer| self.tokens[newer]);
                self.ages[at] = newer.map_or(1, |newer| self.ages[newer]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_keeps_the_newest_tokens_that_came() {
        let mut memory = Memory::new(3, 2);
        let first = memory.see(&[Some(5), None], &[0.5]);
        assert_eq!((first.tokens, first.ages), (vec![5, NONE, NONE, NONE, NONE, NONE], vec![0; 4]));
        memory.pass(&[None, None]);
        let third = memory.see(&[Some(6), Some(7)], &[]);
        assert_eq!((third.tokens, third.ages), (vec![6, 7, 5, NONE, NONE, NONE], vec![2, 0, 0, 0]));
        let fourth = memory.see(&[None, Some(8)], &[0.25]);
        assert_eq!((fourth.tokens, fourth.ages), (vec![NONE, 8, 6, 7, 5, NONE], vec![1, 1, 3, 0]));
        for _ in 0..2 * OLDEST {
            memory.pass(&[None, None]);
        }
        assert_eq!(memory.see(&[None, None], &[0.0; 2]).ages, [OLDEST; 4]);
    }

    #[test]
    fn the_network_takes_vectors_and_marks() {
        let codebook = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5];
        let view =
            View { tokens: vec![1, NONE, 2, NONE], ages: vec![2, 0], guesses: vec![f16::from_f32(9.0); 2] };
        let mut taken = Vec::new();
        view.vectors(&codebook, 2, true, &mut taken);
        assert_eq!(taken, [1.0, 1.5, 2.0, 2.5, 0.0, 2f32.ln(), 9.0, 9.0, 9.0, 9.0, 1.0, 0.0]);
    }

    #[test]
    fn bytes_are_a_view_or_nothing() {
        let mut memory = Memory::new(4, 2);
        let _ = memory.see(&[Some(5), Some(1)], &[]);
        let view = memory.see(&[Some(3), None], &[0.5, -2.0]);
        let bytes = view.to_bytes();
        assert_eq!(View::from_bytes(&bytes, 4, 2, 6, 2), Some(view));
        assert_eq!(View::from_bytes(&bytes, 4, 2, 5, 2), None, "a token of another codebook");
        assert_eq!(View::from_bytes(&bytes, 4, 2, 6, 3), None, "vectors of another codebook");
        assert_eq!(View::from_bytes(&bytes, 3, 2, 6, 2), None);
        for length in 0..bytes.len() {
            assert_eq!(View::from_bytes(&bytes[..length], 4, 2, 6, 2), None, "{length} bytes");
        }
        let mut infinite = bytes.clone();
        let end = infinite.len();
        infinite[end - 2..].copy_from_slice(&[0, 0x7c]);
        assert_eq!(View::from_bytes(&infinite, 4, 2, 6, 2), None);
        let mut ageless = bytes;
        ageless[2 * 4 * 2] = 0;
        assert_eq!(View::from_bytes(&ageless, 4, 2, 6, 2), None);
    }
}
