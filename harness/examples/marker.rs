//! How well the marker of `kind = "app"` is read, and what it costs.
//!
//! `marker CLIP...` encodes each clip with its marker (VP8, H.264; several sizes and rates), sends it over the paths of three scenarios
//! (a frame of which a packet is lost never reaches the decoder, which waits for a key frame as libwebrtc's does, or goes on with a missing
//! reference; over the clean one at half size, too, as libwebrtc does when it has too few bits), decodes it, takes it through RGB as a screen
//! does, and counts: right; old (the word of a picture that was shown before: the strip still is that picture's); unread; wrong. Then it encodes at fixed quantisers with and
//! without the strip: the difference is the marker's cost.

use anyhow::{Context, Result};
use codecs::{Codec, Decoder, EncoderConfig, Quantisers, RateControl, VideoDecoder, registry};
use contract::Scenario;
use freezeframe::app::marker::{CameraPicture, FILLERS, Layout, Words};
use link::{Direction, Link, Outcome, Timestamp};
use media::Yuv420;
use media::convert::{Colour, to_rgb, to_yuv420};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use video::{Reader, Target};

const FPS: u32 = 30;
const FRAMES: usize = 200;
const SIZES: [(usize, usize); 3] = [(320, 240), (512, 512), (640, 360)];
const KBPS: [u64; 3] = [60, 150, 400];
/// What a picture goes through.
#[derive(Clone, Copy)]
struct Way {
    scenario: &'static str,
    /// Sent at half its size.
    half: bool,
    /// The decoder goes on where a reference is missing; else it waits for a key frame, which comes [`ASKED`] frames later.
    goes_on: bool,
}

const WAYS: [Way; 5] = [
    Way { scenario: "clean", half: false, goes_on: false },
    Way { scenario: "ge-high", half: false, goes_on: false },
    Way { scenario: "fifo-320k", half: false, goes_on: false },
    Way { scenario: "clean", half: true, goes_on: false },
    Way { scenario: "ge-high", half: false, goes_on: true },
];
/// From a loss to the key frame that the receiver asks for.
const ASKED: u32 = 5;
/// Bytes of a packet, and those of IPv4, UDP and RTP among them.
const PACKET: usize = 1200;
const HEADERS: usize = 40;

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u64,
    pictures: u64,
    right: u64,
    old: u64,
    unread: u64,
    wrong: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.sent += other.sent;
        self.pictures += other.pictures;
        self.right += other.right;
        self.old += other.old;
        self.unread += other.unread;
        self.wrong += other.wrong;
    }
}

fn main() -> Result<()> {
    let clips: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(!clips.is_empty(), "usage: marker CLIP...");
    let mut all = Count::default();
    println!(
        "codec  size     kbit/s  path       scale  decoder  sent  pictures   right    old  unread  wrong"
    );
    for codec in [Codec::Vp8, Codec::H264] {
        for size in SIZES {
            let films: Vec<Vec<Yuv420>> = clips.iter().map(|c| read(c, size)).collect::<Result<_>>()?;
            for kbps in KBPS {
                for way in WAYS {
                    let counts: Vec<Count> = films
                        .par_iter()
                        .enumerate()
                        .map(|(i, film)| call(codec, film, size, kbps, way, i as u8))
                        .collect::<Result<_>>()?;
                    let mut count = Count::default();
                    counts.into_iter().for_each(|c| count.add(c));
                    all.add(count);
                    println!(
                        "{:5}  {:7}  {kbps:6}  {:9}  {:5}  {:7}  {:4}  {:8}  {:6}  {:5}  {:6}  {:5}",
                        codec.name(),
                        format!("{}x{}", size.0, size.1),
                        way.scenario,
                        if way.half { "1/2" } else { "1" },
                        if way.goes_on { "goes on" } else { "waits" },
                        count.sent,
                        count.pictures,
                        count.right,
                        count.old,
                        count.unread,
                        count.wrong
                    );
                }
            }
        }
    }
    println!(
        "all: {} pictures, {} right, {} old, {} unread, {} wrong\n",
        all.pictures, all.right, all.old, all.unread, all.wrong
    );
    println!("codec  size     quantiser  kbit/s without   with   more  bits per picture  rows");
    let mut costs = Vec::new();
    for codec in [Codec::Vp8, Codec::H264] {
        for size in SIZES {
            for quantiser in if codec == Codec::Vp8 { [30, 45, 60] } else { [25, 32, 38] } {
                let layout = Layout::new(size.0, size.1).context("a size")?;
                let sums: Vec<[u64; 3]> = clips
                    .par_iter()
                    .map(|clip| {
                        let words = Words::new([9; 32], FRAMES as u32);
                        let film = read(clip, size)?;
                        let marked: Vec<Yuv420> = (0..)
                            .zip(&film)
                            .map(|(i, p)| layout.draw(p, words.of(CameraPicture::Frame(i))))
                            .collect();
                        Ok([
                            bytes(codec, &film, quantiser)?,
                            bytes(codec, &marked, quantiser)?,
                            film.len() as u64,
                        ])
                    })
                    .collect::<Result<_>>()?;
                let sum = |k: usize| sums.iter().map(|s| s[k] as f64).sum::<f64>();
                let (without, with, frames) = (sum(0), sum(1), sum(2));
                let kbps = |bytes: f64| bytes * 8.0 * f64::from(FPS) / frames / 1000.0;
                let bits = (with - without) * 8.0 / frames;
                costs.push((size, bits));
                println!(
                    "{:5}  {:7}  {quantiser:9}  {:14.1}  {:5.1}  {:4.1} %  {bits:16.0}  {:4}",
                    codec.name(),
                    format!("{}x{}", size.0, size.1),
                    kbps(without),
                    kbps(with),
                    100.0 * (with / without - 1.0),
                    layout.strip
                );
            }
        }
    }
    for size in SIZES {
        let of_size: Vec<f64> = costs.iter().filter(|c| c.0 == size).map(|c| c.1).collect();
        let mean = of_size.iter().sum::<f64>() / of_size.len() as f64;
        let (low, high) = of_size.iter().fold((f64::MAX, f64::MIN), |(l, h), b| (l.min(*b), h.max(*b)));
        println!(
            "cost at {}x{}: {mean:.0} bits per picture in the mean ({low:.0} to {high:.0}), {:.1} kbit/s at {FPS} pictures/s",
            size.0,
            size.1,
            mean * f64::from(FPS) / 1000.0
        );
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
    // No key frame but those that are asked for.
    let gop = if matches!(codec, Codec::Vp8 | Codec::Vp9) { 0 } else { 10 * FRAMES as u32 };
    EncoderConfig { rate, gop, ..base }
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

/// One clip through an encoder, a scenario's path, a decoder and a screen.
fn call(
    codec: Codec,
    film: &[Yuv420],
    size: (usize, usize),
    kbps: u64,
    way: Way,
    secret: u8,
) -> Result<Count> {
    let layout = Layout::new(size.0, size.1).context("a size")?;
    let words = Words::new([secret; 32], film.len() as u32);
    let shrink = |p: &Yuv420| if way.half { resize(p, p.width / 4 * 2, p.height / 4 * 2) } else { p.clone() };
    let first = shrink(&layout.draw(&film[0], words.of(CameraPicture::Filler(FILLERS - 1))));
    let mut encoder = registry::open_encoder(&config(codec, &first, RateControl::Cbr(kbps * 1000)))?;
    let mut decoder = Decoder::new(codec)?;
    let mut spec = Scenario::find(way.scenario)?.path(Direction::Forward).clone();
    spec.at_rate(FPS);
    let mut link = Link::new(&spec, Direction::Forward.seed(u64::from(secret) + kbps))?;
    let mut count = Count::default();
    let mut packets = 0;
    // The frame that is to be a key frame, from a loss until it came.
    let mut key_at: Option<u32> = None;
    let mut decoded_before = BTreeSet::new();
    for (i, picture) in (0..).zip(film) {
        let key = i == 0 || key_at == Some(i);
        let unit =
            encoder.encode(i, &shrink(&layout.draw(picture, words.of(CameraPicture::Frame(i)))), key)?;
        // Some are dropped by the encoder's rate control.
        if unit.bytes.is_empty() {
            key_at = if key { Some(i + 1) } else { key_at };
            continue;
        }
        count.sent += 1;
        let now = Timestamp(u64::from(i) * 1_000_000_000 / u64::from(FPS));
        while link.deliver(now).is_some() {}
        let mut whole = true;
        for piece in unit.bytes.chunks(PACKET - HEADERS) {
            let fate = link.enqueue(now, packets, (piece.len() + HEADERS) as u32);
            packets += 1;
            whole &= fate.outcome() == Outcome::Delivered;
        }
        if !whole && i > 0 {
            key_at = if way.goes_on { None } else { key_at.filter(|at| *at > i).or(Some(i + ASKED)) };
            continue;
        }
        if key {
            key_at = None;
        } else if key_at.is_some() {
            continue;
        }
        // What a decoder makes of a frame whose reference is missing may be anything.
        let Ok(Some(decoded)) = decoder.decode(i, &unit) else { continue };
        let shown = if way.half { resize(&decoded, layout.width, layout.rows()) } else { decoded };
        let screen = to_yuv420(&to_rgb(&shown, Colour::BT601), Colour::BT601);
        count.pictures += 1;
        let word = layout.read(|x, y| screen.y[(layout.height + y) * layout.width + x]);
        match word.and_then(|w| words.identify(w, Some(film.len() as u32 - 1))) {
            Some(CameraPicture::Frame(frame)) if frame == i => count.right += 1,
            Some(CameraPicture::Frame(frame)) if decoded_before.contains(&frame) => count.old += 1,
            None => count.unread += 1,
            Some(_) => count.wrong += 1,
        }
        decoded_before.insert(i);
    }
    Ok(count)
}

/// Bilinear.
fn resize(picture: &Yuv420, width: usize, height: usize) -> Yuv420 {
    Yuv420::from_planes((width, height), |index, (nw, nh)| {
        let (from, (w, h)) = picture.plane(index);
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
    })
}
