//! Rows of rate, round-trip time and loss, and the four columns in which ReVo's traces write them: `0.015 20.59 13.0ms 0.00`.
//!
//! Columns, separated by white space: start of the row in seconds, rate in Mbit/s (10^6), round-trip time
//! with its unit `ms`, loss from 0 to 1. A row holds until the next one starts. The published files have rows of 15 ms and a few
//! negative losses. ReVo's own script takes them for 0, and so do the replays of that script; everywhere else such a row
//! is an error ([`super::TraceSpec::load`]).

use super::TraceError;
use super::columns::Layout;
use super::text::lines;
use crate::Bitrate;
use crate::units::{Probability, Span};
use std::fmt::Write;

/// A trace of rows, from four columns or from a table with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// In order of `start`, the first at 0; never empty.
    pub rows: Vec<Row>,
    /// How many losses were negative and count as 0.
    pub clamped: u32,
    /// The first of them: line of the file, from 1, and what stands there.
    pub first_clamped: Option<(usize, String)>,
    /// Whether the file says anything about the rate; if not, that of every row is 0 and means nothing.
    pub has_rate: bool,
    /// Whether it says anything about the round-trip time.
    pub has_rtt: bool,
    /// Whether it says anything about losses.
    pub has_loss: bool,
}

/// What the link is like from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Since the trace's beginning.
    pub start: Span,
    /// Of the bottleneck.
    pub rate: Bitrate,
    /// Both directions together.
    pub rtt: Span,
    /// Of every packet on its own.
    pub loss: Probability,
}

impl Rows {
    /// Rows that say everything.
    #[must_use]
    pub fn new(rows: Vec<Row>) -> Self {
        Rows { rows, clamped: 0, first_clamped: None, has_rate: true, has_rtt: true, has_loss: true }
    }

    /// How long the last row is taken to hold: as long as the one before it; a single row 15 ms.
    #[must_use]
    pub fn last_step(&self) -> Span {
        match self.rows.as_slice() {
            [.., a, b] => Span(b.start.0 - a.start.0),
            _ => Span::from_millis(15),
        }
    }

    /// When the last row ends.
    #[must_use]
    pub fn end(&self) -> Span {
        Span(self.rows.last().map_or(0, |r| r.start.0) + self.last_step().0)
    }

    /// Each row with the time at which it ends.
    pub(super) fn with_ends(&self) -> impl Iterator<Item = (&Row, u64)> {
        let ends = self.rows.iter().skip(1).map(|next| next.start.0).chain([self.end().0]);
        self.rows.iter().zip(ends)
    }
}

/// Reads four columns; blank lines and what follows a `#` are skipped. The second value is the time of the first row, from which
/// times count.
pub fn parse(name: &str, text: &str) -> Result<(Rows, Span), TraceError> {
    Layout::revo().read(name, lines(text))
}

/// Writes a trace as four columns.
#[must_use]
pub fn write(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(
            text,
            "{} {} {}ms {}",
            fixed(row.start.0, 9, 3),
            fixed(row.rate.as_bps(), 6, 2),
            fixed(row.rtt.0, 6, 1),
            fixed(row.loss.parts(), 12, 2)
        );
    }
    text
}

/// Writes a trace as a table with a header, without the columns that it does not have.
#[must_use]
pub fn write_csv(rows: &Rows) -> String {
    let mut text = String::from("time_s");
    for (has, name) in [(rows.has_rate, "rate_mbps"), (rows.has_rtt, "rtt_ms"), (rows.has_loss, "loss")] {
        if has {
            let _ = write!(text, ",{name}");
        }
    }
    text.push('\n');
    for row in &rows.rows {
        text += &fixed(row.start.0, 9, 3);
        let cells = [
            (rows.has_rate, fixed(row.rate.as_bps(), 6, 2)),
            (rows.has_rtt, fixed(row.rtt.0, 6, 1)),
            (rows.has_loss, fixed(row.loss.parts(), 12, 2)),
        ];
        for (_, cell) in cells.iter().filter(|(has, _)| *has) {
            let _ = write!(text, ",{cell}");
        }
        text.push('\n');
    }
    text
}

/// `value` / 10^power with at least `least` decimals.
fn fixed(value: u64, power: u32, least: usize) -> String {
    let scale = 10u64.pow(power);
    let digits = format!("{:0width$}", value % scale, width = power as usize);
    let kept = digits.trim_end_matches('0').len().max(least);
    format!("{}.{}", value / scale, &digits[..kept])
}
