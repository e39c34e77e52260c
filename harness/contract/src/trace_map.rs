//! ReVo's `trace_map.txt`: which video is sent over which trace.
//!
//! One session per line, `category TAB video stem TAB trace file`; lines that begin with `#` are skipped, and trace files are looked for
//! beside the map.

use std::path::{Path, PathBuf};

/// A line of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `wifi`, `cell`, `eth`, or any other word.
    pub category: String,
    /// Name of the video without its ending.
    pub stem: String,
    /// The trace.
    pub trace: PathBuf,
}

/// What can be wrong with a map.
#[derive(Debug, thiserror::Error)]
pub enum TraceMapError {
    /// Not readable.
    #[error("failed to read the trace map {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A line that is no session.
    #[error("{path}, line {line} {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What and why.
        reason: String,
    },
    /// Nothing to do.
    #[error("{0} has no line with a session: write category TAB video stem TAB trace file")]
    Empty(PathBuf),
}

/// Longest run id.
pub const LONGEST: usize = 200;

impl Entry {
    /// Name of the session, on both machines.
    #[must_use]
    pub fn run_id(&self) -> String {
        let trace = self.trace.file_stem().unwrap_or_default().to_string_lossy();
        format!("{}_{}_{trace}", self.stem, self.category)
    }
}

/// Says what is wrong with a run id, which becomes the name of a folder and may come from another machine.
///
/// # Errors
/// Other characters than letters, digits, `.`, `_` and `-`, a `.` in front, or more than [`LONGEST`] of them.
pub fn check_run_id(id: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=LONGEST).contains(&id.len()) && id.chars().all(plain) && !id.starts_with('.') {
        Ok(())
    } else {
        Err(format!("{id:?} is no run id: letters, digits, '.', '_' and '-', at most {LONGEST}, none hidden"))
    }
}

/// Reads a map; names what is wrong with which line.
///
/// # Errors
/// No such file; a line without three fields; words that make no run id; the same run id twice.
pub fn read(path: &Path) -> Result<Vec<Entry>, TraceMapError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TraceMapError::Io { path: path.to_owned(), source })?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |reason| TraceMapError::Line { path: path.to_owned(), line: number + 1, reason };
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [category, stem, trace] = fields[..] else {
            let reason = format!("has {} fields; write category TAB video stem TAB trace file", fields.len());
            return Err(wrong(reason));
        };
        let entry = Entry { category: category.into(), stem: stem.into(), trace: beside.join(trace) };
        let id = entry.run_id();
        check_run_id(&id).map_err(|reason| wrong(format!("makes no name: {reason}")))?;
        if entries.iter().any(|e| e.run_id() == id) {
            let reason = format!("gives the run {id} a second time; its results would overwrite the first's");
            return Err(wrong(reason));
        }
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err(TraceMapError::Empty(path.to_owned()));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_and_its_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let map = dir.path().join("trace_map.txt");
        let write = |text: &str| std::fs::write(&map, text).unwrap();
        write(
            "# category\tvideo_stem\ttrace_path\nwifi\tA_0_S0\twifi/trace6.log\n\ncell\tA_0_S0\tcell/trace6.log\n",
        );
        let entries = read(&map).unwrap();
        assert_eq!(entries[0].run_id(), "A_0_S0_wifi_trace6");
        assert_eq!(entries[0].trace, dir.path().join("wifi/trace6.log"));
        assert_eq!(entries[1].run_id(), "A_0_S0_cell_trace6");
        for (text, said) in [
            ("wifi A trace.log\n", "line 1 has 1 fields"),
            ("wifi\tA\tt.log\nwifi\tA\tt.log\n", "line 2 gives the run A_wifi_t a second time"),
            ("wifi\t../A\tt.log\n", "is no run id"),
            ("# nothing\n", "no line with a session"),
        ] {
            write(text);
            let error = read(&map).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
