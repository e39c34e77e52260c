//! How well the marker of `kind = "app"` is read, and what it costs.
//!
//! `marker CLIP...` encodes each clip with its marker (VP8, H.264; several sizes and rates; at full and at half size, as libwebrtc does
//! when it has too few bits; with frames that never reach the decoder), decodes it, takes it through RGB as a screen does, and counts:
//! right, unread, wrong. Then it encodes at fixed quantisers with and without the strip: the difference is the marker's cost.

use anyhow::{Context, Result};
use codecs::{Codec, Decoder, EncoderConfig, Quantisers, RateControl, VideoDecoder, registry};
use freezeframe::app::marker::{FILLERS, Layout, Shot, Words};
use media::Yuv420;
use media::convert::{Colour, to_rgb, to_yuv420};
use std::path::Path;
use video::{Reader, Target};

const FPS: u32 = 30;
const FRAMES: usize = 300;
const SIZES: [(usize, usize); 3] = [(320, 240), (512, 512), (640, 360)];
const KBPS: [u64; 3] = [60, 150, 400];
/// Parts of a hundred frames that are lost: the decoder goes on with what it has.
const LOST: [u64; 2] = [0, 8];

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    pictures: u64,
    right: u64,
    unread: u64,
    wrong: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.pictures += other.pictures;
        self.right += other.right;
        self.unread += other.unread;
        self.wrong += other.wrong;
    }
}

fn main() -> Result<()> {
    let clips: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(!clips.is_empty(), "usage: marker CLIP...");
    let mut all = Count::default();
    println!("codec  size     kbit/s  scale  lost %  pictures   right  unread  wrong");
    for codec in [Codec::Vp8, Codec::H264] {
        for size in SIZES {
            let films: Vec<Vec<Yuv420>> = clips.iter().map(|c| read(c, size)).collect::<Result<_>>()?;
            for kbps in KBPS {
                for (half, lost) in [(false, LOST[0]), (false, LOST[1]), (true, LOST[0])] {
                    let mut count = Count::default();
                    for (i, film) in films.iter().enumerate() {
                        count.add(call(codec, film, size, kbps, half, lost, i as u8)?);
                    }
                    all.add(count);
                    println!(
                        "{:5}  {:7}  {kbps:6}  {:5}  {lost:6}  {:8}  {:6}  {:6}  {:5}",
                        codec.name(),
                        format!("{}x{}", size.0, size.1),
                        if half { "1/2" } else { "1" },
                        count.pictures,
                        count.right,
                        count.unread,
                        count.wrong
                    );
                }
            }
        }
    }
    println!(
        "all: {} pictures, {} right, {} unread, {} wrong\n",
        all.pictures, all.right, all.unread, all.wrong
    );
    println!("codec  size     quantiser  kbit/s without   with   more  bits per picture  rows");
    for codec in [Codec::Vp8, Codec::H264] {
        for size in SIZES {
            for quantiser in if codec == Codec::Vp8 { [30, 45, 60] } else { [25, 32, 38] } {
                let layout = Layout::new(size.0, size.1).context("a size")?;
                let words = Words::new([9; 32], FRAMES as u32);
                let (mut without, mut with, mut frames) = (0, 0, 0);
                for clip in &clips {
                    let film = read(clip, size)?;
                    let marked: Vec<Yuv420> =
                        (0..).zip(&film).map(|(i, p)| layout.draw(p, words.of(Shot::Frame(i)))).collect();
                    without += bytes(codec, &film, quantiser)?;
                    with += bytes(codec, &marked, quantiser)?;
                    frames += film.len() as u64;
                }
                let kbps = |bytes: u64| bytes as f64 * 8.0 * f64::from(FPS) / frames as f64 / 1000.0;
                println!(
                    "{:5}  {:7}  {quantiser:9}  {:14.1}  {:5.1}  {:4.1} %  {:16.0}  {:4}",
                    codec.name(),
                    format!("{}x{}", size.0, size.1),
                    kbps(without),
                    kbps(with),
                    100.0 * (with as f64 / without as f64 - 1.0),
                    (with as f64 - without as f64) * 8.0 / frames as f64,
                    layout.strip
                );
            }
        }
    }
    Ok(())
}

fn read(clip: &str, (width, height): (usize, usize)) -> Result<Vec<Yuv420>> {
    let mut reader = Reader::open(Path::new(clip), &Target::new((width, height), (FPS, 1)))?;
    let mut film = Vec::new();
    while film.len() < FRAMES
        && let Some(picture) = reader.next_frame()?
    {
        film.push(picture);
    }
    Ok(film)
}

fn config(codec: Codec, picture: &Yuv420, rate: RateControl) -> EncoderConfig {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let base = match codec {
        Codec::Vp8 | Codec::Vp9 => EncoderConfig::vpx(codec, width, height, FPS, 300_000),
        _ => EncoderConfig {
            preset: "ultrafast".into(),
            ..EncoderConfig::revo(codec.name(), width, height, FPS)
        },
    };
    EncoderConfig { rate, gop: 0, ..base }
}

fn bytes(codec: Codec, film: &[Yuv420], quantiser: u8) -> Result<u64> {
    let rate = RateControl::ConstantQp(Quantisers::both(quantiser));
    let mut encoder = registry::open_encoder(&config(codec, &film[0], rate))?;
    let mut sum = 0;
    for (i, picture) in (0..).zip(film) {
        sum += encoder.encode(i, picture, i == 0)?.bytes.len() as u64;
    }
    Ok(sum)
}

/// One clip through an encoder, a path that loses frames, a decoder and a screen.
fn call(
    codec: Codec,
    film: &[Yuv420],
    size: (usize, usize),
    kbps: u64,
    half: bool,
    lost: u64,
    secret: u8,
) -> Result<Count> {
    let layout = Layout::new(size.0, size.1).context("a size")?;
    let words = Words::new([secret; 32], film.len() as u32);
    let shrink = |p: &Yuv420| if half { resize(p, p.width / 4 * 2, p.height / 4 * 2) } else { p.clone() };
    let first = shrink(&layout.draw(&film[0], words.of(Shot::Filler(FILLERS - 1))));
    let mut encoder = registry::open_encoder(&config(codec, &first, RateControl::Cbr(kbps * 1000)))?;
    let mut decoder = Decoder::new(codec)?;
    let mut count = Count::default();
    let mut draw = 88_172_645_463_325_252u64 ^ kbps ^ u64::from(secret) << 32;
    for (i, picture) in (0..).zip(film) {
        let unit = encoder.encode(i, &shrink(&layout.draw(picture, words.of(Shot::Frame(i)))), i == 0)?;
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        // Some are dropped by the encoder's rate control.
        if unit.bytes.is_empty() || (i > 0 && draw % 100 < lost) {
            continue;
        }
        // What a decoder makes of a frame whose reference is missing may be anything.
        let Ok(Some(decoded)) = decoder.decode(i, &unit) else { continue };
        let shown = if half { resize(&decoded, layout.width, layout.rows()) } else { decoded };
        let screen = to_yuv420(&to_rgb(&shown, Colour::BT601), Colour::BT601);
        count.pictures += 1;
        let word = layout.read(|x, y| screen.y[(layout.height + y) * layout.width + x]);
        match word.and_then(|w| words.identify(w, Some(film.len() as u32 - 1))) {
            Some(Shot::Frame(frame)) if frame == i => count.right += 1,
            None => count.unread += 1,
            Some(_) => count.wrong += 1,
        }
    }
    Ok(count)
}

/// Bilinear.
fn resize(picture: &Yuv420, width: usize, height: usize) -> Yuv420 {
    let plane = |from: &[u8], (w, h): (usize, usize), (nw, nh): (usize, usize)| -> Vec<u8> {
        let at = |i: usize, n: usize, of: usize| {
            let x = ((i as f32 + 0.5) * of as f32 / n as f32 - 0.5).clamp(0.0, (of - 1) as f32);
            (x as usize, (x as usize + 1).min(of - 1), x.fract())
        };
        let mut out = Vec::with_capacity(nw * nh);
        for y in 0..nh {
            let (y0, y1, fy) = at(y, nh, h);
            for x in 0..nw {
                let (x0, x1, fx) = at(x, nw, w);
                let sample = |x: usize, y: usize| f32::from(from[y * w + x]);
                let top = sample(x0, y0) * (1.0 - fx) + sample(x1, y0) * fx;
                let bottom = sample(x0, y1) * (1.0 - fx) + sample(x1, y1) * fx;
                out.push((top * (1.0 - fy) + bottom * fy).round() as u8);
            }
        }
        out
    };
    let (from, to) = ((picture.width, picture.height), (width, height));
    let (from_c, to_c) = ((from.0.div_ceil(2), from.1.div_ceil(2)), (width.div_ceil(2), height.div_ceil(2)));
    Yuv420 {
        width,
        height,
        y: plane(&picture.y, from, to),
        u: plane(&picture.u, from_c, to_c),
        v: plane(&picture.v, from_c, to_c),
    }
}
