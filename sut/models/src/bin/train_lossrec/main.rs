//! Trains LossRec-lite on damaged frames of sessions: `just train-lossrec`.

mod judge;
mod loss;

use anyhow::{Context, ensure};
use clap::Parser;
use judge::Judge;
use models::layers::Precision;
use models::lossrec::lite::{Lite, MODEL, Planes};
use models::lossrec::samples::{About, Samples};
use models::train::{AdamW, Log, Random, Schedule, checkpoint, place_of};
use models::weights::{self, Weights};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Trains LossRec-lite on one thread.
#[derive(Parser)]
struct Args {
    /// Folder of samples (`freezeframe lossrec samples`)
    #[arg(long, default_value = "target/lossrec/samples")]
    data: PathBuf,
    /// Folder of samples of clips that training does not see: the curve and the gate are measured on them
    #[arg(long, default_value = "target/lossrec/held-out-samples")]
    held_out: PathBuf,
    /// Where state and log go
    #[arg(long, default_value = "target/lossrec")]
    work: PathBuf,
    /// The weight file to write
    #[arg(long, default_value = "weights/lossrec-lite.safetensors")]
    out: PathBuf,
    /// Wall-clock budget; the learning rate falls to its end over it
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Decides weights, samples and everything else that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on from the state in the work folder
    #[arg(long)]
    resume: bool,
    /// Samples per step
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Pixels of a side of what a step sees of a sample, a multiple of 32
    #[arg(long, default_value_t = 192)]
    crop: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Weight of structural similarity beside the squared error
    #[arg(long, default_value_t = 0.3)]
    structure: f64,
    /// Held-out samples per measurement
    #[arg(long, default_value_t = 160)]
    judged: usize,
    /// Minutes between measurements
    #[arg(long, default_value_t = 3.0)]
    report: f64,
    /// fp32, bf16, or the fastest of this CPU
    #[arg(long, default_value = "auto", value_parser = Precision::from_name)]
    precision: Precision,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(1);
    models::memory::keep_freed();
    tch::manual_seed(args.seed as i64);
    let samples = Samples::open(&args.data)?;
    let judge = Judge::new(Samples::open(&args.held_out)?, args.judged);
    let net = Lite::new(Device::Cpu);
    eprintln!("{} parameters, {} samples", models::layers::parameters(net.store()), samples.len());
    net.set_precision(args.precision);
    Trainer::new(&args, net, samples, judge)?.run()
}

struct Trainer<'a> {
    args: &'a Args,
    net: Lite,
    /// With the averaged weights, for measurements.
    measured: Lite,
    samples: Samples,
    judge: Judge,
    optimiser: AdamW,
    log: Log,
    step: u64,
    minutes_before: f64,
}

impl<'a> Trainer<'a> {
    fn new(args: &'a Args, net: Lite, samples: Samples, judge: Judge) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&args.work)?;
        let weights: BTreeMap<String, Tensor> = net.store().variables().into_iter().collect();
        let optimiser = AdamW::new(weights, (0.9, 0.98), 0.02, 0.998);
        let log = Log::open(
            &args.work.join("lossrec.csv"),
            &format!("step,minutes,rate,loss,gradient,{}", Judge::header()),
        )?;
        let measured = Lite::new(Device::Cpu);
        measured.set_precision(args.precision);
        let mut trainer =
            Self { args, net, measured, samples, judge, optimiser, log, step: 0, minutes_before: 0.0 };
        if args.resume {
            let state = Weights::read(&trainer.state_file()).context("failed to resume")?;
            ensure!(trainer.optimiser.restore(&state.tensors), "the state is of another network");
            (trainer.step, trainer.minutes_before) = place_of(&state)?;
        }
        Ok(trainer)
    }

    fn state_file(&self) -> PathBuf {
        self.args.work.join("lossrec.state.safetensors")
    }

    fn run(mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let schedule = Schedule { peak: self.args.rate, warm_up: 200 };
        let (mut sums, mut reported) = ([0.0; 3], self.minutes_before);
        loop {
            let minutes = self.minutes_before + begin.elapsed().as_secs_f64() / 60.0;
            let progress = minutes / self.args.minutes;
            let rate = schedule.rate(self.step, progress);
            if minutes - reported >= self.args.report || progress >= 1.0 {
                let [loss, norm] = [0, 1].map(|i| sums[i] / f64::max(sums[2], 1.0));
                self.report(minutes, &format!("{rate:.2e},{loss:.4},{norm:.2}"))?;
                (sums, reported) = ([0.0; 3], minutes);
                if progress >= 1.0 {
                    return Ok(());
                }
            }
            let (loss, norm) = self.step(rate)?;
            self.step += 1;
            sums = [sums[0] + loss, sums[1] + norm, sums[2] + 1.0];
        }
    }

    fn step(&mut self, rate: f64) -> anyhow::Result<(f64, f64)> {
        let mut random = Random::of_step(self.args.seed, self.step);
        let (abouts, pictures) = self.draw(&mut random)?;
        let planes = self.samples.planes(&pictures);
        let side = self.samples.side();
        let crop = self.args.crop.min(side) as i64;
        let corner = [0; 2].map(|_: i64| 2 * random.below((side - crop as usize) / 2 + 1) as i64);
        let planes = planes.map(|p| p.part(corner, crop));
        let [captured, shown, last, before] = changed(planes, &mut random);
        let situations: Vec<_> = abouts.iter().map(|a| a.situation).collect();
        let found = self.net.forward([&shown, &last, &before], &situations);
        let loss = loss::loss(&found, &captured, &abouts, self.args.structure);
        loss.backward();
        let norm = self.optimiser.step(self.step, rate, 1.0);
        Ok((loss.double_value(&[]), norm))
    }

    fn draw(&self, random: &mut Random) -> anyhow::Result<(Vec<About>, Vec<Vec<u8>>)> {
        let (mut abouts, mut pictures) = (Vec::new(), Vec::new());
        for _ in 0..self.args.batch {
            let (about, bytes) = self.samples.read(random.below(self.samples.len()))?;
            abouts.push(about);
            pictures.push(bytes);
        }
        Ok((abouts, pictures))
    }

    /// Measures the averaged weights and writes them with the gate that follows.
    fn report(&mut self, minutes: f64, about: &str) -> anyhow::Result<()> {
        checkpoint(&self.state_file(), &self.optimiser.state(), self.step, minutes)?;
        let averaged = self.optimiser.averaged();
        tch::no_grad(|| {
            for (name, variable) in self.measured.store().variables() {
                variable.shallow_clone().copy_(&averaged[&name]);
            }
        });
        let (text, gate) = self.judge.measure(&self.measured)?;
        self.log.line(&format!("{},{minutes:.2},{about},{text}", self.step))?;
        if let Some(folder) = self.args.out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        weights::write(&self.args.out, &averaged, &[("model", MODEL), ("gate", &gate.text())], true)?;
        Ok(())
    }
}

/// The same pictures in another light, mirrored or turned; grey, which decoders put where they have nothing, stays grey.
fn changed(pictures: [Planes; 4], random: &mut Random) -> [Planes; 4] {
    let (mirror, flip, turn) = (random.chance(0.5), random.chance(0.1), random.chance(0.1));
    let relit = random.chance(0.6);
    let draw = |random: &mut Random, spread: f64| if relit { spread * random.normal() } else { 0.0 };
    let contrast = draw(random, 0.2).exp().clamp(0.6, 1.3);
    let shift = draw(random, 0.03);
    let colour = draw(random, 0.3).exp().clamp(0.4, 1.5);
    let exchange = random.chance(0.2);
    pictures.map(|p| {
        let place = |mut t: Tensor| {
            if mirror {
                t = t.flip([3]);
            }
            if flip {
                t = t.flip([2]);
            }
            if turn { t.transpose(2, 3).contiguous() } else { t.contiguous() }
        };
        let luma = ((p.luma - 0.5) * contrast + (0.5 + shift)).clamp(0.0, 1.0);
        // Codes: neutral chroma is 128 of 255.
        let grey = 128.0 / 255.0;
        let mut chroma = ((p.chroma - grey) * colour + grey).clamp(0.0, 1.0);
        if exchange {
            chroma = chroma.flip([1]);
        }
        Planes { luma: place(luma).to_kind(Kind::Float), chroma: place(chroma).to_kind(Kind::Float) }
    })
}
