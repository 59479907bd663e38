//! `corpus = "fma"`: FMA, the data set of the Free Music Archive.

use super::spec::CorpusSettings;
use crate::settings::PathSetting;
use datasets::corpus::{self, Adapter, data_sets::Fma};
use std::path::{Path, PathBuf};

crate::choice! {
    /// The subset that is read.
    pub(super) enum Subset {
        /// 8,000 clips of 8 genres.
        Small = "small",
        /// 25,000 clips of 16 genres.
        Medium = "medium",
        /// A clip of each track.
        Large = "large",
        /// Each track as a whole.
        Full = "full",
    }
}

crate::settings! {
    /// Settings of FMA.
    pub(super) struct FmaSettings {
        /// Of FMA, the folder with `fma_small`, `fma_medium`, `fma_large` or `fma_full`, or the one of these that is read.
        #[path]
        root: Option<PathSetting> = None,
        /// The folder with `tracks.csv`, `raw_tracks.csv` and `genres.csv` (default: `fma_metadata` in `root`).
        #[path]
        metadata: Option<PathSetting> = None,
        /// Which tracks are read; each subset holds the smaller ones, and those of `full` are not cut.
        subset: Subset = Subset::Full,
    }
}

impl CorpusSettings for FmaSettings {
    const WORD: &'static str = "fma";
    const NEEDS: &'static [(&'static str, &'static str)] = &[("root", "the folder that FMA was unpacked in")];

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.root.iter().chain(&self.metadata).map(|path| path.resolve(base)).collect()
    }

    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        let subset = match self.subset {
            Subset::Small => corpus::data_sets::Subset::Small,
            Subset::Medium => corpus::data_sets::Subset::Medium,
            Subset::Large => corpus::data_sets::Subset::Large,
            Subset::Full => corpus::data_sets::Subset::Full,
        };
        Some(Box::new(Fma { root: paths.first()?.clone(), metadata: paths.get(1).cloned(), subset }))
    }
}
