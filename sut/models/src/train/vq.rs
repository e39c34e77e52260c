//! A codebook that learns: k-means at the start, exponential moving averages afterwards, and dead
//! codes reborn where the error is largest.

use super::Random;
use crate::tokenizer::nearest;
use tch::{Device, Kind, Tensor, no_grad};

/// Moving averages behind a codebook of `[codes, values]`.
#[derive(Debug)]
pub struct Codebook {
    vectors: Tensor,
    counts: Tensor,
    sums: Tensor,
    decay: f64,
}

impl Codebook {
    /// Learns into `vectors`, which it shares with the model.
    #[must_use]
    pub fn new(vectors: &Tensor, decay: f64) -> Self {
        let counts = vectors.select(1, 0).ones_like();
        Self { vectors: vectors.shallow_clone(), counts, sums: vectors.copy(), decay }
    }

    /// k-means on `[n, values]` features: seeded by picking far points first, then `rounds` of Lloyd.
    pub fn start(&mut self, features: &Tensor, rounds: usize, random: &mut Random) {
        no_grad(|| {
            let codes = self.vectors.size()[0];
            let n = features.size()[0];
            // A random start and repeated rebirth of small clusters comes close to k-means++ for less.
            let picks: Vec<i64> = (0..codes).map(|_| random.below(n as usize) as i64).collect();
            self.vectors
                .copy_(&features.index_select(0, &Tensor::from_slice(&picks).to_device(features.device())));
            for round in 0..rounds {
                let tokens = nearest(features, &self.vectors);
                let (counts, sums) = self.gather(features, &tokens);
                self.counts.copy_(&counts);
                self.sums.copy_(&sums);
                self.refresh();
                if round + 2 < rounds {
                    let _ = self.revive(features, &tokens, 0.2, random);
                }
            }
            // Start the averages at the weight they will have when steady.
            let scale = 1.0 / (self.counts.mean(Kind::Float).double_value(&[]) + 1e-9);
            let _ = self.counts.g_mul_scalar_(scale);
            let _ = self.sums.g_mul_scalar_(scale);
        });
    }

    /// Moves every code towards the features it got (`tokens` as [`nearest`] gives them).
    pub fn update(&mut self, features: &Tensor, tokens: &Tensor) {
        no_grad(|| {
            let (counts, sums) = self.gather(features, tokens);
            let fresh = 1.0 - self.decay;
            // In units of "uses per code and step", so that thresholds do not depend on the batch.
            let scale = fresh * self.vectors.size()[0] as f64 / features.size()[0] as f64;
            let _ = self.counts.g_mul_scalar_(self.decay).g_add_(&(counts * scale));
            let _ = self.sums.g_mul_scalar_(self.decay).g_add_(&(sums * scale));
            self.refresh();
        });
    }

    /// Gives every code used less than `threshold` times the average a new place: a feature drawn with
    /// a probability that grows with its squared error. Gives the number of reborn codes.
    pub fn revive(
        &mut self,
        features: &Tensor,
        tokens: &Tensor,
        threshold: f64,
        random: &mut Random,
    ) -> usize {
        no_grad(|| {
            let mean = self.counts.mean(Kind::Float).double_value(&[]);
            let counts = Vec::<f32>::try_from(&self.counts.to_device(Device::Cpu)).unwrap_or_default();
            let dead: Vec<i64> = (0..counts.len())
                .filter(|&i| f64::from(counts[i]) < threshold * mean)
                .map(|i| i as i64)
                .collect();
            if dead.is_empty() {
                return 0;
            }
            let found = self.vectors.index_select(0, tokens);
            let errors = (features - found).square().sum_dim_intlist(1, false, Kind::Double);
            let errors = Vec::<f64>::try_from(&errors.to_device(Device::Cpu)).unwrap_or_default();
            let mut sums = Vec::with_capacity(errors.len());
            let mut total = 0.0;
            for error in errors {
                total += error;
                sums.push(total);
            }
            for &code in &dead {
                let drawn = random.unit() * total;
                let at = sums.partition_point(|&s| s < drawn).min(sums.len() - 1);
                let feature = features.get(at as i64);
                self.vectors.get(code).copy_(&feature);
                self.sums.get(code).copy_(&(feature * mean));
                let _ = self.counts.get(code).fill_(mean);
            }
            dead.len()
        })
    }

    /// Share of codes in real use (at least 5 % of the average) and the perplexity of the averages.
    #[must_use]
    pub fn health(&self) -> (f64, f64) {
        let p = &self.counts / self.counts.sum(Kind::Float);
        let entropy = -(&p * (&p + 1e-12).log()).sum(Kind::Float).double_value(&[]);
        let alive = self.counts.ge(0.05).sum(Kind::Float).double_value(&[]);
        (alive / self.vectors.size()[0] as f64, entropy.exp())
    }

    /// The averages, to go on later.
    pub fn state(&self) -> [(&'static str, Tensor); 3] {
        [
            ("codebook", self.vectors.shallow_clone()),
            ("vq.counts", self.counts.shallow_clone()),
            ("vq.sums", self.sums.shallow_clone()),
        ]
    }

    fn gather(&self, features: &Tensor, tokens: &Tensor) -> (Tensor, Tensor) {
        let counts = self.counts.zeros_like().index_add(0, tokens, &features.select(1, 0).ones_like());
        let sums = self.sums.zeros_like().index_add(0, tokens, features);
        (counts, sums)
    }

    fn refresh(&mut self) {
        let used = self.counts.ge(1e-4).unsqueeze(1);
        let means = &self.sums / self.counts.clamp_min(1e-4).unsqueeze(1);
        self.vectors.copy_(&means.where_self(&used, &self.vectors));
    }
}
