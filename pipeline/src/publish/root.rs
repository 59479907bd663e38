//! What a published run keeps from being cleaned up: its root.

use crate::{dataflow::outcome::Outcome, plan::Plan, publish::withdrawal::Withdrawn};
use datasets::{
    Digest,
    corpus::{Member, Name},
    row::{Dropped, TrackView},
    store::{Root, Store, StoreError},
};
use rayon::prelude::*;
use stages::{media::pcm, rows::kept::Corpus};

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
        let seen = Corpus::of(outcome.stages.iter().map(|stage| &stage.kept).collect());
        let all: Vec<(Member, Option<Digest>, bool)> = seen
            .par_iter()
            .map(|track| (Member::of(&track), samples(&track), withdrawn.gone.contains(&track.content)))
            .collect();
        let mut ids: Vec<Name> = all.par_iter().map(|(member, ..)| member.id).collect();
        ids.par_sort_unstable();
        let named = outcome.stages.iter().flat_map(|stage| stage.dropped.iter()).filter(|row| !row.withdrawn());
        let named: Vec<&Dropped> = named.collect();
        let named = named.into_par_iter().map(|row| Member::named(&row.id));
        let named = named.filter(|member| ids.binary_search(&member.id).is_err());
        let left = || all.par_iter().filter(|(.., gone)| !gone);
        let mut tracks: Vec<Member> = left().map(|(member, ..)| member.clone()).chain(named).collect();
        tracks.par_sort_unstable();
        tracks.dedup();
        let mut pcm: Vec<Digest> = left().filter_map(|(_, samples, _)| *samples).collect();
        pcm.par_sort_unstable();
        pcm.dedup();
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
fn samples(track: &TrackView<'_>) -> Option<Digest> {
    let (recording, chain) = (track.recording.as_ref()?, track.chain.as_ref()?);
    Some(pcm::name(&recording.samples, chain.rate, chain.channels))
}
