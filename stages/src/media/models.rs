//! Models in the store: loaded, described, and found again by their digest.

use crate::{flow::Env, model::codec::Codec};
use datasets::{
    Digest, Key,
    effect::Fault,
    row::{self, Weights},
    store::{Store, StoreError},
};
use std::collections::BTreeSet;

/// A codec that lies in the store.
pub(crate) fn load(env: &Env, digest: &Digest) -> Result<Codec, Fault> {
    let bytes = env.store.get(digest)?;
    Codec::load(&bytes).map_err(|e| Fault::Failed(format!("the codec {} cannot be used: {e}", digest.short(12))))
}

/// The digests of all samples that a codec was trained on, as far as this store knows.
pub(crate) fn known(store: &Store, digest: &Digest) -> BTreeSet<Digest> {
    let about: Option<Weights> = store.receipt(&about(digest)).and_then(|b| postcard::from_bytes(&b).ok());
    let lineage = about.and_then(|w| w.lineage).and_then(|d| store.get(&d).ok()).unwrap_or_default();
    Digest::list(&lineage).collect()
}

/// Under this key lies what a training said of its weights, for later runs that pin them.
pub(crate) fn about(digest: &Digest) -> Digest {
    Key::new("weights").digest(digest).finish()
}

pub(crate) fn recall(env: &Env, digest: &Digest) -> Result<Weights, Fault> {
    if let Some(about) = env.store.receipt(&about(digest)).and_then(|b| postcard::from_bytes(&b).ok()) {
        return Ok(about);
    }
    Ok(describe(&load(env, digest)?, *digest))
}

/// Remembers what a row of weights says, so that they can be pinned.
pub(crate) fn remember(store: &Store, weights: &Weights) -> Result<(), StoreError> {
    match postcard::to_stdvec(weights) {
        Ok(bytes) => {
            let objects: Vec<Digest> =
                [Some(weights.digest), weights.curves, weights.lineage].into_iter().flatten().collect();
            store.remember_with(about(&weights.digest), &objects, &bytes)
        }
        Err(_) => Ok(()),
    }
}

/// What a row says about a codec's file that lies in the store.
pub(crate) fn describe(codec: &Codec, digest: Digest) -> row::Weights {
    let config = codec.config();
    row::Weights {
        digest,
        rate: config.rate,
        hops: config.levels.iter().map(|l| l.hop() as u32).collect(),
        codewords: config.levels.iter().map(|l| l.codewords as u32).collect(),
        curves: None,
        lineage: None,
    }
}
