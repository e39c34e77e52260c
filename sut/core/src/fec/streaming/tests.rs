use super::*;
use crate::fec::streaming::wire::unwrap_frame;

fn frame(i: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|j| (i.wrapping_mul(131) ^ j.wrapping_mul(j + 7) >> 3) as u8).collect()
}

/// Encodes `count` frames of `bytes(i)`, drops what `lost(frame, packet)` says, and returns (frame, delay).
fn deliver(
    config: Config,
    quality: Quality,
    count: u64,
    bytes: impl Fn(u64) -> usize,
    lost: impl Fn(u64, usize) -> bool,
) -> Vec<(u64, u64)> {
    let mut encoder = Encoder::new(config).unwrap();
    let mut decoder = Decoder::new(config).unwrap();
    let mut out = Vec::new();
    for i in 0..count {
        let source = frame(i, bytes(i));
        for (p, packet) in encoder.encode(i as u32, i == 0, &source, quality).unwrap().iter().enumerate() {
            if lost(i, p) {
                continue;
            }
            for got in decoder.push(packet).unwrap() {
                let n = u64::from(got.video_frame);
                assert_eq!(got.bytes, frame(n, bytes(n)), "frame {n} differs");
                assert!(got.delay <= 2 * config.tau.max(1), "frame {n} took {} frames", got.delay);
                out.push((n, got.delay));
            }
        }
    }
    out.sort_unstable();
    out
}

const BLOCK: Config = Config { scheme: Scheme::PerBlock, ..Config::TAMBUR };
const FRAME: Config = Config { scheme: Scheme::PerFrame, tau: 0, stripes_per_packet: 5 };

#[test]
fn without_loss_every_frame_comes_at_once() {
    for config in [Config::TAMBUR, BLOCK, FRAME] {
        let sizes = |i: u64| [1, 250, 251, 4000, 16_377, 16_378, 60_000, 0][i as usize % 8];
        let got = deliver(config, Quality::Half, 24, sizes, |_, _| false);
        assert_eq!(got, (0..24).map(|i| (i, 0)).collect::<Vec<_>>(), "{config:?}");
    }
}

/// Frames of 2m stripes (m of v, m of u) with parity p each. A burst of b frames from t: by the deadline t+3
/// of its first frame, parity of frames t+b..=t+3 must give back all v of the burst and u of frame t; each
/// further frame brings p stripes for the m of the next u.
#[test]
fn a_burst_of_whole_frames_comes_back_where_the_count_of_stripes_allows() {
    // 50 % redundancy: p = m. One frame: 3 p >= 2 m.
    for m in [1usize, 2, 3, 8] {
        let bytes = 2 * m * 256 - TRAILER_BYTES;
        let got = deliver(Config::TAMBUR, Quality::Half, 30, |_| bytes, |f, _| f == 10);
        assert_eq!(got.len(), 30);
        assert_eq!(got[10], (10, 3), "u of the lost frame needs the parity three frames later");
        // Two frames: 2 p < 3 m, so neither is back in time, and nothing else is touched.
        let got = deliver(Config::TAMBUR, Quality::Half, 30, |_| bytes, |f, _| f == 10 || f == 11);
        let lost: Vec<u64> = (0..30).filter(|f| got.iter().all(|(g, _)| g != f)).collect();
        assert_eq!(lost, [10, 11]);
    }
    // The same rule with more parity than the reports ask for: two frames need p >= 3/2 m. Small frames after
    // large ones carry that much, because parity follows the frame three before.
    let sizes = |i: u64| if i < 10 { 8 * 256 - TRAILER_BYTES } else { 4 * 256 - TRAILER_BYTES };
    let got = deliver(Config::TAMBUR, Quality::Half, 30, sizes, |f, _| f == 10 || f == 11);
    // Frames 10..=12 carry 4 parity stripes each (data 4 stripes): at frame 13 (2 stripes) 4 + 2 = 6 = 3 m.
    assert!(got.contains(&(10, 3)), "{got:?}");
}

#[test]
fn partial_losses_in_a_burst_of_three_frames_come_back() {
    // Half of the packets of three frames in a row; frames of 8 stripes in 2 packets, 1 packet of parity.
    let bytes = 8 * 256 - TRAILER_BYTES;
    let got = deliver(Config::TAMBUR, Quality::Half, 30, |_| bytes, |f, p| (10..13).contains(&f) && p == 1);
    assert_eq!(got.len(), 30);
    // Reed-Solomon per frame does this too, and per block.
    for config in [FRAME, BLOCK] {
        let got = deliver(config, Quality::Half, 30, |_| bytes, |f, p| (10..13).contains(&f) && p == 1);
        assert_eq!(got.len(), 30, "{config:?}");
    }
}

#[test]
fn every_erasure_pattern_of_one_packet_per_frame_is_exact_and_in_time() {
    // Seven frames of one data and one parity packet: all 2^14 patterns through each code.
    for config in [Config::TAMBUR, BLOCK, FRAME] {
        let mut encoder = Encoder::new(config).unwrap();
        let sources: Vec<Vec<u8>> = (0..7).map(|i| frame(i, 200)).collect();
        let packets: Vec<Vec<Vec<u8>>> = sources
            .iter()
            .enumerate()
            .map(|(i, s)| encoder.encode(i as u32, false, s, Quality::Half).unwrap())
            .collect();
        let count: usize = packets.iter().map(Vec::len).sum();
        assert!(count <= 16);
        let mut recovered = 0;
        for pattern in 0..1u32 << count {
            let mut decoder = Decoder::new(config).unwrap();
            let mut index = 0;
            for packet in packets.iter().flatten() {
                index += 1;
                if pattern >> (index - 1) & 1 == 1 {
                    for got in decoder.push(packet).unwrap() {
                        assert_eq!(got.bytes, sources[got.video_frame as usize]);
                        assert!(got.delay <= 2 * config.tau.max(1));
                        recovered += u32::from(got.recovered_stripes > 0);
                    }
                }
            }
        }
        assert!(recovered > 100, "{config:?} recovered {recovered}");
    }
}

#[test]
fn a_call_outlasts_the_15_bits_of_the_frame_number() {
    for start in [32_760u64, 65_530, (1 << 40) - 5] {
        let mut encoder = Encoder::starting_at(Config::TAMBUR, start).unwrap();
        let mut decoder = Decoder::starting_at(Config::TAMBUR, start).unwrap();
        let mut got = 0;
        for i in 0..40u64 {
            let packets = encoder.encode(i as u32, false, &frame(i, 1500), Quality::Half).unwrap();
            for packet in packets.iter().filter(|_| i % 9 != 4) {
                got += decoder.push(packet).unwrap().len();
            }
        }
        assert_eq!(got, 40, "from {start}");
        assert_eq!(decoder.newest(), Some(start + 39));
    }
    assert_eq!(unwrap_frame(3, 32_766), 32_771);
    assert_eq!(unwrap_frame(32_767, 32_769), 32_767);
    assert_eq!(unwrap_frame(32_767, 3), 32_767);
}

/// The published packetisation keeps a queue of tau amounts, filled with zeros at first; an amount is settled with the state at hand
/// when the frame that it protects is encoded, and sent tau frames later (`streaming_code_packetization.cc`).
#[test]
fn amounts_follow_the_reports_and_lag_by_tau() {
    let mut encoder = Encoder::new(Config::TAMBUR).unwrap();
    let mut parity = |bytes: usize, quality| {
        let packets = encoder.encode(0, false, &frame(1, bytes), quality).unwrap();
        let stripes = |p: &Vec<u8>| (p.len() - HEADER_BYTES) / 256;
        packets.iter().filter(|p| Header::parse(p).unwrap().0.parity).map(stripes).sum::<usize>()
    };
    let eight = 8 * 256 - TRAILER_BYTES;
    assert_eq!(parity(eight, Quality::Half), 0, "nothing came before");
    assert_eq!(parity(eight, Quality::Quarter), 0);
    assert_eq!(parity(100, Quality::None), 0);
    assert_eq!(parity(100, Quality::None), 4, "half of the frame three before, whatever is asked for now");
    assert_eq!(parity(100, Quality::Quarter), 2, "a quarter of the next");
    assert_eq!(parity(100, Quality::Half), 0, "none had been asked for");
    assert_eq!(parity(100, Quality::Half), 0);
    assert_eq!(parity(100, Quality::None), 1);
}

/// Some frames lose what the next three alone cannot give back, and packets of the three after those do: the published receiver, whose
/// window is 2 tau + 1 = 7 frames, delivers such frames.
#[test]
fn what_is_solved_within_the_window_is_delivered_too() {
    let mut seen = [0; 7];
    for seed in 0..400u64 {
        let mut state = seed;
        let lost: Vec<bool> = (0..2000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % 100 < 35
            })
            .collect();
        let got = deliver(Config::TAMBUR, Quality::Half, 30, |_| 1400, |f, p| lost[f as usize * 16 + p]);
        got.iter().for_each(|(_, delay)| seen[*delay as usize] += 1);
    }
    assert!(seen[4..].iter().all(|count| *count > 0), "frames by delay: {seen:?}");
}

#[test]
fn garbage_never_panics_and_changes_nothing() {
    let mut state = 5u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for config in [Config::TAMBUR, BLOCK, FRAME] {
        let mut encoder = Encoder::new(config).unwrap();
        let mut decoder = Decoder::new(config).unwrap();
        for i in 0..200u64 {
            for packet in encoder.encode(i as u32, false, &frame(i, 900), Quality::Half).unwrap() {
                let mut bad = packet.clone();
                match next() % 4 {
                    0 => bad.truncate(next() % bad.len()),
                    1 => (0..4).for_each(|_| {
                        let at = next() % 18;
                        bad[at] ^= 1 << (next() % 8);
                    }),
                    2 => bad = (0..next() % 600).map(|_| next() as u8).collect(),
                    _ => bad.extend([0; 256]),
                }
                let _ = decoder.push(&bad);
                let _ = decoder.push(&packet);
            }
        }
    }
    assert!(Decoder::new(Config { tau: 4, ..Config::TAMBUR }).is_err());
    assert!(Encoder::new(Config { tau: 1, ..FRAME }).is_err());
    let mut encoder = Encoder::new(Config::TAMBUR).unwrap();
    assert!(encoder.encode(0, true, &vec![0; 300_000], Quality::Half).is_err());
    assert_eq!(encoder.next_frame(), 0);
}

/// What the published receiver reports (`fec_multi_receiver.cc`, `frame.cc`, `simple_quality_report_generator.cc`): tau 3, so frames are
/// judged seven frames later.
#[test]
fn reports_say_loss_per_interval() {
    use super::quality::{AnyLoss, Reporter};
    use link::Timestamp;
    use std::time::Duration;
    let at = Timestamp::from_millis;
    let reporter = || Reporter::new(Duration::from_secs(2), 3, Box::new(AnyLoss));
    let mut clean = reporter();
    assert_eq!(clean.packet(at(0), 0, 0), Some(Quality::None), "at once, of nothing");
    for frame in 0..60 {
        for position in 0..3 {
            assert_eq!(clean.packet(at(33 * frame), frame, position), None);
        }
    }
    assert_eq!(clean.packet(at(2000), 60, 0), Some(Quality::None));
    assert_eq!(clean.packet(at(2001), 60, 1), None);

    // Frame 5 loses its last packet, which nobody can know; then the first of frame 9; then frame 12, all of it.
    let second = |lost: fn(u64, u16) -> bool| {
        let mut reporter = reporter();
        for frame in 0..60u64 {
            for position in (0..3).filter(|p| !lost(frame, *p)) {
                reporter.packet(at(33 * frame), frame, position);
            }
        }
        reporter.packet(at(2000), 60, 0)
    };
    assert_eq!(second(|f, p| f == 5 && p == 2), Some(Quality::None));
    assert_eq!(second(|f, p| f == 9 && p == 0), Some(Quality::Half));
    assert_eq!(second(|f, _| f == 12), Some(Quality::Half));
    // What is in the window yet is judged in the next interval.
    assert_eq!(second(|f, _| f == 54), Some(Quality::None));
    assert_eq!(second(|f, _| f == 52), Some(Quality::Half));
    // A number far ahead is forged.
    let mut forged = reporter();
    forged.packet(at(0), 1 << 40, 0);
    forged.packet(at(10), 0, 0);
    assert_eq!(forged.packet(at(2000), 1, 0), Some(Quality::None));
}
