//! Models and songs of a run, each with what it was made with.

use crate::{dataflow::outcome::Outcome, plan::Plan};
use datasets::Digest;
use serde::{Deserialize, Serialize};
use stages::rows::AnyRow;
use std::collections::BTreeSet;

/// A model or a song, as the record tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// `codec`, `prior` or `song`.
    pub kind: String,
    /// The stage that it came from.
    pub stage: String,
    /// The digest of its file.
    pub digest: Digest,
    /// The models that it was made with.
    pub models: Vec<Digest>,
    /// Objects of the store that list the samples that it, or these models, were trained on.
    pub lineage: Vec<Digest>,
}

/// Models and songs: from which stage, with which models, and the objects that list what these were trained on.
pub fn made(plan: &Plan, outcome: &Outcome) -> BTreeSet<Made> {
    let mut made = BTreeSet::new();
    for (stage, own) in plan.stages.iter().zip(&outcome.stages) {
        for row in own.kept.made() {
            let (kind, digest, models, lineage) = match &row {
                AnyRow::Weights(weights) => {
                    ("codec", weights.digest, Vec::new(), weights.lineage.into_iter().collect())
                }
                AnyRow::Prior(prior) => ("prior", prior.digest, vec![prior.codec], vec![prior.lineage]),
                AnyRow::Audio(song) => {
                    let models = std::iter::once(song.codec).chain(song.priors.iter().copied());
                    ("song", song.file, models.collect(), song.lineage.clone())
                }
                _ => continue,
            };
            made.insert(Made { kind: kind.to_owned(), stage: stage.name.clone(), digest, models, lineage });
        }
    }
    made
}
