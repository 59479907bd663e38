//! Corpora: what `corpus = ".."` may name.
//!
//! A corpus is one file beside this one, its `mod`, and its line in [`CORPORA`]. The file declares the settings that belong to
//! the corpus and makes an [`Adapter`] of them, which reads. Manifests, their complaints, the JSON schema, `docs/manifest.md`,
//! `watch` and `why` follow from the list. Two corpora may have a setting of the same name and kind, such as `root`: it is
//! documented by both of their lines together.

mod folder;
pub(super) mod synth;
mod table;

use crate::{
    settings::{At, Complaint, Field, Setting, Settings, Table, Value, suggest},
    stage::{Places, memory::Memory},
};
use datasets::corpus::Adapter;
use serde_json::json;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Every corpus there is; the first is the default.
pub static CORPORA: &[CorpusSpec] = &[
    CorpusSpec::of::<folder::FolderSettings>(),
    CorpusSpec::of::<table::TableSettings>(),
    CorpusSpec::of::<synth::SynthSettings>(),
];

/// The settings of a corpus, as its author writes them.
pub trait CorpusSettings: Settings + Send + Sync + 'static {
    /// The word in the manifest; the first part of every id where `dataset` says nothing else.
    const WORD: &'static str;
    /// The settings that must be given, each with what it names.
    const NEEDS: &'static [(&'static str, &'static str)] = &[];

    /// Complaints that a single setting cannot make. Touches no disk.
    fn check(&self, _at: &Places<'_>, _complaints: &mut Vec<Complaint>) {}

    /// Where the corpus lies. Of one with a table that is the table, and then the folder in which its paths start.
    fn source_paths(&self, _base: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The folders and files that a scan reads, for those who wait for a change.
    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.source_paths(base)
    }

    /// What rendering its recordings takes of memory, where they are made here.
    fn memory(&self) -> Memory {
        Memory::default()
    }

    /// The corpus at its source paths, or where these were when a run was published; `None` if one is missing that it needs.
    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>>;
}

/// A corpus as `ingest` sees it: the same thing with its types forgotten.
pub struct CorpusSpec {
    /// See [`CorpusSettings::WORD`].
    pub word: &'static str,
    /// See [`CorpusSettings::NEEDS`].
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
    pub(super) fn lower(
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
pub(super) fn only(table: &Table, fields: &[Field]) -> Table {
    let own = |name: &str| fields.iter().any(|field| field.name == name);
    Table(table.0.iter().filter(|(word, _)| own(&word.text)).cloned().collect())
}

/// A corpus with typed settings.
pub(super) trait ConfiguredCorpus: Send + Sync {
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

/// The setting `corpus`: one of the words of [`CORPORA`].
#[derive(Clone, Copy)]
pub(super) struct CorpusWord(pub(super) &'static CorpusSpec);

impl PartialEq for CorpusWord {
    fn eq(&self, other: &CorpusWord) -> bool {
        self.0.word == other.0.word
    }
}

impl fmt::Debug for CorpusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word)
    }
}

fn words() -> impl Iterator<Item = &'static str> {
    CORPORA.iter().map(|corpus| corpus.word)
}

impl Setting for CorpusWord {
    fn read(value: &Value) -> Result<CorpusWord, Vec<Complaint>> {
        let word = String::read(value)?;
        let named = CORPORA.iter().find(|corpus| corpus.word == word);
        named.map(CorpusWord).ok_or_else(|| {
            let complaint = Complaint::new(value.at, format!("`{word}` is not {}", Self::kind()));
            vec![match suggest(&word, words()) {
                Some(near) => complaint.help(format!("did you mean \"{near}\"?")),
                None => complaint,
            }]
        })
    }
    fn canonical(&self) -> Vec<u8> {
        self.0.word.to_owned().canonical()
    }
    fn show(&self) -> String {
        format!("{:?}", self.0.word)
    }
    fn kind() -> String {
        format!("one of {}", words().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
    }
    fn schema() -> serde_json::Value {
        json!({ "enum": words().collect::<Vec<_>>() })
    }
}
