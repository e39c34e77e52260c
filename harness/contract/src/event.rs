//! What happened in a run: one event per frame stage, one JSON line each in `events.jsonl`.

use link::Timestamp;
use serde::{Deserialize, Serialize};

/// Which end saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The end that captures and encodes.
    Sender,
    /// The end that decodes and renders.
    Receiver,
}

/// Which of a frame's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The colour picture.
    Rgb,
    /// The depth picture.
    Depth,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Source symbols: bytes of the encoded frame.
    Data,
    /// Repair symbols.
    Parity,
    /// A second copy of something already sent.
    Repeat,
    /// Receiver to sender: reports, acknowledgements, key-frame requests.
    Feedback,
    /// Session set-up and everything else.
    Control,
}

/// What was on the screen when a frame's slot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The frame itself, decoded from everything it needs.
    Rendered,
    /// The frame itself, in time, from partial data (zero fill, generated tokens, neural recovery).
    Concealed,
    /// Nothing new: the last picture stayed (or black, before any).
    Frozen,
    /// The sender never sent it.
    DroppedSender,
}

/// Why a frame was not rendered from complete data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// Packets did not arrive.
    Network,
    /// Packets arrived after the deadline.
    Late,
    /// The decoder gave no picture.
    Decoder,
    /// The sender dropped it, or packets of it ([`EventKind::LostAtSender`]).
    Sender,
    /// A frame it refers to was lost.
    Dependency,
    /// The system's events do not tell.
    Unknown,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in nanoseconds of the run.
    pub t_ns: Timestamp,
    /// Who saw it.
    pub side: Side,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened; `frame` counts captured frames from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs)] // the fields are the words of the docs above and of docs/PLUGIN.md
pub enum EventKind {
    /// A picture was captured.
    Captured { frame: u32 },
    /// Encoding one stream of a frame ended; `bytes` is the encoded frame's size. `key` is absent where nobody can tell (a payload under
    /// encryption that was measured on the path).
    Encoded {
        frame: u32,
        stream: Stream,
        bytes: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<bool>,
    },
    /// A message or packet of the system (above encryption) was handed to the transport; `bytes` is its size.
    Sent { frame: u32, stream: Stream, role: Role, index: u32, bytes: u32 },
    /// A message or packet of the system arrived; `duplicate` if nothing in it was new.
    Received { frame: u32, stream: Stream, role: Role, index: u32, bytes: u32, duplicate: bool },
    /// A packet that the system's own loss model dropped before it was sent: it is in no ledger, and counts as lost at the sender,
    /// apart from what the path loses.
    LostAtSender { frame: u32, stream: Stream, role: Role, index: u32, bytes: u32 },
    /// The sender gave up a whole frame.
    SenderDrop { frame: u32, reason: String },
    /// Everything needed to decode this stream of the frame is there; `recovered` source symbols came from repair symbols.
    Complete { frame: u32, stream: Stream, recovered: u32 },
    /// Decoding ended; `picture` is the content hash, empty if it is not told, absent if the decoder gave no picture.
    Decoded { frame: u32, stream: Stream, picture: Option<String> },
    /// A stream of the frame will not be shown from complete data.
    Lost { frame: u32, stream: Stream, cause: LossCause, missing: u32 },
    /// The frame's slot came: what is on the screen from now on. `shown` is the captured frame whose picture it is
    /// (absent: black), `picture` its content hash.
    Slot { frame: u32, stream: Stream, status: Status, shown: Option<u32>, picture: Option<String> },
    /// A datagram or message made no sense and was ignored.
    Malformed { bytes: u32, reason: String },
    /// A feedback message was sent (receiver) or understood (sender).
    Feedback { what: String },
    /// The transport's state: bytes waiting in it, and what it refused or dropped itself so far.
    Transport { buffered: u64, dropped: u64 },
    /// Anything else worth a line in the record.
    Note { text: String },
}

impl EventKind {
    /// The captured frame it belongs to, if any.
    #[must_use]
    pub fn frame(&self) -> Option<u32> {
        use EventKind as K;
        match *self {
            K::Captured { frame }
            | K::Encoded { frame, .. }
            | K::Sent { frame, .. }
            | K::Received { frame, .. }
            | K::LostAtSender { frame, .. }
            | K::SenderDrop { frame, .. }
            | K::Complete { frame, .. }
            | K::Decoded { frame, .. }
            | K::Lost { frame, .. }
            | K::Slot { frame, .. } => Some(frame),
            K::Malformed { .. } | K::Feedback { .. } | K::Transport { .. } | K::Note { .. } => None,
        }
    }
}

impl Stream {
    /// Every value, in order.
    pub const ALL: [Stream; 2] = [Stream::Rgb, Stream::Depth];

    /// Its name in the files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Rgb => "rgb",
            Stream::Depth => "depth",
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Stream> {
        Stream::ALL.into_iter().find(|v| v.name() == name)
    }
}

impl Status {
    /// Every value, in order.
    pub const ALL: [Status; 4] = [Status::Rendered, Status::Concealed, Status::Frozen, Status::DroppedSender];

    /// Its name in the files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Rendered => "rendered",
            Status::Concealed => "concealed",
            Status::Frozen => "frozen",
            Status::DroppedSender => "dropped_sender",
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|v| v.name() == name)
    }
}

impl LossCause {
    /// Every value, in order.
    pub const ALL: [LossCause; 6] = [
        LossCause::Network,
        LossCause::Late,
        LossCause::Decoder,
        LossCause::Sender,
        LossCause::Dependency,
        LossCause::Unknown,
    ];

    /// Its name in the files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LossCause::Network => "network",
            LossCause::Late => "late",
            LossCause::Decoder => "decoder",
            LossCause::Sender => "sender",
            LossCause::Dependency => "dependency",
            LossCause::Unknown => "unknown",
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<LossCause> {
        LossCause::ALL.into_iter().find(|v| v.name() == name)
    }
}
