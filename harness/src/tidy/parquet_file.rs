//! A table as a Parquet file: every column optional, Snappy, one row group per 128 Ki rows.

use super::{Kind, Sink, Table, Value};
use anyhow::Context as _;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const GROUP: usize = 128 * 1024;

/// A Parquet file under construction.
pub struct ParquetFile {
    writer: SerializedFileWriter<File>,
    path: PathBuf,
    kinds: Vec<Kind>,
    columns: Vec<Vec<Value>>,
}

impl ParquetFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, table: &Table) -> anyhow::Result<Self> {
        let fields = table
            .columns
            .iter()
            .map(|c| {
                let (physical, logical) = match c.kind {
                    Kind::Int => (Physical::INT64, None),
                    Kind::Float => (Physical::DOUBLE, None),
                    Kind::Bool => (Physical::BOOLEAN, None),
                    Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                };
                let field = Type::primitive_type_builder(&c.name, physical)
                    .with_repetition(Repetition::OPTIONAL)
                    .with_logical_type(logical)
                    .build()?;
                Ok(Arc::new(field))
            })
            .collect::<Result<Vec<_>, parquet::errors::ParquetError>>()?;
        let schema = Arc::new(Type::group_type_builder(table.name).with_fields(fields).build()?);
        let about = table.columns.iter().map(|c| KeyValue::new(c.name.clone(), c.about.clone())).collect();
        // No version of a library in the file: equal runs give equal bytes.
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("freezeframe".to_owned())
            .set_key_value_metadata(Some(about))
            .build();
        let file = File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Self {
            writer: SerializedFileWriter::new(file, schema, Arc::new(properties))?,
            path: path.to_owned(),
            kinds: table.columns.iter().map(|c| c.kind).collect(),
            columns: vec![Vec::new(); table.columns.len()],
        })
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.columns.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            let values = std::mem::take(&mut self.columns[at]);
            let there: Vec<i16> = values.iter().map(|v| i16::from(*v != Value::Null)).collect();
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(w) => {
                    let values: Vec<i64> =
                        some(values, |v| if let Value::Int(v) = v { Some(v) } else { None });
                    w.write_batch(&values, Some(&there), None)?;
                }
                ColumnWriter::DoubleColumnWriter(w) => {
                    let values: Vec<f64> =
                        some(values, |v| if let Value::Float(v) = v { Some(v) } else { None });
                    w.write_batch(&values, Some(&there), None)?;
                }
                ColumnWriter::BoolColumnWriter(w) => {
                    let values: Vec<bool> =
                        some(values, |v| if let Value::Bool(v) = v { Some(v) } else { None });
                    w.write_batch(&values, Some(&there), None)?;
                }
                ColumnWriter::ByteArrayColumnWriter(w) => {
                    let text =
                        |v| if let Value::Text(v) = v { Some(ByteArray::from(v.into_bytes())) } else { None };
                    let values: Vec<ByteArray> = some(values, text);
                    w.write_batch(&values, Some(&there), None)?;
                }
                _ => unreachable!("no other kind of column"),
            }
            column.close()?;
            at += 1;
        }
        group.close()?;
        Ok(())
    }
}

fn some<T>(values: Vec<Value>, of: impl Fn(Value) -> Option<T>) -> Vec<T> {
    values.into_iter().filter_map(of).collect()
}

impl Sink for ParquetFile {
    fn row(&mut self, row: Vec<Value>) -> anyhow::Result<()> {
        for ((column, value), kind) in self.columns.iter_mut().zip(row).zip(&self.kinds) {
            debug_assert!(matches!(
                (kind, &value),
                (_, Value::Null)
                    | (Kind::Int, Value::Int(_))
                    | (Kind::Float, Value::Float(_))
                    | (Kind::Text, Value::Text(_))
                    | (Kind::Bool, Value::Bool(_))
            ));
            column.push(value);
        }
        if self.columns.first().is_some_and(|c| c.len() >= GROUP) { self.write_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.write_group()?;
        self.writer.close().with_context(|| format!("failed to write {}", self.path.display()))?;
        Ok(())
    }
}
