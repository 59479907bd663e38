//! License statements about one file: looked up in the sidecars or the table of a corpus, as a scan reads them.

use super::rows::{self, At, Columns, Format, Sink, Values};
use super::sidecar::{SIDECARS, Sidecar};
use super::{ScanError, TableOptions, is_license, key};
use crate::license::both;
use std::path::Path;

/// A license as a row states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The license text as stated.
    pub license: String,
    /// The row's number, from 1, headers not counted.
    pub row: u64,
    /// Line of the row, from 1; `None` if the format has no lines.
    pub line: Option<u64>,
}

/// Looks up the license of the file of a key in the sidecars of its folder and of the folders above, up to `root`.
/// `Some`: the key of the deciding sidecar, which is the deepest that states one, and its statement.
///
/// # Errors
/// A sidecar that is broken.
pub fn in_sidecars(root: &Path, key: &str) -> Result<Option<(String, Stated)>, ScanError> {
    let mut around = Some(key);
    // Of several sidecars the one in the deeper folder wins.
    while let Some(below) = around {
        let folder = below.rsplit_once('/').map(|(folder, _)| folder);
        for name in SIDECARS {
            let sidecar = folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
            let path = root.join(&sidecar);
            if !path.is_file() {
                continue;
            }
            let folder = folder.unwrap_or_default();
            // One written on Windows may part folders otherwise.
            let leads = |row: &super::SidecarRow| {
                row.key.as_deref() == Some(key)
                    || key::resolve(folder, &row.path.replace('\\', "/")).as_deref() == Some(key)
            };
            let rows = Sidecar::read(&path, folder)?.rows.into_iter().filter(leads);
            let stated = rows.filter_map(|row| Some(Stated { license: row.license?, row: row.row, line: row.line }));
            if let Some(stated) = stated.into_iter().next() {
                return Ok(Some((sidecar, stated)));
            }
        }
        around = folder;
    }
    Ok(None)
}

/// License statements of the rows of a table about the file of a key, in the table's order.
///
/// # Errors
/// A file that cannot be read or is broken as a whole, and a column that it lacks.
pub fn in_table(file: &Path, options: &TableOptions, key: &str) -> Result<Vec<Stated>, ScanError> {
    let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
    let root = options.root.as_deref().or(file.parent()).unwrap_or(Path::new(""));
    let mut look = Look { file, options, root, key, stated: Vec::new() };
    rows::read(file, format, &options.path, &mut look)?;
    Ok(look.stated)
}

struct Look<'a> {
    file: &'a Path,
    options: &'a TableOptions,
    root: &'a Path,
    key: &'a str,
    stated: Vec<Stated>,
}

impl Sink for Look<'_> {
    fn choose(&mut self, Columns { names: columns, .. }: Columns<'_>) -> Result<Vec<usize>, ScanError> {
        let find = |name: &str| {
            let at = columns.iter().position(|column| column == name);
            at.ok_or_else(|| rows::lacks(self.file, name, columns))
        };
        let mut chosen = vec![find(&self.options.path)?];
        for (_, column) in self.options.columns.iter().filter(|(field, _)| is_license(field)) {
            chosen.push(find(column)?);
        }
        if !self.options.columns.contains_key("license") {
            chosen.extend(columns.iter().enumerate().filter(|(_, column)| is_license(column)).map(|(at, _)| at));
        }
        Ok(chosen)
    }

    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError> {
        // A row that cannot be read states nothing.
        let Ok([path, licenses @ ..]) = values else { return Ok(()) };
        let Some(path) = path.as_deref() else { return Ok(()) };
        let licenses = licenses.iter().flatten().map(|license| license.trim()).filter(|license| !license.is_empty());
        if key::resolve("", key::under(self.root, path)).as_deref() == Some(self.key)
            && let Some(license) = licenses.map(str::to_owned).reduce(|first, second| both(first, &second))
        {
            self.stated.push(Stated { license, row: at.row, line: at.line });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_sidecar_that_decides_is_the_nearest() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).expect("folders");
        let write = |name: &str, text: &str| fs::write(root.join(name), text).expect("written");
        write("tracks.csv", "path,license\na/b/x.wav,CC0-1.0\na/y.wav,\na\\z.wav,MIT\n");
        write(
            "a/tracks.jsonl",
            "{\"path\": \"b/x.wav\", \"title\": \"X\"}\n{\"path\": \"b/x.wav\", \"license\": \"CC-BY-4.0\"}\n",
        );
        let stated = |license: &str, row, line| Stated { license: license.into(), row, line: Some(line) };
        let say = |key: &str| in_sidecars(root, key).expect("read");
        assert_eq!(say("a/b/x.wav"), Some(("a/tracks.jsonl".into(), stated("CC-BY-4.0", 2, 2))));
        assert_eq!(say("a/z.wav"), Some(("tracks.csv".into(), stated("MIT", 3, 4))));
        assert_eq!((say("a/y.wav"), say("x.wav")), (None, None));
        write("a/b/tracks.json", "[{\"path\": 3");
        assert!(in_sidecars(root, "a/b/x.wav").is_err());
    }

    #[test]
    fn a_table_states_by_the_columns_that_are_chosen() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("all.csv");
        let own = folder.path().join("y.wav").display().to_string();
        let rows = format!("song,License,terms\nx.wav,CC0-1.0,\nx.wav,MIT,CC-BY-4.0\n{own}, ,\n{own},MIT,\n");
        fs::write(&file, rows).expect("written");
        let mut options = TableOptions { path: "song".into(), ..TableOptions::default() };
        let say = |options: &TableOptions, key: &str| -> Vec<(String, u64)> {
            let stated = in_table(&file, options, key).expect("read").into_iter();
            stated.map(|stated| (stated.license, stated.line.expect("a line"))).collect()
        };
        assert_eq!(say(&options, "x.wav"), [("CC0-1.0".to_owned(), 2), ("MIT".to_owned(), 3)]);
        assert_eq!(say(&options, "y.wav"), [("MIT".to_owned(), 5)]);
        options.columns.insert("license".into(), "terms".into());
        assert_eq!(say(&options, "x.wav"), [("CC-BY-4.0".to_owned(), 3)]);
        options.path = "sang".into();
        assert!(in_table(&file, &options, "x.wav").is_err());
    }
}
