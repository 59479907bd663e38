//! `corpus = "lakh"`: the Lakh MIDI data set.

use super::spec::CorpusSettings;
use crate::settings::PathSetting;
use datasets::corpus::{
    Adapter,
    data_sets::{Lakh, LakhPart},
};
use std::path::{Path, PathBuf};

crate::choice! {
    /// The part of the data set that is read.
    pub(super) enum Part {
        /// Files that were matched to the Million Song Dataset, one for each match.
        Matched = "matched",
        /// Each file once.
        Full = "full",
    }
}

crate::settings! {
    /// Settings of the Lakh MIDI data set.
    pub(super) struct LakhSettings {
        /// Of the Lakh MIDI data set, the folder with `lmd_matched` or `lmd_full` and `match_scores.json`.
        #[path]
        root: Option<PathSetting> = None,
        /// Which files are read: one for each match with the Million Song Dataset, or each file once.
        part: Part = Part::Matched,
    }
}

impl CorpusSettings for LakhSettings {
    const WORD: &'static str = "lakh";
    const NEEDS: &'static [(&'static str, &'static str)] = &[("root", "the folder that the data set was unpacked in")];

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.root.iter().map(|root| root.resolve(base)).collect()
    }

    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        let part = match self.part {
            Part::Matched => LakhPart::Matched,
            Part::Full => LakhPart::Full,
        };
        Some(Box::new(Lakh { root: paths.first()?.clone(), part }))
    }
}
