//! The tracks of a run as a Parquet table, one row a track: what two runs are compared by, and what a list of a corpus
//! is made from.

use crate::{
    row::TrackView,
    shard::ShardError,
    tables::groups::{Earlier, Encoder, Group, TextsWriter},
};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;
use std::sync::Arc;

/// What is said about one track; a text that is not stated is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Listed {
    /// Track id: `dataset/key`.
    pub track: String,
    /// Digest of the file's bytes, in hexadecimal.
    pub content: String,
    /// License, as an SPDX expression where it is one.
    pub license: String,
    /// Split.
    pub split: String,
    /// Title.
    pub title: String,
    /// Artist.
    pub artist: String,
    /// Genre.
    pub genre: String,
    /// Where it came from.
    pub source: String,
    /// Digest of its decoded samples, in hexadecimal.
    pub samples: String,
    /// License in the words in which it was stated.
    pub stated: String,
}

/// A column: its name, and what of a track is in it.
type Field = (&'static str, fn(&Listed) -> &String);

const FIELDS: [Field; 10] = [
    ("track", |t| &t.track),
    ("content", |t| &t.content),
    ("license", |t| &t.license),
    ("split", |t| &t.split),
    ("title", |t| &t.title),
    ("artist", |t| &t.artist),
    ("genre", |t| &t.genre),
    ("source", |t| &t.source),
    ("samples", |t| &t.samples),
    ("stated", |t| &t.stated),
];

/// Columns that follow from others, as far as two rows are compared.
const FOLLOWING: [&str; 2] = ["samples", "stated"];

impl Listed {
    /// The names of the columns, but the track's id and what follows from others, in which two rows differ.
    pub fn differences(&self, other: &Listed) -> Vec<&'static str> {
        let columns = FIELDS.iter().skip(1).filter(|(name, _)| !FOLLOWING.contains(name));
        columns.filter(|(_, of)| of(self) != of(other)).map(|(name, _)| *name).collect()
    }
}

/// Rows of the table in a row, column by column.
#[derive(Default)]
pub struct Rows([StringBuilder; FIELDS.len()]);

impl Rows {
    /// Adds a track, whose license was stated in these words.
    pub fn push(&mut self, track: &TrackView<'_>, stated: Option<&str>) {
        let labels = &track.labels;
        let (content, samples) = (track.content.hex(), track.samples().map(|samples| samples.hex()));
        self.add([
            track.id,
            &content,
            track.license.unwrap_or_default(),
            track.split.unwrap_or_default(),
            labels.title.unwrap_or_default(),
            labels.artist.unwrap_or_default(),
            labels.genre.unwrap_or_default(),
            labels.source.unwrap_or_default(),
            samples.as_deref().unwrap_or_default(),
            stated.unwrap_or_default(),
        ]);
    }

    fn add(&mut self, values: [&str; FIELDS.len()]) {
        self.0.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
    }
}

impl<'l> FromIterator<&'l Listed> for Rows {
    fn from_iter<I: IntoIterator<Item = &'l Listed>>(tracks: I) -> Rows {
        let mut rows = Rows::default();
        tracks.into_iter().for_each(|track| rows.add(FIELDS.map(|(_, of)| of(track).as_str())));
        rows
    }
}

/// Begins a table.
///
/// # Errors
/// What Parquet says.
pub fn writer() -> Result<TextsWriter<{ FIELDS.len() }>, ShardError> {
    TextsWriter::new(&FIELDS.map(|(name, _)| name))
}

impl Rows {
    /// Encodes the rows as one group of a table; `None` if there are none.
    ///
    /// # Errors
    /// What Parquet says.
    pub fn encoded(mut self, encoder: Encoder<'_>) -> Result<Option<Group>, ShardError> {
        encoder.encode(&self.0.each_mut().map(|column| Arc::new(column.finish()) as ArrayRef))
    }
}

/// The table's bytes, of rows in parts, each of which is written before the next is asked for; equal parts give equal bytes.
///
/// # Errors
/// What Parquet says.
pub fn write(parts: impl IntoIterator<Item = Rows>) -> Result<Vec<u8>, ShardError> {
    let mut table = writer()?;
    for part in parts {
        if let Some(group) = part.encoded(table.encoder())? {
            table.push(group)?;
        }
    }
    table.finish()
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
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes))?.build()?;
    let mut tracks = Vec::new();
    for batch in reader {
        let batch = batch?;
        let columns = FIELDS.iter().map(|(name, _)| texts(&batch, name)).collect::<Result<Vec<_>, _>>()?;
        tracks.extend((0..batch.num_rows()).map(|row| {
            let text = |column: usize| columns[column].value(row).to_owned();
            Listed {
                track: text(0),
                content: text(1),
                license: text(2),
                split: text(3),
                title: text(4),
                artist: text(5),
                genre: text(6),
                source: text(7),
                samples: text(8),
                stated: text(9),
            }
        }));
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
        row::{Labels, Recording, Track},
        tables::{Column, table},
    };

    #[test]
    fn a_track_is_listed_by_its_labels() {
        let track = Track {
            id: "t/1".into(),
            content: Digest::of(b"c"),
            bytes: 1,
            license: Some("CC0-1.0".into()),
            labels: Labels { artist: Some("a".into()), ..Labels::default() },
            recording: Some(Recording { frames: 1, rate: 1, channels: 1, samples: Digest::of(b"s") }),
            chain: None,
            split: Some("train".into()),
        };
        let mut rows = Rows::default();
        rows.push(&track.view(), Some("cc zero"));
        let listed = Listed {
            track: "t/1".into(),
            content: Digest::of(b"c").hex(),
            license: "CC0-1.0".into(),
            split: "train".into(),
            artist: "a".into(),
            samples: Digest::of(b"s").hex(),
            stated: "cc zero".into(),
            ..Listed::default()
        };
        assert_eq!(read(&write(vec![rows]).expect("written")).expect("read"), [listed]);
    }

    #[test]
    fn a_group_copied_from_an_earlier_table_gives_the_same_bytes() {
        let track = |n: usize| Listed {
            track: format!("folder/{n:05}.wav"),
            content: format!("{:064x}", n * n * 7919),
            artist: format!("artist {}", n % 37),
            ..Listed::default()
        };
        let tracks: Vec<Listed> = (0..30_000).map(track).collect();
        let mut changed = tracks.clone();
        changed[15_000].license = "CC0-1.0".into();
        let parts = |tracks: &[Listed]| tracks.chunks(10_000).map(|part| part.iter().collect()).collect::<Vec<Rows>>();
        let before = earlier(write(parts(&tracks)).expect("written")).expect("a table");
        assert_eq!(before.groups(), 3);
        let mut list = writer().expect("begun");
        list.copy(&before, 0).expect("copied");
        let middle: Rows = changed[10_000..20_000].iter().collect();
        let group = middle.encoded(list.encoder()).expect("encoded").expect("rows");
        list.push(group).expect("appended");
        list.copy(&before, 2).expect("copied");
        assert!(list.copy(&before, 3).is_err());
        let mut again = writer().expect("begun");
        (0..3).for_each(|index| again.copy(&before, index).expect("copied"));
        assert!(again.finish().expect("written") == write(parts(&tracks)).expect("written"));
        assert!(list.finish().is_ok_and(|bytes| bytes == write(parts(&changed)).expect("written")));
        assert!(earlier(b"PAR1".to_vec()).is_none());
    }

    #[test]
    fn goes_both_ways() {
        let track = |n: usize| Listed {
            track: format!("folder/{n}.wav"),
            content: format!("{n:064x}"),
            license: "CC0-1.0".into(),
            title: if n == 1 { "näh".into() } else { String::new() },
            ..Listed::default()
        };
        let tracks: Vec<Listed> = (0..3).map(track).collect();
        let written = |parts: &[&[Listed]]| write(parts.iter().map(|p| p.iter().collect::<Rows>())).expect("written");
        let bytes = written(&[&tracks]);
        assert_eq!(bytes, written(&[&tracks]));
        assert_eq!(read(&bytes).expect("read"), tracks);
        assert_eq!(read(&written(&[&tracks[..1], &tracks[1..]])).expect("read"), tracks);
        assert_eq!((read(&written(&[])).expect("read"), read(&written(&[&[]])).expect("read")), (vec![], vec![]));
        assert!(read(b"PAR1").is_err());
        // As the engine's own writer writes it.
        let column = |of: fn(&Listed) -> &String| Column::Text(tracks.iter().map(|track| of(track).clone()).collect());
        let mut plain = Vec::new();
        table(&FIELDS.map(|(name, of)| (name, column(of))), &mut plain).expect("written");
        assert_eq!(plain, bytes);
        assert_eq!(tracks[0].differences(&tracks[1]), ["content", "title"]);
    }
}
