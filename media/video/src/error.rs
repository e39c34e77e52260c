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
        source: ffmpeg::Error,
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
    /// A folder without a picture file.
    #[error("{} is a folder with no picture in it; pictures are files that end in .png, .tiff, .exr, .pgm, ...", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A folder with picture files of two kinds.
    #[error("{} holds pictures of several kinds, for instance {one} and {other}; keep one kind per folder", path.display())]
    SeveralKinds {
        /// The folder.
        path: PathBuf,
        /// A file of one kind.
        one: String,
        /// A file of another.
        other: String,
    },
    /// Depth beyond what is stored.
    #[error("{}: no depth in picture {frame} is within 65.535 m, the farthest that is stored; is the unit right? --depth-unit says how many codes make a metre (now {per_metre})", path.display())]
    Far {
        /// The file.
        path: PathBuf,
        /// Number of the picture, from 0.
        frame: u64,
        /// Codes per metre that were assumed.
        per_metre: f64,
    },
    /// A pipe or a device where a file is needed.
    #[error("{} is a pipe: a clip is read more than once; write it to a file first", path.display())]
    Pipe {
        /// The path.
        path: PathBuf,
    },
    /// A folder where a video file is needed.
    #[error("{} is a folder; make a video of its pictures with `ffmpeg -framerate 30 -pattern_type glob -i '{}/*.png' -c:v ffv1 clip.mkv`", path.display(), path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The container's reader found an end inside an element.
    #[error("{} is truncated: it ends within picture {frame} ({what}); copy it again, or cut it cleanly with `ffmpeg -i {} -c:v libx264 -qp 0 whole.mp4`", path.display(), path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Pictures that are whole.
        frame: u64,
        /// FFmpeg's word.
        what: String,
    },
    /// An element of the container ends after the file does.
    #[error("{} is truncated: {bytes} bytes of its {of} are missing; copy it again, or cut it cleanly with `ffmpeg -i {} -c:v libx264 -qp 0 whole.mp4`", path.display(), path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Bytes that are not there.
        bytes: u64,
        /// What they are part of.
        of: String,
    },
    /// A picture that stays on the screen for hours: a broken time stamp.
    #[error("{}: by its time stamps picture {frame} stays for {seconds} seconds; if they are broken, give it even ones with `ffmpeg -i {} -vf setpts=N/30/TB -r 30 even.mkv`", path.display(), path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// Number of the picture, from 0.
        frame: u64,
        /// How long it stays.
        seconds: i64,
    },
    /// A display matrix that turns by other than quarter turns.
    #[error("{} is shown turned by {degrees} degrees; turn it with `ffmpeg -i {} -c:v libx264 -qp 0 turned.mp4` first", path.display(), path.display())]
    Turned {
        /// The file.
        path: PathBuf,
        /// The angle, clockwise.
        degrees: i32,
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
    /// The file holds pictures of another kind than is needed: colour for depth, or the reverse.
    #[error("{} holds {found}; {want}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// What is needed.
        want: String,
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
        source: ffmpeg::Error,
    },
}
