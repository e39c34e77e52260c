//! ReVo: RGB and depth as two ordinary video streams, parity on key frames, deadline-driven assembly.
//!
//! ```text
//! capture ─▶ encode RGB, depth ─▶ cut into chunks (+ parity on key frames) ─▶ interleave ─▶ pace over the slot
//!     ... unordered messages ...
//! assemble ─▶ at the deadline: complete | zero-filled | lost ─▶ decode in order ─▶ show or repeat the last picture
//! ```
//!
//! Facts: the original's public source (umassos/ReVo @ 16027a7). What the original gets wrong is corrected here and
//! can be had back with the option `compat = true`; docs/REVO.md lists every point.

mod receiver;
mod sender;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::catalogue::Description;
use crate::clip;
use crate::decode::Receiving;
use crate::encode::EncodeLane;
use crate::identity;
use crate::session::{self, Addresses, End, Mode, own_clock};
use crate::work::Work;
use anyhow::{Context, Result, anyhow, bail, ensure};
use codecs::registry::{self, CodecEntry};
use codecs::restore::NONE;
use codecs::{EncoderConfig, Quantisers, RateControl, RestorerConfig, RestorerEntry, Setting, Settings};
use contract::identity::DependsOn;
use contract::{RunSpec, Stream};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use sut_core::Output;
use sut_core::wire::revo::{DESC_LEN, Message, parse};
use transport::sctp::SctpKind;
use transport::{MAX_UDP_PAYLOAD, Overhead, Role, Transport, TransportKind, wire_size};

/// ReVo's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How messages travel.
    pub transport: TransportKind,
    /// Whose SCTP carries data channels.
    pub sctp: SctpKind,
    /// Behave as the original where it is worth comparing: joint RGB/depth readiness, an own clock started by frame 0
    /// alone, INIT once, whole frames dropped after encoding under back-pressure.
    pub compat: bool,
    /// Frames per GOP.
    pub gop: u32,
    /// Quantiser of both streams, as the encoder understands a single one: x264 and x265 give key frames about 3 less. The short form of
    /// `qp_i` and `qp_p`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qp: Option<u8>,
    /// Quantiser of key frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qp_i: Option<u8>,
    /// Quantiser of all other frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qp_p: Option<u8>,
    /// What stands between decoder and screen: `none`, `hold` (a picture that is not exact is not shown), or one with a network.
    pub recovery: String,
    /// Bytes per chunk.
    pub chunk_size: u16,
    /// Bytes waiting in a channel above which a frame is not sent.
    pub back_pressure_bytes: u64,
    /// With a clock of its own (`playout = "own"`): time between the end of a frame's pacing slot and its decoding, in
    /// milliseconds.
    pub slack_ms: u64,
    /// x264: slices per frame.
    pub slices: u32,
    /// The encoder is fed 4:2:0 that has been RGB with 8 bits, as the original's, which reads its clips that way.
    pub rgb_detour: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: TransportKind::Datachannel,
            sctp: SctpKind::Aiortc,
            compat: false,
            gop: 30,
            qp: None,
            qp_i: None,
            qp_p: None,
            recovery: NONE.name.to_owned(),
            chunk_size: 1024,
            back_pressure_bytes: 128 * 1024,
            slack_ms: 66,
            slices: 1,
            rgb_detour: false,
        }
    }
}

impl Options {
    /// The quantisers that these options mean with `codec`.
    ///
    /// # Errors
    /// Names the option that is out of range.
    fn quantisers(&self, codec: &CodecEntry) -> Result<Quantisers> {
        for (name, qp) in [("qp", self.qp), ("qp_i", self.qp_i), ("qp_p", self.qp_p)] {
            let most = codec.most_qp;
            ensure!(qp.is_none_or(|qp| qp <= most), "{name} must be 0 to {most}");
        }
        let unless = self.qp.map_or(codec.default_qp, Quantisers::both);
        Ok(Quantisers { key: self.qp_i.or(unless.key), other: self.qp_p.unwrap_or(unless.other) })
    }

    /// The same options with their quantisers written out, each in one way.
    fn resolved(self, codec: &CodecEntry) -> Result<Self> {
        let (qp, qp_i, qp_p) = match self.quantisers(codec)? {
            Quantisers { key: None, other } => (Some(other), None, None),
            Quantisers { key, other } => (None, key, Some(other)),
        };
        Ok(Self { qp, qp_i, qp_p, ..self })
    }

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
        ensure!((1..=64).contains(&self.slices), "slices must be 1 to 64");
        own_clock("slack_ms", self.slack_ms)
    }
}

/// What both ends of a session know.
#[derive(Clone, Debug)]
pub struct Session {
    /// Options.
    pub options: Options,
    /// What stands between decoder and screen.
    pub recovery: &'static RestorerEntry,
    /// The most that it takes for a frame.
    pub recovery_lead: Duration,
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
        Duration::from_nanos(1_000_000_000 / u64::from(self.schedule.fps.max(1)))
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

/// Options of a table, and what codec and recovery are told.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) options: Options,
    quantisers: Quantisers,
    pub(crate) recovery: &'static RestorerEntry,
    /// Of the codec and of the recovery.
    settings: [Settings; 2],
}

impl Chosen {
    pub(crate) fn of(table: &toml::Table, codec: &CodecEntry) -> Result<Self> {
        Self::read(table, codec).with_context(|| {
            format!("in the options of ReVo (`sut revo-{} describe` lists them)", codec.name)
        })
    }

    fn read(table: &toml::Table, codec: &CodecEntry) -> Result<Self> {
        let mut common = table.clone();
        let name =
            table.get("recovery").map_or(Ok(NONE.name), |v| v.as_str().context("recovery must be a text"))?;
        let names = || registry::restorers().map(|r| r.name).collect::<Vec<_>>().join(", ");
        let recovery = registry::restorer(name)
            .with_context(|| format!("no recovery is called {name:?}; there are: {}", names()))?;
        let mut settings = |of: &[Setting]| -> Result<Settings> {
            of.iter()
                .map(|Setting { name, default }| {
                    let value = match common.remove(*name) {
                        None => (*default).to_owned(),
                        Some(toml::Value::String(text)) => text,
                        Some(toml::Value::Table(_) | toml::Value::Array(_)) => {
                            bail!("{name} must be one value")
                        }
                        Some(value) => value.to_string(),
                    };
                    Ok(((*name).to_owned(), value))
                })
                .collect()
        };
        let settings = [settings(codec.settings)?, settings(recovery.settings)?];
        let options: Options = common.try_into()?;
        options.check()?;
        let options = options.resolved(codec)?;
        let chosen = Self { quantisers: options.quantisers(codec)?, options, recovery, settings };
        chosen.recovery_lead(codec, (0, 0))?; // refuses what it does not know
        Ok(chosen)
    }

    /// The encoder of either stream.
    pub(crate) fn encoder(&self, codec: &CodecEntry, (width, height, fps): (u32, u32, u32)) -> EncoderConfig {
        EncoderConfig {
            rate: RateControl::ConstantQp(self.quantisers),
            gop: self.options.gop,
            slices: self.options.slices,
            settings: self.settings[0].clone(),
            ..EncoderConfig::revo(codec.name, width, height, fps)
        }
    }

    /// The most that the recovery takes for a frame.
    pub(crate) fn recovery_lead(&self, codec: &CodecEntry, (width, height): (u32, u32)) -> Result<Duration> {
        let (codec, settings) = (codec.name.to_owned(), self.settings[1].clone());
        Ok((self.recovery.lead)(&RestorerConfig { codec, depth: false, width, height, settings })?)
    }

    /// What the receiver's worker is made of.
    pub(crate) fn receiving(&self, codec: &'static CodecEntry, format: (u32, u32, u32)) -> Receiving {
        Receiving {
            codec,
            settings: self.settings[0].clone(),
            recovery: self.recovery,
            recovery_settings: self.settings[1].clone(),
            format,
            cache: None,
        }
    }

    /// Every option with its value.
    fn table(&self) -> Result<toml::Table> {
        let mut all = toml::Table::try_from(&self.options)?;
        let settings = self.settings.iter().flatten();
        all.extend(settings.map(|(name, value)| (name.clone(), toml::Value::String(value.clone()))));
        Ok(all)
    }
}

/// Completes the options. The original opens its path for a second and waits two; the handshake fits into that.
pub fn describe(table: &toml::Table, codec: &CodecEntry) -> Result<Description> {
    let chosen = Chosen::of(table, codec)?;
    let setup_ms = match chosen.options.transport {
        TransportKind::Datagram => 0,
        TransportKind::Datachannel => 3000,
    };
    Ok(Description { setup_ms, options: chosen.table()? })
}

/// What results depend on besides the program.
pub fn depends_on(table: &toml::Table, codec: &CodecEntry) -> Result<DependsOn> {
    let Chosen { recovery, settings: [settings, recovery_settings], .. } = Chosen::of(table, codec)?;
    let streams = [false, true].map(|depth| RestorerConfig {
        codec: codec.name.to_owned(),
        depth,
        width: 0,
        height: 0,
        settings: recovery_settings.clone(),
    });
    identity::depends_on(codec, &settings, Some((recovery, &streams)))
}

/// Runs ReVo with `codec`.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec, codec: &'static CodecEntry) -> Result<()> {
    let chosen = Chosen::of(&spec.options, codec)?;
    let options = &chosen.options;
    let (width, height, fps) = (spec.clip.width, spec.clip.height, spec.clip.fps);
    let size = (u16::try_from(width).context("clip width")?, u16::try_from(height).context("clip height")?);
    let session = Session {
        options: options.clone(),
        recovery: chosen.recovery,
        recovery_lead: chosen.recovery_lead(codec, (width, height))?,
        size,
        depth: spec.clip.depth.is_some(),
        schedule: session::schedule(spec),
    };
    let transport = |addresses: Addresses, role: Role| {
        let overhead = Overhead::Datachannel; // equal bytes on the wire whatever the transport
        let config = transport::Config {
            kind: options.transport,
            addresses: transport::Addresses::Fixed { local: addresses.local, peer: addresses.peer },
            overhead,
            sctp: options.sctp,
        };
        Transport::new(&config, role).context("failed to set up the transport")
    };
    let encoder = chosen.encoder(codec, (width, height, fps));
    let work = Work::new(mode, run_dir, spec, codec)?;
    let sender = |addresses| {
        let lane = |stream| {
            let open = clip::opener(&spec.clip, stream);
            let open = if options.rgb_detour { clip::over_rgb(open) } else { open };
            // What is kept in the cache is known by the clip: a stream of other pictures is made anew.
            match &spec.cache {
                Some(dir) if !options.rgb_detour => {
                    EncodeLane::on_the_grid(stream, codec, encoder.clone(), open, dir, &spec.clip)
                }
                _ => Ok(EncodeLane::live(stream, codec, encoder.clone(), open)),
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
        let worker = work.encoding(lanes);
        let endpoint = Sender::new(session.clone(), transport(addresses, Role::Offerer)?);
        Ok(End { endpoint, worker })
    };
    let receiver = |addresses| {
        let cache = work.cache().filter(|_| !options.rgb_detour).map(Path::to_owned);
        let receiving = Receiving { cache, ..chosen.receiving(codec, work.format()) };
        let worker = work.decoding(&receiving, session.streams())?;
        let endpoint = Receiver::new(session.clone(), transport(addresses, Role::Answerer)?);
        Ok(End { endpoint, worker })
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
