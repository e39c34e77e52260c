//! What of a picture is coded: hyperprior and latents, quantised, with the distribution that each value is coded by.

use crate::layers::floats;
use crate::probe;
use sut_core::rans::{FrameDecoder, FrameEncoder, Tables};
use tch::{Device, Kind, Tensor, nn, no_grad};

/// Channels of the hyperprior.
pub const HYPER: i64 = 128;
/// Value of [`Plane::rows`] at positions that are not coded.
pub const SKIPPED: u8 = 255;

/// One plane of latents: one step of the prior, the channel groups folded into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Values by channel, row, column; 0 where nothing is coded.
    pub values: Vec<i8>,
    /// Row of the Gaussian table for each value, or [`SKIPPED`].
    pub rows: Vec<u8>,
}

/// Everything that is coded of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latents {
    /// Hyperprior by channel, row, column.
    pub hyper: Vec<i8>,
    /// Latents, one plane a step.
    pub planes: Vec<Plane>,
}

/// What both ends of a session must agree on and no stream says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    /// Latents with standard deviations up to this are not coded but taken for their mean.
    pub threshold: Option<f32>,
    /// Two coders in one buffer.
    pub two: bool,
}

impl Default for Coding {
    /// As ReVo runs it at 512x512.
    fn default() -> Self {
        Self { threshold: Some(0.12), two: false }
    }
}

impl Latents {
    /// The stream of these latents.
    #[must_use]
    pub fn write(&self, hyper: &HyperTables, qp: i64, two: bool) -> Vec<u8> {
        let mut encoder = FrameEncoder::new(two);
        let rows = hyper.rows(qp, self.hyper.len());
        encoder.plane(&hyper.tables, rows.zip(self.hyper.iter().copied()));
        for plane in &self.planes {
            let coded: Vec<(usize, i8)> = plane
                .rows
                .iter()
                .zip(&plane.values)
                .filter(|(row, _)| **row != SKIPPED)
                .map(|(row, value)| (usize::from(*row), *value))
                .collect();
            encoder.plane(&hyper.gaussian, coded.into_iter());
        }
        encoder.finish()
    }
}

/// A stream being read.
pub(super) struct Reading<'a> {
    decoder: FrameDecoder<'a>,
    hyper: &'a HyperTables,
}

impl<'a> Reading<'a> {
    pub fn new(stream: &'a [u8], hyper: &'a HyperTables, two: bool) -> Self {
        Self { decoder: FrameDecoder::new(stream, two), hyper }
    }

    /// The hyperprior of `count` values.
    pub fn hyper(&mut self, qp: i64, count: usize) -> Vec<i8> {
        self.decoder.plane(&self.hyper.tables, self.hyper.rows(qp, count))
    }

    /// Values of a plane, 0 where nothing is coded.
    fn plane(&mut self, rows: &[u8]) -> Vec<i8> {
        let coded: Vec<usize> = rows.iter().filter(|r| **r != SKIPPED).map(|&r| usize::from(r)).collect();
        let mut values = self.decoder.plane(&self.hyper.gaussian, coded.into_iter()).into_iter();
        rows.iter().map(|&r| if r == SKIPPED { 0 } else { values.next().unwrap_or(0) }).collect()
    }
}

/// Where a step's values come from and where they go.
pub(super) enum Source<'a, 'b> {
    /// Quantises these latents and remembers the planes.
    Encode(&'a Tensor, &'a mut Vec<Plane>),
    /// Reads them.
    Decode(&'a mut Reading<'b>),
}

impl Source<'_, '_> {
    /// One step: the values where `mask` is 1, dequantised; zero elsewhere. `scales` and `means` cover all positions.
    pub fn step(
        &mut self,
        scales: &Tensor,
        means: &Tensor,
        mask: &Tensor,
        groups: i64,
        coding: Coding,
    ) -> Tensor {
        let (scales, means) = (scales * mask, means * mask);
        match self {
            Self::Encode(latents, planes) => {
                let mut values = ((&**latents - &means) * mask).round();
                if let Some(threshold) = coding.threshold {
                    let coded = scales.gt(f64::from(threshold)).to_kind(values.kind());
                    values *= coded;
                }
                let values = values.clamp(-128.0, 127.0);
                let folded = bytes(&fold(&values, groups));
                planes.push(Plane { values: folded, rows: rows(&scales, groups, coding) });
                values + means
            }
            Self::Decode(reading) => {
                let rows = rows(&scales, groups, coding);
                let shape = fold(&scales, groups).size();
                let values = tensor(&reading.plane(&rows), &shape, &scales);
                values.repeat([1, groups, 1, 1]) * mask + means
            }
        }
    }
}

/// Sums the channel groups: at every position one of them is not masked.
fn fold(x: &Tensor, groups: i64) -> Tensor {
    // Not in place: the parts are views of `x`, which is used again.
    let size = x.size();
    x.contiguous().view([1, groups, size[1] / groups, size[2], size[3]]).sum_dim_intlist(
        [1i64].as_slice(),
        false,
        None,
    )
}

/// Rows of the Gaussian table for masked standard deviations.
fn rows(scales: &Tensor, groups: i64, coding: Coding) -> Vec<u8> {
    let (low, high) = (0.11f64.ln(), 16f64.ln());
    let per_row = 1.0 / ((high - low) / 127.0);
    let folded = fold(scales, groups);
    let index = ((folded.clamp(0.11, 16.0).log() - low) * per_row).to_kind(Kind::Uint8);
    let index = match coding.threshold {
        Some(threshold) => index.masked_fill(&folded.le(f64::from(threshold)), i64::from(SKIPPED)),
        None => index,
    };
    let flat = index.to_device(Device::Cpu).contiguous().view([-1]);
    Vec::<u8>::try_from(&flat).unwrap_or_default()
}

/// Values of -128..=127 as bytes, by channel, row, column.
pub(super) fn bytes(x: &Tensor) -> Vec<i8> {
    let flat = x.to_kind(Kind::Int8).to_device(Device::Cpu).contiguous().view([-1]);
    Vec::<i8>::try_from(&flat).unwrap_or_default()
}

/// The tensor of `values`, of the kind and on the device of `like`.
pub(super) fn tensor(values: &[i8], shape: &[i64], like: &Tensor) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(like.device()).to_kind(like.kind())
}

/// Rounds the hyperprior.
pub(super) fn quantised_hyper(z: &Tensor) -> Tensor {
    z.round().clamp(-128.0, 127.0)
}

/// Repeats the last row and column until both sizes are multiples of `of`.
pub(super) fn padded(x: &Tensor, of: i64) -> Tensor {
    let size = x.size();
    let missing = |n: i64| (of - n % of) % of;
    let (bottom, right) = (missing(size[2]), missing(size[3]));
    if bottom == 0 && right == 0 { x.shallow_clone() } else { x.replication_pad2d([0, right, 0, bottom]) }
}

/// Masks of the steps: group `g` of channels is coded in step `s` at the positions where `coded(s, g, row, column)`.
pub(super) fn masks(
    like: &Tensor,
    (steps, groups): (usize, usize),
    coded: impl Fn(usize, usize, usize, usize) -> bool,
) -> Vec<Tensor> {
    let size = like.size();
    let (channels, height, width) = (size[1], size[2] as usize, size[3] as usize);
    let mask = |step: usize| {
        let mut values = vec![0f32; groups * height * width];
        for (i, value) in values.iter_mut().enumerate() {
            let (group, row, column) = (i / (height * width), i / width % height, i % width);
            *value = f32::from(u8::from(coded(step, group, row, column)));
        }
        let shape = [1, groups as i64, 1, height as i64, width as i64];
        let all = Tensor::from_slice(&values).view(shape.as_slice());
        let each = channels / groups as i64;
        all.repeat([1, 1, each, 1, 1])
            .view([1, channels, height as i64, width as i64])
            .to_device(like.device())
            .to_kind(like.kind())
    };
    (0..steps).map(mask).collect()
}

/// Learned distributions of the hyperprior: parameters, and the tables made of them.
#[derive(Debug)]
pub struct HyperPrior {
    h: Vec<Tensor>,
    b: Vec<Tensor>,
    a: Vec<Tensor>,
}

/// Tables that a model codes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HyperTables {
    tables: Tables,
    gaussian: Tables,
}

impl HyperTables {
    /// Rows of `count` values by channel, row, column.
    fn rows(&self, qp: i64, count: usize) -> impl ExactSizeIterator<Item = usize> + use<> {
        let (channels, first) = (HYPER as usize, qp as usize * HYPER as usize);
        let each = (count / channels).max(1);
        (0..count).map(move |i| first + i / each)
    }

    /// Tables of the hyperprior, one row per quantiser and channel.
    #[must_use]
    pub fn hyper(&self) -> &Tables {
        &self.tables
    }
}

/// Range in which a distribution is cut, symbols from the middle.
const CUTS: std::ops::RangeInclusive<i32> = 2..=8;

impl HyperPrior {
    /// Parameters of `quantisers` x [`HYPER`] distributions under `path`: `F(x) = sigmoid(g4(g3(g2(g1(x)))))`,
    /// `g_i(x) = u + tanh(u) tanh(a_i)`, `u = x softplus(h_i) + b_i`, the last step without `a` (Ballé et al. 2018, 6.1).
    #[must_use]
    pub fn new(path: &nn::Path, quantisers: i64) -> Self {
        let values = |step: usize, part: &str| {
            (path / format!("f{step}")).var(
                part,
                &[quantisers, HYPER, 1, 1],
                nn::Init::Randn { mean: 0.0, stdev: 0.1 },
            )
        };
        Self {
            h: (1..=4).map(|i| values(i, "h")).collect(),
            b: (1..=4).map(|i| values(i, "b")).collect(),
            a: (1..=3).map(|i| values(i, "a")).collect(),
        }
    }

    /// Every distribution at the points `x` (a row), in the original's order of operations.
    fn at(&self, x: &[f32]) -> Tensor {
        let mut x = Tensor::from_slice(x).view([1, 1, 1, -1]);
        for i in 0..4 {
            x = x * self.h[i].softplus() + &self.b[i];
            if let Some(a) = self.a.get(i) {
                x = &x + x.tanh() * a.tanh();
            }
        }
        x.sigmoid()
    }

    /// The tables, from 32-bit weights on the CPU.
    ///
    /// The escape has the probability of everything below the first symbol and, as in the original, of everything above the
    /// last symbol's middle (not its upper end).
    #[must_use]
    pub fn tables(&self) -> HyperTables {
        let last = *CUTS.end();
        // Middles from -last to last, then the edges between and around them.
        let middles: Vec<f32> = (-last..=last).map(|v| v as f32).collect();
        let lower: Vec<f32> = middles.iter().map(|v| v - 0.5).collect();
        let upper: Vec<f32> = middles.iter().map(|v| v + 0.5).collect();
        let [middles, lower, upper] = no_grad(|| [&middles, &lower, &upper].map(|x| floats(&self.at(x))));
        let columns = 2 * last as usize + 1;
        let mut tables = Tables::default();
        for start in (0..middles.len()).step_by(columns) {
            let at = |of: &[f32], v: i32| of[start + usize::try_from(v + last).unwrap_or(0)];
            let below = CUTS.clone().find(|&i| at(&middles, -i) < 0.0001).unwrap_or(last);
            let above = CUTS.clone().find(|&i| at(&middles, i) > 0.9999).unwrap_or(last);
            let mut p: Vec<f32> = (-below..=above).map(|v| at(&upper, v) - at(&lower, v)).collect();
            p.push(at(&lower, -below) + (1.0 - at(&middles, above)));
            tables.push(-below, &p);
        }
        HyperTables { tables, gaussian: Tables::gaussian() }
    }
}

/// Shows the values of a step to whoever looks.
pub(super) fn show_step(step: usize, scales: &Tensor, means: &Tensor, decoded: &Tensor) {
    probe::show(&format!("prior.scales_{step}"), scales);
    probe::show(&format!("prior.means_{step}"), means);
    probe::show(&format!("prior.y_hat_{step}"), decoded);
}
