//! Events and fates joined by frame id: every status, every cause, every cross-check.

mod made_up;

use contract::frames::Traffic;
use contract::{Event, EventKind as K, FrameRow, LossCause, Role, Side, Status, Stream};
use freezeframe::record::{Finding, Joined, Ledger, Slots, join};
use link::Timestamp;
use made_up::{MadeUp, joined, record};
use std::convert::Infallible;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// One stream, frames every 30 ms, due 100 ms after capture.
fn slots(frames: u32) -> Slots {
    Slots {
        frames,
        streams: vec![Stream::Rgb],
        interval: Duration::from_millis(30),
        playout: Duration::from_millis(100),
        one_packet_per_message: true,
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
            .tx(t + 5, K::Encoded { frame, stream, bytes: 980, key: frame == 0 })
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
    assert_eq!(row.data, Traffic { packets: 2, bytes: 1000 });
    assert_eq!(row.parity, Traffic { packets: 1, bytes: 500 });
    assert_eq!((row.lost, row.late, row.recovered), (1, 0, 1));
    assert_eq!((row.encoded_bytes, row.is_key), (980, true));
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
    let unsent = Script::default().tx(0, K::Captured { frame: 0 });
    assert_eq!(frozen(unsent), Some(LossCause::Sender));
}

#[test]
fn the_receivers_own_reason_comes_first() {
    let lost = K::Lost { frame: 0, stream: Stream::Rgb, cause: LossCause::Dependency, missing: 1 };
    let row = Script::default().sent(0).rx(90, lost).slot(0, Status::Concealed, Some(0), Some("cc")).row();
    assert_eq!((row.loss_cause, row.missing), (Some(LossCause::Dependency), 1));
    assert_eq!((row.status, row.lost), (Status::Concealed, 3));
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
    assert_eq!((row.lost, row.late, row.duplicates), (0, 1, 1));
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
    assert_eq!(shown(both).lost, 0, "the receiver sees two equal packets");
    let one = shown(sent().received(28, 0, Role::Data, 0));
    assert_eq!((one.lost, one.repeat.packets), (1, 1));
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
    let ledger = Ledger::of(fates.into_iter().map(Ok::<_, Infallible>)).unwrap();
    let events = events.into_iter().map(Ok::<_, Infallible>);
    let joined = freezeframe::record::join(events, Some(&ledger), &made_up::slots(20)).unwrap();
    assert_eq!(joined.findings, [Finding::LedgerDiffers { sent: 240, ledger: 239 }]);
}

#[test]
fn the_order_of_the_record_does_not_matter() {
    let what = MadeUp { frames: 60, ..MadeUp::default() };
    let (mut events, fates) = record(&what);
    let ledger = Ledger::of(fates.into_iter().map(Ok::<_, Infallible>)).unwrap();
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
    let ledger = Ledger::of(fates.into_iter().map(Ok::<_, Infallible>)).unwrap();
    let forward = ledger.forward;
    assert_eq!((forward.packets, forward.delivered), (total, total - drops));
    assert_eq!(forward.drops.values().sum::<u64>(), drops);
    assert_eq!(forward.states.values().sum::<u64>(), total);
    assert_eq!(forward.delay.unwrap().p50_ns, 20 * MS);
    assert_eq!(ledger.reverse.packets, 0);
}
