//! Reparo's loss recovery: fills the tokens of a frame that did not arrive from those that did, in this frame
//! and the five before it, in one pass.
//!
//! Start at [`Recovery::fill`]. Tokens generated for past frames are never looked at again, only what was
//! received; keys and values of past frames wait in a ring, so that one frame costs one frame. `lite` also
//! knows the last token received at each position, however old it is.

mod cache;
mod copies;
mod lite;
mod paper;

use crate::layers::floats;
use crate::tokenizer::{Preset, Tokenizer};
use crate::weights::{Weights, WeightsError};
use cache::{Cache, Layer};
pub use copies::Copies;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// Frames that attention sees, the current one included.
pub const WINDOW: usize = 6;

/// `model` in the metadata of recovery weights.
pub const MODEL: &str = "reparo-token-recovery";

/// Which vector stands for a token that is guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// That of the likeliest code, as in the paper.
    Likeliest,
    /// That of least expected squared error: between codes where the network wavers, and the shorter the less is known.
    #[default]
    Mean,
}

/// The network.
#[derive(Debug)]
pub struct Recovery {
    store: nn::VarStore,
    codes: usize,
    net: Net,
    /// Of the tokenizer.
    codebook: Tensor,
    choice: Choice,
}

#[derive(Debug)]
enum Net {
    Lite(lite::Net),
    Paper(paper::Net),
}

/// What one session remembers.
#[derive(Debug)]
pub struct History {
    columns: usize,
    rows: usize,
    last: Vec<i64>,
    age: Vec<i64>,
    cache: Cache,
}

impl Recovery {
    /// A network with fresh weights for tokens of `codes` codes.
    #[must_use]
    pub fn new(preset: Preset, codes: usize, device: Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let (net, values) = match preset {
            Preset::Lite => (Net::Lite(lite::Net::new(&root, codes as i64)), lite::CODE_DIM),
            Preset::Paper => (Net::Paper(paper::Net::new(&root, codes as i64)), paper::CODE_DIM),
        };
        let codebook = Tensor::zeros([codes as i64, values], (Kind::Float, device));
        Self { store, codes, net, codebook, choice: Choice::default() }
    }

    /// The network in a weight file of this preset, trained for the tokens of `tokenizer`.
    ///
    /// # Errors
    /// See [`WeightsError`]; weights for another codebook are a mismatch.
    pub fn load(
        path: &Path,
        preset: Preset,
        tokenizer: &Tokenizer,
        device: Device,
    ) -> Result<Self, WeightsError> {
        let weights = Weights::read(path)?;
        weights.expect("model", MODEL)?;
        weights.expect("preset", preset.name())?;
        weights.expect("codebook", &tokenizer.codebook_hash())?;
        let mut recovery = Self::new(preset, tokenizer.codes(), device);
        weights.fill(&recovery.store.variables())?;
        recovery.codebook = tokenizer.codebook().detach().copy();
        Ok(recovery)
    }

    /// The same network with another choice of tokens.
    #[must_use]
    pub fn with_choice(self, choice: Choice) -> Self {
        Self { choice, ..self }
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

    /// Number of codes; also the number that stands for "no token" in tensors.
    #[must_use]
    pub fn codes(&self) -> usize {
        self.codes
    }

    /// Guesses vectors of this codebook, and starts from its geometry (where the preset can).
    pub fn adopt(&mut self, codebook: &Tensor) {
        self.codebook = codebook.detach().copy();
        if let Net::Lite(net) = &self.net {
            net.adopt(codebook);
        }
    }

    /// Features `[n * frames, channels, h, w]` of whole sequences for training: `[n * frames, h, w]` tokens,
    /// last tokens (both [`codes`](Self::codes) for "none") and ages (see [`Past`]).
    pub fn sequence(&self, tokens: &Tensor, last: &Tensor, age: &Tensor, frames: usize) -> Tensor {
        match &self.net {
            Net::Lite(net) => net.sequence(tokens, last, age, frames as i64),
            Net::Paper(net) => net.sequence(tokens, frames as i64),
        }
    }

    /// Scores `[m, codes]` at `m` positions, from their features `[m, channels]` and last tokens `[m]`.
    pub fn scores(&self, features: &Tensor, last: &Tensor) -> Tensor {
        match &self.net {
            Net::Lite(net) => net.scores(features, last),
            Net::Paper(net) => net.scores(features),
        }
    }

    /// Vectors `[m, values]` that stand for tokens of these features and scores: of least squared error from what the tokens
    /// stand for.
    pub fn vectors(&self, features: &Tensor, scores: &Tensor, codebook: &Tensor) -> Tensor {
        let mean = scores.softmax(1, Kind::Float).matmul(codebook);
        match &self.net {
            Net::Lite(net) => mean + net.correction(features),
            Net::Paper(_) => mean,
        }
    }

    /// An empty memory for a grid of `columns x rows` tokens.
    ///
    /// # Panics
    /// When `paper` is asked for more than 1024 tokens.
    #[must_use]
    pub fn history(&self, columns: usize, rows: usize) -> History {
        let places = columns * rows;
        let layers = match &self.net {
            Net::Lite(_) => lite::Net::layers(),
            Net::Paper(_) => {
                assert!(places <= 1024, "the paper's network has 1024 positions");
                paper::Net::layers()
            }
        };
        History {
            columns,
            rows,
            last: vec![self.codes as i64; places],
            age: vec![0; places],
            cache: Cache::new(&layers, places, self.store.device()),
        }
    }

    /// The next frame: what stands for what did not arrive of it, a code vector for each in the order of their places. Scores are
    /// computed for missing tokens only.
    ///
    /// # Panics
    /// When `received` is not a grid of this history or holds a token outside the codebook.
    #[must_use]
    pub fn fill(&self, history: &mut History, received: &[Option<u16>]) -> Vec<f32> {
        no_grad(|| {
            let (features, scores) = self.missing(history, received);
            floats(&match self.choice {
                Choice::Likeliest => self.codebook.index_select(0, &scores.argmax(1, false)),
                Choice::Mean => self.vectors(&features, &scores, &self.codebook),
            })
        })
    }

    /// The vectors `[m, values]` of [`fill`](Self::fill) with their graph, for training; it reaches back to the beginning
    /// of this frame.
    ///
    /// # Panics
    /// As there.
    pub fn guess(&self, history: &mut History, received: &[Option<u16>]) -> Tensor {
        let (features, scores) = self.missing(history, received);
        self.vectors(&features, &scores, &self.codebook)
    }

    /// The features `[m, channels]` and scores `[m, codes]` of the next frame's missing tokens.
    fn missing(&self, history: &mut History, received: &[Option<u16>]) -> (Tensor, Tensor) {
        let missing: Vec<i64> =
            (0..received.len()).filter(|&i| received[i].is_none()).map(|i| i as i64).collect();
        let (features, last) = self.step(history, received);
        let at = Tensor::from_slice(&missing).to_device(self.store.device());
        let channels = features.size()[1];
        let features = features.permute([0, 2, 3, 1]).reshape([-1, channels]).index_select(0, &at);
        let scores = self.scores(&features, &last.view([-1]).index_select(0, &at));
        (features, scores)
    }

    /// A frame goes by that needs no guesses.
    ///
    /// # Panics
    /// When `received` is not a grid of this history or holds a token outside the codebook.
    pub fn remember(&self, history: &mut History, received: &[Option<u16>]) {
        let _ = no_grad(|| self.step(history, received));
    }

    /// The features of the next frame and the last tokens that it saw.
    fn step(&self, history: &mut History, received: &[Option<u16>]) -> (Tensor, Tensor) {
        assert_eq!(received.len(), history.last.len(), "a whole grid");
        assert!(received.iter().flatten().all(|&t| usize::from(t) < self.codes), "tokens of this codebook");
        let none = self.codes as i64;
        let shape = [1, history.rows as i64, history.columns as i64];
        let grid = |values: &[i64]| Tensor::from_slice(values).view(shape).to_device(self.store.device());
        let tokens: Vec<i64> = received.iter().map(|t| t.map_or(none, i64::from)).collect();
        let last = grid(&history.last);
        let features = match &self.net {
            Net::Lite(net) => net.step(&grid(&tokens), &last, &grid(&history.age), &mut history.cache),
            Net::Paper(net) => net.step(&grid(&tokens), &mut history.cache),
        };
        Past { last: &mut history.last, age: &mut history.age, none }.pass(&tokens);
        (features, last)
    }
}

/// The last token received at each position and its age in frames: 0 never, 1 the frame before, 8 and more is 8.
#[derive(Debug)]
pub struct Past<'a> {
    /// Last tokens, `none` where there is none.
    pub last: &'a mut [i64],
    /// Ages.
    pub age: &'a mut [i64],
    /// Stands for "no token".
    pub none: i64,
}

impl Past<'_> {
    /// A frame with `tokens` (or `none`) goes by.
    pub fn pass(&mut self, tokens: &[i64]) {
        for ((last, age), &token) in self.last.iter_mut().zip(self.age.iter_mut()).zip(tokens) {
            if token != self.none {
                (*last, *age) = (token, 1);
            } else if *age > 0 {
                *age = (*age + 1).min(lite::AGES - 1);
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
