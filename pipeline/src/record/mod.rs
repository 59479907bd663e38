//! The records that a run leaves: whoever writes or reads one goes through here.
//!
//! Knows no command: nothing of `cli`, `standalone`, `run`, `upkeep` or `publish`.

pub mod corpus;
pub mod history;
pub mod kinds;
pub mod lineage;
pub mod lockfile;
pub mod made;
pub(crate) mod ordered;
pub mod published;
pub mod scores;
pub mod settled;
pub mod stage_record;
pub mod summary;
pub mod sweep_table;
pub mod tainted;
pub mod timing;

use crate::{
    error::Error,
    record::{
        made::Made,
        ordered::by_name,
        scores::Score,
        stage_record::{DroppedLine, FailedStage, PointRecord, StageRecord},
        tainted::Tainted,
    },
};
use datasets::Digest;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The file of a run's record; a tree is whole when it holds the record that belongs to it.
pub(crate) const FILE: &str = "run.json";

/// The version of the record that this program writes, and the only one that it reads.
pub const FORMAT: u32 = 2;

/// The content of `run.json`: settings, counts, digests and scores of a published run; fields in the order of their names.
///
/// `Rows` are the dropped rows. A run over a large corpus may have a million of them: [`Outline`] reads a record without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<Rows = Vec<DroppedLine<'static>>> {
    /// Dropped rows but withdrawn ones, in the order of the plan's stages.
    pub dropped: Rows,
    /// Stages over the whole corpus that failed: the run is partial. Not written if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedStage>,
    /// Published files that are objects of the store: path in the tree, digest.
    pub files: BTreeMap<String, Digest>,
    /// The version of the record: [`FORMAT`].
    pub format: u32,
    /// Models and songs.
    #[serde(serialize_with = "by_name")]
    pub made: BTreeSet<Made>,
    /// The manifest's name.
    pub name: String,
    /// The class of arithmetic.
    pub numerics: String,
    /// The version of Refrain that wrote it.
    pub refrain: String,
    /// The run: name and id.
    pub run: String,
    /// Scores, in the order of the plan's stages.
    pub scores: Vec<Score>,
    /// The manifest's seed.
    pub seed: u64,
    /// Stages, each after those that feed it.
    pub stages: Vec<StageRecord>,
    /// Points of a sweep. `None` of a run without one.
    pub sweep: Option<Vec<PointRecord>>,
    /// Models that were trained on tracks that are withdrawn now.
    #[serde(serialize_with = "by_name")]
    pub tainted: Vec<Tainted>,
    /// The view of each shard, by its id; at a point of a sweep below the point's folder.
    pub views: BTreeMap<String, Digest>,
}

/// A record without its dropped rows, which are skipped when it is read.
pub type Outline = Record<IgnoredAny>;

/// Error of reading the record of a run.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The disk's answer.
        error: std::io::Error,
    },
    /// The file is no record.
    #[error("{} is damaged: {error}; publish the run again", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// The parser's answer.
        error: serde_json::Error,
    },
    /// Another version of Refrain wrote the record.
    #[error("the run {} has format {found}, and this version of refrain reads {FORMAT}: {}", folder.display(), advice(*found))]
    Format {
        /// The run's folder.
        folder: PathBuf,
        /// The version of the record.
        found: u32,
    },
}

fn advice(found: u32) -> &'static str {
    if found > FORMAT { "use the newer refrain" } else { "run its manifest again, an older refrain has published it" }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Error {
        Error::Source(error.to_string())
    }
}

impl<Rows: DeserializeOwned> Record<Rows> {
    /// Reads the record of a published run.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is of a version that this program does not understand.
    pub fn read(folder: &Path) -> Result<Record<Rows>, RecordError> {
        let path = folder.join(FILE);
        let bytes = match datasets::untrusted::read(&path, datasets::untrusted::LARGEST) {
            Ok(bytes) => bytes,
            Err(error) => return Err(RecordError::Unreadable { path, error }),
        };
        let read = serde_json::from_slice::<Record<Rows>>(&bytes);
        // Only what is not understood is read again: for a version of another shape, which says so.
        let stated = || serde_json::from_slice::<Stated>(&bytes).map_or(FORMAT, |stated| stated.format);
        match (read.as_ref().map_or_else(|_| stated(), |record| record.format), read) {
            (FORMAT, Ok(record)) => Ok(record),
            (FORMAT, Err(error)) => Err(RecordError::Damaged { path, error }),
            (found, _) => Err(RecordError::Format { folder: folder.to_owned(), found }),
        }
    }
}

/// The version of a record of any shape.
#[derive(Deserialize)]
struct Stated {
    format: u32,
}

impl<Rows> Record<Rows> {
    /// Whether nothing of the stage was published: it failed, or rests on one that did.
    pub fn withholds(&self, stage: &str) -> bool {
        self.failed.iter().any(|failed| failed.stage == stage || failed.withheld.iter().any(|other| other == stage))
    }
}

impl<Rows: Serialize> Record<Rows> {
    /// The text of the file.
    pub fn text(&self) -> String {
        // Numbers, strings and lists of them: there is nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The record of a run with a sweep, a tainted codec, songs and figures, as it was written before it was typed.
    const WRITTEN: &str = include_str!("../../../tests/records/run.json");

    fn folder(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), text).expect("written");
        folder
    }

    #[test]
    fn what_was_read_is_written_again_byte_for_byte() {
        let at = folder(WRITTEN);
        let record: Record = Record::read(at.path()).expect("a record");
        assert_eq!(record.text(), WRITTEN);
        assert_eq!(record.dropped[1].why.as_deref(), Some("CC-BY-NC-4.0 is not in `allow`"));
        assert_eq!((record.tainted[0].withdrawn[0].id.as_str(), record.tainted[0].songs.len()), ("folder/t1.wav", 4));
        assert!(record.scores.iter().any(|score| score.metric.is_some()) && record.sweep.is_some());
        let outline = Outline::read(at.path()).expect("its outline");
        assert_eq!((&outline.files, &outline.stages), (&record.files, &record.stages));
    }

    #[test]
    fn a_figure_that_is_no_number_and_a_row_without_a_sentence_come_back() {
        let at = folder(WRITTEN);
        let mut record: Record = Record::read(at.path()).expect("a record");
        record.scores[0].value = f64::NAN;
        record.dropped[0].why = None;
        let again: Record = Record::read(folder(&record.text()).path()).expect("a record");
        assert!(again.scores[0].value.is_nan());
        assert_eq!(again.dropped, record.dropped);
        assert!(!record.text().contains("\"why\": null"));
    }

    #[test]
    fn other_versions_are_told_from_damage() {
        let why = |text: &str| {
            let at = folder(text);
            let error = Error::from(Record::<IgnoredAny>::read(at.path()).expect_err("no record of ours"));
            (error.code(), error.to_string().replace(&at.path().display().to_string(), "AT"))
        };
        let newer = WRITTEN.replace("\"format\": 2", "\"format\": 3");
        let expected = "the run AT has format 3, and this version of refrain reads 2: use the newer refrain";
        assert_eq!(why(&newer), (3, expected.to_owned()));
        // Of another shape altogether.
        assert_eq!(why("{ \"format\": 3, \"stages\": 7 }"), (3, expected.to_owned()));
        let older = why("{ \"format\": 1 }").1;
        assert!(older.ends_with("run its manifest again, an older refrain has published it"), "{older}");
        let torn = why(&WRITTEN[..WRITTEN.len() / 2]);
        assert!(torn.0 == 3 && torn.1.starts_with("AT/run.json is damaged: EOF"), "{}", torn.1);
        let missing = RecordError::Unreadable { path: "x/run.json".into(), error: std::io::ErrorKind::NotFound.into() };
        assert!(missing.to_string().starts_with("cannot read x/run.json: "), "{missing}");
    }
}
