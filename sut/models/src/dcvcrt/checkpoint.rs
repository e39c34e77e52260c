//! Weights as published: `cvpr2025_image.pth.tar`, `cvpr2025_video.pth.tar`, or safetensors of the same keys.

use super::{ImageModel, VideoModel};
use crate::weights::{Weights, WeightsError};
use std::path::Path;
use tch::{Cuda, Device, Kind, nn};

/// Where networks compute, and in which numbers. What drives the entropy coder is computed in them, too, so that both ends must have the
/// same; the coder's tables are always of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The processor, or a GPU.
    pub device: Device,
    /// 32-bit floats; on a GPU 16-bit ones, too.
    pub kind: Kind,
}

impl Default for Place {
    /// 32 bits on the processor: the portable one.
    fn default() -> Self {
        Self { device: Device::Cpu, kind: Kind::Float }
    }
}

impl Place {
    /// `cpu` or `cuda`; `fp32`, `fp16` or `bf16`.
    ///
    /// # Errors
    /// Names what is unknown, or what this machine cannot do.
    pub fn parse(device: &str, precision: &str) -> Result<Self, String> {
        let kind = match precision {
            "fp32" => Kind::Float,
            "fp16" => Kind::Half,
            "bf16" => Kind::BFloat16,
            other => return Err(format!("precision {other:?} is none of fp32, fp16, bf16")),
        };
        let device = match device {
            "cpu" if kind == Kind::Float => Device::Cpu,
            "cpu" => {
                return Err(format!("precision {precision} wants device=cuda: processors compute in fp32"));
            }
            "cuda" if Cuda::is_available() => Device::Cuda(0),
            "cuda" => {
                return Err("device cuda: there is no CUDA device, or this libtorch is one without CUDA \
                            (`freezeframe doctor` says which)"
                    .to_owned());
            }
            other => return Err(format!("device {other:?} is neither cpu nor cuda")),
        };
        Ok(Self { device, kind })
    }

    fn take(self, store: &mut nn::VarStore) {
        if self != Self::default() {
            store.set_device(self.device);
            store.set_kind(self.kind);
        }
    }
}

impl ImageModel {
    /// The network with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or whose keys or shapes are not this network's; the first one that differs is named.
    pub fn load(path: &Path, place: Place) -> Result<Self, WeightsError> {
        let mut model = Self::new(Device::Cpu);
        Weights::read_any(path)?.fill(&model.store().variables())?;
        model.prepare();
        place.take(model.store_mut());
        Ok(model)
    }
}

impl VideoModel {
    /// The network with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or whose keys or shapes are not this network's; the first one that differs is named.
    pub fn load(path: &Path, place: Place) -> Result<Self, WeightsError> {
        let mut model = Self::new(Device::Cpu);
        Weights::read_any(path)?.fill(&model.store().variables())?;
        model.prepare();
        place.take(model.store_mut());
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_processor_cannot_do_is_refused_by_name() {
        assert_eq!(Place::parse("cpu", "fp32"), Ok(Place::default()));
        for precision in ["fp16", "bf16"] {
            let error = Place::parse("cpu", precision).unwrap_err();
            assert!(error.contains(precision) && error.contains("device=cuda"), "{error}");
        }
        assert!(Place::parse("cpu", "fp8").unwrap_err().contains("fp8"));
        assert!(Place::parse("tpu", "fp32").unwrap_err().contains("tpu"));
        match Cuda::is_available() {
            true => assert_eq!(Place::parse("cuda", "fp16").unwrap().kind, Kind::Half),
            false => assert!(Place::parse("cuda", "fp16").unwrap_err().contains("no CUDA device")),
        }
    }
}
