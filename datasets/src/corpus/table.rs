//! The `"table"` corpus: files that a CSV, TSV, JSON, JSON lines or Parquet table names.

use super::adapter::Carry;
use super::rows::{self, At, Columns, Format, Sink, Values};
use super::{Entry, ScanError, is_license, key, state};
use crate::row::Labels;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Options for reading a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// The column that holds the path of each file.
    pub path: String,
    /// Column by field: `title = "canonical_title"`. Beside the standard fields any name may be
    /// given, it goes to [`Labels::extra`]. A standard field that is not mapped is taken from
    /// the column of its own name, if there is one.
    pub columns: BTreeMap<String, String>,
    /// The column that holds each file's BLAKE3 in hexadecimal.
    pub digest: Option<String>,
    /// The folder that paths are relative to; default: the table's own.
    pub root: Option<PathBuf>,
    /// Which columns that nothing else reads go to [`Labels::extra`]. Columns of bytes, such as pictures, never do, nor
    /// does one without a name or with the name of a field.
    pub carry: Carry,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        let path = "path".to_owned();
        TableOptions { path, columns: BTreeMap::new(), digest: None, root: None, carry: Carry::All }
    }
}

/// A row that names no file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowError {
    /// The row's number, from 1, headers not counted.
    pub row: u64,
    /// Line of the row, from 1; `None` if the format has no lines.
    pub line: Option<u64>,
    /// Description of the error, as a sentence fragment.
    pub reason: String,
}

/// The files that a table names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Files, sorted by key. Whether they exist is not looked at; rows with one key all stay.
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
        let all = Mutex::new(Vec::new());
        let take = |_, entries| all.lock().unwrap_or_else(PoisonError::into_inner).extend::<Vec<Entry>>(entries);
        let errors = Table::parts(file, options, &take)?;
        let mut entries = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        entries.sort();
        Ok(Table { entries, errors })
    }

    /// Reads a table some thousand rows at a time, and gives these to `take`, numbered in the table's order: those of a large
    /// table are never all there. `take` runs on several threads. What remains are the rows that name no file.
    ///
    /// # Errors
    /// See [`Table::read`].
    pub fn parts(
        file: &Path,
        options: &TableOptions,
        take: &(dyn Fn(usize, Vec<Entry>) + Sync),
    ) -> Result<Vec<RowError>, ScanError> {
        let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let root = options.root.as_deref().unwrap_or(folder);
        let wrong = Mutex::new(BTreeMap::new());
        let make = |number: usize, Table { entries, errors }: Table| {
            take(number, entries);
            wrong.lock().unwrap_or_else(PoisonError::into_inner).insert(number, errors);
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
        let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(wrong.into_values().flatten().collect())
    }
}

/// Meaning of a chosen column.
enum Field {
    Path,
    Digest,
    Named(String),
    /// A column that is carried along under its own name.
    Own(String),
}

/// Rows in a batch; batches are parsed on several threads.
const ROWS: usize = 1 << 15;

/// Rows as they stand in the table.
#[derive(Default)]
struct Batch {
    /// Position of each row, and the error if it cannot be read.
    rows: Vec<(At, Option<String>)>,
    /// End offset in `text` of the value of each chosen column, row after row, for the rows that can be read. `None` if
    /// the row has no value in that column.
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

    /// Parses the rows into entries and errors.
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
    let (mut license, mut labels, mut digest, mut path) = (None, Labels::default(), None, None);
    for (field, value) in fields.iter().zip(values) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        match field {
            Field::Path => path = Some(value),
            Field::Digest => digest = Some(hex(value)?),
            Field::Named(name) => state(&mut license, &mut labels, name, value),
            Field::Own(_) if value.trim().is_empty() => {}
            Field::Own(name) => drop(labels.extra.entry(name.clone()).or_insert_with(|| value.trim().to_owned())),
        }
    }
    let path = path.ok_or("the row names no path")?;
    let under = key::under(root, path);
    // Where it lies is nobody's matter who reads what is published: the row says which it is.
    let key = key::resolve("", under).ok_or("its path is not under the root")?;
    Ok(Entry { key, path: root.join(under), license, labels, digest })
}

struct Gather<'a, 'scope> {
    file: &'a Path,
    options: &'a TableOptions,
    root: &'scope Path,
    fields: Arc<Vec<Field>>,
    batch: Batch,
    sent: usize,
    /// Callback that takes the number of a batch and the table read from it.
    make: &'scope (dyn Fn(usize, Table) + Sync),
    scope: &'a rayon::Scope<'scope>,
}

impl Gather<'_, '_> {
    /// Sends the current batch to be parsed, on another thread if there is one.
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
    fn choose(&mut self, Columns { names: columns, bytes }: Columns<'_>) -> Result<Vec<usize>, ScanError> {
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
        for field in ["license"].into_iter().chain(Labels::NAMES) {
            if self.options.columns.contains_key(field) {
                continue;
            }
            // Of columns that state a license each counts, of others the first.
            let own = |column: &String| column.eq_ignore_ascii_case(field) || field == "license" && is_license(column);
            let many = if field == "license" { columns.len() } else { 1 };
            for (at, _) in columns.iter().enumerate().filter(|(_, column)| own(column)).take(many) {
                chosen.push(at);
                fields.push(Field::Named(field.to_owned()));
            }
        }
        if let Carry::These(names) = &self.options.carry {
            names.iter().try_for_each(|name| find(name).map(drop))?;
        }
        let read: BTreeSet<usize> = chosen.iter().copied().collect();
        for (at, column) in columns.iter().enumerate() {
            let field = is_license(column) || Labels::<String>::default().named(column).is_some();
            let own = !field && !column.is_empty() && !bytes.contains(&at) && !read.contains(&at);
            if own && self.options.carry.takes(column) {
                chosen.push(at);
                fields.push(Field::Own(column.clone()));
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
