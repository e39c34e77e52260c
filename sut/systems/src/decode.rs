//! The receiver's worker: decoders, restorers, and the store of what they were fed.

use crate::identity::hashes;
use crate::jobs::{DecodeDone, DecodeJob};
use anyhow::{Context, Result};
use codecs::registry::CodecEntry;
use codecs::restore::NONE;
use codecs::{RestorerConfig, RestorerEntry, Settings, Stage};
use contract::Stream;
use contract::units::{Recovery, UnitsHeader, UnitsWriter};
use std::path::Path;
use std::time::Duration;
use sut_core::{Worker, WorkerError};

/// What a receiver's worker is made of.
#[derive(Clone, Debug)]
pub struct Receiving {
    /// Codec of all streams.
    pub codec: &'static CodecEntry,
    /// What it is told.
    pub settings: Settings,
    /// What stands between decoder and screen.
    pub recovery: &'static RestorerEntry,
    /// What that is told.
    pub recovery_settings: Settings,
    /// Columns, rows, frames per second.
    pub format: (u32, u32, u32),
}

impl Receiving {
    /// A codec that is told nothing, and no recovery.
    #[must_use]
    pub fn plain(codec: &'static CodecEntry, format: (u32, u32, u32)) -> Self {
        let (settings, recovery_settings) = (Settings::new(), Settings::new());
        Self { codec, settings, recovery: &NONE, recovery_settings, format }
    }

    /// The header of a stream's store, which says how its pictures are made.
    fn header(&self, stream: Stream) -> Result<UnitsHeader> {
        let (width, height, _) = self.format;
        let recovery = if self.recovery.name == NONE.name {
            None
        } else {
            let settings = self.recovery_settings.clone();
            let codec = self.codec.name.to_owned();
            let depth = stream == Stream::Depth;
            let config = RestorerConfig { codec, depth, width, height, settings: settings.clone() };
            Some(Recovery {
                name: self.recovery.name.to_owned(),
                makes_pictures: self.recovery.makes_pictures,
                settings,
                files: hashes(&(self.recovery.files)(&config)?)?,
            })
        };
        Ok(UnitsHeader {
            settings: {
                let told = self.recovery.decoder_settings(self.codec.name);
                self.settings.clone().into_iter().chain(told).collect()
            },
            files: hashes(&(self.codec.files)(&self.settings)?)?,
            recovery,
            ..UnitsHeader::new(self.codec.name, self.format)
        })
    }
}

/// One stream to decode.
struct Lane {
    stream: Stream,
    stage: Stage,
    store: UnitsWriter,
}

/// Runs [`DecodeJob`]s and writes `rendered.<stream>.units` into the run directory.
pub struct DecodeWorker {
    lanes: Vec<Lane>,
    cost: Duration,
}

impl DecodeWorker {
    /// Opens decoders, restorers and stores for `streams`; a job is charged `cost` in virtual time, besides that of the recovery.
    pub fn new(run_dir: &Path, receiving: &Receiving, cost: Duration, streams: &[Stream]) -> Result<Self> {
        let lane = |&stream: &Stream| -> Result<Lane> {
            let header = receiving.header(stream)?;
            let path = run_dir.join(contract::units::file_name(stream));
            let stage = Stage::open(&header, stream)?;
            Ok(Lane { stream, stage, store: UnitsWriter::create(&path, &header)? })
        };
        Ok(Self { lanes: streams.iter().map(lane).collect::<Result<_>>()?, cost })
    }

    fn decode(&mut self, job: DecodeJob) -> Result<DecodeDone> {
        let DecodeJob { stream, entry } = job;
        let frame = entry.frame;
        let lane = self.lanes.iter_mut().find(|l| l.stream == stream);
        let lane = lane.with_context(|| format!("no {stream:?} stream in this run"))?;
        lane.store.append(&entry)?;
        let outcome = lane.stage.run(entry).with_context(|| format!("at frame {frame}"))?;
        let picture = outcome.shown.map(|p| p.content_hash());
        Ok(DecodeDone { frame, stream, decoded: outcome.decoded, picture })
    }
}

impl Worker for DecodeWorker {
    type Job = DecodeJob;
    type Done = DecodeDone;

    fn run(&mut self, job: DecodeJob) -> Result<DecodeDone, WorkerError> {
        Ok(self.decode(job)?)
    }

    fn cost(&self, job: &DecodeJob) -> Duration {
        let lane = self.lanes.iter().find(|l| l.stream == job.stream);
        self.cost + lane.map_or(Duration::ZERO, |lane| lane.stage.cost(&job.entry))
    }

    /// Colour and depth need nothing of each other.
    fn core(job: &DecodeJob) -> usize {
        match job.stream {
            Stream::Rgb => 0,
            Stream::Depth => 1,
        }
    }

    fn cores(self) -> Vec<Self> {
        let cost = self.cost;
        self.lanes.into_iter().map(|lane| Self { lanes: vec![lane], cost }).collect()
    }
}
