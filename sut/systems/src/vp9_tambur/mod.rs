//! VP9 + Tambur: Ringmaster's video call with the streaming code of Tambur (NSDI 2023), and the two Reed-Solomon
//! codes it is compared with (option `scheme`).
//!
//! ```text
//! capture ─▶ VP9 ─▶ FEC frames ─▶ packets ═══▶ recover within tau frames ─▶ decode in order ─▶ show
//!              ▲         ▲  ◀══ quality report (how much parity)
//!              ├─────────┴── ◀══ complete frames
//!              └──────────── ◀══ arrived packets: when one of a frame more than tau younger has come, a key frame
//! ```
//! No retransmission, no pacing, no congestion control, no jitter buffer, as in Tambur's evaluation. docs/FEC.md says what is as in the
//! published program and what is not.

pub mod channel;
mod receiver;
mod sender;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::catalogue::Description;
use crate::ringmaster;
use crate::session::{self, Addresses, End, Mode};
use crate::work::Work;
use anyhow::{Context, Result, bail, ensure};
use channel::{Chain, Place};
use codecs::VpxSettings;
use codecs::registry::VP9;
use contract::{Role, RunSpec};
use link::Probability;
use serde::{Deserialize, Serialize};
use std::path::Path;
use sut_core::fec::streaming::{Config, Encoder, Header, Quality, Scheme};
use sut_core::wire::ringmaster::{Header as Datagram, Message};

/// Its name.
pub const NAME: &str = "vp9-tambur";

/// How the amount of parity is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// Half of the data, always: what Reparo's evaluation says.
    Fixed,
    /// A quarter, always.
    Quarter,
    /// None.
    None,
    /// By quality reports, as published: none at first, half after an interval with any loss, none after one without.
    Reports,
}

/// Options. The defaults are those of Reparo's evaluation where it states them (tau 3, 50 % redundancy, no retransmission, about
/// 320 kbit/s in all), with the losses on the path, where those of all systems are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Media and half as much parity, kbit/s. VP9 aims at two thirds of it whatever the parity is; filling up to whole stripes,
    /// headers and VP9's overshoot come on top: 225 gives VP9 the 150 kbit/s with which the program sends about 320 in all.
    pub target_kbps: u32,
    /// `streaming` (Tambur), `per-frame` or `per-block` (Reed-Solomon).
    pub scheme: Scheme,
    /// Frames after which a lost frame must be back; `per-frame` has none.
    pub tau: u64,
    /// Most 256-byte stripes in a packet.
    pub stripes_per_packet: usize,
    /// `fixed` (half), `quarter`, `none` or `reports`.
    pub parity: Parity,
    /// Time between quality reports, milliseconds.
    pub report_interval_ms: u64,
    /// A key frame is forced if a frame is not complete that long after it was sent, milliseconds ...
    pub key_after_ms: u64,
    /// ... or if a packet has come of one that is more than so many FEC frames younger (tau in Tambur).
    pub key_after_frames: u64,
    /// VP9's `cpu-used`, fixed so that it does not depend on the number of cores.
    pub cpu_used: i32,
    /// Where packets are lost: `network`, `sender` or `sender-remembers`.
    pub channel: Place,
    /// Of the channel in the sender: chance per frame to leave the good state; like the next three only there, and absent of the
    /// program's example configuration ([`Chain::EXAMPLE`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_to_bad: Option<Probability>,
    /// Chance per frame to leave the bad state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_to_good: Option<Probability>,
    /// Loss of a packet in the good state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_good: Option<Probability>,
    /// Loss of a packet in the bad state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_bad: Option<Probability>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target_kbps: 225,
            scheme: Scheme::Streaming,
            tau: 3,
            stripes_per_packet: 5,
            parity: Parity::Fixed,
            report_interval_ms: 2000,
            key_after_ms: 1000,
            key_after_frames: 3,
            cpu_used: 8,
            channel: Place::Network,
            good_to_bad: None,
            bad_to_good: None,
            loss_good: None,
            loss_bad: None,
        }
    }
}

impl Options {
    fn read(table: &toml::Table) -> Result<Self> {
        let mut options: Options = table
            .clone()
            .try_into()
            .context("in the options of vp9-tambur (`sut vp9-tambur describe` lists them)")?;
        ensure!(
            (1..=1_000_000).contains(&options.target_kbps),
            "option target_kbps of vp9-tambur must be from 1 to 1000000"
        );
        ensure!(options.report_interval_ms > 0, "option report_interval_ms of vp9-tambur must be at least 1");
        for (name, value) in
            [("key_after_frames", options.key_after_frames), ("key_after_ms", options.key_after_ms)]
        {
            ensure!(value <= 1_000_000, "option {name} of vp9-tambur must be at most 1000000");
        }
        if options.channel == Place::Network {
            let all = ["good_to_bad", "bad_to_good", "loss_good", "loss_bad"];
            if let Some(name) = all.into_iter().find(|name| table.contains_key(*name)) {
                bail!(
                    "option {name} of vp9-tambur belongs to the channel in the sender; leave it out, or choose channel=sender"
                );
            }
        } else {
            let Chain { good_to_bad, bad_to_good, loss_good, loss_bad } = options.chain();
            (options.good_to_bad, options.bad_to_good) = (Some(good_to_bad), Some(bad_to_good));
            (options.loss_good, options.loss_bad) = (Some(loss_good), Some(loss_bad));
        }
        Encoder::new(options.code()).context("in the options of vp9-tambur")?;
        Ok(options)
    }

    fn code(&self) -> Config {
        let tau = if self.scheme == Scheme::PerFrame { 0 } else { self.tau };
        Config { scheme: self.scheme, tau, stripes_per_packet: self.stripes_per_packet }
    }

    /// The chain of the channel in the sender.
    fn chain(&self) -> Chain {
        Chain {
            good_to_bad: self.good_to_bad.unwrap_or(Chain::EXAMPLE.good_to_bad),
            bad_to_good: self.bad_to_good.unwrap_or(Chain::EXAMPLE.bad_to_good),
            loss_good: self.loss_good.unwrap_or(Chain::EXAMPLE.loss_good),
            loss_bad: self.loss_bad.unwrap_or(Chain::EXAMPLE.loss_bad),
        }
    }

    /// Parity before the first report.
    fn first_quality(&self) -> Quality {
        match self.parity {
            Parity::Fixed => Quality::Half,
            Parity::Quarter => Quality::Quarter,
            Parity::None | Parity::Reports => Quality::None,
        }
    }

    /// Bits per second for the encoder.
    fn media_bps(&self) -> u64 {
        u64::from(self.target_kbps) * 1000 * 2 / 3
    }
}

/// What both ends of a session know.
#[derive(Clone, Debug)]
pub struct Session {
    /// Options.
    pub options: Options,
    /// Captures.
    pub schedule: sut_core::Schedule,
    /// Of the run, for the channel in the sender.
    pub seed: u64,
}

/// Completes the options.
pub fn describe(table: &toml::Table) -> Result<Description> {
    Ok(Description { setup_ms: 0, options: toml::Table::try_from(Options::read(table)?)? })
}

/// Runs it.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec) -> Result<()> {
    let options = Options::read(&spec.options)?;
    let size = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let bps = options.media_bps();
    let encoder = ringmaster::encoder(
        size,
        bps,
        VpxSettings { cpu_used: options.cpu_used, ..VpxSettings::tambur(size.2, bps) },
    );
    let session = Session { options, schedule: session::schedule(spec), seed: spec.seed };
    let work = Work::new(mode, run_dir, spec, &VP9)?;
    let sender = |_: Addresses| {
        Ok(End { endpoint: Sender::new(session.clone())?, worker: work.encoding_colour(&encoder)? })
    };
    let receiver =
        |_: Addresses| Ok(End { endpoint: Receiver::new(session.clone())?, worker: work.decoding_colour()? });
    session::run(mode, run_dir, spec, label, sender, receiver)
}

/// Frame and role of a datagram.
fn label(datagram: &[u8]) -> Option<(Option<u32>, Role)> {
    if let Some((frame, payload)) = Datagram::parse(datagram)
        && let Some((header, _)) = Header::parse(payload)
    {
        return Some((Some(frame.frame), if header.parity { Role::Parity } else { Role::Data }));
    }
    Message::parse(datagram).map(|message| (message.frame(), Role::Feedback))
}
