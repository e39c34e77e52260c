//! The network for key frames (DMCI): one picture, nothing before it.
//!
//! ```text
//! picture [1,3,h,w] ─▶ analysis ─▶ y [1,256,h/16,w/16] ─▶ hyper analysis ─▶ z [1,128,h/64,w/64]
//!      z ─▶ hyper synthesis ─▶ fusion ─▶ quantisers, scales and means of y, refined in four steps
//! y, dequantised ─▶ synthesis ─▶ picture
//! ```

use super::blocks::{Block, Down, Layer, Up, blocks, chain};
use super::latents::{self, Coding, HYPER, HyperPrior, HyperTables, Latents, Reading, Source};
use crate::probe;
use tch::{Kind, Tensor, nn, no_grad};

/// Channels of the latents, and of the layers between pictures and latents.
const LATENT: i64 = 256;
const INNER: i64 = 368;
/// A picture's 8x8 cells of three channels.
const CELLS: i64 = 192;
/// Quantisers.
pub const QUANTISERS: i64 = 64;
/// Groups of channels, and as many steps.
const GROUPS: usize = 4;
/// Position in a 2x2 cell (row, column) that a group is coded at, by step and group: every step visits every position once.
const ORDER: [[usize; GROUPS]; GROUPS] = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2]];

/// The network.
#[derive(Debug)]
pub struct ImageModel {
    store: nn::VarStore,
    analysis: (Block, Vec<Block>, Layer),
    hyper_analysis: (Block, Down, Down),
    hyper_synthesis: (Up, Up, Block),
    fusion: (Vec<Block>, Layer),
    reduction: Layer,
    adaptors: Vec<Block>,
    spatial: (Vec<Block>, Layer),
    synthesis: (Up, Vec<Block>, Block),
    scale_encoder: Tensor,
    scale_decoder: Tensor,
    hyper_prior: HyperPrior,
    tables: Option<HyperTables>,
}

impl ImageModel {
    /// A network of random weights on `device`.
    #[must_use]
    pub fn new(device: tch::Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let path = |name: &str| name.split('.').fold(root.clone(), |path, part| path / part);
        let fusion = path("y_prior_fusion");
        let spatial = path("y_spatial_prior");
        let scales = |name: &str| root.var(name, &[QUANTISERS, INNER, 1, 1], nn::Init::Const(1.0));
        Self {
            analysis: (
                Block::new(&path("enc.enc_1"), CELLS, INNER),
                blocks(&path("enc.enc_2"), 0, 6, INNER),
                Layer::around(&path("enc.enc_2.6"), INNER, LATENT, 2),
            ),
            hyper_analysis: (
                Block::new(&path("hyper_enc.0"), LATENT, HYPER),
                Down::new(&path("hyper_enc.1"), HYPER, HYPER),
                Down::new(&path("hyper_enc.2"), HYPER, HYPER),
            ),
            hyper_synthesis: (
                Up::new(&path("hyper_dec.0"), HYPER, HYPER),
                Up::new(&path("hyper_dec.1"), HYPER, HYPER),
                Block::new(&path("hyper_dec.2"), HYPER, LATENT),
            ),
            fusion: (
                std::iter::once(Block::new(&(&fusion / 0), LATENT, 2 * LATENT))
                    .chain(blocks(&fusion, 1, 2, 2 * LATENT))
                    .collect(),
                Layer::pointwise(&(&fusion / 3), 2 * LATENT, 2 * LATENT + 2),
            ),
            reduction: Layer::pointwise(&path("y_spatial_prior_reduction"), 2 * LATENT + 2, LATENT),
            adaptors: (1..GROUPS)
                .map(|k| {
                    let path = path(&format!("y_spatial_prior_adaptor_{k}"));
                    Block::adapted(&path, 2 * LATENT, 2 * LATENT)
                })
                .collect(),
            spatial: (
                blocks(&spatial, 0, 3, 2 * LATENT),
                Layer::pointwise(&(&spatial / 3), 2 * LATENT, 2 * LATENT),
            ),
            synthesis: (
                Up::new(&path("dec.dec_1.0"), LATENT, INNER),
                blocks(&path("dec.dec_1"), 1, 12, INNER),
                Block::new(&path("dec.dec_2"), INNER, CELLS),
            ),
            scale_encoder: scales("q_scale_enc"),
            scale_decoder: scales("q_scale_dec"),
            hyper_prior: HyperPrior::new(&path("bit_estimator_z"), QUANTISERS),
            tables: None,
            store,
        }
    }

    /// Its tensors by name.
    #[must_use]
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    pub(super) fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// Makes the coder's tables; needed once after the weights are there, while they have 32 bits.
    pub fn prepare(&mut self) {
        self.tables = Some(self.hyper_prior.tables());
    }

    /// The coder's tables.
    ///
    /// # Panics
    /// Before [`prepare`](Self::prepare).
    #[must_use]
    pub fn tables(&self) -> &HyperTables {
        self.tables.as_ref().expect("prepare was called when the weights were loaded")
    }

    /// What is coded of `picture` ([1, 3, h, w] in 0..=1, both sizes multiples of 16), and the picture that a decoder shows.
    pub fn encode(&self, picture: &Tensor, qp: i64, coding: Coding) -> (Latents, Tensor) {
        no_grad(|| {
            let x = picture.pixel_unshuffle(8);
            let (first, blocks, last) = &self.analysis;
            let x = first.forward(&x) * self.scale_encoder.get(qp).unsqueeze(0);
            let y = last.forward(&chain(blocks, &x));
            let (first, half, quarter) = &self.hyper_analysis;
            let z = quarter.forward(&half.forward(&first.forward(&latents::padded(&y, 4))));
            probe::show("z", &z);
            let z = latents::quantised_hyper(&z);
            let mut planes = Vec::new();
            let params = self.params(&z, (y.size()[2], y.size()[3]));
            let scaled = &y * quantiser(&params, 0);
            let decoded = self.prior(&params, &mut Source::Encode(&scaled, &mut planes), coding);
            (Latents { hyper: latents::bytes(&z), planes }, self.synthesis(&decoded, qp))
        })
    }

    /// The picture ([1, 3, height, width], both multiples of 16) of a stream; of a damaged one a damaged picture.
    pub fn decode(&self, stream: &[u8], (height, width): (i64, i64), qp: i64, coding: Coding) -> Tensor {
        no_grad(|| {
            let mut reading = Reading::new(stream, self.tables(), coding.two);
            let shape = [1, HYPER, (height + 63) / 64, (width + 63) / 64];
            let z = reading.hyper(qp, shape.iter().product::<i64>() as usize);
            let z = latents::tensor(&z, &shape, &self.scale_decoder);
            let params = self.params(&z, (height / 16, width / 16));
            let decoded = self.prior(&params, &mut Source::Decode(&mut reading), coding);
            self.synthesis(&decoded, qp)
        })
    }

    /// Quantisers, scales and means from the hyperprior, for latents of `size`.
    fn params(&self, z: &Tensor, (height, width): (i64, i64)) -> Tensor {
        let (half, whole, last) = &self.hyper_synthesis;
        let hyper = last.forward(&whole.forward(&half.forward(z)));
        let (blocks, last) = &self.fusion;
        last.forward(&chain(blocks, &hyper)).narrow(2, 0, height).narrow(3, 0, width)
    }

    /// The latents, dequantised.
    fn prior(&self, params: &Tensor, source: &mut Source, coding: Coding) -> Tensor {
        let reduced = self.reduction.forward(params);
        let mut scales = params.narrow(1, 2, LATENT);
        let mut means = params.narrow(1, 2 + LATENT, LATENT);
        let masks = latents::masks(&means, (GROUPS, GROUPS), |step, group, row, column| {
            ORDER[step][group] == 2 * (row % 2) + column % 2
        });
        let mut sum: Option<Tensor> = None;
        for (step, mask) in masks.iter().enumerate() {
            if let Some(sum) = &sum {
                let input = Tensor::cat(&[sum, &reduced], 1);
                let (blocks, last) = &self.spatial;
                let refined = last.forward(&chain(blocks, &self.adaptors[step - 1].forward(&input)));
                scales = refined.narrow(1, 0, LATENT);
                means = refined.narrow(1, LATENT, LATENT);
            }
            let decoded = source.step(&scales, &means, mask, GROUPS as i64, coding);
            latents::show_step(step, &scales, &means, &decoded);
            sum = Some(sum.map_or_else(|| decoded.shallow_clone(), |sum| sum + &decoded));
        }
        sum.expect("there are steps") * quantiser(params, 1)
    }

    fn synthesis(&self, latents: &Tensor, qp: i64) -> Tensor {
        let (up, blocks, last) = &self.synthesis;
        let x = chain(blocks, &up.forward(latents)) * self.scale_decoder.get(qp).unsqueeze(0);
        let out = last.forward(&x).pixel_shuffle(8).clamp(0.0, 1.0);
        probe::show("x_hat", &out.to_kind(Kind::Float));
        out
    }
}

/// Quantiser map `which` (0: encoder, 1: decoder), one value a position.
fn quantiser(params: &Tensor, which: i64) -> Tensor {
    params.narrow(1, which, 1).sigmoid() * 1.5 + 0.5
}
