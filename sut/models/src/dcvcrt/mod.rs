//! DCVC-RT, the neural video codec of Jia et al. (CVPR 2025), as published in microsoft/DCVC (`DCVC-family/DCVC-RT`): the same
//! keys, the same arithmetic on a CPU in 32 bits, and so the same bytes.
//!
//! | module | what |
//! |---|---|
//! | [`image`] | the network for key frames |
//! | [`video`] | the network for predicted frames, and what a decoder keeps between them |
//! | [`latents`] | what is quantised and coded; the stream itself is `sut_core::rans` |
//! | [`colour`] | RGB bytes to the networks' pictures and back |
//! | [`lite`] | a small codec of the same kind, whose arithmetic is the same on every machine |
//! | [`checkpoint`] | the official weights, read strictly |
//!
//! A neural stream decodes only where the arithmetic is the same: entropy coding is driven by the networks' outputs, and one
//! value that is rounded the other way turns the rest of a frame into noise.

mod blocks;
pub mod checkpoint;
pub mod colour;
pub mod image;
pub mod latents;
pub mod lite;
pub mod video;

pub use crate::probe;
pub use checkpoint::Place;
pub use image::ImageModel;
pub use latents::{Coding, Latents, Plane};
pub use video::{Reference, VideoModel};
