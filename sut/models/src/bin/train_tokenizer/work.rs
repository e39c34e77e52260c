//! What one worker does in one step.

use crate::losses;
use models::lpips::Lpips;
use models::tokenizer::{Carry, Tokenizer};
use models::train::{Critic, Random};
use tch::{Device, Kind, Tensor, no_grad};

/// A replica of everything that learns, and the judge that does not.
pub struct Worker {
    pub tokenizer: Tokenizer,
    pub critic: Option<Critic>,
    pub perceptual: Option<Lpips>,
}

/// Weights of the terms of the loss, beside the squared error's.
#[derive(Clone, Copy)]
pub struct Terms {
    pub commit: f64,
    pub perceptual: f64,
    /// 0 until the critic takes part.
    pub adversarial: f64,
}

/// What one worker takes into a step.
pub struct Part<'a> {
    /// Crops, newest frame first.
    pub frames: Vec<Tensor>,
    /// Decides which tokens get lost.
    pub random: Random,
    /// Of each crop.
    pub clips: Vec<usize>,
    /// Mean squared error of every clip.
    pub known: &'a [Option<f64>],
    pub workers: usize,
    /// Before there is a codebook the decoder sees features.
    pub quantise: bool,
    /// Encoder and codebook stay as they are.
    pub decoder_only: bool,
    pub terms: Terms,
}

/// What one worker found in one step.
pub struct Found {
    pub loss: f64,
    /// Clip and mean squared error of each crop; full scale is 2.
    pub errors: Vec<(usize, f64)>,
    pub psnr: f64,
    pub commit: f64,
    pub features: Tensor,
    pub tokens: Option<Tensor>,
}

impl Worker {
    /// Forward and backward of one worker's crops; the gradients are added up in its replicas.
    pub fn work(&self, part: &mut Part) -> Found {
        // Oldest first, as an encoder sees them.
        let older: Vec<Tensor> =
            no_grad(|| part.frames[1..].iter().rev().map(|f| self.tokenizer.features(f)).collect());
        let batch = &part.frames[0];
        let z = match part.decoder_only {
            true => no_grad(|| self.tokenizer.features(batch)),
            false => self.tokenizer.features(batch),
        };
        let (codes, tokens, distance, targets) = if part.quantise {
            let mut carry = Carry::default();
            let mut past: Vec<Tensor> =
                no_grad(|| older.iter().map(|z| self.tokenizer.quantise(z, &mut carry).0).collect());
            past.reverse();
            let (tokens, targets) = no_grad(|| self.tokenizer.quantise(&z, &mut carry));
            let codes = self.tokenizer.embed(&tokens);
            // Against what the code was chosen for: the error that neighbours handed on is not this feature's.
            let carried = &targets - &z.detach();
            let distance = (&z + carried - &codes).square().mean(Kind::Float);
            // Straight through: the decoder sees codes, the encoder gets the decoder's gradient.
            let codes = &z + (codes - &z).detach();
            let filled = losses::filled(&tokens, &past, &mut part.random);
            let kept = filled[0].eq_tensor(&tokens).unsqueeze(-1);
            let mut seen: Vec<Tensor> = filled.iter().map(|tokens| self.tokenizer.embed(tokens)).collect();
            seen[0] = codes.where_self(&kept, &seen[0]);
            (seen, Some(tokens.view([-1])), distance, targets)
        } else {
            let mut seen = vec![z.shallow_clone()];
            seen.extend(older.into_iter().rev());
            (seen, None, z.zeros_like().mean(Kind::Float), z.detach())
        };
        let Part { clips, known, workers, terms, .. } = &*part;
        let drawn = self.tokenizer.draw(&codes);
        let mse = (&drawn - batch).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
        let errors = Vec::<f32>::try_from(&mse.detach().to_device(Device::Cpu)).unwrap_or_default();
        let errors: Vec<(usize, f64)> =
            clips.iter().copied().zip(errors.into_iter().map(f64::from)).collect();
        // The floor (40 dB) keeps plain clips from ruling the mean.
        let scale = |&(clip, error): &(usize, f64)| (1.0 / (known[clip].unwrap_or(error) + 4e-4)) as f32;
        let scales: Vec<f32> = errors.iter().map(scale).collect();
        let relative = (&mse * Tensor::from_slice(&scales).to_device(mse.device())).mean(Kind::Float);
        let mut loss = relative * 0.5 + &distance * terms.commit;
        if let Some(perceptual) = &self.perceptual {
            loss += perceptual.loss(batch, &drawn) * terms.perceptual;
        }
        let critic = self.critic.as_ref().filter(|_| terms.adversarial > 0.0);
        if let Some(critic) = critic {
            loss += critic.painter_loss(&drawn) * terms.adversarial;
        }
        (&loss / *workers as f64).backward();
        if let Some(critic) = critic {
            // The critic does not learn to be fooled.
            critic.store().trainable_variables().iter_mut().for_each(Tensor::zero_grad);
            (critic.own_loss(batch, &drawn) / *workers as f64).backward();
        }
        let psnr = (mse / 4.0 + 1e-8).log10().mean(Kind::Float).double_value(&[]) * -10.0;
        Found {
            loss: loss.double_value(&[]),
            errors,
            psnr,
            commit: distance.double_value(&[]),
            features: flat(&targets),
            tokens,
        }
    }
}

/// `[places, values]`.
pub fn flat(features: &Tensor) -> Tensor {
    features.reshape([-1, features.size()[3]])
}
