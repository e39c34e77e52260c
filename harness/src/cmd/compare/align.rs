//! How many frames one clip is behind the other: small luma pictures of both are laid over each other at every offset.
//!
//! The error at an offset is the mean squared difference of the small pictures that then stand side by side. The offset is where that is
//! least, if it is so by 5 % against every other; a still scene, or one that repeats itself, fits at several, and that is the answer then.

/// Columns and rows of a small picture, at most.
const CELLS: (usize, usize) = (64, 36);
/// Pictures of each clip that are looked at: 100 s at 30 per second, 14 MB.
pub const LOOKED_AT: usize = 3000;
/// As many if nobody asked: the note must cost next to nothing beside the cheapest metric.
pub const LOOKED_AT_UNASKED: usize = 90;
/// Offsets that `--align` tries unless told otherwise.
pub const REACH: usize = 30;
/// How much worse every other offset must be.
const MARGIN: f64 = 1.05;
/// How much better another offset must be for a note, if nobody asked: 3 dB.
const MUCH: f64 = 2.0;

/// A small luma picture: means of a row of each cell, in 256ths of an 8-bit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Small(Vec<u16>);

impl Small {
    /// Of a luma plane; `row` gives the samples of one, `bits` is their depth.
    pub fn new<'a, S: Copy + Into<u32> + 'a>(
        (width, height): (usize, usize),
        bits: u8,
        row: impl Fn(usize) -> &'a [S],
    ) -> Self {
        let (columns, rows) = (CELLS.0.min(width), CELLS.1.min(height));
        let mut cells = Vec::with_capacity(columns * rows);
        for r in 0..rows {
            // The row in the middle of a row of cells: enough to see motion.
            let line = row((2 * r + 1) * height / (2 * rows));
            for c in 0..columns {
                let (left, right) = (c * width / columns, (c + 1) * width / columns);
                let sum: u32 = line[left..right].iter().map(|s| (*s).into()).sum();
                // To the scale of 8 bits, with 8 more.
                let mean = (u64::from(sum) << 16 >> bits) / (right - left) as u64;
                cells.push(u16::try_from(mean).unwrap_or(u16::MAX));
            }
        }
        Small(cells)
    }

    /// Mean squared difference in 8-bit codes; `None` for pictures of two sizes.
    fn error(&self, other: &Self) -> Option<f64> {
        if self.0.len() != other.0.len() || self.0.is_empty() {
            return None;
        }
        let square = |(a, b): (&u16, &u16)| {
            let difference = u32::from(a.abs_diff(*b));
            u64::from(difference * difference)
        };
        let sum: u64 = self.0.iter().zip(&other.0).map(square).sum();
        Some(sum as f64 / self.0.len() as f64 / 65536.0)
    }
}

/// What laying the clips over each other has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// Frame i of the reference stands beside frame i + `offset` of the other; above 0 the other is late.
    pub offset: i64,
    /// Error there.
    pub error: f64,
    /// Error where both begin together.
    pub error_at_0: f64,
    /// Other offsets that fit as well; not empty: the pictures do not say which it is.
    pub rivals: Vec<i64>,
    /// Frames that were compared there.
    pub frames: usize,
}

impl Alignment {
    /// Tries offsets from -reach to +reach, as far as half of the shorter clip still has a counterpart. `None` without a picture, or with pictures of two
    /// sizes.
    pub fn find(reference: &[Small], shown: &[Small], reach: usize) -> Option<Self> {
        let least = (reference.len().min(shown.len()) / 2).max(1);
        let reach = i64::try_from(reach).ok()?;
        let mut tried: Vec<(i64, f64, usize)> = Vec::new();
        for offset in -reach..=reach {
            let (skip_reference, skip_shown) = skips(offset);
            let (Some(a), Some(b)) = (reference.get(skip_reference..), shown.get(skip_shown..)) else {
                continue;
            };
            let frames = a.len().min(b.len());
            if frames < least {
                continue;
            }
            let errors: Option<f64> = a.iter().zip(b).map(|(a, b)| a.error(b)).sum();
            tried.push((offset, errors? / frames as f64, frames));
        }
        let error_at_0 = tried.iter().find(|(offset, ..)| *offset == 0)?.1;
        let least = tried.iter().map(|t| t.1).min_by(f64::total_cmp)?;
        let fits = |t: &&(i64, f64, usize)| t.1 <= least * MARGIN;
        // Of several that fit, the one nearest to what was asked without looking.
        let best = *tried.iter().filter(fits).min_by_key(|(offset, ..)| offset.abs())?;
        let rivals = tried.iter().filter(fits).map(|t| t.0).filter(|offset| *offset != best.0).collect();
        Some(Alignment { offset: best.0, error: best.1, error_at_0, rivals, frames: best.2 })
    }

    /// Frames to leave out at the beginning: of the reference, of the other.
    pub fn skips(&self) -> (usize, usize) {
        skips(self.offset)
    }

    /// Whether a comparison that begins at the beginning of both is probably not what was meant.
    pub fn is_suspicious(&self) -> bool {
        self.offset != 0 && self.rivals.is_empty() && self.error_at_0 >= self.error * MUCH
    }

    /// `3 frames late`.
    pub fn in_words(&self) -> String {
        let frames = |n: u64| if n == 1 { "1 frame".to_owned() } else { format!("{n} frames") };
        match self.offset {
            0 => "not shifted".into(),
            late if late > 0 => format!("{} late", frames(late.unsigned_abs())),
            early => format!("{} early", frames(early.unsigned_abs())),
        }
    }

    /// PSNR of the small pictures there and where both begin together, for messages.
    pub fn gain(&self) -> String {
        let db = |mse: f64| {
            if mse > 0.0 { format!("{:.1} dB", 10.0 * (65025.0 / mse).log10()) } else { "equal".into() }
        };
        format!("small pictures: {} there, {} as they are", db(self.error), db(self.error_at_0))
    }
}

fn skips(offset: i64) -> (usize, usize) {
    let by = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
    if offset < 0 { (by, 0) } else { (0, by) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern that moves by a column per frame, `noise` added.
    fn frame(i: usize, noise: usize) -> Small {
        let (width, height) = (160, 90);
        let samples: Vec<u8> = (0..width * height)
            .map(|at| {
                let (x, y) = (at % width, at / width);
                let value =
                    128.0 + 60.0 * ((x + 2 * i) as f64 / 9.0).sin() + 40.0 * ((y * 3 + i) as f64 / 7.0).cos();
                let wrong = (at * 7919 + i * 104_729) % (2 * noise + 1);
                (value + wrong as f64 - noise as f64).clamp(0.0, 255.0) as u8
            })
            .collect();
        Small::new((width, height), 8, |row| &samples[row * width..(row + 1) * width])
    }

    fn clip(frames: std::ops::Range<usize>, noise: usize) -> Vec<Small> {
        frames.map(|i| frame(i, noise)).collect()
    }

    #[test]
    fn the_offset_is_found_with_noise_and_extra_frames() {
        for (shown, offset) in [(0..40, 0), (3..43, -3), (7..30, -7), (0..25, 0)] {
            let found = Alignment::find(&clip(0..40, 0), &clip(shown, 12), 10).unwrap();
            assert_eq!((found.offset, found.rivals.as_slice()), (offset, &[][..]), "{found:?}");
            assert_eq!(found.is_suspicious(), offset != 0, "{found:?}");
        }
        // Black frames in front, as a recorder that starts early has them.
        let mut late = vec![Small(vec![0; 64 * 36]); 5];
        late.extend(clip(0..40, 6));
        let found = Alignment::find(&clip(0..40, 0), &late, 10).unwrap();
        assert_eq!((found.offset, found.skips(), found.in_words().as_str()), (5, (0, 5), "5 frames late"));
        // Beyond its reach it says nothing certain of an offset that is not there.
        let far = Alignment::find(&clip(0..60, 0), &clip(20..80, 12), 10).unwrap();
        assert_ne!(far.offset, -20);
    }

    #[test]
    fn a_still_scene_fits_everywhere_and_says_so() {
        let still = vec![frame(0, 0); 30];
        let found = Alignment::find(&still, &still, 5).unwrap();
        assert_eq!((found.offset, found.rivals.len(), found.is_suspicious()), (0, 10, false));
        // One that repeats itself every four frames.
        let looped: Vec<Small> = (0..40).map(|i| frame(i % 4, 0)).collect();
        let found = Alignment::find(&looped[..36], &looped[1..37], 6).unwrap();
        assert_eq!((found.offset, found.rivals.as_slice(), found.is_suspicious()), (-1, &[-5, 3][..], false));
    }

    #[test]
    fn depths_and_sizes() {
        let eight: Vec<u8> = (0..64 * 36).map(|i| (i % 251) as u8).collect();
        let ten: Vec<u16> = eight.iter().map(|v| u16::from(*v) << 2).collect();
        let a = Small::new((64, 36), 8, |row| &eight[row * 64..(row + 1) * 64]);
        let b = Small::new((64, 36), 10, |row| &ten[row * 64..(row + 1) * 64]);
        assert_eq!(a.error(&b), Some(0.0));
        assert_eq!(a.0[3], 3 << 8);
        let small = Small::new((3, 2), 8, |_| &eight[..3]);
        assert_eq!(small.0.len(), 6);
        assert_eq!((a.error(&small), Alignment::find(std::slice::from_ref(&a), &[small], 3)), (None, None));
        assert_eq!(Alignment::find(&[], &[a], 3), None);
    }
}
