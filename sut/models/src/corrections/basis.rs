//! Patterns of 16x16 pixels and three colours as the lowest frequencies of a cosine transform.
//!
//! Colours are turned first: the mean, and two differences. All together is orthonormal: squared distances of values are
//! those of samples, as far as the pattern lies in the frequencies that are kept.

use tch::{Device, Kind, Tensor};

/// Pixels of a pattern and side.
const SIDE: usize = 16;
/// Pixels of a patch and side, as the `lite` networks take and give them.
const PATCH: i64 = 8;
const SAMPLES: usize = 3 * SIDE * SIDE;
/// Frequencies (vertical plus horizontal) that are kept of the mean and of the differences.
const MEAN_BELOW: usize = 15;
const DIFFERENCES_BELOW: usize = 8;

/// The transform.
#[derive(Debug)]
pub struct Basis {
    /// `[samples, values]`.
    matrix: Tensor,
}

impl Basis {
    /// Values of a pattern.
    pub const VALUES: usize = MEAN_BELOW * (MEAN_BELOW + 1) / 2 + DIFFERENCES_BELOW * (DIFFERENCES_BELOW + 1);

    /// The transform on a device.
    #[must_use]
    pub fn new(device: Device) -> Self {
        let colours = [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]
            .map(|c: [f64; 3]| c.map(|v| v / c.iter().map(|v| v * v).sum::<f64>().sqrt()));
        let wave = |frequency: usize, at: usize| {
            let scale = if frequency == 0 { 1.0 } else { 2f64.sqrt() } / (SIDE as f64).sqrt();
            let turn = std::f64::consts::PI * frequency as f64 * (at as f64 + 0.5) / SIDE as f64;
            scale * turn.cos()
        };
        let mut columns = Vec::with_capacity(Self::VALUES);
        for (colour, below) in colours.into_iter().zip([MEAN_BELOW, DIFFERENCES_BELOW, DIFFERENCES_BELOW]) {
            for sum in 0..below {
                columns.extend((0..=sum).map(|down| (colour, down, sum - down)));
            }
        }
        let mut matrix = Vec::with_capacity(SAMPLES * Self::VALUES);
        for sample in 0..SAMPLES {
            let (colour, y, x) = (sample / (SIDE * SIDE), sample / SIDE % SIDE, sample % SIDE);
            matrix.extend(
                columns.iter().map(|(c, down, right)| (c[colour] * wave(*down, y) * wave(*right, x)) as f32),
            );
        }
        let shape = [SAMPLES as i64, Self::VALUES as i64];
        Self { matrix: Tensor::from_slice(&matrix).view(shape).to_device(device) }
    }

    /// Values of a pattern.
    #[must_use]
    pub fn values(&self) -> usize {
        Self::VALUES
    }

    /// Values `[rows * columns, values]` of patches `[1, 3 * 64, 2 rows, 2 columns]`.
    pub fn values_of(&self, patches: &Tensor) -> Tensor {
        let size = patches.size();
        let (rows, columns) = (size[2] / 2, size[3] / 2);
        let samples = patches
            .to_kind(Kind::Float)
            .permute([0, 2, 3, 1])
            .contiguous()
            .view([rows, 2, columns, 2, 3, PATCH, PATCH].as_slice())
            .permute([0, 2, 4, 1, 5, 3, 6])
            .reshape([rows * columns, SAMPLES as i64]);
        samples.matmul(&self.matrix)
    }

    /// Patches `[1, 3 * 64, 2 rows, 2 columns]` of values `[rows * columns, values]`, in `channels_last` memory.
    pub fn patches(&self, values: &Tensor, columns: usize, rows: usize) -> Tensor {
        let (rows, columns) = (rows as i64, columns as i64);
        values
            .matmul(&self.matrix.transpose(0, 1))
            .view([rows, columns, 3, 2, PATCH, 2, PATCH].as_slice())
            .permute([0, 3, 1, 5, 2, 4, 6])
            .reshape([1, 2 * rows, 2 * columns, 3 * PATCH * PATCH])
            .permute([0, 3, 1, 2])
    }
}
