//! What a published run keeps from being cleaned up: its root.

use crate::{execute::Outcome, plan::Plan, withdraw::Withdrawn};
use datasets::{
    Digest,
    corpus::Member,
    row::{Dropped, Track},
    store::{Root, Store, StoreError},
};
use rayon::prelude::*;
use stages::{
    kept::{Kept, newest},
    pcm,
};

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
        let stages: Vec<&Kept> = outcome.stages.iter().map(|stage| &stage.kept).collect();
        let seen = newest(&stages);
        let known = seen.par_iter().filter_map(|(stage, index)| {
            let row = stages[*stage].get(*index);
            let track = row.track().filter(|track| !withdrawn.gone.contains(&track.content))?;
            Some((Member::of(track), samples(track)))
        });
        let (mut tracks, pcm): (Vec<Member>, Vec<Option<Digest>>) = known.unzip();
        let mut pcm: Vec<Digest> = pcm.into_iter().flatten().collect();
        pcm.sort_unstable();
        pcm.dedup();
        let named = outcome.stages.iter().flat_map(|stage| &stage.dropped).filter(|row| row.code != Dropped::WITHDRAWN);
        let named: Vec<&Dropped> = named.collect();
        let unseen = |row: &&Dropped| stages.iter().all(|kept| kept.find(&row.id).is_none());
        tracks.par_extend(named.into_par_iter().filter(unseen).map(|row| Member::named(&row.id)));
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

/// The name of a track's samples in the cache.
fn samples(track: &Track) -> Option<Digest> {
    let (recording, chain) = (track.recording.as_ref()?, track.chain.as_ref()?);
    Some(pcm::name(&recording.samples, chain.rate, chain.channels))
}
