//! What goes wrong with video files; every message names the file and says what to do.

use std::path::PathBuf;

/// An error of reading or writing a video file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or not readable.
    #[error("failed to {doing} {}: {source}", path.display())]
    Io {
        /// `open`, `create`, `rename`, ...
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("{} is empty (0 bytes); give a video file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// FFmpeg cannot make sense of the file.
    #[error("{} is not a video that FFmpeg reads ({source}); a file cut short while it was written reads like this too: check it with `ffprobe {}`", path.display(), path.display())]
    NotVideo {
        /// The file.
        path: PathBuf,
        /// FFmpeg's word.
        source: ffmpeg_next::Error,
    },
    /// There are only sound, subtitles or attachments in it.
    #[error("{} has no video stream", path.display())]
    NoVideoStream {
        /// The file.
        path: PathBuf,
    },
    /// The stream has no picture, or the directory no file.
    #[error("{} has no pictures (zero length)", path.display())]
    NoPictures {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before the pictures it announces.
    #[error("{} is truncated: it ends at picture {frame}{}; copy it again, or cut it cleanly with `ffmpeg -i {} -c:v libx264 -qp 0 whole.mp4`", path.display(), announced.map(|n| format!(" of {n}")).unwrap_or_default(), path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Pictures that are whole.
        frame: u64,
        /// Pictures that the file announces.
        announced: Option<u64>,
    },
    /// The file ends inside its last picture.
    #[error("{} is truncated: picture {frame} is cut off ({got} of {want} bytes); copy it again, or cut it cleanly with `ffmpeg -i {} whole.y4m`", path.display(), path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Number of the picture, from 0.
        frame: u64,
        /// Bytes of it that are there.
        got: u64,
        /// Bytes of a whole one.
        want: u64,
    },
    /// A picture cannot be decoded without guessing.
    #[error("{} is damaged at picture {frame} ({what}); copy it again, or accept FFmpeg's concealment with `ffmpeg -i {} -c:v libx264 -qp 0 repaired.mp4`", path.display(), path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Number of the picture, from 0.
        frame: u64,
        /// FFmpeg's word.
        what: String,
    },
    /// The pictures change their size or format midway.
    #[error("{} changes from {from} to {to} at picture {frame}; split it or scale it to one size", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Number of the picture, from 0.
        frame: u64,
        /// Size and format before.
        from: String,
        /// Size and format now.
        to: String,
    },
    /// A size that 4:2:0 codecs do not take, or none at all.
    #[error("size {width}x{height}: both sides must be even and between 16 and 16384")]
    Size {
        /// Columns asked for.
        width: usize,
        /// Rows asked for.
        height: usize,
    },
    /// A frame rate of zero.
    #[error("frame rate {}/{}: must be above zero", fps.0, fps.1)]
    Rate {
        /// Numerator and denominator.
        fps: (u32, u32),
    },
    /// A picture given to a writer is not of its size.
    #[error("{}: picture {frame} is {got}, the file is {want}", path.display())]
    WrongPicture {
        /// The file.
        path: PathBuf,
        /// Number of the picture, from 0.
        frame: u64,
        /// Size of the picture.
        got: String,
        /// Size of the file.
        want: String,
    },
    /// A writer does not know the file name's ending.
    #[error("{}: the name must end in .mp4 or .mkv", path.display())]
    Container {
        /// The file.
        path: PathBuf,
    },
    /// The file holds 8-bit or colour pictures where metric depth is needed, or the reverse.
    #[error("{} holds {found}; {want}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// What is needed.
        want: &'static str,
    },
    /// A PNG of a depth sequence is bad.
    #[error(transparent)]
    Still(#[from] media::still::Error),
    /// FFmpeg refused something else.
    #[error("failed to {doing} {}: {source}", path.display())]
    Ffmpeg {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// FFmpeg's word.
        source: ffmpeg_next::Error,
    },
}
