//! What one worker does in one step.

use models::layers::floats;
use models::lpips::Lpips;
use models::token_recovery::{Copies, Recovery};
use models::tokenizer::{Carry, Tokenizer, View};
use models::train::{Discriminator, Losses, Random};
use tch::{Device, Kind, Tensor, no_grad};

/// A replica of everything that learns, and the judge that does not.
pub struct Worker {
    pub tokenizer: Tokenizer,
    /// Guesses what got lost; without it, copies do.
    pub recovery: Option<Recovery>,
    pub discriminator: Option<Discriminator>,
    pub perceptual: Option<Lpips>,
}

/// Weights of the terms of the loss, beside the squared error's.
#[derive(Clone, Copy)]
pub struct Terms {
    pub commit: f64,
    pub perceptual: f64,
    /// 0 until the discriminator takes part.
    pub adversarial: f64,
}

/// What one worker takes into a step.
pub struct Part<'a> {
    /// Crops, newest frame first.
    pub frames: Vec<Tensor>,
    /// Of each crop.
    pub losses: Vec<Losses>,
    /// Decides which tokens get lost.
    pub random: Random,
    /// Of each crop.
    pub clips: Vec<usize>,
    /// Mean squared error of every clip.
    pub known: &'a [Option<f64>],
    pub workers: usize,
    /// Before there is a codebook the decoder sees features.
    pub quantise: bool,
    pub encoder_learns: bool,
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
        let older: Vec<Tensor> =
            no_grad(|| part.frames[1..].iter().map(|f| self.tokenizer.features(f)).collect());
        let batch = &part.frames[0];
        let z = match part.encoder_learns {
            true => self.tokenizer.features(batch),
            false => no_grad(|| self.tokenizer.features(batch)),
        };
        let received = if part.quantise {
            self.received(&z, &older, &part.losses, &mut part.random)
        } else {
            let seen: Vec<Tensor> = std::iter::once(z.shallow_clone()).chain(older).collect();
            let input = self.tokenizer.input_of_features(&seen);
            Received { input, tokens: None, distance: z.zeros_like().mean(Kind::Float), targets: z.detach() }
        };
        let Received { input, tokens, distance, targets } = received;
        let Part { clips, known, workers, terms, .. } = &*part;
        let drawn = self.tokenizer.draw(&input);
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
        let discriminator = self.discriminator.as_ref().filter(|_| terms.adversarial > 0.0);
        if let Some(discriminator) = discriminator {
            loss += discriminator.generator_loss(&drawn) * terms.adversarial;
        }
        (&loss / *workers as f64).backward();
        if let Some(discriminator) = discriminator {
            // The discriminator does not learn to be fooled.
            discriminator.store().trainable_variables().iter_mut().for_each(Tensor::zero_grad);
            (discriminator.own_loss(batch, &drawn) / *workers as f64).backward();
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

/// What the decoder gets, and of what.
pub struct Received {
    /// For the decoder.
    pub input: Tensor,
    /// The newest frame's tokens.
    pub tokens: Option<Tensor>,
    /// How far the features are from their codes: mean square per value.
    pub distance: Tensor,
    /// What each token is the nearest code of.
    pub targets: Tensor,
}

impl Worker {
    /// What the decoder gets of the newest frame's features `z` when a sender and a network with these losses lie
    /// between; `older` are those of the frames before, newest first.
    pub fn received(&self, z: &Tensor, older: &[Tensor], losses: &[Losses], random: &mut Random) -> Received {
        let [n, rows, columns, _] = z.size().iter().map(|&s| s as usize).collect::<Vec<_>>()[..] else {
            panic!("features have four dimensions")
        };
        let places = rows * columns;
        let mut carry = Carry::default();
        let mut received: Vec<Vec<Vec<Option<u16>>>> = vec![Vec::new(); n];
        let mut newest = None;
        // Oldest first, as an encoder sees them.
        for features in older.iter().rev().chain([z]) {
            let sent: Vec<bool> = losses.iter().flat_map(|l| l.sent(places, random)).collect();
            let (tokens, targets) = no_grad(|| self.tokenizer.quantise(features, &mut carry, Some(&sent)));
            let found = Vec::<i64>::try_from(&tokens.to_device(Device::Cpu).view([-1])).unwrap_or_default();
            for (i, received) in received.iter_mut().enumerate() {
                let own = i * places..(i + 1) * places;
                let arrived = losses[i].arrived(&sent[own.clone()], columns, random);
                let tokens = found[own].iter().zip(arrived).map(|(&t, arrived)| arrived.then_some(t as u16));
                received.push(tokens.collect());
            }
            newest = Some((tokens, targets, sent));
        }
        let (tokens, targets, sent) = newest.expect("the newest frame is one of them");
        let (views, guesses): (Vec<View>, Vec<Option<Tensor>>) =
            received.iter().map(|frames| self.view(frames, columns, rows)).unzip();
        let input = self.tokenizer.input(&views, columns, rows);
        // Straight through: the decoder sees codes, the encoder gets the decoder's gradient where they arrived.
        let arrived: Vec<bool> =
            received.iter().flat_map(|frames| frames[frames.len() - 1].iter().map(Option::is_some)).collect();
        let grid = |mask: &[bool]| {
            Tensor::from_slice(mask).view([n as i64, rows as i64, columns as i64, 1]).to_device(z.device())
        };
        let through = (z - z.detach()) * grid(&arrived);
        let beside = input.size()[3] - z.size()[3];
        let mut input = input + through.constant_pad_nd([0, beside]);
        // So does recovery where they did not.
        for (i, guess) in guesses.into_iter().enumerate() {
            let Some(guess) = guess.filter(Tensor::requires_grad) else { continue };
            let missing = (i * places..(i + 1) * places).filter(|&place| !arrived[place]).map(|p| p as i64);
            let at = Tensor::from_slice(&missing.collect::<Vec<_>>()).to_device(z.device());
            let through = (&guess - guess.detach()).constant_pad_nd([0, beside]);
            let flat = input.view([-1, input.size()[3]]);
            input = flat.index_add(0, &at, &through).view_as(&input);
        }
        // Against what the code was chosen for: the error that neighbours handed on is not this feature's.
        let carried = &targets - z.detach();
        let distance =
            ((z + carried - self.tokenizer.embed(&tokens)) * grid(&sent)).square().mean(Kind::Float);
        Received { input, tokens: Some(tokens.view([-1])), distance, targets }
    }

    /// What the last of a sequence of frames is drawn from, and recovery's guesses `[m, values]` among it.
    fn view(&self, frames: &[Vec<Option<u16>>], columns: usize, rows: usize) -> (View, Option<Tensor>) {
        let (last, before) = frames.split_last().expect("at least one frame");
        let mut places = self.tokenizer.places(columns * rows);
        for (number, frame) in frames.iter().enumerate() {
            let _ = places.receive(number as u32, frame, None);
        }
        if last.iter().all(Option::is_some) {
            return (places.view(&[]), None);
        }
        match &self.recovery {
            Some(recovery) => {
                let mut history = recovery.history(columns, rows);
                before.iter().for_each(|frame| recovery.remember(&mut history, frame));
                let guess = recovery.guess(&mut history, last);
                (places.view(&floats(&guess)), Some(guess))
            }
            None => {
                let mut copies = Copies::new(&self.tokenizer, columns * rows);
                for frame in before {
                    let _ = copies.fill(frame);
                }
                (places.view(&copies.fill(last)), None)
            }
        }
    }
}

/// `[places, values]`.
pub fn flat(features: &Tensor) -> Tensor {
    features.reshape([-1, features.size()[3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::tokenizer::Preset;

    #[test]
    fn encoder_and_recovery_learn_through_what_the_decoder_gets() {
        tch::manual_seed(3);
        let tokenizer = Tokenizer::new(Preset::Lite, 64, Device::Cpu);
        let _ = no_grad(|| tokenizer.codebook().shallow_clone().normal_(0.0, 1.0));
        let mut recovery = Recovery::new(Preset::Lite, 64, Device::Cpu);
        recovery.adopt(tokenizer.codebook());
        let worker = Worker { tokenizer, recovery: Some(recovery), discriminator: None, perceptual: None };
        let frames: Vec<Tensor> =
            (0..3).map(|_| Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)) * 2.0 - 1.0).collect();
        let features: Vec<Tensor> = frames.iter().map(|f| worker.tokenizer.features(f)).collect();
        let input = |losses: Losses| {
            let mut random = Random::of_step(1, 0);
            worker.received(&features[0], &features[1..], &[losses; 2], &mut random).input
        };
        let lossy = Losses { self_drop: 0.5, ..Losses::NONE };
        let plain = no_grad(|| input(lossy));
        let learnt = input(lossy);
        assert!(learnt.allclose(&plain, 1e-5, 1e-5, false), "what learns changes no number");
        assert_eq!(learnt.size(), [2, 4, 4, 4 * 17]);
        let guessed = learnt.narrow(3, 4 * 16, 1).sum(Kind::Float).double_value(&[]);
        assert!((6.0..26.0).contains(&guessed), "about half of 32 tokens are marked as guesses: {guessed}");
        assert_eq!(input(Losses::NONE).narrow(3, 4 * 16, 1).sum(Kind::Float).double_value(&[]), 0.0);
        worker.tokenizer.draw(&learnt).square().mean(Kind::Float).backward();
        let learns = |store: &tch::nn::VarStore, name: &str| {
            let grad = store.variables()[name].grad();
            grad.defined() && grad.abs().sum(Kind::Float).double_value(&[]) > 0.0
        };
        assert!(learns(worker.tokenizer.store(), "encoder.head.weight"));
        let recovery = worker.recovery.as_ref().expect("it was given one");
        assert!(learns(recovery.store(), "correction.weight"));
        assert!(learns(recovery.store(), "gate.weight"));
    }
}
