//! Publishing: a run's tree appears whole or not at all, under a name that follows from plan and inputs.
//!
//! Knows plan, outcome and record. Uses nothing of the commands above it.

pub mod bundle;
pub mod collect;
pub mod layout;
pub mod publication;
pub mod root;
pub mod run_json;
pub mod timing;
pub mod tracks;
pub mod withdrawal;

use crate::{
    error::Error,
    plan::Plan,
    publish::{
        publication::Run,
        timing::{timing, write_timing},
    },
    record::{self, Outline, kinds, published::Published, settled, summary::Summary, sweep_table},
    report::{self, attribution_md, html},
};
use datasets::{
    Digest,
    store::{Store, StoreError, sync_folder, write_atomic},
};
use rayon::prelude::*;
use stages::flow::Event;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

/// File name of the table of withdrawn tracks.
const QUARANTINE: &str = "quarantine.tsv";

/// Writes the tree of a run, or finds it there.
///
/// # Errors
/// When the store refuses, or a source of the report's sounds is gone.
pub fn publish(run: &Run<'_>) -> Result<Published, Error> {
    let store = &run.env.store;
    let name = run.name();
    let folder = store.runs().join(&name);
    let scores = kinds::scores(run.plan, run.outcome);
    let results = sweep_table::results(run.plan, &scores);
    let (files, works) = rayon::join(
        || layout::files(run.plan, run.outcome, run.corpus, results.as_ref(), store),
        || collect::attribution(run),
    );
    let files = files?;
    let mut texts = BTreeMap::from([(record::FILE, run_json::text(run, &name, &files, scores))]);
    if !run.withdrawn.tombstones.is_empty() {
        texts.insert(QUARANTINE, withdrawal::quarantine(&run.withdrawn.tombstones));
    }
    let same = |(name, text): (&&str, &String)| {
        datasets::untrusted::text(&folder.join(name), datasets::untrusted::LARGEST).is_ok_and(|own| own == *text)
    };
    let known = texts.iter().all(same) && whole(&folder, &files);
    let mut written = BTreeMap::new();
    if !known {
        run.env.event(Event::Publishing { run: name.clone() });
        let report = collect::report(run, results.as_ref(), works?, &name)?;
        let mut all = bundle::texts(run, &name, &files, &report)?;
        all.extend(texts.into_iter().map(|(name, text)| (PathBuf::from(name), text)));
        written = write_tree(store, &folder, &files, &report, &all)?;
    }
    let timing = timing(run.plan, &name, run.summary, run.workers, run.processes, run.started);
    write_timing(&folder, &timing)?;
    point_latest(&store.runs(), &name)?;
    Ok(Published { run: name, folder, known, texts: written })
}

/// Digests of the files of a tree that are no objects of the store, but for `timing.json`, which every run writes anew.
pub(crate) fn texts_of(folder: &Path) -> BTreeMap<PathBuf, Digest> {
    let mut files = Vec::new();
    let listed = settled::list(folder, Path::new(""), &mut files);
    let objects = Outline::read(folder).map(|record| record.files).unwrap_or_default();
    let text =
        |path: &PathBuf| *path != Path::new(record::timing::FILE) && !objects.contains_key(&*path.to_string_lossy());
    let digest = |path: PathBuf| {
        Some((
            path.clone(),
            Digest::of(&datasets::untrusted::read(&folder.join(&path), datasets::untrusted::LARGEST).ok()?),
        ))
    };
    listed.map(|()| files.into_iter().filter(text).filter_map(digest).collect()).unwrap_or_default()
}

fn whole(folder: &Path, files: &BTreeMap<PathBuf, Digest>) -> bool {
    let mut written = ["report.html", "ATTRIBUTION.md"].map(PathBuf::from).to_vec();
    let models: BTreeSet<&Path> =
        files.keys().filter(|path| path.starts_with("model")).filter_map(|p| p.parent()).collect();
    for folder in models {
        written.extend([bundle::CARD, bundle::ATTRIBUTION, bundle::INDEX].map(|name| folder.join(name)));
    }
    files.keys().chain(&written).all(|path| folder.join(path).is_file())
}

fn write_tree(
    store: &Store,
    folder: &Path,
    files: &BTreeMap<PathBuf, Digest>,
    report: &report::data::Report,
    texts: &BTreeMap<PathBuf, String>,
) -> Result<BTreeMap<PathBuf, Digest>, StoreError> {
    let runs = store.runs();
    // A tree under way is hidden; what a killed run left of one is in nobody's way.
    let temp = runs.join(format!(".{}.tmp", process::id()));
    let _ = fs::remove_dir_all(&temp);
    let written = fill(store, &temp, files, report, texts);
    let written = written.and_then(|digests| settle(&runs, &temp, folder).map(|()| digests));
    if written.is_err() {
        let _ = fs::remove_dir_all(&temp);
    }
    written
}

fn fill(
    store: &Store,
    temp: &Path,
    files: &BTreeMap<PathBuf, Digest>,
    report: &report::data::Report,
    texts: &BTreeMap<PathBuf, String>,
) -> Result<BTreeMap<PathBuf, Digest>, StoreError> {
    create(temp)?;
    // A damaged object must not be published: it is thrown away, and the next run makes it again.
    files.par_iter().try_for_each(|(_, digest)| store.check(digest).map(drop))?;
    for (path, digest) in files {
        let target = temp.join(path);
        if let Some(parent) = target.parent() {
            create(parent)?;
        }
        link(&store.path(digest), &target)?;
    }
    let write = |path: &Path, text: &str| -> Result<(PathBuf, Digest), StoreError> {
        write_atomic(&temp.join(path), text.as_bytes())?;
        Ok((path.to_owned(), Digest::of(text.as_bytes())))
    };
    let (page, works) = rayon::join(
        || write(Path::new("report.html"), &html(report)),
        || write(Path::new("ATTRIBUTION.md"), &attribution_md(report)),
    );
    // In the order of their names, in which the record comes last.
    let texts = texts.iter().map(|(path, text)| write(path, text));
    [page, works].into_iter().chain(texts).collect()
}

/// Gives a whole tree its name.
fn settle(runs: &Path, temp: &Path, folder: &Path) -> Result<(), StoreError> {
    if folder.exists() {
        // A damaged tree of the same run: out of the way first, so that at no time half of each is seen.
        let old = runs.join(format!(".{}.old", process::id()));
        // A killed process may have had this number: in a container most have.
        let _ = fs::remove_dir_all(&old);
        carry(folder, temp)?;
        rename(folder, &old)?;
        rename(temp, folder)?;
        let _ = fs::remove_dir_all(&old);
    } else {
        rename(temp, folder)?;
    }
    sync_folder(runs)
}

/// Takes what somebody has put into a tree over to the one that takes its place. Both are of one run: what the new one
/// lacks, no run wrote.
fn carry(old: &Path, new: &Path) -> Result<(), StoreError> {
    let mut files = Vec::new();
    settled::list(old, Path::new(""), &mut files).map_err(StoreError::io("read", old))?;
    let foreign = |path: &&PathBuf| **path != *Path::new(record::timing::FILE) && !new.join(path).exists();
    for path in files.iter().filter(foreign) {
        let target = new.join(path);
        target.parent().map_or(Ok(()), create)?;
        link(&old.join(path), &target)?;
    }
    Ok(())
}

fn create(folder: &Path) -> Result<(), StoreError> {
    datasets::store::fault::point("write")
        .and_then(|()| fs::create_dir_all(folder))
        .map_err(StoreError::io("create", folder))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    datasets::store::fault::point("rename").and_then(|()| fs::rename(from, to)).map_err(StoreError::io("rename", to))
}

/// A second name for an object; a copy where the disk has no second names.
fn link(object: &Path, target: &Path) -> Result<(), StoreError> {
    let linked = datasets::store::fault::point("write").and_then(|()| match fs::hard_link(object, target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => fs::copy(object, target).map(|_| ()),
        other => other,
    });
    linked.map_err(StoreError::io("write", target))
}

fn point_latest(runs: &Path, name: &str) -> Result<(), StoreError> {
    let latest = runs.join("latest");
    if fs::read_link(&latest).is_ok_and(|target| target == Path::new(name)) {
        return Ok(());
    }
    let temp = runs.join(format!(".{}.latest", process::id()));
    let _ = fs::remove_file(&temp);
    symlink(name, &temp).map_err(StoreError::io("write", &temp))?;
    rename(&temp, &latest)
}

/// Makes a tree that is there the last one: what publishing does where nothing changed.
///
/// # Errors
/// When the store refuses.
pub fn again(
    plan: &Plan,
    store: &Store,
    published: &Published,
    summary: &Summary,
    workers: usize,
    started: Instant,
) -> Result<(), StoreError> {
    let timing = timing(plan, &published.run, summary, workers, 1, started);
    write_timing(&published.folder, &timing)?;
    point_latest(&store.runs(), &published.run)
}
