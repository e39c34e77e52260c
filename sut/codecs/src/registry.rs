//! Codecs and restorers by name: the one place where senders, receivers, scoring and player get theirs.
//!
//! The built-in ones need no networks. A program that links networks adds its own with [`extend`] as it starts; one that does not
//! says with [`fall_back`] who works for it.

use crate::restore::{
    CONTINUE, HOLD, LATEST, MISSING_REFERENCE, NONE, Restorer, RestorerConfig, RestorerEntry,
};
use crate::unit::Setting;
use crate::{Codec, CodecError, Decoder, DecoderConfig, Encoder, EncoderConfig, Quantisers, RateControl};
use crate::{Settings, VideoDecoder, VideoEncoder, VpxEncoder};
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A codec.
pub struct CodecEntry {
    /// Name in systems, events and units files.
    pub name: &'static str,
    /// The largest quantiser that it has; the smallest is 0.
    pub most_qp: u8,
    /// Quantisers that a system uses unless told otherwise.
    pub default_qp: Quantisers,
    /// Options that it adds to a system's.
    pub settings: &'static [Setting],
    /// Opens an encoder.
    pub encoder: OpenEncoder,
    /// Whether its encoder begins anew at key frames, and how. Only of encoders that keep the rate that they were opened with.
    pub anew: fn(&EncoderConfig) -> Option<Anew>,
    /// Opens a decoder.
    pub decoder: fn(&DecoderConfig) -> Result<Box<dyn VideoDecoder>, CodecError>,
    /// Libraries that its bytes depend on besides FFmpeg's, as [`crate::identity::library`] finds them.
    pub libraries: &'static [&'static str],
    /// Files that bytes and pictures depend on: weights.
    pub files: fn(&Settings) -> Result<Vec<PathBuf>, CodecError>,
    /// Hash of the sources that decide its bytes, where they are not this crate's.
    pub sources: &'static str,
}

/// What an encoder's frames from a key frame on depend on, besides pictures and requests since: on nothing before but what is told here, and
/// on whether the key frame is the stream's first.
#[derive(Clone, Copy, Debug)]
pub struct Anew {
    /// Of the number of key frames before: its remainder by this.
    pub keys: u32,
    /// Of the number of pictures before a frame: a mark in the frame.
    pub mark: fn(u32) -> u8,
    /// After so many pictures the marks are the same again.
    pub pictures: u32,
}

/// x264 with constant quantisers. `idr_pic_id` alternates between 0 and 1 (H.264, 7.4.3). The last byte of a slice in CABAC has bits to
/// spare, into the last of which x264 writes one of these, by the picture's number (`x264_cabac_encode_flush`).
const X264: Anew =
    Anew { keys: 2, mark: |picture| (0x35a4_e4f5_u32 >> (picture % 32) & 1) as u8, pictures: 32 };

impl fmt::Debug for CodecEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodecEntry").field(&self.name).finish()
    }
}

impl fmt::Debug for RestorerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RestorerEntry").field(&self.name).finish()
    }
}

/// Opens an encoder.
pub type OpenEncoder = fn(&EncoderConfig) -> Result<Box<dyn VideoEncoder>, CodecError>;

const fn of_ffmpeg(
    name: &'static str,
    most_qp: u8,
    libraries: &'static [&'static str],
    encoder: OpenEncoder,
) -> CodecEntry {
    CodecEntry {
        name,
        most_qp,
        default_qp: Quantisers::both(30),
        settings: &[],
        encoder,
        anew: |_| None,
        decoder: |config| {
            let decoder = Decoder::new(config.codec.parse()?)?;
            let goes_on = config.settings.get(MISSING_REFERENCE).is_some_and(|value| value == LATEST);
            Ok(Box::new(if goes_on { decoder.going_on() } else { decoder }))
        },
        libraries,
        files: |_| Ok(Vec::new()),
        sources: "",
    }
}

const FFMPEG: OpenEncoder = |config| Ok(Box::new(Encoder::new(config)?));
const LIBVPX: OpenEncoder = |config| Ok(Box::new(VpxEncoder::new(config)?));

/// H.264 by libx264.
pub static H264: CodecEntry = CodecEntry {
    // A rate controller would remember what came before.
    anew: |config| matches!(config.rate, RateControl::ConstantQp(_)).then_some(X264),
    ..of_ffmpeg("h264", 51, &["libx264"], FFMPEG)
};
/// H.265 by libx265.
pub static H265: CodecEntry = of_ffmpeg("h265", 51, &["libx265"], FFMPEG);
/// VP8 by libvpx.
pub static VP8: CodecEntry = of_ffmpeg("vp8", 63, &["libvpx"], LIBVPX);
/// VP9 by libvpx.
pub static VP9: CodecEntry = of_ffmpeg("vp9", 63, &["libvpx"], LIBVPX);

static CODECS: [&CodecEntry; 4] = [&H264, &H265, &VP8, &VP9];
static RESTORERS: [&RestorerEntry; 3] = [&NONE, &HOLD, &CONTINUE];

/// Codecs and restorers of a program that links networks.
pub struct Extension {
    /// Codecs.
    pub codecs: &'static [&'static CodecEntry],
    /// Codecs whose names say how they are opened, as Reparo's; tried in order.
    pub named: fn(&DecoderConfig) -> Option<Result<Box<dyn VideoDecoder>, CodecError>>,
    /// Restorers.
    pub restorers: &'static [&'static RestorerEntry],
}

/// Who opens what is not in the registry.
pub struct Fallback {
    /// Opens a decoder.
    pub decoder: fn(&DecoderConfig) -> Result<Box<dyn VideoDecoder>, CodecError>,
    /// Opens the restorer of a name.
    pub restorer: fn(&str, &RestorerConfig) -> Result<Box<dyn Restorer>, CodecError>,
}

static EXTENSION: OnceLock<&'static Extension> = OnceLock::new();
static FALLBACK: OnceLock<&'static Fallback> = OnceLock::new();

/// Adds what this program has besides; the first call counts.
pub fn extend(extension: &'static Extension) {
    let _ = EXTENSION.set(extension);
}

/// Names who opens what is not here; the first call counts.
pub fn fall_back(fallback: &'static Fallback) {
    let _ = FALLBACK.set(fallback);
}

/// Every codec.
pub fn codecs() -> impl Iterator<Item = &'static CodecEntry> {
    CODECS.iter().chain(EXTENSION.get().into_iter().flat_map(|e| e.codecs)).copied()
}

/// Every restorer.
pub fn restorers() -> impl Iterator<Item = &'static RestorerEntry> {
    RESTORERS.iter().chain(EXTENSION.get().into_iter().flat_map(|e| e.restorers)).copied()
}

/// The codec of a name.
#[must_use]
pub fn codec(name: &str) -> Option<&'static CodecEntry> {
    codecs().find(|entry| entry.name == name)
}

/// The restorer of a name.
#[must_use]
pub fn restorer(name: &str) -> Option<&'static RestorerEntry> {
    restorers().find(|entry| entry.name == name)
}

/// Opens an encoder by its codec's name.
///
/// # Errors
/// A codec that is not known, or one that cannot be opened.
pub fn open_encoder(config: &EncoderConfig) -> Result<Box<dyn VideoEncoder>, CodecError> {
    let unknown = || CodecError::Unknown { what: "codec", name: config.codec.clone() };
    (codec(&config.codec).ok_or_else(unknown)?.encoder)(config)
}

/// Opens a decoder by its codec's name.
///
/// # Errors
/// A codec that is not known, or one that cannot be opened.
pub fn open_decoder(config: &DecoderConfig) -> Result<Box<dyn VideoDecoder>, CodecError> {
    if let Some(entry) = codec(&config.codec) {
        return (entry.decoder)(config);
    }
    if let Some(opened) = EXTENSION.get().and_then(|e| (e.named)(config)) {
        return opened;
    }
    match FALLBACK.get() {
        Some(fallback) => (fallback.decoder)(config),
        None => Err(CodecError::Unknown { what: "codec", name: config.codec.clone() }),
    }
}

/// Opens a restorer by its name.
///
/// # Errors
/// A restorer that is not known, or one that cannot be opened.
pub fn open_restorer(name: &str, config: &RestorerConfig) -> Result<Box<dyn Restorer>, CodecError> {
    if let Some(entry) = restorer(name) {
        return (entry.open)(config);
    }
    match FALLBACK.get() {
        Some(fallback) => (fallback.restorer)(name, config),
        None => Err(CodecError::Unknown { what: "recovery", name: name.to_owned() }),
    }
}

/// The entry of one of FFmpeg's codecs.
#[must_use]
pub fn of(codec: Codec) -> &'static CodecEntry {
    match codec {
        Codec::H264 => &H264,
        Codec::H265 => &H265,
        Codec::Vp8 => &VP8,
        Codec::Vp9 => &VP9,
    }
}
