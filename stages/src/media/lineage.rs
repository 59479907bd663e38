//! Lineage: the sound that a model was trained on.

use crate::{media::models, rows::AnyRow};
use datasets::{
    Digest,
    store::{Store, StoreError},
};
use std::collections::BTreeSet;

/// The digests of samples that objects list.
///
/// # Errors
/// When the store lacks one of them.
pub fn read<'o>(store: &Store, objects: impl IntoIterator<Item = &'o Digest>) -> Result<BTreeSet<Digest>, StoreError> {
    let mut samples = BTreeSet::new();
    for object in objects {
        samples.extend(Digest::list(&store.get(object)?));
    }
    Ok(samples)
}

/// Those that weights from a file were trained on, as far as they were trained in this store.
pub fn of_loaded(store: &Store, weights: &Digest) -> BTreeSet<Digest> {
    models::known(store, weights)
}

/// A model and the digests of all samples that it was trained on; `None` of a row that is no model.
///
/// # Errors
/// When the store lacks what a row names.
pub fn of(store: &Store, row: &AnyRow) -> Result<Option<(Digest, BTreeSet<Digest>)>, StoreError> {
    Ok(match row {
        AnyRow::Weights(weights) => {
            let loaded = || Ok(of_loaded(store, &weights.digest));
            Some((weights.digest, weights.lineage.as_ref().map_or_else(loaded, |lineage| read(store, [lineage]))?))
        }
        AnyRow::Prior(prior) => Some((prior.digest, read(store, [&prior.lineage])?)),
        _ => None,
    })
}
