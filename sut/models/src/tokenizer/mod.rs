//! Reparo's codec: a picture becomes a grid of tokens, one per 16x16 pixels, and a picture again.
//!
//! Start at [`Tokenizer`]. `paper` has the paper's sizes (SYSTEMS.md 5.3 a-c) and wants a GPU; `lite`
//! is made for CPUs.

mod diffusion;
mod lite;
mod paper;
mod patches;

use crate::layers::{to_bytes, to_signed};
use crate::weights::{Weights, WeightsError};
use diffusion::Codes;
pub use diffusion::{Carry, Quantised};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// Goes up whenever [`Tokenizer::encode`] gives other tokens for the same weights and picture; part of what names
/// tokens that are kept.
pub const ENCODER_VERSION: u32 = 3;

/// Pixels per token and side.
pub const TOKEN_PIXELS: usize = 16;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// For CPUs.
    Lite,
    /// The paper's sizes, for GPUs.
    Paper,
}

impl Preset {
    /// The name in weight files and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lite => "lite",
            Self::Paper => "paper",
        }
    }

    /// The preset of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Lite, Self::Paper].into_iter().find(|preset| preset.name() == name)
    }
}

/// VQ encoder, codebook and decoder.
#[derive(Debug)]
pub struct Tokenizer {
    store: nn::VarStore,
    codes: usize,
    net: Net,
    codebook: Tensor,
}

#[derive(Debug)]
enum Net {
    Lite(Box<lite::Encoder>, Box<lite::Decoder>),
    Paper(Box<paper::Encoder>, Box<paper::Decoder>),
}

impl Tokenizer {
    /// A network with fresh weights (`tch::manual_seed` decides which).
    #[must_use]
    pub fn new(preset: Preset, codes: usize, device: Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let (encoder, decoder) = (&root / "encoder", &root / "decoder");
        let (net, values) = match preset {
            Preset::Lite => {
                let net =
                    Net::Lite(Box::new(lite::Encoder::new(&encoder)), Box::new(lite::Decoder::new(&decoder)));
                (net, lite::CODE_DIM)
            }
            Preset::Paper => {
                let net = Net::Paper(
                    Box::new(paper::Encoder::new(&encoder)),
                    Box::new(paper::Decoder::new(&decoder)),
                );
                (net, paper::CODE_DIM)
            }
        };
        let codebook = root.zeros_no_train("codebook", &[codes as i64, values]);
        Self { store, codes, net, codebook }
    }

    /// The network in a weight file, which must be of this preset.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn load(path: &Path, preset: Preset, device: Device) -> Result<Self, WeightsError> {
        let weights = Weights::read(path)?;
        weights.expect("model", MODEL)?;
        weights.expect("preset", preset.name())?;
        let codes = weights.tensors.get("codebook").map_or(0, |t| t.size()[0]) as usize;
        let tokenizer = Self::new(preset, codes, device);
        weights.fill(&tokenizer.store.variables())?;
        weights.expect("codebook", &tokenizer.codebook_hash())?;
        Ok(tokenizer)
    }

    /// The store that owns all weights.
    #[must_use]
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Mutable access to the store.
    pub fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// Number of codes.
    #[must_use]
    pub fn codes(&self) -> usize {
        self.codes
    }

    /// `[codes, values]`.
    pub fn codebook(&self) -> &Tensor {
        &self.codebook
    }

    /// SHA-256 over the codebook as 16-bit floats: what ties recovery weights to their tokenizer.
    #[must_use]
    pub fn codebook_hash(&self) -> String {
        codebook_hash(&self.codebook)
    }

    /// `[n, 3, h, w]` in -1..1 to `[n, h/16, w/16, values]`, before the codebook.
    pub fn features(&self, picture: &Tensor) -> Tensor {
        match &self.net {
            Net::Lite(encoder, _) => encoder.forward(picture),
            Net::Paper(encoder, _) => encoder.forward(picture),
        }
    }

    /// The codes of feature vectors `[n, rows, columns, values]`: tokens `[n, rows, columns]` and what each is the
    /// nearest code of, in the shape of `features`. `lite` spreads what a code gets wrong over the neighbours and, by
    /// `carry`, over the next frame; `paper` takes the nearest code of each vector.
    pub fn quantise(&self, features: &Tensor, carry: &mut Carry) -> (Tensor, Tensor) {
        let mut grid = features.size();
        let values = grid.pop().unwrap_or(1);
        if matches!(self.net, Net::Paper(..)) {
            return (nearest(features, &self.codebook), features.shallow_clone());
        }
        let codes = Codes::new(floats(&self.codebook), values as usize);
        let columns = grid.last().copied().unwrap_or(1);
        let picture = grid[1..].iter().product::<i64>() * values;
        let all = floats(features);
        let carried = carry.hand_on(&all, values as usize);
        let (mut tokens, mut targets, mut errors) = (Vec::<i64>::new(), Vec::new(), Vec::new());
        let pictures = all.chunks_exact(picture as usize).zip(carried.chunks_exact(picture as usize));
        for (features, carried) in pictures {
            let found = codes.diffuse(features, carried, columns as usize);
            tokens.extend(found.tokens.into_iter().map(i64::from));
            targets.extend(found.targets);
            errors.extend(found.errors);
        }
        carry.leave(all, errors);
        let device = features.device();
        let tokens = Tensor::from_slice(&tokens).view(grid.as_slice()).to_device(device);
        (tokens, Tensor::from_slice(&targets).view(features.size().as_slice()).to_device(device))
    }

    /// Code vectors of tokens: shape of `tokens` plus one dimension.
    pub fn embed(&self, tokens: &Tensor) -> Tensor {
        Tensor::embedding(&self.codebook, tokens, -1, false, false)
    }

    /// Frames whose codes the decoder sees: `paper` that of the picture alone, `lite` three before it too.
    #[must_use]
    pub fn frames_seen(&self) -> usize {
        match &self.net {
            Net::Lite(..) => lite::FRAMES,
            Net::Paper(..) => 1,
        }
    }

    /// Codes of a frame and of those before it, newest first and each `[n, rows, columns, values]`, to the frame's
    /// picture `[n, 3, h, w]`, about -1..1. The oldest frame stands for those that are not there.
    ///
    /// # Panics
    /// Without a frame.
    pub fn draw(&self, frames: &[Tensor]) -> Tensor {
        let codes = self.seen(frames);
        match &self.net {
            Net::Lite(_, decoder) => decoder.forward(&codes),
            Net::Paper(_, decoder) => decoder.forward(&codes),
        }
    }

    /// A frame's tokens come in front of those that the decoder has `seen`, newest first; those that it sees no
    /// longer go.
    pub fn see<'a>(&self, seen: &'a mut VecDeque<Vec<u16>>, tokens: Vec<u16>) -> &'a [Vec<u16>] {
        seen.push_front(tokens);
        seen.truncate(self.frames_seen());
        seen.make_contiguous()
    }

    /// What the decoder takes.
    fn seen(&self, frames: &[Tensor]) -> Tensor {
        let seen: Vec<&Tensor> =
            (0..self.frames_seen()).map(|age| &frames[age.min(frames.len() - 1)]).collect();
        Tensor::cat(&seen, -1)
    }

    /// The next picture of interleaved RGB bytes to its tokens, row by row; `carry` goes from frame to frame.
    ///
    /// # Panics
    /// When `rgb` is not `3 * width * height` long or a side is no multiple of 16.
    #[must_use]
    pub fn encode(&self, carry: &mut Carry, rgb: &[u8], width: usize, height: usize) -> Vec<u16> {
        assert_eq!(rgb.len(), 3 * width * height, "picture size");
        assert!(width.is_multiple_of(TOKEN_PIXELS) && height.is_multiple_of(TOKEN_PIXELS), "whole tokens");
        no_grad(|| {
            let device = self.store.device();
            let (h, w) = (height as i64, width as i64);
            let features = match &self.net {
                Net::Lite(encoder, _) => {
                    let patches = Tensor::from_slice(&patches::of_bytes(rgb, width));
                    let shape = [1, h / lite::STEM, w / lite::STEM, 3 * lite::STEM * lite::STEM];
                    encoder.of_patches(&patches.view(shape).to_device(device).permute([0, 3, 1, 2]))
                }
                Net::Paper(encoder, _) => {
                    encoder.forward(&to_signed(&Tensor::from_slice(rgb).view([1, h, w, 3]).to_device(device)))
                }
            };
            let (tokens, _) = self.quantise(&features, carry);
            let flat = tokens.to_device(Device::Cpu).view([-1]);
            let tokens = Vec::<i64>::try_from(&flat).unwrap_or_default();
            tokens.into_iter().map(|t| t as u16).collect()
        })
    }

    /// Tokens of a frame and of those before it, newest first and each row by row, to the frame's picture of
    /// interleaved RGB bytes (see [`draw`](Self::draw)).
    ///
    /// # Panics
    /// Without a frame, when one has not `columns * rows` tokens, or when a token is outside the codebook.
    #[must_use]
    pub fn decode<T: AsRef<[u16]>>(&self, frames: &[T], columns: usize, rows: usize) -> Vec<u8> {
        no_grad(|| {
            let codes = frames.iter().take(self.frames_seen()).map(|tokens| {
                let tokens = tokens.as_ref();
                assert_eq!(tokens.len(), columns * rows, "token count");
                assert!(tokens.iter().all(|&t| usize::from(t) < self.codes), "tokens of this codebook");
                let tokens: Vec<i64> = tokens.iter().map(|&t| i64::from(t)).collect();
                let tokens = Tensor::from_slice(&tokens).view([1, rows as i64, columns as i64]);
                self.embed(&tokens.to_device(self.store.device()))
            });
            let codes = self.seen(&codes.collect::<Vec<_>>());
            match &self.net {
                Net::Lite(_, decoder) => {
                    let patches = decoder.patches(&codes).permute([0, 2, 3, 1]).contiguous().view([-1]);
                    let patches = Vec::<f32>::try_from(&patches.to_device(Device::Cpu)).unwrap_or_default();
                    patches::to_bytes(&patches, columns * TOKEN_PIXELS)
                }
                Net::Paper(_, decoder) => {
                    let flat = to_bytes(&decoder.forward(&codes)).to_device(Device::Cpu).view([-1]);
                    Vec::<u8>::try_from(&flat).unwrap_or_default()
                }
            }
        })
    }
}

/// `model` in the metadata of tokenizer weights.
pub const MODEL: &str = "reparo-tokenizer";

/// See [`Tokenizer::codebook_hash`].
#[must_use]
pub fn codebook_hash(codebook: &Tensor) -> String {
    let mut hash = Sha256::new();
    for value in floats(codebook) {
        hash.update(half::f16::from_f32(value).to_le_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::<f32>::try_from(&flat).unwrap_or_default()
}

/// The nearest code of every feature vector (squared distance; the first among equals).
pub fn nearest(features: &Tensor, codebook: &Tensor) -> Tensor {
    let mut shape = features.size();
    let values = shape.pop().unwrap_or(1);
    let flat = features.reshape([-1, values]);
    let squares = codebook.square().sum_dim_intlist(1, false, Kind::Float);
    (flat.matmul(&codebook.transpose(0, 1)) * 2.0 - squares).argmax(1, false).view(shape.as_slice())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
