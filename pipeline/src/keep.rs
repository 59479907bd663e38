//! What a published run keeps from being cleaned up: its root.

use crate::{execute::Outcome, plan::Plan, withdraw::Withdrawn};
use datasets::{
    corpus::Member,
    row::{Dropped, Track},
    store::{Root, Store, StoreError},
};
use rayon::prelude::*;
use stages::{pcm, stage::AnyRow};
use std::cmp::Ordering;

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
        let tracks: Vec<&Track> = seen.iter().copied().filter(|t| !withdrawn.gone.contains(&t.content)).collect();
        let mut pcm: Vec<_> = tracks.iter().filter_map(|track| samples(track)).collect();
        pcm.sort_unstable();
        pcm.dedup();
        let named = outcome.stages.iter().flat_map(|stage| &stage.dropped).filter(|row| row.code != Dropped::WITHDRAWN);
        let unseen = |row: &&Dropped| seen.binary_search_by(|track| track.id.as_str().cmp(&row.id)).is_err();
        let named: Vec<&Dropped> = named.filter(unseen).collect();
        let mut tracks: Vec<Member> = tracks.into_par_iter().map(Member::of).collect();
        tracks.par_extend(named.into_par_iter().map(|row| Member::named(&row.id)));
        tracks.par_sort_unstable();
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

/// Every track that a run has seen, as its last stage knows it, in order of their ids.
fn tracks(outcome: &Outcome) -> Vec<&Track> {
    // The rows of a stage are in order already, so each stage is a merge.
    outcome.stages.iter().fold(Vec::new(), |seen, stage| {
        let mut newer: Vec<&Track> = Vec::with_capacity(stage.kept.len());
        newer.extend(stage.kept.iter().filter_map(|row| match &**row {
            AnyRow::Track(track) => Some(track),
            AnyRow::Clip(clip) => Some(&*clip.track),
            _ => None,
        }));
        newer.dedup_by(|b, a| a.id == b.id);
        merge(seen, newer)
    })
}

/// Two lists in order of ids as one; of two tracks of an id, the newer.
fn merge<'t>(older: Vec<&'t Track>, newer: Vec<&'t Track>) -> Vec<&'t Track> {
    if older.is_empty() || newer.is_empty() {
        return if newer.is_empty() { older } else { newer };
    }
    let mut merged = Vec::with_capacity(older.len().max(newer.len()));
    let (mut older, mut newer) = (older.into_iter().peekable(), newer.into_iter().peekable());
    while let (Some(a), Some(b)) = (older.peek(), newer.peek()) {
        match a.id.cmp(&b.id) {
            Ordering::Less => merged.extend(older.next()),
            Ordering::Greater => merged.extend(newer.next()),
            Ordering::Equal => {
                older.next();
                merged.extend(newer.next());
            }
        }
    }
    merged.extend(older);
    merged.extend(newer);
    merged
}

/// The name of a track's samples in the cache.
fn samples(track: &Track) -> Option<datasets::Digest> {
    let (recording, chain) = (track.recording.as_ref()?, track.chain.as_ref()?);
    Some(pcm::name(&recording.samples, chain.rate, chain.channels))
}
