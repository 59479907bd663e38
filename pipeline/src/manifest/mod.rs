//! The manifest as it is written: what the file and the `--set` options say, before anyone knows the
//! verbs. [`crate::plan`] makes a plan of it; nothing after that reads a manifest again.
//!
//! Knows no verb: what the settings of one mean is read in `plan`.

mod complain;
mod extend;
mod file;
mod parse;
mod set;
mod sweep;
mod text;
mod values;

pub use complain::{Complaints, NOWHERE, Source};
pub(crate) use set::unknown_stage;
pub(crate) use sweep::{Assigned, Point, Sweep, shown};
pub(crate) use text::Text;
pub use values::EDITION;

use stages::settings::{At, Complaint, Data, Table, Value, Word, suggest};
use std::path::Path;
use values::{LONGEST, edition, misnamed, setting, string};

/// The keys at the top of a manifest.
pub(crate) const TOP: [&str; 6] = ["edition", "extends", "name", "seed", "stage", "sweep"];

/// The fields that every stage has, besides the settings of its verb. `salt` is for verbs that draw
/// from the seed, and is read where the verb is known.
pub(crate) const COMMON: [&str; 3] = ["do", "from", "max_dropped"];

/// A manifest as typed.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) seed: u64,
    /// Stages, in the order of the file.
    pub(crate) stages: Vec<Written>,
}

/// One `[stage.NAME]` as typed.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) name: Word,
    /// The verb; none if it is missing or no string, which has been reported.
    pub(crate) verb: Option<Word>,
    pub(crate) from: From,
    pub(crate) max_dropped: Option<f64>,
    /// Everything else: the verb's settings.
    pub(crate) settings: Table,
}

/// The value of `from`.
#[derive(Debug)]
pub(crate) enum From {
    /// No `from`.
    Absent,
    /// Something that has been reported already.
    Wrong,
    /// Stages bound by the kind of their rows; with the place of the list.
    Names(At, Vec<Word>),
    /// Stages bound by the names of ports; with the place of the table.
    Ports(At, Vec<(Word, Vec<Word>)>),
}

/// Reads the file with all that it extends, and applies each `--set`.
///
/// # Errors
/// Files that cannot be read or are no UTF-8; a circle of files; all syntax errors.
pub(crate) fn read(path: &Path, sets: &[String]) -> Result<Text, Complaints> {
    let mut complaints = Vec::new();
    let mut text = extend::read(path, &mut complaints);
    // What the recoverable parser saves of a broken file misses pieces: judged further, it would give
    // complaints that go away with the syntax error.
    let whole = complaints.is_empty();
    for set in sets {
        text.sources.push(Source { label: "--set".into(), text: set.clone() });
        if whole {
            set::apply(&mut text, &mut complaints);
        }
    }
    if complaints.is_empty() { Ok(text) } else { Err(Complaints::new(text.sources, complaints)) }
}

impl Manifest {
    /// Reads what does not depend on the verbs. All that is wrong goes into the list.
    pub(crate) fn read(table: &Table, complaints: &mut Vec<Complaint>) -> Manifest {
        for (word, value) in table.0.iter().filter(|(word, _)| !TOP.contains(&word.text.as_str())) {
            complaints.push(unknown_key(word, value));
        }
        match table.get("edition") {
            Some(value) => edition(value, complaints),
            None => complaints.push(missing("edition", format!("add `edition = {EDITION}` as the first line"))),
        }
        let name = match table.get("name") {
            Some(value) => string(value, "name", complaints).filter(|name| {
                let wrong = misnamed("a run", name, LONGEST, value.at);
                let fits = wrong.is_none();
                complaints.extend(wrong.map(|c| Complaint { message: format!("`name`: {}", c.message), ..c }));
                fits
            }),
            None => {
                complaints.push(missing("name", "add `name = \"..\"`: the runs of this manifest go by it".into()));
                None
            }
        };
        let seed = table.get("seed").map_or(Some(0), |value| setting::<u64>(value, "seed", complaints));
        Manifest {
            name: name.unwrap_or_default(),
            seed: seed.unwrap_or_default(),
            stages: match table.get("stage") {
                Some(Value { data: Data::Table(stages), .. }) => {
                    stages.0.iter().filter_map(|(word, value)| Written::read(word, value, complaints)).collect()
                }
                Some(value) => {
                    let message = format!("`stage`: expected tables, found {}", value.data.kind());
                    complaints.push(Complaint::new(value.at, message).help("write each stage as `[stage.NAME]`"));
                    Vec::new()
                }
                None => Vec::new(),
            },
        }
    }
}

/// Whether stages stand here, or were meant to: what is wrong with them is said elsewhere.
pub(crate) fn may_hold_stages(word: &Word, value: &Value) -> bool {
    match (&value.data, word.text.as_str()) {
        (Data::Table(stages), "stage") => !stages.0.is_empty(),
        (_, "stage") => true,
        (Data::Table(_), key) => key != "sweep",
        _ => false,
    }
}

fn missing(key: &str, help: String) -> Complaint {
    Complaint::new(At::default(), format!("missing `{key}`")).help(help)
}

fn unknown_key(word: &Word, value: &Value) -> Complaint {
    let key = &word.text;
    let complaint = |message: String| Complaint::new(word.at, message);
    match suggest(key, TOP) {
        Some(near) => complaint(format!("unknown key `{key}`, expected `{near}`")),
        None if matches!(value.data, Data::Table(_)) => {
            complaint(format!("unknown table `{key}`")).help(format!("a stage is written `[stage.{key}]`"))
        }
        None => complaint(format!("unknown key `{key}`"))
            .help(format!("a manifest has `{}`, its stages and `[sweep]`", TOP[..4].join("`, `"))),
    }
}

impl Written {
    fn read(name: &Word, value: &Value, complaints: &mut Vec<Complaint>) -> Option<Written> {
        let Data::Table(table) = &value.data else {
            // `[[stage.x]]` is a list of tables.
            let message = format!("`stage.{}`: expected a table, found {}", name.text, value.data.kind());
            complaints.push(Complaint::new(name.at, message).help(format!("write `[stage.{}]`", name.text)));
            return None;
        };
        complaints.extend(misnamed("a stage", &name.text, LONGEST, name.at));
        let mut settings = table.clone();
        let verb = settings.remove("do").map(|value| (string(&value, "do", complaints), value.at));
        let from = settings.remove("from");
        let max_dropped = settings.remove("max_dropped").and_then(|value| {
            let read = setting::<f64>(&value, "max_dropped", complaints)?;
            let fits = (0.0..=1.0).contains(&read);
            if !fits {
                let complaint = Complaint::new(value.at, format!("`max_dropped`: {read} is not a fraction"));
                complaints.push(complaint.help("0.1 stops the run where over a tenth of the rows is dropped"));
            }
            fits.then_some(read)
        });
        Some(Written {
            name: name.clone(),
            verb: verb.and_then(|(text, at)| Some(Word { text: text?, at })),
            from: from.map_or(From::Absent, |value| From::read(value, complaints)),
            max_dropped,
            settings,
        })
    }

    /// Whether `do` is there, right or wrong: read from the stage's table.
    pub(crate) fn says_do(table: &Table, stage: &str) -> bool {
        let Some(Value { data: Data::Table(stages), .. }) = table.get("stage") else { return false };
        matches!(stages.get(stage), Some(Value { data: Data::Table(fields), .. }) if fields.get("do").is_some())
    }
}

impl From {
    fn read(value: Value, complaints: &mut Vec<Complaint>) -> From {
        let at = value.at;
        let before = complaints.len();
        let from = match value.data {
            Data::Array(items) => {
                From::Names(at, items.into_iter().filter_map(|item| stage_name(item, complaints)).collect())
            }
            Data::Table(Table(ports)) => From::Ports(
                at,
                ports
                    .into_iter()
                    .map(|(port, value)| match value.data {
                        Data::Array(items) => {
                            (port, items.into_iter().filter_map(|item| stage_name(item, complaints)).collect())
                        }
                        _ => (port, stage_name(value, complaints).into_iter().collect()),
                    })
                    .collect(),
            ),
            Data::String(name) => {
                let message = "`from`: expected a list of stages, found a string";
                complaints.push(Complaint::new(at, message).help(format!("write `from = [\"{name}\"]`")));
                From::Wrong
            }
            other => {
                let message = format!("`from`: expected a list of stages, found {}", other.kind());
                complaints.push(Complaint::new(at, message).help("write `from = [\"NAME\"]`"));
                From::Wrong
            }
        };
        if complaints.len() == before { from } else { From::Wrong }
    }
}

fn stage_name(value: Value, complaints: &mut Vec<Complaint>) -> Option<Word> {
    match value.data {
        Data::String(text) => Some(Word { text, at: value.at }),
        other => {
            let message = format!("`from`: expected the name of a stage, found {}", other.kind());
            complaints.push(Complaint::new(value.at, message));
            None
        }
    }
}
