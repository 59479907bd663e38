//! The invariants that ARCHITECTURE.md states, as far as a machine can check them.
//!
//! | file | holds |
//! |---|---|
//! | `boundaries` | which file, room and crate may use which |
//! | `channels` | who may write to standard output and standard error |
//! | `exports` | one public path for each type |
//! | `words` | what may stand in code and in literals |
//! | `source`, `resolve` | the crates as `syn` reads them, and what a path in them means |
//! | `files` | the files of the repository |

mod boundaries;
mod channels;
mod exports;
mod files;
mod resolve;
mod source;
#[path = "../support/mod.rs"]
mod support;
mod words;

use files::{is, none, texts, tracked};
use std::path::PathBuf;
use support::{refrain, repository, say};

#[test]
fn no_file_is_long() {
    let long =
        texts().into_iter().filter(|(path, text)| is(path, &["rs", "cu", "cuh", "py"]) && text.lines().count() > 500);
    none("over 500 lines", long.map(|(path, text)| format!("{}: {}", path.display(), text.lines().count())).collect());
}

/// The verbs that `refrain stages` lists.
pub fn verbs() -> Vec<String> {
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
