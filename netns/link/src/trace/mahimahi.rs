//! Packet-delivery traces of mahimahi: each line is a millisecond at which 1500 bytes may leave.
//!
//! What is not used at its millisecond is wasted; a packet larger than what is left waits for the next ones. At its
//! last millisecond the trace begins again. (mahimahi itself also counts 4 bytes of its tunnel's header against
//! 1504; the two agree for packets of 1500 bytes.)

use super::TraceError;
use super::number::Decimal;
use super::text::{MOST, lines, shown, uncommented};
use std::fmt::Write;

/// Bytes that may leave at one opportunity.
pub const OPPORTUNITY_BYTES: u64 = 1500;

/// Times of opportunities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opportunities {
    /// Milliseconds, never falling, the last one above zero; several of the same value are several opportunities.
    pub at_ms: Vec<u64>,
}

/// A first time from here on is a time stamp since 1970 (March 1973 and later), not a trace that begins with three years of outage.
const SINCE_1970: u64 = 100_000_000_000;
/// 31 years: a mistaken unit.
const LONGEST_MS: u64 = super::columns::LONGEST / 1_000_000;

/// Reads a trace; blank lines and what follows a `#` are skipped. The second value is what was taken off every time.
pub fn parse(name: &str, text: &str) -> Result<(Opportunities, u64), TraceError> {
    let mut at_ms: Vec<u64> = Vec::new();
    let mut base = 0;
    for (line_number, line) in lines(text) {
        let wrong = |problem: String| TraceError::Line { name: name.into(), line: line_number, problem };
        let line = uncommented(line);
        let decimal = Decimal::read(line, '.').ok().filter(|d| d.is_whole() && (!d.negative || d.is_zero()));
        let decimal = decimal.ok_or_else(|| {
            wrong(format!("`{}` is not a whole number of milliseconds (0 or more)", shown(line)))
        })?;
        let ms = decimal.times(0).unwrap_or(u64::MAX);
        if at_ms.is_empty() && ms >= SINCE_1970 {
            base = ms;
        }
        let last = at_ms.last().map_or(0, |last| last + base);
        if ms < last {
            return Err(wrong(format!("{ms} is before the line above it ({last}): times must not fall")));
        }
        if ms - base > LONGEST_MS || base > 100 * SINCE_1970 {
            return Err(wrong(format!(
                "{} is too large: mahimahi's times are milliseconds; divide microseconds by 1000, nanoseconds by 1000000",
                shown(line)
            )));
        }
        if at_ms.len() == MOST {
            return Err(wrong(format!("more than {MOST} lines: cut the trace into shorter ones")));
        }
        at_ms.push(ms - base);
    }
    match at_ms.last() {
        Some(last) if *last > 0 => Ok((Opportunities { at_ms }, base)),
        _ => Err(TraceError::Whole {
            name: name.into(),
            problem: "no opportunity after 0 ms: a trace's last line is its length in milliseconds, above 0"
                .into(),
        }),
    }
}

/// Writes a trace in the same format.
#[must_use]
pub fn write(trace: &Opportunities) -> String {
    let mut text = String::with_capacity(trace.at_ms.len() * 6);
    for ms in &trace.at_ms {
        let _ = writeln!(text, "{ms}");
    }
    text
}
