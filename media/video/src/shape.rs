//! From the size and shape of the file to the wanted ones: crop, scale, turn.

use crate::Info;
use ff::{ffi, frame};
use ffmpeg as ff;
use media::Yuv420;
use media::picture::Orientation;

/// Widths of a sample between these are square: what `scale=426:240` leaves (640:639) is rounding, not a shape.
const SQUARE: std::ops::RangeInclusive<u64> = 990..=1010;
/// Widths of a sample outside these are a broken header.
const BELIEVED: std::ops::RangeInclusive<u64> = 200..=5000;

/// Where to cut a decoded picture, and how to turn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub orientation: Orientation,
}

impl Info {
    /// Width to height of one sample as a camera's picture takes it: within 1 % of square is square, and so is what nobody films.
    #[must_use]
    pub fn shown_aspect(&self) -> (u32, u32) {
        let (n, d) = self.sample_aspect;
        let thousandths = 1000 * u64::from(n) / u64::from(d).max(1);
        if SQUARE.contains(&thousandths) || !BELIEVED.contains(&thousandths) { (1, 1) } else { (n, d) }
    }

    /// Size as shown (turned, square samples), made even by cutting an odd last column or row.
    #[must_use]
    pub fn even_display_size(&self) -> (usize, usize) {
        let (n, d) = self.shown_aspect();
        let (wide, high) = if n >= d {
            ((self.width as u64 * u64::from(n) / u64::from(d)) as usize, self.height)
        } else {
            (self.width, (self.height as u64 * u64::from(d) / u64::from(n)) as usize)
        };
        let (wide, high) = (wide & !1, high & !1);
        if self.orientation.transpose { (high, wide) } else { (wide, high) }
    }
}

impl Shape {
    /// The largest centred rectangle that has the wanted shape when shown, on even offsets so that chroma
    /// stays with its luma.
    pub fn new(info: &Info, wanted: (usize, usize)) -> Self {
        let (w, h) = if info.orientation.transpose { (wanted.1, wanted.0) } else { wanted };
        let (num, den) = info.shown_aspect();
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
        Self { left, top, width, height, orientation: info.orientation }
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

    /// Columns and rows of a picture of `size` before it is turned.
    pub fn unturned(&self, size: (usize, usize)) -> (usize, usize) {
        if self.orientation.transpose { (size.1, size.0) } else { size }
    }

    /// The steps in words, for the one line.
    pub fn steps(&self, info: &Info, size: (usize, usize)) -> Vec<String> {
        let mut steps = Vec::new();
        let (n, d) = info.sample_aspect;
        if info.shown_aspect() != (1, 1) {
            steps.push(format!("samples of {n}:{d} counted in"));
        } else if !BELIEVED.contains(&(1000 * u64::from(n) / u64::from(d).max(1))) {
            steps.push(format!("samples of {n}:{d} taken as square"));
        }
        if (self.width, self.height) != (info.width, info.height) {
            steps.push(format!("cropped to {}x{}+{}+{}", self.width, self.height, self.left, self.top));
        }
        let coded = self.unturned(size);
        if (self.width, self.height) != coded {
            steps.push(format!("scaled to {}x{}", coded.0, coded.1));
        }
        if self.orientation != Orientation::default() {
            steps.push(self.orientation.to_string());
        }
        if !matches!(info.pixel_format.as_str(), "yuv420p" | "yuvj420p" | "gray") && !info.is_metric_depth() {
            steps.push("converted to yuv420p".into());
        }
        steps
    }

    pub fn turn(&self, picture: Yuv420) -> Yuv420 {
        if self.orientation == Orientation::default() {
            return picture;
        }
        Yuv420::from_planes(self.unturned((picture.width, picture.height)), |index, _| {
            let (plane, (w, h)) = picture.plane(index);
            self.orientation.plane(plane, w, h)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::convert::Colour;

    fn info(width: usize, height: usize, sample_aspect: (u32, u32), quarter_turns: u8) -> Info {
        let clockwise = [[1, 0, 0, 1], [0, 1, -1, 0], [-1, 0, 0, -1], [0, -1, 1, 0]];
        Info {
            path: "a.mp4".into(),
            codec: "h264".into(),
            pixel_format: "yuv420p".into(),
            width,
            height,
            sample_aspect,
            orientation: Orientation::of_matrix(clockwise[usize::from(quarter_turns)]).unwrap(),
            angle: None,
            fps: (30, 1),
            frames: None,
            colour: Colour::BT601,
            is_rgb: false,
            tags: crate::Tags::default(),
            stream: 0,
            streams: 1,
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
        // What scale=426:240 leaves of 720p, and a broken header.
        assert_eq!(cut(&info(426, 240, (640, 639), 0), (426, 240)), (0, 0, 426, 240));
        assert_eq!(info(176, 144, (100, 1), 0).even_display_size(), (176, 144));
    }
}
