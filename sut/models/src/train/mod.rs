//! What the training binaries share.

mod adamw;
pub mod augment;
mod clips;
mod data;
mod discriminator;
mod log;
mod losses;
mod options;
mod random;
mod replicas;
mod schedule;
mod synthetic;
mod vq;

pub use adamw::AdamW;
pub use clips::{Clip, HELD_OUT, decode, kept, list, load_images, load_videos};
pub use data::{Data, Shape};
pub use discriminator::Discriminator;
pub use log::Log;
pub use losses::{Losses, packet_of};
pub use options::Options;
pub use random::Random;
pub use replicas::{add_gradients, checkpoint, place_of};
pub use schedule::Schedule;
pub use synthetic::synthetic_people;
pub use vq::Codebook;
