//! One suite of laws for every erasure code: exact or not at all, in any order, whatever is repeated, and never a
//! panic on garbage. `Code` is the least a code must be able to do; a new code is one implementation and one line
//! at the end.

use std::collections::BTreeMap;
use sut_core::fec::flexfec::{self, Format};
use sut_core::fec::streaming::{Config, Decoder, Encoder, Quality, Scheme};
use sut_core::fec::xor::{Repair, XorDecoder};
use sut_core::fec::{BlockCode, FecError, ReedSolomon, Zfec, ulpfec};
use sut_core::rtp::Header;

/// Sources by number, as far as they are known.
type Known = BTreeMap<usize, Vec<u8>>;

trait Code {
    /// All packets for `sources`, in sending order: for each packet the source it shows, if it is one's own bytes.
    fn send(&self, sources: &[Vec<u8>]) -> Vec<(Option<usize>, Vec<u8>)>;
    /// What a receiver of `packets` knows.
    fn receive(&self, sources: usize, packets: &[Vec<u8>]) -> Known;
    /// Packets that always suffice, if there is such a number.
    fn enough(&self, _sources: usize) -> Option<usize> {
        None
    }
    /// Packets between which order does not matter (a code with deadlines minds the order of its frames).
    fn exchangeable(&self) -> bool {
        true
    }
}

/// A deterministic source of bytes.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() % n
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

fn sources(count: usize, equal: bool) -> Vec<Vec<u8>> {
    let mut bytes = Bytes(count as u64 + 1);
    (0..count)
        .map(|i| (0..if equal { 40 } else { 30 + 7 * (i % 5) }).map(|_| bytes.next() as u8).collect())
        .collect()
}

fn laws(code: &dyn Code, small: usize, large: usize, equal: bool) {
    let exact = |known: &Known, sources: &[Vec<u8>], context: &str| {
        for (i, bytes) in known {
            assert_eq!(Some(bytes), sources.get(*i), "source {i} came back changed; {context}");
        }
    };
    // Every erasure pattern of a small block.
    let source = sources(small, equal);
    let packets = code.send(&source);
    assert!(packets.len() <= 14, "{} packets are too many for every pattern", packets.len());
    let mut repaired = 0;
    for pattern in 0..1u32 << packets.len() {
        let there = |i: &usize| pattern >> i & 1 == 1;
        let got: Vec<Vec<u8>> = (0..packets.len()).filter(there).map(|i| packets[i].1.clone()).collect();
        let known = code.receive(small, &got);
        exact(&known, &source, &format!("pattern {pattern:b}"));
        for i in (0..packets.len()).filter(there) {
            if let Some(s) = packets[i].0 {
                assert!(known.contains_key(&s), "source {s} arrived and is not known; pattern {pattern:b}");
            }
        }
        if code.enough(small).is_some_and(|enough| got.len() >= enough) {
            assert_eq!(known.len(), small, "pattern {pattern:b} suffices");
        }
        let shown = (0..packets.len()).filter(there).filter(|&i| packets[i].0.is_some()).count();
        repaired += known.len().saturating_sub(shown);
    }
    assert!(repaired > 0, "nothing was ever repaired");
    // Random patterns of a large one, in any order, repeated, and among garbage.
    let source = sources(large, equal);
    let packets = code.send(&source);
    let mut random = Bytes(99);
    for round in 0..60 {
        let keep = 50 + random.below(50);
        let got: Vec<Vec<u8>> =
            packets.iter().filter(|_| random.below(100) < keep).map(|(_, p)| p.clone()).collect();
        let known = code.receive(large, &got);
        exact(&known, &source, "random loss");
        let mut twice: Vec<Vec<u8>> = got.iter().flat_map(|p| [p.clone(), p.clone()]).collect();
        assert_eq!(code.receive(large, &twice), known, "repeats changed something in round {round}");
        if code.exchangeable() {
            random.shuffle(&mut twice);
            assert_eq!(code.receive(large, &twice), known, "order changed something in round {round}");
        }
        let mut dirty = Vec::new();
        for packet in &got {
            let mut bad = packet.clone();
            match random.below(3) {
                0 => bad.truncate(random.below(bad.len())),
                1 => (0..3).for_each(|_| {
                    let at = random.below(bad.len());
                    bad[at] ^= 1 << random.below(8);
                }),
                _ => bad = (0..random.below(200)).map(|_| random.next() as u8).collect(),
            }
            dirty.push(bad);
            dirty.push(packet.clone());
        }
        let _ = code.receive(large, &dirty); // what comes out is undefined, but something does
    }
}

/// Block codes; a packet is an index and a symbol.
struct Block<C>(fn(usize, usize) -> Result<C, FecError>);

impl<C: std::ops::Deref<Target = BlockCode>> Code for Block<C> {
    fn send(&self, sources: &[Vec<u8>]) -> Vec<(Option<usize>, Vec<u8>)> {
        let k = sources.len();
        let code = (self.0)(k, k + k.div_ceil(2)).unwrap();
        let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let all = sources.iter().cloned().chain(code.parity(&slices));
        all.enumerate().map(|(i, s)| ((i < k).then_some(i), [vec![i as u8], s].concat())).collect()
    }

    fn receive(&self, k: usize, packets: &[Vec<u8>]) -> Known {
        let code = (self.0)(k, k + k.div_ceil(2)).unwrap();
        let shards: Vec<(usize, &[u8])> =
            packets.iter().filter_map(|p| p.split_first()).map(|(i, s)| (usize::from(*i), s)).collect();
        match code.decode(&shards) {
            Ok(all) => all.into_iter().enumerate().collect(),
            Err(_) => shards.iter().filter(|(i, _)| *i < k).map(|(i, s)| (*i, s.to_vec())).collect(),
        }
    }

    fn enough(&self, k: usize) -> Option<usize> {
        Some(k)
    }
}

/// Exclusive-or codes over RTP packets; repair packets are told by their payload type.
struct Xor {
    protect: fn(&[Vec<u8>], usize) -> Vec<Vec<u8>>,
    parse: fn(&[u8]) -> Result<Repair, FecError>,
}

const MEDIA: u32 = 0x1111;

impl Code for Xor {
    fn send(&self, sources: &[Vec<u8>]) -> Vec<(Option<usize>, Vec<u8>)> {
        let header = |i: usize| Header {
            marker: i + 1 == sources.len(),
            payload_type: 96,
            sequence: 65_530u16.wrapping_add(i as u16),
            timestamp: 3000 * (i as u32 / 4),
            ssrc: MEDIA,
            csrcs: if i % 3 == 1 { vec![5] } else { Vec::new() },
        };
        let media: Vec<Vec<u8>> = sources.iter().enumerate().map(|(i, s)| header(i).packet(s)).collect();
        let repair =
            (self.protect)(&media, sources.len().div_ceil(2)).into_iter().enumerate().map(|(r, p)| {
                let header =
                    Header { payload_type: 100, sequence: r as u16, ssrc: 0x2222, ..Header::default() };
                (None, header.packet(&p))
            });
        let shown: Vec<_> = media.into_iter().enumerate().map(|(i, p)| (Some(i), p)).collect();
        shown.into_iter().chain(repair).collect()
    }

    fn receive(&self, count: usize, packets: &[Vec<u8>]) -> Known {
        let mut decoder = XorDecoder::default();
        let mut known = Known::new();
        for packet in packets {
            let Some((header, payload)) = Header::parse(packet) else { continue };
            let mut all = Vec::new();
            if header.payload_type == 100 {
                if let Ok(repair) = (self.parse)(payload) {
                    all = decoder.repair(repair);
                }
            } else if header.ssrc == MEDIA {
                all = decoder.media(packet);
                all.push(packet.clone());
            }
            for packet in all {
                let Some((header, payload)) = Header::parse(&packet) else { continue };
                let index = usize::from(header.sequence.wrapping_sub(65_530));
                if index < count {
                    known.entry(index).or_insert_with(|| payload.to_vec());
                }
            }
        }
        known
    }
}

/// The streaming code and its companions; a source is a video frame.
struct Stream(Config);

impl Code for Stream {
    fn send(&self, sources: &[Vec<u8>]) -> Vec<(Option<usize>, Vec<u8>)> {
        let mut encoder = Encoder::new(self.0).unwrap();
        let mut out = Vec::new();
        for (i, source) in sources.iter().enumerate() {
            let packets = encoder.encode(i as u32, i == 0, source, Quality::Half).unwrap();
            // Sources here fit one stripe: the first packet is the whole frame.
            out.extend(packets.into_iter().enumerate().map(|(p, packet)| ((p == 0).then_some(i), packet)));
        }
        out
    }

    fn receive(&self, _: usize, packets: &[Vec<u8>]) -> Known {
        let mut decoder = Decoder::new(self.0).unwrap();
        let got = packets.iter().filter_map(|p| decoder.push(p).ok()).flatten();
        got.map(|r| (r.video_frame as usize, r.bytes)).collect()
    }

    fn exchangeable(&self) -> bool {
        false
    }
}

macro_rules! obeys {
    ($name:ident, $code:expr, small $small:expr, large $large:expr, equal $equal:expr) => {
        #[test]
        fn $name() {
            laws(&$code, $small, $large, $equal);
        }
    };
}

obeys!(zfec, Block(Zfec::new), small 8, large 170, equal true);
obeys!(reed_solomon, Block(ReedSolomon::new), small 8, large 170, equal true);
obeys!(ulpfec_rfc_5109, Xor { protect: ulpfec::protect, parse: |p| ulpfec::parse(MEDIA, p) },
    small 8, large 48, equal false);
obeys!(flexfec_draft_03, Xor {
    protect: |m, r| flexfec::protect(Format::Draft03, m, r),
    parse: |p| flexfec::parse(Format::Draft03, MEDIA, p),
}, small 8, large 109, equal false);
obeys!(flexfec_rfc_8627, Xor {
    protect: |m, r| flexfec::protect(Format::Rfc8627, m, r),
    parse: |p| flexfec::parse(Format::Rfc8627, MEDIA, p),
}, small 8, large 109, equal false);
obeys!(tambur, Stream(Config::TAMBUR), small 6, large 100, equal false);
obeys!(reed_solomon_per_frame, Stream(Config { scheme: Scheme::PerFrame, tau: 0, ..Config::TAMBUR }),
    small 6, large 100, equal false);
obeys!(reed_solomon_per_block, Stream(Config { scheme: Scheme::PerBlock, ..Config::TAMBUR }),
    small 8, large 100, equal false);
