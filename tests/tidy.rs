//! The invariants that ARCHITECTURE.md states, as far as a machine can check them.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use support::{refrain, repository, say};

/// Every file that git tracks, by its path in the repository; without git, every file but hidden and built ones.
fn tracked() -> Vec<PathBuf> {
    let root = repository();
    let listed = Command::new("git").arg("-C").arg(&root).args(["ls-files", "-z"]).output();
    if let Ok(output) = listed
        && output.status.success()
    {
        let names = String::from_utf8(output.stdout).expect("names in UTF-8");
        return names
            .split('\0')
            .filter(|n| !n.is_empty())
            .map(PathBuf::from)
            .filter(|p| root.join(p).is_file())
            .collect();
    }
    let (mut all, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(under) = open.pop() {
        for entry in fs::read_dir(root.join(&under)).expect("a folder") {
            let path = under.join(entry.expect("an entry").file_name());
            let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            match root.join(&path).is_dir() {
                _ if hidden || path == Path::new("target") => {}
                true => open.push(path),
                false => all.push(path),
            }
        }
    }
    all
}

/// Tracked files that are text, with their text.
fn texts() -> Vec<(PathBuf, String)> {
    let root = repository();
    let text = |path: PathBuf| fs::read_to_string(root.join(&path)).ok().map(|text| (path, text));
    let texts: Vec<_> = tracked().into_iter().filter_map(text).collect();
    assert!(texts.len() > 100, "only {} files", texts.len());
    texts
}

fn is(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
}

/// Rust or CUDA without its comments, strings and characters: each becomes a space, lines stay.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i) = (String::with_capacity(text.len()), 0);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    while i < chars.len() {
        let start = i;
        let raw = (at(i) == 'r' || at(i) == 'b' && at(i + 1) == 'r') && (i == 0 || !word(at(i - 1)));
        let hashes = |from: usize| (from..).take_while(|j| at(*j) == '#').count();
        let first = if at(i) == 'b' { i + 2 } else { i + 1 };
        if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if raw && at(first + hashes(first)) == '"' {
            let count = hashes(first);
            i = first + count + 1;
            while i < chars.len() && !(at(i) == '"' && hashes(i + 1) >= count) {
                i += 1;
            }
            i += 1 + count;
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else {
            out.push(at(i));
            i += 1;
            continue;
        }
        out.push(' ');
        out.extend(chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n'));
    }
    out
}

/// Whether an identifier occurs.
fn names(code: &str, identifier: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == identifier)
}

fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn the_reader_of_code_sees_code_only() {
    let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" 'i' '\\'' r#\"j \" k\"# &'l str r\"m\" br\"n\" bar\"o\"";
    assert_eq!(code(text).split_whitespace().collect::<Vec<_>>(), ["a", "e", "&'l", "str", "bar"]);
    assert_eq!(code("1 \"2\n3\" 4\n5").lines().count(), 3);
    assert!(names("x.unsafe{", "unsafe") && !names("unsafe_code", "unsafe"));
}

#[test]
fn no_file_is_long() {
    let long =
        texts().into_iter().filter(|(path, text)| is(path, &["rs", "cu", "cuh", "py"]) && text.lines().count() > 500);
    none("over 500 lines", long.map(|(path, text)| format!("{}: {}", path.display(), text.lines().count())).collect());
}

#[test]
fn unsafe_lives_where_it_may() {
    let may = |path: &Path| path.starts_with("kernels") || path == Path::new("datasets/src/mmap.rs");
    let rust = texts().into_iter().filter(|(path, text)| is(path, &["rs"]) && names(&code(text), "unsafe"));
    let (at_home, abroad): (Vec<_>, Vec<_>) = rust.map(|(path, _)| path).partition(|path| may(path));
    none("unsafe elsewhere", abroad.iter().map(|path| path.display().to_string()).collect());
    assert!(at_home.iter().any(|path| path.ends_with("mmap.rs")), "the search finds none at all");
}

#[test]
fn crates_depend_in_one_direction() {
    let own = ["datasets", "kernels", "stages", "pipeline"];
    for (name, may) in
        [("datasets", &[][..]), ("kernels", &[]), ("stages", &["datasets", "kernels"]), ("pipeline", &own[..3])]
    {
        let manifest = fs::read_to_string(repository().join(name).join("Cargo.toml")).expect("a manifest");
        let mut section = String::new();
        let mut found = Vec::new();
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            } else if section.contains("dependencies") {
                let dependency = line.split(['=', '.', ' ']).next().unwrap_or_default();
                let dependency = dependency.trim_start_matches("refrain-");
                found.extend(own.contains(&dependency).then(|| dependency.to_owned()));
            }
        }
        let wrong: Vec<String> = found.into_iter().filter(|d| !may.contains(&d.as_str())).collect();
        none(&format!("{name} depends on"), wrong);
    }
}

#[test]
fn networks_metrics_and_data_know_no_dataflow() {
    let free = ["stages/src/model", "stages/src/metric", "datasets", "kernels"];
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        let code = if is(&path, &["rs"]) { code(&text) } else { text };
        let dataflow = ["timely", "differential_dataflow", "differential"].iter().any(|word| names(&code, word));
        if is(&path, &["rs", "toml"]) && free.iter().any(|folder| path.starts_with(folder)) && dataflow {
            wrong.push(path.display().to_string());
        }
    }
    none("dataflow in", wrong);
}

/// The verbs that `refrain stages` lists.
fn verbs() -> Vec<String> {
    let said = say(&["stages"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let verb = |line: &str| {
        let (verb, _) = line.split_once(": ")?;
        verb.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_').then(|| verb.to_owned())
    };
    said.out.lines().filter_map(verb).collect()
}

#[test]
fn every_verb_has_a_case() {
    let verbs = verbs();
    assert!(verbs.len() >= 11 && verbs.contains(&"ingest".to_owned()), "{verbs:?}");
    let cases = repository().join("tests/cases");
    for file in ["manifest.toml", "expected.json"] {
        let lacks = verbs.iter().filter(|verb| !cases.join(verb).join(file).is_file());
        none(&format!("no {file}"), lacks.cloned().collect());
    }
}

#[test]
fn every_shipped_manifest_is_accepted() {
    let manifests: Vec<PathBuf> = tracked().into_iter().filter(|path| path.starts_with("manifests")).collect();
    assert!(manifests.len() >= 2, "{manifests:?}");
    for path in manifests.iter().filter(|path| is(path, &["toml"])) {
        let output = refrain(&["check"]).arg(repository().join(path)).output().expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{said}", path.display());
    }
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
