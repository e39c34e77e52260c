//! From one trace format to the other, and what is in a trace. Memory and time are bounded by the length of the trace's file, not by the
//! times that stand in it.

use super::mahimahi::{OPPORTUNITY_BYTES, Opportunities};
use super::revo::{Row, Rows};
use super::{Format, Trace};
use crate::Bitrate;
use crate::units::{Probability, Span};

const NS_PER_MS: u64 = 1_000_000;
/// An opportunity in nanobits.
const OPPORTUNITY: u128 = OPPORTUNITY_BYTES as u128 * 8 * 1_000_000_000;
/// Opportunities that are written, at most: some 90 MB of text, an hour at 33 Mbit/s.
const MOST_WRITTEN: u128 = 10_000_000;
/// Milliseconds without an opportunity that count as an outage.
const OUTAGE_MS: u64 = 100;

/// A rate as opportunities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// The opportunities. The last stands at the end of the rows, for there mahimahi begins again.
    pub times: Opportunities,
    /// Where the last one would have been, if that is earlier: milliseconds.
    pub last_was_ms: Option<u64>,
}

impl Rows {
    /// The rate column as opportunities of 1500 bytes, each at the first millisecond by whose end its bytes are through.
    /// Over the whole trace the two differ by less than 1500 bytes. The last opportunity waits for the end of the last row, so that an
    /// outage there, and with it the mean rate, is kept.
    ///
    /// # Errors
    /// If there is no rate, not a single opportunity, or more of them than any trace has.
    pub fn opportunities(&self) -> Result<Deliveries, String> {
        if !self.has_rate {
            return Err("it says nothing about the rate, and a mahimahi trace is nothing else: add a column such as rate_mbps".into());
        }
        let bits: u128 = self
            .with_ends()
            .map(|(row, end)| u128::from(row.rate.as_bps()) * u128::from(end - row.start.0))
            .sum::<u128>();
        let count = bits / OPPORTUNITY;
        if count == 0 {
            return Err(
                "its rate never lets 1500 bytes through: a mahimahi trace needs one such opportunity".into(),
            );
        }
        if count > MOST_WRITTEN {
            return Err(format!(
                "{count} times 1500 bytes, and a mahimahi trace has a line for each: more than {MOST_WRITTEN} are not written; cut the trace shorter"
            ));
        }
        let mut at_ms = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut credit = 0u128;
        for (row, end) in self.with_ends() {
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
        let end = self.end().0.div_ceil(NS_PER_MS);
        let mut last_was_ms = None;
        if let Some(last) = at_ms.last_mut().filter(|last| **last < end) {
            last_was_ms = Some(*last);
            *last = end;
        }
        Ok(Deliveries { times: Opportunities { at_ms }, last_was_ms })
    }

    /// What is in the trace.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.window(Span(0), self.end())
    }

    /// What is in the trace from `from` on for `length`.
    #[must_use]
    pub fn window(&self, from: Span, length: Span) -> Summary {
        let end = from.0.saturating_add(length.0);
        let mut s = Summary {
            from,
            length,
            rate_min: Bitrate(u64::MAX),
            rtt_min: Span(u64::MAX),
            ..Summary::default()
        };
        let (mut rate, mut rtt, mut loss, mut total) = (0u128, 0u128, 0u128, 0u64);
        let (mut burst, mut outage) = (0u64, 0u64);
        let first = self.rows.partition_point(|r| r.start <= from).saturating_sub(1);
        for (row, until) in self.with_ends().skip(first) {
            if row.start.0 >= end {
                break;
            }
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
            if self.has_rate && row.rate.as_bps() == 0 {
                s.outages += u64::from(outage == 0);
                outage += held;
                s.outage_total = Span(s.outage_total.0 + held);
                s.longest_outage = s.longest_outage.max(Span(outage));
            } else {
                outage = 0;
            }
        }
        let mean = |sum: u128| u64::try_from(sum / u128::from(total.max(1))).unwrap_or(u64::MAX);
        s.rate_mean = Bitrate(mean(rate));
        s.rtt_mean = Span(mean(rtt));
        s.loss_mean = Probability::from_parts(mean(loss)).unwrap_or(Probability::ONE);
        s
    }

    /// The `top` windows of `length` that have the most loss, of those that begin every `hop` (at least 1 ms). Of the windows that lie within one
    /// row, which are all alike, only the first is looked at: a row that holds for years costs no more than one of 15 ms.
    #[must_use]
    pub fn lossiest(&self, length: Span, hop: Span, top: usize) -> Vec<Summary> {
        let hop = hop.0.max(NS_PER_MS);
        let Some(latest) = self.end().0.checked_sub(length.0) else { return Vec::new() };
        // Loss times time before each row, so that a window is two look-ups.
        let mut sums = Vec::with_capacity(self.rows.len());
        let mut sum = 0u128;
        for (row, end) in self.with_ends() {
            sums.push(sum);
            sum += u128::from(row.loss.parts()) * u128::from(end - row.start.0);
        }
        let until = |t: u64| {
            let i = self.rows.partition_point(|r| r.start.0 <= t).saturating_sub(1);
            (i, sums[i] + u128::from(self.rows[i].loss.parts()) * u128::from(t - self.rows[i].start.0))
        };
        let mut best: Vec<(u128, u64)> = Vec::new();
        let mut from = 0u64;
        while from <= latest {
            let ((i, before), (_, after)) = (until(from), until(from + length.0));
            let loss = after - before;
            let place = best.partition_point(|(other, _)| *other >= loss);
            if place < top {
                best.insert(place, (loss, from));
                best.truncate(top);
            }
            let row_end = self.rows.get(i + 1).map_or(self.end().0, |next| next.start.0);
            let last_alike = row_end.checked_sub(length.0).filter(|last| *last > from);
            let skipped = last_alike.map_or(0, |last| (last - from) / hop);
            from += (skipped + 1) * hop;
        }
        best.into_iter().map(|(_, from)| self.window(Span(from), length)).collect()
    }
}

impl Opportunities {
    /// The length of a lap.
    #[must_use]
    pub fn period(&self) -> Span {
        Span(self.at_ms.last().map_or(1, |ms| ms * NS_PER_MS))
    }

    /// The rate per `step` (rounded up to whole milliseconds, in which the trace counts), with no delay and no loss. An opportunity counts in
    /// the step that ends with it, or within which it lies. Steps without any are one row. Writing the rows as opportunities again
    /// gives as many in every step, and the same length. `None` for a step of zero.
    #[must_use]
    pub fn rows(&self, step: Span) -> Option<Rows> {
        let period = self.at_ms.last()? * NS_PER_MS;
        if step.0 == 0 || period == 0 {
            return None;
        }
        let step = step.0.div_ceil(NS_PER_MS).checked_mul(NS_PER_MS)?;
        // (start, opportunities) of each row.
        let mut pieces: Vec<(u64, u64)> = Vec::new();
        let mut next = 0;
        for ms in &self.at_ms {
            let k = (ms * NS_PER_MS).saturating_sub(1) / step;
            if k >= next {
                if k > next {
                    pieces.push((next * step, 0));
                }
                pieces.push((k * step, 0));
                next = k + 1;
            }
            pieces.last_mut()?.1 += 1;
        }
        // A short rest belongs to the step before it: a rate over a few milliseconds says little.
        if let [.., (start, n), (last, rest)] = pieces[..]
            && n > 0
            && (period - last) * 2 < step
        {
            pieces.pop();
            *pieces.last_mut()? = (start, n + rest);
        }
        let mut rows: Vec<Row> = Vec::with_capacity(pieces.len() + 1);
        let (mut wanted, mut sent) = (0u128, 0u128);
        for (i, (start, n)) in pieces.iter().enumerate() {
            let held = u128::from(pieces.get(i + 1).map_or(period, |next| next.0) - start);
            wanted += u128::from(*n) * OPPORTUNITY;
            // Up, so that the last bit of each opportunity is through within its row; what is too much is taken off the next.
            let rate = wanted.saturating_sub(sent).div_ceil(held);
            sent += rate * held;
            let rate = Bitrate(u64::try_from(rate).unwrap_or(u64::MAX));
            rows.push(Row { start: Span(*start), rate, rtt: Span(0), loss: Probability::ZERO });
        }
        // The last row holds as long as the one before it, so these two must be alike.
        let last = *rows.last()?;
        let held = period - last.start.0;
        let before = rows.len().checked_sub(2).map(|i| rows[i]);
        let step_before = before.map(|row| last.start.0 - row.start.0);
        if step_before != Some(held) {
            let at = match before {
                Some(row) if row.rate.0 == 0 && step_before > Some(held) => {
                    rows.pop();
                    rows.push(Row { start: Span(last.start.0 - held), ..row });
                    last.start.0
                }
                _ => last.start.0 + held / 2,
            };
            rows.push(Row { start: Span(at), ..last });
        }
        Some(Rows { has_rtt: false, has_loss: false, ..Rows::new(rows) })
    }

    /// What is in the trace; the least and the greatest rate by steps of 100 ms.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let period = self.period();
        let rows = self.rows(Span::from_millis(100));
        let mut summary = rows.map_or_else(Summary::default, |rows| rows.summary());
        let bits = self.at_ms.len() as u128 * u128::from(OPPORTUNITY_BYTES) * 8;
        summary.rate_mean =
            Bitrate(u64::try_from(bits * 1_000_000_000 / u128::from(period.0)).unwrap_or(u64::MAX));
        (summary.from, summary.length) = (Span(0), period);
        summary.rows = self.at_ms.len() as u64;
        (summary.outages, summary.outage_total, summary.longest_outage) = (0, Span(0), Span(0));
        let mut before = 0;
        for ms in &self.at_ms {
            let gap = ms - before;
            if gap >= OUTAGE_MS {
                let gap = Span(gap * NS_PER_MS);
                summary.outages += 1;
                summary.outage_total = Span(summary.outage_total.0 + gap.0);
                summary.longest_outage = summary.longest_outage.max(gap);
            }
            before = *ms;
        }
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

    /// As text in a format, deliveries as rows of `step`. The second value is what a reader of that text should know.
    ///
    /// # Errors
    /// Says why the trace cannot be written so.
    pub fn write(&self, format: Format, step: Span) -> Result<(String, Option<String>), String> {
        let rows = |times: &Opportunities| {
            times
                .rows(step)
                .ok_or_else(|| "the length of a row must be above 0: write `--step 100ms`".to_owned())
        };
        match (self, format) {
            (Trace::Opportunities(times), Format::Mahimahi) => Ok((super::mahimahi::write(times), None)),
            (Trace::Opportunities(times), Format::Revo) => Ok((super::revo::write(&rows(times)?.rows), None)),
            (Trace::Opportunities(times), Format::Csv) => Ok((super::revo::write_csv(&rows(times)?), None)),
            (Trace::Rows(rows), Format::Csv) => Ok((super::revo::write_csv(rows), None)),
            (Trace::Rows(rows), Format::Revo) => {
                let lacks =
                    [(rows.has_rate, "rate"), (rows.has_rtt, "round-trip time"), (rows.has_loss, "loss")];
                let lacks: Vec<&str> = lacks.iter().filter(|(has, _)| !has).map(|(_, what)| *what).collect();
                let note = (!lacks.is_empty())
                    .then(|| format!("the trace says nothing about {}: written as 0", lacks.join(" and ")));
                if !rows.has_rate {
                    return Err("it says nothing about the rate, and four columns would say 0: write it with --to csv".into());
                }
                Ok((super::revo::write(&rows.rows), note))
            }
            (Trace::Rows(rows), Format::Mahimahi) => {
                let deliveries = rows.opportunities()?;
                let outage_last = rows.rows.last().is_some_and(|row| row.rate.as_bps() == 0);
                let note = deliveries.last_was_ms.filter(|_| outage_last).map(|was| {
                    format!(
                        "the trace ends with an outage, and a mahimahi trace ends with its last opportunity: that one was moved from \
                         {was} ms to the end at {} ms",
                        deliveries.times.period().0 / NS_PER_MS
                    )
                });
                Ok((super::mahimahi::write(&deliveries.times), note))
            }
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
    /// Rows in it; of packet deliveries their number.
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
    /// Times in which nothing leaves: rows with a rate of 0, or 100 ms and more without a delivery.
    pub outages: u64,
    /// All of them together.
    pub outage_total: Span,
    /// The longest of them.
    pub longest_outage: Span,
}
