//! Sequences that lost tokens, as the network takes them.

use crate::PREROLL;
use models::layers::floats;
use models::token_recovery::Past;
use models::tokenizer::{Carry, Codes, Tokenizer, Use};
use models::train::{Losses, Random};
use tch::{Device, Tensor, no_grad};

/// Features `[places, values]` of the frames of a sequence, oldest first.
pub struct Sequence {
    pub side: usize,
    values: usize,
    frames: Vec<Vec<f32>>,
}

impl Sequence {
    /// Of pictures `[1, 3, h, h]`.
    pub fn of(tokenizer: &Tokenizer, pictures: impl Iterator<Item = Tensor>) -> Self {
        let device = tokenizer.store().device();
        let features = |picture: Tensor| floats(&no_grad(|| tokenizer.features(&picture.to_device(device))));
        let frames: Vec<Vec<f32>> = pictures.map(features).collect();
        let values = tokenizer.values();
        Self { side: (frames[0].len() / values).isqrt(), values, frames }
    }
}

/// Sequences with losses, as the network takes them: `[n * frames, side, side]` each.
pub struct Batch {
    pub tokens: Vec<i64>,
    pub last: Vec<i64>,
    pub age: Vec<i64>,
    /// Nearest codes and features of the missing tokens, in their order.
    pub truth: Vec<i64>,
    features: Vec<f32>,
    pub side: usize,
    device: Device,
}

impl Batch {
    pub fn new(side: usize, device: Device) -> Self {
        let (tokens, last, age) = (Vec::new(), Vec::new(), Vec::new());
        Self { tokens, last, age, truth: Vec::new(), features: Vec::new(), side, device }
    }

    pub fn on_device(&self, values: &[i64]) -> Tensor {
        Tensor::from_slice(values).to_device(self.device)
    }

    pub fn grid(&self, values: &[i64]) -> Tensor {
        let side = self.side as i64;
        self.on_device(values).view([-1, side, side])
    }

    /// Indices of the missing tokens.
    pub fn missing(&self, none: i64) -> Tensor {
        let missing: Vec<i64> =
            (0..self.tokens.len()).filter(|&i| self.tokens[i] == none).map(|i| i as i64).collect();
        self.on_device(&missing)
    }

    /// Features `[m, values]` of the missing tokens.
    pub fn wanted(&self) -> Tensor {
        Tensor::from_slice(&self.features).view([self.truth.len() as i64, -1]).to_device(self.device)
    }

    /// Adds one sequence of `PREROLL + frames` frames with losses.
    pub fn add(&mut self, sequence: &Sequence, codes: &Codes, random: &mut Random) {
        assert_eq!(sequence.side, self.side, "sequences of one size");
        let losses = Losses::draw(random);
        let (places, none) = (self.side * self.side, codes.len() as i64);
        let (mut last, mut age) = (vec![none; places], vec![0; places]);
        let mut carry = Carry::default();
        for (number, features) in sequence.frames.iter().enumerate() {
            let sent = losses.sent(places, random);
            let found = codes.next(&mut carry, features.clone(), self.side, &Use::of(&sent));
            let arrived = losses.arrived(&sent, self.side, random);
            let tokens: Vec<i64> = found
                .tokens
                .iter()
                .zip(&arrived)
                .map(|(&t, &a)| if a { i64::from(t) } else { none })
                .collect();
            if number >= PREROLL {
                self.last.extend_from_slice(&last);
                self.age.extend_from_slice(&age);
                self.tokens.extend_from_slice(&tokens);
                for (feature, _) in features.chunks_exact(sequence.values).zip(&arrived).filter(|(_, a)| !**a)
                {
                    self.truth.push(codes.nearest(feature) as i64);
                    self.features.extend_from_slice(feature);
                }
            }
            Past { last: &mut last, age: &mut age, none }.pass(&tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_what_is_to_be_guessed() {
        let codes = Codes::new(vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2);
        // Each place has its own feature in each frame, so that a mix-up shows.
        let frame = |t: usize| (0..32).map(|i| (t * 32 + i) as f32 * 0.01).collect();
        let sequence = Sequence { side: 4, values: 2, frames: (0..PREROLL + 6).map(frame).collect() };
        let mut batch = Batch::new(4, Device::Cpu);
        for step in 0..20 {
            batch.add(&sequence, &codes, &mut Random::of_step(1, step));
        }
        assert_eq!(batch.tokens.len(), 20 * 6 * 16);
        let missing: Vec<usize> = (0..batch.tokens.len()).filter(|&i| batch.tokens[i] == 3).collect();
        assert!(missing.len() > 300, "losses are common");
        assert_eq!(missing.len(), batch.truth.len());
        let wanted = Vec::<f32>::try_from(&batch.wanted().view([-1])).unwrap();
        for (&at, feature) in missing.iter().zip(wanted.chunks_exact(2)) {
            let frame = &sequence.frames[PREROLL + at / 16 % 6];
            assert_eq!(feature, &frame[2 * (at % 16)..][..2]);
        }
        // What came last is older than what is there.
        assert!(batch.age.iter().zip(&batch.last).all(|(&age, &last)| (age == 0) == (last == 3)));
    }
}
