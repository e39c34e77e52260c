//! Learns Reparo's corrections: `just train-corrections`. One thread; no gradients.
//!
//! First the picture codes are chosen: codes of the tokenizer are left out, one lot after the other, whose features lie nearest
//! to other codes. Then sender and receiver run over crops of the training clips with the corrections learnt so far, and each correction
//! follows the mean of what it was chosen for (k-means that goes on, as the tokenizer's codebook was learnt). The stages begin one
//! after the other: what a later one is to correct is what the earlier ones leave.

mod picture_codes;

use anyhow::{Context, ensure};
use clap::Parser;
use models::corrections::{Basis, Corrections, Encoder, STAGES};
use models::tokenizer::{Carry, TOKEN_PIXELS, Tokenizer};
use models::train::{Clip, Codebook, Data, Log, Options, Random, Shape};
use models::weights::Weights;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Kind, Tensor, no_grad};

/// Learns Reparo's corrections.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Options,
    /// The tokenizer
    #[arg(long, default_value = "weights/reparo-tokenizer-lite.safetensors")]
    tokenizer: PathBuf,
    /// The weight file to write
    #[arg(long, default_value = "weights/reparo-corrections-lite.safetensors")]
    out: PathBuf,
    /// Go on from the corrections of this file
    #[arg(long)]
    start: Option<PathBuf>,
    /// Codes of the wire
    #[arg(long, default_value_t = 1024)]
    codes: usize,
    /// How many of them are picture codes
    #[arg(long, default_value_t = 640)]
    picture_codes: usize,
    /// Frames after which a place begins anew
    #[arg(long, default_value_t = 61)]
    period: u32,
    /// Frames of a sequence
    #[arg(long, default_value_t = 48)]
    frames: usize,
    /// Pixels of a crop and side
    #[arg(long, default_value_t = 256)]
    crop: usize,
    /// Share of sequences of stills
    #[arg(long, default_value_t = 0.3)]
    stills: f64,
    /// Of the moving averages, per sequence
    #[arg(long, default_value_t = 0.96)]
    decay: f64,
    /// Minutes between validations
    #[arg(long, default_value_t = 2.5)]
    report: f64,
}

/// Places that a stage's k-means begins with.
const BEGIN: i64 = 12_000;
/// While stages have not begun, corrections are chosen where they leave less than so many times what a picture code would:
/// a stage that has not begun corrects nothing.
const EAGER: f32 = 1.6;
/// Frames of each held-out clip that are measured.
const JUDGED: usize = 80;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    args.common.begin();
    ensure!(args.picture_codes < args.codes, "--picture-codes must be less than --codes");
    ensure!(args.period > 1, "--period must be at least 2");
    let tokenizer = Tokenizer::load(&args.tokenizer, args.common.preset, args.common.device)?;
    // Codes are as in the file, whatever the networks compute with.
    args.common.convert(tokenizer.store());
    let data = Data::load(&args.common)?;
    no_grad(|| Trainer::new(&args, &data, tokenizer)?.run())
}

struct Trainer<'a> {
    args: &'a Args,
    data: &'a Data,
    tokenizer: Tokenizer,
    corrections: Corrections,
    /// One for each stage, and whether it has begun.
    codebooks: Vec<(Codebook, Tensor, bool)>,
    /// What the next stage is to begin with.
    waiting: Vec<Tensor>,
    log: Log,
    sequences: u64,
}

impl<'a> Trainer<'a> {
    fn new(args: &'a Args, data: &'a Data, tokenizer: Tokenizer) -> anyhow::Result<Self> {
        let count = (args.codes - args.picture_codes) as i64;
        let values = Basis::VALUES as i64;
        let mut begun = false;
        let (codes, vectors) = match &args.start {
            Some(path) => {
                begun = true;
                let _ = Corrections::load(path, &tokenizer)?;
                let mut file = Weights::read(path)?;
                let mut of = |name: &str| file.tensors.remove(name).context("a whole file");
                let (codes, vectors) = (of("picture_codes")?, of("corrections")?);
                (models::layers::floats(&codes).into_iter().map(|c| c as u16).collect(), vectors)
            }
            None => {
                let begin = Instant::now();
                let codes = picture_codes::choose(data, &tokenizer, args.picture_codes, args.common.seed);
                eprintln!("picture codes chosen in {:.0} s", begin.elapsed().as_secs_f64());
                (codes, Tensor::zeros([STAGES as i64, count, values], (Kind::Float, args.common.device)))
            }
        };
        let corrections = Corrections::new(&tokenizer, codes, &vectors, args.period);
        let codebooks = (0..STAGES as i64).map(|stage| {
            let vectors = vectors.get(stage).copy();
            (Codebook::new(&vectors, args.decay), vectors, begun)
        });
        let header = "sequences,minutes,stages,corrected,psnr,alive,window,corrections";
        Ok(Self {
            codebooks: codebooks.collect(),
            args,
            data,
            corrections,
            tokenizer,
            waiting: Vec::new(),
            log: Log::open(&args.common.work.join("corrections.csv"), header)?,
            sequences: 0,
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut reported = f64::NEG_INFINITY;
        let (mut corrected, mut psnr, mut counted) = (0.0, 0.0, 0.0);
        let window = self.judge(false);
        loop {
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            let last = self.args.common.progress(self.sequences, minutes) >= 1.0;
            if last || (self.begun() == STAGES && minutes - reported >= self.args.report) {
                let judged = self.judge(true);
                let alive: f64 = self.codebooks.iter().map(|c| c.0.health().0).sum::<f64>() / STAGES as f64;
                let n = f64::max(counted, 1.0);
                self.log.line(&format!(
                    "{},{minutes:.2},{},{:.3},{:.2},{alive:.3},{window:.3},{judged:.3}",
                    self.sequences,
                    self.begun(),
                    corrected / n,
                    psnr / n
                ))?;
                if let Some(folder) = self.args.out.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                self.corrections.save(&self.args.out, &self.tokenizer)?;
                (corrected, psnr, counted, reported) = (0.0, 0.0, 0.0, minutes);
                if last {
                    return Ok(());
                }
            }
            let (share, found) = self.sequence();
            (corrected, psnr, counted) = (corrected + share, psnr + found, counted + 1.0);
            self.sequences += 1;
        }
    }

    fn begun(&self) -> usize {
        self.codebooks.iter().filter(|c| c.2).count()
    }

    /// Runs over one sequence and learns from it; the share of corrections among tokens and the PSNR of its last frame.
    fn sequence(&mut self) -> (f64, f64) {
        let args = self.args;
        let mut random = Random::of_step(args.common.seed ^ 0xc0e5, self.sequences);
        let shape = Shape { crop: args.crop, frames: args.frames, stills: args.stills };
        let (pictures, _) = self.data.batch(1, shape, &mut random);
        let side = args.crop / TOKEN_PIXELS;
        let mut encoder = Encoder::new(&self.tokenizer, side, side);
        let begun = self.begun();
        encoder.share = if begun < STAGES { EAGER } else { 1.0 };
        let mut found: Vec<Vec<(Tensor, Tensor)>> = (0..STAGES).map(|_| Vec::new()).collect();
        // A sequence may begin anywhere in the round of a place.
        let first = random.below(args.period as usize) as u32;
        for (frame, picture) in pictures.iter().rev().enumerate() {
            let patches = models::layers::channels_last(&picture.pixel_unshuffle(8));
            let sent = vec![true; side * side];
            let (_, choices) =
                encoder.tokens(&self.tokenizer, &self.corrections, first + frame as u32, &patches, &sent);
            encoder.settle(&self.tokenizer, &self.corrections);
            for (found, choice) in found.iter_mut().zip(choices.stages) {
                if choice.0.numel() > 0 {
                    found.push(choice);
                }
            }
        }
        let mut corrected = 0;
        for (stage, found) in found.into_iter().enumerate() {
            corrected += found.iter().map(|(left, _)| left.size()[0]).sum::<i64>();
            if found.is_empty() || stage > begun {
                continue;
            }
            let (left, numbers): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            self.learn(stage, Tensor::cat(&left, 0), &Tensor::cat(&numbers, 0), &mut random);
        }
        let vectors: Vec<&Tensor> = self.codebooks.iter().map(|c| &c.1).collect();
        self.corrections.learn(&Tensor::stack(&vectors, 0));
        let samples = (3 * args.crop * args.crop) as f64;
        let error = encoder.error() / samples;
        let psnr = -10.0 * (error / 4.0 + 1e-8).log10();
        (corrected as f64 / (side * side * args.frames) as f64, psnr)
    }

    fn learn(&mut self, stage: usize, left: Tensor, numbers: &Tensor, random: &mut Random) {
        let (codebook, _, begun) = &mut self.codebooks[stage];
        if *begun {
            codebook.update(&left, numbers);
            if self.sequences.is_multiple_of(10) {
                let _ = codebook.revive(&left, numbers, 0.05, random);
            }
            return;
        }
        self.waiting.push(left);
        if self.waiting.iter().map(|w| w.size()[0]).sum::<i64>() >= BEGIN {
            codebook.start(&Tensor::cat(&std::mem::take(&mut self.waiting), 0), 8, random);
            *begun = true;
            eprintln!("stage {stage} has begun after {} sequences", self.sequences + 1);
        }
    }

    /// Mean PSNR of the first frames of the held-out clips, without loss.
    fn judge(&self, corrected: bool) -> f64 {
        let psnrs: Vec<f64> =
            self.data.held_out.iter().flat_map(|clip| self.judge_clip(clip, corrected)).collect();
        psnrs.iter().sum::<f64>() / psnrs.len().max(1) as f64
    }

    fn judge_clip(&self, clip: &Clip, corrected: bool) -> Vec<f64> {
        let Self { tokenizer, corrections, .. } = self;
        let side = clip.size / TOKEN_PIXELS;
        let corrections = corrected.then_some(corrections);
        let (mut carry, mut encoder) = (Carry::default(), Encoder::new(tokenizer, side, side));
        let mut places = tokenizer.places(side * side);
        let sent = vec![true; side * side];
        let frame = |i: usize| {
            let patches = tokenizer.patches_of_bytes(clip.frame(i), clip.size, clip.size);
            let tokens = match corrections {
                Some(corrections) => {
                    let found = encoder.tokens(tokenizer, corrections, i as u32, &patches, &sent);
                    encoder.settle(tokenizer, corrections);
                    found.0
                }
                None => tokenizer.tokens(&mut carry, &tokenizer.features_of_patches(&patches), Some(&sent)),
            };
            let received: Vec<_> = tokens.into_iter().map(Some).collect();
            let _ = places.receive(i as u32, &received, corrections);
            let added = corrections.map(|c| c.patches(places.sums(), side, side));
            let shown = tokenizer.decode(&places.view(&[]), side, side, added.as_ref());
            let error: f64 =
                shown.iter().zip(clip.frame(i)).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
            -10.0 * (error / shown.len() as f64 / 65025.0 + 1e-8).log10()
        };
        (0..JUDGED.min(clip.frames())).map(frame).collect()
    }
}
