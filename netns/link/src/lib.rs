//! One direction of an emulated network path: pure, seeded, told the time.
//!
//! ```text
//!  enqueue ─▶ loss ─▶ bottleneck (FIFO at a rate) ─▶ propagation delay (+ jitter) ─▶ deliver
//! ```
#![allow(missing_docs)] // until the API below is final

mod time;
pub use time::{Bitrate, Timestamp};
