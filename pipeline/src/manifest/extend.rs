//! `extends = "base.toml"`: a manifest takes over what another says. Tables merge field by field, and the manifest that
//! extends has the last word. A stage that it gives another verb is its own as a whole.

use super::{
    complain::{NOWHERE, Source},
    file, parse,
    text::{File, Text},
    values,
};
use stages::settings::{At, Complaint, Data, PathSetting, Setting, Table, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Reads the manifest at `path` and all that it extends, as one table.
pub(super) fn read(path: &Path, complaints: &mut Vec<Complaint>) -> Text {
    let mut text = Text::default();
    let mut tables: Vec<Table> = Vec::new();
    let mut real: Vec<PathBuf> = Vec::new();
    let mut next = Some((File { path: path.to_owned(), seen: PathBuf::new() }, NOWHERE));
    while let Some((found, named)) = next.take() {
        let read = match file::text(&found.path) {
            Ok(read) => read,
            Err(unreadable) => {
                complaints.push(unreadable.complaint(&found.path, named, &mut text.sources));
                break;
            }
        };
        // A file may go by several names: the one that the system knows tells whether it was here before.
        let own = fs::canonicalize(&found.path).unwrap_or_else(|_| found.path.clone());
        if let Some(first) = real.iter().position(|known| *known == own) {
            complaints.push(circle(&text.files[first..], named));
            break;
        }
        let Ok(source) = u16::try_from(text.sources.len()) else { break };
        let mut table = parse::document(source, &read, complaints);
        text.sources.push(Source { label: found.path.display().to_string(), text: read });
        real.push(own);
        if let Some(value) = table.remove("extends") {
            next = base(&found, &value, complaints);
        }
        text.files.push(found);
        tables.push(table);
    }
    while let Some(mut table) = tables.pop() {
        // What is wrong with the edition of a base stays wrong where its heir has another.
        if !tables.is_empty()
            && let Some(edition) = table.get("edition")
        {
            values::edition(edition, &mut text.complaints);
        }
        if text.table.get("sweep").is_some()
            && let Some(at) = table.0.iter().position(|(word, _)| word.text == "sweep")
        {
            let (word, _) = table.0.remove(at);
            let other =
                text.table.0.iter().find(|(word, _)| word.text == "sweep").map_or(0, |(word, _)| word.at.source);
            let other = &text.sources[usize::from(other)].label;
            text.complaints.push(
                Complaint::new(word.at, format!("`[sweep]` stands here and in `{other}`, which this manifest extends"))
                    .help("take one of them out: sweeps do not merge"),
            );
        }
        merge(&mut text.table, table, 0);
    }
    text
}

/// The file that a manifest extends, and the place that names it.
fn base(from: &File, value: &Value, complaints: &mut Vec<Complaint>) -> Option<(File, At)> {
    match PathSetting::read(value) {
        Ok(PathSetting(name)) => {
            let beside = |file: &Path| file.parent().unwrap_or(Path::new("")).join(&name);
            Some((File { path: beside(&from.path), seen: beside(&from.seen) }, value.at))
        }
        Err(wrong) => {
            let field = |c: Complaint| Complaint { message: format!("`extends`: {}", c.message), ..c };
            complaints.extend(wrong.into_iter().map(field));
            None
        }
    }
}

/// `files`: each extends the next, the last the first.
fn circle(files: &[File], at: At) -> Complaint {
    let names: Vec<String> = files.iter().map(|file| format!("`{}`", file.path.display())).collect();
    match names.as_slice() {
        [one] => Complaint::new(at, format!("{one} extends itself")).help("name another manifest"),
        [first, ..] => {
            let all = names.join(" -> ");
            Complaint::new(at, format!("manifests extend each other in a circle: {all} -> {first}"))
                .help("take one of these `extends` out")
        }
        [] => Complaint::new(at, "a manifest extends itself"),
    }
}

/// Puts `over` on top of `under`; `depth` is 0 at the top of a manifest, 1 among its stages, 2 in one of them.
fn merge(under: &mut Table, over: Table, depth: usize) {
    for (word, value) in over.0 {
        let Some(held) = under.0.iter_mut().find(|(known, _)| known.text == word.text) else {
            under.0.push((word, value));
            continue;
        };
        match (&mut held.1.data, value.data) {
            (Data::Table(mine), Data::Table(table)) if depth != 1 || !another_verb(mine, &table) => {
                merge(mine, table, depth + 1);
            }
            (_, data) => *held = (word, Value { data, at: value.at }),
        }
    }
}

/// Whether a stage is given another verb: the settings of the one are not the other's.
fn another_verb(under: &Table, over: &Table) -> bool {
    match (under.get("do"), over.get("do")) {
        (Some(under), Some(over)) => under.data != over.data,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(under: &str, over: &str) -> Table {
        let mut wrong = Vec::new();
        let mut table = parse::document(0, under, &mut wrong);
        merge(&mut table, parse::document(1, over, &mut wrong), 0);
        assert_eq!(wrong, []);
        table
    }

    fn at<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
        let (first, rest) = path.split_first()?;
        match (table.get(first)?, rest) {
            (value, []) => Some(value),
            (Value { data: Data::Table(inner), .. }, rest) => at(inner, rest),
            _ => None,
        }
    }

    #[test]
    fn fields_merge_and_the_last_word_is_the_heirs() {
        let under = "name = 'a'\n[stage.x]\ndo = 'v'\nrate = 1\ntags = { mood = 'low', key = 'c' }\nlist = [1, 2]\n";
        let table = merged(under, "seed = 1\n[stage.x]\nrate = 2\ntags.key = 'd'\nlist = [3]\n[stage.y]\ndo = 'w'\n");
        let number = |path: &[&str]| match at(&table, path).map(|value| (&value.data, value.at.source)) {
            Some((Data::Integer(n), source)) => (*n, source),
            other => panic!("{other:?}"),
        };
        assert_eq!(number(&["stage", "x", "rate"]), (2, 1));
        assert_eq!(number(&["seed"]), (1, 1));
        let text = |path: &[&str]| at(&table, path).map(|value| value.data.clone());
        assert_eq!(text(&["name"]), Some(Data::String("a".into())));
        assert_eq!(text(&["stage", "x", "tags", "mood"]), Some(Data::String("low".into())));
        assert_eq!(text(&["stage", "x", "tags", "key"]), Some(Data::String("d".into())));
        assert!(matches!(text(&["stage", "x", "list"]), Some(Data::Array(items)) if items.len() == 1));
        assert!(text(&["stage", "y", "do"]).is_some());
    }

    #[test]
    fn a_stage_with_another_verb_takes_nothing_over() {
        let under = "[stage.codec]\ndo = 'fit'\nwidth = [8]\n";
        let table = merged(under, "[stage.codec]\ndo = 'weights'\nfile = 'a'\n");
        assert!(at(&table, &["stage", "codec", "width"]).is_none());
        assert!(at(&merged(under, "[stage.codec]\ndo = 'fit'\n"), &["stage", "codec", "width"]).is_some());
    }
}
