//! Whether pictures can have come by the path: what a codec needs for less than their quality, against what was delivered.
//!
//! The bound asks only when the quality is far above what so few bits usually give, and then has x264 encode the captured pictures
//! themselves to *less* than the quality that was shown (by [`MARGIN_DB`]). Only if that takes [`FACTOR`] times the bytes that the path
//! delivered, headers and repair included, is the run invalid: no codec is that much better (docs/RELIABILITY.md has the arithmetic).
//! Still and synthetic clips cost x264 next to nothing either, so that they do not raise it.
//!
//! It says nothing of a system that sends as much as its pictures cost, whatever it sends: who shows the clip in virtual time, where
//! one process has it, is not found by counting bits.

use super::pictures::Captured;
use crate::record::evidence::Delivered;
use crate::record::{Finding, Slots};
use codecs::{Codec, Decoder, Encoder, EncoderConfig, Quantisers, RateControl, VideoDecoder, VideoEncoder};
use contract::scores::Health;
use contract::{ClipSpec, FrameRow, Metric, Stream};
use link::Timestamp;
use media::Yuv420;

/// x264 must need so many times what was delivered. The best codec that is published needs a quarter of what x264 does.
const FACTOR: u64 = 8;
/// For pictures worse than the shown ones by so much: theirs is measured on RGB, x264's here on the samples, which are closer.
const MARGIN_DB: f64 = 1.0;
/// The worst quantiser of H.264.
const WORST: u8 = 51;

/// What can have carried the pictures of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// Bytes that entered the path from frame 0's capture to the last slot and came out whole.
    pub delivered: u64,
    /// Something crossed before frame 0, which may have been that frame.
    pub warmed_up: bool,
    /// Ask x264 whatever the quality: a clip that is hard to code needs many bits for little.
    pub always: bool,
}

/// Clocks are read a moment apart.
const TOLERANCE_NS: u64 = 2_000_000;

impl Carried {
    /// Of a run. An app's camera belongs to the harness, and has nothing of the clip before its time but frame 0: what crossed before may
    /// have been of use, and counts.
    #[must_use]
    pub fn of(
        delivered: &Delivered,
        slots: &Slots,
        stream: Stream,
        rows: &[FrameRow],
        health: &Health,
    ) -> Self {
        let frame_0 = slots.capture_start.as_nanos().saturating_sub(TOLERANCE_NS);
        let last = rows.iter().filter(|r| r.stream == stream).filter_map(|r| r.deadline.max(r.render)).max();
        let until = last.map_or(u64::MAX, Timestamp::as_nanos);
        let from = if health.app.is_some() { 0 } else { frame_0 };
        Self {
            delivered: delivered.bytes_between(from, until),
            warmed_up: from > 0 && delivered.bytes_between(0, from - 1) > 0,
            always: health.self_reported,
        }
    }
}

/// Compares the pictures shown of a stream, concealed ones too, with the bytes that the forward path delivered.
///
/// # Errors
/// When the clip cannot be read any more.
pub fn check(
    clip: &ClipSpec,
    stream: Stream,
    rows: &[FrameRow],
    &Carried { delivered, warmed_up, always }: &Carried,
) -> anyhow::Result<Option<Finding>> {
    let psnr: Vec<f64> = rows
        .iter()
        .filter(|r| r.stream == stream && r.is_shown())
        .filter_map(|r| r.metrics.get(&Metric::Psnr).copied())
        .collect();
    if psnr.is_empty() {
        return Ok(None);
    }
    #[allow(clippy::cast_precision_loss)] // counts are far below 2^53
    let (shown, pixels) = (
        psnr.iter().sum::<f64>() / psnr.len() as f64,
        psnr.len() as f64 * f64::from(clip.width * clip.height),
    );
    #[allow(clippy::cast_precision_loss)]
    let bits_per_pixel = delivered as f64 * 8.0 / pixels;
    if !(always || is_suspicious(shown, bits_per_pixel)) || !Codec::H264.is_available() {
        return Ok(None);
    }
    // The finest quantiser with pictures that much worse, by halves; a coarser one needs less still.
    let (mut fine, mut coarse, mut bytes) = (0, WORST + 1, None);
    while fine < coarse {
        let quantiser = fine + (coarse - fine) / 2;
        let Some((quality, size, first)) = encode(clip, stream, quantiser)? else { return Ok(None) };
        // A sender may film frame 0 before its time.
        let size = if warmed_up { size - first } else { size };
        if quality > shown - MARGIN_DB {
            fine = quantiser + 1;
        } else {
            (coarse, bytes) = (quantiser, Some(size));
        }
    }
    let Some(bytes) = bytes else { return Ok(None) };
    let needed = bytes * psnr.len() as u64 / u64::from(clip.frames.max(1));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 80 dB
    let db = shown as u32;
    let impossible = needed > FACTOR * delivered;
    Ok(impossible.then_some(Finding::BetterThanDelivered { stream, db, delivered, needed }))
}

/// Far better than so few bits usually give: at 50 dB less than 0.06 bits per pixel, twice that for every 6 dB more.
fn is_suspicious(db: f64, bits_per_pixel: f64) -> bool {
    db > 25.0 && bits_per_pixel < 0.06 * ((db - 50.0) / 6.0).exp2()
}

/// PSNR over all samples, bytes of the captured pictures at a quantiser, and of the first of them.
fn encode(clip: &ClipSpec, stream: Stream, quantiser: u8) -> anyhow::Result<Option<(f64, u64, u64)>> {
    let config = EncoderConfig {
        rate: RateControl::ConstantQp(Quantisers::both(quantiser)),
        gop: clip.frames.max(1),
        ..EncoderConfig::revo(Codec::H264.name(), clip.width, clip.height, clip.fps)
    };
    let (Ok(mut encoder), Ok(mut decoder)) = (Encoder::new(&config), Decoder::new(Codec::H264)) else {
        return Ok(None);
    };
    let mut captured = Captured::open(clip, stream)?;
    let (mut bytes, mut first, mut error, mut samples) = (0, 0, 0, 0);
    for frame in 0..clip.frames {
        let picture = captured.frame(frame)?.picture;
        let unit = encoder.encode(frame, &picture, frame == 0)?;
        bytes += unit.bytes.len() as u64;
        if frame == 0 {
            first = bytes;
        }
        if let Some(decoded) = decoder.decode(frame, &unit)? {
            error += squared_error(&picture, &decoded);
            samples += (picture.y.len() + picture.u.len() + picture.v.len()) as u64;
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let db = if error == 0 { 80.0 } else { 10.0 * (65_025.0 * samples as f64 / error as f64).log10() };
    Ok(Some((db.min(80.0), bytes, first)))
}

fn squared_error(a: &Yuv420, b: &Yuv420) -> u64 {
    let of =
        |a: &[u8], b: &[u8]| -> u64 { a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum() };
    of(&a.y, &b.y) + of(&a.u, &b.u) + of(&a.v, &b.v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_rates_are_not_even_asked_about() {
        // ReVo and VP8 on a talking head of 512x512 at 30/s: 35-38 dB at 200-400 kbit/s (docs/RESULTS.md).
        for (db, kbps) in [(38.0, 200.0), (35.0, 100.0), (42.0, 400.0), (31.0, 60.0)] {
            let bits_per_pixel = kbps * 1000.0 / (512.0 * 512.0 * 30.0);
            assert!(!is_suspicious(db, bits_per_pixel), "{db} dB at {kbps} kbit/s");
        }
        // The clip itself (80 dB) for one packet of 29 bytes per frame.
        assert!(is_suspicious(80.0, 29.0 * 8.0 / (64.0 * 48.0)));
    }
}
