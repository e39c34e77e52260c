//! Our SCTP in aiortc's clothes against aiortc's own, on a virtual clock, over the same path with the same losses: every packet
//! of both directions at the same time with the same length, and every message at the same time. Without Python's
//! aiortc, the test is skipped; `./setup --for interop` installs it.

use link::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use testing::skip;
use transport::sctp::{Association, Outgoing, SctpKind, Secrets};

const DELAY: Duration = Duration::from_millis(20);
const START: Timestamp = Timestamp::from_millis(3000);
const END: Timestamp = Timestamp::from_millis(12_000);

/// What is sent when, and which packets are lost.
struct Plan {
    sends: Vec<(Timestamp, u16, usize)>,
    lost: [BTreeSet<u64>; 2],
}

/// One line of the record: microseconds, then "direction bytes" or "message number".
type Line = (u64, String);

/// The upper half of a word.
fn draw(random: &mut link::SplitMix64) -> u64 {
    random.word() >> 32
}

/// Messages of ReVo's sizes and rate, some bursts, bursty losses of about `percent` each way at most.
fn plan(seed: u64, percent: u64) -> Plan {
    let mut state = link::SplitMix64::new(seed);
    let (mut sends, mut at) = (Vec::new(), START.as_nanos() / 1000 + 1);
    for number in 0..900u64 {
        at += if number % 100 < 20 { 137 + draw(&mut state) % 50 } else { 5000 + draw(&mut state) % 2000 };
        let size =
            [1045, 1045, 300, 60, 1045][(draw(&mut state) % 5) as usize] + (draw(&mut state) % 4) as usize;
        sends.push((Timestamp(at * 1000), (number % 2) as u16, size.min(1045)));
    }
    let mut lost = [BTreeSet::new(), BTreeSet::new()];
    for (direction, set) in lost.iter_mut().enumerate() {
        let mut bad = false;
        for packet in 0..3000 {
            bad = draw(&mut state) % 100 < if bad { 85 } else { 7 };
            let threshold = if bad { percent * 5 } else { percent } / (1 + 3 * direction as u64);
            if draw(&mut state) % 100 < threshold {
                set.insert(packet);
            }
        }
    }
    Plan { sends, lost }
}

/// Two of our associations.
fn ours(kind: SctpKind, plan: &Plan) -> Vec<Line> {
    let end = |tag: u32| {
        let mut random = [7; Secrets::LEN];
        random[..4].copy_from_slice(&tag.to_be_bytes());
        Association::new(kind.profile(), Secrets::new(&random))
    };
    let mut ends = [end(1), end(2)];
    let mut log = Vec::new();
    let mut on_the_way: BTreeMap<(Timestamp, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let (mut counts, mut sequence) = ([0, 0], 0);
    let mut sends = plan.sends.iter().enumerate().peekable();
    let mut now = Timestamp::ZERO;
    ends[0].connect(now);
    for stream in [1, 3] {
        let open = [&[3, 0x81, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0], b"rgb_payload".as_slice()].concat();
        let message = Outgoing { stream, ppid: 50, unordered: false, retransmissions: None, bytes: open };
        ends[0].send(now, message);
    }
    loop {
        for (direction, end) in ends.iter_mut().enumerate() {
            while let Some(message) = end.poll_message() {
                if message.ppid == 50 && direction == 1 {
                    let (stream, bytes) = (message.stream, vec![2]);
                    let ack = Outgoing { stream, ppid: 50, unordered: false, retransmissions: None, bytes };
                    end.send(now, ack);
                } else if message.ppid == 53 {
                    let number = u32::from_le_bytes(message.bytes[..4].try_into().unwrap());
                    log.push((now.as_nanos() / 1000, format!("message {number}")));
                }
            }
        }
        for (direction, end) in ends.iter_mut().enumerate() {
            while let Some(packet) = end.poll_transmit() {
                let mut lost = false;
                if now >= START {
                    lost = plan.lost[direction].contains(&counts[direction]);
                    counts[direction] += 1;
                    log.push((now.as_nanos() / 1000, format!("{direction} {}", packet.len())));
                }
                if !lost {
                    sequence += 1;
                    on_the_way.insert((now + DELAY, sequence), (1 - direction, packet));
                }
            }
        }
        let arrival = on_the_way.keys().next().map(|k| k.0);
        let send = sends.peek().map(|(_, s)| s.0);
        let timeouts = ends.iter().filter_map(Association::poll_timeout).min();
        let Some(next) = [arrival, send, timeouts].into_iter().flatten().min().filter(|t| *t < END) else {
            return log;
        };
        now = next;
        if arrival == Some(next) {
            let (_, (to, packet)) = on_the_way.pop_first().unwrap();
            assert!(ends[to].handle_packet(now, &packet));
        } else if send == Some(next) {
            let (number, &(_, channel, size)) = sends.next().unwrap();
            let mut bytes = vec![0; size];
            bytes[..4].copy_from_slice(&(number as u32).to_le_bytes());
            let stream = 1 + 2 * channel;
            ends[0]
                .send(now, Outgoing { stream, ppid: 53, unordered: true, retransmissions: Some(0), bytes });
        } else {
            for end in &mut ends {
                end.handle_timeout(now);
            }
        }
    }
}

/// Two of theirs.
fn theirs(python: &OsString, plan: &Plan) -> Vec<Line> {
    let ms = |t: Timestamp| t.as_nanos() as f64 / 1e6;
    let input = json!({
        "delay_ms": DELAY.as_millis(), "start_ms": ms(START), "end_ms": ms(END),
        "sends": plan.sends.iter().map(|&(t, channel, size)| json!([ms(t), channel, size])).collect::<Vec<_>>(),
        "lost": plan.lost,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/aiortc_sctp.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .map(|line| {
            let (at, rest) = line.split_once(' ').expect("a time");
            (at.parse().expect("microseconds"), rest.to_owned())
        })
        .collect()
}

/// A Python that has this version of aiortc: `FREEZEFRAME_PYTHON_AIORTC_14` or `_16`, or that of `./setup --for interop`.
fn python(minor: u32) -> Option<OsString> {
    let cache = std::env::var_os("FREEZEFRAME_CACHE").map(PathBuf::from).or_else(|| {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(caches.join("freezeframe"))
    });
    let own = cache.map(|c| c.join(format!("aiortc-1.{minor}/bin/python")).into_os_string());
    let named = std::env::var_os(format!("FREEZEFRAME_PYTHON_AIORTC_{minor}"));
    let check = format!("import aiortc; assert aiortc.__version__.startswith('1.{minor}.')");
    [named, own].into_iter().flatten().find(|python| {
        Command::new(python).args(["-c", &check]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    })
}

/// The lines of one kind: packets of a direction, or messages.
fn of<'a>(lines: &'a [Line], kind: &str) -> Vec<&'a Line> {
    lines.iter().filter(|l| l.1.starts_with(kind)).collect()
}

fn compare(minor: u32, kind: SctpKind) {
    let Some(python) = python(minor) else {
        return skip!("aiortc", "no Python with aiortc 1.{minor}");
    };
    for seed in 1..=8 {
        let plan = plan(seed, [0, 2, 4, 8][seed as usize % 4]);
        let (own, foreign) = (ours(kind, &plan), theirs(&python, &plan));
        for what in ["0 ", "1 ", "message "] {
            let (own, foreign) = (of(&own, what), of(&foreign, what));
            assert!(foreign.len() > 500, "a run with {} lines says nothing", foreign.len());
            for (i, (a, b)) in own.iter().zip(&foreign).enumerate() {
                // Python's clock is a floating-point number.
                let same = a.1 == b.1 && a.0.abs_diff(b.0) <= 2;
                let near = i.saturating_sub(6)..(i + 6).min(own.len()).min(foreign.len());
                assert!(
                    same,
                    "seed {seed}, line {i} of {what:?}: ours {a:?}, aiortc's {b:?}\nours {:?}\naiortc's {:?}",
                    &own[near.clone()],
                    &foreign[near]
                );
            }
            assert_eq!(own.len(), foreign.len(), "seed {seed}, {what:?}");
        }
    }
}

#[test]
fn the_same_packets_as_aiortc_1_14_under_the_same_losses() {
    compare(14, SctpKind::Aiortc);
}

#[test]
fn the_same_packets_as_aiortc_1_16_under_the_same_losses() {
    compare(16, SctpKind::Aiortc116);
}
