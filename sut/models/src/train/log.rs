//! The training log: comma-separated values, one line per report, appended to across resumptions.

use std::io::Write;
use std::path::Path;

/// An open log file.
#[derive(Debug)]
pub struct Log(std::fs::File);

impl Log {
    /// Opens `path` to append; a new file starts with `header`.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    pub fn open(path: &Path, header: &str) -> std::io::Result<Self> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{header}")?;
        }
        Ok(Self(file))
    }

    /// Writes one line here and on stderr.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn line(&mut self, line: &str) -> std::io::Result<()> {
        eprintln!("{line}");
        writeln!(self.0, "{line}")
    }
}
