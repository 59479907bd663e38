//! Reading shards back.

use super::schema::{EXTRA, LABELS, schema};
use super::{ShardError, ShardMeta, ShardRow};
use crate::row::Labels;
use crate::store::fault;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{UInt16Type, UInt32Type, UInt64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::path::Path;

/// Rows held in memory at a time.
const BATCH_ROWS: usize = 64;

/// The rows of a shard in the file's order, a few in memory at a time.
pub struct ShardReader {
    meta: ShardMeta,
    reader: ParquetRecordBatchReader,
    rows: std::vec::IntoIter<ShardRow>,
}

impl ShardReader {
    /// Opens a shard.
    ///
    /// # Errors
    /// A file that cannot be read, is no Parquet, or lacks what makes it a shard.
    pub fn open(path: &Path) -> Result<ShardReader, ShardError> {
        let file = fault::point("read").and_then(|()| File::open(path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let footer = builder.metadata().file_metadata().key_value_metadata();
        let meta = ShardMeta::from_footer(footer.map(Vec::as_slice).unwrap_or_default())?;
        let want = schema(meta.hops.len(), builder.schema().index_of(EXTRA).is_ok());
        for field in want.fields() {
            let found = builder.schema().field_with_name(field.name());
            let fits = found.is_ok_and(|found| {
                found.data_type().equals_datatype(field.data_type()) && found.is_nullable() <= field.is_nullable()
            });
            if !fits {
                let why = format!("it lacks `{}` as {}", field.name(), field.data_type());
                return Err(ShardError::NotAShard(why));
            }
        }
        Ok(ShardReader { meta, reader: builder.with_batch_size(BATCH_ROWS).build()?, rows: Vec::new().into_iter() })
    }

    /// Codec, rate, hops and codewords that all clips of the shard share.
    pub fn meta(&self) -> &ShardMeta {
        &self.meta
    }
}

impl Iterator for ShardReader {
    type Item = Result<ShardRow, ShardError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            let rows = self.reader.next()?.map_err(ShardError::from);
            match rows.and_then(|batch| rows_of(&batch, self.meta.hops.len())) {
                Ok(rows) => self.rows = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// One clip of a shard, without its codes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardMember {
    /// Id of the track.
    pub track: String,
    /// First frame.
    pub start: u64,
    /// Id of the clip.
    pub clip: String,
    /// Digest of the track's decoded samples, in hexadecimal.
    pub samples: String,
    /// Digest of the codec, in hexadecimal.
    pub codec: String,
}

/// Lists the clips of a shard in the file's order; codes are not read.
///
/// # Errors
/// As [`ShardReader::open`].
pub fn members(path: &Path) -> Result<Vec<ShardMember>, ShardError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let columns = ["track", "clip", "start", "samples", "codec"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut members = Vec::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let lacks = |name: &str| ShardError::NotAShard(format!("it lacks `{name}`"));
        let text = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| lacks(name))
        };
        let start = batch.column_by_name("start").and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let (track, clip, start) = (text("track")?, text("clip")?, start.ok_or_else(|| lacks("start"))?);
        let (samples, codec) = (text("samples")?, text("codec")?);
        members.extend((0..batch.num_rows()).map(|i| ShardMember {
            track: track.value(i).to_owned(),
            start: start.value(i),
            clip: clip.value(i).to_owned(),
            samples: samples.value(i).to_owned(),
            codec: codec.value(i).to_owned(),
        }));
    }
    Ok(members)
}

/// Reads a whole shard.
///
/// # Errors
/// As [`ShardReader::open`], and damage found while reading.
pub fn read(path: &Path) -> Result<(ShardMeta, Vec<ShardRow>), ShardError> {
    let reader = ShardReader::open(path)?;
    let meta = reader.meta().clone();
    Ok((meta, reader.collect::<Result<_, _>>()?))
}

fn rows_of(batch: &RecordBatch, levels: usize) -> Result<Vec<ShardRow>, ShardError> {
    let lacks = |name: &str| ShardError::NotAShard(format!("it lacks `{name}`"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| lacks(name));
    let text =
        |name: &str| -> Result<_, ShardError> { column(name)?.as_string_opt::<i32>().ok_or_else(|| lacks(name)) };
    let long = |name: &str| -> Result<_, ShardError> {
        column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| lacks(name))
    };
    let (track, clip, split) = (text("track")?, text("clip")?, text("split")?);
    let (start, frames) = (long("start")?, long("frames")?);
    let rate = column("rate")?.as_primitive_opt::<UInt32Type>();
    let rate = rate.ok_or_else(|| lacks("rate"))?;
    let (license, attribution) = (text("license")?, text("attribution")?);
    let mut stated = Vec::with_capacity(LABELS.len());
    for label in LABELS {
        stated.push((label, text(label)?));
    }
    let extra = if batch.column_by_name(EXTRA).is_some() { Some(text(EXTRA)?) } else { None };
    let (content, samples, codec) = (text("content")?, text("samples")?, text("codec")?);
    let mut lists = Vec::new();
    for level in 0..levels {
        let name = format!("codes_{level}");
        lists.push(column(&name)?.as_list_opt::<i32>().ok_or_else(|| lacks(&name))?);
    }
    let digest = |text: &str| -> Result<[u8; 32], ShardError> {
        let hash = blake3::Hash::from_hex(text);
        hash.map(Into::into).map_err(|_| ShardError::NotAShard(format!("{text:?} is no digest")))
    };
    let mut rows = Vec::with_capacity(batch.num_rows());
    for i in 0..batch.num_rows() {
        let own = |column: &arrow::array::StringArray| column.value(i).to_owned();
        let maybe = |column: &arrow::array::StringArray| column.is_valid(i).then(|| own(column));
        let mut codes = Vec::with_capacity(levels);
        for list in &lists {
            let list = list.value(i);
            let list = list.as_primitive_opt::<UInt16Type>();
            codes.push(list.ok_or_else(|| lacks("codes"))?.values().to_vec());
        }
        let mut labels = Labels::default();
        for (label, column) in &stated {
            if let Some(own) = labels.named(label) {
                *own = maybe(column);
            }
        }
        if let Some(json) = extra.and_then(maybe) {
            let broken = |why| ShardError::NotAShard(format!("its `{EXTRA}` is broken: {why}"));
            labels.extra = Labels::read_extra(&json).map_err(broken)?;
        }
        rows.push(ShardRow {
            track: own(track),
            clip: own(clip),
            split: own(split),
            start: start.value(i),
            frames: frames.value(i),
            rate: rate.value(i),
            license: own(license),
            attribution: own(attribution),
            labels,
            content: digest(content.value(i))?,
            samples: digest(samples.value(i))?,
            codec: digest(codec.value(i))?,
            codes,
        });
    }
    Ok(rows)
}
