//! Erasure codes: source symbols in, repair symbols out, and back.
//!
//! | file | code |
//! |---|---|
//! | [`zfec`] | the `zfec` package's k-of-n code: ReVo's I-frames |
//! | [`reed_solomon`] | Reed-Solomon over the points 0, 1, 2, ... |
//! | [`streaming`] | Tambur's streaming code, and Reed-Solomon per frame and per block in the same packets |
//! | [`ulpfec`] | exclusive-or over RTP packets in RED (RFC 5109) |
//! | [`flexfec`] | FlexFEC, draft 03 and RFC 8627 |
//! | [`xor`], [`masks`] | what these two share: recovery, and which packets a repair packet covers |
//! | [`protection`], [`rate`] | how much repair, and when a block closes; the least that a loss rate needs |
//! | [`gf256`], [`gf32`] | GF(2^8) and GF(2^32) arithmetic on byte strings |

pub mod flexfec;
pub mod gf256;
pub mod gf32;
pub mod masks;
mod mds;
pub mod protection;
pub mod rate;
pub mod reed_solomon;
pub mod streaming;
pub mod ulpfec;
pub mod xor;
pub mod zfec;

pub use mds::{BlockCode, MAX_N};
pub use reed_solomon::ReedSolomon;
pub use zfec::Zfec;

/// Why a code could not be made, or not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FecError {
    /// There is no such code.
    #[error("no code with k = {k} and n = {n}: needs 1 <= k <= n <= {max_n}")]
    Shape {
        /// Source symbols.
        k: usize,
        /// All symbols.
        n: usize,
        /// Most symbols the code can have.
        max_n: usize,
    },
    /// The caller gave a wrong number of symbols.
    #[error("a ({k}, {n}) code got {source_symbols} source and {repair_symbols} repair symbols")]
    Symbols {
        /// Source symbols of the code.
        k: usize,
        /// All symbols of the code.
        n: usize,
        /// Source symbols given.
        source_symbols: usize,
        /// Repair symbols given.
        repair_symbols: usize,
    },
    /// Symbols of a block differ in length.
    #[error("a symbol has {got} bytes where the block has {expected}")]
    Length {
        /// Bytes of the block's first symbol.
        expected: usize,
        /// Bytes of the one that differs.
        got: usize,
    },
    /// A symbol's number is not in the code.
    #[error("there is no symbol {index} in a block of {n}")]
    Index {
        /// The number.
        index: usize,
        /// All symbols of the code.
        n: usize,
    },
    /// Too few symbols to recover the block; nothing was recovered.
    #[error("failed to recover a block: {have} of {need} symbols")]
    NotEnough {
        /// Different symbols at hand.
        have: usize,
        /// Symbols needed.
        need: usize,
    },
    /// A parameter is out of bounds.
    #[error("{0}")]
    Parameter(String),
    /// There is more to protect than the code can.
    #[error("{bytes} bytes are more than the {most} one frame can have")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// A packet that makes no sense; it was ignored.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
}
