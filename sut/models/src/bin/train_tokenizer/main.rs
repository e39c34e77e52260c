//! Trains Reparo's tokenizer on talking heads: `just train-tokenizer`.
//!
//! Two workers of one thread each share a step (threads of one convolution would wait for each other
//! on a busy machine). Per step: crops, features, nearest codes, straight-through to the decoder, the
//! squared error of each crop relative to that of its clip, and the commitment of the features to their
//! codes; the codebook follows by moving averages. Stop it any time; `--resume` goes on.
//!
//! `lite`'s decoder sees the codes of earlier frames, so crops are short sequences; in some of them tokens are lost.
//!
//! Relative to the clip, because the mean PSNR of whole frames is what is reported: within a frame every
//! squared error counts the same, between frames every factor does. The logarithm of each crop's own error
//! would spend the network on making plain walls plainer. `--perceptual` and `--adversarial` add the paper's other
//! terms, which the shipped weights do without.

mod data;
mod losses;
mod work;

use anyhow::{Context, ensure};
use clap::Parser;
use data::{Data, Shape};
use models::lpips::{Lpips, Net};
use models::tokenizer::{Carry, MODEL, Tokenizer, codebook_hash};
use models::train::{
    AdamW, Codebook, Critic, Log, Options, Random, Schedule, add_gradients, checkpoint, place_of,
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
    /// Leave encoder and codebook as they are (with --start), so that recovery weights stay valid
    #[arg(long, requires = "start")]
    decoder_only: bool,
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

/// Steps without the codebook, before k-means makes it.
const UNQUANTISED: u64 = 300;
/// Frames before those that the decoder sees, at most.
const PREROLL: usize = 2;
/// Of its moving averages, per step.
const CODEBOOK_DECAY: f64 = 0.99;
/// From this share of the training on, crops are larger: the network learns to use its surroundings.
const LARGE_FROM: f64 = 0.75;
const LARGE_CROP: usize = 256;
/// From this share of the training on, the critic takes part.
const CRITIC_FROM: f64 = 0.5;
/// Minutes between validations and checkpoints.
const REPORT_MINUTES: f64 = 1.5;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(1);
    models::memory::keep_freed();
    tch::manual_seed(args.common.seed as i64);
    let data = Data::load(&args)?;
    let device = args.common.device;
    let worker = |_| -> anyhow::Result<Worker> {
        let tokenizer = Tokenizer::new(args.common.preset, args.codes, device);
        args.common.convert(tokenizer.store());
        let perceptual = match args.perceptual > 0.0 {
            true => Some(Lpips::load(Net::Squeeze, &args.lpips, device)?),
            false => None,
        };
        let critic = (args.adversarial > 0.0).then(|| Critic::new(device));
        Ok(Worker { tokenizer, critic, perceptual })
    };
    let workers = (0..args.common.workers).map(worker).collect::<anyhow::Result<_>>()?;
    Trainer::new(&args, &data, workers)?.run()
}

/// Frames of a sequence: as many as the decoder sees and some before that only hand errors on; now and then fewer,
/// as at the beginning of a call.
fn sequence(seen: usize, random: &mut Random) -> usize {
    match seen {
        1 => 1,
        _ if random.chance(0.15) => 1 + random.below(seen),
        _ => seen + random.below(PREROLL + 1),
    }
}

/// For what is to learn.
fn optimiser(args: &Args, tokenizer: &Tokenizer) -> AdamW {
    let learns = |name: &str| name != "codebook" && !(args.decoder_only && name.starts_with("encoder."));
    let variables = tokenizer.store().variables();
    AdamW::new(variables.into_iter().filter(|(name, _)| learns(name)).collect(), (0.9, 0.99), 0.01, 0.999)
}

struct Trainer<'a> {
    args: &'a Args,
    data: &'a Data,
    workers: Vec<Worker>,
    codebook: Codebook,
    optimiser: AdamW,
    critic_optimiser: Option<AdamW>,
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
        let Worker { tokenizer, critic, .. } = &workers[0];
        eprintln!("{} parameters", layers::parameters(tokenizer.store()));
        let optimiser = optimiser(args, tokenizer);
        let critic_optimiser = critic.as_ref().map(|critic| {
            AdamW::new(critic.store().variables().into_iter().collect(), (0.5, 0.9), 0.01, 0.999)
        });
        let codebook = Codebook::new(tokenizer.codebook(), CODEBOOK_DECAY);
        let header = "step,minutes,rate,loss,train_psnr,commit,alive,perplexity,gradient,validation_psnr";
        let log = Log::open(&args.common.work.join("tokenizer.csv"), header)?;
        let mut trainer = Self {
            args,
            data,
            workers,
            codebook,
            optimiser,
            critic_optimiser,
            clip_errors: vec![None; data.clips()],
            started: BTreeMap::new(),
            log,
            step: 0,
            minutes_before: 0.0,
        };
        if let Some(start) = &args.start {
            trainer.start(start)?;
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
                let validation = self.validate();
                self.log.line(&format!(
                    "{},{minutes:.2},{rate:.2e},{loss:.4},{psnr:.2},{commit:.4},{alive:.3},{perplexity:.0},{norm:.2},{validation:.2}",
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

    /// One step of all workers; loss, PSNR, commitment and gradient norm.
    fn step(&mut self, progress: f64, rate: f64) -> [f64; 4] {
        let quantise = self.quantises();
        let (first, others) = self.workers.split_at_mut(1);
        for other in others.iter_mut() {
            let _ = other.tokenizer.store_mut().copy(first[0].tokenizer.store());
            if let (Some(other), Some(first)) = (&mut other.critic, &first[0].critic) {
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
                    let frames = sequence(worker.tokenizer.frames_seen(), &mut random);
                    let shape = Shape { crop, frames };
                    let (frames, clips) = data.batch(batch.div_ceil(workers), shape, &mut random);
                    let frames = frames.iter().map(|f| f.to_device(args.common.device)).collect();
                    let decoder_only = args.decoder_only;
                    let found = worker.work(&mut Part {
                        frames,
                        random,
                        clips,
                        known,
                        workers,
                        quantise,
                        decoder_only,
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
            if let (Some(first), Some(other)) = (&first.critic, &other.critic) {
                add_gradients(first.store(), other.store());
            }
        }
        let norm = self.optimiser.step(self.step, rate, 1.0);
        if let Some(optimiser) = self.critic_optimiser.as_mut().filter(|_| adversarial > 0.0) {
            let _ = optimiser.step(self.step, rate, 1.0);
        }
        for &(clip, error) in found.iter().flat_map(|f| &f.errors) {
            let known = &mut self.clip_errors[clip];
            *known = Some(known.map_or(error, |known| known + 0.03 * (error - known)));
        }
        if quantise && !args.decoder_only {
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
                    let shape = Shape { crop: self.args.crop, frames: 1 };
                    let (frames, _) = self.data.batch(self.args.batch, shape, &mut random);
                    flat(&self.workers[0].tokenizer.features(&frames[0].to_device(self.args.common.device)))
                })
                .collect()
        });
        let mut random = Random::of_step(self.args.common.seed ^ 0xc0de, 1 << 32);
        self.codebook.start(&Tensor::cat(&features, 0), 12, &mut random);
    }

    /// Mean PSNR of the averaged weights on whole held-out frames.
    fn validate(&mut self) -> f64 {
        let averaged = self.optimiser.averaged();
        let replica = &self.workers.last().expect("at least one worker").tokenizer;
        let kept: BTreeMap<String, Tensor> =
            replica.store().variables().into_iter().map(|(k, v)| (k, v.detach().copy())).collect();
        no_grad(|| {
            let variables = replica.store().variables();
            for (name, value) in &averaged {
                variables[name].shallow_clone().copy_(value);
            }
            variables["codebook"].shallow_clone().copy_(&self.codebook.state()[0].1);
            let mut psnrs = Vec::new();
            for clip in &self.data.held_out {
                for index in (0..clip.frames()).step_by(clip.frames().div_ceil(8)) {
                    let side = clip.size as i64;
                    let bytes = |age| {
                        let bytes = Tensor::from_slice(clip.frame(index - age)).view([1, side, side, 3]);
                        bytes.to_device(self.args.common.device)
                    };
                    let mut carry = Carry::default();
                    let mut codes = |age| {
                        let features = replica.features(&layers::to_signed(&bytes(age)));
                        match self.quantises() {
                            true => replica.embed(&replica.quantise(&features, &mut carry).0),
                            false => features,
                        }
                    };
                    let frames = (replica.frames_seen() + PREROLL).min(index + 1);
                    let mut seen: Vec<Tensor> = (0..frames).rev().map(&mut codes).collect();
                    seen.reverse();
                    let drawn = layers::to_bytes(&replica.draw(&seen)).to_kind(Kind::Float);
                    let error = (drawn - bytes(0).to_kind(Kind::Float)).square().mean(Kind::Float);
                    psnrs.push(-10.0 * (error.double_value(&[]) / 65025.0 + 1e-8).log10());
                }
            }
            for (name, value) in &kept {
                variables[name].shallow_clone().copy_(value);
            }
            psnrs.iter().sum::<f64>() / psnrs.len().max(1) as f64
        })
    }

    fn save(&self, minutes: f64) -> anyhow::Result<()> {
        let mut state = self.optimiser.state();
        for (name, tensor) in self.codebook.state() {
            state.insert(name.to_owned(), tensor);
        }
        state.extend(self.critic_optimiser.iter().flat_map(AdamW::state));
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
        if let Some(critic) = &mut self.critic_optimiser {
            // A training that was begun without a critic gets a fresh one.
            let known = state.tensors.keys().any(|name| name.starts_with("critic."));
            ensure!(!known || critic.restore(&state.tensors), "the state has another critic");
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
