//! From what arrived to what is shown: a decoder and the restorer behind it, as the receiver runs them and scoring and player run
//! them again from the stored units.

use crate::restore::{NONE, Restorer, RestorerConfig, Slot};
use crate::{CodecError, DecoderConfig, Unit, VideoDecoder, registry};
use contract::Stream;
use contract::units::{Entry, UnitsHeader};
use media::Yuv420;
use std::time::Duration;

/// One stream's decoder and restorer.
pub struct Stage {
    decoder: Box<dyn VideoDecoder>,
    restorer: Box<dyn Restorer>,
    recovery: String,
    config: RestorerConfig,
    /// It has seen something.
    used: bool,
}

/// What became of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The decoder gave a picture.
    pub decoded: bool,
    /// What is to be shown.
    pub shown: Option<Yuv420>,
}

impl Stage {
    /// The stage that the header of a stream's units describes.
    ///
    /// # Errors
    /// A codec or recovery that is not known or cannot be opened.
    pub fn open(header: &UnitsHeader, stream: Stream) -> Result<Self, CodecError> {
        let UnitsHeader { codec, width, height, settings, recovery, .. } = header.clone();
        let decoder =
            registry::open_decoder(&DecoderConfig { codec: codec.clone(), width, height, settings })?;
        let (recovery, settings) =
            recovery.map_or_else(|| (NONE.name.to_owned(), crate::Settings::new()), |r| (r.name, r.settings));
        let config = RestorerConfig { codec, depth: stream == Stream::Depth, width, height, settings };
        let restorer = registry::open_restorer(&recovery, &config)?;
        Ok(Self { decoder, restorer, recovery, config, used: false })
    }

    /// The next frame.
    ///
    /// A whole key frame finds a decoder that has seen nothing: what a decoder makes of damaged units depends on everything it has
    /// seen before (FFmpeg's error concealment looks at motion and pictures of earlier groups of pictures), and a picture shall
    /// depend on the units since its key frame alone, so that it can be decoded again and its hash reused.
    ///
    /// # Errors
    /// Those of the decoder and the restorer.
    pub fn run(&mut self, entry: Entry) -> Result<Outcome, CodecError> {
        let slot = Slot::of(&entry);
        self.used = true;
        if slot.is_fresh() {
            self.decoder.reset()?;
        }
        let Entry { frame, key, qp, unit, .. } = entry;
        let picture = match unit {
            Some(bytes) => self.decoder.decode(frame, &Unit { bytes, key, qp })?,
            None => None,
        };
        let decoded = picture.is_some();
        Ok(Outcome { decoded, shown: self.restorer.restore(&slot, picture)? })
    }

    /// Time that the restorer is charged for a frame.
    #[must_use]
    pub fn cost(&self, entry: &Entry) -> Duration {
        self.restorer.cost(&Slot::of(entry))
    }

    /// Begins again, with nothing seen.
    ///
    /// # Errors
    /// What cannot be opened again.
    pub fn restart(&mut self) -> Result<(), CodecError> {
        if std::mem::take(&mut self.used) {
            self.decoder.reset()?;
            self.restorer = registry::open_restorer(&self.recovery, &self.config)?;
        }
        Ok(())
    }

    /// See [`VideoDecoder::is_stateless`].
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        self.decoder.is_stateless()
    }

    /// What pictures depend on besides settings and files: who makes them, if that is not this program.
    #[must_use]
    pub fn made_by(&self) -> String {
        [self.decoder.made_by(), self.restorer.made_by()].concat()
    }
}
