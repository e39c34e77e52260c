//! Video files in and out through FFmpeg.
//!
//! Two rules share the decoder and nothing else:
//!
//! ```text
//! what a camera would have captured:
//!   any video ──▶ Reader ──▶ Yuv420 at one size and rate ──▶ Writer ──▶ mp4 / mkv
//!   depth video, folder of pictures ──▶ DepthReader ──▶ Depth16 ──▶ DepthWriter ──▶ FFV1
//!   8-bit depth view ──▶ DepthSource::View(Reader)
//! what is stored, for comparing:
//!   any video ──▶ SampleReader ──▶ Picture: the samples in their own format, picture by picture
//! the embedded clip ──▶ scene::cached ──▶ three FFV1 files
//! ```
//! Everything streams: memory does not grow with the clip. A damaged file is an error that names the picture,
//! never a silently shorter or concealed clip: these pictures are what a system is judged against.

mod complaints;
mod decode;
mod depth;
mod error;
pub mod images;
mod layout;
mod open;
mod probe;
mod reader;
mod retime;
mod samples;
mod scaler;
pub mod scene;
mod shape;
mod timing;
mod whole;
mod writer;
mod y4m_end;

pub use depth::{DepthReader, DepthSource, DepthUnit, UnknownUnit};
pub use error::Error;
pub use layout::Tags;
pub use probe::{Info, probe};
pub use reader::{Reader, Target};
pub use retime::Retime;
pub use samples::SampleReader;
pub use writer::{DepthWriter, Quality, Writer};
