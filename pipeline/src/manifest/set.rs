//! `--set stage.NAME.FIELD=VALUE`: judged like the file, complained about in its own text.

use super::{Text, parse};
use stages::settings::{At, Complaint, Data, Table, Value, Word, suggest};

const CARDINALITY: &str = "write `--set stage.NAME.FIELD=VALUE`, `--set name=VALUE` or `--set seed=VALUE`";

/// Applies the last of the text's sources to its table.
pub(super) fn apply(text: &mut Text, complaints: &mut Vec<Complaint>) {
    let index = text.sources.len() - 1;
    let Ok(source) = u16::try_from(index) else {
        complaints.push(Complaint::new(super::NOWHERE, "there are too many `--set` options"));
        return;
    };
    let option = text.sources[index].text.clone();
    let whole = span(source, 0, option.len());
    let Some((key, written)) = option.split_once('=') else {
        complaints.push(Complaint::new(whole, "`--set` gives no value").help(CARDINALITY));
        return;
    };
    let Some(path) = path(source, key) else {
        complaints.push(Complaint::new(span(source, 0, key.len()), "`--set` names no setting").help(CARDINALITY));
        return;
    };
    let offset = key.len() + 1;
    let blank = written.len() - written.trim_start().len();
    let value = match parse::value(source, offset + blank, written.trim(), complaints) {
        Ok(Some(value)) => value,
        Ok(None) => return,
        Err(said) => {
            let at = span(source, offset + blank, (offset + written.trim_end().len()).max(offset + blank));
            text.strings.push((at, said));
            Value { data: Data::String(written.to_owned()), at }
        }
    };
    match path.as_slice() {
        [key] if ["name", "seed"].contains(&key.text.as_str()) => put(&mut text.table, key.clone(), value),
        [stage, name, _, ..] if stage.text == "stage" => {
            if let Err(names) = assign(&mut text.table, &path, value) {
                complaints.push(unknown_stage(name.at, "`--set` names the stage", &name.text, &names));
            }
        }
        [stage, name] if stage.text == "stage" => {
            let complaint = Complaint::new(whole, format!("`--set` names the stage `{}` but no field", name.text));
            complaints.push(complaint.help(format!("write `--set stage.{}.FIELD=VALUE`", name.text)));
        }
        [first, ..] => {
            let complaint = Complaint::new(first.at, format!("`--set` cannot set `{}`", first.text));
            complaints.push(match suggest(&first.text, ["stage", "name", "seed"]) {
                Some(near) if near != first.text => complaint.help(format!("did you mean `{near}`?")),
                _ => complaint.help(CARDINALITY),
            });
        }
        [] => complaints.push(Complaint::new(whole, "`--set` names no setting").help(CARDINALITY)),
    }
}

/// Sets the seed (`seed`) or a field of a stage (`stage`, its name, the field, fields of that).
///
/// # Errors
/// The stages that there are, where the path names another.
pub(super) fn assign(table: &mut Table, path: &[Word], value: Value) -> Result<(), Vec<String>> {
    let (name, field, inner) = match path {
        [key] => {
            put(table, key.clone(), value);
            return Ok(());
        }
        [_, name, field, inner @ ..] => (name, field, inner),
        _ => return Ok(()),
    };
    let stages = match table.0.iter_mut().find(|(word, _)| word.text == "stage") {
        Some((_, Value { data: Data::Table(stages), .. })) => stages,
        // No stages, or `stage` is no table: reported when the manifest is read.
        _ => return Ok(()),
    };
    match stages.0.iter_mut().find(|(word, _)| word.text == name.text) {
        Some((_, Value { data: Data::Table(fields), .. })) => {
            set(fields, field, inner, value);
            Ok(())
        }
        Some(_) => Ok(()),
        None => Err(stages.0.iter().map(|(word, _)| word.text.clone()).collect()),
    }
}

/// Position of the value at a path. `None` if there is none.
pub(super) fn placed(table: &Table, path: &[Word]) -> Option<At> {
    let (first, rest) = path.split_first()?;
    match (table.get(&first.text)?, rest) {
        (value, []) => Some(value.at),
        (Value { data: Data::Table(inner), .. }, rest) => placed(inner, rest),
        _ => None,
    }
}

/// A complaint about the name of a stage that is not in the manifest.
pub(crate) fn unknown_stage(at: At, who: &str, name: &str, names: &[String]) -> Complaint {
    let complaint = Complaint::new(at, format!("{who} `{name}`, which is not in the manifest"));
    match suggest(name, names.iter().map(String::as_str)) {
        Some(near) => complaint.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => complaint,
        None => complaint.help(format!("its stages are `{}`", names.join("`, `"))),
    }
}

fn span(source: u16, start: usize, end: usize) -> At {
    let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    At { source, start: place(start), end: place(end) }
}

/// A dotted key with the places of its parts; none if it is no key.
fn path(source: u16, key: &str) -> Option<Vec<Word>> {
    // A line break or a bracket would start something else than a key.
    if key.contains(['\n', '\r', '[', '{']) {
        return None;
    }
    let mut wrong = Vec::new();
    let mut table = parse::document(source, &format!("{key}=0"), &mut wrong);
    if !wrong.is_empty() {
        return None;
    }
    let mut path = Vec::new();
    while let Some((word, value)) = table.0.pop() {
        path.push(word);
        match value.data {
            Data::Table(inner) => table = inner,
            _ => break,
        }
    }
    (!path.is_empty()).then_some(path)
}

/// Sets a field, or a field of a field.
fn set(fields: &mut Table, field: &Word, inner: &[Word], value: Value) {
    let Some((next, rest)) = inner.split_first() else { return put(fields, field.clone(), value) };
    let held = fields.0.iter_mut().find(|(word, _)| word.text == field.text);
    if let Some((_, Value { data: Data::Table(table), .. })) = held {
        return set(table, next, rest, value);
    }
    let at = field.at;
    let mut table = Table::default();
    set(&mut table, next, rest, value);
    put(fields, field.clone(), Value { data: Data::Table(table), at });
}

/// Replaces a value, and the place of its name: what is wrong with either is wrong in the option.
fn put(table: &mut Table, key: Word, value: Value) {
    match table.0.iter_mut().find(|(word, _)| word.text == key.text) {
        Some(held) => *held = (key, value),
        None => table.0.push((key, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Source;

    fn after(file: &str, sets: &[&str]) -> (Text, Vec<String>) {
        let mut wrong = Vec::new();
        let table = parse::document(0, file, &mut wrong);
        let sources = vec![Source { label: "m.toml".into(), text: file.into() }];
        let mut text = Text { sources, table, ..Text::default() };
        for set in sets {
            text.sources.push(Source { label: "--set".into(), text: (*set).into() });
            apply(&mut text, &mut wrong);
        }
        (text, wrong.into_iter().map(|c| c.message).collect())
    }

    fn field<'t>(text: &'t Text, path: &[&str]) -> &'t Value {
        let mut table = &text.table;
        for (depth, name) in path.iter().enumerate() {
            let value = table.get(name).expect("a value");
            match &value.data {
                Data::Table(inner) if depth + 1 < path.len() => table = inner,
                _ => return value,
            }
        }
        panic!("no path")
    }

    #[test]
    fn a_value_is_toml_or_else_a_string() {
        let file = "name = \"a\"\n[stage.x]\ndo = \"y\"\n[stage.x.tags]\ngenre = \"folk\"\n";
        let sets =
            ["stage.x.n=3", "stage.x.root=/a dir/b=c", "stage.x.tags.mood = [1]", "name=b", "stage.x.tags.genre=rock"];
        let (text, wrong) = after(file, &sets);
        assert_eq!(wrong, [""; 0]);
        assert_eq!(field(&text, &["stage", "x", "n"]).data, Data::Integer(3));
        assert_eq!(field(&text, &["stage", "x", "root"]).data, Data::String("/a dir/b=c".into()));
        assert_eq!(field(&text, &["stage", "x", "tags", "genre"]).data, Data::String("rock".into()));
        assert!(matches!(field(&text, &["stage", "x", "tags", "mood"]).data, Data::Array(_)));
        assert_eq!(field(&text, &["name"]).at, At { source: 4, start: 5, end: 6 });
        assert_eq!(text.strings.len(), 3);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let file = "[stage.tracks]\ndo = \"y\"\n";
        let sets = ["stage.track.n=3", "stage.tracks=1", "edition=2", "noequals", "=3", "a b=3", "[stage.tracks]\nn=3"];
        let (text, wrong) = after(file, &sets);
        assert_eq!(wrong.len(), sets.len(), "{wrong:?}");
        assert_eq!(text.table, after(file, &[]).0.table);
    }
}
