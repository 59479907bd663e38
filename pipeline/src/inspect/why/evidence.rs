//! The place that states the license of a track. A run records the words; the place is looked up in its source, as
//! `ingest` reads it, and only for the track that is asked for.

use crate::record::{stage_record::StageRecord, timing::Timing};
use datasets::corpus::Evidence;
use stages::{stage::StageSpec, verbs::ingest::Ingest};
use std::path::PathBuf;

/// A source of a run: a stage that brings tracks in, with its settings, and where it lay when the run was published.
pub(super) struct Source {
    stage: String,
    ingest: Ingest,
    paths: Vec<PathBuf>,
}

impl Source {
    /// The source that a stage is, as the record tells of it and of the paths in `timing.json`; `None` if it is another stage.
    pub(super) fn of(stage: &StageRecord, timing: &Timing) -> Option<Source> {
        if !stages::spec(&stage.verb).is_some_and(StageSpec::is_corpus) {
            return None;
        }
        let ingest = Ingest::recorded(stage.settings.iter().map(|(field, text)| (field.as_str(), text.as_str())))?;
        let paths = timing.sources.get(&stage.name).into_iter().flatten().map(PathBuf::from);
        Some(Source { ingest, paths: paths.collect(), stage: stage.name.clone() })
    }

    /// The key of a track of this source.
    pub(super) fn key<'i>(&self, id: &'i str) -> Option<&'i str> {
        id.strip_prefix(self.ingest.dataset())?.strip_prefix('/')
    }

    /// Finds the place that states the license of `key` at present; of several rows of a table one that says `words`.
    /// `None` if there is no such place.
    ///
    /// # Errors
    /// A sentence on why the source cannot be searched.
    pub(super) fn look(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, String> {
        self.ingest.evidence(&self.paths, key, words, &self.stage)
    }
}
