//! Events and fates joined by frame id: every status, every cause, every cross-check.

mod made_up;

use contract::frames::Traffic;
use contract::{Event, EventKind as K, FrameRow, LossCause, Playout, Role, Side, Status, Stream};
use freezeframe::record::{Finding, Joined, Ledger, Reports, Slots, join};
use link::{Direction, DropCause, Fate, FateRecord, Outcome, Timestamp};
use made_up::{MadeUp, joined, record};
use std::convert::Infallible;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// One stream, frames every 30 ms, due 100 ms after capture.
fn slots(frames: u32) -> Slots {
    Slots {
        frames,
        capture_start: Timestamp(0),
        streams: vec![Stream::Rgb],
        rate: (1000, 30),
        playout: "100ms".parse().unwrap(),
        slot_tolerance: Duration::ZERO,
        one_packet_per_message: true,
        last_slot: None,
        watched: false,
    }
}

#[derive(Default)]
struct Script(Vec<Event>);

impl Script {
    fn tx(mut self, ms: u64, kind: K) -> Self {
        self.0.push(Event { t_ns: Timestamp(ms * MS), side: Side::Sender, kind });
        self
    }

    fn rx(mut self, ms: u64, kind: K) -> Self {
        self.0.push(Event { t_ns: Timestamp(ms * MS), side: Side::Receiver, kind });
        self
    }

    /// Captured, encoded and sent in two source packets and one repair packet.
    fn sent(self, frame: u32) -> Self {
        let t = u64::from(frame) * 30;
        let stream = Stream::Rgb;
        let sent = |role, index| K::Sent { frame, stream, role, index, bytes: 500 };
        self.tx(t, K::Captured { frame })
            .tx(t + 5, K::Encoded { frame, stream, bytes: 980, key: Some(frame == 0) })
            .tx(t + 5, sent(Role::Data, 0))
            .tx(t + 6, sent(Role::Data, 1))
            .tx(t + 7, sent(Role::Parity, 0))
    }

    fn received(self, ms: u64, frame: u32, role: Role, index: u32) -> Self {
        self.rx(ms, K::Received { frame, stream: Stream::Rgb, role, index, bytes: 500, duplicate: false })
    }

    fn complete(self, ms: u64, frame: u32, recovered: u32) -> Self {
        self.rx(ms, K::Complete { frame, stream: Stream::Rgb, recovered })
    }

    fn decoded(self, ms: u64, frame: u32, picture: Option<&str>) -> Self {
        self.rx(ms, K::Decoded { frame, stream: Stream::Rgb, picture: picture.map(str::to_owned) })
    }

    fn slot(self, frame: u32, status: Status, shown: Option<u32>, picture: Option<&str>) -> Self {
        let picture = picture.map(str::to_owned);
        self.rx(u64::from(frame) * 30 + 100, K::Slot { frame, stream: Stream::Rgb, status, shown, picture })
    }

    fn join(self, frames: u32) -> Joined {
        join(self.0.into_iter().map(Ok::<_, Infallible>), None, &slots(frames)).unwrap()
    }

    /// The row of frame 0 of a run of one frame.
    fn row(self) -> FrameRow {
        let joined = self.join(1);
        assert_eq!(joined.findings, [], "this record is consistent");
        joined.rows.into_iter().next().unwrap()
    }
}

fn whole_frame() -> Script {
    Script::default().sent(0).received(25, 0, Role::Data, 0).received(26, 0, Role::Parity, 0)
}

#[test]
fn a_rendered_frame_has_all_its_times() {
    let row = whole_frame()
        .complete(26, 0, 1)
        .decoded(30, 0, Some("aa"))
        .slot(0, Status::Rendered, Some(0), Some("aa"))
        .row();
    assert_eq!((row.status, row.loss_cause), (Status::Rendered, None));
    let ms = |t: Option<Timestamp>| t.map(|t| t.as_nanos() / MS);
    assert_eq!(ms(row.capture), Some(0));
    assert_eq!(ms(row.encode_end), Some(5));
    assert_eq!((ms(row.first_sent), ms(row.last_sent)), (Some(5), Some(7)));
    assert_eq!((ms(row.first_received), ms(row.last_received)), (Some(25), Some(26)));
    assert_eq!((ms(row.complete), ms(row.decode_end)), (Some(26), Some(30)));
    assert_eq!((ms(row.render), ms(row.deadline)), (Some(100), Some(100)));
    assert_eq!(row.data, Some(Traffic { packets: 2, bytes: 1000 }));
    assert_eq!(row.parity, Some(Traffic { packets: 1, bytes: 500 }));
    assert_eq!((row.lost, row.late, row.recovered), (Some(1), Some(0), Some(1)));
    assert_eq!((row.encoded_bytes, row.is_key), (Some(980), Some(true)));
    assert_eq!(row.shown_picture.as_deref(), Some("aa"));
}

#[test]
fn causes_follow_from_the_packets_when_the_receiver_gives_none() {
    let frozen = |script: Script| script.slot(0, Status::Frozen, None, None).row().loss_cause;
    let lost = Script::default().sent(0).received(25, 0, Role::Data, 0);
    assert_eq!(frozen(lost), Some(LossCause::Network));
    let all = |ms| {
        let script = Script::default().sent(0).received(ms, 0, Role::Data, 0);
        script.received(ms, 0, Role::Data, 1).received(ms, 0, Role::Parity, 0)
    };
    assert_eq!(frozen(all(150)), Some(LossCause::Late));
    assert_eq!(frozen(all(150).complete(150, 0, 0)), Some(LossCause::Late));
    assert_eq!(frozen(all(30).complete(30, 0, 0).decoded(31, 0, None)), Some(LossCause::Decoder));
    assert_eq!(frozen(all(30).complete(30, 0, 0)), Some(LossCause::Dependency));
    // Nothing of frame 1 was sent, although the system reports what it sends.
    let unsent = Script::default().sent(0).tx(30, K::Captured { frame: 1 });
    let joined = unsent.slot(0, Status::Frozen, None, None).slot(1, Status::Frozen, None, None).join(2);
    assert_eq!(joined.rows[1].loss_cause, Some(LossCause::Sender));
}

/// A foreign program may report nothing but captures and slots: what it does not tell is unknown, and is not zero.
#[test]
fn what_a_system_does_not_report_is_unknown() {
    let bare = |script: Script| script.slot(0, Status::Frozen, None, None).row();
    let captured = || Script::default().tx(0, K::Captured { frame: 0 });
    let row = bare(captured());
    assert_eq!(row.loss_cause, Some(LossCause::Unknown));
    assert_eq!(
        (row.encoded_bytes, row.sent(), row.data, row.parity, row.repeat),
        (None, None, None, None, None)
    );
    assert_eq!(
        (row.lost, row.late, row.duplicates, row.recovered, row.missing),
        (None, None, None, None, None)
    );
    // Sent, and no word of what arrived: that is no proof of a loss.
    let row = bare(Script::default().sent(0));
    assert_eq!(
        (row.loss_cause, row.lost, row.data.map(|d| d.packets)),
        (Some(LossCause::Unknown), None, Some(2))
    );
    // Received, and no word of what was sent: neither lost nor "never sent".
    let row = bare(captured().received(25, 0, Role::Data, 0));
    assert_eq!((row.loss_cause, row.lost, row.late), (Some(LossCause::Unknown), None, Some(0)));
    // Everything arrived in time; that the decoder lacked a reference is a guess while nobody says what was complete.
    let all = || Script::default().sent(0).received(25, 0, Role::Data, 0).received(25, 0, Role::Data, 1);
    assert_eq!(bare(all().received(25, 0, Role::Parity, 0)).loss_cause, Some(LossCause::Unknown));
    assert_eq!(bare(all()).loss_cause, Some(LossCause::Network), "a lost packet is proof");
}

#[test]
fn the_receivers_own_reason_comes_first() {
    let lost = K::Lost { frame: 0, stream: Stream::Rgb, cause: LossCause::Dependency, missing: 1 };
    let row = Script::default().sent(0).rx(90, lost).slot(0, Status::Concealed, Some(0), Some("cc")).row();
    assert_eq!((row.loss_cause, row.missing), (Some(LossCause::Dependency), Some(1)));
    assert_eq!((row.status, row.lost), (Status::Concealed, None), "nothing says what arrived");
}

#[test]
fn what_came_after_its_slot_is_late_whatever_the_receiver_said() {
    let said = |cause| K::Lost { frame: 0, stream: Stream::Rgb, cause, missing: 2 };
    let frozen = |cause| Script::default().sent(0).rx(100, said(cause)).slot(0, Status::Frozen, None, None);
    let came = |script: Script, last: bool| {
        let script = script.received(120, 0, Role::Data, 0).received(121, 0, Role::Data, 1);
        if last { script.received(122, 0, Role::Parity, 0) } else { script }
    };
    let row = came(frozen(LossCause::Network), true).row();
    assert_eq!((row.loss_cause, row.lost, row.late), (Some(LossCause::Late), Some(0), Some(3)));
    let row = came(frozen(LossCause::Network), false).row();
    assert_eq!((row.loss_cause, row.lost, row.late), (Some(LossCause::Network), Some(1), Some(2)));
    let row =
        came(frozen(LossCause::Dependency), false).complete(121, 0, 0).decoded(125, 0, Some("aa")).row();
    assert_eq!((row.loss_cause, row.status), (Some(LossCause::Late), Status::Frozen));
    // In time, and yet not shown: the receiver's word stands.
    let in_time = frozen(LossCause::Dependency).received(20, 0, Role::Data, 0).complete(20, 0, 0);
    assert_eq!(in_time.row().loss_cause, Some(LossCause::Dependency));
}

#[test]
fn a_frame_is_judged_by_its_slot_not_by_what_was_asked_for() {
    let slot =
        K::Slot { frame: 0, stream: Stream::Rgb, status: Status::Rendered, shown: Some(0), picture: None };
    let script = Script::default().sent(0).received(130, 0, Role::Data, 0).received(131, 0, Role::Data, 1);
    let joined = script.complete(131, 0, 0).decoded(132, 0, Some("aa")).rx(140, slot).join(1);
    let row = &joined.rows[0];
    assert_eq!(
        (row.deadline, row.late),
        (Some(Timestamp(140 * MS)), Some(0)),
        "the system waited, and used them"
    );
    let found = Finding::BudgetNotKept {
        asked_ns: 100 * MS,
        kept_ns: 140 * MS,
        count: 1,
        slots: 1,
        worst_ns: 40 * MS,
    };
    assert_eq!(joined.findings, [found]);
    assert!(joined.findings[0].invalidates());
    assert_eq!((joined.budget.kept_ns, joined.budget.max_deviation_ns), (Some(140 * MS), 40 * MS));
}

#[test]
fn a_frame_given_up_by_the_sender_is_no_freeze() {
    let script = Script::default()
        .tx(0, K::Captured { frame: 0 })
        .tx(1, K::SenderDrop { frame: 0, reason: "buffer full".into() })
        .slot(0, Status::Frozen, None, None);
    let row = script.row();
    assert_eq!((row.status, row.loss_cause), (Status::DroppedSender, Some(LossCause::Sender)));
    assert_eq!(row.render, None);
}

/// A system's own loss model is neither the network nor lateness, and what it dropped counts apart from what was sent.
#[test]
fn what_a_system_drops_before_sending_is_lost_at_the_sender() {
    let stream = Stream::Rgb;
    let at_sender = |index| K::LostAtSender { frame: 0, stream, role: Role::Data, index, bytes: 1000 };
    let lost = K::Lost { frame: 0, stream, cause: LossCause::Network, missing: 2 };
    let partly = Script::default()
        .sent(0)
        .tx(7, at_sender(2))
        .tx(7, at_sender(3))
        .received(25, 0, Role::Data, 0)
        .received(25, 0, Role::Data, 1)
        .received(26, 0, Role::Parity, 0);
    let joined = partly.rx(90, lost.clone()).slot(0, Status::Frozen, None, None).join(1);
    assert_eq!(joined.rows[0].loss_cause, Some(LossCause::Sender), "what was sent came");
    assert_eq!(joined.rows[0].lost, Some(0));
    assert_eq!((joined.totals.lost_at_sender.packets, joined.totals.lost_at_sender.bytes), (2, 2000));
    let wholly = Script::default().tx(0, K::Captured { frame: 0 }).tx(7, at_sender(0));
    let row = wholly.rx(90, lost.clone()).slot(0, Status::Frozen, None, None).row();
    assert_eq!(row.loss_cause, Some(LossCause::Sender));
    // Where the path lost something too, the receiver's word stands.
    let row = whole_frame().tx(7, at_sender(2)).rx(90, lost).slot(0, Status::Frozen, None, None).row();
    assert_eq!((row.lost, row.loss_cause), (Some(1), Some(LossCause::Network)));
}

/// Fault found: slots called frozen were scored by whatever they named. What stays on the screen is the last picture shown, or one that
/// came too late for its own slot and is newer.
#[test]
fn a_frozen_slot_shows_what_is_on_the_screen_whatever_it_names() {
    let first = || whole_frame().decoded(30, 0, Some("aa")).slot(0, Status::Rendered, Some(0), Some("aa"));
    let shown = |script: Script, frames| {
        let joined = script.join(frames);
        let shown: Vec<Option<u32>> = joined.rows.iter().map(|r| r.shown_frame_id).collect();
        (shown, joined.findings)
    };
    let other = |count, first| Finding::FrozenShowsOther { stream: Stream::Rgb, count, first };
    for named in [Some(1), None] {
        let script = first().sent(1).slot(1, Status::Frozen, named, None);
        assert_eq!(shown(script, 2), (vec![Some(0), Some(0)], vec![other(1, 1)]), "{named:?}");
    }
    assert!(!other(1, 1).invalidates(), "it is put right");
    // Frame 1 is due at 130 ms, decoded at 140, on the screen in the slot of 160.
    let late = |decoded| {
        let script = first().sent(1).sent(2).decoded(decoded, 1, Some("bb"));
        script.slot(1, Status::Frozen, Some(0), None).slot(2, Status::Frozen, Some(1), None)
    };
    assert_eq!(shown(late(140), 3), (vec![Some(0), Some(0), Some(1)], vec![]));
    assert_eq!(shown(late(170), 3), (vec![Some(0), Some(0), Some(0)], vec![other(1, 2)]), "not yet");
}

/// Fault found: a sender that said afterwards of every lost frame that it had dropped it had no frozen frames.
#[test]
fn what_was_sent_was_not_dropped() {
    let drop = || K::SenderDrop { frame: 0, reason: "buffer full".into() };
    let joined = Script::default().sent(0).tx(9, drop()).slot(0, Status::Frozen, None, None).join(1);
    assert_eq!(joined.rows[0].status, Status::Frozen);
    assert_eq!(joined.findings, [Finding::DroppedYetSent { count: 1, first: 0 }]);
    assert!(joined.findings[0].invalidates());
    // Nor does a receiver know.
    let captured = || Script::default().tx(0, K::Captured { frame: 0 });
    let joined = captured().rx(9, drop()).slot(0, Status::Frozen, None, None).join(1);
    assert_eq!(joined.rows[0].status, Status::Frozen);
}

/// Fault found: with a clock of its own a system that sent its clip three seconds late had a rate of nothing.
#[test]
fn with_a_clock_of_its_own_the_window_goes_to_the_last_slot() {
    let slots = Slots { playout: Playout::OWN, last_slot: Some(Timestamp(6000 * MS)), ..slots(100) };
    let fates = [5, 2999, 5999, 6000].map(|ms| packet(ms, Direction::Forward, ms));
    let ledger = Ledger::of(fates.into_iter().map(Ok::<_, Infallible>), slots.window()).unwrap();
    assert_eq!((ledger.forward.packets, ledger.forward.after.packets), (3, 1));
    let totals = freezeframe::record::Totals::default();
    let rates =
        freezeframe::score::session::bitrate_scores(&[], &totals, Reports::default(), Some(&ledger), &slots);
    assert_eq!(rates.wire_bps, Some(8000), "3000 bytes for a clip of 3 s");
}

/// A slot that nobody judged keeps what the slot before showed; it used to be scored against black.
#[test]
fn where_nobody_draws_the_last_picture_stays() {
    let drop = |frame| K::SenderDrop { frame, reason: "buffer full".into() };
    let capture = |frame| K::Captured { frame };
    let joined = whole_frame()
        .decoded(30, 0, Some("aa"))
        .slot(0, Status::Rendered, Some(0), Some("aa"))
        .tx(30, capture(1))
        .tx(31, drop(1))
        .tx(60, capture(2))
        .tx(61, drop(2))
        .join(3);
    assert_eq!(joined.findings, [], "a dropped frame needs no slot");
    for row in &joined.rows[1..] {
        assert_eq!((row.status, row.shown_frame_id), (Status::DroppedSender, Some(0)), "{}", row.frame_id);
        assert_eq!((row.shown_picture.as_deref(), row.render), (Some("aa"), None));
    }
    let before_any = Script::default().tx(0, capture(0)).tx(1, drop(0)).join(1);
    assert_eq!(before_any.rows[0].shown_frame_id, None, "black");
}

/// What cannot have happened is said, and no latency of 0 is made of it.
#[test]
fn times_in_an_order_that_cannot_be_are_findings() {
    let stream = Stream::Rgb;
    let slot = K::Slot { frame: 0, stream, status: Status::Rendered, shown: Some(0), picture: None };
    let joined = Script::default()
        .sent(0)
        .rx(20, slot)
        .rx(10, K::Decoded { frame: 0, stream, picture: Some("aa".into()) });
    let mut script = joined;
    script.0[0].t_ns = Timestamp(25 * MS); // captured after all of it
    let joined = script.join(1);
    let reversed = |what| Finding::TimesReversed { stream, what, count: 1, first: 0 };
    assert_eq!(
        joined.findings,
        [
            reversed("encoded before they were captured"),
            reversed("decoded before they were captured"),
            reversed("rendered before they were captured"),
            // Due at 0 by the frame clock and shown at 20 ms, whatever the sender says of its capture.
            Finding::BudgetNotKept {
                asked_ns: 100 * MS,
                kept_ns: 20 * MS,
                count: 1,
                slots: 1,
                worst_ns: 80 * MS
            },
        ]
    );
    assert!(joined.findings.iter().all(Finding::invalidates));
    let rows: Vec<&FrameRow> = joined.rows.iter().collect();
    let scores = freezeframe::score::session::stream_scores(&rows, &slots(1));
    assert_eq!((scores.latency, scores.decoded_latency, scores.encode_time), (None, None, None));
}

/// A decoder's picture may have no hash (an app's, an adapter's): when it was ready is known all the same, and that it came late.
#[test]
fn a_picture_without_a_hash_is_a_picture() {
    let decoded = |ms, picture| {
        let slot = if ms <= 100 { (Status::Rendered, Some(0)) } else { (Status::Frozen, None) };
        whole_frame().decoded(ms, 0, picture).slot(0, slot.0, slot.1, None).row()
    };
    let row = decoded(30, Some(""));
    assert_eq!((row.decode_end, row.shown_picture), (Some(Timestamp(30 * MS)), None));
    let row = decoded(130, Some(""));
    assert_eq!((row.decode_end, row.loss_cause), (Some(Timestamp(130 * MS)), Some(LossCause::Late)));
    let row = decoded(30, None);
    assert_eq!(row.decode_end, None);
}

#[test]
fn late_packets_and_copies_are_counted() {
    let copy = K::Received {
        frame: 0,
        stream: Stream::Rgb,
        role: Role::Data,
        index: 0,
        bytes: 500,
        duplicate: true,
    };
    let row = whole_frame()
        .rx(27, copy)
        .received(130, 0, Role::Data, 1)
        .complete(26, 0, 1)
        .decoded(30, 0, Some("aa"))
        .slot(0, Status::Rendered, Some(0), Some("aa"))
        .row();
    assert_eq!((row.lost, row.late, row.duplicates), (Some(0), Some(1), Some(1)));
}

#[test]
fn a_repeated_packet_is_lost_only_as_often_as_it_did_not_arrive() {
    let repeat = K::Sent { frame: 0, stream: Stream::Rgb, role: Role::Repeat, index: 0, bytes: 500 };
    let sent = || Script::default().sent(0).tx(8, repeat.clone());
    let shown = |script: Script| {
        script
            .received(26, 0, Role::Data, 1)
            .received(27, 0, Role::Parity, 0)
            .slot(0, Status::Frozen, None, None)
            .row()
    };
    let both = sent().received(25, 0, Role::Data, 0).received(28, 0, Role::Data, 0);
    assert_eq!(shown(both).lost, Some(0), "the receiver sees two equal packets");
    let one = shown(sent().received(28, 0, Role::Data, 0));
    assert_eq!((one.lost, one.repeat.map(|t| t.packets)), (Some(1), Some(1)));
}

#[test]
fn cross_checks_find_what_does_not_fit() {
    let joined = Script::default()
        .sent(0)
        .sent(1)
        .received(25, 0, Role::Data, 0)
        .received(26, 0, Role::Data, 7) // never sent
        .decoded(30, 0, Some("aa"))
        .slot(0, Status::Rendered, Some(0), Some("bb")) // another picture than was decoded
        .slot(0, Status::Rendered, Some(0), Some("bb")) // a second judgement
        .slot(1, Status::Rendered, Some(0), Some("aa")) // says rendered, shows another
        .slot(9, Status::Frozen, None, None) // past the end
        .join(4); // and nobody saw frames 2 and 3
    assert_eq!(
        joined.findings,
        [
            Finding::NeverCaptured { count: 2, first: 2 },
            Finding::SlotsMissing { stream: Stream::Rgb, count: 2, first: 2 },
            Finding::SlotsRepeated { stream: Stream::Rgb, count: 1, first: 0 },
            Finding::ShowsOther { stream: Stream::Rgb, count: 1, first: 1 },
            Finding::PictureDiffers { stream: Stream::Rgb, count: 1, first: 0 },
            Finding::BeyondClip { count: 1, first: 9 },
            Finding::NeverSent { count: 1, first: 0 },
        ]
    );
    assert!(joined.findings.iter().all(Finding::invalidates));
    assert_eq!(joined.rows.len(), 4, "one row per captured frame, whatever the record says");
    let future = Script::default().sent(0).slot(0, Status::Frozen, Some(3), None).join(1);
    assert_eq!(future.findings, [Finding::ShowsFuture { stream: Stream::Rgb, frame: 0, shown: 3 }]);
}

#[test]
fn the_ledgers_count_is_compared_with_the_senders() {
    let what = MadeUp { frames: 20, ..MadeUp::default() };
    let (joined, _) = joined(&what);
    assert_eq!(joined.findings, []);
    let (events, mut fates) = record(&what);
    fates.pop();
    let ledger = ledger_of(fates, 20);
    let events = events.into_iter().map(Ok::<_, Infallible>);
    let joined = freezeframe::record::join(events, Some(&ledger), &made_up::slots(20)).unwrap();
    assert_eq!(joined.findings, [Finding::LedgerDiffers { sent: 240, ledger: 239 }]);
}

#[test]
fn the_order_of_the_record_does_not_matter() {
    let what = MadeUp { frames: 60, ..MadeUp::default() };
    let (mut events, fates) = record(&what);
    let ledger = ledger_of(fates, 60);
    let join = |events: &[Event]| {
        let events = events.iter().cloned().map(Ok::<_, Infallible>);
        freezeframe::record::join(events, Some(&ledger), &made_up::slots(60)).unwrap()
    };
    let as_written = join(&events);
    events.sort_by_key(|e| e.t_ns);
    assert_eq!(join(&events), as_written);
    events.reverse();
    assert_eq!(join(&events), as_written);
}

#[test]
fn the_ledger_counts_every_packet_once() {
    let (_, fates) = record(&MadeUp::default());
    let drops = fates.iter().filter(|f| f.cause.is_some()).count() as u64;
    let total = fates.len() as u64;
    let ledger = ledger_of(fates, 300);
    let forward = ledger.forward;
    assert_eq!((forward.packets, forward.delivered), (total, total - drops));
    assert_eq!(forward.drops.values().sum::<u64>(), drops);
    assert_eq!(forward.states.values().sum::<u64>(), total);
    assert_eq!(forward.delay.unwrap().p50_ns, 20 * MS);
    assert_eq!(ledger.reverse.packets, 0);
}

fn ledger_of(fates: Vec<FateRecord>, frames: u32) -> Ledger {
    Ledger::of(fates.into_iter().map(Ok::<_, Infallible>), made_up::slots(frames).window()).unwrap()
}

/// A packet of 1000 bytes that entered at `ms` and came out 20 ms later.
fn packet(n: u64, direction: Direction, ms: u64) -> FateRecord {
    let (at, channel) = (Timestamp((ms + 20) * MS), link::Channel::default());
    let fate = Fate::Delivered { at, corrupted: false, copy: None, channel };
    FateRecord::new(n, direction, Timestamp(ms * MS), 1000, &fate)
}

/// 100 frames every 30 ms from 300 ms on: the window is [300 ms, 3300 ms). An application that sends before and goes on
/// afterwards is charged for neither.
#[test]
fn the_ledger_counts_the_clips_window_and_the_rest_apart() {
    let slots = Slots { capture_start: Timestamp(300 * MS), ..slots(100) };
    let mut fates: Vec<FateRecord> = Vec::new();
    for (n, ms) in [0, 299, 300, 1000, 3299, 3300, 9000].into_iter().enumerate() {
        fates.push(packet(n as u64, Direction::Forward, ms));
    }
    // Lost at 3299 and at 9000; what decides it later than the window's end changes nothing.
    for lost in [4, 6] {
        (fates[lost].out_ns, fates[lost].cause, fates[lost].fate) =
            (None, Some(DropCause::Queue), Outcome::Dropped);
    }
    fates.push(packet(0, Direction::Reverse, 400));
    let ledger = Ledger::of(fates.into_iter().map(Ok::<_, Infallible>), slots.window()).unwrap();
    let forward = &ledger.forward;
    assert_eq!((forward.packets, forward.bytes, forward.delivered), (3, 3000, 2));
    assert_eq!(forward.realised_loss, Some(1.0 / 3.0));
    let outside = |o: &contract::scores::Outside| (o.packets, o.bytes, o.lost);
    assert_eq!((outside(&forward.before), outside(&forward.after)), ((2, 2000, 0), (2, 2000, 1)));
    assert_eq!(forward.delay.unwrap().n, 2);
    assert_eq!((ledger.reverse.packets, ledger.reverse.realised_loss), (1, Some(0.0)));
    // 3000 bytes in 3 s.
    let totals = freezeframe::record::Totals::default();
    let rates =
        freezeframe::score::session::bitrate_scores(&[], &totals, Reports::default(), Some(&ledger), &slots);
    assert_eq!((rates.wire_bps, rates.reverse_wire_bps), (Some(8000), Some(2667)));
    // Nobody reported anything: no rate of it, and no redundancy.
    assert_eq!(
        (rates.media_bps, rates.payload_bps, rates.data_bps, rates.redundancy),
        (None, None, None, None)
    );
    let nothing = Ledger::of(std::iter::empty::<Result<_, Infallible>>(), slots.window()).unwrap();
    assert_eq!(nothing.forward.realised_loss, None, "no packet, no loss to speak of");
}

/// The kernel discards a damaged datagram; with an intact second copy nothing is missing.
#[test]
fn a_corrupted_packet_is_lost() {
    let mut fates: Vec<FateRecord> = (0..4).map(|n| packet(n, Direction::Forward, n)).collect();
    fates[1].fate = Outcome::Corrupted;
    (fates[2].fate, fates[2].copy_ns) = (Outcome::Corrupted, Some(Timestamp(30 * MS)));
    let forward =
        Ledger::of(fates.into_iter().map(Ok::<_, Infallible>), slots(100).window()).unwrap().forward;
    assert_eq!((forward.packets, forward.delivered, forward.realised_loss), (4, 3, Some(0.25)));
    assert_eq!(forward.drops, [("corrupted".to_owned(), 1)].into());
}

#[test]
fn a_ledger_whose_clock_runs_backwards_is_a_finding() {
    let mut fates: Vec<FateRecord> = (0..3).map(|n| packet(n, Direction::Forward, 100 + n)).collect();
    fates[1].out_ns = Some(Timestamp(MS));
    let ledger = Ledger::of(fates.into_iter().map(Ok::<_, Infallible>), slots(100).window()).unwrap();
    let direction = Direction::Forward;
    let found: Vec<Finding> = ledger.findings().collect();
    assert_eq!(found, [Finding::LeftBeforeEntered { direction, count: 1, first: 1 }]);
    assert_eq!(ledger.forward.delay.map(|d| (d.n, d.p50_ns)), Some((2, 20 * MS)), "left out, not 0");
}

/// Handed over before the first capture, in the window, and after it; rates are of the middle one.
#[test]
fn what_is_sent_is_counted_where_it_was_sent() {
    let slots = Slots { capture_start: Timestamp(60 * MS), ..slots(2) }; // [60, 120)
    let stream = Stream::Rgb;
    let sent = |role, bytes| K::Sent { frame: 0, stream, role, index: 0, bytes };
    let events = Script::default()
        .tx(10, sent(Role::Control, 70))
        .tx(60, K::Captured { frame: 0 })
        .tx(65, K::Encoded { frame: 0, stream, bytes: 900, key: Some(true) })
        .tx(66, sent(Role::Data, 1000))
        .tx(67, sent(Role::Parity, 500))
        .tx(90, K::Captured { frame: 1 })
        .tx(119, sent(Role::Repeat, 250))
        .tx(120, sent(Role::Data, 3000))
        .rx(70, sent(Role::Feedback, 9999));
    let joined = join(events.0.into_iter().map(Ok::<_, Infallible>), None, &slots).unwrap();
    let rates = freezeframe::score::session::bitrate_scores(
        &joined.rows,
        &joined.totals,
        joined.reports,
        None,
        &slots,
    );
    let bps = |bytes: u64| Some((bytes * 8 * 1000 + 30) / 60); // of 60 ms
    assert_eq!((rates.media_bps, rates.data_bps), (bps(900), bps(1000)));
    assert_eq!((rates.parity_bps, rates.repeat_bps, rates.payload_bps), (bps(500), bps(250), bps(1750)));
    assert_eq!(rates.with_headers_bps, bps(1750 + 3 * 28));
    assert_eq!((rates.payload_before_bytes, rates.payload_after_bytes), (Some(70), Some(3000)));
    assert_eq!((rates.redundancy, rates.redundancy_with_repeats), (Some(0.5), Some(0.75)));
    assert_eq!((rates.wire_bps, rates.reverse_wire_bps), (None, None), "no ledger");
}

#[test]
fn captures_are_compared_with_the_frame_clock() {
    let capture = |script: Script, frame: u32, ms| script.tx(ms, K::Captured { frame });
    // Due at 0, 30, 60, 90 ms: on time, 7 ms late, 12 ms early, 1 ms late.
    let script = [(0, 0), (1, 37), (2, 48), (3, 91)]
        .into_iter()
        .fold(Script::default(), |s, (f, ms)| capture(s, f, ms));
    let joined = script.join(4);
    let (late, early) = freezeframe::score::session::capture_lateness(&joined.rows, &slots(4));
    let late = late.unwrap();
    assert_eq!((late.n, late.p50_ns, late.max_ns, early), (3, MS, 7 * MS, Some((1, 2))));
}
