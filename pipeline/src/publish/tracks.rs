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

/// The last list of a name: its object, the digest of each of its parts, and which parts have columns of the corpus's own.
type Last = (Digest, Vec<Digest>, Vec<bool>);

/// A list under way: the tracks of its parts, their digests, and the last list of the same name.
struct List<'l, 'k> {
    corpus: &'l Corpus<'k>,
    said: &'l Corpus<'k>,
    ranges: Vec<Range<usize>>,
    digests: Vec<Digest>,
    earlier: Option<EarlierList>,
}

/// The last list of a name, with the place of each of its parts and whether that part has columns of the corpus's own.
struct EarlierList {
    table: Earlier,
    parts: BTreeMap<Digest, (usize, bool)>,
    extra: bool,
}

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
    let key = digests.iter().fold(Key::new("tracks.parquet").number(5), |key, part| key.digest(part)).finish();
    let memo = Memo::at(key);
    if let Some(known) = memo.get(store) {
        return Ok(known);
    }
    let last: Memo<Last> = Memo::at(Key::new("last tracks.parquet").text(&plan.name).finish());
    let earlier = if digests.len() > 1 { EarlierList::of(store, &last) } else { None };
    // Most often the list has the columns of the last one.
    let guess = earlier.as_ref().is_some_and(|earlier| earlier.extra);
    let list = List { corpus, said: &said, ranges, digests, earlier };
    let (mut bytes, mut extra) = list.write(guess)?;
    if extra.contains(&true) != guess {
        (bytes, extra) = list.write(!guess)?;
    }
    let digest = store.put(&bytes)?;
    memo.put(store, &digest, &[digest])?;
    if list.digests.len() > 1 {
        last.put(store, &(digest, list.digests, extra), &[digest])?;
    }
    Ok(digest)
}

impl List<'_, '_> {
    fn rows(&self, range: &Range<usize>) -> Rows {
        let mut rows = Rows::default();
        for (track, source) in self.corpus.beside(range.clone(), self.said) {
            rows.push(&track, source.and_then(|source| source.license));
        }
        rows
    }

    /// The list's bytes, with a column for the corpus's own columns or without, and which parts have any.
    fn write(&self, extra: bool) -> Result<(Vec<u8>, Vec<bool>), Error> {
        let mut table = tracks::writer(extra).map_err(bug)?;
        let mut all = Vec::with_capacity(self.ranges.len());
        let earlier = self.earlier.as_ref().filter(|earlier| earlier.extra == extra);
        // As many as there are threads: not all of a large corpus at once.
        let several = rayon::current_num_threads().max(1);
        for (ranges, digests) in self.ranges.chunks(several).zip(self.digests.chunks(several)) {
            let encoder = table.encoder();
            let encode = |(range, digest): (&Range<usize>, &Digest)| {
                if let Some((earlier, (at, any))) = earlier.and_then(|list| Some((list, *list.parts.get(digest)?))) {
                    return Ok((any, PartOf::Earlier(&earlier.table, at)));
                }
                let rows = self.rows(range);
                let any = rows.any_extra();
                // Without the column for them, the list is written again.
                let group = if any && !extra { None } else { rows.encoded(encoder, extra).map_err(bug)? };
                Ok((any, PartOf::New(group)))
            };
            let parts = ranges.par_iter().zip(digests).map(encode).collect::<Result<Vec<_>, Error>>()?;
            for (any, part) in parts {
                all.push(any);
                match part {
                    PartOf::Earlier(earlier, at) => table.copy(earlier, at).map_err(bug)?,
                    PartOf::New(group) => group.map_or(Ok(()), |group| table.push(group)).map_err(bug)?,
                }
            }
        }
        Ok((table.finish().map_err(bug)?, all))
    }
}

/// Origin of one part of the list.
enum PartOf<'e> {
    /// Copied from the last list, with the part's index there.
    Earlier(&'e Earlier, usize),
    /// Encoded from rows; `None` if there are none.
    New(Option<Group>),
}

impl EarlierList {
    /// The last list of a name, if the store still holds it.
    fn of(store: &Store, last: &Memo<Last>) -> Option<EarlierList> {
        let (file, digests, extra) = last.peek(store)?;
        let table = tracks::earlier(store.get(&file).ok()?)?;
        let any = extra.contains(&true);
        let parts = digests.into_iter().zip(extra).enumerate().map(|(at, (part, extra))| (part, (at, extra))).collect();
        (table.groups() > 0).then_some(EarlierList { table, parts, extra: any })
    }
}

fn bug(why: impl Display) -> Error {
    Error::Bug(format!("the tracks cannot be listed: {why}"))
}
