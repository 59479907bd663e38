//! The root of a published run, which keeps objects of the store from being removed by `gc`.

use crate::{
    dataflow::outcome::Outcome,
    plan::Plan,
    publish::{texts_of, withdrawal::Withdrawn},
    record::{lockfile::Lock, published::Published},
};
use datasets::{
    Digest,
    corpus::{Member, Name},
    row::{Dropped, TrackView},
    store::{Pins, Root, Store, StoreError},
};
use rayon::prelude::*;
use stages::{media::pcm, rows::kept::Corpus};
use std::collections::BTreeSet;

/// Collects the tracks and decoded samples that a run keeps: everything in its root but the keys.
///
/// It is made beside the tree, as it takes as long for a large corpus.
pub fn members(plan: &Plan, outcome: &Outcome, withdrawn: &Withdrawn) -> Root {
    let seen = Corpus::of(outcome.stages.iter().map(|stage| &stage.kept).collect());
    let gone = |track: &TrackView<'_>| withdrawn.gone.contains(&track.content);
    let mut tracks: Vec<Member> = match withdrawn.gone.is_empty() {
        true => seen.par_iter().map(|track| Member::of(&track)).collect(),
        false => seen.par_iter().filter(|track| !gone(track)).map(|track| Member::of(&track)).collect(),
    };
    tracks.par_sort_unstable();
    tracks.dedup();
    let mut left_out: Vec<Name> = match withdrawn.gone.is_empty() {
        true => Vec::new(),
        false => seen.par_iter().filter(gone).map(|track| Name::id(track.id)).collect(),
    };
    left_out.sort_unstable();
    let named = outcome.stages.iter().flat_map(|stage| stage.dropped.iter()).filter(|row| !row.withdrawn());
    let named: Vec<&Dropped> = named.collect();
    let known =
        |id: &Name| tracks.binary_search_by(|member| member.id.cmp(id)).is_ok() || left_out.binary_search(id).is_ok();
    let mut others: Vec<Member> =
        named.into_par_iter().map(|row| Member::named(&row.id)).filter(|member| !known(&member.id)).collect();
    if !others.is_empty() {
        tracks.append(&mut others);
        tracks.par_sort_unstable();
        tracks.dedup();
    }
    let mut pcm: Vec<Digest> =
        seen.par_iter().filter(|track| !gone(track)).filter_map(|track| samples(&track)).collect();
    pcm.par_sort_unstable();
    pcm.dedup();
    Root { name: plan.name.clone(), pcm, tracks, ..Root::default() }
}

/// Records a run as the last published one. If its tree was there before, its root stands; otherwise it is `made`, by
/// [`members`]. `lock` is the lock file of the manifest: what it names stays, whatever becomes of its own record.
///
/// # Errors
/// When the store refuses.
pub fn record(
    store: &Store,
    plan: &Plan,
    outcome: &Outcome,
    withdrawn: &Withdrawn,
    published: &Published,
    lock: &Lock,
    made: Option<Root>,
) -> Result<(), StoreError> {
    let run = &published.run;
    let before = if published.known { store.root_of(run)? } else { None };
    let mut root = before.or(made).unwrap_or_else(|| members(plan, outcome, withdrawn));
    // What a report was made from is not asked for again while the report is there.
    root.keys.extend(store.touched(&withdrawn.gone));
    root.keys.sort_unstable();
    root.keys.dedup();
    root.withdrawn = withdrawn.members.clone();
    if !published.texts.is_empty() {
        root.texts = published.texts.clone();
    } else if root.texts.is_empty() {
        // Of a tree whose root is lost, or of an earlier version, what is there counts from here on.
        root.texts = texts_of(&published.folder);
    }
    let weights: BTreeSet<Digest> = lock.weights().collect();
    // A path that is no text cannot be packed: of such a lock file there is the record alone.
    let path = std::path::absolute(lock.path()).ok().filter(|path| !weights.is_empty() && path.to_str().is_some());
    root.lock = path.map(|lock| Pins { lock, weights });
    root.segment = store.last_segment()?;
    store.record_root(run, &root)
}

/// The name of a track's samples in the cache.
fn samples(track: &TrackView<'_>) -> Option<Digest> {
    let (recording, chain) = (track.recording.as_ref()?, track.chain.as_ref()?);
    Some(pcm::name(&recording.samples, chain.rate, chain.channels))
}
