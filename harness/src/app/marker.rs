//! The marker: which picture of the camera a picture on the screen is, readable after heavy compression and scaling, and known to
//! nobody before the camera has shown it.
//!
//! ```text
//!  ┌────────────────────────────┐
//!  │ the clip's picture         │ height
//!  ├────────────────────────────┤
//!  │▓░░▓▓░▓░ ... 20 blocks      │ strip
//!  │░▓▓░░▓░▓ ... 20 blocks      │
//!  └────────────────────────────┘
//! ```
//! A strip of grey blocks below the picture holds a word of [`BITS`] bits, dark or light. Words are drawn from a secret of the run, one
//! after the other: each differs from the one before in [`FLIPS`] blocks that the secret picks (few, so that an encoder has little to
//! send), and from the [`WINDOW`] before it in at least [`DISTANCE`]. A reader takes the nearest word of those that may be on the screen,
//! and none if more than [`ERRORS`] blocks are wrong: with `DISTANCE` 8 two words cannot both be that near.
//!
//! Blocks are whole macroblocks of 16 pixels (8 in small pictures) on the codecs' own grid: one costs little more than its mean, a third of what
//! blocks of 8 cost.
//!
//! Chances: an unrelated picture is taken for one of 1000 words with `1000 * sum(C(40, k), k <= 2) / 2^40` = 7e-7. Who has seen
//! a word and draws the next one unseen has to pick 7 of its 8 blocks: `(1 + 8 * 32) / C(40, 8)` = 3e-6.

use media::Yuv420;
use sha2::{Digest, Sha256};

/// Blocks of a word.
pub const BITS: usize = 40;
/// Blocks by which a word differs from the one before.
pub const FLIPS: usize = 8;
/// Least number of blocks by which two words differ that can be on the screen at about the same time.
pub const DISTANCE: u32 = 8;
/// Wrong blocks that are put right.
pub const ERRORS: u32 = 2;
/// So many words before a word are far from it.
pub const WINDOW: usize = 1024;
/// Luma of the blocks.
const LEVELS: [u8; 2] = [80, 176];
/// Every word has at least so many blocks of either level.
const EITHER: usize = 10;
/// Dark and light must be so far apart on the screen, in codes.
const CONTRAST: f32 = 32.0;
/// Luma of what the blocks leave of the strip.
const GREY: u8 = 128;

/// Where the blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Columns of the picture and of the strip.
    pub width: usize,
    /// Rows of the picture, above the strip.
    pub height: usize,
    /// Rows of the strip.
    pub strip: usize,
    columns: usize,
    block: (usize, usize),
    /// Grey rows between picture and blocks, so that these lie on the grid.
    gap: usize,
}

impl Layout {
    /// For pictures of this size; `None` if they are too narrow.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Option<Self> {
        if width < 64 {
            return None;
        }
        // Blocks of the codecs' own grid; larger ones only where the picture is likely to be scaled down.
        let side = if width < 256 { 8 } else { (width / 80 / 16 * 16).max(16) };
        let (columns, block) = (width / side, (side, side));
        let gap = (side - height % side) % side;
        let strip = gap + BITS.div_ceil(columns) * side;
        Some(Self { width, height, strip, columns, block, gap })
    }

    /// Rows of the whole picture.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.height + self.strip
    }

    /// First column and row (of the strip) of a block.
    fn place(&self, bit: usize) -> (usize, usize) {
        (bit % self.columns * self.block.0, self.gap + bit / self.columns * self.block.1)
    }

    /// The picture with a word below it.
    ///
    /// # Panics
    /// If the picture has another size.
    #[must_use]
    pub fn draw(&self, picture: &Yuv420, word: u64) -> Yuv420 {
        assert_eq!((picture.width, picture.height), (self.width, self.height));
        let mut y = picture.y.clone();
        y.resize(self.width * self.rows(), GREY);
        for bit in 0..BITS {
            let (x, row) = self.place(bit);
            let level = LEVELS[usize::from(word >> bit & 1 == 1)];
            for line in row..row + self.block.1 {
                let at = (self.height + line) * self.width + x;
                y[at..at + self.block.0].fill(level);
            }
        }
        Yuv420::from_planes((self.width, self.rows()), |index, (columns, rows)| {
            if index == 0 {
                return std::mem::take(&mut y);
            }
            // Of an odd number of rows the last one is half the strip's.
            let mut plane = picture.planes()[index].to_vec();
            plane.resize(columns * rows, 128);
            plane
        })
    }

    /// The picture without the strip.
    #[must_use]
    pub fn crop(&self, marked: &Yuv420) -> Yuv420 {
        Yuv420::from_planes((self.width, self.height), |index, (columns, rows)| {
            marked.planes()[index][..columns * rows].to_vec()
        })
    }

    /// The word in a strip, of which `luma(column, row)` gives a sample; `None` if there are no dark and light blocks. Only the inner
    /// part of each block counts, because compression and scaling blur its edges.
    #[must_use]
    pub fn read(&self, luma: impl Fn(usize, usize) -> u8) -> Option<u64> {
        let mut means = [0.0f32; BITS];
        let (inset_x, inset_y) = (self.block.0 / 4, self.block.1 / 4);
        for (bit, mean) in means.iter_mut().enumerate() {
            let (x, y) = self.place(bit);
            let (mut sum, mut n) = (0u32, 0u16);
            for row in y + inset_y..y + self.block.1 - inset_y {
                for column in x + inset_x..x + self.block.0 - inset_x {
                    sum += u32::from(luma(column, row));
                    n += 1;
                }
            }
            #[allow(clippy::cast_precision_loss)] // at most a few thousand samples of 255
            let value = sum as f32 / f32::from(n);
            *mean = value;
        }
        // So many are dark, and so many light: the extremes show where these are.
        let mut sorted = means;
        sorted.sort_by(f32::total_cmp);
        let (dark, light) = (
            sorted[..EITHER].iter().sum::<f32>() / EITHER as f32,
            sorted[BITS - EITHER..].iter().sum::<f32>() / EITHER as f32,
        );
        if light - dark < CONTRAST {
            return None;
        }
        let middle = f32::midpoint(dark, light);
        Some(means.iter().enumerate().fold(0, |word, (bit, mean)| word | u64::from(*mean > middle) << bit))
    }
}

/// What a picture of the camera is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CameraPicture {
    /// Before frame 0 and after the last: no frame of the clip.
    Filler(usize),
    /// This frame.
    Frame(u32),
}

/// Words for pictures that are no frames.
pub const FILLERS: usize = 32;

/// The words of a run.
#[derive(Clone, Debug)]
pub struct Words {
    /// Of [`CameraPicture::Filler`] 0 to 31, then of the frames.
    words: Vec<u64>,
}

/// A stream of bytes that only the holder of the secret can predict.
struct Draws {
    secret: [u8; 32],
    counter: u64,
    block: Vec<u8>,
}

impl Draws {
    fn byte(&mut self) -> u8 {
        if self.block.is_empty() {
            self.block = Sha256::new()
                .chain_update(self.secret)
                .chain_update(self.counter.to_le_bytes())
                .finalize()
                .to_vec();
            self.counter += 1;
        }
        self.block.pop().unwrap_or_default()
    }

    /// [`FLIPS`] different blocks.
    fn flips(&mut self) -> u64 {
        let mut flips = 0u64;
        while (flips.count_ones() as usize) < FLIPS {
            let block = usize::from(self.byte() % 64);
            if block < BITS {
                flips |= 1 << block;
            }
        }
        flips
    }
}

impl Words {
    /// For a clip of `frames`.
    #[must_use]
    pub fn new(secret: [u8; 32], frames: u32) -> Self {
        let mut draws = Draws { secret, counter: 0, block: Vec::new() };
        let mut words: Vec<u64> = Vec::with_capacity(FILLERS + frames as usize);
        let mut last = (0..BITS / 8).fold(0u64, |word, _| word << 8 | u64::from(draws.byte()));
        while words.len() < FILLERS + frames as usize {
            let next = last ^ draws.flips();
            let near = words.len().saturating_sub(WINDOW).max(FILLERS.min(words.len()));
            let mut before = words[..FILLERS.min(words.len())].iter().chain(&words[near..]);
            if (EITHER..=BITS - EITHER).contains(&(next.count_ones() as usize))
                && before.all(|w| (w ^ next).count_ones() >= DISTANCE)
            {
                words.push(next);
                last = next;
            } else if words.is_empty() {
                // The first word was not balanced: walk on.
                last = next;
            }
        }
        Self { words }
    }

    /// The word of a picture.
    #[must_use]
    pub fn of(&self, pictured: CameraPicture) -> u64 {
        match pictured {
            CameraPicture::Filler(i) => self.words[i % FILLERS],
            CameraPicture::Frame(frame) => self.words[FILLERS + frame as usize],
        }
    }

    /// Which picture a word on the screen is, if the camera has shown frames up to `newest` (none: only fillers).
    #[must_use]
    pub fn identify(&self, word: u64, newest: Option<u32>) -> Option<CameraPicture> {
        let filler = (0..FILLERS).map(CameraPicture::Filler);
        let first = newest.map_or(0, |n| n.saturating_sub(WINDOW as u32 - 1));
        let frames =
            newest.map_or(0..0, |n| first..n.saturating_add(1).min((self.words.len() - FILLERS) as u32));
        let mut all = filler.chain(frames.map(CameraPicture::Frame));
        all.find(|pictured| (self.of(*pictured) ^ word).count_ones() <= ERRORS)
    }
}

/// A secret that nobody can predict.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn secret() -> std::io::Result<[u8; 32]> {
    use std::io::Read;
    let mut secret = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize) -> Yuv420 {
        let mut state = 12345u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut picture = Yuv420::filled(width, height, (0, 128, 128));
        picture.y.fill_with(&mut next);
        picture.u.fill_with(&mut next);
        picture
    }

    #[test]
    fn what_is_drawn_is_read_and_the_picture_comes_back_whole() {
        let words = Words::new([7; 32], 50);
        for (width, height) in
            [(64, 48), (160, 120), (320, 240), (512, 512), (640, 360), (1280, 720), (1920, 1080)]
        {
            let layout = Layout::new(width, height).unwrap();
            assert!(layout.strip.is_multiple_of(8) && layout.columns * layout.block.0 <= width, "{layout:?}");
            let picture = noise(width, height);
            for frame in [0, 1, 49] {
                let marked = layout.draw(&picture, words.of(CameraPicture::Frame(frame)));
                assert_eq!(marked.y.len() + marked.u.len() + marked.v.len(), width * layout.rows() * 3 / 2);
                let word = layout.read(|x, y| marked.y[(height + y) * width + x]).unwrap();
                assert_eq!(words.identify(word, Some(49)), Some(CameraPicture::Frame(frame)));
                assert_eq!(layout.crop(&marked), picture);
            }
        }
        assert_eq!(Layout::new(62, 48), None);
    }

    /// What the chances in the module's documentation rest on.
    #[test]
    fn words_are_far_apart_balanced_and_change_little() {
        let words = Words::new([1; 32], 3000);
        for (i, word) in words.words.iter().enumerate() {
            assert!((EITHER..=BITS - EITHER).contains(&(word.count_ones() as usize)));
            assert_eq!(word >> BITS, 0);
            let near = i.saturating_sub(WINDOW);
            for before in words.words[near..i].iter().chain(&words.words[..FILLERS.min(i)]) {
                assert!((before ^ word).count_ones() >= DISTANCE);
            }
            if i > 0 {
                assert_eq!((words.words[i - 1] ^ word).count_ones() as usize, FLIPS);
            }
        }
        assert_ne!(Words::new([2; 32], 1).words, words.words[..FILLERS + 1], "another secret, other words");
    }

    #[test]
    fn two_wrong_blocks_are_put_right_and_a_frame_that_is_yet_to_come_is_none() {
        let words = Words::new([3; 32], 400);
        let word = words.of(CameraPicture::Frame(200));
        assert_eq!(words.identify(word ^ 0b11, Some(200)), Some(CameraPicture::Frame(200)));
        assert_eq!(words.identify(word ^ 0b111, Some(399)), None);
        assert_eq!(words.identify(word, Some(199)), None);
        assert_eq!(words.identify(word, None), None);
        assert_eq!(words.identify(words.of(CameraPicture::Filler(5)), None), Some(CameraPicture::Filler(5)));
        // Between two words, as a picture that is half the last one: neither.
        let change = word ^ words.of(CameraPicture::Frame(201));
        let half = (0..BITS).filter(|b| change >> b & 1 == 1).take(4).fold(word, |w, b| w ^ 1 << b);
        assert_eq!(words.identify(half, Some(399)), None);
    }

    #[test]
    fn a_strip_without_dark_and_light_is_no_word() {
        let layout = Layout::new(320, 240).unwrap();
        assert_eq!(layout.read(|_, _| 128), None);
        assert_eq!(layout.read(|x, _| 110 + (x % 30) as u8), None);
    }
}
