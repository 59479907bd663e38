//! `corpus = "folder"`: audio files under a root, with sidecars.

use super::spec::CorpusSettings;
use crate::settings::PathSetting;
use datasets::corpus::{Adapter, Carry, Folder};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

crate::settings! {
    /// Settings of a folder of audio files with sidecars `tracks.csv`, `tracks.json` or `tracks.jsonl`.
    pub(super) struct FolderSettings {
        /// The folder with the files.
        #[path]
        root: Option<PathSetting> = None,
        /// Further columns of its sidecars that go along with the tracks, to shards and `tracks.parquet` (default: all).
        carry: Option<BTreeSet<String>> = None,
    }
}

impl CorpusSettings for FolderSettings {
    const WORD: &'static str = "folder";
    const NEEDS: &'static [(&'static str, &'static str)] = &[("root", "the folder with the audio files")];

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.root.iter().map(|root| root.resolve(base)).collect()
    }

    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        Some(Box::new(Folder {
            root: paths.first()?.clone(),
            carry: self.carry.clone().map_or(Carry::All, |names| Carry::These(names.into_iter().collect())),
            left_out: Vec::new(),
        }))
    }
}
