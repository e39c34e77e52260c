//! The baselines on the virtual clock with real codecs: everything arrives on a clean path, every slot is judged
//! once on a bad one, runs repeat exactly, and damage never stops a session.

use codecs::{Codec, EncoderConfig};
use contract::{Event, EventKind, Role, Status, Stream};
use link::{Direction, Fate, Link, LinkSpec, Timestamp};
use media::Yuv420;
use std::time::Duration;
use sut_core::fec::flexfec::Format;
use sut_core::fec::protection::Protection;
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
    Ok(Box::new(move || -> anyhow::Result<_> {
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
    // What is said of every frame is said of encoders that drop none.
    run_with(system, frames, forward, seed, rtp_video::Options::default(), (200_000, 0))
}

/// A run whose RTP systems have these options; the encoder begins at `bps` and VP8 drops below `drop_below` percent of its buffer.
fn run_with(
    system: System,
    frames: u32,
    forward: &str,
    seed: u64,
    options: rtp_video::Options,
    (bps, drop_below): (u64, u32),
) -> Vec<Event> {
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
    let mut config = EncoderConfig::vpx(codec, width, height, 30, bps);
    if let Some(vpx) = &mut config.vpx {
        vpx.drop_below = drop_below;
    }
    let lane = EncodeLane::live(Stream::Rgb, entry, config, Box::new(pictures));
    let encode = EncodeWorker::new(vec![lane], Duration::ZERO);
    let dir = tempfile::tempdir().expect("a directory");
    let receiving = Receiving::plain(entry, (width, height, 30));
    let decode =
        DecodeWorker::new(dir.path(), &receiving, Duration::ZERO, &[Stream::Rgb]).expect("a decoder");
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
        // The RTP systems protect every frame by itself, so that a frame of one packet has another one.
        let wanted = match system {
            System::Ringmaster => 0.0..0.01,
            System::Rtp(_) => 0.45..1.1,
            System::Tambur(_) => 0.4..0.85,
        };
        assert!(wanted.contains(&redundancy), "{system:?} sends {redundancy} parity per data");
        let keys =
            events.iter().filter(|e| matches!(e.kind, EventKind::Encoded { key: Some(true), .. })).count();
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
        let keys =
            events.iter().filter(|e| matches!(e.kind, EventKind::Encoded { key: Some(true), .. })).count();
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

fn bytes_sent(events: &[Event], from_ms: u64, wanted: impl Fn(Role) -> bool) -> u64 {
    let sent = |e: &Event| match e.kind {
        EventKind::Sent { role, bytes, .. } if wanted(role) && e.t_ns >= Timestamp::from_millis(from_ms) => {
            u64::from(bytes)
        }
        _ => 0,
    };
    events.iter().map(sent).sum()
}

const CODES: [Code; 3] = [Code::Ulpfec, Code::Flexfec(Format::Draft03), Code::Flexfec(Format::Rfc8627)];

/// libwebrtc's `NumFecPackets` and `MaxFramesFec`: of every frame of n packets, max(1, (128 n + 128) / 256) repair packets, in full.
#[test]
fn every_frame_is_a_block_of_its_own() {
    for code in CODES {
        let events = run(System::Rtp(code), 60, "", 1);
        let count = |frame, wanted| {
            let is = |e: &&Event| matches!(e.kind, EventKind::Sent { frame: f, role, .. } if f == frame && role == wanted);
            events.iter().filter(is).count()
        };
        for frame in 0..60 {
            let media = count(frame, Role::Data);
            assert!(media > 0);
            assert_eq!(
                count(frame, Role::Parity),
                ((128 * media + 128) >> 8).max(1),
                "{code:?} frame {frame}"
            );
        }
    }
}

/// Media, repair and headers together keep to the target: repair is paid from it, by both kinds of protection. The first second, in which
/// nothing is known yet, and its key frame are left out.
#[test]
fn repair_is_paid_from_the_target() {
    for code in CODES {
        for protection in [Protection::Fixed, Protection::Own] {
            let options =
                rtp_video::Options { target_kbps: 300, protection, ..rtp_video::Options::default() };
            let loss = "[loss]\nmodel = \"random\"\nprobability = \"5%\"\n";
            let events = run_with(System::Rtp(code), 240, loss, 3, options, (200_000, 0));
            // Frame 0 is captured at 100 ms, frame 239 at 8067 ms.
            let all = bytes_sent(&events, 2100, |_| true) * 8 / 6;
            let repair = bytes_sent(&events, 2100, |role| role == Role::Parity) * 8 / 6;
            assert!((240_000..345_000).contains(&all), "{code:?} {protection:?}: {all} bit/s");
            assert!(repair > all / 6, "{code:?} {protection:?}: {repair} of {all} bit/s");
        }
    }
}

/// 20 ms each way, and what the reports say is 40 (they count in 1/65536 s).
#[test]
fn the_round_trip_time_is_measured() {
    let events = run(System::Rtp(Code::Ulpfec), 120, "", 1);
    let said: Vec<&str> = events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::Feedback { what } => what.split_once("round trip ").map(|(_, time)| time),
            _ => None,
        })
        .collect();
    assert!(said.len() >= 2, "{said:?}");
    assert!(said.iter().all(|time| ["40 ms", "39 ms"].contains(time)), "{said:?}");
}

/// What is left of a difference between ULPFEC and FlexFEC in libwebrtc: one byte of RED per media packet, headers of repair packets (the
/// formats' lengths), the room that media packets leave for them, and whose loss the receiver reports.
#[test]
fn ulpfec_and_flexfec_differ_by_headers_room_and_reports() {
    let of = |code| run(System::Rtp(code), 60, "", 1);
    let runs = CODES.map(of);
    let sizes = |events: &[Event], wanted: Role| -> Vec<u32> {
        let one = |e: &Event| match e.kind {
            EventKind::Sent { frame: 1, role, bytes, .. } if role == wanted => Some(bytes),
            _ => None,
        };
        events.iter().filter_map(one).collect()
    };
    // Frame 1, of one packet, comes of the same encoder state in all three.
    let media = runs.each_ref().map(|r| sizes(r, Role::Data)[0]);
    let repair = runs.each_ref().map(|r| sizes(r, Role::Parity)[0]);
    assert_eq!([media[0] - media[1], media[1] - media[2]], [1, 0], "RED");
    assert_eq!(repair.map(|bytes| bytes - media[1]), [15, 20, 12 + 4], "headers");
    assert_eq!(CODES.map(Code::overhead), [19, 32, 28], "room");
    let largest = runs.each_ref().map(|events| {
        let data = |e: &Event| match e.kind {
            EventKind::Sent { role: Role::Data, bytes, .. } => bytes,
            _ => 0,
        };
        events.iter().map(data).max().unwrap()
    });
    assert!(largest[0] <= 1182 && largest[1] <= 1168 && largest[2] <= 1172, "{largest:?}");
}

/// At 24 kbit/s the first key frame takes longer to arrive than any frame may be late. It is arriving, so that libwebrtc does not ask for
/// another one (`IsReceivingKeyFrame`), nor for those that queue behind it.
#[test]
fn a_key_frame_that_is_arriving_is_not_asked_for() {
    for code in CODES {
        let options = rtp_video::Options { target_kbps: 24, ..rtp_video::Options::default() };
        let wait = options.key_request_after_ms;
        let events = run_with(System::Rtp(code), 150, "", 1, options, (200_000, 30));
        let of_frame_0 = |e: &&Event| matches!(e.kind, EventKind::Received { frame: 0, .. });
        let times: Vec<u64> =
            events.iter().filter(of_frame_0).map(|e| e.t_ns.as_nanos() / 1_000_000).collect();
        let took = times[times.len() - 1] - times[0];
        assert!(took > wait, "{code:?}: the key frame arrives in {took} ms");
        let asked =
            |e: &&Event| matches!(&e.kind, EventKind::Feedback { what } if what.contains("key frame"));
        // After two seconds the queue is so long that a frame of its own takes more than 150 ms from its predecessor: that is asked for.
        let early = |e: &&Event| asked(e) && e.t_ns.as_nanos() < 2_000_000_000;
        assert_eq!(events.iter().filter(early).count(), 0, "{code:?}");
    }
}

/// VP8's rate control drops pictures: the sender says so, the receiver skips them without asking for a key frame, and everything
/// that was sent on a clean path is shown.
#[test]
fn dropped_pictures_break_no_chain() {
    for code in CODES {
        let options = rtp_video::Options { target_kbps: 60, ..rtp_video::Options::default() };
        let events = run_with(System::Rtp(code), 150, "", 1, options, (40_000, 30));
        let dropped: Vec<u32> = events
            .iter()
            .filter_map(|e| match e.kind {
                EventKind::SenderDrop { frame, .. } => Some(frame),
                _ => None,
            })
            .collect();
        assert!(dropped.len() > 10, "{code:?} drops {}", dropped.len());
        // At this rate the pacer's queue is longer than any budget, so that what is shown says nothing: every picture that was not dropped
        // comes whole, one after the other.
        let whole: Vec<u32> = events
            .iter()
            .filter_map(|e| match e.kind {
                EventKind::Complete { frame, .. } => Some(frame),
                _ => None,
            })
            .collect();
        let sent: Vec<u32> = (0..150).filter(|f| !dropped.contains(f)).take(whole.len()).collect();
        assert!(whole.len() > 30, "{code:?}: {} came", whole.len());
        assert_eq!(whole, sent, "{code:?}");
    }
}
