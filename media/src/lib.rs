//! Frames, raw readers and writers, and the synthetic RGB-D talking-head scene.
//!
//! Start at [`Yuv420`], [`Rgb`] and [`Depth16`].
//!
//! | module | for |
//! |---|---|
//! | [`convert`] | 4:2:0 <-> RGB |
//! | [`depth`] | metric depth <-> its 8-bit view |
//! | [`scene`] | the embedded clip: a synthetic person, RGB and exact depth |
//! | [`y4m`], [`still`] | uncompressed video, PNG |
//!
//! Compressed video is the business of the crate `video`.

pub mod convert;
pub mod depth;
mod frame;
pub mod scene;
pub mod still;
pub mod y4m;

pub use frame::{Depth16, Rgb, Yuv420};
