//! FFmpeg's process-wide set-up, and pictures in and out of its frames.

use ffmpeg as ff;
use media::Yuv420;
use std::cell::RefCell;
use std::sync::Once;

/// Once per process: registers everything, silences FFmpeg's own log (its errors come back as values).
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ff::init().expect("FFmpeg initialises");
        ff::log::set_level(ff::log::Level::Quiet);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the function stays for the life of the process.
        unsafe {
            ff::ffi::av_log_set_callback(Some(listen));
        }
        // x265 writes to stderr by itself; its log level is set by its own option.
    });
}

thread_local! {
    /// What FFmpeg warned of on this thread, while somebody listens.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What `work` gives, and every line of FFmpeg's log at the level of a warning or above that it wrote on this thread. Always none where
/// C's variable arguments cannot be handed on (other processors than x86-64).
pub(crate) fn warnings<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    SAID.with(|said| said.replace(Some(Vec::new())));
    let done = work();
    (done, SAID.with(RefCell::take).unwrap_or_default())
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn listen(
    of: *mut std::ffi::c_void,
    level: std::ffi::c_int,
    format: *const std::ffi::c_char,
    arguments: *mut ff::ffi::__va_list_tag,
) {
    if level > ff::ffi::AV_LOG_WARNING as std::ffi::c_int {
        return;
    }
    SAID.with(|said| {
        let Ok(mut said) = said.try_borrow_mut() else { return };
        let Some(said) = said.as_mut() else { return };
        let (mut line, mut prefix) = ([0 as std::ffi::c_char; 512], 1);
        // SAFETY: FFmpeg's own arguments, handed on; the line is cut at its length and ends with a zero.
        let text = unsafe {
            let length = line.len() as std::ffi::c_int;
            ff::ffi::av_log_format_line2(
                of,
                level,
                format,
                arguments,
                line.as_mut_ptr(),
                length,
                &mut prefix,
            );
            std::ffi::CStr::from_ptr(line.as_ptr())
        };
        said.push(text.to_string_lossy().trim().to_owned());
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
