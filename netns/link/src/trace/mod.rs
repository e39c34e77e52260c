//! Recorded links: their files, and playing them.
//!
//! | format | a line is | module |
//! |---|---|---|
//! | `revo` | time, rate, round-trip time, loss of the next 15 ms | [`revo`] |
//! | `mahimahi` | the millisecond at which 1500 bytes may leave | [`mahimahi`] |
//! | `csv` | after a header that names them: time and rate, round-trip time, loss | `columns` |

mod columns;
mod convert;
mod kind;
pub mod mahimahi;
pub mod make;
mod number;
mod play;
pub mod revo;
mod shipped;
mod text;

pub use columns::fields;
pub use convert::{Deliveries, Summary};
pub(crate) use play::{Playback, last_not_above};
pub use play::{Schedule, ScheduledRow};
pub use shipped::{SHIPPED, Shipped};

use crate::units::Span;
use columns::{Layout, Separator};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A trace's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Rate, round-trip time and loss over time.
    Rows(revo::Rows),
    /// Times at which 1500 bytes may leave.
    Opportunities(Arc<mahimahi::Opportunities>),
}

/// How a trace's file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Four columns: seconds, Mbit/s, round-trip time with `ms`, loss 0 to 1.
    Revo,
    /// One integer per line: a millisecond at which a 1500-byte packet may leave.
    Mahimahi,
    /// A table whose first line names its columns and their units, such as `time_s,rate_mbps`.
    Csv,
}

/// How a four-column trace becomes a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// As the kernel behaves under ReVo's own script: loss per row (a negative one counts as 0) and a fixed delay of 40 ms, then the rate column with a
    /// bucket of 1600 bytes that may run into debt, a queue of 1000 packets; the round-trip time column is ignored.
    ///
    /// The script asks htb for `burst 150k`, but htb holds a class to its ceiling's bucket too, and the script leaves
    /// that one at tc's default of 1600 bytes; so the large bucket never acts (docs/NETWORK.md has the measurement).
    Compat,
    /// As ReVo's script reads: like [`Replay::Compat`], with a token bucket of 150 KiB.
    Nominal,
    /// Everything the file says: rate without a burst, half of the round-trip time in each direction, loss per row.
    Full,
    /// Nothing but what the other stages name as `"trace"`.
    Columns,
}

/// Which trace a link follows, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSpec {
    /// Path of the file, relative to the scenario's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Name of a trace that comes with the project ([`SHIPPED`]), instead of `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped: Option<String>,
    /// How the file is written.
    pub format: Format,
    /// How a four-column trace becomes a link; a mahimahi trace has only its rate.
    #[serde(default = "columns")]
    pub replay: Replay,
    /// Where in the trace the link's time zero lies.
    #[serde(default)]
    pub offset: Span,
    /// How much of the trace is played; absent: to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Play the window again when it has ended; otherwise its last row holds on.
    #[serde(default = "yes")]
    pub repeat: bool,
    /// SHA-256 of the file, checked if given, filled in by loading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The last row holds as long as the one before it. Not so in ReVo's own replay, whose next lap begins at
    /// the time of the last row.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub last_row_holds: bool,
    /// The file's content, once loaded.
    #[serde(skip)]
    pub content: Option<Arc<Trace>>,
    /// What was done to the file's content on reading, once loaded.
    #[serde(skip)]
    pub notes: Vec<String>,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_yes(value: &bool) -> bool {
    *value
}

const fn columns() -> Replay {
    Replay::Columns
}

/// What can be wrong with a trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Neither or both of `file` and `shipped`.
    #[error("trace: write either `file = \"...\"` or `shipped = \"...\"`")]
    NoSource,
    /// No such shipped trace.
    #[error("trace.shipped = \"{name}\": no such trace comes with the project; there are: {known}")]
    NotShipped {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file cannot be read.
    #[error("failed to read trace {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not the one the scenario was made with.
    #[error(
        "trace {name}: its SHA-256 is {found}, the scenario expects {expected}; get the same file or remove `sha256`"
    )]
    Changed {
        /// The trace.
        name: String,
        /// Of the file.
        found: String,
        /// Of the scenario.
        expected: String,
    },
    /// A line makes no sense.
    #[error("trace {name}, line {line}: {problem}")]
    Line {
        /// The trace.
        name: String,
        /// From 1.
        line: usize,
        /// What is wrong and what should be there.
        problem: String,
    },
    /// A field makes no sense.
    #[error("trace {name}, line {line}, column {column} ({what}): {problem}")]
    Cell {
        /// The trace.
        name: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the column says.
        what: &'static str,
        /// What is wrong and what should be there.
        problem: String,
    },
    /// The whole makes no sense.
    #[error("trace {name}: {problem}")]
    Whole {
        /// The trace.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// A trace as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its content.
    pub trace: Trace,
    /// What was done to it on reading and a study should know: times that were shifted, columns that were left out.
    pub notes: Vec<String>,
}

impl Trace {
    /// Reads a trace; `name` is for messages.
    ///
    /// # Errors
    /// Names the line, and what the file looks like if that is another format.
    pub fn parse(name: &str, format: Format, bytes: &[u8]) -> Result<Self, TraceError> {
        Self::read(name, format, bytes).map(|read| read.trace)
    }

    /// Reads a trace and says what was done to it.
    ///
    /// # Errors
    /// Names the line, and what the file looks like if that is another format.
    pub fn read(name: &str, format: Format, bytes: &[u8]) -> Result<Read, TraceError> {
        let text = text_of(name, bytes)?;
        let read = match format {
            Format::Revo => revo::parse(name, text).map(|(rows, base)| Read::rows(rows, base, &[])),
            Format::Mahimahi => {
                mahimahi::parse(name, text).map(|(times, base)| Read::opportunities(times, base))
            }
            Format::Csv => {
                let mut lines = text::lines(text);
                let (line, header) = lines.next().unwrap_or((1, ""));
                let separator = Separator::of(header);
                Layout::named(&separator.split(header), separator)
                    .map_err(|problem| TraceError::Line { name: name.into(), line, problem })
                    .and_then(|layout| {
                        layout.read(name, lines).map(|(rows, base)| Read::rows(rows, base, &layout.ignored))
                    })
            }
        };
        read.map_err(|error| kind::mistaken(name, format, bytes, error))
    }

    /// Reads rows whose columns are called `columns`, separated by commas, `-` for one to ignore. A header in the file is skipped.
    ///
    /// # Errors
    /// Names the line, or the column that is not understood.
    pub fn read_columns(name: &str, columns: &str, bytes: &[u8]) -> Result<Read, TraceError> {
        let text = text_of(name, bytes)?;
        let names: Vec<&str> = columns.split(',').map(str::trim).collect();
        let mut lines = text::lines(text).peekable();
        let first = lines.peek().map_or("", |(_, line)| *line);
        let separator = match Separator::of(first) {
            Separator::Char('\t') if !kind::header(first) => Separator::White,
            other => other,
        };
        let wrong = |problem| TraceError::Whole { name: "--columns".into(), problem };
        let layout = Layout::named(&names, separator).map_err(wrong)?;
        if let [unknown, ..] = layout.ignored.as_slice() {
            return Err(wrong(format!(
                "`{unknown}` is none of {}; write `-` for a column to ignore",
                columns::NAMES
            )));
        }
        if kind::header(first) {
            lines.next();
        }
        layout.read(name, lines).map(|(rows, base)| Read::rows(rows, base, &layout.ignored))
    }
}

fn text_of<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, TraceError> {
    text::decode(bytes).map_err(|(line, problem)| match line {
        0 => TraceError::Whole { name: name.into(), problem },
        line => TraceError::Line { name: name.into(), line, problem },
    })
}

impl Read {
    fn rows(rows: revo::Rows, base: Span, ignored: &[String]) -> Self {
        let mut notes = Vec::new();
        if base.0 > 0 {
            notes
                .push(format!("times count from the first row, which is at {} in the file", seconds(base.0)));
        }
        if !ignored.is_empty() {
            notes.push(format!("columns that say nothing to a link were left out: {}", ignored.join(", ")));
        }
        Read { trace: Trace::Rows(rows), notes }
    }

    fn opportunities(times: mahimahi::Opportunities, base_ms: u64) -> Self {
        let mut notes = Vec::new();
        if base_ms > 0 {
            notes.push(format!(
                "times count from the first line, which is at {} in the file",
                seconds(base_ms.saturating_mul(1_000_000))
            ));
        }
        let (count, last) = (times.at_ms.len() as u128, u128::from(times.at_ms.last().copied().unwrap_or(1)));
        const HOUR_MS: u128 = 3_600_000;
        if count * 12_000 < last && last > HOUR_MS {
            notes.push(format!(
                "its mean rate is below 1 kbit/s ({count} times 1500 bytes in {last} ms): its times are taken to be milliseconds; \
                 divide microseconds by 1000, nanoseconds by 1000000"
            ));
        }
        Read { trace: Trace::Opportunities(Arc::new(times)), notes }
    }
}

fn seconds(ns: u64) -> String {
    let since = if ns >= 100_000_000_000_000_000 { " (a time since 1970)" } else { "" };
    format!("{}.{:03} s{since}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

/// A file's bytes, but not more than a trace can be: a device or a mistaken name ends in a message.
pub fn read_file(path: &Path) -> Result<Vec<u8>, TraceError> {
    use std::io::Read as _;
    let read = |source| TraceError::Read { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut bytes = Vec::new();
    file.take(text::LARGEST + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > text::LARGEST {
        let problem = format!(
            "it is larger than {} MiB, which no trace is: cut it into shorter ones",
            text::LARGEST >> 20
        );
        return Err(TraceError::Whole { name: path.display().to_string(), problem });
    }
    Ok(bytes)
}

impl TraceSpec {
    /// A whole four-column trace, repeated.
    #[must_use]
    pub fn revo(file: &Path, replay: Replay) -> Self {
        TraceSpec { replay, ..Self::file(file, Format::Revo) }
    }

    /// A whole trace, repeated.
    #[must_use]
    pub fn file(file: &Path, format: Format) -> Self {
        TraceSpec {
            file: Some(file.into()),
            shipped: None,
            format,
            replay: Replay::Columns,
            offset: Span(0),
            duration: None,
            repeat: true,
            sha256: None,
            last_row_holds: true,
            content: None,
            notes: Vec::new(),
        }
    }

    /// For messages.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.file, &self.shipped) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(name)) => name.clone(),
            (None, None) => "(none)".into(),
        }
    }

    /// Reads the trace's file, looked for from `base`, and keeps its content, absolute path and hash.
    pub fn load(&mut self, base: &Path) -> Result<(), TraceError> {
        let bytes: std::borrow::Cow<'static, [u8]> = match (&mut self.file, &self.shipped) {
            (Some(file), None) => {
                let path = base.join(&*file);
                let bytes = read_file(&path)?;
                *file = path;
                bytes.into()
            }
            (None, Some(name)) => {
                let known = || SHIPPED.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
                let shipped = SHIPPED.iter().find(|s| s.name == name);
                let shipped =
                    shipped.ok_or_else(|| TraceError::NotShipped { name: name.clone(), known: known() })?;
                shipped.text.as_bytes().into()
            }
            _ => return Err(TraceError::NoSource),
        };
        let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if let Some(expected) = &self.sha256
            && *expected != found
        {
            return Err(TraceError::Changed { name: self.name(), found, expected: expected.clone() });
        }
        let Read { trace: content, notes } = Trace::read(&self.name(), self.format, &bytes)?;
        if let Trace::Rows(revo::Rows { first_clamped: Some((line, loss)), .. }) = &content
            && !matches!(self.replay, Replay::Compat | Replay::Nominal)
        {
            return Err(TraceError::Line {
                name: self.name(),
                line: *line,
                problem: format!(
                    "loss {loss} is negative; a loss is from 0 to 1. Correct the row, or replay the file as ReVo's own script \
                     does, for which it counts as 0: replay = \"compat\""
                ),
            });
        }
        self.content = Some(Arc::new(content));
        self.notes = notes;
        self.sha256 = Some(found);
        Ok(())
    }
}
