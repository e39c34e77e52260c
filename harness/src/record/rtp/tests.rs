use super::*;
use link::Outcome;
use sut_core::rtp::Header;

const MS: u64 = 1_000_000;
/// Chromium's offer: VP8 as 96, RTX 97, RED 118, ULPFEC 120; media's SSRC and that of its retransmissions.
const MEDIA: u32 = 466_292_084;
const RTX: u32 = 660_146_237;
const CLOCK: Clock = Clock { first_ns: 3_000 * MS, fps: 30 };

fn offer(name: &str) -> Vec<Description> {
    let path = format!("{}/tests/sdp/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
    vec![Description::parse(&std::fs::read_to_string(path).expect("a description"))]
}

/// A path that lets everything through in 20 ms but for the packets in `lost`.
struct Path {
    fates: Vec<FateRecord>,
    lost: Vec<u64>,
}

impl Path {
    fn datagram(&mut self, at_ns: u64, payload: &[u8], direction: Direction) {
        let n = self.fates.iter().filter(|f| f.direction == direction).count() as u64;
        let bytes = payload.len() as u32 + 28;
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2];
        packet.extend([0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0]);
        packet.extend(payload);
        packet.truncate(96);
        let lost = direction == Direction::Forward && self.lost.contains(&n);
        self.fates.push(FateRecord {
            n,
            direction,
            in_ns: Timestamp(at_ns),
            out_ns: (!lost).then_some(Timestamp(at_ns + 20 * MS)),
            actual_ns: (!lost).then_some(Timestamp(at_ns + 20 * MS + 1000)),
            copy_ns: None,
            bytes,
            fate: if lost { Outcome::Dropped } else { Outcome::Delivered },
            cause: lost.then_some(link::DropCause::Random),
            state: None,
            row: None,
            frame: None,
            role: None,
            head: Some(packet.iter().map(|b| format!("{b:02x}")).collect()),
        });
    }

    fn rtp(
        &mut self,
        at_ns: u64,
        payload_type: u8,
        marker: bool,
        (ssrc, sequence, timestamp): (u32, u16, u32),
        size: usize,
    ) {
        let header = Header { marker, payload_type, sequence, timestamp, ssrc, csrcs: Vec::new() };
        self.datagram(at_ns, &header.packet(&vec![0xAB; size]), Direction::Forward);
    }
}

/// As Chromium sends under SRTP: each frame in two RED packets and one of ULPFEC in RED after the marker; frame 1's second packet is lost
/// and sent again by RTX. From 15 frames before frame 0 on, which is captured at 3 s.
fn call() -> Path {
    let mut path = Path { fates: Vec::new(), lost: vec![4 + 16 * 3 + 1] };
    path.datagram(2_400 * MS, &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42], Direction::Forward);
    path.datagram(2_410 * MS, &[22, 0xFE, 0xFD, 0, 0, 0, 0, 0], Direction::Forward);
    path.datagram(2_420 * MS, &[0x80, 200, 0, 6, 0, 0, 0, 1], Direction::Forward);
    path.datagram(2_430 * MS, &[0x80, 201, 0, 6, 0, 0, 0, 1], Direction::Reverse);
    path.datagram(2_440 * MS, &[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9], Direction::Forward); // sound
    for frame in -15i64..4 {
        let at = (3_000 * MS).saturating_add_signed(frame * 33_333_333) + 7 * MS;
        let stamp = u32::MAX.wrapping_add_signed(frame as i32 * 3000);
        let sequence = 65_530u16.wrapping_add_signed(3 * (frame + 15) as i16);
        for (i, size) in [1000, 500, 1004].into_iter().enumerate() {
            let id = (MEDIA, sequence.wrapping_add(i as u16), stamp);
            path.rtp(at + i as u64 * 100_000, 118, i == 1, id, size);
        }
        if frame == 2 {
            path.rtp(at + MS, 97, true, (RTX, 7, u32::MAX.wrapping_add(3000)), 502);
        }
    }
    path
}

#[test]
fn an_encrypted_call_is_read_by_its_headers() {
    let path = call();
    let wire = wire(&path.fates, &offer("chromium"), (CLOCK, 3), &BTreeMap::new());
    assert_eq!(wire.unnamed, 0);
    let of = |n: u64| wire.labels[&n];
    // STUN, DTLS, RTCP, sound; then three packets a frame from frame -15 on.
    assert_eq!(
        [of(0), of(1), of(2), of(3)].map(|l| l.1),
        [Role::Control, Role::Control, Role::Feedback, Role::Control]
    );
    assert_eq!(of(4), (None, Role::Control), "warm-up is none of the clip");
    for frame in 0..2u32 {
        let first = 4 + 3 * u64::from(frame + 15);
        let labels = [0, 1, 2].map(|i| of(first + i));
        assert_eq!(
            labels,
            [(Some(frame), Role::Data), (Some(frame), Role::Data), (Some(frame), Role::Parity)]
        );
    }
    let rtx = 4 + 3 * 18;
    assert_eq!(of(rtx), (Some(1), Role::Repeat));
    assert_eq!(of(rtx + 1), (None, Role::Control), "frame 3 is beyond a clip of three");

    let sent = |frame: u32, role: Role| {
        let of_frame = wire.events.iter().filter_map(|e| match e.kind {
            EventKind::Sent { frame: f, role: r, index, bytes, .. } if (f, r) == (frame, role) => {
                Some((index, bytes))
            }
            _ => None,
        });
        of_frame.collect::<Vec<_>>()
    };
    assert_eq!(sent(1, Role::Data), [(0, 1012), (1, 512)]);
    assert_eq!(sent(1, Role::Parity), [(0, 1016)]);
    assert_eq!(sent(1, Role::Repeat), [(2, 514)], "what it repeats is encrypted: a number of its own");
    let encoded: Vec<(u32, u32, Option<bool>)> = wire
        .events
        .iter()
        .filter_map(|e| match e.kind {
            EventKind::Encoded { frame, bytes, key, .. } => Some((frame, bytes, key)),
            _ => None,
        })
        .collect();
    // Payloads behind RTP header (12 bytes) and RED (1); key frames cannot be seen.
    assert_eq!(encoded, [(0, 1498, None), (1, 1498, None), (2, 1498, None)]);
    let received = wire
        .events
        .iter()
        .filter(|e| matches!(e.kind, EventKind::Received { frame: 1, role: Role::Data, .. }));
    assert_eq!(received.count(), 1, "the other one was lost");
    assert!(wire.events.is_sorted_by_key(|e| e.t_ns));
}

#[test]
fn without_a_description_nothing_is_called_media() {
    let wire = wire(&call().fates, &[], (CLOCK, 3), &BTreeMap::new());
    assert_eq!(wire.unnamed, 1 + 19 * 3 + 1);
    assert!(
        wire.labels
            .values()
            .all(|(frame, role)| frame.is_none() && !matches!(role, Role::Data | Role::Parity))
    );
}

#[test]
fn in_clear_repair_key_frames_and_repeats_are_seen() {
    let text = "v=0\nm=video 1 RTP/AVPF 96 100\na=rtpmap:96 VP8/90000\na=rtpmap:100 ulpfec/90000\n";
    let mut path = Path { fates: Vec::new(), lost: vec![1] };
    let mut send = |at: u64, payload_type: u8, sequence: u16, payload: &[u8]| {
        let header =
            Header { marker: true, payload_type, sequence, timestamp: 5, ssrc: 3, csrcs: Vec::new() };
        path.datagram(3_000 * MS + at * MS, &header.packet(payload), Direction::Forward);
    };
    // A key frame of VP8 (RFC 7741: X, S; I; picture 1; RFC 6386: bit 0 is 0).
    send(5, 96, 10, &[0x90, 0x80, 1, 0x10, 0, 0]);
    send(6, 96, 11, &[0x80, 0x80, 1, 7, 7, 7]);
    send(7, 100, 12, &[0; 20]);
    send(60, 96, 11, &[0x80, 0x80, 1, 7, 7, 7]);
    let wire = wire(&path.fates, &[Description::parse(text)], (CLOCK, 1), &BTreeMap::new());
    let roles: Vec<Role> = (0..4).map(|n| wire.labels[&n].1).collect();
    assert_eq!(roles, [Role::Data, Role::Data, Role::Parity, Role::Repeat]);
    let key = wire.events.iter().find_map(|e| match e.kind {
        EventKind::Encoded { key, bytes, .. } => Some((key, bytes)),
        _ => None,
    });
    assert_eq!(key, Some((Some(true), 12)));
    // The repeat has the number of what it repeats, and brings it.
    let of = |e: &Event| match e.kind {
        EventKind::Received { role, index, duplicate, .. } => Some((role, index, duplicate)),
        _ => None,
    };
    let received: Vec<_> = wire.events.iter().filter_map(of).collect();
    assert_eq!(received, [(Role::Data, 0, false), (Role::Parity, 0, false), (Role::Repeat, 1, false)]);
}

/// Two seconds of a call between two webrtcbin (GStreamer 1.22, adapters/gstreamer-webrtcbin under ge-high with retransmission), as the
/// harness kept it. Its sender told the receiver which timestamp frame 0 has: the answer, which nothing here reads.
#[test]
fn a_real_call_under_encryption() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rtp/webrtcbin"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of the run");
    let fates: Vec<FateRecord> =
        read("fates.jsonl").lines().map(|l| serde_json::from_str(l).expect("a fate")).collect();
    let signals = read("signals.jsonl");
    let (_, truth) = signals.split_once("first_frame\\\": ").expect("the sender's word");
    let truth: u32 = truth.split('}').next().and_then(|n| n.parse().ok()).expect("a timestamp");
    let descriptions = told(folder).expect("signals");
    // 200 ms of set-up and 2 s of warm-up before frame 0.
    let clock = Clock { first_ns: 2_200 * MS, fps: 30 };
    let wire = wire(&fates, &descriptions, (clock, 40), &BTreeMap::new());
    assert_eq!(wire.unnamed, 0);
    let mut count = BTreeMap::new();
    for fate in &fates {
        let (frame, role) = wire.labels[&fate.n];
        *count.entry(role).or_insert(0) += 1;
        let bytes = head(fate);
        let header = Header::begin(&bytes[28..]).map(|(header, _)| header);
        if let (Some(frame), Some(header)) = (frame, header) {
            // A buffer's time is in nanoseconds, rounded down: a tick less now and then.
            assert_eq!((header.timestamp + 2 - truth) / 3000, frame, "{header:?}");
        }
    }
    // Of frames 0 to 39: two packets of media and one of repair or two each; two were asked for again.
    assert_eq!(
        [Role::Data, Role::Parity, Role::Repeat].map(|role| count.get(&role).copied()),
        [Some(119), Some(59), Some(2)]
    );
}

/// 40 frames of 4658 bytes of RTP payload, each in 4 packets of 1010 bytes and one of 618, shown 150 ms after capture. `timestamp` of each
/// frame; `carried`: payload type and SSRC of each of a frame's packets.
fn session(timestamp: impl Fn(u32) -> u32, carried: impl Fn(u32, u32) -> (u8, u32)) -> Wire {
    let mut path = Path { fates: Vec::new(), lost: Vec::new() };
    let mut sequences: BTreeMap<u32, u16> = BTreeMap::new();
    for frame in 0..40 {
        for part in 0..5u32 {
            let (payload_type, ssrc) = carried(frame, part);
            let sequence = sequences.entry(ssrc).or_insert(65_500);
            let id = (ssrc, *sequence, timestamp(frame));
            *sequence = sequence.wrapping_add(1);
            let at = captured(frame) + 2 * MS + u64::from(part) * 10_000;
            path.rtp(at, payload_type, part == 4, id, if part == 4 { 618 } else { 1010 });
        }
    }
    read(&path)
}

fn captured(frame: u32) -> u64 {
    CLOCK.first_ns + u64::from(frame) * 1_000_000_000 / 30
}

const ROLES: &str = "v=0\nm=video 1 RTP/AVP 96 97 98\na=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n\
                     a=rtpmap:98 ulpfec/90000\na=ssrc-group:FID 1 2\n";

fn read(path: &Path) -> Wire {
    let shown = (0..40).map(|f| (i64::from(f), captured(f) + 150 * MS)).collect();
    wire(&path.fates, &[Description::parse(ROLES)], (CLOCK, 40), &shown)
}

fn encoded(events: &[Event]) -> u32 {
    let bytes = |e: &Event| if let EventKind::Encoded { bytes, .. } = e.kind { bytes } else { 0 };
    events.iter().map(bytes).sum()
}

const MEDIA_ONLY: fn(u32, u32) -> (u8, u32) = |_, _| (96, 1);
/// On the clock, around the wrap.
const ON_THE_CLOCK: fn(u32) -> u32 = |frame| 0xFFFF_F000u32.wrapping_add(frame * 3000);

#[test]
fn a_session_that_does_what_it_says_is_believed() {
    let wire = session(ON_THE_CLOCK, MEDIA_ONLY);
    assert_eq!((&wire.doubts[..], encoded(&wire.events)), (&[][..], 40 * 4658));
    // A sender that puts its frames' times of capture there, up to 6 ms off, and one whose encoder takes two frames.
    let wobbly = |frame: u32| ON_THE_CLOCK(frame).wrapping_add(frame * 7919 % 1080);
    assert_eq!(session(wobbly, MEDIA_ONLY).doubts, []);
    // A stream anew, with an SSRC and timestamps of its own: as RFC 3550 has it.
    let anew = |frame: u32| ON_THE_CLOCK(frame).wrapping_add(if frame < 20 { 0 } else { 123_456_789 });
    let wire = session(anew, |frame, _| (96, if frame < 20 { 1 } else { 7 }));
    assert_eq!((&wire.doubts[..], encoded(&wire.events)), (&[][..], 40 * 4658));
}

/// Timestamps that no reading can be right about: right is 4658 bytes in each frame, and what was read before was 0 to 186,320.
#[test]
fn timestamps_off_the_frame_clock_are_found_out() {
    let ways: [(&str, fn(u32) -> u32); 8] = [
        ("a jump", |f| ON_THE_CLOCK(f).wrapping_add(if f < 20 { 0 } else { 123_456_789 })),
        ("a jump of 2 s", |f| ON_THE_CLOCK(f).wrapping_add(if f < 20 { 0 } else { 180_000 })),
        ("a jump back", |f| ON_THE_CLOCK(f).wrapping_sub(if f < 30 { 0 } else { 900_000 })),
        ("ten times too fast", |f| 7 + f * 30_000),
        ("48 kHz", |f| 7 + f * 1600),
        ("backwards", |f| 1_000_000 - f * 3000),
        ("one by one", |f| 7 + f),
        ("one for all", |_| 7),
    ];
    for (way, timestamp) in ways {
        let wire = session(timestamp, MEDIA_ONLY);
        assert!(!wire.doubts.is_empty(), "{way}");
        let text = unread(Some(&wire)).expect("a reason");
        assert!(text.contains("unknown") && text.contains("contradicts"), "{way}: {text}");
    }
}

#[test]
fn media_under_the_names_of_repair_and_retransmission_is_found_out() {
    let doubts = |carried: fn(u32, u32) -> (u8, u32)| session(ON_THE_CLOCK, carried).doubts;
    assert_eq!(doubts(|_, _| (97, 2)), [Doubt::NoMedia { shown: 40 }]);
    assert_eq!(doubts(|_, _| (98, 1)), [Doubt::NoMedia { shown: 40 }]);
    // Every second packet as repair, or as a retransmission: there is media for every frame.
    assert_eq!(doubts(|_, part| (96 + part as u8 % 2 * 2, 1)), [Doubt::NoRepair { count: 80, of: 80 }]);
    assert_eq!(
        doubts(|_, part| (96 + part as u8 % 2, 1 + part % 2)),
        [Doubt::NoRepeat { count: 80, of: 80 }]
    );
}

/// Repair as the project's own ULPFEC writes it, and retransmissions as RFC 4588 has them.
#[test]
fn real_repair_and_real_retransmissions_are_believed() {
    let mut path = Path { fates: Vec::new(), lost: Vec::new() };
    let (mut sequence, mut again) = (65_500u16, 9u16);
    for frame in 0..40u32 {
        let header = |sequence, payload_type, ssrc| Header {
            marker: false,
            payload_type,
            sequence,
            timestamp: ON_THE_CLOCK(frame),
            ssrc,
            csrcs: Vec::new(),
        };
        let mut at = captured(frame) + 2 * MS;
        let media: Vec<Vec<u8>> = (0..3u16)
            .map(|i| {
                header(sequence.wrapping_add(i), 96, 1).packet(&vec![i as u8; 300 + 100 * usize::from(i)])
            })
            .collect();
        let repair: Vec<Vec<u8>> = sut_core::fec::ulpfec::protect(&media, 2)
            .into_iter()
            .zip(3..)
            .map(|(payload, i)| header(sequence.wrapping_add(i), 98, 1).packet(&payload))
            .collect();
        let repeated = [&sequence.to_be_bytes()[..], &media[0][12..]].concat();
        let repeat = header(again, 97, 2).packet(&repeated);
        (sequence, again) = (sequence.wrapping_add(5), again.wrapping_add(1));
        for packet in media.iter().chain(&repair).chain([&repeat]) {
            path.datagram(at, packet, Direction::Forward);
            at += 10_000;
        }
    }
    let wire = read(&path);
    assert_eq!((&wire.doubts[..], encoded(&wire.events)), (&[][..], 40 * (300 + 400 + 500)));
    let roles = |role| wire.labels.values().filter(|(_, r)| *r == role).count();
    assert_eq!([Role::Data, Role::Parity, Role::Repeat].map(roles), [120, 80, 40]);
}

/// What is not believed is not written: no frame has a size, none is 0.
#[test]
fn a_doubted_reading_leaves_nothing_in_the_record() {
    for (fast, bytes) in [(1, 12 * 4658), (7, 0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let mut path = Path { fates: Vec::new(), lost: Vec::new() };
        let mut events = Vec::new();
        let spec = spec(12);
        let frame_at = |f: u32| spec.first_capture_ns() + u64::from(f) * 1_000_000_000 / 30;
        for frame in 0..12u32 {
            for part in 0..5u16 {
                let id = (1, frame as u16 * 5 + part, 70 + frame * 3000 * fast);
                let size = if part == 4 { 618 } else { 1010 };
                path.rtp(frame_at(frame) + 2 * MS, 96, part == 4, id, size);
            }
            let (status, shown) = (Status::Rendered, Some(frame));
            let kind = EventKind::Slot { frame, stream: Stream::Rgb, status, shown, picture: None };
            events.push(Event { t_ns: Timestamp(frame_at(frame) + 150 * MS), side: Side::Receiver, kind });
        }
        std::fs::write(file("events.jsonl"), lines(&events).expect("events")).expect("a file");
        std::fs::write(file("fates.jsonl"), lines(&path.fates).expect("fates")).expect("a file");
        let signal = serde_json::json!({"side": "sender", "data": ROLES}).to_string();
        std::fs::write(file(SIGNALS), signal).expect("a file");
        let lacking = read_the_wire(folder.path(), &spec).expect("read");
        let events: Vec<Event> =
            read_events(&file("events.jsonl")).expect("a file").collect::<Result<_, _>>().expect("events");
        assert_eq!(encoded(&events), bytes, "{lacking:?}");
        let is_told = |e: &Event| matches!(e.kind, EventKind::Encoded { .. } | EventKind::Sent { .. });
        assert_eq!(events.iter().any(is_told), bytes > 0);
        assert_eq!(lacking.map(|w| w.code), (bytes == 0).then(|| "wire_not_read".to_owned()));
    }
}

fn spec(frames: u32) -> RunSpec {
    let clip = format!(
        "name = \"x\"\nrgb = \"x\"\nwidth = 64\nheight = 48\nfps = 30\nframes = {frames}\nhash = \"\""
    );
    RunSpec {
        system: "rtp".parse().expect("a name"),
        backend: contract::Backend::Namespaces,
        shaper: contract::Shaping::Auto,
        seed: 1,
        revision: String::new(),
        replay: String::new(),
        capture_start_ns: 3_000 * MS,
        warm_ns: 0,
        captured_from_ns: None,
        playout_ns: Some(contract::Playout::DEFAULT),
        cache: None,
        costs: contract::Costs::default(),
        given: BTreeSet::new(),
        clip: toml::from_str(&clip).expect("a clip"),
        options: toml::Table::new(),
        scenario: contract::Scenario::find("clean").expect("a shipped scenario"),
        identity: contract::Identity::default(),
    }
}
