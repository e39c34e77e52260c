//! Where the two pictures of a slot come from: the clip that was captured, and the store of what was shown.

use super::raw::Raw;
use crate::launch::child::Failure;
use crate::record::read_events;
use anyhow::{Context as _, bail};
use codecs::{Slot, Stage};
use contract::unchanged::Unchanged;
use contract::units::{Entry, UnitsHeader, UnitsReader, file_name};
use contract::{ClipSpec, EventKind, FrameRow, Stream};
use media::convert::{Colour, Range, recolour};
use media::depth::DepthView;
use media::{Depth16, Format, Picture, Yuv420};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use video::{DepthReader, DepthSource, DepthUnit, Reader, SampleReader, Target, images};
use xxhash_rust::xxh3::Xxh3;

/// A captured picture.
#[derive(Clone, Debug)]
pub struct Shot {
    /// As the encoder got it.
    pub picture: Yuv420,
    /// Metric depth, where the clip has it.
    pub depth: Option<Depth16>,
}

impl Shot {
    /// Hash of the metric depth; 0 without one. Two depth pictures can have one 8-bit view (what is nearer or farther than
    /// its interval, or a few millimetres apart) and different errors.
    #[must_use]
    pub fn truth_hash(&self) -> u128 {
        self.depth.as_ref().map_or(0, |depth| {
            let mut hash = Xxh3::new();
            let mut bytes = [0; 4096];
            for some in depth.mm.chunks(bytes.len() / 2) {
                let (bytes, _) = bytes.split_at_mut(2 * some.len());
                bytes.chunks_exact_mut(2).zip(some).for_each(|(b, mm)| b.copy_from_slice(&mm.to_le_bytes()));
                hash.update(bytes);
            }
            hash.digest128()
        })
    }
}

/// How the samples of a stream are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Matrix and range of the picture.
    pub colour: Colour,
    /// The interval of the 8-bit view, when depth is metric.
    pub view: Option<DepthView>,
}

/// What a screen shows before any picture, in samples of this range: black, and "no measurement" in a depth view.
#[must_use]
pub fn black((width, height): (usize, usize), range: Range) -> Yuv420 {
    let luma = match range {
        Range::Limited => 16,
        Range::Full => 0,
    };
    Yuv420::filled(width, height, (luma, 128, 128))
}

/// The captured pictures of a stream, one after the other.
pub struct Captured {
    source: Source,
    files: Unchanged,
    meaning: Meaning,
    frames: u32,
    next: u32,
    /// The picture that the source reads next.
    read: u32,
    /// Those that were decoded before.
    raw: Option<Raw>,
}

enum Source {
    Video(Box<Reader>),
    Metric(Box<DepthReader>, DepthView),
}

impl Captured {
    /// Opens the clip's file of a stream.
    ///
    /// # Errors
    /// When the clip is not there any more, or is no video.
    pub fn open(clip: &ClipSpec, stream: Stream) -> anyhow::Result<Self> {
        let target = Target::new((clip.width as usize, clip.height as usize), (clip.fps, 1));
        let (path, hash) = clip.file(stream).context("the clip has no depth file")?;
        let files = Unchanged::of(images::files(path)?, hash)?;
        let source = match stream {
            Stream::Rgb => Source::Video(Box::new(Reader::open(path, &target)?)),
            Stream::Depth => {
                match (
                    DepthSource::open(path, &target, DepthUnit::of(clip.depth_per_metre))?,
                    clip.depth_range_mm,
                ) {
                    (DepthSource::Metric(reader), Some((near, far))) => {
                        Source::Metric(reader, DepthView::new(near, far)?)
                    }
                    (DepthSource::Metric(_), None) => {
                        bail!("{} is metric depth and the spec has no depth_range_mm", path.display())
                    }
                    (DepthSource::View(reader), _) => Source::Video(reader),
                }
            }
        };
        let meaning = match &source {
            Source::Video(reader) => Meaning { colour: reader.colour(), view: None },
            Source::Metric(_, view) => Meaning { colour: Colour::BT601, view: Some(*view) },
        };
        Ok(Self { source, meaning, frames: clip.frames, next: 0, read: 0, raw: None, files })
    }

    /// As [`open`](Self::open), with the pictures that are kept in the cache folder.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_kept(clip: &ClipSpec, stream: Stream, cache: Option<&Path>) -> anyhow::Result<Self> {
        let captured = Self::open(clip, stream)?;
        let raw = cache.and_then(|dir| Raw::open(dir, clip, stream, captured.meaning.view));
        Ok(Self { raw, ..captured })
    }

    /// How to understand the pictures.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// The frame that comes next.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// The picture of frame `frame`; frames are asked for in ascending order, those between are skipped.
    ///
    /// # Errors
    /// When the clip is shorter than the run says, or damaged.
    pub fn frame(&mut self, frame: u32) -> anyhow::Result<Shot> {
        anyhow::ensure!(
            frame >= self.next && frame < self.frames,
            "frame {frame} of the clip was asked for out of order"
        );
        if let Some(shot) = self.raw.as_mut().and_then(|raw| raw.read(frame)) {
            self.files.check()?;
            self.next = frame + 1;
            return Ok(shot);
        }
        let ends =
            |after: u32| format!("the clip ends after {after} frames, the run captured {}", self.frames);
        while self.read < frame {
            let passed = match &mut self.source {
                Source::Video(reader) => reader.pass_over()?,
                Source::Metric(reader, _) => reader.pass_over()?,
            };
            anyhow::ensure!(passed, ends(self.read));
            self.read += 1;
        }
        let shot = match &mut self.source {
            Source::Video(reader) => reader.next_frame()?.map(|picture| Shot { picture, depth: None }),
            Source::Metric(reader, view) => reader
                .next_frame()?
                .map(|depth| Shot { picture: view.to_yuv420(&depth, Range::Limited), depth: Some(depth) }),
        };
        // Before anything of it is kept under the clip's hash.
        self.files.check()?;
        let shot = shot.with_context(|| ends(self.read))?;
        if let Some(raw) = &mut self.raw {
            raw.write(frame, &shot);
        }
        (self.read, self.next) = (frame + 1, frame + 1);
        Ok(shot)
    }
}

/// How pictures of a stream are coded: as the clip's file says.
///
/// # Errors
/// When the clip cannot be read.
pub fn colour_of(clip: &ClipSpec, stream: Stream) -> anyhow::Result<Colour> {
    Ok(match stream {
        Stream::Rgb => video::probe(&clip.rgb)?.captured_colour(),
        Stream::Depth => Colour::BT601,
    })
}

/// What a system stored as its pictures is none of the contract's stores: the run has failed by this code.
fn bad_store(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Failure::error("bad_store", contract::said(&*error.into()))
}

/// What a receiver showed.
pub enum Shown {
    /// What its decoder was fed, to be decoded again.
    Units(Box<Units>),
    /// One picture per slot.
    Slots(Box<SlotVideo>),
}

/// Pictures of a video file, one per slot: a rate in the file's header means nothing, and nothing is scaled. Matrix and range that the
/// file names are turned into the clip's; where it is silent they are the clip's.
pub struct SlotVideo {
    reader: SampleReader,
    next: u32,
    ended: bool,
    /// The file's colours and the clip's.
    colours: (Colour, Colour),
    /// Per slot, whose picture is on the screen ([`on_screen`]); empty: every slot's own.
    screen: Vec<Option<u32>>,
    /// The picture on the screen, and the slot that it came with.
    held: Option<(u32, Arc<Yuv420>)>,
    /// The picture that pictures are compared with, and its slot.
    base: Option<(u32, Arc<Yuv420>)>,
    /// Per slot that brought a picture, the first one of those before it whose picture is as good as the same.
    since: HashMap<u32, u32>,
    /// Slots without a new picture for which the file holds another one than is on the screen.
    differs: Vec<u32>,
}

/// PSNR over all samples above which two pictures are as good as the same: less than one sample in a hundred and fifty is another, by the
/// least there is.
const SAME_DB: f64 = 70.0;
/// PSNR of luma below which two pictures differ visibly.
pub(super) const VISIBLE_DB: f64 = 40.0;

/// Per slot of a stream, the slot whose stored picture is on the screen: its own, or where nothing new came, that of the last one that was
/// shown, or of the first one in which a late frame's picture is on the screen. `None`: black.
#[must_use]
pub fn on_screen<'a>(rows: impl IntoIterator<Item = &'a FrameRow>) -> Vec<Option<u32>> {
    let (mut slots, mut frame, mut slot) = (Vec::new(), None, None);
    for row in rows {
        if row.is_shown() || row.shown_frame_id != frame {
            (frame, slot) = (row.shown_frame_id, row.shown_frame_id.map(|_| row.frame_id));
        }
        slots.push(slot);
    }
    slots
}

/// PSNR of luma.
pub(super) fn luma_psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    psnr(squared(&a.y, &b.y), a.y.len())
}

fn squared(a: &[u8], b: &[u8]) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

#[allow(clippy::cast_precision_loss)] // below 2^53 for any picture
fn psnr(error: u64, samples: usize) -> f64 {
    10.0 * (65_025.0 / (error as f64 / samples.max(1) as f64).max(1e-9)).log10()
}

fn is_same(a: &Yuv420, b: &Yuv420) -> bool {
    let error = squared(&a.y, &b.y) + squared(&a.u, &b.u) + squared(&a.v, &b.v);
    psnr(error, a.y.len() + a.u.len() + a.v.len()) > SAME_DB
}

impl SlotVideo {
    fn open(path: &Path, clip: &ClipSpec, captured: Colour) -> anyhow::Result<Self> {
        let reader = SampleReader::open(path)?;
        let (size, wanted) = (reader.size(), (clip.width as usize, clip.height as usize));
        anyhow::ensure!(
            size == wanted,
            "{} has pictures of {}x{}, the clip {}x{}: a store holds what was on the screen, at the clip's size",
            path.display(),
            size.0,
            size.1,
            wanted.0,
            wanted.1
        );
        let format = reader.format();
        anyhow::ensure!(
            matches!(format, Format::YUV420 | Format::GREY),
            "{} has pictures in {format}: a store holds 8-bit 4:2:0 (`-pix_fmt yuv420p`)",
            path.display()
        );
        let (said, tags) = (reader.colour(), &reader.info().tags);
        let own = Colour {
            matrix: if tags.matrix.is_some() { said.matrix } else { captured.matrix },
            range: if tags.range.is_some() { said.range } else { captured.range },
        };
        let (next, ended, screen) = (0, false, Vec::new());
        let (held, base, since, differs) = (None, None, HashMap::new(), Vec::new());
        Ok(Self { reader, next, ended, colours: (own, captured), screen, held, base, since, differs })
    }

    /// Takes the next slot's picture.
    fn read(&mut self) -> anyhow::Result<()> {
        let Some(mut picture) = self.reader.next_picture().map_err(bad_store)?.and_then(Picture::into_yuv420)
        else {
            self.ended = true;
            return Ok(());
        };
        let slot = self.next;
        self.next = slot.saturating_add(1);
        let (own, captured) = self.colours;
        recolour(&mut picture, own, captured);
        if self.screen.get(slot as usize).is_none_or(|on| *on == Some(slot)) {
            let picture = Arc::new(picture);
            self.held = Some((slot, picture.clone()));
            if !self.screen.is_empty() {
                let base = self.base.take().filter(|(_, base)| is_same(base, &picture));
                let base = base.unwrap_or((slot, picture));
                self.since.insert(slot, base.0);
                self.base = Some(base);
            }
        } else if let Some((_, held)) = &self.held
            && luma_psnr(held, &picture) < VISIBLE_DB
        {
            self.differs.push(slot);
        }
        Ok(())
    }
}

/// How many times the bytes of its pictures, uncoded, a store may have, and how many besides: no codec needs more, and whatever else
/// is in the file the harness would have to read.
const STORE_FACTOR: u64 = 4;
const STORE_BESIDES: u64 = 16 << 20;

impl Shown {
    /// Opens `rendered.<stream>.units`, or `rendered.<stream>.mkv` or `.y4m`, of a run directory; `None` if there is
    /// none. `captured`: the colours of the clip's pictures.
    ///
    /// # Errors
    /// When the store is damaged or of a codec that is not known.
    pub fn open(
        dir: &Path,
        clip: &ClipSpec,
        stream: Stream,
        captured: Colour,
    ) -> anyhow::Result<Option<Self>> {
        let base = dir.join(format!("rendered.{}", stream.name()));
        let with =
            |extension: &str| -> PathBuf { base.with_extension(format!("{}.{extension}", stream.name())) };
        let found: Vec<PathBuf> =
            ["units", "mkv", "y4m"].map(with).into_iter().filter(|p| p.is_file()).collect();
        let [store] = &found[..] else {
            let [first, second, ..] = &found[..] else { return Ok(None) };
            let (first, second) = (first.display(), second.display());
            return Err(bad_store(anyhow::anyhow!(
                "{first} and {second} say both what was shown: write one of them"
            )));
        };
        let pictures = u64::from(clip.width) * u64::from(clip.height) * 3 / 2 * u64::from(clip.frames);
        let size = std::fs::metadata(store).map_or(0, |m| m.len());
        if size > STORE_FACTOR * pictures + STORE_BESIDES {
            return Err(bad_store(anyhow::anyhow!(
                "{} has {size} bytes; uncoded the {} pictures of {}x{} have {pictures}",
                store.display(),
                clip.frames,
                clip.width,
                clip.height
            )));
        }
        if store.extension().is_some_and(|e| e == "units") {
            Units::open(dir, stream).map(|u| Some(Self::Units(Box::new(u))))
        } else {
            let video = SlotVideo::open(store, clip, captured).map_err(bad_store)?;
            Ok(Some(Self::Slots(Box::new(video))))
        }
    }

    /// What the picture of a slot is known by before it is decoded: `None` if only decoding tells.
    #[must_use]
    pub fn key(&self, shown: u32) -> Option<u128> {
        match self {
            Self::Units(units) => units.key(shown),
            Self::Slots(_) => None,
        }
    }

    /// Pictures of a video of slots after the first `slots`; reads to its end.
    ///
    /// # Errors
    /// When the store cannot be read or decoded.
    pub fn surplus(&mut self, slots: u32) -> anyhow::Result<u32> {
        let Self::Slots(video) = self else { return Ok(0) };
        while !video.ended {
            video.read()?;
        }
        Ok(video.next.saturating_sub(slots))
    }

    /// Tells a video of slots what is on the screen in each ([`on_screen`]): its picture stays where nothing new came, whatever the file
    /// holds for such a slot.
    pub fn keep_the_screen(&mut self, screen: Vec<Option<u32>>) {
        if let Self::Slots(video) = self {
            video.screen = screen;
        }
    }

    /// Of a video of slots that was read to its end: per slot the first one of those before it whose picture is as good as the same; and
    /// slots without a new picture for which it holds another one.
    #[must_use]
    pub fn compared(&self) -> Option<(&HashMap<u32, u32>, &[u32])> {
        match self {
            Self::Slots(video) => Some((&video.since, &video.differs)),
            Self::Units(_) => None,
        }
    }

    /// The picture on the screen in slot `slot`, that of frame `shown`; slots are asked for in ascending order. `None` if the
    /// store holds no such picture.
    ///
    /// # Errors
    /// When the store cannot be read or decoded.
    pub fn picture(&mut self, slot: u32, shown: u32) -> anyhow::Result<Option<Yuv420>> {
        match self {
            Self::Units(units) => units.picture(shown),
            Self::Slots(video) => {
                while video.next <= slot && !video.ended {
                    video.read()?;
                }
                let is_there = video.next > slot;
                Ok(video.held.as_ref().filter(|_| is_there).map(|(_, picture)| Yuv420::clone(picture)))
            }
        }
    }
}

/// A store of units: what the receiver's decoder and recovery were fed, run through both again.
///
/// The decoder begins anew at every whole key frame, whatever came before: without a recovery that makes pictures, a picture is a
/// function of the units since that key frame alone, which is what makes hashes reusable. With one, it depends on everything before.
pub struct Units {
    path: PathBuf,
    header: UnitsHeader,
    index: Vec<Place>,
    /// Position of a frame's last entry in `index`.
    places: HashMap<u32, usize>,
    /// Of a store of the first form, which does not say it itself: whole key frames.
    whole_keys: Option<BTreeSet<u32>>,
    reader: UnitsReader,
    stage: Stage,
    /// The stage has been fed the entry before `next`, or is to begin a segment.
    running: bool,
    next: usize,
    recent: VecDeque<(u32, Yuv420)>,
}

/// Where an entry stands among the others.
struct Place {
    frame: u32,
    /// Hash of everything since the start of its segment, itself included.
    key: u128,
    /// First entry of its segment.
    start: usize,
}

/// Pictures that the stage gave and that may still be asked for (a decoder may run ahead of the screen).
const RECENT: usize = 8;

impl Units {
    fn open(dir: &Path, stream: Stream) -> anyhow::Result<Self> {
        crate::networks::register();
        let path = dir.join(file_name(stream));
        let mut reader = UnitsReader::open(&path).map_err(bad_store)?;
        let header = reader.header().clone();
        let whole_keys = if reader.has_flags() { None } else { Some(whole_keys(dir, stream)?) };
        check_files(&path, &header)?;
        let stage = Stage::open(&header, stream)
            .with_context(|| format!("failed to open a decoder for {}", path.display()))?;
        let made_by = format!("{} {}", serde_json::to_string(&header)?, stage.made_by());
        let everything = header.recovery.as_ref().is_some_and(|r| r.makes_pictures);
        let mut index = Vec::new();
        let mut places = HashMap::new();
        let mut hash = Xxh3::new();
        let mut start = 0;
        while let Some(entry) = next_entry(&mut reader, whole_keys.as_ref()).map_err(bad_store)? {
            let begins = stage.is_stateless() || Slot::of(&entry).is_fresh();
            if index.is_empty() || (begins && !everything) {
                start = index.len();
                hash = Xxh3::new();
                hash.update(made_by.as_bytes());
            }
            let unit = entry.unit.as_deref().unwrap_or_default();
            hash.update(&[entry.key, entry.whole, entry.exact, entry.unit.is_some()].map(u8::from));
            hash.update(&[entry.qp]);
            hash.update(&(unit.len() as u64).to_le_bytes());
            hash.update(unit);
            // Settings and networks may look at the frame's number (a codec that begins anew every 64 frames).
            if !header.settings.is_empty() || everything {
                hash.update(&entry.frame.to_le_bytes());
            }
            places.insert(entry.frame, index.len());
            index.push(Place { frame: entry.frame, key: hash.digest128(), start });
        }
        Ok(Self {
            reader: UnitsReader::open(&path)?,
            path,
            header,
            index,
            places,
            whole_keys,
            stage,
            running: false,
            next: 0,
            recent: VecDeque::new(),
        })
    }

    fn find(&self, frame: u32) -> Option<usize> {
        self.places.get(&frame).copied()
    }

    fn key(&self, frame: u32) -> Option<u128> {
        self.find(frame).map(|i| self.index[i].key)
    }

    fn picture(&mut self, frame: u32) -> anyhow::Result<Option<Yuv420>> {
        if let Some((_, picture)) = self.recent.iter().rev().find(|(f, _)| *f == frame) {
            return Ok(Some(picture.clone()));
        }
        let Some(wanted) = self.find(frame) else { return Ok(None) };
        if wanted < self.next {
            // Too long ago: from the start again. Screens do not go back that far, so this costs nothing in practice.
            self.reader = UnitsReader::open(&self.path)?;
            (self.next, self.running) = (0, false);
        }
        // What lies before the wanted segment need not be decoded.
        let from = self.index[wanted].start;
        while self.next <= wanted {
            let (at, place) = (self.next, &self.index[self.next]);
            let (frame, start) = (place.frame, place.start);
            let entry = next_entry(&mut self.reader, self.whole_keys.as_ref())?;
            self.next += 1;
            let Some(entry) = entry.filter(|_| at >= from) else { continue };
            if at == start || !self.running {
                self.stage.restart()?;
                self.running = true;
            }
            let outcome = self
                .stage
                .run(entry)
                .with_context(|| format!("failed to decode frame {frame} of {}", self.path.display()))?;
            if let Some(picture) = outcome.shown {
                let size = (self.header.width as usize, self.header.height as usize);
                anyhow::ensure!(
                    (picture.width, picture.height) == size,
                    "{}: frame {frame} decodes to {}x{}, the header says {}x{}",
                    self.path.display(),
                    picture.width,
                    picture.height,
                    size.0,
                    size.1
                );
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back((frame, picture));
            }
        }
        Ok(self.recent.iter().rev().find(|(f, _)| *f == frame).map(|(_, p)| p.clone()))
    }
}

/// The next entry, its flags filled in where the store has none.
fn next_entry(reader: &mut UnitsReader, whole_keys: Option<&BTreeSet<u32>>) -> anyhow::Result<Option<Entry>> {
    let mut entry = reader.read()?;
    if let (Some(entry), Some(whole_keys)) = (&mut entry, whole_keys) {
        entry.key = whole_keys.contains(&entry.frame);
        (entry.whole, entry.exact) = (true, true);
    }
    Ok(entry)
}

/// Key frames that arrived whole, by the record's events.
fn whole_keys(dir: &Path, stream: Stream) -> anyhow::Result<BTreeSet<u32>> {
    let [mut key, mut complete, mut lost] = [(); 3].map(|()| BTreeSet::new());
    for event in read_events(&dir.join("events.jsonl"))? {
        match event?.kind {
            EventKind::Encoded { frame, stream: s, key: Some(true), .. } if s == stream => key.insert(frame),
            EventKind::Complete { frame, stream: s, .. } if s == stream => complete.insert(frame),
            EventKind::Lost { frame, stream: s, .. } if s == stream => lost.insert(frame),
            _ => false,
        };
    }
    Ok(key.into_iter().filter(|f| complete.contains(f) && !lost.contains(f)).collect())
}

/// Refuses weights that are not those of the run.
fn check_files(path: &Path, header: &UnitsHeader) -> anyhow::Result<()> {
    let cache = contract::digest::cache_folder();
    let recovery = header.recovery.iter().flat_map(|r| &r.files);
    for (file, wanted) in header.files.iter().chain(recovery) {
        let found = contract::digest::sha256(file, cache.as_deref()).with_context(|| {
            format!("{} was made with the weights {}, which cannot be read", path.display(), file.display())
        })?;
        anyhow::ensure!(
            found == *wanted,
            "{} was made with other weights than {} now holds (SHA-256 {wanted}, now {found}); put them back or run again",
            path.display(),
            file.display()
        );
    }
    Ok(())
}
