//! What may stand in code and in literals.

use crate::{
    files::{is, none, texts},
    source::{Literal, Source},
    verbs,
};
use proc_macro2::{TokenStream, TokenTree};
use std::{collections::BTreeSet, path::Path};

/// The identifiers and keywords of Rust code, without comments and literals.
fn identifiers(text: &str) -> BTreeSet<String> {
    fn collect(tokens: TokenStream, all: &mut BTreeSet<String>) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => collect(group.stream(), all),
                TokenTree::Ident(ident) => drop(all.insert(ident.to_string())),
                _ => {}
            }
        }
    }
    let mut all = BTreeSet::new();
    collect(text.parse().unwrap_or_else(|e| panic!("{e}: {text}")), &mut all);
    all
}

/// Whether a word occurs in a text.
fn names(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|own| own == word)
}

#[test]
fn identifiers_are_those_of_code_only() {
    let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" 'i' '\\'' r#\"j \" k\"# &'l str r\"m\" br\"n\" bar \"o\"";
    assert_eq!(identifiers(text).into_iter().collect::<Vec<_>>(), ["a", "bar", "e", "l", "str"]);
    assert!(names("x.unsafe{", "unsafe") && !names("unsafe_code", "unsafe"));
}

#[test]
fn unsafe_lives_where_it_may() {
    let may = |path: &Path| path.starts_with("kernels") || path == Path::new("datasets/src/mmap.rs");
    let rust = texts().into_iter().filter(|(path, text)| is(path, &["rs"]) && identifiers(text).contains("unsafe"));
    let (at_home, abroad): (Vec<_>, Vec<_>) = rust.map(|(path, _)| path).partition(|path| may(path));
    none("unsafe elsewhere", abroad.iter().map(|path| path.display().to_string()).collect());
    assert!(at_home.iter().any(|path| path.ends_with("mmap.rs")), "the search finds none at all");
}

#[test]
fn networks_metrics_and_data_know_no_dataflow() {
    let free = ["stages/src/model", "stages/src/metric", "datasets", "kernels"];
    let dataflow = ["timely", "differential_dataflow", "differential"];
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        let knows = match is(&path, &["rs"]) {
            true => identifiers(&text).iter().any(|word| dataflow.contains(&word.as_str())),
            false => is(&path, &["toml"]) && dataflow.iter().any(|word| names(&text, word)),
        };
        if knows && free.iter().any(|folder| path.starts_with(folder)) {
            wrong.push(path.display().to_string());
        }
    }
    none("dataflow in", wrong);
}

#[test]
fn nothing_is_left_to_do_and_no_path_is_of_one_machine() {
    // Put together here, so that this file has none of them.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let paths = ["work", "root", "home", "tmp", "Users"].map(|folder| format!("/{folder}/"));
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let mark = marks.iter().any(|mark| names(line, mark));
            // A path starts after something that is no part of a path.
            let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-./~*}{".contains(c));
            let own = paths.iter().any(|own| line.match_indices(own.as_str()).any(|(at, _)| starts(at)));
            if mark || own {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none("to be mended", wrong);
}

/// Verbs that are words of the data as well, and where the pipeline means these: a column of tables, or the split
/// `train`.
const OTHERWISE: [(&str, &[&str]); 3] = [
    ("license", &["pipeline/src/inspect", "pipeline/src/publish/bundle"]),
    ("split", &["pipeline/src/inspect"]),
    ("train", &["pipeline/src/explain", "pipeline/src/inspect", "pipeline/src/publish"]),
];

#[test]
fn the_pipeline_names_no_verb() {
    let (verbs, literals) = (verbs(), &Source::of_repository().literals);
    assert!(literals.iter().any(|literal| literal.value == "run.json"), "the reader finds no literals");
    let otherwise = |literal: &Literal| {
        OTHERWISE
            .iter()
            .any(|(word, rooms)| literal.value == *word && rooms.iter().any(|room| literal.file.starts_with(room)))
    };
    let named = literals.iter().filter(|literal| {
        literal.file.starts_with("pipeline/src") && verbs.contains(&literal.value) && !otherwise(literal)
    });
    let line = |literal: &Literal| format!("{}:{}: {:?}", literal.file.display(), literal.line, literal.value);
    none("verbs named in the pipeline; what it says of one stands in its `StageSpec`", named.map(line).collect());
}

/// Where files are opened without the checks of `datasets/src/untrusted`.
const OPENED: [&str; 4] = [
    // The place itself.
    "datasets/src/untrusted",
    // Folders, which are synced.
    "datasets/src/store/atomic.rs",
    // What the system says of its memory.
    "stages/src/stage/memory.rs",
    // Compiled kernels, below every other crate.
    "kernels/src/cuda",
];

#[test]
fn files_of_others_are_opened_in_one_place() {
    let opens = |path: &[String]| {
        let last: Vec<&str> = path.iter().rev().take(2).map(String::as_str).collect();
        matches!(last[..], ["read" | "read_to_string", "fs"] | ["open" | "options", "File"])
    };
    let (mut wrong, mut met) = (Vec::new(), BTreeSet::new());
    for module in &Source::of_repository().modules {
        let mentioned = module.mentions.iter().map(|mention| (&mention.path, mention.line));
        let imported = module.imports.iter().map(|import| (&import.path, import.line));
        for (path, line) in mentioned.chain(imported).filter(|(path, _)| opens(path)) {
            match OPENED.iter().find(|place| module.file.starts_with(place)) {
                Some(place) => drop(met.insert(*place)),
                None => wrong.push(format!("{}:{line}: {}", module.file.display(), path.join("::"))),
            }
        }
    }
    none("files opened without `datasets::untrusted`, where a pipe would be waited for", wrong);
    let stale = OPENED[1..].iter().filter(|place| !met.contains(*place)).map(ToString::to_string).collect();
    none("exempt files that open nothing", stale);
}
