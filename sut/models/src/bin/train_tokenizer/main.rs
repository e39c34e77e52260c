//! Trains Reparo's tokenizer on talking heads: `just train-tokenizer`.
//!
//! Two workers of one thread each share a step (threads of one convolution would wait for each other
//! on a busy machine). Per step: crops, features, nearest codes, straight-through to the decoder, the
//! squared error of each crop relative to that of its clip, and the commitment of the features to their
//! codes; the codebook follows by moving averages. Stop it any time; `--resume` goes on.
//!
//! `lite`'s decoder sees codes that came before, so crops are short sequences. In half of the batches tokens get lost, and
//! the decoder sees what recovery (--recovery) or, without it, copying makes of them.
//!
//! Relative to the clip, because the mean PSNR of whole frames is what is reported: within a frame every
//! squared error counts the same, between frames every factor does. The logarithm of each crop's own error
//! would spend the network on making plain walls plainer. `--perceptual` and `--adversarial` add the paper's other
//! terms, which the shipped weights do without.

mod work;

use anyhow::{Context, ensure};
use clap::Parser;
use models::lpips::{Lpips, Net};
use models::token_recovery::{self, Recovery};
use models::tokenizer::{MODEL, Tokenizer, codebook_hash};
use models::train::{
    AdamW, Clip, Codebook, Data, Discriminator, Log, Losses, Options, Random, Schedule, Shape, add_gradients,
    checkpoint, place_of, synthetic_people,
};
use models::{layers, weights};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Kind, Tensor, no_grad};
use work::{Found, Part, Terms, Worker, flat};

/// Trains Reparo's tokenizer.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Options,
    /// The weight file to write
    #[arg(long, default_value = "weights/reparo-tokenizer-lite.safetensors")]
    out: PathBuf,
    /// Begin with the weights of this file instead of fresh ones; a decoder that saw one frame learns to see several
    #[arg(long)]
    start: Option<PathBuf>,
    /// Leave the codebook as it is (with --start), so that recovery weights stay valid, or encoder and codebook
    #[arg(long, requires = "start")]
    freeze: Option<Frozen>,
    /// Recovery weights for that codebook, to guess lost tokens (with --freeze)
    #[arg(long, requires = "freeze")]
    recovery: Option<PathBuf>,
    /// Let recovery learn, too, from the pictures that its guesses become, and write it to this file
    #[arg(long, requires = "recovery")]
    recovery_out: Option<PathBuf>,
    /// Its learning rate as a share of the tokenizer's: it has learnt from more frames than these before
    #[arg(long, default_value_t = 0.15)]
    recovery_rate: f64,
    /// Codes of the codebook
    #[arg(long, default_value_t = 1024)]
    codes: usize,
    /// Pixels of a crop and side
    #[arg(long, default_value_t = 192)]
    crop: usize,
    /// Crops per step, shared by the workers; half as many of 256 pixels in the last quarter
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Weight of the commitment term
    #[arg(long, default_value_t = 0.5)]
    commit: f64,
    /// Weight of LPIPS (of the SqueezeNet) between crops and what is drawn of them
    #[arg(long, default_value_t = 0.0)]
    perceptual: f64,
    /// LPIPS weights for --perceptual
    #[arg(long, default_value = "../shared/weights/lpips/lpips_squeeze_v0.1.safetensors")]
    lpips: PathBuf,
    /// Weight of a patch discriminator's verdict, from half of the training on
    #[arg(long, default_value_t = 0.0)]
    adversarial: f64,
}

/// What does not learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Frozen {
    /// The codebook.
    Codebook,
    /// Encoder and codebook.
    Encoder,
}

/// In front of the names of recovery's weights in states.
const RECOVERY: &str = "recovery.";
/// Steps without the codebook, before k-means makes it.
const UNQUANTISED: u64 = 300;
/// The number of that person: beyond those that anybody trains on.
const STRANGER: u32 = 900;
/// Frames before those that the decoder sees when nothing is lost, at most.
const PREROLL: usize = 2;
/// The same when tokens are.
const LOSSY_PREROLL: usize = 4;
/// Share of batches with losses, and share of those with losses of the sender's own alone.
const LOSSY: f64 = 0.5;
const SELF_DROP: f64 = 0.4;
/// Share of crops of stills.
const STILLS: f64 = 0.5;
/// Of its moving averages, per step.
const CODEBOOK_DECAY: f64 = 0.99;
/// From this share of the training on, crops are larger: the network learns to use its surroundings.
const LARGE_FROM: f64 = 0.75;
const LARGE_CROP: usize = 256;
/// From this share of the training on, the discriminator takes part.
const CRITIC_FROM: f64 = 0.5;
/// Minutes between validations and checkpoints.
const REPORT_MINUTES: f64 = 1.5;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    args.common.begin();
    let data = Data::load(&args.common)?;
    let device = args.common.device;
    let worker = |_| -> anyhow::Result<Worker> {
        let tokenizer = Tokenizer::new(args.common.preset, args.codes, device);
        args.common.convert(tokenizer.store());
        let perceptual = match args.perceptual > 0.0 {
            true => Some(Lpips::load(Net::Squeeze, &args.lpips, device)?),
            false => None,
        };
        let discriminator = (args.adversarial > 0.0).then(|| Discriminator::new(device));
        Ok(Worker { tokenizer, recovery: None, discriminator, perceptual })
    };
    let workers = (0..args.common.workers).map(worker).collect::<anyhow::Result<_>>()?;
    Trainer::new(&args, &data, workers)?.run()
}

/// Frames of a batch's sequences: as many as the decoder sees and some before; now and then fewer, as at the beginning
/// of a call.
fn sequence(slots: usize, lossy: bool, random: &mut Random) -> usize {
    match (slots, lossy) {
        (1, false) => 1,
        _ if random.chance(0.15) => 1 + random.below(slots),
        (_, false) => slots + random.below(PREROLL + 1),
        (_, true) => slots + 1 + random.below(LOSSY_PREROLL),
    }
}

/// How a sequence of a batch loses tokens.
fn draw_losses(lossy: bool, random: &mut Random) -> Losses {
    match lossy {
        false => Losses::NONE,
        true if random.chance(SELF_DROP) => Losses { self_drop: 0.55 * random.unit(), ..Losses::NONE },
        true => Losses::draw(random),
    }
}

/// For what is to learn.
fn optimiser(args: &Args, tokenizer: &Tokenizer) -> AdamW {
    let learns = |name: &str| {
        name != "codebook" && !(args.freeze == Some(Frozen::Encoder) && name.starts_with("encoder."))
    };
    let variables = tokenizer.store().variables();
    AdamW::new(variables.into_iter().filter(|(name, _)| learns(name)).collect(), (0.9, 0.99), 0.01, 0.999)
}

struct Trainer<'a> {
    args: &'a Args,
    data: &'a Data,
    /// A person of the synthetic scene whom no training sees.
    stranger: Clip,
    workers: Vec<Worker>,
    codebook: Codebook,
    optimiser: AdamW,
    discriminator_optimiser: Option<AdamW>,
    /// Of the recovery network, if it learns.
    recovery_optimiser: Option<AdamW>,
    /// Mean squared error of every clip so far, once it is known.
    clip_errors: Vec<Option<f64>>,
    /// Weights that this began with.
    started: BTreeMap<String, Tensor>,
    log: Log,
    step: u64,
    minutes_before: f64,
}

impl<'a> Trainer<'a> {
    fn new(args: &'a Args, data: &'a Data, workers: Vec<Worker>) -> anyhow::Result<Self> {
        let Worker { tokenizer, discriminator, .. } = &workers[0];
        eprintln!("{} parameters", layers::parameters(tokenizer.store()));
        let optimiser = optimiser(args, tokenizer);
        let discriminator_optimiser = discriminator.as_ref().map(|discriminator| {
            AdamW::new(discriminator.store().variables().into_iter().collect(), (0.5, 0.9), 0.01, 0.999)
        });
        let codebook = Codebook::new(tokenizer.codebook(), CODEBOOK_DECAY);
        let header = "step,minutes,rate,loss,train_psnr,commit,alive,perplexity,gradient,validation_psnr,half_psnr,stranger_psnr";
        let log = Log::open(&args.common.work.join("tokenizer.csv"), header)?;
        let pictures = args.common.work.join("pictures");
        let stranger = synthetic_people(STRANGER..STRANGER + 1, 512, &pictures)?.remove(0);
        let mut trainer = Self {
            args,
            data,
            stranger,
            workers,
            codebook,
            optimiser,
            discriminator_optimiser,
            recovery_optimiser: None,
            clip_errors: vec![None; data.clips()],
            started: BTreeMap::new(),
            log,
            step: 0,
            minutes_before: 0.0,
        };
        if let Some(start) = &args.start {
            trainer.start(start)?;
        }
        if let Some(path) = &args.recovery {
            trainer.load_recovery(path)?;
        }
        if args.common.resume {
            trainer.restore().context("failed to resume")?;
        }
        Ok(trainer)
    }

    fn run(mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let schedule = Schedule { peak: self.args.rate, warm_up: 200 };
        let mut sums = [0.0; 5];
        let mut reported = self.minutes_before;
        loop {
            let minutes = self.minutes_before + begin.elapsed().as_secs_f64() / 60.0;
            let progress = self.args.common.progress(self.step, minutes);
            let rate = schedule.rate(self.step, progress);
            let found = self.step(progress, rate);
            self.step += 1;
            if self.step == UNQUANTISED && self.args.start.is_none() {
                self.start_codebook();
            }
            for (sum, value) in sums.iter_mut().zip(found) {
                *sum += value;
            }
            sums[4] += 1.0;
            let last = progress >= 1.0;
            if minutes - reported >= REPORT_MINUTES || last || self.step == 100 {
                let (alive, perplexity) = self.codebook.health();
                let [loss, psnr, commit, norm] = [0, 1, 2, 3].map(|i| sums[i] / sums[4]);
                let [clean, half, stranger] = self.validate();
                self.log.line(&format!(
                    "{},{minutes:.2},{rate:.2e},{loss:.4},{psnr:.2},{commit:.4},{alive:.3},{perplexity:.0},{norm:.2},{clean:.2},{half:.2},{stranger:.2}",
                    self.step
                ))?;
                self.save(minutes)?;
                sums = [0.0; 5];
                reported = minutes;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Every worker gets the recovery network of a file.
    fn load_recovery(&mut self, path: &Path) -> anyhow::Result<()> {
        let Options { preset, device, .. } = self.args.common;
        for index in 0..self.workers.len() {
            let mut recovery = Recovery::load(path, preset, &self.workers[0].tokenizer, device)?;
            self.args.common.convert(recovery.store());
            if self.args.recovery_out.is_none() {
                recovery.store_mut().freeze();
            }
            self.workers[index].recovery = Some(recovery);
        }
        if let (Some(_), Some(recovery)) = (&self.args.recovery_out, &self.workers[0].recovery) {
            let prefixed = |(name, tensor): (String, Tensor)| (format!("{RECOVERY}{name}"), tensor);
            let weights = recovery.store().variables().into_iter().map(prefixed);
            let mut optimiser = AdamW::new(weights.collect(), (0.9, 0.99), 0.01, 0.999);
            let file = weights::Weights::read(path)?;
            optimiser.start(&file.tensors.into_iter().map(prefixed).collect());
            self.recovery_optimiser = Some(optimiser);
        }
        Ok(())
    }

    /// One step of all workers; loss, PSNR, commitment and gradient norm.
    fn step(&mut self, progress: f64, rate: f64) -> [f64; 4] {
        let quantise = self.quantises();
        let (first, others) = self.workers.split_at_mut(1);
        for other in others.iter_mut() {
            let _ = other.tokenizer.store_mut().copy(first[0].tokenizer.store());
            if let (Some(other), Some(first)) = (&mut other.discriminator, &first[0].discriminator) {
                let _ = other.store_mut().copy(first.store());
            }
            if let (Some(other), Some(first)) = (&mut other.recovery, &first[0].recovery) {
                let _ = other.store_mut().copy(first.store());
            }
        }
        let (args, data, step, known) = (self.args, self.data, self.step, &self.clip_errors);
        let workers = self.workers.len();
        let large = progress >= LARGE_FROM;
        let (crop, batch) = if large { (LARGE_CROP, args.batch / 2) } else { (args.crop, args.batch) };
        let adversarial = if progress >= CRITIC_FROM { args.adversarial } else { 0.0 };
        let terms = Terms { commit: args.commit, perceptual: args.perceptual, adversarial };
        let found: Vec<Found> = std::thread::scope(|scope| {
            let work = |(index, worker): (usize, Worker)| {
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    let mut random = Random::of_step(args.common.seed, step * workers as u64 + index as u64);
                    let lossy = quantise && random.chance(LOSSY);
                    let frames = sequence(worker.tokenizer.slots(), lossy, &mut random);
                    let (n, shape) = (batch.div_ceil(workers), Shape { crop, frames, stills: STILLS });
                    let losses = (0..n).map(|_| draw_losses(lossy, &mut random)).collect();
                    let (frames, clips) = data.batch(n, shape, &mut random);
                    let frames = frames.iter().map(|f| f.to_device(args.common.device)).collect();
                    let encoder_learns = args.freeze != Some(Frozen::Encoder);
                    let found = worker.work(&mut Part {
                        frames,
                        losses,
                        random,
                        clips,
                        known,
                        workers,
                        quantise,
                        encoder_learns,
                        terms,
                    });
                    (worker, found)
                })
            };
            // Tensors may move to another thread but not be shared: workers go there and come back.
            let handles: Vec<_> =
                std::mem::take(&mut self.workers).into_iter().enumerate().map(work).collect();
            let done = handles.into_iter().map(|h| h.join().expect("a worker panicked"));
            let (workers, found) = done.unzip();
            self.workers = workers;
            found
        });
        let first = &self.workers[0];
        for other in &self.workers[1..] {
            add_gradients(first.tokenizer.store(), other.tokenizer.store());
            if let (Some(first), Some(other)) = (&first.discriminator, &other.discriminator) {
                add_gradients(first.store(), other.store());
            }
            if let (Some(first), Some(other)) = (&first.recovery, &other.recovery) {
                add_gradients(first.store(), other.store());
            }
        }
        let norm = self.optimiser.step(self.step, rate, 1.0);
        if let Some(optimiser) = self.discriminator_optimiser.as_mut().filter(|_| adversarial > 0.0) {
            let _ = optimiser.step(self.step, rate, 1.0);
        }
        if let Some(optimiser) = &mut self.recovery_optimiser {
            let _ = optimiser.step(self.step, rate * args.recovery_rate, 1.0);
        }
        for &(clip, error) in found.iter().flat_map(|f| &f.errors) {
            let known = &mut self.clip_errors[clip];
            *known = Some(known.map_or(error, |known| known + 0.03 * (error - known)));
        }
        if quantise && args.freeze.is_none() {
            let features = Tensor::cat(&found.iter().map(|f| &f.features).collect::<Vec<_>>(), 0);
            let tokens: Vec<&Tensor> = found.iter().filter_map(|f| f.tokens.as_ref()).collect();
            let tokens = Tensor::cat(&tokens, 0);
            self.codebook.update(&features, &tokens);
            if self.step.is_multiple_of(25) && progress < 0.7 {
                let mut random = Random::of_step(self.args.common.seed ^ 0x5eed, self.step);
                let _ = self.codebook.revive(&features, &tokens, 0.1, &mut random);
            }
        }
        let mean = |value: fn(&Found) -> f64| found.iter().map(value).sum::<f64>() / workers as f64;
        [mean(|f| f.loss), mean(|f| f.psnr), mean(|f| f.commit), norm]
    }

    fn start_codebook(&mut self) {
        let features: Vec<Tensor> = no_grad(|| {
            (0..30)
                .map(|i| {
                    let mut random = Random::of_step(self.args.common.seed ^ 0xc0de, i);
                    let shape = Shape { crop: self.args.crop, frames: 1, stills: STILLS };
                    let (frames, _) = self.data.batch(self.args.batch, shape, &mut random);
                    flat(&self.workers[0].tokenizer.features(&frames[0].to_device(self.args.common.device)))
                })
                .collect()
        });
        let mut random = Random::of_step(self.args.common.seed ^ 0xc0de, 1 << 32);
        self.codebook.start(&Tensor::cat(&features, 0), 12, &mut random);
    }

    /// Mean PSNR of the averaged weights on whole held-out frames: without loss, when senders drop half, and of the synthetic
    /// person without loss.
    fn validate(&mut self) -> [f64; 3] {
        let averaged = self.optimiser.averaged();
        let worker = self.workers.last().expect("at least one worker");
        let variables = worker.tokenizer.store().variables();
        let kept: BTreeMap<&String, Tensor> = variables.iter().map(|(k, v)| (k, v.detach().copy())).collect();
        no_grad(|| {
            for (name, value) in &averaged {
                variables[name].shallow_clone().copy_(value);
            }
            variables["codebook"].shallow_clone().copy_(&self.codebook.state()[0].1);
            let (mut clean, mut half, mut stranger) = (Vec::new(), Vec::new(), Vec::new());
            for clip in self.data.held_out.iter().chain([&self.stranger]) {
                for index in (0..clip.frames()).step_by(clip.frames().div_ceil(8)) {
                    let frames = (worker.tokenizer.slots() + LOSSY_PREROLL).min(index + 1);
                    let [found, lossy] = self.held_out_frame(worker, clip, index, frames);
                    if std::ptr::eq(clip, &raw const self.stranger) {
                        stranger.push(found);
                    } else {
                        clean.push(found);
                        half.push(lossy);
                    }
                }
            }
            for (name, value) in &kept {
                variables[*name].shallow_clone().copy_(value);
            }
            [clean, half, stranger].map(|psnrs| psnrs.iter().sum::<f64>() / psnrs.len().max(1) as f64)
        })
    }

    fn held_out_frame(&self, worker: &Worker, clip: &Clip, index: usize, frames: usize) -> [f64; 2] {
        let side = clip.size as i64;
        let bytes = |age| {
            let bytes = Tensor::from_slice(clip.frame(index - age)).view([1, side, side, 3]);
            bytes.to_device(self.args.common.device)
        };
        let feature = |age| worker.tokenizer.features(&layers::to_signed(&bytes(age)));
        let features: Vec<Tensor> = (0..frames).map(feature).collect();
        [0.0, 0.5].map(|self_drop| {
            let input = match self.quantises() {
                true => {
                    let losses = [Losses { self_drop, ..Losses::NONE }];
                    let mut random = Random::of_step(99, index as u64);
                    worker.received(&features[0], &features[1..], &losses, &mut random).input
                }
                false => worker.tokenizer.input_of_features(&features),
            };
            let drawn = layers::to_bytes(&worker.tokenizer.draw(&input)).to_kind(Kind::Float);
            let error = (drawn - bytes(0).to_kind(Kind::Float)).square().mean(Kind::Float);
            -10.0 * (error.double_value(&[]) / 65025.0 + 1e-8).log10()
        })
    }

    fn save(&self, minutes: f64) -> anyhow::Result<()> {
        let mut state = self.optimiser.state();
        for (name, tensor) in self.codebook.state() {
            state.insert(name.to_owned(), tensor);
        }
        state.extend(self.discriminator_optimiser.iter().flat_map(AdamW::state));
        state.extend(self.recovery_optimiser.iter().flat_map(AdamW::state));
        checkpoint(&self.state_file(), &state, self.step, minutes)?;
        if self.quantises() {
            // What does not learn is as it was in the file, not rounded for this training.
            let mut tensors: BTreeMap<String, Tensor> =
                self.started.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
            tensors.extend(self.optimiser.averaged());
            tensors.insert("codebook".into(), self.codebook.state()[0].1.shallow_clone());
            let hash = codebook_hash(&tensors["codebook"]);
            let about = [("model", MODEL), ("preset", self.args.common.preset.name()), ("codebook", &hash)];
            if let Some(folder) = self.args.out.parent() {
                std::fs::create_dir_all(folder)?;
            }
            weights::write(&self.args.out, &tensors, &about, true)?;
            if let (Some(out), Some(optimiser)) = (&self.args.recovery_out, &self.recovery_optimiser) {
                let plain = |(name, tensor): (String, Tensor)| (name.replacen(RECOVERY, "", 1), tensor);
                let about = [("model", token_recovery::MODEL), about[1], about[2]];
                weights::write(out, &optimiser.averaged().into_iter().map(plain).collect(), &about, true)?;
            }
        }
        Ok(())
    }

    /// Whether there is a codebook yet.
    fn quantises(&self) -> bool {
        self.args.start.is_some() || self.step >= UNQUANTISED
    }

    /// Takes the weights of a file.
    fn start(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut file = weights::Weights::read(path)?;
        file.expect("model", MODEL)?;
        file.expect("preset", self.args.common.preset.name())?;
        let variables = self.workers[0].tokenizer.store().variables();
        let stem = "decoder.stem.weight";
        if let (Some(found), Some(wanted)) = (file.tensors.get_mut(stem), variables.get(stem)) {
            let missing = wanted.size()[1] - found.size()[1];
            if missing > 0 {
                // What it did not see yet comes after what it saw.
                *found = found.constant_pad_nd([0, 0, 0, 0, 0, missing]);
            }
        }
        file.fill(&variables)?;
        self.codebook = Codebook::new(self.workers[0].tokenizer.codebook(), CODEBOOK_DECAY);
        self.optimiser.start(&file.tensors);
        self.started = file.tensors;
        Ok(())
    }

    fn state_file(&self) -> PathBuf {
        self.args.common.work.join("tokenizer.state.safetensors")
    }

    fn restore(&mut self) -> anyhow::Result<()> {
        let state = weights::Weights::read(&self.state_file())?;
        ensure!(self.optimiser.restore(&state.tensors), "the state is of another network");
        if let Some(discriminator) = &mut self.discriminator_optimiser {
            // A training that was begun without a discriminator gets a fresh one.
            let known = state.tensors.keys().any(|name| name.starts_with("discriminator."));
            ensure!(!known || discriminator.restore(&state.tensors), "the state has another discriminator");
        }
        if let Some(recovery) = &mut self.recovery_optimiser {
            ensure!(recovery.restore(&state.tensors), "the state is without recovery");
        }
        for (name, mut tensor) in self.codebook.state() {
            let found = state.tensors.get(name).context("the state lacks the codebook")?;
            ensure!(found.size() == tensor.size(), "the state has another codebook");
            no_grad(|| tensor.copy_(found));
        }
        (self.step, self.minutes_before) = place_of(&state)?;
        Ok(())
    }
}
