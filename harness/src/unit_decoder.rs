//! What draws the units that a receiver kept: the pinned decoder of a video codec, or Reparo's tokenizer.

use codecs::{Codec, Decoder};
use contract::units::UnitsHeader;
use media::Yuv420;
use models::token_pictures::TokenPictures;

/// A decoder of units.
pub enum UnitDecoder {
    /// Pictures depend on the units before them.
    Video(Codec, Box<Decoder>),
    /// Every unit is a picture of its own.
    Tokens(Box<TokenPictures>),
}

impl UnitDecoder {
    /// The decoder for a units file; `None` for a codec that has none here.
    ///
    /// # Errors
    /// A decoder that cannot be opened; weights that are missing, damaged or of another model.
    pub fn open(header: &UnitsHeader) -> anyhow::Result<Option<Self>> {
        let video = [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9];
        if let Some(codec) = video.into_iter().find(|codec| codec.to_string() == header.codec) {
            return Ok(Some(Self::Video(codec, Box::new(Decoder::new(codec)?))));
        }
        let size = (header.width as usize, header.height as usize);
        let pictures = TokenPictures::for_codec(&header.codec, size).transpose()?;
        Ok(pictures.map(|pictures| Self::Tokens(Box::new(pictures))))
    }

    /// Forgets all earlier units.
    ///
    /// # Errors
    /// A decoder that cannot be opened.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        if let Self::Video(codec, decoder) = self {
            **decoder = Decoder::new(*codec)?;
        }
        Ok(())
    }

    /// The picture of a unit, if there is one.
    pub fn decode(&mut self, unit: &[u8]) -> Option<Yuv420> {
        match self {
            Self::Video(_, decoder) => decoder.decode(unit),
            Self::Tokens(pictures) => pictures.decode(unit),
        }
    }

    /// Whether a unit's picture is a function of that unit alone.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        matches!(self, Self::Tokens(_))
    }

    /// What decides the pictures besides the units and the codec's name: the hash of the weights.
    #[must_use]
    pub fn weights(&self) -> &str {
        match self {
            Self::Video(..) => "",
            Self::Tokens(pictures) => pictures.weights(),
        }
    }
}
