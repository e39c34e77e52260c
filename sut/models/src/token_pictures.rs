//! Pictures as Reparo sends and shows them: 4:2:0 in, tokens between, 4:2:0 out.
//!
//! A *unit* holds what came of a frame: its number, its grid where there are several, its tokens ([`NONE`] where none came), and what recovery guessed. What is shown of
//! a frame depends on its unit and those before. The name of the codec in a units file says preset, grid, numbers and memory
//! (`reparo-lite-32x32-bf16-corrections`, `reparo-lite-32x32+16x16-window`; 32-bit floats go unsaid), so that anybody can draw the pictures again with
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

/// A tokenizer bound to a size of pictures and grids of tokens.
#[derive(Debug)]
pub struct TokenPictures {
    /// Of each grid.
    codecs: Vec<TokenCodec>,
    weights: String,
    size: (usize, usize),
    /// Grid of the newest unit that was decoded.
    grid: usize,
    /// Of the units decoded so far that have this grid, since it is in use.
    places: Places,
}

/// What decides the pictures of tokens, besides the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The network.
    pub preset: Preset,
    /// Tokens, columns x rows; of a session with several variants each.
    pub grids: Vec<(usize, usize)>,
    /// Numbers that it computes with.
    pub precision: Precision,
    /// What is remembered of earlier frames.
    pub memory: Memory,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let grids: Vec<String> = self.grids.iter().map(|(c, r)| format!("{c}x{r}")).collect();
        write!(f, "reparo-{}-{}", self.preset.name(), grids.join("+"))?;
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
    ///
    /// # Panics
    /// When the format has no grid.
    pub fn open(folder: &Path, format: &Format, size: (usize, usize)) -> Result<Self, WeightsError> {
        tch::set_num_threads(1);
        crate::memory::keep_freed();
        let &Format { preset, precision, memory, ref grids } = format;
        let mut weights = String::new();
        let mut codecs = Vec::new();
        for &grid in grids {
            let (codec, hash) = TokenCodec::load(folder, preset, memory, grid, precision)?;
            codecs.push(codec);
            weights = hash;
        }
        Ok(Self { places: codecs[0].places(), grid: 0, codecs, weights, size })
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
        Some(Self::open(&weights_folder(), &parse_codec(codec)?, size))
    }

    /// The codec of a grid, by its place in the format.
    ///
    /// # Panics
    /// When there is no such grid.
    #[must_use]
    pub fn codec(&self, grid: usize) -> &TokenCodec {
        &self.codecs[grid]
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        self.codecs[0].tokenizer()
    }

    /// Tokens of the next picture in a grid, row by row (see [`TokenCodec::encode`]).
    ///
    /// # Panics
    /// As there, or when there is no such grid.
    #[must_use]
    pub fn tokens(
        &self,
        grid: usize,
        encoding: &mut Encoding,
        frame: u32,
        picture: &Yuv420,
        sent: &[bool],
    ) -> Vec<u16> {
        let codec = &self.codecs[grid];
        codec.encode(encoding, frame, &scale(to_rgb(picture, Colour::BT601), codec.size()).data, sent)
    }

    /// The picture of the newest frame of `places` of a grid (see [`TokenCodec::draw`]).
    ///
    /// # Panics
    /// As there, or when there is no such grid.
    #[must_use]
    pub fn picture(&self, grid: usize, places: &Places, guesses: &[f32]) -> Yuv420 {
        let codec = &self.codecs[grid];
        let (width, height) = codec.size();
        let data = codec.draw(places, guesses);
        to_yuv420(&scale(Rgb { width, height, data }, self.size), Colour::BT601)
    }

    /// Begins a file of units.
    pub fn restart(&mut self) {
        (self.grid, self.places) = (0, self.codecs[0].places());
    }

    /// The picture of the next unit; `None` when it is not one of these grids and codes.
    #[must_use]
    pub fn decode(&mut self, unit: &[u8]) -> Option<Yuv420> {
        let Unit { frame, grid, received, guesses } = Unit::from_bytes(unit, &self.codecs)?;
        if grid != self.grid {
            (self.grid, self.places) = (grid, self.codecs[grid].places());
        }
        let stands = self.codecs[grid].receive(&mut self.places, frame, &received);
        let guessed = stands.iter().filter(|code| code.is_none()).count();
        let whole = guesses.len() == guessed * self.tokenizer().values();
        whole.then(|| self.picture(grid, &self.places, &guesses))
    }

    /// A unit as it is stored.
    #[must_use]
    pub fn unit_bytes(&self, unit: &Unit) -> Vec<u8> {
        unit.to_bytes(self.codecs.len() > 1)
    }
}

/// What is stored of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Captured frame.
    pub frame: u32,
    /// Its grid, by the place in the format; at most 255.
    pub grid: usize,
    /// Tokens of the wire that came, row by row.
    pub received: Vec<Option<u16>>,
    /// Code vectors of what was guessed, one after the other, as 16-bit floats hold them.
    pub guesses: Vec<f32>,
}

impl Unit {
    /// Frame, the grid (a byte) if there are several, tokens, guesses; little-endian.
    fn to_bytes(&self, several: bool) -> Vec<u8> {
        let grid = several.then_some(self.grid as u8);
        let tokens = self.received.iter().flat_map(|t| t.unwrap_or(NONE).to_le_bytes());
        let guesses = self.guesses.iter().flat_map(|&g| f16::from_f32(g).to_le_bytes());
        self.frame.to_le_bytes().into_iter().chain(grid).chain(tokens).chain(guesses).collect()
    }

    /// The unit of one of these codecs in bytes.
    fn from_bytes(bytes: &[u8], codecs: &[TokenCodec]) -> Option<Self> {
        let (frame, mut rest) = bytes.split_first_chunk::<4>()?;
        let mut grid = 0;
        if codecs.len() > 1 {
            let (number, behind) = rest.split_first()?;
            (grid, rest) = (usize::from(*number), behind);
        }
        let codec = codecs.get(grid)?;
        let (tokens, guesses) = rest.split_at_checked(2 * codec.grid().0 * codec.grid().1)?;
        let word = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
        let received = tokens.chunks_exact(2).map(|b| Some(word(b)).filter(|&t| t != NONE)).collect();
        let whole = guesses.len().is_multiple_of(2);
        let guesses: Vec<f32> = guesses.chunks_exact(2).map(|b| f16::from_bits(word(b)).to_f32()).collect();
        let unit = Self { frame: u32::from_le_bytes(*frame), grid, received, guesses };
        let known = unit.received.iter().flatten().all(|&t| usize::from(t) < codec.codes());
        (known && whole && unit.guesses.iter().all(|g| g.is_finite())).then_some(unit)
    }
}

fn parse_codec(codec: &str) -> Option<Format> {
    let mut parts = codec.strip_prefix("reparo-")?.split('-');
    let preset = Preset::from_name(parts.next()?).ok()?;
    let grid = |grid: &str| -> Option<(usize, usize)> {
        let (columns, rows) = grid.split_once('x')?;
        Some((columns.parse().ok()?, rows.parse().ok()?))
    };
    let grids = parts.next()?.split('+').map(grid).collect::<Option<Vec<_>>>()?;
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
    whole.then_some(Format { preset, grids, precision, memory })
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
            Format { preset: lite, grids: vec![(32, 32)], precision: fp32, memory: Memory::Window },
            Format {
                preset: lite,
                grids: vec![(32, 32), (16, 24)],
                precision: Precision::Bf16,
                memory: Memory::Corrections,
            },
            Format { preset: Preset::Paper, grids: vec![(16, 24)], precision: fp32, memory: Memory::Frame },
        ] {
            assert_eq!(parse_codec(&format.to_string()), Some(format));
        }
        let others = ["h264", "reparo-lite", "reparo-lite-32", "reparo-huge-32x32-frame"];
        for other in others.into_iter().chain(["reparo-lite-8x8-f8-frame", "reparo-lite-8x8-bf16-frame-x"]) {
            assert_eq!(parse_codec(other), None, "{other}");
        }
    }

    /// A fresh tokenizer of 16 codes in these grids.
    fn pictures(grids: &[(usize, usize)]) -> TokenPictures {
        let codec = |&grid: &(usize, usize)| {
            tch::manual_seed(5);
            let tokenizer = Tokenizer::new(Preset::Lite, 16, Device::Cpu);
            let _ = no_grad(|| tokenizer.codebook().shallow_clone().normal_(0.0, 1.0));
            TokenCodec::new(tokenizer, None, Memory::Window, grid)
        };
        let codecs: Vec<TokenCodec> = grids.iter().map(codec).collect();
        TokenPictures { places: codecs[0].places(), grid: 0, codecs, weights: String::new(), size: (50, 34) }
    }

    fn unit(frame: u32, grid: usize, token: u16, places: usize) -> Unit {
        Unit { frame, grid, received: vec![Some(token); places], guesses: Vec::new() }
    }

    #[test]
    fn units_that_are_none_draw_nothing() {
        let mut pictures = pictures(&[(4, 2)]);
        let unit = |token, frame| unit(frame, 0, token, 8);
        let bytes = |unit: &Unit| unit.to_bytes(false);
        assert!(pictures.decode(&[]).is_none());
        assert!(pictures.decode(&bytes(&unit(16, 0))).is_none(), "a token outside the codebook");
        assert!(pictures.decode(&bytes(&unit(3, 0))[1..]).is_none());
        let five = pictures.decode(&bytes(&unit(5, 0)));
        let seven = pictures.decode(&bytes(&unit(7, 1)));
        assert!(five.is_some() && five != seven);
        pictures.restart();
        assert!(pictures.decode(&bytes(&unit(7, 0))) != seven, "a picture depends on the units before");
        let mut missing = unit(5, 2);
        missing.received[3] = None;
        assert!(pictures.decode(&bytes(&missing)).is_none(), "a guess is missing");
        missing.guesses = vec![0.5; 16];
        let picture = pictures.decode(&bytes(&missing)).expect("a whole unit");
        assert_eq!((picture.width, picture.height), (50, 34));
        let mut encoding = pictures.codec(0).encoding();
        assert_eq!(pictures.tokens(0, &mut encoding, 0, &picture, &[true; 8]).len(), 8);
        assert_eq!(Unit::from_bytes(&bytes(&missing), &pictures.codecs), Some(missing));
    }

    #[test]
    fn another_grid_begins_as_a_call_does() {
        let mut pictures = pictures(&[(4, 2), (6, 4)]);
        let small = pictures.unit_bytes(&unit(0, 0, 5, 8));
        let large = pictures.unit_bytes(&unit(1, 1, 5, 24));
        assert_eq!((small.len(), large.len(), large[4]), (5 + 16, 5 + 48, 1));
        let first = pictures.decode(&small).expect("a picture");
        let second = pictures.decode(&large).expect("a picture");
        assert_eq!((first.width, second.width), (50, 50), "of the clip's size");
        // What came before another grid is forgotten.
        let other = pictures.unit_bytes(&unit(2, 0, 7, 8));
        let after = pictures.decode(&other);
        pictures.restart();
        assert_eq!(pictures.decode(&pictures.unit_bytes(&unit(2, 0, 7, 8))), after);
        let mut nowhere = large;
        nowhere[4] = 2;
        assert!(pictures.decode(&nowhere).is_none(), "there is no third grid");
    }
}
