//! ReVo's chunks: parity on key frames, plain slices otherwise, RGB and depth interleaved.
//!
//! | frame | k | n | chunk |
//! |---|---|---|---|
//! | key | `max(1, ceil(L / S))` | `k + floor((k + 1) / 2)` | `ceil(L / k)` bytes, zero-padded, then n - k parity chunks |
//! | other | `max(1, ceil(L / S))` | k | S bytes, the last one shorter; chunk 0 is sent once more at the end |

use crate::fec::zfec::Zfec;
use crate::wire::revo::Desc;
use contract::{Role, Stream};

/// Most data chunks of a key frame: zfec's symbols are bytes, so n <= 256.
pub const MAX_K: usize = 170;

/// An encoded frame of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Colour or depth.
    pub stream: Stream,
    /// Captured frame.
    pub frame: u32,
    /// Frame id of the latest key frame.
    pub gop: u32,
    /// Quantiser to announce.
    pub qp: u8,
    /// The bitstream.
    pub bytes: Vec<u8>,
}

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its header.
    pub desc: Desc,
    /// Data, parity or repeat.
    pub role: Role,
    /// Header and chunk, ready to send.
    pub message: Vec<u8>,
}

/// Cuts one stream's encoded frame into chunks of at most `chunk_size` bytes; repeats are [`repeat`]'s business.
///
/// A key frame too large for 170 chunks goes without parity, k = n. (The original's encoder raises an exception
/// there, which ends its stream.)
#[must_use]
pub fn cut(payload: &Payload, chunk_size: usize) -> Vec<Chunk> {
    let total = payload.bytes.len();
    // The header counts chunks in 16 bits.
    let chunk_size = chunk_size.max(total.div_ceil(usize::from(u16::MAX))).max(1);
    let desc = |index: usize, n: usize, k: usize| Desc {
        stream: payload.stream,
        frame: payload.frame,
        gop: payload.gop,
        qp: payload.qp,
        index: index as u16,
        n: n as u16,
        k: k as u16,
        total: total as u32,
    };
    let chunk = |desc: Desc, role, bytes: &[u8]| Chunk { desc, role, message: desc.encode(bytes) };
    if payload.frame != payload.gop {
        let n = total.div_ceil(chunk_size).max(1);
        return (0..n)
            .map(|i| {
                let slice = &payload.bytes[(i * chunk_size).min(total)..((i + 1) * chunk_size).min(total)];
                chunk(desc(i, n, n), Role::Data, slice)
            })
            .collect();
    }
    let k = total.div_ceil(chunk_size).max(1);
    let n = if k <= MAX_K { k + k.div_ceil(2) } else { k };
    let length = total.div_ceil(k);
    let mut padded = payload.bytes.clone();
    padded.resize(k * length, 0);
    let data: Vec<&[u8]> = (0..k).map(|i| &padded[i * length..(i + 1) * length]).collect();
    let parity =
        if n > k { Zfec::new(k, n).expect("1 <= k <= 170 and n <= 255").parity(&data) } else { Vec::new() };
    let data = data.iter().enumerate().map(|(i, d)| chunk(desc(i, n, k), Role::Data, d));
    let parity = parity.iter().enumerate().map(|(i, p)| chunk(desc(k + i, n, k), Role::Parity, p));
    data.chain(parity).collect()
}

/// One frame's messages in sending order: `rgb0, depth0, rgb1, depth1, ...` until one stream is exhausted, then
/// the rest of the other.
#[must_use]
pub fn interleave(rgb: Vec<Chunk>, depth: Vec<Chunk>) -> Vec<Chunk> {
    let mut out = Vec::with_capacity(rgb.len() + depth.len());
    let (mut rgb, mut depth) = (rgb.into_iter(), depth.into_iter());
    loop {
        let (a, b) = (rgb.next(), depth.next());
        if a.is_none() && b.is_none() {
            return out;
        }
        out.extend(a);
        out.extend(b);
    }
}

/// The second copies that follow a frame without parity: chunk 0 of each stream, RGB first.
#[must_use]
pub fn repeat(chunks: &[Chunk]) -> Vec<Chunk> {
    let first = |stream| chunks.iter().find(|c| c.desc.stream == stream && c.desc.index == 0);
    [first(Stream::Rgb), first(Stream::Depth)]
        .into_iter()
        .flatten()
        .filter(|c| !c.desc.is_key())
        .map(|c| Chunk { role: Role::Repeat, ..c.clone() })
        .collect()
}

/// One stream of one frame on the receiving side.
#[derive(Clone, Debug)]
pub struct Assembly {
    desc: Desc,
    parts: Vec<Option<Vec<u8>>>,
    received: usize,
}

/// What has become of a frame when its time comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assembled {
    /// The encoded frame, bit for bit; `recovered` data chunks came from parity.
    Complete {
        /// The bitstream.
        bytes: Vec<u8>,
        /// Data chunks that parity replaced.
        recovered: u32,
    },
    /// A frame without parity whose first chunk is there; holes are zeros.
    Partial {
        /// The bitstream with holes.
        bytes: Vec<u8>,
        /// Missing chunks.
        missing: u32,
    },
    /// Nothing a decoder could use.
    Lost {
        /// Missing chunks (of those that suffice).
        missing: u32,
    },
}

/// Why a chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was there already.
    Duplicate,
    /// It contradicts the chunks that came before.
    Contradiction,
}

impl Assembly {
    /// Starts from the first chunk that arrives.
    #[must_use]
    pub fn new(desc: Desc) -> Self {
        Self { desc, parts: vec![None; usize::from(desc.n)], received: 0 }
    }

    /// Takes one chunk.
    pub fn insert(&mut self, desc: &Desc, chunk: &[u8]) -> Result<(), Refused> {
        let same = Desc { index: desc.index, ..self.desc };
        if *desc != same || !self.fits(chunk.len(), usize::from(desc.index)) {
            return Err(Refused::Contradiction);
        }
        let part = &mut self.parts[usize::from(desc.index)];
        if part.is_some() {
            return Err(Refused::Duplicate);
        }
        *part = Some(chunk.to_vec());
        self.received += 1;
        Ok(())
    }

    /// Key frames: every chunk has `ceil(total / k)` bytes. Other frames: all chunks but the last are equally
    /// long, and with the last they make up `total`.
    fn fits(&self, length: usize, index: usize) -> bool {
        let (k, n, total) = (usize::from(self.desc.k), usize::from(self.desc.n), self.desc.total as usize);
        if self.desc.is_key() || k < n {
            return length == total.div_ceil(k);
        }
        match (n, index + 1 == n) {
            (1, _) => length == total,
            (_, false) => length > 0 && (n - 1) * length < total && n * length >= total,
            (_, true) => {
                length > 0
                    && length < total
                    && (total - length).is_multiple_of(n - 1)
                    && length <= (total - length) / (n - 1)
            }
        }
    }

    /// The header all its chunks share (apart from the index).
    #[must_use]
    pub fn desc(&self) -> &Desc {
        &self.desc
    }

    /// Chunks so far.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// True once the frame can be rebuilt bit for bit.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.received >= usize::from(self.desc.k)
    }

    /// What the chunks so far make of the frame.
    #[must_use]
    pub fn assemble(&self) -> Assembled {
        let (k, total) = (usize::from(self.desc.k), self.desc.total as usize);
        let missing = k.saturating_sub(self.received) as u32;
        if self.is_ready() {
            let recovered = self.parts[..k].iter().filter(|p| p.is_none()).count() as u32;
            return match self.rebuild(recovered) {
                Some(mut bytes) => {
                    bytes.truncate(total);
                    Assembled::Complete { bytes, recovered }
                }
                None => Assembled::Lost { missing: recovered },
            };
        }
        if self.desc.is_key() || k < self.parts.len() || self.parts[0].is_none() {
            return Assembled::Lost { missing };
        }
        // All chunks but the last are as long as the first; it was checked when they came.
        let length = self.parts[0].as_ref().map_or(0, Vec::len);
        let mut bytes = vec![0; total];
        for (i, part) in self.parts.iter().enumerate() {
            if let Some(part) = part {
                let at = (i * length).min(total);
                let end = (at + part.len()).min(total);
                bytes[at..end].copy_from_slice(&part[..end - at]);
            }
        }
        Assembled::Partial { bytes, missing }
    }

    fn rebuild(&self, recovered: u32) -> Option<Vec<u8>> {
        let k = usize::from(self.desc.k);
        if recovered == 0 {
            return Some(self.parts[..k].iter().flatten().flatten().copied().collect());
        }
        let shards: Vec<(usize, &[u8])> =
            self.parts.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_deref()?))).take(k).collect();
        let data = Zfec::new(k, self.parts.len()).ok()?.decode(&shards).ok()?;
        Some(data.concat())
    }
}
