//! Named columns of a table, row by row, for adapters of data sets that know their tables.

use crate::corpus::ScanError;
use crate::corpus::rows::{self, At, Columns, Format, Sink, Values};
use std::borrow::Cow;
use std::path::Path;

/// How a table names its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// One line of names.
    Plain,
    /// Two lines of names as pandas writes them, group and name, which are one name with a dot between, and a third line that
    /// names the first column alone. The first column has this name.
    Grouped(&'static str),
}

/// Columns that an adapter reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) header: Header,
    /// Columns without which the table is another one.
    pub(super) needed: &'static [&'static str],
    /// Columns that a version of the table may lack.
    pub(super) further: &'static [&'static str],
}

impl Wanted {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.needed.iter().chain(self.further).copied()
    }
}

/// A row of a table.
pub(super) struct Row<'a> {
    /// Wanted columns, each with its position among the values.
    at: &'a [(&'static str, Option<usize>)],
    values: &'a [Option<Cow<'a, str>>],
}

impl Row<'_> {
    /// The text in a wanted column, trimmed; `None` if it is empty or the table has no such column.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, at) = self.at.iter().find(|(wanted, _)| *wanted == name)?;
        let text = self.values.get((*at)?)?.as_deref()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// Reads a table; its format is told by the ending of its name. `path_column` tells a JSON object of columns from one that is
/// keyed by path.
///
/// # Errors
/// A file that cannot be read or is broken as a whole, and a needed column that it lacks.
pub(super) fn read(
    file: &Path,
    path_column: &str,
    wanted: Wanted,
    each: &mut dyn FnMut(At, Result<Row<'_>, String>),
) -> Result<(), ScanError> {
    let format = Format::of(file).ok_or_else(|| ScanError::Format(file.to_owned()))?;
    let mut reader = Reader { file, wanted, groups: Vec::new(), at: Vec::new(), above: 0, each };
    rows::read(file, format, path_column, &mut reader)
}

struct Reader<'a> {
    file: &'a Path,
    wanted: Wanted,
    /// The first line of a grouped header, while the second is not read.
    groups: Vec<String>,
    at: Vec<(&'static str, Option<usize>)>,
    /// Rows that were no data.
    above: u64,
    each: &'a mut dyn FnMut(At, Result<Row<'_>, String>),
}

impl Reader<'_> {
    /// Finds the wanted columns.
    fn find(&mut self, columns: &[String]) -> Result<(), ScanError> {
        let at = |name| columns.iter().position(|column| column == name);
        self.at = self.wanted.names().map(|name| (name, at(name))).collect();
        let missing = self.wanted.needed.iter().find(|name| at(name).is_none());
        missing.map_or(Ok(()), |name| Err(rows::lacks(self.file, name, columns)))
    }
}

impl Sink for Reader<'_> {
    fn choose(&mut self, Columns { names, .. }: Columns<'_>) -> Result<Vec<usize>, ScanError> {
        if let Header::Grouped(_) = self.wanted.header {
            self.groups = names.to_vec();
            return Ok((0..names.len()).collect());
        }
        self.find(names)?;
        let chosen: Vec<usize> = self.at.iter().filter_map(|(_, at)| *at).collect();
        let mut place = 0..;
        for (_, at) in &mut self.at {
            *at = at.and_then(|_| place.next());
        }
        Ok(chosen)
    }

    fn row(&mut self, at: At, values: Values<'_>) -> Result<(), ScanError> {
        if let (Header::Grouped(first), Ok(values)) = (self.wanted.header, &values) {
            let text = |i: usize| values.get(i).and_then(Option::as_deref).unwrap_or_default().trim();
            if self.above == 0 {
                let name = |(i, group): (usize, &String)| format!("{group}.{}", text(i));
                let mut names: Vec<String> = self.groups.iter().enumerate().map(name).collect();
                names.first_mut().into_iter().for_each(|name| first.clone_into(name));
                self.above = 1;
                return self.find(&names);
            }
            if self.above == 1 && at.row == 2 && text(0) == first {
                self.above = 2;
                return Ok(());
            }
        }
        let at = At { row: at.row - self.above.min(at.row), ..at };
        (self.each)(at, values.map(|values| Row { at: &self.at, values }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn all(name: &str, text: &str, wanted: Wanted) -> Result<Vec<String>, ScanError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        let mut rows = Vec::new();
        read(&file, "id", wanted, &mut |at, row| {
            rows.push(match row {
                Ok(row) => {
                    let cells: Vec<&str> = wanted.names().map(|name| row.get(name).unwrap_or("-")).collect();
                    format!("{} {:?} {}", at.row, at.line, cells.join(" "))
                }
                Err(why) => format!("{}: {why}", at.row),
            });
        })?;
        Ok(rows)
    }

    #[test]
    fn columns_are_found_by_name_in_either_header() {
        let plain = Wanted { header: Header::Plain, needed: &["id", "b"], further: &["none", "a"] };
        let text = "a,b,id\n1, 2 ,3\n,,4\n1,2\n";
        let rows = all("t.csv", text, plain).expect("read");
        assert_eq!(rows, ["1 Some(2) 3 2 - 1", "2 Some(3) 4 - - -", "3: the row has 2 fields, the header 3"]);
        assert!(matches!(all("t.csv", "id,c\n", plain), Err(ScanError::Column { name, .. }) if name == "b"));
        let json = r#"{"id": {"0": "x", "1": "y"}, "b": {"0": 1.5, "1": null}}"#;
        assert_eq!(all("t.json", json, plain).expect("read"), ["1 None x 1.5 - -", "2 None y - - -"]);

        let grouped = Wanted { header: Header::Grouped("id"), needed: &["id", "set.split"], further: &["track.title"] };
        let text = ",set,track\n,split,title\nid,,\n2,training,Food\n3,test,\n";
        let rows = all("t.csv", text, grouped).expect("read");
        assert_eq!(rows, ["1 Some(4) 2 training Food", "2 Some(5) 3 test -"]);
        let without_third = ",set,track\n,split,title\n2,training,Food\n";
        assert_eq!(all("t.csv", without_third, grouped).expect("read"), ["1 Some(3) 2 training Food"]);
        let error = all("t.csv", ",set,track\n,slit,title\n", grouped).expect_err("a column is missing");
        assert!(error.to_string().contains("did you mean `set.slit`?"), "{error}");
    }
}
