//! Ringmaster (github.com/microsoft/ringmaster): VP9 whose datagrams are acknowledged one by one and sent again, without FEC. Tambur is
//! built on it ([`crate::vp9_tambur`] has its datagrams, its encoder and its player), and its paper compares with it.
//!
//! ```text
//! capture ─▶ VP9 ─▶ datagrams ═══▶ collect ─▶ decode in order, or from a complete key frame ─▶ show
//!             ▲        ▲   ◀══ an acknowledgement per datagram
//!             │        └── all older datagrams that are not acknowledged are sent again, each at most three times
//!             └── a key frame if one is not acknowledged after a second
//! ```
//! No pacing, no congestion control, no jitter buffer.

mod receiver;
mod sender;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::catalogue::Description;
use crate::session::{self, Addresses, End, Mode};
use crate::work::Work;
use anyhow::{Context, Result, ensure};
use codecs::registry::VP9;
use codecs::{Codec, EncoderConfig, VpxSettings};
use contract::{Role, RunSpec};
use serde::{Deserialize, Serialize};
use std::path::Path;
use sut_core::wire::ringmaster::{Header, Message};

/// Its name.
pub const NAME: &str = "vp9-ringmaster";

/// Options. The defaults are the program's constants, and a rate at which about as much is sent as by the systems with FEC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// VP9's target, kbit/s; headers and what is sent again come on top.
    pub target_kbps: u32,
    /// How often a datagram is sent again at most; the program: 3. Tambur switches it off.
    pub retransmissions: u32,
    /// A key frame is forced if a datagram is not acknowledged that long after it was first sent, milliseconds.
    pub key_after_ms: u64,
    /// VP9's `cpu-used`; the program takes the number of cores, at most 16.
    pub cpu_used: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { target_kbps: 300, retransmissions: 3, key_after_ms: 1000, cpu_used: 8 }
    }
}

impl Options {
    fn read(table: &toml::Table) -> Result<Self> {
        let options: Options = table
            .clone()
            .try_into()
            .context("in the options of vp9-ringmaster (`sut vp9-ringmaster describe` lists them)")?;
        ensure!(
            (1..=1_000_000).contains(&options.target_kbps),
            "option target_kbps of vp9-ringmaster must be from 1 to 1000000"
        );
        ensure!(
            options.key_after_ms <= 1_000_000,
            "option key_after_ms of vp9-ringmaster must be at most 1000000"
        );
        Ok(options)
    }
}

/// What both ends of a session know.
#[derive(Clone, Debug)]
pub struct Session {
    /// Options.
    pub options: Options,
    /// Captures.
    pub schedule: sut_core::Schedule,
}

/// Completes the options.
pub fn describe(table: &toml::Table) -> Result<Description> {
    Ok(Description { setup_ms: 0, options: toml::Table::try_from(Options::read(table)?)? })
}

/// Runs it.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec) -> Result<()> {
    let options = Options::read(&spec.options)?;
    let size = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let vpx = VpxSettings { cpu_used: options.cpu_used, ..VpxSettings::ringmaster(size.2) };
    let encoder = encoder(size, u64::from(options.target_kbps) * 1000, vpx);
    let session = Session { options, schedule: session::schedule(spec) };
    let work = Work::new(mode, run_dir, spec, &VP9)?;
    let sender = |_: Addresses| {
        Ok(End { endpoint: Sender::new(session.clone()), worker: work.encoding_colour(&encoder)? })
    };
    let receiver =
        |_: Addresses| Ok(End { endpoint: Receiver::new(session.clone()), worker: work.decoding_colour()? });
    session::run(mode, run_dir, spec, label, sender, receiver)
}

/// VP9 with these settings, for a target in bits per second.
#[must_use]
pub fn encoder((width, height, fps): (u32, u32, u32), bps: u64, vpx: VpxSettings) -> EncoderConfig {
    EncoderConfig { vpx: Some(vpx), ..EncoderConfig::vpx(Codec::Vp9, width, height, fps, bps) }
}

/// Frame and role of a datagram. One that is sent again looks like the first.
fn label(datagram: &[u8]) -> Option<(Option<u32>, Role)> {
    if let Some((header, _)) = Header::parse(datagram) {
        return Some((Some(header.frame), Role::Data));
    }
    Message::parse(datagram).map(|message| (message.frame(), Role::Feedback))
}
