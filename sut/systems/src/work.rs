//! The workers of a run of one codec, and what they are charged.

use crate::clip;
use crate::decode::{DecodeWorker, Receiving};
use crate::encode::{EncodeLane, EncodeWorker};
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
}

impl<'a> Work<'a> {
    /// The work of `spec`.
    ///
    /// # Errors
    /// When the run's table of costs lacks the codec.
    pub fn new(run_dir: &'a Path, spec: &'a RunSpec, codec: &'static CodecEntry) -> Result<Self> {
        let charge = spec.costs.of(codec.name, spec.clip.width * spec.clip.height)?;
        Ok(Self { run_dir, spec, codec, charge })
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

    /// The sender's worker of the colour stream alone, encoded live.
    #[must_use]
    pub fn encoding_colour(&self, encoder: &EncoderConfig) -> EncodeWorker {
        let open = clip::opener(&self.spec.clip, Stream::Rgb);
        self.encoding(vec![EncodeLane::live(Stream::Rgb, self.codec, encoder.clone(), open)])
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
        self.decoding(&Receiving::plain(self.codec, self.format()), &[Stream::Rgb])
    }
}
