//! The original LossRec, ready to use: the published checkpoints, read strictly.

use super::clip;
use super::network::{Config, Network, TUBELET};
use crate::weights::{Weights, WeightsError};
use media::Yuv420;
use media::convert::{Colour, to_rgb, to_yuv420};
use std::path::Path;
use tch::{Device, Tensor, no_grad};

/// Name of a published checkpoint in the weights folder: `<codec>_<stream>.pth`, codec `h264`, `h265` or `dcvcrt`, stream `rgb` or
/// `depth`.
#[must_use]
pub fn file(codec: &str, depth: bool) -> String {
    format!("{codec}_{}.pth", if depth { "depth" } else { "rgb" })
}

/// A network with the weights of a file.
#[derive(Debug)]
pub struct LossRec(Network);

impl LossRec {
    /// With the weights of a file: PyTorch's own (the tensors perhaps under `model`, every key perhaps behind `module.`) or
    /// safetensors.
    ///
    /// # Errors
    /// A file that cannot be read, or whose keys or shapes are not this network's; the first one that differs is named. (The
    /// original leaves weights random whose keys are missing, and says nothing.)
    pub fn load(path: &Path, config: Config, device: Device) -> Result<Self, WeightsError> {
        let network = Network::new(config, device);
        Weights::read_any(path)?.fill(&network.store().variables())?;
        Ok(Self(network))
    }

    /// Of a network.
    #[must_use]
    pub fn of(network: Network) -> Self {
        Self(network)
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.0
    }

    /// The damaged picture, repaired: `[3, side, side]`, not clamped, of a clip of [`clip::input`]s.
    pub fn recover(&self, inputs: &[Tensor]) -> Tensor {
        no_grad(|| {
            let clip = clip::clip(inputs).to_device(self.0.store().device());
            let values = self.0.last(&clip);
            let pictures = clip::pictures(&values, &clip, self.0.config());
            pictures.get(0).select(1, TUBELET - 1).to_device(Device::Cpu)
        })
    }

    /// The same of pictures of any size, in the decoder's form.
    #[must_use]
    pub fn restore(&self, frames: [&Yuv420; 6], colour: Colour) -> Yuv420 {
        let (height, width) = (frames[0].height as i64, frames[0].width as i64);
        let inputs = frames.map(|frame| clip::input(&to_rgb(frame, colour), self.0.config().image));
        let mut found = self.recover(&inputs);
        if found.size() != [3, height, width] {
            let scaled =
                found.unsqueeze(0).internal_upsample_bilinear2d_aa([height, width], false, None, None);
            found = scaled.squeeze_dim(0);
        }
        to_yuv420(&clip::saved(&found), colour)
    }
}
