//! Codec work as jobs, the same for every system that codes whole pictures.

use codecs::Unit;
use contract::units::Entry;
use contract::{EventKind, Status, Stream};
use sut_core::screen::Shown;

/// Encode one stream of a captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeJob {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// A key frame is wanted (an encoder's own GOP may make one besides).
    pub key: bool,
    /// Bits per second to aim at from this frame on; absent: as before.
    pub target_bps: Option<u64>,
}

/// An encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeDone {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// The bitstream; without bytes if rate control dropped the frame.
    pub unit: Unit,
}

/// Decode and restore the next frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeJob {
    /// Colour or depth.
    pub stream: Stream,
    /// What arrived of the frame; exactly this is stored.
    pub entry: Entry,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeDone {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// The decoder gave a picture.
    pub decoded: bool,
    /// Content hash of the picture that may be shown, if there is one.
    pub picture: Option<u128>,
}

/// A picture's content hash as the record writes it.
#[must_use]
pub fn picture_name(hash: u128) -> String {
    format!("{hash:032x}")
}

/// A slot that came, as the record has it.
#[must_use]
pub fn slot(frame: u32, stream: Stream, (status, shown): (Status, Option<Shown>)) -> EventKind {
    let picture = shown.map(|(_, hash)| picture_name(hash));
    EventKind::Slot { frame, stream, status, shown: shown.map(|(frame, _)| frame), picture }
}
