//! Corpus settings in a manifest, and how they become an [`Adapter`].

use crate::{
    settings::{At, Complaint, Field, Settings, Table},
    stage::{Places, memory::Memory},
};
use datasets::corpus::Adapter;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The settings of a corpus, as its author writes them.
pub trait CorpusSettings: Settings + Send + Sync + 'static {
    /// The word in the manifest; the first part of every id where `dataset` says nothing else.
    const WORD: &'static str;
    /// The settings that must be given, each with what it names.
    const NEEDS: &'static [(&'static str, &'static str)] = &[];

    /// Complaints that a single setting cannot make. Touches no disk.
    fn check(&self, _at: &Places<'_>, _complaints: &mut Vec<Complaint>) {}

    /// Paths of the corpus. With a table: the table, then the folder in which its paths start.
    fn source_paths(&self, _base: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The folders and files that a scan reads, for those who wait for a change.
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.source_paths(base)
    }

    /// Memory that rendering the recordings takes, if they are made here.
    fn memory(&self) -> Memory {
        Memory::default()
    }

    /// The corpus at its source paths, or where these were when a run was published; `None` if one is missing that it needs.
    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>>;
}

/// A corpus as `ingest` sees it: the same thing with its types forgotten.
pub struct CorpusSpec {
    /// Word in the manifest: [`CorpusSettings::WORD`].
    pub word: &'static str,
    /// Settings that must be given: [`CorpusSettings::NEEDS`].
    pub needs: &'static [(&'static str, &'static str)],
    /// The documentation of its settings.
    pub fields: fn() -> Vec<Field>,
    lower: fn(&Table, At, &mut Vec<Complaint>) -> Option<Arc<dyn ConfiguredCorpus>>,
}

impl CorpusSpec {
    /// The entry of a corpus.
    pub const fn of<C: CorpusSettings>() -> CorpusSpec {
        CorpusSpec { word: C::WORD, needs: C::NEEDS, fields: C::fields, lower: lower::<C> }
    }

    /// Lowers the settings that belong to it; those of others are passed over.
    pub(in crate::verbs::ingest) fn lower(
        &self,
        table: &Table,
        whole: At,
        complaints: &mut Vec<Complaint>,
    ) -> Option<Arc<dyn ConfiguredCorpus>> {
        (self.lower)(&only(table, &(self.fields)()), whole, complaints)
    }
}

fn lower<C: CorpusSettings>(
    table: &Table,
    whole: At,
    complaints: &mut Vec<Complaint>,
) -> Option<Arc<dyn ConfiguredCorpus>> {
    Some(Arc::new(C::lower(table, whole, complaints)?))
}

/// The part of a table that some settings read.
pub(in crate::verbs::ingest) fn only(table: &Table, fields: &[Field]) -> Table {
    let own = |name: &str| fields.iter().any(|field| field.name == name);
    Table(table.0.iter().filter(|(word, _)| own(&word.text)).cloned().collect())
}

/// A corpus with typed settings.
pub(in crate::verbs::ingest) trait ConfiguredCorpus: Send + Sync {
    fn changed(&self) -> Vec<(&'static str, Vec<u8>)>;
    fn shown(&self) -> Vec<(&'static str, String)>;
    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>);
    fn source_paths(&self, base: &Path) -> Vec<PathBuf>;
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf>;
    fn memory(&self) -> Memory;
    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>>;
}

impl<C: CorpusSettings> ConfiguredCorpus for C {
    fn changed(&self) -> Vec<(&'static str, Vec<u8>)> {
        Settings::changed(self)
    }
    fn shown(&self) -> Vec<(&'static str, String)> {
        Settings::shown(self)
    }
    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        CorpusSettings::check(self, at, complaints);
    }
    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        CorpusSettings::source_paths(self, base)
    }
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        CorpusSettings::watched_paths(self, base)
    }
    fn memory(&self) -> Memory {
        CorpusSettings::memory(self)
    }
    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        CorpusSettings::adapter(self, paths)
    }
}
