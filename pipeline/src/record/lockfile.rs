//! The lock file beside a manifest: names the weights that each pinned stage uses.
//!
//! `<manifest file stem>.lock`, a line per stage and settings: stage, digest of the settings, digest of
//! the weights. Written when a run publishes.

use crate::plan::PlannedStage;
use datasets::{
    Digest,
    store::{StoreError, Temp, replace},
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// The lock file of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    path: PathBuf,
    lines: BTreeMap<(String, Digest), Digest>,
    /// Locks of the manifests that this one extends, the nearest first: their pins hold unless this lock says
    /// otherwise.
    bases: Vec<Lock>,
}

const HEAD: &str = "# Weights in use by stages with refresh = \"pinned\": stage, digest of its settings, digest of the weights.\n\
                    # Written by refrain; `refrain run MANIFEST --refresh STAGE` trains anew.\n";

impl Lock {
    /// Reads the lock of a manifest; an absent one is empty.
    ///
    /// # Errors
    /// A sentence where it cannot be read or a line is not one of ours.
    pub fn read(manifest: &Path) -> Result<Lock, String> {
        Lock::at(manifest.with_extension("lock"))
    }

    /// Reads a lock file; an absent one is empty.
    ///
    /// # Errors
    /// A sentence where it cannot be read or a line is not one of ours.
    pub fn at(path: PathBuf) -> Result<Lock, String> {
        let text = match datasets::untrusted::text(&path, datasets::untrusted::LARGEST_TEXT) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock { path, ..Lock::default() }),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let mut lines = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let entry = match words[..] {
                [stage, settings, weights] => {
                    settings.parse().and_then(|settings| Ok(((stage.to_owned(), settings), weights.parse()?)))
                }
                _ => Err("expected a stage and two digests".to_owned()),
            };
            let (key, weights) =
                entry.map_err(|why| format!("{}:{}: {why}; mend the line or delete it", path.display(), number + 1))?;
            lines.insert(key, weights);
        }
        Ok(Lock { path, lines, bases: Vec::new() })
    }

    /// Reads the lock of a manifest and of those that it extends, the nearest first.
    ///
    /// # Errors
    /// See [`Lock::read`].
    pub fn read_all(manifest: &Path, bases: &[PathBuf]) -> Result<Lock, String> {
        let bases = bases.iter().map(|base| Lock::read(base)).collect::<Result<_, _>>()?;
        Ok(Lock { bases, ..Lock::read(manifest)? })
    }

    /// Path of the lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The weights of a stage with these settings, and the file that names them.
    pub fn get(&self, stage: &str, settings: &Digest) -> Option<(Digest, &Path)> {
        let line = (stage.to_owned(), *settings);
        let own = self.lines.get(&line).map(|weights| (*weights, self.path()));
        own.or_else(|| self.bases.iter().find_map(|base| base.get(stage, settings)))
    }

    /// The weights of a planned stage. A variant of a sweep that has no line of its own uses that of its stage: with the same
    /// settings it differs in what is no reason to train again, its seed or what it is fed.
    pub fn pin(&self, stage: &PlannedStage) -> Option<(Digest, &Path)> {
        let settings = stage.ready.digest();
        self.get(&stage.name, &settings).or_else(|| self.get(&stage.of, &settings))
    }

    /// All weights that it names.
    pub fn weights(&self) -> impl Iterator<Item = Digest> {
        self.lines.values().copied()
    }

    /// Sets the weights of a stage; true where that changes something.
    pub fn set(&mut self, stage: &str, settings: Digest, weights: Digest) -> bool {
        self.lines.insert((stage.to_owned(), settings), weights) != Some(weights)
    }

    /// Writes it. It lies among the user's files: a process that is killed here leaves no more than `.NAME.lock.tmp`, which
    /// the next one writes over.
    ///
    /// # Errors
    /// A sentence where the disk refuses.
    pub fn write(&self) -> Result<(), String> {
        let lines = self.lines.iter().map(|((stage, settings), weights)| format!("{stage} {settings} {weights}\n"));
        let text: String = std::iter::once(HEAD.to_owned()).chain(lines).collect();
        replace(&self.path, text.as_bytes()).map_err(|error| self.refused(&error))
    }

    /// Tries whether it could be written, and leaves no trace.
    ///
    /// # Errors
    /// See [`Lock::write`].
    pub fn writable(&self) -> Result<(), String> {
        Temp::at(&self.path).map(drop).map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &StoreError) -> String {
        let why = match error {
            StoreError::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        format!(
            "the lock file {} cannot be written: {why}. It lies beside the manifest and names the weights of stages with \
             `refresh = \"pinned\"`: make the folder {} writable, or run a copy of the manifest elsewhere",
            self.path.display(),
            folder.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reads_what_it_wrote_and_says_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = folder.path().join("m.toml");
        let mut lock = Lock::read(&manifest).expect("an empty lock");
        let (settings, weights) = (Digest::of(b"s"), Digest::of(b"w"));
        assert!(lock.set("codec", settings, weights));
        assert!(!lock.set("codec", settings, weights));
        lock.write().expect("written");
        let again = Lock::read(&manifest).expect("a lock");
        assert_eq!(again, lock);
        assert_eq!(again.get("codec", &settings), Some((weights, again.path())));
        // A manifest that extends this one uses its weights until it has its own.
        let heir = folder.path().join("heir.toml");
        let mut own = Lock::read_all(&heir, std::slice::from_ref(&manifest)).expect("both locks");
        assert_eq!(own.get("codec", &settings), Some((weights, lock.path())));
        assert!(own.set("codec", settings, Digest::of(b"own")));
        assert_eq!(own.get("codec", &settings), Some((Digest::of(b"own"), heir.with_extension("lock").as_path())));
        assert_eq!(again.get("codec", &Digest::of(b"other")), None);
        fs::write(lock.path(), "codec abc\n").expect("written");
        let why = Lock::read(&manifest).expect_err("broken");
        assert!(why.ends_with("m.lock:1: expected a stage and two digests; mend the line or delete it"), "{why}");
    }
}
