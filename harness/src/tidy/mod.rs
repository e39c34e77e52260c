//! Results as tidy tables, one row per observation: `runs`, `frames`, `packets`, as Parquet and CSV.
//!
//! `run` (the hash of the run's key) joins them. Every column is documented once, in [`Column::about`]: `freezeframe export --columns`
//! prints them, docs/DATA.md has what it prints, Parquet files carry it.

mod parquet_file;
pub mod tables;

use anyhow::Context as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

pub use parquet_file::ParquetFile;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 64-bit integer.
    Int,
    /// 64-bit float.
    Float,
    /// UTF-8.
    Text,
    /// true, false.
    Bool,
}

impl Kind {
    /// As SQL calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Int => "BIGINT",
            Kind::Float => "DOUBLE",
            Kind::Text => "VARCHAR",
            Kind::Bool => "BOOLEAN",
        }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, which ends in its unit (`_ns`, `_ms`, `_db`, `_percent`, `_kbps`, `_bytes`) if it has one.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// What it means, with its unit.
    pub about: String,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, which is its file's.
    pub name: &'static str,
    /// What a row is.
    pub row: &'static str,
    /// Its columns, in order; new ones only ever come at the end.
    pub columns: Vec<Column>,
}

/// What rows are written to.
pub trait Sink {
    /// Writes one row: as many values as the table has columns.
    ///
    /// # Errors
    /// When it cannot be written.
    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()>;

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// A CSV file: a head line, empty cells for what is not there.
pub struct CsvFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl CsvFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, table: &Table) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
        let mut csv = Self { file: BufWriter::new(file), path: path.to_owned() };
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        csv.line(&names.join(","))?;
        Ok(csv)
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.file, "{line}").with_context(|| format!("failed to write {}", self.path.display()))
    }
}

impl Sink for CsvFile {
    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        let cells: Vec<String> = row
            .into_iter()
            .map(|value| match value {
                Value::Null => String::new(),
                Value::Int(v) => v.to_string(),
                Value::Float(v) => v.to_string(),
                Value::Bool(v) => v.to_string(),
                Value::Text(text) => crate::report::quote(&text),
            })
            .collect();
        self.line(&cells.join(","))
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.file.flush().with_context(|| format!("failed to write {}", self.path.display()))
    }
}
