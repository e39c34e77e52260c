//! Through the slots of a finished run: what was captured, what was on the screen, and what of it is damaged.

use anyhow::{Context as _, ensure};
use codecs::restore::{Arrival, CONTINUE, NONE};
use codecs::{DecoderConfig, Unit, VideoDecoder, registry};
use contract::units::{Entry, UnitsReader};
use contract::{FrameRow, LossCause, RunSpec, Status, Stream};
use freezeframe::record::{join, read_events};
use freezeframe::score::pictures::{Captured, Meaning, Shot, Shown, black};
use freezeframe::score::slots_of;
use media::Yuv420;
use models::lossrec::history::{History, Sight};
use models::lossrec::samples::Damage;
use std::collections::BTreeMap;
use std::path::Path;

/// A slot of a run, in order.
pub struct Slot<'a> {
    /// Captured frame.
    pub frame: u32,
    /// What is wrong with it; nothing for a frame that was rendered.
    pub damage: Option<Damage>,
    /// The picture that was captured.
    pub captured: &'a Shot,
    /// As a restorer is told.
    pub slot: codecs::restore::Slot,
    /// With the decoder as it was.
    pub plain: View<'a>,
    /// With a decoder that goes on from its latest picture where the one that is referred to is missing.
    pub going_on: View<'a>,
}

/// What a decoder made of a slot.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What it gave for it in time.
    pub decoded: Option<&'a Yuv420>,
    /// What the screen shows without recovery.
    pub shown: &'a Yuv420,
    /// What there is to recover it from.
    pub sight: Option<Sight<'a>>,
}

/// A stream of a finished run.
pub struct Stored {
    /// How it was asked for.
    pub spec: RunSpec,
    /// Which stream.
    pub stream: Stream,
    /// What it was coded with.
    pub codec: String,
    /// What its pictures mean.
    pub meaning: Meaning,
    /// Slots after these are skipped.
    pub limit: usize,
    rows: Vec<FrameRow>,
    captured: Captured,
    shown: Shown,
    going_on: Option<GoingOn>,
}

/// Decodes the units of a run once more.
struct GoingOn {
    units: BTreeMap<u32, Entry>,
    decoder: Box<dyn VideoDecoder>,
}

impl GoingOn {
    /// `None` for a codec whose decoder goes on in any case.
    fn open(dir: &Path, stream: Stream, codec: &str) -> anyhow::Result<Option<Self>> {
        let settings = CONTINUE.decoder_settings(codec);
        if settings.is_empty() {
            return Ok(None);
        }
        let mut reader = UnitsReader::open(&dir.join(contract::units::file_name(stream)))?;
        let (width, height) = (reader.header().width, reader.header().height);
        let decoder =
            registry::open_decoder(&DecoderConfig { codec: codec.to_owned(), width, height, settings })?;
        let mut units = BTreeMap::new();
        while let Some(entry) = reader.read()? {
            units.insert(entry.frame, entry);
        }
        Ok(Some(Self { units, decoder }))
    }

    fn decode(&mut self, frame: u32) -> anyhow::Result<Option<Yuv420>> {
        let Some(entry) = self.units.remove(&frame) else { return Ok(None) };
        if codecs::Slot::of(&entry).is_fresh() {
            self.decoder.reset()?;
        }
        let Entry { key, qp, unit: Some(bytes), .. } = entry else { return Ok(None) };
        Ok(self.decoder.decode(frame, &Unit { bytes, key, qp })?)
    }
}

/// What a screen without recovery has come to.
struct Past {
    history: History,
    decoded: Option<Yuv420>,
}

impl Past {
    fn new(codec: &str, stream: Stream) -> Self {
        Self { history: History::new(codec == "h265", stream == Stream::Depth), decoded: None }
    }

    fn decoded(&mut self, frame: u32, picture: Option<Yuv420>, damaged: bool) {
        if let Some(picture) = picture.as_ref().filter(|_| damaged) {
            self.history.decoded(frame, picture, false);
        }
        self.decoded = picture;
    }

    fn view<'a>(&'a self, frame: u32, black: &'a Yuv420) -> View<'a> {
        let decoded = self.decoded.as_ref();
        let shown = decoded.or(self.history.shown()).unwrap_or(black);
        View { decoded, shown, sight: self.history.sight(frame) }
    }

    /// The slot is over: what was good about it is there for the next ones.
    fn pass(&mut self, frame: u32, damaged: bool) {
        if let Some(picture) = self.decoded.as_ref().filter(|_| !damaged) {
            self.history.decoded(frame, picture, true);
        }
    }
}

impl Stored {
    /// Opens a run directory.
    ///
    /// # Errors
    /// When the run or its clip is missing or damaged, or its codec's pictures do not depend on each other.
    pub fn open(dir: &Path, stream: Stream) -> anyhow::Result<Self> {
        let spec = RunSpec::read(dir)?;
        let joined = join(read_events(&dir.join("events.jsonl"))?, None, &slots_of(&spec))?;
        let rows: Vec<FrameRow> = joined.rows.into_iter().filter(|r| r.stream == stream).collect();
        let codec = codec(dir, stream)?;
        let captured = Captured::open(&spec.clip, stream)?;
        let meaning = captured.meaning();
        let shown = Shown::open(dir, &spec.clip, stream, meaning.colour)?
            .with_context(|| format!("{} holds no {} pictures", dir.display(), stream.name()))?;
        let going_on = GoingOn::open(dir, stream, &codec)?;
        Ok(Self { going_on, meaning, limit: usize::MAX, spec, stream, codec, rows, captured, shown })
    }

    /// Calls `visit` with every slot.
    ///
    /// # Errors
    /// When the clip or the store is damaged; what `visit` returns.
    pub fn walk(mut self, mut visit: impl FnMut(&Slot) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let size = (self.spec.clip.width as usize, self.spec.clip.height as usize);
        let black = black(size, self.meaning.colour.range);
        let [mut plain, mut going_on] = [0, 1].map(|_| Past::new(&self.codec, self.stream));
        for row in self.rows.iter().take(self.limit) {
            let frame = row.frame_id;
            let captured = self.captured.frame(frame)?;
            let damage = damage(row);
            let decoded = match row.shown_frame_id {
                Some(of) if matches!(row.status, Status::Rendered | Status::Concealed) => {
                    let picture = self.shown.picture(frame, of)?;
                    Some(picture.with_context(|| format!("the store of the run lacks frame {of}"))?)
                }
                _ => None,
            };
            let arrival = match (damage, &decoded) {
                (_, None) => Arrival::Nothing,
                (Some(Damage::Partial), _) => Arrival::Partial,
                _ => Arrival::Whole,
            };
            if let Some(decoder) = &mut self.going_on {
                let again = decoder.decode(frame)?.filter(|_| decoded.is_some());
                going_on.decoded(frame, again, damage.is_some());
            }
            plain.decoded(frame, decoded, damage.is_some());
            let slot = codecs::restore::Slot {
                frame,
                key: row.is_key == Some(true),
                arrival,
                exact: damage.is_none(),
            };
            let view = plain.view(frame, &black);
            let other = if self.going_on.is_some() { going_on.view(frame, &black) } else { view };
            visit(&Slot { frame, damage, captured: &captured, slot, plain: view, going_on: other })?;
            plain.pass(frame, damage.is_some());
            going_on.pass(frame, damage.is_some());
        }
        Ok(())
    }
}

fn damage(row: &FrameRow) -> Option<Damage> {
    match (row.status, row.loss_cause) {
        (Status::Rendered, _) => None,
        (Status::Concealed, Some(LossCause::Network)) => Some(Damage::Partial),
        (Status::Concealed, _) => Some(Damage::Drift),
        (Status::Frozen | Status::DroppedSender, _) => Some(Damage::Frozen),
    }
}

fn codec(dir: &Path, stream: Stream) -> anyhow::Result<String> {
    let path = dir.join(contract::units::file_name(stream));
    ensure!(path.is_file(), "{}: loss recovery needs what a decoder was fed", path.display());
    let header = UnitsReader::open(&path)?.header().clone();
    let recovery = header.recovery.map_or_else(|| NONE.name.to_owned(), |r| r.name);
    ensure!(recovery == NONE.name, "{} was run with recovery {recovery}: run it without", path.display());
    let codec = header.codec;
    ensure!(
        codec == "h264" || codec == "h265",
        "{} is {codec}: loss recovery is for h264 and h265",
        path.display()
    );
    Ok(codec)
}
