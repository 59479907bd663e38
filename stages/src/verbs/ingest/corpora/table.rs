//! `corpus = "table"`: audio files that a table names.

use super::spec::CorpusSettings;
use crate::settings::PathSetting;
use datasets::corpus::{Adapter, Carry, TableFile, TableOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

crate::settings! {
    /// Settings of a table (CSV, TSV, JSON, JSON lines or Parquet) that names audio files.
    pub(super) struct TableSettings {
        /// For a table, the folder in which its paths start (default: the table's folder).
        #[path]
        root: Option<PathSetting> = None,
        /// The table's file.
        #[path]
        file: Option<PathSetting> = None,
        /// The table's column with the path of each file.
        path: String = "path".to_owned(),
        /// The table's column with the BLAKE3 of each file in hexadecimal: files are then first read when they are
        /// decoded, and their tags never.
        digest: Option<String> = None,
        /// Column of the table that holds a label, where it has another name: `{ title = "song" }`.
        columns: BTreeMap<String, String> = BTreeMap::new(),
        /// For a table, those of its columns that nothing else reads (default: all).
        carry: Option<BTreeSet<String>> = None,
    }
}

impl CorpusSettings for TableSettings {
    const WORD: &'static str = "table";
    const NEEDS: &'static [(&'static str, &'static str)] = &[("file", "the table")];

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        let file = self.file.as_ref().map(|file| file.resolve(base));
        let folder = || file.as_deref().and_then(Path::parent).map(Path::to_owned);
        let root = self.root.as_ref().map(|root| root.resolve(base)).or_else(folder);
        file.iter().cloned().chain(root).collect()
    }

    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        let mut paths = self.source_paths(base);
        // Files whose digests the table states are not looked at.
        if self.digest.is_some() {
            paths.truncate(1);
        }
        paths
    }

    fn adapter(&self, paths: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        let options = TableOptions {
            path: self.path.clone(),
            columns: self.columns.clone(),
            digest: self.digest.clone(),
            root: paths.get(1).cloned(),
            carry: self.carry.clone().map_or(Carry::All, |names| Carry::These(names.into_iter().collect())),
        };
        Some(Box::new(TableFile { file: paths.first()?.clone(), options }))
    }
}
