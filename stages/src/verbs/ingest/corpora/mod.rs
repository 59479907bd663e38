//! Corpora: what `corpus = ".."` may name.
//!
//! A corpus is one file beside this one, its `mod`, and its line in [`CORPORA`]. The file declares the settings that belong to
//! the corpus and makes an [`Adapter`](datasets::corpus::Adapter) of them, which reads. Manifests, their complaints, the JSON schema, `docs/manifest.md`,
//! `watch` and `why` follow from the list. Two corpora may have a setting of the same name and kind, such as `root`: it is
//! documented by both of their lines together.

mod fma;
mod folder;
mod lakh;
mod maestro;
mod nsynth;
mod spec;
pub(super) mod synth;
mod table;

pub(super) use spec::{ConfiguredCorpus, only};
pub use spec::{CorpusSettings, CorpusSpec};

use crate::settings::{Complaint, Setting, Value, suggest};
use serde_json::json;
use std::fmt;

/// Every corpus there is; the first is the default.
pub static CORPORA: &[CorpusSpec] = &[
    CorpusSpec::of::<folder::FolderSettings>(),
    CorpusSpec::of::<table::TableSettings>(),
    CorpusSpec::of::<synth::SynthSettings>(),
    CorpusSpec::of::<maestro::MaestroSettings>(),
    CorpusSpec::of::<nsynth::NsynthSettings>(),
    CorpusSpec::of::<fma::FmaSettings>(),
    CorpusSpec::of::<lakh::LakhSettings>(),
];

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
