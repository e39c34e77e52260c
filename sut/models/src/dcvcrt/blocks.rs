//! The building blocks of both networks. Order and grouping of operations are the original's, to the bit.

use crate::layers::Conv;
use crate::probe;
use tch::{Tensor, nn};

/// `x sigmoid(4 x)`.
fn wsilu(x: &Tensor) -> Tensor {
    (x * 4.0).sigmoid() * x
}

/// What stands between layers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x sigmoid(4 x)`, the original's.
    Wsilu,
    /// `max(x, 0)`: exact in any arithmetic.
    Relu,
}

impl Activation {
    fn of(self, x: &Tensor) -> Tensor {
        match self {
            Self::Wsilu => wsilu(x),
            Self::Relu => x.relu(),
        }
    }
}

/// A convolution that is looked at.
#[derive(Debug)]
pub(super) struct Layer {
    name: String,
    conv: Conv,
}

impl Layer {
    pub fn pointwise(path: &nn::Path, from: i64, to: i64) -> Self {
        Self { name: probe::name(path), conv: Conv::pointwise(path, from, to, 1.0) }
    }

    /// A 3x3 convolution.
    pub fn around(path: &nn::Path, from: i64, to: i64, stride: i64) -> Self {
        let conv = Conv::new(path, [to, from, 3, 3], (stride, 1, 1), 1.0);
        Self { name: probe::name(path), conv }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let out = self.conv.forward(x);
        probe::show(&self.name, &out);
        out
    }
}

/// Depthwise block: mixes neighbours, then channels.
#[derive(Debug)]
pub(super) struct Block {
    name: String,
    adaptor: Option<Conv>,
    mix: [Conv; 3],
    feed: [Conv; 2],
    shortcut: bool,
    activation: Activation,
}

impl Block {
    /// From `from` to `to` channels; equal numbers need no adaptor.
    pub fn new(path: &nn::Path, from: i64, to: i64) -> Self {
        Self::build(path, (from != to).then_some(from), to, false)
    }

    /// With an adaptor even between equal numbers of channels.
    pub fn adapted(path: &nn::Path, from: i64, to: i64) -> Self {
        Self::build(path, Some(from), to, false)
    }

    /// Adds its input once more.
    fn with_shortcut(path: &nn::Path, channels: i64) -> Self {
        Self::build(path, None, channels, true)
    }

    /// The block with another activation.
    pub fn activated(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    fn build(path: &nn::Path, adapt: Option<i64>, n: i64, shortcut: bool) -> Self {
        let (dc, ffn) = (path / "dc", path / "ffn");
        Self {
            name: probe::name(path),
            adaptor: adapt.map(|from| Conv::pointwise(&(path / "adaptor"), from, n, 1.0)),
            mix: [
                Conv::pointwise(&(&dc / 0), n, n, 1.0),
                Conv::depthwise(&(&dc / 2), n, 3),
                Conv::pointwise(&(&dc / 3), n, n, 1.0),
            ],
            feed: [Conv::pointwise(&(&ffn / 0), n, 4 * n, 1.0), Conv::pointwise(&(&ffn / 2), 2 * n, n, 1.0)],
            shortcut,
            activation: Activation::Wsilu,
        }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.adaptor.as_ref().map_or_else(|| x.shallow_clone(), |adaptor| adaptor.forward(x));
        let [first, around, last] = &self.mix;
        let mixed = last.forward(&around.forward(&self.activation.of(&first.forward(&x)))) + &x;
        let wide = self.activation.of(&self.feed[0].forward(&mixed));
        let half = wide.size()[1] / 2;
        let folded = wide.narrow(1, 0, half) + wide.narrow(1, half, half);
        let mut out = self.feed[1].forward(&folded) + mixed;
        if self.shortcut {
            out += x;
        }
        probe::show(&self.name, &out);
        out
    }
}

/// Half the rows and columns.
#[derive(Debug)]
pub(super) struct Down {
    name: String,
    down: Conv,
    block: Block,
}

impl Down {
    pub fn new(path: &nn::Path, from: i64, to: i64) -> Self {
        Self {
            name: probe::name(path),
            down: Conv::down(&(path / "down"), from, to, 2),
            block: Block::with_shortcut(&(path / "conv"), to),
        }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let half = self.down.forward(x);
        probe::show(&format!("{}.down", self.name), &half);
        let out = self.block.forward(&half);
        probe::show(&self.name, &out);
        out
    }
}

/// Twice the rows and columns by a layer and a pixel shuffle.
#[derive(Debug)]
pub(super) struct Widen {
    name: String,
    conv: Conv,
}

impl Widen {
    /// A layer of `kernel` 1 or 3.
    pub fn new(path: &nn::Path, from: i64, to: i64, kernel: i64) -> Self {
        let conv = Conv::new(&(path / "conv" / 0), [4 * to, from, kernel, kernel], (1, kernel / 2, 1), 1.0);
        Self { name: probe::name(path), conv }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let out = self.conv.forward(x).pixel_shuffle(2);
        probe::show(&self.name, &out);
        out
    }
}

/// Twice the rows and columns, then a block.
#[derive(Debug)]
pub(super) struct Up {
    name: String,
    up: Widen,
    block: Block,
}

impl Up {
    pub fn new(path: &nn::Path, from: i64, to: i64) -> Self {
        Self {
            name: probe::name(path),
            up: Widen::new(&(path / "up"), from, to, 1),
            block: Block::with_shortcut(&(path / "conv"), to),
        }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let out = self.block.forward(&self.up.forward(x));
        probe::show(&self.name, &out);
        out
    }
}

/// Blocks one after the other.
pub(super) fn chain(blocks: &[Block], x: &Tensor) -> Tensor {
    blocks.iter().fold(x.shallow_clone(), |x, block| block.forward(&x))
}

/// `count` blocks of `channels` under `path`, numbered from `from`.
pub(super) fn blocks(path: &nn::Path, from: i64, count: i64, channels: i64) -> Vec<Block> {
    (from..from + count).map(|i| Block::new(&(path / i), channels, channels)).collect()
}
