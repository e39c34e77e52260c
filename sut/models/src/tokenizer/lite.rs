//! The `lite` networks: a 1/8-scale and a 1/16-scale stage of [`Block`]s on each side.
//!
//! ```text
//! picture ─ unshuffle 8 ─ 1x1 ─ blocks @1/8 ─ 2x2/2 ─ blocks @1/16 ─ 1x1 ─ normalise ─ 16 values
//! 16 values of each of 4 slots, 4 marks ─ 1x1 ─ blocks @1/16 ─ 1x1 + shuffle 2 ─ blocks @1/8 ─ 1x1 + shuffle 8 ─ picture
//! ```
//!
//! The decoder looks at codes that came before, too ([`View`](super::View)): what one frame's code gets wrong, others
//! tell. Marks say what is a guess and what is old. It sees codes, never earlier pictures.

use crate::layers::{Block, ChannelNorm, Conv};
use tch::{Kind, Tensor, nn};

/// Values per code; few, because 1024 codes fill few dimensions.
pub(super) const CODE_DIM: i64 = 16;
/// Codes that the decoder sees of each place: the frame's own and those before.
pub(super) const SLOTS: usize = 4;
pub(super) const STEM: i64 = 8;
const FINE_ENCODER: i64 = 96;
const FINE_DECODER: i64 = 128;
const COARSE_ENCODER: i64 = 224;
const COARSE_DECODER: i64 = 256;

#[derive(Debug)]
pub(super) struct Encoder {
    stem: Conv,
    fine: Vec<Block>,
    down: Conv,
    coarse: Vec<Block>,
    norm: ChannelNorm,
    head: Conv,
}

fn stack(path: &nn::Path, depth: usize, channels: i64, kernel: i64) -> Vec<Block> {
    (0..depth).map(|i| Block::new(&(path / i), channels, kernel)).collect()
}

fn through(blocks: &[Block], x: Tensor) -> Tensor {
    blocks.iter().fold(x, |x, block| block.forward(&x))
}

impl Encoder {
    pub(super) fn new(path: &nn::Path) -> Self {
        Self {
            stem: Conv::pointwise(&(path / "stem"), 3 * STEM * STEM, FINE_ENCODER, 1.0),
            fine: stack(&(path / "fine"), 1, FINE_ENCODER, 5),
            down: Conv::down(&(path / "down"), FINE_ENCODER, COARSE_ENCODER, 2),
            coarse: stack(&(path / "coarse"), 4, COARSE_ENCODER, 5),
            norm: ChannelNorm::new(&(path / "norm"), COARSE_ENCODER),
            head: Conv::pointwise(&(path / "head"), COARSE_ENCODER, CODE_DIM, 1.0),
        }
    }

    /// `[n, 3, h, w]` in -1..1 to `[n, h/16, w/16, 16]`, each vector of mean 0 and variance 1: a fixed
    /// scale keeps the encoder from running away from its codebook.
    pub(super) fn forward(&self, picture: &Tensor) -> Tensor {
        self.of_patches(&crate::layers::channels_last(&picture.pixel_unshuffle(STEM)))
    }

    /// The same from patches `[n, 3 * 64, h/8, w/8]`, as `pixel_unshuffle` makes them.
    pub(super) fn of_patches(&self, patches: &Tensor) -> Tensor {
        let x = through(&self.fine, self.stem.forward(patches));
        let x = through(&self.coarse, self.down.forward(&x).to_kind(Kind::Float));
        let z = self.head.forward(&self.norm.forward(&x)).permute([0, 2, 3, 1]);
        z.layer_norm([CODE_DIM], None::<&Tensor>, None::<&Tensor>, 1e-6, true)
    }
}

#[derive(Debug)]
pub(super) struct Decoder {
    stem: Conv,
    coarse: Vec<Block>,
    up: Conv,
    fine: Vec<Block>,
    norm: ChannelNorm,
    head: Conv,
}

impl Decoder {
    pub(super) fn new(path: &nn::Path) -> Self {
        Self {
            stem: Conv::pointwise(&(path / "stem"), SLOTS as i64 * (CODE_DIM + 1), COARSE_DECODER, 1.0),
            coarse: stack(&(path / "coarse"), 6, COARSE_DECODER, 5),
            up: Conv::pointwise(&(path / "up"), COARSE_DECODER, 4 * FINE_DECODER, 1.0),
            fine: stack(&(path / "fine"), 2, FINE_DECODER, 5),
            norm: ChannelNorm::new(&(path / "norm"), FINE_DECODER),
            head: Conv::pointwise(&(path / "head"), FINE_DECODER, 3 * STEM * STEM, 0.3),
        }
    }

    /// `[n, rows, columns, 4 * 16 + 4]` to a picture `[n, 3, 16 rows, 16 columns]` in -1..1 (not clamped).
    pub(super) fn forward(&self, codes: &Tensor) -> Tensor {
        self.patches(codes).pixel_shuffle(STEM)
    }

    /// The same as patches `[n, 3 * 64, 2 rows, 2 columns]`, as `pixel_shuffle` takes them.
    pub(super) fn patches(&self, codes: &Tensor) -> Tensor {
        let x = self.stem.forward(&codes.permute([0, 3, 1, 2]));
        let x = self.up.forward(&through(&self.coarse, x)).to_kind(Kind::Float).pixel_shuffle(2);
        let x = through(&self.fine, crate::layers::channels_last(&x));
        self.head.forward(&self.norm.forward(&x))
    }
}
