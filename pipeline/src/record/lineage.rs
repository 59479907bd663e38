//! Training data of models: the tracks of a run whose samples stand in the lineage of a model.

use datasets::{
    Digest,
    row::TrackView,
    store::{Store, StoreError},
};
use serde::{Deserialize, Serialize};
use stages::rows::kept::Corpus;
use std::collections::{BTreeMap, BTreeSet};

/// The samples that models were trained on, by digest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lineage(BTreeSet<Digest>);

/// Tracks that models were trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestsOn {
    /// Number of tracks.
    pub tracks: u64,
    /// Number of tracks under each license, as an SPDX expression; `NOASSERTION` if none is stated.
    pub licenses: BTreeMap<String, u64>,
    /// Number of tracks of each genre, as far as one is stated.
    pub genres: BTreeMap<String, u64>,
    /// Recordings that are no longer in the corpus, so that nothing else is known of them.
    pub gone: u64,
}

impl Lineage {
    /// Reads objects that list sample digests.
    ///
    /// # Errors
    /// When one is missing from the store.
    pub fn read<'a>(store: &Store, objects: impl IntoIterator<Item = &'a Digest>) -> Result<Lineage, StoreError> {
        stages::media::lineage::read(store, objects).map(Lineage)
    }

    /// Whether a model was trained on this track.
    pub fn holds(&self, track: &TrackView<'_>) -> bool {
        track.samples().is_some_and(|samples| self.0.contains(&samples))
    }

    /// The tracks of a corpus that models were trained on.
    pub fn rests_on(&self, corpus: &Corpus<'_>) -> RestsOn {
        let mut found = RestsOn::default();
        let mut there = BTreeSet::new();
        for track in corpus.iter().filter(|track| self.holds(track)) {
            found.tracks += 1;
            let license = track.license.unwrap_or("NOASSERTION").to_owned();
            *found.licenses.entry(license).or_default() += 1;
            if let Some(genre) = track.labels.genre {
                *found.genres.entry(genre.to_owned()).or_default() += 1;
            }
            there.extend(track.samples());
        }
        found.gone = self.0.difference(&there).count() as u64;
        found
    }
}
