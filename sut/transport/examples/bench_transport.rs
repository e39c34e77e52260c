//! What each transport does to ReVo's messages under loss, in virtual time.
//!
//! 150 messages per second of 1050 bytes on two channels (1.26 Mbit/s), round trip 40 ms, independent
//! losses on the forward path, 60 s per seed: `just bench-transport [SEEDS]`.

#[path = "../tests/lab/mod.rs"]
#[allow(dead_code)] // the tests use the rest
mod lab;

use lab::{End, Lab, config, loss};
use link::Timestamp;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use transport::sctp::{Association, Outgoing, Profile, SctpKind, Secrets};
use transport::{Config, TransportKind};

const RTT: Duration = Duration::from_millis(40);
const RATE: u64 = 150;
const MESSAGE: usize = 1050;
const SECONDS: u64 = 60;
const LOSSES: [f64; 5] = [0.0, 1.0, 2.0, 5.0, 7.5];

/// What one run showed.
struct Outcome {
    /// Latency of each message in ms, infinite for those that did not arrive by the end.
    latencies: Vec<f64>,
    buffered_max: u64,
    bytes: usize,
    reverse_bytes: usize,
}

fn run((kind, sctp): (TransportKind, SctpKind), percent: f64, seed: u64) -> Outcome {
    let mut lab = Lab::with(RTT, seed, |end| Config { sctp, ..config(kind, end) });
    lab.open();
    lab.run(lab.now + Duration::from_secs(2), |_| false);
    lab.ways[0].loss = loss(percent);
    lab.sent.clear();
    let start = lab.now;
    let due = |number: u64| start + Duration::from_nanos(number * 1_000_000_000 / RATE);
    let mut buffered_max = 0;
    for number in 0..RATE * SECONDS {
        lab.run(due(number), |_| false);
        let mut message = vec![0; MESSAGE];
        message[..8].copy_from_slice(&number.to_le_bytes());
        let now = lab.now;
        assert!(lab.peers[0].send(now, (number % 2) as u8, &message).is_accepted());
        buffered_max = buffered_max.max(lab.peers[0].buffered_amount(0) + lab.peers[0].buffered_amount(1));
    }
    lab.run(due(RATE * SECONDS), |_| false);
    let mut latencies = vec![f64::INFINITY; (RATE * SECONDS) as usize];
    for (at, message) in &lab.arrived[End::Answerer as usize] {
        let number = u64::from_le_bytes(message.bytes[..8].try_into().expect("eight bytes"));
        latencies[number as usize] = (*at - due(number)).as_nanos() as f64 / 1e6;
    }
    let bytes = |end: End| lab.sent.iter().filter(|s| s.1 == end).map(|s| s.2).sum();
    Outcome { latencies, buffered_max, bytes: bytes(End::Offerer), reverse_bytes: bytes(End::Answerer) }
}

fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(5);
    println!(
        "{RATE} messages/s of {MESSAGE} B, RTT {} ms, {SECONDS} s, seeds 1..={seeds}; delivered = arrived before the end",
        RTT.as_millis()
    );
    println!(
        "| transport | loss | delivered | p50 ms | p95 ms | p99 ms | within 150 ms | buffered max kB | sent Mbit/s | reverse kbit/s | times real time |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let channel = |sctp| (TransportKind::Datachannel, sctp);
    for (name, kind) in [
        ("datachannel, aiortc", channel(SctpKind::Aiortc)),
        ("datachannel, aiortc-1.16", channel(SctpKind::Aiortc116)),
        ("datachannel, standard", channel(SctpKind::Standard)),
        ("datagram", (TransportKind::Datagram, SctpKind::default())),
    ] {
        for percent in LOSSES {
            #[expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]
            let wall = Instant::now();
            let outcomes: Vec<Outcome> = (1..=seeds).map(|seed| run(kind, percent, seed)).collect();
            let speed = (SECONDS * seeds) as f64 / wall.elapsed().as_secs_f64();
            let mut all: Vec<f64> = outcomes.iter().flat_map(|o| o.latencies.iter().copied()).collect();
            let sent = all.len() as f64;
            let in_time = all.iter().filter(|l| **l <= 150.0).count() as f64 / sent * 100.0;
            all.retain(|l| l.is_finite());
            all.sort_by(f64::total_cmp);
            let quantile = |q: f64| all[((all.len() - 1) as f64 * q).round() as usize];
            let seconds = (SECONDS * seeds) as f64;
            let rate = |bytes: usize| bytes as f64 * 8.0 / seconds;
            println!(
                "| {} | {percent} % | {:.1} % | {:.0} | {:.0} | {:.0} | {in_time:.1} % | {:.0} | {:.2} | {:.0} | {speed:.0} |",
                name,
                all.len() as f64 / sent * 100.0,
                quantile(0.5),
                quantile(0.95),
                quantile(0.99),
                outcomes.iter().map(|o| o.buffered_max).max().unwrap_or(0) as f64 / 1000.0,
                rate(outcomes.iter().map(|o| o.bytes).sum()) / 1e6,
                rate(outcomes.iter().map(|o| o.reverse_bytes).sum()) / 1e3,
            );
        }
    }
    habits(seeds);
}

/// Which habit of an SCTP costs what: the standard with one of aiortc's at a time, and the other way round.
fn habits(seeds: u64) {
    let (standard, aiortc) = (SctpKind::Standard.profile(), SctpKind::Aiortc.profile());
    let rows: [(&str, Profile); 10] = [
        ("standard", standard),
        ("standard, but a SACK at every packet", Profile { sack_delay: None, ..standard }),
        ("standard, but chunks of 1200 bytes", Profile { fragment: 1200, ..standard }),
        ("standard, but the same timeout again after a timeout", Profile { backs_off: false, ..standard }),
        ("standard, but losses leave the flight at every event", Profile { counts_once: false, ..standard }),
        (
            "standard, but in recovery only a SACK that advances counts what is missing (rtc)",
            Profile { counts_in_recovery: false, ..standard },
        ),
        ("aiortc", aiortc),
        ("aiortc, but a SACK at every second packet", Profile { sack_delay: standard.sack_delay, ..aiortc }),
        ("aiortc, but losses leave the flight once", Profile { counts_once: true, ..aiortc }),
        (
            "aiortc, but losses leave the flight once, FORWARD TSN repeated",
            Profile { counts_once: true, repeats_forward_tsn: true, ..aiortc },
        ),
    ];
    println!(
        "\nReVo's messages (165/s, 845 B on average), RTT 40 ms, 5.5 % lost, 60 s, seeds 1..={seeds}; after a warm-up of 1 s"
    );
    println!("| SCTP | p50 ms | p95 ms | p99 ms | max ms | arrived | smaller windows | timeouts |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, profile) in rows {
        let (mut late, mut recoveries, mut timeouts, mut sent) = (Vec::new(), 0, 0, 0);
        for seed in 1..=seeds {
            let (times, losses, count) = associations(profile, seed);
            late.extend(times);
            recoveries += losses.recoveries;
            timeouts += losses.timeouts;
            sent += count;
        }
        late.sort_by(f64::total_cmp);
        let quantile = |q: f64| late[((late.len() - 1) as f64 * q).round() as usize];
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} % | {recoveries} | {timeouts} |",
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            quantile(1.0),
            late.len() as f64 / sent as f64 * 100.0
        );
    }
}

/// One run of two associations: lateness of what arrived in ms, what congestion control did, messages sent.
fn associations(profile: Profile, seed: u64) -> (Vec<f64>, transport::sctp::Losses, usize) {
    let end = |n: u8| Association::new(profile, Secrets::new(&[n; Secrets::LEN]));
    let mut ends = [end(1), end(2)];
    let mut random = seed;
    let mut draw = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u32
    };
    let start = Timestamp::from_millis(3000);
    let end_of_time = start + Duration::from_secs(SECONDS);
    // Warm-up, then ReVo's sizes: mostly full chunks, the last of a frame shorter.
    let mut sends: Vec<(Timestamp, usize, u32)> = (0..190)
        .map(|n| (Timestamp::from_millis(1000) + Duration::from_micros(5260 * n), 1200, u32::MAX))
        .collect();
    for n in 0..SECONDS * 165 {
        let size = if draw() % 3 == 0 { 200 + draw() % 500 } else { 1045 };
        sends.push((start + Duration::from_nanos(n * 1_000_000_000 / 165), size as usize, n as u32));
    }
    let mut late = Vec::new();
    let mut on_the_way: BTreeMap<(Timestamp, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let (mut now, mut sequence, mut next) = (Timestamp::ZERO, 0, 0);
    ends[0].connect(now);
    loop {
        for (from, end) in ends.iter_mut().enumerate() {
            while let Some(packet) = end.poll_transmit() {
                if from == 1 || now < start || f64::from(draw() % 10_000) >= 550.0 {
                    sequence += 1;
                    on_the_way.insert((now + RTT / 2, sequence), (1 - from, packet));
                }
            }
            while let Some(message) = end.poll_message() {
                let number = u32::from_le_bytes(message.bytes[..4].try_into().expect("four bytes"));
                if number != u32::MAX {
                    late.push((now - sends[190 + number as usize].0).as_nanos() as f64 / 1e6);
                }
            }
        }
        let arrival = on_the_way.keys().next().map(|k| k.0);
        let send = sends.get(next).map(|s| s.0);
        let timeout = ends.iter().filter_map(Association::poll_timeout).min();
        let Some(at) = [arrival, send, timeout].into_iter().flatten().min().filter(|t| *t < end_of_time)
        else {
            return (late, ends[0].losses(), sends.len() - 190);
        };
        now = at;
        if arrival == Some(at) {
            let Some((_, (to, packet))) = on_the_way.pop_first() else { continue };
            ends[to].handle_packet(now, &packet);
        } else if send == Some(at) {
            let (_, size, number) = sends[next];
            next += 1;
            let mut bytes = vec![0; size];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            let message = Outgoing { stream: 1, ppid: 53, unordered: true, retransmissions: Some(0), bytes };
            ends[0].send(now, message);
        } else {
            ends.iter_mut().for_each(|e| e.handle_timeout(now));
        }
    }
}
