//! Corrections: tokens that go on improving what stands still.
//!
//! The codebook of the wire is in two parts. Its first numbers are picture codes, a subset of the tokenizer's codebook; the
//! others are corrections, vectors that are added to what a place shows already ([`Places`](crate::tokenizer::Places)). Where
//! something moves, the sender sends picture codes; where nothing does, corrections, frame after frame, each one chosen against what all
//! those before it left over ([`Encoder`]). The number of bits and the packets are the same. A correction is a pattern of 16x16 pixels:
//! its values are the lowest frequencies ([`Basis`]) of the difference.
//!
//! What is left over gets smaller and finer, so there is a codebook of corrections per stage, by how many frames ago the place's
//! picture code came; both ends know that from the frame numbers.

mod basis;
mod encoder;

use crate::tokenizer::{Codes, Meaning, Tokenizer};
use crate::weights::{self, Weights, WeightsError};
pub use basis::Basis;
pub use encoder::{Choices, Encoder};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor, no_grad};

/// `model` in the metadata of weight files.
pub const MODEL: &str = "reparo-corrections";

/// First frame of each stage but the first, in frames since the picture code.
const STAGES_FROM: [u32; 3] = [4, 10, 24];
/// Number of stages.
pub const STAGES: usize = STAGES_FROM.len() + 1;

/// The codebook of the wire.
#[derive(Debug)]
pub struct Corrections {
    /// The tokenizer's code of each picture code of the wire.
    picture_codes: Vec<u16>,
    /// The picture codes, for choosing one.
    chooser: Codes,
    /// `[stages, corrections, values]`.
    vectors: Tensor,
    /// The same, outside of libtorch.
    values: Vec<f32>,
    /// Half the squared length of each, `[stages, corrections]`.
    halves: Tensor,
    basis: Basis,
    period: u32,
}

impl Corrections {
    /// The codebook with these picture codes of a tokenizer, and these corrections.
    ///
    /// # Panics
    /// When `vectors` is not `[stages, corrections, values]`, or a picture code is none of the tokenizer's.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, picture_codes: Vec<u16>, vectors: &Tensor, period: u32) -> Self {
        let all = crate::layers::floats(tokenizer.codebook());
        let width = tokenizer.values();
        let own = picture_codes.iter().flat_map(|&c| all[usize::from(c) * width..][..width].to_vec());
        let basis = Basis::new(tokenizer.store().device());
        assert_eq!(vectors.size()[0], STAGES as i64, "one codebook per stage");
        assert_eq!(vectors.size()[2], basis.values() as i64, "values of a correction");
        let mut corrections = Self {
            chooser: Codes::new(own.collect(), width),
            picture_codes,
            vectors: Tensor::new(),
            values: Vec::new(),
            halves: Tensor::new(),
            basis,
            period,
        };
        corrections.learn(vectors);
        corrections
    }

    /// Takes other corrections (of the same number).
    pub fn learn(&mut self, vectors: &Tensor) {
        self.vectors = vectors.detach().to_kind(Kind::Float).copy();
        self.values = crate::layers::floats(&self.vectors);
        self.halves = self.vectors.square().sum_dim_intlist(2, false, Kind::Float) * 0.5;
    }

    /// The codebook in a weight file, made for the codes of `tokenizer`.
    ///
    /// # Errors
    /// See [`WeightsError`]; weights for another tokenizer are a mismatch.
    pub fn load(path: &Path, tokenizer: &Tokenizer) -> Result<Self, WeightsError> {
        let weights = Weights::read(path)?;
        weights.expect("model", MODEL)?;
        weights.expect("codebook", &tokenizer.codebook_hash())?;
        let mismatch = |reason: &str| WeightsError::Mismatch { path: path.into(), reason: reason.into() };
        let period = weights.metadata.get("period").and_then(|p| p.parse().ok());
        let period = period.filter(|&p| p > 1).ok_or_else(|| mismatch("no period in the metadata"))?;
        let of = |name: &str| weights.tensors.get(name).ok_or_else(|| mismatch("a tensor is missing"));
        let (codes, vectors) = (of("picture_codes")?, of("corrections")?);
        let codes: Vec<u16> = crate::layers::floats(codes).into_iter().map(|c| c as u16).collect();
        let known = |&c: &u16| usize::from(c) < tokenizer.codes();
        let values = Basis::VALUES as i64;
        let whole = matches!(vectors.size()[..], [stages, _, v] if stages == STAGES as i64 && v == values);
        if !whole || codes.is_empty() || !codes.iter().all(known) {
            return Err(mismatch("tensors of another shape, or codes that the tokenizer lacks"));
        }
        Ok(Self::new(tokenizer, codes, vectors, period))
    }

    /// Writes the codebook, for the codes of `tokenizer`.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn save(&self, path: &Path, tokenizer: &Tokenizer) -> Result<(), WeightsError> {
        let codes: Vec<f32> = self.picture_codes.iter().map(|&c| f32::from(c)).collect();
        let tensors = BTreeMap::from([
            ("picture_codes".to_owned(), Tensor::from_slice(&codes)),
            ("corrections".to_owned(), self.vectors.shallow_clone()),
        ]);
        let (hash, period) = (tokenizer.codebook_hash(), self.period.to_string());
        weights::write(path, &tensors, &[("model", MODEL), ("codebook", &hash), ("period", &period)], true)
    }

    /// Codes of the wire.
    #[must_use]
    pub fn codes(&self) -> usize {
        self.picture_codes.len() + self.vectors.size()[1] as usize
    }

    /// Values of a correction.
    #[must_use]
    pub fn values(&self) -> usize {
        self.basis.values()
    }

    /// Frames after which a place begins anew.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.period
    }

    /// What a token of the wire says.
    #[must_use]
    pub fn meaning(&self, token: u16) -> Meaning {
        match self.picture_codes.get(usize::from(token)) {
            Some(&code) => Meaning::Code(code),
            None => Meaning::Correction(token - self.picture_codes.len() as u16),
        }
    }

    /// The token of the wire of a correction.
    #[must_use]
    pub fn token(&self, correction: u16) -> u16 {
        self.picture_codes.len() as u16 + correction
    }

    /// Stage of corrections so many frames after the picture code.
    #[must_use]
    pub fn stage(&self, frames: u32) -> usize {
        STAGES_FROM.iter().filter(|&&from| frames >= from).count()
    }

    /// A correction's values.
    ///
    /// # Panics
    /// When there is none of this number.
    #[must_use]
    pub fn vector(&self, stage: usize, number: u16) -> &[f32] {
        let values = self.basis.values();
        let stage = &self.values[stage * self.values.len() / STAGES..];
        &stage[usize::from(number) * values..][..values]
    }

    /// How often a place has been due up to a frame. Places are due in an order without pattern, so that no packet and no
    /// frame carries more of them than others.
    #[must_use]
    pub fn round(&self, place: usize, frame: u32) -> u32 {
        let phase = ((place as u32).wrapping_mul(0x9e37_79b1) >> 8) % self.period;
        (frame.saturating_add(self.period - phase)) / self.period
    }

    /// Picture codes, for choosing one.
    #[must_use]
    pub fn chooser(&self) -> &Codes {
        &self.chooser
    }

    /// Between patches of pictures and values of corrections.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Of each row of `left` `[n, values]` the best correction of a stage and the squared error that it leaves.
    #[must_use]
    pub fn nearest(&self, stage: usize, left: &Tensor) -> (Vec<i64>, Vec<f32>) {
        no_grad(|| {
            let (vectors, halves) = (self.vectors.get(stage as i64), self.halves.get(stage as i64));
            let scores = left.matmul(&vectors.transpose(0, 1)) - halves;
            let (best, numbers) = scores.max_dim(1, false);
            let errors = left.square().sum_dim_intlist(1, false, Kind::Float) - best * 2.0;
            let numbers = Vec::<i64>::try_from(&numbers.to_device(tch::Device::Cpu)).unwrap_or_default();
            (numbers, crate::layers::floats(&errors))
        })
    }

    /// What is added to patches `[1, 192, 2 rows, 2 columns]` for sums of corrections `[rows * columns, values]`.
    pub fn patches(&self, sums: &[f32], columns: usize, rows: usize) -> Tensor {
        let values = self.basis.values() as i64;
        self.basis.patches(&Tensor::from_slice(sums).view([-1, values]), columns, rows)
    }
}
