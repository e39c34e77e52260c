//! libvpx by its own interface: byte for byte what FFmpeg's wrapper gives where that can say the same, and what it cannot say.

use codecs::vpx::OwnSettings;
use codecs::{
    Codec, Decoder, EncoderConfig, RateControl, Unit, VideoDecoder, VideoEncoder, VpxEncoder, VpxSettings,
};
use media::Yuv420;
use testing::skip;

const SIZE: usize = 160;
const FRAMES: usize = 90;
const BPS: u64 = 120_000;

/// Textures that move, and a change of the scene halfway.
fn picture(t: usize) -> Yuv420 {
    let mut p = Yuv420::filled(SIZE, SIZE, (0, 110, 150));
    let scene = if t < FRAMES / 2 { 1 } else { 7 };
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (u, v) = ((x + 2 * t) as u32, (y * scene + t) as u32);
            p.y[y * SIZE + x] = (40 + (u * u / 37 + v * 3 + (u ^ v)) % 150) as u8;
        }
    }
    for (i, c) in p.u.iter_mut().chain(&mut p.v).enumerate() {
        *c = (90 + (i * 7 + t * 3) % 70) as u8;
    }
    p
}

fn config(codec: Codec, settings: VpxSettings) -> EncoderConfig {
    let side = SIZE as u32;
    EncoderConfig { vpx: Some(settings), ..EncoderConfig::vpx(codec, side, side, 30, BPS) }
}

fn encode(config: &EncoderConfig, frames: usize) -> Vec<Unit> {
    let mut encoder = VpxEncoder::new(config).unwrap();
    (0..frames).map(|t| encoder.encode(t as u32, &picture(t), false).unwrap()).collect()
}

/// Units by frame as the program `ffmpeg` makes them with these options; frames that it drops are empty.
fn theirs(encoder: &str, options: &[(&str, &str)]) -> Option<Vec<Vec<u8>>> {
    let raw = (0..FRAMES).flat_map(|t| picture(t).planes().concat()).collect();
    let options: Vec<(String, &str)> = options.iter().map(|(n, value)| (format!("-{n}"), *value)).collect();
    let mut arguments = vec!["-c:v", encoder, "-threads", "1"];
    arguments.extend(options.iter().flat_map(|(name, value)| [name.as_str(), value]));
    arguments.extend(["-fps_mode", "passthrough", "-f", "ivf"]);
    let out = testing::ffmpeg_encodes(raw, (SIZE, SIZE), &arguments)?;
    // IVF: 32 bytes, then per frame its length (4), its time (8), its bytes.
    let mut units = vec![Vec::new(); FRAMES];
    let mut rest = out.get(32..)?;
    while let Some((head, body)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let time = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (unit, after) = body.split_at_checked(length)?;
        units[time] = unit.to_vec();
        rest = after;
    }
    Some(units)
}

fn same(codec: Codec, settings: VpxSettings, options: &[(&str, &str)]) {
    let name = codec.encoder_name();
    let common = [
        ("b:v", "120000"),
        ("minrate", "120000"),
        ("maxrate", "120000"),
        ("bufsize", "120000"),
        ("rc_init_occupancy", "60000"),
        ("deadline", "realtime"),
        ("lag-in-frames", "0"),
        ("qmin", "2"),
    ];
    let Some(theirs) = theirs(name, &[&common, options].concat()) else {
        return skip!("ffmpeg", "no program ffmpeg with {name}");
    };
    let ours: Vec<Vec<u8>> = encode(&config(codec, settings), FRAMES).into_iter().map(|u| u.bytes).collect();
    let dropped = ours.iter().filter(|u| u.is_empty()).count();
    println!("{codec}: {dropped} of {FRAMES} frames dropped");
    let first = (0..FRAMES).find(|&t| ours[t] != theirs[t]);
    assert_eq!(first, None, "{codec}: the first frame that differs");
}

/// The buffer's optimal level is always five sixths of its size through FFmpeg, golden frames are always used, and the time base is a
/// frame's; everything else is as in [`VpxSettings::libwebrtc`].
#[test]
fn vp8_is_byte_equal_to_ffmpegs_wrapper_where_that_can_say_the_same() {
    let settings = VpxSettings {
        buffer_ms: [500, 833, 1000],
        timebase: 30,
        last_frame_only: false,
        ..VpxSettings::libwebrtc(SIZE as u32, SIZE as u32, 30)
    };
    let options = [
        ("qmax", "56"),
        ("undershoot-pct", "100"),
        ("overshoot-pct", "15"),
        ("drop-threshold", "30"),
        ("g", "3000"),
        ("max-intra-rate", "900"),
        ("cpu-used", "-4"),
        ("noise-sensitivity", "4"),
        ("static-thresh", "1"),
        ("slices", "1"),
    ];
    same(Codec::Vp8, settings, &options);
}

/// The wrapper has no denoiser for VP9 and always a distance of key frames.
#[test]
fn vp9_is_byte_equal_to_ffmpegs_wrapper_where_that_can_say_the_same() {
    let settings = VpxSettings {
        buffer_ms: [500, 833, 1000],
        noise_sensitivity: 0,
        key_distance: Some(3000),
        ..VpxSettings::ringmaster(30)
    };
    let options = [
        ("qmax", "52"),
        ("undershoot-pct", "50"),
        ("overshoot-pct", "50"),
        ("g", "3000"),
        ("max-intra-rate", "900"),
        ("cpu-used", "8"),
        ("static-thresh", "1"),
        ("error-resilient", "default"),
        ("aq-mode", "3"),
        ("tile-columns", "2"),
        ("row-mt", "1"),
        ("frame-parallel", "0"),
    ];
    same(Codec::Vp9, settings, &options);
}

/// What FFmpeg cannot say does something: each of these changes the bytes.
#[test]
fn every_setting_reaches_libvpx() {
    let webrtc = VpxSettings::libwebrtc(SIZE as u32, SIZE as u32, 30);
    // At one rate or another: what limits a rate says nothing where nothing is limited.
    let at_rates = |settings: &VpxSettings| {
        [60_000, 120_000, 500_000].map(|bps| {
            let rate = RateControl::Cbr(bps);
            encode(&EncoderConfig { rate, ..config(Codec::Vp8, settings.clone()) }, FRAMES)
        })
    };
    let usual = at_rates(&webrtc);
    let others = [
        ("optimal level", VpxSettings { buffer_ms: [500, 833, 1000], ..webrtc.clone() }),
        ("quantisers", VpxSettings { quantizers: (10, 40), ..webrtc.clone() }),
        ("undershoot and overshoot", VpxSettings { shoot_percent: (50, 50), ..webrtc.clone() }),
        ("resilience", VpxSettings { error_resilient: true, ..webrtc.clone() }),
        ("speed", VpxSettings { cpu_used: -12, ..webrtc.clone() }),
        ("denoiser", VpxSettings { noise_sensitivity: 0, ..webrtc.clone() }),
        ("references", VpxSettings { last_frame_only: false, ..webrtc.clone() }),
        ("key frames' limit", VpxSettings { max_intra_percent: 300, ..webrtc.clone() }),
        ("partitions", VpxSettings { own: OwnSettings::Vp8 { token_partitions: 2 }, ..webrtc }),
    ];
    for (what, settings) in others {
        assert!(at_rates(&settings) != usual, "{what}");
    }
    let ringmaster = VpxSettings::ringmaster(30);
    let usual = encode(&config(Codec::Vp9, ringmaster.clone()), FRAMES);
    // Its denoiser is left out of many builds of libvpx, Debian's among them: without it, equal bytes.
    let slower = VpxSettings { cpu_used: 5, ..ringmaster };
    assert!(encode(&config(Codec::Vp9, slower), FRAMES) != usual, "VP9's speed");
}

/// Rate control drops pictures where the bits do not suffice, never for longer than 2 s, and what is sent decodes in order.
#[test]
fn pictures_are_dropped_for_two_seconds_at_most() {
    let settings = VpxSettings::libwebrtc(SIZE as u32, SIZE as u32, 30);
    let starved = |settings| EncoderConfig { rate: RateControl::Cbr(12_000), ..config(Codec::Vp8, settings) };
    let units = encode(&starved(settings.clone()), 300);
    let dropped = units.iter().filter(|u| u.bytes.is_empty()).count();
    assert!(dropped > 50, "{dropped} dropped");
    let longest = units.split(|u| !u.bytes.is_empty()).map(<[Unit]>::len).max().unwrap();
    assert!((2..=60).contains(&longest), "{longest} in a row");
    let mut decoder = Decoder::new(Codec::Vp8).unwrap();
    for (t, unit) in units.iter().enumerate().filter(|(_, u)| !u.bytes.is_empty()) {
        assert!(decoder.decode(t as u32, unit).unwrap().is_some(), "{t}");
    }
    let kept = encode(&starved(VpxSettings { drop_below: 0, ..settings }), 300);
    assert!(kept.iter().all(|u| !u.bytes.is_empty()));
}

#[test]
fn the_rate_changes_while_encoding() {
    for codec in [Codec::Vp8, Codec::Vp9] {
        let mut encoder =
            VpxEncoder::new(&EncoderConfig::vpx(codec, SIZE as u32, SIZE as u32, 30, 400_000)).unwrap();
        let mut bits = [0; 3];
        for t in 0..270 {
            if t == 90 {
                encoder.set_rate(150_000).unwrap();
            }
            let unit = encoder.encode(t, &picture(t as usize % 40), false).unwrap();
            bits[t as usize / 90] += 8 * unit.bytes.len();
        }
        // The second before the change pays for its key frame; the last three are at the new rate.
        let ratio = bits[2] as f64 / bits[0] as f64;
        assert!((0.25..0.55).contains(&ratio), "{codec}: {bits:?}");
        assert!((0.7..1.3).contains(&(bits[2] as f64 / 450_000.0)), "{codec}: {bits:?}");
    }
    // x264 keeps its rate, and says so.
    let mut fixed = codecs::Encoder::new(&EncoderConfig::revo("h264", 64, 64, 30)).unwrap();
    assert!(fixed.set_rate(1000).unwrap_err().to_string().contains("keeps the rate"));
}

/// libvpx_vp8_encoder.cc: `GetCpuSpeed`, `MaxIntraTarget`.
#[test]
fn what_depends_on_size_and_rate_is_computed_as_libwebrtc_does() {
    let of = |w, h, fps| {
        let s = VpxSettings::libwebrtc(w, h, fps);
        (s.cpu_used, s.max_intra_percent)
    };
    assert_eq!(of(352, 288, 30), (-6, 900));
    assert_eq!(of(320, 240, 30), (-4, 900), "below CIF");
    assert_eq!(of(512, 512, 60), (-6, 1800));
    assert_eq!(of(512, 512, 5), (-6, 300), "at least three frames' share");
}

/// Tambur's `encoder.cc`: int(100 (65535 - 6) / (1000 x 150 / 30)) at 150 kbit/s; Ringmaster's is a constant.
#[test]
fn tamburs_key_frames_may_have_so_many_bits_as_16_bits_count() {
    let of = |fps, bps| VpxSettings::tambur(fps, bps).max_intra_percent;
    assert_eq!((of(30, 150_000), of(30, 500_000), of(60, 150_000)), (1310, 393, 2621));
    let ringmaster = VpxSettings { max_intra_percent: 1310, ..VpxSettings::ringmaster(30) };
    assert_eq!(VpxSettings::tambur(30, 150_000), ringmaster);
}

#[test]
fn settings_of_another_codec_and_refused_ones_are_errors() {
    let error = |config: &EncoderConfig| VpxEncoder::new(config).err().unwrap().to_string();
    let mixed = config(Codec::Vp8, VpxSettings::ringmaster(30));
    assert!(error(&mixed).contains("another codec"));
    let none = EncoderConfig { vpx: None, ..mixed };
    assert!(error(&none).contains("no settings"));
    let webrtc = VpxSettings::libwebrtc(64, 64, 30);
    let bad = config(Codec::Vp8, VpxSettings { quantizers: (2, 99), ..webrtc.clone() });
    assert!(error(&bad).contains("rc_max_quantizer"), "{}", error(&bad));
    let bad = config(Codec::Vp8, VpxSettings { noise_sensitivity: 99, ..webrtc });
    assert!(error(&bad).contains("libvpx"), "{}", error(&bad));
}
