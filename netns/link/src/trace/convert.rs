//! From one trace format to the other, and what is in a trace.

use super::Trace;
use super::mahimahi::{OPPORTUNITY_BYTES, Opportunities};
use super::revo::{Row, Rows};
use crate::Bitrate;
use crate::units::{Probability, Span};

const NS_PER_MS: u64 = 1_000_000;

impl Rows {
    /// The rate column as opportunities of 1500 bytes, each at the first millisecond by whose end its bytes are through.
    /// Over the whole trace the two differ by less than 1500 bytes. `None` if there is not a single opportunity.
    #[must_use]
    pub fn opportunities(&self) -> Option<Opportunities> {
        const OPPORTUNITY: u128 = OPPORTUNITY_BYTES as u128 * 8 * 1_000_000_000;
        let mut at_ms = Vec::new();
        let mut credit = 0u128;
        for (i, row) in self.rows.iter().enumerate() {
            let end = self.rows.get(i + 1).map_or(row.start.0 + self.last_step().0, |next| next.start.0);
            let rate = u128::from(row.rate.as_bps());
            if rate == 0 {
                continue;
            }
            let gained = rate * u128::from(end - row.start.0);
            let mut spent = OPPORTUNITY - credit;
            while spent <= gained {
                let at = row.start.0 + u64::try_from(spent.div_ceil(rate)).unwrap_or(u64::MAX);
                at_ms.push(at.div_ceil(NS_PER_MS));
                spent += OPPORTUNITY;
            }
            credit = gained + OPPORTUNITY - spent;
        }
        at_ms.last().is_some_and(|last| *last > 0).then_some(Opportunities { at_ms })
    }

    /// What is in the trace.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let end = self.rows.last().map_or(0, |r| r.start.0) + self.last_step().0;
        self.window(Span(0), Span(end))
    }

    /// What is in the trace from `from` on for `length`.
    #[must_use]
    pub fn window(&self, from: Span, length: Span) -> Summary {
        let end = from.0 + length.0;
        let mut s = Summary {
            from,
            length,
            rate_min: Bitrate(u64::MAX),
            rtt_min: Span(u64::MAX),
            ..Summary::default()
        };
        let (mut rate, mut rtt, mut loss, mut total) = (0u128, 0u128, 0u128, 0u64);
        let mut burst = 0u64;
        for (i, row) in self.rows.iter().enumerate() {
            let until = self.rows.get(i + 1).map_or(row.start.0 + self.last_step().0, |next| next.start.0);
            let held = until.min(end).saturating_sub(row.start.0.max(from.0));
            if held == 0 {
                continue;
            }
            total += held;
            s.rows += 1;
            rate += u128::from(row.rate.as_bps()) * u128::from(held);
            rtt += u128::from(row.rtt.0) * u128::from(held);
            loss += u128::from(row.loss.parts()) * u128::from(held);
            s.rate_min = s.rate_min.min(row.rate);
            s.rate_max = s.rate_max.max(row.rate);
            s.rtt_min = s.rtt_min.min(row.rtt);
            s.rtt_max = s.rtt_max.max(row.rtt);
            s.loss_max = s.loss_max.max(row.loss);
            if row.loss > Probability::ZERO {
                s.rows_with_loss += 1;
                burst += held;
                s.longest_burst = s.longest_burst.max(Span(burst));
            } else {
                burst = 0;
            }
        }
        let mean = |sum: u128| u64::try_from(sum / u128::from(total.max(1))).unwrap_or(u64::MAX);
        s.rate_mean = Bitrate(mean(rate));
        s.rtt_mean = Span(mean(rtt));
        s.loss_mean = Probability::from_parts(mean(loss)).unwrap_or(Probability::ONE);
        s
    }

    /// Windows of `length` that begin every `hop`, those with the most loss first.
    #[must_use]
    pub fn lossiest(&self, length: Span, hop: Span) -> Vec<Summary> {
        let end = self.rows.last().map_or(0, |r| r.start.0) + self.last_step().0;
        let starts =
            (0..=end.saturating_sub(length.0)).step_by(usize::try_from(hop.0.max(NS_PER_MS)).unwrap_or(1));
        let mut windows: Vec<Summary> = starts.map(|from| self.window(Span(from), length)).collect();
        windows.sort_by_key(|w| std::cmp::Reverse(w.loss_mean));
        windows
    }
}

impl Opportunities {
    /// The rate per `step`, with no delay and no loss. `None` for a step of zero.
    #[must_use]
    pub fn rows(&self, step: Span) -> Option<Rows> {
        let period = self.at_ms.last()? * NS_PER_MS;
        if step.0 == 0 {
            return None;
        }
        let mut rows = Vec::new();
        let (mut start, mut i) = (0u64, 0);
        while start < period {
            let end = start + step.0;
            let first = i;
            while i < self.at_ms.len() && (self.at_ms[i] * NS_PER_MS < end || end >= period) {
                i += 1;
            }
            let bits = (i - first) as u128 * u128::from(OPPORTUNITY_BYTES) * 8;
            let held = end.min(period) - start;
            let rate = u64::try_from(bits * 1_000_000_000 / u128::from(held)).unwrap_or(u64::MAX);
            rows.push(Row { start: Span(start), rate: Bitrate(rate), rtt: Span(0), loss: Probability::ZERO });
            start = end;
        }
        Some(Rows { rows, clamped: 0, first_clamped: None })
    }

    /// What is in the trace, by steps of 100 ms.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let period = Span(self.at_ms.last().map_or(1, |ms| ms * NS_PER_MS));
        let mut summary =
            self.rows(Span::from_millis(100)).map_or_else(Summary::default, |rows| rows.summary());
        let bits = self.at_ms.len() as u128 * u128::from(OPPORTUNITY_BYTES) * 8;
        summary.rate_mean =
            Bitrate(u64::try_from(bits * 1_000_000_000 / u128::from(period.0)).unwrap_or(u64::MAX));
        summary.length = period;
        summary
    }
}

impl Trace {
    /// What is in the trace.
    #[must_use]
    pub fn summary(&self) -> Summary {
        match self {
            Trace::Rows(rows) => rows.summary(),
            Trace::Opportunities(times) => times.summary(),
        }
    }
}

/// What is in a trace or a part of it; means are over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Where the part begins.
    pub from: Span,
    /// How long it is.
    pub length: Span,
    /// Rows in it.
    pub rows: u64,
    /// Mean rate.
    pub rate_mean: Bitrate,
    /// Least rate of a row.
    pub rate_min: Bitrate,
    /// Greatest rate of a row.
    pub rate_max: Bitrate,
    /// Mean round-trip time.
    pub rtt_mean: Span,
    /// Least round-trip time.
    pub rtt_min: Span,
    /// Greatest round-trip time.
    pub rtt_max: Span,
    /// Mean loss.
    pub loss_mean: Probability,
    /// Greatest loss of a row.
    pub loss_max: Probability,
    /// Rows with a loss above 0.
    pub rows_with_loss: u64,
    /// Longest time of rows with loss in a row.
    pub longest_burst: Span,
}
