//! Packets to video frames.

use super::Config;
use super::code::{Code, MAX_DATA_STRIPES, MAX_PARITY_STRIPES};
use super::encoder::block_of;
use super::wire::{Header, Trailer, unwrap_frame};
use crate::fec::FecError;
use crate::fec::gf32::{BLOCK_BYTES, Block, WORDS, combine, inverse};
use std::collections::BTreeMap;

/// A video frame that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its number.
    pub video_frame: u32,
    /// FEC frame of its last part.
    pub fec_frame: u64,
    /// It can be decoded alone.
    pub key: bool,
    /// The encoded frame.
    pub bytes: Vec<u8>,
    /// Data stripes of it that came from parity.
    pub recovered_stripes: u32,
    /// FEC frames from its last part to the newest one seen when it became complete: at most tau.
    pub delay: u64,
}

/// One FEC frame of the window.
#[derive(Clone, Debug, Default)]
struct Frame {
    /// Bytes; 0 while unknown.
    size: u16,
    data: Vec<Option<Block>>,
    parity: BTreeMap<usize, Block>,
    recovered: u32,
    done: bool,
}

impl Frame {
    fn set_size(&mut self, size: u16) -> bool {
        if self.size == 0 {
            self.size = size;
            self.data = vec![None; usize::from(size).div_ceil(BLOCK_BYTES)];
        }
        self.size == size
    }

    fn missing(&self) -> usize {
        self.data.iter().filter(|d| d.is_none()).count()
    }
}

/// Parts of a video frame that wait for the others.
#[derive(Clone, Debug)]
struct Parts {
    key: bool,
    parts: Vec<Option<Vec<u8>>>,
    recovered: u32,
    newest: u64,
}

/// The receiving half.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: Config,
    code: Code,
    frames: BTreeMap<u64, Frame>,
    newest: Option<u64>,
    parts: BTreeMap<u32, Parts>,
    /// Number of the sender's first FEC frame.
    first: u64,
}

impl Decoder {
    /// A decoder that expects the sender to begin at FEC frame 0.
    ///
    /// # Errors
    /// [`FecError::Parameter`] if tau or the packet size is out of bounds.
    pub fn new(config: Config) -> Result<Self, FecError> {
        Decoder::starting_at(config, 0)
    }

    /// A decoder for a sender that begins at FEC frame `frame`.
    ///
    /// # Errors
    /// As [`Decoder::new`].
    pub fn starting_at(config: Config, frame: u64) -> Result<Self, FecError> {
        let config = config.check()?;
        let code = Code::new(config.scheme, config.tau);
        let frames = BTreeMap::new();
        Ok(Decoder { config, code, frames, newest: None, parts: BTreeMap::new(), first: frame })
    }

    /// Newest FEC frame of which a packet came.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The FEC frame that a header's 15 bits mean now.
    #[must_use]
    pub fn unwrapped(&self, frame: u16) -> u64 {
        unwrap_frame(frame, self.newest.unwrap_or(self.first))
    }

    /// The oldest FEC frame that could still become complete, if any frame is incomplete.
    #[must_use]
    pub fn oldest_incomplete(&self) -> Option<u64> {
        self.frames.iter().find(|(_, f)| !f.done).map(|(&n, _)| n)
    }

    /// Takes a packet; returns the video frames that are complete through it, oldest first.
    ///
    /// # Errors
    /// [`FecError::Malformed`] if it is no packet of this code or contradicts an earlier one; it is ignored.
    pub fn push(&mut self, packet: &[u8]) -> Result<Vec<Recovered>, FecError> {
        let (header, stripes) = Header::parse(packet).ok_or(FecError::Malformed("not a FEC packet"))?;
        let t = self.unwrapped(header.frame);
        let first_stripe = usize::from(header.first_stripe);
        let count = stripes.len() / BLOCK_BYTES;
        let most = if header.parity {
            MAX_PARITY_STRIPES
        } else {
            usize::from(header.sizes[0]).div_ceil(BLOCK_BYTES)
        };
        if first_stripe + count > most {
            return Err(FecError::Malformed("stripes beyond the frame"));
        }
        if t < self.first {
            return Err(FecError::Malformed("before the first frame"));
        }
        let newest = self.newest.map_or(t, |n| n.max(t));
        // Too old to help any frame that may still be delivered.
        if t + self.code.period() <= newest {
            return Ok(Vec::new());
        }
        for (back, &size) in (0..=self.config.tau).zip(&header.sizes) {
            let known = t.checked_sub(back).filter(|&f| f >= self.first && f + self.code.period() > newest);
            if let (Some(f), true) = (known, size > 0)
                && self.frames.get(&f).is_some_and(|f| f.size != 0 && f.size != size)
            {
                return Err(FecError::Malformed("contradicts the size of a frame"));
            }
        }
        if self.newest != Some(newest) {
            let oldest = (newest + 1).saturating_sub(self.code.period()).max(self.first);
            self.frames = self.frames.split_off(&oldest);
            let from = self.newest.map_or(oldest, |n| (n + 1).max(oldest));
            for f in from..=newest {
                self.frames.entry(f).or_default();
            }
            self.newest = Some(newest);
        }
        for (back, &size) in (0..=self.config.tau).zip(&header.sizes) {
            if let Some(frame) = t.checked_sub(back).and_then(|f| self.frames.get_mut(&f))
                && size > 0
            {
                frame.set_size(size);
            }
        }
        let Some(frame) = self.frames.get_mut(&t) else { return Ok(Vec::new()) };
        let mut new = false;
        for (i, stripe) in stripes.chunks(BLOCK_BYTES).enumerate() {
            if header.parity {
                new |= frame.parity.insert(first_stripe + i, block_of(stripe)).is_none();
            } else {
                let slot = &mut frame.data[first_stripe + i];
                new |= slot.is_none();
                slot.get_or_insert_with(|| block_of(stripe));
            }
        }
        if !new {
            return Ok(Vec::new());
        }
        self.solve();
        Ok(self.deliver())
    }

    /// Solves for all missing stripes that the parity at hand determines.
    fn solve(&mut self) {
        // Unknowns: (frame, column) of frames whose size is known.
        let mut unknowns: Vec<(u64, usize)> = Vec::new();
        for (&n, frame) in &self.frames {
            unknowns.extend((0..frame.data.len()).filter(|&c| frame.data[c].is_none()).map(|c| (n, c)));
        }
        if unknowns.is_empty() {
            return;
        }
        let width = unknowns.len().div_ceil(WORDS);
        // One row per parity stripe: coefficients of the unknowns, and the stripe less what is known.
        let mut rows: Vec<Vec<Block>> = Vec::new();
        let rule = self.code.rule;
        for (&t, frame) in &self.frames {
            let Some(first) = rule.first_covered(t).filter(|_| !frame.parity.is_empty()) else { continue };
            let first = first.max(self.first);
            let covered: Vec<(u64, &Frame)> = self.frames.range(first..=t).map(|(&f, s)| (f, s)).collect();
            let whole = covered.len() as u64 == t - first + 1 && covered.iter().all(|(_, f)| f.size > 0);
            let open = |(f, state): &(u64, &Frame)| {
                (0..state.data.len()).any(|c| state.data[c].is_none() && rule.covers(t, *f, c))
            };
            if !whole || !covered.iter().any(open) {
                continue;
            }
            for (&row, parity) in &frame.parity {
                let coefficients = self.code.row(t, row);
                let at = |f: u64, c: usize| {
                    coefficients[(f + self.config.tau - t) as usize * MAX_DATA_STRIPES + c]
                };
                let mut equation = vec![[0; WORDS]; width + 1];
                equation[width] = *parity;
                let known = covered.iter().flat_map(|&(f, state)| {
                    state.data.iter().enumerate().filter_map(move |(c, stripe)| {
                        let stripe = stripe.as_ref().filter(|_| rule.covers(t, f, c))?;
                        Some((at(f, c), stripe))
                    })
                });
                combine(known, &mut equation[width]);
                for (i, &(f, c)) in unknowns.iter().enumerate() {
                    if (first..=t).contains(&f) && rule.covers(t, f, c) {
                        equation[i / WORDS][i % WORDS] = at(f, c);
                    }
                }
                rows.push(equation);
            }
        }
        for (unknown, stripe) in eliminate(&mut rows, unknowns.len(), width) {
            let (f, c) = unknowns[unknown];
            if let Some(frame) = self.frames.get_mut(&f) {
                frame.data[c] = Some(stripe);
                frame.recovered += 1;
            }
        }
    }

    /// Hands out what is complete and not older than tau.
    fn deliver(&mut self) -> Vec<Recovered> {
        let Some(newest) = self.newest else { return Vec::new() };
        let mut complete = Vec::new();
        for (&n, frame) in &mut self.frames {
            if frame.done || frame.size == 0 || frame.missing() > 0 {
                continue;
            }
            frame.done = true;
            if newest - n > self.config.tau + self.code.rule.grace() {
                continue; // it may still help others, but its time is over
            }
            let mut bytes: Vec<u8> =
                frame.data.iter().flatten().flatten().flat_map(|word| word.to_le_bytes()).collect();
            bytes.truncate(usize::from(frame.size));
            let Some((payload, trailer)) = Trailer::split(&bytes) else { continue };
            let parts = self.parts.entry(trailer.video_frame).or_insert_with(|| Parts {
                key: trailer.key,
                parts: vec![None; usize::from(trailer.parts)],
                recovered: 0,
                newest: n,
            });
            if parts.parts.len() != usize::from(trailer.parts) {
                continue;
            }
            parts.parts[usize::from(trailer.part)].get_or_insert_with(|| payload.to_vec());
            parts.recovered += frame.recovered;
            parts.newest = parts.newest.max(n);
            if parts.parts.iter().all(Option::is_some) {
                complete.push(trailer.video_frame);
            }
        }
        let mut out: Vec<Recovered> = Vec::new();
        for video_frame in complete {
            if let Some(parts) = self.parts.remove(&video_frame) {
                out.push(Recovered {
                    video_frame,
                    fec_frame: parts.newest,
                    key: parts.key,
                    bytes: parts.parts.into_iter().flatten().flatten().collect(),
                    recovered_stripes: parts.recovered,
                    delay: newest - parts.newest,
                });
            }
        }
        // Parts whose siblings can no longer come: a video frame spans at most 16 FEC frames.
        self.parts.retain(|_, p| p.newest + 16 + self.config.tau > newest);
        out.sort_by_key(|r| r.video_frame);
        out
    }
}

/// Gauss-Jordan elimination; the unknowns that are determined, with their values. Rows are `width` blocks of
/// coefficients and one of the right side.
fn eliminate(rows: &mut [Vec<Block>], unknowns: usize, width: usize) -> Vec<(usize, Block)> {
    let mut pivots: Vec<usize> = Vec::new();
    for column in 0..unknowns {
        let rank = pivots.len();
        let at = |row: &Vec<Block>| row[column / WORDS][column % WORDS];
        let Some(pivot) = (rank..rows.len()).find(|&r| at(&rows[r]) != 0) else { continue };
        rows.swap(rank, pivot);
        let scale = inverse(at(&rows[rank]));
        let normal: Vec<Block> = rows[rank]
            .iter()
            .map(|block| {
                let mut scaled = [0; WORDS];
                combine(std::iter::once((scale, block)), &mut scaled);
                scaled
            })
            .collect();
        for (r, row) in rows.iter_mut().enumerate() {
            let factor = at(row);
            if r != rank && factor != 0 {
                for (block, pivot) in row.iter_mut().zip(&normal) {
                    combine(std::iter::once((factor, pivot)), block);
                }
            }
        }
        rows[rank] = normal;
        pivots.push(column);
        if pivots.len() == rows.len() {
            break;
        }
    }
    pivots
        .iter()
        .zip(rows.iter())
        .filter(|(_, row)| {
            // Determined: no free unknown beside the pivot.
            row[..width].iter().flatten().filter(|&&c| c != 0).count() == 1
        })
        .map(|(&column, row)| (column, row[width]))
        .collect()
}
