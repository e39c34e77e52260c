//! Four-column traces as published with ReVo: `0.015 20.59 13.0ms 0.00`.
//!
//! Columns, separated by white space: start of the row in seconds, rate in Mbit/s (10^6), round-trip time
//! with its unit `ms`, loss from 0 to 1. A row holds until the next one starts. The published files have rows of 15 ms and a few
//! negative losses. ReVo's own script takes them for 0, and so do the replays of that script; everywhere else such a row
//! is an error ([`super::TraceSpec::load`]).

use super::TraceError;
use crate::Bitrate;
use crate::units::{Probability, Span, decimal};
use std::fmt::Write;

/// A four-column trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// In order of `start`; never empty.
    pub rows: Vec<Row>,
    /// How many losses were negative and count as 0.
    pub clamped: u32,
    /// The first of them: line of the file, from 1, and what stands there.
    pub first_clamped: Option<(usize, String)>,
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
    /// How long the last row is taken to hold: as long as the one before it.
    #[must_use]
    pub fn last_step(&self) -> Span {
        match self.rows.as_slice() {
            [.., a, b] => Span(b.start.0 - a.start.0),
            _ => Span::from_millis(15),
        }
    }
}

/// Reads a trace; blank lines and lines that begin with `#` are skipped.
pub fn parse(name: &str, text: &str) -> Result<Rows, TraceError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut clamped = 0;
    let mut first_clamped = None;
    for (index, line) in text.lines().enumerate() {
        let wrong = |problem: String| TraceError::Line { name: name.into(), line: index + 1, problem };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [start, rate, rtt, loss, ..] = columns[..] else {
            return Err(wrong(format!(
                "{} columns; a row is `seconds Mbit/s RTTms loss`, e.g. `0.015 20.59 13.0ms 0.00`",
                columns.len()
            )));
        };
        let start = decimal(start, 9)
            .map(Span)
            .ok_or_else(|| wrong(format!("`{start}` is not a time in seconds")))?;
        let rate = decimal(rate, 6)
            .map(Bitrate)
            .ok_or_else(|| wrong(format!("`{rate}` is not a rate in Mbit/s")))?;
        let rtt = rtt.strip_suffix("ms").and_then(|n| decimal(n, 6)).map(Span).ok_or_else(|| {
            wrong(format!("`{rtt}` is not a round-trip time; write it with its unit, e.g. `14.0ms`"))
        })?;
        let (negative, size) = loss.strip_prefix('-').map_or((false, loss), |size| (true, size));
        let parts = decimal(size, 12).ok_or_else(|| wrong(format!("`{loss}` is not a loss from 0 to 1")))?;
        if negative && parts > 0 {
            clamped += 1;
            first_clamped.get_or_insert_with(|| (index + 1, loss.to_owned()));
        }
        let loss = Probability::from_parts(if negative { 0 } else { parts })
            .ok_or_else(|| wrong(format!("loss {loss} is above 1")))?;
        if let Some(last) = rows.last()
            && start <= last.start
        {
            return Err(wrong(format!("it starts at {start}, not after the row before it ({})", last.start)));
        }
        if rows.is_empty() && start.0 != 0 {
            return Err(wrong(format!("the first row starts at {start}; it must start at 0")));
        }
        rows.push(Row { start, rate, rtt, loss });
    }
    if rows.is_empty() {
        return Err(TraceError::Whole { name: name.into(), problem: "no rows".into() });
    }
    Ok(Rows { rows, clamped, first_clamped })
}

/// Writes a trace in the same format.
#[must_use]
pub fn write(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let (s, ns) = (row.start.0 / 1_000_000_000, row.start.0 % 1_000_000_000);
        let _ = writeln!(
            text,
            "{s}.{} {} {}ms {}",
            fraction(ns, 9, 3),
            fixed(row.rate.as_bps(), 6, 2),
            fixed(row.rtt.0, 6, 1),
            fixed(row.loss.parts(), 12, 2)
        );
    }
    text
}

/// `value` / 10^power with at least `least` decimals.
fn fixed(value: u64, power: u32, least: usize) -> String {
    let scale = 10u64.pow(power);
    format!("{}.{}", value / scale, fraction(value % scale, power, least))
}

/// The decimals of `value` / 10^power, at least `least` of them.
fn fraction(value: u64, power: u32, least: usize) -> String {
    let digits = format!("{value:0width$}", width = power as usize);
    let kept = digits.trim_end_matches('0').len().max(least);
    digits[..kept].into()
}
