//! ReVo: RGB and depth as two ordinary video streams, parity on key frames, deadline-driven assembly.
//!
//! ```text
//! capture ─▶ encode RGB, depth ─▶ cut into chunks (+ parity on key frames) ─▶ interleave ─▶ pace over the slot
//!     ... unordered messages ...
//! assemble ─▶ at the deadline: complete | zero-filled | lost ─▶ decode in order ─▶ show or repeat the last picture
//! ```
//!
//! Facts: the original's public source (umassos/ReVo @ 16027a7). What the original gets wrong is mended here and
//! can be had back with the option `compat = true`; docs/REVO.md lists every point.

mod masks;
mod receiver;
mod sender;

pub use masks::{FrameMasks, masks};
pub use receiver::Receiver;
pub use sender::Sender;

use crate::catalogue::Description;
use crate::clip;
use crate::decode::DecodeWorker;
use crate::encode::{EncodeLane, EncodeWorker};
use crate::session::{self, Addresses, End, Mode, own_clock};
use anyhow::{Context, Result, anyhow, ensure};
use codecs::{Codec, EncoderConfig, RateControl};
use contract::{RunSpec, Stream};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use sut_core::Output;
use sut_core::wire::revo::{DESC_LEN, Message, parse};
use transport::{MAX_UDP_PAYLOAD, Overhead, Role, Transport, TransportKind, wire_size};

/// ReVo's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How messages travel.
    pub transport: TransportKind,
    /// Behave as the original where it is worth comparing: joint RGB/depth readiness, an own clock started by frame 0
    /// alone, INIT once, whole frames dropped after encoding under back-pressure.
    pub compat: bool,
    /// Frames per GOP.
    pub gop: u32,
    /// Quantiser of both streams.
    pub qp: u32,
    /// Bytes per chunk.
    pub chunk_size: u16,
    /// Bytes waiting in a channel above which a frame is not sent.
    pub back_pressure_bytes: u64,
    /// With a clock of its own (`playout = "own"`): time between the end of a frame's pacing slot and its decoding, in
    /// milliseconds.
    pub slack_ms: u64,
    /// x264: slices per frame.
    pub slices: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: TransportKind::Datagram,
            compat: false,
            gop: 30,
            qp: 30,
            chunk_size: 1024,
            back_pressure_bytes: 128 * 1024,
            slack_ms: 66,
            slices: 1,
        }
    }
}

impl Options {
    /// Refuses what cannot work.
    fn check(&self) -> Result<()> {
        // A chunk and its description are one datagram of at most an Ethernet frame.
        let longest = (1..=MAX_UDP_PAYLOAD)
            .rev()
            .find(|chunk| wire_size(Overhead::Datachannel, DESC_LEN + chunk) <= MAX_UDP_PAYLOAD)
            .unwrap_or_default();
        ensure!(
            (64..=longest).contains(&usize::from(self.chunk_size)),
            "chunk_size must be 64 to {longest} bytes"
        );
        ensure!(self.gop >= 1, "gop must be at least 1");
        ensure!(self.qp <= 51, "qp must be 0 to 51");
        ensure!((1..=64).contains(&self.slices), "slices must be 1 to 64");
        own_clock("slack_ms", self.slack_ms)
    }
}

/// What both ends of a session know.
#[derive(Clone, Debug)]
pub struct Session {
    /// Options.
    pub options: Options,
    /// Which codec.
    pub codec: Codec,
    /// Columns and rows.
    pub size: (u16, u16),
    /// True if there is a depth stream.
    pub depth: bool,
    /// Captures.
    pub schedule: sut_core::Schedule,
}

impl Session {
    /// The streams, in sending order.
    fn streams(&self) -> &'static [Stream] {
        if self.depth { &[Stream::Rgb, Stream::Depth] } else { &[Stream::Rgb] }
    }

    /// One frame's time.
    fn slot(&self) -> Duration {
        Duration::from_nanos(1_000_000_000 / u64::from(self.schedule.fps))
    }
}

/// Position of a stream in per-stream arrays, and its data channel.
fn lane(stream: Stream) -> usize {
    match stream {
        Stream::Rgb => 0,
        Stream::Depth => 1,
    }
}

/// Options that only a clock of its own consumes.
pub const OWN_CLOCK: &[&str] = &["slack_ms"];

fn options(table: &toml::Table) -> Result<Options> {
    let options: Options =
        table.clone().try_into().context("in the options of ReVo (`sut revo-h264 describe` lists them)")?;
    options.check().context("in the options of ReVo")?;
    Ok(options)
}

/// Completes the options. The original opens its path for a second and waits two; the handshake fits into that.
pub fn describe(table: &toml::Table) -> Result<Description> {
    let options = options(table)?;
    let setup_ms = match options.transport {
        TransportKind::Datagram => 0,
        TransportKind::Datachannel => 3000,
    };
    Ok(Description { setup_ms, options: toml::Table::try_from(options)? })
}

/// Runs ReVo with `codec`.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec, codec: Codec) -> Result<()> {
    let options = options(&spec.options)?;
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let size = (u16::try_from(width).context("clip width")?, u16::try_from(height).context("clip height")?);
    let session = Session {
        options: options.clone(),
        codec,
        size,
        depth: spec.clip.depth.is_some(),
        schedule: session::schedule(spec),
    };
    let transport = |addresses: Addresses, role: Role| {
        let overhead = Overhead::Datachannel; // equal bytes on the wire whatever the transport
        let config = transport::Config {
            kind: options.transport,
            local: addresses.local,
            peer: addresses.peer,
            overhead,
        };
        Transport::new(&config, role).context("failed to set up the transport")
    };
    let encoder = EncoderConfig {
        rate: RateControl::ConstantQp(options.qp),
        gop: options.gop,
        slices: options.slices,
        ..EncoderConfig::revo(codec, width, height, fps)
    };
    let sender = |addresses| {
        let lane = |stream| {
            let open = clip::opener(&spec.clip, stream);
            match &spec.cache {
                Some(dir) => EncodeLane::cached(stream, encoder.clone(), open, dir, &spec.clip),
                None => Ok(EncodeLane::live(stream, encoder.clone(), open)),
            }
        };
        // Streams that the cache lacks are encoded whole here: side by side, for neither needs the other.
        let lanes = std::thread::scope(|scope| {
            let lane = &lane;
            let threads: Vec<_> =
                session.streams().iter().map(|&stream| scope.spawn(move || lane(stream))).collect();
            threads
                .into_iter()
                .map(|t| {
                    t.join().unwrap_or_else(|_| Err(anyhow!("the thread that encodes a stream panicked")))
                })
                .collect::<Result<_>>()
        })?;
        let worker = EncodeWorker::new(lanes, Duration::ZERO);
        let endpoint = Sender::new(session.clone(), transport(addresses, Role::Offerer)?);
        Ok(End { endpoint, failure: worker.failure(), worker })
    };
    let receiver = |addresses| {
        let worker =
            DecodeWorker::new(run_dir, codec, (width, height, fps), session.streams(), Duration::ZERO)?;
        let endpoint = Receiver::new(session.clone(), transport(addresses, Role::Answerer)?);
        Ok(End { endpoint, failure: worker.failure(), worker })
    };
    session::run(mode, run_dir, spec, label, sender, receiver)
}

/// Moves what the transport wants to send.
fn send_all<Job>(transport: &mut Transport, out: &mut VecDeque<Output<Job>>) {
    out.extend(std::iter::from_fn(|| transport.poll_transmit()).map(Output::Transmit));
    out.extend(std::iter::from_fn(|| transport.poll_signal()).map(Output::Signal));
}

/// Plain datagrams begin with the message; data channels are encrypted.
fn label(datagram: &[u8]) -> Option<(Option<u32>, contract::Role)> {
    match parse(datagram) {
        Ok(Message::Chunk(desc, _)) => {
            let role = if desc.index >= desc.k { contract::Role::Parity } else { contract::Role::Data };
            Some((Some(desc.frame), role))
        }
        Ok(Message::Init(_)) => Some((None, contract::Role::Control)),
        _ => None,
    }
}
