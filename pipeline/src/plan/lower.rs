//! Settings lowered, stage by stage: each verb reads its own fields.

use crate::manifest::{COMMON, From, Manifest, Text, Written};
use stages::{
    settings::{At, Complaint, Data, Field, Role, Setting, Table, Value, Word, suggest},
    stage::{ConfiguredStage, StageSpec},
};
use std::{path::Path, sync::Arc};

/// Verbs that the design has and this release does not.
const LATER: [&str; 1] = ["loudness"];

/// A stage with its verb and settings, its wiring still in words.
pub(super) struct Lowered<'m> {
    pub(super) name: &'m Word,
    /// `None`: unknown verb, already reported.
    pub(super) entry: Option<&'static StageSpec>,
    /// `None`: wrong settings, already reported.
    pub(super) ready: Option<Arc<dyn ConfiguredStage>>,
    /// The verb's own settings as they are written, and `from`: the places of complaints.
    pub(super) written: Table,
    pub(super) from: &'m From,
    /// A misspelled `from`, which has been reported: the wiring is not known.
    pub(super) from_lost: bool,
    pub(super) max_dropped: Option<f64>,
    pub(super) salt: String,
}

/// Lowers every stage.
pub(super) fn lower<'m>(
    registry: &'static [StageSpec],
    manifest: &'m Manifest,
    table: &Table,
    text: &Text,
    complaints: &mut Vec<Complaint>,
) -> Vec<Lowered<'m>> {
    manifest.stages.iter().map(|written| stage(registry, written, table, text, complaints)).collect()
}

fn stage<'m>(
    registry: &'static [StageSpec],
    written: &'m Written,
    table: &Table,
    text: &Text,
    complaints: &mut Vec<Complaint>,
) -> Lowered<'m> {
    let mut settings = written.settings.clone();
    let entry = match &written.verb {
        Some(verb) => entry(registry, verb, complaints),
        None => None,
    };
    let fields = entry.map_or_else(Vec::new, |entry| (entry.fields)());
    let random = entry.is_some_and(|entry| entry.random) && fields.iter().all(|field| field.name != "salt");
    let misspelled = misspelled(&mut settings, &fields, random, entry.is_some(), complaints);
    if written.verb.is_none() && !misspelled.contains(&"do") && !Written::says_do(table, &written.name.text) {
        let verbs: Vec<&str> = registry.iter().map(|entry| entry.verb).collect();
        complaints.push(
            Complaint::new(written.name.at, format!("the stage `{}` has no `do`", written.name.text))
                .help(format!("add `do = \"..\"`, one of `{}`", verbs.join("`, `"))),
        );
    }
    let mut salt = String::new();
    if random && let Some(value) = settings.remove("salt") {
        match String::read(&value) {
            Ok(read) => salt = read,
            Err(wrong) => complaints
                .extend(wrong.into_iter().map(|c| Complaint { message: format!("`salt`: {}", c.message), ..c })),
        }
    }
    for field in fields.iter().filter(|field| field.role == Role::Path) {
        if let Some((_, value)) = settings.0.iter_mut().find(|(word, _)| word.text == field.name) {
            text.start_where_typed(value);
        }
    }
    let ready = entry.and_then(|entry| {
        let first = complaints.len();
        let ready = (entry.lower)(&settings, written.name.at, complaints);
        forget_missing(complaints, first, &settings, &fields);
        ready
    });
    if let From::Names(at, _) | From::Ports(at, _) = written.from {
        // Only its place is asked for.
        settings.0.push((Word { text: "from".to_owned(), at }, Value { data: Data::Boolean(true), at }));
    }
    Lowered {
        name: &written.name,
        entry,
        ready,
        written: settings,
        from: &written.from,
        from_lost: misspelled.contains(&"from"),
        max_dropped: written.max_dropped,
        salt,
    }
}

/// The verb's entry, or a complaint.
fn entry(registry: &'static [StageSpec], verb: &Word, complaints: &mut Vec<Complaint>) -> Option<&'static StageSpec> {
    if let Some(entry) = registry.iter().find(|entry| entry.verb == verb.text) {
        return Some(entry);
    }
    let verbs = || registry.iter().map(|entry| entry.verb);
    complaints.push(if LATER.contains(&verb.text.as_str()) {
        Complaint::new(verb.at, format!("the verb `{}` comes with a later release", verb.text))
            .help(format!("this release has `{}`", verbs().collect::<Vec<_>>().join("`, `")))
    } else {
        let complaint = Complaint::new(verb.at, format!("unknown verb `{}`", verb.text));
        match suggest(&verb.text, verbs()) {
            Some(near) => complaint.help(format!("did you mean `{near}`?")),
            None => complaint.help(format!("expected one of `{}`", verbs().collect::<Vec<_>>().join("`, `"))),
        }
    });
    None
}

/// Takes out the fields that are slips of `do`, `from`, `max_dropped` and the like: the verb knows only
/// its own. What is meant comes back.
fn misspelled(
    settings: &mut Table,
    fields: &[Field],
    random: bool,
    verb_known: bool,
    complaints: &mut Vec<Complaint>,
) -> Vec<&'static str> {
    let own = |name: &str| fields.iter().any(|field| field.name == name);
    let common: Vec<&'static str> = COMMON.into_iter().chain(random.then_some("salt")).collect();
    let mut meant = Vec::new();
    settings.0.retain(|(word, _)| {
        if own(&word.text) || common.contains(&word.text.as_str()) {
            return true;
        }
        let known = fields.iter().map(|field| field.name).chain(common.iter().copied());
        let near = suggest(&word.text, known).and_then(|near| common.iter().find(|name| **name == near));
        match near {
            // Without its verb a field may well be right.
            Some(near) if verb_known || *near == "do" => {
                complaints.push(
                    Complaint::new(word.at, format!("unknown field `{}`, expected `{near}`", word.text))
                        .help(format!("did you mean `{near}`?")),
                );
                meant.push(*near);
                false
            }
            Some(near) => {
                meant.push(*near);
                true
            }
            None => true,
        }
    });
    meant
}

/// A field that is there under a misspelled name is not missing as well.
fn forget_missing(complaints: &mut Vec<Complaint>, first: usize, settings: &Table, fields: &[Field]) {
    let names = || fields.iter().map(|field| field.name);
    let meant = settings.0.iter().filter(|(word, _)| names().all(|name| name != word.text));
    let missing: Vec<String> = meant
        .filter_map(|(word, _)| suggest(&word.text, names()))
        .map(|name| format!("missing field `{name}`"))
        .collect();
    let tail = complaints.split_off(first);
    complaints.extend(tail.into_iter().filter(|complaint| !missing.contains(&complaint.message)));
}

impl Text {
    /// A relative path starts where it was typed: in a manifest that this one extends, at the folder of that one; in
    /// `--set`, at the working directory.
    fn start_where_typed(&self, value: &mut Value) {
        match &mut value.data {
            Data::String(path) if !path.is_empty() && Path::new(path).is_relative() => {
                let started = match self.file(value.at) {
                    Some(file) => Some(file.folder().join(&*path)),
                    // Where the working directory is gone, the path stays as it is and its source is not found.
                    None => std::path::absolute(&*path).ok(),
                };
                if let Some(text) = started.as_deref().and_then(Path::to_str) {
                    *path = text.to_owned();
                }
            }
            Data::Array(items) => items.iter_mut().for_each(|item| self.start_where_typed(item)),
            _ => {}
        }
    }

    /// Adds to a complaint about a `--set` value that became a string why it is no TOML, where the text
    /// looks as if it were meant to be.
    pub(super) fn explain(&self, complaint: Complaint) -> Complaint {
        let holds = |at: &At| at.source == complaint.at.source && at.start <= complaint.at.start;
        let Some((at, said)) = self.strings.iter().find(|(at, _)| holds(at)) else { return complaint };
        let text = &self.sources[usize::from(at.source)].text;
        let meant = text.get(at.start as usize..).is_some_and(|value| value.starts_with(['[', '{', '"', '\'']));
        if meant && complaint.message.ends_with("found a string") {
            complaint.help(format!("the value is no TOML ({said}), so it was taken as a string"))
        } else {
            complaint
        }
    }
}
