//! Playing a four-column trace: which row holds at a time.

use super::revo::Rows;
use super::{TraceError, TraceSpec};
use crate::Bitrate;
use crate::rng::Chance;
use crate::units::{Probability, Span};
use std::sync::Arc;

/// The window of a trace that a link plays, with times from the window's beginning.
#[derive(Clone, Debug)]
pub(crate) struct Playback {
    /// Starts of rows; the first is 0.
    pub(crate) starts: Vec<u64>,
    pub(crate) rates: Vec<Bitrate>,
    rtts: Vec<Span>,
    losses: Vec<Probability>,
    chances: Vec<Chance>,
    first_row: u32,
    /// After this time the window begins again; `None`: the last row holds on.
    pub(crate) period: Option<u64>,
}

/// A row being played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    /// Counts rows as they are played, over all repetitions.
    pub(crate) played: u64,
    /// In the file, from 0.
    pub(crate) row: u32,
    pub(crate) loss: Chance,
    pub(crate) rtt: Span,
}

/// The rows of a trace in the order in which a link plays them: for drivers that have to change something at every row.
#[derive(Clone, Debug)]
pub struct Schedule(pub(crate) Arc<Playback>);

/// One row of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledRow {
    /// When it begins, from the link's epoch.
    pub start: Span,
    /// Its place in the file, from 0.
    pub row: u32,
    /// Of the bottleneck.
    pub rate: Bitrate,
    /// Of one direction: half of the round-trip time.
    pub delay: Span,
    /// Of every packet on its own.
    pub loss: Probability,
}

impl Schedule {
    /// The `played`-th row, counted from 0 over all repetitions; `None` after the last one of a trace that is not repeated.
    #[must_use]
    pub fn row(&self, played: u64) -> Option<ScheduledRow> {
        let rows = &self.0;
        let count = rows.starts.len() as u64;
        let (lap, i) = (played / count, (played % count) as usize);
        let before = if lap == 0 { 0 } else { rows.period?.checked_mul(lap)? };
        Some(ScheduledRow {
            start: Span(before.checked_add(rows.starts[i])?),
            row: rows.first_row + i as u32,
            rate: rows.rates[i],
            delay: Span(rows.rtts[i].0 / 2),
            loss: rows.losses[i],
        })
    }

    /// Every row once, in order.
    pub fn rows(&self) -> impl Iterator<Item = ScheduledRow> + '_ {
        (0..self.0.starts.len() as u64).filter_map(|i| self.row(i))
    }
}

impl Playback {
    pub(crate) fn new(rows: &Rows, spec: &TraceSpec) -> Result<Self, TraceError> {
        let wrong = |problem: String| TraceError::Whole { name: spec.name(), problem };
        let last = rows.rows[rows.rows.len() - 1].start.0;
        let end = if spec.last_row_holds || rows.rows.len() == 1 { rows.end().0 } else { last };
        let offset = spec.offset.0;
        if offset >= end {
            return Err(wrong(format!("offset = \"{}\" is beyond its end at {}", spec.offset, Span(end))));
        }
        let length = spec.duration.map_or(end - offset, |d| d.0);
        if length == 0 || length > end - offset {
            return Err(wrong(format!(
                "duration = \"{}\" is not within the {} from the offset to its end",
                Span(length),
                Span(end - offset)
            )));
        }
        let first = rows.rows.partition_point(|r| r.start.0 <= offset) - 1;
        let window: Vec<_> = rows.rows[first..].iter().take_while(|r| r.start.0 < offset + length).collect();
        Ok(Playback {
            starts: window.iter().map(|r| r.start.0.saturating_sub(offset)).collect(),
            rates: window.iter().map(|r| r.rate).collect(),
            rtts: window.iter().map(|r| r.rtt).collect(),
            losses: window.iter().map(|r| r.loss).collect(),
            chances: window.iter().map(|r| Chance::of(r.loss)).collect(),
            first_row: u32::try_from(first).unwrap_or(u32::MAX),
            period: spec.repeat.then_some(length),
        })
    }

    /// Whether every row of the window is without loss.
    pub(crate) fn is_lossless(&self) -> bool {
        self.chances.iter().all(|loss| *loss == Chance::NEVER)
    }

    /// The row that holds `t` nanoseconds after the window's beginning. `hint`: the caller's last place in the window, which
    /// makes the search short when time goes on in small steps.
    pub(crate) fn row_at(&self, t: u64, hint: &mut usize) -> Played {
        let (lap, t) = self.period.map_or((0, t), |period| (t / period, t % period));
        let i = last_not_above(&self.starts, &t, hint);
        Played {
            played: lap * self.starts.len() as u64 + i as u64,
            row: self.first_row + i as u32,
            loss: self.chances[i],
            rtt: self.rtts[i],
        }
    }
}

/// Index of the last element of a sorted list that is not above `x`; the first element never is. Looks at `hint` and the element after
/// it first.
pub(crate) fn last_not_above<T: Ord>(sorted: &[T], x: &T, hint: &mut usize) -> usize {
    let is = |i: usize| sorted[i] <= *x && sorted.get(i + 1).is_none_or(|next| next > x);
    if !is(*hint) {
        let next = *hint + 1;
        *hint = if next < sorted.len() && is(next) { next } else { sorted.partition_point(|e| e <= x) - 1 };
    }
    *hint
}
