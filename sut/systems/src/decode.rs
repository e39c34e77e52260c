//! The receiver's worker: decoders, restorers, and the store of what they were fed.

use crate::identity::hashes;
use crate::jobs::{DecodeDone, DecodeJob};
use anyhow::{Context, Result};
use codecs::registry::CodecEntry;
use codecs::restore::NONE;
use codecs::{Outcome, RestorerConfig, RestorerEntry, Settings, Slot, Stage};
use contract::Stream;
use contract::digest::sha256;
use contract::table::Table;
use contract::units::{Entry, Recovery, UnitsHeader, UnitsWriter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use sut_core::{Worker, WorkerError};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

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
    /// Cache folder where it is kept what units have decoded to, so that other runs of the same stream need not decode them.
    pub cache: Option<PathBuf>,
}

impl Receiving {
    /// A codec that is told nothing, and no recovery.
    #[must_use]
    pub fn plain(codec: &'static CodecEntry, format: (u32, u32, u32)) -> Self {
        let (settings, recovery_settings) = (Settings::new(), Settings::new());
        Self { codec, settings, recovery: &NONE, recovery_settings, format, cache: None }
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
    memory: Option<Memory>,
}

impl Lane {
    /// What becomes of the next frame.
    fn run(&mut self, entry: Entry) -> Result<Told> {
        let Some(memory) = &mut self.memory else {
            return Ok(Told::of(&self.stage.run(entry)?));
        };
        let begins = self.stage.is_stateless() || Slot::of(&entry).is_fresh();
        let key = memory.key(&entry, begins);
        if let Some(told) = memory.recall(key) {
            memory.passed.push(entry);
            return Ok(told);
        }
        for earlier in std::mem::take(&mut memory.passed) {
            self.stage.run(earlier)?;
        }
        let told = Told::of(&self.stage.run(entry)?);
        memory.keep(key, told);
        Ok(told)
    }
}

/// What a receiver is told of a frame that went to the decoder.
#[derive(Clone, Copy)]
struct Told {
    decoded: bool,
    picture: Option<u128>,
}

impl Told {
    fn of(outcome: &Outcome) -> Self {
        Self { decoded: outcome.decoded, picture: outcome.shown.as_ref().map(media::Yuv420::content_hash) }
    }
}

/// What units have decoded to in other runs, by all units since their whole key frame: a decoder begins anew there, so that a picture is a
/// function of those ([`Stage::run`]). In virtual time a receiver needs no more than that. What is shown is decoded by the harness.
struct Memory {
    table: Arc<Mutex<Table>>,
    made_by: String,
    hash: Xxh3,
    /// Units since the key frame that the decoder has not been given.
    passed: Vec<Entry>,
}

impl Memory {
    /// `None` where networks or a recovery take part, whose pictures may depend on more than that.
    fn open(cache: &Path, header: &UnitsHeader, stage: &Stage, stream: Stream) -> Result<Option<Self>> {
        if header.recovery.is_some() || !header.files.is_empty() {
            return Ok(None);
        }
        let hash = |path: &Path| sha256(path, Some(cache));
        let me = hash(&std::env::current_exe()?)?;
        let made_by = format!(
            "{me} {:?} {} {} {}",
            codecs::identity::libraries(&hash),
            serde_json::to_string(header)?,
            stage.made_by(),
            stream.name()
        );
        let path = cache.join("told").join(format!("{:032x}.log", xxh3_128(made_by.as_bytes())));
        Ok(Some(Self { table: table(&path), made_by, hash: Xxh3::new(), passed: Vec::new() }))
    }

    /// What the decoder's state after `entry` is known by.
    fn key(&mut self, entry: &Entry, begins: bool) -> u128 {
        if begins {
            self.passed.clear();
            self.hash = Xxh3::new();
            self.hash.update(self.made_by.as_bytes());
        }
        let unit = entry.unit.as_deref().unwrap_or_default();
        self.hash.update(&[entry.key, entry.whole, entry.exact, entry.unit.is_some()].map(u8::from));
        self.hash.update(&[entry.qp]);
        self.hash.update(&entry.frame.to_le_bytes());
        self.hash.update(&(unit.len() as u64).to_le_bytes());
        self.hash.update(unit);
        self.hash.digest128()
    }

    fn recall(&self, key: u128) -> Option<Told> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let (decoded, picture) = table.get(key)?.split_once(' ')?;
        let picture = match picture {
            "-" => None,
            hash => Some(u128::from_str_radix(hash, 16).ok()?),
        };
        Some(Told { decoded: decoded == "decoded", picture })
    }

    fn keep(&self, key: u128, told: Told) {
        let word = if told.decoded { "decoded" } else { "nothing" };
        let picture = told.picture.map_or_else(|| "-".to_owned(), |hash| format!("{hash:032x}"));
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.put(key, format!("{word} {picture}"));
    }
}

/// The table in this file, with all that is in it now; read once in the life of a process that does many runs.
fn table(path: &Path) -> Arc<Mutex<Table>> {
    static OPEN: Mutex<BTreeMap<PathBuf, Arc<Mutex<Table>>>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || Arc::new(Mutex::new(Table::open(Some(path.to_owned()))));
    let table = open.entry(path.to_owned()).or_insert_with(new).clone();
    table.lock().unwrap_or_else(PoisonError::into_inner).refresh();
    table
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
            let memory = match &receiving.cache {
                Some(cache) => Memory::open(cache, &header, &stage, stream)?,
                None => None,
            };
            Ok(Lane { stream, stage, store: UnitsWriter::create(&path, &header)?, memory })
        };
        Ok(Self { lanes: streams.iter().map(lane).collect::<Result<_>>()?, cost })
    }

    fn decode(&mut self, job: DecodeJob) -> Result<DecodeDone> {
        let DecodeJob { stream, entry } = job;
        let frame = entry.frame;
        let lane = self.lanes.iter_mut().find(|l| l.stream == stream);
        let lane = lane.with_context(|| format!("no {stream:?} stream in this run"))?;
        lane.store.append(&entry)?;
        let Told { decoded, picture } = lane.run(entry).with_context(|| format!("at frame {frame}"))?;
        Ok(DecodeDone { frame, stream, decoded, picture })
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

#[cfg(test)]
mod tests {
    use super::*;
    use codecs::registry::H264;
    use codecs::{EncoderConfig, VideoEncoder};
    use media::Yuv420;

    /// Twelve frames, a key frame every four; `damage` says which are lost or cut.
    fn units(damage: &[(u32, usize)]) -> Vec<Entry> {
        let config = EncoderConfig { gop: 4, ..EncoderConfig::revo("h264", 64, 48, 30) };
        let mut encoder = codecs::Encoder::new(&config).unwrap();
        (0..12)
            .map(|frame: u32| {
                let mut picture = Yuv420::filled(64, 48, (60, 128, 128));
                let luma = picture.y.iter_mut().enumerate();
                luma.for_each(|(i, y)| *y = (i as u32 * 7 + frame * 13) as u8);
                let unit = encoder.encode(frame, &picture, frame.is_multiple_of(4)).unwrap();
                let mut entry = Entry::whole(frame, unit.key, unit.qp, unit.bytes);
                if let Some((_, keep)) = damage.iter().find(|(f, _)| *f == frame) {
                    (entry.whole, entry.exact) = (false, false);
                    entry.unit =
                        entry.unit.map(|u| u[..*keep.min(&u.len())].to_vec()).filter(|u| !u.is_empty());
                }
                entry
            })
            .collect()
    }

    fn told(cache: Option<&Path>, units: &[Entry]) -> Vec<(bool, Option<u128>)> {
        let dir = tempfile::tempdir().unwrap();
        let plain = Receiving::plain(&H264, (64, 48, 30));
        let receiving = Receiving { cache: cache.map(Path::to_owned), ..plain };
        let mut worker = DecodeWorker::new(dir.path(), &receiving, Duration::ZERO, &[Stream::Rgb]).unwrap();
        let decode = |entry: &Entry| {
            let done = worker.decode(DecodeJob { stream: Stream::Rgb, entry: entry.clone() }).unwrap();
            (done.decoded, done.picture)
        };
        units.iter().map(decode).collect()
    }

    /// Whatever was lost, in whatever order the runs come: a receiver with a memory is told what one without is.
    #[test]
    fn a_receiver_that_remembers_is_told_the_same() {
        let cache = tempfile::tempdir().unwrap();
        let losses: [&[(u32, usize)]; 6] =
            [&[], &[(2, 0)], &[(2, 0), (9, 40)], &[(0, 0)], &[(4, 100), (6, 0)], &[(2, 0)]];
        for damage in losses {
            let units = units(damage);
            let wanted = told(None, &units);
            assert_eq!(told(Some(cache.path()), &units), wanted, "{damage:?}");
            assert_eq!(told(Some(cache.path()), &units), wanted, "{damage:?}, again");
        }
        assert_eq!(std::fs::read_dir(cache.path().join("told")).unwrap().count(), 1);
    }
}
