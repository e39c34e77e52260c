//! The sender's worker: encoders, fed from a clip, behind a cache of what has been encoded.
//!
//! An encoder's frame depends on its settings, the clip and what it was asked for before, and for some encoders on that since the last key
//! frame alone ([`crate::history`]). So what any run has had encoded is kept under its history and read by every later run that comes to
//! the same: the whole of a stream that is asked for frame by frame with key frames on a fixed grid, and of others the parts in
//! which they are alike. What is not known is encoded by a live encoder, brought to the same state by the same requests.

use crate::history::{Beginning, Counts, History, Standing};
use crate::identity::encoding;
use crate::jobs::{EncodeDone, EncodeJob};
use crate::store::Shared;
use anyhow::{Context, Result, bail, ensure};
use codecs::registry::CodecEntry;
use codecs::{EncoderConfig, Unit, VideoEncoder};
use contract::lock::Lock;
use contract::{ClipSpec, Stream};
use media::Yuv420;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sut_core::{Worker, WorkerError};

/// A clip's pictures from the first on.
pub trait Source: Send {
    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// When the clip cannot be read.
    fn next(&mut self) -> Result<Option<Yuv420>>;

    /// Passes over the next one, which need not be decoded; false after the last.
    ///
    /// # Errors
    /// As for [`Source::next`].
    fn pass_over(&mut self) -> Result<bool> {
        Ok(self.next()?.is_some())
    }
}

impl<F: FnMut() -> Result<Option<Yuv420>> + Send> Source for F {
    fn next(&mut self) -> Result<Option<Yuv420>> {
        self()
    }
}

/// A clip's pictures, open.
pub type Pictures = Box<dyn Source>;
/// Opens a clip at its first picture.
pub type OpenPictures = Box<dyn Fn() -> Result<Pictures> + Send>;

/// Bytes of a stream's file in the cache beyond which only streams on the grid are added.
const MOST_KEPT: u64 = 256 << 20;

/// One stream to encode.
pub struct EncodeLane {
    stream: Stream,
    codec: &'static CodecEntry,
    config: EncoderConfig,
    clip: Clip,
    known: Option<Shared>,
    history: History,
    live: Option<Live>,
}

/// Pictures are taken in ascending order.
struct Clip {
    open: OpenPictures,
    pictures: Option<Pictures>,
    next: u32,
}

impl Clip {
    fn picture(&mut self, frame: u32) -> Result<Yuv420> {
        if self.next > frame {
            (self.pictures, self.next) = (None, 0);
        }
        let pictures = match &mut self.pictures {
            Some(pictures) => pictures,
            None => self.pictures.insert((self.open)()?),
        };
        let ends =
            |at: u32| format!("the clip ends at frame {at}, before captured frame {frame}; shorten the run");
        while self.next < frame {
            ensure!(pictures.pass_over()?, ends(self.next));
            self.next += 1;
        }
        let Some(picture) = pictures.next()? else { bail!(ends(self.next)) };
        self.next += 1;
        Ok(picture)
    }
}

/// An open encoder, and where it stands.
struct Live {
    encoder: Box<dyn VideoEncoder>,
    counts: Counts,
    /// Segment of the stream that it is in, and how many of its requests it has been through.
    segment: u64,
    fed: usize,
}

impl Live {
    fn encode(&mut self, job: &EncodeJob, picture: &Yuv420) -> Result<Unit> {
        if let Some(bps) = job.target_bps {
            self.encoder.set_rate(bps)?;
        }
        let unit = self.encoder.encode(job.frame, picture, job.key)?;
        self.counts = self.counts.after(unit.key);
        Ok(unit)
    }
}

impl EncodeLane {
    /// A lane that keeps nothing.
    #[must_use]
    pub fn live(
        stream: Stream,
        codec: &'static CodecEntry,
        config: EncoderConfig,
        open: OpenPictures,
    ) -> Self {
        let history = History::new((codec.anew)(&config));
        let clip = Clip { open, pictures: None, next: 0 };
        Self { stream, codec, config, clip, known: None, history, live: None }
    }

    /// A lane that reads what is known of the streams of `clip` from `directory`, and adds to it. Streams are known by
    /// the clip's content, the encoder's settings, its library and the code around it.
    ///
    /// # Errors
    /// When the encoder's library or weights cannot be read.
    pub fn kept(
        stream: Stream,
        codec: &'static CodecEntry,
        config: EncoderConfig,
        open: OpenPictures,
        directory: &Path,
        clip: &ClipSpec,
    ) -> Result<Self> {
        let path = place(directory, codec, &config, &format!("{stream:?} {}", clip.pictures(stream)))?;
        Ok(Self { known: Some(Shared::open(&path)), ..Self::live(stream, codec, config, open) })
    }

    /// As [`EncodeLane::kept`], with the stream of the whole clip on the grid, which is made now if it is not there. One maker at a time,
    /// between processes too: whoever waited reads what the other made.
    ///
    /// # Errors
    /// When it cannot be encoded, or the cache's lock cannot be made.
    pub fn on_the_grid(
        stream: Stream,
        codec: &'static CodecEntry,
        config: EncoderConfig,
        open: OpenPictures,
        directory: &Path,
        clip: &ClipSpec,
    ) -> Result<Self> {
        let path = place(directory, codec, &config, &format!("{stream:?} {}", clip.pictures(stream)))?;
        let known = Shared::open(&path);
        let mut lane = Self { known: Some(known.clone()), ..Self::live(stream, codec, config, open) };
        if lane.knows_the_grid(&known, clip.frames) {
            return Ok(lane);
        }
        let lock = path.with_extension("lock");
        let _held = Lock::take(&lock, &|| false)
            .with_context(|| format!("failed to lock the cache with {}", lock.display()))?;
        known.lock().refresh();
        if !lane.knows_the_grid(&known, clip.frames) {
            for frame in 0..clip.frames {
                lane.run(&lane.on_grid(frame))
                    .with_context(|| format!("failed to encode the {stream:?} stream of the clip"))?;
            }
            lane.history = History::new((codec.anew)(&lane.config));
            (lane.live, lane.clip.pictures, lane.clip.next) = (None, None, 0);
        }
        Ok(lane)
    }

    fn on_grid(&self, frame: u32) -> EncodeJob {
        let key = self.config.gop > 0 && frame.is_multiple_of(self.config.gop);
        EncodeJob { frame, stream: self.stream, key, target_bps: None }
    }

    fn knows_the_grid(&self, known: &Shared, frames: u32) -> bool {
        let known = known.lock();
        let mut history = self.history.clone();
        (0..frames).all(|frame| {
            let job = self.on_grid(frame);
            let key = known.is_key(history.of(&job).hash);
            key.inspect(|&key| history.pass(&job, key)).is_some()
        })
    }

    fn run(&mut self, job: &EncodeJob) -> Result<Unit> {
        let standing = self.history.of(job);
        let known = self.known.as_ref().and_then(|known| known.lock().get(standing.hash));
        let encoded = known.is_none();
        let unit = match known {
            Some(unit) => unit,
            None => self.encode(job, &standing)?,
        };
        self.history.pass(job, unit.key);
        if encoded {
            if let Some(live) = &mut self.live {
                (live.segment, live.fed) = (self.history.segment(), self.history.since().len());
            }
            if let Some(known) = &self.known {
                let mut known = known.lock();
                if known.bytes() < MOST_KEPT || *job == self.on_grid(job.frame) {
                    known.put(standing.hash, &unit);
                }
            }
        }
        Ok(unit)
    }

    /// Encodes what nobody has yet, and before it what the encoder has not been through of its segment.
    fn encode(&mut self, job: &EncodeJob, standing: &Standing) -> Result<Unit> {
        let before = &self.history.since()[..standing.earlier];
        let fed = match &self.live {
            Some(live) if live.segment == standing.segment => live.fed,
            _ => 0,
        };
        let asked = (job.clone(), standing.hash);
        let mut unit = None;
        for (at, (request, hash)) in before.iter().chain([&asked]).enumerate().skip(fed) {
            let picture = self.clip.picture(request.frame)?;
            if at == 0 {
                let live = self.live.take();
                self.live = Some(self.begin(live, standing, request, &picture)?);
            }
            let live = self.live.as_mut().context("a live encoder")?;
            let made = live.encode(request, &picture)?;
            // What is encoded again has to be what was known: the whole scheme stands on it.
            let known = self.known.as_ref().and_then(|known| known.lock().get(*hash));
            ensure!(
                known.is_none_or(|known| known == made),
                "{} encodes frame {} otherwise than it did before: run with --no-cache, and tell us its version",
                self.codec.name,
                request.frame
            );
            unit = Some(made);
        }
        unit.context("nothing was encoded")
    }

    /// An encoder that begins a segment as `standing` has it: the one at hand, or another. What of the frames before shows in those to come
    /// is made of the segment's first picture.
    fn begin(
        &self,
        live: Option<Live>,
        standing: &Standing,
        first: &EncodeJob,
        picture: &Yuv420,
    ) -> Result<Live> {
        let anew = (self.codec.anew)(&self.config);
        let mut live = match live {
            Some(live) if anew.is_some() && live.counts.keys > 0 && !standing.beginning.is_first() => live,
            _ => {
                let encoder = (self.codec.encoder)(&self.config)?;
                Live { encoder, counts: Counts::default(), segment: 0, fed: 0 }
            }
        };
        if let Some(anew) = anew.filter(|_| !standing.beginning.is_first()) {
            let (frames, keys) = standing
                .beginning
                .approach(anew, self.config.gop, live.counts)
                .context("an encoder cannot be brought to where this stream stands: run with --no-cache")?;
            for n in 0..frames {
                live.encode(&EncodeJob { key: n < keys, ..first.clone() }, picture)?;
            }
        }
        ensure!(
            Beginning::at(anew, live.counts) == standing.beginning,
            "{} made other key frames than it was asked for: run with --no-cache",
            self.codec.name
        );
        live.segment = standing.segment;
        Ok(live)
    }
}

fn place(directory: &Path, codec: &CodecEntry, config: &EncoderConfig, pictures: &str) -> Result<PathBuf> {
    let settings = serde_json::to_string(config).expect("a plain struct is JSON");
    let made_by = encoding(codec, &config.settings)?;
    let key = xxhash_rust::xxh3::xxh3_128(format!("{made_by}\n{settings}\n{pictures}").as_bytes());
    Ok(directory.join("encoded").join(format!("{key:032x}.units")))
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
