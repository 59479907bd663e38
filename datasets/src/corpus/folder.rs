//! The `"folder"` corpus: every regular file under a root.

use super::adapter::{Adapter, Carry, Evidence, Listing, Place};
use super::evidence::{Stated, in_sidecars};
use super::sidecar::{SIDECARS, Sidecar, SidecarRow};
use super::{Complaint, Entry, Oddity, Scan, ScanError, key_of};
use crate::row::{Found, Labels, Origin};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Lists every regular file under `root` but sidecars (`tracks.csv`, `.json`, `.jsonl`) and
/// whatever has a name that begins with a dot, with what the sidecars state about it.
///
/// Links to files are followed. Links to folders are followed once all real folders are listed,
/// in order of their keys, and each folder is listed once: a link to a folder that is already
/// listed, or that holds the root, is a complaint. So loops end, and real paths go before links.
///
/// Of several sidecars that describe a file the one in the deeper folder wins, field by field;
/// in one folder the order of [`SIDECARS`] decides.
///
/// # Errors
/// A root that cannot be listed, or a sidecar that is broken. Everything else that is odd is a
/// [`Complaint`], and the scan goes on.
pub fn scan(root: &Path) -> Result<Scan, ScanError> {
    scan_without(root, &[])
}

/// [`scan`] that passes over the files and folders `left_out`, and over links to them.
///
/// # Errors
/// See [`scan`].
fn scan_without(root: &Path, left_out: &[PathBuf]) -> Result<Scan, ScanError> {
    let unreadable = |source| ScanError::Read { path: root.to_owned(), source };
    if !fs::metadata(root).map_err(unreadable)?.is_dir() {
        return Err(ScanError::NotAFolder(root.to_owned()));
    }
    fs::read_dir(root).map_err(unreadable)?;
    let home = fs::canonicalize(root).map_err(unreadable)?;
    let mut walk = Walk {
        root,
        home,
        left_out: left_out.iter().filter_map(|path| fs::canonicalize(path).ok()).collect(),
        inodes: left_out.iter().filter_map(|path| fs::metadata(path).ok().map(|facts| inode(&facts))).collect(),
        entries: Vec::new(),
        sidecars: BTreeSet::new(),
        links: BTreeMap::new(),
        listed: BTreeSet::new(),
        complaints: Vec::new(),
    };
    walk.folder(PathBuf::new());
    while let Some((key, folder)) = walk.links.pop_first() {
        walk.link(key, folder);
    }
    let mut scan = Scan { entries: walk.entries, complaints: walk.complaints };
    scan.entries.sort();
    for pair in scan.entries.windows(2) {
        if pair[0].key == pair[1].key {
            scan.complaints.push(Complaint {
                key: pair[1].key.clone(),
                oddity: Oddity::DuplicateKey,
                sentence: "another file has this key once names are normalised".to_owned(),
            });
        }
    }
    describe(root, &walk.sidecars, &mut scan)?;
    scan.complaints.sort();
    Ok(scan)
}

/// A folder of files with sidecars.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder.
    pub root: PathBuf,
    /// Which further columns of its sidecars are carried along.
    pub carry: Carry,
    /// Files and folders that are no part of it, wherever they lie.
    pub left_out: Vec<PathBuf>,
}

impl Adapter for Folder {
    fn leave_out(&mut self, paths: Vec<PathBuf>) {
        self.left_out = paths;
    }

    fn scan(&self, take: &(dyn Fn(usize, Vec<Entry>) + Sync)) -> Result<Listing, ScanError> {
        let mut found = scan_without(&self.root, &self.left_out)?;
        for entry in &mut found.entries {
            entry.labels.extra.retain(|column, _| self.carry.takes(column));
        }
        take(0, found.entries);
        // What is odd about a folder is a row too, unless the file itself is there and stands for it.
        let odd = found.complaints.into_iter().filter(|complaint| complaint.oddity != Oddity::DuplicateKey);
        let row = |Complaint { key, oddity, sentence }| {
            let origin = match oddity {
                Oddity::UnreadableFolder | Oddity::UnreadableLink => Origin::Unreadable(sentence),
                _ => Origin::Unusable(oddity.code().into(), sentence),
            };
            Found::bare(key, origin)
        };
        Ok(odd.map(row).collect::<Vec<_>>().into())
    }

    fn evidence(&self, key: &str, _: Option<&str>) -> Result<Option<Evidence>, ScanError> {
        let stated = in_sidecars(&self.root, key)?.map(|(file, Stated { license, row, line })| Evidence {
            license,
            place: Place::Sidecar { file, row, line },
        });
        Ok(stated.or_else(|| Evidence::in_tags(&self.root.join(key))))
    }
}

fn inode(facts: &fs::Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

struct Walk<'a> {
    root: &'a Path,
    /// The root without links.
    home: PathBuf,
    /// What is passed over, without links.
    left_out: BTreeSet<PathBuf>,
    /// Device and inode of each.
    inodes: BTreeSet<(u64, u64)>,
    entries: Vec<Entry>,
    /// Paths under the root, of sidecars.
    sidecars: BTreeSet<PathBuf>,
    /// Links to folders that wait for the real folders, by key, as paths under the root.
    links: BTreeMap<String, PathBuf>,
    /// Folders listed, without links.
    listed: BTreeSet<PathBuf>,
    complaints: Vec<Complaint>,
}

impl Walk<'_> {
    fn complain(&mut self, key: String, oddity: Oddity, sentence: impl Into<String>) {
        self.complaints.push(Complaint { key, oddity, sentence: sentence.into() });
    }

    fn link(&mut self, key: String, folder: PathBuf) {
        let target = match fs::canonicalize(self.root.join(&folder)) {
            Ok(target) => target,
            Err(error) => return self.no_target(key, &error),
        };
        if self.home.starts_with(&target) {
            let sentence = "the link leads to a folder that holds it";
            return self.complain(key, Oddity::RepeatedFolder, sentence);
        }
        self.folder(folder);
    }

    /// Lists a folder and all real folders in it; `under` is its path under the root.
    fn folder(&mut self, under: PathBuf) {
        let mut pending = vec![under];
        while let Some(under) = pending.pop() {
            let path = self.root.join(&under);
            let canonical = fs::canonicalize(&path);
            let listing = canonical.and_then(|path| Ok((path.clone(), fs::read_dir(path)?)));
            let (canonical, listing) = match listing {
                Ok(found) => found,
                Err(error) => {
                    let key = key_of(&under);
                    self.complain(key, Oddity::UnreadableFolder, error.to_string());
                    continue;
                }
            };
            if self.left_out.contains(&canonical) {
                continue;
            }
            // Files are told by their names: looking at each would double the cost of a scan.
            let beside: BTreeSet<OsString> = self
                .left_out
                .iter()
                .filter(|path| path.parent() == Some(&*canonical))
                .filter_map(|path| path.file_name().map(OsString::from))
                .collect();
            if !self.listed.insert(canonical) {
                let sentence = "the folder is listed under another name";
                self.complain(key_of(&under), Oddity::RepeatedFolder, sentence);
                continue;
            }
            for found in listing {
                let found = found.and_then(|found| Ok((found.file_name(), found.file_type()?)));
                let (name, kind) = match found {
                    Ok(found) => found,
                    Err(error) => {
                        let key = key_of(&under);
                        self.complain(key, Oddity::UnreadableFolder, error.to_string());
                        continue;
                    }
                };
                if name.as_encoded_bytes().starts_with(b".") || beside.contains(&name) {
                    continue;
                }
                let child = under.join(name);
                match kind.is_symlink() {
                    false if kind.is_dir() => pending.push(child),
                    false if kind.is_file() => self.file(child),
                    false => self.not_a_file(&child),
                    true => match fs::metadata(self.root.join(&child)) {
                        Ok(target) if target.is_dir() => {
                            self.links.insert(key_of(&child), child);
                        }
                        Ok(target) if self.inodes.contains(&inode(&target)) => {}
                        Ok(target) if target.is_file() => self.file(child),
                        Ok(_) => self.not_a_file(&child),
                        Err(error) => self.no_target(key_of(&child), &error),
                    },
                }
            }
        }
    }

    /// A link whose target cannot be had: it is not there, or the disk does not say.
    fn no_target(&mut self, key: String, error: &io::Error) {
        let passing = [ErrorKind::PermissionDenied, ErrorKind::StaleNetworkFileHandle, ErrorKind::TimedOut];
        // EIO has no kind of its own.
        let unread = passing.contains(&error.kind()) || error.raw_os_error() == Some(5);
        let oddity = if unread { Oddity::UnreadableLink } else { Oddity::BrokenLink };
        self.complain(key, oddity, error.to_string());
    }

    fn not_a_file(&mut self, child: &Path) {
        let sentence = "it is a pipe, socket or device";
        self.complain(key_of(child), Oddity::NotAFile, sentence);
    }

    fn file(&mut self, under: PathBuf) {
        let name = under.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| SIDECARS.contains(&name)) {
            self.sidecars.insert(under);
            return;
        }
        self.entries.push(Entry {
            key: key_of(&under),
            path: self.root.join(under),
            license: None,
            labels: Labels::default(),
            digest: None,
        });
    }
}

/// Reads the sidecars and gives their statements to the entries, which are sorted by key.
fn describe(root: &Path, sidecars: &BTreeSet<PathBuf>, scan: &mut Scan) -> Result<(), ScanError> {
    // Deeper folders first, then by precedence, so that the first to state a field wins.
    let mut order: Vec<(Reverse<usize>, usize, &PathBuf)> = Vec::new();
    for under in sidecars {
        let name = under.file_name().and_then(|name| name.to_str());
        let rank = SIDECARS.iter().position(|own| Some(*own) == name);
        let depth = under.components().count();
        order.push((Reverse(depth), rank.unwrap_or_default(), under));
    }
    order.sort();
    for (_, _, under) in order {
        let folder = under.parent().map(key_of).unwrap_or_default();
        let sidecar = Sidecar::read(&root.join(under), &folder)?;
        let name = key_of(under);
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for row in sidecar.rows {
            let place = match row.line {
                Some(line) => format!("{name}:{line}"),
                None => format!("{name}, row {}", row.row),
            };
            let mut complain = |key: &str, oddity, what: &str| {
                scan.complaints.push(Complaint { key: key.to_owned(), oddity, sentence: format!("{place} {what}") });
            };
            let Some(key) = find(&scan.entries, &row, &folder) else {
                match &row.key {
                    Some(key) => complain(key, Oddity::MissingFile, "describes this file, which is not there"),
                    None => complain(&row.path, Oddity::OutsideRoot, "describes a file outside the root"),
                }
                continue;
            };
            if !seen.insert(key.clone()) {
                let what = "describes this file again; what came first holds";
                complain(&key, Oddity::DuplicateRow, what);
            }
            let first = scan.entries.partition_point(|entry| entry.key < key);
            for entry in &mut scan.entries[first..] {
                if entry.key != key {
                    break;
                }
                entry.license = entry.license.take().or_else(|| row.license.clone());
                entry.labels.fill_from(&row.labels);
            }
        }
    }
    Ok(())
}

/// The key of the file that a row describes, if it is there. A path that is found neither as
/// written nor in NFC may have been written on Windows.
fn find(entries: &[Entry], row: &SidecarRow, folder: &str) -> Option<String> {
    let there = |key: &String| entries.binary_search_by(|entry| entry.key.cmp(key)).is_ok();
    let windows = || {
        let path = row.path.contains('\\').then(|| row.path.replace('\\', "/"))?;
        super::resolve(folder, &path)
    };
    row.key.clone().filter(there).or_else(|| windows().filter(there))
}
