//! The building block of the `lite` models: a depthwise convolution that looks around, then two
//! pointwise convolutions that think (ConvNeXt's block without its layer scale).
//!
//! Everything runs in `channels_last` memory: there a pointwise convolution is one matrix product and
//! the normalisation over channels needs no copy. On an AVX-512 CPU it is 2-4 times faster than NCHW.

use tch::{Device, Kind, Tensor, nn};

/// Normalisation over channels of an NCHW tensor in `channels_last` memory.
#[derive(Debug)]
pub struct ChannelNorm {
    gain: Tensor,
    bias: Tensor,
}

impl ChannelNorm {
    /// Parameters `gain` and `bias` of `channels` values under `path`.
    #[must_use]
    pub fn new(path: &nn::Path, channels: i64) -> Self {
        Self { gain: path.ones("gain", &[channels]), bias: path.zeros("bias", &[channels]) }
    }

    /// Same shape out as in.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let channels = x.size()[1];
        x.permute([0, 2, 3, 1])
            .layer_norm([channels], Some(&self.gain), Some(&self.bias), 1e-6, true)
            .permute([0, 3, 1, 2])
    }
}

/// A convolution whose weight lives under `path` as `weight` and `bias`.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
    groups: i64,
}

impl Conv {
    /// A 1x1 convolution; `gain` scales the initial weights (He's initialisation is 1).
    #[must_use]
    pub fn pointwise(path: &nn::Path, from: i64, to: i64, gain: f64) -> Self {
        Self::new(path, [to, from, 1, 1], (1, 0, 1), gain)
    }

    /// A convolution of each channel by its own odd `kernel` x `kernel` filter.
    #[must_use]
    pub fn depthwise(path: &nn::Path, channels: i64, kernel: i64) -> Self {
        Self::new(path, [channels, 1, kernel, kernel], (1, kernel / 2, channels), 1.0)
    }

    /// A `factor` x `factor` convolution of stride `factor`.
    #[must_use]
    pub fn down(path: &nn::Path, from: i64, to: i64, factor: i64) -> Self {
        Self::new(path, [to, from, factor, factor], (factor, 0, 1), 1.0)
    }

    /// A convolution of weights `shape` (out, in over groups, rows, columns).
    pub(crate) fn new(
        path: &nn::Path,
        shape: [i64; 4],
        (stride, padding, groups): (i64, i64, i64),
        gain: f64,
    ) -> Self {
        let fan_in: i64 = shape[1..].iter().product();
        let init = nn::Init::Randn { mean: 0.0, stdev: gain / (fan_in as f64).sqrt() };
        Self {
            weight: path.var("weight", &shape, init),
            bias: path.zeros("bias", &[shape[0]]),
            stride,
            padding,
            groups,
        }
    }

    /// NCHW to NCHW, computed in the kind of the weights (see [`Precision`]).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        x.to_kind(self.weight.kind()).conv2d(
            &self.weight,
            Some(&self.bias),
            stride,
            padding,
            [1, 1],
            self.groups,
        )
    }
}

/// Depthwise convolution, normalisation, two pointwise convolutions, residual.
#[derive(Debug)]
pub struct Block {
    mix: Conv,
    norm: ChannelNorm,
    widen: Conv,
    narrow: Conv,
}

impl Block {
    /// A block of `channels`, looking `kernel` x `kernel`, `2 * channels` wide inside.
    #[must_use]
    pub fn new(path: &nn::Path, channels: i64, kernel: i64) -> Self {
        Self {
            mix: Conv::depthwise(&(path / "mix"), channels, kernel),
            norm: ChannelNorm::new(&(path / "norm"), channels),
            widen: Conv::pointwise(&(path / "widen"), channels, 2 * channels, 1.4),
            // Small at first, so that a fresh stack is close to the identity.
            narrow: Conv::pointwise(&(path / "narrow"), 2 * channels, channels, 0.3),
        }
    }

    /// Same shape out as in.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let inner = self.norm.forward(&self.mix.forward(x));
        // ReLU: the derivative of GELU would be a third of the whole training time on a CPU.
        let inner = self.widen.forward(&inner).relu_();
        x + self.narrow.forward(&inner)
    }
}

/// Numbers that the large matrix products are computed in.
///
/// [`Bf16`](Self::Bf16) is 3-4 times as fast where the CPU has instructions for it (AVX-512 BF16, AMX) and moves a
/// tenth of a level in the pictures; norms, depthwise filters, residuals and the last layers stay in 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats everywhere.
    #[default]
    Fp32,
    /// 16-bit "brain" floats in the inner pointwise convolutions.
    Bf16,
}

impl Precision {
    /// The fastest that this CPU computes in hardware.
    #[must_use]
    pub fn of_this_cpu() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512bf16") {
            return Self::Bf16;
        }
        Self::Fp32
    }

    /// The precision of that name; "auto" is [`of_this_cpu`](Self::of_this_cpu).
    ///
    /// # Errors
    /// Another name.
    pub fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::of_this_cpu()),
            "fp32" => Ok(Self::Fp32),
            "bf16" => Ok(Self::Bf16),
            other => Err(format!("{other:?} is none of auto, fp32, bf16")),
        }
    }

    /// The name in options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        }
    }

    /// Converts the weights of a `lite` network in place, so that its [`Conv`]s compute in this precision.
    pub fn set(self, store: &nn::VarStore) {
        if self == Self::Fp32 {
            return;
        }
        for (name, mut variable) in store.variables() {
            let layer = name.rsplit('.').nth(1).unwrap_or_default();
            if INNER.contains(&layer) {
                let converted = variable.detach().to_kind(Kind::BFloat16);
                variable.set_data(&converted);
            }
        }
    }
}

/// Layers that [`Precision::Bf16`] converts: nearly all of the arithmetic, none of the input and output.
const INNER: [&str; 6] = ["widen", "narrow", "up", "down", "qkv", "out"];

/// Copies `x` into `channels_last` memory (a view where it is there already).
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Number of values in all trainable tensors of a store.
#[must_use]
pub fn parameters(store: &nn::VarStore) -> i64 {
    store.trainable_variables().iter().map(|t| t.numel() as i64).sum()
}

/// `[n, h, w, c]` bytes to `[n, c, h, w]` in -1..1, `channels_last`.
pub fn to_signed(bytes: &Tensor) -> Tensor {
    (bytes.to_kind(Kind::Float) * (2.0 / 255.0) - 1.0).permute([0, 3, 1, 2])
}

/// `[n, c, h, w]` in -1..1 to `[n, h, w, c]` bytes, rounded.
pub fn to_bytes(signed: &Tensor) -> Tensor {
    let scaled = (signed + 1.0) * 127.5;
    scaled.clamp(0.0, 255.0).round().to_kind(Kind::Uint8).permute([0, 2, 3, 1]).contiguous()
}

/// All values, row by row.
#[must_use]
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::<f32>::try_from(&flat).expect("32-bit floats of one dimension on the CPU")
}
