//! Makes many pictures of few: the codes and the networks must serve people, rooms and cameras that no training
//! clip has. Pictures are `[n, 3, h, w]` in -1..1: the frames of one sequence, all changed alike.

use super::Random;
use tch::{Kind, Tensor};

/// Mirrored, upside down or with rows and columns exchanged.
pub fn turned(mut picture: Tensor, random: &mut Random) -> Tensor {
    if random.chance(0.5) {
        picture = picture.flip([3]);
    }
    if random.chance(0.1) {
        picture = picture.transpose(2, 3);
    }
    if random.chance(0.1) {
        picture = picture.flip([2]);
    }
    picture
}

/// Another light and another camera: hue, saturation, contrast, white balance, brightness.
pub fn relit(picture: &Tensor, random: &mut Random) -> Tensor {
    let strong = random.chance(0.4);
    let (angle, spread) = match strong {
        true => (std::f64::consts::TAU * random.unit(), 1.0),
        false => (0.12 * random.normal(), 0.4),
    };
    let saturation = (0.6 * spread * random.normal()).exp2().min(2.0);
    let contrast = (0.5 * spread * random.normal()).exp2().clamp(0.4, 1.6);
    let shift = 0.25 * spread * random.normal();
    let gains: [f64; 3] = std::array::from_fn(|_| 1.0 + 0.12 * spread * random.normal());
    let matrix = colour_matrix(angle, saturation, contrast, gains);
    let matrix: Vec<f32> = matrix.into_iter().flatten().map(|v| v as f32).collect();
    let middle = picture.mean_dim([2i64, 3].as_slice(), true, Kind::Float);
    let middle = middle.mean_dim([1i64].as_slice(), true, Kind::Float);
    let centred = picture - &middle;
    let weight = Tensor::from_slice(&matrix).view([3, 3, 1, 1]);
    let changed = centred.conv2d(&weight, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
    (changed + middle + shift).clamp(-1.0, 1.0)
}

/// A lens or a camera's filter: softer or sharper than it was.
pub fn refocused(picture: &Tensor, random: &mut Random) -> Tensor {
    let soft =
        picture.replication_pad2d([1, 1, 1, 1]).avg_pool2d([3, 3], [1, 1], [0, 0], false, true, None::<i64>);
    let amount = 2.0 * random.unit() - 0.8;
    (picture + (picture - soft) * amount).clamp(-1.0, 1.0)
}

/// A camera's noise, other in every frame, up to 3 levels of 255.
pub fn noisy(pictures: &Tensor, random: &mut Random) -> Tensor {
    let scale = 3.0 * random.unit() / 127.5;
    // By our own generator: libtorch's is shared by all workers, so that their order would show.
    let size: usize = pictures.size().iter().product::<i64>() as usize;
    let noise: Vec<f32> = (0..size).map(|_| (scale * random.normal()) as f32).collect();
    (pictures + Tensor::from_slice(&noise).view(pictures.size().as_slice())).clamp(-1.0, 1.0)
}

/// A camera that moves past a still: every frame a little shifted, turned and nearer than the next.
pub fn panned(pictures: &Tensor, random: &mut Random) -> Tensor {
    let size = pictures.size();
    // Per frame: about a pixel and a half of a crop of 192, a third of a degree, half a percent.
    let (x, y) = (0.016 * random.normal(), 0.016 * random.normal());
    let (angle, zoom) = (0.006 * random.normal(), 0.005 * random.normal());
    let maps: Vec<f32> = (0..size[0])
        .flat_map(|age| {
            let age = age as f64;
            let (sine, cosine) = (age * angle).sin_cos();
            let scale = (age * zoom).exp();
            [scale * cosine, -scale * sine, age * x, scale * sine, scale * cosine, age * y]
        })
        .map(|v| v as f32)
        .collect();
    let grid = Tensor::affine_grid_generator(
        &Tensor::from_slice(&maps).view([size[0], 2, 3]),
        size.as_slice(),
        false,
    );
    // 0: bilinear; 2: mirrored at the edges.
    pictures.grid_sampler(&grid, 0, 2, false)
}

/// Two pictures of one size in one: side by side along a slanted edge, or one through the other.
pub fn joined(a: &Tensor, b: &Tensor, random: &mut Random) -> Tensor {
    if random.chance(0.4) {
        let share = 0.3 + 0.4 * random.unit();
        return a * share + b * (1.0 - share);
    }
    let size = a.size();
    let ramp = |n: i64| Tensor::linspace(-0.5, 0.5, n, (Kind::Float, a.device()));
    let (sine, cosine) = (std::f64::consts::TAU * random.unit()).sin_cos();
    let across = ramp(size[2]).unsqueeze(1) * sine + ramp(size[3]).unsqueeze(0) * cosine;
    let edge = 0.5 * (random.unit() - 0.5);
    // From one pixel wide to a soft transition of a tenth of the picture.
    let width = size[2] as f64 * if random.chance(0.7) { 1.0 } else { 0.1 };
    let mask = ((across - edge) * width + 0.5).clamp(0.0, 1.0);
    a * &mask + b * (1.0 - mask)
}

/// The product of white balance, contrast and a turn and stretch of the colours around grey (BT.601 luma).
fn colour_matrix(angle: f64, saturation: f64, contrast: f64, gains: [f64; 3]) -> [[f64; 3]; 3] {
    const TO_YCC: [[f64; 3]; 3] =
        [[0.299, 0.587, 0.114], [-0.168_736, -0.331_264, 0.5], [0.5, -0.418_688, -0.081_312]];
    const TO_RGB: [[f64; 3]; 3] = [[1.0, 0.0, 1.402], [1.0, -0.344_136, -0.714_136], [1.0, 1.772, 0.0]];
    let (sine, cosine) = angle.sin_cos();
    let turn = [
        [1.0, 0.0, 0.0],
        [0.0, saturation * cosine, -saturation * sine],
        [0.0, saturation * sine, saturation * cosine],
    ];
    let mut matrix = product(product(TO_RGB, turn), TO_YCC);
    for (row, gain) in matrix.iter_mut().zip(gains) {
        row.iter_mut().for_each(|value| *value *= gain * contrast);
    }
    matrix
}

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_change_of_colours_is_the_identity_and_grey_stays_grey() {
        let same = colour_matrix(0.0, 1.0, 1.0, [1.0; 3]);
        for (i, row) in same.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                assert!((value - f64::from(u8::from(i == j))).abs() < 1e-5, "{same:?}");
            }
        }
        for row in colour_matrix(2.0, 1.7, 0.8, [1.0; 3]) {
            assert!((row.iter().sum::<f64>() - 0.8).abs() < 1e-5);
        }
    }

    #[test]
    fn pictures_keep_size_and_range() {
        let picture = Tensor::linspace(-1.0, 1.0, 3 * 32 * 32, (Kind::Float, tch::Device::Cpu));
        let picture = picture.view([1, 3, 32, 32]);
        for seed in 0..40 {
            let mut random = Random::of_step(seed, 0);
            let moving = panned(&Tensor::cat(&[&picture, &picture], 0), &mut random);
            assert!(f64::from((moving.get(0) - picture.get(0)).abs().max().double_value(&[]) as f32) < 1e-5);
            let changed = noisy(&moving, &mut random).narrow(0, 1, 1);
            let changed = relit(&turned(changed, &mut random), &mut random);
            let changed = joined(&refocused(&changed, &mut random), &picture, &mut random);
            assert_eq!(changed.size(), picture.size());
            assert!(changed.abs().max().double_value(&[]) <= 1.0 + 1e-5);
        }
    }
}
