//! The adversary of an adversarial training term: tells parts of real pictures from parts of drawn ones.

use crate::layers::Conv;
use tch::{Kind, Tensor, nn};

/// Channels after each halving of the resolution; from 8x8 pixels on, one verdict each.
const CHANNELS: [i64; 3] = [48, 96, 192];

/// A patch discriminator (Isola et al. 2017, 2.2.2) with the hinge losses that VQGAN uses (Esser et al. 2021).
#[derive(Debug)]
pub struct Discriminator {
    store: nn::VarStore,
    downs: Vec<Conv>,
    around: Conv,
    verdict: Conv,
}

impl Discriminator {
    /// Fresh weights (`tch::manual_seed` decides which), under names that begin with `discriminator`.
    #[must_use]
    pub fn new(device: tch::Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root() / "discriminator";
        let mut from = 3;
        let mut downs = Vec::new();
        for (i, to) in CHANNELS.into_iter().enumerate() {
            downs.push(Conv::down(&(&root / "downs" / i), from, to, 2));
            from = to;
        }
        let around = Conv::depthwise(&(&root / "around"), from, 5);
        let verdict = Conv::pointwise(&(&root / "verdict"), from, 1, 0.3);
        Self { store, downs, around, verdict }
    }

    /// The store that owns all weights.
    #[must_use]
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Mutable access to the store.
    pub fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// One value per 8x8 pixels of `[n, 3, h, w]` pictures, positive for real ones.
    fn verdicts(&self, pictures: &Tensor) -> Tensor {
        let x = self.downs.iter().fold(pictures.shallow_clone(), |x, down| down.forward(&x).leaky_relu());
        self.verdict.forward(&self.around.forward(&x).leaky_relu())
    }

    /// The loss of the generator that drew `drawn`.
    pub fn generator_loss(&self, drawn: &Tensor) -> Tensor {
        -self.verdicts(drawn).mean(Kind::Float)
    }

    /// Its own loss; `drawn` gets no gradient.
    pub fn own_loss(&self, real: &Tensor, drawn: &Tensor) -> Tensor {
        let (real, drawn) = (self.verdicts(real), self.verdicts(&drawn.detach()));
        ((-real + 1.0).relu().mean(Kind::Float) + (drawn + 1.0).relu().mean(Kind::Float)) * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::AdamW;

    #[test]
    fn learns_to_tell_noise_from_smooth_pictures() {
        tch::manual_seed(5);
        let discriminator = Discriminator::new(tch::Device::Cpu);
        let mut optimiser =
            AdamW::new(discriminator.store().variables().into_iter().collect(), (0.5, 0.9), 0.0, 0.99);
        let pictures = |n: i64| {
            let real = Tensor::randn([n, 3, 16, 16], (Kind::Float, tch::Device::Cpu));
            (real.shallow_clone(), real.avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None::<i64>))
        };
        let (real, drawn) = pictures(4);
        let before = discriminator.own_loss(&real, &drawn).double_value(&[]);
        for step in 0..40 {
            let (real, drawn) = pictures(4);
            discriminator.own_loss(&real, &drawn).backward();
            let _ = optimiser.step(step, 4e-3, 10.0);
        }
        let after = discriminator.own_loss(&real, &drawn).double_value(&[]);
        assert!(after < 0.5 * before, "{before} to {after}");
        let drawn = drawn.set_requires_grad(true);
        discriminator.generator_loss(&drawn).backward();
        assert!(drawn.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
    }
}
