//! Video codecs behind two traits and one registry; H.264, H.265, VP8, VP9.
//!
//! Everything that could make two machines differ is pinned: one thread, one slice, fixed speed, no
//! look-ahead, no frame reordering. One picture in gives one encoded frame out, at once; libvpx may be allowed to drop it.
//!
//! | module | what |
//! |---|---|
//! | [`mod@unit`] | what every codec offers: [`VideoEncoder`], [`VideoDecoder`], [`Unit`] |
//! | [`registry`] | codecs and restorers by name |
//! | [`restore`] | what a receiver makes of lost and damaged pictures: [`Restorer`] |
//! | [`stage`] | a decoder and the restorer behind it, for receivers, scoring and player alike |
//! | [`encoder`] | [`Encoder`]: x264 and x265 through FFmpeg, with settings, rate control, forced key frames |
//! | [`vpx`] | [`VpxEncoder`]: VP8 and VP9 by libvpx's own interface |
//! | [`decoder`] | [`Decoder`]: FFmpeg's; survives damaged input, gives at most one picture per unit |
//! | [`networks`] | decoders, restorers and LPIPS nets of another process, which has libtorch |
//! | [`identity`] | which encoder and which FFmpeg are loaded |
//!
//! docs/ADDING.md says how a new codec or restorer comes in.

pub mod decoder;
pub mod encoder;
mod ff;
mod hevc;
pub mod identity;
mod loaded;
pub mod networks;
pub mod registry;
pub mod restore;
pub mod stage;
pub mod unit;
pub mod vpx;

pub use decoder::Decoder;
pub use encoder::{Encoder, EncoderConfig, Quantisers, RateControl};
pub use restore::{Arrival, Restorer, RestorerConfig, RestorerEntry, Slot};
pub use stage::{Outcome, Stage};
pub use unit::{DecoderConfig, Setting, Settings, Unit, VideoDecoder, VideoEncoder};
pub use vpx::{VpxEncoder, VpxSettings};

use serde::{Deserialize, Serialize};
use std::fmt;

/// A video coding standard, with the one encoder used for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264 / AVC by libx264.
    H264,
    /// H.265 / HEVC by libx265.
    H265,
    /// VP8 by libvpx.
    Vp8,
    /// VP9 by libvpx.
    Vp9,
}

/// Loads FFmpeg's libraries now, which otherwise the first call into one of them does.
pub fn load() {
    ff::init();
}

impl Codec {
    /// FFmpeg's name of the encoder.
    #[must_use]
    pub fn encoder_name(self) -> &'static str {
        match self {
            Codec::H264 => "libx264",
            Codec::H265 => "libx265",
            Codec::Vp8 => "libvpx",
            Codec::Vp9 => "libvpx-vp9",
        }
    }

    /// FFmpeg's name of the (native) decoder.
    #[must_use]
    pub fn decoder_name(self) -> &'static str {
        match self {
            Codec::H264 => "h264",
            Codec::H265 => "hevc",
            Codec::Vp8 => "vp8",
            Codec::Vp9 => "vp9",
        }
    }

    /// Its name in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Codec::H264 => "h264",
            Codec::H265 => "h265",
            Codec::Vp8 => "vp8",
            Codec::Vp9 => "vp9",
        }
    }

    /// True if this FFmpeg has both the encoder and the decoder.
    #[must_use]
    pub fn is_available(self) -> bool {
        ff::init();
        ffmpeg::encoder::find_by_name(self.encoder_name()).is_some()
            && ffmpeg::decoder::find_by_name(self.decoder_name()).is_some()
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Codec {
    type Err = CodecError;

    fn from_str(name: &str) -> Result<Self, CodecError> {
        let all = [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9];
        let found = all.into_iter().find(|codec| codec.name() == name);
        found.ok_or_else(|| CodecError::Unknown { what: "codec of FFmpeg", name: name.to_owned() })
    }
}

/// What can go wrong when a codec is set up or fed.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// This FFmpeg was built without the codec.
    #[error("FFmpeg has no {name} (for {codec}); install Debian's ffmpeg packages (`./setup`)")]
    Missing {
        /// Which standard.
        codec: Codec,
        /// FFmpeg's name for it.
        name: &'static str,
    },
    /// FFmpeg refused.
    #[error("failed to {doing} with {codec}: {source}")]
    Ffmpeg {
        /// Which standard.
        codec: Codec,
        /// What was being done.
        doing: &'static str,
        /// FFmpeg's own words.
        source: ffmpeg::Error,
    },
    /// An option that the encoder did not take.
    #[error("the {codec} encoder does not take its options: {said}")]
    Options {
        /// Which standard.
        codec: Codec,
        /// Which option, or FFmpeg's own words.
        said: String,
    },
    /// libvpx refused.
    #[error("failed to {doing} libvpx ({codec}): {said}")]
    Vpx {
        /// Which standard.
        codec: Codec,
        /// What was being done.
        doing: &'static str,
        /// libvpx's own words.
        said: String,
    },
    /// The encoder's rate was to change while it encodes.
    #[error("this encoder keeps the rate that it was opened with")]
    FixedRate,
    /// The picture does not have the size that the encoder was opened with.
    #[error("picture is {got:?}, the {codec} encoder was opened for {want:?}")]
    Size {
        /// Which standard.
        codec: Codec,
        /// Size of the picture.
        got: (usize, usize),
        /// Size of the encoder.
        want: (usize, usize),
    },
    /// The encoder kept the picture instead of giving one encoded frame at once.
    #[error(
        "the {codec} encoder gave {units} units for one picture; it must give exactly one (look-ahead or B-frames on?)"
    )]
    Latency {
        /// Which standard.
        codec: Codec,
        /// How many units came.
        units: usize,
    },
    /// No such thing in the registry.
    #[error("no {what} is called `{name}` here")]
    Unknown {
        /// Codec or recovery.
        what: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// A network, or the process that runs it, failed.
    #[error("{0}")]
    Network(String),
}
