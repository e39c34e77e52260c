//! Encoded frames to packets and back, one file per system.

pub mod revo;
pub mod rtp;
