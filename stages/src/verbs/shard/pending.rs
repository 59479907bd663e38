//! Rows that wait, in a dry run: the files that they would go to.
//!
//! There may be millions, of a corpus that is not decoded yet, and few places where they go. So the places are joined with
//! the partition, and the rows look their files up.

use super::place::{Place, WHOLE, leaf};
use crate::{
    flow::{by_time::Held, pair, without},
    rows::{Rows, Time, end_of_build},
    stage::Context,
};
use datasets::row::{Codes, Pending, Waiting, shard_id};
use differential_dataflow::AsCollection;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};
use timely::dataflow::{
    channels::pact::Exchange,
    operators::{generic::Operator, vec::Map},
};

/// A [`Place`] that many rows have in common.
type Spot = (Arc<str>, u16);
/// A row that waits, with the place where its track is.
type Placed = (Spot, Pending);
/// A place and the prefix of its file in the partition, addressed to one of the workers.
type Part = (u64, (Place, String));
/// Rows of files: split, prefix and codes.
type Members<'s> = Rows<'s, ((String, String), Codes)>;

/// The members of files for which nothing waits, and each file once for every row that it waits for.
///
/// A file with a row that waits may become the one that it was: it is not written for what is known of it.
pub(super) fn beside<'s>(
    cx: &Context<'s>,
    members: Members<'s>,
    pending: Rows<'s, Waiting>,
    parts: Rows<'s, (Place, String)>,
) -> (Members<'s>, Rows<'s, Waiting>) {
    let mut splits: Vec<Arc<str>> = Vec::new();
    let placed = pending.map(move |Waiting { row, track }| {
        let (split, leaf) = match &track {
            Some(track) => (track.split.as_deref().unwrap_or(WHOLE), leaf(&track.id)),
            None => ("", 0),
        };
        let known = splits.iter().find(|known| ***known == *split).cloned();
        let split = known.unwrap_or_else(|| {
            splits.push(split.into());
            split.into()
        });
        ((split, leaf), row)
    });
    // In a plan no row that waits is taken back: one that is seen is there.
    let mut seen: HashSet<(Time, Spot)> = HashSet::new();
    let places = placed.clone().typed().inner.flat_map(move |((spot, _), time, _)| {
        let place = (spot.0.to_string(), spot.1);
        seen.insert((time, spot)).then_some(((place, ()), time, 1))
    });
    let open = pair(places.as_collection().into(), parts.clone()).map(|((split, _), (), prefix)| (split, prefix));
    (without(members, open), files(cx, placed, parts).map(Waiting::from))
}

/// Pending rows for files: each file once for every cause that it waits for, by the partition at the end of a build.
fn files<'s>(cx: &Context<'s>, placed: Rows<'s, Placed>, parts: Rows<'s, (Place, String)>) -> Rows<'s, Pending> {
    let workers = cx.scope.peers() as u64;
    let parts = parts.delay(end_of_build).flat_map(move |part| (0..workers).map(move |worker| (worker, part.clone())));
    // Rows that are one in the end meet.
    let by_cause = Exchange::new(|((_, row), _, _): &(Placed, Time, isize)| {
        let mut hasher = DefaultHasher::new();
        row.cause.hash(&mut hasher);
        hasher.finish()
    });
    let by_worker = Exchange::new(|((worker, _), _, _): &(Part, Time, isize)| *worker);
    let name = format!("{}: files that wait", cx.stage);
    let files = placed.delay(end_of_build).typed().inner.binary_frontier(
        parts.typed().inner,
        by_cause,
        by_worker,
        &name,
        move |_, _| {
            let mut held: Held<Placed> = Held::default();
            let mut partition: BTreeMap<Time, Vec<((Place, String), isize)>> = BTreeMap::new();
            let mut known: BTreeMap<(Place, String), isize> = BTreeMap::new();
            move |(rows, rows_frontier), (parts, parts_frontier), output| {
                rows.for_each(|cap, data| held.extend(data.drain(..), |time| cap.delayed(time, 0)));
                parts.for_each(|_, data| {
                    for ((_, part), time, diff) in data.drain(..) {
                        partition.entry(time).or_default().push((part, diff));
                    }
                });
                let open = |time: &Time| rows_frontier.less_equal(time) || parts_frontier.less_equal(time);
                while let Some((time, cap, rows)) = held.over(open) {
                    while let Some(entry) = partition.first_entry().filter(|entry| *entry.key() <= time) {
                        entry.remove().into_iter().for_each(|(part, diff)| *known.entry(part).or_default() += diff);
                    }
                    known.retain(|_, count| *count != 0);
                    let rows = named(rows, &known);
                    output.session(&cap).give_iterator(rows.into_iter().map(|row| (row, time, 1)));
                }
            }
        },
    );
    files.as_collection().into()
}

/// Pending rows of the files that these rows go to: each file once for every cause that it waits for.
fn named(rows: Vec<(Placed, isize)>, parts: &BTreeMap<(Place, String), isize>) -> Vec<Pending> {
    let prefixes: HashMap<(&str, u16), &str> =
        parts.keys().map(|((split, leaf), prefix)| ((split.as_str(), *leaf), prefix.as_str())).collect();
    let mut ids: HashMap<Spot, Arc<str>> = HashMap::new();
    let mut sums: HashMap<Pending, isize> = HashMap::with_capacity(rows.len());
    for ((spot, row), diff) in rows {
        let id = ids.entry(spot).or_insert_with_key(|(split, leaf)| match prefixes.get(&(&**split, *leaf)) {
            Some(prefix) => shard_id(split, prefix).into(),
            None => shard_id(if split.is_empty() { "?" } else { split }, "new").into(),
        });
        let file = Pending::new(id.clone(), row.behind.clone(), row.cause.clone());
        *sums.entry(file).or_default() += diff;
    }
    sums.into_iter().filter(|(_, count)| *count > 0).map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_waits_once_for_each_cause() {
        let row = |id: &str, cause: &str| Pending::new(id.into(), "decoded".into(), cause.into());
        let at = |split: &str, leaf: u16, row: Pending| ((split.into(), leaf), row);
        let place = |split: &str, leaf: u16, prefix: &str| (((split.to_owned(), leaf), prefix.to_owned()), 1);
        let parts = [place("train", 1, ""), place("test", 1, "0"), place("test", 4000, "1")].into();
        let rows = vec![
            (at("train", 1, row("a", "a")), 1),
            // Another of the same cause, and the same twice.
            (at("train", 1, row("b", "a")), 1),
            (at("train", 1, row("c", "c")), 2),
            (at("test", 4000, row("d", "d")), 1),
            // A split that has no file yet, and a row of which nothing is known.
            (at("valid", 1, row("e", "e")), 1),
            (at("", 0, row("f", "f")), 1),
            (at("test", 1, row("g", "g")), 1),
            (at("test", 1, row("g", "g")), -1),
        ];
        let mut named = named(rows, &parts);
        named.sort();
        let expected = [("?/new", "f"), ("test/1", "d"), ("train/all", "a"), ("train/all", "c"), ("valid/new", "e")];
        assert_eq!(named, expected.map(|(id, cause)| row(id, cause)));
    }
}
