//! The network on tensors, as training differentiates it. Pictures are cells `[n, 96, h, w]` (the module `cells`), `channels_last`.

use super::super::blocks::{Activation, Block, Widen, chain};
use super::cells::VALUES;
use crate::layers::Conv;
use sut_core::rans::cdf;
use tch::{Device, Kind, Tensor, nn};

/// Channels at 1/8.
pub(super) const FINE: i64 = 48;
/// Channels of the latents at 1/16.
pub(super) const LATENT: i64 = 64;
/// Channels of the hyperprior at 1/64, and between it and the latents.
pub const HYPER: i64 = 16;
pub(super) const HYPER_INNER: i64 = 32;
/// Channels of the prior at 1/16.
pub(super) const PRIOR: i64 = 48;
/// Groups of channels, and as many steps.
pub(super) const GROUPS: i64 = 4;
/// What the prior knows of a block's vector.
pub const MOTION: i64 = 3;
/// Quantisers that have rows of their own; those between are interpolated.
pub(super) const ANCHORS: i64 = 4;
/// The largest quantiser.
pub const MOST_QP: u8 = 63;
/// A difference of pictures is multiplied by this before the network sees it, what the network adds is divided by it.
pub(super) const CONTRAST: f64 = 8.0;
/// A row of the Gaussian table is this times what the network says, plus the other.
pub(super) const ROW: (f64, f64) = (16.0, 40.0);
/// Latents of rows up to this one are not coded.
pub(super) const SKIPPED: f64 = 2.0;
/// Rows of the table.
const LAST_ROW: f64 = cdf::SCALES as f64 - 1.0;
/// Position in a 2x2 cell (row, column) that a group is coded at, by step and group, as in DCVC-RT's image model.
pub(super) const ORDER: [[usize; GROUPS as usize]; GROUPS as usize] =
    [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2]];

/// The network.
#[derive(Debug)]
pub struct Network {
    store: nn::VarStore,
    look: Conv,
    analysis: Vec<Block>,
    down: Conv,
    analysis_coarse: Vec<Block>,
    latent: Conv,
    hyper_analysis: [Conv; 3],
    hyper_synthesis: [Widen; 2],
    hyper_rows: Tensor,
    base: Conv,
    base_blocks: Vec<Block>,
    first: Conv,
    adaptors: Vec<Conv>,
    spatial: Vec<Block>,
    refined: Conv,
    synthesis_coarse: Vec<Block>,
    up: Widen,
    predicted: Conv,
    synthesis: Vec<Block>,
    head: Conv,
    scale_encoder: Tensor,
    scale_decoder: Tensor,
}

/// What is coded of a batch.
#[derive(Debug)]
pub struct Coded {
    /// Latents as a decoder has them.
    pub latents: Tensor,
    /// Bits of each picture, `[n]`; vectors are not in it.
    pub bits: Tensor,
}

impl Network {
    /// Of all blocks.
    pub(super) const ACTIVATION: Activation = Activation::Relu;

    /// A network before training: its pictures are the predictions.
    #[must_use]
    pub fn new(device: Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let values = VALUES as i64;
        let blocks = |name: &str, count: i64, channels: i64| -> Vec<Block> {
            let path = |i: i64| &root / name / i;
            (0..count).map(|i| Block::new(&path(i), channels, channels).activated(Self::ACTIVATION)).collect()
        };
        let pointwise = |name: &str, from, to, gain| Conv::pointwise(&(&root / name), from, to, gain);
        let down = |name: &str, from, to| Conv::down(&(&root / name), from, to, 2);
        let scales = |name: &str, inverse: bool| {
            let rows = [0.6f32, 1.1, 1.9, 3.3].map(|s| if inverse { 1.0 / s } else { s });
            let rows = Tensor::from_slice(&rows).view([ANCHORS, 1]).repeat([1, LATENT]);
            root.var_copy(name, &rows)
        };
        Self {
            look: pointwise("look", 2 * values, FINE, 1.0),
            analysis: blocks("analysis", 1, FINE),
            down: down("down", FINE, LATENT),
            analysis_coarse: blocks("analysis_coarse", 1, LATENT),
            latent: pointwise("latent", LATENT, LATENT, 1.0),
            hyper_analysis: [
                pointwise("hyper_analysis_0", LATENT, HYPER_INNER, 1.0),
                down("hyper_analysis_1", HYPER_INNER, HYPER_INNER),
                down("hyper_analysis_2", HYPER_INNER, HYPER),
            ],
            hyper_synthesis: [
                Widen::new(&(&root / "hyper_synthesis_0"), HYPER, HYPER_INNER, 1),
                Widen::new(&(&root / "hyper_synthesis_1"), HYPER_INNER, HYPER_INNER, 1),
            ],
            hyper_rows: root.var("hyper_rows", &[ANCHORS, HYPER], nn::Init::Const(0.5)),
            base: pointwise("base", HYPER_INNER + MOTION + 1, PRIOR, 1.0),
            base_blocks: blocks("base_blocks", 1, PRIOR),
            first: pointwise("first", PRIOR, 2 * LATENT, 0.2),
            adaptors: (1..GROUPS)
                .map(|k| Conv::pointwise(&(&root / "adaptors" / k), PRIOR + LATENT + GROUPS, PRIOR, 1.0))
                .collect(),
            spatial: blocks("spatial", 1, PRIOR),
            refined: pointwise("refined", PRIOR, 2 * LATENT, 0.2),
            synthesis_coarse: blocks("synthesis_coarse", 1, LATENT),
            up: Widen::new(&(&root / "up"), LATENT, FINE, 1),
            predicted: pointwise("predicted", values, FINE, 1.0),
            synthesis: blocks("synthesis", 2, FINE),
            head: pointwise("head", FINE, values, 0.05),
            scale_encoder: scales("scale_encoder", false),
            scale_decoder: scales("scale_decoder", true),
            store,
        }
    }

    /// Its parameters.
    #[must_use]
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Latents `[n, 64, h/2, w/2]` of pictures and their predictions, in steps of each picture's quantiser.
    pub fn analyse(&self, current: &Tensor, predicted: &Tensor, qp: &[u8]) -> Tensor {
        let seen = Tensor::cat(&[(current - predicted) * CONTRAST, predicted * 2.0], 1);
        let fine = chain(&self.analysis, &self.look.forward(&seen));
        let coarse = chain(&self.analysis_coarse, &self.down.forward(&fine));
        self.latent.forward(&coarse) * rows(&self.scale_encoder, qp).unsqueeze(2).unsqueeze(3)
    }

    /// Quantises latents and says how many bits they take. `motion` is `[n, 3, h/2, w/2]` (`features`). Rounding has the derivative of
    /// the identity, for values and bits alike: noise in its place would make latents that are never anything but zero cost bits.
    #[must_use]
    pub fn code(&self, latents: &Tensor, motion: &Tensor, qp: &[u8]) -> Coded {
        let size = latents.size();
        let [one, two, three] = &self.hyper_analysis;
        let z = three.forward(&two.forward(&one.forward(latents).relu()).relu());
        let z_rows = rows(&self.hyper_rows, qp).unsqueeze(2).unsqueeze(3) * ROW.0 + ROW.1;
        let z_coded = rounded(&z);
        let mut bits = spent(&z_coded, &within(&z_rows.expand_as(&z)));

        let [half, whole] = &self.hyper_synthesis;
        let hyper = whole.forward(&half.forward(&z_coded).relu()).relu();
        let levels: Vec<f32> = qp.iter().map(|&qp| f32::from(qp) / f32::from(MOST_QP)).collect();
        let level =
            Tensor::from_slice(&levels).view([-1, 1, 1, 1]).expand([size[0], 1, size[2], size[3]], false);
        let base = self.base.forward(&Tensor::cat(&[&hyper, motion, &level], 1));
        let base = chain(&self.base_blocks, &base);

        let masks = masks(size[2], size[3]);
        let mut decoded = latents.zeros_like();
        let mut known = Tensor::zeros([1, GROUPS, size[2], size[3]], (Kind::Float, latents.device()));
        for step in 0..GROUPS {
            let said = if step == 0 {
                self.first.forward(&base)
            } else {
                let known = known.expand([size[0], GROUPS, size[2], size[3]], false);
                let seen = Tensor::cat(&[&base, &decoded, &known], 1);
                let adapted = self.adaptors[step as usize - 1].forward(&seen);
                self.refined.forward(&chain(&self.spatial, &adapted))
            };
            let mask = &masks[step as usize];
            let fold = |x: &Tensor| {
                let each = LATENT / GROUPS;
                let parts = (0..GROUPS).map(|g| x.narrow(1, g * each, each) * mask.narrow(1, g, 1));
                parts.reduce(|sum, part| sum + part).expect("four groups")
            };
            let mean = fold(&said.narrow(1, 0, LATENT));
            let row = within(&(fold(&said.narrow(1, LATENT, LATENT)) * ROW.0 + ROW.1));
            let rest = fold(latents) - &mean;
            let symbols = rounded(&rest);
            bits += spent(&symbols, &row);
            let coded = (row.detach() + 0.5).floor().gt(SKIPPED).to_kind(Kind::Float);
            // What is not coded is zero, but may come to be worth it: the derivative is left.
            let value = &rest + (&symbols * coded - &rest).detach() + mean;
            let spread = (0..GROUPS).map(|g| &value * mask.narrow(1, g, 1));
            decoded = &decoded + Tensor::cat(&spread.collect::<Vec<_>>(), 1);
            known = &known + mask;
        }
        let latents = decoded * rows(&self.scale_decoder, qp).unsqueeze(2).unsqueeze(3);
        Coded { latents, bits }
    }

    /// Pictures from latents and predictions, not yet rounded.
    pub fn synthesise(&self, latents: &Tensor, predicted: &Tensor) -> Tensor {
        let coarse = chain(&self.synthesis_coarse, latents);
        let fine = self.up.forward(&coarse) + self.predicted.forward(&(predicted * 2.0));
        predicted + self.head.forward(&chain(&self.synthesis, &fine)) * (1.0 / CONTRAST)
    }
}

/// Rows of a table `[4, c]` for each picture's quantiser, `[n, c]`.
fn rows(table: &Tensor, qp: &[u8]) -> Tensor {
    let shares: Vec<f32> = qp.iter().flat_map(|&qp| shares(qp)).collect();
    Tensor::from_slice(&shares).view([-1, ANCHORS]).matmul(table)
}

/// How much of each row of a table makes that of a quantiser.
#[must_use]
pub(super) fn shares(qp: u8) -> [f32; ANCHORS as usize] {
    let last = ANCHORS as usize - 1;
    let place = f32::from(qp.min(MOST_QP)) * (last as f32 / f32::from(MOST_QP));
    let lower = (place as usize).min(last - 1);
    let part = place - lower as f32;
    let mut shares = [0.0; ANCHORS as usize];
    (shares[lower], shares[lower + 1]) = (1.0 - part, part);
    shares
}

/// Rounds; the derivative is that of the identity.
fn rounded(x: &Tensor) -> Tensor {
    x + (x.round() - x).detach()
}

/// Rows of the table; outside of it a small part of the derivative is left, so that they come back.
fn within(rows: &Tensor) -> Tensor {
    rows.clamp(0.0, LAST_ROW) + (rows - rows.detach()) * 0.05
}

/// Bits of values by rows, per picture.
fn spent(values: &Tensor, rows: &Tensor) -> Tensor {
    let (low, high) = (0.11f64.ln(), 16f64.ln());
    let scale = (rows * ((high - low) / LAST_ROW)).exp() * (0.11 * std::f64::consts::SQRT_2);
    let away = values.abs();
    let p = (((&away - 0.5) / &scale).erfc() - ((&away + 0.5) / &scale).erfc()) * 0.5;
    // Far out, where the distribution has nothing, about what an escaped value takes.
    let bits = (p + (-away).exp() * 1e-6).log2().neg();
    bits.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float)
}

/// Where each group is coded in each step: `[1, 4, h, w]` per step.
fn masks(height: i64, width: i64) -> Vec<Tensor> {
    let (h, w) = (height as usize, width as usize);
    let mask = |step: &[usize; GROUPS as usize]| {
        let mut values = vec![0f32; GROUPS as usize * h * w];
        for (i, value) in values.iter_mut().enumerate() {
            let (group, row, column) = (i / (h * w), i / w % h, i % w);
            *value = f32::from(u8::from(step[group] == 2 * (row % 2) + column % 2));
        }
        Tensor::from_slice(&values).view([1, GROUPS, height, width])
    };
    ORDER.iter().map(mask).collect()
}
