//! The settings of `ingest`: those of every corpus, and those of the corpus that is chosen.

use super::corpora::{CORPORA, ConfiguredCorpus, CorpusSpec, CorpusWord, only};
use crate::settings::{At, Complaint, Field, Reader, Role, Setting, Settings, Table, unless};
use datasets::{
    Digest,
    row::{Found, Labels, Track},
};
use std::sync::Arc;

crate::settings! {
    /// Settings that every corpus has.
    pub(super) struct CommonSettings {
        /// First part of every track's id; by default the corpus's name.
        dataset: Option<String> = None,
        /// License of the tracks for which nobody states one.
        license: Option<String> = None,
        /// Artist of the tracks for which nobody states one.
        artist: Option<String> = None,
        /// Genre of the tracks for which nobody states one.
        genre: Option<String> = None,
        /// Source of the tracks for which nobody states one.
        source: Option<String> = None,
    }
}

/// The stage with its settings: those of every corpus, and those of the corpus that is chosen.
#[derive(Clone)]
pub struct Ingest {
    pub(super) spec: &'static CorpusSpec,
    pub(super) common: CommonSettings,
    pub(super) corpus: Arc<dyn ConfiguredCorpus>,
    /// The labels of tracks for which nobody states any.
    unstated: Arc<Labels>,
}

impl Ingest {
    /// The first part of every id.
    pub fn dataset(&self) -> &str {
        self.common.dataset.as_deref().unwrap_or(self.spec.word)
    }

    /// The track of a row that was found.
    pub(super) fn track(&self, found: Found, content: Digest, bytes: u64) -> Track {
        let Found { key, license, mut labels, .. } = found;
        labels.fill_from(&self.unstated);
        Track {
            id: format!("{}/{key}", self.dataset()),
            content,
            bytes,
            license: license.or_else(|| self.common.license.clone()),
            labels,
            recording: None,
            chain: None,
            split: None,
        }
    }
}

/// Corpora whose settings stand before those that every corpus has. The order is that of a run's published manifest, so a
/// corpus that comes later stands behind.
const BEFORE: usize = 2;

/// Corpora whose settings every run's record has, with their defaults. Those of a corpus that comes later stand in its own
/// records alone.
const RECORDED: usize = 3;

/// Name of the setting that a run's record leaves out if it is not set: records without it stay as they were.
const CARRY: &str = "carry";

/// The corpora that have a setting.
pub(super) fn owners(name: &str) -> impl Iterator<Item = &'static CorpusSpec> {
    CORPORA.iter().filter(move |corpus| (corpus.fields)().iter().any(|field| field.name == name))
}

/// Adds the settings of corpora, each once.
fn add(fields: &mut Vec<Field>, corpora: &[CorpusSpec]) {
    for mut field in corpora.iter().flat_map(|corpus| (corpus.fields)()) {
        let doc = field.doc.trim_end_matches('.');
        if let Some(known) = fields.iter_mut().find(|known| known.name == field.name) {
            let mut letters = doc.chars();
            let first = letters.next().into_iter().flat_map(char::to_lowercase);
            known.doc = format!("{}; {}.", known.doc.trim_end_matches('.'), first.chain(letters).collect::<String>());
            continue;
        }
        if let [only] = owners(field.name).collect::<Vec<_>>()[..] {
            field.doc = format!("{doc} (`corpus = \"{}\"`).", only.word);
        }
        fields.push(field);
    }
}

impl Settings for Ingest {
    const ROLES: &'static [(&'static str, Role)] = CommonSettings::ROLES;

    fn roles() -> Vec<(&'static str, Role)> {
        Ingest::fields().into_iter().map(|field| (field.name, field.role)).collect()
    }

    fn fields() -> Vec<Field> {
        let default = CorpusWord(&CORPORA[0]).show();
        let mut fields = vec![Field {
            name: "corpus",
            role: Role::Keyed,
            doc: "Which corpus: a folder of files, a table that names files, the built-in one, or a data set by its name.".to_owned(),
            kind: CorpusWord::kind(),
            default: Some(default),
            schema: CorpusWord::schema(),
        }];
        let (before, after) = CORPORA.split_at(BEFORE);
        add(&mut fields, before);
        fields.extend(CommonSettings::fields());
        add(&mut fields, after);
        fields
    }

    fn lower(table: &Table, whole: At, complaints: &mut Vec<Complaint>) -> Option<Ingest> {
        let names: Vec<&str> = Ingest::fields().iter().map(|field| field.name).collect();
        let word = Reader::new(table, whole, &names, complaints).field("corpus", Some(CorpusWord(&CORPORA[0])));
        let common = CommonSettings::lower(&only(table, &CommonSettings::fields()), whole, complaints);
        let corpus = word.and_then(|word| word.0.lower(table, whole, complaints));
        let (CorpusWord(spec), mut common, corpus) = (word?, common?, corpus?);
        common.dataset = unless(common.dataset, &spec.word.to_owned());
        let CommonSettings { artist, genre, source, .. } = common.clone();
        let unstated = Arc::new(Labels { artist, genre, source, ..Labels::default() });
        Some(Ingest { spec, common, corpus, unstated })
    }

    fn changed(&self) -> Vec<(&'static str, Vec<u8>)> {
        let word = CorpusWord(self.spec);
        let chosen = (word != CorpusWord(&CORPORA[0])).then(|| ("corpus", word.canonical()));
        let mut all: Vec<_> = chosen.into_iter().chain(self.common.changed()).chain(self.corpus.changed()).collect();
        all.sort();
        all
    }

    /// The settings of other corpora stand here with their defaults.
    fn shown(&self) -> Vec<(&'static str, String)> {
        let own: Vec<(&str, String)> = self.common.shown().into_iter().chain(self.corpus.shown()).collect();
        let value = |field: Field| match own.iter().find(|(name, _)| *name == field.name) {
            _ if field.name == "corpus" => CorpusWord(self.spec).show(),
            Some((_, value)) => value.clone(),
            None => field.default.unwrap_or_default(),
        };
        let all = Ingest::fields().into_iter().map(|field| (field.name, value(field)));
        let everywhere = |name: &str| {
            name == "corpus"
                || CommonSettings::fields().iter().any(|field| field.name == name)
                || CORPORA[..RECORDED].iter().any(|corpus| (corpus.fields)().iter().any(|field| field.name == name))
        };
        let recorded = |name: &str| everywhere(name) || own.iter().any(|(own, _)| *own == name);
        all.filter(|(name, value)| recorded(name) && (*name != CARRY || !value.is_empty())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::{Data, Value, Word},
        stage::{Places, Stage},
    };

    fn table(text: &str) -> Table {
        let at = At::default();
        let fields = text.lines().filter_map(|line| line.split_once(" = "));
        let value = |text: &str| match text.parse() {
            Ok(number) => Data::Integer(number),
            Err(_) => Data::String(text.to_owned()),
        };
        let fields = fields.map(|(name, text)| (Word { text: name.into(), at }, Value { data: value(text), at }));
        Table(fields.collect())
    }

    /// The settings, where they are any, and what is wrong with them.
    fn judged(text: &str) -> (Option<Ingest>, Vec<String>) {
        let (table, whole, mut wrong) = (table(text), At::default(), Vec::new());
        let ingest = Ingest::lower(&table, whole, &mut wrong);
        ingest.iter().for_each(|ingest| ingest.check(&Places { table: &table, whole }, &mut wrong));
        (ingest, wrong.into_iter().map(|complaint| complaint.message).collect())
    }

    fn lowered(text: &str) -> Ingest {
        let (ingest, wrong) = judged(text);
        assert_eq!(wrong, Vec::<String>::new());
        ingest.expect("settings")
    }

    #[test]
    fn what_belongs_to_another_corpus_is_told_and_what_is_missing() {
        let wrong = |text: &str| judged(text).1;
        assert_eq!(
            wrong("root = here\nfile = t.csv\npieces = 3\ncarry = x"),
            ["`carry`: expected a list, each item a string, found a string"]
        );
        assert_eq!(
            wrong("root = here\nfile = t.csv\npieces = 3"),
            ["`file` means nothing for corpus = \"folder\"", "`pieces` means nothing for corpus = \"folder\""]
        );
        assert_eq!(wrong("genre = jazz"), ["corpus = \"folder\" needs `root`, the folder with the audio files"]);
        assert_eq!(
            wrong("corpus = table\nroot = here\ncompose = 3"),
            ["`compose` means nothing for corpus = \"table\"", "corpus = \"table\" needs `file`, the table"]
        );
        assert_eq!(wrong("corpus = synth\npieces = 0"), ["`pieces`: 0 is not from 1 to 10000"]);
        assert_eq!(
            wrong("corpus = snyth"),
            [
                "`corpus`: `snyth` is not one of \"folder\", \"table\", \"synth\", \"maestro\", \"nsynth\", \"fma\", \"lakh\""
            ]
        );
        assert_eq!(
            wrong("roots = here"),
            [
                "unknown field `roots`, expected `root`",
                "corpus = \"folder\" needs `root`, the folder with the audio files"
            ]
        );
    }

    #[test]
    fn settings_of_one_name_are_of_one_kind() {
        for corpus in CORPORA {
            for field in (corpus.fields)() {
                assert!(CommonSettings::fields().iter().all(|common| common.name != field.name), "{}", field.name);
                let twin = |other: &CorpusSpec| (other.fields)().into_iter().find(|twin| twin.name == field.name);
                for twin in owners(field.name).filter_map(twin) {
                    assert_eq!((&twin.kind, &twin.default, twin.role), (&field.kind, &field.default, field.role));
                }
            }
            for (needed, _) in corpus.needs {
                assert!((corpus.fields)().iter().any(|field| field.name == *needed), "{needed} is no setting");
            }
        }
    }

    #[test]
    fn what_is_no_default_is_in_the_key_and_every_setting_is_shown_once() {
        let changed = |text: &str| lowered(text).changed().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(changed("root = here\ngenre = jazz"), ["genre", "root"]);
        assert_eq!(changed("corpus = synth\npieces = 36"), ["corpus"]);
        assert_eq!(changed("corpus = synth\npieces = 48\ndataset = d"), ["corpus", "dataset", "pieces"]);
        let shown = lowered("corpus = synth\npieces = 48").shown();
        let names: Vec<&str> = shown.iter().map(|(name, _)| *name).collect();
        let order = [
            "corpus", "root", "file", "path", "digest", "columns", "dataset", "license", "artist", "genre", "source",
            "pieces", "seconds", "compose", "grid",
        ];
        assert_eq!(names, order);
        assert_eq!((shown[3].1.as_str(), shown[11].1.as_str()), ("\"path\"", "48"));
        let shown = lowered("corpus = fma\nroot = here\nsubset = small").shown();
        let last = shown.iter().skip(order.len()).map(|(name, value)| format!("{name} = {value}"));
        assert_eq!(last.collect::<Vec<_>>(), ["metadata = ", "subset = \"small\""]);
    }
}
