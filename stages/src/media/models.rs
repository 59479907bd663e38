//! Models in the store: loaded, described, and found again by their digest.

use crate::{
    flow::Env,
    model::{codec::Codec, prior::config::Prior},
    rows::scan::Scan,
    stage::SourceError,
};
use datasets::{
    Digest, Key,
    effect::Fault,
    row::{self, Found, Labels, Origin, Weights},
    store::{Memo, Store, StoreError},
};
use std::{collections::BTreeSet, path::Path};

/// Reads a codec from the store.
pub(crate) fn load(env: &Env, digest: &Digest) -> Result<Codec, Fault> {
    let bytes = env.store.get(digest)?;
    Codec::load(&bytes).map_err(|e| Fault::Failed(format!("the codec {} cannot be used: {e}", digest.short(12))))
}

/// Reads a prior from the store.
pub(crate) fn load_prior(store: &Store, digest: &Digest) -> Result<Prior, Fault> {
    let bytes = store.get(digest)?;
    Prior::load(&bytes).map_err(|e| Fault::Failed(format!("the prior {} cannot be used: {e}", digest.short(12))))
}

/// The row of a codec that was trained in this store, for later runs that pin it.
fn trained(digest: &Digest) -> Memo<Weights> {
    Memo::at(Key::new("weights").digest(digest).finish())
}

/// The row of a prior that was trained in this store and the view of the shards that it learned from, for later runs
/// that pin it.
pub(crate) fn trained_prior(digest: &Digest) -> Memo<(row::Prior, Digest)> {
    Memo::at(Key::new("prior").digest(digest).finish())
}

/// The digests of all samples that a codec was trained on, as far as this store knows.
pub(crate) fn known(store: &Store, digest: &Digest) -> BTreeSet<Digest> {
    let lineage = trained(digest).get(store).and_then(|weights| weights.lineage);
    let samples = lineage.and_then(|lineage| store.get(&lineage).ok()).unwrap_or_default();
    Digest::list(&samples).collect()
}

/// The row of a codec in the store: what its training said of it, or else what its file says, and then the summary of
/// `stage` tells what is lacking.
pub(crate) fn recall(env: &Env, stage: &str, digest: &Digest) -> Result<Weights, Fault> {
    if let Some(weights) = trained(digest).get(&env.store) {
        return Ok(weights);
    }
    let weights = describe(&load(env, digest)?, *digest);
    env.ledger.note(stage, format!("{stage} pinned, its curves and lineage are not in this store"));
    Ok(weights)
}

/// Remembers the row of a codec, so that it can be pinned.
pub(crate) fn remember(store: &Store, weights: &Weights) -> Result<(), StoreError> {
    trained(&weights.digest).put(store, weights, &objects(weights)).map(drop)
}

/// The objects that a codec's row names.
pub(crate) fn objects(weights: &Weights) -> Vec<Digest> {
    [Some(weights.digest), weights.curves, weights.lineage].into_iter().flatten().collect()
}

/// The scan of a source that is one file: its digest and size, found again under its path.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn scan_file(env: &Env, path: &Path) -> Result<Scan, SourceError> {
    let read = |path: &Path| -> std::io::Result<(Digest, u64)> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(datasets::untrusted::open(path)?)?;
        Ok((Digest(*hasher.finalize().as_bytes()), hasher.count()))
    };
    let (content, bytes) =
        read(path).map_err(|e| SourceError::Unreadable(format!("cannot read the weights {}: {e}", path.display())))?;
    env.sources.add(content, path);
    let origin = Origin::File { content, bytes };
    let found = Found { key: content.short(12), origin, shared: false, license: None, labels: Labels::default() };
    Ok(std::iter::once(found).collect())
}

/// The refusal of a file that is no codec.
pub(crate) fn no_codec(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::refused("not-a-codec", format!("{} is no codec: {why}", path.display()))
}

/// Makes the row of a codec whose file is in the store.
pub(crate) fn describe(codec: &Codec, digest: Digest) -> row::Weights {
    let config = codec.config();
    row::Weights {
        digest,
        rate: config.rate,
        hops: config.levels.iter().map(|l| l.hop() as u32).collect(),
        codewords: config.levels.iter().map(|l| l.codewords as u32).collect(),
        curves: None,
        lineage: None,
        channels: config.channels as u16,
        license: None,
        source: None,
    }
}
