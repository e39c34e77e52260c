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

use crate::session::{self, Addresses, End, Mode, own_clock};
use crate::work::Work;
use anyhow::{Context, Result, ensure};
use codecs::registry::VP8;
use codecs::{Codec, EncoderConfig, VpxSettings};
use contract::{Role, RunSpec};
use serde::{Deserialize, Serialize};
use std::path::Path;
use sut_core::fec::flexfec::Format;
use sut_core::fec::protection::{self, Protection, Rules};
use sut_core::fec::ulpfec;
use sut_core::packetize::rtp::frame_at;
use sut_core::rtp::{Header, is_rtcp, red};

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

impl Code {
    /// Most bytes by which a repair packet is longer than the packets that it covers, RED included: media packets leave that room.
    #[must_use]
    pub const fn overhead(self) -> usize {
        match self {
            Code::Ulpfec => red::BYTES + ulpfec::MAX_OVERHEAD,
            Code::Flexfec(format) => format.max_overhead(),
        }
    }
}

/// Options that only a clock of its own consumes.
pub const OWN_CLOCK: &[&str] = &["playout_delay_ms"];

/// Options of both systems. The defaults are those of Reparo's evaluation where it states them: 50 % redundancy, no
/// retransmission, 150 ms of frame wait-time, and 320 kbit/s for everything. The paper's frame wait-time is how long WebRTC waits
/// for a frame before it asks for a key frame: `key_request_after_ms`. When frames are shown is another matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Everything that is sent, kbit/s: media, repair, and their RTP headers; without UDP and IP headers.
    pub target_kbps: u32,
    /// `fixed`, or `own`: libwebrtc's rules around a table of this project's own.
    pub protection: Protection,
    /// Which of libwebrtc's rules: `fec` (nothing is sent again: every frame is a block), or `fec-and-nack`, those that it has beside
    /// retransmission; packets are not sent again either way.
    pub rules: Rules,
    /// Repair packets per media packets of a block, percent, when fixed; rounded, at least one.
    pub redundancy_percent: u32,
    /// With a clock of its own (`playout = "own"`): time between the arrival a frame should have and its slot,
    /// milliseconds.
    pub playout_delay_ms: u64,
    /// A frame that decoding waits for may be this late before a key frame is asked for, milliseconds
    /// (libwebrtc without NACK: 3000). Counted from the arrival that it should have, whatever the play-out.
    pub key_request_after_ms: u64,
    /// Time between requests for a key frame, milliseconds.
    pub key_request_interval_ms: u64,
    /// Time between reports of either end, and between changes of the encoder's rate, milliseconds.
    pub report_interval_ms: u64,
    /// Most bytes of an RTP packet, a repair packet's too.
    pub max_packet: u32,
    /// The pacer sends at this multiple of the target, percent; 0: no pacer.
    pub pacing_percent: u32,
    /// VP8's `cpu-used`; 0: libwebrtc's of the size (-6, below CIF -4). Negative values do not depend on the machine.
    pub cpu_used: i32,
    /// Percent of its buffer's optimal level below which the encoder drops frames (libwebrtc: 30); 0: never.
    pub drop_below_percent: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target_kbps: 320,
            protection: Protection::Fixed,
            rules: Rules::Fec,
            redundancy_percent: 50,
            playout_delay_ms: 150,
            key_request_after_ms: 150,
            key_request_interval_ms: 200,
            report_interval_ms: 1000,
            max_packet: 1200,
            pacing_percent: 250,
            cpu_used: 0,
            drop_below_percent: 30,
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
        ensure!(
            (-16..=0).contains(&self.cpu_used),
            "cpu_used must be -16 to 0: libvpx would look at the clock where it is positive"
        );
        ensure!(self.drop_below_percent <= 100, "drop_below_percent must be at most 100");
        ensure!(self.report_interval_ms > 0, "report_interval_ms must be at least 1");
        ensure!(self.key_request_interval_ms > 0, "key_request_interval_ms must be at least 1");
        ensure!(self.target_kbps <= 1_000_000, "target_kbps must be at most 1000000");
        ensure!(
            self.pacing_percent == 0 || (100..=100_000).contains(&self.pacing_percent),
            "pacing_percent must be 0 (no pacer) or 100 to 100000: slower than the target, its queue never ends"
        );
        own_clock("playout_delay_ms", self.playout_delay_ms)
    }

    /// Bits per second of the target.
    fn target_bps(&self) -> u64 {
        u64::from(self.target_kbps) * 1000
    }

    /// Bits per second for the encoder before anything was sent; then what was sent says what is left.
    fn first_bps(&self) -> u64 {
        let repair =
            if self.protection == Protection::Fixed { u64::from(self.redundancy_percent) } else { 0 };
        self.target_bps() * 100 / (100 + repair)
    }

    /// What libvpx is told.
    fn vpx(&self, width: u32, height: u32, fps: u32) -> VpxSettings {
        let usual = VpxSettings::libwebrtc(width, height, fps);
        let cpu_used = if self.cpu_used == 0 { usual.cpu_used } else { self.cpu_used };
        VpxSettings { cpu_used, drop_below: self.drop_below_percent, ..usual }
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
            rules: self.options.rules,
            fps: self.schedule.fps,
            pixels: self.pixels,
        }
    }
}

/// Runs a session with `code`.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec, code: Code, options: &Options) -> Result<()> {
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let session =
        Session { options: options.clone(), code, pixels: width * height, schedule: session::schedule(spec) };
    let encoder = EncoderConfig {
        vpx: Some(options.vpx(width, height, fps)),
        ..EncoderConfig::vpx(Codec::Vp8, width, height, fps, options.first_bps())
    };
    let work = Work::new(mode, run_dir, spec, &VP8)?;
    let sender = |_: Addresses| {
        Ok(End { endpoint: Sender::new(session.clone()), worker: work.encoding_colour(&encoder)? })
    };
    let receiver =
        |_: Addresses| Ok(End { endpoint: Receiver::new(session.clone()), worker: work.decoding_colour()? });
    session::run(mode, run_dir, spec, move |datagram| label(datagram, fps), sender, receiver)
}

/// Captured frame and role of a datagram. A repair packet has the timestamp of the last frame that it protects.
fn label(datagram: &[u8], fps: u32) -> Option<(Option<u32>, Role)> {
    if is_rtcp(datagram) {
        let sender = datagram.get(1) == Some(&200);
        return Some((None, if sender { Role::Control } else { Role::Feedback }));
    }
    let (header, payload) = Header::parse(datagram)?;
    let role = match header.payload_type {
        VP8_TYPE => Role::Data,
        RED_TYPE if red::unwrap(payload)?.0 == VP8_TYPE => Role::Data,
        RED_TYPE | FLEXFEC_TYPE => Role::Parity,
        _ => return None,
    };
    Some((Some(frame_at(header.timestamp, fps)), role))
}
