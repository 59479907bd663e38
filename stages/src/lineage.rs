//! Lineage: the sound that a model was trained on.

use crate::{fit, stage::AnyRow};
use datasets::{
    Digest,
    store::{Store, StoreError},
};
use std::collections::BTreeSet;

/// A model and the digests of all samples that it was trained on; `None` of a row that is no model. Of weights that were
/// loaded from a file, as far as they were trained in this store.
///
/// # Errors
/// When the store lacks what a row names.
pub fn of(store: &Store, row: &AnyRow) -> Result<Option<(Digest, BTreeSet<Digest>)>, StoreError> {
    let listed = |lineage: &Digest| Ok(Digest::list(&store.get(lineage)?).collect());
    Ok(match row {
        AnyRow::Weights(weights) => {
            let samples = weights.lineage.as_ref().map_or_else(|| Ok(fit::known(store, &weights.digest)), listed)?;
            Some((weights.digest, samples))
        }
        AnyRow::Prior(prior) => Some((prior.digest, listed(&prior.lineage)?)),
        _ => None,
    })
}
