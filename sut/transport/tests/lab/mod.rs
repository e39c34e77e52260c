//! Two transports and a path between them, in virtual time: what the tests and the bench run on.

use link::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use transport::{Config, Message, Transport, TransportKind};

/// One way of the path: a propagation delay and independent losses.
#[derive(Clone, Copy)]
pub struct Way {
    pub delay: Duration,
    /// Lost packets of 2^32.
    pub loss: u32,
}

/// Which peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Offerer = 0,
    Answerer = 1,
}

/// A packet as it was sent: time, sender, UDP payload bytes, lost.
pub type Sent = (Timestamp, End, usize, bool);

pub struct Lab {
    pub now: Timestamp,
    pub peers: [Transport; 2],
    pub ways: [Way; 2],
    pub sent: Vec<Sent>,
    /// Messages with their time of arrival, by receiving peer.
    pub arrived: [Vec<(Timestamp, Message)>; 2],
    on_the_way: BTreeMap<(Timestamp, u64), (End, Vec<u8>)>,
    count: u64,
    random: link::SplitMix64,
}

pub fn config(kind: TransportKind, end: End) -> Config {
    let ends: [SocketAddr; 2] = ["10.0.1.1:5000".parse().unwrap(), "10.0.2.1:5000".parse().unwrap()];
    let (local, peer) = match end {
        End::Offerer => (ends[0], ends[1]),
        End::Answerer => (ends[1], ends[0]),
    };
    Config::fixed(kind, local, peer)
}

impl Lab {
    /// A started pair with `rtt / 2` each way and no loss.
    pub fn new(kind: TransportKind, rtt: Duration, seed: u64) -> Self {
        Self::with(rtt, seed, |end| config(kind, end))
    }

    /// The same, of any configuration.
    pub fn with(rtt: Duration, seed: u64, config: impl Fn(End) -> Config) -> Self {
        let mut lab = Lab {
            now: Timestamp::ZERO,
            peers: [
                Transport::new_offerer(&config(End::Offerer)).unwrap(),
                Transport::new_answerer(&config(End::Answerer)).unwrap(),
            ],
            ways: [Way { delay: rtt / 2, loss: 0 }; 2],
            sent: Vec::new(),
            arrived: [Vec::new(), Vec::new()],
            on_the_way: BTreeMap::new(),
            count: 0,
            random: link::SplitMix64::new(seed),
        };
        for peer in &mut lab.peers {
            peer.handle_start(Timestamp::ZERO);
        }
        lab.exchange();
        lab
    }

    /// Advances to `until`, or to the moment at which `done` says so.
    pub fn run(&mut self, until: Timestamp, done: impl Fn(&Lab) -> bool) {
        loop {
            self.exchange();
            if done(self) {
                return;
            }
            let arrival = self.on_the_way.keys().next().map(|k| k.0);
            let timeouts = self.peers.iter().map(Transport::poll_timeout);
            let next = timeouts.chain([arrival]).flatten().min().unwrap_or(Timestamp::MAX);
            if next > until {
                self.now = until;
                return;
            }
            self.now = next.max(self.now);
            if arrival == Some(next) {
                let (_, (to, payload)) = self.on_the_way.pop_first().unwrap();
                self.peers[to as usize].handle_datagram(self.now, &payload);
            } else {
                for peer in &mut self.peers {
                    if peer.poll_timeout().is_some_and(|t| t <= self.now) {
                        peer.handle_timeout(self.now);
                    }
                }
            }
        }
    }

    pub fn open(&mut self) {
        self.run(Timestamp::from_millis(30_000), |lab| lab.peers.iter().all(Transport::is_open));
        assert!(self.peers.iter().all(Transport::is_open), "not open after 30 s");
    }

    fn exchange(&mut self) {
        loop {
            let mut quiet = true;
            for (from, to) in [(End::Offerer, End::Answerer), (End::Answerer, End::Offerer)] {
                while let Some(signal) = self.peers[from as usize].poll_signal() {
                    self.peers[to as usize].handle_signal(self.now, &signal);
                    quiet = false;
                }
                while let Some(payload) = self.peers[from as usize].poll_transmit() {
                    let way = self.ways[from as usize];
                    let lost = self.draw() < way.loss;
                    self.sent.push((self.now, from, payload.len(), lost));
                    if !lost {
                        self.count += 1;
                        self.on_the_way.insert((self.now + way.delay, self.count), (to, payload));
                    }
                    quiet = false;
                }
                while let Some(message) = self.peers[from as usize].poll_message() {
                    self.arrived[from as usize].push((self.now, message));
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// The upper half of a random word.
    pub fn draw(&mut self) -> u32 {
        (self.random.word() >> 32) as u32
    }
}

/// `percent` as lost packets of 2^32.
pub fn loss(percent: f64) -> u32 {
    (percent / 100.0 * f64::from(u32::MAX)).round() as u32
}
