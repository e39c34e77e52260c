//! Trains Reparo's tokenizer on talking heads: `just train-tokenizer`.
//!
//! Two workers of one thread each share a step (threads of one convolution would wait for each other
//! on a busy machine). Per step: crops, features, nearest codes, straight-through to the decoder, the
//! squared error of each crop relative to that of its clip, and the commitment of the features to their
//! codes; the codebook follows by moving averages. Stop it any time; `--resume` goes on.
//!
//! Relative to the clip, because the mean PSNR of whole frames is what is reported: within a frame every
//! squared error counts the same, between frames every factor does. The logarithm of each crop's own error
//! would spend the network on making plain walls plainer.

use anyhow::{Context, ensure};
use clap::Parser;
use models::tokenizer::{MODEL, Tokenizer, codebook_hash};
use models::train::{
    AdamW, Clip, Codebook, Log, Options, Random, Schedule, add_gradients, augment, checkpoint, load_images,
    load_videos, place_of, synthetic_people,
};
use models::{layers, weights};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Kind, Tensor, no_grad};

/// Trains Reparo's tokenizer.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Options,
    /// The weight file to write
    #[arg(long, default_value = "weights/reparo-tokenizer-lite.safetensors")]
    out: PathBuf,
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
}

/// Steps without the codebook, before k-means makes it.
const UNQUANTISED: u64 = 300;
/// From this share of the training on, crops are larger: the network learns to use its surroundings.
const LARGE_FROM: f64 = 0.75;
const LARGE_CROP: usize = 256;
/// Clips that training never sees: the validation curve is measured on them.
const HELD_OUT: [&str; 2] = ["t08_lp_s29", "t20_vr_face3"];
/// Minutes between validations and checkpoints.
const REPORT_MINUTES: f64 = 1.5;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(1);
    models::memory::keep_freed();
    tch::manual_seed(args.common.seed as i64);
    let data = Data::load(&args)?;
    let replicas: Vec<Tokenizer> = (0..args.common.workers)
        .map(|_| Tokenizer::new(args.common.preset, args.codes, args.common.device))
        .collect();
    replicas.iter().for_each(|replica| args.common.convert(replica.store()));
    Trainer::new(&args, &data, replicas)?.run()
}

struct Data {
    videos: Vec<Clip>,
    images: Vec<Clip>,
    synthetic: Vec<Clip>,
    held_out: Vec<Clip>,
}

impl Data {
    fn load(args: &Args) -> anyhow::Result<Self> {
        let cache = args.common.work.join("pictures");
        let mut videos = load_videos(&args.common.data.join("real512"), &cache, 512, 3)?;
        videos.extend(load_videos(&args.common.data.join("real256"), &cache, 256, 6)?);
        let (held_out, videos): (Vec<_>, Vec<_>) =
            videos.into_iter().partition(|c| HELD_OUT.contains(&c.name.as_str()));
        let images = load_images(&args.common.data.join("images512"), &cache, 512)?;
        ensure!(!videos.is_empty() && !images.is_empty(), "no training pictures");
        let frames: usize = videos.iter().map(Clip::frames).sum();
        eprintln!("{} videos ({frames} frames), {} images", videos.len(), images.len());
        Ok(Self { videos, images, synthetic: synthetic_people(512)?, held_out })
    }

    /// All clips, and one number for joined crops.
    fn clips(&self) -> usize {
        self.videos.len() + self.images.len() + self.synthetic.len() + 1
    }

    /// One crop, `[1, 3, crop, crop]`, and the number of its clip.
    fn crop(&self, crop: usize, random: &mut Random) -> (Tensor, usize) {
        let (mut picture, mut clip) = self.plain_crop(crop, random);
        if random.chance(0.12) {
            picture = augment::joined(&picture, &self.plain_crop(crop, random).0, random);
            clip = self.clips() - 1;
        }
        if random.chance(0.6) {
            picture = augment::relit(&picture, random);
        }
        if random.chance(0.15) {
            picture = augment::refocused(&picture, random);
        }
        (picture, clip)
    }

    /// A part of a picture, zoomed and turned, and the number of its clip.
    fn plain_crop(&self, crop: usize, random: &mut Random) -> (Tensor, usize) {
        let kind = random.unit();
        let (group, before) = match kind {
            _ if kind < 0.1 => (&self.synthetic, self.videos.len() + self.images.len()),
            _ if kind < 0.5 => (&self.images, self.videos.len()),
            _ => (&self.videos, 0),
        };
        let index = random.below(group.len());
        let clip = &group[index];
        let frame = clip.frame(random.below(clip.frames()));
        // A third of the crops is zoomed, from 1.4 times as large to half as large.
        let zoom = if random.chance(0.35) { 2f64.powf(1.5 * random.unit() - 0.5) } else { 1.0 };
        let side = ((crop as f64 * zoom).round() as usize).min(clip.size);
        let (x, y) = (random.below(clip.size - side + 1), random.below(clip.size - side + 1));
        let mut bytes = Vec::with_capacity(3 * side * side);
        for row in y..y + side {
            bytes.extend_from_slice(&frame[3 * (row * clip.size + x)..][..3 * side]);
        }
        let (side, crop) = (side as i64, crop as i64);
        let mut picture = layers::to_signed(&Tensor::from_slice(&bytes).view([1, side, side, 3]));
        if side != crop {
            picture = picture.internal_upsample_bilinear2d_aa([crop, crop], false, None, None);
        }
        (augment::turned(picture, random), before + index)
    }

    fn batch(&self, n: usize, crop: usize, random: &mut Random) -> (Tensor, Vec<usize>) {
        let (crops, clips): (Vec<Tensor>, Vec<usize>) = (0..n).map(|_| self.crop(crop, random)).unzip();
        (layers::channels_last(&Tensor::cat(&crops, 0)), clips)
    }
}

/// What one worker found in one step.
struct Found {
    loss: f64,
    /// Clip and mean squared error of each crop; full scale is 2.
    errors: Vec<(usize, f64)>,
    psnr: f64,
    commit: f64,
    features: Tensor,
    tokens: Option<Tensor>,
}

struct Trainer<'a> {
    args: &'a Args,
    data: &'a Data,
    replicas: Vec<Tokenizer>,
    codebook: Codebook,
    optimiser: AdamW,
    /// Mean squared error of every clip so far, once it is known.
    clip_errors: Vec<Option<f64>>,
    log: Log,
    step: u64,
    minutes_before: f64,
}

impl<'a> Trainer<'a> {
    fn new(args: &'a Args, data: &'a Data, replicas: Vec<Tokenizer>) -> anyhow::Result<Self> {
        let weights: BTreeMap<String, Tensor> =
            replicas[0].store().variables().into_iter().filter(|(_, t)| t.requires_grad()).collect();
        eprintln!("{} parameters", layers::parameters(replicas[0].store()));
        let optimiser = AdamW::new(weights, (0.9, 0.99), 0.01, 0.999);
        let codebook = Codebook::new(replicas[0].codebook(), 0.99);
        let header = "step,minutes,rate,loss,train_psnr,commit,alive,perplexity,gradient,validation_psnr";
        let log = Log::open(&args.common.work.join("tokenizer.csv"), header)?;
        let mut trainer = Self {
            args,
            data,
            replicas,
            codebook,
            optimiser,
            clip_errors: vec![None; data.clips()],
            log,
            step: 0,
            minutes_before: 0.0,
        };
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
            if self.step == UNQUANTISED {
                self.start_codebook();
            }
            let rate = schedule.rate(self.step, progress);
            let found = self.step(progress, rate);
            self.step += 1;
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
        let quantise = self.step >= UNQUANTISED;
        let (first, others) = self.replicas.split_at_mut(1);
        for other in others.iter_mut() {
            let _ = other.store_mut().copy(first[0].store());
        }
        let (args, data, step, known) = (self.args, self.data, self.step, &self.clip_errors);
        let workers = self.replicas.len();
        let large = progress >= LARGE_FROM;
        let (crop, batch) = if large { (LARGE_CROP, args.batch / 2) } else { (args.crop, args.batch) };
        let found: Vec<Found> = std::thread::scope(|scope| {
            let handles: Vec<_> = self
                .replicas
                .iter_mut()
                .enumerate()
                .map(|(index, replica)| {
                    scope.spawn(move || {
                        tch::set_num_threads(1);
                        let mut random =
                            Random::of_step(args.common.seed, step * workers as u64 + index as u64);
                        let (batch, clips) = data.batch(batch.div_ceil(workers), crop, &mut random);
                        let batch = batch.to_device(args.common.device);
                        let part = Part { batch, clips, known, workers };
                        work(replica, &part, quantise, args.commit)
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().expect("a worker panicked")).collect()
        });
        for other in &self.replicas[1..] {
            add_gradients(self.replicas[0].store(), other.store());
        }
        let norm = self.optimiser.step(self.step, rate, 1.0);
        for &(clip, error) in found.iter().flat_map(|f| &f.errors) {
            let known = &mut self.clip_errors[clip];
            *known = Some(known.map_or(error, |known| known + 0.03 * (error - known)));
        }
        if quantise {
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
                    let (batch, _) = self.data.batch(self.args.batch, self.args.crop, &mut random);
                    flat(&self.replicas[0].features(&batch.to_device(self.args.common.device)))
                })
                .collect()
        });
        let mut random = Random::of_step(self.args.common.seed ^ 0xc0de, 1 << 32);
        self.codebook.start(&Tensor::cat(&features, 0), 12, &mut random);
    }

    /// Mean PSNR of the averaged weights on whole held-out frames.
    fn validate(&mut self) -> f64 {
        let averaged = self.optimiser.averaged();
        let replica = self.replicas.last_mut().expect("at least one worker");
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
                    let bytes = Tensor::from_slice(clip.frame(index)).view([1, side, side, 3]);
                    let bytes = bytes.to_device(self.args.common.device);
                    let picture = layers::to_signed(&bytes);
                    let mut codes = replica.features(&picture);
                    if self.step > UNQUANTISED {
                        codes = replica.embed(&replica.quantise(&codes).0);
                    }
                    let drawn = layers::to_bytes(&replica.draw(&codes)).to_kind(Kind::Float);
                    let error = (drawn - bytes.to_kind(Kind::Float)).square().mean(Kind::Float);
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
        checkpoint(&self.state_file(), &state, self.step, minutes)?;
        if self.step > UNQUANTISED {
            let mut tensors = self.optimiser.averaged();
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

    fn state_file(&self) -> PathBuf {
        self.args.common.work.join("tokenizer.state.safetensors")
    }

    fn restore(&mut self) -> anyhow::Result<()> {
        let state = weights::Weights::read(&self.state_file())?;
        ensure!(self.optimiser.restore(&state.tensors), "the state is of another network");
        for (name, mut tensor) in self.codebook.state() {
            let found = state.tensors.get(name).context("the state lacks the codebook")?;
            ensure!(found.size() == tensor.size(), "the state has another codebook");
            no_grad(|| tensor.copy_(found));
        }
        (self.step, self.minutes_before) = place_of(&state)?;
        Ok(())
    }
}

fn flat(features: &Tensor) -> Tensor {
    features.reshape([-1, features.size()[3]])
}

/// What one worker takes into a step.
struct Part<'a> {
    batch: Tensor,
    /// Of each crop.
    clips: Vec<usize>,
    /// Mean squared error of every clip.
    known: &'a [Option<f64>],
    workers: usize,
}

/// Forward and backward of one worker's crops; its gradients are added up in its replica.
fn work(replica: &Tokenizer, part: &Part, quantise: bool, commit: f64) -> Found {
    let Part { batch, clips, known, workers } = part;
    let z = replica.features(batch);
    let (codes, tokens, distance, targets) = if quantise {
        let (tokens, targets) = no_grad(|| replica.quantise(&z));
        let codes = replica.embed(&tokens);
        // Against what the code was chosen for: the error that neighbours handed on is not this feature's.
        let carried = &targets - &z.detach();
        let distance = (&z + carried - &codes).square().mean(Kind::Float);
        // Straight through: the decoder sees codes, the encoder gets the decoder's gradient.
        (&z + (codes - &z).detach(), Some(tokens.view([-1])), distance, targets)
    } else {
        (z.shallow_clone(), None, z.zeros_like().mean(Kind::Float), z.detach())
    };
    let mse = (replica.draw(&codes) - batch).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    let errors = Vec::<f32>::try_from(&mse.detach().to_device(Device::Cpu)).unwrap_or_default();
    let errors: Vec<(usize, f64)> = clips.iter().copied().zip(errors.into_iter().map(f64::from)).collect();
    // The floor (40 dB) keeps plain clips from ruling the mean.
    let scale = |&(clip, error): &(usize, f64)| (1.0 / (known[clip].unwrap_or(error) + 4e-4)) as f32;
    let scales: Vec<f32> = errors.iter().map(scale).collect();
    let relative = (&mse * Tensor::from_slice(&scales).to_device(mse.device())).mean(Kind::Float);
    let loss = relative * 0.5 + &distance * commit;
    (&loss / *workers as f64).backward();
    let psnr = (mse / 4.0 + 1e-8).log10().mean(Kind::Float).double_value(&[]) * -10.0;
    Found {
        loss: loss.double_value(&[]),
        errors,
        psnr,
        commit: distance.double_value(&[]),
        features: flat(&targets),
        tokens,
    }
}
