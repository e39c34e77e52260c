//! Pictures as Reparo sends and shows them: 4:2:0 in, tokens between, 4:2:0 out.
//!
//! A *unit* holds what came of a frame: its number, its tokens ([`NONE`] where none came), and what recovery guessed. What is shown of
//! a frame depends on its unit and those before. The name of the codec in a units file says preset, grid, numbers and memory
//! (`reparo-lite-32x32-bf16-corrections`; 32-bit floats go unsaid), so that anybody can draw the pictures again with
//! [`TokenPictures::for_codec`]. A picture whose size is not sixteen times the grid is scaled there and back.

use crate::layers::Precision;
use crate::token_codec::{Encoding, Memory, TokenCodec};
use crate::tokenizer::{NONE, Places, Preset, Tokenizer};
use crate::weights::{WeightsError, weights_folder};
use half::f16;
use media::convert::{Colour, to_rgb, to_yuv420};
use media::{Rgb, Yuv420};
use std::path::Path;
use tch::{Kind, Tensor, no_grad};

/// A tokenizer bound to a size of pictures and a grid of tokens.
#[derive(Debug)]
pub struct TokenPictures {
    codec: TokenCodec,
    weights: String,
    size: (usize, usize),
    /// Of the units decoded so far.
    places: Places,
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
    /// What is remembered of earlier frames.
    pub memory: Memory,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reparo-{}-{}x{}", self.preset.name(), self.grid.0, self.grid.1)?;
        if self.precision == Precision::Bf16 {
            write!(f, "-{}", self.precision.name())?;
        }
        write!(f, "-{}", self.memory.name())
    }
}

impl TokenPictures {
    /// Loads the codec's files of `folder` for pictures of width x height, and sets libtorch to one thread: sender, receiver and scores often share a machine of few
    /// cores, where threads of one layer wait for each other longer than they work. Always on the CPU, also beside a GPU: a run's pictures
    /// and hashes shall not depend on what else a machine has.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn open(folder: &Path, format: Format, size: (usize, usize)) -> Result<Self, WeightsError> {
        tch::set_num_threads(1);
        crate::memory::keep_freed();
        let Format { preset, grid, precision, memory } = format;
        let (codec, weights) = TokenCodec::load(folder, preset, memory, grid, precision)?;
        Ok(Self { places: codec.places(), codec, weights, size })
    }

    /// SHA-256 of the weight files: tokens and pictures are a function of it and of what goes in.
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

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> &TokenCodec {
        &self.codec
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        self.codec.tokenizer()
    }

    /// Tokens of the next picture, row by row (see [`TokenCodec::encode`]).
    #[must_use]
    pub fn tokens(&self, encoding: &mut Encoding, frame: u32, picture: &Yuv420, sent: &[bool]) -> Vec<u16> {
        let rgb = scale(to_rgb(picture, Colour::BT601), self.codec.size());
        self.codec.encode(encoding, frame, &rgb.data, sent)
    }

    /// The picture of the newest frame of `places` (see [`TokenCodec::draw`]).
    #[must_use]
    pub fn picture(&self, places: &Places, guesses: &[f32]) -> Yuv420 {
        let (width, height) = self.codec.size();
        let data = self.codec.draw(places, guesses);
        to_yuv420(&scale(Rgb { width, height, data }, self.size), Colour::BT601)
    }

    /// Begins a file of units.
    pub fn restart(&mut self) {
        self.places = self.codec.places();
    }

    /// The picture of the next unit; `None` when it is not one of this grid and these codes.
    #[must_use]
    pub fn decode(&mut self, unit: &[u8]) -> Option<Yuv420> {
        let (columns, rows) = self.codec.grid();
        let Unit { frame, received, guesses } = Unit::from_bytes(unit, columns * rows, self.codec.codes())?;
        let stands = self.codec.receive(&mut self.places, frame, &received);
        let guessed = stands.iter().filter(|code| code.is_none()).count();
        let whole = guesses.len() == guessed * self.tokenizer().values();
        whole.then(|| self.picture(&self.places, &guesses))
    }
}

/// What is stored of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Captured frame.
    pub frame: u32,
    /// Tokens of the wire that came, row by row.
    pub received: Vec<Option<u16>>,
    /// Code vectors of what was guessed, one after the other, as 16-bit floats hold them.
    pub guesses: Vec<f32>,
}

impl Unit {
    /// Frame, tokens, guesses, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let tokens = self.received.iter().flat_map(|t| t.unwrap_or(NONE).to_le_bytes());
        let guesses = self.guesses.iter().flat_map(|&g| f16::from_f32(g).to_le_bytes());
        self.frame.to_le_bytes().into_iter().chain(tokens).chain(guesses).collect()
    }

    /// The unit of so many places and codes in bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], places: usize, codes: usize) -> Option<Self> {
        let (frame, rest) = bytes.split_first_chunk::<4>()?;
        let (tokens, guesses) = rest.split_at_checked(2 * places)?;
        let word = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
        let received = tokens.chunks_exact(2).map(|b| Some(word(b)).filter(|&t| t != NONE)).collect();
        let guesses: Vec<f32> = guesses.chunks_exact(2).map(|b| f16::from_bits(word(b)).to_f32()).collect();
        let unit = Self { frame: u32::from_le_bytes(*frame), received, guesses };
        let known = unit.received.iter().flatten().all(|&t| usize::from(t) < codes);
        let whole = rest.len().is_multiple_of(2) && unit.guesses.iter().all(|g| g.is_finite());
        (known && whole).then_some(unit)
    }
}

fn parse_codec(codec: &str) -> Option<Format> {
    let mut parts = codec.strip_prefix("reparo-")?.split('-');
    let preset = Preset::from_name(parts.next()?).ok()?;
    let (columns, rows) = parts.next()?.split_once('x')?;
    let mut next = parts.next()?;
    let precision = match next == Precision::Bf16.name() {
        true => {
            next = parts.next()?;
            Precision::Bf16
        }
        false => Precision::Fp32,
    };
    let memory = Memory::from_name(next).ok()?;
    let whole = parts.next().is_none();
    let grid = (columns.parse().ok()?, rows.parse().ok()?);
    whole.then_some(Format { preset, grid, precision, memory })
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
    use tch::Device;

    #[test]
    fn codec_names_say_preset_grid_numbers_and_memory() {
        let (lite, fp32) = (Preset::Lite, Precision::Fp32);
        for format in [
            Format { preset: lite, grid: (32, 32), precision: fp32, memory: Memory::Window },
            Format { preset: lite, grid: (32, 32), precision: Precision::Bf16, memory: Memory::Corrections },
            Format { preset: Preset::Paper, grid: (16, 24), precision: fp32, memory: Memory::Frame },
        ] {
            assert_eq!(parse_codec(&format.to_string()), Some(format));
        }
        let others = ["h264", "reparo-lite", "reparo-lite-32", "reparo-huge-32x32-frame"];
        for other in others.into_iter().chain(["reparo-lite-8x8-f8-frame", "reparo-lite-8x8-bf16-frame-x"]) {
            assert_eq!(parse_codec(other), None, "{other}");
        }
    }

    #[test]
    fn units_that_are_none_draw_nothing() {
        let tokenizer = Tokenizer::new(Preset::Lite, 16, Device::Cpu);
        let _ = no_grad(|| tokenizer.codebook().shallow_clone().normal_(0.0, 1.0));
        let codec = TokenCodec::new(tokenizer, None, Memory::Window, (4, 2));
        let places = codec.places();
        let mut pictures = TokenPictures { codec, weights: String::new(), size: (50, 34), places };
        let unit = |token, frame| Unit { frame, received: vec![Some(token); 8], guesses: Vec::new() };
        assert!(pictures.decode(&[]).is_none());
        assert!(pictures.decode(&unit(16, 0).to_bytes()).is_none(), "a token outside the codebook");
        assert!(pictures.decode(&unit(3, 0).to_bytes()[1..]).is_none());
        let five = pictures.decode(&unit(5, 0).to_bytes());
        let seven = pictures.decode(&unit(7, 1).to_bytes());
        assert!(five.is_some() && five != seven);
        pictures.restart();
        assert!(pictures.decode(&unit(7, 0).to_bytes()) != seven, "a picture depends on the units before");
        let mut missing = unit(5, 2);
        missing.received[3] = None;
        assert!(pictures.decode(&missing.to_bytes()).is_none(), "a guess is missing");
        missing.guesses = vec![0.5; 16];
        let picture = pictures.decode(&missing.to_bytes()).expect("a whole unit");
        assert_eq!((picture.width, picture.height), (50, 34));
        let mut encoding = pictures.codec.encoding();
        assert_eq!(pictures.tokens(&mut encoding, 0, &picture, &[true; 8]).len(), 8);
        assert_eq!(Unit::from_bytes(&missing.to_bytes(), 8, 16), Some(missing));
    }
}
