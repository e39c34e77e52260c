//! Measures Reparo's models on clips: `just eval-tokens`.
//!
//! Per clip: PSNR (RGB, mean of frames, and of the worst tenth) without loss, with 50 % self-drop, and with
//! Gilbert-Elliott losses "high" (per-frame states, packets independent inside a state); for the
//! lossy conditions also what filling with the last received token would give, on all and on moving blocks (the decoder
//! is told that it is a guess then, too).
//! At the end bits per token of entropy-coded packets without loss, and milliseconds per stage.

use anyhow::ensure;
use clap::Parser;
use models::corrections::Corrections;
use models::layers::floats;
use models::token_codec::{Memory, TokenCodec};
use models::token_recovery::{Choice, Copies, Recovery};
use models::tokenizer::{Places, Preset, TOKEN_PIXELS, Tokenizer};
use models::train::{Clip, Random, decode, list, packet_of};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use sut_core::wire::reparo::{HEADER_BYTES, Variant};
use sut_core::wire::reparo_coding::Model;
use sut_core::wire::reparo_variants::{Setting, Variants};
use tch::{Device, Tensor};

/// Measures Reparo's models on clips.
#[derive(Parser)]
struct Args {
    /// Folder of clips
    #[arg(long, default_value = "../shared/media/dev/talkinghead")]
    clips: PathBuf,
    /// Tokenizer weights
    #[arg(long, default_value = "weights/reparo-tokenizer-lite.safetensors")]
    tokenizer: PathBuf,
    /// Correction weights
    #[arg(long, default_value = "weights/reparo-corrections-lite.safetensors")]
    corrections: PathBuf,
    /// What is remembered of earlier frames: frame (nothing), window (four codes of each place), corrections
    #[arg(long, default_value = "window", value_parser = Memory::from_name)]
    memory: Memory,
    /// Recovery weights; without them lost tokens are copied
    #[arg(long, default_value = "weights/reparo-recovery-lite.safetensors")]
    recovery: PathBuf,
    /// Measure without recovery
    #[arg(long)]
    no_recovery: bool,
    /// Frames per clip, from the first on
    #[arg(long, default_value_t = 90)]
    frames: usize,
    /// fp32, bf16, or the fastest of this CPU
    #[arg(long, default_value = "fp32", value_parser = models::layers::Precision::from_name)]
    precision: models::layers::Precision,
    /// Fill with the likeliest codes instead of mean ones
    #[arg(long)]
    likeliest: bool,
    /// Guess the features that were lost themselves: the bound of what any recovery can reach
    #[arg(long, conflicts_with = "likeliest")]
    perfect: bool,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: i32,
    /// Of the losses
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const SIZE: usize = 512;
const GRID: usize = SIZE / TOKEN_PIXELS;
/// A block moves when its mean squared difference from the frame before is larger (levels squared).
const MOVING: f64 = 25.0;

/// How tokens get lost.
#[derive(Clone, Copy)]
enum Condition {
    SelfDrop,
    GilbertElliott,
}

/// Squared errors of one condition.
#[derive(Default)]
struct Score {
    frames: Vec<f64>,
    moving: f64,
    moving_samples: f64,
}

impl Score {
    fn add(&mut self, shown: &[u8], truth: &[u8], before: Option<&[u8]>) {
        let mut total = 0.0;
        for row in 0..GRID {
            for column in 0..GRID {
                let error = block_error(shown, truth, row, column);
                total += error;
                if before.is_some_and(|b| block_error(b, truth, row, column) > MOVING * BLOCK) {
                    self.moving += error;
                    self.moving_samples += BLOCK;
                }
            }
        }
        self.frames.push(psnr(total / (SIZE * SIZE * 3) as f64));
    }

    fn mean(&self) -> f64 {
        self.frames.iter().sum::<f64>() / self.frames.len() as f64
    }

    fn worst_tenth(&self) -> f64 {
        let mut sorted = self.frames.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len().div_ceil(10);
        sorted[..n].iter().sum::<f64>() / n as f64
    }

    fn on_moving(&self) -> f64 {
        psnr(self.moving / self.moving_samples.max(1.0))
    }
}

/// Samples of a block.
const BLOCK: f64 = (TOKEN_PIXELS * TOKEN_PIXELS * 3) as f64;

fn psnr(mse: f64) -> f64 {
    -10.0 * (mse / 65025.0 + 1e-8).log10()
}

fn block_error(a: &[u8], b: &[u8], row: usize, column: usize) -> f64 {
    let mut sum = 0u64;
    for y in row * TOKEN_PIXELS..(row + 1) * TOKEN_PIXELS {
        let from = 3 * (y * SIZE + column * TOKEN_PIXELS);
        let line = from..from + 3 * TOKEN_PIXELS;
        sum +=
            a[line.clone()].iter().zip(&b[line]).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
    }
    sum as f64
}

/// The features of a frame's tokens that did not arrive.
fn missing_of(features: &Tensor, arrived: &[Option<u16>]) -> Vec<f32> {
    let all = floats(features);
    let values = all.len() / arrived.len();
    let missing = all.chunks_exact(values).zip(arrived).filter(|(_, arrived)| arrived.is_none());
    missing.flat_map(|(feature, _)| feature.to_vec()).collect()
}

/// Draws which tokens of a frame arrive.
struct Losses {
    condition: Condition,
    random: Random,
    bad: bool,
}

impl Losses {
    /// One for each token of the next frame.
    fn next(&mut self) -> Vec<bool> {
        let mut keep = vec![true; GRID * GRID];
        match self.condition {
            // Half of each packet's tokens, as the sender's self-drop leaves them.
            Condition::SelfDrop => {
                for packet in 0..4 {
                    let mut places: Vec<usize> =
                        (0..GRID * GRID).filter(|&i| packet_of(i, GRID) == packet).collect();
                    for i in 0..places.len() / 2 {
                        let j = i + self.random.below(places.len() - i);
                        places.swap(i, j);
                        keep[places[i]] = false;
                    }
                }
            }
            Condition::GilbertElliott => {
                self.bad = if self.bad { !self.random.chance(0.852) } else { self.random.chance(0.068) };
                let rate = if self.bad { 0.75 } else { 0.04 };
                let lost: [bool; 4] = std::array::from_fn(|_| self.random.chance(rate));
                for (i, keep) in keep.iter_mut().enumerate() {
                    *keep = !lost[packet_of(i, GRID)];
                }
            }
        }
        keep
    }
}

#[derive(Default)]
struct Times {
    encode: Vec<f64>,
    /// After the tokens are on their way.
    settle: Vec<f64>,
    recover: Vec<f64>,
    decode: Vec<f64>,
}

fn timed<T>(into: &mut Vec<f64>, f: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let value = f();
    into.push(begin.elapsed().as_secs_f64() * 1e3);
    value
}

/// Fastest tenth and median; on a busy machine the first says more about the network.
fn summary(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    format!("{:.1} / {:.1}", at(0.1), at(0.5))
}

struct Models {
    codec: TokenCodec,
    /// Packets of coded tokens, unless tokens may be corrections.
    coded: Option<Variants>,
    recovery: Option<Recovery>,
}

impl Models {
    /// Bits per token of coded packets.
    fn bits(&self, frames: &[Vec<u16>]) -> Option<f64> {
        let coded = self.coded.as_ref()?;
        let setting = Setting { variant: 0, kept: Variant::STANDARD.tokens_per_packet() };
        let packets =
            frames.iter().zip(0..).flat_map(|(tokens, frame)| coded.packetize(setting, frame, tokens));
        let bytes: usize = packets.map(|packet| packet.len() - HEADER_BYTES).sum();
        Some(8.0 * bytes as f64 / (frames.len() * GRID * GRID) as f64)
    }

    fn measure(&self, clip: &Clip, args: &Args, times: &mut Times, bits: &mut Vec<f64>) -> Vec<f64> {
        let frames = args.frames.min(clip.frames());
        let mut encoding = self.codec.encoding();
        let encode = |i| {
            let tokens = timed(&mut times.encode, || {
                self.codec.encode(&mut encoding, i as u32, clip.frame(i), &[true; GRID * GRID])
            });
            timed(&mut times.settle, || self.codec.settle(&mut encoding));
            tokens
        };
        let tokens: Vec<Vec<u16>> = (0..frames).map(encode).collect();
        bits.extend(self.bits(&tokens));
        let mut clean = Score::default();
        let mut places = self.codec.places();
        for (i, tokens) in tokens.iter().enumerate() {
            let received: Vec<_> = tokens.iter().copied().map(Some).collect();
            let shown = timed(&mut times.decode, || {
                let _ = self.codec.receive(&mut places, i as u32, &received);
                self.codec.draw(&places, &[])
            });
            clean.add(&shown, clip.frame(i), (i > 0).then(|| clip.frame(i - 1)));
        }
        let mut row = vec![clean.mean(), clean.worst_tenth(), clean.on_moving()];
        for condition in [Condition::SelfDrop, Condition::GilbertElliott] {
            let mut losses = Losses { condition, random: Random::of_step(args.seed, 7), bad: false };
            let mut encoding = self.codec.encoding();
            let arrive = |i: usize| -> Vec<Option<u16>> {
                let kept = losses.next();
                let tokens = match condition {
                    // The sender knows.
                    Condition::SelfDrop => self.codec.encode(&mut encoding, i as u32, clip.frame(i), &kept),
                    Condition::GilbertElliott => tokens[i].clone(),
                };
                tokens.into_iter().zip(kept).map(|(t, kept)| kept.then_some(t)).collect()
            };
            let arrived: Vec<_> = (0..frames).map(arrive).collect();
            let (filled, copied) = self.lossy(clip, &arrived, args.perfect, times);
            row.extend([
                filled.mean(),
                filled.worst_tenth(),
                filled.on_moving(),
                copied.mean(),
                copied.on_moving(),
            ]);
        }
        row
    }

    /// With recovery (or with the `perfect` features) and with copies, when so much of each frame arrived.
    fn lossy(
        &self,
        clip: &Clip,
        arrived: &[Vec<Option<u16>>],
        perfect: bool,
        times: &mut Times,
    ) -> (Score, Score) {
        let tokenizer = self.codec.tokenizer();
        let mut history = self.recovery.as_ref().map(|r| r.history(GRID, GRID));
        let mut copies = Copies::new(tokenizer, GRID * GRID);
        let (mut filled, mut copied) = (Score::default(), Score::default());
        let mut places: Places = self.codec.places();
        for (i, arrived) in arrived.iter().enumerate() {
            let before = (i > 0).then(|| clip.frame(i - 1));
            let stands = self.codec.receive(&mut places, i as u32, arrived);
            let by_copy = self.codec.draw(&places, &copies.fill(&stands));
            copied.add(&by_copy, clip.frame(i), before);
            match (&self.recovery, &mut history) {
                (Some(recovery), Some(history)) => {
                    let mut guesses = timed(&mut times.recover, || recovery.fill(history, &stands));
                    if perfect {
                        let features = tokenizer.features_of_bytes(clip.frame(i), SIZE, SIZE);
                        guesses = missing_of(&features, &stands);
                    }
                    filled.add(&self.codec.draw(&places, &guesses), clip.frame(i), before);
                }
                _ => filled.add(&by_copy, clip.frame(i), before),
            }
        }
        (filled, copied)
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(args.threads);
    models::memory::keep_freed();
    let tokenizer = Tokenizer::load(&args.tokenizer, Preset::Lite, Device::Cpu)?;
    let recovery = match args.no_recovery {
        true => None,
        false => {
            let choice = if args.likeliest { Choice::Likeliest } else { Choice::Mean };
            Some(Recovery::load(&args.recovery, Preset::Lite, &tokenizer, Device::Cpu)?.with_choice(choice))
        }
    };
    args.precision.set(tokenizer.store());
    if let Some(recovery) = &recovery {
        args.precision.set(recovery.store());
    }
    let corrections = match args.memory {
        Memory::Corrections => Some(Corrections::load(&args.corrections, &tokenizer)?),
        Memory::Window | Memory::Frame => None,
    };
    let codec = TokenCodec::new(tokenizer, corrections, args.memory, (GRID, GRID));
    let coded = (args.memory != Memory::Corrections).then(|| {
        let codebook = codec.tokenizer().codebook();
        let model = Model::new(&floats(codebook), codec.tokenizer().values());
        Variants::new(vec![Variant::STANDARD]).expect("one variant").coded(Arc::new(model))
    });
    let models = Models { codec, coded, recovery };
    let files = list(&args.clips, "mp4")?;
    ensure!(!files.is_empty(), "no clips in {}", args.clips.display());
    println!("dB, mean | worst tenth | moving blocks; copy = last received token, mean | moving blocks");
    println!(
        "{:<18}{:>23}{:>23}{:>15}{:>23}{:>15}",
        "clip", "no loss", "self-drop 50 %", "copy", "GE high", "copy"
    );
    let (mut times, mut sums, mut bits) = (Times::default(), Vec::new(), Vec::new());
    for file in &files {
        let clip = decode(file, SIZE, 1)?;
        let row = models.measure(&clip, &args, &mut times, &mut bits);
        print_row(&clip.name, &row);
        sums.resize(row.len(), 0.0);
        for (sum, value) in sums.iter_mut().zip(&row) {
            *sum += value / files.len() as f64;
        }
    }
    print_row("mean of clips", &sums);
    if let (Some(least), Some(most)) =
        (bits.iter().copied().reduce(f64::min), bits.iter().copied().reduce(f64::max))
    {
        let mean = bits.iter().sum::<f64>() / bits.len() as f64;
        println!(
            "bits per token, each packet coded by itself: {mean:.2} in the mean, {least:.2} to {most:.2}"
        );
    }
    println!(
        "milliseconds per frame, fastest tenth / median, {} threads: encode {} and then {}, recover {}, decode {}",
        args.threads,
        summary(&mut times.encode),
        summary(&mut times.settle),
        summary(&mut times.recover),
        summary(&mut times.decode)
    );
    Ok(())
}

fn print_row(name: &str, row: &[f64]) {
    print!("{name:<18}");
    for (i, value) in row.iter().enumerate() {
        let gap = if [3, 6, 8, 11].contains(&i) || i == 0 { "  " } else { "" };
        print!("{gap}{value:>7.2}");
    }
    println!();
}
