//! Sidecars: tables of metadata that lie beside the files they describe.

use super::rows::{self, At, Columns, Format, Sink, Values};
use super::{ScanError, key, state};
use crate::row::Labels;
use std::path::{Path, PathBuf};

/// The file names that are sidecars, in order of precedence within one folder.
pub const SIDECARS: [&str; 3] = ["tracks.csv", "tracks.json", "tracks.jsonl"];

/// One row of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarRow {
    /// The row's number, from 1.
    pub row: u64,
    /// Line of the row, from 1; `None` if the format has no lines.
    pub line: Option<u64>,
    /// The path as written, relative to the sidecar's folder.
    pub path: String,
    /// The key under the root that this path leads to; `None` where it leads out of the root.
    pub key: Option<String>,
    /// The license that it states.
    pub license: Option<String>,
    /// All other labels that the row states.
    pub labels: Labels,
}

/// A sidecar and its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Path of the sidecar.
    pub file: PathBuf,
    /// Rows in the file's order; those of a JSON object keyed by path, in the order of its keys.
    pub rows: Vec<SidecarRow>,
}

impl Sidecar {
    /// Reads a sidecar that lies in the folder with key `folder` (empty for the root).
    ///
    /// `tracks.csv` has a header; `tracks.jsonl` one object a line; `tracks.json` is an array of
    /// objects, an object keyed by path, or an object of columns. Column names are compared
    /// without case; `path` is required, columns beside the standard ones go to
    /// [`Labels::extra`].
    ///
    /// # Errors
    /// A file that cannot be read, is broken (with its line), or has no column `path`.
    pub fn read(file: &Path, folder: &str) -> Result<Sidecar, ScanError> {
        let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
        let mut gather = Gather { file, folder, path: 0, names: Vec::new(), rows: Vec::new() };
        rows::read(file, format, "path", &mut gather)?;
        Ok(Sidecar { file: file.to_owned(), rows: gather.rows })
    }
}

struct Gather<'a> {
    file: &'a Path,
    folder: &'a str,
    path: usize,
    names: Vec<String>,
    rows: Vec<SidecarRow>,
}

impl Sink for Gather<'_> {
    fn choose(&mut self, Columns { names: columns, .. }: Columns<'_>) -> Result<Vec<usize>, ScanError> {
        let path = columns.iter().position(|c| c.eq_ignore_ascii_case("path"));
        self.path = path.ok_or_else(|| rows::lacks(self.file, "path", columns))?;
        self.names = columns.to_vec();
        Ok((0..columns.len()).collect())
    }

    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError> {
        let broken = |reason: String| {
            Err(ScanError::Syntax {
                path: self.file.to_owned(),
                line: at.line,
                reason: match at.line {
                    Some(_) => reason,
                    None => format!("row {}: {reason}", at.row),
                },
            })
        };
        let values = match values {
            Ok(values) => values,
            Err(reason) => return broken(reason),
        };
        let Some(path) = values[self.path].as_deref().filter(|path| !path.is_empty()) else {
            return broken("the row names no path".to_owned());
        };
        let (mut license, mut labels) = (None, Labels::default());
        for (i, value) in values.iter().enumerate() {
            if let Some(value) = value.as_deref().filter(|_| i != self.path) {
                state(&mut license, &mut labels, &self.names[i], value);
            }
        }
        self.rows.push(SidecarRow {
            row: at.row,
            line: at.line,
            path: path.to_owned(),
            key: key::resolve(self.folder, path),
            license,
            labels,
        });
        Ok(())
    }
}
