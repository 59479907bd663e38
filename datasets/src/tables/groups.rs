//! A table of words that is written group by group of rows: groups are encoded on several threads, and one that an earlier
//! table holds is copied from there as it is. The bytes are the same either way.

use super::columns::{texts_schema, writer};
use crate::{
    shard::ShardError,
    untrusted::{self, parquet::Input},
};
use arrow_array::ArrayRef;
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::{
    arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves},
    column::writer::ColumnCloseResult,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader},
        writer::SerializedFileWriter,
    },
};
use std::sync::Arc;

/// A table under way, in memory.
pub struct TextsWriter {
    schema: Arc<Schema>,
    file: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
}

/// The encoder of a table's groups, for several threads.
#[derive(Clone, Copy)]
pub struct Encoder<'w> {
    schema: &'w Schema,
    factory: &'w ArrowRowGroupWriterFactory,
}

/// An encoded group of rows.
pub struct Group(Vec<ArrowColumnChunk>);

/// An earlier table with the same columns, from which groups of rows are copied.
pub struct Earlier {
    bytes: Bytes,
    metadata: ParquetMetaData,
}

impl Earlier {
    /// Reads the footer of a table. `None` if the bytes are no table with page indexes.
    pub fn read(bytes: Vec<u8>) -> Option<Earlier> {
        let bytes = Bytes::from(bytes);
        // As numbers of pages and not as a mask, so that the copied footer says the same.
        let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        untrusted::parquet::footer(&Input::Bytes(bytes.clone()), bytes.len() as u64).ok()?;
        let read = || reader.with_metadata_options(Some(options)).parse_and_finish(&bytes);
        let metadata = untrusted::guarded(read).ok()?.ok()?;
        Some(Earlier { bytes, metadata })
    }

    /// The number of its groups.
    pub fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }
}

impl Encoder<'_> {
    /// Encodes a group of rows; `None` if there are no rows.
    ///
    /// # Errors
    /// Columns that differ in length, and what Parquet says.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Option<Group>, ShardError> {
        let rows = columns.first().map_or(0, |column| column.len());
        if let Some(at) = columns.iter().position(|column| column.len() != rows) {
            return Err(ShardError::Columns(self.schema.field(at).name().clone()));
        }
        if rows == 0 {
            return Ok(None);
        }
        let writers = self.factory.create_column_writers(0)?;
        let chunks = writers.into_iter().zip(self.schema.fields()).zip(columns).map(|((mut writer, field), column)| {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
            Ok(writer.close()?)
        });
        Ok(Some(Group(chunks.collect::<Result<_, ShardError>>()?)))
    }
}

impl TextsWriter {
    /// Begins a table of columns of words, each with its name and whether a row may lack it.
    ///
    /// # Errors
    /// What Parquet says.
    pub fn new(columns: &[(&str, bool)]) -> Result<TextsWriter, ShardError> {
        let schema = texts_schema(columns);
        let (file, factory) = writer(&schema, Vec::new())?.into_serialized_writer()?;
        Ok(TextsWriter { schema, file, factory })
    }

    /// The encoder of its groups.
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder { schema: &self.schema, factory: &self.factory }
    }

    /// Appends an encoded group.
    ///
    /// # Errors
    /// What Parquet says.
    pub fn push(&mut self, Group(chunks): Group) -> Result<(), ShardError> {
        let mut group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }

    /// Appends a group of an earlier table.
    ///
    /// # Errors
    /// An earlier table without such a group, or with other columns.
    pub fn copy(&mut self, earlier: &Earlier, index: usize) -> Result<(), ShardError> {
        let missing = || ShardError::NotAShard(format!("no group {index} with page indexes"));
        let from = earlier.metadata.row_groups().get(index).ok_or_else(missing)?;
        let pages = earlier.metadata.page_index_for_row_group(index);
        let mut group = self.file.next_row_group()?;
        for (at, column) in from.columns().iter().enumerate() {
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size() as u64,
                rows_written: from.num_rows() as u64,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: Some(pages.column_index(at).ok_or_else(missing)?.clone()),
                offset_index: Some(pages.offset_index(at).ok_or_else(missing)?.clone()),
            };
            group.append_column(&earlier.bytes, close)?;
        }
        group.close()?;
        Ok(())
    }

    /// Finishes the table and gives its bytes.
    ///
    /// # Errors
    /// What Parquet says.
    pub fn finish(self) -> Result<Vec<u8>, ShardError> {
        Ok(self.file.into_inner()?)
    }
}
