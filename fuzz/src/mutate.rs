//! Seeded mutations: the same seed gives the same inputs on every machine.

/// A small generator.
#[derive(Clone, Debug)]
pub struct Random(link::SplitMix64);

impl Random {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(link::SplitMix64::new(seed))
    }

    /// Any 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0.word()
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.word() % end as u64) as usize }
    }
}

/// Values at which parsers break.
const EDGES: [u64; 12] =
    [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, u64::MAX];

/// Words at which text parsers break.
const WORDS: [&str; 16] = [
    "-1",
    "0",
    "1e999",
    "-0.0",
    "NaN",
    "inf",
    "18446744073709551616",
    "9999999999999999999999",
    "\n",
    "\r\n",
    "\0",
    " ",
    "\"",
    "[[",
    "é",
    "0x7f",
];

/// Longest input, bytes.
const LONGEST: usize = 1 << 16;

/// Changes `input` in one to six ways; `other` is another input to take parts from.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(6) {
        once(input, other, random);
    }
    input.truncate(LONGEST);
}

fn once(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(11) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = random.word() as u8,
        2 => {
            // A number of 1, 2, 4 or 8 bytes, either end first, becomes an edge.
            let size = 1 << random.below(4);
            let edge = EDGES[random.below(EDGES.len())];
            if let Some(place) = input.get_mut(at..at + size) {
                let bytes = edge.to_le_bytes();
                place.copy_from_slice(&bytes[..size]);
                if random.below(2) == 0 {
                    place.reverse();
                }
            }
        }
        3 => {
            // A number of 1, 2 or 4 bytes moves by a little.
            let size = 1 << random.below(3);
            let by = random.below(9) as i64 - 4;
            if let Some(place) = input.get_mut(at..at + size) {
                let mut value = [0; 8];
                value[..size].copy_from_slice(place);
                let moved = u64::from_le_bytes(value).wrapping_add_signed(by).to_le_bytes();
                place.copy_from_slice(&moved[..size]);
            }
        }
        4 => {
            let word = WORDS[random.below(WORDS.len())];
            input.splice(at..at, word.bytes());
        }
        5 => {
            let end = (at + 1 + random.below(16)).min(input.len());
            input.drain(at.min(end)..end);
        }
        6 => {
            let end = (at + 1 + random.below(64)).min(input.len());
            let part = input[at.min(end)..end].to_vec();
            let to = random.below(input.len());
            input.splice(to..to, part);
        }
        7 => {
            let from = random.below(other.len());
            let end = (from + 1 + random.below(128)).min(other.len());
            input.splice(at..at, other[from.min(end)..end].iter().copied());
        }
        8 => input.truncate(at),
        9 => {
            // A number in text becomes another.
            if let Some(digit) = input[at.min(input.len())..].iter().position(u8::is_ascii_digit) {
                let word = WORDS[random.below(8)];
                input.splice(at + digit..=at + digit, word.bytes());
            }
        }
        _ => {
            let more = random.below(40);
            input.extend((0..more).map(|_| random.word() as u8));
        }
    }
}
