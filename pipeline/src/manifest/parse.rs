//! TOML text into [`Table`]s whose every name and value knows its place.

use stages::settings::{At, Complaint, Data, Table, Value, Word};
use std::{collections::BTreeSet, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Reads a whole document. Whatever is no TOML, or TOML that a manifest has no use for, is a complaint;
/// the table is whole only if there is none.
pub(crate) fn document(source: u16, text: &str, complaints: &mut Vec<Complaint>) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { source, offset: 0, complaints };
    // One slip makes the parser stumble over the rest of its line; a table that is there already makes it
    // stumble over each of its keys.
    let mut last_line = None;
    let mut repeated = None;
    let mut broken = BTreeSet::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count();
        let duplicate = error.message().starts_with("duplicate key");
        let header = |line: &str| line.trim_start().starts_with('[');
        if last_line == Some(line)
            || (duplicate && repeated.is_some_and(|from| !text.lines().take(line + 1).skip(from + 1).any(header)))
        {
            continue;
        }
        if duplicate && text.lines().nth(line).is_some_and(header) {
            repeated = Some(line);
        }
        last_line = Some(line);
        broken.insert(line);
        let at = reader.at(span.clone());
        reader.complaints.push(syntax(at, error.message(), text, span));
    }
    let before = reader.complaints.len();
    let table = reader.table(table.into_inner());
    // What the parser saves of a broken line is no value of anybody's.
    let line = |at: At| text.get(..at.start as usize).unwrap_or(text).matches('\n').count();
    let added = complaints.split_off(before);
    complaints.extend(added.into_iter().filter(|complaint| !broken.contains(&line(complaint.at))));
    table
}

/// Reads a single value that starts `offset` bytes into its source.
///
/// # Errors
/// Why the text is no TOML value.
pub(crate) fn value(
    source: u16,
    offset: usize,
    text: &str,
    complaints: &mut Vec<Complaint>,
) -> Result<Option<Value>, String> {
    let value = DeValue::parse(text).map_err(|error| error.message().to_owned())?;
    Ok(Reader { source, offset, complaints }.value(value))
}

/// A syntax error, with a suggestion for the slips that are common.
fn syntax(at: At, message: &str, text: &str, span: Range<usize>) -> Complaint {
    let complaint = Complaint::new(at, message);
    if message.starts_with("duplicate key") {
        let name = text.get(span).unwrap_or_default();
        return Complaint::new(at, format!("`{name}` is given twice")).help("keep one of the two, or rename one");
    }
    let line = text.get(..span.start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
    let rest = text.get(span.start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let written = rest.trim().trim_matches(['"', '\'', ',']);
    // A bare word that starts like `true` or `false` is taken for one.
    if message.starts_with("string values must be quoted") || message.starts_with("invalid boolean") {
        let complaint = Complaint::new(at, "string values must be quoted");
        return match line.split_once('=') {
            Some((key, before)) if before.trim().is_empty() => {
                complaint.help(format!("write `{} = \"{written}\"`", key.trim()))
            }
            _ => complaint,
        };
    }
    if message.starts_with("missing comma") && rest.contains('=') {
        return complaint.help("or close the list before it with `]`");
    }
    complaint
}

struct Reader<'c> {
    source: u16,
    offset: usize,
    complaints: &'c mut Vec<Complaint>,
}

impl Reader<'_> {
    fn at(&self, span: Range<usize>) -> At {
        let place = |offset: usize| u32::try_from(self.offset + offset).unwrap_or(u32::MAX);
        At { source: self.source, start: place(span.start), end: place(span.end) }
    }

    fn table(&mut self, table: DeTable<'_>) -> Table {
        let mut entries: Vec<(Word, Spanned<DeValue<'_>>)> = table
            .into_iter()
            .map(|(key, value)| {
                let at = self.at(key.span());
                (Word { text: key.into_inner().into_owned(), at }, value)
            })
            .collect();
        // The crate sorts by name; people think in the order of the file.
        entries.sort_by_key(|(word, _)| word.at);
        Table(entries.into_iter().filter_map(|(word, value)| Some((word, self.value(value)?))).collect())
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>) -> Option<Value> {
        let at = self.at(value.span());
        let data = match value.into_inner() {
            DeValue::String(text) => Data::String(text.into_owned()),
            DeValue::Boolean(b) => Data::Boolean(b),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Data::Integer(n),
                Err(_) => {
                    self.complaints.push(Complaint::new(at, format!("{n} is too large")).help(format!(
                        "whole numbers go from {} to {}",
                        i64::MIN,
                        i64::MAX
                    )));
                    return None;
                }
            },
            DeValue::Float(x) => match x.as_str().parse() {
                Ok(x) => Data::Float(x),
                Err(_) => {
                    self.complaints.push(Complaint::new(at, format!("{x} is not a number")));
                    return None;
                }
            },
            DeValue::Datetime(date) => {
                self.complaints.push(
                    Complaint::new(at, "no setting takes a date").help(format!("write it as a string: \"{date}\"")),
                );
                return None;
            }
            DeValue::Array(items) => Data::Array(items.into_iter().filter_map(|item| self.value(item)).collect()),
            DeValue::Table(table) => Data::Table(self.table(table)),
        };
        Some(Value { data, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_value_knows_its_place() {
        let text = "z = [1, 'ä']\n[b.c]\nd.e = 2.5 # comment\n";
        let mut wrong = Vec::new();
        let table = document(3, text, &mut wrong);
        assert_eq!(wrong, []);
        let at = |value: At| (value.source, &text[value.start as usize..value.end as usize]);
        assert_eq!(table.0.iter().map(|(word, _)| word.text.as_str()).collect::<Vec<_>>(), ["z", "b"]);
        let Data::Array(items) = &table.get("z").expect("z").data else { panic!("a list") };
        assert_eq!((at(items[0].at), at(items[1].at)), ((3, "1"), (3, "'ä'")));
        let inner = |value: &Value, name: &str| match &value.data {
            Data::Table(table) => table.0.iter().find(|(word, _)| word.text == name).cloned().expect("name"),
            _ => panic!("a table"),
        };
        let (c, table) = inner(table.get("b").expect("b"), "c");
        assert_eq!(at(c.at), (3, "c"));
        let (_, table) = inner(&table, "d");
        let (e, number) = inner(&table, "e");
        assert_eq!((at(e.at), at(number.at), number.data), ((3, "e"), (3, "2.5"), Data::Float(2.5)));
    }

    #[test]
    fn all_syntax_errors_are_reported() {
        let mut wrong = Vec::new();
        document(0, "a = \nb = 1\nc = 2020-01-01\nd = 99999999999999999999\ne = [1\n", &mut wrong);
        assert!(wrong.len() >= 4, "{wrong:?}");
    }

    #[test]
    fn one_slip_is_one_complaint() {
        for text in ["a = .5\nb = 1\n", "a = 5.\n", "a = +\n", "a = 1e\n", "a = 0x\n", "a = -\n", "a = 1__0\n"] {
            let mut wrong = Vec::new();
            document(0, text, &mut wrong);
            assert_eq!(wrong.len(), 1, "{text:?}: {wrong:?}");
        }
    }

    #[test]
    fn a_value_is_the_whole_text() {
        let mut wrong = Vec::new();
        let read = value(1, 7, "[1, 2]", &mut wrong).expect("TOML").expect("a value");
        assert_eq!(read.at, At { source: 1, start: 7, end: 13 });
        for text in ["1 2", "1\nb = 2", "free text", "", "[1"] {
            assert!(value(1, 0, text, &mut wrong).is_err(), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_never_overflows_the_stack() {
        let mut wrong = Vec::new();
        document(0, &format!("a = {}", "[".repeat(100_000)), &mut wrong);
        document(0, &format!("a{} = 1", ".a".repeat(100_000)), &mut wrong);
        document(0, &format!("[a{}]", ".a".repeat(100_000)), &mut wrong);
        assert!(wrong.len() >= 3);
    }
}
