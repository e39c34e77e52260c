//! Two WebRTC data channels: ICE, DTLS 1.2, SCTP, and the messages that open channels.
//!
//! Channels as the original ReVo opens them: `rgb_payload` and `depth_payload`, unordered, no
//! retransmission, announced in band (RFC 8832). Host candidates alone; no STUN server, no mDNS.
//!
//! The offerer begins everything: it decides on the path, begins the DTLS handshake (`a=setup:active`; aiortc 1.14 opens in no
//! other combination that all stacks share), asks for the SCTP association and opens the channels. An answerer begins the handshake
//! only if the offer says that it has to.

use crate::certificate;
use crate::clock::Clock;
use crate::config::Addresses;
use crate::dcep::{Dcep, ppid};
use crate::dtls::{self, Dtls};
use crate::ice::{Ice, News, Path};
use crate::sctp::{Association, Losses, Outgoing, Received, Secrets, State, Window};
use crate::sdp::{Description, Kind, Setup, Signal};
use crate::{CHANNELS, Config, Counters, MAX_MESSAGE, Message, Refusal, Role, SendResult, TransportError};
use link::Timestamp;
use rtc::crypto::RTCCryptoProvider;
use rtc::dtls::crypto::Certificate;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Labels of the channels, by channel number.
const LABELS: [&str; CHANNELS] = ["rgb_payload", "depth_payload"];

/// A peer with two data channels.
pub struct DataChannel {
    role: Role,
    clock: Clock,
    crypto: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
    locals: Vec<SocketAddr>,
    /// The only path there is, if it is known beforehand.
    fixed: Option<Path>,
    ice: Ice,
    dtls: Option<Dtls>,
    sctp: Association,
    path: Option<Path>,
    channels: [Option<Channel>; CHANNELS],
    described: bool,
    peer_takes: u64,
    closed: bool,
    timeout: Option<Timestamp>,
    transmits: VecDeque<(Path, Vec<u8>)>,
    signals: VecDeque<Vec<u8>>,
    messages: VecDeque<Message>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    stream: u16,
    open: bool,
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
        let failed = |error: &dyn std::fmt::Display| TransportError(error.to_string());
        let clock = Clock::new();
        let crypto = rtc::crypto::default_provider().map_err(|e| failed(&e))?;
        let certificate = certificate::fresh().map_err(|e| failed(&e))?.dtls_certificate;
        let mut random = [0; Secrets::LEN];
        crypto.random().fill(&mut random).map_err(|e| failed(&e))?;
        let (locals, fixed) = match &config.addresses {
            Addresses::Fixed { local, peer } => (vec![*local], Some((*local, *peer))),
            Addresses::Hosts(locals) => (locals.clone(), None),
        };
        Ok(DataChannel {
            role,
            ice: Ice::new(clock, &locals, &crypto).map_err(|e| failed(&e))?,
            clock,
            crypto,
            certificate,
            locals,
            fixed,
            dtls: None,
            sctp: Association::new(config.sctp.profile(), Secrets::new(&random)),
            path: None,
            channels: [None; CHANNELS],
            described: false,
            peer_takes: 0,
            closed: false,
            timeout: None,
            transmits: VecDeque::new(),
            signals: VecDeque::new(),
            messages: VecDeque::new(),
            counters: Counters::default(),
        })
    }

    pub(crate) fn handle_start(&mut self, now: Timestamp) {
        if self.role == Role::Offerer {
            self.describe(Kind::Offer, Setup::Active, "0");
        }
        self.settle(now);
    }

    pub(crate) fn handle_signal(&mut self, now: Timestamp, signal: &[u8]) {
        if self.closed || self.accept(now, signal).is_none() {
            self.counters.malformed_signals += 1;
        }
        self.settle(now);
    }

    /// A packet on the only path there is.
    pub(crate) fn handle_datagram(&mut self, now: Timestamp, payload: &[u8]) {
        match self.fixed {
            Some(path) => self.handle_datagram_on(now, path, payload),
            None => self.counters.malformed_datagrams += 1,
        }
    }

    /// A packet on a path of several.
    pub(crate) fn handle_datagram_on(&mut self, now: Timestamp, path: Path, payload: &[u8]) {
        self.counters.datagrams_in += 1;
        if self.closed {
            return;
        }
        if self.timeout.is_some_and(|at| at <= now) {
            self.handle_timeout(now); // before the packet, which may cancel it
        }
        // RFC 7983: the first byte says which layer it is for.
        let taken = match payload.first() {
            Some(0..=3) => self.ice.handle_packet(now, path, payload).is_ok(),
            Some(20..=63) => self.encrypted(now, payload),
            _ => false,
        };
        if !taken {
            self.counters.malformed_datagrams += 1;
        }
        self.settle(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if self.closed {
            return;
        }
        self.ice.handle_timeout(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now);
        }
        self.sctp.handle_timeout(now);
        self.settle(now);
    }

    pub(crate) fn send(&mut self, now: Timestamp, channel: u8, message: &[u8]) -> SendResult {
        match self.try_send(now, channel, message) {
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
        if message.len() > MAX_MESSAGE || (self.peer_takes > 0 && message.len() as u64 > self.peer_takes) {
            return Err(Refusal::TooLarge);
        }
        let stream = slot.filter(|c| c.open).ok_or(Refusal::NotOpen)?.stream;
        let (ppid, bytes) = match message {
            // SCTP has no empty messages (RFC 8831, 6.6).
            [] => (ppid::BINARY_EMPTY, vec![0]),
            _ => (ppid::BINARY, message.to_vec()),
        };
        let message = Outgoing { stream, ppid, unordered: true, retransmissions: Some(0), bytes };
        self.sctp.send(now, message);
        Ok(())
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.fixed?;
        self.transmits.pop_front().map(|(_, packet)| packet)
    }

    pub(crate) fn poll_transmit_on(&mut self) -> Option<(Path, Vec<u8>)> {
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
        self.channels.get(usize::from(channel)).copied().flatten().map_or(0, |c| self.sctp.buffered(c.stream))
    }

    pub(crate) fn window(&self) -> Window {
        self.sctp.window()
    }

    pub(crate) fn losses(&self) -> Losses {
        self.sctp.losses()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// As aiortc: ABORT, then DTLS's good-bye.
    pub(crate) fn close(&mut self, now: Timestamp) {
        if self.closed {
            return;
        }
        self.sctp.abort();
        self.settle(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.close(now);
        }
        self.settle(now);
        self.end();
    }

    fn end(&mut self) {
        self.closed = true;
        self.timeout = None;
        self.ice.close();
    }

    /// Applies the peer's description, once, and answers an offer.
    fn accept(&mut self, now: Timestamp, signal: &[u8]) -> Option<()> {
        let signal: Signal = serde_json::from_slice(signal).ok()?;
        let wanted = if self.role == Role::Offerer { Kind::Answer } else { Kind::Offer };
        if signal.kind != wanted || self.dtls.is_some() || (self.role == Role::Offerer && !self.described) {
            return None;
        }
        let peer = Description::parse(&signal.sdp).ok()?;
        // An offerer is what it said, `rtc`'s answers, which say the same of themselves and do otherwise, notwithstanding.
        let active = self.role == Role::Offerer || peer.setup == Setup::Passive;
        let dtls =
            Dtls::new(self.clock, active, self.certificate.clone(), peer.fingerprint.clone(), &self.crypto);
        let dtls = dtls.ok()?;
        self.ice.start(now, self.role, &peer).ok()?;
        self.dtls = Some(dtls);
        self.peer_takes = peer.max_message;
        if self.role == Role::Answerer {
            self.describe(Kind::Answer, if active { Setup::Active } else { Setup::Passive }, &peer.mid);
        } else {
            // RFC 8832, 6: the DTLS client's streams are even.
            for (channel, stream) in self.channels.iter_mut().zip((u16::from(!active)..).step_by(2)) {
                *channel = Some(Channel { stream, open: false });
            }
        }
        Some(())
    }

    /// Puts the own description out for the peer.
    fn describe(&mut self, kind: Kind, setup: Setup, mid: &str) {
        let hash = self.certificate.certificate.first().map(|c| dtls::fingerprint_of(&self.crypto, c));
        let Some(Ok(fingerprint)) = hash else { return };
        let (ufrag, pwd) = self.ice.credentials();
        let description = Description {
            mid: mid.to_owned(),
            setup,
            ufrag,
            pwd,
            fingerprint,
            candidates: self.locals.clone(),
            max_message: MAX_MESSAGE as u64,
        };
        let mut session = [0; 8];
        // Any number will do (RFC 8866, 5.2), the same in the worst case.
        let _ = self.crypto.random().fill(&mut session);
        let session =
            u64::from(u32::from_be_bytes([session[0], session[1], session[2], session[3]]) | 1 << 31);
        let signal = Signal { kind, sdp: description.write(session) };
        self.signals.push_back(serde_json::to_vec(&signal).unwrap_or_default());
        self.described = true;
    }

    /// A record of DTLS.
    fn encrypted(&mut self, now: Timestamp, packet: &[u8]) -> bool {
        let Some(dtls) = &mut self.dtls else { return false };
        let Ok(events) = dtls.handle_packet(now, packet) else { return false };
        let mut taken = true;
        for event in events {
            match event {
                dtls::Event::Open => self.connected(now),
                dtls::Event::Data(data) => taken &= self.sctp.handle_packet(now, &data),
                dtls::Event::Closed => self.end(),
            }
        }
        taken
    }

    /// The handshake is done: an association, and in it the channels. An answerer that began the handshake may have a peer that
    /// waits for it (`rtc` does), so it asks too.
    fn connected(&mut self, now: Timestamp) {
        if self.role == Role::Answerer {
            if self.dtls.as_ref().is_some_and(Dtls::is_client) {
                self.sctp.connect(now);
            }
            return;
        }
        self.sctp.connect(now);
        for (channel, label) in self.channels.into_iter().flatten().zip(LABELS) {
            self.announce(now, channel.stream, &Dcep::Open { label: label.as_bytes().to_vec() });
        }
    }

    fn announce(&mut self, now: Timestamp, stream: u16, message: &Dcep) {
        let bytes = message.encode();
        self.sctp
            .send(now, Outgoing { stream, ppid: ppid::DCEP, unordered: false, retransmissions: None, bytes });
    }

    /// Takes everything out of the layers that the last input put there.
    fn settle(&mut self, now: Timestamp) {
        loop {
            let mut settled = true;
            while let Some(news) = self.ice.poll_news() {
                settled = false;
                match news {
                    News::Path(path) => {
                        self.path = Some(path);
                        let started = self.dtls.as_mut().map(|dtls| dtls.start(now));
                        if let Some(Err(_)) = started {
                            self.end();
                        }
                    }
                    News::Failed => self.end(),
                }
            }
            while let Some((path, packet)) = self.ice.poll_transmit() {
                settled = false;
                self.transmit(path, packet);
            }
            while let Some(received) = self.sctp.poll_message() {
                settled = false;
                self.received(now, received);
            }
            while let Some(stream) = self.sctp.poll_reset() {
                settled = false;
                if self.channels.iter().flatten().any(|c| c.stream == stream) {
                    self.end();
                }
            }
            if let Some(dtls) = &mut self.dtls {
                while let Some(packet) = self.sctp.poll_transmit() {
                    settled = false;
                    dtls.write(now, &packet);
                }
                // Without a path the handshake waits.
                while let Some(path) = self.path
                    && let Some(packet) = dtls.poll_transmit()
                {
                    settled = false;
                    self.counters.datagrams_out += 1;
                    self.counters.datagram_bytes_out += packet.len() as u64;
                    self.transmits.push_back((path, packet));
                }
            }
            if settled {
                break;
            }
        }
        if self.sctp.state() == State::Closed && !self.closed {
            self.end();
        }
        self.timeout = if self.closed {
            None
        } else {
            let dtls = self.dtls.as_ref().and_then(Dtls::poll_timeout);
            [self.ice.poll_timeout(now), dtls, self.sctp.poll_timeout()].into_iter().flatten().min()
        };
    }

    fn transmit(&mut self, path: Path, packet: Vec<u8>) {
        // Where there is one path, a packet for a foreign peer's other candidate could not be delivered.
        if self.fixed.is_none_or(|fixed| fixed.1 == path.1) {
            self.counters.datagrams_out += 1;
            self.counters.datagram_bytes_out += packet.len() as u64;
            self.transmits.push_back((path, packet));
        }
    }

    fn received(&mut self, now: Timestamp, received: Received) {
        let Received { stream, ppid, bytes } = received;
        let bytes = match ppid {
            ppid::DCEP => return self.channel_message(now, stream, &bytes),
            ppid::STRING | ppid::BINARY => bytes,
            ppid::STRING_EMPTY | ppid::BINARY_EMPTY => Vec::new(),
            _ => return self.counters.unknown_channel += 1,
        };
        match self.channels.iter().position(|c| c.is_some_and(|c| c.stream == stream)) {
            Some(channel) => {
                self.counters.received_messages += 1;
                self.counters.received_bytes += bytes.len() as u64;
                self.messages.push_back(Message { channel: channel as u8, bytes });
            }
            None => self.counters.unknown_channel += 1,
        }
    }

    fn channel_message(&mut self, now: Timestamp, stream: u16, bytes: &[u8]) {
        match Dcep::parse(bytes) {
            Some(Dcep::Open { label }) => {
                match LABELS.iter().position(|l| l.as_bytes() == label) {
                    Some(channel) if self.channels[channel].is_none() => {
                        self.channels[channel] = Some(Channel { stream, open: true });
                    }
                    _ => self.counters.unknown_channel += 1,
                }
                self.announce(now, stream, &Dcep::Ack);
            }
            Some(Dcep::Ack) => {
                for channel in self.channels.iter_mut().flatten().filter(|c| c.stream == stream) {
                    channel.open = true;
                }
            }
            None => self.counters.unknown_channel += 1,
        }
    }
}
