//! How files are opened: ordinary containers only, nothing beside the file itself, pictures of bounded size.

use crate::Error;
use ff::format::context::{Input, StreamIo};
use ff::{Dictionary, Error as Ffmpeg, ffi, format};
use ffmpeg as ff;
use std::ffi::{CStr, CString};
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

/// Demuxers that open other files or the network, or take a file's name for something else.
const ELSEWHERE: [&str; 13] = [
    "concat",
    "hls",
    "dash",
    "imf",
    "sdp",
    "rtsp",
    "rtp",
    "sap",
    "lavfi",
    "vapoursynth",
    "webm_dash_manifest",
    "alias_pix",
    "brender_pix",
];

/// Names of the demuxers that read the file they are given and nothing else, for FFmpeg's `format_whitelist`.
fn plain_formats() -> &'static str {
    static LIST: OnceLock<String> = OnceLock::new();
    LIST.get_or_init(|| {
        let mut names = Vec::new();
        let mut state = std::ptr::null_mut();
        // SAFETY: FFmpeg's own list; its entries are constant.
        while let Some(demuxer) = unsafe { ffi::av_demuxer_iterate(&raw mut state).as_ref() } {
            // SAFETY: a demuxer's name is a constant string.
            let name = unsafe { CStr::from_ptr(demuxer.name) }.to_string_lossy().into_owned();
            if !name.split(',').any(|n| ELSEWHERE.contains(&n)) {
                names.push(name);
            }
        }
        names.join(",")
    })
}

fn options() -> Dictionary<'static> {
    let mut options = Dictionary::new();
    options.set("format_whitelist", plain_formats());
    options.set("protocol_whitelist", "file");
    // A picture's name is a name, not a pattern for others.
    options.set("pattern_type", "none");
    options
}

/// Opens a file by name and reads what its streams are.
pub(crate) fn file(name: &str) -> Result<Input, Ffmpeg> {
    // `file:` keeps names such as `a:b.mp4` from being taken for protocols.
    let name = CString::new(format!("file:{name}")).map_err(|_| Ffmpeg::InvalidData)?;
    // SAFETY: plain use of FFmpeg's interface; whatever is left of the dictionaries is freed, the context is owned.
    unsafe {
        let mut context = std::ptr::null_mut();
        let mut given = options().disown();
        let opened =
            ffi::avformat_open_input(&raw mut context, name.as_ptr(), std::ptr::null_mut(), &raw mut given);
        drop(Dictionary::own(given));
        if opened < 0 {
            return Err(Ffmpeg::from(opened));
        }
        // The decoders that FFmpeg opens to look into the streams must not trust a header's size either.
        let streams = (*context).nb_streams as usize;
        let mut each: Vec<*mut ffi::AVDictionary> =
            (0..streams).map(|_| decoder_options().disown()).collect();
        let found = ffi::avformat_find_stream_info(context, each.as_mut_ptr());
        each.into_iter().for_each(|d| drop(Dictionary::own(d)));
        if found < 0 {
            ffi::avformat_close_input(&raw mut context);
            return Err(Ffmpeg::from(found));
        }
        Ok(Input::wrap(context))
    }
}

/// Opens what comes out of a pipe.
pub(crate) fn pipe(from: impl Read + Send + 'static) -> Result<Input, Ffmpeg> {
    let input = format::input_from_stream(StreamIo::from_read(from)?, None, Some(options()))?;
    Ok(input)
}

/// Options of every decoder.
pub(crate) fn decoder_options() -> Dictionary<'static> {
    let mut options = Dictionary::new();
    options.set("max_pixels", &media::MAX_PIXELS.to_string());
    options.set("threads", "1");
    options
}

/// The path as FFmpeg takes it, after the checks that give the clearest errors.
pub(crate) fn readable(path: &Path) -> Result<&str, Error> {
    let io = |source| Error::Io { doing: "open", path: path.into(), source };
    let meta = std::fs::metadata(path).map_err(io)?;
    if meta.is_dir() {
        return Err(Error::Folder { path: path.into() });
    }
    if !meta.is_file() {
        return Err(Error::Pipe { path: path.into() });
    }
    if meta.len() == 0 {
        return Err(Error::Empty { path: path.into() });
    }
    std::fs::File::open(path).map_err(io)?;
    let invalid = || io(std::io::Error::new(std::io::ErrorKind::InvalidFilename, "the name is not UTF-8"));
    path.to_str().filter(|name| !name.contains('\0')).ok_or_else(invalid)
}
