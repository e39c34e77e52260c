//! Pictures as Reparo sends and shows them: 4:2:0 in, tokens between, 4:2:0 out.
//!
//! What the decoder was fed is a *unit* of two bytes per token, little-endian, row by row; the name of the codec
//! in a units file says preset and grid (`reparo-lite-32x32`), so that anybody can draw the pictures again with
//! [`TokenPictures::for_codec`]. A picture whose size is not sixteen times the grid is scaled there and back.

use crate::tokenizer::{Preset, TOKEN_PIXELS, Tokenizer};
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
    grid: (usize, usize),
    size: (usize, usize),
}

impl TokenPictures {
    /// Loads `reparo-tokenizer-<preset>.safetensors` of `folder` for a grid of columns x rows and pictures of
    /// width x height, and sets libtorch to one thread: sender, receiver and scores often share a machine of few
    /// cores, where threads of one layer wait for each other longer than they work.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn open(
        folder: &Path,
        preset: Preset,
        grid: (usize, usize),
        size: (usize, usize),
    ) -> Result<Self, WeightsError> {
        tch::set_num_threads(1);
        let path = folder.join(format!("reparo-tokenizer-{}.safetensors", preset.name()));
        let tokenizer = Tokenizer::load(&path, preset, Device::cuda_if_available())?;
        let bytes = std::fs::read(&path).map_err(|source| WeightsError::Io { path, source })?;
        let weights = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { tokenizer, weights, grid, size })
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
        let (preset, grid) = parse_codec(codec)?;
        Some(Self::open(&weights_folder(), preset, grid, size))
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Name of the codec in units files.
    #[must_use]
    pub fn codec(preset: Preset, grid: (usize, usize)) -> String {
        format!("reparo-{}-{}x{}", preset.name(), grid.0, grid.1)
    }

    /// Tokens of a picture, row by row.
    #[must_use]
    pub fn tokens(&self, picture: &Yuv420) -> Vec<u16> {
        let rgb = to_rgb(picture, Colour::BT601);
        let (width, height) = self.drawn();
        let rgb = scale(rgb, (width, height));
        self.tokenizer.encode(&rgb.data, width, height)
    }

    /// The picture of a grid of tokens.
    ///
    /// # Panics
    /// When `tokens` is not such a grid.
    #[must_use]
    pub fn picture(&self, tokens: &[u16]) -> Yuv420 {
        let (width, height) = self.drawn();
        let data = self.tokenizer.decode(tokens, self.grid.0, self.grid.1);
        to_yuv420(&scale(Rgb { width, height, data }, self.size), Colour::BT601)
    }

    /// The picture of a unit; `None` when it is no grid of this codebook's tokens.
    #[must_use]
    pub fn decode(&self, unit: &[u8]) -> Option<Yuv420> {
        let tokens: Vec<u16> = unit.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        let whole = unit.len() == 2 * self.grid.0 * self.grid.1;
        let known = tokens.iter().all(|&t| usize::from(t) < self.tokenizer.codes());
        (whole && known).then(|| self.picture(&tokens))
    }

    fn drawn(&self) -> (usize, usize) {
        (self.grid.0 * TOKEN_PIXELS, self.grid.1 * TOKEN_PIXELS)
    }
}

/// The unit of a grid of tokens.
#[must_use]
pub fn unit(tokens: &[u16]) -> Vec<u8> {
    tokens.iter().flat_map(|t| t.to_le_bytes()).collect()
}

fn parse_codec(codec: &str) -> Option<(Preset, (usize, usize))> {
    let (preset, grid) = codec.strip_prefix("reparo-")?.split_once('-')?;
    let (columns, rows) = grid.split_once('x')?;
    Some((Preset::from_name(preset)?, (columns.parse().ok()?, rows.parse().ok()?)))
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
        let data = Vec::<u8>::try_from(&x.view([-1])).unwrap_or_default();
        Rgb { width, height, data }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_names_say_preset_and_grid() {
        for (preset, grid) in [(Preset::Lite, (32, 32)), (Preset::Paper, (16, 24))] {
            assert_eq!(parse_codec(&TokenPictures::codec(preset, grid)), Some((preset, grid)));
        }
        for other in ["h264", "reparo-lite", "reparo-lite-32", "reparo-huge-32x32", "reparo-lite-axb"] {
            assert_eq!(parse_codec(other), None, "{other}");
        }
    }

    #[test]
    fn units_that_are_no_grid_draw_nothing() {
        let tokenizer = Tokenizer::new(Preset::Lite, 16, Device::Cpu);
        let pictures = TokenPictures { tokenizer, weights: String::new(), grid: (4, 2), size: (50, 34) };
        assert!(pictures.decode(&[]).is_none());
        assert!(pictures.decode(&unit(&[3; 7])).is_none());
        assert!(pictures.decode(&unit(&[16; 8])).is_none());
        let picture = pictures.decode(&unit(&[15; 8])).expect("a whole grid");
        assert_eq!((picture.width, picture.height), (50, 34));
        assert_eq!(pictures.tokens(&picture).len(), 8);
    }
}
