//! `why`: the answer is read by people, so it is kept as text.

mod made_up;

use contract::{Event, EventKind as K, FrameRow, Role, Side, Status, Stream};
use freezeframe::record::why::{chain, explain};
use freezeframe::record::{Slots, join, read_fates};
use link::{FateRecord, Timestamp};
use made_up::{MadeUp, joined, record};
use std::convert::Infallible;

fn ask(what: &MadeUp, frame: u32, fates_known: bool) -> String {
    let (joined, _) = joined(what);
    let (events, mut fates) = record(what);
    if !fates_known {
        // A ledger that could not parse packets: only times and sizes.
        for fate in &mut fates {
            *fate = FateRecord { frame: None, role: None, ..fate.clone() };
        }
    }
    let events = events.into_iter().map(Ok::<_, Infallible>);
    explain(&joined.rows, (frame, Stream::Rgb), events, fates.into_iter().map(Ok)).unwrap()
}

fn first(rows: &[FrameRow], wanted: impl Fn(&FrameRow) -> bool) -> u32 {
    rows.iter().find(|r| r.stream == Stream::Rgb && wanted(r)).expect("the record has such a frame").frame_id
}

#[test]
fn a_frame_that_lost_its_own_packets() {
    let what = MadeUp::default();
    let rows = joined(&what).0.rows;
    let frame = first(&rows, |r| r.status == Status::Frozen);
    insta::assert_snapshot!(ask(&what, frame, true));
}

#[test]
fn a_frame_whose_reference_was_lost() {
    let what = MadeUp::default();
    let rows = joined(&what).0.rows;
    let broken = first(&rows, |r| r.status == Status::Frozen);
    let frame = first(&rows, |r| r.frame_id > broken + 3 && r.lost == Some(0) && r.status == Status::Frozen);
    insta::assert_snapshot!(ask(&what, frame, true));
}

#[test]
fn a_rendered_frame() {
    insta::assert_snapshot!(ask(&MadeUp { burst_percent: 0, ..MadeUp::default() }, 5, true));
}

#[test]
fn packets_are_found_in_a_ledger_that_knows_only_times_and_sizes() {
    let what = MadeUp::default();
    let frame = first(&joined(&what).0.rows, |r| r.status == Status::Frozen);
    assert_eq!(ask(&what, frame, false), ask(&what, frame, true));
}

#[test]
fn the_chain_goes_back_to_the_key_frame() {
    let rows = joined(&MadeUp { gop: 10, frames: 40, ..MadeUp::default() }).0.rows;
    let ids: Vec<u32> = chain(&rows, 23, Stream::Rgb).iter().map(|r| r.frame_id).collect();
    assert_eq!(ids, [20, 21, 22, 23]);
    assert_eq!(
        ask(&MadeUp { frames: 5, ..MadeUp::default() }, 9999, true),
        "frame 9999 has no rgb picture\n"
    );
}

/// A live path writes its ledger in the order in which it is done with packets, dropped ones at once: of five equal packets
/// sent back to back, each must get its own line. (It once said "0 of 5 arrived" of a frame of which 1 did.)
#[test]
fn back_to_back_packets_of_one_size_get_their_own_fates() {
    let (events, fates) = back_to_back(&[true, false, true, true, true]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fates.jsonl");
    let mut written = fates.clone();
    written.sort_by_key(|f| f.out_ns.map_or(f.in_ns, |out| out)); // dropped ones first
    assert_ne!(written, fates);
    let lines: Vec<String> = written.iter().map(|f| serde_json::to_string(f).unwrap() + "\n").collect();
    std::fs::write(&path, lines.concat()).unwrap();
    let read: Vec<FateRecord> = read_fates(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read, fates, "whatever the file's order, packets come in the order in which they entered");
    let text = explained(&events, read, 1);
    assert!(text.contains("frame 1: 1 of 5 packets arrived"), "{text}");
    assert!(text.contains("data 0, data 2, data 3, data 4: lost by ge_bad"), "{text}");
}

/// Every pattern of losses over five back-to-back packets of frame 1, with packets of frame 0 and of the set-up of the same
/// size and time around them.
#[test]
fn every_pattern_of_losses_is_told_as_it_was() {
    for pattern in 0..31u32 {
        let lost: Vec<bool> = (0..5).map(|i| pattern & 1 << i == 0).collect();
        let (events, fates) = back_to_back(&lost);
        let text = explained(&events, fates, 1);
        let names: Vec<String> = (0..5).filter(|i| lost[*i]).map(|i| format!("data {i}")).collect();
        let line = format!("    {}: lost by ge_bad", names.join(", "));
        assert!(text.contains(&line), "{lost:?}: {text}");
        assert!(!text.contains("never seen by the receiver"), "{lost:?}: {text}");
    }
}

/// What a system's own loss model dropped is in no ledger, and must not be looked for there.
#[test]
fn packets_dropped_before_sending_are_told_as_such() {
    let (mut events, fates) = back_to_back(&[false, true, false, false, false]);
    for index in 5..7 {
        let kind = K::LostAtSender { frame: 1, stream: Stream::Rgb, role: Role::Data, index, bytes: 1000 };
        events.push(Event { t_ns: Timestamp(33_000_000), side: Side::Sender, kind });
    }
    let text = explained(&events, fates, 1);
    assert!(text.contains("frame 1: 4 of 7 packets arrived"), "{text}");
    assert!(text.contains("data 1: lost by ge_bad"), "{text}");
    assert!(
        text.contains("data 5, data 6: dropped by the system itself before it was sent (its own loss model)"),
        "{text}"
    );
}

#[test]
fn without_evidence_why_says_what_is_missing() {
    let (events, fates) = back_to_back(&[true, false, true, true, true]);
    let only =
        |keep: fn(&K) -> bool| -> Vec<Event> { events.iter().filter(|e| keep(&e.kind)).cloned().collect() };
    // Captures and slots alone: no "never sent", no blame.
    let bare = only(|k| matches!(k, K::Captured { .. } | K::Slot { .. }));
    let text = explained(&bare, fates.clone(), 1);
    assert!(text.starts_with("frame 1 rgb froze (why is unknown)"), "{text}");
    assert!(text.contains("the system reports no `sent`, no `received`, no `complete` events"), "{text}");
    assert!(
        text.contains("from its capture to the next one 10 packets entered the path, 4 of them were lost"),
        "{text}"
    );
    assert!(text.contains("4: lost by ge_bad") && !text.contains("never sent"), "{text}");
    // Sent, but no word of what came: the ledger tells, and nobody is said not to have seen anything.
    let deaf = only(|k| !matches!(k, K::Received { .. }));
    let text = explained(&deaf, fates, 1);
    assert!(text.contains("1 of 5 packets were let through by the path"), "{text}");
    assert!(!text.contains("never seen by the receiver"), "{text}");
    let text = explained(&deaf, Vec::new(), 1);
    assert!(text.contains("0 of 5 packets are known to have arrived"), "{text}");
}

/// A ledger that knows times and sizes only; two frames at once, five equal packets each, and one of the set-up.
fn back_to_back(lost: &[bool]) -> (Vec<Event>, Vec<FateRecord>) {
    let (mut events, mut fates) = (Vec::new(), Vec::new());
    let stream = Stream::Rgb;
    let at = |ns: u64, side: Side, kind: K| Event { t_ns: Timestamp(ns), side, kind };
    for frame in 0..3 {
        events.push(at(u64::from(frame) * 33_000_000, Side::Sender, K::Captured { frame }));
    }
    let mut enter = |events: &mut Vec<Event>, frame: u32, role: Role, index: u32, lost: bool| {
        let now = 33_000_000; // all in the same nanosecond
        events.push(at(now, Side::Sender, K::Sent { frame, stream, role, index, bytes: 1000 }));
        let entered = Timestamp(now + 10_000 * fates.len() as u64);
        let channel = link::Channel { state: Some(link::State::Bad), row: None };
        let arrives = Timestamp(entered.as_nanos() + 20_000_000);
        let fate = if lost {
            link::Fate::Dropped { cause: link::DropCause::GeBad, channel }
        } else {
            let kind = K::Received { frame, stream, role, index, bytes: 1000, duplicate: false };
            events.push(at(arrives.as_nanos(), Side::Receiver, kind));
            link::Fate::Delivered { at: arrives, corrupted: false, copy: None, channel }
        };
        fates.push(FateRecord::new(fates.len() as u64, link::Direction::Forward, entered, 1028, &fate));
    };
    enter(&mut events, 0, Role::Control, 0, false);
    for index in 0..2 {
        enter(&mut events, 0, Role::Data, index, false);
    }
    for (index, &lost) in (0..).zip(lost) {
        enter(&mut events, 1, Role::Data, index, lost);
    }
    for index in 2..4 {
        enter(&mut events, 0, Role::Data, index, false);
    }
    for frame in 0..3 {
        let (status, shown) =
            if frame == 0 { (Status::Rendered, Some(0)) } else { (Status::Frozen, Some(0)) };
        let slot = K::Slot { frame, stream, status, shown, picture: None };
        events.push(at(u64::from(frame) * 33_000_000 + 150_000_000, Side::Receiver, slot));
    }
    (events, fates)
}

fn explained(events: &[Event], fates: Vec<FateRecord>, frame: u32) -> String {
    let slots = Slots { streams: vec![Stream::Rgb], ..made_up::slots(3) };
    let events = || events.iter().cloned().map(Ok::<_, Infallible>);
    let rows = join(events(), None, &slots).unwrap().rows;
    explain(&rows, (frame, Stream::Rgb), events(), fates.into_iter().map(Ok)).unwrap()
}
