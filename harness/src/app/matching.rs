//! The cross-check of the marker: of which frame a picture's content reminds most, whatever its strip says.
//!
//! Content alone cannot identify (neighbouring frames of a still scene are alike), but it can contradict: a picture whose marker says 100
//! and that looks like frame 40 was put together by somebody.

use super::marker::CameraPicture;
use super::screen::{Recorder, Recording};
use crate::record::Finding;
use crate::score::pictures::Captured;
use anyhow::Result;
use contract::{RunSpec, Stream};
use media::Yuv420;
use media::convert::{Range, change_range};

/// Columns and rows of the small pictures that are compared.
const SMALL: usize = 32;
/// Frames before and after the marker's that a picture is compared with.
const AROUND: u32 = 60;
/// The marker's frame must be so many times farther than the nearest, and by so much (codes, squared), to be contradicted: what loss
/// and strong compression do to a picture is less.
const FARTHER: f64 = 4.0;
const AT_LEAST: f64 = 4.0;
/// A picture without a marker looks like the clip if it is this near to one of its frames: 36 dB on the small picture.
const ALIKE: f64 = 16.0;

/// What the comparison gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Pictures with a marker that were compared.
    pub compared: u64,
    /// Of these, nearest to the marker's frame or as near as to any other.
    pub nearest: u64,
    /// Of these, clearly another frame's.
    pub contradicted: u64,
    /// The first of them.
    pub first: u32,
    /// Pictures without a marker that look like the clip, of those that stood on the screen.
    pub unmarked_alike: u64,
}

impl Matched {
    /// What makes the run invalid: pictures that are not what their markers say, or that came from elsewhere.
    #[must_use]
    pub fn findings(&self, frames: u32, unmarked: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        // Damaged pictures of old content under a new strip occur in an honest call that loses packets.
        if self.contradicted * 10 > self.compared.max(20) {
            let (count, of, first) = (self.contradicted, self.compared, self.first);
            findings.push(Finding::MarkerContradicted { count, of, first });
        }
        if unmarked * 4 > u64::from(frames) {
            findings.push(Finding::UnmarkedPictures { count: unmarked, alike: self.unmarked_alike });
        }
        findings
    }
}

type Small = Vec<f32>;

/// Compares every kept picture with the clip.
///
/// # Errors
/// When the clip or the store cannot be read.
pub fn check(spec: &RunSpec, recorder: &Recorder, recording: &Recording) -> Result<Matched> {
    let mut captured = Captured::open(&spec.clip, Stream::Rgb)?;
    let range = captured.meaning().colour.range;
    let mut clip: Vec<Small> = Vec::with_capacity(spec.clip.frames as usize);
    for frame in 0..spec.clip.frames {
        let mut picture = captured.frame(frame)?.picture;
        change_range(&mut picture, range, Range::Limited);
        clip.push(small(&picture));
    }
    let mut matched = Matched::default();
    for seen in &recording.seen {
        let Some(place) = seen.place else { continue };
        let picture = small(&recorder.picture(place)?);
        match seen.pictured {
            Some(CameraPicture::Frame(frame)) => matched.add(&clip, frame, &picture),
            Some(CameraPicture::Filler(_)) => {}
            None => matched.unmarked_alike += u64::from(clip.iter().any(|c| distance(c, &picture) < ALIKE)),
        }
    }
    Ok(matched)
}

impl Matched {
    fn add(&mut self, clip: &[Small], frame: u32, picture: &Small) {
        let Some(own) = clip.get(frame as usize).map(|c| distance(c, picture)) else { return };
        let around = frame.saturating_sub(AROUND) as usize..clip.len().min((frame + AROUND) as usize + 1);
        let nearest = clip[around].iter().map(|c| distance(c, picture)).fold(f64::MAX, f64::min);
        self.compared += 1;
        self.nearest += u64::from(own <= nearest);
        if own > FARTHER * nearest && own > nearest + AT_LEAST {
            if self.contradicted == 0 {
                self.first = frame;
            }
            self.contradicted += 1;
        }
    }
}

/// Mean squared difference.
fn distance(a: &Small, b: &Small) -> f64 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    f64::from(sum) / (a.len().max(1) as f64)
}

/// Luma means of a grid.
fn small(picture: &Yuv420) -> Small {
    let (width, height) = (picture.width, picture.height);
    let (columns, rows) = (SMALL.min(width), SMALL.min(height));
    let mut sums = vec![(0u32, 0u32); columns * rows];
    for y in 0..height {
        let row = &picture.y[y * width..(y + 1) * width];
        for (x, luma) in row.iter().enumerate() {
            let (sum, n) = &mut sums[y * rows / height * columns + x * columns / width];
            *sum += u32::from(*luma);
            *n += 1;
        }
    }
    #[allow(clippy::cast_precision_loss)] // sums of 8-bit samples of a small part
    sums.iter().map(|(sum, n)| *sum as f32 / (*n).max(1) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(at: usize) -> Yuv420 {
        let mut picture = Yuv420::filled(64, 64, (60, 128, 128));
        for row in picture.y.chunks_mut(64) {
            row[at % 64..(at % 64 + 8).min(64)].fill(200);
        }
        picture
    }

    #[test]
    fn the_right_frame_agrees_another_contradicts_and_a_still_scene_says_nothing() {
        let clip: Vec<Small> = (0..32).map(|i| small(&bar(2 * i))).collect();
        let mut matched = Matched::default();
        (0..32).for_each(|i| matched.add(&clip, i, &small(&bar(2 * i as usize))));
        assert_eq!((matched.compared, matched.nearest, matched.contradicted), (32, 32, 0));
        (0..32).for_each(|i| matched.add(&clip, i, &small(&bar(2 * (i as usize + 9) % 64))));
        assert_eq!((matched.compared, matched.nearest, matched.contradicted), (64, 32, 32));
        assert!(matches!(
            matched.findings(64, 0)[..],
            [Finding::MarkerContradicted { count: 32, of: 64, first: 0 }]
        ));
        let still = vec![small(&bar(3)); 32];
        let mut matched = Matched::default();
        (0..32).for_each(|i| matched.add(&still, i, &small(&bar(3))));
        assert_eq!((matched.nearest, matched.contradicted), (32, 0));
    }

    #[test]
    fn pictures_without_a_marker_are_a_finding_when_there_are_many() {
        assert_eq!(Matched::default().findings(100, 25), []);
        let alike = Matched { unmarked_alike: 3, ..Matched::default() };
        assert_eq!(alike.findings(100, 26), [Finding::UnmarkedPictures { count: 26, alike: 3 }]);
    }
}
