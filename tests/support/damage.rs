//! Damage on purpose: a flipped bit or a cut in a file of the store that nobody chose.

use super::{
    Draw, PATIENCE, run, stopped,
    support::{Place, Said, assert_same, ended, tree},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};

/// Files of the store but those that a process is writing, which have names of their own.
fn kept_files(place: &Place) -> Vec<PathBuf> {
    let hidden = |path: &Path| path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    let all = walk(&place.store());
    let inside = |path: &PathBuf| path.strip_prefix(place.store()).is_ok_and(|path| !hidden(path));
    all.into_iter().filter(inside).collect()
}

/// Every file under a folder, as far as it is still there when it is looked at.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Flips a bit in a file of the store or cuts it. Gives what it did and the file's inode.
pub fn damage(place: &Place, draw: &mut Draw) -> Option<(String, u64)> {
    let files = kept_files(place);
    // Of each folder as often: most files are objects.
    let folder = |path: &Path| path.strip_prefix(place.store()).ok()?.iter().next().map(ToOwned::to_owned);
    let folders: BTreeSet<_> = files.iter().filter_map(|path| folder(path)).collect();
    let chosen = folders.iter().nth(draw.below(folders.len().max(1) as u64) as usize)?;
    let files: Vec<&PathBuf> = files.iter().filter(|path| folder(path).as_ref() == Some(chosen)).collect();
    let path = files[draw.below(files.len() as u64) as usize];
    let length = fs::metadata(path).ok()?.len();
    if length == 0 {
        return None;
    }
    let mut rights = fs::metadata(path).ok()?.permissions();
    rights.set_mode(0o644);
    fs::set_permissions(path, rights).ok()?;
    let file = File::options().read(true).write(true).open(path).ok()?;
    let inode = file.metadata().ok()?.ino();
    let (at, what) = (draw.below(length), draw.below(3));
    let did = match what {
        0 => {
            file.set_len(at).ok()?;
            format!("{} cut to {at} of {length} bytes", path.display())
        }
        _ => {
            let (mut byte, bit) = ([0], draw.below(8));
            file.read_exact_at(&mut byte, at).ok()?;
            byte[0] ^= 1 << bit;
            file.write_all_at(&byte, at).ok()?;
            format!("bit {bit} of byte {at} of {length} flipped in {}", path.display())
        }
    };
    Some((did, inode))
}

/// Whether a file, by its inode, is part of a published tree: nobody reads those again until `store verify` does.
pub fn published(place: &Place, inode: u64) -> bool {
    walk(&place.store().join("runs")).iter().any(|path| fs::metadata(path).is_ok_and(|facts| facts.ino() == inode))
}

/// What a run makes of damage: it ends well, with the bytes of one without, or says so with exit code 4. A tree that holds
/// the damaged file itself is found by `store verify`.
pub fn notices(said: &Said, did: &str, in_tree: bool, whole: &BTreeMap<PathBuf, Vec<u8>>) {
    match said.code {
        Some(0) if in_tree => {}
        // What came with pinned weights cannot be made again without training anew; the run says that it is gone.
        Some(0) if said.out.contains("its curves and lineage are not in this store") => {}
        Some(0) => assert_same(did, &tree(&said.folder()), whole),
        _ => stopped(said),
    }
}

/// A run that cannot say anything does its work, and says by its exit code if nobody has its answer.
pub fn speechless(place: &Place, build: usize, channel: &str, draw: &mut Draw) {
    let mut command = run(place, build, draw, &["-w", "2"]);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a full disk"));
    // The reading end is gone before anything is written.
    let closed = || Stdio::from(std::io::pipe().expect("a pipe").1);
    let (command, right) = match channel {
        "stderr closed" => (command.stderr(closed()).stdout(Stdio::null()), 0),
        "stderr full" => (command.stderr(full()).stdout(Stdio::null()), 0),
        "stdout closed" => (command.stdout(closed()).stderr(Stdio::null()), 0),
        _ => (command.stdout(full()).stderr(Stdio::null()), 8),
    };
    let mut child = command.spawn().expect("the binary starts");
    assert_eq!(ended(&mut child, PATIENCE).code(), Some(right), "{channel}");
}
