//! Connectivity: `rtc`'s ICE agent with host candidates alone.

use crate::clock::Clock;
use crate::config::Role;
use crate::sdp::Description;
use bytes::BytesMut;
use link::Timestamp;
use rtc::crypto::RTCCryptoProvider;
use rtc::ice::candidate::candidate_host::CandidateHostConfig;
use rtc::ice::candidate::{Candidate, CandidateConfig};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::ice::state::ConnectionState;
use rtc::ice::{Agent, AgentConfig, Event};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The agent sometimes asks to be woken at once after it has just been; the next look is then this much
/// later, so that no driver spins.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

/// Between which two addresses a packet travels: own, peer's.
pub(crate) type Path = (SocketAddr, SocketAddr);

/// What the agent found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Packets of other layers travel here from now on.
    Path(Path),
    /// No path, or none any more.
    Failed,
}

pub(crate) struct Ice {
    agent: Agent,
    clock: Clock,
    /// When it was last told that time has passed.
    woken: Option<Timestamp>,
    closed: bool,
}

impl Ice {
    pub(crate) fn new(
        clock: Clock,
        locals: &[SocketAddr],
        crypto: &Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, Error> {
        let config = AgentConfig { multicast_dns_mode: MulticastDnsMode::Disabled, ..AgentConfig::default() };
        let mut agent = Agent::new(clock.instant(Timestamp::ZERO), Arc::new(config), crypto.clone())?;
        for &local in locals {
            agent.add_local_candidate(host(local)?)?;
        }
        Ok(Ice { agent, clock, woken: None, closed: false })
    }

    /// User name fragment and password for the description.
    pub(crate) fn credentials(&self) -> (String, String) {
        let own = self.agent.get_local_credentials();
        (own.ufrag.clone(), own.pwd.clone())
    }

    /// The peer's description is there: begins to look for a path. The offerer decides.
    pub(crate) fn start(&mut self, now: Timestamp, role: Role, peer: &Description) -> Result<(), Error> {
        for &candidate in &peer.candidates {
            self.agent.add_remote_candidate(host(candidate)?)?;
        }
        let controlling = role == Role::Offerer;
        self.agent.start_connectivity_checks(
            self.clock.instant(now),
            controlling,
            peer.ufrag.clone(),
            peer.pwd.clone(),
        )
    }

    pub(crate) fn handle_packet(
        &mut self,
        now: Timestamp,
        (local, peer): Path,
        packet: &[u8],
    ) -> Result<(), Error> {
        self.agent.handle_read(TaggedBytesMut {
            now: self.clock.instant(now),
            transport: TransportContext {
                local_addr: local,
                peer_addr: peer,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            },
            message: BytesMut::from(packet),
        })
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.woken = Some(now);
        // A failure belongs to an agent that has ended.
        let _ = self.agent.handle_timeout(self.clock.instant(now));
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<(Path, Vec<u8>)> {
        let out = self.agent.poll_write()?;
        Some(((out.transport.local_addr, out.transport.peer_addr), out.message.to_vec()))
    }

    pub(crate) fn poll_news(&mut self) -> Option<News> {
        loop {
            match self.agent.poll_event()?.event {
                Event::SelectedCandidatePairChange(local, peer) => {
                    return Some(News::Path((local.base_addr(), peer.addr())));
                }
                Event::ConnectionStateChange(ConnectionState::Failed | ConnectionState::Closed) => {
                    return Some(News::Failed);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn poll_timeout(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let earliest = if self.woken == Some(now) { now + SHORTEST_WAIT } else { now };
        self.agent.poll_timeout().map(|at| self.clock.timestamp(at).max(earliest))
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        let _ = self.agent.close();
    }
}

fn host(address: SocketAddr) -> Result<Candidate, Error> {
    CandidateHostConfig {
        base_config: CandidateConfig {
            network: "udp".to_owned(),
            address: address.ip().to_string(),
            port: address.port(),
            component: 1,
            ..CandidateConfig::default()
        },
        ..CandidateHostConfig::default()
    }
    .new_candidate_host()
}
