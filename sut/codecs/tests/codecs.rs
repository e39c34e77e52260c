//! Every codec: one in, one out; equal runs give equal bytes; damage never panics.

use codecs::{
    Codec, Decoder, DecoderConfig, Encoder, EncoderConfig, Quantisers, RateControl, Stage, Unit,
    VideoDecoder, VideoEncoder, VpxSettings, registry,
};
use contract::Stream;
use contract::units::{Entry, Recovery, UnitsHeader};
use media::Yuv420;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SIZE: usize = 128;

/// A textured picture that moves with `t`.
fn picture(t: usize) -> Yuv420 {
    let mut p = Yuv420::filled(SIZE, SIZE, (0, 110, 150));
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (u, v) = ((x + 2 * t) as u32, (y + t) as u32);
            p.y[y * SIZE + x] = (60 + (u * u / 37 + v * 3 + (u ^ v)) % 120) as u8;
        }
    }
    p
}

fn configs() -> Vec<EncoderConfig> {
    let s = SIZE as u32;
    // Every picture gives a frame; tests of libvpx's own have it drop some.
    let never_dropped = VpxSettings { drop_below: 0, ..VpxSettings::libwebrtc(s, s, 30) };
    let vp8 = EncoderConfig::vpx(Codec::Vp8, s, s, 30, 150_000);
    vec![
        EncoderConfig::revo("h264", s, s, 30),
        EncoderConfig::revo("h265", s, s, 30),
        EncoderConfig { vpx: Some(never_dropped), ..vp8 },
        EncoderConfig::vpx(Codec::Vp9, s, s, 30, 150_000),
    ]
}

fn encode(config: &EncoderConfig, frames: usize, force: &[usize]) -> Vec<Unit> {
    let mut encoder = registry::open_encoder(config).unwrap();
    (0..frames).map(|t| encoder.encode(t as u32, &picture(t), force.contains(&t)).unwrap()).collect()
}

fn psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    let sse: u64 = a.y.iter().zip(&b.y).map(|(&x, &y)| u64::from(x.abs_diff(y)).pow(2)).sum();
    10.0 * (65025.0 * a.y.len() as f64 / sse.max(1) as f64).log10()
}

#[test]
fn every_picture_comes_back_at_once() {
    for config in configs() {
        let units = encode(&config, 40, &[]);
        let mut decoder = Decoder::new(config.codec.parse().unwrap()).unwrap();
        for (t, unit) in units.iter().enumerate() {
            let shown = decoder
                .decode(t as u32, unit)
                .unwrap()
                .unwrap_or_else(|| panic!("{} frame {t}", config.codec));
            let quality = psnr(&picture(t), &shown);
            assert!(quality > 20.0, "{} frame {t}: {quality:.2} dB", config.codec);
        }
        assert_eq!(decoder.errors(), 0);
        assert!(units[0].key && !units[1].key);
        // ReVo's GOP of 30; libvpx gives key frames only on request.
        assert_eq!(units[30].key, config.gop == 30, "{}", config.codec);
    }
}

#[test]
fn equal_runs_give_equal_bytes() {
    for config in configs() {
        assert_eq!(encode(&config, 12, &[5]), encode(&config, 12, &[5]), "{}", config.codec);
    }
}

#[test]
fn a_key_frame_comes_when_asked_for() {
    for config in configs() {
        let units = encode(&config, 20, &[7]);
        assert!(units[7].key, "{}", config.codec);
        // Decoding can start there.
        let mut decoder = Decoder::new(config.codec.parse().unwrap()).unwrap();
        assert!(decoder.decode(7, &units[7]).unwrap().is_some(), "{}", config.codec);
        assert!(decoder.decode(8, &units[8]).unwrap().is_some(), "{}", config.codec);
    }
}

#[test]
fn constant_bitrate_is_kept() {
    for config in configs().into_iter().filter(|c| matches!(c.rate, RateControl::Cbr(_))) {
        let bits: usize = encode(&config, 150, &[]).iter().map(|u| 8 * u.bytes.len()).sum();
        let bps = bits as f64 / 5.0;
        assert!((0.5..1.3).contains(&(bps / 150_000.0)), "{}: {bps:.0} bit/s", config.codec);
    }
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let mut encoder = Encoder::new(&configs()[0]).unwrap();
    let message = encoder.encode(0, &Yuv420::black(64, 64), false).unwrap_err().to_string();
    assert!(message.contains("(64, 64)") && message.contains("(128, 128)"), "{message}");
}

/// The quantisers that x264 and x265 really used, as FFmpeg reports them with each packet.
#[test]
fn key_frames_have_the_quantiser_that_was_asked_for() {
    for name in ["h264", "h265"] {
        let sizes = |key: Option<u8>, other: u8| {
            let rate = RateControl::ConstantQp(Quantisers { key, other });
            let config = EncoderConfig { rate, ..EncoderConfig::revo(name, SIZE as u32, SIZE as u32, 30) };
            let units = encode(&config, 3, &[]);
            assert_eq!((units[0].qp, units[1].qp), (key.unwrap_or(other), other), "{name}");
            (units[0].bytes.len(), units[1].bytes.len(), units[2].bytes.len())
        };
        // Derived: 30 - 6 log2(1.4) = 27.09.
        assert_eq!(sizes(Some(27), 30), sizes(None, 30), "{name}");
        // A key frame depends on its own quantiser alone.
        let (fine, ..) = sizes(Some(20), 40);
        let (coarse, ..) = sizes(Some(40), 20);
        // Up to the text of the options that both encoders write into the first frame.
        for (one, other) in [(fine, sizes(Some(20), 20).0), (coarse, sizes(Some(40), 40).0)] {
            assert!(one.abs_diff(other) <= 8, "{name}: {one} {other}");
        }
        assert!(fine > 2 * coarse, "{name}: {fine} {coarse}");
        assert!(sizes(Some(40), 20).1 > sizes(Some(40), 40).1, "{name}");
    }
}

/// NAL unit types of an Annex B stream of H.265.
fn nal_types(bytes: &[u8]) -> Vec<u8> {
    let starts = (0..bytes.len().saturating_sub(3)).filter(|&i| bytes[i..i + 3] == [0, 0, 1]);
    starts.map(|i| bytes[i + 3] >> 1 & 0x3f).collect()
}

/// The original's x265 is left at its open groups of pictures: the first key frame is an IDR picture (19 or 20), later ones, on the
/// grid or asked for, are CRA pictures (21), each with its parameter sets (32, 33, 34).
#[test]
fn later_key_frames_of_h265_are_open() {
    let units = encode(&configs()[1], 62, &[40]);
    for (t, unit) in units.iter().enumerate() {
        let types = nal_types(&unit.bytes);
        let wanted = match t {
            0 => vec![19, 20],
            30 | 40 => vec![21],
            _ => vec![0, 1],
        };
        let pictures: Vec<&u8> = types.iter().filter(|t| **t < 32).collect();
        assert!(pictures.len() == 1 && wanted.contains(pictures[0]), "frame {t}: {types:?}");
        assert_eq!(types.contains(&32) && types.contains(&33) && types.contains(&34), unit.key, "frame {t}");
        assert_eq!(unit.key, matches!(t, 0 | 30 | 40), "frame {t}");
        if t == 40 {
            break;
        }
    }
}

/// Frames 3 to 9 follow a loss: `none` shows what the decoder makes of them, `hold` nothing until the next key frame.
#[test]
fn hold_shows_exact_pictures_alone() {
    let config = EncoderConfig { gop: 10, ..configs().remove(0) };
    let units = encode(&config, 12, &[]);
    let run = |recovery: &str| -> Vec<(bool, Option<u128>)> {
        let mut header = UnitsHeader::new("h264", (SIZE as u32, SIZE as u32, 30));
        let (name, settings, files) = (recovery.to_owned(), BTreeMap::new(), BTreeMap::new());
        header.recovery = Some(Recovery { name, makes_pictures: false, settings, files });
        let mut stage = Stage::open(&header, Stream::Rgb).unwrap();
        let mut one = |(t, unit): (usize, &Unit)| {
            let mut entry = Entry::whole(t as u32, unit.key, unit.qp, unit.bytes.clone());
            entry.exact = !(3..10).contains(&t);
            if t == 3 {
                entry.unit = None;
            }
            let outcome = stage.run(entry).unwrap();
            (outcome.decoded, outcome.shown.map(|p| p.content_hash()))
        };
        units.iter().enumerate().map(&mut one).collect()
    };
    let (none, hold) = (run("none"), run("hold"));
    for (t, (none, hold)) in none.iter().zip(&hold).enumerate() {
        assert_eq!((none.0, hold.0), (t != 3, t != 3), "frame {t}");
        assert_eq!(none.1.is_some(), t != 3, "frame {t}");
        assert_eq!(hold.1, if (3..10).contains(&t) { None } else { none.1 }, "frame {t}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let error = registry::open_decoder(&DecoderConfig::new("av2", (64, 64))).err().unwrap().to_string();
    assert!(error.contains("`av2`"), "{error}");
    assert!(registry::codec("h264").is_some() && registry::restorer("hold").is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn damage_never_panics(seed in any::<u64>(), which in 0_usize..4) {
        let config = &configs()[which];
        let units = encode(config, 10, &[]);
        let mut decoder = Decoder::new(config.codec.parse().unwrap()).unwrap();
        let mut state = seed | 1;
        let mut draw = |n: usize| { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state % n as u64) as usize };
        for (t, unit) in units.iter().enumerate() {
            let mut bytes = unit.bytes.clone();
            match draw(5) {
                0 => bytes.truncate(draw(bytes.len())),
                1 => { let at = draw(bytes.len()); bytes[at..].fill(0); }
                2 => { for _ in 0..8 { let at = draw(bytes.len()); bytes[at] ^= draw(256) as u8; } }
                3 => continue,
                _ => {}
            }
            if let Some(shown) = decoder.decode(t as u32, &Unit { bytes, ..unit.clone() }).unwrap() {
                prop_assert_eq!(shown.y.len(), shown.width * shown.height);
            }
        }
    }

    /// What keeps pictures and scores from being made twice rests on this: a picture depends on what the decoder was fed since the last key
    /// frame that arrived whole, and on nothing before it; not on pictures that were damaged, lost or concealed there, not on what the memory
    /// held, not on whether the units before were passed over.
    #[test]
    fn a_picture_is_a_function_of_the_units_since_its_whole_key_frame(
        seed in any::<u64>(),
        which in 0_usize..4,
        recovery in prop_oneof![Just("none"), Just("hold"), Just("continue")],
    ) {
        static UNITS: [std::sync::OnceLock<Vec<Unit>>; 4] = [const { std::sync::OnceLock::new() }; 4];
        let config = configs().remove(which);
        let units = UNITS[which].get_or_init(|| encode(&EncoderConfig { gop: 6, ..config.clone() }, 24, &[0, 6, 12, 18]));
        let mut state = seed | 1;
        let mut draw = |n: usize| { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state % n as u64) as usize };
        let mut entries = Vec::new();
        let mut exact = false;
        for (t, unit) in units.iter().enumerate() {
            let mut bytes = unit.bytes.clone();
            let damage = draw(9);
            match damage {
                0 => bytes.truncate(draw(bytes.len())),
                1 => { let at = draw(bytes.len()); bytes[at..].fill(0); }
                2 => { for _ in 0..8 { let at = draw(bytes.len()); bytes[at] ^= 1 + draw(255) as u8; } }
                _ => {}
            }
            let mut entry = Entry::whole(t as u32, unit.key, unit.qp, bytes);
            entry.whole = damage > 3;
            if damage == 3 || entry.unit.as_ref().is_some_and(Vec::is_empty) {
                (entry.unit, entry.whole) = (None, false);
            }
            exact = entry.whole && (unit.key || exact);
            entry.exact = exact;
            entries.push(entry);
        }
        let open = || {
            let mut header = UnitsHeader::new(&config.codec, (SIZE as u32, SIZE as u32, 30));
            header.settings = registry::restorer(recovery).unwrap().decoder_settings(&config.codec);
            let (name, settings, files) = (recovery.to_owned(), BTreeMap::new(), BTreeMap::new());
            header.recovery = Some(Recovery { name, makes_pictures: false, settings, files });
            Stage::open(&header, Stream::Rgb).unwrap()
        };
        let run = |stage: &mut Stage, entries: &[Entry]| -> Vec<(bool, Option<u128>)> {
            let mut one = |entry: &Entry| {
                let outcome = stage.run(entry.clone()).unwrap();
                (outcome.decoded, outcome.shown.map(|p| p.content_hash()))
            };
            entries.iter().map(&mut one).collect()
        };
        let whole = run(&mut open(), &entries);
        let mut used = open();
        run(&mut used, &entries[..draw(20)]);
        for from in (0..entries.len()).filter(|&i| entries[i].key && entries[i].whole) {
            prop_assert_eq!(&run(&mut open(), &entries[from..]), &whole[from..], "from frame {}", from);
            used.restart().unwrap();
            prop_assert_eq!(&run(&mut used, &entries[from..]), &whole[from..], "from frame {}, begun again", from);
        }
    }
}
