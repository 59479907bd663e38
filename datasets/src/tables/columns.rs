//! Plain tables, such as loss curves and dropped rows, as Parquet with the same promise: equal
//! columns, equal bytes.

use crate::shard::ShardError;
use crate::shard::properties;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

/// Rows of one row group.
const GROUP_ROWS: usize = 1 << 20;

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Measured values.
    F64(Vec<f64>),
    /// Measures of which some may be missing.
    Sparse(Vec<Option<f64>>),
    /// Counts and steps.
    U64(Vec<u64>),
    /// Words.
    Text(Vec<String>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::F64(values) => values.len(),
            Column::Sparse(values) => values.len(),
            Column::U64(values) => values.len(),
            Column::Text(values) => values.len(),
        }
    }

    fn kind(&self) -> DataType {
        match self {
            Column::F64(_) | Column::Sparse(_) => DataType::Float64,
            Column::U64(_) => DataType::UInt64,
            Column::Text(_) => DataType::Utf8,
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Column::F64(values) => Arc::new(Float64Array::from_iter_values(values.iter().copied())),
            Column::Sparse(values) => Arc::new(Float64Array::from_iter(values.iter().copied())),
            Column::U64(values) => Arc::new(UInt64Array::from_iter_values(values.iter().copied())),
            Column::Text(values) => Arc::new(StringArray::from_iter_values(values)),
        }
    }
}

/// Writes named columns of one length in the order given. A table of no rows is a table too.
///
/// # Errors
/// Columns that differ in length or share a name, and whatever `out` fails with.
pub fn table<N: AsRef<str>>(columns: &[(N, Column)], out: &mut (impl Write + Send)) -> Result<(), ShardError> {
    let rows = columns.first().map_or(0, |(_, column)| column.len());
    let mut names = BTreeSet::new();
    for (name, column) in columns {
        if column.len() != rows || !names.insert(name.as_ref()) {
            return Err(ShardError::Columns(name.as_ref().to_owned()));
        }
    }
    let field =
        |(name, column): &(N, Column)| Field::new(name.as_ref(), column.kind(), matches!(column, Column::Sparse(_)));
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let mut writer = writer(&schema, out)?;
    if rows > 0 {
        let arrays = columns.iter().map(|(_, column)| column.array()).collect();
        let batch = RecordBatch::try_new(schema, arrays)?;
        for first in (0..rows).step_by(GROUP_ROWS) {
            writer.write(&batch.slice(first, GROUP_ROWS.min(rows - first)))?;
            writer.flush()?;
        }
    }
    writer.close()?;
    Ok(())
}

/// The schema of columns of words, each with its name and whether a row may lack it.
pub(super) fn texts_schema(columns: &[(&str, bool)]) -> Arc<Schema> {
    let fields = columns.iter().map(|(name, nullable)| Field::new(*name, DataType::Utf8, *nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn writer<W: Write + Send>(schema: &Arc<Schema>, out: W) -> Result<ArrowWriter<W>, ShardError> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(schema, BTreeMap::new())?.build())
        .with_skip_arrow_metadata(true);
    Ok(ArrowWriter::try_new_with_options(out, schema.clone(), options)?)
}
