//! `corpus = "nsynth"`: NSynth, single notes.

use super::spec::CorpusSettings;
use crate::settings::PathSetting;
use datasets::corpus::{Adapter, data_sets::Nsynth};
use std::path::{Path, PathBuf};

crate::settings! {
    /// Settings of NSynth.
    pub(super) struct NsynthSettings {
        /// Of NSynth, the folder with `nsynth-train`, `nsynth-valid` and `nsynth-test`, or one of these.
        #[path]
        root: Option<PathSetting> = None,
    }
}

impl CorpusSettings for NsynthSettings {
    const WORD: &'static str = "nsynth";
    const NEEDS: &'static [(&'static str, &'static str)] = &[("root", "the folder that NSynth was unpacked in")];

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.root.iter().map(|root| root.resolve(base)).collect()
    }

    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        Some(Box::new(Nsynth { root: paths.first()?.clone() }))
    }
}
