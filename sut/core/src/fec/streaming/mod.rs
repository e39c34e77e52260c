//! Tambur's streaming code (Rudow et al., NSDI 2023) and the two Reed-Solomon codes it is compared with, in the
//! same packets.
//!
//! ```text
//! video frame -> FEC frames (<= 16383 B, 6 B trailer) -> 64 data stripes of 256 B, columns v u v u ...
//!                    frame:      t-3      t-2      t-1       t
//!                    parity of t covers  v u      v        v        v u
//! ```
//! [`Encoder`] turns video frames into packets, [`Decoder`] packets into video frames. [`Scheme`] picks the
//! code, [`Quality`] how much parity it sends; [`quality`] is how the receiver chooses it.
//!
//! Promises, tested in `tests.rs`: a video frame comes back exactly or not at all, and never more than 2 tau FEC
//! frames after it was sent (what is promised comes within tau; what is solved later is delivered, as by the program of the paper).

mod code;
mod decoder;
mod encoder;
pub mod quality;
mod solve;
#[cfg(test)]
mod tests;
mod wire;

pub use code::{MAX_DATA_STRIPES, MAX_PARITY_STRIPES, Scheme};
pub use decoder::{Decoder, Recovered};
pub use encoder::Encoder;
pub use quality::Quality;
pub use wire::{HEADER_BYTES, Header, MAX_FRAME_BYTES, TRAILER_BYTES, Trailer};

use super::FecError;

/// Largest tau: the header has room for the sizes of four frames.
pub const MAX_TAU: u64 = 3;

/// Which code, and its delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who protects whom.
    pub scheme: Scheme,
    /// Frames after which a lost frame must be back, 0 to 3 (3 in Tambur's evaluation; 0 for
    /// [`Scheme::PerFrame`]).
    pub tau: u64,
    /// Most stripes in a packet (5 in Tambur: 1280 bytes).
    pub stripes_per_packet: usize,
}

impl Config {
    /// Tambur's evaluation: the streaming code, tau 3, packets of at most five stripes.
    pub const TAMBUR: Config = Config { scheme: Scheme::Streaming, tau: 3, stripes_per_packet: 5 };

    fn check(self) -> Result<Self, FecError> {
        if self.tau > MAX_TAU || self.stripes_per_packet == 0 {
            return Err(FecError::Parameter(format!(
                "a streaming code needs tau <= {MAX_TAU} and at least one stripe per packet, got {self:?}"
            )));
        }
        if self.scheme == Scheme::PerFrame && self.tau != 0 {
            return Err(FecError::Parameter("a code per frame has tau 0".to_owned()));
        }
        Ok(self)
    }
}
