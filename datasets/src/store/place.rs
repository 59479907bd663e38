//! What a folder is that was named as a store: a store, a place where one can be made, or somebody else's folder.
//!
//! A store is made in a new or empty folder alone, and nothing is ever removed from another one. A folder is a store by
//! its file `format`; where that is lost or damaged, by what else only a store holds.

use super::{FORMAT, StoreError, log, receipts, temp_name, write_atomic};
use crate::Digest;
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// The folders of a store.
const FOLDERS: [&str; 7] = ["objects", "receipts", "roots", "history", "checkpoints", "pcm", "runs"];
/// Objects that are looked at in search of one whose name is its digest.
const OBJECTS: usize = 8;

/// What a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A store of this format.
    Store,
    /// A store whose file `format` is to be written: it is lost, damaged, or of an older format.
    Stale,
    /// No folder, or an empty one.
    Free,
}

/// Looks at a folder; changes nothing.
///
/// # Errors
/// It is a newer store, somebody's folder, or cannot be read.
pub(super) fn look(root: &Path) -> Result<Place, StoreError> {
    // A file, or a link that leads to one or nowhere.
    if fs::symlink_metadata(root).is_ok() && !root.is_dir() {
        return Err(StoreError::NoFolder(root.into()));
    }
    let path = root.join("format");
    // Another process may be making the store: its `format` comes before anything else.
    for _ in 0..3 {
        let text = match crate::untrusted::read(&path, crate::untrusted::LARGEST_TEXT) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        if let Some(text) = text {
            return of_format(root, &text);
        }
        let names = match names(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Free),
            names => names.map_err(StoreError::io("read", root))?,
        };
        if names.iter().any(|name| name == "format") {
            continue;
        }
        if hollow(root, &names).map_err(StoreError::io("read", root))? {
            return Ok(Place::Free);
        }
        if evident(root) {
            tracing::warn!("the store {} has lost its file `format`: it is written again", root.display());
            return Ok(Place::Stale);
        }
        break;
    }
    Err(StoreError::NotAStore(root.into()))
}

/// The place whose `format` holds these bytes.
fn of_format(root: &Path, text: &[u8]) -> Result<Place, StoreError> {
    let ours = format!("{FORMAT}\n");
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<u32>().ok());
    // What a cut or a flipped bit makes of it. A newer format says more than a number, so that it cannot be taken for one.
    let near = text.len() < ours.len()
        || text.len() == ours.len()
            && text.iter().zip(ours.as_bytes()).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() == 1;
    match number {
        Some(FORMAT) if text == ours.as_bytes() => return Ok(Place::Store),
        // The number is whole and what is beside it is not: a second bit would make it nobody's.
        Some(FORMAT) => return Ok(Place::Stale),
        // Its receipts did not say which objects they name: that work is done again.
        Some(number) if number < FORMAT => return Ok(Place::Stale),
        _ => {}
    }
    let names = names(root).map_err(StoreError::io("read", root))?;
    if near && (evident(root) || number.is_none() && hollow(root, &names).map_err(StoreError::io("read", root))?) {
        tracing::warn!("the file `format` of the store {} is damaged: it is written again", root.display());
        return Ok(Place::Stale);
    }
    Err(match number {
        Some(found) => StoreError::Newer { path: root.into(), found },
        None => StoreError::NotAStore(root.into()),
    })
}

/// Makes a folder a store.
///
/// # Errors
/// When the disk refuses.
pub(super) fn make(root: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(root).map_err(StoreError::io("create", root))?;
    write_atomic(&root.join("format"), format!("{FORMAT}\n").as_bytes())
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    // A name that is no text is nobody of ours, and still a name.
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Whether nothing lies there but what a process leaves that is killed while it makes a store, or a fresh disk has.
fn hollow(root: &Path, names: &[String]) -> io::Result<bool> {
    for name in names {
        let path = root.join(name);
        let facts = fs::symlink_metadata(&path)?;
        let ours = match name.as_str() {
            "format" => facts.is_file(),
            "lock" => facts.is_file() && facts.len() == 0,
            "lost+found" => facts.is_dir(),
            name if FOLDERS.contains(&name) => facts.is_dir() && no_files(&path)?,
            name => facts.is_file() && temp_name(name),
        };
        if !ours {
            return Ok(false);
        }
    }
    Ok(true)
}

fn no_files(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || !no_files(&entry.path())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether something lies there that only a store holds: a segment of receipts, or an object under its digest.
fn evident(root: &Path) -> bool {
    let segment = |path: &Path| -> bool {
        let mut start = Vec::new();
        let read = crate::untrusted::open(path).and_then(|file| file.take(1 << 12).read_to_end(&mut start));
        read.is_ok() && log::bodies(&start).next().is_some_and(receipts::is_first)
    };
    let segments = receipts::segments(&root.join("receipts")).unwrap_or_default();
    if segments.iter().any(|(_, path)| segment(path)) {
        return true;
    }
    let folders = names(&root.join("objects")).unwrap_or_default();
    let objects = folders.iter().flat_map(|first| {
        let folder = root.join("objects").join(first);
        let rest = names(&folder).unwrap_or_default();
        rest.into_iter()
            .filter_map(move |rest| Some((format!("{first}{rest}").parse::<Digest>().ok()?, folder.join(rest))))
    });
    objects.take(OBJECTS).any(|(name, path)| {
        crate::untrusted::read(&path, crate::untrusted::LARGEST).is_ok_and(|bytes| Digest::of(&bytes) == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memo, Store};

    #[test]
    fn only_a_new_or_empty_folder_becomes_a_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("deep/store");
        assert_eq!(look(&root).expect("free"), Place::Free);
        fs::create_dir_all(root.join("pcm/deeper")).expect("folders");
        fs::write(root.join(".12-ab-0.tmp"), "2").expect("what a killed process left");
        assert_eq!(look(&root).expect("free"), Place::Free);
        for (path, text) in [("pcm/take1.raw", "take"), (".x.tmp", "mine"), ("lock", "mine"), ("notes", "")] {
            fs::write(root.join(path), text).expect("written");
            assert!(matches!(look(&root), Err(StoreError::NotAStore(_))), "{path}");
            assert!(Store::open(&root).is_err() && Store::open_alone(&root).is_err() && Store::look(&root).is_err());
            assert_eq!(fs::read_to_string(root.join(path)).expect("there"), text);
            fs::remove_file(root.join(path)).expect("removed");
        }
        assert!(!root.join("format").exists());
        assert!(Store::open(&root).is_ok());
        assert_eq!(look(&root).expect("a store"), Place::Store);
    }

    #[test]
    fn a_damaged_format_is_written_again_where_the_folder_is_a_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let format = folder.path().join("format");
        let mut damaged: Vec<Vec<u8>> =
            (0..16).map(|bit| vec![b'2' ^ (1 << bit) as u8, b'\n' ^ (1 << bit >> 8) as u8]).collect();
        damaged.extend([b"".to_vec(), b"2".to_vec()]);
        for work in [false, true] {
            if work {
                let store = Store::open(folder.path()).expect("a store");
                Memo::at(Digest::of(b"key")).put(&store, &1u64, &[]).expect("put");
            }
            for text in &damaged {
                fs::write(&format, text).expect("written");
                // Without anything that a store holds, a higher number may be true.
                let newer = !work && matches!(text[..], [b'3' | b'6', b'\n']);
                assert_eq!(Store::open(folder.path()).is_ok(), !newer, "{text:?}");
                // So that no two bits add up, whatever the first of them leaves.
                assert!(newer || fs::read(&format).expect("a format") == b"2\n", "{text:?} is written again");
                fs::write(&format, "2\n").expect("written");
            }
        }
        fs::remove_file(&format).expect("removed");
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(Memo::<u64>::at(Digest::of(b"key")).get(&store), Some(1));
        drop(store);
        fs::write(&format, "9\n").expect("written");
        assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { found: 9, .. })));
    }
}
