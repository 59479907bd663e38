//! Nothing changed: a shortcut for a run whose sources, looked at as ever, are those of the last published run of its name.
//!
//! Such a run need not go through the dataflow to find every result remembered. It is taken only where plan, sources,
//! pins and versions are the same, nothing failed, and the store still holds every receipt, every object that these name,
//! and the published tree. It says and leaves behind what the long way would: a test compares them.

use crate::{
    execute::Outcome,
    history::{self, History, Published},
    lock::Lock,
    plan::Plan,
    run::Facts,
    summary::Summary,
};
use datasets::{
    Digest, Key,
    store::{Store, StoreError},
};
use serde::{Deserialize, Serialize};
use stages::{flow::Env, stage::Refresh};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What the last published run leaves for one that changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Everything that the run rests on.
    key: Digest,
    /// Digest of its record.
    record: Digest,
    /// The files of its tree.
    files: Vec<PathBuf>,
    /// What it says.
    summary: Summary,
}

/// Everything that a run rests on beside its store; none where the long way must be taken.
pub(crate) fn key(plan: &Plan, facts: &Facts, pins: &[Option<Digest>], lock: &Lock, env: &Env) -> Option<Digest> {
    // Lists of withdrawn tracks reach back into other runs; a source that failed is tried again.
    if facts.unreadable || !env.optouts.is_empty() {
        return None;
    }
    let key = Key::new("settled").digest(&plan.digest()).digest(&facts.inputs).text(env!("CARGO_PKG_VERSION"));
    let mut key = history::versions().iter().fold(key, |key, (what, version)| key.text(what).text(version));
    for (stage, pin) in plan.stages.iter().zip(pins) {
        key = key.text(&stage.name).number(stage.max_dropped.map_or(u64::MAX, f64::to_bits));
        key = match pin {
            Some(weights) => key.number(1).digest(weights),
            None => key.number(0),
        };
    }
    if plan.stages.iter().any(|stage| stage.ready.refresh() == Some(Refresh::Pinned)) {
        let path = std::path::absolute(lock.path()).ok()?;
        key = key.bytes(path.as_os_str().as_encoded_bytes());
    }
    Some(key.finish())
}

impl Settled {
    /// Of a run that was published; none where the next one may have more to do.
    pub fn of(key: Option<Digest>, outcome: &Outcome, published: &Published, summary: &Summary) -> Option<Settled> {
        let failed = outcome.stages.iter().flat_map(|stage| stage.dropped.iter()).any(|row| row.failed);
        let record = fs::read(published.folder.join(crate::publish::RECORD)).ok()?;
        let mut files = Vec::new();
        list(&published.folder, Path::new(""), &mut files).ok()?;
        files.sort();
        let settled = Settled { key: key?, record: Digest::of(&record), files, summary: summary.again() };
        (!failed).then_some(settled)
    }
}

/// The files below a folder, in any order.
fn list(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => list(root, &path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// The last published run of a name, and what it says again, where a run of this key would only find it.
///
/// # Errors
/// When the disk refuses.
pub fn recall(
    history: &History,
    key: Option<Digest>,
    store: &Store,
) -> Result<Option<(Published, Summary)>, StoreError> {
    let Some(settled) = history.settled.as_ref().filter(|settled| key == Some(settled.key)) else { return Ok(None) };
    let folder = store.runs().join(&history.run);
    let record = fs::read(folder.join(crate::publish::RECORD));
    if !record.is_ok_and(|record| Digest::of(&record) == settled.record)
        || !settled.files.iter().all(|path| folder.join(path).is_file())
    {
        return Ok(None);
    }
    let whole = match store.root_of(&history.run)? {
        Some(root) => root.keys.iter().all(|key| store.complete(key)),
        None => false,
    };
    let published = Published { run: history.run.clone(), folder, known: true };
    Ok(whole.then(|| (published, settled.summary.clone())))
}
