//! The receiver's worker: decoders, and the store of what they were fed.

use crate::jobs::{DecodeDone, DecodeJob};
use anyhow::Result;
use codecs::{Codec, Decoder};
use contract::Stream;
use contract::units::{UnitsHeader, UnitsWriter};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sut_core::Worker;

/// One stream to decode.
///
/// A whole key frame gets a new decoder: what a decoder makes of damaged units depends on everything it has seen
/// before (FFmpeg's error concealment looks at motion and pictures of earlier GOPs), and a picture shall depend on
/// the units of its own GOP alone, so that it can be decoded again and its hash reused.
struct Lane {
    stream: Stream,
    codec: Codec,
    decoder: Decoder,
    store: UnitsWriter,
}

/// Runs [`DecodeJob`]s and writes `rendered.<stream>.units` into the run directory.
pub struct DecodeWorker {
    lanes: Vec<Lane>,
    cost: Duration,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

impl DecodeWorker {
    /// Opens decoders and stores for `streams`; every job is charged `cost` in virtual time.
    pub fn new(
        run_dir: &Path,
        codec: Codec,
        (width, height, fps): (u32, u32, u32),
        streams: &[Stream],
        cost: Duration,
    ) -> Result<Self> {
        let lanes = streams
            .iter()
            .map(|&stream| {
                let header = UnitsHeader { codec: codec.to_string(), width, height, fps };
                let path = run_dir.join(contract::units::file_name(stream));
                Ok(Lane {
                    stream,
                    codec,
                    decoder: Decoder::new(codec)?,
                    store: UnitsWriter::create(&path, &header)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { lanes, cost, failure: Arc::default() })
    }

    /// Where the first failure to store will be found.
    #[must_use]
    pub fn failure(&self) -> Arc<Mutex<Option<anyhow::Error>>> {
        self.failure.clone()
    }
}

impl Worker for DecodeWorker {
    type Job = DecodeJob;
    type Done = DecodeDone;

    fn run(&mut self, job: DecodeJob) -> DecodeDone {
        let DecodeJob { frame, stream, unit, fresh } = job;
        let mut picture = None;
        if let Some(lane) = self.lanes.iter_mut().find(|l| l.stream == stream) {
            let mut done = lane.store.append(frame, &unit).map_err(anyhow::Error::from);
            if fresh {
                match Decoder::new(lane.codec) {
                    Ok(decoder) => lane.decoder = decoder,
                    Err(error) => done = Err(error.into()),
                }
            }
            if let Err(error) = done {
                self.failure.lock().expect("no thread panics while holding it").get_or_insert(error);
            }
            picture = lane.decoder.decode(&unit).map(|p| p.content_hash());
        }
        DecodeDone { frame, stream, picture }
    }

    fn settle(&mut self) {}

    fn cost(&self, _job: &DecodeJob) -> Duration {
        self.cost
    }
}
