//! The network for predicted frames (DMC): a picture given what the decoder has.
//!
//! ```text
//! reference picture or feature ─▶ extractor ─▶ context [1,256,h/8,w/8], temporal context
//! picture + context ─▶ encoder ─▶ y [1,128,h/16,w/16] ─▶ z; prior from z and temporal context, two steps
//! y, dequantised + context ─▶ decoder ─▶ feature [1,256,h/8,w/8] ─▶ reconstruction ─▶ picture
//! ```

use super::blocks::{Block, Down, Layer, Up, Widen, blocks, chain};
use super::latents::{self, Coding, HYPER, HyperPrior, HyperTables, Latents, Reading, Source};
use crate::probe;
use tch::{Kind, Tensor, nn, no_grad};

const FEATURE: i64 = 256;
const LATENT: i64 = 128;
const RECONSTRUCTION: i64 = 320;
/// A picture's 8x8 cells of three channels.
const CELLS: i64 = 192;
/// Quantisers: 64 and the largest shift of the official schedule.
pub const QUANTISERS: i64 = 72;
/// Halves of the channels, and as many steps.
const GROUPS: usize = 2;

/// What a decoder keeps of the frame before.
#[derive(Debug, Default)]
pub struct Reference {
    picture: Option<Tensor>,
    /// The feature, and the quantiser of its frame.
    feature: Option<(Tensor, i64)>,
}

impl Reference {
    /// After a key frame: its picture at the padded size.
    #[must_use]
    pub fn of_key(picture: &Tensor) -> Self {
        Self { picture: Some(picture.shallow_clone()), feature: None }
    }

    /// After a predicted frame; a sender has no picture of it.
    #[must_use]
    pub fn of_predicted(feature: &Tensor, qp: i64, picture: Option<&Tensor>) -> Self {
        Self { picture: picture.map(Tensor::shallow_clone), feature: Some((feature.shallow_clone(), qp)) }
    }
}

/// The network.
#[derive(Debug)]
pub struct VideoModel {
    store: nn::VarStore,
    from_picture: Block,
    from_feature: Layer,
    extractor: (Vec<Block>, Vec<Block>),
    encoder: (Layer, Block, Block, Block, Layer),
    hyper_encoder: (Block, Down, Down),
    hyper_decoder: (Up, Up, Block),
    temporal: Down,
    fusion: (Vec<Block>, Layer),
    spatial: (Block, Block, Layer),
    decoder: (Widen, Block, Vec<Block>, Layer),
    reconstruction: (Vec<Block>, Layer),
    scale_encoder: Tensor,
    scale_decoder: Tensor,
    scale_feature: Tensor,
    scale_reconstruction: Tensor,
    hyper_prior: HyperPrior,
    tables: Option<HyperTables>,
}

impl VideoModel {
    /// A network of random weights on `device`.
    #[must_use]
    pub fn new(device: tch::Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let path = |name: &str| name.split('.').fold(root.clone(), |path, part| path / part);
        let scales = |name: &str, n: i64| root.var(name, &[QUANTISERS, n, 1, 1], nn::Init::Const(1.0));
        let n = FEATURE;
        let fusion = path("y_prior_fusion.conv");
        let reconstruction = path("recon_generation_net.conv");
        Self {
            from_picture: Block::new(&path("feature_adaptor_i"), CELLS, n),
            from_feature: Layer::pointwise(&path("feature_adaptor_p"), n, n),
            extractor: (
                blocks(&path("feature_extractor.conv1"), 0, 2, n),
                blocks(&path("feature_extractor.conv2"), 0, 4, n),
            ),
            encoder: (
                Layer::pointwise(&path("encoder.conv1"), CELLS, n),
                Block::new(&path("encoder.conv2.0"), 2 * n, n),
                Block::new(&path("encoder.conv2.1"), n, n),
                Block::new(&path("encoder.conv3"), n, n),
                Layer::around(&path("encoder.down"), n, LATENT, 2),
            ),
            hyper_encoder: (
                Block::new(&path("hyper_encoder.conv.0"), LATENT, HYPER),
                Down::new(&path("hyper_encoder.conv.1"), HYPER, HYPER),
                Down::new(&path("hyper_encoder.conv.2"), HYPER, HYPER),
            ),
            hyper_decoder: (
                Up::new(&path("hyper_decoder.conv.0"), HYPER, HYPER),
                Up::new(&path("hyper_decoder.conv.1"), HYPER, HYPER),
                Block::new(&path("hyper_decoder.conv.2"), HYPER, LATENT),
            ),
            temporal: Down::new(&path("temporal_prior_encoder"), n, 2 * LATENT),
            fusion: (
                blocks(&fusion, 0, 3, 3 * LATENT),
                Layer::pointwise(&(&fusion / 3), 3 * LATENT, 3 * LATENT),
            ),
            spatial: (
                Block::new(&path("y_spatial_prior.conv.0"), 4 * LATENT, 3 * LATENT),
                Block::new(&path("y_spatial_prior.conv.1"), 3 * LATENT, 3 * LATENT),
                Layer::pointwise(&path("y_spatial_prior.conv.2"), 3 * LATENT, 2 * LATENT),
            ),
            decoder: (
                Widen::new(&path("decoder.up"), LATENT, n, 3),
                Block::new(&path("decoder.conv1.0"), 2 * n, n),
                blocks(&path("decoder.conv1"), 1, 2, n),
                Layer::pointwise(&path("decoder.conv2"), n, n),
            ),
            reconstruction: (
                std::iter::once(Block::new(&(&reconstruction / 0), n, RECONSTRUCTION))
                    .chain(blocks(&reconstruction, 1, 3, RECONSTRUCTION))
                    .collect(),
                Layer::pointwise(&path("recon_generation_net.head"), RECONSTRUCTION, CELLS),
            ),
            scale_encoder: scales("q_encoder", n),
            scale_decoder: scales("q_decoder", n),
            scale_feature: scales("q_feature", n),
            scale_reconstruction: scales("q_recon", RECONSTRUCTION),
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

    /// Forgets the feature, so that errors in it end: the next frame refers to the picture. A sender, which has none, makes it.
    pub fn reset(&self, reference: &mut Reference) {
        if let Some((feature, qp)) = reference.feature.take()
            && reference.picture.is_none()
        {
            reference.picture = Some(no_grad(|| self.reconstruct(&feature, qp)));
        }
    }

    /// What is coded of `picture` ([1, 3, h, w] in 0..=1, both sizes multiples of 16), and the feature that a decoder then has.
    pub fn encode(
        &self,
        picture: &Tensor,
        reference: &Reference,
        qp: i64,
        coding: Coding,
    ) -> (Latents, Tensor) {
        no_grad(|| {
            let (context, temporal) = self.context(reference, qp);
            let (cells, first, second, third, down) = &self.encoder;
            let x = cells.forward(&picture.pixel_unshuffle(8));
            let x = second.forward(&first.forward(&Tensor::cat(&[&x, &context], 1)));
            let x = third.forward(&x) * row(&self.scale_encoder, qp);
            let y = down.forward(&x);
            let (first, half, quarter) = &self.hyper_encoder;
            let z = quarter.forward(&half.forward(&first.forward(&latents::padded(&y, 4))));
            probe::show("z", &z);
            let z = latents::quantised_hyper(&z);
            let params = self.params(&z, &temporal, (y.size()[2], y.size()[3]));
            let step = params.narrow(1, 0, LATENT).clamp_min(0.5);
            let scaled = &y * step.reciprocal();
            let mut planes = Vec::new();
            let decoded = self.prior(&params, &step, &mut Source::Encode(&scaled, &mut planes), coding);
            let feature = self.feature(&decoded, &context, qp);
            (Latents { hyper: latents::bytes(&z), planes }, feature)
        })
    }

    /// Feature and picture ([1, 3, height, width], both multiples of 16) of a stream; of a damaged one damaged ones.
    pub fn decode(
        &self,
        stream: &[u8],
        (height, width): (i64, i64),
        reference: &Reference,
        qp: i64,
        coding: Coding,
    ) -> (Tensor, Tensor) {
        no_grad(|| {
            let (context, temporal) = self.context(reference, qp);
            let mut reading = Reading::new(stream, self.tables(), coding.two);
            let shape = [1, HYPER, (height + 63) / 64, (width + 63) / 64];
            let z = reading.hyper(qp, shape.iter().product::<i64>() as usize);
            let z = latents::tensor(&z, &shape, &context);
            let params = self.params(&z, &temporal, (height / 16, width / 16));
            let step = params.narrow(1, 0, LATENT).clamp_min(0.5);
            let decoded = self.prior(&params, &step, &mut Source::Decode(&mut reading), coding);
            let feature = self.feature(&decoded, &context, qp);
            let picture = self.reconstruct(&feature, qp);
            (feature, picture)
        })
    }

    /// What the reference says of the picture, and the part that the prior sees.
    fn context(&self, reference: &Reference, qp: i64) -> (Tensor, Tensor) {
        let x = match (&reference.feature, &reference.picture) {
            (Some((feature, _)), _) => self.from_feature.forward(feature),
            (None, Some(picture)) => self.from_picture.forward(&picture.pixel_unshuffle(8)),
            (None, None) => unreachable!("a reference has a picture or a feature"),
        };
        let (first, second) = &self.extractor;
        let x = chain(first, &x);
        let temporal = &x * row(&self.scale_feature, qp);
        (chain(second, &x), temporal)
    }

    /// Quantiser, scales and means, for latents of `size`.
    fn params(&self, z: &Tensor, temporal: &Tensor, (height, width): (i64, i64)) -> Tensor {
        let (half, whole, last) = &self.hyper_decoder;
        let hyper = last.forward(&whole.forward(&half.forward(z)));
        let hyper = hyper.narrow(2, 0, height).narrow(3, 0, width);
        let temporal = self.temporal.forward(temporal);
        let (blocks, last) = &self.fusion;
        last.forward(&chain(blocks, &Tensor::cat(&[&hyper, &temporal], 1)))
    }

    /// The latents, dequantised.
    fn prior(&self, params: &Tensor, quantiser: &Tensor, source: &mut Source, coding: Coding) -> Tensor {
        let scales = params.narrow(1, LATENT, LATENT);
        let means = params.narrow(1, 2 * LATENT, LATENT);
        let masks = latents::masks(&means, (GROUPS, GROUPS), |step, group, row, column| {
            (row + column) % 2 == (step + group) % 2
        });
        let groups = GROUPS as i64;
        let first = source.step(&scales, &means, &masks[0], groups, coding);
        latents::show_step(0, &scales, &means, &first);
        let (adapt, block, last) = &self.spatial;
        let refined = last.forward(&block.forward(&adapt.forward(&Tensor::cat(&[&first, params], 1))));
        let (scales, means) = (refined.narrow(1, 0, LATENT), refined.narrow(1, LATENT, LATENT));
        let second = source.step(&scales, &means, &masks[1], groups, coding);
        latents::show_step(1, &scales, &means, &second);
        (first + second) * quantiser
    }

    fn feature(&self, latents: &Tensor, context: &Tensor, qp: i64) -> Tensor {
        let (up, adapt, blocks, last) = &self.decoder;
        let x = Tensor::cat(&[&up.forward(latents), context], 1);
        let feature = last.forward(&chain(blocks, &adapt.forward(&x))) * row(&self.scale_decoder, qp);
        probe::show("feature", &feature);
        feature
    }

    /// Pictures of features, one or several.
    pub fn reconstruct(&self, feature: &Tensor, qp: i64) -> Tensor {
        let (blocks, head) = &self.reconstruction;
        let x = chain(blocks, feature) * row(&self.scale_reconstruction, qp);
        let out = head.forward(&x).pixel_shuffle(8).clamp(0.0, 1.0);
        probe::show("x_hat", &out.to_kind(Kind::Float));
        out
    }
}

/// Row `qp` of a table of scales, as [1, channels, 1, 1].
fn row(scales: &Tensor, qp: i64) -> Tensor {
    scales.get(qp).unsqueeze(0)
}
