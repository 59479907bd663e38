//! Who states the license of a track. A run records the words; where they stand is looked up in its source, as `ingest`
//! reads it, and only for the track that is asked for.

use crate::record::{stage_record::StageRecord, timing::Timing};
use datasets::{
    audio::tags,
    corpus::{
        TableOptions,
        evidence::{Stated, in_sidecars, in_table},
    },
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Where a license is stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The words.
    pub license: String,
    /// Where they stand.
    pub place: Place,
}

/// A place that may state a license, in the order in which `ingest` asks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Place {
    /// A row of a sidecar.
    Sidecar {
        /// The sidecar's key: its path under the root.
        file: String,
        /// Its row, from 1, headers not counted.
        row: u64,
        /// The row's line, from 1, where the format has lines.
        line: Option<u64>,
    },
    /// A row of a corpus's table.
    Table {
        /// The table's name.
        file: String,
        /// Its row, from 1, headers not counted.
        row: u64,
        /// The row's line, from 1, where the format has lines.
        line: Option<u64>,
    },
    /// The tags of the file itself.
    Tags,
    /// The setting of `ingest` for tracks for which nobody states one.
    Setting {
        /// The stage.
        stage: String,
    },
    /// The rules of the built-in corpus.
    BuiltIn,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sidecar { file, line: Some(line), .. } => write!(f, "the sidecar `{file}`, line {line}"),
            Place::Sidecar { file, row, .. } => write!(f, "the sidecar `{file}`, row {row}"),
            Place::Table { file, line: Some(line), .. } => write!(f, "the table `{file}`, line {line}"),
            Place::Table { file, row, .. } => write!(f, "the table `{file}`, row {row}"),
            Place::Tags => f.write_str("the tags of its file"),
            Place::Setting { stage } => write!(f, "the setting `license` of `{stage}`"),
            Place::BuiltIn => f.write_str("the rules of the built-in corpus"),
        }
    }
}

/// A source of a run: a stage `ingest` with its settings, and where it lay when the run was published.
pub(super) struct Source {
    stage: String,
    settings: BTreeMap<String, toml::Value>,
    places: Vec<PathBuf>,
}

impl Source {
    /// Of a stage as the record tells of it, and of the places in `timing.json`.
    pub(super) fn of(stage: &StageRecord, timing: &Timing) -> Option<Source> {
        if stage.verb != "ingest" {
            return None;
        }
        let read = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).ok()?.remove("v");
        // What is not set is empty, and no TOML.
        let settings = stage.settings.iter().filter_map(|(field, text)| Some((field.clone(), read(text)?)));
        let places = timing.sources.get(&stage.name).into_iter().flatten().map(PathBuf::from);
        Some(Source { settings: settings.collect(), places: places.collect(), stage: stage.name.clone() })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.settings.get(field)?.as_str()
    }

    fn corpus(&self) -> &str {
        self.text("corpus").unwrap_or("folder")
    }

    /// The key of a track of this source.
    pub(super) fn key<'i>(&self, id: &'i str) -> Option<&'i str> {
        id.strip_prefix(self.text("dataset").unwrap_or(self.corpus()))?.strip_prefix('/')
    }

    /// What states a license for a key now; of several rows of a table one that says these words.
    ///
    /// # Errors
    /// Why it cannot be looked up.
    pub(super) fn look(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, String> {
        let setting = || {
            let license = self.text("license")?.to_owned();
            Some(Evidence { license, place: Place::Setting { stage: self.stage.clone() } })
        };
        if self.corpus() == "synth" {
            let license = words.unwrap_or("CC0-1.0").to_owned();
            return Ok(Some(Evidence { license, place: Place::BuiltIn }));
        }
        let Some(place) = self.places.first() else {
            return Err("the run does not say where its source was".to_owned());
        };
        if !place.exists() {
            return Err(format!("the source {} is not there", place.display()));
        }
        let tags = |path: PathBuf| {
            let license = tags::read(&path).license?;
            Some(Evidence { license, place: Place::Tags })
        };
        if self.corpus() == "table" {
            let (mut rows, tagged) = self.table(place, key)?;
            let chosen = rows.iter().position(|row| words == Some(&row.license)).unwrap_or(0);
            if chosen < rows.len() {
                let Stated { license, row, line } = rows.swap_remove(chosen);
                let file = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Ok(Some(Evidence { license, place: Place::Table { file, row, line } }));
            }
            return Ok(tagged.and_then(tags).or_else(setting));
        }
        let found = in_sidecars(place, key).map_err(|error| error.to_string())?;
        let sidecar = found.map(|(file, Stated { license, row, line })| Evidence {
            license,
            place: Place::Sidecar { file, row, line },
        });
        Ok(sidecar.or_else(|| tags(place.join(key))).or_else(setting))
    }

    /// The rows of a table for a key, and the file whose tags count where they state nothing.
    fn table(&self, file: &Path, key: &str) -> Result<(Vec<Stated>, Option<PathBuf>), String> {
        let columns = self.settings.get("columns").and_then(toml::Value::as_table).into_iter().flatten();
        let columns = columns.filter_map(|(field, column)| Some((field.clone(), column.as_str()?.to_owned())));
        let root = self.places.get(1).cloned();
        let stated_digests = self.text("digest").is_some();
        let options = TableOptions {
            path: self.text("path").unwrap_or("path").to_owned(),
            columns: columns.collect(),
            digest: None,
            root: root.clone(),
        };
        let rows = in_table(file, &options, key).map_err(|error| error.to_string())?;
        let root = root.or_else(|| file.parent().map(Path::to_owned));
        Ok((rows, root.filter(|_| !stated_digests).map(|root| root.join(key))))
    }
}
