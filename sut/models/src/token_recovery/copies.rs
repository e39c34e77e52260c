//! Filling without a network: the last token that came.

use crate::layers::floats;
use crate::tokenizer::Tokenizer;

/// Guesses the token that came last at each place; where none did, nothing (the zero vector).
#[derive(Clone, Debug)]
pub struct Copies {
    codebook: Vec<f32>,
    values: usize,
    last: Vec<Option<u16>>,
}

impl Copies {
    /// For so many places, with the codebook of a tokenizer.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, places: usize) -> Self {
        Self { codebook: floats(tokenizer.codebook()), values: tokenizer.values(), last: vec![None; places] }
    }

    /// The next frame: code vectors for what did not come of it.
    pub fn fill(&mut self, received: &[Option<u16>]) -> Vec<f32> {
        let mut vectors = Vec::new();
        for (last, received) in self.last.iter_mut().zip(received) {
            match (*received, *last) {
                (Some(token), _) => *last = Some(token),
                (None, Some(token)) => {
                    let at = usize::from(token) * self.values;
                    vectors.extend_from_slice(&self.codebook[at..at + self.values]);
                }
                (None, None) => vectors.resize(vectors.len() + self.values, 0.0),
            }
        }
        vectors
    }
}
