//! Both transports between two peers in virtual time.

#[path = "lab/mod.rs"]
mod lab;

use lab::{End, Lab, config, loss};
use link::Timestamp;
use std::time::Duration;
use transport::{
    Config, DATA_CHANNEL_OVERHEAD, DEPTH, MAX_MESSAGE, Overhead, RGB, Refusal, SendResult, Transport,
    TransportKind, wire_size,
};

const RTT: Duration = Duration::from_millis(40);
const BOTH: [TransportKind; 2] = [TransportKind::Datagram, TransportKind::Datachannel];

/// A message that says who it is: number, then bytes that follow from the number.
fn message(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((4..len.max(4)).map(|i| (i as u32).wrapping_mul(31).wrapping_add(number) as u8));
    bytes.truncate(len.max(4));
    bytes
}

/// Sends `count` messages at ReVo's own rate (150 per second, alternating channels) and waits 5 s more.
fn stream(lab: &mut Lab, count: u32, len: usize) {
    let start = lab.now;
    for number in 0..count {
        lab.run(start + Duration::from_nanos(u64::from(number) * 1_000_000_000 / 150), |_| false);
        let channel = (number % 2) as u8;
        let now = lab.now;
        assert_eq!(lab.peers[0].send(now, channel, &message(number, len)), SendResult::Accepted);
    }
    lab.run(lab.now + Duration::from_secs(5), |_| false);
}

#[test]
fn thousands_of_messages_arrive_whole_and_on_time_without_loss() {
    for kind in BOTH {
        let mut lab = Lab::new(kind, RTT, 1);
        lab.open();
        let start = lab.now;
        stream(&mut lab, 3000, 1045);
        assert_eq!(lab.arrived[End::Answerer as usize].len(), 3000, "{kind:?}");
        for (number, (at, got)) in lab.arrived[End::Answerer as usize].iter().enumerate() {
            assert_eq!(got.bytes, message(number as u32, 1045), "{kind:?}");
            assert_eq!(usize::from(got.channel), number % 2);
            let sent = start + Duration::from_nanos(number as u64 * 1_000_000_000 / 150);
            // SCTP starts with a window of four packets; then nothing is in its way.
            if kind == TransportKind::Datagram || number >= 150 {
                assert_eq!(*at - sent, RTT / 2, "{kind:?} message {number}");
            }
        }
    }
}

#[test]
fn whole_messages_or_nothing_under_loss() {
    for kind in BOTH {
        let mut lab = Lab::new(kind, RTT, 7);
        lab.open();
        lab.ways[0].loss = loss(2.0);
        lab.ways[1].loss = loss(2.0);
        stream(&mut lab, 3000, 1045);
        let mut seen = vec![false; 3000];
        for (_, got) in &lab.arrived[End::Answerer as usize] {
            let number = u32::from_le_bytes(got.bytes[..4].try_into().unwrap());
            assert_eq!(got.bytes, message(number, 1045));
            assert!(!std::mem::replace(&mut seen[number as usize], true), "{number} twice");
        }
        let delivered = seen.iter().filter(|s| **s).count();
        assert!((2850..3000).contains(&delivered), "{kind:?}: {delivered}");
    }
}

#[test]
fn the_same_packets_at_the_same_times_whatever_the_keys() {
    let record = || {
        let mut lab = Lab::new(TransportKind::Datachannel, RTT, 3);
        lab.ways[0].loss = loss(5.0);
        lab.ways[1].loss = loss(5.0);
        lab.open();
        stream(&mut lab, 600, 1045);
        let now = lab.now;
        lab.peers[0].close(now);
        lab.run(now + Duration::from_secs(1), |_| false);
        (lab.sent, lab.arrived)
    };
    let first = record();
    for _ in 0..5 {
        let again = record();
        assert_eq!(again.0, first.0, "packets");
        assert_eq!(again.1, first.1, "messages");
    }
}

#[test]
fn same_size_on_the_wire() {
    for len in [4, 5, 6, 7, 500, 1024, 1045] {
        let sizes = BOTH.map(|kind| {
            let mut lab = Lab::new(kind, RTT, 1);
            lab.open();
            lab.run(lab.now + Duration::from_secs(1), |_| false);
            let before = lab.sent.len();
            let now = lab.now;
            assert!(lab.peers[0].send(now, DEPTH, &message(9, len)).is_accepted());
            lab.run(now, |_| false);
            assert_eq!(lab.sent.len(), before + 1);
            lab.sent[before].2
        });
        assert_eq!(sizes[0], sizes[1], "message of {len} bytes");
        assert_eq!(sizes[0], wire_size(Overhead::Datachannel, len));
    }
    assert_eq!(wire_size(Overhead::Datachannel, 1045), 1048 + DATA_CHANNEL_OVERHEAD);
}

#[test]
fn both_ways_and_big_messages_through_a_data_channel() {
    let mut lab = Lab::new(TransportKind::Datachannel, RTT, 1);
    lab.open();
    let now = lab.now;
    assert!(lab.peers[0].send(now, RGB, &message(1, MAX_MESSAGE)).is_accepted());
    assert_eq!(
        lab.peers[0].send(now, RGB, &message(1, MAX_MESSAGE + 1)),
        SendResult::Refused(Refusal::TooLarge)
    );
    assert_eq!(lab.peers[0].send(now, 2, b"x"), SendResult::Refused(Refusal::NoChannel));
    // The first is cut and on its way, the second waits for the window.
    assert_eq!(lab.peers[0].buffered_amount(RGB), 0);
    assert!(lab.peers[0].send(now, RGB, &message(3, MAX_MESSAGE)).is_accepted());
    assert_eq!(lab.peers[0].buffered_amount(RGB), MAX_MESSAGE as u64);
    assert_eq!(lab.peers[0].buffered_amount(DEPTH), 0);
    assert!(lab.peers[1].send(now, DEPTH, &message(2, 100)).is_accepted());
    lab.run(now + Duration::from_secs(3), |_| false);
    assert_eq!(lab.arrived[1].len(), 2);
    assert_eq!(lab.arrived[1][0].1.bytes, message(1, MAX_MESSAGE));
    assert_eq!(lab.arrived[1][1].1.bytes, message(3, MAX_MESSAGE));
    assert_eq!(lab.arrived[0][0].1.bytes, message(2, 100));
    assert_eq!(lab.arrived[0][0].1.channel, DEPTH);
    assert_eq!(lab.peers[0].buffered_amount(RGB), 0);
    assert_eq!(lab.peers[0].counters().refused_invalid, 2);
}

#[test]
fn a_datagram_carries_one_unfragmented_packet_and_no_more() {
    let mut lab = Lab::new(TransportKind::Datagram, RTT, 1);
    let now = lab.now;
    assert!(lab.peers[0].send(now, RGB, &vec![0; 1404]).is_accepted());
    assert_eq!(lab.peers[0].send(now, RGB, &vec![0; 1408]), SendResult::Refused(Refusal::TooLarge));
}

#[test]
fn bare_datagrams_are_the_messages() {
    let config = Config { overhead: Overhead::None, ..config(TransportKind::Datagram, End::Offerer) };
    let mut transport = Transport::new_offerer(&config).unwrap();
    assert_eq!(transport.send(Timestamp::ZERO, RGB, b"early"), SendResult::Refused(Refusal::NotOpen));
    transport.handle_start(Timestamp::ZERO);
    assert!(transport.send(Timestamp::ZERO, DEPTH, b"\x01\x00\x02").is_accepted());
    assert_eq!(transport.poll_transmit().unwrap(), b"\x01\x00\x02");
    assert_eq!(transport.counters().refused_not_open, 1);
}

#[test]
fn the_other_side_learns_of_a_close() {
    let mut lab = Lab::new(TransportKind::Datachannel, RTT, 1);
    lab.open();
    let now = lab.now;
    lab.peers[0].close(now);
    assert!(lab.peers[0].is_closed());
    assert_eq!(lab.peers[0].send(now, RGB, b"x"), SendResult::Refused(Refusal::Closed));
    lab.run(now + Duration::from_secs(1), |lab| lab.peers[1].is_closed());
    assert!(lab.peers[1].is_closed());
    assert!(lab.now - now < Duration::from_millis(100));
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut lab = Lab::new(TransportKind::Datachannel, RTT, 1);
    lab.open();
    lab.ways = lab.ways.map(|way| lab::Way { loss: u32::MAX, ..way });
    let now = lab.now;
    lab.run(now + Duration::from_secs(120), |lab| lab.peers[0].is_closed());
    assert!(lab.peers[0].is_closed(), "still open after two minutes of silence");
    assert!(lab.now - now > Duration::from_secs(5));
}

#[test]
fn opens_in_spite_of_loss() {
    for seed in 0..100 {
        let mut lab = Lab::new(TransportKind::Datachannel, RTT, seed);
        lab.ways[0].loss = loss(10.0);
        lab.ways[1].loss = loss(10.0);
        lab.open();
    }
}

#[test]
fn garbage_is_survived() {
    for kind in BOTH {
        let mut lab = Lab::new(kind, RTT, 99);
        lab.open();
        let mut genuine: Vec<Vec<u8>> = Vec::new();
        for round in 0..3000u32 {
            let now = lab.now + Duration::from_millis(1);
            lab.run(now, |_| false);
            // A real packet, taken off the wire and damaged; or bytes that mean nothing.
            if lab.peers[0].send(now, RGB, &message(round, 200)).is_accepted()
                && let Some(payload) = lab.peers[0].poll_transmit()
            {
                genuine.push(payload);
            }
            let mut payload = match genuine.last() {
                Some(p) if round % 3 != 0 => p.clone(),
                _ => vec![0; lab.draw() as usize % 300],
            };
            for _ in 0..1 + lab.draw() % 8 {
                let at = lab.draw() as usize;
                let value = lab.draw() as u8;
                if let Some(len) = std::num::NonZeroUsize::new(payload.len()) {
                    payload[at % len] = value;
                }
            }
            payload.truncate(payload.len().saturating_sub(lab.draw() as usize % 4));
            lab.peers[1].handle_datagram(now, &payload);
            lab.peers[1].handle_signal(now, &payload);
        }
        assert!(lab.peers[1].counters().malformed_signals > 2900);
        assert!(lab.peers[1].is_open(), "{kind:?}: garbage must not close it");
        let now = lab.now + Duration::from_secs(20);
        lab.run(now, |_| false);
        let before = lab.arrived[1].len();
        assert!(lab.peers[0].send(now, RGB, &message(1, 64)).is_accepted());
        lab.run(now + Duration::from_secs(60), |lab| lab.arrived[1].len() > before);
        assert!(lab.arrived[1].len() > before, "{kind:?} still works");
    }
}
