//! From the size and shape of the file to the wanted ones: crop, scale, turn.

use crate::Info;
use ff::{ffi, frame};
use ffmpeg_next as ff;
use media::Yuv420;

/// Where to cut a decoded picture, and how to turn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub quarter_turns: u8,
}

impl Info {
    /// Size as shown (turned, square samples), made even by cutting an odd last column or row.
    #[must_use]
    pub fn even_display_size(&self) -> (usize, usize) {
        let (n, d) = self.sample_aspect;
        let (wide, high) = if n >= d {
            ((self.width as u64 * u64::from(n) / u64::from(d)) as usize, self.height)
        } else {
            (self.width, (self.height as u64 * u64::from(d) / u64::from(n)) as usize)
        };
        let (wide, high) = (wide & !1, high & !1);
        if self.quarter_turns % 2 == 1 { (high, wide) } else { (wide, high) }
    }
}

impl Shape {
    /// The largest centred rectangle that has the wanted shape when shown, on even offsets so that chroma
    /// stays with its luma.
    pub fn new(info: &Info, wanted: (usize, usize)) -> Self {
        let turned = info.quarter_turns % 2 == 1;
        let (w, h) = if turned { (wanted.1, wanted.0) } else { wanted };
        let (num, den) = info.sample_aspect;
        // columns / rows of the coded picture for that shape: w / h, in samples num / den wide
        let (w, h) = (w as u128 * u128::from(den), h as u128 * u128::from(num));
        let (full_w, full_h) = (info.width as u128, info.height as u128);
        let (cut_w, cut_h) = if full_w * h > full_h * w {
            ((full_h * w + h / 2) / h, full_h)
        } else {
            (full_w, (full_w * h + w / 2) / w)
        };
        // An odd last column or row is dropped by cutting too.
        let fit = |cut: u128, full: usize| -> (usize, usize) {
            let cut = (cut as usize).clamp(1, full);
            let cut = if cut == full && full.is_multiple_of(2) { cut } else { (cut & !1).max(1) };
            (((full - cut) / 2) & !1, cut)
        };
        let (left, width) = fit(cut_w, info.width);
        let (top, height) = fit(cut_h, info.height);
        Self { left, top, width, height, quarter_turns: info.quarter_turns }
    }

    /// Cuts by moving pointers; no sample is copied.
    pub fn crop(&self, frame: &mut frame::Video) -> Result<(), ff::Error> {
        let (w, h) = (frame.width() as usize, frame.height() as usize);
        if (self.left, self.top, self.width, self.height) == (0, 0, w, h) {
            return Ok(());
        }
        // SAFETY: the rectangle lies inside the picture; FFmpeg moves the frame's plane pointers.
        unsafe {
            let raw = frame.as_mut_ptr();
            (*raw).crop_left = self.left;
            (*raw).crop_top = self.top;
            (*raw).crop_right = w - self.left - self.width;
            (*raw).crop_bottom = h - self.top - self.height;
            match ffi::av_frame_apply_cropping(raw, ffi::AV_FRAME_CROP_UNALIGNED as i32) {
                e if e < 0 => Err(ff::Error::from(e)),
                _ => Ok(()),
            }
        }
    }

    /// The steps in words, for the one line.
    pub fn steps(&self, info: &Info, size: (usize, usize)) -> Vec<String> {
        let mut steps = Vec::new();
        if (self.width, self.height) != (info.width, info.height) {
            steps.push(format!("cropped to {}x{}+{}+{}", self.width, self.height, self.left, self.top));
        }
        let coded = if self.quarter_turns % 2 == 1 { (size.1, size.0) } else { size };
        if (self.width, self.height) != coded {
            steps.push(format!("scaled to {}x{}", coded.0, coded.1));
        }
        if self.quarter_turns != 0 {
            steps.push(format!("turned by {} degrees", 90 * u32::from(self.quarter_turns)));
        }
        let untouched = ["yuv420p", "yuvj420p", "gray", "gray16le", "gray16be"];
        if !untouched.contains(&info.pixel_format.as_str()) {
            steps.push("converted to yuv420p".into());
        }
        steps
    }

    pub fn turn(&self, picture: Yuv420) -> Yuv420 {
        if self.quarter_turns == 0 {
            return picture;
        }
        let (w, h) = (picture.width, picture.height);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let y = turn_plane(&picture.y, w, h, self.quarter_turns);
        let u = turn_plane(&picture.u, cw, ch, self.quarter_turns);
        let v = turn_plane(&picture.v, cw, ch, self.quarter_turns);
        let (width, height) = if self.quarter_turns % 2 == 1 { (h, w) } else { (w, h) };
        Yuv420 { width, height, y, u, v }
    }
}

/// A plane turned clockwise.
pub(crate) fn turn_plane<T: Copy>(plane: &[T], w: usize, h: usize, quarter_turns: u8) -> Vec<T> {
    match quarter_turns {
        1 => (0..w).flat_map(|x| (0..h).rev().map(move |y| plane[y * w + x])).collect(),
        2 => plane.iter().rev().copied().collect(),
        3 => (0..w).rev().flat_map(|x| (0..h).map(move |y| plane[y * w + x])).collect(),
        _ => plane.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::convert::Colour;

    fn info(width: usize, height: usize, sample_aspect: (u32, u32), quarter_turns: u8) -> Info {
        Info {
            path: "a.mp4".into(),
            codec: "h264".into(),
            pixel_format: "yuv420p".into(),
            width,
            height,
            sample_aspect,
            quarter_turns,
            fps: (30, 1),
            frames: None,
            colour: Colour::BT601,
        }
    }

    #[test]
    fn the_largest_centred_rectangle() {
        let cut = |info: &Info, size| {
            let s = Shape::new(info, size);
            (s.left, s.top, s.width, s.height)
        };
        assert_eq!(cut(&info(1920, 1080, (1, 1), 0), (512, 512)), (420, 0, 1080, 1080));
        assert_eq!(cut(&info(1080, 1920, (1, 1), 0), (512, 512)), (0, 420, 1080, 1080));
        assert_eq!(cut(&info(512, 512, (1, 1), 0), (512, 512)), (0, 0, 512, 512));
        assert_eq!(cut(&info(640, 480, (1, 1), 0), (320, 240)), (0, 0, 640, 480));
        assert_eq!(cut(&info(641, 481, (1, 1), 0), (640, 480)), (0, 0, 640, 480));
        // PAL 16:9: 720x576 samples of 64:45 show 1024x576
        assert_eq!(cut(&info(720, 576, (64, 45), 0), (1024, 576)), (0, 0, 720, 576));
        assert_eq!(cut(&info(720, 576, (64, 45), 0), (512, 512)), (158, 0, 404, 576));
        assert_eq!(cut(&info(1920, 1080, (1, 1), 1), (1080, 1920)), (0, 0, 1920, 1080));
        assert_eq!(info(720, 576, (64, 45), 0).even_display_size(), (1024, 576));
        assert_eq!(info(1920, 1080, (1, 1), 3).even_display_size(), (1080, 1920));
    }

    #[test]
    fn turns() {
        let plane = [1, 2, 3, 4, 5, 6]; // 3 x 2
        assert_eq!(turn_plane(&plane, 3, 2, 1), [4, 1, 5, 2, 6, 3]);
        assert_eq!(turn_plane(&plane, 3, 2, 2), [6, 5, 4, 3, 2, 1]);
        assert_eq!(turn_plane(&plane, 3, 2, 3), [3, 6, 2, 5, 1, 4]);
    }
}
