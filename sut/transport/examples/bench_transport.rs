//! What each transport does to ReVo's messages under loss, in virtual time.
//!
//! 150 messages per second of 1050 bytes on two channels (1.26 Mbit/s), round trip 40 ms, independent
//! losses on the forward path, 60 s per seed: `just bench-transport [SEEDS]`.

#[path = "../tests/lab/mod.rs"]
#[allow(dead_code)] // the tests use the rest
mod lab;

use lab::{End, Lab, loss};
use std::time::{Duration, Instant};
use transport::TransportKind;

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

fn run(kind: TransportKind, percent: f64, seed: u64) -> Outcome {
    let mut lab = Lab::new(kind, RTT, seed);
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
        lab.peers[0].send(now, (number % 2) as u8, &message);
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
    for kind in [TransportKind::Datachannel, TransportKind::Datagram] {
        for percent in LOSSES {
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
                match kind {
                    TransportKind::Datachannel => "datachannel",
                    TransportKind::Datagram => "datagram",
                },
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
}
