//! What this crate adds to the registry of codecs and restorers.

use crate::lossrec::restorers::{LITE, LOSSREC};
use crate::token_pictures::TokenPictures;
use codecs::registry::Extension;
use codecs::{CodecError, DecoderConfig, Unit, VideoDecoder};
use media::Yuv420;

/// Codecs and restorers that are networks.
pub static EXTENSION: Extension = Extension { codecs: &[], named: tokens, restorers: &[&LOSSREC, &LITE] };

/// Reparo's tokens, whose names say preset, grid, numbers and memory.
fn tokens(config: &DecoderConfig) -> Option<Result<Box<dyn VideoDecoder>, CodecError>> {
    let size = (config.width as usize, config.height as usize);
    let opened = TokenPictures::for_codec(&config.codec, size)?;
    Some(match opened {
        Ok(pictures) => Ok(Box::new(pictures)),
        Err(error) => Err(CodecError::Network(error.to_string())),
    })
}

impl VideoDecoder for TokenPictures {
    fn decode(&mut self, _frame: u32, unit: &Unit) -> Result<Option<Yuv420>, CodecError> {
        Ok(TokenPictures::decode(self, &unit.bytes))
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.restart();
        Ok(())
    }

    fn made_by(&self) -> String {
        self.weights().to_owned()
    }
}
