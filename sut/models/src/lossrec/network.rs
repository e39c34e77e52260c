//! The network of the original LossRec: a vision transformer over six frames, the last of which is damaged.
//!
//! ```text
//! [b, 3, 6, h, w] ─ 3-D patches ─ + position ─ encoder blocks ─ norm ─ linear ─ + position ─ decoder blocks ─ norm ─ linear
//!    ─ [b, tokens, 2 p p 3]: the pixels of each token's patches, relative to the mean and spread of the same pixels at the input
//! ```
//!
//! Paths of parameters are the published checkpoints' keys (umassos/ReVo @ 16027a7, `src/lossrec/rgb/modeling_pretrain.py`).

use crate::probe;
use tch::{Device, Kind, Tensor, nn};

/// Frames of a clip, the damaged one last.
pub const FRAMES: i64 = 6;
/// Frames that share a token.
pub const TUBELET: i64 = 2;
const EPSILON: f64 = 1e-5;

/// Sizes of one half of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Values of a token.
    pub width: i64,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: i64,
}

/// Sizes of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Pixels of a side of the pictures.
    pub image: i64,
    /// Pixels of a side of a patch.
    pub patch: i64,
    /// Encoder.
    pub encoder: Half,
    /// Decoder.
    pub decoder: Half,
}

impl Config {
    /// That of the published checkpoints.
    pub const PUBLISHED: Self = Self {
        image: 512,
        patch: 32,
        encoder: Half { width: 768, depth: 12, heads: 12 },
        decoder: Half { width: 384, depth: 4, heads: 6 },
    };

    /// Tokens of two frames.
    #[must_use]
    pub fn places(&self) -> i64 {
        (self.image / self.patch).pow(2)
    }

    /// Tokens of a clip.
    #[must_use]
    pub fn tokens(&self) -> i64 {
        self.places() * FRAMES / TUBELET
    }

    /// Values that the network gives for a token.
    #[must_use]
    pub fn values(&self) -> i64 {
        3 * TUBELET * self.patch * self.patch
    }
}

/// The fixed table of positions `[tokens, width]`: sines and cosines, computed in 64 bits, kept in 32.
pub fn positions(tokens: i64, width: i64) -> Tensor {
    let value = |at: i64, j: i64| {
        let angle = at as f64 / 10000f64.powf((2 * (j / 2)) as f64 / width as f64);
        (if j % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
    };
    let table: Vec<f32> = (0..tokens).flat_map(|at| (0..width).map(move |j| value(at, j))).collect();
    Tensor::from_slice(&table).view([tokens, width])
}

/// The network with its weights.
#[derive(Debug)]
pub struct Network {
    store: nn::VarStore,
    config: Config,
    patch_weight: Tensor,
    patch_bias: Tensor,
    encoder: Stack,
    between: nn::Linear,
    decoder: Stack,
    head: nn::Linear,
}

impl Network {
    /// A network with random weights.
    #[must_use]
    pub fn new(config: Config, device: Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let (encoder, decoder) = (&root / "encoder", &root / "decoder");
        let embed = &encoder / "patch_embed" / "proj";
        let (from, to) = (config.encoder.width, config.decoder.width);
        // In the checkpoints, and never used.
        let _ = root.zeros("mask_token", &[1, 1, to]);
        Self {
            patch_weight: embed.kaiming_normal("weight", &[from, 3, TUBELET, config.patch, config.patch]),
            patch_bias: embed.zeros("bias", &[from]),
            encoder: Stack::new(&encoder, config.tokens(), config.encoder),
            between: linear(&(&root / "encoder_to_decoder"), from, to, false),
            decoder: Stack::new(&decoder, config.tokens(), config.decoder),
            head: linear(&(&decoder / "head"), to, config.values(), true),
            config,
            store,
        }
    }

    /// Its parameters.
    #[must_use]
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config
    }

    /// `[b, 3, 6, h, w]` in 0..1 to `[b, tokens, values]`, all tokens.
    pub fn forward(&self, clip: &Tensor) -> Tensor {
        let out = self.decoder.forward(&self.decoder_input(clip)).apply(&self.head);
        probe::show("output", &out);
        out
    }

    /// The last part of [`forward`](Self::forward), the tokens of the last two frames, without computing what only the others need.
    pub fn last(&self, clip: &Tensor) -> Tensor {
        self.decoder.last(&self.decoder_input(clip), self.config.places()).apply(&self.head)
    }

    fn decoder_input(&self, clip: &Tensor) -> Tensor {
        let Config { patch, .. } = self.config;
        let step = [TUBELET, patch, patch];
        let x = clip.conv3d(&self.patch_weight, Some(&self.patch_bias), step, [0, 0, 0], [1, 1, 1], 1);
        let x = x.flatten(2, -1).transpose(1, 2);
        probe::show("patch_embed", &x);
        let x = self.encoder.forward(&(x + &self.encoder.positions)).apply(&self.between);
        probe::show("encoder_to_decoder", &x);
        x + &self.decoder.positions
    }
}

/// Blocks and a norm.
#[derive(Debug)]
struct Stack {
    name: String,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: nn::LayerNorm,
}

impl Stack {
    fn new(path: &nn::Path, tokens: i64, half: Half) -> Self {
        Self {
            name: probe::name(path),
            positions: positions(tokens, half.width).to_device(path.device()),
            blocks: (0..half.depth).map(|i| Block::new(&(path / "blocks" / i), half)).collect(),
            norm: norm(&(path / "norm"), half.width),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let all = x.size()[1];
        self.last(x, all)
    }

    /// The last `count` tokens of the result.
    fn last(&self, x: &Tensor, count: i64) -> Tensor {
        let mut x = x.shallow_clone();
        for (i, block) in self.blocks.iter().enumerate() {
            let wanted = if i + 1 == self.blocks.len() { count } else { x.size()[1] };
            x = block.forward(&x, wanted);
        }
        let x = x.apply(&self.norm);
        probe::show(&format!("{}.norm", self.name), &x);
        x
    }
}

#[derive(Debug)]
struct Block {
    name: String,
    heads: i64,
    before_attention: nn::LayerNorm,
    qkv: nn::Linear,
    join: nn::Linear,
    before_mlp: nn::LayerNorm,
    widen: nn::Linear,
    narrow: nn::Linear,
}

impl Block {
    fn new(path: &nn::Path, Half { width, heads, .. }: Half) -> Self {
        let (attention, mlp) = (path / "attn", path / "mlp");
        Self {
            name: probe::name(path),
            heads,
            before_attention: norm(&(path / "norm1"), width),
            qkv: linear(&(&attention / "qkv"), width, 3 * width, false),
            join: linear(&(&attention / "proj"), width, width, true),
            before_mlp: norm(&(path / "norm2"), width),
            widen: linear(&(&mlp / "fc1"), width, 4 * width, true),
            narrow: linear(&(&mlp / "fc2"), 4 * width, width, true),
        }
    }

    /// The last `count` tokens of the result; they look at all.
    fn forward(&self, x: &Tensor, count: i64) -> Tensor {
        let last = |t: &Tensor, dim: i64| t.narrow(dim, t.size()[dim as usize] - count, count);
        let looked = x.apply(&self.before_attention);
        probe::show(&format!("{}.norm1", self.name), &looked);
        let attended = self.attend(&looked, |q| last(q, 2));
        probe::show(&format!("{}.attn", self.name), &attended);
        let x = last(x, 1) + attended;
        let fed = x.apply(&self.before_mlp).apply(&self.widen).gelu("none").apply(&self.narrow);
        probe::show(&format!("{}.mlp", self.name), &fed);
        let x = x + fed;
        probe::show(&self.name, &x);
        x
    }

    fn attend(&self, x: &Tensor, queries: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let size = x.size();
        let (n, tokens, width) = (size[0], size[1], size[2]);
        let of_head = width / self.heads;
        // [3, n, heads, tokens, values of a head]
        let qkv = x.apply(&self.qkv).view([n, tokens, 3, self.heads, of_head]).permute([2, 0, 3, 1, 4]);
        let q = queries(&qkv.get(0)) * (1.0 / (of_head as f64).sqrt());
        let scores = q.matmul(&qkv.get(1).transpose(2, 3)).softmax(-1, Kind::Float);
        let attended = scores.matmul(&qkv.get(2)).transpose(1, 2);
        attended.reshape([n, -1, width]).apply(&self.join)
    }
}

fn linear(path: &nn::Path, from: i64, to: i64, bias: bool) -> nn::Linear {
    nn::linear(path, from, to, nn::LinearConfig { bias, ..Default::default() })
}

fn norm(path: &nn::Path, width: i64) -> nn::LayerNorm {
    nn::layer_norm(path, vec![width], nn::LayerNormConfig { eps: EPSILON, ..Default::default() })
}
