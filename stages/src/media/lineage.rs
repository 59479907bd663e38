//! Lineage: the sound that a model was trained on.

use crate::media::models;
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

/// The digests of all samples that weights from a file were trained on, as far as they were trained in this store.
pub fn of_loaded(store: &Store, weights: &Digest) -> BTreeSet<Digest> {
    models::known(store, weights)
}

/// The digests of all samples that a model was trained on. `lineage` are the objects that list them; without any, the weights
/// came from a file.
///
/// # Errors
/// When the store lacks what a row names.
pub fn of(store: &Store, model: &Digest, lineage: &[Digest]) -> Result<BTreeSet<Digest>, StoreError> {
    if lineage.is_empty() { Ok(of_loaded(store, model)) } else { read(store, lineage) }
}
