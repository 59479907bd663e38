//! The `"table"` corpus: files that a CSV, TSV, JSON, JSON lines or Parquet table names.

use super::rows::{self, At, Format, Sink, Values};
use super::{Entry, Metadata, ScanError, key};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a table is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// The column that holds the path of each file.
    pub path: String,
    /// Column by field: `title = "canonical_title"`. Beside the standard fields any name may be
    /// given, it goes to [`Metadata::extra`]. A standard field that is not mapped is taken from
    /// the column of its own name, if there is one.
    pub columns: BTreeMap<String, String>,
    /// The column that holds each file's BLAKE3 in hexadecimal.
    pub digest: Option<String>,
    /// The folder that paths are relative to; default: the table's own.
    pub root: Option<PathBuf>,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions { path: "path".to_owned(), columns: BTreeMap::new(), digest: None, root: None }
    }
}

/// A row that names no file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowError {
    /// The row's number, from 1, headers not counted.
    pub row: u64,
    /// Its line, from 1, where the format tells.
    pub line: Option<u64>,
    /// What is wrong with it, as a fragment.
    pub reason: String,
}

/// The files that a table names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Sorted by key. Whether the files exist is not looked at; rows with one key all stay.
    pub entries: Vec<Entry>,
    /// Rows that name no file, in the table's order.
    pub errors: Vec<RowError>,
}

impl Table {
    /// Reads a table; its format is told by the ending of its name.
    ///
    /// # Errors
    /// A file that cannot be read or is broken as a whole, and a column that it lacks. A row
    /// that is broken is a [`RowError`] and does not stop the rest.
    pub fn read(file: &Path, options: &TableOptions) -> Result<Table, ScanError> {
        let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut gather = Gather {
            file,
            options,
            root: options.root.as_deref().unwrap_or(folder),
            fields: Vec::new(),
            table: Table::default(),
        };
        rows::read(file, format, &options.path, &mut gather)?;
        let mut table = gather.table;
        table.entries.sort();
        Ok(table)
    }
}

/// What a chosen column holds.
enum Field {
    Path,
    Digest,
    Named(String),
}

struct Gather<'a> {
    file: &'a Path,
    options: &'a TableOptions,
    root: &'a Path,
    fields: Vec<Field>,
    table: Table,
}

impl Sink for Gather<'_> {
    fn choose(&mut self, columns: &[String]) -> Result<Vec<usize>, ScanError> {
        let find = |name: &str| {
            let at = columns.iter().position(|column| column == name);
            at.ok_or_else(|| ScanError::Column {
                path: self.file.to_owned(),
                name: name.to_owned(),
                columns: columns.to_vec(),
                suggestion: rows::nearest(name, columns).cloned(),
            })
        };
        let mut chosen = vec![find(&self.options.path)?];
        let mut fields = vec![Field::Path];
        if let Some(digest) = &self.options.digest {
            chosen.push(find(digest)?);
            fields.push(Field::Digest);
        }
        for (field, column) in &self.options.columns {
            chosen.push(find(column)?);
            fields.push(Field::Named(field.clone()));
        }
        for field in ["license", "artist", "title", "genre", "source"] {
            if self.options.columns.contains_key(field) {
                continue;
            }
            if let Some(at) = columns.iter().position(|c| c.eq_ignore_ascii_case(field)) {
                chosen.push(at);
                fields.push(Field::Named(field.to_owned()));
            }
        }
        self.fields = fields;
        Ok(chosen)
    }

    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError> {
        let mut metadata = Metadata::default();
        let mut digest = None;
        let entry = values.and_then(|values| {
            let mut path = None;
            for (field, value) in self.fields.iter().zip(values) {
                let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else {
                    continue;
                };
                match field {
                    Field::Path => path = Some(value),
                    Field::Digest => digest = Some(hex(value)?),
                    Field::Named(name) => metadata.set(name, value),
                }
            }
            let path = path.ok_or("the row names no path")?;
            // A table may hold absolute paths, as long as they lie under the root.
            let under = match path.starts_with('/') {
                true => Path::new(path).strip_prefix(self.root).ok(),
                false => None,
            };
            let under = under.and_then(Path::to_str).unwrap_or(path);
            let key = key::resolve("", under).ok_or_else(|| format!("the path {path:?} is not under the root"))?;
            Ok(Entry { key, path: self.root.join(under), metadata, digest })
        });
        match entry {
            Ok(entry) => self.table.entries.push(entry),
            Err(reason) => self.table.errors.push(RowError { row: at.row, line: at.line, reason }),
        }
        Ok(())
    }
}

/// A BLAKE3 digest from 64 hexadecimal digits.
fn hex(text: &str) -> Result<[u8; 32], String> {
    let hash = blake3::Hash::from_hex(text.trim());
    hash.map(blake3::Hash::into).map_err(|_| format!("{text:?} is no digest of 64 hexadecimal digits"))
}
