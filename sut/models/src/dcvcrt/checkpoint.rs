//! Weights as published: `cvpr2025_image.pth.tar`, `cvpr2025_video.pth.tar`, or safetensors of the same keys.

use super::{ImageModel, VideoModel};
use crate::pth;
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
        read(path)?.fill(&model.store().variables())?;
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
        read(path)?.fill(&model.store().variables())?;
        model.prepare();
        Ok(model)
    }
}

/// Safetensors by their ending, PyTorch's own files otherwise; there the tensors may lie under `state_dict`, then `net`, and
/// every key may begin with `module.`.
fn read(path: &Path) -> Result<Weights, WeightsError> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        return Weights::read(path);
    }
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.into(), source })?;
    let damaged = |reason: String| WeightsError::Damaged { path: path.into(), reason };
    let arrays = pth::read(&bytes).map_err(|e| damaged(format!("{e:#}")))?;
    Weights::from_arrays(path, arrays)
}
