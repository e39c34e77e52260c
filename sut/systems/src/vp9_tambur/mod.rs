//! VP9 + Tambur: Ringmaster's video call with the streaming code of Tambur (NSDI 2023), and the two Reed-Solomon
//! codes it is compared with (option `scheme`).
//!
//! ```text
//! capture ─▶ VP9 ─▶ FEC frames ─▶ packets ═══▶ recover within tau frames ─▶ decode in order ─▶ show at the slot
//!              ▲         ▲  ◀══ quality report (how much parity)
//!              └─────────┴── ◀══ complete frames (when none comes for too long: a key frame)
//! ```
//! No retransmission, no pacing, no congestion control, as in Tambur's evaluation.

mod receiver;
mod sender;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::catalogue::Description;
use crate::clip;
use crate::decode::{DecodeWorker, Receiving};
use crate::encode::{EncodeLane, EncodeWorker};
use crate::session::{self, Addresses, End, Mode, own_clock};
use anyhow::{Context, Result, ensure};
use codecs::registry::VP9;
use codecs::{Codec, EncoderConfig};
use contract::{Role, RunSpec, Stream};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use sut_core::fec::streaming::{Config, Encoder, Header, Quality, Scheme};
use sut_core::wire::tambur::Feedback;

/// Its name.
pub const NAME: &str = "vp9-tambur";

/// How the amount of parity is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// Half of the data, always: Reparo's evaluation.
    Half,
    /// A quarter, always.
    Quarter,
    /// None.
    None,
    /// By quality reports: half after an interval with any loss, none after one without.
    Reports,
}

/// Options that only a clock of its own consumes.
pub const OWN_CLOCK: &[&str] = &["wait_ms"];

/// Options. The defaults are those of Reparo's evaluation where it states them: tau 3, 50 % redundancy, no
/// retransmission, 150 ms of frame wait-time, and 320 kbit/s for everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Media and parity together, kbit/s, without FEC, UDP and IP headers.
    pub target_kbps: u32,
    /// `streaming` (Tambur), `per-frame` or `per-block` (Reed-Solomon).
    pub scheme: Scheme,
    /// Frames after which a lost frame must be back; `per-frame` has none.
    pub tau: u64,
    /// Most 256-byte stripes in a packet.
    pub stripes_per_packet: usize,
    /// `half`, `quarter`, `none` or `reports`.
    pub parity: Parity,
    /// Time between quality reports, milliseconds.
    pub report_interval_ms: u64,
    /// With a clock of its own (`playout = "own"`): time between the arrival a frame should have and its slot,
    /// milliseconds.
    pub wait_ms: u64,
    /// A key frame is forced if a frame is not complete that long after it was sent, milliseconds ...
    pub key_after_ms: u64,
    /// ... or if a frame this many FEC frames younger is (tau in Tambur).
    pub key_after_frames: u64,
    /// VP9's `cpu-used`, fixed so that it does not depend on the number of cores.
    pub cpu_used: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target_kbps: 320,
            scheme: Scheme::Streaming,
            tau: 3,
            stripes_per_packet: 5,
            parity: Parity::Half,
            report_interval_ms: 2000,
            wait_ms: 150,
            key_after_ms: 1000,
            key_after_frames: 3,
            cpu_used: 8,
        }
    }
}

impl Options {
    fn read(table: &toml::Table) -> Result<Self> {
        let options: Options = table
            .clone()
            .try_into()
            .context("in the options of vp9-tambur (`sut vp9-tambur describe` lists them)")?;
        ensure!(options.target_kbps > 0, "option target_kbps of vp9-tambur must be at least 1");
        ensure!(options.report_interval_ms > 0, "option report_interval_ms of vp9-tambur must be at least 1");
        ensure!(options.target_kbps <= 1_000_000, "option target_kbps of vp9-tambur must be at most 1000000");
        ensure!(
            options.key_after_frames <= 1_000_000,
            "option key_after_frames of vp9-tambur must be at most 1000000"
        );
        own_clock("wait_ms", options.wait_ms).context("in the options of vp9-tambur")?;
        Encoder::new(options.code()).context("in the options of vp9-tambur")?;
        Ok(options)
    }

    fn code(&self) -> Config {
        let tau = if self.scheme == Scheme::PerFrame { 0 } else { self.tau };
        Config { scheme: self.scheme, tau, stripes_per_packet: self.stripes_per_packet }
    }

    /// Parity before the first report.
    fn first_quality(&self) -> Quality {
        match self.parity {
            Parity::Half => Quality::Half,
            Parity::Quarter => Quality::Quarter,
            Parity::None | Parity::Reports => Quality::None,
        }
    }

    /// Bits per second for the encoder. With reports, parity comes on top.
    fn media_bps(&self) -> u64 {
        let percent = match self.first_quality() {
            Quality::Half => 150,
            Quality::Quarter => 125,
            Quality::None => 100,
        };
        u64::from(self.target_kbps) * 1000 * 100 / percent
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
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let encoder = EncoderConfig {
        cpu_used: options.cpu_used,
        ..EncoderConfig::vpx(Codec::Vp9, width, height, fps, options.media_bps())
    };
    let session = Session { options, schedule: session::schedule(spec) };
    let sender = |_: Addresses| {
        let open = clip::opener(&spec.clip, Stream::Rgb);
        let lane = EncodeLane::live(Stream::Rgb, &VP9, encoder.clone(), open);
        let worker = EncodeWorker::new(vec![lane], Duration::ZERO);
        Ok(End { endpoint: Sender::new(session.clone())?, worker })
    };
    let receiver = |_: Addresses| {
        let size = (width, height, fps);
        let worker = DecodeWorker::new(run_dir, &Receiving::plain(&VP9, size), &[Stream::Rgb])?;
        Ok(End { endpoint: Receiver::new(session.clone())?, worker })
    };
    session::run(mode, run_dir, spec, label, sender, receiver)
}

/// Role of a datagram. Its video frame is inside the protected bytes.
fn label(datagram: &[u8]) -> Option<(Option<u32>, Role)> {
    if let Some((header, _)) = Header::parse(datagram) {
        return Some((None, if header.parity { Role::Parity } else { Role::Data }));
    }
    Feedback::parse(datagram).map(|_| (None, Role::Feedback))
}
