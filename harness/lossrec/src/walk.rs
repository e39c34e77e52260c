//! Through the slots of a finished run: what was captured, what was on the screen, and what of it is damaged.

use anyhow::{Context as _, ensure};
use codecs::restore::{Arrival, NONE};
use contract::units::UnitsReader;
use contract::{FrameRow, LossCause, RunSpec, Status, Stream};
use freezeframe::record::{join, read_events};
use freezeframe::score::pictures::{Captured, Meaning, Shot, Shown, black};
use freezeframe::score::slots_of;
use media::Yuv420;
use models::lossrec::history::{History, Sight};
use models::lossrec::samples::Damage;
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
    /// What the decoder gave for it in time.
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
        Ok(Self { meaning, limit: usize::MAX, spec, stream, codec, rows, captured, shown })
    }

    /// Calls `visit` with every slot.
    ///
    /// # Errors
    /// When the clip or the store is damaged; what `visit` returns.
    pub fn walk(mut self, mut visit: impl FnMut(&Slot) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let size = (self.spec.clip.width as usize, self.spec.clip.height as usize);
        let black = black(size, self.meaning.colour.range);
        let mut history = History::new(self.codec == "h265", self.stream == Stream::Depth);
        for row in self.rows.iter().take(self.limit) {
            let frame = row.frame_id;
            let captured = self.captured.frame(frame)?;
            let damage = damage(row);
            let mut decoded = None;
            if let Some(of) = row.shown_frame_id
                && matches!(row.status, Status::Rendered | Status::Concealed)
            {
                let picture = self.shown.picture(frame, of)?;
                let picture = picture.with_context(|| format!("the store of the run lacks frame {of}"))?;
                if damage.is_some() {
                    history.decoded(frame, &picture, false);
                }
                decoded = Some(picture);
            }
            let decoded = decoded.as_ref();
            let shown = decoded.or(history.shown()).unwrap_or(&black);
            let arrival = match (damage, decoded) {
                (_, None) => Arrival::Nothing,
                (Some(Damage::Partial), _) => Arrival::Partial,
                _ => Arrival::Whole,
            };
            let slot = codecs::restore::Slot { frame, key: row.is_key, arrival, exact: damage.is_none() };
            let sight = history.sight(frame);
            visit(&Slot { frame, damage, captured: &captured, slot, decoded, shown, sight })?;
            if let (None, Some(picture)) = (damage, decoded) {
                history.decoded(frame, picture, true);
            }
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
