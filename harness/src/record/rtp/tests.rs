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
