//! The `paper` networks: MAGE's VQGAN with 256-dimensional codes.
//!
//! 128 channels times (1, 1, 2, 2, 4), two residual blocks per level and two at the bottom, average pooling
//! after the first four levels on the way down, nearest-neighbour doubling and a convolution on the way up.

use tch::{Tensor, nn};

pub(super) const CODE_DIM: i64 = 256;
const LEVELS: [i64; 5] = [128, 128, 256, 256, 512];

#[derive(Debug)]
pub(super) struct Encoder {
    stem: nn::Conv2D,
    levels: Vec<Vec<Residual>>,
    middle: Vec<Residual>,
    norm: nn::GroupNorm,
    head: nn::Conv2D,
}

impl Encoder {
    pub(super) fn new(path: &nn::Path) -> Self {
        let mut from = LEVELS[0];
        let mut levels = Vec::new();
        for (i, to) in LEVELS.into_iter().enumerate() {
            levels.push(pair(&(path / "levels" / i), from, to));
            from = to;
        }
        Self {
            stem: convolution(&(path / "stem"), 3, LEVELS[0], 3, false),
            levels,
            middle: pair(&(path / "middle"), from, from),
            norm: group_norm(&(path / "norm"), from),
            head: convolution(&(path / "head"), from, CODE_DIM, 1, true),
        }
    }

    pub(super) fn forward(&self, picture: &Tensor) -> Tensor {
        let mut x = picture.apply(&self.stem);
        for (i, level) in self.levels.iter().enumerate() {
            x = level.iter().fold(x, |x, block| block.forward(&x));
            if i + 1 < self.levels.len() {
                x = x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
            }
        }
        x = self.middle.iter().fold(x, |x, block| block.forward(&x));
        x.apply(&self.norm).silu().apply(&self.head).permute([0, 2, 3, 1])
    }
}

#[derive(Debug)]
pub(super) struct Decoder {
    stem: nn::Conv2D,
    middle: Vec<Residual>,
    levels: Vec<Vec<Residual>>,
    ups: Vec<nn::Conv2D>,
    norm: nn::GroupNorm,
    head: nn::Conv2D,
}

impl Decoder {
    pub(super) fn new(path: &nn::Path) -> Self {
        let top = LEVELS[LEVELS.len() - 1];
        let mut from = top;
        let (mut levels, mut ups) = (Vec::new(), Vec::new());
        for (i, to) in LEVELS.into_iter().enumerate().rev() {
            levels.push(pair(&(path / "levels" / i), from, to));
            if i > 0 {
                ups.push(convolution(&(path / "ups" / i), to, to, 3, true));
            }
            from = to;
        }
        Self {
            stem: convolution(&(path / "stem"), CODE_DIM, top, 3, true),
            middle: pair(&(path / "middle"), top, top),
            levels,
            ups,
            norm: group_norm(&(path / "norm"), from),
            head: convolution(&(path / "head"), from, 3, 3, true),
        }
    }

    pub(super) fn forward(&self, codes: &Tensor) -> Tensor {
        let mut x = codes.permute([0, 3, 1, 2]).apply(&self.stem);
        x = self.middle.iter().fold(x, |x, block| block.forward(&x));
        for (i, level) in self.levels.iter().enumerate() {
            x = level.iter().fold(x, |x, block| block.forward(&x));
            if let Some(up) = self.ups.get(i) {
                let size = x.size();
                x = x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None).apply(up);
            }
        }
        x.apply(&self.norm).silu().apply(&self.head)
    }
}

#[derive(Debug)]
struct Residual {
    first_norm: nn::GroupNorm,
    first: nn::Conv2D,
    second_norm: nn::GroupNorm,
    second: nn::Conv2D,
    short: Option<nn::Conv2D>,
}

fn pair(path: &nn::Path, from: i64, to: i64) -> Vec<Residual> {
    vec![Residual::new(&(path / 0), from, to), Residual::new(&(path / 1), to, to)]
}

impl Residual {
    fn new(path: &nn::Path, from: i64, to: i64) -> Self {
        Self {
            first_norm: group_norm(&(path / "first_norm"), from),
            first: convolution(&(path / "first"), from, to, 3, false),
            second_norm: group_norm(&(path / "second_norm"), to),
            second: convolution(&(path / "second"), to, to, 3, false),
            short: (from != to).then(|| convolution(&(path / "short"), from, to, 1, false)),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let inner = x.apply(&self.first_norm).silu().apply(&self.first);
        let inner = inner.apply(&self.second_norm).silu().apply(&self.second);
        self.short.as_ref().map_or_else(|| x.shallow_clone(), |short| x.apply(short)) + inner
    }
}

fn group_norm(path: &nn::Path, channels: i64) -> nn::GroupNorm {
    nn::group_norm(path, 32, channels, nn::GroupNormConfig { eps: 1e-6, ..Default::default() })
}

fn convolution(path: &nn::Path, from: i64, to: i64, kernel: i64, bias: bool) -> nn::Conv2D {
    nn::conv2d(path, from, to, kernel, nn::ConvConfig { padding: kernel / 2, bias, ..Default::default() })
}
