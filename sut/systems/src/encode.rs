//! The sender's worker: encoders, fed from a clip, behind a cache of encoded streams.
//!
//! A sender without feedback asks for every frame in order with key frames on a fixed grid, so its encoded stream
//! depends on the clip and the settings alone: it is made once, kept by content, and read by every later run. The
//! first request that leaves that path (a dropped frame, a forced key frame) switches to a live encoder that has
//! been through the same requests.

use crate::identity::encoding;
use crate::jobs::{EncodeDone, EncodeJob};
use crate::kept;
use anyhow::{Context, Result, bail, ensure};
use codecs::registry::CodecEntry;
use codecs::{EncoderConfig, Unit, VideoEncoder};
use contract::units::{Entry, UnitsHeader, UnitsReader, UnitsWriter};
use contract::{ClipSpec, Stream};
use media::Yuv420;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sut_core::{Worker, WorkerError};

/// A clip's pictures from the first on; `None` after the last.
pub type Pictures = Box<dyn FnMut() -> Result<Option<Yuv420>> + Send>;
/// Opens a clip at its first picture.
pub type OpenPictures = Box<dyn Fn() -> Result<Pictures> + Send>;

/// One stream to encode.
pub struct EncodeLane {
    stream: Stream,
    codec: &'static CodecEntry,
    config: EncoderConfig,
    open: OpenPictures,
    cache: Option<UnitsReader>,
    /// Requests served so far, to bring a live encoder up to date.
    served: Vec<EncodeJob>,
    live: Option<Live>,
}

struct Live {
    encoder: Box<dyn VideoEncoder>,
    pictures: Pictures,
    next: u32,
}

impl Live {
    fn open(codec: &CodecEntry, config: &EncoderConfig, open: &OpenPictures) -> Result<Self> {
        Ok(Self { encoder: (codec.encoder)(config)?, pictures: open()?, next: 0 })
    }

    fn encode(&mut self, &EncodeJob { frame, key, target_bps, .. }: &EncodeJob) -> Result<Unit> {
        if let Some(bps) = target_bps {
            self.encoder.set_rate(bps)?;
        }
        loop {
            let Some(picture) = (self.pictures)()? else {
                bail!("the clip ends at frame {}, before captured frame {frame}; shorten the run", self.next);
            };
            self.next += 1;
            if self.next > frame {
                return Ok(self.encoder.encode(frame, &picture, key)?);
            }
        }
    }
}

impl EncodeLane {
    /// A lane that always encodes live.
    #[must_use]
    pub fn live(
        stream: Stream,
        codec: &'static CodecEntry,
        config: EncoderConfig,
        open: OpenPictures,
    ) -> Self {
        Self { stream, codec, config, open, cache: None, served: Vec::new(), live: None }
    }

    /// A lane that reads the encoded stream of `clip` from `directory` if it is there and makes it if not. Streams are known by
    /// the clip's content, the encoder's settings, its library and the code around it.
    pub fn cached(
        stream: Stream,
        codec: &'static CodecEntry,
        config: EncoderConfig,
        open: OpenPictures,
        directory: &Path,
        clip: &ClipSpec,
    ) -> Result<Self> {
        let frames = clip.frames;
        let pictures = format!("{stream:?} {}", clip.pictures(stream));
        let path = cache_path(directory, codec, &config, &pictures, frames)?;
        let header = UnitsHeader::new(codec.name, (config.width, config.height, config.fps));
        let make = |writer: &mut UnitsWriter| encode_whole(writer, codec, &config, &open, frames);
        let cache = kept::units(&path, &header, make)
            .with_context(|| format!("failed to encode the {stream:?} stream of the clip"))?;
        Ok(Self { cache: Some(cache), ..Self::live(stream, codec, config, open) })
    }

    fn follows_the_grid(&self, job: &EncodeJob) -> bool {
        job.frame as usize == self.served.len()
            && job.target_bps.is_none()
            && job.key == (self.config.gop > 0 && job.frame.is_multiple_of(self.config.gop))
    }

    fn run(&mut self, job: &EncodeJob) -> Result<Unit> {
        if self.follows_the_grid(job)
            && let Some(cache) = &mut self.cache
            && let Some(Entry { frame, key, qp, unit, .. }) = cache.read()?
        {
            ensure!(
                frame == job.frame,
                "the cached encoded stream has frame {frame} where {} was expected; clear the cache",
                job.frame
            );
            self.served.push(job.clone());
            return Ok(Unit { bytes: unit.unwrap_or_default(), key, qp });
        }
        self.cache = None;
        if self.live.is_none() {
            let mut live = Live::open(self.codec, &self.config, &self.open)?;
            for earlier in &self.served {
                live.encode(earlier)?;
            }
            self.live = Some(live);
        }
        let live = self.live.as_mut().context("a live encoder")?;
        live.encode(job)
    }
}

fn cache_path(
    directory: &Path,
    codec: &CodecEntry,
    config: &EncoderConfig,
    clip: &str,
    frames: u32,
) -> Result<PathBuf> {
    let settings = serde_json::to_string(config).expect("a plain struct is JSON");
    let made_by = encoding(codec, &config.settings)?;
    let key = xxhash_rust::xxh3::xxh3_128(format!("{made_by}\n{settings}\n{clip}\n{frames}").as_bytes());
    Ok(directory.join("encoded").join(format!("{key:032x}.units")))
}

/// Encodes every frame on the grid.
fn encode_whole(
    writer: &mut UnitsWriter,
    codec: &CodecEntry,
    config: &EncoderConfig,
    open: &OpenPictures,
    frames: u32,
) -> Result<()> {
    let mut live = Live::open(codec, config, open)?;
    for frame in 0..frames {
        let key = config.gop > 0 && frame.is_multiple_of(config.gop);
        let job = EncodeJob { frame, stream: Stream::Rgb, key, target_bps: None };
        let Unit { bytes, key, qp } = live.encode(&job)?;
        writer.append(&Entry::whole(frame, key, qp, bytes))?;
    }
    Ok(())
}

/// Runs [`EncodeJob`]s.
pub struct EncodeWorker {
    lanes: Vec<EncodeLane>,
    cost: Duration,
}

impl EncodeWorker {
    /// A worker for these streams; a frame is charged `cost` in virtual time, however many streams it has: they are encoded side by
    /// side, as by the original ReVo's threads.
    #[must_use]
    pub fn new(lanes: Vec<EncodeLane>, cost: Duration) -> Self {
        Self { lanes, cost }
    }

    fn encode(&mut self, job: &EncodeJob) -> Result<EncodeDone> {
        let lane = self.lanes.iter_mut().find(|l| l.stream == job.stream);
        let lane = lane.with_context(|| format!("no {:?} stream in this run", job.stream))?;
        let drops = lane.config.vpx.as_ref().is_some_and(|vpx| vpx.drop_below > 0);
        let unit = lane.run(job)?;
        ensure!(!unit.bytes.is_empty() || drops, "the encoder gave nothing for frame {}", job.frame);
        Ok(EncodeDone { frame: job.frame, stream: job.stream, unit })
    }
}

impl Worker for EncodeWorker {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn run(&mut self, job: EncodeJob) -> Result<EncodeDone, WorkerError> {
        Ok(self.encode(&job)?)
    }

    fn cost(&self, job: &EncodeJob) -> Duration {
        let first = self.lanes.first().is_none_or(|lane| lane.stream == job.stream);
        if first { self.cost } else { Duration::ZERO }
    }
}
