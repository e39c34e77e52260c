//! The symbols of a frame through one coder, or through two whose streams share a buffer: the first read forwards from its
//! beginning, the second backwards from its end. No lengths are stored, and equal end bytes of the two are stored once.

use super::cdf::Tables;
use super::coder::{Decoder, Encoder};

/// Most bytes that the two streams share.
const MOST_SHARED: usize = 8;

/// Writes the planes of a frame.
#[derive(Clone, Debug)]
pub struct FrameEncoder {
    first: Encoder,
    second: Option<Encoder>,
}

impl FrameEncoder {
    /// An empty frame; with `two` coders each plane is cut in the middle (the first half is the shorter one).
    #[must_use]
    pub fn new(two: bool) -> Self {
        Self { first: Encoder::default(), second: two.then(Encoder::default) }
    }

    /// Adds a plane: each value with the number of its row in `tables`.
    ///
    /// # Panics
    /// When a row is not in `tables`.
    pub fn plane(&mut self, tables: &Tables, values: impl ExactSizeIterator<Item = (usize, i8)>) {
        let cut = if self.second.is_some() { values.len() / 2 } else { values.len() };
        for (i, (row, value)) in values.enumerate() {
            let coder = self.second.as_mut().filter(|_| i >= cut).unwrap_or(&mut self.first);
            coder.push(tables.row(row), value);
        }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = self.first.finish();
        if let Some(second) = self.second {
            let second = second.finish();
            let kept = second.len() - shared(&bytes, &second);
            bytes.extend(second[..kept].iter().rev());
        }
        bytes
    }
}

/// How many end bytes of the two streams are the same to whoever reads them: zeros, or one byte of any value.
fn shared(a: &[u8], b: &[u8]) -> usize {
    let ends = || a.iter().rev().zip(b.iter().rev());
    let zeros = ends().take(MOST_SHARED).take_while(|(a, b)| **a == 0 && **b == 0).count();
    if zeros > 0 { zeros } else { usize::from(ends().next().is_some_and(|(a, b)| a == b)) }
}

/// Reads the planes of a frame, in the order in which they were written.
#[derive(Clone, Debug)]
pub struct FrameDecoder<'a> {
    first: Decoder<'a>,
    second: Option<Decoder<'a>>,
}

impl<'a> FrameDecoder<'a> {
    /// A decoder of a frame of one or `two` coders.
    #[must_use]
    pub fn new(bytes: &'a [u8], two: bool) -> Self {
        Self { first: Decoder::new(bytes), second: two.then(|| Decoder::backwards(bytes)) }
    }

    /// The values of the next plane, whose rows in `tables` are `rows`.
    ///
    /// # Panics
    /// When a row is not in `tables`.
    pub fn plane(&mut self, tables: &Tables, rows: impl ExactSizeIterator<Item = usize>) -> Vec<i8> {
        let cut = if self.second.is_some() { rows.len() / 2 } else { rows.len() };
        let values = rows.enumerate().map(|(i, row)| {
            let coder = self.second.as_mut().filter(|_| i >= cut).unwrap_or(&mut self.first);
            coder.next(tables.row(row))
        });
        values.collect()
    }

    /// Bytes that were read, those beyond the buffer's end included: more than the buffer holds means that it was cut.
    #[must_use]
    pub fn bytes_read(&self) -> usize {
        self.first.position() + self.second.as_ref().map_or(0, Decoder::position)
    }
}
