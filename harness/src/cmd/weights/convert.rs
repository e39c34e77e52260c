//! Makes `lpips_<net>_v0.1.safetensors` of the two published files.

use anyhow::{Context as _, Result, bail};
use models::lpips::{Lpips, Net};
use models::pth;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

/// Converts torchvision's backbone (`features.*`) and the heads (`lin*.model.1.weight`) into one file in `folder`.
///
/// # Errors
/// An unknown net; a file that is no PyTorch state dictionary; tensors that do not make up the net (checked by
/// loading what was made).
pub fn convert(net: &str, backbone: &Path, heads: &Path, folder: &Path) -> Result<PathBuf> {
    let Some(net) = Net::ALL.into_iter().find(|n| n.metric() == format!("lpips_{net}")) else {
        bail!("unknown net \"{net}\"; known: vgg, alex, squeeze");
    };
    let mut tensors = BTreeMap::new();
    for (name, tensor) in read(backbone)? {
        // The classifier has no part in the distance.
        if name.starts_with("features.") {
            tensors.insert(format!("net.{name}"), tensor);
        }
    }
    for (name, tensor) in read(heads)? {
        let Some(layer) = name.strip_prefix("lin").and_then(|n| n.strip_suffix(".model.1.weight")) else {
            bail!("{}: tensor {name} is no LPIPS head", heads.display());
        };
        tensors.insert(format!("lin{layer}.weight"), tensor);
    }
    let copy = tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
    if let Err(reason) = Lpips::from_tensors(net, copy, Device::Cpu) {
        bail!("{} and {} do not make up {}: {reason}", backbone.display(), heads.display(), net.metric());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let path = folder.join(net.file());
    models::weights::write(&path, &tensors, &[("lpips", "v0.1"), ("net", net.metric())], false)?;
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let arrays =
        pth::read(&bytes).with_context(|| format!("{} is no PyTorch state dictionary", path.display()))?;
    Ok(arrays
        .into_iter()
        .map(|(name, array)| (name, Tensor::from_slice(&array.values).view(array.shape.as_slice())))
        .collect())
}
