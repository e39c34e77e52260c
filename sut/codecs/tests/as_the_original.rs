//! Coded slices against those of FFmpeg's program with the settings of the original ReVo's codec wrappers: what its PyAV passes
//! on, with as many threads as its sender had cores. Measured on the original itself: 300 of 300 (H.264) and 150 of 150 (H.265) slices
//! equal those of that program.

use codecs::{Codec, Encoder, EncoderConfig, VideoEncoder};
use media::Yuv420;
use testing::skip;

const SIZE: usize = 512;
const FRAMES: usize = 62;

/// A textured picture that moves and changes with `t`.
fn picture(t: usize) -> Yuv420 {
    let mut p = Yuv420::filled(SIZE, SIZE, (0, 110, 150));
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (u, v) = ((x + 3 * t) as u32, (y + t * t / 9) as u32);
            p.y[y * SIZE + x] = (40 + (u * u / 61 + v * 5 + (u ^ (v / 3))) % 150) as u8;
            p.u[y / 2 * (SIZE / 2) + x / 2] = (100 + (u / 4 + v / 7) % 40) as u8;
        }
    }
    p
}

/// NAL units of an Annex B stream.
fn nals(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| w == &[0, 0, 1]).map(|(i, _)| i + 3).collect();
    starts.push(stream.len() + 3);
    starts
        .windows(2)
        .map(|w| {
            let nal = &stream[w[0]..w[1] - 3];
            // The zero before a start code of four bytes is none of the unit's.
            nal.strip_suffix(&[0]).unwrap_or(nal)
        })
        .collect()
}

/// The coded slices.
fn slices(codec: Codec, stream: &[u8]) -> Vec<&[u8]> {
    let is_slice = |nal: &&[u8]| match codec {
        Codec::H264 => matches!(nal[0] & 31, 1 | 5),
        _ => (nal[0] >> 1) & 63 < 32,
    };
    nals(stream).into_iter().filter(is_slice).collect()
}

fn ours(codec: Codec, threads: u32) -> Vec<u8> {
    let config =
        EncoderConfig { slices: threads, ..EncoderConfig::revo(codec.name(), SIZE as u32, SIZE as u32, 30) };
    let mut encoder = Encoder::new(&config).unwrap();
    // As ReVo's sender asks for key frames.
    (0..FRAMES).flat_map(|t| encoder.encode(t as u32, &picture(t), t % 30 == 0).unwrap().bytes).collect()
}

fn theirs(codec: Codec, threads: u32) -> Option<Vec<u8>> {
    let common = "qp=30:keyint=30:min-keyint=30:scenecut=0:bframes=0:rc-lookahead=0";
    let (encoder, preset, option, params, format) = match codec {
        Codec::H264 => {
            let params = format!("{common}:sync-lookahead=0:threads={threads}:sliced-threads=1");
            ("libx264", "medium", "-x264-params", params, "h264")
        }
        _ => (
            "libx265",
            "ultrafast",
            "-x265-params",
            format!("{common}:no-scenecut=1:frame-threads=1:pools=1"),
            "hevc",
        ),
    };
    let raw = (0..FRAMES).flat_map(|t| picture(t).planes().concat()).collect();
    testing::ffmpeg_encodes(
        raw,
        (SIZE, SIZE),
        &["-c:v", encoder, "-preset", preset, "-tune", "zerolatency", option, &params, "-f", format],
    )
}

fn compare(codec: Codec, threads: u32, per_frame: usize) {
    let Some(theirs) = theirs(codec, threads) else {
        return skip!("ffmpeg", "no program ffmpeg with {}", codec.encoder_name());
    };
    let ours = ours(codec, threads);
    let (own, foreign) = (slices(codec, &ours), slices(codec, &theirs));
    assert_eq!(foreign.len(), per_frame * FRAMES, "{codec} with {threads} threads");
    assert_eq!(own.len(), foreign.len());
    let equal = own.iter().zip(&foreign).filter(|(a, b)| a == b).count();
    assert_eq!(equal, foreign.len(), "{codec} with {threads} threads: equal slices");
}

#[test]
fn x264_by_sliced_threads() {
    // More threads than 8 make 8 slices at this height.
    for (threads, per_frame) in [(1, 1), (2, 2), (4, 4), (8, 8)] {
        compare(Codec::H264, threads, per_frame);
    }
}

#[test]
fn x265_by_a_pool_of_one() {
    compare(Codec::H265, 1, 1);
}
