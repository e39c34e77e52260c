//! The `paper` network: 12 pairs of a temporal and a spatial transformer block of 768 channels, tied token
//! embedding, 172 M parameters.
//!
//! Temporal attention is causal over a ring of six frames; the temporal position is the frame's place in the
//! ring, so that keys and values of past frames stay valid while the ring turns.

use super::{Cache, Layer, WINDOW};
use tch::{Kind, Tensor, nn};

/// Values of the paper's codes.
pub(super) const CODE_DIM: i64 = 256;
const CHANNELS: i64 = 768;
const HEADS: i64 = 12;
/// Temporal-spatial pairs.
const PAIRS: i64 = 12;
const PLACES: i64 = 1024;

#[derive(Debug)]
pub(super) struct Net {
    tokens: Tensor,
    places: Tensor,
    times: Tensor,
    pairs: Vec<(Transformer, Transformer)>,
    norm: nn::LayerNorm,
    dense: nn::Linear,
    dense_norm: nn::LayerNorm,
    bias: Tensor,
}

impl Net {
    pub(super) fn new(path: &nn::Path, codes: i64) -> Self {
        let small = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        let pair = |i| {
            let path = path / "pairs" / i;
            (Transformer::new(&(&path / "temporal")), Transformer::new(&(&path / "spatial")))
        };
        Self {
            tokens: path.var("tokens", &[codes + 1, CHANNELS], small),
            places: path.var("places", &[PLACES, CHANNELS], small),
            times: path.var("times", &[WINDOW as i64, CHANNELS], small),
            pairs: (0..PAIRS).map(pair).collect(),
            norm: norm(&(path / "norm")),
            dense: nn::linear(path / "dense", CHANNELS, CHANNELS, linear()),
            dense_norm: norm(&(path / "dense_norm")),
            bias: path.zeros("bias", &[codes]),
        }
    }

    /// `[n, h, w]` to `[n, places, channels]`; frame `i` of a sequence has place `first + i` in the ring.
    fn start(&self, tokens: &Tensor, frames: i64, first: i64) -> Tensor {
        let n = tokens.size()[0];
        let x = Tensor::embedding(&self.tokens, &tokens.reshape([n, -1]), -1, false, false);
        let times: Vec<i64> = (0..n).map(|i| (first + i % frames) % WINDOW as i64).collect();
        let times = Tensor::from_slice(&times).to_device(tokens.device());
        let places = self.places.narrow(0, 0, x.size()[1]);
        x + places + self.times.index_select(0, &times).unsqueeze(1)
    }

    fn finish(&self, x: &Tensor, grid: &Tensor) -> Tensor {
        let x = x.apply(&self.norm).apply(&self.dense).gelu("none").apply(&self.dense_norm);
        let size = grid.size();
        x.view([size[0], size[1], size[2], CHANNELS]).permute([0, 3, 1, 2])
    }

    pub(super) fn sequence(&self, tokens: &Tensor, frames: i64) -> Tensor {
        let mut x = self.start(tokens, frames, 0);
        let (n, places) = (x.size()[0], x.size()[1]);
        let seen = causal(frames, x.device());
        for (temporal, spatial) in &self.pairs {
            let by_place = x.view([n / frames, frames, places, CHANNELS]).transpose(1, 2);
            let by_place = by_place.reshape([n / frames * places, frames, CHANNELS]);
            let attended = temporal.forward(&by_place, Some(&seen));
            let by_frame = attended.view([n / frames, places, frames, CHANNELS]).transpose(1, 2);
            x = spatial.forward(&by_frame.reshape([n, places, CHANNELS]), None);
        }
        self.finish(&x, tokens)
    }

    pub(super) fn step(&self, tokens: &Tensor, cache: &mut Cache) -> Tensor {
        cache.advance();
        let mut x = self.start(tokens, 1, cache.place());
        for (layer, (temporal, spatial)) in self.pairs.iter().enumerate() {
            x = spatial.forward(&temporal.step(&x, cache, layer), None);
        }
        self.finish(&x, tokens)
    }

    pub(super) fn scores(&self, features: &Tensor) -> Tensor {
        let codes = self.tokens.narrow(0, 0, self.bias.size()[0]);
        features.matmul(&codes.transpose(0, 1)) + &self.bias
    }

    pub(super) fn layers() -> Vec<Layer> {
        vec![Layer { heads: HEADS, width: CHANNELS / HEADS }; PAIRS as usize]
    }
}

/// Pre-norm transformer block: attention and a four times wider perceptron.
#[derive(Debug)]
struct Transformer {
    norm: nn::LayerNorm,
    qkv: nn::Linear,
    out: nn::Linear,
    inner_norm: nn::LayerNorm,
    widen: nn::Linear,
    narrow: nn::Linear,
}

impl Transformer {
    fn new(path: &nn::Path) -> Self {
        Self {
            norm: norm(&(path / "norm")),
            qkv: nn::linear(path / "qkv", CHANNELS, 3 * CHANNELS, linear()),
            out: nn::linear(path / "out", CHANNELS, CHANNELS, linear()),
            inner_norm: norm(&(path / "inner_norm")),
            widen: nn::linear(path / "widen", CHANNELS, 4 * CHANNELS, linear()),
            narrow: nn::linear(path / "narrow", 4 * CHANNELS, CHANNELS, linear()),
        }
    }

    /// Queries, keys, values of `[n, length, c]`: each `[n, heads, length, width]`.
    fn project(&self, x: &Tensor) -> [Tensor; 3] {
        let size = x.size();
        let qkv = x.apply(&self.norm).apply(&self.qkv);
        let qkv = qkv.view([size[0], size[1], 3, HEADS, CHANNELS / HEADS]);
        [0, 1, 2].map(|i| qkv.select(2, i).transpose(1, 2))
    }

    fn finish(&self, x: &Tensor, attended: &Tensor) -> Tensor {
        let x = x + attended.transpose(1, 2).reshape(x.size()).apply(&self.out);
        let inner = x.apply(&self.inner_norm).apply(&self.widen).gelu("none").apply(&self.narrow);
        x + inner
    }

    /// `[n, length, c]`; `seen` is added to the scores.
    fn forward(&self, x: &Tensor, seen: Option<&Tensor>) -> Tensor {
        let [q, k, v] = self.project(x);
        let attended = Tensor::scaled_dot_product_attention(&q, &k, &v, seen, 0.0, false, None, false);
        self.finish(x, &attended)
    }

    /// One frame `[1, places, c]` against the ring.
    fn step(&self, x: &Tensor, cache: &mut Cache, layer: usize) -> Tensor {
        // [places, heads, width]
        let [q, k, v] = self.project(x).map(|t| t.squeeze_dim(0).transpose(0, 1));
        cache.put(layer, &k, &v);
        let (keys, values, _) = cache.get(layer);
        let q = q.unsqueeze(2);
        let none = None::<&Tensor>;
        let attended =
            Tensor::scaled_dot_product_attention(&q, &keys, &values, none, 0.0, false, None, false);
        self.finish(x, &attended.permute([2, 1, 0, 3]))
    }
}

fn norm(path: &nn::Path) -> nn::LayerNorm {
    nn::layer_norm(path, vec![CHANNELS], nn::LayerNormConfig::default())
}

fn linear() -> nn::LinearConfig {
    let small = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
    nn::LinearConfig { ws_init: small, bs_init: Some(nn::Init::Const(0.0)), bias: true }
}

/// `[frames, frames]`: 0 for a frame and the `WINDOW - 1` before it, minus infinity elsewhere.
fn causal(frames: i64, device: tch::Device) -> Tensor {
    let rows: Vec<f32> = (0..frames * frames)
        .map(|i| i / frames - i % frames)
        .map(|age| if (0..WINDOW as i64).contains(&age) { 0.0 } else { f32::NEG_INFINITY })
        .collect();
    Tensor::from_slice(&rows).view([frames, frames]).to_device(device).to_kind(Kind::Float)
}
