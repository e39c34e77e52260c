//! Reading `events.jsonl` one line at a time.

use contract::Event;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The operating system refused.
    #[error("failed to read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its own words.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error(
        "failed to read {path}: line {line}: {source}; each line must be one whole record (docs/PLUGIN.md)"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The events of a file in the order in which they stand there. Memory does not grow with the file.
///
/// # Errors
/// When the file cannot be opened; each item is an error when its line cannot be read.
pub fn read_events(path: &Path) -> Result<impl Iterator<Item = Result<Event, EventsError>>, EventsError> {
    read_lines(path)
}

/// One value per line of `path`; empty lines are skipped.
pub(super) fn read_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<JsonLines<T>, EventsError> {
    let file = File::open(path).map_err(|source| EventsError::Io { path: path.to_owned(), source })?;
    let lines = BufReader::with_capacity(1 << 16, file).lines();
    Ok(JsonLines { path: path.to_owned(), lines, line: 0, value: std::marker::PhantomData })
}

pub(super) struct JsonLines<T> {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    line: usize,
    value: std::marker::PhantomData<T>,
}

impl<T: serde::de::DeserializeOwned> Iterator for JsonLines<T> {
    type Item = Result<T, EventsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line += 1;
            let text = match self.lines.next()? {
                Ok(text) => text,
                Err(source) => return Some(Err(EventsError::Io { path: self.path.clone(), source })),
            };
            if !text.trim().is_empty() {
                return Some(serde_json::from_str(&text).map_err(|source| EventsError::Line {
                    path: self.path.clone(),
                    line: self.line,
                    source,
                }));
            }
        }
    }
}
