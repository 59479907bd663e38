//! The `"table"` corpus: files that a CSV, TSV, JSON, JSON lines or Parquet table names.

use super::rows::{self, At, Format, Sink, Values};
use super::{Entry, Metadata, ScanError, key};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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
        let (parts, errors) = Table::each(file, options, |entries| entries)?;
        let mut entries: Vec<Entry> = parts.into_iter().flatten().collect();
        entries.sort();
        Ok(Table { entries, errors })
    }

    /// Reads a table some thousand rows at a time, and gives what `make` makes of the entries, in the table's order: those of
    /// a large table are never all there. `make` runs on several threads.
    ///
    /// # Errors
    /// See [`Table::read`].
    pub fn each<T: Send>(
        file: &Path,
        options: &TableOptions,
        make: impl Fn(Vec<Entry>) -> T + Sync,
    ) -> Result<(Vec<T>, Vec<RowError>), ScanError> {
        let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let root = options.root.as_deref().unwrap_or(folder);
        let done = Mutex::new(BTreeMap::new());
        let make = |number: usize, Table { entries, errors }: Table| {
            let made = make(entries);
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, (made, errors));
        };
        // One thread reads the file while others make sense of the rows.
        rayon::scope(|scope| {
            let fields = Arc::default();
            let mut gather =
                Gather { file, options, root, fields, batch: Batch::default(), sent: 0, make: &make, scope };
            rows::read(file, format, &options.path, &mut gather)?;
            gather.send();
            Ok(())
        })?;
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (made, errors): (Vec<T>, Vec<Vec<RowError>>) = done.into_values().unzip();
        Ok((made, errors.into_iter().flatten().collect()))
    }
}

/// What a chosen column holds.
enum Field {
    Path,
    Digest,
    Named(String),
}

/// So many rows are made sense of at a time.
const ROWS: usize = 1 << 15;

/// Rows as they stand in the table.
#[derive(Default)]
struct Batch {
    /// Where each stands; why it cannot be read, where it cannot.
    rows: Vec<(At, Option<String>)>,
    /// Of each that can be read, where the value of each chosen column ends in the text; none where it has none.
    cells: Vec<Option<usize>>,
    text: String,
}

impl Batch {
    fn push(&mut self, at: At, values: Values<'_>) {
        let why = match values {
            Ok(values) => {
                for value in values {
                    self.text.push_str(value.as_deref().unwrap_or_default());
                    self.cells.push(value.as_ref().map(|_| self.text.len()));
                }
                None
            }
            Err(why) => Some(why),
        };
        self.rows.push((at, why));
    }

    /// What the rows say.
    fn read(self, fields: &[Field], root: &Path) -> Table {
        let mut table = Table::default();
        let (mut cells, mut start) = (self.cells.iter(), 0);
        for (At { row, line }, why) in self.rows {
            let entry = match why {
                Some(why) => Err(why),
                None => {
                    let mut value = |end: &Option<usize>| {
                        let end = (*end)?;
                        Some(&self.text[std::mem::replace(&mut start, end)..end])
                    };
                    let values: Vec<_> = cells.by_ref().take(fields.len()).map(&mut value).collect();
                    entry(fields, &values, root)
                }
            };
            match entry {
                Ok(entry) => table.entries.push(entry),
                Err(reason) => table.errors.push(RowError { row, line, reason }),
            }
        }
        table
    }
}

/// The file that a row names.
fn entry(fields: &[Field], values: &[Option<&str>], root: &Path) -> Result<Entry, String> {
    let (mut metadata, mut digest, mut path) = (Metadata::default(), None, None);
    for (field, value) in fields.iter().zip(values) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        match field {
            Field::Path => path = Some(value),
            Field::Digest => digest = Some(hex(value)?),
            Field::Named(name) => metadata.set(name, value),
        }
    }
    let path = path.ok_or("the row names no path")?;
    let under = key::under(root, path);
    // Where it lies is nobody's matter who reads what is published: the row says which it is.
    let key = key::resolve("", under).ok_or("its path is not under the root")?;
    Ok(Entry { key, path: root.join(under), metadata, digest })
}

struct Gather<'a, 'scope> {
    file: &'a Path,
    options: &'a TableOptions,
    root: &'scope Path,
    fields: Arc<Vec<Field>>,
    batch: Batch,
    sent: usize,
    /// Takes what a batch says, and its number.
    make: &'scope (dyn Fn(usize, Table) + Sync),
    scope: &'a rayon::Scope<'scope>,
}

impl Gather<'_, '_> {
    /// Lets another thread read what has come.
    fn send(&mut self) {
        let (batch, number) = (std::mem::take(&mut self.batch), self.sent);
        let (fields, root, make) = (self.fields.clone(), self.root, self.make);
        self.sent += 1;
        let read = move || make(number, batch.read(&fields, root));
        // A thread that is alone would not come to it before the whole file is there.
        if rayon::current_num_threads() > 1 { self.scope.spawn(move |_| read()) } else { read() }
    }
}

impl Sink for Gather<'_, '_> {
    fn choose(&mut self, columns: &[String]) -> Result<Vec<usize>, ScanError> {
        let find = |name: &str| {
            let at = columns.iter().position(|column| column == name);
            at.ok_or_else(|| rows::lacks(self.file, name, columns))
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
        self.fields = Arc::new(fields);
        Ok(chosen)
    }

    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError> {
        self.batch.push(at, values);
        if self.batch.rows.len() == ROWS {
            self.send();
        }
        Ok(())
    }
}

/// A BLAKE3 digest from 64 hexadecimal digits.
fn hex(text: &str) -> Result<[u8; 32], String> {
    let hash = blake3::Hash::from_hex(text.trim());
    hash.map(blake3::Hash::into).map_err(|_| format!("{text:?} is no digest of 64 hexadecimal digits"))
}
