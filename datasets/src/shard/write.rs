//! Writing shards.

use super::schema::{EXTRA, LABELS, code_field, schema, shard_properties};
use super::{ShardError, ShardMeta, ShardRow, hex};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StringArray, UInt16Array, UInt32Array, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use std::io::Write;
use std::sync::Arc;

/// Rows of one Arrow batch. Part of the format: pages end where batches do.
const BATCH_ROWS: usize = 64;

/// Most rows of one row group, so that one clip can be found without reading thousands.
const GROUP_ROWS: usize = 4096;

/// Most codes of one row group of more than one row: 64 Mi, about 90 MB at 11 bits a code.
const GROUP_CODES: usize = 1 << 26;

/// Size and digest of a shard that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSummary {
    /// Rows.
    pub rows: u64,
    /// Row groups.
    pub row_groups: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of those bytes.
    pub digest: [u8; 32],
}

/// Writes one shard. The bytes follow from `meta` and the set of rows; the order of `rows` does
/// not matter: they are sorted by (split, track, clip), batched and grouped at boundaries that
/// follow from the sorted rows.
///
/// # Errors
/// No rows; a row whose codec, rate, number of levels or codes do not fit `meta`; two rows for
/// one clip; and whatever `out` fails with.
pub fn write(rows: &[ShardRow], meta: &ShardMeta, out: &mut (impl Write + Send)) -> Result<ShardSummary, ShardError> {
    meta.check()?;
    if rows.is_empty() {
        return Err(ShardError::Empty);
    }
    for row in rows {
        meta.fits(row)?;
    }
    let mut sorted: Vec<&ShardRow> = rows.iter().collect();
    sorted.sort_by_key(|row| order(row));
    if let Some(pair) = sorted.windows(2).find(|pair| order(pair[0]) == order(pair[1])) {
        return Err(ShardError::Row { clip: pair[0].clip.clone(), reason: "it is in the shard twice".to_owned() });
    }
    let groups = groups(&sorted);
    let largest = groups.iter().map(|group| group.len()).max().unwrap_or(0);
    let schema = schema(meta.hops.len(), rows.iter().any(|row| !row.labels.extra.is_empty()));
    let options = ArrowWriterOptions::new()
        .with_properties(shard_properties(meta, &schema, largest)?)
        // The footer says it all; Arrow's own copy of the schema would only repeat it.
        .with_skip_arrow_metadata(true);
    let mut tee = Tee { out, hasher: blake3::Hasher::new(), bytes: 0 };
    let mut writer = ArrowWriter::try_new_with_options(&mut tee, schema.clone(), options)?;
    for group in &groups {
        for rows in group.chunks(BATCH_ROWS) {
            writer.write(&batch(rows, meta.hops.len(), &schema)?)?;
        }
        writer.flush()?;
    }
    writer.close()?;
    Ok(ShardSummary {
        rows: sorted.len() as u64,
        row_groups: groups.len(),
        bytes: tee.bytes,
        digest: tee.hasher.finalize().into(),
    })
}

fn order(row: &ShardRow) -> (&str, &str, &str) {
    (&row.split, &row.track, &row.clip)
}

/// Cuts sorted rows into row groups.
fn groups<'a, 'b>(rows: &'b [&'a ShardRow]) -> Vec<&'b [&'a ShardRow]> {
    let mut groups = Vec::new();
    let (mut first, mut codes) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let own: usize = row.codes.iter().map(Vec::len).sum();
        if i > first && (i - first == GROUP_ROWS || codes + own > GROUP_CODES) {
            groups.push(&rows[first..i]);
            (first, codes) = (i, 0);
        }
        codes += own;
    }
    groups.push(&rows[first..]);
    groups
}

fn batch(rows: &[&ShardRow], levels: usize, schema: &Arc<Schema>) -> Result<RecordBatch, ShardError> {
    fn text<'a>(rows: &[&'a ShardRow], get: fn(&'a ShardRow) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| get(row))))
    }
    fn digest<'a>(rows: &[&'a ShardRow], get: fn(&'a ShardRow) -> &'a [u8; 32]) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| hex(get(row)))))
    }
    fn number<'a>(rows: &[&'a ShardRow], get: fn(&'a ShardRow) -> u64) -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| get(row))))
    }
    let rates = rows.iter().map(|row| row.rate);
    let mut columns: Vec<ArrayRef> = vec![
        text(rows, |row| &row.track),
        text(rows, |row| &row.clip),
        text(rows, |row| &row.split),
        number(rows, |row| row.start),
        number(rows, |row| row.frames),
        Arc::new(UInt32Array::from_iter_values(rates)),
        text(rows, |row| &row.license),
        text(rows, |row| &row.attribution),
    ];
    for label in LABELS {
        columns.push(Arc::new(StringArray::from_iter(rows.iter().map(|row| row.labels.get(label)))));
    }
    columns.extend([
        digest(rows, |row| &row.content),
        digest(rows, |row| &row.samples),
        digest(rows, |row| &row.codec),
    ]);
    if schema.index_of(EXTRA).is_ok() {
        columns.push(Arc::new(StringArray::from_iter(rows.iter().map(|row| row.labels.extra_json()))));
    }
    for level in 0..levels {
        let lists = rows.iter().map(|row| &row.codes[level]);
        let total: usize = lists.clone().map(Vec::len).sum();
        if i32::try_from(total).is_err() {
            return Err(ShardError::Row {
                clip: rows[0].clip.clone(),
                reason: format!("the {BATCH_ROWS} clips from it on have {total} codes"),
            });
        }
        let offsets = OffsetBuffer::from_lengths(lists.clone().map(Vec::len));
        let codes = UInt16Array::from_iter_values(lists.flatten().copied());
        let list = ListArray::try_new(code_field(), offsets, Arc::new(codes), None)?;
        columns.push(Arc::new(list));
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Passes bytes on, counting and hashing them.
struct Tee<'a, W> {
    out: &'a mut W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Tee<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
