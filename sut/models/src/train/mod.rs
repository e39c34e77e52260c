//! What the training binaries share.

mod adamw;
mod clips;
mod log;
mod random;
mod schedule;
mod vq;

pub use adamw::AdamW;
pub use clips::{Clip, load_images, load_videos};
pub use log::Log;
pub use random::Random;
pub use schedule::Schedule;
pub use vq::Codebook;
