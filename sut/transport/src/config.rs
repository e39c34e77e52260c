//! What a peer must be told before it starts.

use crate::sctp::SctpKind;
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

/// Between which addresses packets may travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Between two that are known beforehand. Made up in virtual time.
    Fixed {
        /// Own address: the only ICE candidate that is offered.
        local: SocketAddr,
        /// Address of the peer: datagrams come from there and go there.
        peer: SocketAddr,
    },
    /// Data channels only: from any of these own ones to wherever the peer's description says; each has a socket of its own.
    Hosts(Vec<SocketAddr>),
}

/// Configuration of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which transport.
    pub kind: TransportKind,
    /// Where packets travel.
    pub addresses: Addresses,
    /// For [`TransportKind::Datagram`].
    pub overhead: Overhead,
    /// For [`TransportKind::Datachannel`]: whose congestion control.
    pub sctp: SctpKind,
}

impl Config {
    /// A peer between two known addresses, with the defaults of everything else.
    #[must_use]
    pub fn fixed(kind: TransportKind, local: SocketAddr, peer: SocketAddr) -> Self {
        let addresses = Addresses::Fixed { local, peer };
        Config { kind, addresses, overhead: Overhead::default(), sctp: SctpKind::default() }
    }
}
