//! The tracks of a run as a Parquet table, one row a track: what two runs are compared by, and what a list of a corpus
//! is made from.

use crate::{
    row::{Labels, TrackView},
    shard::ShardError,
    tables::groups::{Earlier, Encoder, Group, TextsWriter},
    untrusted::parquet::{Author, Input, Vetted},
};
use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::sync::Arc;

/// One row of the table: a track with its labels. A text that is not stated is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Track id: `dataset/key`.
    pub track: String,
    /// Digest of the file's bytes, in hexadecimal.
    pub content: String,
    /// License, as an SPDX expression where it is one.
    pub license: String,
    /// Split.
    pub split: String,
    /// Title, artist and what else is said, with the corpus's own columns.
    pub labels: Labels,
    /// Digest of its decoded samples, in hexadecimal.
    pub samples: String,
    /// License in the words in which it was stated.
    pub stated: String,
}

/// The columns before those of the labels.
const FIRST: [&str; 4] = ["track", "content", "license", "split"];

/// The columns behind those of the labels, which follow from others as far as two rows are compared.
const LAST: [&str; 2] = ["samples", "stated"];

/// Number of columns that every table has; [`EXTRA`] is not counted.
const WIDTH: usize = FIRST.len() + Labels::NAMES.len() + LAST.len();

/// The column of what the corpus says in columns of its own, as a JSON object in the order of their names: it is there
/// where a track has any, and null for a track that has none.
const EXTRA: &str = "extra";

/// Rows of a table that is read, held in columns at a time.
const BATCH_ROWS: usize = 1024;

/// The names of the columns that every table has, in order.
fn names() -> impl Iterator<Item = &'static str> {
    FIRST.into_iter().chain(Labels::NAMES).chain(LAST)
}

impl Listed {
    /// The texts in the order of [`names`].
    fn texts(&self) -> [&str; WIDTH] {
        let first = [&self.track, &self.content, &self.license, &self.split].map(String::as_str);
        let last = [&self.samples, &self.stated].map(String::as_str);
        row(first, &self.labels, last)
    }

    /// The names of the columns, but the track's id and what follows from others, in which two rows differ.
    pub fn differences(&self, other: &Listed) -> Vec<&'static str> {
        let pairs = names().zip(self.texts().into_iter().zip(other.texts())).skip(1);
        let texts = pairs.filter(|(name, (a, b))| a != b && !LAST.contains(name)).map(|(name, _)| name);
        texts.chain((self.labels.extra != other.labels.extra).then_some(EXTRA)).collect()
    }
}

/// One field a column, as the table has them.
impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for (name, text) in names().zip(self.texts()) {
            map.serialize_entry(name, text)?;
        }
        if !self.labels.extra.is_empty() {
            map.serialize_entry(EXTRA, &self.labels.extra)?;
        }
        map.end()
    }
}

fn row<'t, T: AsRef<str>>(first: [&'t str; 4], labels: &'t Labels<T>, last: [&'t str; 2]) -> [&'t str; WIDTH] {
    let mut texts = [""; WIDTH];
    let all = first.into_iter().chain(labels.each().into_iter().map(Option::unwrap_or_default)).chain(last);
    texts.iter_mut().zip(all).for_each(|(slot, text)| *slot = text);
    texts
}

/// Rows of the table in a row, column by column.
#[derive(Default)]
pub struct Rows {
    texts: [StringBuilder; WIDTH],
    extra: StringBuilder,
    any_extra: bool,
}

impl Rows {
    /// Adds a track, whose license was stated in these words.
    pub fn push(&mut self, track: &TrackView<'_>, stated: Option<&str>) {
        let (content, samples) = (track.content.hex(), track.samples().map(|samples| samples.hex()));
        let first = [track.id, &content, track.license.unwrap_or_default(), track.split.unwrap_or_default()];
        let last = [samples.as_deref().unwrap_or_default(), stated.unwrap_or_default()];
        self.add(row(first, &track.labels, last), track.labels.extra_json());
    }

    fn add(&mut self, texts: [&str; WIDTH], extra: Option<String>) {
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_value(text));
        self.any_extra |= extra.is_some();
        self.extra.append_option(extra);
    }

    fn arrays(mut self, extra: bool) -> Vec<ArrayRef> {
        let columns = self.texts.iter_mut().chain(extra.then_some(&mut self.extra));
        columns.map(|column| Arc::new(column.finish()) as ArrayRef).collect()
    }
}

impl<'l> FromIterator<&'l Listed> for Rows {
    fn from_iter<I: IntoIterator<Item = &'l Listed>>(tracks: I) -> Rows {
        let mut rows = Rows::default();
        tracks.into_iter().for_each(|track| rows.add(track.texts(), track.labels.extra_json()));
        rows
    }
}

/// Begins a table; `extra`: with a column for the corpus's own columns, which is there where a track has any.
///
/// # Errors
/// What Parquet says.
pub fn writer(extra: bool) -> Result<TextsWriter, ShardError> {
    let columns = names().map(|name| (name, false)).chain(extra.then_some((EXTRA, true)));
    TextsWriter::new(&columns.collect::<Vec<_>>())
}

impl Rows {
    /// Whether a row has something in columns of the corpus's own.
    pub fn any_extra(&self) -> bool {
        self.any_extra
    }

    /// Encodes the rows as one group of a table that was begun with the same `extra`; `None` if there are none.
    ///
    /// # Errors
    /// What Parquet says.
    pub fn encoded(self, encoder: Encoder<'_>, extra: bool) -> Result<Option<Group>, ShardError> {
        encoder.encode(&self.arrays(extra))
    }
}

/// The table's bytes, of rows in parts, each of which is written before the next is asked for; equal parts give equal bytes.
/// `parts` is asked once more from the start where one has columns of the corpus's own, which shows when it comes.
///
/// # Errors
/// What Parquet says.
pub fn write<I: IntoIterator<Item = Rows>>(parts: impl Fn() -> I) -> Result<Vec<u8>, ShardError> {
    let (bytes, any) = written(parts(), false)?;
    if any { Ok(written(parts(), true)?.0) } else { Ok(bytes) }
}

/// The table's bytes, with the column [`EXTRA`] or without, and whether a row has something in it.
fn written(parts: impl IntoIterator<Item = Rows>, extra: bool) -> Result<(Vec<u8>, bool), ShardError> {
    let (mut table, mut any) = (writer(extra)?, false);
    for part in parts {
        any |= part.any_extra;
        // Without the column for it, it is written again.
        if any && !extra {
            break;
        }
        if let Some(group) = part.encoded(table.encoder(), extra)? {
            table.push(group)?;
        }
    }
    Ok((table.finish()?, any))
}

/// The list that an earlier run wrote; `None` if the bytes are none.
pub fn earlier(bytes: Vec<u8>) -> Option<Earlier> {
    Earlier::read(bytes)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the bytes are no such table.
pub fn read(bytes: &[u8]) -> Result<Vec<Listed>, ShardError> {
    let file = Vetted::of(Input::Bytes(bytes.to_vec().into()), Author::Stranger)?;
    let columns = 0..file.schema().fields().len();
    let reader = file.batches(columns, BATCH_ROWS)?;
    let mut tracks = Vec::new();
    for batch in reader {
        let batch = batch?;
        let column = |name| texts(&batch, name);
        let [id, content, license, split] = FIRST.map(column);
        let [samples, stated] = LAST.map(column);
        let (id, content, license, split, samples, stated) = (id?, content?, license?, split?, samples?, stated?);
        let said = Labels::NAMES.map(|name| Ok((name, column(name)?)));
        let said = said.into_iter().collect::<Result<Vec<_>, ShardError>>()?;
        let extra = batch.column_by_name(EXTRA).is_some().then(|| column(EXTRA)).transpose()?;
        for row in 0..batch.num_rows() {
            let mut labels = Labels::default();
            for (name, column) in &said {
                let text = Some(column.value(row)).filter(|text| !text.is_empty());
                labels.named(name).into_iter().for_each(|own| *own = text.map(str::to_owned));
            }
            if let Some(json) = extra.filter(|column| column.is_valid(row)).map(|column| column.value(row)) {
                let broken = |why| ShardError::NotAShard(format!("`{EXTRA}` is broken: {why}"));
                labels.extra = Labels::read_extra(json).map_err(broken)?;
            }
            let text = |column: &StringArray| column.value(row).to_owned();
            tracks.push(Listed {
                track: text(id),
                content: text(content),
                license: text(license),
                split: text(split),
                labels,
                samples: text(samples),
                stated: text(stated),
            });
        }
    }
    Ok(tracks)
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, ShardError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<StringArray>());
    column.ok_or_else(|| ShardError::NotAShard(format!("no column `{name}` of the right type")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Digest,
        row::{Recording, Track},
        tables::{Column, table},
    };
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn track(labels: Labels) -> Track {
        Track {
            id: "t/1".into(),
            content: Digest::of(b"c"),
            bytes: 1,
            license: Some("CC0-1.0".into()),
            labels,
            recording: Some(Recording { frames: 1, rate: 1, channels: 1, samples: Digest::of(b"s") }),
            chain: None,
            split: Some("train".into()),
        }
    }

    fn listed(labels: Labels) -> Listed {
        Listed {
            track: "t/1".into(),
            content: Digest::of(b"c").hex(),
            license: "CC0-1.0".into(),
            split: "train".into(),
            labels,
            samples: Digest::of(b"s").hex(),
            stated: "cc zero".into(),
        }
    }

    #[test]
    fn a_track_is_listed_by_its_labels() {
        let labels = Labels { artist: Some("a".into()), ..Labels::default() };
        let bytes = write(|| {
            let mut rows = Rows::default();
            rows.push(&track(labels.clone()).view(), Some("cc zero"));
            [rows]
        });
        assert_eq!(read(&bytes.expect("written")).expect("read"), [listed(labels)]);
    }

    #[test]
    fn a_column_for_what_the_corpus_says_is_there_where_it_says_something() {
        let own = Labels { extra: [("bpm".to_owned(), "9".to_owned())].into(), ..Labels::default() };
        let (with, without) = (listed(own), listed(Labels::default()));
        let columns = |rows: &[&[&Listed]]| {
            let bytes = write(|| rows.iter().map(|part| part.iter().copied().collect())).expect("written");
            let back = read(&bytes).expect("read");
            assert!(back.iter().eq(rows.iter().copied().flatten().copied()), "{back:?}");
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).expect("a table");
            reader.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        assert_eq!(columns(&[&[&without], &[&without]]), names().collect::<Vec<_>>());
        let all: Vec<&str> = names().chain([EXTRA]).collect();
        assert_eq!(columns(&[&[&without], &[&with, &without]]), all);
        assert_eq!(columns(&[&[&with]]), all);
        assert_eq!(with.differences(&without), ["extra"]);
        let json = |listed: &Listed| serde_json::to_value(listed).expect("JSON");
        assert_eq!((&json(&with)["extra"]["bpm"], json(&without).get("extra")), (&"9".into(), None));
        assert_eq!((&json(&without)["title"], &json(&without)["stated"]), (&"".into(), &"cc zero".into()));
    }

    #[test]
    fn a_group_copied_from_an_earlier_table_gives_the_same_bytes() {
        for extra in [false, true] {
            let track = |n: usize| Listed {
                track: format!("folder/{n:05}.wav"),
                content: format!("{:064x}", n * n * 7919),
                labels: Labels {
                    artist: Some(format!("artist {}", n % 37)),
                    extra: (extra && n.is_multiple_of(5))
                        .then(|| ("bpm".to_owned(), n.to_string()))
                        .into_iter()
                        .collect(),
                    ..Labels::default()
                },
                ..Listed::default()
            };
            let tracks: Vec<Listed> = (0..30_000).map(track).collect();
            let mut changed = tracks.clone();
            changed[15_000].license = "CC0-1.0".into();
            let whole = |tracks: &[Listed]| {
                write(|| tracks.chunks(10_000).map(|part| part.iter().collect::<Rows>())).expect("written")
            };
            let before = earlier(whole(&tracks)).expect("a table");
            assert_eq!(before.groups(), 3);
            let mut list = writer(extra).expect("begun");
            list.copy(&before, 0).expect("copied");
            let middle: Rows = changed[10_000..20_000].iter().collect();
            let group = middle.encoded(list.encoder(), extra).expect("encoded").expect("rows");
            list.push(group).expect("appended");
            list.copy(&before, 2).expect("copied");
            assert!(list.copy(&before, 3).is_err());
            let mut again = writer(extra).expect("begun");
            (0..3).for_each(|index| again.copy(&before, index).expect("copied"));
            assert!(again.finish().expect("written") == whole(&tracks));
            assert!(list.finish().is_ok_and(|bytes| bytes == whole(&changed)));
        }
        assert!(earlier(b"PAR1".to_vec()).is_none());
    }

    #[test]
    fn goes_both_ways() {
        let track = |n: usize| Listed {
            track: format!("folder/{n}.wav"),
            content: format!("{n:064x}"),
            license: "CC0-1.0".into(),
            labels: Labels { title: (n == 1).then(|| "näh".into()), ..Labels::default() },
            ..Listed::default()
        };
        let tracks: Vec<Listed> = (0..3).map(track).collect();
        let written =
            |parts: &[&[Listed]]| write(|| parts.iter().map(|p| p.iter().collect::<Rows>())).expect("written");
        let bytes = written(&[&tracks]);
        assert_eq!(bytes, written(&[&tracks]));
        assert_eq!(read(&bytes).expect("read"), tracks);
        assert_eq!(read(&written(&[&tracks[..1], &tracks[1..]])).expect("read"), tracks);
        assert_eq!((read(&written(&[])).expect("read"), read(&written(&[&[]])).expect("read")), (vec![], vec![]));
        assert!(read(b"PAR1").is_err());
        // As the engine's own writer writes it.
        let column = |at: usize| Column::Text(tracks.iter().map(|track| track.texts()[at].to_owned()).collect());
        let columns: Vec<_> = names().enumerate().map(|(at, name)| (name, column(at))).collect();
        let mut plain = Vec::new();
        table(&columns, &mut plain).expect("written");
        assert_eq!(plain, bytes);
        assert_eq!(tracks[0].differences(&tracks[1]), ["content", "title"]);
    }
}
