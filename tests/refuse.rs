//! Wrong manifests and exactly what is said about each.
//!
//! A case is a folder `tests/refuse/NN-name/`: `manifest.toml`, optionally `set.txt` (one `--set` a
//! line), `to.txt` (`--to`) and `path.txt` (what to load instead of `manifest.toml`), and
//! `expected.txt`. REFRAIN_BLESS=1 writes what is said now.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn line(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok().map(|text| text.trim_end().to_owned())
}

#[test]
fn wrong_manifests_are_refused_in_these_words() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/refuse");
    let mut cases: Vec<PathBuf> = fs::read_dir(&root)
        .expect("the cases")
        .map(|entry| entry.expect("a case").path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() >= 24, "only {} cases", cases.len());
    let bless = std::env::var_os("REFRAIN_BLESS").is_some();
    let mut failed = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Manifests are named as users name them: from where they are. This is the only test of its process.
        std::env::set_current_dir(&case).expect("the case's folder");
        let sets: Vec<String> =
            line(&case, "set.txt").iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        let manifest = line(&case, "path.txt").unwrap_or_else(|| "manifest.toml".to_owned());
        let to = line(&case, "to.txt");
        let Err(complaints) = pipeline::plan::load(Path::new(&manifest), &sets, to.as_deref()) else {
            failed.push(format!("{name}: loads without a complaint"));
            continue;
        };
        let said = complaints.render(false);
        assert!(!said.contains('\u{1b}'), "{name}: colours without being asked");
        assert_eq!(complaints.to_string().lines().count(), complaints.list().len() + 1, "{name}: one line each");
        if bless {
            fs::write("expected.txt", &said).expect("expected.txt is written");
        }
        let expected = fs::read_to_string("expected.txt").unwrap_or_default();
        if said != expected {
            failed.push(format!("{name}: expected\n{expected}\nfound\n{said}"));
        }
    }
    assert!(failed.is_empty(), "{}\n(REFRAIN_BLESS=1 accepts)", failed.join("\n\n"));
}
