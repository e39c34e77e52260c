//! ReVo's chunks: what the receiver rebuilds from any subset, order and multiplicity of what was sent.

use contract::{Role, Stream};
use proptest::prelude::*;
use sut_core::packetize::revo::{
    Assembled, Assembly, Chunk, MAX_K, Payload, Refused, cut, interleave, repeat,
};
use sut_core::wire::revo::{DESC_LEN, Message, parse};

const CHUNK: usize = 1024;

fn payload(length: usize, key: bool) -> Payload {
    let bytes = (0..length).map(|i| (i * 31 + i / 251) as u8).collect();
    Payload { stream: Stream::Rgb, frame: if key { 30 } else { 31 }, gop: 30, qp: 30, bytes }
}

fn insert(assembly: &mut Option<Assembly>, chunk: &Chunk) -> Result<(), Refused> {
    let Ok(Message::Chunk(desc, bytes)) = parse(&chunk.message) else { panic!("our own message parses") };
    assembly.get_or_insert_with(|| Assembly::new(desc)).insert(&desc, bytes)
}

/// Lengths around every boundary of the format, and random ones.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(CHUNK - 1),
        Just(CHUNK),
        Just(CHUNK + 1),
        Just(MAX_K * CHUNK - 1),
        Just(MAX_K * CHUNK),
        Just(MAX_K * CHUNK + 1), // one more than the original can send at all
        1_usize..60_000,
    ]
}

#[test]
fn counts_are_the_original_s() {
    for (length, k, n) in [
        (1, 1, 2),
        (1024, 1, 2),
        (1025, 2, 3),
        (3000, 3, 5),
        (4096, 4, 6),
        (5000, 5, 8),
        (174_080, 170, 255),
        (174_081, 171, 171),
    ] {
        let chunks = cut(&payload(length, true), CHUNK);
        assert_eq!(chunks.len(), n, "{length} bytes");
        assert!(chunks.iter().all(|c| usize::from(c.desc.k) == k && usize::from(c.desc.n) == n));
        assert_eq!(chunks.iter().filter(|c| c.role == Role::Parity).count(), n - k);
    }
    let plain = cut(&payload(2500, false), CHUNK);
    assert_eq!(plain.iter().map(|c| c.message.len() - DESC_LEN).collect::<Vec<_>>(), [1024, 1024, 452]);
}

#[test]
fn streams_alternate_and_first_chunks_of_other_frames_come_twice() {
    let rgb = cut(&payload(3000, false), CHUNK);
    let depth = cut(&Payload { stream: Stream::Depth, ..payload(1500, false) }, CHUNK);
    let chunks = interleave(rgb, depth);
    let order: Vec<_> = chunks.iter().map(|c| (c.desc.stream, c.desc.index)).collect();
    use Stream::{Depth, Rgb};
    assert_eq!(order, [(Rgb, 0), (Depth, 0), (Rgb, 1), (Depth, 1), (Rgb, 2)]);
    let twice: Vec<_> = repeat(&chunks).iter().map(|c| (c.desc.stream, c.desc.index, c.role)).collect();
    assert_eq!(twice, [(Rgb, 0, Role::Repeat), (Depth, 0, Role::Repeat)]);
    assert!(repeat(&cut(&payload(3000, true), CHUNK)).is_empty(), "key frames have parity instead");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any k of the n chunks of a key frame, in any order, some twice, give it back; any k - 1 do not.
    #[test]
    fn any_k_of_n_rebuild_a_key_frame(length in lengths(), order in any::<u64>()) {
        let sent = payload(length, true);
        let mut chunks = cut(&sent, CHUNK);
        shuffle(&mut chunks, order);
        let k = usize::from(chunks[0].desc.k);
        let mut assembly = None;
        for (i, chunk) in chunks.iter().take(k).enumerate() {
            if let Some(a) = &assembly {
                let a: &Assembly = a;
                prop_assert!(!a.is_ready(), "ready after {} of {} chunks", i, k);
                let lost = matches!(a.assemble(), Assembled::Lost { .. });
                prop_assert!(lost);
            }
            insert(&mut assembly, chunk).unwrap();
            prop_assert_eq!(insert(&mut assembly, chunk), Err(Refused::Duplicate));
        }
        let assembly = assembly.unwrap();
        prop_assert!(assembly.is_ready());
        let parity = chunks[..k].iter().filter(|c| c.role == Role::Parity).count() as u32;
        prop_assert_eq!(assembly.assemble(), Assembled::Complete { bytes: sent.bytes, recovered: parity });
    }

    /// A frame without parity: complete from all chunks, zero-filled from some with the first, lost without it.
    #[test]
    fn other_frames_are_filled_with_zeros(length in lengths(), order in any::<u64>(), kept in any::<u64>()) {
        let sent = payload(length, false);
        let mut chunks = cut(&sent, CHUNK);
        shuffle(&mut chunks, order);
        let keep = |c: &Chunk| kept >> (u64::from(c.desc.index) % 64) & 1 == 1;
        let mut assembly = None;
        for chunk in chunks.iter().filter(|c| keep(c)) {
            insert(&mut assembly, chunk).unwrap();
        }
        let Some(assembly) = assembly else { return Ok(()) };
        let lost = chunks.iter().filter(|c| !keep(c)).count() as u32;
        let first = chunks.iter().any(|c| c.desc.index == 0 && keep(c));
        let mut expected = sent.bytes.clone();
        for chunk in chunks.iter().filter(|c| !keep(c)) {
            let at = usize::from(chunk.desc.index) * CHUNK;
            expected[at..at + chunk.message.len() - DESC_LEN].fill(0);
        }
        let wanted = match (lost, first) {
            (0, _) => Assembled::Complete { bytes: expected, recovered: 0 },
            (missing, true) => Assembled::Partial { bytes: expected, missing },
            (missing, false) => Assembled::Lost { missing },
        };
        prop_assert_eq!(assembly.assemble(), wanted);
    }

    /// Chunks that contradict those before them are refused and change nothing.
    #[test]
    fn contradictions_are_refused(length in 1_usize..20_000, key in any::<bool>(), field in 0_u8..5, by in 1_u16..50) {
        let chunks = cut(&payload(length, key), CHUNK);
        let mut assembly = None;
        insert(&mut assembly, &chunks[0]).unwrap();
        let mut assembly = assembly.unwrap();
        let before = assembly.assemble();
        let last = chunks.last().unwrap();
        let mut desc = last.desc;
        let mut bytes = last.message[DESC_LEN..].to_vec();
        match field {
            0 => desc.n = desc.n.saturating_add(by),
            1 => desc.k = desc.k.saturating_sub(by),
            2 => desc.total = desc.total.wrapping_add(u32::from(by)),
            3 => desc.gop = desc.gop.wrapping_add(u32::from(by)),
            _ => bytes.extend(vec![0; CHUNK + usize::from(by)]),
        }
        if desc != last.desc || field == 4 {
            prop_assert_eq!(assembly.insert(&desc, &bytes), Err(Refused::Contradiction));
        }
        prop_assert_eq!(assembly.assemble(), before);
    }
}

/// Fisher-Yates with a small generator of its own.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (seed >> 33) as usize % (i + 1));
    }
}

/// The header counts chunks in 16 bits: a frame of more has larger ones.
#[test]
fn no_frame_has_more_chunks_than_its_header_can_count() {
    for gop in [0, 1] {
        let payload = Payload { stream: Stream::Rgb, frame: 1, gop, qp: 30, bytes: vec![7; 200_000] };
        let chunks = cut(&payload, 1);
        // 200000 / 65535 = 3.05: four bytes each.
        assert_eq!(chunks.len(), 50_000, "gop {gop}");
        assert!(chunks.iter().enumerate().all(|(i, c)| usize::from(c.desc.index) == i && c.desc.n == 50_000));
    }
}
