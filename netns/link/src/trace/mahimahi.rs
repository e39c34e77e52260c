//! Packet-delivery traces of mahimahi: each line is a millisecond at which 1500 bytes may leave.
//!
//! What is not used at its millisecond is wasted; a packet larger than what is left waits for the next ones. At its
//! last millisecond the trace begins again. (mahimahi itself also counts 4 bytes of its tunnel's header against
//! 1504; the two agree for packets of 1500 bytes.)

use super::TraceError;
use std::fmt::Write;

/// Bytes that may leave at one opportunity.
pub const OPPORTUNITY_BYTES: u64 = 1500;

/// Times of opportunities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opportunities {
    /// Milliseconds, never falling, the last one above zero; several of the same value are several opportunities.
    pub at_ms: Vec<u64>,
}

/// Reads a trace; blank lines and lines that begin with `#` are skipped.
pub fn parse(name: &str, text: &str) -> Result<Opportunities, TraceError> {
    let mut at_ms: Vec<u64> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |problem: String| TraceError::Line { name: name.into(), line: index + 1, problem };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let ms: u64 = match line.parse() {
            Ok(ms) if ms <= 1_000_000_000_000 && line.bytes().all(|b| b.is_ascii_digit()) => ms,
            _ => return Err(wrong(format!("`{line}` is not a whole number of milliseconds"))),
        };
        if at_ms.last().is_some_and(|last| ms < *last) {
            return Err(wrong(format!("{ms} is before the line above it; times must not fall")));
        }
        at_ms.push(ms);
    }
    match at_ms.last() {
        Some(last) if *last > 0 => Ok(Opportunities { at_ms }),
        _ => Err(TraceError::Whole { name: name.into(), problem: "no opportunity after 0 ms".into() }),
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
