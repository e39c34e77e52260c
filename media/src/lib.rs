//! Frames, raw readers and writers, and the synthetic RGB-D talking-head scene.
//!
//! Start at [`Yuv420`] and [`Rgb`]; colour conversion between them is in [`convert`].

mod frame;
pub use frame::{Depth16, Rgb, Yuv420};
