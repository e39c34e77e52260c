//! What the original ReVo gets wrong, bug by bug (its known bugs B1 to B26, as far as they concern a protocol): each test
//! fails on the original's behaviour. No codecs: a frame's "bitstream" is made up, its "picture" is its hash.

use codecs::Unit;
use codecs::restore::NONE;
use contract::{Event, EventKind, LossCause, Playout, Side, Status, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use sut_core::frame_masks::{ReceiverMasks, Reports};
use sut_core::wire::revo::{Desc, Message, parse};
use sut_core::{Endpoint, Input, Output, Schedule};
use systems::jobs::{DecodeDone, EncodeDone};
use systems::revo::{Options, Receiver, Sender, Session};
use transport::{Config, Role, Transport, TransportKind};

const DELAY: Duration = Duration::from_millis(20);

/// With a clock of its own, as the original's.
fn session(frames: u32, options: Options) -> Session {
    let (capture_start, playout) = (Timestamp::ZERO, Playout::OWN);
    let mut schedule = Schedule { capture_start, frames, fps: 30, playout, end: Timestamp::ZERO };
    schedule.end = schedule.capture_time(frames) + Duration::from_secs(5);
    Session {
        options,
        recovery: &NONE,
        recovery_lead: Duration::ZERO,
        size: (512, 512),
        depth: true,
        schedule,
    }
}

fn transport(role: Role) -> Transport {
    let at = |host| SocketAddr::from(([10, 0, 0, host], 5000));
    let (local, peer) = if role == Role::Offerer { (at(1), at(2)) } else { (at(2), at(1)) };
    Transport::new(&Config::fixed(TransportKind::Datagram, local, peer), role).unwrap()
}

/// Made-up encoded frames: key frames of 5 chunks, others of 2 (RGB) and 1 (depth).
fn bitstream(frame: u32, stream: Stream, key: bool) -> Vec<u8> {
    let length = match (key, stream) {
        (true, _) => 4500,
        (false, Stream::Rgb) => 1500,
        (false, Stream::Depth) => 300,
    };
    (0..length).map(|i| (frame * 31 + i + u32::from(stream == Stream::Depth)) as u8).collect()
}

/// Everything the sender transmits, with the time; encoding takes none.
fn send(session: &Session) -> Vec<(Timestamp, Vec<u8>)> {
    send_taking(session, Duration::ZERO)
}

/// The same with encoding that takes `encode` from the capture on.
fn send_taking(session: &Session, encode: Duration) -> Vec<(Timestamp, Vec<u8>)> {
    let mut sender = Sender::new(session.clone(), transport(Role::Offerer));
    let (mut sent, mut encoding, mut frame) = (Vec::new(), VecDeque::new(), 0);
    let mut now = Timestamp::ZERO;
    sender.handle(now, Input::Start);
    loop {
        while let Some(output) = sender.poll_output() {
            match output {
                Output::Transmit(datagram) => sent.push((now, datagram)),
                Output::Job(job) => {
                    let bytes = bitstream(job.frame, job.stream, job.key);
                    let unit = Unit { bytes, key: job.key, qp: 30 };
                    encoding
                        .push_back((now + encode, EncodeDone { frame: job.frame, stream: job.stream, unit }));
                }
                _ => {}
            }
        }
        let done = encoding.front().map(|(at, _)| *at);
        let capture = (frame < session.schedule.frames).then(|| session.schedule.capture_time(frame));
        if done.is_none() && capture.is_none() && sender.is_finished() {
            return sent;
        }
        let timeout = sender.poll_timeout();
        now = now.max([done, capture, timeout].into_iter().flatten().min().expect("it waits for something"));
        if done.is_some_and(|at| at <= now) {
            let (_, done) = encoding.pop_front().expect("one is done");
            sender.handle(now, Input::JobDone(done));
        } else if capture.is_some_and(|at| at <= now) {
            sender.handle(now, Input::Capture(frame));
            frame += 1;
        } else {
            sender.handle(now, Input::Timeout);
        }
    }
}

/// Runs a receiver over packets with their arrival times, already in order; `decodes(frame, stream)` says whether the decoder
/// gives a picture.
fn receive(
    session: &Session,
    packets: &[(Timestamp, Vec<u8>)],
    decodes: impl Fn(u32, Stream) -> bool,
) -> Vec<Event> {
    let mut receiver = Receiver::new(session.clone(), transport(Role::Answerer));
    let mut events = Vec::new();
    let mut now = Timestamp::ZERO;
    let mut packets = packets.iter().peekable();
    receiver.handle(now, Input::Start);
    loop {
        while let Some(output) = receiver.poll_output() {
            match output {
                Output::Event(event) => events.push(event),
                Output::Job(job) => {
                    let frame = job.entry.frame;
                    let picture = decodes(frame, job.stream).then_some(u128::from(frame));
                    receiver.handle(
                        now,
                        Input::JobDone(DecodeDone {
                            frame,
                            stream: job.stream,
                            decoded: picture.is_some(),
                            picture,
                        }),
                    );
                }
                _ => {}
            }
        }
        if receiver.is_finished() {
            return events;
        }
        let timeout = receiver.poll_timeout();
        match packets.peek() {
            Some((arrival, datagram)) if timeout.is_none_or(|t| *arrival <= t) => {
                now = now.max(*arrival);
                receiver.handle(now, Input::Datagram(datagram));
                packets.next();
            }
            _ => {
                now = now.max(timeout.expect("an unfinished receiver waits for something"));
                assert!(now <= session.schedule.end, "the receiver hangs");
                receiver.handle(now, Input::Timeout);
            }
        }
    }
}

fn chunk_of(datagram: &[u8]) -> Option<Desc> {
    match parse(datagram) {
        Ok(Message::Chunk(desc, _)) => Some(desc),
        _ => None,
    }
}

/// Sends, loses what `lost` says, delays the rest, receives.
fn run(session: &Session, lost: impl Fn(&Desc) -> bool) -> Vec<Event> {
    let packets: Vec<_> = send(session)
        .into_iter()
        .filter(|(_, d)| !chunk_of(d).is_some_and(|desc| lost(&desc)))
        .map(|(t, d)| (t + DELAY, d))
        .collect();
    receive(session, &packets, |_, _| true)
}

type Slots = BTreeMap<(u32, Stream), (Status, Option<u32>)>;

fn slots(events: &[Event]) -> Slots {
    let mut slots = BTreeMap::new();
    for event in events {
        if let EventKind::Slot { frame, stream, status, shown, .. } = event.kind {
            assert_eq!(slots.insert((frame, stream), (status, shown)), None, "one slot per frame and stream");
        }
    }
    slots
}

fn statuses(events: &[Event], stream: Stream) -> Vec<Status> {
    slots(events).into_iter().filter(|((_, s), _)| *s == stream).map(|(_, (status, _))| status).collect()
}

fn compat() -> Options {
    Options { compat: true, ..Options::default() }
}

#[test]
fn without_loss_every_frame_is_rendered_exactly_once() {
    for options in [Options::default(), compat()] {
        let events = run(&session(65, options), |_| false);
        assert_eq!(slots(&events).len(), 130);
        assert!(slots(&events).iter().all(|((f, _), s)| *s == (Status::Rendered, Some(*f))));
    }
}

#[test]
fn b1_a_lost_frame_0_costs_its_gop_and_nothing_more() {
    let events = run(&session(65, Options::default()), |d| d.frame == 0);
    let rgb = statuses(&events, Stream::Rgb);
    assert!(rgb[..30].iter().all(|s| *s == Status::Frozen));
    assert!(rgb[30..].iter().all(|s| *s == Status::Rendered));
    // The original waits for ever; compat ends with every frame frozen.
    let events = run(&session(65, compat()), |d| d.frame == 0);
    assert!(statuses(&events, Stream::Rgb).iter().all(|s| *s == Status::Frozen));
}

#[test]
fn b1_a_receiver_to_which_nothing_comes_judges_every_frame_and_ends() {
    let events = run(&session(20, Options::default()), |_| true);
    assert_eq!(slots(&events).len(), 40);
    assert!(slots(&events).values().all(|s| *s == (Status::Frozen, None)));
}

#[test]
fn b3_b4_masks_cover_every_frame_also_without_damage() {
    let s = session(65, Options::default());
    let rgb = [Stream::Rgb];
    let clean = Reports::of_record(&run(&s, |_| false), &rgb, 65, 30).mask(30);
    assert_eq!(clean, Some(vec![0; 65]), "no damage is a mask of zeros, not an empty one");
    // A P frame of the first GOP loses a chunk; the second GOP's decoder gives nothing for one frame, of which the original's
    // script knows nothing.
    let packets: Vec<_> = send(&s)
        .into_iter()
        .filter(|(_, d)| {
            !chunk_of(d).is_some_and(|c| c.frame == 7 && c.stream == Stream::Rgb && c.index == 1)
        })
        .map(|(t, d)| (t + DELAY, d))
        .collect();
    let events = receive(&s, &packets, |frame, _| frame != 40);
    let damage = Reports::of_record(&events, &rgb, 65, 30).mask(30);
    assert_eq!(damage, Some((0..65).map(|f| i64::from((7..30).contains(&f))).collect()));
    let masks = ReceiverMasks::of_record(&events, Stream::Rgb, 65, 30);
    let at = |list: &[bool]| (0..65).filter(|&f| list[f]).collect::<Vec<_>>();
    assert_eq!(
        at(&masks.corrupted),
        (40..60).collect::<Vec<_>>(),
        "zero-filled frames that decode are not corrupted"
    );
    assert!(at(&masks.frozen).is_empty());
}

#[test]
fn b7_b15_losing_depth_does_not_cost_the_colour_picture() {
    let lost = |d: &Desc| d.stream == Stream::Depth && d.frame == 10;
    let events = run(&session(30, Options::default()), lost);
    assert_eq!(statuses(&events, Stream::Rgb)[10], Status::Rendered);
    assert_eq!(slots(&events)[&(10, Stream::Depth)], (Status::Frozen, Some(9)));
    // The original discards both.
    let events = run(&session(30, compat()), lost);
    assert_eq!(statuses(&events, Stream::Rgb)[10], Status::Frozen);
}

#[test]
fn b8_packets_after_the_deadline_change_nothing() {
    let s = session(30, Options::default());
    let mut packets: Vec<_> = send(&s).into_iter().map(|(t, d)| (t + DELAY, d)).collect();
    let before = slots(&receive(&s, &packets, |_, _| true));
    let again: Vec<_> = packets.iter().map(|(t, d)| (*t + Duration::from_millis(400), d.clone())).collect();
    packets.extend(again);
    packets.sort_by_key(|(t, _)| *t);
    let events = receive(&s, &packets, |_, _| true);
    assert_eq!(slots(&events), before);
    let late =
        events.iter().filter(|e| matches!(e.kind, EventKind::Received { duplicate: true, .. })).count();
    assert!(late > 30, "they are seen and counted: {late}");
}

#[test]
fn b9_b10_neither_init_nor_the_first_depth_packets_are_needed() {
    let s = session(30, Options::default());
    let packets: Vec<_> = send(&s)
        .into_iter()
        .filter(|(_, d)| {
            chunk_of(d).is_some_and(|c| !(c.frame == 0 && c.stream == Stream::Depth && c.index == 0))
        })
        .map(|(t, d)| (t + DELAY, d))
        .collect();
    let events = receive(&s, &packets, |_, _| true);
    assert!(slots(&events).values().all(|(status, _)| *status == Status::Rendered));
}

#[test]
fn b9_init_comes_with_every_key_frame() {
    let inits =
        |o| send(&session(61, o)).iter().filter(|(_, d)| matches!(parse(d), Ok(Message::Init(_)))).count();
    // Padding makes an INIT on the wire longer than its 11 bytes: it is recognised by its first byte.
    let first = |o: Options| send(&session(61, o)).iter().filter(|(_, d)| d[0] == 1).count();
    assert_eq!(inits(Options::default()), 0, "datagrams are padded to the size of a data channel's packet");
    assert_eq!(first(Options::default()), 3);
    assert_eq!(first(compat()), 1);
}

#[test]
fn b11_lost_and_partial_frames_are_counted_once() {
    let events =
        run(&session(30, Options::default()), |d| d.frame == 5 && d.stream == Stream::Rgb && d.index == 1);
    let lost: Vec<_> = events
        .iter()
        .filter_map(|e| match e.kind {
            EventKind::Lost { frame, stream: Stream::Rgb, cause, missing } => Some((frame, cause, missing)),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [(5, LossCause::Network, 1)]);
    assert_eq!(slots(&events).len(), 60);
}

#[test]
fn b16_frames_after_a_damaged_one_are_not_called_exact() {
    let events =
        run(&session(35, Options::default()), |d| d.frame == 5 && d.stream == Stream::Rgb && d.index == 1);
    let rgb = statuses(&events, Stream::Rgb);
    assert!(rgb[..5].iter().all(|s| *s == Status::Rendered));
    assert!(rgb[5..30].iter().all(|s| *s == Status::Concealed), "until the GOP ends");
    assert!(rgb[30..].iter().all(|s| *s == Status::Rendered));
}

#[test]
fn a_lost_key_frame_discards_its_gop() {
    let events =
        run(&session(65, Options::default()), |d| d.frame == 30 && d.stream == Stream::Rgb && d.index < 4);
    let slots = slots(&events);
    assert!((30..60).all(|f| slots[&(f, Stream::Rgb)] == (Status::Frozen, Some(29))));
    assert_eq!(slots[&(60, Stream::Rgb)].0, Status::Rendered);
    let dependent = events.iter().filter(|e| {
        matches!(e.kind, EventKind::Lost { stream: Stream::Rgb, cause: LossCause::Dependency, .. })
    });
    assert_eq!(dependent.count(), 29);
}

#[test]
fn key_frames_survive_any_loss_within_their_parity() {
    // 5 data chunks, 3 parity: any 3 may go.
    for lost in [[0, 1, 2], [2, 3, 4], [5, 6, 7], [0, 4, 7]] {
        let events = run(&session(30, Options::default()), |d| d.frame == 0 && lost.contains(&d.index));
        assert!(statuses(&events, Stream::Rgb).iter().all(|s| *s == Status::Rendered), "{lost:?}");
    }
}

#[test]
fn b20_the_repeat_of_chunk_0_saves_frames_of_one_chunk() {
    let s = session(30, Options::default());
    let mut seen = std::collections::BTreeSet::new();
    // Every first copy of a depth chunk is lost.
    let packets: Vec<_> = send(&s)
        .into_iter()
        .filter(|(_, d)| {
            chunk_of(d)
                .is_none_or(|c| c.is_key() || c.stream == Stream::Rgb || !seen.insert((c.frame, c.index)))
        })
        .map(|(t, d)| (t + DELAY, d))
        .collect();
    let events = receive(&s, &packets, |_, _| true);
    assert!(statuses(&events, Stream::Depth).iter().all(|s| *s == Status::Rendered));
}

#[test]
fn b21_the_receiver_learns_the_gop_from_the_packets() {
    let s = session(45, Options { gop: 10, ..Options::default() });
    let events = run(&s, |d| d.frame == 10);
    let rgb = statuses(&events, Stream::Rgb);
    assert_eq!(rgb.iter().filter(|s| **s == Status::Frozen).count(), 10);
    assert_eq!(rgb[20], Status::Rendered);
}

/// The original, measured: message i of n leaves at s + i (E - s) / n, s the end of encoding, E the end of the slot, repeats at E. Frame 0
/// has its whole slot after its encoding (E = s + T), later frames end theirs at capture + T.
#[test]
fn encoding_takes_from_the_slot_but_not_from_frame_0s() {
    let s = session(3, Options::default());
    let encode = Duration::from_millis(12);
    let sent = send_taking(&s, encode);
    let slot = 1_000_000_000 / 30;
    for (frame, count) in [(0, 16), (1, 3), (2, 3)] {
        let times: Vec<u64> = sent
            .iter()
            .filter(|(_, d)| chunk_of(d).is_some_and(|c| c.frame == frame))
            .map(|(t, _)| t.0)
            .collect();
        let capture = s.schedule.capture_time(frame).0;
        let start = capture + 12_000_000;
        let end = if frame == 0 { start + slot } else { capture + slot };
        for (i, time) in times.iter().enumerate() {
            let wanted = start + (end - start) * i.min(count) as u64 / count as u64;
            assert!(time.abs_diff(wanted) <= 1, "frame {frame}, message {i}: {time} instead of {wanted}");
        }
        assert_eq!(times.len(), count + if frame == 0 { 0 } else { 2 });
    }
}

/// sender-3d.py paces after every packet, the last one too: packet i of n leaves at capture + i T / n, and the second copies of
/// chunks 0, which follow the last packet's sleep, at capture + T.
#[test]
fn chunks_leave_evenly_over_the_slot_and_repeats_at_its_end() {
    let s = session(40, Options::default());
    let sent = send(&s);
    assert!(sent.windows(2).all(|w| w[0].0 <= w[1].0));
    let slot = 1_000_000_000 / 30;
    for frame in 0..40 {
        let chunks: Vec<(u64, Desc)> = sent
            .iter()
            .filter_map(|(t, d)| Some((t.0, chunk_of(d)?)))
            .filter(|(_, d)| d.frame == frame)
            .collect();
        let capture = s.schedule.capture_time(frame).0;
        // Key frames: 5 data and 3 parity chunks of each stream. Others: 2 chunks of RGB, 1 of depth, then both chunks 0 again.
        let (count, repeats) = if frame % 30 == 0 { (16, 0) } else { (3, 2) };
        assert_eq!(chunks.len(), count + repeats, "frame {frame}");
        for (i, (t, desc)) in chunks.iter().enumerate() {
            let wanted = capture + slot * i.min(count) as u64 / count as u64;
            assert!(t.abs_diff(wanted) <= 1, "frame {frame}, message {i}: {t} instead of {wanted}");
            if i >= count {
                assert_eq!((desc.index, desc.stream), (0, [Stream::Rgb, Stream::Depth][i - count]));
            }
        }
    }
}

#[test]
fn frames_outside_the_session_and_garbage_are_events() {
    let s = session(10, Options::default());
    let mut packets: Vec<_> = send(&s).into_iter().map(|(t, d)| (t + DELAY, d)).collect();
    let desc = Desc { stream: Stream::Rgb, frame: 4_000_000, gop: 0, qp: 0, index: 0, n: 1, k: 1, total: 1 };
    let mut foreign = desc.encode(&[1]);
    foreign.resize(22 + 2 + 65, 0);
    packets.insert(3, (packets[3].0, foreign));
    let events = receive(&s, &packets, |_, _| true);
    assert!(slots(&events).values().all(|(status, _)| *status == Status::Rendered));
    assert!(events.iter().all(|e| e.side == Side::Receiver));
}

#[test]
fn a_forged_first_chunk_does_not_lock_the_true_ones_out() {
    let s = session(10, Options::default());
    let mut packets: Vec<_> = send(&s).into_iter().map(|(t, d)| (t + DELAY, d)).collect();
    let first = packets.iter().position(|(_, d)| chunk_of(d).is_some()).unwrap();
    for frame in 1..10 {
        let forged = Desc { stream: Stream::Rgb, frame, gop: 0, qp: 9, index: 1, n: 7, k: 3, total: 50 };
        let mut bytes = forged.encode(&[0xEE; 17]);
        bytes.resize(bytes.len().next_multiple_of(4) + 65, 0);
        packets.insert(first + 1, (packets[first].0, bytes));
    }
    let events = receive(&s, &packets, |_, _| true);
    assert!(slots(&events).values().all(|(status, _)| *status == Status::Rendered));
}

#[test]
fn equal_runs_give_equal_events() {
    let s = session(65, Options::default());
    let lost = |d: &Desc| (d.frame * 7 + u32::from(d.index) * 3).is_multiple_of(11);
    assert_eq!(run(&s, lost), run(&s, lost));
}

/// One message of a frame without parity is lost: its first chunk, sent at the beginning of the slot, and the copy meet the channel
/// a slot apart.
#[test]
fn a_channel_that_is_bad_for_one_slot_does_not_take_both_copies() {
    let s = session(10, Options::default());
    let bad = (s.schedule.capture_time(4), s.schedule.capture_time(5));
    let packets: Vec<_> = send(&s)
        .into_iter()
        .filter(|(t, d)| {
            let single = chunk_of(d).is_some_and(|c| c.n == 1);
            !(single && *t >= bad.0 && *t < bad.1)
        })
        .map(|(t, d)| (t + DELAY, d))
        .collect();
    let events = receive(&s, &packets, |_, _| true);
    assert_eq!(statuses(&events, Stream::Depth)[4], Status::Rendered);
}
