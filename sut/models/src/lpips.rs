//! LPIPS, the learned perceptual distance, with each of its three backbones.
//!
//! | name | backbone | layers compared | quoted by |
//! |---|---|---|---|
//! | `lpips_vgg` | torchvision VGG16 | relu1_2, 2_2, 3_3, 4_3, 5_3 | Reparo (PIQ's only choice) |
//! | `lpips_alex` | torchvision AlexNet | relu1 to relu5 | the original package's default |
//! | `lpips_squeeze` | torchvision SqueezeNet 1.1 | conv1 and the fire modules 3, 5, 6-9 by output size | small and fast |
//!
//! The three give different numbers on the same pair; they are never mixed, and a net without its weights has no
//! value. Definition, for RGB in `[0, 1]`: ImageNet mean and deviation, features `f`, each pixel's channel vector
//! divided by its norm plus 1e-10, squared difference weighted by the linear heads, mean over pixels, sum over layers.
//! Range: 0 (identical) upwards, about 0.7 for unrelated pictures. Version 0.1 of the heads.
//!
//! Source: Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018; richzhang/PerceptualSimilarity `LPIPS(net, version="0.1")`;
//! equals PIQ's `LPIPS()` for VGG.
//!
//! ```text
//! file lpips_<net>_v0.1.safetensors:  net.features.<i>.{weight,bias}   torchvision's names
//!                                     lin<l>.weight [1, C, 1, 1]       heads
//!                                     scaling.shift, scaling.scale     constants, checked if present
//! ```

mod distance;
mod pool;

use crate::pth;
use crate::weights::{Weights, WeightsError};
use anyhow::{Context as _, bail};
use media::Rgb;
pub use metrics::lpips::Net;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, IndexOp as _, Kind, Tensor, no_grad};

/// The layers up to the last one compared, in torchvision's order and numbering.
fn layers(net: Net) -> Vec<Layer> {
    use Layer::{Conv, Fire, Pool, Tap};
    let conv = |index, from, to, kernel, stride, padding| Conv { index, from, to, kernel, stride, padding };
    let pool = |kernel, ceil| Pool { kernel, ceil };
    match net {
        Net::Vgg => {
            let blocks: [&[(usize, i64, i64)]; 5] = [
                &[(0, 3, 64), (2, 64, 64)],
                &[(5, 64, 128), (7, 128, 128)],
                &[(10, 128, 256), (12, 256, 256), (14, 256, 256)],
                &[(17, 256, 512), (19, 512, 512), (21, 512, 512)],
                &[(24, 512, 512), (26, 512, 512), (28, 512, 512)],
            ];
            let mut layers = Vec::new();
            for (b, block) in blocks.into_iter().enumerate() {
                if b > 0 {
                    layers.push(pool(2, false));
                }
                layers.extend(block.iter().map(|&(i, from, to)| conv(i, from, to, 3, 1, 1)));
                layers.push(Tap);
            }
            layers
        }
        Net::Alex => vec![
            conv(0, 3, 64, 11, 4, 2),
            Tap,
            pool(3, false),
            conv(3, 64, 192, 5, 1, 2),
            Tap,
            pool(3, false),
            conv(6, 192, 384, 3, 1, 1),
            Tap,
            conv(8, 384, 256, 3, 1, 1),
            Tap,
            conv(10, 256, 256, 3, 1, 1),
            Tap,
        ],
        Net::Squeeze => {
            let fire = |index, from, squeeze, expand| Fire { index, from, squeeze, expand };
            vec![
                conv(0, 3, 64, 3, 2, 0),
                Tap,
                pool(3, true),
                fire(3, 64, 16, 64),
                fire(4, 128, 16, 64),
                Tap,
                pool(3, true),
                fire(6, 128, 32, 128),
                fire(7, 256, 32, 128),
                Tap,
                pool(3, true),
                fire(9, 256, 48, 192),
                Tap,
                fire(10, 384, 48, 192),
                Tap,
                fire(11, 384, 64, 256),
                Tap,
                fire(12, 512, 64, 256),
                Tap,
            ]
        }
    }
}

/// One step of a backbone; convolutions are followed by a ReLU.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Conv {
        index: usize,
        from: i64,
        to: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
    },
    /// Stride 2. `ceil` keeps a partial window at the far edges, as SqueezeNet's pools do.
    Pool {
        kernel: i64,
        ceil: bool,
    },
    Fire {
        index: usize,
        from: i64,
        squeeze: i64,
        expand: i64,
    },
    /// Here features are compared.
    Tap,
}

impl Layer {
    /// Names and shapes of the tensors it needs, weight and bias of each convolution.
    fn tensors(self) -> Vec<(String, Vec<i64>)> {
        let conv = |name: String, to: i64, from: i64, k: i64| {
            [(format!("{name}.weight"), vec![to, from, k, k]), (format!("{name}.bias"), vec![to])]
        };
        match self {
            Self::Conv { index, from, to, kernel, .. } => {
                conv(format!("net.features.{index}"), to, from, kernel).to_vec()
            }
            Self::Fire { index, from, squeeze, expand } => [
                conv(format!("net.features.{index}.squeeze"), squeeze, from, 1),
                conv(format!("net.features.{index}.expand1x1"), expand, squeeze, 1),
                conv(format!("net.features.{index}.expand3x3"), expand, squeeze, 3),
            ]
            .concat(),
            Self::Pool { .. } | Self::Tap => Vec::new(),
        }
    }

    fn channels(self) -> Option<i64> {
        match self {
            Self::Conv { to, .. } => Some(to),
            Self::Fire { expand, .. } => Some(2 * expand),
            Self::Pool { .. } | Self::Tap => None,
        }
    }
}

/// Mean and deviation for RGB in `[-1, 1]`, the heads' convention (2 m - 1 and 2 d of ImageNet's).
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum LpipsError {
    /// The weights were refused.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The weights are whole but not this net's.
    #[error("LPIPS weights {path} are not those of {metric}: {reason}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The metric.
        metric: &'static str,
        /// What differs.
        reason: String,
    },
    /// The pictures cannot be compared.
    #[error("{0}")]
    Picture(String),
    /// libtorch failed.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

/// A loaded net.
pub struct Lpips {
    net: Net,
    layers: Vec<Layer>,
    /// Weights and biases in the order of `layers`.
    parameters: Vec<Tensor>,
    /// Per compared layer, one weight per channel.
    heads: Vec<Tensor>,
    scale: Tensor,
    offset: Tensor,
    device: Device,
}

impl Lpips {
    /// Loads `path` strictly: exactly this net's tensors, exactly their shapes.
    ///
    /// # Errors
    /// [`LpipsError::Weights`] and [`LpipsError::Foreign`].
    pub fn load(net: Net, path: &Path, device: Device) -> Result<Self, LpipsError> {
        crate::memory::keep_freed();
        let mut tensors = Weights::read(path)?.tensors;
        let foreign = |reason| LpipsError::Foreign { path: path.into(), metric: net.metric(), reason };
        for (name, wanted) in [("scaling.shift", SHIFT), ("scaling.scale", SCALE)] {
            let Some(tensor) = tensors.remove(name) else { continue };
            let found = Vec::<f32>::try_from(tensor.view([-1]))?;
            if found != wanted {
                return Err(foreign(format!("{name} is {found:?}, not {wanted:?}")));
            }
        }
        Self::from_tensors(net, tensors, device).map_err(foreign)
    }

    /// A net from tensors by name; the message says which is missing, surplus or of another shape.
    ///
    /// # Errors
    /// The first difference.
    pub fn from_tensors(
        net: Net,
        mut tensors: BTreeMap<String, Tensor>,
        device: Device,
    ) -> Result<Self, String> {
        let mut take = |name: String, shape: &[i64]| -> Result<Tensor, String> {
            let tensor = tensors.remove(&name).ok_or_else(|| format!("tensor {name} is missing"))?;
            if tensor.size() != shape {
                return Err(format!("tensor {name} is {:?}, not {shape:?}", tensor.size()));
            }
            Ok(tensor.to_kind(Kind::Float).to_device(device))
        };
        let layers = layers(net);
        let (mut parameters, mut heads, mut channels) = (Vec::new(), Vec::new(), 3);
        for layer in &layers {
            for (name, shape) in layer.tensors() {
                parameters.push(take(name, &shape)?);
            }
            channels = layer.channels().unwrap_or(channels);
            if matches!(layer, Layer::Tap) {
                heads
                    .push(take(format!("lin{}.weight", heads.len()), &[1, channels, 1, 1])?.view([channels]));
            }
        }
        if let Some(extra) = tensors.keys().next() {
            return Err(format!("tensor {extra} is unknown to this net"));
        }
        // ((v / 127.5 - 1) - shift) / scale = v * factor + offset
        let factor: Vec<f32> = SCALE.iter().map(|s| 1.0 / (127.5 * s)).collect();
        let offset: Vec<f32> = SHIFT.iter().zip(SCALE).map(|(m, s)| (-1.0 - m) / s).collect();
        let constant = |v: &[f32]| Tensor::from_slice(v).view([1, 3, 1, 1]).to_device(device);
        Ok(Self {
            net,
            layers,
            parameters,
            heads,
            scale: constant(&factor),
            offset: constant(&offset),
            device,
        })
    }

    /// Which net this is.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net
    }

    /// The distance of two pictures.
    ///
    /// # Errors
    /// [`LpipsError::Picture`] if the pictures differ in size or are too small, [`LpipsError::Torch`].
    pub fn distance(&self, reference: &Rgb, shown: &Rgb) -> Result<f64, LpipsError> {
        Ok(self.layer_distances(reference, shown)?.iter().sum())
    }

    /// The contribution of each compared layer, shallow to deep.
    ///
    /// # Errors
    /// As [`Lpips::distance`].
    pub fn layer_distances(&self, reference: &Rgb, shown: &Rgb) -> Result<Vec<f64>, LpipsError> {
        let (w, h) = (reference.width, reference.height);
        if let Err(reason) = self.net.compares((w, h), (shown.width, shown.height)) {
            return Err(LpipsError::Picture(reason));
        }
        if reference.data.len() != 3 * w * h || shown.data.len() != 3 * w * h {
            return Err(LpipsError::Picture(format!("a {w}x{h} picture must have {} samples", 3 * w * h)));
        }
        no_grad(|| {
            let pixels = [reference, shown].map(|p| Tensor::from_slice(&p.data));
            let input = Tensor::f_stack(&pixels, 0)?
                .f_view([2, h as i64, w as i64, 3])?
                .f_to_device(self.device)?
                .f_permute([0, 3, 1, 2])?
                .f_to_kind(Kind::Float)?
                .f_contiguous()?;
            self.forward(&(input.f_mul(&self.scale)?.f_add_(&self.offset)?))
        })
    }

    /// Both pictures in one batch of two.
    fn forward(&self, input: &Tensor) -> Result<Vec<f64>, LpipsError> {
        let mut distances = Vec::with_capacity(self.heads.len());
        self.each_tap(input, |features, head| {
            distances.push(compare(features, head)?);
            Ok(())
        })?;
        Ok(distances)
    }

    /// The mean distance of pairs of pictures `[n, 3, h, w]` in -1..1, as a value that gradients flow back from: a
    /// training's perceptual term.
    ///
    /// # Panics
    /// When the shapes differ or are too small for this net.
    pub fn loss(&self, reference: &Tensor, shown: &Tensor) -> Tensor {
        let n = reference.size()[0];
        let input = (Tensor::cat(&[reference, shown], 0) + 1.0) * 127.5 * &self.scale + &self.offset;
        let mut sum = Tensor::zeros([], (Kind::Float, self.device));
        let done = self.each_tap(&input, |features, head| {
            // The small number is inside the root: its derivative is infinite at zero.
            let norm = (features.square().sum_dim_intlist([1i64].as_slice(), true, None) + 1e-10).sqrt();
            let unit = features / norm;
            let difference = (unit.narrow(0, 0, n) - unit.narrow(0, n, n)).square();
            let per_channel = difference.mean_dim([0i64, 2, 3].as_slice(), false, None);
            sum = &sum + (per_channel * head).sum(None);
            Ok(())
        });
        done.expect("pictures of one size that this net can compare");
        sum
    }

    /// Runs the backbone over a batch and shows every compared feature map with its head.
    fn each_tap(
        &self,
        input: &Tensor,
        mut tap: impl FnMut(&Tensor, &Tensor) -> Result<(), LpipsError>,
    ) -> Result<(), LpipsError> {
        let mut x = input.shallow_clone();
        let mut parameters = self.parameters.iter();
        let mut heads = self.heads.iter();
        let mut conv = |x: &Tensor, stride: i64, padding: i64| -> Result<Tensor, tch::TchError> {
            let (weight, bias) = (parameters.next().expect("checked"), parameters.next().expect("checked"));
            x.f_conv2d(weight, Some(bias), [stride; 2], [padding; 2], [1; 2], 1)?.f_relu_()
        };
        for layer in &self.layers {
            match *layer {
                Layer::Conv { stride, padding, .. } => x = conv(&x, stride, padding)?,
                Layer::Pool { kernel, ceil } => {
                    x = max_pool(&x, kernel, ceil)?;
                }
                Layer::Fire { .. } => {
                    let squeezed = conv(&x, 1, 0)?;
                    let (one, three) = (conv(&squeezed, 1, 0)?, conv(&squeezed, 1, 1)?);
                    x = Tensor::f_cat(&[one, three], 1)?;
                }
                Layer::Tap => tap(&x, heads.next().expect("one per tap"))?,
            }
        }
        Ok(())
    }
}

/// Whether the floats lie in this process's memory one after the other.
fn is_plain(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous()
}

/// As many as libtorch uses.
fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

/// The largest values of windows that are two apart.
fn max_pool(x: &Tensor, kernel: i64, ceil: bool) -> Result<Tensor, tch::TchError> {
    // A training's gradients need to know where each came from.
    let plain = is_plain(x) && !x.requires_grad();
    let [n, channels, height, width] = x.size()[..] else {
        return x.f_max_pool2d([kernel; 2], [2; 2], [0; 2], [1; 2], ceil);
    };
    if !plain || height.min(width) < kernel {
        return x.f_max_pool2d([kernel; 2], [2; 2], [0; 2], [1; 2], ceil);
    }
    let (size, window) = ((height as usize, width as usize), kernel as usize);
    let out = |side: usize| pool::outputs(side, window, ceil) as i64;
    let pooled = Tensor::f_empty([n, channels, out(size.0), out(size.1)], (Kind::Float, Device::Cpu))?;
    // SAFETY: dense tensors of so many floats, which outlive the slices; nobody else has the new one.
    let (from, to) = unsafe {
        (
            std::slice::from_raw_parts(x.data_ptr().cast::<f32>(), x.numel()),
            std::slice::from_raw_parts_mut(pooled.data_ptr().cast::<f32>(), pooled.numel()),
        )
    };
    pool::max(from, size, (window, ceil), to, threads());
    Ok(pooled)
}

/// Weighted squared difference of the two normalised feature maps of a batch, mean over pixels.
fn compare(features: &Tensor, head: &Tensor) -> Result<f64, LpipsError> {
    if is_plain(features)
        && let [2, channels, height, width] = features.size()[..]
    {
        let (channels, pixels) = (channels as usize, (height * width) as usize);
        // SAFETY: a dense tensor of so many floats, which lives as long as `features`.
        let values =
            unsafe { std::slice::from_raw_parts(features.data_ptr().cast::<f32>(), 2 * channels * pixels) };
        let head = Vec::<f32>::try_from(head)?;
        return Ok(distance::of(values.split_at(channels * pixels), &head, threads()));
    }
    let mut norm = features.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, None)?.f_sqrt_()?;
    let unit = features.f_div(&norm.f_add_scalar_(1e-10)?)?;
    let mut difference = unit.i(0).f_sub(&unit.i(1))?;
    // Mean over pixels first, then the heads: one pass over the large tensor, double precision on the small one.
    let per_channel = difference.f_square_()?.f_mean_dim([1i64, 2].as_slice(), false, None)?;
    Ok(per_channel.f_to_kind(Kind::Double)?.f_dot(&head.f_to_kind(Kind::Double)?)?.f_double_value(&[])?)
}

/// Converts torchvision's backbone (`features.*`) and the heads (`lin*.model.1.weight`) into the file `to`.
///
/// # Errors
/// A file that is no PyTorch state dictionary; tensors that do not make up the net (checked by loading what was made).
pub fn convert(net: Net, backbone: &Path, heads: &Path, to: &Path) -> anyhow::Result<()> {
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
    crate::weights::write(to, &tensors, &[("lpips", "v0.1"), ("net", net.metric())], false)?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<(String, Tensor)>> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let arrays =
        pth::read(&bytes).with_context(|| format!("{} is no PyTorch state dictionary", path.display()))?;
    Ok(arrays
        .into_iter()
        .map(|(name, array)| (name, Tensor::from_slice(&array.values).view(array.shape.as_slice())))
        .collect())
}
