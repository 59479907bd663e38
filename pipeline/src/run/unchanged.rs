//! Shortcut for a run that changes nothing: its sources, read as ever, are those of the last published run of its name.
//!
//! Such a run need not go through the dataflow to find every result remembered. It is taken only where plan, sources,
//! pins and versions are the same, nothing failed, and the store still holds every receipt, every object that these name,
//! and the published tree. It says and leaves behind what the long way would: a test compares them.

use crate::{
    plan::Plan,
    record::{
        history::{self, History},
        lockfile::Lock,
        published::Published,
        summary::Summary,
    },
    run::inputs::Facts,
};
use datasets::{
    Digest, Key,
    store::{Store, StoreError},
};
use stages::{flow::Env, stage::Refresh};

/// Key of everything that a run rests on beside its store. `None` if the shortcut must not be taken.
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

/// The last published run and its summary, if a run of this key would only find it again. `None` if it may have work to
/// do.
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
    let record = datasets::untrusted::read(&folder.join(crate::record::FILE), datasets::untrusted::LARGEST);
    if !record.is_ok_and(|record| Digest::of(&record) == settled.record)
        || !settled.files.iter().all(|path| folder.join(path).is_file())
    {
        return Ok(None);
    }
    let whole = match store.root_of(&history.run)? {
        Some(root) => root.keys.iter().all(|key| store.complete(key)),
        None => false,
    };
    let published = Published { run: history.run.clone(), folder, known: true, texts: Default::default() };
    Ok(whole.then(|| (published, settled.summary.clone())))
}
