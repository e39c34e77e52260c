//! Trains Reparo's token recovery on the tokens of talking heads: `just train-recovery`.
//!
//! Losses are drawn as in the paper (SYSTEMS.md 5.2): self-drop from a truncated Gaussian, packets of a frame
//! independently at a rate from U(0, 0.8); beside it two fifths of the sequences have no self-drop, and half have
//! their losses in bursts of frames.
//! The paper counts the missing tokens of the last of six frames; attention is causal here, so that every frame
//! of a sequence is somebody's last frame, and all of them count.

use anyhow::{Context, ensure};
use clap::Parser;
use models::token_recovery::{Choice, MODEL, Past, Recovery, choose};
use models::tokenizer::{Carry, ENCODER_VERSION, TOKEN_PIXELS, Tokenizer};
use models::train::{
    AdamW, HELD_OUT, Log, Options, Random, Schedule, add_gradients, checkpoint, decode, list, place_of,
};
use models::weights;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Device, Kind, Tensor, no_grad};

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
    /// Tokens of a crop and side
    #[arg(long, default_value_t = 16)]
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
    /// Weight of the squared distance between the mean code and the true one, beside the cross-entropy
    #[arg(long, default_value_t = 0.2)]
    distance: f64,
}

const REPORT_MINUTES: f64 = 1.5;
/// Frames before a sequence that only fill the memory of last tokens.
const PREROLL: usize = 4;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(1);
    models::memory::keep_freed();
    tch::manual_seed(args.common.seed as i64);
    let tokenizer = Tokenizer::load(&args.tokenizer, args.common.preset, args.common.device)?;
    let clips = tokenise(&args)?;
    let (held_out, clips): (Vec<_>, Vec<_>) =
        clips.into_iter().partition(|c| HELD_OUT.contains(&c.name.as_str()));
    let need = args.frames + PREROLL;
    let clips: Vec<_> = clips.into_iter().filter(|c| c.frames() >= need && c.side >= args.crop).collect();
    ensure!(!clips.is_empty(), "no clip is long enough");
    Trainer::new(&args, &tokenizer, clips, held_out)?.run()
}

/// A clip as tokens.
struct TokenClip {
    name: String,
    side: usize,
    /// As sent when all are sent, and when half are: self-drop changes the encoder's choice.
    tokens: [Vec<u16>; 2],
}

impl TokenClip {
    fn frames(&self) -> usize {
        self.tokens[0].len() / (self.side * self.side)
    }
}

/// Every training clip through the tokenizer, kept in the work folder.
fn tokenise(args: &Args) -> anyhow::Result<Vec<TokenClip>> {
    let hash = Sha256::digest(std::fs::read(&args.tokenizer)?);
    let id: String = hash.iter().take(6).map(|b| format!("{b:02x}")).collect();
    let folder = args.common.work.join(format!("tokens-{ENCODER_VERSION}-{id}"));
    std::fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for (sub, size) in [("real512", 512), ("real256", 256)] {
        files.extend(list(&args.common.data.join(sub), "mp4")?.into_iter().map(|file| (file, size)));
    }
    let (folder, files) = (&folder, &files);
    let parts: Vec<anyhow::Result<Vec<TokenClip>>> = std::thread::scope(|scope| {
        let work = |worker| {
            move || {
                tch::set_num_threads(1);
                let tokenizer = Tokenizer::load(&args.tokenizer, args.common.preset, args.common.device)?;
                let mine = files.iter().skip(worker).step_by(args.common.workers);
                mine.map(|(file, size)| tokenise_one(&tokenizer, file, *size, folder)).collect()
            }
        };
        let handles: Vec<_> = (0..args.common.workers).map(|worker| scope.spawn(work(worker))).collect();
        handles.into_iter().map(|h| h.join().expect("a worker panicked")).collect()
    });
    let mut clips = Vec::new();
    for part in parts {
        clips.extend(part?);
    }
    clips.sort_by(|a, b| a.name.cmp(&b.name));
    eprintln!("{} clips, {} frames", clips.len(), clips.iter().map(TokenClip::frames).sum::<usize>());
    Ok(clips)
}

fn tokenise_one(tokenizer: &Tokenizer, file: &Path, size: usize, folder: &Path) -> anyhow::Result<TokenClip> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let side = size / TOKEN_PIXELS;
    let mut decoded = None;
    let mut kept = |kept: f64| -> anyhow::Result<Vec<u16>> {
        let stored = folder.join(format!("{name}-{kept}.u16"));
        if !stored.exists() {
            let clip = match &decoded {
                Some(clip) => clip,
                None => decoded.insert(decode(file, size, 1)?),
            };
            let mut carry = Carry::keeping(kept);
            let tokens =
                (0..clip.frames()).flat_map(|i| tokenizer.encode(&mut carry, clip.frame(i), size, size));
            let bytes: Vec<u8> = tokens.flat_map(u16::to_le_bytes).collect();
            let part = stored.with_extension("part");
            std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, &stored))?;
        }
        let bytes = std::fs::read(&stored)?;
        Ok(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect())
    };
    let tokens = [kept(1.0)?, kept(0.5)?];
    Ok(TokenClip { name, side, tokens })
}

/// Sequences with losses, as the network takes them: `[n * frames, side, side]` each.
struct Batch {
    truth: Vec<i64>,
    tokens: Vec<i64>,
    last: Vec<i64>,
    age: Vec<i64>,
    side: usize,
    device: Device,
}

impl Batch {
    fn new(side: usize, device: Device) -> Self {
        Self { truth: Vec::new(), tokens: Vec::new(), last: Vec::new(), age: Vec::new(), side, device }
    }

    fn on_device(&self, values: &[i64]) -> Tensor {
        Tensor::from_slice(values).to_device(self.device)
    }

    fn grid(&self, values: &[i64]) -> Tensor {
        let side = self.side as i64;
        self.on_device(values).view([-1, side, side])
    }

    /// Indices of the missing tokens.
    fn missing(&self, none: i64) -> Tensor {
        let missing: Vec<i64> =
            (0..self.tokens.len()).filter(|&i| self.tokens[i] == none).map(|i| i as i64).collect();
        self.on_device(&missing)
    }

    /// Adds one sequence: `side x side` tokens at (x, y) of `PREROLL + frames` frames.
    fn add(
        &mut self,
        clip: &TokenClip,
        indices: &[usize],
        (x, y): (usize, usize),
        none: i64,
        random: &mut Random,
    ) {
        let losses = Losses::draw(random);
        let places = self.side * self.side;
        let (mut last, mut age) = (vec![none; places], vec![0; places]);
        for (number, &index) in indices.iter().enumerate() {
            let tokens = &clip.tokens[usize::from(losses.self_drop > 0.0)];
            let frame = &tokens[index * clip.side * clip.side..][..clip.side * clip.side];
            let rows = y..y + self.side;
            let truth: Vec<i64> = rows
                .flat_map(|row| frame[row * clip.side + x..][..self.side].iter().map(|&t| i64::from(t)))
                .collect();
            let tokens = losses.apply(&truth, self.side, none, random);
            if number >= PREROLL {
                self.last.extend_from_slice(&last);
                self.age.extend_from_slice(&age);
                self.truth.extend_from_slice(&truth);
                self.tokens.extend_from_slice(&tokens);
            }
            Past { last: &mut last, age: &mut age, none }.pass(&tokens);
        }
    }
}

/// How a sequence loses tokens.
struct Losses {
    self_drop: f64,
    packet: f64,
    bursts: bool,
}

impl Losses {
    fn draw(random: &mut Random) -> Self {
        // Without self-drop the frames before a loss are whole; trained on thinned ones alone, the network
        // would be no better than a copy there.
        let self_drop = match random.chance(0.4) {
            true => 0.0,
            false => loop {
                let drawn = 0.3 + 0.3 * random.normal();
                if (0.0..=0.6).contains(&drawn) {
                    break drawn;
                }
            },
        };
        Self { self_drop, packet: 0.8 * random.unit(), bursts: random.chance(0.5) }
    }

    /// One frame's tokens with `none` for the missing ones.
    fn apply(&self, truth: &[i64], side: usize, none: i64, random: &mut Random) -> Vec<i64> {
        let packet = match self.bursts {
            true if random.chance(0.7) => 0.0,
            true => 0.5 + 0.5 * random.unit(),
            false => self.packet,
        };
        let lost: [bool; 4] = std::array::from_fn(|_| random.chance(packet));
        let gone = |place: usize, random: &mut Random| {
            lost[2 * (place / side % 2) + place % side % 2] || random.chance(self.self_drop)
        };
        truth.iter().enumerate().map(|(i, &t)| if gone(i, random) { none } else { t }).collect()
    }
}

struct Trainer<'a> {
    args: &'a Args,
    codebook: Tensor,
    codebook_hash: String,
    clips: Vec<TokenClip>,
    held_out: Vec<TokenClip>,
    replicas: Vec<Recovery>,
    optimiser: AdamW,
    log: Log,
    step: u64,
    minutes_before: f64,
}

impl<'a> Trainer<'a> {
    fn new(
        args: &'a Args,
        tokenizer: &Tokenizer,
        clips: Vec<TokenClip>,
        held_out: Vec<TokenClip>,
    ) -> anyhow::Result<Self> {
        let codes = tokenizer.codes();
        let replicas: Vec<_> = (0..args.common.workers)
            .map(|_| Recovery::new(args.common.preset, codes, args.common.device))
            .collect();
        replicas[0].adopt(tokenizer.codebook());
        eprintln!("{} parameters", models::layers::parameters(replicas[0].store()));
        replicas.iter().for_each(|replica| args.common.convert(replica.store()));
        let weights: BTreeMap<String, Tensor> = replicas[0].store().variables().into_iter().collect();
        let optimiser = AdamW::new(weights, (0.9, 0.95), 0.05, 0.998);
        let header = "step,minutes,rate,loss,gradient,validation_loss,accuracy,copy_accuracy,moving_accuracy,\
                      error,likeliest_error,copy_error,moving_error,likeliest_moving_error,copy_moving_error";
        let log = Log::open(&args.common.work.join("recovery.csv"), header)?;
        let mut trainer = Self {
            args,
            codebook: tokenizer.codebook().copy(),
            codebook_hash: tokenizer.codebook_hash(),
            clips,
            held_out,
            replicas,
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
        let (args, clips, step, workers) = (self.args, &self.clips, self.step, self.replicas.len());
        let codebook = &self.codebook;
        let losses: Vec<f64> = std::thread::scope(|scope| {
            let handles: Vec<_> = self
                .replicas
                .iter_mut()
                .enumerate()
                .map(|(index, replica)| {
                    let codebook = codebook.shallow_clone();
                    scope.spawn(move || {
                        tch::set_num_threads(1);
                        let mut random =
                            Random::of_step(args.common.seed, step * workers as u64 + index as u64);
                        let batch = draw(args, clips, replica.codes() as i64, &mut random);
                        let (loss, scores, missing) = loss(replica, &batch, args.frames, args.smoothing);
                        let loss = loss + distance(&scores, &batch, &missing, &codebook) * args.distance;
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
        let none = replica.codes() as i64;
        no_grad(|| {
            for (name, variable) in replica.store().variables() {
                variable.shallow_clone().copy_(&averaged[&name]);
            }
            let mut random = Random::of_step(99, 0);
            let mut sums = Sums::default();
            for clip in &self.held_out {
                let length = self.args.frames + PREROLL;
                for start in (0..clip.frames().saturating_sub(length)).step_by(clip.frames() / 4) {
                    let mut batch = Batch::new(clip.side, self.args.common.device);
                    let indices: Vec<usize> = (start..start + length).collect();
                    batch.add(clip, &indices, (0, 0), none, &mut random);
                    let (value, scores, missing) = loss(replica, &batch, self.args.frames, 0.0);
                    sums.add(&batch, value.double_value(&[]), &scores, &missing, &self.codebook);
                }
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

/// One worker's sequences.
fn draw(args: &Args, clips: &[TokenClip], none: i64, random: &mut Random) -> Batch {
    let mut batch = Batch::new(args.crop, args.common.device);
    let length = args.frames + PREROLL;
    for _ in 0..args.batch.div_ceil(args.common.workers) {
        let clip = &clips[random.below(clips.len())];
        // Twice the speed (seldom: an encoder's frames hand errors on to each other), and backwards: more motion from
        // few clips.
        let stride = if random.chance(0.1) && clip.frames() >= 2 * length { 2 } else { 1 };
        let start = random.below(clip.frames() - stride * (length - 1));
        let mut indices: Vec<usize> = (0..length).map(|i| start + stride * i).collect();
        if random.chance(0.5) {
            indices.reverse();
        }
        // Even offsets keep the packets' pattern.
        let mut offset = || 2 * random.below((clip.side - args.crop) / 2 + 1);
        let at = (offset(), offset());
        batch.add(clip, &indices, at, none, random);
    }
    if batch.tokens.contains(&none) {
        return batch;
    }
    // Nothing was lost, nothing to learn.
    draw(args, clips, none, random)
}

/// Cross-entropy on the missing tokens; also the scores and the index of each of them.
fn loss(recovery: &Recovery, batch: &Batch, frames: usize, smoothing: f64) -> (Tensor, Tensor, Tensor) {
    let none = recovery.codes() as i64;
    let features = recovery.sequence(
        &batch.grid(&batch.tokens),
        &batch.grid(&batch.last),
        &batch.grid(&batch.age),
        frames,
    );
    let missing = batch.missing(none);
    let channels = features.size()[1];
    let features = features.permute([0, 2, 3, 1]).reshape([-1, channels]).index_select(0, &missing);
    let last = batch.on_device(&batch.last).index_select(0, &missing);
    let truth = batch.on_device(&batch.truth).index_select(0, &missing);
    let scores = recovery.scores(&features, &last);
    let loss = scores.cross_entropy_loss(&truth, None::<&Tensor>, tch::Reduction::Mean, -100, smoothing);
    (loss, scores, missing)
}

/// Squared distance between the mean code under the scores and the true code, per value.
fn distance(scores: &Tensor, batch: &Batch, missing: &Tensor, codebook: &Tensor) -> Tensor {
    let truth = batch.on_device(&batch.truth).index_select(0, missing);
    let mean = scores.softmax(1, Kind::Float).matmul(codebook);
    (mean - codebook.index_select(0, &truth)).square().mean(Kind::Float)
}

/// Sums over missing tokens of held-out clips.
#[derive(Default)]
struct Sums {
    sequences: f64,
    loss: f64,
    tokens: f64,
    moving: f64,
    right: f64,
    copy_right: f64,
    moving_right: f64,
    error: f64,
    likeliest_error: f64,
    copy_error: f64,
    moving_error: f64,
    likeliest_moving_error: f64,
    copy_moving_error: f64,
}

impl Sums {
    fn add(&mut self, batch: &Batch, loss: f64, scores: &Tensor, missing: &Tensor, codebook: &Tensor) {
        self.sequences += 1.0;
        self.loss += loss;
        let pick = |values: &[i64]| batch.on_device(values).index_select(0, missing);
        let (truth, last, age) = (pick(&batch.truth), pick(&batch.last), pick(&batch.age));
        // Where something can be copied.
        let known = age.gt(0).nonzero().view([-1]);
        let known_of = |t: &Tensor| t.index_select(0, &known);
        let best = choose(scores, codebook, Choice::Likeliest);
        let near = choose(scores, codebook, Choice::Nearest);
        let [truth, last, best, near] = [&truth, &last, &best, &near].map(known_of);
        let moving = truth.not_equal_tensor(&last).to_kind(Kind::Float);
        let distance = |a: &Tensor| {
            (codebook.index_select(0, a) - codebook.index_select(0, &truth)).square().sum_dim_intlist(
                1,
                false,
                Kind::Float,
            )
        };
        let [error, likeliest_error, copy_error] = [&near, &best, &last].map(distance);
        let right = best.eq_tensor(&truth).to_kind(Kind::Float);
        let total = |t: Tensor| t.sum(Kind::Float).double_value(&[]);
        self.tokens += truth.numel() as f64;
        self.moving += total(moving.shallow_clone());
        self.right += total(right.shallow_clone());
        self.copy_right += total(1.0 - &moving);
        self.moving_right += total(&right * &moving);
        self.error += total(error.shallow_clone());
        self.likeliest_error += total(likeliest_error.shallow_clone());
        self.copy_error += total(copy_error.shallow_clone());
        self.moving_error += total(error * &moving);
        self.likeliest_moving_error += total(likeliest_error * &moving);
        self.copy_moving_error += total(copy_error * &moving);
    }

    fn text(&self) -> String {
        let (all, moving) = (self.tokens.max(1.0), self.moving.max(1.0));
        format!(
            "{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4}",
            self.loss / self.sequences.max(1.0),
            self.right / all,
            self.copy_right / all,
            self.moving_right / moving,
            self.error / all,
            self.likeliest_error / all,
            self.copy_error / all,
            self.moving_error / moving,
            self.likeliest_moving_error / moving,
            self.copy_moving_error / moving
        )
    }
}
