//! What every codec offers: one picture in, one [`Unit`] out, and back.

use crate::CodecError;
use media::Yuv420;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One encoded frame of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The bitstream: one access unit (Annex B for H.264 and H.265, with parameter sets at key frames), perhaps with holes when it
    /// comes from a network.
    pub bytes: Vec<u8>,
    /// Decoding can start here.
    pub key: bool,
    /// Quantiser that it was encoded with, as the sender announces it. Some decoders need it.
    pub qp: u8,
}

/// What a codec or a restorer needs to be told besides the format of its pictures: paths of weights, numbers that both ends agree
/// on. Stored with the units, so that scoring opens the same.
pub type Settings = BTreeMap<String, String>;

/// An option that a codec or a restorer adds to those of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of the option, and key in [`Settings`].
    pub name: &'static str,
    /// Value if it is not given.
    pub default: &'static str,
}

/// An open encoder. Equal settings and pictures give equal bytes.
pub trait VideoEncoder: Send {
    /// Encodes the picture of captured frame `frame`; `key` makes a key frame of it whatever the encoder's own grid says. A unit without
    /// bytes means that rate control dropped the picture, which an encoder does only where its settings allow it.
    ///
    /// # Errors
    /// A picture of another size, or whatever kept the encoder from giving exactly one unit.
    fn encode(&mut self, frame: u32, picture: &Yuv420, key: bool) -> Result<Unit, CodecError>;

    /// Aims at this many bits per second from the next picture on.
    ///
    /// # Errors
    /// An encoder that cannot change its rate.
    fn set_rate(&mut self, _bps: u64) -> Result<(), CodecError> {
        Err(CodecError::FixedRate)
    }
}

/// An open decoder. Equal units in equal order give equal pictures.
pub trait VideoDecoder: Send {
    /// Decodes the unit of captured frame `frame`; `None` if it gives no picture. Damage is no error: a network does that.
    ///
    /// # Errors
    /// What is not the network's doing: no memory, a library or a network that fails.
    fn decode(&mut self, frame: u32, unit: &Unit) -> Result<Option<Yuv420>, CodecError>;

    /// Forgets everything that it was fed.
    ///
    /// # Errors
    /// When it cannot be opened again.
    fn reset(&mut self) -> Result<(), CodecError>;

    /// True if a unit's picture depends on that unit alone.
    fn is_stateless(&self) -> bool {
        false
    }

    /// What its pictures depend on besides settings, files and this program: the libraries of networks.
    fn made_by(&self) -> String {
        String::new()
    }
}

/// How a decoder is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Name of the codec in the [registry](crate::registry).
    pub codec: String,
    /// Columns of the pictures.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// See [`Settings`].
    pub settings: Settings,
}

impl DecoderConfig {
    /// A decoder without settings.
    #[must_use]
    pub fn new(codec: &str, (width, height): (u32, u32)) -> Self {
        Self { codec: codec.to_owned(), width, height, settings: Settings::new() }
    }
}
