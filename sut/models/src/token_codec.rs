//! The tokenizer as a sender and a receiver use it: with a memory.

use crate::corrections::{Corrections, Encoder};
use crate::layers::Precision;
use crate::tokenizer::{Carry, Places, Preset, TOKEN_PIXELS, Tokenizer};
use crate::weights::WeightsError;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tch::Device;

/// What the ends remember of earlier frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: every frame is coded and drawn by itself, as in the paper.
    Frame,
    /// The decoder sees the newest four codes of each place, and the encoder hands quantisation errors on to the next frame.
    #[default]
    Window,
    /// That, and what stands still is corrected on and on.
    Corrections,
}

impl Memory {
    const ALL: [Self; 3] = [Self::Frame, Self::Window, Self::Corrections];

    /// The name in options and codecs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Window => "window",
            Self::Corrections => "corrections",
        }
    }

    /// The memory of that name.
    ///
    /// # Errors
    /// Another name.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|memory| memory.name() == name);
        found.ok_or_else(|| format!("{name:?} is none of frame, window, corrections"))
    }
}

/// Files of a folder that a codec of these reads.
#[must_use]
pub fn files(folder: &Path, preset: Preset, memory: Memory) -> Vec<PathBuf> {
    let networks: &[&str] = match memory {
        Memory::Corrections => &["tokenizer", "corrections"],
        Memory::Window | Memory::Frame => &["tokenizer"],
    };
    let file = |network: &&str| folder.join(format!("reparo-{network}-{}.safetensors", preset.name()));
    networks.iter().map(file).collect()
}

/// See the module.
#[derive(Debug)]
pub struct TokenCodec {
    tokenizer: Tokenizer,
    corrections: Option<Corrections>,
    memory: Memory,
    grid: (usize, usize),
}

/// What a sender keeps from frame to frame.
#[derive(Debug)]
pub enum Encoding {
    /// Quantisation errors.
    Plain(Carry),
    /// What a receiver has.
    Corrected(Box<Encoder>),
}

impl TokenCodec {
    /// A codec of `columns x rows` tokens; corrections are used where the memory has them.
    #[must_use]
    pub fn new(
        tokenizer: Tokenizer,
        corrections: Option<Corrections>,
        memory: Memory,
        grid: (usize, usize),
    ) -> Self {
        let corrections = corrections.filter(|_| memory == Memory::Corrections);
        Self { tokenizer, corrections, memory, grid }
    }

    /// Loads the [`files`] of a folder, and gives their SHA-256, one after the other.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn load(
        folder: &Path,
        preset: Preset,
        memory: Memory,
        grid: (usize, usize),
        precision: Precision,
    ) -> Result<(Self, String), WeightsError> {
        let files = files(folder, preset, memory);
        let tokenizer = Tokenizer::load(&files[0], preset, Device::Cpu)?;
        precision.set(tokenizer.store());
        let corrections = files.get(1).map(|path| Corrections::load(path, &tokenizer)).transpose()?;
        let mut hash = String::new();
        for path in files {
            let bytes = std::fs::read(&path).map_err(|source| WeightsError::Io { path, source })?;
            hash.extend(Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")));
        }
        Ok((Self::new(tokenizer, corrections, memory, grid), hash))
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The corrections, if there are any.
    #[must_use]
    pub fn corrections(&self) -> Option<&Corrections> {
        self.corrections.as_ref()
    }

    /// Tokens, columns and rows.
    #[must_use]
    pub fn grid(&self) -> (usize, usize) {
        self.grid
    }

    /// Columns and rows of the pictures.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.grid.0 * TOKEN_PIXELS, self.grid.1 * TOKEN_PIXELS)
    }

    /// Codes of the wire.
    #[must_use]
    pub fn codes(&self) -> usize {
        self.corrections.as_ref().map_or(self.tokenizer.codes(), Corrections::codes)
    }

    /// A sender that has sent nothing.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        match &self.corrections {
            Some(_) => Encoding::Corrected(Box::new(Encoder::new(&self.tokenizer, self.grid.0, self.grid.1))),
            None => Encoding::Plain(Carry::default()),
        }
    }

    /// Tokens of the next frame, interleaved RGB bytes, row by row; only those that are `sent` reach anybody.
    ///
    /// # Panics
    /// When the picture is not of this grid, or there is not one `sent` per token.
    pub fn encode(&self, encoding: &mut Encoding, frame: u32, rgb: &[u8], sent: &[bool]) -> Vec<u16> {
        self.settle(encoding);
        let patches = self.tokenizer.patches_of_bytes(rgb, self.size().0, self.size().1);
        match (encoding, &self.corrections) {
            (Encoding::Corrected(encoder), Some(corrections)) => {
                encoder.tokens(&self.tokenizer, corrections, frame, &patches, sent).0
            }
            (Encoding::Plain(carry), _) => {
                if self.memory == Memory::Frame {
                    *carry = Carry::default();
                }
                self.tokenizer.tokens(carry, &self.tokenizer.features_of_patches(&patches), Some(sent))
            }
            (Encoding::Corrected(_), None) => unreachable!("made by this codec"),
        }
    }

    /// Work that [`encode`](Self::encode) left, for when the tokens are on their way.
    pub fn settle(&self, encoding: &mut Encoding) {
        if let (Encoding::Corrected(encoder), Some(corrections)) = (encoding, &self.corrections) {
            encoder.settle(&self.tokenizer, corrections);
        }
    }

    /// A receiver to which nothing has come.
    #[must_use]
    pub fn places(&self) -> Places {
        self.tokenizer.places(self.grid.0 * self.grid.1)
    }

    /// The next frame, of which so much came: the tokenizer's code at each place, or nothing where one is to be guessed.
    ///
    /// # Panics
    /// When `received` is not of this grid.
    pub fn receive(&self, places: &mut Places, frame: u32, received: &[Option<u16>]) -> Vec<Option<u16>> {
        if self.memory == Memory::Frame {
            *places = self.places();
        }
        places.receive(frame, received, self.corrections.as_ref())
    }

    /// The newest frame as interleaved RGB bytes, with a code vector for each place that is to be guessed.
    ///
    /// # Panics
    /// When there are too few guesses.
    #[must_use]
    pub fn draw(&self, places: &Places, guesses: &[f32]) -> Vec<u8> {
        let (columns, rows) = self.grid;
        let added = match (&self.corrections, places.sums()) {
            (Some(corrections), sums @ [_, ..]) => Some(corrections.patches(sums, columns, rows)),
            _ => None,
        };
        self.tokenizer.decode(&places.view(guesses), columns, rows, added.as_ref())
    }
}
