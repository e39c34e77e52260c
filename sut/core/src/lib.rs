//! Systems under test as state machines that are told the time; codecs and neural nets are jobs they emit.
//!
//! | room | what |
//! |---|---|
//! | [`endpoint`] | [`Endpoint`], [`Worker`]: the shape of every sender and receiver |
//! | `simulate` | both ends and two links on one virtual clock |
//! | `drive` | one end on the wall clock and a UDP socket |
//! | `wire` | message and packet formats, encode and decode side by side |
//! | `fec` | erasure codes |

pub mod endpoint;
pub use endpoint::{Endpoint, Input, Output, Worker};
