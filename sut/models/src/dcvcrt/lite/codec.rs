//! Predicted frames to bytes and back. Every value that a decoder computes is exact (the module `arithmetic`), so that a stream
//! decodes to the same picture on every machine.
//!
//! | bytes | of a predicted frame |
//! |---|---|
//! | 1 | how many frames back the reference is |
//! | 3 | rows of the Gaussian table that vectors are coded by, for neighbours that agree, nearly agree, differ |
//! | 2 | length of the first part, little-endian |
//! | 2, 2 | checks of header and first part, and of the second part |
//! | rest | first part: vectors, hyperprior, steps 0 and 1 of the latents; second part: steps 2 and 3; a rANS stream each |
//!
//! Without the second part (a hole where a chunk was lost) its latents are taken for their means; without the first there is no picture.

use super::super::blocks::Activation;
use super::arithmetic::{Block, Dense, Depthwise, Down, Widen, add, relu};
use super::cells::{self, VALUES};
use super::motion::{self, BLOCK, Field};
use super::network::{
    ANCHORS, CONTRAST, GROUPS, HYPER, HYPER_INNER, LATENT, MOST_QP, MOTION, Network, ORDER, PRIOR, ROW,
    SKIPPED, shares,
};
use super::{MODEL, PRICE, features};
use crate::layers::floats;
use crate::weights::{Weights, WeightsError};
use media::Yuv420;
use std::path::Path;
use sut_core::rans::coder::{Decoder, Encoder};
use sut_core::rans::{Row, Tables, cdf};
use tch::Device;

const HEADER: usize = 10;
/// Steps in the first part.
const FIRST: usize = 2;
const STEPS: usize = GROUPS as usize;
/// Channels of a group.
const EACH: usize = LATENT as usize / STEPS;
/// Positions of the latents per position of the hyperprior, by row and by column.
const HYPER_SIDE: usize = 4;

/// The network as receivers and senders run it.
#[derive(Debug)]
pub struct Codec {
    look: Dense,
    analysis: Vec<Block>,
    down: Down,
    analysis_coarse: Vec<Block>,
    latent: Dense,
    hyper_analysis: (Dense, Down, Down),
    hyper_synthesis: [Widen; 2],
    hyper_rows: Vec<f32>,
    base: Dense,
    base_blocks: Vec<Block>,
    /// By group: means, then rows.
    first: Vec<Dense>,
    adaptors: Vec<Dense>,
    spatial: Vec<Block>,
    refined: Vec<Dense>,
    synthesis_coarse: Vec<Block>,
    up: Widen,
    predicted: Dense,
    synthesis: Vec<Block>,
    head: Dense,
    scale_encoder: Vec<f32>,
    scale_decoder: Vec<f32>,
    tables: Tables,
}

/// What a sender has after a frame.
#[derive(Clone, Debug)]
pub struct Sent {
    /// For the network.
    pub bytes: Vec<u8>,
    /// The picture that a receiver has who lost nothing.
    pub picture: Yuv420,
    /// Vectors: what the next frame's may be like.
    pub field: Field,
}

impl Codec {
    /// The network with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read or is not this model's; the first key or shape that differs is named.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        let weights = Weights::read(path)?;
        weights.expect("model", MODEL)?;
        let network = Network::new(Device::Cpu);
        weights.fill(&network.store().variables())?;
        Ok(Self::of(&network))
    }

    /// The network that was trained.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        debug_assert_eq!(Network::ACTIVATION, Activation::Relu, "the only one that is exact here");
        let variables = network.store().variables();
        let values = |name: &str| floats(&variables[name]);
        let pair = |name: &str| (values(&format!("{name}.weight")), values(&format!("{name}.bias")));
        let dense = |name: &str| {
            let (weight, bias) = pair(name);
            Dense::new(&weight, &bias)
        };
        let down = |name: &str| {
            let (weight, bias) = pair(name);
            Down::new(&weight, &bias)
        };
        let widen = |name: &str| {
            let (weight, bias) = pair(&format!("{name}.conv.0"));
            Widen::new(&weight, &bias)
        };
        let block = |name: &str| {
            let (weight, bias) = pair(&format!("{name}.dc.2"));
            Block {
                mix: (
                    dense(&format!("{name}.dc.0")),
                    Depthwise::new(&weight, &bias),
                    dense(&format!("{name}.dc.3")),
                ),
                feed: (dense(&format!("{name}.ffn.0")), dense(&format!("{name}.ffn.2"))),
            }
        };
        let blocks = |name: &str| -> Vec<Block> {
            let names = (0..).map(|i| format!("{name}.{i}"));
            names
                .take_while(|n| variables.contains_key(&format!("{n}.dc.0.weight")))
                .map(|n| block(&n))
                .collect()
        };
        // Means and rows of one group.
        let groups = |name: &str| -> Vec<Dense> {
            let (weight, bias) = pair(name);
            let from = weight.len() / bias.len();
            let part = |group: usize| {
                let outputs = [0, LATENT as usize].into_iter().flat_map(move |half| {
                    let first = half + group * EACH;
                    first..first + EACH
                });
                let weights: Vec<f32> =
                    outputs.clone().flat_map(|o| weight[o * from..][..from].to_vec()).collect();
                Dense::new(&weights, &outputs.map(|o| bias[o]).collect::<Vec<_>>())
            };
            (0..STEPS).map(part).collect()
        };
        Self {
            look: dense("look"),
            analysis: blocks("analysis"),
            down: down("down"),
            analysis_coarse: blocks("analysis_coarse"),
            latent: dense("latent"),
            hyper_analysis: (dense("hyper_analysis_0"), down("hyper_analysis_1"), down("hyper_analysis_2")),
            hyper_synthesis: [widen("hyper_synthesis_0"), widen("hyper_synthesis_1")],
            hyper_rows: values("hyper_rows"),
            base: dense("base"),
            base_blocks: blocks("base_blocks"),
            first: groups("first"),
            adaptors: (1..STEPS).map(|k| dense(&format!("adaptors.{k}"))).collect(),
            spatial: blocks("spatial"),
            refined: groups("refined"),
            synthesis_coarse: blocks("synthesis_coarse"),
            up: widen("up"),
            predicted: dense("predicted"),
            synthesis: blocks("synthesis"),
            head: dense("head"),
            scale_encoder: values("scale_encoder"),
            scale_decoder: values("scale_decoder"),
            tables: Tables::gaussian(),
        }
    }

    /// Codes a picture as different from a reference, `distance` frames back; sides are multiples of [`cells::MULTIPLE`].
    ///
    /// # Panics
    /// When pictures differ in size.
    #[must_use]
    pub fn encode(
        &self,
        current: &Yuv420,
        reference: &Yuv420,
        hint: Option<&Field>,
        qp: u8,
        distance: u8,
    ) -> Sent {
        let field = motion::search(current, reference, hint, PRICE);
        let predicted = cells::of(&motion::predict(reference, &field));
        let latents = self.analyse(&cells::of(current), &predicted, field.columns, qp);
        let z = self.hyper(&latents, field.columns);

        let mut parts = [Encoder::default(), Encoder::default()];
        let motion_rows = vectors::rows(&field, &self.tables);
        vectors::write(&field, motion_rows, &self.tables, &mut parts[0]);
        for (i, &value) in z.iter().enumerate() {
            parts[0].push(self.tables.row(self.hyper_row(qp, i)), value);
        }
        let (rows, columns) = (field.rows, field.columns);
        let decoded = self.prior(&z, &field, qp, |step, means, table_rows| {
            let part = &mut parts[usize::from(step >= FIRST)];
            let mut values = Vec::with_capacity(means.len());
            for position in 0..rows * columns {
                let first =
                    position * LATENT as usize + group(step, position / columns, position % columns) * EACH;
                let at = position * EACH..(position + 1) * EACH;
                let coded = latents[first..][..EACH].iter().zip(&means[at.clone()]).zip(&table_rows[at]);
                for ((latent, mean), &row) in coded {
                    let value = if is_coded(row) {
                        (latent - mean).round_ties_even().clamp(-127.0, 127.0) as i8
                    } else {
                        0
                    };
                    if is_coded(row) {
                        part.push(self.tables.row(usize::from(row)), value);
                    }
                    values.push(value);
                }
            }
            values
        });
        let [first, second] = parts.map(Encoder::finish);
        let mut bytes = vec![distance];
        bytes.extend(motion_rows);
        bytes.extend(u16::try_from(first.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend([first, second].concat());
        Self::seal(&mut bytes);
        let picture = self.draw(&decoded, &predicted, &field, qp);
        Sent { bytes, picture, field }
    }

    /// How far back the reference of a predicted frame is; `None` if its first part is damaged, so that it has no picture.
    #[must_use]
    pub fn distance(bytes: &[u8]) -> Option<u8> {
        let (_, _) = Self::split(bytes)?;
        Some(bytes[0])
    }

    /// Writes the checks of a predicted frame, whatever is in it.
    pub fn seal(bytes: &mut [u8]) {
        if bytes.len() < HEADER {
            return;
        }
        let length = usize::from(u16::from_le_bytes([bytes[4], bytes[5]])).min(bytes.len() - HEADER);
        let (first, second) = bytes[HEADER..].split_at(length);
        let (a, b) = (check(&[&bytes[..6], first]), check(&[second]));
        bytes[6..8].copy_from_slice(&a.to_le_bytes());
        bytes[8..10].copy_from_slice(&b.to_le_bytes());
    }

    /// First part and, if it is whole, second part.
    fn split(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
        let header = bytes.get(..HEADER)?;
        let word = |i: usize| u16::from_le_bytes([header[i], header[i + 1]]);
        let (first, second) = bytes[HEADER..].split_at_checked(usize::from(word(4)))?;
        if word(6) != check(&[&header[..6], first])
            || header[1..4].iter().any(|&r| usize::from(r) >= cdf::SCALES)
        {
            return None;
        }
        Some((first, (word(8) == check(&[second])).then_some(second)))
    }

    /// The picture of a predicted frame; `None` if its first part is damaged. The reference is one that is `distance` frames back, or
    /// any other.
    #[must_use]
    pub fn decode(&self, bytes: &[u8], reference: &Yuv420, qp: u8) -> Option<Yuv420> {
        let (first, second) = Self::split(bytes)?;
        let mut parts = [Some(Decoder::new(first)), second.map(Decoder::new)];
        let size = (reference.width, reference.height);
        let opened = parts[0].as_mut()?;
        let field = vectors::read(size, [bytes[1], bytes[2], bytes[3]], &self.tables, opened);
        let count = field.vectors.len() / (HYPER_SIDE * HYPER_SIDE) * HYPER as usize;
        let z: Vec<i8> = (0..count).map(|i| opened.next(self.tables.row(self.hyper_row(qp, i)))).collect();
        let decoded = self.prior(&z, &field, qp, |step, _, rows| {
            let mut part = parts[usize::from(step >= FIRST)].as_mut();
            let mut next = |row: u8| match &mut part {
                Some(decoder) if is_coded(row) => decoder.next(self.tables.row(usize::from(row))),
                _ => 0,
            };
            rows.iter().map(|&row| next(row)).collect()
        });
        let predicted = cells::of(&motion::predict(reference, &field));
        Some(self.draw(&decoded, &predicted, &field, qp))
    }

    /// Latents in steps of the quantiser.
    fn analyse(&self, current: &[f32], predicted: &[f32], coarse_columns: usize, qp: u8) -> Vec<f32> {
        let columns = 2 * coarse_columns;
        let mut seen = Vec::with_capacity(2 * current.len());
        for (now, before) in current.chunks_exact(VALUES).zip(predicted.chunks_exact(VALUES)) {
            seen.extend(now.iter().zip(before).map(|(a, b)| (a - b) * CONTRAST as f32));
            seen.extend(before.iter().map(|v| v * 2.0));
        }
        let fine = chain(&self.analysis, self.look.of(&seen), columns);
        let coarse = chain(&self.analysis_coarse, self.down.of(&fine, columns), coarse_columns);
        let mut latents = self.latent.of(&coarse);
        scale(&mut latents, &self.scale_encoder, qp);
        latents
    }

    fn hyper(&self, latents: &[f32], columns: usize) -> Vec<i8> {
        let (one, two, three) = &self.hyper_analysis;
        let mut x = one.of(latents);
        relu(&mut x);
        let mut x = two.of(&x, columns);
        relu(&mut x);
        let z = three.of(&x, columns / 2);
        z.iter().map(|z| z.round_ties_even().clamp(-127.0, 127.0) as i8).collect()
    }

    /// Row of the Gaussian table of a value of the hyperprior.
    fn hyper_row(&self, qp: u8, value: usize) -> usize {
        usize::from(table_row(mixed(&self.hyper_rows, HYPER as usize, qp, value % HYPER as usize)))
    }

    /// The latents, dequantised up to the quantiser's scale, from what `values` says of each step: given means and rows of the Gaussian
    /// table by position and channel of the group, the values.
    fn prior(
        &self,
        z: &[i8],
        field: &Field,
        qp: u8,
        mut values: impl FnMut(usize, &[f32], &[u8]) -> Vec<i8>,
    ) -> Vec<f32> {
        let (rows, columns) = (field.rows, field.columns);
        let (latent, prior) = (LATENT as usize, PRIOR as usize);
        let z: Vec<f32> = z.iter().map(|&z| f32::from(z)).collect();
        let mut x = self.hyper_synthesis[0].of(&z, columns / HYPER_SIDE);
        relu(&mut x);
        let mut hyper = self.hyper_synthesis[1].of(&x, 2 * (columns / HYPER_SIDE));
        relu(&mut hyper);
        let (inner, known_motion) = (HYPER_INNER as usize, features(field));
        let level = f32::from(qp.min(MOST_QP)) / f32::from(MOST_QP);
        let mut seen = Vec::with_capacity(hyper.len() + 4 * rows * columns);
        for (hyper, motion) in hyper.chunks_exact(inner).zip(known_motion.chunks_exact(MOTION as usize)) {
            seen.extend_from_slice(hyper);
            seen.extend_from_slice(motion);
            seen.push(level);
        }
        let base = chain(&self.base_blocks, self.base.of(&seen), columns);

        let count = rows * columns;
        let mut decoded = vec![0f32; count * latent];
        let mut known = vec![[0f32; STEPS]; count];
        for step in 0..STEPS {
            let refined = (step > 0).then(|| {
                let mut seen = Vec::with_capacity(count * (prior + latent + STEPS));
                for (i, known) in known.iter().enumerate() {
                    seen.extend_from_slice(&base[i * prior..][..prior]);
                    seen.extend_from_slice(&decoded[i * latent..][..latent]);
                    seen.extend_from_slice(known);
                }
                chain(&self.spatial, self.adaptors[step - 1].of(&seen), columns)
            });
            let heads = if step == 0 { &self.first } else { &self.refined };
            let trunk = refined.as_ref().unwrap_or(&base);
            let (mut means, mut table_rows) = (vec![0f32; count * EACH], vec![0u8; count * EACH]);
            for (number, head) in heads.iter().enumerate() {
                let here = || (0..count).filter(|p| group(step, p / columns, p % columns) == number);
                let taken: Vec<f32> =
                    here().flat_map(|p| trunk[p * prior..][..prior].iter().copied()).collect();
                let said = head.of(&taken);
                for (position, said) in here().zip(said.chunks_exact(2 * EACH)) {
                    let (mean, row) = said.split_at(EACH);
                    means[position * EACH..][..EACH].copy_from_slice(mean);
                    for (to, &row) in table_rows[position * EACH..].iter_mut().zip(row) {
                        *to = table_row(row);
                    }
                }
            }
            let found = values(step, &means, &table_rows);
            for position in 0..count {
                let number = group(step, position / columns, position % columns);
                known[position][number] = 1.0;
                let to = &mut decoded[position * latent + number * EACH..][..EACH];
                let at = position * EACH..(position + 1) * EACH;
                for ((to, mean), &value) in to.iter_mut().zip(&means[at.clone()]).zip(&found[at]) {
                    *to = f32::from(value) + mean;
                }
            }
        }
        decoded
    }

    /// The picture of latents and a prediction.
    fn draw(&self, decoded: &[f32], predicted: &[f32], field: &Field, qp: u8) -> Yuv420 {
        let columns = field.columns;
        let mut latents = decoded.to_vec();
        scale(&mut latents, &self.scale_decoder, qp);
        let coarse = chain(&self.synthesis_coarse, latents, columns);
        let mut fine = self.up.of(&coarse, columns);
        let doubled: Vec<f32> = predicted.iter().map(|v| v * 2.0).collect();
        add(&mut fine, &self.predicted.of(&doubled));
        let mut cells = self.head.of(&chain(&self.synthesis, fine, 2 * columns));
        for (value, before) in cells.iter_mut().zip(predicted) {
            *value = before + *value * (1.0 / CONTRAST as f32);
        }
        cells::picture(&cells, (columns * BLOCK, field.rows * BLOCK))
    }
}

/// The group that is coded at a position.
fn group(step: usize, row: usize, column: usize) -> usize {
    let place = 2 * (row % 2) + column % 2;
    ORDER[step].iter().position(|&p| p == place).unwrap_or(0)
}

fn is_coded(row: u8) -> bool {
    f64::from(row) > SKIPPED
}

/// Row of the Gaussian table from what the network says.
fn table_row(said: f32) -> u8 {
    // What is no number becomes 0; the cast cuts, so that the half rounds.
    (said * ROW.0 as f32 + ROW.1 as f32 + 0.5).clamp(0.0, (cdf::SCALES - 1) as f32) as u8
}

fn chain(blocks: &[Block], x: Vec<f32>, columns: usize) -> Vec<f32> {
    blocks.iter().fold(x, |x, block| block.of(&x, columns))
}

/// A value of a quantiser's row in a table of so many columns.
fn mixed(table: &[f32], columns: usize, qp: u8, column: usize) -> f32 {
    (0..ANCHORS as usize).map(|i| shares(qp)[i] * table[i * columns + column]).fold(0.0, |a, b| a + b)
}

/// Multiplies channels by a quantiser's row.
fn scale(values: &mut [f32], table: &[f32], qp: u8) {
    let channels = LATENT as usize;
    let factors: Vec<f32> = (0..channels).map(|c| mixed(table, channels, qp, c)).collect();
    for position in values.chunks_exact_mut(channels) {
        for (value, factor) in position.iter_mut().zip(&factors) {
            *value *= factor;
        }
    }
}

/// 16 bits of FNV-1a, folded.
fn check(parts: &[&[u8]]) -> u16 {
    let bytes = parts.iter().flat_map(|p| p.iter());
    let hash = bytes.fold(0x811c_9dc5u32, |hash, &b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (hash >> 16) as u16 ^ hash as u16
}

/// Vectors in the stream: differences from what neighbours let expect.
mod vectors {
    use super::{Decoder, Encoder, Field, Row, Tables, cdf};
    use crate::dcvcrt::lite::motion::LONGEST;

    /// How much neighbours differ.
    const KINDS: usize = 3;

    fn kind(field: &Field, row: usize, column: usize) -> usize {
        let [left, above, right] = field.before(row, column);
        let apart: u32 = (0..2).map(|i| left[i].abs_diff(above[i]) + above[i].abs_diff(right[i])).sum();
        match apart {
            0 => 0,
            1..=7 => 1,
            _ => 2,
        }
    }

    /// Each component's kind and difference, in the order of the stream. Differences wrap.
    fn differences(field: &Field) -> impl Iterator<Item = (usize, i8)> {
        (0..field.vectors.len()).flat_map(|i| {
            let (row, column) = (i / field.columns, i % field.columns);
            let (expected, kind) = (field.expected(row, column), kind(field, row, column));
            [0, 1].map(|k| (kind, (i32::from(field.vectors[i][k]) - expected[k]) as i8))
        })
    }

    /// The row of the table that codes each kind's differences in the fewest bits.
    pub fn rows(field: &Field, tables: &Tables) -> [u8; KINDS] {
        let mut counts = [[0u32; 256]; KINDS];
        for (kind, difference) in differences(field) {
            counts[kind][(i16::from(difference) + 128) as usize] += 1;
        }
        counts.map(|counts| {
            let used: Vec<(i32, u32)> = counts
                .iter()
                .enumerate()
                .filter(|(_, n)| **n > 0)
                .map(|(v, n)| (v as i32 - 128, *n))
                .collect();
            let cost = |row: &usize| -> u64 {
                used.iter().map(|&(value, n)| u64::from(n) * u64::from(cost(tables.row(*row), value))).sum()
            };
            (0..cdf::SCALES).min_by_key(cost).unwrap_or(0) as u8
        })
    }

    /// About how many 256ths of a bit a value takes.
    fn cost(row: Row, value: i32) -> u32 {
        let index = value - row.offset;
        let (index, more) = match usize::try_from(index) {
            Ok(index) if index < row.escape() => (index, 0),
            // Escaped: groups of two bits, and their number.
            _ => (row.escape(), 256 * (4 + 2 * (1 + value.unsigned_abs().ilog2()))),
        };
        let width = row.cdf[index + 1] - row.cdf[index];
        let whole = width.ilog2();
        // The logarithm between powers of two, taken for linear.
        16 * 256 - (256 * whole + ((width << 8 >> whole) - 256)) + more
    }

    pub fn write(field: &Field, rows: [u8; KINDS], tables: &Tables, to: &mut Encoder) {
        for (kind, difference) in differences(field) {
            to.push(tables.row(usize::from(rows[kind])), difference);
        }
    }

    /// Whatever the stream says, vectors of their range.
    pub fn read(size: (usize, usize), rows: [u8; KINDS], tables: &Tables, from: &mut Decoder) -> Field {
        let mut field = Field::still(size);
        for i in 0..field.vectors.len() {
            let (row, column) = (i / field.columns, i % field.columns);
            let (expected, kind) = (field.expected(row, column), kind(&field, row, column));
            field.vectors[i] = expected.map(|expected| {
                let difference = from.next(tables.row(usize::from(rows[kind])));
                ((expected as i8).wrapping_add(difference)).max(-LONGEST as i8)
            });
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor, no_grad};

    /// A network that says something: random, but with latents of several steps.
    fn network() -> Network {
        tch::manual_seed(3);
        let network = Network::new(Device::Cpu);
        no_grad(|| {
            for (name, variable) in network.store().variables() {
                let mut variable = variable.shallow_clone();
                if name.starts_with("latent.") || name.starts_with("head.") {
                    let _ = variable.g_mul_scalar_(6.0);
                }
            }
        });
        network
    }

    fn picture(side: usize, shift: usize) -> Yuv420 {
        let mut picture = Yuv420::filled(side, side, (0, 0, 0));
        for (i, value) in picture.y.iter_mut().enumerate() {
            let (x, y) = ((i % side + shift) as f32, (i / side) as f32);
            *value = (128.0 + 60.0 * (x * 0.2).sin() + 50.0 * (y * 0.13 + x * 0.02).cos()) as u8;
        }
        for (step, plane) in [(3, &mut picture.u), (5, &mut picture.v)] {
            plane.iter_mut().enumerate().for_each(|(i, v)| *v = 100 + (i * step % 41) as u8);
        }
        picture
    }

    /// A decoder has the sender's picture to the bit; with a stale reference it draws another one from the same latents.
    #[test]
    fn what_is_sent_comes_back() {
        let codec = Codec::of(&network());
        let (before, now) = (picture(128, 0), picture(128, 3));
        for qp in [0, 21, 30, 63] {
            let sent = codec.encode(&now, &before, None, qp, 1);
            assert_ne!(sent.picture, before);
            assert_eq!(Codec::distance(&sent.bytes), Some(1));
            assert_eq!(codec.decode(&sent.bytes, &before, qp).as_ref(), Some(&sent.picture), "qp {qp}");
            let stale = codec.decode(&sent.bytes, &picture(128, 1), qp).expect("a picture");
            assert_ne!(stale, sent.picture);
        }
    }

    /// A hole in the second part costs its latents, one in the first the frame; no damage is taken for data.
    #[test]
    fn holes_are_noticed() {
        let codec = Codec::of(&network());
        let (before, now) = (picture(128, 0), picture(128, 3));
        let sent = codec.encode(&now, &before, None, 63, 1);
        let first = HEADER + usize::from(u16::from_le_bytes([sent.bytes[4], sent.bytes[5]]));
        assert!(sent.bytes.len() > first + 20, "{first} of {}", sent.bytes.len());
        let mut holed = sent.bytes.clone();
        holed[first + 5..].fill(0);
        let partial = codec.decode(&holed, &before, 63).expect("a picture");
        assert_ne!(partial, sent.picture);
        for at in [0, 2, 4, 7, HEADER, first - 1] {
            let mut holed = sent.bytes.clone();
            holed[at] ^= 1;
            assert_eq!(codec.decode(&holed, &before, 63), None, "byte {at}");
        }
        for length in [0, 1, HEADER - 1, HEADER, first - 1] {
            assert_eq!(codec.decode(&sent.bytes[..length], &before, 63), None, "{length} bytes");
        }
    }

    /// The exact arithmetic is that of the network that was trained.
    #[test]
    fn the_network_and_its_exact_form_agree() {
        let network = network();
        let codec = Codec::of(&network);
        let (before, now) = (picture(128, 0), picture(128, 3));
        let field = motion::search(&now, &before, None, PRICE);
        let predicted = motion::predict(&before, &field);
        let tensor = |values: Vec<f32>, columns: i64| {
            let channels = values.len() as i64 / columns / columns;
            Tensor::from_slice(&values).view([1, columns, columns, channels]).permute([0, 3, 1, 2])
        };
        let (current, seen) = (tensor(cells::of(&now), 16), tensor(cells::of(&predicted), 16));
        let qp = 40;
        let latents = no_grad(|| network.analyse(&current, &seen, &[qp]));
        let exact = codec.analyse(&cells::of(&now), &cells::of(&predicted), field.columns, qp);
        let flat = |t: &Tensor| floats(&t.permute([0, 2, 3, 1]));
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let found = flat(&latents);
        assert!(apart(&found, &exact) < 1e-3, "{}", apart(&found, &exact));
        assert!(exact.iter().any(|v| v.abs() > 1.0));

        let coded = no_grad(|| network.code(&latents, &tensor(features(&field), 8), &[qp]));
        let drawn = no_grad(|| network.synthesise(&coded.latents, &seen));
        let sent = codec.encode(&now, &before, None, qp, 1);
        let wanted = flat(&drawn);
        let drawn = cells::of(&sent.picture);
        let off =
            drawn.iter().zip(&wanted).filter(|(a, b)| (*a - b.clamp(-0.5, 0.5)).abs() > 0.6 / 255.0).count();
        // A value on the edge of two steps may fall either way in the two arithmetics, with a square of pixels.
        assert!(off < wanted.len() / 10, "{off} of {} pixels", wanted.len());
        let bits = coded.bits.sum(Kind::Float).double_value(&[]);
        let header = 8.0 * HEADER as f64;
        let real = 8.0 * sent.bytes.len() as f64 - header;
        // What is far from its distribution, much of it here, is escaped in fewer bits than training counts.
        assert!(real > 0.3 * bits && real < 1.15 * bits + 600.0, "{real} bits for {bits}");
    }

    /// No bytes make it panic, or take more than a frame's work.
    #[test]
    fn any_bytes_are_read() {
        let codec = Codec::of(&network());
        let before = picture(64, 0);
        let mut state = 7u32;
        for length in (0..200).chain([5_000]) {
            let mut bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            if length >= HEADER {
                // Past the checks.
                let first = (length - HEADER) / 2;
                bytes[1..4].iter_mut().for_each(|r| *r &= 127);
                bytes[4..6].copy_from_slice(&(first as u16).to_le_bytes());
                Codec::seal(&mut bytes);
                assert!(codec.decode(&bytes, &before, 255).is_some());
            } else {
                assert_eq!(codec.decode(&bytes, &before, 0), None);
            }
        }
    }
}
