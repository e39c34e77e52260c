//! Packets to video frames.

use super::Config;
use super::code::{Code, MAX_DATA_STRIPES, MAX_PARITY_STRIPES};
use super::encoder::{block_of, bytes_of};
use super::solve::{Group, Rows, smallest_solvable, solve};
use super::wire::{Header, Trailer, unwrap_frame};
use crate::fec::FecError;
use crate::fec::gf32::{BLOCK_BYTES, Block, WORDS, combine};
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
    /// FEC frames from its last part to the newest one seen when it became complete: at most 2 tau.
    pub delay: u64,
}

/// Columns of v and of u stripes, as bits.
const CLASSES: [u64; 2] = [0x5555_5555_5555_5555, 0xAAAA_AAAA_AAAA_AAAA];

/// One FEC frame of the window.
#[derive(Clone, Debug, Default)]
struct Frame {
    /// Bytes; 0 while unknown.
    size: u16,
    /// Stripes; zeros where `have` has no bit.
    data: Vec<Block>,
    /// Bit c: stripe c is there.
    have: u64,
    parity: BTreeMap<usize, Block>,
    recovered: u32,
    done: bool,
}

impl Frame {
    fn set_size(&mut self, size: u16) {
        if self.size == 0 {
            self.size = size;
            self.data = vec![[0; WORDS]; usize::from(size).div_ceil(BLOCK_BYTES)];
        }
    }

    /// Puts a stripe in its place; false if it is there already.
    fn set(&mut self, column: usize, stripe: Block) -> bool {
        let new = self.have >> column & 1 == 0;
        if new {
            self.data[column] = stripe;
            self.have |= 1 << column;
        }
        new
    }

    /// Columns that are missing, as bits.
    fn missing(&self) -> u64 {
        match self.data.len() {
            0 => 0,
            stripes => !self.have & u64::MAX >> (MAX_DATA_STRIPES - stripes),
        }
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
                new |= frame.set(first_stripe + i, block_of(stripe));
            }
        }
        if !new {
            return Ok(Vec::new());
        }
        self.solve();
        Ok(self.deliver())
    }

    /// Solves for all missing stripes that the parity at hand determines, in systems as small as can be.
    fn solve(&mut self) {
        while let Some(frames) = self.solvable() {
            if self.solve_with(&frames) == 0 {
                return;
            }
        }
    }

    /// Frames whose parity together determines all the missing stripes that it covers, if there are such.
    fn solvable(&self) -> Option<Vec<u64>> {
        let rule = self.code.rule;
        let oldest = *self.frames.first_key_value()?.0;
        // Missing v and u stripes of the frames, in this order.
        let missing: Vec<u32> = self
            .frames
            .values()
            .flat_map(|frame| CLASSES.map(|class| (frame.missing() & class).count_ones()))
            .collect();
        if missing.iter().all(|m| *m == 0) {
            return None;
        }
        let still_used = self.newest.unwrap_or(0).saturating_sub(rule.parity_age());
        let mut groups = Vec::new();
        for (&t, frame) in &self.frames {
            if t < still_used {
                continue;
            }
            let Some(first) = rule.first_covered(t).filter(|_| !frame.parity.is_empty()) else { continue };
            let first = first.max(self.first);
            let covered = self.frames.range(first..=t);
            if first < oldest || covered.clone().any(|(_, f)| f.size == 0) {
                continue; // what it covers is not known
            }
            let mut unknowns = 0u32;
            for (f, class) in covered.flat_map(|(&f, _)| [(f, 0), (f, 1)]) {
                let bit = 2 * (f - oldest) as usize + class;
                unknowns |= u32::from(missing[bit] > 0 && rule.covers(t, f, class)) << bit;
            }
            if unknowns != 0 {
                groups.push(Group { frame: t, equations: frame.parity.len() as u32, unknowns });
            }
        }
        smallest_solvable(&groups, &missing)
    }

    /// Solves the equations of these frames' parity; how many stripes that gives.
    fn solve_with(&mut self, frames: &[u64]) -> usize {
        let rule = self.code.rule;
        let (tau, first) = (self.config.tau, self.first);
        let covers = |t: u64, f: u64, column: usize| {
            rule.first_covered(t).is_some_and(|from| (from.max(first)..=t).contains(&f))
                && rule.covers(t, f, column)
        };
        // (frame, column) of what is missing and covered by one of them.
        let mut unknowns: Vec<(u64, usize)> = Vec::new();
        for (&f, frame) in &self.frames {
            let missing = (0..frame.data.len()).filter(|c| frame.missing() >> c & 1 == 1);
            let covered = missing.filter(|c| frames.iter().any(|t| covers(*t, f, *c)));
            unknowns.extend(covered.map(|c| (f, c)));
        }
        let equations: Vec<(u64, usize)> =
            frames.iter().flat_map(|t| self.frames[t].parity.keys().map(move |row| (*t, *row))).collect();
        let mut rows = Rows::new(equations.len(), unknowns.len());
        for (e, &(t, row)) in equations.iter().enumerate() {
            let coefficients = self.code.row(t, row);
            for (u, &(f, c)) in unknowns.iter().enumerate() {
                if covers(t, f, c) {
                    rows.set(e, u, coefficients[(f + tau - t) as usize * MAX_DATA_STRIPES + c]);
                }
            }
        }
        let solution = solve(rows);
        // Every equation less what is known of it, where the solution uses it.
        let used = |e: usize| solution.iter().any(|(_, weights)| weights.iter().any(|(i, _)| *i == e));
        let rests: Vec<Block> = equations
            .iter()
            .enumerate()
            .map(|(e, &(t, row))| if used(e) { self.rest(t, row) } else { [0; WORDS] })
            .collect();
        for (unknown, weights) in &solution {
            let terms: Vec<(u32, &Block)> = weights.iter().map(|&(e, w)| (w, &rests[e])).collect();
            let mut stripe = [0; WORDS];
            combine(&terms, &mut stripe);
            let (f, column) = unknowns[*unknown];
            if let Some(frame) = self.frames.get_mut(&f) {
                frame.set(column, stripe);
                frame.recovered += 1;
            }
        }
        solution.len()
    }

    /// Parity stripe `row` of frame `t` less the stripes that are there.
    fn rest(&self, t: u64, row: usize) -> Block {
        let rule = self.code.rule;
        let coefficients = self.code.row(t, row);
        let first = rule.first_covered(t).unwrap_or(t).max(self.first);
        let mut terms = Vec::with_capacity(coefficients.len());
        for (&f, frame) in self.frames.range(first..=t) {
            let base = (f + self.config.tau - t) as usize * MAX_DATA_STRIPES;
            let known = frame.data.iter().enumerate().filter(|(c, _)| frame.have >> c & 1 == 1);
            let covered = known.filter(|(c, _)| rule.covers(t, f, *c));
            terms.extend(covered.map(|(c, stripe)| (coefficients[base + c], stripe)));
        }
        let mut rest = self.frames[&t].parity[&row];
        combine(&terms, &mut rest);
        rest
    }

    /// Hands out what is complete and not older than the window. A code with a delay promises nothing after tau, but solves more now and
    /// then, and the published receiver delivers it. One frame later is in time for a sender that asks for a key frame when tau is
    /// exceeded; after that it ends the wait for a frame of which the sender does not know.
    fn deliver(&mut self) -> Vec<Recovered> {
        let Some(newest) = self.newest else { return Vec::new() };
        let mut complete = Vec::new();
        for (&n, frame) in &mut self.frames {
            if frame.done || frame.size == 0 || frame.missing() != 0 {
                continue;
            }
            frame.done = true;
            if newest - n > self.code.rule.latest() {
                continue; // it may still help others, but its time is over
            }
            let mut bytes = Vec::with_capacity(frame.data.len() * BLOCK_BYTES);
            frame.data.iter().for_each(|stripe| bytes.extend(bytes_of(stripe)));
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
