//! The tracks of a run as a Parquet table, one row a track: what two runs are compared by, and what a list of a corpus
//! is made from.

use crate::{
    row::Track,
    shard::{Column, ShardError, table},
};
use arrow::array::{Array, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

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
    /// Of a track, whose license was stated in these words.
    pub fn of(track: &Track, stated: Option<&str>) -> Listed {
        let text = |label: &Option<String>| label.clone().unwrap_or_default();
        Listed {
            track: track.id.clone(),
            content: track.content.hex(),
            license: text(&track.license),
            split: text(&track.split),
            title: text(&track.labels.title),
            artist: text(&track.labels.artist),
            genre: text(&track.labels.genre),
            source: text(&track.labels.source),
            samples: track.recording.as_ref().map(|recording| recording.samples.hex()).unwrap_or_default(),
            stated: stated.unwrap_or_default().to_owned(),
        }
    }

    /// The names of the columns, but the track's id and what follows from others, in which two rows differ.
    pub fn differences(&self, other: &Listed) -> Vec<&'static str> {
        let columns = FIELDS.iter().skip(1).filter(|(name, _)| !FOLLOWING.contains(name));
        columns.filter(|(_, of)| of(self) != of(other)).map(|(name, _)| *name).collect()
    }
}

/// The table's bytes; equal rows give equal bytes.
///
/// # Errors
/// What Parquet says.
pub fn write(tracks: &[Listed]) -> Result<Vec<u8>, ShardError> {
    let columns = FIELDS.map(|(name, of)| (name, Column::Text(tracks.iter().map(|track| of(track).clone()).collect())));
    let mut bytes = Vec::new();
    table(&columns, &mut bytes)?;
    Ok(bytes)
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
        let bytes = write(&tracks).expect("written");
        assert_eq!(bytes, write(&tracks).expect("written"));
        assert_eq!(read(&bytes).expect("read"), tracks);
        assert_eq!(read(&write(&[]).expect("written")).expect("read"), []);
        assert!(read(b"PAR1").is_err());
        assert_eq!(tracks[0].differences(&tracks[1]), ["content", "title"]);
    }
}
