//! Pictures of any format as 8-bit 4:2:0 of another size, through libswscale.

use ff::format::Pixel;
use ff::software::scaling::{Context, Flags};
use ff::{ffi, frame};
use ffmpeg as ff;
use media::Yuv420;
use media::convert::{Colour, Matrix, Range};

/// Bicubic, with the rounding and the C code that give the same bytes on every processor. What has more than 8 bits is scaled in 16
/// and rounded once, so that libswscale does not dither it.
pub(crate) struct Scaler {
    context: Context,
    deep: bool,
}

// SAFETY: a scaler is plain memory of its own that only its owner touches; FFmpeg ties it to no thread.
unsafe impl Send for Scaler {}

impl Scaler {
    /// From pictures like `frame` to `width x height`.
    pub fn new(
        frame: &frame::Video,
        (width, height): (usize, usize),
        colour: Colour,
    ) -> Result<Self, ff::Error> {
        let flags = Flags::BICUBIC
            | Flags::ACCURATE_RND
            | Flags::BITEXACT
            | Flags::FULL_CHR_H_INT
            | Flags::FULL_CHR_H_INP;
        let (format, w, h) = (frame.format(), frame.width(), frame.height());
        // SAFETY: FFmpeg's constant table.
        let (rgb, grey, deep) = unsafe {
            match ffi::av_pix_fmt_desc_get(format.into()).as_ref() {
                Some(d) => {
                    let rgb = d.flags & (ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) as u64 != 0;
                    (rgb, d.nb_components < 3 && !rgb, d.comp[0].depth > 8)
                }
                None => (false, false, false),
            }
        };
        let out = match (grey, deep) {
            (true, true) => Pixel::GRAY16LE,
            (true, false) => Pixel::GRAY8,
            (false, true) => Pixel::YUV420P16LE,
            (false, false) => Pixel::YUV420P,
        };
        let mut context = Context::get(format, w, h, out, width as u32, height as u32, flags)?;
        if !rgb {
            let full = i32::from(colour.range == Range::Full);
            let space = match colour.matrix {
                Matrix::Bt601 => ffi::SWS_CS_ITU601,
                Matrix::Bt709 => ffi::SWS_CS_ITU709,
                Matrix::Bt2020 => ffi::SWS_CS_BT2020,
                Matrix::Smpte240m => ffi::SWS_CS_SMPTE240M,
                Matrix::Fcc => ffi::SWS_CS_FCC,
            };
            // SAFETY: the context is valid; the tables are FFmpeg's own. In and out alike: nothing is recoloured.
            unsafe {
                let (raw, table) = (context.as_mut_ptr(), ffi::sws_getCoefficients(space));
                ffi::sws_setColorspaceDetails(raw, table, full, table, full, 0, 1 << 16, 1 << 16);
            }
        }
        Ok(Self { context, deep })
    }

    pub fn run(&mut self, frame: &frame::Video) -> Result<Yuv420, ff::Error> {
        let mut scaled = frame::Video::empty();
        self.context.run(frame, &mut scaled)?;
        Ok(if self.deep { rounded(&scaled) } else { planes(&scaled) })
    }
}

/// The samples of a 4:2:0 or 8-bit grey frame.
pub(crate) fn planes(frame: &frame::Video) -> Yuv420 {
    let grey = frame.format() == Pixel::GRAY8;
    assembled(frame, grey, |index, w, h| plane(frame, index, w, h))
}

/// The same of 16 bits, rounded to 8.
fn rounded(frame: &frame::Video) -> Yuv420 {
    let grey = frame.format() == Pixel::GRAY16LE;
    assembled(frame, grey, |index, w, h| {
        let bytes = plane(frame, index, 2 * w, h);
        let round = |b: &[u8]| ((u32::from(u16::from_le_bytes([b[0], b[1]])) + 128) >> 8).min(255) as u8;
        bytes.chunks_exact(2).map(round).collect()
    })
}

fn assembled(frame: &frame::Video, grey: bool, plane: impl Fn(usize, usize, usize) -> Vec<u8>) -> Yuv420 {
    let size = (frame.width() as usize, frame.height() as usize);
    Yuv420::from_planes(
        size,
        |index, (w, h)| {
            if grey && index > 0 { vec![128; w * h] } else { plane(index, w, h) }
        },
    )
}

/// One plane without its padding; `width` in bytes. (Cropped frames start midway, so that the last row may
/// be shorter than the stride.)
pub(crate) fn plane(frame: &frame::Video, index: usize, width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(width * height);
    // SAFETY: FFmpeg keeps `height` rows of at least `width` bytes, `linesize` apart (possibly negative).
    unsafe {
        let raw = frame.as_ptr();
        let (start, stride) = ((*raw).data[index], (*raw).linesize[index] as isize);
        for row in 0..height as isize {
            out.extend_from_slice(std::slice::from_raw_parts(start.offset(row * stride), width));
        }
    }
    out
}
