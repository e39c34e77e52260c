//! Two WebRTC data channels over `rtc`, the sans-IO core of the `webrtc` crate.
//!
//! Channels as the original ReVo opens them: `rgb_payload` and `depth_payload`, unordered, no
//! retransmission, announced in band (RFC 8832). One ICE candidate each, the configured address; no
//! STUN server, no mDNS.

use crate::clock::Clock;
use crate::handshake::LastFlight;
use crate::{
    CHANNELS, Config, Counters, MAX_MESSAGE, Message, Refusal, Role, SendResult, TransportError, certificate,
};
use bytes::BytesMut;
use link::Timestamp;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Labels of the channels, by channel number.
const LABELS: [&str; CHANNELS] = ["rgb_payload", "depth_payload"];

/// The stack sometimes asks to be woken at once after it has just been; the next look is then this much
/// later, so that no driver spins.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

/// A peer with two data channels.
pub struct DataChannel {
    peer: RTCPeerConnection,
    role: Role,
    clock: Clock,
    local: SocketAddr,
    remote: SocketAddr,
    channels: Channels,
    flight: LastFlight,
    closed: bool,
    timeout: Option<Timestamp>,
    /// When it was last told that time has passed.
    woken: Option<Timestamp>,
    transmits: VecDeque<Vec<u8>>,
    signals: VecDeque<Vec<u8>>,
    messages: VecDeque<Message>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    id: RTCDataChannelId,
    open: bool,
    buffered: u64,
}

impl std::fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataChannel")
            .field("role", &self.role)
            .field("channels", &self.channels)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl DataChannel {
    pub(crate) fn new(config: &Config, role: Role) -> Result<Self, TransportError> {
        let clock = Clock::new();
        let (peer, channels) = build(config, role, &clock).map_err(|e| TransportError(e.to_string()))?;
        Ok(DataChannel {
            peer,
            role,
            clock,
            local: config.local,
            remote: config.peer,
            channels,
            flight: LastFlight::default(),
            closed: false,
            timeout: None,
            woken: None,
            transmits: VecDeque::new(),
            signals: VecDeque::new(),
            messages: VecDeque::new(),
            counters: Counters::default(),
        })
    }

    pub(crate) fn handle_start(&mut self, now: Timestamp) {
        if self.role == Role::Offerer && self.describe(now, Side::Offer).is_err() {
            self.counters.malformed_signals += 1;
        }
        self.settle(now);
    }

    pub(crate) fn handle_signal(&mut self, now: Timestamp, signal: &[u8]) {
        if self.accept(now, signal).is_err() {
            self.counters.malformed_signals += 1;
        }
        self.settle(now);
    }

    pub(crate) fn handle_datagram(&mut self, now: Timestamp, payload: &[u8]) {
        self.counters.datagrams_in += 1;
        // A timer that is due goes first: some handlers cancel it when a packet arrives.
        if self.timeout.is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
        self.flight.note_received(payload);
        let read = self.peer.handle_read(TaggedBytesMut {
            now: self.clock.instant(now),
            transport: TransportContext {
                local_addr: self.local,
                peer_addr: self.remote,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            },
            message: BytesMut::from(payload),
        });
        if read.is_err() {
            self.counters.malformed_datagrams += 1;
        }
        self.settle(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.woken = Some(now);
        // A failed timer belongs to a layer that is gone (closed, or not set up yet).
        let _ = self.peer.handle_timeout(self.clock.instant(now));
        self.settle(now);
        for packet in self.flight.due(now) {
            self.counters.datagrams_out += 1;
            self.counters.datagram_bytes_out += packet.len() as u64;
            self.transmits.push_back(packet.clone());
        }
        self.timeout = self.next_timeout(now);
    }

    pub(crate) fn send(&mut self, now: Timestamp, channel: u8, message: &[u8]) -> SendResult {
        let result = self.try_send(now, channel, message);
        match result {
            Ok(()) => {
                self.counters.sent_messages += 1;
                self.counters.sent_bytes += message.len() as u64;
                self.settle(now);
                SendResult::Accepted
            }
            Err(refusal) => {
                self.counters.refuse(refusal);
                SendResult::Refused(refusal)
            }
        }
    }

    fn try_send(&mut self, now: Timestamp, channel: u8, message: &[u8]) -> Result<(), Refusal> {
        let slot = self.channels.get(usize::from(channel)).ok_or(Refusal::NoChannel)?;
        if self.closed {
            return Err(Refusal::Closed);
        }
        if message.len() > MAX_MESSAGE {
            return Err(Refusal::TooLarge);
        }
        let id = slot.filter(|c| c.open).ok_or(Refusal::NotOpen)?.id;
        let mut data_channel = self.peer.data_channel(id).ok_or(Refusal::Closed)?;
        data_channel.send(self.clock.instant(now), BytesMut::from(message)).map_err(|error| match error {
            Error::ErrOutboundPacketTooLarge => Refusal::TooLarge,
            Error::ErrDataChannelNotOpen => Refusal::NotOpen,
            _ => Refusal::Closed,
        })
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_signal(&mut self) -> Option<Vec<u8>> {
        self.signals.pop_front()
    }

    pub(crate) fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.timeout
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closed && self.channels.iter().all(|c| c.is_some_and(|c| c.open))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn buffered_amount(&self, channel: u8) -> u64 {
        self.channels.get(usize::from(channel)).copied().flatten().map_or(0, |c| c.buffered)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn close(&mut self, now: Timestamp) {
        // The stack closes as of the last time it was told.
        let _ = self.peer.handle_timeout(self.clock.instant(now));
        let _ = self.peer.close();
        self.settle(now);
        self.closed = true;
        self.timeout = None;
    }

    /// Applies the peer's description, and answers an offer.
    fn accept(&mut self, now: Timestamp, signal: &[u8]) -> Result<(), Error> {
        let description: RTCSessionDescription =
            serde_json::from_slice(signal).map_err(|e| Error::Other(e.to_string()))?;
        self.peer.set_remote_description(self.clock.instant(now), description)?;
        if self.role == Role::Answerer { self.describe(now, Side::Answer) } else { Ok(()) }
    }

    /// Makes the own description and puts it out for the peer.
    fn describe(&mut self, now: Timestamp, side: Side) -> Result<(), Error> {
        let description = match side {
            Side::Offer => self.peer.create_offer(None)?,
            Side::Answer => self.peer.create_answer(None)?,
        };
        self.peer.set_local_description(self.clock.instant(now), description)?;
        let description = self.peer.local_description().ok_or(Error::ErrPeerConnSDPTypeInvalidValue)?;
        self.signals.push_back(serde_json::to_vec(&description).map_err(|e| Error::Other(e.to_string()))?);
        Ok(())
    }

    /// Takes everything out of the stack that the last input put there.
    fn settle(&mut self, now: Timestamp) {
        let already = self.transmits.len();
        loop {
            let mut settled = true;
            while let Some(event) = self.peer.poll_event() {
                settled = false;
                self.on_event(&event);
            }
            while let Some(tagged) = self.peer.poll_read() {
                settled = false;
                if let RTCMessage::DataChannelMessage(id, message) = tagged.message {
                    self.on_message(id, message.data.to_vec());
                }
            }
            while let Some(transmit) = self.peer.poll_write() {
                settled = false;
                // The peer has one address; a packet for another one (a foreign peer's second candidate)
                // could not be delivered.
                if transmit.transport.peer_addr == self.remote {
                    self.counters.datagrams_out += 1;
                    self.counters.datagram_bytes_out += transmit.message.len() as u64;
                    self.transmits.push_back(transmit.message.to_vec());
                }
            }
            if settled {
                break;
            }
        }
        for channel in self.channels.iter_mut().flatten() {
            channel.buffered = self.peer.data_channel(channel.id).map_or(0, |c| c.outstanding_bytes() as u64);
        }
        self.flight.note_sent(now, self.transmits.range(already..));
        self.timeout = self.next_timeout(now);
    }

    fn next_timeout(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let earliest = if self.woken == Some(now) { now + SHORTEST_WAIT } else { now };
        let stack = self.peer.poll_timeout().map(|at| self.clock.timestamp(at).max(earliest));
        [stack, self.flight.poll_timeout()].into_iter().flatten().min()
    }

    fn on_event(&mut self, event: &RTCPeerConnectionEvent) {
        match event {
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                let Some(channel) = self.peer.data_channel(*id).and_then(|c| number(c.label())) else {
                    return;
                };
                self.channels[channel] = Some(Channel { id: *id, open: true, buffered: 0 });
            }
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id))
                if self.channels.iter().flatten().any(|c| c.id == *id) =>
            {
                self.closed = true;
            }
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(
                RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed,
            ) => self.closed = true,
            _ => {}
        }
    }

    fn on_message(&mut self, id: RTCDataChannelId, bytes: Vec<u8>) {
        match self.channels.iter().position(|c| c.is_some_and(|c| c.id == id)) {
            Some(channel) => {
                self.counters.received_messages += 1;
                self.counters.received_bytes += bytes.len() as u64;
                self.messages.push_back(Message { channel: channel as u8, bytes });
            }
            None => self.counters.unknown_channel += 1,
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Offer,
    Answer,
}

fn number(label: &str) -> Option<usize> {
    LABELS.iter().position(|l| *l == label)
}

type Channels = [Option<Channel>; CHANNELS];

fn build(config: &Config, role: Role, clock: &Clock) -> Result<(RTCPeerConnection, Channels), Error> {
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        // The suite that every WebRTC peer must have (RFC 8827, 6.5), so that a record's overhead is
        // known: `crate::DATA_CHANNEL_OVERHEAD`.
        .with_dtls_cipher_suites(vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256])
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE as u32))
        .build();
    let mut peer = RTCPeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new().with_certificates(vec![certificate::fresh()?]).build(),
        )
        .with_setting_engine(settings)
        .build(clock.instant(Timestamp::ZERO))?;
    let candidate = CandidateHostConfig {
        base_config: CandidateConfig {
            network: "udp".to_owned(),
            address: config.local.ip().to_string(),
            port: config.local.port(),
            component: 1,
            ..Default::default()
        },
        ..Default::default()
    }
    .new_candidate_host()?;
    peer.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
    let mut channels = [None; CHANNELS];
    if role == Role::Offerer {
        for (slot, label) in channels.iter_mut().zip(LABELS) {
            let init = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
            let id = peer.create_data_channel(label, Some(init))?.id();
            *slot = Some(Channel { id, open: false, buffered: 0 });
        }
    }
    Ok((peer, channels))
}
