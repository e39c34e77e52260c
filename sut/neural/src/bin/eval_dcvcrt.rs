//! Measures DCVC-RT and DCVC-RT-lite: `just eval-dcvcrt`. Rate and distortion beside other codecs, time per frame, damaged streams.

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use codecs::registry::{self, CodecEntry};
use codecs::{Codec as Standard, DecoderConfig, EncoderConfig, Quantisers, RateControl, Settings, Unit};
use media::convert::{Colour, to_rgb, to_yuv420};
use media::scene::{Clip, SceneConfig};
use media::{Rgb, Yuv420};
use models::dcvcrt::lite::codec::Codec;
use models::dcvcrt::lite::{FILE, PRICE, cells, motion};
use models::dcvcrt::{Coding, ImageModel, Reference, VideoModel};
use neural::dcvcrt_lite::DCVCRT_LITE;
use nix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Bytes and PSNR beside x264, x265 ultrafast, VP9 and a repeated key frame, as Markdown
    Table {
        /// Clips that training did not see
        #[arg(required = true)]
        clips: Vec<PathBuf>,
        /// Frames of each
        #[arg(long, default_value_t = 60)]
        frames: usize,
        /// Pixels of a side
        #[arg(long, default_value_t = 512)]
        side: usize,
        /// Another file of weights than the shipped one
        #[arg(long)]
        weights: Option<PathBuf>,
        /// Quantisers of DCVC-RT-lite
        #[arg(long, value_delimiter = ',', default_value = "0,21,42,63")]
        qp: Vec<u8>,
        /// Layers of DCVC-RT-lite
        #[arg(long, default_value_t = 1)]
        layers: u32,
        /// Difference of quantisers from layer to layer
        #[arg(long, default_value_t = 24)]
        qp_step: u8,
    },
    /// Milliseconds of processor time per 512x512 frame and stage of DCVC-RT-lite
    Time {
        /// Another file of weights than the shipped one
        #[arg(long)]
        weights: Option<PathBuf>,
    },
    /// Seconds per 512x512 frame of the full-size networks (random weights): threads, memory layout, batches
    FullTime {
        /// Numbers of threads
        #[arg(long, value_delimiter = ',', default_value = "1,2")]
        threads: Vec<usize>,
    },
    /// Decodes damaged streams of both codecs; ends with exit code 101 at the first panic
    Fuzz {
        /// Seconds of processor time
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Decides the damage
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Another file of weights than the shipped one
        #[arg(long)]
        weights: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    neural::register();
    tch::set_num_threads(1);
    models::memory::keep_freed();
    match Args::parse().what {
        What::Table { clips, frames, side, weights, qp, layers, qp_step } => {
            table(&clips, frames, side, &settings(weights.as_deref(), layers, qp_step), &qp)
        }
        What::Time { weights } => time(weights.as_deref()),
        What::FullTime { threads } => full_time(&threads),
        What::Fuzz { seconds, seed, weights } => fuzz(Duration::from_secs(seconds), seed, weights.as_deref()),
    }
}

fn settings(weights: Option<&Path>, layers: u32, qp_step: u8) -> Settings {
    let path = weights.map(|w| ("weights".to_owned(), w.display().to_string()));
    let numbers = [("layers".to_owned(), layers.to_string()), ("qp_step".to_owned(), qp_step.to_string())];
    numbers.into_iter().chain(path).collect()
}

fn load(weights: Option<&Path>) -> anyhow::Result<Codec> {
    let file = weights.map_or_else(|| models::weights::find(FILE), |w| Ok(w.to_owned()))?;
    Ok(Codec::load(&file)?)
}

// Rate and distortion.

/// What became of a clip.
#[derive(Clone, Copy, Default)]
struct Point {
    kbps: f64,
    db: f64,
}

/// Frames of a clip at 30 a second.
fn pictures(clip: &Path, frames: usize, side: usize) -> anyhow::Result<Vec<Yuv420>> {
    let clip = models::train::decode(clip, side, 1)?;
    let data = clip.data.chunks_exact(3 * side * side).take(frames);
    Ok(data.map(|d| to_yuv420(&Rgb { width: side, height: side, data: d.to_vec() }, Colour::BT601)).collect())
}

/// Codes a clip with key frames every 30 frames and decodes it again.
fn run(entry: &CodecEntry, config: &EncoderConfig, pictures: &[Yuv420]) -> anyhow::Result<Point> {
    let mut encoder = (entry.encoder)(config)?;
    let decoding = DecoderConfig {
        settings: config.settings.clone(),
        ..DecoderConfig::new(entry.name, (config.width, config.height))
    };
    let mut decoder = (entry.decoder)(&decoding)?;
    let (mut bytes, mut db, mut last) = (0, 0.0, None);
    for (i, picture) in (0u32..).zip(pictures) {
        let unit = encoder.encode(i, picture, i % 30 == 0)?;
        bytes += unit.bytes.len();
        last = decoder.decode(i, &unit)?.or(last);
        db += psnr(last.as_ref().context("no picture")?, picture);
    }
    let count = pictures.len() as f64;
    Ok(Point { kbps: 8.0 * bytes as f64 / count * 30.0 / 1000.0, db: db / count })
}

/// Only key frames arrive.
fn repeated(config: &EncoderConfig, pictures: &[Yuv420]) -> anyhow::Result<Point> {
    let mut point = Point::default();
    for group in pictures.chunks(30) {
        let unit = (registry::H265.encoder)(config)?.encode(0, &group[0], true)?;
        let decoding = DecoderConfig::new("h265", (config.width, config.height));
        let shown = (registry::H265.decoder)(&decoding)?.decode(0, &unit)?.context("no picture")?;
        point.kbps += unit.bytes.len() as f64;
        point.db += group.iter().map(|p| psnr(&shown, p)).sum::<f64>();
    }
    let count = pictures.len() as f64;
    Ok(Point { kbps: 8.0 * point.kbps / count * 30.0 / 1000.0, db: point.db / count })
}

/// Of RGB.
fn psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    let [a, b] = [a, b].map(|p| to_rgb(p, Colour::BT601).data);
    let sum: u64 = a.iter().zip(&b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (65025.0 * a.len() as f64 / (sum as f64).max(1.0)).log10()
}

/// Decibels of a curve at a rate: straight lines over the logarithm of the rate, the outer ones continued.
fn at(curve: &[Point], kbps: f64) -> f64 {
    let mut curve = curve.to_vec();
    curve.sort_by(|a, b| a.kbps.total_cmp(&b.kbps));
    let place = curve.iter().position(|p| p.kbps >= kbps).unwrap_or(curve.len()).clamp(1, curve.len() - 1);
    let (low, high) = (curve[place - 1], curve[place]);
    let part = (kbps / low.kbps).ln() / (high.kbps / low.kbps).ln();
    low.db + part * (high.db - low.db)
}

const STANDARD_QP: [u8; 4] = [30, 33, 36, 42];

fn table(
    clips: &[PathBuf],
    frames: usize,
    side: usize,
    settings: &Settings,
    lite_qp: &[u8],
) -> anyhow::Result<()> {
    let size = side as u32;
    let constant = |codec: &str, quantisers| EncoderConfig {
        rate: RateControl::ConstantQp(quantisers),
        ..EncoderConfig::revo(codec, size, size, 30)
    };
    let standards = [&registry::H264, &registry::H265];
    println!("| clip | lite qp | kbit/s | lite dB | x264 at this rate | x265 | VP9 (its kbit/s) | repeat |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut sums = vec![[0.0; 7]; lite_qp.len()];
    let mut all = vec![[Point::default(); STANDARD_QP.len()]; standards.len()];
    for clip in clips {
        let pictures = pictures(clip, frames, side)?;
        let name = clip.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut curves = Vec::new();
        for (entry, all) in standards.iter().zip(&mut all) {
            let mut curve = Vec::new();
            for (qp, all) in STANDARD_QP.iter().zip(all) {
                let point = run(entry, &constant(entry.name, Quantisers::both(*qp)), &pictures)?;
                (all.kbps, all.db) = (all.kbps + point.kbps, all.db + point.db);
                curve.push(point);
            }
            curves.push(curve);
        }
        for (&qp, sums) in lite_qp.iter().zip(&mut sums) {
            // Key frames of about the quality of the others.
            let key = 34 - qp / 8;
            let config = EncoderConfig {
                settings: settings.clone(),
                ..constant(DCVCRT_LITE.name, Quantisers { key: Some(key), other: qp })
            };
            let lite = run(&DCVCRT_LITE, &config, &pictures)?;
            let bps = (lite.kbps * 1000.0) as u64;
            let vp9 =
                run(&registry::VP9, &EncoderConfig::vpx(Standard::Vp9, size, size, 30, bps), &pictures)?;
            let repeat = repeated(&constant("h265", Quantisers::both(key)), &pictures)?;
            let row = [
                lite.kbps,
                lite.db,
                at(&curves[0], lite.kbps),
                at(&curves[1], lite.kbps),
                vp9.db,
                vp9.kbps,
                repeat.db,
            ];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
            println!("{}", line(&name, qp, row));
        }
    }
    let count = clips.len() as f64;
    for (qp, sums) in lite_qp.iter().zip(sums) {
        println!("{}", line("**mean**", *qp, sums.map(|s| s / count)));
    }
    println!(
        "\n| codec | {} |\n|---|{}",
        STANDARD_QP.map(|q| format!("qp {q}")).join(" | "),
        "---|".repeat(4)
    );
    for (entry, points) in standards.iter().zip(all) {
        let cells = points.map(|p| format!("{:.0} kbit/s, {:.2} dB", p.kbps / count, p.db / count));
        println!("| {} | {} |", entry.name, cells.join(" | "));
    }
    Ok(())
}

fn line(name: &str, qp: u8, [kbps, lite, x264, x265, vp9, vp9_kbps, repeat]: [f64; 7]) -> String {
    format!(
        "| {name} | {qp} | {kbps:.0} | {lite:.2} | {x264:.2} | {x265:.2} | {vp9:.2} ({vp9_kbps:.0}) | {repeat:.2} |"
    )
}

// Time.

fn processor_time(clock: ClockId) -> anyhow::Result<Duration> {
    Ok(clock_gettime(clock).context("failed to read the clock")?.into())
}

/// The least processor time of some calls, milliseconds.
fn least(times: usize, mut run: impl FnMut()) -> anyhow::Result<f64> {
    let mut least = Duration::MAX;
    for _ in 0..times {
        let begin = processor_time(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        run();
        least = least.min(processor_time(ClockId::CLOCK_THREAD_CPUTIME_ID)? - begin);
    }
    Ok(least.as_secs_f64() * 1000.0)
}

fn scene(count: u32, side: usize) -> anyhow::Result<Vec<Yuv420>> {
    let scene = Clip::new(SceneConfig { width: side, height: side, ..SceneConfig::default() })?;
    Ok((0..count).map(|i| to_yuv420(&scene.render(i).0, Colour::BT601)).collect())
}

fn time(weights: Option<&Path>) -> anyhow::Result<()> {
    const TIMES: usize = 20;
    let codec = load(weights)?;
    let pictures = scene(2, 512)?;
    let (before, now) = (&pictures[0], &pictures[1]);
    println!("| stage | ms |\n|---|--:|");
    let field = motion::search(now, before, None, PRICE);
    let print = |name: &str, ms: f64| println!("| {name} | {ms:.1} |");
    print(
        "motion search",
        least(TIMES, || drop(std::hint::black_box(motion::search(now, before, None, PRICE))))?,
    );
    print("prediction", least(TIMES, || drop(std::hint::black_box(motion::predict(before, &field))))?);
    print("pictures to cells", least(TIMES, || drop(std::hint::black_box(cells::of(now))))?);
    let sent = codec.encode(now, before, None, 42, 1);
    print(
        "encode, all of it",
        least(TIMES, || drop(std::hint::black_box(codec.encode(now, before, None, 42, 1))))?,
    );
    let decode = || drop(std::hint::black_box(codec.decode(&sent.bytes, before, 42)));
    print("decode, all of it", least(TIMES, decode)?);
    println!("\nA predicted frame of the synthetic clip, {} bytes.", sent.bytes.len());
    Ok(())
}

fn full_time(threads: &[usize]) -> anyhow::Result<()> {
    let (mut image, mut video) = (ImageModel::new(Device::Cpu), VideoModel::new(Device::Cpu));
    image.prepare();
    video.prepare();
    let options = (Kind::Float, Device::Cpu);
    let picture = (Tensor::rand([1, 3, 512, 512], options) + 0.5) / 2.0;
    let coding = Coding::default();
    // By the clock, and of processor time, which other work on the machine does not lengthen.
    let measured = |run: &mut dyn FnMut()| -> anyhow::Result<String> {
        let (begin, used) = (Instant::now(), processor_time(ClockId::CLOCK_PROCESS_CPUTIME_ID)?);
        run();
        let used = processor_time(ClockId::CLOCK_PROCESS_CPUTIME_ID)? - used;
        Ok(format!("{:.2} ({:.2})", begin.elapsed().as_secs_f64(), used.as_secs_f64()))
    };
    println!(
        "Seconds per 512x512 frame by the clock (of processor time).\n\n| threads | layout | I encode | I decode | P encode | P decode |\n|--:|---|--:|--:|--:|--:|"
    );
    for layout in ["NCHW", "channels last"] {
        if layout != "NCHW" {
            for store in [image.store(), video.store()] {
                tch::no_grad(|| {
                    for (_, mut variable) in store.variables() {
                        if variable.dim() == 4 {
                            let changed = models::layers::channels_last(&variable.detach());
                            variable.set_data(&changed);
                        }
                    }
                });
            }
        }
        for &count in threads {
            tch::set_num_threads(i32::try_from(count)?);
            let mut coded = None;
            let intra = measured(&mut || coded = Some(image.encode(&picture, 31, coding)))?;
            let (latents, decoded) = coded.context("coded")?;
            let bytes = latents.write(image.tables(), 31, false);
            let intra_back = measured(&mut || drop(image.decode(&bytes, (512, 512), 31, coding)))?;
            let mut reference = Reference::of_key(&decoded);
            let mut coded = None;
            // The first one prepares memory.
            for warm in [false, true] {
                let inter = measured(&mut || coded = Some(video.encode(&picture, &reference, 63, coding)))?;
                let (latents, feature) = coded.take().context("coded")?;
                let bytes = latents.write(video.tables(), 63, false);
                let back = measured(&mut || drop(video.decode(&bytes, (512, 512), &reference, 63, coding)))?;
                if warm {
                    println!("| {count} | {layout} | {intra} | {intra_back} | {inter} | {back} |");
                }
                reference = Reference::of_predicted(&feature, 63, None);
            }
        }
    }
    println!(
        "\nReconstruction of a P-frame (14.1 GMAC), one thread, seconds of all by the clock (of processor time):\n\n| frames at once | s |\n|--:|--:|"
    );
    tch::set_num_threads(1);
    for batch in [1, 2, 4] {
        let feature = Tensor::randn([batch, 256, 64, 64], options);
        let mut run = || tch::no_grad(|| drop(video.reconstruct(&feature, 63)));
        run();
        println!("| {batch} | {} |", measured(&mut run)?);
    }
    Ok(())
}

// Damage.

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Bits flipped, ranges emptied, cut, doubled, replaced; anything else.
fn damaged(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + numbers.below(4) {
        let (from, length) = (numbers.below(bytes.len()), 1 + numbers.below(64));
        let to = (from + length).min(bytes.len());
        match numbers.below(7) {
            0 if from < bytes.len() => bytes[from] ^= 1 << numbers.below(8),
            1 => bytes[from..to].fill(0),
            2 => bytes.truncate(from),
            3 => bytes.extend_from_within(from..to),
            4 => bytes.iter_mut().take(to).skip(from).for_each(|b| *b = numbers.next() as u8),
            5 => {
                let at = numbers.below(other.len());
                bytes.truncate(from);
                bytes.extend_from_slice(&other[at..]);
            }
            _ => drop(bytes.drain(from..to)),
        }
    }
    bytes
}

fn fuzz(time: Duration, seed: u64, weights: Option<&Path>) -> anyhow::Result<()> {
    const SIDE: usize = 128;
    const SMALL: i64 = 64;
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let pictures = scene(12, SIDE)?;
    let size = SIDE as u32;
    let lite = EncoderConfig {
        rate: RateControl::ConstantQp(Quantisers { key: Some(27), other: 50 }),
        settings: settings(weights, 2, 24),
        ..EncoderConfig::revo(DCVCRT_LITE.name, size, size, 30)
    };
    let mut encoder = (DCVCRT_LITE.encoder)(&lite)?;
    let sent =
        (0u32..).zip(&pictures).map(|(i, p)| encoder.encode(i, p, i == 0)).collect::<Result<Vec<_>, _>>()?;
    let opening = DecoderConfig {
        settings: lite.settings.clone(),
        ..DecoderConfig::new(DCVCRT_LITE.name, (size, size))
    };
    let mut decoder = (DCVCRT_LITE.decoder)(&opening)?;
    let (mut image, mut video) = (ImageModel::new(Device::Cpu), VideoModel::new(Device::Cpu));
    image.prepare();
    video.prepare();
    let options = (Kind::Float, Device::Cpu);
    let small = (Tensor::rand([1, 3, SMALL, SMALL], options) + 0.5) / 2.0;
    let coding = Coding::default();
    let (latents, drawn) = image.encode(&small, 31, coding);
    let key_frame = latents.write(image.tables(), 31, false);
    let mut reference = Reference::of_key(&drawn);
    let (latents, _) = video.encode(&small, &reference, 63, coding);
    let predicted = latents.write(video.tables(), 63, false);

    let (mut frames, mut drawn, mut full) = (0u64, 0u64, 0u64);
    let begin = processor_time(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    while processor_time(ClockId::CLOCK_PROCESS_CPUTIME_ID)? - begin < time {
        let unit = &sent[numbers.below(sent.len())];
        let other = &sent[1 + numbers.below(sent.len() - 1)].bytes;
        let mut bytes = damaged(&unit.bytes, other, &mut numbers);
        // Half of them pass the checks.
        if numbers.below(2) == 0 {
            Codec::seal(&mut bytes);
        }
        let (frame, qp) = (numbers.below(40) as u32, numbers.next() as u8);
        let key = if numbers.below(50) == 0 { !unit.key } else { unit.key };
        if let Some(picture) = decoder.decode(frame, &Unit { bytes, key, qp })? {
            ensure!((picture.width, picture.height) == (SIDE, SIDE), "a picture of another size");
            drawn += 1;
        }
        if numbers.below(200) == 0 {
            decoder.reset()?;
        }
        if numbers.below(30) == 0 {
            let stream =
                damaged(if full % 4 == 0 { &key_frame } else { &predicted }, &predicted, &mut numbers);
            let two = Coding { two: numbers.below(2) == 0, ..coding };
            if full % 4 == 0 {
                reference =
                    Reference::of_key(&image.decode(&stream, (SMALL, SMALL), numbers.below(64) as i64, two));
            } else {
                let qp = numbers.below(64) as i64;
                let (feature, picture) = video.decode(&stream, (SMALL, SMALL), &reference, qp, two);
                reference = Reference::of_predicted(&feature, qp, Some(&picture));
            }
            full += 1;
        }
        frames += 1;
    }
    println!(
        "{frames} damaged frames of DCVC-RT-lite ({drawn} gave pictures), {full} of DCVC-RT: no panic (seed {seed})"
    );
    Ok(())
}
