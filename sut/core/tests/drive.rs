//! An endpoint on the wall clock: what had arrived counts by when it arrived.

use contract::Event;
use link::Timestamp;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use sut_core::drive::{Clock, Wakeup, Wiring, drive, inbox};
use sut_core::{Endpoint, Input, Output, Worker, WorkerError};

/// The run's clock, and the realtime clock read once beside it.
#[derive(Clone, Copy)]
struct Watch {
    started: Instant,
    since_1970: Duration,
}

#[allow(clippy::disallowed_methods, reason = "a clock")]
impl Watch {
    fn start() -> Self {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Self { started: Instant::now(), since_1970 }
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp(self.started.elapsed().as_nanos() as u64)
    }

    fn at_realtime(&self, since_1970: Duration) -> Timestamp {
        Timestamp(since_1970.saturating_sub(self.since_1970).as_nanos() as u64)
    }
}

const DEADLINE: Timestamp = Timestamp::from_millis(300);
const ASLEEP: Duration = Duration::from_millis(600);

/// Waits for a deadline, and is asleep at it.
#[derive(Default)]
struct Sleeper {
    heard: Vec<(&'static str, Timestamp, Vec<u8>)>,
    asleep: bool,
    deadline_passed: bool,
}

impl Endpoint for Sleeper {
    type Job = ();
    type Done = ();

    fn handle(&mut self, now: Timestamp, input: Input<'_, ()>) {
        let (what, bytes) = match input {
            Input::Start => ("start", Vec::new()),
            Input::Datagram(bytes) => ("datagram", bytes.to_vec()),
            Input::Timeout => ("timeout", Vec::new()),
            Input::Signal(bytes) => ("signal", bytes.to_vec()),
            Input::Capture(_) | Input::JobDone(()) => unreachable!("none was asked for"),
        };
        self.deadline_passed |= what == "timeout";
        self.heard.push((what, now, bytes));
        if !std::mem::replace(&mut self.asleep, true) {
            std::thread::sleep(ASLEEP);
        }
    }

    fn poll_output(&mut self) -> Option<Output<()>> {
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.deadline_passed).then_some(DEADLINE)
    }

    fn is_finished(&self) -> bool {
        self.heard.iter().any(|(_, _, bytes)| bytes == b"the end")
    }
}

struct Idle;

impl Worker for Idle {
    type Job = ();
    type Done = ();

    fn run(&mut self, (): ()) -> Result<(), WorkerError> {
        Ok(())
    }

    fn cost(&self, (): &()) -> Duration {
        Duration::ZERO
    }
}

/// Sent 200 ms before the deadline and 150 ms after it, to an endpoint that wakes 300 ms after it: the one is heard before the deadline, with
/// its own time, the other after it. A stranger's is not heard, and what comes from another thread is.
#[test]
fn what_arrived_before_the_deadline_is_heard_before_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (peer, stranger) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let here = socket.local_addr().unwrap();
    let peers = peer.local_addr().unwrap();
    let (waker, inbox) = inbox().unwrap();
    let watch = Watch::start();
    let long = vec![7; 40_000];
    let sender = {
        let (waker, long) = (waker.clone(), long.clone());
        std::thread::spawn(move || {
            let at =
                |ms| std::thread::sleep(Duration::from_millis(ms).saturating_sub(watch.started.elapsed()));
            at(90);
            stranger.send_to(b"stranger", here).unwrap();
            at(100);
            peer.send_to(b"early", here).unwrap();
            at(450);
            peer.send_to(&long, here).unwrap();
            at(800);
            waker.send(Wakeup::Signal(b"the end".to_vec()));
            peer
        })
    };
    let mut sleeper = Sleeper::default();
    let wiring = Wiring {
        socket,
        peer: peers,
        captures: None,
        end: Timestamp::from_millis(10_000),
        event: &mut |_: Event| {},
        signal: &mut |_| {},
    };
    assert!(drive(&mut sleeper, Idle, &watch, wiring, (waker, inbox)).unwrap());
    sender.join().unwrap();
    let order: Vec<_> = sleeper.heard.iter().map(|(what, _, _)| *what).collect();
    assert_eq!(order, ["start", "datagram", "timeout", "datagram", "signal"]);
    let [_, early, timeout, late, _] = &sleeper.heard[..] else { panic!("five inputs") };
    assert_eq!((&early.2[..], &late.2), (&b"early"[..], &long));
    // Not when the thread woke, 600 ms after the start; how late the sender's thread was is not ours to bound.
    assert!((Timestamp::from_millis(100)..DEADLINE).contains(&early.1), "{}", early.1);
    assert!(timeout.1 >= Timestamp::from_millis(600), "{}: a deadline is met when it is met", timeout.1);
    assert!(late.1 >= timeout.1, "time does not go back");
}
