//! What happens to a packet, and the record of it.

use crate::{Direction, Timestamp};
use serde::{Deserialize, Serialize};

/// What a link does with one packet, known as soon as the packet enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes out.
    Delivered {
        /// When it comes out.
        at: Timestamp,
        /// One bit is flipped.
        corrupted: bool,
        /// When a second copy comes out, if one does.
        copy: Option<Timestamp>,
        /// The channel it met.
        channel: Channel,
    },
    /// It does not come out.
    Dropped {
        /// Why.
        cause: DropCause,
        /// The channel it met.
        channel: Channel,
    },
}

impl Fate {
    /// When it comes out.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        match *self {
            Fate::Delivered { at, .. } => Some(at),
            Fate::Dropped { .. } => None,
        }
    }

    /// Why it does not come out.
    #[must_use]
    pub fn cause(&self) -> Option<DropCause> {
        match *self {
            Fate::Delivered { .. } => None,
            Fate::Dropped { cause, .. } => Some(cause),
        }
    }

    /// The channel it met.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match *self {
            Fate::Delivered { channel, .. } | Fate::Dropped { channel, .. } => channel,
        }
    }

    /// In one word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match *self {
            Fate::Dropped { .. } => Outcome::Dropped,
            Fate::Delivered { corrupted: true, .. } => Outcome::Corrupted,
            Fate::Delivered { copy: Some(_), .. } => Outcome::Duplicated,
            Fate::Delivered { .. } => Outcome::Delivered,
        }
    }
}

/// What the channel was like when a packet met it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Channel {
    /// State of a two-state channel that judged the packet.
    pub state: Option<State>,
    /// Row of the trace's file (from 0) that was being played.
    pub row: Option<u32>,
}

/// State of a two-state channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Few losses.
    Good,
    /// Many losses.
    Bad,
}

/// Why a packet did not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropCause {
    /// Lost at random in the good state.
    GeGood,
    /// Lost at random in the bad state.
    GeBad,
    /// Lost at random.
    Random,
    /// The pattern says so.
    Pattern,
    /// Lost at random with the probability of the trace's row.
    Trace,
    /// The bottleneck's queue was full.
    Queue,
}

impl DropCause {
    /// All causes, in order.
    pub const ALL: [DropCause; 6] = [
        DropCause::GeGood,
        DropCause::GeBad,
        DropCause::Random,
        DropCause::Pattern,
        DropCause::Trace,
        DropCause::Queue,
    ];

    /// As records write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DropCause::GeGood => "ge_good",
            DropCause::GeBad => "ge_bad",
            DropCause::Random => "random",
            DropCause::Pattern => "pattern",
            DropCause::Trace => "trace",
            DropCause::Queue => "queue",
        }
    }
}

/// A fate in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Came out, once, unchanged.
    Delivered,
    /// Did not come out.
    Dropped,
    /// Came out twice.
    Duplicated,
    /// Came out with one bit flipped (and perhaps twice).
    Corrupted,
}

/// One line of `fates.jsonl`, the fate ledger: one record per packet and direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FateRecord {
    /// Number of the packet in its direction, from 0.
    pub n: u64,
    /// Which way.
    pub direction: Direction,
    /// When it entered, nanoseconds.
    pub in_ns: Timestamp,
    /// When the model says it comes out, nanoseconds; null if it does not.
    pub out_ns: Option<Timestamp>,
    /// When a real-time driver really let it out, nanoseconds; absent in virtual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_ns: Option<Timestamp>,
    /// When the model says a second copy comes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_ns: Option<Timestamp>,
    /// Size of the IP packet.
    pub bytes: u32,
    /// In one word.
    pub fate: Outcome,
    /// Why it was dropped; null if it was not.
    pub cause: Option<DropCause>,
    /// State of a two-state channel; null without one.
    pub state: Option<State>,
    /// Row of the trace that was being played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// Captured frame the packet belongs to, if the system says how to read its packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u32>,
    /// What it carries (data, parity, repeat, feedback, control), if the system says how to read its packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// First bytes of the IP packet in hexadecimal, from a live driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

impl FateRecord {
    /// Why nothing intact came out, in one word; `None` if something did. A damaged packet is lost: the receiver's kernel
    /// discards it by UDP's checksum (RFC 1122, section 4.1.3.4), unless a second copy came out.
    #[must_use]
    pub fn loss(&self) -> Option<&'static str> {
        match (self.cause, self.actual_ns.or(self.out_ns)) {
            (Some(cause), _) => Some(cause.name()),
            (None, None) => Some("unknown"),
            (None, Some(_)) => {
                (self.fate == Outcome::Corrupted && self.copy_ns.is_none()).then_some("corrupted")
            }
        }
    }

    /// The record of packet `n` of a direction.
    #[must_use]
    pub fn new(n: u64, direction: Direction, entered: Timestamp, bytes: u32, fate: &Fate) -> Self {
        let copy_ns = match *fate {
            Fate::Delivered { copy, .. } => copy,
            Fate::Dropped { .. } => None,
        };
        let Channel { state, row } = fate.channel();
        FateRecord {
            n,
            direction,
            in_ns: entered,
            out_ns: fate.at(),
            actual_ns: None,
            copy_ns,
            bytes,
            fate: fate.outcome(),
            cause: fate.cause(),
            state,
            row,
            frame: None,
            role: None,
            head: None,
        }
    }
}
