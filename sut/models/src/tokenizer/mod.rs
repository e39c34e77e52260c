//! Reparo's codec: a picture becomes a grid of tokens, one per 16x16 pixels, and a picture again.
//!
//! Start at [`Tokenizer`]. `paper` has the paper's sizes and wants a GPU; `lite`
//! is made for CPUs.

mod diffusion;
mod lite;
mod paper;
mod patches;
mod places;
mod view;

use crate::layers::floats;
use crate::weights::{Weights, WeightsError};
pub use diffusion::{Carry, Codes, Quantised, Use};
pub use places::{Meaning, Places, Shows};
use sha2::{Digest, Sha256};
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};
pub use view::{NONE, View};

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
    ///
    /// # Errors
    /// Another name.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = [Self::Lite, Self::Paper].into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| format!("{name:?} is neither lite nor paper"))
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
    /// `carry`, over the next frame, past tokens that are not `sent` (one each; none: all are); `paper` takes the nearest
    /// code of each vector.
    ///
    /// # Panics
    /// When there is not one `sent` per token.
    pub fn quantise(&self, features: &Tensor, carry: &mut Carry, sent: Option<&[bool]>) -> (Tensor, Tensor) {
        let mut grid = features.size();
        let values = grid.pop().unwrap_or(1);
        if matches!(self.net, Net::Paper(..)) {
            return (nearest(features, &self.codebook), features.shallow_clone());
        }
        let codes = self.chooser();
        let columns = grid.last().copied().unwrap_or(1);
        let places = grid[1..].iter().product::<i64>() as usize;
        let picture = places * values as usize;
        let all = floats(features);
        let carried = carry.hand_on(&all, values as usize);
        let every = if sent.is_none() { vec![true; all.len() / values as usize] } else { Vec::new() };
        let sent = sent.unwrap_or(&every);
        assert_eq!(sent.len() * values as usize, all.len(), "one `sent` per token");
        let (mut tokens, mut targets, mut errors) = (Vec::<i64>::new(), Vec::new(), Vec::new());
        let pictures = all.chunks_exact(picture).zip(carried.chunks_exact(picture));
        for ((features, carried), sent) in pictures.zip(sent.chunks_exact(places)) {
            let found = codes.diffuse(features, carried, columns as usize, &Use::of(sent));
            tokens.extend(found.tokens.into_iter().map(i64::from));
            targets.extend(found.targets);
            errors.extend(found.errors);
        }
        carry.leave(all, errors);
        let device = features.device();
        let tokens = Tensor::from_slice(&tokens).view(grid.as_slice()).to_device(device);
        (tokens, Tensor::from_slice(&targets).view(features.size().as_slice()).to_device(device))
    }

    /// The codebook outside of libtorch, which chooses as [`quantise`](Self::quantise) does.
    #[must_use]
    pub fn chooser(&self) -> Codes {
        let codes = Codes::new(floats(&self.codebook), self.values());
        if matches!(self.net, Net::Paper(..)) { codes.plain() } else { codes }
    }

    /// Code vectors of tokens: shape of `tokens` plus one dimension.
    pub fn embed(&self, tokens: &Tensor) -> Tensor {
        Tensor::embedding(&self.codebook, tokens, -1, false, false)
    }

    /// Codes that the decoder sees of each place: `paper` the frame's own, `lite` three that came before, too.
    #[must_use]
    pub fn slots(&self) -> usize {
        match &self.net {
            Net::Lite(..) => lite::SLOTS,
            Net::Paper(..) => 1,
        }
    }

    /// Values of a code.
    #[must_use]
    pub fn values(&self) -> usize {
        self.codebook.size()[1] as usize
    }

    /// What a receiver keeps of so many places, before anything came.
    #[must_use]
    pub fn places(&self, places: usize) -> Places {
        Places::new(self.slots(), places)
    }

    /// What the decoder takes of views of `rows` times `columns` places: `[n, rows, columns, inputs]`.
    ///
    /// # Panics
    /// When a view is of another grid.
    pub fn input(&self, views: &[View], columns: usize, rows: usize) -> Tensor {
        let codebook = floats(&self.codebook);
        let marks = matches!(self.net, Net::Lite(..));
        let inputs = self.slots() * (self.values() + usize::from(marks));
        let mut taken = Vec::with_capacity(views.len() * rows * columns * inputs);
        views.iter().for_each(|view| view.vectors(&codebook, self.values(), marks, &mut taken));
        let shape = [views.len(), rows, columns, inputs].map(|n| n as i64);
        Tensor::from_slice(&taken).view(shape).to_device(self.store.device())
    }

    /// The same of feature vectors that came as they are, `[n, rows, columns, values]` per frame and newest first.
    ///
    /// # Panics
    /// Without a frame.
    pub fn input_of_features(&self, frames: &[Tensor]) -> Tensor {
        let mut seen: Vec<Tensor> =
            (0..self.slots()).map(|age| frames[age.min(frames.len() - 1)].shallow_clone()).collect();
        if matches!(self.net, Net::Lite(..)) {
            let [n, rows, columns, _] = frames[0].size()[..] else { panic!("four dimensions") };
            let shape = [n, rows, columns, self.slots() as i64];
            seen.push(Tensor::zeros(shape, (Kind::Float, frames[0].device())));
        }
        Tensor::cat(&seen, -1)
    }

    /// Pictures `[n, 3, h, w]`, about -1..1, of what [`input`](Self::input) gives.
    pub fn draw(&self, input: &Tensor) -> Tensor {
        match &self.net {
            Net::Lite(_, decoder) => decoder.forward(input),
            Net::Paper(_, decoder) => decoder.forward(input),
        }
    }

    /// A picture of interleaved RGB bytes as patches of 8x8 pixels, `[1, 3 * 64, h/8, w/8]` in -1..1.
    ///
    /// # Panics
    /// When `rgb` is not `3 * width * height` long or a side is no multiple of 16.
    pub fn patches_of_bytes(&self, rgb: &[u8], width: usize, height: usize) -> Tensor {
        assert_eq!(rgb.len(), 3 * width * height, "picture size");
        assert!(width.is_multiple_of(TOKEN_PIXELS) && height.is_multiple_of(TOKEN_PIXELS), "whole tokens");
        let (h, w) = (height as i64, width as i64);
        let shape = [1, h / lite::STEM, w / lite::STEM, 3 * lite::STEM * lite::STEM];
        let patches = Tensor::from_slice(&patches::of_bytes(rgb, width)).view(shape);
        patches.to_device(self.store.device()).permute([0, 3, 1, 2])
    }

    /// The features of such patches, `[1, h/16, w/16, values]`.
    pub fn features_of_patches(&self, patches: &Tensor) -> Tensor {
        no_grad(|| match &self.net {
            Net::Lite(encoder, _) => encoder.of_patches(patches),
            Net::Paper(encoder, _) => encoder.forward(&patches.pixel_shuffle(lite::STEM)),
        })
    }

    /// The features of a picture of interleaved RGB bytes, `[1, h/16, w/16, values]`.
    ///
    /// # Panics
    /// As [`patches_of_bytes`](Self::patches_of_bytes).
    pub fn features_of_bytes(&self, rgb: &[u8], width: usize, height: usize) -> Tensor {
        self.features_of_patches(&self.patches_of_bytes(rgb, width, height))
    }

    /// The tokens of the next picture's features, row by row (see [`quantise`](Self::quantise)).
    ///
    /// # Panics
    /// When there is not one `sent` per token.
    #[must_use]
    pub fn tokens(&self, carry: &mut Carry, features: &Tensor, sent: Option<&[bool]>) -> Vec<u16> {
        let (tokens, _) = no_grad(|| self.quantise(features, carry, sent));
        let tokens = Vec::<i64>::try_from(&tokens.to_device(Device::Cpu).view([-1]))
            .expect("64-bit integers of one dimension");
        tokens.into_iter().map(|t| t as u16).collect()
    }

    /// What is drawn of what [`input`](Self::input) gives, as patches of 8x8 pixels, `[1, 3 * 64, 2 rows, 2 columns]`, about -1..1.
    pub fn draw_patches(&self, input: &Tensor) -> Tensor {
        match &self.net {
            Net::Lite(_, decoder) => decoder.patches(input),
            Net::Paper(_, decoder) => decoder.forward(input).pixel_unshuffle(lite::STEM),
        }
    }

    /// The picture of interleaved RGB bytes that is drawn from a view, with patches that are `added` to it.
    ///
    /// # Panics
    /// When the view is not of `columns * rows` places or holds a token outside the codebook.
    #[must_use]
    pub fn decode(&self, view: &View, columns: usize, rows: usize, added: Option<&Tensor>) -> Vec<u8> {
        assert_eq!(view.tokens.len(), self.slots() * columns * rows, "token count");
        let known = |&t: &u16| t == NONE || usize::from(t) < self.codes;
        assert!(view.tokens.iter().all(known), "tokens of this codebook");
        no_grad(|| {
            let drawn = self.draw_patches(&self.input(std::slice::from_ref(view), columns, rows));
            let drawn = added.map_or_else(|| drawn.shallow_clone(), |added| &drawn + added);
            patches::to_bytes(&floats(&drawn.permute([0, 2, 3, 1])), columns * TOKEN_PIXELS)
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
