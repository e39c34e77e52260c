//! How a system's messages travel between its two peers: a named choice, a line in every report.
//!
//! | transport | what is on the wire | congestion control |
//! |---|---|---|
//! | [`Datagram`] | one message per UDP datagram, plus a declared overhead | none |
//! | [`DataChannel`] | ICE, DTLS 1.2, SCTP, two unordered channels without retransmission (RFC 8831) | SCTP's (RFC 9260) |
//!
//! Both are state machines that take the time as input, so that the same code runs in virtual time and in
//! namespaces. Start at [`Transport`]:
//!
//! ```text
//!   handle_start ─┐                                  ┌─▶ poll_signal    to the peer, out of band
//!   handle_signal ┤                                  ├─▶ poll_transmit  UDP payloads to the peer
//!   handle_datagram ─▶  Transport (time as input)  ──┼─▶ poll_message   messages of the peer
//!   handle_timeout ┤                                 └─▶ poll_timeout   when to wake it next
//!   send ──────────┘        drain the polls after every handle and every send
//! ```
//!
//! What stays different from run to run of a data channel in virtual time is the *content* of its
//! encrypted packets (keys, tags, initial sequence numbers); number, sizes and times of its packets
//! are the same for the same inputs ([`certificate`] says what had to be done for that).

pub mod certificate;
mod clock;
mod config;
mod datachannel;
mod datagram;
mod dcep;
mod dtls;
mod handshake;
mod ice;
pub mod sctp;
pub mod sdp;

pub use config::{Addresses, Config, Overhead, Role, TransportKind};
pub use datachannel::DataChannel;
pub use datagram::{DATA_CHANNEL_OVERHEAD, Datagram, MAX_UDP_PAYLOAD, wire_size};

use link::Timestamp;
use sctp::{Losses, Window};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Channel of the colour stream; `rgb_payload` as a data channel.
pub const RGB: u8 = 0;
/// Channel of the depth stream; `depth_payload` as a data channel.
pub const DEPTH: u8 = 1;
/// Number of channels.
pub const CHANNELS: usize = 2;
/// Longest message of a data channel in bytes: what ReVo's peers announce as `a=max-message-size`.
pub const MAX_MESSAGE: usize = 65_536;

/// A message that arrived from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// [`RGB`] or [`DEPTH`]. Always [`RGB`] where the wire does not say ([`Overhead::None`]).
    pub channel: u8,
    /// The message, byte for byte as the peer's [`Transport::send`] took it.
    pub bytes: Vec<u8>,
}

/// What became of a message handed to [`Transport::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that was refused must not be recorded as sent"]
pub enum SendResult {
    /// Taken: it is on its way or in the send buffer (see [`Transport::buffered_amount`]).
    Accepted,
    /// Not taken, and counted.
    Refused(Refusal),
}

impl SendResult {
    /// True for [`SendResult::Accepted`].
    #[must_use]
    pub fn is_accepted(self) -> bool {
        self == SendResult::Accepted
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The transport is not open yet.
    NotOpen,
    /// The transport has been closed, by either side.
    Closed,
    /// Longer than the transport can carry.
    TooLarge,
    /// There is no such channel.
    NoChannel,
}

/// What a transport did, for the record of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages accepted by [`Transport::send`].
    pub sent_messages: u64,
    /// Bytes of those messages.
    pub sent_bytes: u64,
    /// Messages handed out by [`Transport::poll_message`] or waiting there.
    pub received_messages: u64,
    /// Bytes of those messages.
    pub received_bytes: u64,
    /// UDP payloads handed out by [`Transport::poll_transmit`] or waiting there.
    pub datagrams_out: u64,
    /// Bytes of those payloads.
    pub datagram_bytes_out: u64,
    /// UDP payloads taken from the network.
    pub datagrams_in: u64,
    /// Messages refused because the transport was not open, or closed.
    pub refused_not_open: u64,
    /// Messages refused because they were too long or named no channel.
    pub refused_invalid: u64,
    /// Datagrams that cannot be the peer's (too short for the framing, a framing out of range).
    /// A data channel's layers discard forged packets without telling; they are not counted here.
    pub malformed_datagrams: u64,
    /// Signals that could not be used.
    pub malformed_signals: u64,
    /// Messages on a data channel whose label is neither of ours.
    pub unknown_channel: u64,
}

/// A message transport between two peers.
#[derive(Debug)]
pub enum Transport {
    /// One message per UDP datagram.
    Datagram(Datagram),
    /// Two WebRTC data channels.
    DataChannel(Box<DataChannel>),
}

impl Transport {
    /// The peer that makes the offer and opens the channels: ReVo's sender.
    ///
    /// # Errors
    /// [`TransportError`] if the WebRTC stack refuses the configuration.
    pub fn new_offerer(config: &Config) -> Result<Self, TransportError> {
        Self::new(config, Role::Offerer)
    }

    /// The peer that answers: ReVo's receiver.
    ///
    /// # Errors
    /// [`TransportError`] if the WebRTC stack refuses the configuration.
    pub fn new_answerer(config: &Config) -> Result<Self, TransportError> {
        Self::new(config, Role::Answerer)
    }

    /// A peer of the given role.
    ///
    /// # Errors
    /// [`TransportError`] if the WebRTC stack refuses the configuration.
    pub fn new(config: &Config, role: Role) -> Result<Self, TransportError> {
        Ok(match config.kind {
            TransportKind::Datagram => Transport::Datagram(Datagram::new(config)),
            TransportKind::Datachannel => Transport::DataChannel(Box::new(DataChannel::new(config, role)?)),
        })
    }

    /// The run begins. The offerer then has its offer in [`poll_signal`](Self::poll_signal).
    pub fn handle_start(&mut self, now: Timestamp) {
        match self {
            Transport::Datagram(t) => t.handle_start(),
            Transport::DataChannel(t) => t.handle_start(now),
        }
    }

    /// Takes a UDP payload from the network. Anything may be in it.
    pub fn handle_datagram(&mut self, now: Timestamp, payload: &[u8]) {
        match self {
            Transport::Datagram(t) => t.handle_datagram(payload),
            Transport::DataChannel(t) => t.handle_datagram(now, payload),
        }
    }

    /// Takes a UDP payload that came to `local` from `peer`, where several paths are possible ([`Addresses::Hosts`]).
    pub fn handle_datagram_on(
        &mut self,
        now: Timestamp,
        (local, peer): (SocketAddr, SocketAddr),
        payload: &[u8],
    ) {
        match self {
            Transport::Datagram(t) => t.handle_datagram(payload),
            Transport::DataChannel(t) => t.handle_datagram_on(now, (local, peer), payload),
        }
    }

    /// Takes what the peer's [`poll_signal`](Self::poll_signal) gave. Anything may be in it.
    pub fn handle_signal(&mut self, now: Timestamp, signal: &[u8]) {
        match self {
            Transport::Datagram(t) => t.handle_signal(),
            Transport::DataChannel(t) => t.handle_signal(now, signal),
        }
    }

    /// The time asked for by [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Transport::Datagram(_) => {}
            Transport::DataChannel(t) => t.handle_timeout(now),
        }
    }

    /// Sends a message on a channel.
    pub fn send(&mut self, now: Timestamp, channel: u8, message: &[u8]) -> SendResult {
        match self {
            Transport::Datagram(t) => t.send(channel, message),
            Transport::DataChannel(t) => t.send(now, channel, message),
        }
    }

    /// Next UDP payload for the peer.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        match self {
            Transport::Datagram(t) => t.poll_transmit(),
            Transport::DataChannel(t) => t.poll_transmit(),
        }
    }

    /// Next UDP payload with the own and the peer's address between which it is to travel, where several paths are possible
    /// ([`Addresses::Hosts`]).
    pub fn poll_transmit_on(&mut self) -> Option<((SocketAddr, SocketAddr), Vec<u8>)> {
        match self {
            Transport::Datagram(_) => None,
            Transport::DataChannel(t) => t.poll_transmit_on(),
        }
    }

    /// Next out-of-band message for the peer: a JSON session description `{"type", "sdp"}`.
    pub fn poll_signal(&mut self) -> Option<Vec<u8>> {
        match self {
            Transport::Datagram(_) => None,
            Transport::DataChannel(t) => t.poll_signal(),
        }
    }

    /// Next message of the peer, in order of arrival.
    pub fn poll_message(&mut self) -> Option<Message> {
        match self {
            Transport::Datagram(t) => t.poll_message(),
            Transport::DataChannel(t) => t.poll_message(),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Transport::Datagram(_) => None,
            Transport::DataChannel(t) => t.poll_timeout(),
        }
    }

    /// True while messages can be sent: both channels are open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Transport::Datagram(t) => t.is_open(),
            Transport::DataChannel(t) => t.is_open(),
        }
    }

    /// True once the transport has been closed by either side or has given the peer up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self {
            Transport::Datagram(t) => t.is_closed(),
            Transport::DataChannel(t) => t.is_closed(),
        }
    }

    /// Bytes of `channel` that wait for the congestion window, as a browser's and aiortc's `bufferedAmount`: what is in flight is
    /// left out. 0 for datagrams.
    #[must_use]
    pub fn buffered_amount(&self, channel: u8) -> u64 {
        match self {
            Transport::Datagram(_) => 0,
            Transport::DataChannel(t) => t.buffered_amount(channel),
        }
    }

    /// The congestion window; `None` for datagrams.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        match self {
            Transport::Datagram(_) => None,
            Transport::DataChannel(t) => Some(t.window()),
        }
    }

    /// What congestion control has seen of losses; `None` for datagrams.
    #[must_use]
    pub fn losses(&self) -> Option<Losses> {
        match self {
            Transport::Datagram(_) => None,
            Transport::DataChannel(t) => Some(t.losses()),
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        match self {
            Transport::Datagram(t) => t.counters(),
            Transport::DataChannel(t) => t.counters(),
        }
    }

    /// Closes it; what tells the peer is in [`poll_transmit`](Self::poll_transmit).
    pub fn close(&mut self, now: Timestamp) {
        match self {
            Transport::Datagram(t) => t.close(),
            Transport::DataChannel(t) => t.close(now),
        }
    }
}

/// A transport could not be built.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up a data channel peer: {0}")]
pub struct TransportError(String);
