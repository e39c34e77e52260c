//! What one direction of a path does to packets, as a scenario file says it.

use crate::Bitrate;
use crate::trace::TraceSpec;
use crate::units::{ByteCount, Probability, Span, UnitError, rate_text, text_serde};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One direction of an emulated path. `LinkSpec::default()` delivers everything at once.
///
/// ```toml
/// order = "loss_first"
/// loss = { model = "gilbert_elliott", good_to_bad = "6.8%", bad_to_good = "85.2%", loss_good = "4%", loss_bad = "50%", step = "frame", loss_by = "new" }
/// bottleneck = { rate = "320kbit", queue = "6000B" }
/// delay = { base = "20ms" }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSpec {
    /// Where random decisions come from.
    pub model: Model,
    /// In which order the stages see a packet.
    pub order: Order,
    /// Where time zero of intervals and traces lies.
    pub epoch: Epoch,
    /// Bytes that the bottleneck counts per packet beyond the IP packet, e.g. `"14B"` for the Ethernet header that
    /// tc's shapers count.
    pub overhead: ByteCount,
    /// Which packets are dropped at random, by a pattern or by a trace.
    pub loss: LossSpec,
    /// The queue and the rate that drains it; absent: packets never wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<BottleneckSpec>,
    /// Propagation delay.
    pub delay: DelaySpec,
    /// Probability that a packet is followed by a copy of itself.
    pub duplicate: Probability,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: Probability,
    /// The trace that stages written as `"trace"` follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSpec>,
}

/// Where random decisions come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// One stream of random words per purpose: the channel does not depend on how much is sent through it.
    #[default]
    Native,
    /// The kernel's netem with the same seed, draw for draw: one generator for everything, in order of packets.
    Netem,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Model::Native => "native",
            Model::Netem => "netem",
        })
    }
}

/// In which order the stages see a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Loss, queue, delay. A lost packet takes no capacity.
    #[default]
    LossFirst,
    /// Queue, loss, delay, as libwebrtc's simulated network: a lost packet has used the bottleneck.
    QueueFirst,
    /// Loss, delay, queue: netem below tbf or htb, as most scripts set it up. With a queue counted in packets, those in the
    /// delay line count too, as netem's `limit` does.
    DelayFirst,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::LossFirst => "loss_first",
            Order::QueueFirst => "queue_first",
            Order::DelayFirst => "delay_first",
        })
    }
}

/// Where time zero of intervals and traces lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Epoch {
    /// At the first packet of this direction.
    #[default]
    FirstPacket,
    /// At time zero of the run.
    Run,
}

/// What moves a channel on from one state, or one entry of a pattern, to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Step {
    /// Every packet, as netem.
    #[default]
    Packet,
    /// Every captured frame: an interval of the run's frame time. A link that is in no run takes 30 per second.
    Frame,
    /// Every interval of this length, whatever is sent: the channel is a function of time alone.
    Interval(Span),
}

impl Step {
    /// The interval; `None` for packets.
    #[must_use]
    pub fn interval(self) -> Option<Span> {
        match self {
            Step::Packet => None,
            Step::Frame => Some(Span::of_frame(30)),
            Step::Interval(span) => Some(span),
        }
    }
}

impl FromStr for Step {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "packet" => Ok(Step::Packet),
            "frame" => Ok(Step::Frame),
            other => other.parse().map(Step::Interval),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Packet => f.write_str("packet"),
            Step::Frame => f.write_str("frame"),
            Step::Interval(span) => span.fmt(f),
        }
    }
}

/// Which packets are dropped before any queue is full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossSpec {
    /// None.
    #[default]
    None,
    /// Each packet on its own with the same probability.
    Random {
        /// Of losing a packet.
        probability: Probability,
    },
    /// A channel that is good or bad (Gilbert 1960, Elliott 1963) and starts good.
    GilbertElliott {
        /// Probability per step of leaving the good state.
        good_to_bad: Probability,
        /// Probability per step of leaving the bad state.
        bad_to_good: Probability,
        /// Probability of losing a packet in the good state.
        loss_good: Probability,
        /// Probability of losing a packet in the bad state.
        loss_bad: Probability,
        /// `"packet"`, `"frame"` (at the clip's rate) or an interval such as `"20ms"`.
        step: Step,
        /// Whether a packet is judged by the state before (`old`) or after (`new`) the step it belongs to.
        loss_by: LossBy,
    },
    /// Exactly these.
    Pattern {
        /// One character per packet (or interval): `.` delivered, `x` lost.
        pattern: Pattern,
        /// Start again after the last character; otherwise everything after it is delivered.
        #[serde(default)]
        repeat: bool,
        /// `"packet"`, `"frame"` (at the clip's rate) or an interval such as `"20ms"`.
        #[serde(default)]
        step: Step,
    },
    /// The loss column of the trace: each packet on its own with the probability of the row that is being played.
    Trace,
}

/// The state that judges a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossBy {
    /// Before the step, as netem: the first packet is always judged by the good state.
    Old,
    /// After the step, as Tambur.
    New,
}

/// Which packets are lost, one character each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern(pub Vec<bool>);

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let lost = text.chars().filter(|c| !c.is_whitespace()).map(|c| match c {
            '.' => Ok(false),
            'x' => Ok(true),
            other => Err(PatternError(other)),
        });
        lost.collect::<Result<_, _>>().map(Pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lost| f.write_str(if *lost { "x" } else { "." }))
    }
}

/// A character that a pattern cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` in a loss pattern: write `.` for delivered and `x` for lost, e.g. \"...x.xx.\"")]
pub struct PatternError(char);

/// A queue and the rate that drains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BottleneckSpec {
    /// `"320kbit"`, or `"trace"` for the trace's rate.
    pub rate: RateSpec,
    /// Bytes that may leave at once after a pause (a token bucket, full at the start). `0B`: every packet takes
    /// its bytes / rate, the first one too.
    #[serde(default)]
    pub burst: ByteCount,
    /// Let a packet go as soon as the bucket is not in debt, as htb does; otherwise when the bucket holds all of it, as tbf does.
    #[serde(default)]
    pub debt: bool,
    /// How much may wait: `"6000B"`, `"50p"` (packets), `"150ms"`, or `"unlimited"`. A packet counts until its last bit has left;
    /// one that does not fit whole is dropped (tail drop).
    #[serde(default)]
    pub queue: QueueLimit,
}

/// The rate of a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateSpec {
    /// Always the same.
    Constant(Bitrate),
    /// No limit; only the queue's limit acts (on the delay line, with `order = "delay_first"`).
    Unlimited,
    /// The trace's.
    Trace,
}

impl FromStr for RateSpec {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "trace" => Ok(RateSpec::Trace),
            "unlimited" => Ok(RateSpec::Unlimited),
            other => other.parse().map(RateSpec::Constant),
        }
    }
}

impl fmt::Display for RateSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateSpec::Constant(rate) => f.write_str(&rate_text(*rate)),
            RateSpec::Unlimited => f.write_str("unlimited"),
            RateSpec::Trace => f.write_str("trace"),
        }
    }
}

/// How much may wait in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueLimit {
    /// Anything.
    #[default]
    Unlimited,
    /// So many bytes, the packet being sent included whole.
    Bytes(ByteCount),
    /// So many packets, the one being sent included.
    Packets(u64),
    /// Whatever leaves within this time.
    Delay(Span),
}

impl FromStr for QueueLimit {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "unlimited" {
            return Ok(QueueLimit::Unlimited);
        }
        if let Some(packets) = text.strip_suffix('p').and_then(|n| n.parse().ok()) {
            return Ok(QueueLimit::Packets(packets));
        }
        if let Ok(span) = text.parse() {
            return Ok(QueueLimit::Delay(span));
        }
        text.parse().map(QueueLimit::Bytes).map_err(|_| {
            UnitError::new(
                text,
                "a queue limit: write \"6000B\", \"50p\" (packets), \"150ms\" or \"unlimited\"",
            )
        })
    }
}

impl fmt::Display for QueueLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueLimit::Unlimited => f.write_str("unlimited"),
            QueueLimit::Bytes(bytes) => bytes.fmt(f),
            QueueLimit::Packets(packets) => write!(f, "{packets}p"),
            QueueLimit::Delay(span) => span.fmt(f),
        }
    }
}

/// Propagation delay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DelaySpec {
    /// `"20ms"`, or `"trace"` for half of the trace's round-trip time.
    pub base: DelayBase,
    /// Each packet's delay is uniform in base - jitter to base + jitter (never below zero).
    pub jitter: Span,
    /// Let jitter (or a falling delay of a trace) bring packets out of order. Otherwise a packet waits for the one before it.
    pub reorder: bool,
}

/// A delay without its jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayBase {
    /// Always the same.
    Constant(Span),
    /// The trace's.
    Trace,
}

impl Default for DelayBase {
    fn default() -> Self {
        DelayBase::Constant(Span(0))
    }
}

impl FromStr for DelayBase {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "trace" { Ok(DelayBase::Trace) } else { text.parse().map(DelayBase::Constant) }
    }
}

impl fmt::Display for DelayBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DelayBase::Constant(span) => span.fmt(f),
            DelayBase::Trace => f.write_str("trace"),
        }
    }
}

text_serde!(Step, Pattern, RateSpec, QueueLimit, DelayBase);
