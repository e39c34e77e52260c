//! The stage between decoder and screen, which runs for every slot: what a receiver makes of pictures that were lost or damaged.
//!
//! ```text
//! unit, or nothing ─▶ VideoDecoder ─▶ picture, or none ─▶ Restorer ─▶ what is shown; none: the screen keeps what it has
//! ```
//! One restorer serves one stream. It is called once for every captured frame, in order, lost frames too, and sees nothing of
//! the future. What it returns must be a function of the calls so far, its settings and its weights: scoring makes the same
//! calls again, from the stored units, and compares hashes.

use crate::unit::Setting;
use crate::{CodecError, Settings};
use contract::units::Entry;
use media::Yuv420;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the network left of a frame's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// All of it, bit for bit.
    Whole,
    /// Part of it; the holes are zeros.
    Partial,
    /// Nothing that a decoder was fed: lost, or of a group of pictures whose key frame was.
    Nothing,
}

/// A frame at the restorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Captured frame, from 0.
    pub frame: u32,
    /// A key frame: what follows refers to nothing before it. Of a lost frame, what the grid of key frames says.
    pub key: bool,
    /// What arrived of it.
    pub arrival: Arrival,
    /// The decoder was fed everything that the frame depends on, itself and back to its key frame, bit for bit. A picture that is
    /// not exact has drifted or has holes.
    pub exact: bool,
}

impl Slot {
    /// The slot of a stored frame.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let arrival = match (&entry.unit, entry.whole) {
            (None, _) => Arrival::Nothing,
            (Some(_), true) => Arrival::Whole,
            (Some(_), false) => Arrival::Partial,
        };
        Self { frame: entry.frame, key: entry.key, arrival, exact: entry.exact }
    }

    /// A key frame that arrived whole: the decoder starts anew there, whatever came before.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.key && self.arrival == Arrival::Whole
    }
}

/// See the module. `Picture`: what it works on; Reparo's works on tokens, before they are decoded.
pub trait Restorer<Picture = Yuv420>: Send {
    /// What is shown of a frame: `picture` is the decoder's, if it gave one. `None` leaves the screen as it is.
    ///
    /// # Errors
    /// A network or library that fails.
    fn restore(&mut self, slot: &Slot, picture: Option<Picture>) -> Result<Option<Picture>, CodecError>;

    /// Work that the last call left and nobody waits for, before the next call. Not charged.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    fn settle(&mut self) -> Result<(), CodecError> {
        Ok(())
    }

    /// Time that this call is charged in virtual time; known before it runs.
    fn cost(&self, _slot: &Slot) -> Duration {
        Duration::ZERO
    }

    /// What its pictures depend on besides settings, files and this program: the libraries of networks.
    fn made_by(&self) -> String {
        String::new()
    }
}

/// How a restorer is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestorerConfig {
    /// Codec of the stream.
    pub codec: String,
    /// Depth, not colour.
    pub depth: bool,
    /// Columns of the pictures.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// See [`Settings`].
    pub settings: Settings,
}

/// Setting of H.265's decoder: what stands for a picture that is referred to and never came. `grey` (FFmpeg's choice) or [`LATEST`].
pub const MISSING_REFERENCE: &str = "missing_reference";
/// The latest picture that was decoded.
pub const LATEST: &str = "latest";

impl RestorerEntry {
    /// What the decoder of `codec` is told so that this restorer gets the pictures that it wants.
    #[must_use]
    pub fn decoder_settings(&self, codec: &str) -> Settings {
        let told = self.goes_on && codec == crate::Codec::H265.name();
        told.then(|| (MISSING_REFERENCE.to_owned(), LATEST.to_owned())).into_iter().collect()
    }
}

/// A kind of restorer, for the [registry](crate::registry).
#[derive(Clone, Copy)]
pub struct RestorerEntry {
    /// Name: the value of option `recovery`, and what is stored with the units.
    pub name: &'static str,
    /// Options that it adds to a system's.
    pub settings: &'static [Setting],
    /// It makes pictures of its own. Otherwise what it shows is always the decoder's picture of that frame, and only frames that the
    /// decoder was fed come to it: lost ones would be shown as nothing in any case.
    pub makes_pictures: bool,
    /// It wants pictures of a decoder that goes on from its latest picture where the one that is referred to is missing
    /// ([`MISSING_REFERENCE`]). H.264's does so by itself.
    pub goes_on: bool,
    /// The most that one call may be charged; receivers decide a frame that much earlier before its slot.
    ///
    /// Fails on settings that [`open`](Self::open) refuses.
    pub lead: fn(&RestorerConfig) -> Result<Duration, CodecError>,
    /// Opens one.
    pub open: fn(&RestorerConfig) -> Result<Box<dyn Restorer>, CodecError>,
    /// Files that its pictures depend on besides the settings: weights.
    pub files: fn(&RestorerConfig) -> Result<Vec<std::path::PathBuf>, CodecError>,
}

/// Nothing is restored: the decoder's pictures go to the screen as they are, drifting ones too.
pub const NONE: RestorerEntry = RestorerEntry {
    name: "none",
    settings: &[],
    makes_pictures: false,
    goes_on: false,
    lead: |_| Ok(Duration::ZERO),
    open: |_| Ok(Box::new(Nothing)),
    files: |_| Ok(Vec::new()),
};

/// A picture that is not exact is not shown: the last exact one stays on the screen until the next.
pub const HOLD: RestorerEntry = RestorerEntry {
    name: "hold",
    settings: &[],
    makes_pictures: false,
    goes_on: false,
    lead: |_| Ok(Duration::ZERO),
    open: |_| Ok(Box::new(Hold)),
    files: |_| Ok(Vec::new()),
};

/// Nothing is restored, but the decoder goes on from its latest picture where the one that is referred to is missing.
pub const CONTINUE: RestorerEntry = RestorerEntry { name: "continue", goes_on: true, ..NONE };

struct Nothing;

impl Restorer for Nothing {
    fn restore(&mut self, _slot: &Slot, picture: Option<Yuv420>) -> Result<Option<Yuv420>, CodecError> {
        Ok(picture)
    }
}

struct Hold;

impl Restorer for Hold {
    fn restore(&mut self, slot: &Slot, picture: Option<Yuv420>) -> Result<Option<Yuv420>, CodecError> {
        Ok(picture.filter(|_| slot.exact))
    }
}
