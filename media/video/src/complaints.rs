//! What a decoder complains about while it goes on regardless.
//!
//! Some decoders only log damage (FFV1: a wrong slice checksum, the slice then copied from the last picture):
//! no error code, no flag on the picture. Their log is the one place that tells. Decoding is pinned to one
//! thread, so that whatever this thread's call logs belongs to it.

use ffmpeg::ffi;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// `Some` while a call is listened to; inside it, the first complaint.
    static HEARD: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Runs a call into FFmpeg; gives its result and the first error it logged.
pub(crate) fn listen<T>(call: impl FnOnce() -> T) -> (T, Option<String>) {
    HEARD.set(Some(None));
    let result = call();
    (result, HEARD.take().flatten())
}

/// Sends FFmpeg's messages here and nowhere else: our errors name the file, FFmpeg's do not.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: a function that FFmpeg may call from any thread.
    ONCE.call_once(|| unsafe { set_callback() });
}

#[cfg(target_arch = "x86_64")]
unsafe fn set_callback() {
    // SAFETY: as above.
    unsafe { ffi::av_log_set_callback(Some(hear)) };
}

/// Elsewhere `va_list` has another type; error codes and picture flags remain.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn set_callback() {
    // SAFETY: sets a global integer.
    unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn hear(
    source: *mut libc::c_void,
    level: libc::c_int,
    format: *const libc::c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    if level > ffi::AV_LOG_ERROR {
        return;
    }
    // A thread that is being torn down has nobody listening.
    let _ = HEARD.try_with(|heard| {
        let Ok(mut heard) = heard.try_borrow_mut() else { return };
        let Some(first @ None) = &mut *heard else { return };
        let mut line = [0u8; 256];
        let mut prefix = 0;
        // SAFETY: FFmpeg's own formatter, given what FFmpeg gave us and the size of the line.
        unsafe {
            let to = line.as_mut_ptr().cast();
            ffi::av_log_format_line2(source, level, format, arguments, to, 256, &raw mut prefix);
        }
        let text = line.split(|b| *b == 0).next().unwrap_or_default();
        *first = Some(String::from_utf8_lossy(text).trim().to_owned());
    });
}
