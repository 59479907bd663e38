//! `corpus = "maestro"`: MAESTRO, piano performances with their MIDI.

use super::spec::CorpusSettings;
use crate::settings::PathSetting;
use datasets::corpus::{Adapter, data_sets::Maestro};
use std::path::{Path, PathBuf};

crate::settings! {
    /// Settings of MAESTRO.
    pub(super) struct MaestroSettings {
        /// Of MAESTRO, the folder that it was unpacked in.
        #[path]
        root: Option<PathSetting> = None,
        /// Of MAESTRO, its list (default: the one `maestro-v*.csv` or `maestro-v*.json` in `root`).
        #[path]
        file: Option<PathSetting> = None,
    }
}

impl CorpusSettings for MaestroSettings {
    const WORD: &'static str = "maestro";
    const NEEDS: &'static [(&'static str, &'static str)] = &[("root", "the folder that MAESTRO was unpacked in")];

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.root.iter().chain(&self.file).map(|path| path.resolve(base)).collect()
    }

    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        Some(Box::new(Maestro { root: paths.first()?.clone(), file: paths.get(1).cloned() }))
    }
}
