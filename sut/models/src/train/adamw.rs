//! AdamW with its moments in reach, so that a training can be resumed exactly (libtorch's own
//! optimiser keeps them to itself in `tch`).

use std::collections::BTreeMap;
use tch::{Kind, Tensor, no_grad};

/// Decoupled weight decay Adam (Loshchilov, Hutter 2019) over named tensors, with an exponential
/// moving average of the weights for evaluation.
#[derive(Debug)]
pub struct AdamW {
    slots: BTreeMap<String, Slot>,
    betas: (f64, f64),
    decay: f64,
    average: f64,
}

#[derive(Debug)]
struct Slot {
    /// What the network computes with.
    weight: Tensor,
    /// The same as 32-bit floats: small steps would get lost in 16 bits.
    master: Tensor,
    mean: Tensor,
    square: Tensor,
    average: Tensor,
}

impl AdamW {
    /// An optimiser of `weights`; `decay` acts on tensors of two and more dimensions, `average` is the
    /// factor of the moving average of the weights.
    #[must_use]
    pub fn new(weights: BTreeMap<String, Tensor>, betas: (f64, f64), decay: f64, average: f64) -> Self {
        let slots = weights.into_iter().map(|(name, weight)| {
            let master = weight.detach().to_kind(Kind::Float);
            let zeros = || master.zeros_like();
            let slot = Slot { mean: zeros(), square: zeros(), average: master.copy(), master, weight };
            (name, slot)
        });
        Self { slots: slots.collect(), betas, decay, average }
    }

    /// Begins at these weights instead of the network's own, which may have been rounded to 16 bits.
    ///
    /// # Panics
    /// When one is missing or has another shape.
    pub fn start(&mut self, weights: &BTreeMap<String, Tensor>) {
        no_grad(|| {
            for (name, slot) in &mut self.slots {
                slot.master.copy_(&weights[name]);
                slot.average.copy_(&slot.master);
                slot.publish();
            }
        });
    }

    /// One step, number `step` from 0, on the gradients in the weights, clipped to a total norm of
    /// `clip`; clears the gradients. Gives the norm before clipping.
    pub fn step(&mut self, step: u64, rate: f64, clip: f64) -> f64 {
        no_grad(|| {
            let square: f64 = self.slots.values().map(|s| squared_norm(&s.weight.grad())).sum();
            let norm = square.sqrt();
            if !norm.is_finite() {
                self.clear();
                return norm;
            }
            let scale = (clip / (norm + 1e-12)).min(1.0);
            let (b1, b2) = self.betas;
            let t = (step + 1).min(1_000_000) as i32;
            let (c1, c2) = (1.0 - b1.powi(t), 1.0 - b2.powi(t));
            let average = self.average.min((step + 1) as f64 / (step + 10) as f64);
            for slot in self.slots.values_mut() {
                let grad = slot.weight.grad();
                if !grad.defined() {
                    continue;
                }
                let grad = grad.to_kind(Kind::Float) * scale;
                let _ = slot.mean.g_mul_scalar_(b1).g_add_(&(&grad * (1.0 - b1)));
                let _ = slot.square.g_mul_scalar_(b2).g_add_(&(grad.square() * (1.0 - b2)));
                let denominator = (&slot.square / c2).sqrt_().g_add_scalar_(1e-8);
                if self.decay > 0.0 && slot.master.dim() >= 2 {
                    let _ = slot.master.g_mul_scalar_(1.0 - rate * self.decay);
                }
                let _ = slot.master.g_sub_(&(&slot.mean / denominator * (rate / c1)));
                let _ = slot.average.lerp_(&slot.master, 1.0 - average);
                slot.publish();
            }
            self.clear();
            norm
        })
    }

    fn clear(&mut self) {
        for slot in self.slots.values_mut() {
            slot.weight.zero_grad();
        }
    }

    /// Everything needed to go on later: the weights under their names, moments and averages under
    /// `adam.mean.`, `adam.square.` and `average.`.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::new();
        for (name, slot) in &self.slots {
            state.insert(name.clone(), slot.master.shallow_clone());
            state.insert(format!("adam.mean.{name}"), slot.mean.shallow_clone());
            state.insert(format!("adam.square.{name}"), slot.square.shallow_clone());
            state.insert(format!("average.{name}"), slot.average.shallow_clone());
        }
        state
    }

    /// Takes back what [`state`](Self::state) gave; false when something is missing or of another shape.
    #[must_use]
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> bool {
        no_grad(|| {
            self.slots.iter_mut().all(|(name, slot)| {
                let parts = [
                    (name.clone(), &mut slot.master),
                    (format!("adam.mean.{name}"), &mut slot.mean),
                    (format!("adam.square.{name}"), &mut slot.square),
                    (format!("average.{name}"), &mut slot.average),
                ];
                let whole = parts.into_iter().all(|(key, target)| {
                    let Some(found) = state.get(&key) else { return false };
                    found.size() == target.size() && {
                        target.copy_(found);
                        true
                    }
                });
                slot.publish();
                whole
            })
        })
    }

    /// The averaged weights under the plain names.
    #[must_use]
    pub fn averaged(&self) -> BTreeMap<String, Tensor> {
        self.slots.iter().map(|(name, slot)| (name.clone(), slot.average.shallow_clone())).collect()
    }
}

impl Slot {
    /// The network gets the new weights (32-bit weights are the master itself).
    fn publish(&mut self) {
        if self.weight.kind() != Kind::Float {
            self.weight.copy_(&self.master);
        }
    }
}

fn squared_norm(grad: &Tensor) -> f64 {
    if grad.defined() { grad.square().sum(tch::Kind::Float).double_value(&[]) } else { 0.0 }
}
