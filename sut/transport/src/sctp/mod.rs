//! SCTP (RFC 9260) with partial reliability (RFC 3758) for data channels (RFC 8831): an association as a state
//! machine that takes the time as input.
//!
//! ```text
//!   connect ──────────┐                                   ┌─▶ poll_transmit  packets, for DTLS
//!   handle_packet ────┼─▶ Association (time as input) ────┼─▶ poll_message   messages of the peer
//!   handle_timeout ───┤                                   ├─▶ poll_reset     streams that the peer has closed
//!   send ─────────────┘                                   └─▶ poll_timeout   when to wake it next
//! ```
//!
//! What implementations differ in is a [`Profile`]: congestion control decides what a sender that cannot slow down
//! looks like at the other end.
//!
//! Left out, since nothing here uses it: several addresses per peer, explicit congestion notification, adding streams,
//! restarts of an association (its DTLS connection would be a new one). The state cookie is a random number that is
//! remembered: it need not carry the state itself, for DTLS has seen to it that only the peer can ask.

mod inbound;
mod outbound;
pub mod packet;
mod profile;

pub use inbound::Received;
pub use outbound::{Losses, Outgoing, Window};
pub use profile::{Profile, SctpKind};

use inbound::Inbound;
use link::Timestamp;
use outbound::Outbound;
use packet::{Chunk, Init, Packet, Parameter, u32_at};
use std::collections::VecDeque;
use std::time::Duration;

/// Port of both ends (RFC 8831, 5; `a=sctp-port`).
pub const PORT: u16 = 5000;
/// Streams each way.
const STREAMS: u16 = 65_535;
/// Times that INIT or COOKIE ECHO are sent again (RFC 9260, 16).
const MOST_INIT: u32 = 8;
/// Times that SHUTDOWN or SHUTDOWN ACK are sent again.
const MOST_SHUTDOWN: u32 = 10;
/// Bytes of a cookie.
const COOKIE: usize = 24;

/// Numbers that an off-path attacker must not be able to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Own verification tag; not zero.
    pub tag: u32,
    /// First TSN.
    pub tsn: u32,
    /// Cookie for a peer that asks.
    pub cookie: [u8; COOKIE],
}

impl Secrets {
    /// Bytes of randomness that they take.
    pub const LEN: usize = 8 + COOKIE;

    /// Made from random bytes.
    #[must_use]
    pub fn new(random: &[u8; Self::LEN]) -> Self {
        let mut cookie = [0; COOKIE];
        cookie.copy_from_slice(&random[8..]);
        Secrets { tag: u32_at(random, 0).max(1), tsn: u32_at(random, 4), cookie }
    }
}

/// Where an association is (RFC 9260, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked for yet.
    New,
    /// INIT is out.
    CookieWait,
    /// The cookie is on its way back.
    CookieEchoed,
    /// Messages flow.
    Established,
    /// It will be shut down when everything has arrived.
    ShutdownPending,
    /// SHUTDOWN is out.
    ShutdownSent,
    /// The peer wants to end; what is on its way still arrives.
    ShutdownReceived,
    /// SHUTDOWN ACK is out.
    ShutdownAckSent,
    /// Over.
    Closed,
}

/// What is repeated until it is answered: T1 and T2 of the RFC.
#[derive(Debug)]
struct Repeated {
    chunk: Chunk,
    at: Timestamp,
    wait: Duration,
    left: u32,
}

/// An association with one peer.
#[derive(Debug)]
pub struct Association {
    profile: Profile,
    secrets: Secrets,
    state: State,
    peer_tag: u32,
    outbound: Outbound,
    inbound: Option<Inbound>,
    repeated: Option<Repeated>,
    /// Packets with data since the last SACK.
    unacknowledged: u32,
    sack_now: bool,
    sack_at: Option<Timestamp>,
    heartbeat_at: Option<Timestamp>,
    /// Heartbeats that nobody answered.
    unanswered: u32,
    /// Decided on, not in a packet yet.
    chunks: Vec<Chunk>,
    packets: VecDeque<Vec<u8>>,
    messages: VecDeque<Received>,
    resets: VecDeque<u16>,
}

impl Association {
    /// An association that waits to be asked or told to [`connect`](Self::connect).
    #[must_use]
    pub fn new(profile: Profile, secrets: Secrets) -> Self {
        Self {
            outbound: Outbound::new(profile, secrets.tsn),
            profile,
            secrets,
            state: State::New,
            peer_tag: 0,
            inbound: None,
            repeated: None,
            unacknowledged: 0,
            sack_now: false,
            sack_at: None,
            heartbeat_at: None,
            unanswered: 0,
            chunks: Vec::new(),
            packets: VecDeque::new(),
            messages: VecDeque::new(),
            resets: VecDeque::new(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The congestion window.
    #[must_use]
    pub fn window(&self) -> Window {
        self.outbound.window()
    }

    /// What was lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.outbound.losses()
    }

    /// Bytes of `stream` that wait for their turn: neither in flight nor cut into chunks.
    #[must_use]
    pub fn buffered(&self, stream: u16) -> u64 {
        self.outbound.buffered(stream)
    }

    /// Next packet for the peer.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    /// Next message of the peer.
    pub fn poll_message(&mut self) -> Option<Received> {
        self.messages.pop_front()
    }

    /// Next stream that the peer has closed.
    pub fn poll_reset(&mut self) -> Option<u16> {
        self.resets.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.state == State::Closed {
            return None;
        }
        let repeat = self.repeated.as_ref().map(|r| r.at);
        [repeat, self.outbound.poll_timeout(), self.sack_at, self.heartbeat_at].into_iter().flatten().min()
    }

    /// Asks the peer for an association.
    pub fn connect(&mut self, now: Timestamp) {
        if self.state == State::New {
            let init = Chunk::Init(self.init(Vec::new()));
            self.state = State::CookieWait;
            self.repeat(now, init, MOST_INIT);
            self.pack();
        }
    }

    /// Takes a message; it waits until the association is up and the window lets it out.
    pub fn send(&mut self, now: Timestamp, message: Outgoing) {
        debug_assert!(!message.bytes.is_empty(), "a DATA chunk has user data");
        if matches!(self.state, State::New | State::CookieWait | State::CookieEchoed | State::Established) {
            self.outbound.push(message);
        }
        if self.state == State::Established {
            self.outbound.flush(now, &mut self.chunks);
        }
        self.pack();
    }

    /// Ends the association at once; the peer is told.
    pub fn abort(&mut self) {
        if !matches!(self.state, State::New | State::Closed) {
            self.chunks.push(Chunk::Abort { reflected: false });
            self.pack();
        }
        self.close();
    }

    /// Ends the association when everything has arrived.
    pub fn shutdown(&mut self, now: Timestamp) {
        if self.state == State::Established {
            self.state = State::ShutdownPending;
            self.go_on_shutting_down(now);
            self.pack();
        }
    }

    /// The time asked for has come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.state == State::Closed {
            return;
        }
        if let Some(repeated) = self.repeated.as_mut().filter(|r| r.at <= now) {
            if repeated.left == 0 {
                return self.close();
            }
            repeated.left -= 1;
            if self.profile.backs_off {
                repeated.wait = (repeated.wait * 2).min(Duration::from_secs(60));
            }
            repeated.at = now + repeated.wait;
            self.chunks.push(repeated.chunk.clone());
        }
        if self.sack_at.is_some_and(|at| at <= now) {
            self.sack_now = true;
        }
        self.outbound.handle_timeout(now, &mut self.chunks);
        if self.heartbeat_at.is_some_and(|at| at <= now) {
            self.unanswered += 1;
            // Parameter 1: what comes back unread (RFC 9260, 3.3.5).
            let mut body = vec![0, 1, 0, 12];
            body.extend_from_slice(&now.as_nanos().to_be_bytes());
            self.chunks.push(Chunk::Heartbeat(body));
            self.expect_heartbeat(now);
        }
        if self.outbound.gave_up() || self.profile.patience.is_some_and(|most| self.unanswered > most) {
            self.abort();
        }
        self.acknowledge();
        self.pack();
    }

    /// Takes a packet from the peer; anything may be in it. False: it is no packet of this association.
    pub fn handle_packet(&mut self, now: Timestamp, bytes: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(bytes) else { return false };
        if !self.is_ours(&packet) {
            return false;
        }
        if self.state == State::Closed {
            // The peer has not heard that it is over (RFC 9260, 8.4 (5)): its own tag comes back to it.
            if packet.chunks.contains(&Chunk::ShutdownAck) {
                self.chunks.push(Chunk::ShutdownComplete { reflected: true });
                self.pack();
            }
            return false;
        }
        let had_data = packet.chunks.iter().any(|c| matches!(c, Chunk::Data(_)));
        for chunk in packet.chunks {
            self.chunk(now, chunk);
            if self.state == State::Closed {
                break;
            }
        }
        if had_data {
            self.unacknowledged += 1;
            self.decide_when_to_acknowledge(now);
        }
        self.go_on_shutting_down(now);
        self.acknowledge();
        self.pack();
        true
    }

    /// RFC 9260, 8.5: who may say what.
    fn is_ours(&self, packet: &Packet) -> bool {
        match packet.chunks.first() {
            Some(Chunk::Init(_)) => packet.tag == 0 && packet.chunks.len() == 1,
            Some(Chunk::Abort { reflected: true } | Chunk::ShutdownComplete { reflected: true }) => {
                packet.tag == self.peer_tag && self.peer_tag != 0
            }
            _ => packet.tag == self.secrets.tag,
        }
    }

    fn chunk(&mut self, now: Timestamp, chunk: Chunk) {
        match chunk {
            Chunk::Init(init) => self.asked(&init),
            Chunk::InitAck(init) if self.state == State::CookieWait => self.answered(now, &init),
            Chunk::CookieEcho(cookie) if cookie == self.secrets.cookie && self.inbound.is_some() => {
                self.chunks.push(Chunk::CookieAck);
                if matches!(self.state, State::New | State::CookieWait | State::CookieEchoed) {
                    self.establish(now);
                }
            }
            Chunk::CookieAck if self.state == State::CookieEchoed => self.establish(now),
            Chunk::Error(_) if matches!(self.state, State::CookieWait | State::CookieEchoed) => self.close(),
            Chunk::Data(data) if self.takes_data() => {
                let immediate = data.immediate;
                let mut messages = Vec::new();
                if let Some(inbound) = &mut self.inbound {
                    let new = inbound.data(data, &mut messages);
                    // Loss detection at the other end lives on prompt reports (RFC 9260, 6.2 and 6.7).
                    self.sack_now |= immediate || !new || inbound.has_gap();
                }
                self.messages.extend(messages);
            }
            Chunk::ForwardTsn(forward) if self.takes_data() => {
                let mut messages = Vec::new();
                if let Some(inbound) = &mut self.inbound {
                    inbound.forward(&forward, &mut messages);
                    self.sack_now = true;
                }
                self.messages.extend(messages);
            }
            Chunk::Sack(sack) if self.sends_data() => {
                if !self.outbound.sack(now, &sack, &mut self.chunks) {
                    self.abort(); // it acknowledges what was never sent (RFC 9260, 6.2.1)
                }
                self.expect_heartbeat(now);
            }
            Chunk::Heartbeat(body) => self.chunks.push(Chunk::HeartbeatAck(body)),
            Chunk::HeartbeatAck(_) => self.unanswered = 0,
            Chunk::Abort { .. } => self.close(),
            Chunk::Shutdown { cumulative } if self.inbound.is_some() => {
                self.shutdown_received(now, cumulative);
            }
            Chunk::ShutdownAck if matches!(self.state, State::ShutdownSent | State::ShutdownAckSent) => {
                self.chunks.push(Chunk::ShutdownComplete { reflected: false });
                self.pack();
                self.close();
            }
            Chunk::ShutdownComplete { .. } if self.state == State::ShutdownAckSent => self.close(),
            Chunk::Reconfig(parameters) if self.state == State::Established => self.reconfigure(&parameters),
            _ => {}
        }
    }

    fn init(&self, mut parameters: Vec<Parameter>) -> Init {
        let mut all = vec![
            Parameter { kind: Parameter::FORWARD_TSN, value: Vec::new() },
            // Types of FORWARD TSN and RE-CONFIG.
            Parameter { kind: Parameter::EXTENSIONS, value: vec![192, 130] },
        ];
        all.append(&mut parameters);
        Init {
            tag: self.secrets.tag,
            window: inbound::WINDOW,
            outbound: STREAMS,
            inbound: STREAMS,
            tsn: self.secrets.tsn,
            parameters: all,
        }
    }

    /// INIT: in every state before the association is up, for both ends may ask at once (RFC 9260, 5.2.1); later only if it
    /// is the same INIT again.
    fn asked(&mut self, init: &Init) {
        let early = matches!(self.state, State::New | State::CookieWait | State::CookieEchoed);
        let again = self.peer_tag == init.tag && self.inbound.is_some();
        if init.tag == 0 || init.outbound == 0 || init.inbound == 0 || !(early || again) {
            return;
        }
        if !again {
            self.meet(init);
        }
        let cookie = Parameter { kind: Parameter::COOKIE, value: self.secrets.cookie.to_vec() };
        let answer = self.init(vec![cookie]);
        self.chunks.push(Chunk::InitAck(answer));
    }

    /// INIT ACK.
    fn answered(&mut self, now: Timestamp, init: &Init) {
        let cookie = init.parameters.iter().find(|p| p.kind == Parameter::COOKIE);
        let Some(cookie) = cookie.filter(|_| init.tag != 0) else { return };
        if self.peer_tag != init.tag || self.inbound.is_none() {
            self.meet(init);
        }
        self.state = State::CookieEchoed;
        self.repeat(now, Chunk::CookieEcho(cookie.value.clone()), MOST_INIT);
    }

    fn meet(&mut self, init: &Init) {
        self.peer_tag = init.tag;
        self.inbound = Some(Inbound::new(init.tsn));
        self.outbound.peer_window(init.window);
    }

    fn establish(&mut self, now: Timestamp) {
        self.state = State::Established;
        self.repeated = None;
        self.expect_heartbeat(now);
        self.outbound.flush(now, &mut self.chunks);
    }

    fn takes_data(&self) -> bool {
        matches!(self.state, State::Established | State::ShutdownPending | State::ShutdownSent)
            // The cookie may have overtaken its acknowledgement.
            || (self.state == State::CookieEchoed && self.inbound.is_some())
    }

    fn sends_data(&self) -> bool {
        matches!(self.state, State::Established | State::ShutdownPending | State::ShutdownReceived)
    }

    /// RFC 9260, 6.2: at least every second packet, and within the delay; at once if something is missing.
    fn decide_when_to_acknowledge(&mut self, now: Timestamp) {
        match self.profile.sack_delay {
            Some(delay) if self.unacknowledged < 2 && self.state != State::ShutdownSent => {
                self.sack_at.get_or_insert(now + delay);
            }
            _ => self.sack_now = true,
        }
    }

    fn acknowledge(&mut self) {
        if let Some(inbound) = self.inbound.as_mut().filter(|_| self.sack_now) {
            self.chunks.insert(0, Chunk::Sack(inbound.sack()));
            self.sack_now = false;
            self.sack_at = None;
            self.unacknowledged = 0;
        }
    }

    fn shutdown_received(&mut self, now: Timestamp, cumulative: u32) {
        match self.state {
            State::Established | State::ShutdownPending | State::ShutdownReceived => {
                self.state = State::ShutdownReceived;
                let sack = packet::Sack { cumulative, window: u32::MAX, ..packet::Sack::default() };
                if !self.outbound.sack(now, &sack, &mut self.chunks) {
                    self.abort();
                }
            }
            // Both want to end: RFC 9260, 9.2.
            State::ShutdownSent => {
                self.state = State::ShutdownAckSent;
                self.repeat(now, Chunk::ShutdownAck, MOST_SHUTDOWN);
            }
            State::ShutdownAckSent => self.chunks.push(Chunk::ShutdownAck),
            _ => {}
        }
    }

    fn go_on_shutting_down(&mut self, now: Timestamp) {
        if !self.outbound.is_idle() {
            return;
        }
        let next = match self.state {
            State::ShutdownPending => {
                let cumulative = self.inbound.as_ref().map_or(0, Inbound::cumulative);
                (State::ShutdownSent, Chunk::Shutdown { cumulative })
            }
            State::ShutdownReceived => (State::ShutdownAckSent, Chunk::ShutdownAck),
            _ => return,
        };
        self.state = next.0;
        self.repeat(now, next.1, MOST_SHUTDOWN);
    }

    /// RFC 6525: the peer closes streams; both halves of a data channel end together (RFC 8831, 6.7), which the owner sees to.
    fn reconfigure(&mut self, parameters: &[Parameter]) {
        for parameter in parameters.iter().filter(|p| p.kind == Parameter::RESET_OUT) {
            let Some((fixed, streams)) = parameter.value.split_at_checked(12) else { continue };
            for stream in streams.chunks_exact(2).map(|s| packet::u16_at(s, 0)) {
                if let Some(inbound) = &mut self.inbound {
                    inbound.reset(stream);
                }
                self.resets.push_back(stream);
            }
            let mut value = fixed[..4].to_vec(); // its sequence number, then: performed
            value.extend_from_slice(&1u32.to_be_bytes());
            self.chunks.push(Chunk::Reconfig(vec![Parameter { kind: Parameter::RESPONSE, value }]));
        }
    }

    /// Sends a chunk until something answers it.
    fn repeat(&mut self, now: Timestamp, chunk: Chunk, times: u32) {
        let wait = self.outbound.retransmission_timeout();
        self.chunks.push(chunk.clone());
        self.repeated = Some(Repeated { chunk, at: now + wait, wait, left: times });
    }

    fn expect_heartbeat(&mut self, now: Timestamp) {
        self.heartbeat_at =
            self.profile.heartbeat.map(|every| now + every + self.outbound.retransmission_timeout());
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.repeated = None;
        self.sack_at = None;
        self.heartbeat_at = None;
    }

    /// Puts the chunks that were decided on into packets.
    fn pack(&mut self) {
        let mut chunks = std::mem::take(&mut self.chunks).into_iter().peekable();
        while let Some(first) = chunks.next() {
            let tag = match &first {
                Chunk::Init(_) => 0,
                Chunk::ShutdownComplete { reflected: true } => self.secrets.tag,
                _ => self.peer_tag,
            };
            let most = packet::DATA_HEADER + self.profile.fragment;
            let mut length = first.len();
            let mut packet = Packet { source: PORT, destination: PORT, tag, chunks: vec![first] };
            while self.profile.bundles
                && packet.chunks[0].can_be_bundled()
                && let Some(next) = chunks.next_if(|c| c.can_be_bundled() && length + c.len() <= most)
            {
                length += next.len();
                packet.chunks.push(next);
            }
            self.packets.push_back(packet.encode());
        }
    }
}
