//! The neural work: tokens of captured pictures, pictures of arrived tokens.

use super::{Fill, Options, Session};
use anyhow::{Context, Result, bail, ensure};
use codecs::{Arrival, CodecError, Restorer, Slot};
use contract::units::{Entry, UnitsHeader, UnitsReader, UnitsWriter};
use contract::{RunSpec, Stream};
use models::token_pictures::{Format, TokenPictures};
use models::token_recovery::{Copies, History, Recovery};
use models::tokenizer::{Carry, Memory, Preset};
use std::path::Path;
use std::time::Duration;
use sut_core::wire::reparo::Variant;
use sut_core::{Worker, WorkerError};
use systems::clip;
use systems::encode::Pictures;
use systems::identity::ENCODING_SOURCES;
use systems::kept;

pub(super) const PRESET: Preset = Preset::Lite;

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
    let (have, want) = (pictures.tokenizer().codes(), variant.codes() as usize);
    ensure!(
        have == want,
        "the tokenizer's weights have {have} codes, packets are made for {want}: use weights of that codebook"
    );
    Ok(pictures)
}

fn format(options: &Options, variant: Variant) -> Format {
    Format { preset: PRESET, grid: grid(variant), precision: options.precision }
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
    Live { pictures: Box<TokenPictures>, carry: Box<Carry>, frames: Pictures },
    Cached(Box<UnitsReader>),
}

impl Sending {
    /// Opens the clip, or its tokens.
    pub fn new(options: &Options, session: &Session, spec: &RunSpec) -> Result<Self> {
        let variant = session.variant;
        let pictures = open(options, variant, spec)?;
        let carry = Carry::default();
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
                Source::Live { pictures: Box::new(pictures), carry: Box::new(carry), frames }
            }
        };
        Ok(Self { session: session.clone(), source, cost: options.charged(spec)?.encode })
    }

    fn tokens(&mut self, frame: u32) -> Result<Vec<u16>> {
        match &mut self.source {
            Source::Live { pictures, carry, frames } => {
                let picture =
                    frames.next()?.with_context(|| format!("the clip ends before captured frame {frame}"))?;
                Ok(pictures.tokens(carry, &picture, Some(&self.session.sent(frame))))
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
    let kept = session.kept;
    let hash = |path: &Path| contract::digest::sha256(path, contract::digest::cache_folder().as_deref());
    let torch = codecs::identity::library("libtorch_cpu", &hash);
    let made_by =
        format!("{ENCODING_SOURCES} {} {torch:?} {:?}", crate::SOURCES, codecs::identity::libraries(&hash));
    let key = format!("{made_by}\n{codec}\n{weights}\n{clip}\n{frames}\n{width}x{height}@{fps}\n{kept}");
    let key = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    let path = directory.join("encoded").join(format!("{key:032x}.tokens"));
    let header = UnitsHeader::new(codec, (width, height, fps));
    kept::units(&path, &header, |writer| {
        let mut clip = clip::opener(&spec.clip, Stream::Rgb)()?;
        let mut carry = Carry::default();
        for frame in 0..frames {
            let picture =
                clip.next()?.with_context(|| format!("the clip ends before captured frame {frame}"))?;
            let tokens = pictures.tokens(&mut carry, &picture, Some(&session.sent(frame)));
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
}

/// The receiver's worker: recovers tokens, decodes, and stores what the decoder was fed.
pub struct Receiving {
    pictures: TokenPictures,
    recovery: Box<dyn Restorer<Tokens>>,
    memory: Memory,
    store: UnitsWriter,
    decode: Duration,
}

/// The tokens of a frame, and guesses of those that did not arrive: their features, one after the other.
struct Tokens {
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

impl Restorer<Tokens> for Guessing {
    fn restore(&mut self, slot: &Slot, tokens: Option<Tokens>) -> Result<Option<Tokens>, CodecError> {
        let Some(mut tokens) = tokens else { return Ok(None) };
        if slot.exact {
            // A complete frame is shown before the network has seen it: only later frames need that.
            self.unseen = Some(tokens.grid.clone());
        } else {
            tokens.guesses = self.network.fill(&mut self.history, &tokens.grid);
        }
        Ok(Some(tokens))
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

/// Takes the last token that arrived at a place.
struct Copying {
    copies: Copies,
    cost: Duration,
}

impl Restorer<Tokens> for Copying {
    fn restore(&mut self, _slot: &Slot, tokens: Option<Tokens>) -> Result<Option<Tokens>, CodecError> {
        let Some(mut tokens) = tokens else { return Ok(None) };
        tokens.guesses = self.copies.fill(&tokens.grid);
        Ok(Some(tokens))
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
        let recovery: Box<dyn Restorer<Tokens>> = match options.fill {
            Fill::Copy => {
                Box::new(Copying { copies: Copies::new(pictures.tokenizer(), variant.tokens()), cost })
            }
            Fill::Recovery => {
                let path =
                    options.weights_folder().join(format!("reparo-recovery-{}.safetensors", PRESET.name()));
                let device = pictures.tokenizer().store().device();
                let network = Recovery::load(&path, PRESET, pictures.tokenizer(), device)?;
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
            memory: pictures.tokenizer().memory(variant.tokens()),
            pictures,
            recovery,
            store,
            decode: charge.decode,
        })
    }
}

impl Worker for Receiving {
    type Job = Generate;
    type Done = Generated;

    fn run(&mut self, job: Generate) -> Result<Generated, WorkerError> {
        let slot = slot(&job);
        let tokens = Tokens { grid: job.grid, guesses: Vec::new() };
        let Some(Tokens { grid, guesses }) = self.recovery.restore(&slot, Some(tokens))? else {
            return Ok(Generated { frame: slot.frame, picture: None });
        };
        let view = self.memory.see(&grid, &guesses);
        self.store.append(&Entry::whole(slot.frame, true, 0, view.to_bytes()))?;
        Ok(Generated { frame: slot.frame, picture: Some(self.pictures.picture(&view).content_hash()) })
    }

    fn cost(&self, job: &Generate) -> Duration {
        self.recovery.cost(&slot(job)) + self.decode
    }

    fn settle(&mut self) -> Result<(), WorkerError> {
        Ok(self.recovery.settle()?)
    }
}
