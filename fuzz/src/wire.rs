//! Targets for bytes from the network. A peer may send anything; nothing may panic, spin or eat memory.

use crate::Target;
use contract::Stream;
use freezeframe::record::rtp::{self as record_rtp, sdp};
use link::{Direction, Fate, FateRecord, Timestamp};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;
use sut_core::fec::flexfec::{self, Format};
use sut_core::fec::streaming::{Config, Decoder, Encoder, Quality};
use sut_core::fec::xor::XorDecoder;
use sut_core::fec::{ReedSolomon, Zfec, ulpfec};
use sut_core::packetize::revo::{Assembled, Assembly, Payload, cut};
use sut_core::packetize::rtp::{Assembler, Packetizer};
use sut_core::rtp::{Header, is_rtcp, red, rtcp, vp8, vp9};
use sut_core::wire::reparo::{self, Variant};
use sut_core::wire::reparo_variants::{Setting, Variants};
use sut_core::wire::revo::{Init, Message, parse};
use transport::sctp::packet::seal;
use transport::sctp::{Association, Outgoing, SctpKind, Secrets};
use transport::{Config as TransportConfig, Transport, TransportKind};

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "revo", seeds: revo_seeds, run: revo },
    Target { name: "rtp", seeds: rtp_seeds, run: rtp },
    Target { name: "vp8-frames", seeds: vp8_seeds, run: vp8_frames },
    Target { name: "reparo", seeds: reparo_seeds, run: reparo },
    Target { name: "ulpfec", seeds: ulpfec_seeds, run: ulpfec },
    Target { name: "flexfec", seeds: flexfec_seeds, run: flexfec },
    Target { name: "tambur", seeds: tambur_seeds, run: tambur },
    Target { name: "block-code", seeds: || vec![(0..200).collect()], run: block_code },
    Target { name: "datagram", seeds: datagram_seeds, run: datagram },
    Target { name: "datachannel", seeds: datachannel_seeds, run: datachannel },
    Target { name: "signal", seeds: signal_seeds, run: signal },
    Target { name: "sctp", seeds: sctp_seeds, run: sctp },
    Target { name: "session-description", seeds: description_seeds, run: description },
    Target { name: "rtp-path", seeds: rtp_path_seeds, run: rtp_path },
];

/// Session descriptions of programs that nobody here wrote.
const DESCRIPTIONS: [&str; 4] = [
    include_str!("../../harness/tests/sdp/chromium.sdp"),
    include_str!("../../harness/tests/sdp/firefox.sdp"),
    include_str!("../../harness/tests/sdp/gstreamer.sdp"),
    include_str!("../../harness/tests/sdp/aiortc.sdp"),
];

fn description_seeds() -> Vec<Vec<u8>> {
    let packed = |text: &str| serde_json::json!({"type": "offer", "sdp": text}).to_string();
    let mut seeds: Vec<Vec<u8>> = DESCRIPTIONS.iter().map(|d| d.as_bytes().to_vec()).collect();
    seeds.push(packed(DESCRIPTIONS[3]).into_bytes());
    seeds.push(packed(DESCRIPTIONS[3]).bytes().flat_map(|b| format!("{b:02x}").into_bytes()).collect());
    seeds
}

fn description(input: &[u8]) -> u64 {
    let found = sdp::descriptions(&String::from_utf8_lossy(input));
    let sizes = found.iter().map(|d| (d.formats.len() + d.rtx.len() + d.repair.len()) as u64);
    found.iter().for_each(|d| assert!(d.formats.keys().all(|pt| *pt < 128)));
    sizes.sum::<u64>().min(200) << 4 | (found.len() as u64).min(15)
}

/// A description, then what entered the path: RTP of media and repair, reports, set-up.
fn rtp_path_seeds() -> Vec<Vec<u8>> {
    let plain = b"v=0\nm=video 1 RTP/AVP 96 100\na=rtpmap:96 VP8/90000\na=rtpmap:100 ulpfec/90000\n".to_vec();
    let mut report = Vec::new();
    rtcp::Packet::PictureLoss { sender: 1, media: 2 }.write(&mut report);
    let stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    let packets = |first: Vec<u8>| {
        pack(&[&[first, stun.clone(), report.clone()][..], &media(12)[..], &media(3)[..]].concat())
    };
    vec![packets(plain), packets(DESCRIPTIONS[0].as_bytes().to_vec()), packets(Vec::new())]
}

fn rtp_path(input: &[u8]) -> u64 {
    let packets = unpack(input);
    let Some((first, packets)) = packets.split_first() else { return 0 };
    let descriptions = sdp::descriptions(&String::from_utf8_lossy(first));
    let fates: Vec<FateRecord> = (0..)
        .zip(packets)
        .map(|(n, payload)| {
            let at = Timestamp(n * 5_000_000);
            let (head, bytes) = (ledger_head(payload), payload.len() as u32 + 28);
            let fate = Fate::Delivered {
                at: at + Duration::from_millis(20),
                corrupted: false,
                copy: n.is_multiple_of(7).then_some(at + Duration::from_millis(30)),
                channel: link::Channel { state: None, row: None },
            };
            FateRecord { head: Some(head), ..FateRecord::new(n, Direction::Forward, at, bytes, &fate) }
        })
        .collect();
    let shown = (0..4i64).map(|f| (f, f.unsigned_abs() * 33_333_333 + 150_000_000)).collect();
    let clock = record_rtp::frames::Clock { first_ns: 10_000_000, fps: 30 };
    let wire = record_rtp::wire(&fates, &descriptions, (clock, 8), &shown);
    assert!(wire.labels.values().all(|(frame, _)| frame.is_none_or(|f| f < 8)));
    assert!(wire.events.is_sorted_by_key(|e| e.t_ns) && wire.labels.len() <= fates.len());
    let roles: std::collections::BTreeSet<_> =
        wire.labels.values().map(|(f, role)| (f.is_some(), *role)).collect();
    (roles.len() as u64) << 8
        | wire.unnamed.min(15) << 4
        | u64::from((wire.events.len() as u64).min(100).checked_ilog2().unwrap_or(0))
}

/// The first bytes of the IPv4 packet that carries a datagram, as the ledger keeps them.
fn ledger_head(payload: &[u8]) -> String {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2];
    packet.extend([0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0]);
    packet.extend(payload);
    packet.iter().take(96).map(|b| format!("{b:02x}")).collect()
}

/// Packets as one input: each behind its length, two bytes.
fn pack(packets: &[Vec<u8>]) -> Vec<u8> {
    packets.iter().flat_map(|p| [(p.len() as u16).to_le_bytes().as_slice(), p].concat()).collect()
}

fn unpack(mut input: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let (packet, after) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        packets.push(packet);
        input = after;
    }
    packets
}

fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i % 251) as u8).collect()
}

fn revo_seeds() -> Vec<Vec<u8>> {
    let init = Init { width: 512, height: 512, fps: 30, chunk_size_rgb: 1024, chunk_size_depth: 1024 };
    let mut seeds = vec![pack(&[init.encode().to_vec(), vec![0; 60]])];
    for (frame_id, gop, len) in [(0, 0, 2500), (1, 0, 1500), (2, 0, 10), (30, 30, 5000)] {
        let payload = Payload { stream: Stream::Rgb, frame: frame_id, gop, qp: 30, bytes: frame(len) };
        let messages: Vec<Vec<u8>> = cut(&payload, 256).into_iter().map(|c| c.message).collect();
        seeds.push(pack(&messages[messages.len() / 2..]));
        seeds.push(pack(&messages));
    }
    seeds
}

fn revo(input: &[u8]) -> u64 {
    let mut assembling: BTreeMap<(u32, Stream), Assembly> = BTreeMap::new();
    let mut seen = 0u64;
    for packet in unpack(input) {
        match parse(packet) {
            Ok(Message::Chunk(desc, chunk)) => {
                let assembly =
                    assembling.entry((desc.frame, desc.stream)).or_insert_with(|| Assembly::new(desc));
                seen |= if assembly.insert(&desc, chunk).is_ok() { 1 } else { 2 };
                match assembly.assemble() {
                    Assembled::Complete { bytes, recovered } => {
                        assert!(bytes.len() <= desc.total as usize || *assembly.desc() != desc);
                        seen |= if recovered > 0 { 4 } else { 8 };
                    }
                    Assembled::Partial { .. } => seen |= 16,
                    Assembled::Lost { .. } => seen |= 32,
                }
            }
            Ok(Message::Init(init)) => {
                assert_eq!(init.encode(), packet, "an INIT must read back");
                seen |= 64;
            }
            Ok(Message::WarmUp) => seen |= 128,
            Err(error) => seen ^= crate::outcome(&error.to_string()) << 8,
        }
    }
    seen
}

fn media(count: u16) -> Vec<Vec<u8>> {
    let header = |sequence: u16| Header {
        marker: sequence.is_multiple_of(4),
        payload_type: 96,
        sequence,
        timestamp: 3000 * u32::from(sequence),
        ssrc: 7,
        csrcs: Vec::new(),
    };
    (0..count).map(|i| header(65_530u16.wrapping_add(i)).packet(&frame(40 + 9 * usize::from(i)))).collect()
}

fn rtp_seeds() -> Vec<Vec<u8>> {
    let header =
        Header { marker: true, payload_type: 97, sequence: 9, timestamp: 3, ssrc: 1, csrcs: vec![5, 6] };
    let vp8 = vp8::Descriptor { start: true, non_reference: false, picture: 300 }.to_bytes();
    let vp9 = vp9::Descriptor { inter: true, begin: true, end: false, picture: 300 }.to_bytes();
    let mut report = Vec::new();
    rtcp::Packet::PictureLoss { sender: 1, media: 2 }.write(&mut report);
    let sender = rtcp::Packet::SenderReport { sender: 2, ntp: 9 << 32, timestamp: 3, packets: 4, bytes: 5 };
    sender.write(&mut report);
    let mut statistics = rtcp::Statistics::default();
    statistics.sender_report(9 << 32, 5);
    (0..50).for_each(|i| statistics.packet(i * 2, 0, 0));
    statistics.report(1, 2, 7).iter().for_each(|p| p.write(&mut report));
    let bodies = [vp8.to_vec(), vp9.to_vec(), red::wrap(98, &frame(20)), frame(30)];
    bodies.iter().map(|b| header.packet(b)).chain([report]).collect()
}

fn rtp(input: &[u8]) -> u64 {
    let mut seen = u64::from(is_rtcp(input));
    if let Some(packets) = rtcp::Packet::parse_compound(input) {
        seen |= 2 + (packets.len() as u64).min(3) * 4;
    }
    let payload = match Header::parse(input) {
        Some((header, payload)) => {
            let again = header.packet(payload);
            let (back, rest) = Header::parse(&again).expect("what is written can be read");
            assert_eq!((&back, rest), (&header, payload));
            seen |= 16 + 32 * (header.csrcs.len() as u64).min(3);
            payload
        }
        None => input,
    };
    seen |= u64::from(vp8::Descriptor::parse(payload).is_some()) << 8;
    seen |= u64::from(vp9::Descriptor::parse(payload).is_some()) << 9;
    seen |= u64::from(red::unwrap(payload).is_some()) << 10;
    seen | u64::from(vp8::is_key(payload)) << 11
}

fn vp8_seeds() -> Vec<Vec<u8>> {
    let mut packetizer = Packetizer { ssrc: 7, payload_type: 96, max_packet: 200, fps: 30, sequence: 65_530 };
    let packets: Vec<Vec<u8>> =
        (0..5).flat_map(|f| packetizer.packets(f, f, &frame(700 - 100 * f as usize))).collect();
    let mut swapped = packets.clone();
    swapped.swap(1, 6);
    vec![pack(&packets), pack(&swapped), pack(&packets[3..])]
}

fn vp8_frames(input: &[u8]) -> u64 {
    let mut assembler = Assembler::default();
    let mut seen = 0u64;
    for packet in unpack(input) {
        let Some((header, payload)) = Header::parse(packet) else { continue };
        let complete = assembler.push(&header, payload, header.csrcs.len() == 1);
        seen |= u64::from(complete.is_empty()) << 6;
        for complete in complete {
            seen = (seen + 1).min(7) | u64::from(complete.key) << 4 | u64::from(complete.recovered > 0) << 5;
        }
    }
    seen
}

/// The two grids that are used: the paper's and the small one for CPUs.
fn reparo_variants() -> [Variant; 2] {
    [(32, 32, 1024, 1), (16, 16, 512, 4)]
        .map(|(c, r, codes, n)| Variant::new(c, r, codes, n).expect("a valid grid"))
}

/// Both in one session, so that packets name them.
fn several() -> Variants {
    Variants::new(reparo_variants().to_vec()).expect("two that differ")
}

fn reparo_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for variant in reparo_variants() {
        let tokens: Vec<u16> =
            (0..variant.tokens()).map(|i| (i * 7 % variant.codes() as usize) as u16).collect();
        for kept in [1, variant.tokens_per_packet() / 2, variant.tokens_per_packet()] {
            seeds.extend(reparo::packetize(variant, 1_048_575, &tokens, kept));
            let number = usize::from(variant != Variant::STANDARD);
            seeds.extend(several().packetize(Setting { variant: number, kept }, 7, &tokens));
        }
    }
    seeds
}

fn reparo(input: &[u8]) -> u64 {
    let named = several().parse(input);
    if let Ok((number, packet)) = &named {
        let variant = several().variant(*number);
        packet.place_into(variant, &mut vec![None; variant.tokens()]);
    }
    let mut seen = crate::outcome_of(&named, |(number, packet)| 1000 * number + packet.tokens.len());
    for variant in reparo_variants() {
        let parsed = reparo::Packet::parse(variant, input);
        if let Ok(packet) = &parsed {
            let mut grid = vec![None; variant.tokens()];
            packet.place_into(variant, &mut grid);
            assert_eq!(
                grid.iter().flatten().count(),
                packet.tokens.len(),
                "every token has a place of its own"
            );
        }
        seen = seen.rotate_left(16) ^ crate::outcome_of(&parsed, |p| p.tokens.len());
    }
    seen
}

fn ulpfec_seeds() -> Vec<Vec<u8>> {
    let media = media(12);
    let mut seed: Vec<Vec<u8>> = media[1..11].to_vec();
    seed.extend(ulpfec::protect(&media, 3).into_iter().map(|p| [&[0xFF], &p[..]].concat()));
    vec![pack(&seed)]
}

fn ulpfec(input: &[u8]) -> u64 {
    xor_decoder(input, |payload| ulpfec::parse(7, payload).map_err(|e| e.to_string()))
}

fn flexfec_seeds() -> Vec<Vec<u8>> {
    let media = media(12);
    [Format::Draft03, Format::Rfc8627]
        .into_iter()
        .map(|format| {
            let mut seed: Vec<Vec<u8>> = media[2..].to_vec();
            let repair = flexfec::protect(format, &media, 4);
            seed.extend(repair.into_iter().map(|p| [&[0xFF], &p[..]].concat()));
            pack(&seed)
        })
        .collect()
}

fn flexfec(input: &[u8]) -> u64 {
    let mut seen = 0;
    for format in [Format::Draft03, Format::Rfc8627] {
        seen ^= xor_decoder(input, |payload| flexfec::parse(format, 7, payload).map_err(|e| e.to_string()));
    }
    seen
}

/// Media packets go in as they are; repair packets are marked by a first byte of 255.
fn xor_decoder(input: &[u8], parse: impl Fn(&[u8]) -> Result<sut_core::fec::xor::Repair, String>) -> u64 {
    let mut decoder = XorDecoder::default();
    let mut seen = 0u64;
    for packet in unpack(input) {
        let back = match packet.split_first() {
            Some((0xFF, payload)) => match parse(payload) {
                Ok(repair) => decoder.repair(repair),
                Err(error) => {
                    seen ^= crate::outcome(&error) << 4;
                    continue;
                }
            },
            _ => decoder.media(packet),
        };
        seen |= u64::from(!back.is_empty());
    }
    seen
}

fn tambur_seeds() -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(Config::TAMBUR).expect("Tambur's own parameters");
    let mut packets = Vec::new();
    for (number, len) in [(0u32, 3000), (1, 600), (2, 1), (3, 1300), (4, 200)] {
        let quality = if number % 2 == 0 { Quality::Half } else { Quality::Quarter };
        packets.extend(encoder.encode(number, number == 0, &frame(len), quality).expect("small frames"));
    }
    let with_a_hole =
        packets.iter().enumerate().filter(|(i, _)| i % 4 != 1).map(|(_, p)| p.clone()).collect::<Vec<_>>();
    vec![pack(&packets), pack(&with_a_hole)]
}

fn tambur(input: &[u8]) -> u64 {
    let mut decoder = Decoder::new(Config::TAMBUR).expect("Tambur's own parameters");
    let mut seen = 0u64;
    for packet in unpack(input) {
        match decoder.push(packet) {
            Ok(frames) => {
                seen |=
                    1 << frames.len().min(3) | u64::from(frames.iter().any(|f| f.recovered_stripes > 0)) << 5;
            }
            Err(error) => seen ^= crate::outcome(&error.to_string()) << 8,
        }
    }
    seen
}

/// First bytes: k, n and which code; then the shards' indices and bytes.
fn block_code(input: &[u8]) -> u64 {
    let Some((head, rest)) = input.split_first_chunk::<4>() else { return 0 };
    let (k, n, len) = (usize::from(head[0]), usize::from(head[1]), usize::from(head[2] % 32));
    let shards: Vec<(usize, &[u8])> = rest.chunks(len + 1).map(|c| (usize::from(c[0]), &c[1..])).collect();
    let decoded = if head[3] & 1 == 0 {
        Zfec::new(k, n).and_then(|code| code.decode(&shards))
    } else {
        ReedSolomon::new(k, n).and_then(|code| code.decode(&shards))
    };
    crate::outcome_of(&decoded, Vec::len)
}

fn transport_config(kind: TransportKind, offers: bool) -> TransportConfig {
    let [a, b] = ["10.0.1.1:5000", "10.0.2.1:5000"].map(|a| a.parse().expect("an address"));
    let (local, peer) = if offers { (a, b) } else { (b, a) };
    TransportConfig::fixed(kind, local, peer)
}

fn datagram_seeds() -> Vec<Vec<u8>> {
    let mut sender =
        Transport::new_offerer(&transport_config(TransportKind::Datagram, true)).expect("datagrams");
    sender.handle_start(Timestamp::ZERO);
    for len in [0, 1, 100, 1045] {
        let _ = sender.send(Timestamp::ZERO, (len % 2) as u8, &frame(len));
    }
    std::iter::from_fn(|| sender.poll_transmit()).collect()
}

fn datagram(input: &[u8]) -> u64 {
    let config = transport_config(TransportKind::Datagram, false);
    let mut receiver = Transport::new_answerer(&config).expect("datagrams");
    receiver.handle_start(Timestamp::ZERO);
    receiver.handle_datagram(Timestamp::ZERO, input);
    receiver.poll_message().map_or(0, |m| 1 + u64::from(m.channel) + (m.bytes.len() as u64 / 256) * 4)
}

/// A connected pair, and what its sender has put on the wire so far.
struct Pair {
    peers: [Transport; 2],
    now: Timestamp,
    wire: Vec<Vec<u8>>,
    inputs: u32,
}

impl Pair {
    fn connected() -> Self {
        let peers = [true, false].map(|offers| {
            let config = transport_config(TransportKind::Datachannel, offers);
            let role = if offers { transport::Role::Offerer } else { transport::Role::Answerer };
            let mut peer = Transport::new(&config, role).expect("a data channel");
            peer.handle_start(Timestamp::ZERO);
            peer
        });
        let mut pair = Pair { peers, now: Timestamp::ZERO, wire: Vec::new(), inputs: 0 };
        for _ in 0..200 {
            pair.exchange();
            pair.now = Timestamp(pair.now.as_nanos() + 10_000_000);
            let now = pair.now;
            pair.peers.iter_mut().for_each(|p| p.handle_timeout(now));
        }
        for _ in 0..20 {
            let _ = pair.peers[0].send(pair.now, 0, &frame(300));
        }
        pair.exchange();
        pair
    }

    fn exchange(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            while let Some(signal) = self.peers[from].poll_signal() {
                self.peers[to].handle_signal(self.now, &signal);
            }
            while let Some(payload) = self.peers[from].poll_transmit() {
                self.peers[to].handle_datagram(self.now, &payload);
                self.wire.push(payload);
            }
        }
    }
}

fn datachannel_seeds() -> Vec<Vec<u8>> {
    Pair::connected().wire
}

fn datachannel(input: &[u8]) -> u64 {
    thread_local!(static PAIR: RefCell<Option<Pair>> = const { RefCell::new(None) });
    PAIR.with_borrow_mut(|slot| {
        let pair = slot.get_or_insert_with(Pair::connected);
        pair.now = Timestamp(pair.now.as_nanos() + 1_000_000);
        let now = pair.now;
        let before = pair.peers[1].counters().datagrams_out;
        pair.peers[1].handle_datagram(now, input);
        if pair.peers[1].poll_timeout().is_some_and(|at| at <= now) {
            pair.peers[1].handle_timeout(now);
        }
        let answered = pair.peers[1].counters().datagrams_out - before;
        let messages = std::iter::from_fn(|| pair.peers[1].poll_message()).count();
        while pair.peers[1].poll_transmit().is_some() {}
        pair.inputs += 1;
        let closed = pair.peers[1].is_closed();
        if closed || pair.inputs > 300 {
            *slot = None;
        }
        answered.min(3) | (messages.min(3) as u64) << 2 | u64::from(closed) << 4
    })
}

fn signal_seeds() -> Vec<Vec<u8>> {
    let mut offerer =
        Transport::new_offerer(&transport_config(TransportKind::Datachannel, true)).expect("a data channel");
    offerer.handle_start(Timestamp::ZERO);
    let offer = offerer.poll_signal().expect("an offer");
    let mut answerer = Transport::new_answerer(&transport_config(TransportKind::Datachannel, false))
        .expect("a data channel");
    answerer.handle_signal(Timestamp::ZERO, &offer);
    let answer = answerer.poll_signal().expect("an answer");
    vec![offer, answer]
}

fn signal(input: &[u8]) -> u64 {
    let mut seen = 0;
    for offers in [true, false] {
        let role = if offers { transport::Role::Offerer } else { transport::Role::Answerer };
        let mut peer = Transport::new(&transport_config(TransportKind::Datachannel, offers), role)
            .expect("a data channel");
        peer.handle_start(Timestamp::ZERO);
        while peer.poll_signal().is_some() {}
        peer.handle_signal(Timestamp::ZERO, input);
        seen = seen << 4 | peer.counters().malformed_signals << 1 | u64::from(peer.poll_signal().is_some());
        for ms in [0, 200, 400] {
            peer.handle_timeout(Timestamp::from_millis(ms));
        }
        while peer.poll_transmit().is_some() {}
    }
    seen
}

/// What two associations say to each other: set-up, messages, a loss, the end.
fn sctp_seeds() -> Vec<Vec<u8>> {
    let run = |kind: SctpKind| {
        let mut ends = associations(kind);
        let (mut now, mut said) = (Timestamp::ZERO, Vec::new());
        ends[0].connect(now);
        for n in 0..40u32 {
            if n > 3 {
                let (stream, unordered) = ((n % 2) as u16, n % 3 > 0);
                let retransmissions = unordered.then_some(0);
                let bytes = frame(100 + 97 * n as usize);
                ends[0].send(now, Outgoing { stream, ppid: 53, unordered, retransmissions, bytes });
            }
            for from in 0..2 {
                while let Some(packet) = ends[from].poll_transmit() {
                    said.push(packet[12..].to_vec());
                    if said.len() % 7 != 0 {
                        ends[1 - from].handle_packet(now, &packet);
                    }
                }
            }
            now += Duration::from_millis(30);
            ends.iter_mut().for_each(|e| e.handle_timeout(now));
        }
        ends[0].shutdown(now);
        said.extend(std::iter::from_fn(|| ends[0].poll_transmit()).map(|p| p[12..].to_vec()));
        pack(&said)
    };
    [SctpKind::Aiortc, SctpKind::Aiortc116, SctpKind::Standard].map(run).to_vec()
}

fn associations(kind: SctpKind) -> [Association; 2] {
    [1, 2].map(|n| Association::new(kind.profile(), Secrets::new(&[n; Secrets::LEN])))
}

/// Chunks of a peer that knows tags and checksums, to either end of an association that is up or not, with its timers.
fn sctp(input: &[u8]) -> u64 {
    let Some((&first, rest)) = input.split_first() else { return 0 };
    let kind = [SctpKind::Aiortc, SctpKind::Aiortc116, SctpKind::Standard][usize::from(first % 3)];
    let mut ends = associations(kind);
    let (mut now, mut seen) = (Timestamp::ZERO, 0u64);
    ends[0].connect(now);
    for (n, chunks) in unpack(rest).into_iter().enumerate() {
        let to = usize::from(first >> 2 & 1) ^ (n & usize::from(first >> 3 & 1));
        // Tags follow from the secrets above; an INIT has none.
        let tag = if chunks.first() == Some(&1) { [0; 4] } else { [to as u8 + 1; 4] };
        let mut packet = [&[0x13, 0x88, 0x13, 0x88], tag.as_slice(), &[0; 4], chunks].concat();
        seal(&mut packet);
        let taken = ends[to].handle_packet(now, &packet);
        seen |= u64::from(taken) << (ends[to].state() as u64) | 1 << (10 + ends[1 - to].state() as u64);
        if first & 16 != 0 {
            ends[to].send(
                now,
                Outgoing {
                    stream: 1,
                    ppid: 53,
                    unordered: true,
                    retransmissions: Some(0),
                    bytes: frame(1 + n * 40),
                },
            );
        }
        for from in 0..2 {
            let out: Vec<_> = std::iter::from_fn(|| ends[from].poll_transmit()).collect();
            assert!(out.len() < 2000, "one packet brought {} others", out.len());
            for packet in out {
                ends[1 - from].handle_packet(now, &packet);
            }
            while ends[from].poll_message().is_some() {}
        }
        now += Duration::from_millis(100);
        ends.iter_mut().for_each(|e| e.handle_timeout(now));
    }
    seen
}
