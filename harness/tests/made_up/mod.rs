//! A run made up for tests: the events of both ends and the ledger of a path with bursts, without codecs or networks.
#![allow(dead_code, reason = "each test uses its own part")]

use contract::scores::{BitrateScores, Health, RunIdentity, SCHEMA, Scores, Scoring};
use contract::{
    Backend, Event, EventKind, FrameRow, LossCause, Metric, Playout, Role, RunKey, Shaping, Side, Status,
    Stream,
};
use freezeframe::record::{Joined, Ledger, Slots, join};
use freezeframe::report::load::Run;
use freezeframe::score::session;
use link::{Direction, DropCause, FateRecord, Outcome, State, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

pub const INTERVAL: u64 = 33_333_333;
pub const PLAYOUT: u64 = 150_000_000;
const K: u32 = 4;

/// What to make up.
#[derive(Clone, Debug)]
pub struct MadeUp {
    pub system: &'static str,
    pub scenario: &'static str,
    pub seed: u64,
    pub frames: u32,
    pub gop: u32,
    /// Repair packets per 4 source packets.
    pub repair: u32,
    /// Chance of a burst to begin at a frame, per cent.
    pub burst_percent: u64,
    /// Extra picture quality, dB.
    pub bonus: f64,
}

impl Default for MadeUp {
    fn default() -> Self {
        Self {
            system: "revo-h265",
            scenario: "ge-high",
            seed: 1,
            frames: 300,
            gop: 30,
            repair: 2,
            burst_percent: 7,
            bonus: 0.0,
        }
    }
}

/// A small generator that is the same everywhere; its quality does not matter.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

pub fn slots(frames: u32) -> Slots {
    Slots {
        frames,
        capture_start: Timestamp(0),
        streams: vec![Stream::Rgb, Stream::Depth],
        rate: (1_000_000_000, 33_333_333),
        playout: Playout::DEFAULT,
        slot_tolerance: Duration::ZERO,
        one_packet_per_message: true,
        last_slot: None,
        watched: false,
    }
}

/// Events of the sender, then of the receiver, and the fates of all packets.
pub fn record(what: &MadeUp) -> (Vec<Event>, Vec<FateRecord>) {
    let mut dice = Dice::new(what.seed);
    let (mut sender, mut receiver, mut fates) = (Vec::new(), Vec::new(), Vec::new());
    let mut bad = false;
    let mut shown: BTreeMap<Stream, Option<u32>> = BTreeMap::new();
    let mut broken: BTreeMap<Stream, bool> = BTreeMap::new();
    for frame in 0..what.frames {
        let t = u64::from(frame) * INTERVAL;
        let key = frame % what.gop == 0;
        bad = if bad { dice.roll(100) >= 60 } else { dice.roll(100) < what.burst_percent };
        sender.push(event(t, Side::Sender, EventKind::Captured { frame }));
        for stream in [Stream::Rgb, Stream::Depth] {
            let at = if stream == Stream::Rgb { t + 6_000_000 } else { t + 9_000_000 };
            let size = if key { 9_000 } else { 1_800 + u32::try_from(dice.roll(900)).unwrap() };
            sender.push(event(
                at,
                Side::Sender,
                EventKind::Encoded { frame, stream, bytes: size, key: Some(key) },
            ));
            let packets = K + what.repair;
            let mut arrived = 0;
            let mut arrived_data = 0;
            let mut last = 0;
            for index in 0..packets {
                let role = if index < K { Role::Data } else { Role::Parity };
                let number = if index < K { index } else { index - K };
                let out = at + 500_000 * u64::from(index);
                let bytes = size / K + 14;
                let sent = EventKind::Sent { frame, stream, role, index: number, bytes };
                sender.push(event(out, Side::Sender, sent));
                let gone = dice.roll(100) < if bad { 75 } else { 2 };
                let arrival = out + 20_000_000;
                fates.push(FateRecord {
                    n: fates.len() as u64,
                    direction: Direction::Forward,
                    in_ns: Timestamp(out),
                    out_ns: (!gone).then_some(Timestamp(arrival)),
                    actual_ns: None,
                    copy_ns: None,
                    bytes: bytes + 28,
                    fate: if gone { Outcome::Dropped } else { Outcome::Delivered },
                    cause: gone.then_some(if bad { DropCause::GeBad } else { DropCause::GeGood }),
                    state: Some(if bad { State::Bad } else { State::Good }),
                    row: None,
                    head: None,
                    frame: Some(frame),
                    role: Some(if role == Role::Data { "data" } else { "parity" }.to_owned()),
                });
                if !gone {
                    arrived += 1;
                    arrived_data += u32::from(index < K);
                    last = arrival;
                    let kind = EventKind::Received {
                        frame,
                        stream,
                        role,
                        index: number,
                        bytes,
                        duplicate: arrived > K,
                    };
                    receiver.push(event(arrival, Side::Receiver, kind));
                }
            }
            let whole = arrived >= K;
            if whole {
                let recovered = K - arrived_data;
                receiver.push(event(last, Side::Receiver, EventKind::Complete { frame, stream, recovered }));
            }
            let was_broken = broken.entry(stream).or_default();
            *was_broken = !whole || (*was_broken && !key);
            let show = whole && !*was_broken;
            if show {
                let picture = Some(picture(stream, frame));
                receiver.push(event(
                    last + 4_000_000,
                    Side::Receiver,
                    EventKind::Decoded { frame, stream, picture },
                ));
            } else {
                let cause = if whole { LossCause::Dependency } else { LossCause::Network };
                let missing = K - arrived.min(K);
                let lost = EventKind::Lost { frame, stream, cause, missing };
                receiver.push(event(t + PLAYOUT, Side::Receiver, lost));
            }
            let screen = shown.entry(stream).or_default();
            if show {
                *screen = Some(frame);
            }
            let status = if show { Status::Rendered } else { Status::Frozen };
            let picture = screen.map(|f| picture(stream, f));
            let slot = EventKind::Slot { frame, stream, status, shown: *screen, picture };
            receiver.push(event(t + PLAYOUT, Side::Receiver, slot));
        }
    }
    sender.extend(receiver);
    (sender, fates)
}

fn event(t: u64, side: Side, kind: EventKind) -> Event {
    Event { t_ns: Timestamp(t), side, kind }
}

pub fn picture(stream: Stream, frame: u32) -> String {
    format!("{:032x}", u128::from(frame) << 8 | stream as u128)
}

pub fn joined(what: &MadeUp) -> (Joined, Ledger) {
    let (events, fates) = record(what);
    let fates = fates.into_iter().map(Ok::<_, Infallible>);
    let ledger = Ledger::of(fates, slots(what.frames).window()).unwrap();
    let joined =
        join(events.into_iter().map(Ok::<_, Infallible>), Some(&ledger), &slots(what.frames)).unwrap();
    (joined, ledger)
}

/// Picture scores that fall with the age of what is shown.
pub fn score(rows: &mut [FrameRow], what: &MadeUp) {
    let mut dice = Dice::new(what.seed ^ 0xABCD);
    for row in rows {
        let noise = f64::from(u32::try_from(dice.roll(1000)).unwrap()) / 1000.0;
        let wave = (f64::from(row.frame_id) / 40.0).sin();
        let age = row.shown_frame_id.map_or(60, |s| row.frame_id - s);
        let psnr = 38.0 + what.bonus + 1.5 * wave + 0.6 * noise - 4.5 * f64::from(age).sqrt();
        let ssim = 0.972 + 0.002 * what.bonus + 0.006 * wave + 0.003 * noise - 0.035 * f64::from(age).sqrt();
        row.metrics.insert(Metric::Psnr, psnr.max(9.0));
        row.metrics.insert(Metric::Ssim, ssim.max(0.1));
        if row.stream == Stream::Depth {
            row.metrics.insert(Metric::DepthRmseMm, 22.0 + 6.0 * f64::from(age).sqrt() + 2.0 * noise);
        }
    }
}

/// A whole run in memory.
pub fn run(what: &MadeUp) -> Run {
    let (mut joined, ledger) = joined(what);
    score(&mut joined.rows, what);
    let slots = slots(what.frames);
    let streams = slots
        .streams
        .iter()
        .map(|&s| (s, session::stream_scores(&session::of_stream(&joined.rows, s), &slots)))
        .collect();
    let bitrate: BitrateScores =
        session::bitrate_scores(&joined.rows, &joined.totals, joined.reports, Some(&ledger), &slots);
    let mut network = BTreeMap::new();
    network.insert("forward".to_owned(), ledger.forward.clone());
    let conditions = [
        ("transport", "datagram"),
        ("loss", "Gilbert-Elliott 6.8 % / 85.2 %, loss 4 % / 75 %, drawn per packet by the new state"),
        ("stage_order", "loss, queue, delay"),
        ("size", "512x512"),
    ];
    let mut definitions: BTreeMap<String, String> = BTreeMap::new();
    for metric in [Metric::Psnr, Metric::Ssim, Metric::DepthRmseMm] {
        definitions.insert(metric.name().to_owned(), metric.definition().to_owned());
    }
    Run {
        clock: None,
        dir: format!("runs/{}-{}-{}", what.system, what.scenario, what.seed).into(),
        scores: Scores {
            schema: SCHEMA,
            run: RunIdentity {
                system: what.system.to_owned(),
                scenario: what.scenario.to_owned(),
                clip: "builtin:0".to_owned(),
                seed: what.seed,
                backend: "virtual".to_owned(),
                revision: "0123456789ab".to_owned(),
                replay: format!(
                    "freezeframe run {} --system {} --seed {}",
                    what.scenario, what.system, what.seed
                ),
                given: BTreeSet::new(),
                conditions: conditions.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            },
            key: RunKey {
                system: what.system.parse().unwrap(),
                revision: "0123456789ab".to_owned(),
                options: [("transport".to_owned(), "\"datagram\"".to_owned())].into(),
                scenario: what.scenario.parse().unwrap(),
                scenario_hash: format!("hash of {}", what.scenario),
                clip: "builtin-0".parse().unwrap(),
                clip_hash: "0123456789abcdef-512x512@30".to_owned(),
                depth_hash: Some("fedcba".to_owned()),
                depth_range_mm: Some((400, 4000)),
                depth_per_metre: None,
                depth_fov_degrees: None,
                width: 512,
                height: 512,
                fps: 30,
                frames: what.frames,
                backend: Backend::Virtual,
                shaper: Shaping::Auto,
                playout: "150ms".to_owned(),
                costs: "ideal".to_owned(),
                seed: what.seed,
            },
            scoring: Scoring::default(),
            health: Health { valid: true, ..Health::default() },
            frames: what.frames,
            interval_ns: INTERVAL,
            budget: joined.budget,
            streams,
            bitrate,
            network,
            lost_at_sender: None,
            warnings: joined.findings.iter().map(freezeframe::record::Finding::to_warning).collect(),
            definitions,
        },
        rows: joined.rows,
        stale: Vec::new(),
        failed: Vec::new(),
    }
}

/// The report's page, as it would stand above `runs/`.
pub fn page(title: &str, runs: &[Run], baseline: Option<&str>) -> String {
    freezeframe::report::html::page(title, runs, baseline, std::path::Path::new("."))
}

/// Writes a made-up run where a real one would be, and returns it as it is loaded from there.
pub fn on_disk(root: &std::path::Path, run: &Run) -> Run {
    let id = &run.scores.run;
    let dir = root.join(&id.scenario).join(&id.system).join(format!("seed-{}", id.seed));
    write(&dir, run);
    Run::load(&dir).unwrap()
}

/// Three systems under four conditions.
pub fn sweep(seeds: u64) -> Vec<Run> {
    let mut runs = Vec::new();
    for (scenario, burst_percent) in [("clean", 0), ("ge-low", 2), ("ge-medium", 5), ("ge-high", 9)] {
        for (system, repair, bonus) in
            [("revo-h264", 2, -0.7), ("revo-h265", 2, 0.5), ("vp9-tambur", 4, -2.0)]
        {
            for seed in 1..=seeds {
                let what =
                    MadeUp { system, scenario, seed, repair, bonus, burst_percent, ..MadeUp::default() };
                runs.push(run(&what));
            }
        }
    }
    runs
}

/// A run directory with the results of `run`, sealed, without evidence.
pub fn write(dir: &std::path::Path, run: &Run) {
    std::fs::create_dir_all(dir).unwrap();
    let mut frames = Vec::new();
    contract::frames::write_frames(&mut frames, &run.rows).unwrap();
    let mut seal = contract::seal::Seal::evidence(dir).unwrap();
    seal.add_results(dir, &frames, run.scores.to_json().as_bytes()).unwrap();
    std::fs::write(dir.join("frames.csv"), frames).unwrap();
    run.scores.write(&dir.join("scores.json")).unwrap();
}
