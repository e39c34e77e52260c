//! Codec work as jobs, the same for every system that codes whole pictures.

use contract::Stream;

/// Encode one stream of a captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeJob {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// A key frame is wanted (an encoder's own GOP may make one besides).
    pub key: bool,
    /// New target bitrate in bits per second, if it changed.
    pub target_bps: Option<u64>,
}

/// An encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeDone {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// True if decoding can start here.
    pub key: bool,
    /// The bitstream.
    pub bytes: Vec<u8>,
}

/// Feed one unit to a stream's decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeJob {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// The bitstream, perhaps with holes.
    pub unit: Vec<u8>,
    /// A whole key frame: decoding starts here, with a decoder that has seen nothing before.
    pub fresh: bool,
}

/// What the decoder made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeDone {
    /// Captured frame.
    pub frame: u32,
    /// Colour or depth.
    pub stream: Stream,
    /// Content hash of the picture that came out, if one did.
    pub picture: Option<u128>,
}

/// A picture's content hash as the record writes it.
#[must_use]
pub fn picture_name(hash: u128) -> String {
    format!("{hash:032x}")
}
