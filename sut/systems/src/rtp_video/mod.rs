//! What the two WebRTC-like baselines share: VP8 over RTP with repair packets, RTCP feedback, playout with a frame
//! wait-time.
//!
//! ```text
//! capture ─▶ VP8 ─▶ RTP packets ─┬─▶ pacer ═══▶ recover ─▶ frames ─▶ decode in order ─▶ show at the slot
//!                                └ repair ┘ ◀══ receiver reports, picture loss indications
//! ```
//! [`crate::vp8_ulpfec`] and [`crate::vp8_flexfec`] say which repair code, and with which options.

mod receiver;
mod sender;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::clip;
use crate::decode::{DecodeWorker, Receiving};
use crate::encode::{EncodeLane, EncodeWorker};
use crate::session::{self, Addresses, End, Mode, own_clock};
use anyhow::{Context, Result, ensure};
use codecs::registry::VP8;
use codecs::{Codec, EncoderConfig};
use contract::{Role, RunSpec, Stream};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use sut_core::fec::flexfec::Format;
use sut_core::fec::protection::{self, Protection};
use sut_core::rtp::{Header, is_rtcp, red, vp8};

/// Stream identifiers of a session.
pub const MEDIA_SSRC: u32 = 0x0F0F_0001;
/// FlexFEC's own stream.
pub const REPAIR_SSRC: u32 = 0x0F0F_0002;
/// The receiver, in RTCP.
pub const RECEIVER_SSRC: u32 = 0x0F0F_0003;
/// Payload types.
pub const VP8_TYPE: u8 = 96;
/// RED.
pub const RED_TYPE: u8 = 97;
/// ULPFEC, inside RED.
pub const ULPFEC_TYPE: u8 = 98;
/// FlexFEC.
pub const FLEXFEC_TYPE: u8 = 99;

/// Which repair code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// RFC 5109 in RED.
    Ulpfec,
    /// A stream of its own.
    Flexfec(Format),
}

/// Options that only a clock of its own consumes.
pub const OWN_CLOCK: &[&str] = &["wait_ms"];

/// Options of both systems. The defaults are those of Reparo's evaluation where it states them: 50 % redundancy, no
/// retransmission, 150 ms of frame wait-time, and 320 kbit/s for everything. The paper's frame wait-time is how long WebRTC waits
/// for a frame before it asks for a key frame: `key_request_after_ms`. When frames are shown is another matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Media and repair together, kbit/s, without RTP, UDP and IP headers.
    pub target_kbps: u32,
    /// `fixed` or `adaptive` (libwebrtc's controller rules).
    pub protection: Protection,
    /// Repair packets per media packets, percent, when fixed. The encoder gets `target / (1 + percent)`.
    pub redundancy_percent: u32,
    /// With a clock of its own (`playout = "own"`): time between the arrival a frame should have and its slot,
    /// milliseconds.
    pub wait_ms: u64,
    /// A frame that decoding waits for may be this late before a key frame is asked for, milliseconds
    /// (libwebrtc without NACK: 3000). Counted from the arrival that it should have, whatever the play-out.
    pub key_request_after_ms: u64,
    /// Time between requests for a key frame, milliseconds.
    pub key_request_interval_ms: u64,
    /// Time between receiver reports, milliseconds.
    pub report_interval_ms: u64,
    /// Round-trip time the sender assumes, milliseconds; blocks of repair packets span up to twice that.
    pub rtt_ms: u64,
    /// Most bytes of an RTP packet, before RED and repair headers.
    pub max_packet: u32,
    /// The pacer sends at this multiple of the target, percent; 0: no pacer.
    pub pacing_percent: u32,
    /// VP8's `cpu-used`; negative values do not depend on the machine.
    pub cpu_used: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target_kbps: 320,
            protection: Protection::Fixed,
            redundancy_percent: 50,
            wait_ms: 150,
            key_request_after_ms: 150,
            key_request_interval_ms: 200,
            report_interval_ms: 1000,
            rtt_ms: 40,
            max_packet: 1200,
            pacing_percent: 250,
            cpu_used: -8,
        }
    }
}

impl Options {
    /// Reads and checks a table of options.
    pub fn read(table: &toml::Table, system: &str) -> Result<Self> {
        let options: Options = table
            .clone()
            .try_into()
            .with_context(|| format!("in the options of {system} (`sut {system} describe` lists them)"))?;
        options.check().with_context(|| format!("in the options of {system}"))?;
        Ok(options)
    }

    /// Refuses what cannot work.
    pub fn check(&self) -> Result<()> {
        ensure!(self.target_kbps > 0, "target_kbps must be at least 1");
        ensure!(self.redundancy_percent < 100, "redundancy_percent must be below 100");
        ensure!((100..=1400).contains(&self.max_packet), "max_packet must be 100 to 1400 bytes");
        ensure!(self.cpu_used <= 0, "cpu_used must not be positive: libvpx would look at the clock");
        ensure!(self.report_interval_ms > 0, "report_interval_ms must be at least 1");
        ensure!(self.key_request_interval_ms > 0, "key_request_interval_ms must be at least 1");
        ensure!(self.target_kbps <= 1_000_000, "target_kbps must be at most 1000000");
        ensure!(
            self.pacing_percent == 0 || (100..=100_000).contains(&self.pacing_percent),
            "pacing_percent must be 0 (no pacer) or 100 to 100000: slower than the target, its queue never ends"
        );
        ensure!(self.rtt_ms <= 10_000, "rtt_ms must be at most 10000");
        own_clock("wait_ms", self.wait_ms)
    }

    /// Bits per second for the encoder.
    fn media_bps(&self) -> u64 {
        let repair =
            if self.protection == Protection::Fixed { u64::from(self.redundancy_percent) } else { 0 };
        u64::from(self.target_kbps) * 1000 * 100 / (100 + repair)
    }
}

/// What both ends of a session know.
#[derive(Clone, Debug)]
pub struct Session {
    /// Options.
    pub options: Options,
    /// Repair code.
    pub code: Code,
    /// Columns times rows.
    pub pixels: u32,
    /// Captures.
    pub schedule: sut_core::Schedule,
}

impl Session {
    fn protection(&self) -> protection::Config {
        protection::Config {
            protection: self.options.protection,
            percent: self.options.redundancy_percent,
            rtt: Duration::from_millis(self.options.rtt_ms),
            fps: self.schedule.fps,
            pixels: self.pixels,
            nack: false,
        }
    }
}

/// Runs a session with `code`.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec, code: Code, options: &Options) -> Result<()> {
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let session =
        Session { options: options.clone(), code, pixels: width * height, schedule: session::schedule(spec) };
    let encoder = EncoderConfig {
        cpu_used: options.cpu_used,
        ..EncoderConfig::vpx(Codec::Vp8, width, height, fps, options.media_bps())
    };
    let sender = |_: Addresses| {
        let open = clip::opener(&spec.clip, Stream::Rgb);
        let lane = EncodeLane::live(Stream::Rgb, &VP8, encoder.clone(), open);
        let worker = EncodeWorker::new(vec![lane], Duration::ZERO);
        Ok(End { endpoint: Sender::new(session.clone()), worker })
    };
    let receiver = |_: Addresses| {
        let size = (width, height, fps);
        let worker = DecodeWorker::new(run_dir, &Receiving::plain(&VP8, size), &[Stream::Rgb])?;
        Ok(End { endpoint: Receiver::new(session.clone()), worker })
    };
    session::run(mode, run_dir, spec, label, sender, receiver)
}

/// Frame (the first 32768 of a session) and role of a datagram.
fn label(datagram: &[u8]) -> Option<(Option<u32>, Role)> {
    if is_rtcp(datagram) {
        return Some((None, Role::Feedback));
    }
    let (header, payload) = Header::parse(datagram)?;
    let frame = |payload: &[u8]| vp8::Descriptor::parse(payload).map(|(d, _)| u32::from(d.picture));
    match header.payload_type {
        VP8_TYPE => Some((frame(payload), Role::Data)),
        RED_TYPE => match red::unwrap(payload)? {
            (VP8_TYPE, payload) => Some((frame(payload), Role::Data)),
            _ => Some((None, Role::Parity)),
        },
        FLEXFEC_TYPE => Some((None, Role::Parity)),
        _ => None,
    }
}
