//! What a peer must be told before it starts.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The choice of transport, as scenarios and reports name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// Plain datagrams: what the system does, without what SCTP does to it.
    Datagram,
    /// WebRTC data channels: what the original ReVo uses.
    #[default]
    Datachannel,
}

/// Which end of the connection a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Makes the offer and opens the channels.
    Offerer,
    /// Answers.
    Answerer,
}

/// Bytes that a [`crate::Datagram`] adds to each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overhead {
    /// As many as a data channel adds ([`crate::wire_size`]), so that bitrates compare.
    #[default]
    Datachannel,
    /// None: the UDP payload is the message. The receiver cannot tell the channel.
    None,
}

/// Configuration of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which transport.
    pub kind: TransportKind,
    /// Own address: the only ICE candidate that is offered. Made up in virtual time.
    pub local: SocketAddr,
    /// Address of the peer: datagrams come from there and go there.
    pub peer: SocketAddr,
    /// For [`TransportKind::Datagram`].
    pub overhead: Overhead,
}
