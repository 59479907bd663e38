//! Sorts millions of ids, and rows that wait by theirs.

use crate::rows::sort::Start;
use datasets::row::Pending;
use rayon::prelude::*;
use std::sync::Arc;

/// Sorts ids and removes repeated ones.
pub(super) fn ids(ids: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let start = Start::of(ids.iter().map(|id| id.as_bytes()));
    let mut keyed: Vec<(u128, Arc<str>)> = ids.into_par_iter().map(|id| (start.key(id.as_bytes()), id)).collect();
    keyed.par_sort_unstable();
    keyed.dedup_by(|next, first| next == first);
    keyed.into_iter().map(|(_, id)| id).collect()
}

/// Adds up the multiplicities of rows, and sorts those whose sum is not 0.
pub(super) fn summed(rows: Vec<(Pending, isize)>) -> Vec<Pending> {
    let own = Start::of(rows.iter().map(|(row, _)| row.id.as_bytes()));
    let causes = Start::of(rows.iter().map(|(row, _)| row.cause.as_bytes()));
    let key = |row: &Pending| (own.key(row.id.as_bytes()), causes.key(row.cause.as_bytes()));
    let mut keyed: Vec<((u128, u128), Pending, isize)> =
        rows.into_par_iter().map(|(row, diff)| (key(&row), row, diff)).collect();
    // Of two ids, the one that is the start of the other may have its key: behind it, causes decide nothing.
    keyed.par_sort_unstable_by(|((a, c), left, _), ((b, d), right, _)| {
        a.cmp(b)
            .then_with(|| left.id.cmp(&right.id))
            .then_with(|| left.behind.cmp(&right.behind))
            .then_with(|| c.cmp(d))
            .then_with(|| left.cmp(right))
    });
    keyed.dedup_by(|(_, next, more), (_, first, count)| {
        let same = next == first;
        if same {
            *count += *more;
        }
        same
    });
    keyed.into_iter().filter(|(_, _, count)| *count != 0).map(|(_, row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_texts() {
        // Beginnings of others, bytes that are zero, and more than sixteen bytes in common.
        let texts = [
            "a/1",
            "a/10",
            "a/1\0",
            "a/",
            "a/2",
            "a/1",
            "a/0123456789abcdefg",
            "a/0123456789abcdefh",
            "a/0123456789abcdef",
        ];
        let mut sorted: Vec<Arc<str>> = texts.map(Arc::from).into();
        let given = sorted.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(ids(given), sorted);
        assert!(ids(Vec::new()).is_empty());

        let row = |id: &str, behind: &str, cause: &str| Pending::new(id.into(), behind.into(), cause.into());
        let mut rows: Vec<Pending> = Vec::new();
        for id in texts {
            for behind in ["b", "a"] {
                rows.extend(texts.map(|cause| row(id, behind, cause)));
            }
        }
        let gone = row("a/10", "a", "a/2");
        let given: Vec<(Pending, isize)> =
            rows.iter().map(|row| (row.clone(), if *row == gone { -1 } else { 1 })).collect();
        let given = given.into_iter().chain([(gone.clone(), 1)]).collect();
        rows.sort();
        rows.dedup();
        rows.retain(|row| *row != gone);
        assert_eq!(summed(given), rows);
        assert!(summed(Vec::new()).is_empty());
    }
}
