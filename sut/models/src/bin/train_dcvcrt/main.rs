//! Trains DCVC-RT-lite: `just train-dcvcrt`.

mod judge;
mod pool;

use anyhow::{Context, ensure};
use clap::Parser;
use judge::Judge;
use models::dcvcrt::lite::MODEL;
use models::dcvcrt::lite::network::{MOST_QP, Network};
use models::train::{AdamW, Log, place_of};
use models::weights::{self, Weights};
use pool::{Batch, Films, Pool};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Trains DCVC-RT-lite on one thread.
#[derive(Parser)]
struct Args {
    /// Folder with real512/, real256/ and images512/
    #[arg(long, default_value = "../shared/media/train")]
    data: PathBuf,
    /// Where decoded pictures, state and log go
    #[arg(long, default_value = "target/dcvcrt-lite")]
    work: PathBuf,
    /// The weight file to write
    #[arg(long, default_value = "weights/dcvcrt-lite.safetensors")]
    out: PathBuf,
    /// Goes on until stopped unless told a number of steps
    #[arg(long)]
    steps: Option<u64>,
    /// Decides weights, sequences, losses and everything else that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on from the state in the work folder, exactly as if it had not stopped there
    #[arg(long)]
    resume: bool,
    /// Sequences that a step takes a frame of
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Sequences that are under way
    #[arg(long, default_value_t = 32)]
    pool: usize,
    /// Pixels of a side of a sequence, a multiple of 64
    #[arg(long, default_value_t = 128)]
    crop: usize,
    /// Learning rate after the warm-up
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Step from which on the learning rate falls, with the root of the steps
    #[arg(long, default_value_t = 20_000)]
    falls: u64,
    /// Steps until a bit costs what it should; the first one costs a fiftieth, so that latents come to mean something before they become
    /// fewer
    #[arg(long, default_value_t = 2000)]
    cheap: u64,
    /// How much the picture of a decoder that lost frames counts beside that of one that lost none, 0..1
    #[arg(long, default_value_t = 0.5)]
    stale: f64,
    /// Steps between measurements; the state is written then
    #[arg(long, default_value_t = 1000)]
    report: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(1);
    models::memory::keep_freed();
    tch::manual_seed(args.seed as i64);
    ensure!(args.crop > 0 && args.crop % 64 == 0, "--crop {}: a multiple of 64", args.crop);
    ensure!(
        args.pool >= args.batch && args.batch > 0,
        "--pool {} is less than --batch {}",
        args.pool,
        args.batch
    );
    let films = Films::load(&args.data, &args.work)?;
    let net = Network::new(Device::Cpu);
    eprintln!("{} parameters", models::layers::parameters(net.store()));
    Trainer::new(&args, net, films)?.run()
}

/// Bits a pixel that a squared level of error is worth. What a frame's bits improve is what later frames refer to, which no gradient tells:
/// so it is several times what one frame by itself is worth (x264's rate grows by 0.002 to 0.01 for a level between 35 and 40 dB).
fn exchange(qp: u8) -> f64 {
    0.0006 * 60f64.powf(f64::from(qp) / f64::from(MOST_QP))
}

struct Trainer<'a> {
    args: &'a Args,
    net: Network,
    /// With the averaged weights, for measurements.
    measured: Network,
    films: Films,
    pool: Pool,
    judge: Judge,
    optimiser: AdamW,
    log: Log,
    step: u64,
    minutes_before: f64,
}

impl<'a> Trainer<'a> {
    fn new(args: &'a Args, net: Network, films: Films) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&args.work)?;
        let weights: BTreeMap<String, Tensor> = net.store().variables().into_iter().collect();
        let optimiser = AdamW::new(weights, (0.9, 0.98), 0.01, 0.999);
        let log = Log::open(
            &args.work.join("dcvcrt.csv"),
            &format!("step,minutes,rate,loss,bits_per_pixel,error,error_stale,gradient,{}", Judge::header()),
        )?;
        let judge = Judge::new(&films)?;
        let pool = Pool::new(args.seed, args.pool, args.crop);
        let measured = Network::new(Device::Cpu);
        let mut trainer =
            Self { args, net, measured, films, pool, judge, optimiser, log, step: 0, minutes_before: 0.0 };
        if args.resume {
            let state = Weights::read(&trainer.state_file()).context("failed to resume")?;
            ensure!(trainer.optimiser.restore(&state.tensors), "the state is of another network");
            (trainer.step, trainer.minutes_before) = place_of(&state)?;
            trainer.pool.restore(&state, &trainer.films)?;
        }
        Ok(trainer)
    }

    fn state_file(&self) -> PathBuf {
        self.args.work.join("dcvcrt.state.safetensors")
    }

    fn run(mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut sums = [0.0; 6];
        while self.args.steps.is_none_or(|steps| self.step < steps) {
            let rate = self.rate();
            let found = self.step(rate)?;
            self.step += 1;
            for (sum, value) in sums.iter_mut().zip(found) {
                *sum += value;
            }
            sums[5] += 1.0;
            if self.step.is_multiple_of(self.args.report) || self.args.steps == Some(self.step) {
                let minutes = self.minutes_before + begin.elapsed().as_secs_f64() / 60.0;
                let mean = |i: usize| sums[i] / sums[5];
                let about = format!(
                    "{rate:.2e},{:.4},{:.4},{:.2},{:.2},{:.2}",
                    mean(0),
                    mean(1),
                    mean(2),
                    mean(3),
                    mean(4)
                );
                self.report(minutes, &about)?;
                sums = [0.0; 6];
            }
        }
        Ok(())
    }

    fn rate(&self) -> f64 {
        let warm = ((self.step + 1) as f64 / 300.0).min(1.0);
        let fall = (self.args.falls as f64 / self.step.max(self.args.falls) as f64).sqrt();
        self.args.rate * warm * fall
    }

    /// One frame of some sequences: loss, bits per pixel, squared error of the sender's pictures, of those of a receiver that lost
    /// frames, norm of the gradient.
    fn step(&mut self, rate: f64) -> anyhow::Result<[f64; 5]> {
        let first = self.step as usize * self.args.batch % self.args.pool;
        let chosen: Vec<usize> = (first..first + self.args.batch).map(|i| i % self.args.pool).collect();
        let Batch { current, predicted, stale, motion, qp, whole } = self.pool.next(&chosen, &self.films)?;
        let n = chosen.len() as i64;
        let latents = self.net.analyse(&current, &predicted, &qp);
        let coded = self.net.code(&latents, &motion, &qp);
        // A receiver that lost frames draws the same latents on what it has.
        let behind: Vec<i64> = (0..n).filter(|&i| !whole[i as usize]).collect();
        let behind = Tensor::from_slice(&behind);
        let with = |t: &Tensor, other: &Tensor| Tensor::cat(&[t, &other.index_select(0, &behind)], 0);
        let references = with(&predicted, &stale);
        let drawn = self.net.synthesise(&with(&coded.latents, &coded.latents), &references);
        let dims = [1i64, 2, 3];
        let error = (&drawn - with(&current, &current)).square();
        let error = error.mean_dim(dims.as_slice(), false, Kind::Float) * 65025.0;
        let clean = error.narrow(0, 0, n);
        let lossy = clean.index_copy(0, &behind, &error.narrow(0, n, error.size()[0] - n));
        let share = self.args.stale;
        let bit = 50f64.powf((self.step as f64 / self.args.cheap.max(1) as f64).min(1.0) - 1.0);
        let price: Vec<f32> = qp.iter().map(|&qp| (exchange(qp) / bit) as f32).collect();
        let pixels = (self.args.crop * self.args.crop) as f64;
        let bits = &coded.bits / pixels;
        let sum: Tensor = &clean * (1.0 - share) + &lossy * share + &bits / Tensor::from_slice(&price);
        let loss = (sum + 1.0).log().mean(Kind::Float);
        loss.backward();
        let norm = self.optimiser.step(self.step, rate, 1.0);
        self.pool.drawn(&chosen, &whole, &drawn.detach());
        let mean = |t: &Tensor| t.mean(Kind::Float).double_value(&[]);
        Ok([loss.double_value(&[]), mean(&bits), mean(&clean), mean(&lossy), norm])
    }

    /// Writes the state, measures the averaged weights and writes them.
    fn report(&mut self, minutes: f64, about: &str) -> anyhow::Result<()> {
        let mut state = self.optimiser.state();
        state.extend(self.pool.state());
        let metadata = self.pool.places();
        let (step, time) = (self.step.to_string(), minutes.to_string());
        weights::write(
            &self.state_file(),
            &state,
            &[("step", &step), ("minutes", &time), ("pool", &metadata)],
            false,
        )?;
        let averaged = self.optimiser.averaged();
        tch::no_grad(|| {
            for (name, variable) in self.measured.store().variables() {
                variable.shallow_clone().copy_(&averaged[&name]);
            }
        });
        let text = self.judge.measure(&self.measured)?;
        self.log.line(&format!("{},{minutes:.2},{about},{text}", self.step))?;
        if let Some(folder) = self.args.out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        weights::write(&self.args.out, &averaged, &[("model", MODEL)], true)?;
        Ok(())
    }
}
