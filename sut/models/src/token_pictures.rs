//! Pictures as Reparo sends and shows them: 4:2:0 in, tokens between, 4:2:0 out.
//!
//! What the decoder was fed is a *unit*, the bytes of a [`View`]. A unit's picture depends on nothing else. The name of the codec in
//! a units file says preset, grid and numbers (`reparo-lite-32x32-bf16`; 32-bit floats go unsaid), so that anybody
//! can draw the pictures again with [`TokenPictures::for_codec`]. A picture whose size is not sixteen times the grid is scaled there and back.

use crate::layers::Precision;
use crate::tokenizer::{Carry, Preset, TOKEN_PIXELS, Tokenizer, View};
use crate::weights::{WeightsError, weights_folder};
use media::convert::{Colour, to_rgb, to_yuv420};
use media::{Rgb, Yuv420};
use sha2::{Digest, Sha256};
use std::path::Path;
use tch::{Device, Kind, Tensor, no_grad};

/// A tokenizer bound to a size of pictures and a grid of tokens.
#[derive(Debug)]
pub struct TokenPictures {
    tokenizer: Tokenizer,
    weights: String,
    format: Format,
    size: (usize, usize),
}

/// What decides the pictures of tokens, besides the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The network.
    pub preset: Preset,
    /// Tokens, columns x rows.
    pub grid: (usize, usize),
    /// Numbers that it computes with.
    pub precision: Precision,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reparo-{}-{}x{}", self.preset.name(), self.grid.0, self.grid.1)?;
        match self.precision {
            Precision::Fp32 => Ok(()),
            Precision::Bf16 => write!(f, "-{}", self.precision.name()),
        }
    }
}

impl TokenPictures {
    /// Loads `reparo-tokenizer-<preset>.safetensors` of `folder` for pictures of width x height, and sets libtorch to one thread: sender, receiver and scores often share a machine of few
    /// cores, where threads of one layer wait for each other longer than they work. Always on the CPU, also beside a GPU: a run's pictures
    /// and hashes shall not depend on what else a machine has.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn open(folder: &Path, format: Format, size: (usize, usize)) -> Result<Self, WeightsError> {
        tch::set_num_threads(1);
        crate::memory::keep_freed();
        let path = folder.join(format!("reparo-tokenizer-{}.safetensors", format.preset.name()));
        let tokenizer = Tokenizer::load(&path, format.preset, Device::Cpu)?;
        format.precision.set(tokenizer.store());
        let bytes = std::fs::read(&path).map_err(|source| WeightsError::Io { path, source })?;
        let weights = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { tokenizer, weights, format, size })
    }

    /// SHA-256 of the weight file: tokens and pictures are a function of it and of what goes in.
    #[must_use]
    pub fn weights(&self) -> &str {
        &self.weights
    }

    /// What draws the units of a file with this codec name; `None` for a codec that is not Reparo's.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn for_codec(codec: &str, size: (usize, usize)) -> Option<Result<Self, WeightsError>> {
        Some(Self::open(&weights_folder(), parse_codec(codec)?, size))
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens of the next picture, row by row (see [`Tokenizer::quantise`]).
    #[must_use]
    pub fn tokens(&self, carry: &mut Carry, picture: &Yuv420, sent: Option<&[bool]>) -> Vec<u16> {
        let rgb = to_rgb(picture, Colour::BT601);
        let (width, height) = self.drawn();
        let rgb = scale(rgb, (width, height));
        self.tokenizer.tokens(carry, &self.tokenizer.features_of_bytes(&rgb.data, width, height), sent)
    }

    /// The picture that is drawn from a view.
    ///
    /// # Panics
    /// When it is of another grid.
    #[must_use]
    pub fn picture(&self, view: &View) -> Yuv420 {
        let (width, height) = self.drawn();
        let data = self.tokenizer.decode(view, self.format.grid.0, self.format.grid.1);
        to_yuv420(&scale(Rgb { width, height, data }, self.size), Colour::BT601)
    }

    /// The picture of a unit; `None` when it is not a view of this grid and codebook.
    #[must_use]
    pub fn decode(&self, unit: &[u8]) -> Option<Yuv420> {
        let t = &self.tokenizer;
        let places = self.format.grid.0 * self.format.grid.1;
        View::from_bytes(unit, t.slots(), places, t.codes(), t.values()).map(|view| self.picture(&view))
    }

    fn drawn(&self) -> (usize, usize) {
        (self.format.grid.0 * TOKEN_PIXELS, self.format.grid.1 * TOKEN_PIXELS)
    }
}

fn parse_codec(codec: &str) -> Option<Format> {
    let mut parts = codec.strip_prefix("reparo-")?.split('-');
    let preset = Preset::from_name(parts.next()?)?;
    let (columns, rows) = parts.next()?.split_once('x')?;
    let precision = match parts.next() {
        None => Precision::Fp32,
        Some(name) => (name == Precision::Bf16.name()).then_some(Precision::Bf16)?,
    };
    let whole = parts.next().is_none();
    let grid = (columns.parse().ok()?, rows.parse().ok()?);
    whole.then_some(Format { preset, grid, precision })
}

fn scale(rgb: Rgb, (width, height): (usize, usize)) -> Rgb {
    if (rgb.width, rgb.height) == (width, height) {
        return rgb;
    }
    no_grad(|| {
        let shape = [1, rgb.height as i64, rgb.width as i64, 3];
        let x = Tensor::from_slice(&rgb.data).view(shape).to_kind(Kind::Float).permute([0, 3, 1, 2]);
        let x = x.internal_upsample_bicubic2d_aa([height as i64, width as i64], false, None, None);
        let x = x.clamp(0.0, 255.0).round().to_kind(Kind::Uint8).permute([0, 2, 3, 1]).contiguous();
        let data = Vec::<u8>::try_from(&x.view([-1])).expect("bytes of one dimension");
        Rgb { width, height, data }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_names_say_preset_grid_and_numbers() {
        for format in [
            Format { preset: Preset::Lite, grid: (32, 32), precision: Precision::Fp32 },
            Format { preset: Preset::Lite, grid: (32, 32), precision: Precision::Bf16 },
            Format { preset: Preset::Paper, grid: (16, 24), precision: Precision::Fp32 },
        ] {
            assert_eq!(parse_codec(&format.to_string()), Some(format));
        }
        let others = ["h264", "reparo-lite", "reparo-lite-32", "reparo-huge-32x32", "reparo-lite-axb"];
        for other in others.into_iter().chain(["reparo-lite-8x8-f8", "reparo-lite-8x8-bf16-x"]) {
            assert_eq!(parse_codec(other), None, "{other}");
        }
    }

    #[test]
    fn units_that_are_no_view_draw_nothing() {
        let tokenizer = Tokenizer::new(Preset::Lite, 16, Device::Cpu);
        let _ = no_grad(|| tokenizer.codebook().shallow_clone().normal_(0.0, 1.0));
        let pictures = TokenPictures {
            tokenizer,
            weights: String::new(),
            format: Format { preset: Preset::Lite, grid: (4, 2), precision: Precision::Fp32 },
            size: (50, 34),
        };
        let unit = |token| pictures.tokenizer.memory(8).see(&[Some(token); 8], &[]).to_bytes();
        assert!(pictures.decode(&[]).is_none());
        assert!(pictures.decode(&unit(16)).is_none(), "a token outside the codebook");
        assert!(pictures.decode(&unit(3)[1..]).is_none());
        assert!(pictures.decode(&unit(5)) != pictures.decode(&unit(7)));
        let picture = pictures.decode(&unit(15)).expect("a whole view");
        assert_eq!((picture.width, picture.height), (50, 34));
        assert_eq!(pictures.tokens(&mut Carry::default(), &picture, None).len(), 8);
    }
}
