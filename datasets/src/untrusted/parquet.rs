//! Parquet files of others: looked through before the reader allocates what they state.
//!
//! A footer may state any number of children, a page any size, a run any length: 9 kB can hold 400 million codes. So
//! before a row is read, the footer's schema is checked for its form and depth, and of every column that is read all
//! page headers are walked: pages lie inside the file, their values add up to no more than the footer says, and what
//! they unpack to is in proportion to the bytes that are there ([`Most`]).

pub use super::input::Input;

use super::guarded;
use super::thrift::{Broken, Reader, Wire};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData};
use std::io;
use std::path::Path;

/// The largest footer that is read, in bytes.
const LARGEST_FOOTER: u64 = 64 << 20;
/// Columns inside columns.
const DEEPEST: usize = 32;
/// Columns of a file, those inside of others included.
const MOST_COLUMNS: usize = 1 << 14;
/// The most that a page unpacks to, and what it may unpack to for each of its bytes beyond [`FREE_PAGE`].
const LARGEST_PAGE: u64 = 1 << 30;
const FREE_PAGE: u64 = 64 << 20;
const PAGE_RATIO: u64 = 1024;
/// Bytes of words that a batch may hold of a column whose dictionary is large.
const BATCH_BYTES: u64 = 256 << 20;

/// Why a file is not read as Parquet.
#[derive(Debug, thiserror::Error)]
pub enum ParquetInError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What the reader says.
    #[error("{0}")]
    Parquet(ParquetError),
    /// What the file states cannot be, or is out of proportion to its bytes.
    #[error("{0}")]
    Refused(String),
}

impl From<ParquetError> for ParquetInError {
    /// An error of the disk stays one.
    fn from(error: ParquetError) -> ParquetInError {
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io) => ParquetInError::Io(*io),
                Err(other) => ParquetInError::Parquet(ParquetError::External(other)),
            },
            other => ParquetInError::Parquet(other),
        }
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, ParquetInError> {
    Err(ParquetInError::Refused(why.into()))
}

/// How many of something a file may hold: some for nothing, and so many for each of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Number that any file may hold.
    pub free: u64,
    /// Number for each byte of the file beyond that.
    pub each: u64,
}

impl Most {
    /// Rows of a table: each names a file of its own, which takes bytes.
    pub const ROWS: Most = Most { free: 1 << 20, each: 64 };
    /// Values of one column: silence packs far better than music.
    pub const VALUES: Most = Most { free: 1 << 24, each: 64 };

    fn of(self, bytes: u64) -> u64 {
        self.free.saturating_add(self.each.saturating_mul(bytes))
    }
}

/// Author of a Parquet file: what a stranger wrote must be in proportion to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// Refrain itself: an object of the store, which is known by its digest.
    Own,
    /// Anybody.
    Stranger,
}

/// A Parquet file whose footer has been looked through.
pub struct Vetted {
    input: Input,
    size: u64,
    writer: Author,
    builder: ParquetRecordBatchReaderBuilder<Input>,
}

impl Vetted {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no regular file, or whose footer is broken or absurd.
    pub fn open(path: &Path, writer: Author) -> Result<Vetted, ParquetInError> {
        Vetted::of(Input::file(super::open(path)?), writer)
    }

    /// Looks through bytes.
    ///
    /// # Errors
    /// Those of [`Vetted::open`].
    pub fn of(input: Input, writer: Author) -> Result<Vetted, ParquetInError> {
        let size = input.size()?;
        footer(&input, size)?;
        let made = guarded(|| ParquetRecordBatchReaderBuilder::try_new(input.clone()));
        let builder = made.map_err(broken).and_then(|made| Ok(made?)).map_err(|error| because(&input, error))?;
        rows(builder.metadata(), size, writer)?;
        Ok(Vetted { input, size, writer, builder })
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        self.builder.schema()
    }

    /// What the footer says beside the columns.
    pub fn footer(&self) -> &[KeyValue] {
        self.builder.metadata().file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default()
    }

    /// Reads columns at the top, by their indices in [`Vetted::schema`], at most `rows` rows at a time.
    ///
    /// # Errors
    /// Pages of these columns that lie outside the file, hold more values than the footer says, or unpack to more than is in
    /// proportion.
    pub fn batches(self, columns: impl IntoIterator<Item = usize>, rows: usize) -> Result<Batches, ParquetInError> {
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), columns);
        let mut word = 1;
        for group in self.builder.metadata().row_groups() {
            for (leaf, chunk) in group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)) {
                let walked = self.walk(chunk).map_err(|why| match why {
                    ParquetInError::Refused(why) => {
                        let name = self.builder.parquet_schema().column(leaf).path().string();
                        ParquetInError::Refused(format!("column `{name}`: {why}"))
                    }
                    other => other,
                })?;
                word = word.max(walked);
            }
        }
        let rows = rows.min(usize::try_from(BATCH_BYTES / word).unwrap_or(usize::MAX)).max(1);
        let made = guarded(|| self.builder.with_projection(mask).with_batch_size(rows).build());
        match made.map_err(broken).and_then(|made| Ok(made?)) {
            Ok(reader) => Ok(Batches { input: self.input, reader }),
            Err(error) => Err(because(&self.input, error)),
        }
    }

    /// Walks the pages of a column chunk; the size of its dictionary.
    fn walk(&self, chunk: &ColumnChunkMetaData) -> Result<u64, ParquetInError> {
        let outside = || refused("its pages lie outside the file");
        let stated = u64::try_from(chunk.num_values()).or_else(|_| refused("a number of values below 0"))?;
        let most = Most::VALUES.of(self.size);
        if self.writer == Author::Stranger && stated > most {
            return refused(format!("{stated} values in a file of {} bytes; {most} are read at most", self.size));
        }
        let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(chunk.compressed_size())) else {
            return outside();
        };
        let Some(end) = start.checked_add(length).filter(|end| *end <= self.size) else { return outside() };
        let (mut at, mut values, mut dictionary) = (start, 0, 1);
        while at < end {
            let (header, page) = self.page(at, end)?;
            at += header;
            let Some(next) = at.checked_add(page.packed).filter(|next| *next <= end) else { return outside() };
            at = next;
            let most = match self.writer {
                Author::Own => LARGEST_PAGE,
                Author::Stranger => LARGEST_PAGE.min(FREE_PAGE.max(PAGE_RATIO.saturating_mul(page.packed))),
            };
            if page.unpacked > most {
                return refused(format!("a page of {} bytes that unpacks to {}", page.packed, page.unpacked));
            }
            if page.words > page.unpacked {
                return refused(format!("a dictionary of {} words in {} bytes", page.words, page.unpacked));
            }
            match page.values {
                Some(more) => values += more,
                None => dictionary = dictionary.max(page.unpacked),
            }
            if values > stated {
                return refused(format!("its pages hold more than the {stated} values that the footer states"));
            }
        }
        Ok(dictionary)
    }

    /// The page header at a position, with its length.
    fn page(&self, at: u64, end: u64) -> Result<(u64, Page), ParquetInError> {
        // Statistics may be long.
        let mut window: u64 = 1 << 12;
        loop {
            let length = window.min(end - at);
            let bytes = self.input.at(at, length)?;
            let mut reader = Reader::new(&bytes);
            match Page::read(&mut reader) {
                Ok(page) => return Ok((length - reader.left() as u64, page)),
                Err(Broken::Ended) if length < end - at => window *= 16,
                Err(_) => return refused("a page has a broken header"),
            }
        }
    }
}

/// An error of reading: that of the disk, if it met one.
fn because(input: &Input, error: ParquetInError) -> ParquetInError {
    input.failure().map_or(error, ParquetInError::Io)
}

fn broken(panic: String) -> ParquetInError {
    ParquetInError::Refused(format!("the reader cannot make sense of it: {panic}"))
}

/// Batches of rows.
pub struct Batches {
    input: Input,
    reader: ParquetRecordBatchReader,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ParquetInError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(|| self.reader.next()).map_err(broken).transpose()?;
        let batch = next.and_then(|batch| batch.map_err(|error| ParquetInError::Refused(error.to_string())));
        Some(batch.map_err(|error| because(&self.input, error)))
    }
}

/// What a page header states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    packed: u64,
    unpacked: u64,
    /// `None` for a dictionary, or an index.
    values: Option<u64>,
    /// Words of a dictionary.
    words: u64,
}

impl Page {
    fn read(reader: &mut Reader<'_>) -> Result<Page, Broken> {
        let (mut packed, mut unpacked, mut values, mut words) = (None, None, None, 0);
        let size = |kind, reader: &mut Reader<'_>| match (kind, reader.int()?) {
            (Wire::Int, size @ 0..=0x7fff_ffff) => Ok(size as u64),
            _ => Err(Broken::Wrong),
        };
        reader.fields(|id, kind, reader| {
            match id {
                2 => unpacked = Some(size(kind, reader)?),
                3 => packed = Some(size(kind, reader)?),
                // Dictionaries, and data pages of both versions, say first how many values they hold.
                5 | 7 | 8 if kind == Wire::Struct => reader.fields(|field, kind, reader| {
                    match (field, id) {
                        (1, 7) => words = size(kind, reader)?,
                        (1, _) => values = Some(size(kind, reader)?),
                        _ => {}
                    }
                    Ok(field == 1)
                })?,
                5 | 7 | 8 => return Err(Broken::Wrong),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Page { packed: packed.ok_or(Broken::Wrong)?, unpacked: unpacked.ok_or(Broken::Wrong)?, values, words })
    }
}

/// Checks the form of the footer, and the depth of its schema.
pub(crate) fn footer(input: &Input, size: u64) -> Result<(), ParquetInError> {
    const MARK: &[u8] = b"PAR1";
    if size < 12 || *input.at(0, 4)? != *MARK || *input.at(size - 4, 4)? != *MARK {
        return refused("it does not begin and end as Parquet");
    }
    let length = input.at(size - 8, 4)?;
    let length = length.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    if length > size - 12 || length > LARGEST_FOOTER {
        return refused(format!("a footer of {length} bytes in a file of {size}"));
    }
    let bytes = input.at(size - 8 - length, length)?;
    let mut schema = Schema::default();
    let read = Reader::new(&bytes).fields(|id, kind, reader| {
        if id != 2 {
            return Ok(false);
        }
        let (Wire::List, (Wire::Struct, elements)) = (kind, reader.list()?) else { return Err(Broken::Wrong) };
        for _ in 0..elements {
            schema.element(reader)?;
        }
        Ok(true)
    });
    match read {
        _ if schema.columns > MOST_COLUMNS => refused(format!("more than {MOST_COLUMNS} columns")),
        _ if schema.too_deep => refused(format!("columns inside of more than {DEEPEST} others")),
        Ok(()) if schema.columns > 0 && schema.open.is_empty() => Ok(()),
        _ => refused("its footer is broken"),
    }
}

/// The tree of columns, as its elements come one after another.
#[derive(Default)]
struct Schema {
    /// Children still to come, of each column that holds others.
    open: Vec<u64>,
    columns: usize,
    too_deep: bool,
}

impl Schema {
    fn element(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        let mut children = 0;
        reader.fields(|id, kind, reader| {
            if id == 5 {
                let (Wire::Int, count @ 0..=0x7fff_ffff) = (kind, reader.int()?) else { return Err(Broken::Wrong) };
                children = count as u64;
            }
            Ok(id == 5)
        })?;
        // The first one is the root, and nothing comes behind its last child.
        match self.open.last_mut() {
            Some(left) => *left -= 1,
            None if self.columns > 0 => return Err(Broken::Wrong),
            None => {}
        }
        self.columns += 1;
        self.open.push(children);
        self.too_deep |= self.open.len() > DEEPEST;
        while self.open.pop_if(|left| *left == 0).is_some() {}
        // Each child takes a byte of what is left.
        if self.columns > MOST_COLUMNS || self.too_deep || children > reader.left() as u64 {
            return Err(Broken::Wrong);
        }
        Ok(())
    }
}

/// Checks the numbers of rows that the footer states.
fn rows(metadata: &ParquetMetaData, size: u64, writer: Author) -> Result<(), ParquetInError> {
    let mut sum: u64 = 0;
    for group in metadata.row_groups() {
        let rows = group.num_rows();
        let odd =
            group.columns().iter().any(|chunk| chunk.column_descr().max_rep_level() == 0 && chunk.num_values() != rows);
        if rows < 0 || odd {
            return refused(format!("a group of {rows} rows whose columns have other numbers of values"));
        }
        sum = sum.saturating_add(rows as u64);
    }
    if u64::try_from(metadata.file_metadata().num_rows()) != Ok(sum) {
        return refused(format!("its groups hold {sum} rows, the footer says {}", metadata.file_metadata().num_rows()));
    }
    let most = Most::ROWS.of(size);
    if writer == Author::Stranger && sum > most {
        return refused(format!("{sum} rows in a file of {size} bytes; {most} are read at most"));
    }
    Ok(())
}
