//! The neural work: tokens of captured pictures, pictures of arrived tokens.

use super::{Fill, Options, Packing, Session, Wanted};
use anyhow::{Context, Result, bail, ensure};
use codecs::{Arrival, CodecError, Restorer, Slot};
use contract::units::{Entry, UnitsHeader, UnitsReader, UnitsWriter};
use contract::{RunSpec, Stream};
use media::Yuv420;
use models::token_codec::Encoding;
use models::token_pictures::{Format, TokenPictures, Unit};
use models::token_recovery::{Copies, History, Recovery};
use models::tokenizer::Places;
use std::path::Path;
use std::time::Duration;
use sut_core::wire::reparo::{PACKETS, Variant};
use sut_core::wire::reparo_variants::{Setting, Variants};
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
    /// What it is to have.
    pub wanted: Wanted,
}

/// An encoded frame.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Captured frame.
    pub frame: u32,
    /// What is sent of it.
    pub packets: [Vec<u8>; PACKETS as usize],
}

/// Generate a frame from what arrived of it.
#[derive(Clone, Debug)]
pub struct Generate {
    /// Captured frame.
    pub frame: u32,
    /// Number of its variant.
    pub variant: usize,
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

fn open(options: &Options, variants: &Variants, spec: &RunSpec) -> Result<TokenPictures> {
    let size = (spec.clip.width as usize, spec.clip.height as usize);
    let pictures = TokenPictures::open(&options.weights_folder(), &format(options, variants), size)?;
    let (have, want) = (pictures.codec(0).codes(), options.codes as usize);
    ensure!(
        have == want,
        "option codes: the weights have {have} codes, packets are made for {want}: use weights of that codebook"
    );
    Ok(pictures)
}

fn format(options: &Options, variants: &Variants) -> Format {
    let grid = |variant: &Variant| (usize::from(variant.columns()), usize::from(variant.rows()));
    Format {
        preset: options.preset,
        grids: variants.all().iter().map(grid).collect(),
        precision: options.precision,
        memory: options.memory,
    }
}

/// The sender's worker. The tokens of a clip depend on nothing but the clip, the weights and what is sent, so
/// they are made once and kept in the run's cache, unless the receiver has a say in it.
pub struct Sending {
    source: Source,
    packing: Packing,
    cost: Duration,
}

enum Source {
    Live { encoder: Box<Encoder>, frames: Pictures },
    Cached(Box<UnitsReader>),
}

/// Makes tokens.
struct Encoder {
    pictures: TokenPictures,
    session: Session,
    /// Of the newest frame.
    variant: usize,
    encoding: Encoding,
}

impl Encoder {
    fn new(pictures: TokenPictures, session: &Session) -> Self {
        let variant = session.wanted(0).setting.variant;
        let encoding = pictures.codec(variant).encoding();
        Self { pictures, session: session.clone(), variant, encoding }
    }

    fn tokens(&mut self, frame: u32, setting: Setting, picture: &Yuv420) -> Vec<u16> {
        if setting.variant != self.variant {
            // Another grid begins as a call does.
            self.variant = setting.variant;
            self.encoding = self.pictures.codec(self.variant).encoding();
        }
        let sent = self.session.sent(frame, setting);
        self.pictures.tokens(self.variant, &mut self.encoding, frame, picture, &sent)
    }

    fn settle(&mut self) {
        self.pictures.codec(self.variant).settle(&mut self.encoding);
    }
}

impl Sending {
    /// Opens the clip, or its tokens.
    pub fn new(options: &Options, session: &Session, spec: &RunSpec) -> Result<Self> {
        let pictures = open(options, &session.variants, spec)?;
        let format = format(options, &session.variants);
        let source = match &spec.cache {
            Some(directory) if session.adapt.is_none() => {
                Source::Cached(Box::new(cached(pictures, &format, session, spec, directory)?))
            }
            _ => {
                let frames = clip::opener(&spec.clip, Stream::Rgb)()?;
                Source::Live { encoder: Box::new(Encoder::new(pictures, session)), frames }
            }
        };
        Ok(Self { source, packing: Packing::new(session), cost: options.charged(spec)?.encode })
    }

    fn tokens(&mut self, frame: u32, setting: Setting) -> Result<Vec<u16>> {
        match &mut self.source {
            Source::Live { encoder, frames } => {
                let picture =
                    frames.next()?.with_context(|| format!("the clip ends before captured frame {frame}"))?;
                Ok(encoder.tokens(frame, setting, &picture))
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
    pictures: TokenPictures,
    format: &Format,
    session: &Session,
    spec: &RunSpec,
    directory: &Path,
) -> Result<UnitsReader> {
    let codec = format.to_string();
    let weights = pictures.weights().to_owned();
    let (clip, frames) = (&spec.clip.hash, spec.clip.frames);
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    // Coding has a say in it under a target.
    let plan = (&session.plan, session.variants.is_coded());
    let hash = |path: &Path| contract::digest::sha256(path, contract::digest::cache_folder().as_deref());
    let torch = codecs::identity::library("libtorch_cpu", &hash);
    let made_by =
        format!("{ENCODING_SOURCES} {} {torch:?} {:?}", crate::SOURCES, codecs::identity::libraries(&hash));
    let key = format!("{made_by}\n{codec}\n{weights}\n{clip}\n{frames}\n{width}x{height}@{fps}\n{plan:?}");
    let key = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    let path = directory.join("encoded").join(format!("{key:032x}.tokens"));
    let header = UnitsHeader::new(codec, (width, height, fps));
    kept::units(&path, &header, |writer| {
        let mut clip = clip::opener(&spec.clip, Stream::Rgb)()?;
        let (mut encoder, mut packing) = (Encoder::new(pictures, session), Packing::new(session));
        for frame in 0..frames {
            let picture =
                clip.next()?.with_context(|| format!("the clip ends before captured frame {frame}"))?;
            let wanted = session.wanted(frame);
            let setting = packing.setting(wanted);
            let tokens = encoder.tokens(frame, setting, &picture);
            _ = packing.pack(wanted, setting, frame, &tokens);
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
        let Encode { frame, wanted } = job;
        let setting = self.packing.setting(wanted);
        let tokens = self.tokens(frame, setting)?;
        Ok(Encoded { frame, packets: self.packing.pack(wanted, setting, frame, &tokens) })
    }

    fn cost(&self, _job: &Encode) -> Duration {
        self.cost
    }

    fn settle(&mut self) -> Result<(), WorkerError> {
        if let Source::Live { encoder, .. } = &mut self.source {
            encoder.settle();
        }
        Ok(())
    }
}

/// The receiver's worker: recovers tokens, decodes, and stores what the decoder was fed.
pub struct Receiving {
    pictures: TokenPictures,
    recovery: Box<dyn Restorer<Codes>>,
    /// Number of the variant of the newest frame, and what came of the frames since it is in use.
    variant: usize,
    places: Places,
    /// Nothing was stored yet.
    first: bool,
    store: UnitsWriter,
    decode: Duration,
}

/// The codes that stand at the places of a frame, and guesses where none does: code vectors, one after the other.
struct Codes {
    /// Number of their variant.
    variant: usize,
    grid: Vec<Option<u16>>,
    guesses: Vec<f32>,
}

/// Guesses with a network.
struct Guessing {
    network: Recovery,
    /// Columns and rows of each variant.
    grids: Vec<(usize, usize)>,
    /// Of the variant that is in use.
    variant: usize,
    history: History,
    /// A complete frame that it has not seen yet.
    unseen: Option<Vec<Option<u16>>>,
    cost: Duration,
}

impl Restorer<Codes> for Guessing {
    fn restore(&mut self, _slot: &Slot, codes: Option<Codes>) -> Result<Option<Codes>, CodecError> {
        let Some(mut codes) = codes else { return Ok(None) };
        if codes.variant != self.variant {
            let (columns, rows) = self.grids[codes.variant];
            (self.variant, self.history) = (codes.variant, self.network.history(columns, rows));
        }
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
    /// Before anything came, of each variant.
    fresh: Vec<Copies>,
    /// Of the variant that is in use.
    variant: usize,
    copies: Copies,
    cost: Duration,
}

impl Restorer<Codes> for Copying {
    fn restore(&mut self, _slot: &Slot, codes: Option<Codes>) -> Result<Option<Codes>, CodecError> {
        let Some(mut codes) = codes else { return Ok(None) };
        if codes.variant != self.variant {
            (self.variant, self.copies) = (codes.variant, self.fresh[codes.variant].clone());
        }
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
    pub fn new(options: &Options, variants: &Variants, spec: &RunSpec, run_dir: &Path) -> Result<Self> {
        let pictures = open(options, variants, spec)?;
        let format = format(options, variants);
        let charge = options.charged(spec)?;
        let cost = charge.recover;
        let recovery: Box<dyn Restorer<Codes>> = match options.fill {
            Fill::Copy => {
                let of = |(columns, rows): &(usize, usize)| Copies::new(pictures.tokenizer(), columns * rows);
                let fresh: Vec<Copies> = format.grids.iter().map(of).collect();
                Box::new(Copying { copies: fresh[0].clone(), fresh, variant: 0, cost })
            }
            Fill::Recovery => {
                let device = pictures.tokenizer().store().device();
                let path = options.recovery_file();
                let network = Recovery::load(&path, options.preset, pictures.tokenizer(), device)?;
                options.precision.set(network.store());
                let grids = format.grids.clone();
                let history = network.history(grids[0].0, grids[0].1);
                Box::new(Guessing { network, grids, variant: 0, history, unseen: None, cost })
            }
        };
        let clip = &spec.clip;
        let header = UnitsHeader::new(format.to_string(), (clip.width, clip.height, clip.fps));
        let store = UnitsWriter::create(&run_dir.join(contract::units::file_name(Stream::Rgb)), &header)?;
        Ok(Self {
            variant: 0,
            places: pictures.codec(0).places(),
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
        let Generate { frame, variant, grid: received } = job;
        if variant != self.variant {
            (self.variant, self.places) = (variant, self.pictures.codec(variant).places());
        }
        let grid = self.pictures.codec(variant).receive(&mut self.places, frame, &received);
        let codes = self.recovery.restore(&slot, Some(Codes { variant, grid, guesses: Vec::new() }))?;
        let Some(Codes { guesses, .. }) = codes else {
            return Ok(Generated { frame, picture: None });
        };
        let picture = self.pictures.picture(variant, &self.places, &guesses).content_hash();
        let unit = self.pictures.unit_bytes(&Unit { frame, grid: variant, received, guesses });
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
