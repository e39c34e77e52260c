//! Every codec: one in, one out; equal runs give equal bytes; damage never panics.

use codecs::{Codec, Decoder, Encoder, EncoderConfig, RateControl};
use media::Yuv420;
use proptest::prelude::*;

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
    vec![
        EncoderConfig::revo(Codec::H264, s, s, 30),
        EncoderConfig::revo(Codec::H265, s, s, 30),
        EncoderConfig::vpx(Codec::Vp8, s, s, 30, 150_000),
        EncoderConfig::vpx(Codec::Vp9, s, s, 30, 150_000),
    ]
}

fn encode(config: &EncoderConfig, frames: usize, force: &[usize]) -> Vec<codecs::Encoded> {
    let mut encoder = Encoder::new(config).unwrap();
    (0..frames).map(|t| encoder.encode(&picture(t), force.contains(&t)).unwrap()).collect()
}

fn psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    let sse: u64 = a.y.iter().zip(&b.y).map(|(&x, &y)| u64::from(x.abs_diff(y)).pow(2)).sum();
    10.0 * (65025.0 * a.y.len() as f64 / sse.max(1) as f64).log10()
}

#[test]
fn every_picture_comes_back_at_once() {
    for config in configs() {
        let units = encode(&config, 40, &[]);
        let mut decoder = Decoder::new(config.codec).unwrap();
        for (t, unit) in units.iter().enumerate() {
            let shown = decoder.decode(&unit.bytes).unwrap_or_else(|| panic!("{} frame {t}", config.codec));
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
        let mut decoder = Decoder::new(config.codec).unwrap();
        assert!(decoder.decode(&units[7].bytes).is_some(), "{}", config.codec);
        assert!(decoder.decode(&units[8].bytes).is_some(), "{}", config.codec);
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
    let message = encoder.encode(&Yuv420::black(64, 64), false).unwrap_err().to_string();
    assert!(message.contains("(64, 64)") && message.contains("(128, 128)"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn damage_never_panics(seed in any::<u64>(), which in 0_usize..4) {
        let config = &configs()[which];
        let units = encode(config, 10, &[]);
        let mut decoder = Decoder::new(config.codec).unwrap();
        let mut state = seed | 1;
        let mut draw = |n: usize| { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state % n as u64) as usize };
        for unit in &units {
            let mut bytes = unit.bytes.clone();
            match draw(5) {
                0 => bytes.truncate(draw(bytes.len())),
                1 => { let at = draw(bytes.len()); bytes[at..].fill(0); }
                2 => { for _ in 0..8 { let at = draw(bytes.len()); bytes[at] ^= draw(256) as u8; } }
                3 => continue,
                _ => {}
            }
            if let Some(shown) = decoder.decode(&bytes) {
                prop_assert_eq!(shown.y.len(), shown.width * shown.height);
            }
        }
    }
}
