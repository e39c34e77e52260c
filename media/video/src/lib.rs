//! Video files in and out through FFmpeg.
//!
//! ```text
//! any video ──▶ Reader ──▶ Yuv420 at one size and rate ──▶ Writer ──▶ mp4 / mkv
//! gray16 video, folder of PNGs ──▶ DepthReader ──▶ Depth16 ──▶ DepthWriter ──▶ FFV1
//! 8-bit depth view ──▶ DepthSource::View(Reader)
//! the embedded clip ──▶ scene::cached ──▶ three FFV1 files
//! ```
//! Everything streams: memory does not grow with the clip. A damaged file is an error that names the picture,
//! never a silently shorter or concealed clip: these pictures are what a system is judged against.

mod complaints;
mod decode;
mod depth;
mod error;
mod probe;
mod reader;
mod retime;
pub mod scene;
mod shape;
mod writer;
mod y4m_end;

pub use depth::{DepthReader, DepthSource};
pub use error::Error;
pub use probe::{Info, probe};
pub use reader::{Reader, Target};
pub use retime::Retime;
pub use writer::{DepthWriter, Quality, Writer};
