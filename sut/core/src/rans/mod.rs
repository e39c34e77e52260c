//! The entropy coder of DCVC-RT: range asymmetric numeral systems (rANS, Duda 2013) over bytes, bit-exact with the
//! original's streams (microsoft/DCVC, `DCVC-family/DCVC-RT`).
//!
//! ```text
//! probabilities ─▶ [cdf] 16-bit tables ─▶ [coder] one stream ─▶ [parts] one or two coders in one buffer ─▶ [container]
//! ```
//! Any bytes decode to symbols: a damaged stream gives wrong symbols, never a panic, and never more work than the number of
//! symbols asked for plus the bytes given.

pub mod cdf;
pub mod coder;
pub mod container;
pub mod parts;

pub use cdf::{Row, Tables};
pub use parts::{FrameDecoder, FrameEncoder};
