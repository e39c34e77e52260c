//! The neural work: tokens of captured pictures, pictures of arrived tokens.

use super::{Fill, Options, Session};
use anyhow::{Context, Result, bail, ensure};
use codecs::{Arrival, CodecError, Restorer, Slot};
use contract::units::{Entry, UnitsHeader, UnitsReader, UnitsWriter};
use contract::{RunSpec, Stream};
use models::token_codec::Encoding;
use models::token_pictures::{Format, TokenPictures, Unit};
use models::token_recovery::{Copies, History, Recovery};
use models::tokenizer::Places;
use std::path::Path;
use std::time::Duration;
use sut_core::wire::reparo::Variant;
use sut_core::{Worker, WorkerError};
use systems::clip;
use systems::encode::Pictures;
use systems::identity::ENCODING_SOURCES;
use systems::kept;

/// Encode a captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Encode {
    /// Captured frame.
    pub frame: u32,
}

/// Its tokens; none when encoding failed.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Captured frame.
    pub frame: u32,
    /// Row by row.
    pub tokens: Vec<u16>,
}

/// Generate a frame from what arrived of it.
#[derive(Clone, Debug)]
pub struct Generate {
    /// Captured frame.
    pub frame: u32,
    /// Row by row.
    pub grid: Vec<Option<u16>>,
}

/// What the receiver has its worker do.
#[derive(Clone, Debug)]
pub enum Task {
    /// A picture.
    Generate(Generate),
    /// End the run: the sender's session is another one.
    Refuse {
        /// What the sender said.
        theirs: String,
        /// What it should have said.
        ours: String,
    },
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    /// Captured frame.
    pub frame: u32,
    /// Content hash of the picture.
    pub picture: Option<u128>,
}

fn open(options: &Options, variant: Variant, spec: &RunSpec) -> Result<TokenPictures> {
    let size = (spec.clip.width as usize, spec.clip.height as usize);
    let pictures = TokenPictures::open(&options.weights_folder(), format(options, variant), size)?;
    let (have, want) = (pictures.codec().codes(), variant.codes() as usize);
    ensure!(
        have == want,
        "option codes: the weights have {have} codes, packets are made for {want}: use weights of that codebook"
    );
    Ok(pictures)
}

fn format(options: &Options, variant: Variant) -> Format {
    Format {
        preset: options.preset,
        grid: grid(variant),
        precision: options.precision,
        memory: options.memory,
    }
}

fn grid(variant: Variant) -> (usize, usize) {
    (usize::from(variant.columns()), usize::from(variant.rows()))
}

/// The sender's worker. The tokens of a clip depend on nothing but the clip, the weights and what self-drop leaves, so
/// they are made once and kept in the run's cache.
pub struct Sending {
    session: Session,
    source: Source,
    cost: Duration,
}

enum Source {
    Live { pictures: Box<TokenPictures>, encoding: Encoding, frames: Pictures },
    Cached(Box<UnitsReader>),
}

impl Sending {
    /// Opens the clip, or its tokens.
    pub fn new(options: &Options, session: &Session, spec: &RunSpec) -> Result<Self> {
        let variant = session.variant;
        let pictures = open(options, variant, spec)?;
        let source = match &spec.cache {
            Some(directory) => Source::Cached(Box::new(cached(
                &pictures,
                format(options, variant),
                session,
                spec,
                directory,
            )?)),
            None => {
                let frames = clip::opener(&spec.clip, Stream::Rgb)()?;
                Source::Live { encoding: pictures.codec().encoding(), pictures: Box::new(pictures), frames }
            }
        };
        Ok(Self { session: session.clone(), source, cost: options.charged(spec)?.encode })
    }

    fn tokens(&mut self, frame: u32) -> Result<Vec<u16>> {
        match &mut self.source {
            Source::Live { pictures, encoding, frames } => {
                let picture =
                    frames.next()?.with_context(|| format!("the clip ends before captured frame {frame}"))?;
                Ok(pictures.tokens(encoding, frame, &picture, &self.session.sent(frame)))
            }
            Source::Cached(reader) => match reader.read()? {
                Some(Entry { frame: found, unit: Some(unit), .. }) if found == frame => {
                    Ok(unit.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect())
                }
                _ => bail!("the cached tokens lack frame {frame}; clear the cache"),
            },
        }
    }
}

/// The tokens of the clip in the cache, made now if they are not there.
fn cached(
    pictures: &TokenPictures,
    format: Format,
    session: &Session,
    spec: &RunSpec,
    directory: &Path,
) -> Result<UnitsReader> {
    let codec = format.to_string();
    let weights = pictures.weights();
    let (clip, frames) = (&spec.clip.hash, spec.clip.frames);
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let kept = &session.kept;
    let hash = |path: &Path| contract::digest::sha256(path, contract::digest::cache_folder().as_deref());
    let torch = codecs::identity::library("libtorch_cpu", &hash);
    let made_by =
        format!("{ENCODING_SOURCES} {} {torch:?} {:?}", crate::SOURCES, codecs::identity::libraries(&hash));
    let key = format!("{made_by}\n{codec}\n{weights}\n{clip}\n{frames}\n{width}x{height}@{fps}\n{kept:?}");
    let key = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    let path = directory.join("encoded").join(format!("{key:032x}.tokens"));
    let header = UnitsHeader::new(codec, (width, height, fps));
    kept::units(&path, &header, |writer| {
        let mut clip = clip::opener(&spec.clip, Stream::Rgb)()?;
        let mut encoding = pictures.codec().encoding();
        for frame in 0..frames {
            let picture =
                clip.next()?.with_context(|| format!("the clip ends before captured frame {frame}"))?;
            let tokens = pictures.tokens(&mut encoding, frame, &picture, &session.sent(frame));
            let unit = tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
            writer.append(&Entry::whole(frame, true, 0, unit))?;
        }
        Ok(())
    })
}

impl Worker for Sending {
    type Job = Encode;
    type Done = Encoded;

    fn run(&mut self, job: Encode) -> Result<Encoded, WorkerError> {
        Ok(Encoded { frame: job.frame, tokens: self.tokens(job.frame)? })
    }

    fn cost(&self, _job: &Encode) -> Duration {
        self.cost
    }

    fn settle(&mut self) -> Result<(), WorkerError> {
        if let Source::Live { pictures, encoding, .. } = &mut self.source {
            pictures.codec().settle(encoding);
        }
        Ok(())
    }
}

/// The receiver's worker: recovers tokens, decodes, and stores what the decoder was fed.
pub struct Receiving {
    pictures: TokenPictures,
    recovery: Box<dyn Restorer<Codes>>,
    places: Places,
    /// Nothing was stored yet.
    first: bool,
    store: UnitsWriter,
    decode: Duration,
}

/// The codes that stand at the places of a frame, and guesses where none does: code vectors, one after the other.
struct Codes {
    grid: Vec<Option<u16>>,
    guesses: Vec<f32>,
}

/// Guesses with a network.
struct Guessing {
    network: Recovery,
    history: History,
    /// A complete frame that it has not seen yet.
    unseen: Option<Vec<Option<u16>>>,
    cost: Duration,
}

impl Restorer<Codes> for Guessing {
    fn restore(&mut self, _slot: &Slot, codes: Option<Codes>) -> Result<Option<Codes>, CodecError> {
        let Some(mut codes) = codes else { return Ok(None) };
        if codes.grid.iter().all(Option::is_some) {
            // A complete frame is shown before the network has seen it: only later frames need that.
            self.unseen = Some(codes.grid.clone());
        } else {
            codes.guesses = self.network.fill(&mut self.history, &codes.grid);
        }
        Ok(Some(codes))
    }

    fn settle(&mut self) -> Result<(), CodecError> {
        if let Some(grid) = self.unseen.take() {
            self.network.remember(&mut self.history, &grid);
        }
        Ok(())
    }

    fn cost(&self, slot: &Slot) -> Duration {
        if slot.exact { Duration::ZERO } else { self.cost }
    }
}

/// Takes the last code that stood at a place.
struct Copying {
    copies: Copies,
    cost: Duration,
}

impl Restorer<Codes> for Copying {
    fn restore(&mut self, _slot: &Slot, codes: Option<Codes>) -> Result<Option<Codes>, CodecError> {
        let Some(mut codes) = codes else { return Ok(None) };
        codes.guesses = self.copies.fill(&codes.grid);
        Ok(Some(codes))
    }

    fn cost(&self, slot: &Slot) -> Duration {
        if slot.exact { Duration::ZERO } else { self.cost }
    }
}

/// A frame that came to be generated. Reparo has neither key frames nor drift: tokens are exact if all are there.
fn slot(job: &Generate) -> Slot {
    let exact = job.grid.iter().all(Option::is_some);
    let arrival = match (exact, job.grid.iter().any(Option::is_some)) {
        (true, _) => Arrival::Whole,
        (false, true) => Arrival::Partial,
        (false, false) => Arrival::Nothing,
    };
    Slot { frame: job.frame, key: true, arrival, exact }
}

impl Receiving {
    /// Loads the networks and opens the store.
    pub fn new(options: &Options, variant: Variant, spec: &RunSpec, run_dir: &Path) -> Result<Self> {
        let pictures = open(options, variant, spec)?;
        let charge = options.charged(spec)?;
        let cost = charge.recover;
        let recovery: Box<dyn Restorer<Codes>> = match options.fill {
            Fill::Copy => {
                Box::new(Copying { copies: Copies::new(pictures.tokenizer(), variant.tokens()), cost })
            }
            Fill::Recovery => {
                let device = pictures.tokenizer().store().device();
                let path = options.recovery_file();
                let network = Recovery::load(&path, options.preset, pictures.tokenizer(), device)?;
                options.precision.set(network.store());
                let (columns, rows) = grid(variant);
                let history = network.history(columns, rows);
                Box::new(Guessing { network, history, unseen: None, cost })
            }
        };
        let clip = &spec.clip;
        let header =
            UnitsHeader::new(format(options, variant).to_string(), (clip.width, clip.height, clip.fps));
        let store = UnitsWriter::create(&run_dir.join(contract::units::file_name(Stream::Rgb)), &header)?;
        Ok(Self {
            places: pictures.codec().places(),
            pictures,
            recovery,
            first: true,
            store,
            decode: charge.decode,
        })
    }
}

impl Worker for Receiving {
    type Job = Task;
    type Done = Generated;

    fn run(&mut self, job: Task) -> Result<Generated, WorkerError> {
        let job = match job {
            Task::Generate(job) => job,
            Task::Refuse { theirs, ours } => {
                let text = "give both ends the same options and weights";
                return Err(format!("the sender's session is {theirs}, this one is {ours}: {text}").into());
            }
        };
        let slot = slot(&job);
        let Generate { frame, grid: received } = job;
        let grid = self.pictures.codec().receive(&mut self.places, frame, &received);
        let codes = self.recovery.restore(&slot, Some(Codes { grid, guesses: Vec::new() }))?;
        let Some(Codes { guesses, .. }) = codes else {
            return Ok(Generated { frame, picture: None });
        };
        let picture = self.pictures.picture(&self.places, &guesses).content_hash();
        let unit = Unit { frame, received, guesses }.to_bytes();
        self.store.append(&Entry::whole(frame, std::mem::take(&mut self.first), 0, unit))?;
        Ok(Generated { frame, picture: Some(picture) })
    }

    fn cost(&self, job: &Task) -> Duration {
        match job {
            Task::Generate(job) => self.recovery.cost(&slot(job)) + self.decode,
            Task::Refuse { .. } => Duration::ZERO,
        }
    }

    fn settle(&mut self) -> Result<(), WorkerError> {
        Ok(self.recovery.settle()?)
    }
}
