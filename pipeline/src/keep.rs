//! What a published run keeps from being cleaned up: its root.

use crate::{execute::Outcome, plan::Plan, withdraw::Withdrawn};
use datasets::{
    corpus::Member,
    row::{Dropped, Track},
    store::{Root, Store, StoreError},
};
use stages::{pcm, stage::AnyRow};
use std::collections::BTreeMap;

/// Records a run as the last published one. `known`: its tree was there before.
///
/// # Errors
/// When the store refuses.
pub fn record(
    store: &Store,
    plan: &Plan,
    outcome: &Outcome,
    withdrawn: &Withdrawn,
    run: &str,
    known: bool,
) -> Result<(), StoreError> {
    let before = if known { store.root_of(run)? } else { None };
    let mut root = before.unwrap_or_else(|| {
        let seen = tracks(outcome);
        let tracks: Vec<&Track> = seen.values().copied().filter(|t| !withdrawn.gone.contains(&t.content)).collect();
        let mut pcm: Vec<_> = tracks.iter().filter_map(|track| samples(track)).collect();
        pcm.sort_unstable();
        pcm.dedup();
        let named = outcome.stages.iter().flat_map(|stage| &stage.dropped).filter(|row| row.code != Dropped::WITHDRAWN);
        let named = named.filter(|row| !seen.contains_key(row.id.as_str())).map(|row| Member::named(&row.id));
        let mut tracks: Vec<Member> = tracks.into_iter().map(Member::of).chain(named).collect();
        tracks.sort_unstable();
        tracks.dedup();
        Root { name: plan.name.clone(), pcm, tracks, ..Root::default() }
    });
    // What a report was made from is not asked for again while the report is there.
    root.keys.extend(store.touched(&withdrawn.gone));
    root.keys.sort_unstable();
    root.keys.dedup();
    root.withdrawn = withdrawn.members.clone();
    root.segment = store.last_segment()?;
    store.record_root(run, &root)
}

/// Every track that a run has seen, as its last stage knows it.
fn tracks(outcome: &Outcome) -> BTreeMap<&str, &Track> {
    let mut tracks = BTreeMap::new();
    for row in outcome.stages.iter().flat_map(|stage| &stage.kept) {
        let track = match &**row {
            AnyRow::Track(track) => track,
            AnyRow::Clip(clip) => &*clip.track,
            _ => continue,
        };
        tracks.insert(track.id.as_str(), track);
    }
    tracks
}

/// The name of a track's samples in the cache.
fn samples(track: &Track) -> Option<datasets::Digest> {
    let (recording, chain) = (track.recording.as_ref()?, track.chain.as_ref()?);
    Some(pcm::name(&recording.samples, chain.rate, chain.channels))
}
