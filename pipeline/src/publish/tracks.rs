//! `tracks.parquet`: the list of a run's tracks, written in parts. A part whose tracks are those of the last list of this name
//! is copied from it, so that a changed track costs the part that it stands in.

use crate::{dataflow::outcome::Outcome, error::Error, plan::Plan};
use datasets::{
    Digest, Key,
    store::{Memo, Store},
    tables::{
        groups::{Earlier, Group},
        tracks::{self, Rows},
    },
};
use rayon::prelude::*;
use stages::{
    rows::kept::{Corpus, Kept},
    stage::Cardinality,
};
use std::{collections::BTreeMap, fmt::Display, ops::Range};

/// The tracks of one part, which is one group of rows.
const PART: usize = 1 << 17;

/// The last list of a name: its object, and the digest of each of its parts.
type Last = (Digest, Vec<Digest>);

/// The list of tracks, written if it is not there yet.
///
/// # Errors
/// When the store refuses.
pub(crate) fn list(plan: &Plan, outcome: &Outcome, corpus: &Corpus<'_>, store: &Store) -> Result<Digest, Error> {
    // The rows of sources have the words that a `license` reads.
    let sources =
        plan.stages.iter().zip(&outcome.stages).filter(|(stage, _)| stage.entry.cardinality == Cardinality::Source);
    let sources: Vec<&Kept> = sources.map(|(_, own)| &own.kept).collect();
    let said = Corpus::of(sources);
    let ranges: Vec<Range<usize>> =
        (0..corpus.len()).step_by(PART).map(|first| first..corpus.len().min(first + PART)).collect();
    let digests: Vec<Digest> = ranges.par_iter().map(|range| corpus.digest(range.clone(), &said)).collect();
    let key = digests.iter().fold(Key::new("tracks.parquet").number(4), |key, part| key.digest(part)).finish();
    let memo = Memo::at(key);
    if let Some(known) = memo.get(store) {
        return Ok(known);
    }
    let last: Memo<Last> = Memo::at(Key::new("last tracks.parquet").text(&plan.name).finish());
    let earlier = if digests.len() > 1 { earlier(store, &last) } else { None };
    let rows = |range: &Range<usize>| {
        let mut rows = Rows::default();
        for (track, source) in corpus.beside(range.clone(), &said) {
            rows.push(&track, source.and_then(|source| source.license));
        }
        rows
    };
    let mut table = tracks::writer().map_err(bug)?;
    // As many as there are threads: not all of a large corpus at once.
    let several = rayon::current_num_threads().max(1);
    for (ranges, digests) in ranges.chunks(several).zip(digests.chunks(several)) {
        let there = |digest: &Digest| earlier.as_ref().and_then(|(_, parts)| parts.get(digest).copied());
        let encoder = table.encoder();
        let groups: Vec<Option<Group>> = (ranges.par_iter().zip(digests))
            .map(|(range, digest)| if there(digest).is_some() { Ok(None) } else { rows(range).encoded(encoder) })
            .collect::<Result<_, _>>()
            .map_err(bug)?;
        for (group, digest) in groups.into_iter().zip(digests) {
            match (group, &earlier) {
                (Some(group), _) => table.push(group).map_err(bug)?,
                (None, Some((earlier, parts))) => {
                    parts.get(digest).map_or(Ok(()), |at| table.copy(earlier, *at)).map_err(bug)?;
                }
                (None, None) => {}
            }
        }
    }
    let digest = store.put(&table.finish().map_err(bug)?)?;
    memo.put(store, &digest, &[digest])?;
    if digests.len() > 1 {
        last.put(store, &(digest, digests), &[digest])?;
    }
    Ok(digest)
}

/// The last list of a name, if the store still holds it, and the place of each of its parts.
fn earlier(store: &Store, last: &Memo<Last>) -> Option<(Earlier, BTreeMap<Digest, usize>)> {
    let (file, parts) = last.peek(store)?;
    let earlier = tracks::earlier(store.get(&file).ok()?)?;
    let places = parts.into_iter().enumerate().map(|(index, part)| (part, index)).collect();
    (earlier.groups() > 0).then_some((earlier, places))
}

fn bug(why: impl Display) -> Error {
    Error::Bug(format!("the tracks cannot be listed: {why}"))
}
