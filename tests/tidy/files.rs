//! The files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file that git tracks, by its path in the repository; without git, every file but hidden and built ones.
pub fn tracked() -> Vec<PathBuf> {
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
pub fn texts() -> Vec<(PathBuf, String)> {
    let root = repository();
    let text = |path: PathBuf| fs::read_to_string(root.join(&path)).ok().map(|text| (path, text));
    let texts: Vec<_> = tracked().into_iter().filter_map(text).collect();
    assert!(texts.len() > 100, "only {} files", texts.len());
    texts
}

/// Whether a file's extension is one of these.
pub fn is(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
}

/// Fails with a list of what was found, if anything was.
pub fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}
