//! What the programs that train Reparo ask for.

use crate::layers::Precision;
use crate::tokenizer::Preset;
use std::path::PathBuf;
use tch::{Device, nn};

/// Options of a training, flattened into each program's own.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folder with real512/, real256/ and (for the tokenizer) images512/
    #[arg(long, default_value = "../shared/media/train")]
    pub data: PathBuf,
    /// Where decoded pictures, tokens, state and logs go
    #[arg(long, default_value = "target/reparo")]
    pub work: PathBuf,
    /// Wall-clock budget; the learning rate falls to its end over it
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// End after this many steps instead; then the learning rate follows the steps
    #[arg(long)]
    pub steps: Option<u64>,
    /// Workers of one thread, which share a step
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// People of the synthetic scene, a room each
    #[arg(long, default_value_t = 12)]
    pub people: u32,
    /// Share of crops that show them [default: a fifth of what does not come from videos]
    #[arg(long)]
    pub synthetic: Option<f64>,
    /// Decides weights, crops, losses and everything else that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Go on from the state in the work folder
    #[arg(long)]
    pub resume: bool,
    /// lite, or paper (which wants a GPU)
    #[arg(long, default_value = "lite", value_parser = Preset::from_name)]
    pub preset: Preset,
    /// cpu, or cuda (one worker is enough there)
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: Device,
    /// fp32, bf16, or the fastest of this CPU; for lite on a CPU
    #[arg(long, default_value = "auto", value_parser = Precision::from_name)]
    pub precision: Precision,
}

impl Options {
    /// How every training begins: one thread per worker, memory that is kept, the seed.
    pub fn begin(&self) {
        tch::set_num_threads(1);
        crate::memory::keep_freed();
        tch::manual_seed(self.seed as i64);
    }

    /// Converts a fresh network to the numbers that it is to be trained in.
    pub fn convert(&self, store: &nn::VarStore) {
        if self.preset == Preset::Lite && self.device == Device::Cpu {
            self.precision.set(store);
        }
    }

    /// Share of the training that is done after `step` steps and so many minutes.
    #[must_use]
    pub fn progress(&self, step: u64, minutes: f64) -> f64 {
        self.steps.map_or(minutes / self.minutes, |steps| step as f64 / steps as f64)
    }
}

fn device(name: &str) -> Result<Device, String> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "cuda" if tch::Cuda::is_available() => Ok(Device::Cuda(0)),
        "cuda" => Err("no CUDA device, or a libtorch without CUDA (`freezeframe doctor` says which)".into()),
        other => Err(format!("{other:?} is neither cpu nor cuda")),
    }
}
