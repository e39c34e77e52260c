//! The baselines on the virtual clock with real codecs: everything arrives on a clean path, every slot is judged
//! once on a bad one, runs repeat exactly, and damage never stops a session.

use codecs::{Codec, EncoderConfig};
use contract::{Event, EventKind, Role, Status, Stream};
use link::{Direction, Fate, Link, LinkSpec, Timestamp};
use media::Yuv420;
use std::time::Duration;
use sut_core::fec::flexfec::Format;
use sut_core::fec::streaming::Scheme;
use sut_core::simulate::{Path, Peer, Recorder, simulate};
use sut_core::{Endpoint, Schedule, Worker};
use systems::decode::{DecodeWorker, Receiving};
use systems::encode::{EncodeLane, EncodeWorker, Pictures};
use systems::jobs::{DecodeDone, DecodeJob, EncodeDone, EncodeJob};
use systems::rtp_video::{self, Code};
use systems::{ringmaster, vp9_tambur};

const SIZE: (u32, u32) = (128, 96);

#[derive(Default)]
struct Log(Vec<Event>);

impl Recorder for Log {
    fn event(&mut self, event: Event) {
        self.0.push(event);
    }
    fn fate(&mut self, _: Direction, _: u64, _: Timestamp, _: &[u8], _: &Fate) {}
}

/// A pattern that moves, so that every frame costs bits.
fn pictures() -> anyhow::Result<Pictures> {
    let mut frame = 0usize;
    Ok(Box::new(move || {
        let mut picture = Yuv420::black(SIZE.0 as usize, SIZE.1 as usize);
        for (i, y) in picture.y.iter_mut().enumerate() {
            let (column, row) = (i % SIZE.0 as usize, i / SIZE.0 as usize);
            *y = (16 + ((column + 3 * frame) / 5 * 37 + (row + frame) / 7 * 91) % 200) as u8;
        }
        frame += 1;
        Ok(Some(picture))
    }))
}

#[derive(Clone, Copy, Debug)]
enum System {
    Tambur(Scheme),
    Ringmaster,
    Rtp(Code),
}

const ALL: [System; 7] = [
    System::Ringmaster,
    System::Tambur(Scheme::Streaming),
    System::Tambur(Scheme::PerFrame),
    System::Tambur(Scheme::PerBlock),
    System::Rtp(Code::Ulpfec),
    System::Rtp(Code::Flexfec(Format::Draft03)),
    System::Rtp(Code::Flexfec(Format::Rfc8627)),
];

fn link(extra: &str, seed: u64) -> Path {
    let spec: LinkSpec = toml::from_str(&format!("delay = {{ base = \"20ms\" }}\n{extra}")).expect("a link");
    Path { link: Link::new(&spec, seed).expect("a link"), setup_delay: Duration::from_millis(20) }
}

fn run(system: System, frames: u32, forward: &str, seed: u64) -> Vec<Event> {
    let schedule = Schedule {
        capture_start: Timestamp::from_millis(100),
        frames,
        fps: 30,
        playout: contract::Playout::DEFAULT,
        end: Timestamp::from_millis(100 + 34 * u64::from(frames) + 5000),
    };
    let codec = if matches!(system, System::Rtp(_)) { Codec::Vp8 } else { Codec::Vp9 };
    let entry = codecs::registry::of(codec);
    let (width, height) = SIZE;
    let config = EncoderConfig::vpx(codec, width, height, 30, 200_000);
    let lane = EncodeLane::live(Stream::Rgb, entry, config, Box::new(pictures));
    let encode = EncodeWorker::new(vec![lane], Duration::ZERO);
    let dir = tempfile::tempdir().expect("a directory");
    let decode = DecodeWorker::new(dir.path(), &Receiving::plain(entry, (width, height, 30)), &[Stream::Rgb])
        .expect("a decoder");
    match system {
        System::Tambur(scheme) => {
            let options = vp9_tambur::Options { scheme, ..vp9_tambur::Options::default() };
            let session = vp9_tambur::Session { options, schedule, seed };
            let sender = vp9_tambur::Sender::new(session.clone()).expect("a sender");
            let receiver = vp9_tambur::Receiver::new(session).expect("a receiver");
            drive(schedule, (sender, encode), (receiver, decode), forward, seed)
        }
        System::Ringmaster => {
            let session = ringmaster::Session { options: ringmaster::Options::default(), schedule };
            let sender = ringmaster::Sender::new(session.clone());
            drive(schedule, (sender, encode), (ringmaster::Receiver::new(session), decode), forward, seed)
        }
        System::Rtp(code) => {
            let options = rtp_video::Options::default();
            let session = rtp_video::Session { options, code, pixels: width * height, schedule };
            let sender = rtp_video::Sender::new(session.clone());
            drive(schedule, (sender, encode), (rtp_video::Receiver::new(session), decode), forward, seed)
        }
    }
}

fn drive(
    schedule: Schedule,
    (mut sender, mut encode): (impl Endpoint<Job = EncodeJob, Done = EncodeDone>, EncodeWorker),
    (mut receiver, mut decode): (
        impl Endpoint<Job = DecodeJob, Done = DecodeDone>,
        impl Worker<Job = DecodeJob, Done = DecodeDone>,
    ),
    forward: &str,
    seed: u64,
) -> Vec<Event> {
    let mut log = Log::default();
    let outcome = simulate(
        schedule,
        (link(forward, seed), link("", seed + 1)),
        Peer { endpoint: &mut sender, worker: &mut encode },
        Peer { endpoint: &mut receiver, worker: &mut decode },
        &mut log,
    )
    .expect("no worker fails");
    assert!(outcome.finished, "the run did not end by itself");
    log.0
}

fn slots(events: &[Event]) -> Vec<(u32, Status)> {
    let slot = |e: &Event| match e.kind {
        EventKind::Slot { frame, status, shown, .. } => {
            assert_eq!(status == Status::Rendered, shown == Some(frame), "frame {frame} shows {shown:?}");
            Some((frame, status))
        }
        _ => None,
    };
    events.iter().filter_map(slot).collect()
}

const GE: &str = r#"
[loss]
model = "gilbert_elliott"
good_to_bad = "6.8%"
bad_to_good = "85.2%"
loss_good = "4%"
loss_bad = "75%"
step = "frame"
loss_by = "new"
"#;

#[test]
fn on_a_clean_path_every_frame_is_rendered_at_half_redundancy() {
    for system in ALL {
        let events = run(system, 60, "", 1);
        let slots = slots(&events);
        assert_eq!(slots, (0..60).map(|f| (f, Status::Rendered)).collect::<Vec<_>>(), "{system:?}");
        let sent = |wanted: Role| {
            let bytes = |e: &Event| match e.kind {
                EventKind::Sent { role, bytes, .. } if role == wanted => bytes,
                _ => 0,
            };
            events.iter().map(bytes).sum::<u32>()
        };
        let redundancy = f64::from(sent(Role::Parity)) / f64::from(sent(Role::Data));
        let expected = if matches!(system, System::Ringmaster) { 0.0..0.01 } else { 0.4..0.85 };
        assert!(expected.contains(&redundancy), "{system:?} sends {redundancy} parity per data");
        let keys = events.iter().filter(|e| matches!(e.kind, EventKind::Encoded { key: true, .. })).count();
        assert_eq!(keys, 1, "{system:?}");
    }
}

#[test]
fn on_a_bad_path_every_slot_is_judged_once_and_key_frames_bring_the_picture_back() {
    for system in ALL {
        let events = run(system, 150, GE, 3);
        let slots = slots(&events);
        assert_eq!(slots.iter().map(|s| s.0).collect::<Vec<_>>(), (0..150).collect::<Vec<_>>(), "{system:?}");
        let rendered = slots.iter().filter(|s| s.1 == Status::Rendered).count();
        println!("{system:?}: {rendered} of 150 rendered");
        if matches!(system, System::Ringmaster) {
            // What is lost is sent again within a round trip, 40 ms: nearly every frame is in time, and no key frame is needed.
            let again = |e: &&Event| matches!(e.kind, EventKind::Sent { role: Role::Repeat, .. });
            assert!(events.iter().filter(again).count() > 5, "nothing is sent again");
            assert!(rendered > 130, "{system:?} renders {rendered}");
            continue;
        }
        assert!((50..150).contains(&rendered), "{system:?} renders {rendered}");
        let recovered = |e: &&Event| matches!(e.kind, EventKind::Complete { recovered: 1.., .. });
        assert!(events.iter().filter(recovered).count() > 0, "{system:?} recovers nothing");
        let keys = events.iter().filter(|e| matches!(e.kind, EventKind::Encoded { key: true, .. })).count();
        assert!(keys > 1, "{system:?} never asks for a key frame");
    }
}

#[test]
fn a_run_repeats_exactly() {
    for system in [System::Tambur(Scheme::Streaming), System::Rtp(Code::Ulpfec)] {
        assert_eq!(run(system, 40, GE, 5), run(system, 40, GE, 5), "{system:?}");
    }
}

#[test]
fn damage_copies_and_silence_never_stop_a_session() {
    let damaged = "duplicate = \"5%\"\ncorrupt = \"20%\"\n";
    let silent = "[loss]\nmodel = \"random\"\nprobability = \"100%\"\n";
    for system in ALL {
        assert_eq!(slots(&run(system, 60, damaged, 7)).len(), 60, "{system:?}");
        let all = slots(&run(system, 30, silent, 7));
        assert_eq!(all, (0..30).map(|f| (f, Status::Frozen)).collect::<Vec<_>>(), "{system:?}");
    }
}
