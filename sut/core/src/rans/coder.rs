//! One rANS stream: state of 32 bits, lower bound 2^23, bytes.
//!
//! Values outside a row's symbols are escaped: the escape symbol, then how many 2-bit groups follow (in groups of 3 while there
//! are at least three, then the rest), then the groups, least significant first.

use super::cdf::Row;

/// Smallest state between symbols.
const LOWER: u32 = 1 << 23;
const STATE_BYTES: usize = 4;
const BITS: u32 = 16;
const MASK: u32 = (1 << BITS) - 1;
/// Largest 2-bit group.
const GROUP: u32 = 3;

/// One step of the coder, in coding order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Symbol { start: u32, width: u32 },
    Group(u32),
}

/// Collects symbols and writes them at the end: rANS is last in, first out.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    steps: Vec<Step>,
}

impl Encoder {
    /// Adds a value.
    pub fn push(&mut self, row: Row<'_>, value: i8) {
        let index = i32::from(value) - row.offset;
        let escape = row.escape();
        let raw = match usize::try_from(index) {
            Ok(index) if index < escape => {
                self.symbol(row, index);
                return;
            }
            Ok(index) => 2 * u32::try_from(index - escape).unwrap_or(0),
            Err(_) => 2 * index.unsigned_abs() - 1,
        };
        self.symbol(row, escape);
        let groups = (u32::BITS - raw.leading_zeros()).div_ceil(2);
        self.steps.extend(std::iter::repeat_n(Step::Group(GROUP), (groups / GROUP) as usize));
        self.steps.push(Step::Group(groups % GROUP));
        self.steps.extend((0..groups).map(|g| Step::Group((raw >> (2 * g)) & GROUP)));
    }

    fn symbol(&mut self, row: Row<'_>, index: usize) {
        let start = row.cdf[index];
        self.steps.push(Step::Symbol { start, width: row.cdf[index + 1] - start });
    }

    /// The stream; no bytes without values.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        if self.steps.is_empty() {
            return Vec::new();
        }
        let mut state = LOWER;
        let mut bytes = Vec::with_capacity(self.steps.len() / 2 + STATE_BYTES);
        for step in self.steps.into_iter().rev() {
            // The low byte leaves whenever the state would grow beyond 31 bits.
            let limit = match step {
                Step::Symbol { width, .. } => width << 15,
                Step::Group(_) => 1 << 29,
            };
            while state >= limit {
                bytes.push(state.to_le_bytes()[0]);
                state >>= 8;
            }
            state = match step {
                Step::Symbol { start, width } => ((state / width) << BITS) + state % width + start,
                Step::Group(value) => (state << 2) + value,
            };
        }
        bytes.extend(state.to_be_bytes());
        bytes.reverse();
        bytes
    }
}

/// Reads a stream forwards, or a buffer from its end. What lies beyond the buffer reads as zeros.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    backwards: bool,
    position: usize,
    state: u32,
}

impl<'a> Decoder<'a> {
    /// A decoder of the stream that begins `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::open(bytes, false)
    }

    /// A decoder of the stream that ends `bytes`, written from its end.
    #[must_use]
    pub fn backwards(bytes: &'a [u8]) -> Self {
        Self::open(bytes, true)
    }

    fn open(bytes: &'a [u8], backwards: bool) -> Self {
        let mut decoder = Self { bytes, backwards, position: 0, state: 0 };
        let first: [u8; STATE_BYTES] = std::array::from_fn(|_| decoder.byte());
        decoder.state = u32::from_le_bytes(first);
        decoder
    }

    /// Bytes read so far, those beyond the end included.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    fn byte(&mut self) -> u8 {
        let at = if self.backwards {
            self.bytes.len().checked_sub(self.position + 1)
        } else {
            Some(self.position)
        };
        self.position += 1;
        at.and_then(|at| self.bytes.get(at)).copied().unwrap_or(0)
    }

    /// The next value; one that no 8 bits hold (only a damaged stream has it) keeps its low 8 bits.
    #[allow(clippy::cast_possible_truncation)] // says the line above
    pub fn next(&mut self, row: Row<'_>) -> i8 {
        let code = self.state & MASK;
        let index = row.cdf.partition_point(|&c| c <= code).saturating_sub(1).min(row.escape());
        let start = row.cdf[index];
        // At most 2^16 (2^16 - 1) + 2^16 - 1: no overflow.
        self.state = (row.cdf[index + 1] - start) * (self.state >> BITS) + (code - start);
        // Two bytes restore any state that an encoder can have made; a damaged one may stay small.
        for _ in 0..STATE_BYTES {
            if self.state >= LOWER {
                break;
            }
            self.state = (self.state << 8) | u32::from(self.byte());
        }
        let index = if index == row.escape() { self.escaped(index as i32) } else { index as i32 };
        index.wrapping_add(row.offset) as i8
    }

    /// Index of an escaped value.
    fn escaped(&mut self, escape: i32) -> i32 {
        let mut groups = 0;
        loop {
            let more = self.group();
            groups += more;
            // A group of 3 costs 2 bits of the stream, so that this ends with the buffer at the latest.
            if more < GROUP || self.position > self.bytes.len() + STATE_BYTES {
                break;
            }
        }
        let mut raw = 0u32;
        for g in 0..groups {
            let value = self.group();
            if g < u32::BITS / 2 {
                raw |= value << (2 * g);
            } else if self.position > self.bytes.len() + STATE_BYTES {
                break; // nothing but zeros follows
            }
        }
        let half = (raw >> 1) as i32; // at most 31 bits
        if raw & 1 == 1 { -half - 1 } else { half.wrapping_add(escape) }
    }

    fn group(&mut self) -> u32 {
        let value = self.state & GROUP;
        self.state >>= 2;
        if self.state < LOWER {
            self.state = (self.state << 8) | u32::from(self.byte());
        }
        value
    }
}
