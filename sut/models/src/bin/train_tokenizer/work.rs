//! What one worker does in one step.

use models::lpips::Lpips;
use models::tokenizer::Tokenizer;
use models::train::Critic;
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
    pub batch: Tensor,
    /// Of each crop.
    pub clips: Vec<usize>,
    /// Mean squared error of every clip.
    pub known: &'a [Option<f64>],
    pub workers: usize,
    /// Before there is a codebook the decoder sees features.
    pub quantise: bool,
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
    pub fn work(&self, part: &Part) -> Found {
        let Part { batch, clips, known, workers, quantise, terms } = part;
        let z = self.tokenizer.features(batch);
        let (codes, tokens, distance, targets) = if *quantise {
            let (tokens, targets) = no_grad(|| self.tokenizer.quantise(&z));
            let codes = self.tokenizer.embed(&tokens);
            // Against what the code was chosen for: the error that neighbours handed on is not this feature's.
            let carried = &targets - &z.detach();
            let distance = (&z + carried - &codes).square().mean(Kind::Float);
            // Straight through: the decoder sees codes, the encoder gets the decoder's gradient.
            (&z + (codes - &z).detach(), Some(tokens.view([-1])), distance, targets)
        } else {
            (z.shallow_clone(), None, z.zeros_like().mean(Kind::Float), z.detach())
        };
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
