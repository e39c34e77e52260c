//! The layers in 32-bit floats whose result is the same on every machine: every value is a sum in a fixed order of products that are
//! rounded each (IEEE 754; no fused multiply-add), whatever the width of the processor's registers. No threads, no libraries.
//!
//! Values lie position by position, the channels of one position together.

/// Outputs that are computed together: one register of 512 bits, two of 256.
const PANEL: usize = 16;

/// A layer of every position by itself (a 1x1 convolution).
#[derive(Clone, Debug)]
pub struct Dense {
    from: usize,
    to: usize,
    /// Panels of [`PANEL`] outputs, in each the weights of every input, in each those of every output.
    panels: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    /// Of weights by output, then input.
    ///
    /// # Panics
    /// When there are not as many as sizes say.
    #[must_use]
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let to = bias.len();
        assert!(to > 0 && weight.len().is_multiple_of(to), "{} weights for {to} outputs", weight.len());
        let from = weight.len() / to;
        let count = to.div_ceil(PANEL);
        let mut panels = vec![0.0; count * from * PANEL];
        for (output, weights) in weight.chunks_exact(from).enumerate() {
            for (input, &value) in weights.iter().enumerate() {
                panels[(output / PANEL * from + input) * PANEL + output % PANEL] = value;
            }
        }
        let mut padded = bias.to_vec();
        padded.resize(count * PANEL, 0.0);
        Self { from, to, panels, bias: padded }
    }

    /// Channels in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.from
    }

    /// Channels out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.to
    }

    /// Outputs of every position.
    ///
    /// # Panics
    /// When `x` is not of whole positions.
    #[must_use]
    pub fn of(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.from * self.to];
        self.fill(x, &mut out);
        out
    }

    /// The same into memory that is there.
    ///
    /// # Panics
    /// When sizes do not fit.
    pub fn fill(&self, x: &[f32], out: &mut [f32]) {
        assert!(
            x.len().is_multiple_of(self.from) && x.len() / self.from * self.to == out.len(),
            "sizes of a layer"
        );
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has it.
                return unsafe { self.avx512(x, out) };
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has it.
                return unsafe { self.avx2(x, out) };
            }
        }
        self.any::<4>(x, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn avx512(&self, x: &[f32], out: &mut [f32]) {
        self.any::<8>(x, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2(&self, x: &[f32], out: &mut [f32]) {
        self.any::<4>(x, out);
    }

    /// `P` positions at a time; which does not change any sum.
    #[inline(always)]
    fn any<const P: usize>(&self, x: &[f32], out: &mut [f32]) {
        let positions = x.len() / self.from;
        let whole = positions / P * P;
        for (number, (panel, bias)) in
            self.panels.chunks_exact(self.from * PANEL).zip(self.bias.chunks_exact(PANEL)).enumerate()
        {
            let bias: [f32; PANEL] = bias.try_into().expect("a panel");
            let first = number * PANEL;
            let width = PANEL.min(self.to - first);
            for position in (0..whole).step_by(P) {
                let sums = self.tile::<P>(panel, bias, &x[position * self.from..]);
                for (i, sum) in sums.iter().enumerate() {
                    out[(position + i) * self.to + first..][..width].copy_from_slice(&sum[..width]);
                }
            }
            for position in whole..positions {
                let [sum] = self.tile::<1>(panel, bias, &x[position * self.from..]);
                out[position * self.to + first..][..width].copy_from_slice(&sum[..width]);
            }
        }
    }

    #[inline(always)]
    fn tile<const P: usize>(&self, panel: &[f32], bias: [f32; PANEL], x: &[f32]) -> [[f32; PANEL]; P] {
        let mut sums = [bias; P];
        let rows: [&[f32]; P] = std::array::from_fn(|p| &x[p * self.from..][..self.from]);
        for (input, weights) in panel.chunks_exact(PANEL).enumerate() {
            let weights: &[f32; PANEL] = weights.try_into().expect("a panel");
            for p in 0..P {
                let value = rows[p][input];
                for o in 0..PANEL {
                    sums[p][o] += value * weights[o];
                }
            }
        }
        sums
    }
}

/// Each channel by a 3x3 filter of its own; zeros around.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// Of every place, of every channel.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// Of weights by channel, row, column.
    ///
    /// # Panics
    /// When there are not nine for every channel.
    #[must_use]
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let channels = bias.len();
        assert_eq!(weight.len(), 9 * channels, "nine weights a channel");
        let weight = (0..9 * channels).map(|i| weight[i % channels * 9 + i / channels]).collect();
        Self { weight, bias: bias.to_vec() }
    }

    /// Outputs of a plane of so many columns.
    #[must_use]
    pub fn of(&self, x: &[f32], columns: usize) -> Vec<f32> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            return unsafe { self.avx2(x, columns) };
        }
        self.any(x, columns)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2(&self, x: &[f32], columns: usize) -> Vec<f32> {
        self.any(x, columns)
    }

    #[inline(always)]
    fn any(&self, x: &[f32], columns: usize) -> Vec<f32> {
        let channels = self.bias.len();
        let rows = x.len() / channels / columns;
        let mut out = Vec::with_capacity(x.len());
        for row in 0..rows {
            for column in 0..columns {
                let at = out.len();
                out.extend_from_slice(&self.bias);
                let sums = &mut out[at..];
                for (place, weight) in self.weight.chunks_exact(channels).enumerate() {
                    let (y, x0) = ((row + place / 3).wrapping_sub(1), (column + place % 3).wrapping_sub(1));
                    if y >= rows || x0 >= columns {
                        continue;
                    }
                    let from = &x[(y * columns + x0) * channels..][..channels];
                    for ((sum, value), weight) in sums.iter_mut().zip(from).zip(weight) {
                        *sum += value * weight;
                    }
                }
            }
        }
        out
    }
}

/// Negative values become zero.
pub fn relu(values: &mut [f32]) {
    for value in values {
        // A comparison, not a maximum: what is not a number becomes zero, too.
        *value = if *value > 0.0 { *value } else { 0.0 };
    }
}

/// Adds `other`.
pub fn add(values: &mut [f32], other: &[f32]) {
    for (value, other) in values.iter_mut().zip(other) {
        *value += other;
    }
}

/// A block of DCVC-RT with a threshold as its activation (`blocks::Block`).
#[derive(Clone, Debug)]
pub struct Block {
    /// Convolutions `dc.0`, `dc.2`, `dc.3`.
    pub mix: (Dense, Depthwise, Dense),
    /// Convolutions `ffn.0`, `ffn.2`.
    pub feed: (Dense, Dense),
}

impl Block {
    /// Same shape out as in.
    #[must_use]
    pub fn of(&self, x: &[f32], columns: usize) -> Vec<f32> {
        // Positions of which the widest layer stays in the nearest cache.
        const CHUNK: usize = 32;
        let (first, around, last) = &self.mix;
        let mut inner = first.of(x);
        relu(&mut inner);
        let mut mixed = last.of(&around.of(&inner, columns));
        add(&mut mixed, x);
        let (widen, narrow) = &self.feed;
        let (channels, wide) = (narrow.outputs(), widen.outputs());
        let mut hidden = vec![0.0; CHUNK * wide];
        let mut folded = vec![0.0; CHUNK * wide / 2];
        let mut out = inner;
        for (from, to) in mixed.chunks(CHUNK * channels).zip(out.chunks_mut(CHUNK * channels)) {
            let count = from.len() / channels;
            let (hidden, folded) = (&mut hidden[..count * wide], &mut folded[..count * wide / 2]);
            widen.fill(from, hidden);
            relu(hidden);
            for (sums, values) in folded.chunks_exact_mut(wide / 2).zip(hidden.chunks_exact(wide)) {
                let (first, second) = values.split_at(wide / 2);
                for ((sum, a), b) in sums.iter_mut().zip(first).zip(second) {
                    *sum = a + b;
                }
            }
            narrow.fill(folded, to);
            add(to, from);
        }
        out
    }
}

/// A 2x2 convolution of stride 2.
#[derive(Clone, Debug)]
pub struct Down(Dense);

impl Down {
    /// Of weights by output, input, row, column.
    #[must_use]
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let from = weight.len() / bias.len() / 4;
        // Inputs of a square: its four positions one after the other.
        let place = |i: usize| (i / (4 * from)) * 4 * from + i % from * 4 + i / from % 4;
        Self(Dense::new(&(0..weight.len()).map(|i| weight[place(i)]).collect::<Vec<_>>(), bias))
    }

    /// Half the rows and columns, both even.
    #[must_use]
    pub fn of(&self, x: &[f32], columns: usize) -> Vec<f32> {
        let channels = self.0.inputs() / 4;
        let line = columns * channels;
        let mut squares = Vec::with_capacity(x.len());
        for pair in x.chunks_exact(2 * line) {
            let (upper, lower) = pair.split_at(line);
            for (a, b) in upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels)) {
                squares.extend_from_slice(a);
                squares.extend_from_slice(b);
            }
        }
        self.0.of(&squares)
    }
}

/// A layer and a pixel shuffle: twice the rows and columns.
#[derive(Clone, Debug)]
pub struct Widen(Dense);

impl Widen {
    /// Of weights by output, input; an output is a channel, row and column of the square.
    #[must_use]
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let (to, from) = (bias.len() / 4, weight.len() / bias.len());
        // Outputs of a square: its four positions one after the other.
        let place = |output: usize| output % to * 4 + output / to;
        let rows: Vec<f32> = (0..4 * to).flat_map(|o| weight[place(o) * from..][..from].to_vec()).collect();
        Self(Dense::new(&rows, &(0..4 * to).map(|o| bias[place(o)]).collect::<Vec<_>>()))
    }

    /// Twice the rows and columns.
    #[must_use]
    pub fn of(&self, x: &[f32], columns: usize) -> Vec<f32> {
        let channels = self.0.outputs() / 4;
        let squares = self.0.of(x);
        let mut out = vec![0.0; squares.len()];
        let line = 2 * columns * channels;
        for (pair, squares) in out.chunks_exact_mut(2 * line).zip(squares.chunks_exact(2 * line)) {
            let (upper, lower) = pair.split_at_mut(line);
            for (i, square) in squares.chunks_exact(4 * channels).enumerate() {
                let (a, b) = square.split_at(2 * channels);
                upper[i * 2 * channels..][..2 * channels].copy_from_slice(a);
                lower[i * 2 * channels..][..2 * channels].copy_from_slice(b);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect()
    }

    /// Every width of registers gives the bits of a plain loop, also where positions and outputs do not fill them.
    #[test]
    fn a_layer_is_the_same_to_the_bit_at_every_width() {
        for (from, to, positions) in [(5, 3, 7), (48, 96, 33), (116, 48, 8), (1, 17, 1)] {
            let (weight, bias, x) = (numbers(from * to, 1), numbers(to, 2), numbers(from * positions, 3));
            let plain: Vec<f32> = (0..positions * to)
                .map(|i| {
                    let (p, o) = (i / to, i % to);
                    (0..from).fold(bias[o], |sum, k| sum + x[p * from + k] * weight[o * from + k])
                })
                .collect();
            let layer = Dense::new(&weight, &bias);
            assert_eq!(layer.of(&x), plain);
            let mut out = vec![0.0; plain.len()];
            layer.any::<4>(&x, &mut out);
            assert_eq!(out, plain);
            layer.any::<3>(&x, &mut out);
            assert_eq!(out, plain);
        }
    }

    /// A filter that takes the value to the right, one that sums all nine.
    #[test]
    fn filters_are_zero_around() {
        let x: Vec<f32> = (0..6).flat_map(|i| [i as f32, 1.0]).collect();
        let mut weight = vec![0.0; 18];
        weight[5] = 1.0;
        weight[9..].fill(1.0);
        let filter = Depthwise::new(&weight, &[0.5, 0.0]);
        let out = filter.of(&x, 3);
        let right: Vec<f32> = out.iter().step_by(2).copied().collect();
        assert_eq!(right, [1.5, 2.5, 0.5, 4.5, 5.5, 0.5]);
        let sums: Vec<f32> = out.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(sums, [4.0, 6.0, 4.0, 4.0, 6.0, 4.0]);
        assert_eq!(filter.any(&x, 3), out);
    }

    /// Squares go down and come up in the order row, column.
    #[test]
    fn down_and_up_keep_places() {
        let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
        // Two outputs: the lower left and the upper right value.
        let down = Down::new(&[0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0], &[0.0, 10.0]);
        assert_eq!(down.of(&x, 4), [4.0, 11.0, 6.0, 13.0]);
        let up = Widen::new(&[1.0, 2.0, 3.0, 4.0], &[0.0; 4]);
        assert_eq!(up.of(&[1.0, 10.0], 2), [1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0]);
    }

    #[test]
    fn what_is_no_number_is_no_activation() {
        let mut values = [f32::NAN, -1.0, 2.0, f32::NEG_INFINITY];
        relu(&mut values);
        assert_eq!(values, [0.0, 0.0, 2.0, 0.0]);
    }
}
