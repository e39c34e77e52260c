//! Weights as published: `cvpr2025_image.pth.tar`, `cvpr2025_video.pth.tar`, or safetensors of the same keys.

use super::{ImageModel, VideoModel};
use crate::weights::{Weights, WeightsError};
use std::path::Path;
use tch::Device;

impl ImageModel {
    /// The network with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or whose keys or shapes are not this network's; the first one that differs is named.
    pub fn load(path: &Path, device: Device) -> Result<Self, WeightsError> {
        let mut model = Self::new(device);
        Weights::read_any(path)?.fill(&model.store().variables())?;
        model.prepare();
        Ok(model)
    }
}

impl VideoModel {
    /// The network with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or whose keys or shapes are not this network's; the first one that differs is named.
    pub fn load(path: &Path, device: Device) -> Result<Self, WeightsError> {
        let mut model = Self::new(device);
        Weights::read_any(path)?.fill(&model.store().variables())?;
        model.prepare();
        Ok(model)
    }
}
