//! Trains Reparo's token recovery on talking heads: `just train-recovery`.
//!
//! The paper counts the missing tokens of the last of six frames; attention is causal here, so that every frame
//! of a sequence is somebody's last frame, and all of them count. What is to be guessed is the feature that a token stands
//! for: the token itself carries errors of its neighbours, which nobody can know.

mod batch;
mod guess;

use anyhow::{Context, ensure};
use batch::{Batch, Sequence};
use clap::Parser;
use guess::{Sums, guess};
use models::layers::to_signed;
use models::token_recovery::{MODEL, Recovery};
use models::tokenizer::{Codes, TOKEN_PIXELS, Tokenizer};
use models::train::{
    AdamW, Data, Log, Options, Random, Schedule, Shape, add_gradients, checkpoint, place_of,
};
use models::weights;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Kind, Tensor, no_grad};

/// Trains Reparo's token recovery.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Options,
    /// The frozen tokenizer
    #[arg(long, default_value = "weights/reparo-tokenizer-lite.safetensors")]
    tokenizer: PathBuf,
    /// The weight file to write
    #[arg(long, default_value = "weights/reparo-recovery-lite.safetensors")]
    out: PathBuf,
    /// Frames of a sequence
    #[arg(long, default_value_t = 8)]
    frames: usize,
    /// Pixels of a crop and side
    #[arg(long, default_value_t = 256)]
    crop: usize,
    /// Sequences per step, shared by the workers
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Highest learning rate (the paper's 1.5e-5 is for a network 300 times larger)
    #[arg(long, default_value_t = 6e-4)]
    rate: f64,
    /// Label smoothing; less than the paper's 0.1, which would pull the mean code towards the middle of all codes
    #[arg(long, default_value_t = 0.02)]
    smoothing: f64,
    /// Weight of the squared distance between the mean code and the feature, beside the cross-entropy
    #[arg(long, default_value_t = 8.0)]
    distance: f64,
}

const REPORT_MINUTES: f64 = 1.5;
/// Frames before a sequence that only fill the memory of last tokens.
const PREROLL: usize = 4;
/// Ways in which each sequence loses tokens.
const LOSSES: usize = 2;
/// Share of sequences of stills.
const STILLS: f64 = 0.25;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    args.common.begin();
    let tokenizer = |_| Tokenizer::load(&args.tokenizer, args.common.preset, args.common.device);
    let tokenizers: Vec<Tokenizer> = (0..args.common.workers).map(tokenizer).collect::<Result<_, _>>()?;
    tokenizers.iter().for_each(|tokenizer| args.common.convert(tokenizer.store()));
    let data = Data::load(&args.common)?;
    let held_out = held_out(&args, &data, &tokenizers[0]);
    Trainer::new(&args, tokenizers, &data, held_out)?.run()
}

/// Sequences of the held-out clips.
fn held_out(args: &Args, data: &Data, tokenizer: &Tokenizer) -> Vec<Sequence> {
    let length = args.frames + PREROLL;
    let mut sequences = Vec::new();
    for clip in &data.held_out {
        let side = clip.size as i64;
        for start in (0..clip.frames().saturating_sub(length)).step_by(clip.frames() / 4) {
            let picture = |i: usize| to_signed(&Tensor::from_slice(clip.frame(i)).view([1, side, side, 3]));
            sequences.push(Sequence::of(tokenizer, (start..start + length).map(picture)));
        }
    }
    sequences
}

struct Trainer<'a> {
    args: &'a Args,
    codebook: Tensor,
    codes: Codes,
    codebook_hash: String,
    data: &'a Data,
    held_out: Vec<Sequence>,
    replicas: Vec<Recovery>,
    /// One for each replica.
    tokenizers: Vec<Tokenizer>,
    optimiser: AdamW,
    log: Log,
    step: u64,
    minutes_before: f64,
}

impl<'a> Trainer<'a> {
    fn new(
        args: &'a Args,
        tokenizers: Vec<Tokenizer>,
        data: &'a Data,
        held_out: Vec<Sequence>,
    ) -> anyhow::Result<Self> {
        let tokenizer = &tokenizers[0];
        let codes = tokenizer.codes();
        let mut replicas: Vec<_> = (0..args.common.workers)
            .map(|_| Recovery::new(args.common.preset, codes, args.common.device))
            .collect();
        replicas[0].adopt(tokenizer.codebook());
        eprintln!("{} parameters", models::layers::parameters(replicas[0].store()));
        replicas.iter().for_each(|replica| args.common.convert(replica.store()));
        let weights: BTreeMap<String, Tensor> = replicas[0].store().variables().into_iter().collect();
        let optimiser = AdamW::new(weights, (0.9, 0.95), 0.05, 0.998);
        let header = "step,minutes,rate,loss,gradient,validation_loss,accuracy,error,likeliest_error,copy_error,\
                      code_error,far_error,far_copy_error";
        let log = Log::open(&args.common.work.join("recovery.csv"), header)?;
        let mut trainer = Self {
            args,
            codebook: tokenizer.codebook().copy(),
            codes: tokenizer.chooser(),
            codebook_hash: tokenizer.codebook_hash(),
            data,
            held_out,
            replicas,
            tokenizers,
            optimiser,
            log,
            step: 0,
            minutes_before: 0.0,
        };
        if args.common.resume {
            let state = weights::Weights::read(&trainer.state_file()).context("failed to resume")?;
            ensure!(trainer.optimiser.restore(&state.tensors), "the state is of another network");
            (trainer.step, trainer.minutes_before) = place_of(&state)?;
        }
        Ok(trainer)
    }

    fn state_file(&self) -> PathBuf {
        self.args.common.work.join("recovery.state.safetensors")
    }

    fn run(mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let schedule = Schedule { peak: self.args.rate, warm_up: 100 };
        let (mut sums, mut reported) = ([0.0; 3], f64::NEG_INFINITY);
        loop {
            let minutes = self.minutes_before + begin.elapsed().as_secs_f64() / 60.0;
            let progress = self.args.common.progress(self.step, minutes);
            if minutes - reported >= REPORT_MINUTES || progress >= 1.0 {
                let rate = schedule.rate(self.step, progress);
                let [loss, norm] = [0, 1].map(|i| sums[i] / f64::max(sums[2], 1.0));
                let validation = self.validate();
                let line = format!("{},{minutes:.2},{rate:.2e},{loss:.4},{norm:.2},{validation}", self.step);
                self.log.line(&line)?;
                self.save(minutes)?;
                (sums, reported) = ([0.0; 3], minutes);
                if progress >= 1.0 {
                    return Ok(());
                }
            }
            let (loss, norm) = self.step(schedule.rate(self.step, progress));
            self.step += 1;
            sums = [sums[0] + loss, sums[1] + norm, sums[2] + 1.0];
        }
    }

    fn step(&mut self, rate: f64) -> (f64, f64) {
        let (first, others) = self.replicas.split_at_mut(1);
        for other in others {
            let _ = other.store_mut().copy(first[0].store());
        }
        let (args, data, step, workers) = (self.args, self.data, self.step, self.replicas.len());
        let (codebook, codes) = (&self.codebook, &self.codes);
        let losses: Vec<f64> = std::thread::scope(|scope| {
            let handles: Vec<_> = self
                .replicas
                .iter_mut()
                .zip(&mut self.tokenizers)
                .enumerate()
                .map(|(index, (replica, tokenizer))| {
                    let codebook = codebook.shallow_clone();
                    scope.spawn(move || {
                        tch::set_num_threads(1);
                        let mut random =
                            Random::of_step(args.common.seed, step * workers as u64 + index as u64);
                        let batch = draw(args, data, tokenizer, codes, &mut random);
                        let found = guess(replica, &batch, &codebook, args.frames);
                        let distance = (&found.vectors - batch.wanted()).square().mean(Kind::Float);
                        let loss = found.cross_entropy(&batch, args.smoothing) + distance * args.distance;
                        (&loss / workers as f64).backward();
                        loss.double_value(&[])
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().expect("a worker panicked")).collect()
        });
        for other in &self.replicas[1..] {
            add_gradients(self.replicas[0].store(), other.store());
        }
        let norm = self.optimiser.step(self.step, rate, 3.0);
        (losses.iter().sum::<f64>() / workers as f64, norm)
    }

    /// Measures the averaged weights on held-out clips; the same losses every time.
    fn validate(&mut self) -> String {
        let averaged = self.optimiser.averaged();
        let replica = self.replicas.last_mut().expect("at least one worker");
        no_grad(|| {
            for (name, variable) in replica.store().variables() {
                variable.shallow_clone().copy_(&averaged[&name]);
            }
            let mut random = Random::of_step(99, 0);
            let mut sums = Sums::default();
            for sequence in &self.held_out {
                let mut batch = Batch::new(sequence.side, self.args.common.device);
                batch.add(sequence, &self.codes, &mut random);
                let found = guess(replica, &batch, &self.codebook, self.args.frames);
                sums.add(&batch, &found, &self.codebook);
            }
            sums.text()
        })
    }

    fn save(&self, minutes: f64) -> anyhow::Result<()> {
        checkpoint(&self.state_file(), &self.optimiser.state(), self.step, minutes)?;
        let about = [
            ("model", MODEL),
            ("preset", self.args.common.preset.name()),
            ("codebook", self.codebook_hash.as_str()),
        ];
        if let Some(folder) = self.args.out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        weights::write(&self.args.out, &self.optimiser.averaged(), &about, true)?;
        Ok(())
    }
}

/// One worker's sequences: each is encoded once and loses tokens in several ways.
fn draw(args: &Args, data: &Data, tokenizer: &Tokenizer, codes: &Codes, random: &mut Random) -> Batch {
    let side = args.crop / TOKEN_PIXELS;
    let mut batch = Batch::new(side, args.common.device);
    let shape = Shape { crop: args.crop, frames: args.frames + PREROLL, stills: STILLS };
    for _ in 0..args.batch.div_ceil(args.common.workers * LOSSES) {
        let (pictures, _) = data.batch(1, shape, random);
        let sequence = Sequence::of(tokenizer, pictures.into_iter().rev());
        for _ in 0..LOSSES {
            batch.add(&sequence, codes, random);
        }
    }
    if batch.truth.is_empty() {
        // Nothing was lost, nothing to learn.
        return draw(args, data, tokenizer, codes, random);
    }
    batch
}
