//! The `"table"` corpus: a table with what it states, as an adapter.

use super::adapter::{Adapter, Evidence, Listing, Place};
use super::evidence::{Stated, in_table};
use super::{Entry, RowError, ScanError, Table, TableOptions};
use crate::row::{Found, Origin};
use std::path::PathBuf;

/// A table that names files.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// The table.
    pub file: PathBuf,
    /// Options for reading the table.
    pub options: TableOptions,
}

impl Adapter for TableFile {
    fn scan(&self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError> {
        let errors = Table::parts(&self.file, &self.options, take)?;
        let odd = |RowError { row, reason, .. }| {
            Found::bare(format!("row {row}"), Origin::Unusable("unusable-row".into(), reason))
        };
        Ok(errors.into_iter().map(odd).collect::<Vec<_>>().into())
    }

    fn evidence(&self, key: &str, words: Option<&str>) -> Result<Option<Evidence>, ScanError> {
        let mut rows = in_table(&self.file, &self.options, key)?;
        let chosen = rows.iter().position(|row| words == Some(&row.license)).unwrap_or(0);
        if chosen < rows.len() {
            let Stated { license, row, line } = rows.swap_remove(chosen);
            let file = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Some(Evidence { license, place: Place::Table { file, row, line } }));
        }
        // Where a table states digests no file is read, so that no tag is.
        let tagged = self.options.root.as_deref().or(self.file.parent()).filter(|_| self.options.digest.is_none());
        Ok(tagged.and_then(|root| Evidence::in_tags(&root.join(key))))
    }
}
