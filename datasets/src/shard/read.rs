//! Reading shards back.

use super::schema::{EXTRA, LABELS, schema};
use super::{ShardError, ShardMeta, ShardRow};
use crate::row::Labels;
use crate::store::fault;
use crate::untrusted::parquet::{Author, Batches, Vetted};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use std::path::Path;

/// Rows held in memory at a time.
const BATCH_ROWS: usize = 64;
/// Rows without codes held in memory at a time.
const MEMBERS: usize = 1024;

/// The rows of a shard in the file's order, a few in memory at a time.
pub struct ShardReader {
    meta: ShardMeta,
    reader: Batches,
    rows: std::vec::IntoIter<ShardRow>,
}

impl ShardReader {
    /// Opens a shard of the store, whose bytes are known by their digest.
    ///
    /// # Errors
    /// A file that cannot be read, is no Parquet, or lacks what makes it a shard.
    pub fn open(path: &Path) -> Result<ShardReader, ShardError> {
        ShardReader::by(path, Author::Own)
    }

    /// Opens a shard that anybody may have written: what it unpacks to must be in proportion to its size.
    ///
    /// # Errors
    /// Those of [`ShardReader::open`], and a file that is out of proportion.
    pub fn open_stranger(path: &Path) -> Result<ShardReader, ShardError> {
        ShardReader::by(path, Author::Stranger)
    }

    fn by(path: &Path, writer: Author) -> Result<ShardReader, ShardError> {
        fault::point("read")?;
        let file = Vetted::open(path, writer)?;
        let meta = ShardMeta::from_footer(file.footer())?;
        let have = file.schema().clone();
        let want = schema(meta.hops.len(), have.index_of(EXTRA).is_ok());
        let mut columns = Vec::new();
        for field in want.fields() {
            let found = have.index_of(field.name()).ok().filter(|&at| {
                let found = have.field(at);
                found.data_type().equals_datatype(field.data_type()) && found.is_nullable() <= field.is_nullable()
            });
            let lacks = || ShardError::NotAShard(format!("it lacks `{}` as {}", field.name(), field.data_type()));
            columns.push(found.ok_or_else(lacks)?);
        }
        Ok(ShardReader { meta, reader: file.batches(columns, BATCH_ROWS)?, rows: Vec::new().into_iter() })
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
            match rows.and_then(|batch| rows_of(&batch, &self.meta)) {
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
    let file = Vetted::open(path, Author::Own)?;
    let have = file.schema().clone();
    let columns = ["track", "clip", "start", "samples", "codec"].map(|name| have.index_of(name).ok());
    let mut members = Vec::new();
    for batch in file.batches(columns.into_iter().flatten(), MEMBERS)? {
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

/// Reads a whole shard, which anybody may have written.
///
/// # Errors
/// As [`ShardReader::open_stranger`], and damage found while reading.
pub fn read(path: &Path) -> Result<(ShardMeta, Vec<ShardRow>), ShardError> {
    let reader = ShardReader::open_stranger(path)?;
    let meta = reader.meta().clone();
    Ok((meta, reader.collect::<Result<_, _>>()?))
}

fn rows_of(batch: &RecordBatch, meta: &ShardMeta) -> Result<Vec<ShardRow>, ShardError> {
    let levels = meta.hops.len();
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
        let own = |column: &arrow_array::StringArray| column.value(i).to_owned();
        let maybe = |column: &arrow_array::StringArray| column.is_valid(i).then(|| own(column));
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
        let row = ShardRow {
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
        };
        meta.fits(&row)?;
        rows.push(row);
    }
    Ok(rows)
}
