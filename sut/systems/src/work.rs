//! The workers of a run of one codec, and what they are charged.

use crate::clip;
use crate::decode::{DecodeWorker, Receiving};
use crate::encode::{EncodeLane, EncodeWorker};
use crate::session::Mode;
use anyhow::Result;
use codecs::EncoderConfig;
use codecs::registry::CodecEntry;
use contract::costs::Charge;
use contract::{RunSpec, Stream};
use std::path::Path;

/// A run, as its workers see it.
pub struct Work<'a> {
    run_dir: &'a Path,
    /// The run.
    pub spec: &'a RunSpec,
    /// Codec of all streams.
    pub codec: &'static CodecEntry,
    charge: Charge,
    simulated: bool,
}

impl<'a> Work<'a> {
    /// The work of `spec`.
    ///
    /// # Errors
    /// When the run's table of costs lacks the codec.
    pub fn new(
        mode: &Mode,
        run_dir: &'a Path,
        spec: &'a RunSpec,
        codec: &'static CodecEntry,
    ) -> Result<Self> {
        let charge = spec.costs.of(codec.name, spec.clip.width * spec.clip.height)?;
        Ok(Self { run_dir, spec, codec, charge, simulated: matches!(mode, Mode::Simulate) })
    }

    /// The cache folder of a simulated run. On the wall clock coding takes its time, as it does in a system.
    #[must_use]
    pub fn cache(&self) -> Option<&'a Path> {
        self.spec.cache.as_deref().filter(|_| self.simulated)
    }

    /// Columns, rows, frames per second.
    #[must_use]
    pub fn format(&self) -> (u32, u32, u32) {
        (self.spec.clip.width, self.spec.clip.height, self.spec.clip.fps)
    }

    /// The sender's worker of these streams.
    #[must_use]
    pub fn encoding(&self, lanes: Vec<EncodeLane>) -> EncodeWorker {
        EncodeWorker::new(lanes, self.charge.encode)
    }

    /// The sender's worker of the colour stream alone, whose encoder is asked for what the network makes of it.
    ///
    /// # Errors
    /// As for [`EncodeLane::kept`].
    pub fn encoding_colour(&self, encoder: &EncoderConfig) -> Result<EncodeWorker> {
        let (stream, clip) = (Stream::Rgb, &self.spec.clip);
        let open = clip::opener(clip, stream);
        let lane = match self.cache() {
            Some(cache) => EncodeLane::kept(stream, self.codec, encoder.clone(), open, cache, clip)?,
            None => EncodeLane::live(stream, self.codec, encoder.clone(), open),
        };
        Ok(self.encoding(vec![lane]))
    }

    /// The receiver's worker of these streams.
    ///
    /// # Errors
    /// When a store cannot be made.
    pub fn decoding(&self, receiving: &Receiving, streams: &[Stream]) -> Result<DecodeWorker> {
        DecodeWorker::new(self.run_dir, receiving, self.charge.decode, streams)
    }

    /// The receiver's worker of the colour stream alone: a codec that is told nothing, no recovery.
    ///
    /// # Errors
    /// As for [`Work::decoding`].
    pub fn decoding_colour(&self) -> Result<DecodeWorker> {
        let cache = self.cache().map(Path::to_owned);
        let receiving = Receiving { cache, ..Receiving::plain(self.codec, self.format()) };
        self.decoding(&receiving, &[Stream::Rgb])
    }
}
