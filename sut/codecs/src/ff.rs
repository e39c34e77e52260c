//! FFmpeg's process-wide set-up, and pictures in and out of its frames.

use ffmpeg_next as ff;
use media::Yuv420;
use std::sync::Once;

/// Once per process: registers everything, silences FFmpeg's own log (its errors come back as values).
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ff::init().expect("FFmpeg initialises");
        ff::log::set_level(ff::log::Level::Quiet);
        // x265 writes to stderr by itself; its log level is set by its own option.
    });
}

fn copy_plane(from: &[u8], from_stride: usize, to: &mut [u8], to_stride: usize, width: usize, rows: usize) {
    for (src, dst) in from.chunks(from_stride).zip(to.chunks_mut(to_stride)).take(rows) {
        dst[..width].copy_from_slice(&src[..width]);
    }
}

pub(crate) fn fill_frame(picture: &Yuv420, frame: &mut ff::frame::Video) {
    let (w, h) = (picture.width, picture.height);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    for (i, (plane, pw, ph)) in
        [(&picture.y, w, h), (&picture.u, cw, ch), (&picture.v, cw, ch)].into_iter().enumerate()
    {
        let stride = frame.stride(i);
        copy_plane(plane, pw, frame.data_mut(i), stride, pw, ph);
    }
}

/// The picture of a decoded 4:2:0 (or grey) 8-bit frame; `None` for any other format.
pub(crate) fn read_frame(frame: &ff::frame::Video) -> Option<Yuv420> {
    use ff::format::Pixel;
    let (w, h) = (frame.width() as usize, frame.height() as usize);
    let mut picture = Yuv420::filled(w, h, (16, 128, 128));
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    copy_plane(frame.data(0), frame.stride(0), &mut picture.y, w, w, h);
    match frame.format() {
        Pixel::YUV420P | Pixel::YUVJ420P => {
            copy_plane(frame.data(1), frame.stride(1), &mut picture.u, cw, cw, ch);
            copy_plane(frame.data(2), frame.stride(2), &mut picture.v, cw, cw, ch);
        }
        Pixel::GRAY8 => {}
        _ => return None,
    }
    Some(picture)
}
