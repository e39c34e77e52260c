//! Recorded links: their files, and playing them.
//!
//! | format | a line is | module |
//! |---|---|---|
//! | `revo` | time, rate, round-trip time, loss of the next 15 ms | [`revo`] |
//! | `mahimahi` | the millisecond at which 1500 bytes may leave | [`mahimahi`] |

mod convert;
pub mod mahimahi;
pub mod make;
mod play;
pub mod revo;
mod shipped;

pub use convert::Summary;
pub(crate) use play::{Playback, last_not_above};
pub use play::{Schedule, ScheduledRow};
pub use shipped::{SHIPPED, Shipped};

use crate::units::Span;
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
    /// The whole makes no sense.
    #[error("trace {name}: {problem}")]
    Whole {
        /// The trace.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl Trace {
    /// Reads a trace; `name` is for messages.
    pub fn parse(name: &str, format: Format, bytes: &[u8]) -> Result<Self, TraceError> {
        let text = std::str::from_utf8(bytes).map_err(|e| TraceError::Line {
            name: name.into(),
            line: bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1,
            problem: "not text".into(),
        })?;
        match format {
            Format::Revo => revo::parse(name, text).map(Trace::Rows),
            Format::Mahimahi => mahimahi::parse(name, text).map(|o| Trace::Opportunities(Arc::new(o))),
        }
    }
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
                let bytes =
                    std::fs::read(&path).map_err(|source| TraceError::Read { path: path.clone(), source })?;
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
        let content = Trace::parse(&self.name(), self.format, &bytes)?;
        if let Trace::Rows(revo::Rows { first_clamped: Some((line, loss)), .. }) = &content
            && !matches!(self.replay, Replay::Compat | Replay::Nominal)
        {
            return Err(TraceError::Line {
                name: self.name(),
                line: *line,
                problem: format!(
                    "loss {loss} is negative; a loss is from 0 to 1. Mend the row, or replay the file as ReVo's own script \
                     does, for which it counts as 0: replay = \"compat\""
                ),
            });
        }
        self.content = Some(Arc::new(content));
        self.sha256 = Some(found);
        Ok(())
    }
}
