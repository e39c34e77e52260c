//! The `lite` network: a few layers, each a temporal attention at every position of the grid and a
//! convolutional [`Block`] that mixes the positions.
//!
//! Two things make it learn in minutes. Its input has, beside the token (or the mask), the code that last
//! arrived at the position and how long ago; its output starts as "that code again, or one near it" and learns
//! where that is wrong: one number per position, the gate, says how sure it is. All other scores are linear in
//! the codes, so that similar codes share what is learnt. What stands for a token in the decoder is a vector: the
//! mean of the codes under these scores and, since the truth lies between codes, a correction that is linear in the
//! features.

use super::{Cache, Layer, WINDOW};
use crate::layers::{Block, ChannelNorm, Conv};
use tch::{Kind, Tensor, nn};

pub(super) const CODE_DIM: i64 = 16;
const CHANNELS: i64 = 128;
const HEADS: i64 = 4;
const LAYERS: usize = 4;
const OUT: i64 = 64;
/// The gate at the start: a position that was right two times in three scores about as high.
const GATE: f64 = 3.0;
/// Ages told apart: never, 1 to 7 frames, older.
pub(super) const AGES: i64 = 9;

#[derive(Debug)]
pub(super) struct Net {
    codes: Tensor,
    mask: Tensor,
    age: Tensor,
    stem: Conv,
    attention: Vec<Attention>,
    mixing: Vec<Block>,
    norm: ChannelNorm,
    head: nn::Linear,
    table: Tensor,
    bias: Tensor,
    copy: Tensor,
    gate: nn::Linear,
    correction: nn::Linear,
}

impl Net {
    pub(super) fn new(path: &nn::Path, codes: i64) -> Self {
        let small = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        let still = nn::Init::Const(0.0);
        let from =
            |bias| nn::LinearConfig { ws_init: still, bs_init: Some(nn::Init::Const(bias)), bias: true };
        let layers = || 0..LAYERS as i64;
        Self {
            codes: path.var("codes", &[codes, CODE_DIM], small),
            mask: path.var("mask", &[CODE_DIM], small),
            age: path.var("age", &[AGES, CHANNELS], small),
            stem: Conv::pointwise(&(path / "stem"), 2 * CODE_DIM, CHANNELS, 1.0),
            attention: layers().map(|i| Attention::new(&(path / "temporal" / i))).collect(),
            mixing: layers().map(|i| Block::new(&(path / "spatial" / i), CHANNELS, 5)).collect(),
            norm: ChannelNorm::new(&(path / "norm"), CHANNELS),
            head: nn::linear(path / "head", CHANNELS, OUT, from(0.0)),
            table: path.var("table", &[codes, OUT], small),
            bias: path.zeros("bias", &[codes]),
            // Sure enough to copy, not so sure that wrong copies rule the first steps.
            copy: path.var("copy", &[1], nn::Init::Const(1.0)),
            gate: nn::linear(path / "gate", CHANNELS, 1, from(GATE)),
            correction: nn::linear(path / "correction", CHANNELS, CODE_DIM, from(0.0)),
        }
    }

    /// Starts from the geometry of a tokenizer's codebook `[codes, 16]`.
    pub(super) fn adopt(&self, codebook: &Tensor) {
        tch::no_grad(|| {
            self.codes.shallow_clone().copy_(codebook);
            let scale = self.copy.double_value(&[0]);
            self.table.narrow(1, 0, CODE_DIM).copy_(&(codebook * (2.0 * scale)));
            let squares = codebook.square().sum_dim_intlist(1, false, Kind::Float);
            self.bias.shallow_clone().copy_(&(squares * -scale));
        });
    }

    /// `[n, h, w]` tokens, last tokens (both with `codes` for "none") and ages to `[n, channels, h, w]`.
    fn start(&self, tokens: &Tensor, last: &Tensor, age: &Tensor) -> Tensor {
        let none = Tensor::zeros([1, CODE_DIM], (Kind::Float, tokens.device()));
        let with_mask = Tensor::cat(&[&self.codes, &self.mask.unsqueeze(0)], 0);
        let with_none = Tensor::cat(&[&self.codes, &none], 0);
        let token = Tensor::embedding(&with_mask, tokens, -1, false, false);
        let last = Tensor::embedding(&with_none, last, -1, false, false);
        let x = Tensor::cat(&[token, last], -1).permute([0, 3, 1, 2]);
        let age = Tensor::embedding(&self.age, age, -1, false, false).permute([0, 3, 1, 2]);
        self.stem.forward(&x) + age
    }

    pub(super) fn sequence(&self, tokens: &Tensor, last: &Tensor, age: &Tensor, frames: i64) -> Tensor {
        let mut x = self.start(tokens, last, age);
        for (attention, mixing) in self.attention.iter().zip(&self.mixing) {
            x = mixing.forward(&attention.sequence(&x, frames));
        }
        self.norm.forward(&x)
    }

    pub(super) fn step(&self, tokens: &Tensor, last: &Tensor, age: &Tensor, cache: &mut Cache) -> Tensor {
        let mut x = self.start(tokens, last, age);
        cache.advance();
        for (index, (attention, mixing)) in self.attention.iter().zip(&self.mixing).enumerate() {
            x = mixing.forward(&attention.step(&x, cache, index));
        }
        self.norm.forward(&x)
    }

    /// Scores of all codes at some positions: their features `[m, channels]` and last tokens `[m]`.
    pub(super) fn scores(&self, features: &Tensor, last: &Tensor) -> Tensor {
        let none = Tensor::zeros([1, CODE_DIM], (Kind::Float, last.device()));
        let code = Tensor::embedding(&Tensor::cat(&[&self.codes, &none], 0), last, -1, false, false);
        // One product for what moved and what was copied: passes over all scores are what takes time here.
        let from = Tensor::cat(&[&features.apply(&self.head), &(code * (&self.copy * 2.0))], 1);
        let to = Tensor::cat(&[&self.table, &self.codes], 1);
        let mut scores = self.bias.addmm(&from, &to.transpose(0, 1));
        let codes = self.codes.size()[0];
        let sure = features.apply(&self.gate) * last.lt(codes).unsqueeze(1).to_kind(Kind::Float);
        scores.scatter_add_(1, &last.clamp_max(codes - 1).unsqueeze(1), &sure)
    }

    /// What is added to the mean code at some positions: `[m, 16]` of their features.
    pub(super) fn correction(&self, features: &Tensor) -> Tensor {
        features.apply(&self.correction)
    }

    pub(super) fn layers() -> Vec<Layer> {
        vec![Layer { heads: HEADS, width: CHANNELS / HEADS }; LAYERS]
    }
}

#[derive(Debug)]
struct Attention {
    norm: ChannelNorm,
    qkv: Conv,
    out: Conv,
    age: Tensor,
}

impl Attention {
    fn new(path: &nn::Path) -> Self {
        Self {
            norm: ChannelNorm::new(&(path / "norm"), CHANNELS),
            qkv: Conv::pointwise(&(path / "qkv"), CHANNELS, 3 * CHANNELS, 1.0),
            out: Conv::pointwise(&(path / "out"), CHANNELS, CHANNELS, 0.3),
            age: path.zeros("age", &[HEADS, WINDOW as i64]),
        }
    }

    /// Queries, keys, values of `[n, c, h, w]`: each `[n, h * w, heads, width]`.
    fn project(&self, x: &Tensor) -> [Tensor; 3] {
        let (n, places) = (x.size()[0], x.size()[2] * x.size()[3]);
        let qkv = self.qkv.forward(&self.norm.forward(x)).to_kind(Kind::Float).permute([0, 2, 3, 1]);
        let qkv = qkv.reshape([n, places, 3, HEADS, CHANNELS / HEADS]);
        [0, 1, 2].map(|i| qkv.select(2, i))
    }

    fn finish(&self, x: &Tensor, attended: &Tensor) -> Tensor {
        let size = x.size();
        let attended = attended.reshape([size[0], size[2], size[3], CHANNELS]).permute([0, 3, 1, 2]);
        x + self.out.forward(&attended)
    }

    /// `[n * frames, c, h, w]`, every frame seeing itself and the `WINDOW - 1` before it.
    fn sequence(&self, x: &Tensor, frames: i64) -> Tensor {
        let [q, k, v] = self.project(x).map(|t| {
            let size = t.size();
            // [n, places, heads, frames, width]
            t.view([size[0] / frames, frames, size[1], size[2], size[3]]).permute([0, 2, 3, 1, 4])
        });
        let scores = q.matmul(&k.transpose(3, 4)) * (1.0 / ((CHANNELS / HEADS) as f64).sqrt());
        let attention = (scores + self.age_bias(frames)).softmax(-1, Kind::Float);
        self.finish(x, &attention.matmul(&v).permute([0, 3, 1, 2, 4]))
    }

    /// `[heads, frames, frames]`: the bias of each age, minus infinity outside the window.
    fn age_bias(&self, frames: i64) -> Tensor {
        let outside = Tensor::full([HEADS, 1], f64::NEG_INFINITY, (Kind::Float, self.age.device()));
        let ages = Tensor::cat(&[&self.age, &outside], 1);
        let index: Vec<i64> = (0..frames * frames)
            .map(|i| i / frames - i % frames)
            .map(|age| if (0..WINDOW as i64).contains(&age) { age } else { WINDOW as i64 })
            .collect();
        let index = Tensor::from_slice(&index).to_device(self.age.device());
        ages.index_select(1, &index).view([HEADS, frames, frames])
    }

    fn step(&self, x: &Tensor, cache: &mut Cache, layer: usize) -> Tensor {
        let [q, k, v] = self.project(x).map(|t| t.squeeze_dim(0));
        cache.put(layer, &k, &v);
        // [places, heads, entries, width]
        let (keys, values, ages) = cache.get(layer);
        let scores =
            q.unsqueeze(2).matmul(&keys.transpose(2, 3)) * (1.0 / ((CHANNELS / HEADS) as f64).sqrt());
        let bias = self.age.index_select(1, &ages).unsqueeze(1);
        let attention = (scores + bias).softmax(-1, Kind::Float);
        self.finish(x, &attention.matmul(&values))
    }
}
