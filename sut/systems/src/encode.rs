//! The sender's worker: encoders, fed from a clip, behind a cache of encoded streams.
//!
//! A sender without feedback asks for every frame in order with key frames on a fixed grid, so its encoded stream
//! depends on the clip and the settings alone: it is made once, kept by content, and read by every later run. The
//! first request that leaves that path (a dropped frame, a forced key frame) switches to a live encoder that has
//! been through the same requests.

use crate::identity::encoding;
use crate::jobs::{EncodeDone, EncodeJob};
use crate::kept;
use anyhow::{Context, Result, bail};
use codecs::{Encoder, EncoderConfig};
use contract::units::{UnitsHeader, UnitsReader, UnitsWriter};
use contract::{ClipSpec, Stream};
use media::Yuv420;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sut_core::Worker;

/// A clip's pictures from the first on; `None` after the last.
pub type Pictures = Box<dyn FnMut() -> Result<Option<Yuv420>> + Send>;
/// Opens a clip at its first picture.
pub type OpenPictures = Box<dyn Fn() -> Result<Pictures> + Send>;

/// One stream to encode.
pub struct EncodeLane {
    stream: Stream,
    config: EncoderConfig,
    open: OpenPictures,
    cache: Option<UnitsReader>,
    /// Requests served so far, to bring a live encoder up to date.
    served: Vec<EncodeJob>,
    live: Option<Live>,
}

struct Live {
    encoder: Encoder,
    pictures: Pictures,
    next: u32,
}

impl Live {
    fn open(config: &EncoderConfig, open: &OpenPictures) -> Result<Self> {
        Ok(Self { encoder: Encoder::new(config)?, pictures: open()?, next: 0 })
    }

    fn encode(&mut self, frame: u32, key: bool) -> Result<codecs::Encoded> {
        loop {
            let Some(picture) = (self.pictures)()? else {
                bail!("the clip ends at frame {}, before captured frame {frame}; shorten the run", self.next);
            };
            self.next += 1;
            if self.next > frame {
                return Ok(self.encoder.encode(&picture, key)?);
            }
        }
    }
}

impl EncodeLane {
    /// A lane that always encodes live.
    #[must_use]
    pub fn live(stream: Stream, config: EncoderConfig, open: OpenPictures) -> Self {
        Self { stream, config, open, cache: None, served: Vec::new(), live: None }
    }

    /// A lane that reads the encoded stream of `clip` from `directory` if it is there and makes it if not. Streams are known by
    /// the clip's content, the encoder's settings, its library and the code around it.
    pub fn cached(
        stream: Stream,
        config: EncoderConfig,
        open: OpenPictures,
        directory: &Path,
        clip: &ClipSpec,
    ) -> Result<Self> {
        let frames = clip.frames;
        let pictures = format!("{stream:?} {}", clip.pictures(stream));
        let path = cache_path(directory, &config, &pictures, frames);
        let header = UnitsHeader {
            codec: format!("{}+key", config.codec),
            width: config.width,
            height: config.height,
            fps: config.fps,
        };
        let cache = kept::units(&path, &header, |writer| encode_whole(writer, &config, &open, frames))
            .with_context(|| format!("failed to encode the {stream:?} stream of the clip"))?;
        Ok(Self { cache: Some(cache), ..Self::live(stream, config, open) })
    }

    fn follows_the_grid(&self, job: &EncodeJob) -> bool {
        job.frame as usize == self.served.len()
            && job.target_bps.is_none()
            && job.key == (self.config.gop > 0 && job.frame.is_multiple_of(self.config.gop))
    }

    fn run(&mut self, job: &EncodeJob) -> Result<codecs::Encoded> {
        if self.follows_the_grid(job)
            && let Some(cache) = &mut self.cache
            && let Some((frame, mut unit)) = cache.read()?
        {
            if frame != job.frame {
                bail!(
                    "the cached encoded stream has frame {frame} where {} was expected; clear the cache",
                    job.frame
                );
            }
            self.served.push(job.clone());
            let key = unit.pop() == Some(1);
            return Ok(codecs::Encoded { bytes: unit, key });
        }
        self.cache = None;
        if self.live.is_none() {
            let mut live = Live::open(&self.config, &self.open)?;
            for earlier in &self.served {
                live.encode(earlier.frame, earlier.key)?;
            }
            self.live = Some(live);
        }
        let live = self.live.as_mut().context("a live encoder")?;
        live.encode(job.frame, job.key)
    }
}

fn cache_path(directory: &Path, config: &EncoderConfig, clip: &str, frames: u32) -> PathBuf {
    let settings = serde_json::to_string(config).expect("a plain struct is JSON");
    let made_by = encoding(config.codec);
    let key = xxhash_rust::xxh3::xxh3_128(format!("{made_by}\n{settings}\n{clip}\n{frames}").as_bytes());
    directory.join("encoded").join(format!("{key:032x}.units"))
}

/// Encodes every frame on the grid; the last byte of each unit says whether it is a key frame.
fn encode_whole(
    writer: &mut UnitsWriter,
    config: &EncoderConfig,
    open: &OpenPictures,
    frames: u32,
) -> Result<()> {
    let mut live = Live::open(config, open)?;
    for frame in 0..frames {
        let key = config.gop > 0 && frame.is_multiple_of(config.gop);
        let mut encoded = live.encode(frame, key)?;
        encoded.bytes.push(u8::from(encoded.key));
        writer.append(frame, &encoded.bytes)?;
    }
    Ok(())
}

/// Runs [`EncodeJob`]s.
pub struct EncodeWorker {
    lanes: Vec<EncodeLane>,
    cost: Duration,
    failure: std::sync::Arc<std::sync::Mutex<Option<anyhow::Error>>>,
}

impl EncodeWorker {
    /// A worker for these streams; every job is charged `cost` in virtual time.
    #[must_use]
    pub fn new(lanes: Vec<EncodeLane>, cost: Duration) -> Self {
        Self { lanes, cost, failure: std::sync::Arc::default() }
    }

    /// Where the first failure of a job will be found; a failed job brings back an empty frame.
    #[must_use]
    pub fn failure(&self) -> std::sync::Arc<std::sync::Mutex<Option<anyhow::Error>>> {
        self.failure.clone()
    }
}

impl Worker for EncodeWorker {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn run(&mut self, job: EncodeJob) -> EncodeDone {
        let result = match self.lanes.iter_mut().find(|l| l.stream == job.stream) {
            Some(lane) => lane.run(&job),
            None => Err(anyhow::anyhow!("no {:?} stream in this run", job.stream)),
        };
        let encoded = result.unwrap_or_else(|error| {
            self.failure.lock().expect("no thread panics while holding it").get_or_insert(error);
            codecs::Encoded { bytes: Vec::new(), key: false }
        });
        EncodeDone { frame: job.frame, stream: job.stream, key: encoded.key, bytes: encoded.bytes }
    }

    fn settle(&mut self) {}

    fn cost(&self, _job: &EncodeJob) -> Duration {
        self.cost
    }
}
