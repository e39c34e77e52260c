//! Frames, raw readers and writers, and the synthetic RGB-D talking-head scene.
//!
//! Start at [`Yuv420`], [`Rgb`] and [`Depth16`].
//!
//! | module | for |
//! |---|---|
//! | [`convert`] | 4:2:0 <-> RGB |
//! | [`depth`] | metric depth <-> its 8-bit view |
//! | [`scene`] | the embedded clip: a synthetic person, RGB and exact depth |
//! | [`picture`], [`wide`] | pictures in their own format, any depth and subsampling; their RGB |
//! | [`scale`] | pictures of another size |
//! | [`memory`] | what a process that sees many pictures asks of its allocator |
//! | [`y4m`], [`still`] | uncompressed video, PNG |
//!
//! Compressed video is the business of the crate `video`.

pub mod convert;
pub mod depth;
mod frame;
pub mod memory;
pub mod picture;
pub mod scale;
pub mod scene;
pub mod still;
pub mod wide;
pub mod y4m;

pub use frame::{Depth16, Rgb, Yuv420};
pub use picture::{Format, Picture};
pub use wide::Rgb16;

/// Samples of a plane beyond which a picture is refused, so that a damaged header cannot ask for all memory: twice 8K.
pub const MAX_PIXELS: usize = 1 << 26;
