//! The fate ledger: one JSON line per packet and direction.

use crate::FateRecord;
use std::io::{self, BufRead, Write};

/// Writes records, one line each.
#[derive(Debug)]
pub struct LedgerWriter<W: Write>(W);

impl<W: Write> LedgerWriter<W> {
    /// Writes to `out`; give it a buffer.
    pub fn new(out: W) -> Self {
        LedgerWriter(out)
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&mut self, record: &FateRecord) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, record)?;
        self.0.write_all(b"\n")
    }

    /// Writes out what is buffered and gives `out` back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        self.0.flush()?;
        Ok(self.0)
    }
}

/// What can be wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read.
    #[error("failed to read the fate ledger: {0}")]
    Io(#[from] io::Error),
    /// A line is not a record.
    #[error("fate ledger, line {line}: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: serde_json::Error,
    },
}

/// Reads a ledger, one record per line; blank lines are skipped.
pub fn read_ledger(input: impl BufRead) -> impl Iterator<Item = Result<FateRecord, LedgerError>> {
    input.lines().enumerate().filter_map(|(index, line)| match line {
        Err(e) => Some(Err(e.into())),
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(
            serde_json::from_str(&line).map_err(|problem| LedgerError::Line { line: index + 1, problem }),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Channel, Direction, DropCause, Fate, State, Timestamp};

    #[test]
    fn records_read_back() {
        let channel = Channel { state: Some(State::Bad), row: None };
        let fates = [
            Fate::Delivered { at: Timestamp(7), corrupted: false, copy: None, channel: Channel::default() },
            Fate::Delivered { at: Timestamp(7), corrupted: true, copy: Some(Timestamp(9)), channel },
            Fate::Dropped { cause: DropCause::GeBad, channel },
            Fate::Dropped { cause: DropCause::Trace, channel: Channel { state: None, row: Some(3) } },
        ];
        let mut records: Vec<FateRecord> = fates
            .iter()
            .enumerate()
            .map(|(n, fate)| FateRecord::new(n as u64, Direction::Forward, Timestamp(5), 1200, fate))
            .collect();
        records[0].frame = Some(4);
        records[0].role = Some("data".into());
        records[0].actual_ns = Some(Timestamp(8));
        let mut writer = LedgerWriter::new(Vec::new());
        records.iter().for_each(|r| writer.write(r).unwrap());
        let bytes = writer.finish().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(
            text.lines().nth(2).unwrap(),
            r#"{"n":2,"direction":"forward","in_ns":5,"out_ns":null,"bytes":1200,"fate":"dropped","cause":"ge_bad","state":"bad"}"#
        );
        let again: Vec<_> = read_ledger(&bytes[..]).map(Result::unwrap).collect();
        assert_eq!(again, records);
    }

    #[test]
    fn a_broken_line_is_named() {
        let text = "\n{\"n\":1}\n";
        let error = read_ledger(text.as_bytes()).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
