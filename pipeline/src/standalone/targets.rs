//! The files that a command on plain files is to write: decided, and looked at, before any work starts.
//!
//! Nothing is overwritten that the command did not make. A file that is there already is replaced where its form shows that
//! this command wrote it, or with `--overwrite`; what the command reads and what is no file is never replaced.

use crate::error::Error;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Bytes of a file's name at most, on the file systems that there are.
const NAME: usize = 255;

/// Files in a complaint at most.
const SHOWN: usize = 3;

/// Refuses targets that may not be written. `sources` are files that the command reads; `own` tells whether the command
/// wrote a file that is there.
///
/// # Errors
/// [`Error::Usage`] with the names of the files that are in the way.
pub(super) fn free(
    targets: &[PathBuf],
    sources: &[PathBuf],
    overwrite: bool,
    own: impl Fn(&Path) -> bool,
) -> Result<(), Error> {
    if let Some(long) = targets.iter().find(|target| target.file_name().is_none_or(|name| name.len() > NAME)) {
        return Err(Error::Usage(format!("{} is too long a name for a file: choose a shorter one", long.display())));
    }
    let identity = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let read: Vec<_> = sources.iter().filter_map(|path| identity(path)).collect();
    let (mut taken, mut fixed) = (Vec::new(), Vec::new());
    for target in targets {
        let Ok(there) = fs::symlink_metadata(target) else { continue };
        // A link is replaced itself, and leads nowhere; what it leads to is not written to.
        let source = there.is_file() && read.contains(&(there.dev(), there.ino()));
        if source || !(there.is_file() || there.is_symlink()) {
            fixed.push(target);
        } else if !(overwrite || there.is_file() && own(target)) {
            taken.push(target);
        }
    }
    let named = |paths: &[&PathBuf]| {
        let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
        match paths.len().saturating_sub(SHOWN) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    };
    match (fixed.as_slice(), taken.as_slice()) {
        ([], []) => Ok(()),
        ([], taken) => Err(Error::Usage(format!(
            "there already, and not from this command: {}; nothing was done. Choose another --out, or replace with --overwrite",
            named(taken)
        ))),
        (fixed, _) => Err(Error::Usage(format!(
            "would be written over what this command reads, or over what is no file: {}; nothing was done. Choose another --out",
            named(fixed)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_did_not_make_is_in_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["mine", "own", "source"] {
            fs::write(at(name), name).expect("written");
        }
        fs::create_dir(at("folder")).expect("a folder");
        fs::hard_link(at("source"), at("again")).expect("a link");
        std::os::unix::fs::symlink(at("nowhere"), at("link")).expect("a link");
        let own = |path: &Path| path.ends_with("own");
        let may = |name: &str, overwrite| {
            free(&[at(name), at("new")], &[at("source")], overwrite, own).map_err(|error| error.code())
        };
        assert_eq!((may("new", false), may("own", false)), (Ok(()), Ok(())));
        assert_eq!((may("mine", false), may("link", false)), (Err(2), Err(2)));
        assert_eq!((may("mine", true), may("link", true)), (Ok(()), Ok(())));
        for fixed in ["source", "again", "folder"] {
            assert_eq!((may(fixed, false), may(fixed, true)), (Err(2), Err(2)), "{fixed}");
        }
        let long = free(&[at(&"n".repeat(256))], &[], true, own).expect_err("too long");
        assert!(long.to_string().contains("too long"), "{long}");
    }
}
