//! How far to believe the decoder: per block of 16x16 pixels, the share of its picture in a mix with the last good one.
//!
//! ```text
//! differences of shown, last good, the one before, the decoder's previous picture ─ per block, around it, of the whole frame ─┐
//!                                      frames lost, ages ─ 13 values ─ 16 hidden ─ share of shown ─ bilinear between blocks ─┴─▶ mix
//! ```
//!
//! A picture that goes on from a wrong reference differs from the last good one by motion, which is right, and by drift, which is not. How much
//! motion there is, the good pictures before tell. The arithmetic is exact everywhere: differences are sums of integers, logarithms are read from the
//! bits of numbers, and every other step is a single-precision addition, multiplication or division in a fixed order.

use super::lite::Situation;
use crate::layers::floats;
use media::Yuv420;
use tch::{Kind, Tensor, nn};

/// Luma pixels of a side of a block.
pub const BLOCK: usize = 16;
/// What is known of a block.
pub const VALUES: usize = 13;
const HIDDEN: usize = 16;
/// Codec and stream.
pub const KINDS: usize = 4;

/// The pictures that the share is decided from.
#[derive(Clone, Copy, Debug)]
pub struct Pictures<'a> {
    /// The decoder's, of this frame.
    pub shown: &'a Yuv420,
    /// The decoder's before it.
    pub earlier: &'a Yuv420,
    /// The last good one.
    pub last: &'a Yuv420,
    /// The good one before it.
    pub before: &'a Yuv420,
}

/// Columns and rows of blocks.
#[must_use]
pub fn grid(picture: &Yuv420) -> (usize, usize) {
    (picture.width.div_ceil(BLOCK), picture.height.div_ceil(BLOCK))
}

/// Mean squared difference of luma, block by block, row by row.
#[must_use]
pub fn differences(a: &Yuv420, b: &Yuv420) -> Vec<f32> {
    let (columns, rows) = grid(a);
    let mut found = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        let lines = row * BLOCK..(row * BLOCK + BLOCK).min(a.height);
        let mut sums = vec![0u32; columns];
        for y in lines.clone() {
            let line = y * a.width..(y + 1) * a.width;
            let pairs = a.y[line.clone()].chunks(BLOCK).zip(b.y[line].chunks(BLOCK));
            for (sum, (a, b)) in sums.iter_mut().zip(pairs) {
                *sum += a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>();
            }
        }
        for (column, sum) in sums.into_iter().enumerate() {
            let width = BLOCK.min(a.width - column * BLOCK);
            found.push(sum as f32 / (width * lines.len()) as f32);
        }
    }
    found
}

/// The binary logarithm, linear between powers of two: the same on every machine.
fn logarithm(value: f32) -> f32 {
    value.to_bits() as f32 / (1u32 << 23) as f32 - 127.0
}

/// [`VALUES`] per block.
#[must_use]
pub fn values(pictures: &Pictures, situation: Situation) -> Vec<f32> {
    let Pictures { shown, earlier, last, before } = *pictures;
    let (columns, rows) = grid(shown);
    let seen = [differences(shown, last), differences(last, before), differences(shown, earlier)];
    let around = seen.each_ref().map(|plane| around(plane, (columns, rows)));
    let whole = seen.each_ref().map(|plane| plane.iter().sum::<f32>() / plane.len() as f32);
    let gap = situation.before_age.saturating_sub(situation.last_age);
    let rest =
        [situation.lost, situation.last_age, situation.since(), gap].map(|n| logarithm(1.0 + n as f32));
    let mut all = Vec::with_capacity(columns * rows * VALUES);
    for i in 0..columns * rows {
        let differences = seen.iter().chain(&around).map(|plane| plane[i]).chain(whole);
        all.extend(differences.map(|d| logarithm(d + 0.5)));
        all.extend(rest);
    }
    all
}

/// The mean over a block and those that touch it.
fn around(plane: &[f32], (columns, rows): (usize, usize)) -> Vec<f32> {
    let mut found = Vec::with_capacity(plane.len());
    for row in 0..rows {
        for column in 0..columns {
            let (mut sum, mut count) = (0.0, 0.0);
            for r in row.saturating_sub(1)..(row + 2).min(rows) {
                for value in
                    &plane[r * columns + column.saturating_sub(1)..r * columns + (column + 2).min(columns)]
                {
                    sum += value;
                    count += 1.0;
                }
            }
            found.push(sum / count);
        }
    }
    found
}

/// The share of the decoder's picture for one codec and stream.
#[derive(Debug)]
pub struct Blend {
    /// What is taken from each value, and what the rest is multiplied by.
    pub centre: Tensor,
    /// See `centre`.
    pub scale: Tensor,
    hidden: [Tensor; 2],
    out: [Tensor; 2],
}

impl Blend {
    /// Before training: eight parts of nine are the decoder's.
    #[must_use]
    pub fn new(place: &nn::Path) -> Self {
        let (values, hidden) = (VALUES as i64, HIDDEN as i64);
        let (inner, outer) = (place / "hidden", place / "out");
        Self {
            centre: place.zeros_no_train("centre", &[values]),
            scale: place.ones_no_train("scale", &[values]),
            hidden: [inner.randn("weight", &[values, hidden], 0.0, 0.3), inner.zeros("bias", &[hidden])],
            out: [
                outer.randn("weight", &[hidden, 1], 0.0, 0.3),
                outer.var("bias", &[1], nn::Init::Const(3.5)),
            ],
        }
    }

    /// Shares of blocks `[.., VALUES]`, in 0..1, for training.
    pub fn forward(&self, values: &Tensor) -> Tensor {
        let x = (values - &self.centre) * &self.scale;
        let x = (x.matmul(&self.hidden[0]) + &self.hidden[1]).leaky_relu();
        let x = (x.matmul(&self.out[0]) + &self.out[1]).squeeze_dim(-1);
        (&x / (x.abs() + 1.0) + 1.0) * 0.5
    }

    /// The same for a receiver, in a fixed order.
    #[must_use]
    pub fn shares(&self, values: &[f32]) -> Vec<f32> {
        let [centre, scale] = [&self.centre, &self.scale].map(floats);
        let ([weights, bias], [out, last]) =
            (self.hidden.each_ref().map(floats), self.out.each_ref().map(floats));
        let share = |block: &[f32]| {
            let mut hidden = [0.0f32; HIDDEN];
            hidden.copy_from_slice(&bias);
            for (i, value) in block.iter().enumerate() {
                let x = (value - centre[i]) * scale[i];
                hidden.iter_mut().zip(&weights[i * HIDDEN..]).for_each(|(h, w)| *h += x * w);
            }
            let mut x = last[0];
            hidden.iter().zip(&out).for_each(|(h, w)| x += if *h > 0.0 { *h } else { *h * 0.01 } * w);
            (x / (x.abs() + 1.0) + 1.0) * 0.5
        };
        values.chunks_exact(VALUES).map(share).collect()
    }

    /// The mix.
    #[must_use]
    pub fn restore(&self, pictures: &Pictures, situation: Situation) -> Yuv420 {
        mix(pictures.shown, pictures.last, &self.shares(&values(pictures, situation)))
    }
}

/// `shown` by its share, the rest `last`; shares are of blocks' centres, bilinear between them.
#[must_use]
pub fn mix(shown: &Yuv420, last: &Yuv420, shares: &[f32]) -> Yuv420 {
    let grid = grid(shown);
    Yuv420::from_planes((shown.width, shown.height), |index, (width, _)| {
        let (a, b) = (shown.planes()[index], last.planes()[index]);
        let block = if index == 0 { BLOCK } else { BLOCK / 2 };
        // Per column: the block to the left of it, the one to the right, and how far it is on the way.
        let place = |at: usize, count: usize| {
            let at = ((at as f32 + 0.5) / block as f32 - 0.5).max(0.0);
            let first = (at as usize).min(count - 1);
            (first, (first + 1).min(count - 1), at - first as f32)
        };
        let columns: Vec<_> = (0..width).map(|x| place(x, grid.0)).collect();
        let mut row = vec![0.0f32; grid.0];
        let mut mixed = Vec::with_capacity(a.len());
        for (y, (a, b)) in a.chunks_exact(width).zip(b.chunks_exact(width)).enumerate() {
            let (above, below, part) = place(y, grid.1);
            for (i, share) in row.iter_mut().enumerate() {
                let (above, below) = (shares[above * grid.0 + i], shares[below * grid.0 + i]);
                *share = above + (below - above) * part;
            }
            for ((a, b), (left, right, part)) in a.iter().zip(b).zip(&columns) {
                let share = row[*left] + (row[*right] - row[*left]) * part;
                let (a, b) = (f32::from(*a), f32::from(*b));
                mixed.push((b + (a - b) * share + 0.5) as u8);
            }
        }
        mixed
    })
}

/// A damaged frame for training: values and, per block, the squared errors of the decoder's picture and of the last good one, and their difference.
#[derive(Clone, Debug)]
pub struct Sample {
    /// [`VALUES`] per block.
    pub values: Vec<f32>,
    /// Mean squared error of the decoder's picture, of the last good one, and of one against the other, block by block.
    pub errors: [Vec<f32>; 3],
}

impl Sample {
    /// Of a frame whose captured picture is known.
    #[must_use]
    pub fn of(pictures: &Pictures, situation: Situation, captured: &Yuv420) -> Self {
        let errors = [(pictures.shown, captured), (pictures.last, captured), (pictures.shown, pictures.last)]
            .map(|(a, b)| differences(a, b));
        Self { values: values(pictures, situation), errors }
    }
}

/// Frames of one kind as tensors `[frames, blocks, ..]`.
struct Batch {
    values: Tensor,
    errors: [Tensor; 3],
}

impl Batch {
    fn of(samples: &[&Sample]) -> Self {
        let frames = samples.len() as i64;
        let all = |part: &dyn Fn(&Sample) -> &Vec<f32>| {
            let values: Vec<f32> = samples.iter().flat_map(|s| part(s).iter().copied()).collect();
            Tensor::from_slice(&values)
        };
        Self {
            values: all(&|s| &s.values).view([frames, -1, VALUES as i64]),
            errors: [0, 1, 2].map(|i| all(&|s| &s.errors[i]).view([frames, -1])),
        }
    }

    /// Decibels of the mixes' mean squared errors, frame by frame.
    fn quality(&self, blend: &Blend) -> Tensor {
        let share = blend.forward(&self.values);
        let rest = -&share + 1.0;
        let [shown, last, between] = &self.errors;
        // (s a + (1 - s) b - c)^2 = s (a - c)^2 + (1 - s) (b - c)^2 - s (1 - s) (a - b)^2
        let error = shown * &share + last * &rest - between * &share * &rest;
        let mean = error.mean_dim([-1i64].as_slice(), false, Kind::Float).clamp_min(0.0) + 0.3;
        (mean / (255.0 * 255.0)).log10() * -10.0
    }
}

/// Trains on `samples` of one kind and one size for so many passes; `say` is told the mean decibels of each tenth pass.
pub fn train(
    store: &nn::VarStore,
    blend: &Blend,
    samples: &[Sample],
    passes: u32,
    seed: i64,
    say: &mut dyn FnMut(u32, f64),
) {
    use tch::nn::OptimizerConfig as _;
    const FRAMES: usize = 64;
    tch::manual_seed(seed);
    let all: Vec<&Sample> = samples.iter().collect();
    let known = Batch::of(&all).values.view([-1, VALUES as i64]);
    let spread = known.std_dim([0i64].as_slice(), true, false) + 1e-3;
    blend.centre.shallow_clone().copy_(&known.mean_dim([0i64].as_slice(), false, Kind::Float));
    blend.scale.shallow_clone().copy_(&spread.reciprocal());
    let mut optimizer = nn::Adam::default().build(store, 3e-3).expect("variables of this device");
    for pass in 0..passes {
        optimizer.set_lr(3e-3 * f64::from(passes - pass) / f64::from(passes) + 1e-4);
        let order: Vec<i64> =
            Vec::try_from(Tensor::randperm(all.len() as i64, (Kind::Int64, tch::Device::Cpu)))
                .expect("integers");
        let (mut sum, mut count) = (0.0, 0.0);
        for part in order.chunks(FRAMES) {
            let part: Vec<&Sample> = part.iter().map(|&i| all[i as usize]).collect();
            let quality = Batch::of(&part).quality(blend).mean(Kind::Float);
            sum += quality.double_value(&[]) * part.len() as f64;
            count += part.len() as f64;
            optimizer.backward_step(&-quality);
        }
        if pass % 10 == 9 {
            say(pass + 1, sum / count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, no_grad};

    fn noise(seed: usize) -> Yuv420 {
        let mut picture = Yuv420::filled(52, 38, (0, 100, 150));
        picture.y.iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 31 + seed * 17 + i / 7) % 200) as u8);
        picture
    }

    #[test]
    fn differences_are_means_over_each_blocks_own_pixels() {
        let (a, mut b) = (Yuv420::filled(20, 17, (10, 1, 1)), Yuv420::filled(20, 17, (13, 1, 1)));
        b.y[19] = 18; // the first row of the second block, which has 4 columns
        assert_eq!(grid(&a), (2, 2));
        assert_eq!(differences(&a, &b), [9.0, (63.0 * 9.0 + 64.0) / 64.0, 9.0, 9.0]);
    }

    #[test]
    fn the_logarithm_is_exact_at_powers_of_two_and_linear_between() {
        assert_eq!([0.5, 1.0, 8.0, 12.0].map(logarithm), [-1.0, 0.0, 3.0, 3.5]);
    }

    /// Receivers and training compute the same shares.
    #[test]
    fn both_forms_agree() {
        tch::manual_seed(1);
        let store = nn::VarStore::new(Device::Cpu);
        let blend = Blend::new(&store.root());
        let [a, b, c, d] = [1, 2, 3, 4].map(noise);
        let pictures = Pictures { shown: &a, earlier: &b, last: &c, before: &d };
        let situation = Situation { last_age: 3, before_age: 4, lost: 1, ..Situation::default() };
        let values = values(&pictures, situation);
        let wanted =
            no_grad(|| floats(&blend.forward(&Tensor::from_slice(&values).view([-1, VALUES as i64]))));
        let shares = blend.shares(&values);
        assert_eq!(shares.len(), 4 * 3);
        assert!(shares.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{shares:?} {wanted:?}");
    }

    #[test]
    fn a_mix_is_one_or_the_other_picture_at_the_ends_and_smooth_between() {
        let (a, b) = (noise(1), noise(9));
        assert_eq!(mix(&a, &b, &[1.0; 12]), a);
        assert_eq!(mix(&a, &b, &[0.0; 12]), b);
        let (white, black) = (Yuv420::filled(52, 38, (200, 200, 200)), Yuv420::filled(52, 38, (0, 0, 0)));
        let mut shares = [0.0; 12];
        shares[1] = 1.0; // centre of columns 16 to 31: between columns 23 and 24
        let mixed = mix(&white, &black, &shares);
        // 0.5 pixels beside the centre: 15.5 of 16 parts.
        assert_eq!([mixed.y[7], mixed.y[15], mixed.y[23], mixed.y[24]], [0, 94, 194, 194]);
        assert_eq!([mixed.u[11], mixed.u[12]], [188, 188]);
    }

    /// What a mix costs follows from the three differences: the shares that training finds are the best ones for real.
    #[test]
    fn training_learns_whom_to_believe() {
        let store = nn::VarStore::new(Device::Cpu);
        let blend = Blend::new(&store.root());
        // Of every other frame the decoder's picture is the right one; it tells by standing still.
        let (good, wrong) = (noise(3), noise(70));
        let samples: Vec<Sample> = (0..40)
            .map(|i| {
                let (shown, earlier) = if i % 2 == 0 { (&good, &good) } else { (&wrong, &noise(5)) };
                let last = if i % 2 == 0 { &wrong } else { &good };
                let pictures = Pictures { shown, earlier, last, before: last };
                Sample::of(&pictures, Situation { last_age: 2, before_age: 3, ..Situation::default() }, &good)
            })
            .collect();
        let mut said = Vec::new();
        train(&store, &blend, &samples, 600, 1, &mut |_, quality| said.push(quality));
        assert!(said[0] < 30.0 && *said.last().unwrap() > 30.0, "{said:?}");
        let shares: Vec<f32> = samples[..2].iter().map(|s| blend.shares(&s.values)[0]).collect();
        assert!(shares[0] > 0.8 && shares[1] < 0.2, "{shares:?}");
    }
}
