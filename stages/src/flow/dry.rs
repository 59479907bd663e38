//! An effect in a dry run: its keys are looked up, and nothing is run.
//!
//! Of a corpus that is not decoded yet, every row waits. So none is grouped and joined: rows gather, packed, where those of
//! one key meet, and go on with what became of it.

use super::{
    by_time::Held,
    memo::{Erased, Outcome, recall},
};
use crate::{
    rows::{Rows, Time},
    stage::Context,
};
use datasets::Digest;
use differential_dataflow::AsCollection;
use std::{collections::HashSet, sync::Arc};
use timely::dataflow::{
    channels::pact::Exchange,
    operators::{Capability, generic::Operator},
};

/// A row as it travels: its key, its id, and the packed row.
type Seen = (Digest, (String, Vec<u8>));

/// Number of rows passed on at a time, so that rows are not held twice.
const AT_ONCE: usize = 1 << 14;

/// Iterator over sorted rows with their multiplicities added up, without rows whose sum is 0.
struct Summed {
    rows: std::vec::IntoIter<(Seen, isize)>,
    next: Option<(Seen, isize)>,
}

impl Summed {
    fn of(mut rows: Vec<(Seen, isize)>) -> Summed {
        rows.sort_unstable();
        let mut rows = rows.into_iter();
        let next = rows.next();
        Summed { rows, next }
    }
}

impl Iterator for Summed {
    type Item = (Seen, isize);

    fn next(&mut self) -> Option<(Seen, isize)> {
        while let Some((seen, mut count)) = self.next.take() {
            self.next = self.rows.next();
            while let Some((_, more)) = self.next.take_if(|(next, _)| *next == seen) {
                count += more;
                self.next = self.rows.next();
            }
            if count != 0 {
                return Some((seen, count));
            }
        }
        None
    }
}

/// The rows of one time on their way out.
struct Leaving {
    cap: Capability<Time>,
    time: Time,
    rows: Summed,
    /// The key of the last row, and what became of it.
    last: Option<(Digest, Outcome)>,
}

/// Looks up the outcome of each row's effect; a row without one becomes pending on the least id that shares its key.
pub(super) fn look<'s>(
    cx: &Context<'s>,
    effect: Arc<dyn Erased>,
    rows: Rows<'s, Seen>,
) -> Rows<'s, (Vec<u8>, Outcome)> {
    let (env, stage, scope) = (cx.env.clone(), cx.stage.clone(), cx.scope);
    let pact = Exchange::new(|((key, _), _, _): &(Seen, Time, isize)| key.prefix());
    let looked = rows.typed().inner.unary_frontier(pact, &format!("{}: look", cx.stage), move |_, info| {
        let activator = scope.activator_for(info.address);
        let mut waiting: Held<Seen> = Held::default();
        let mut leaving: Option<Leaving> = None;
        // A key counts once, however often rows of it come.
        let mut remembered: HashSet<Digest> = HashSet::new();
        move |(input, frontier), output| {
            input.for_each(|cap, data| waiting.extend(data.drain(..), |time| cap.delayed(time, 0)));
            let mut left = AT_ONCE;
            while left > 0 {
                let Some(now) = &mut leaving else {
                    let Some((time, cap, rows)) = waiting.over(|time| frontier.less_equal(time)) else { break };
                    leaving = Some(Leaving { cap, time, rows: Summed::of(rows), last: None });
                    continue;
                };
                let (cap, time) = (now.cap.clone(), now.time);
                let mut session = output.session(&cap);
                while left > 0 {
                    let Some(((key, (id, row)), count)) = now.rows.next() else {
                        leaving = None;
                        break;
                    };
                    let known = now.last.take().filter(|(last, _)| *last == key);
                    let outcome = known.map_or_else(
                        || match recall(&*effect, &env, &key) {
                            Some(outcome) => {
                                if remembered.insert(key) {
                                    env.ledger.cached(&stage);
                                }
                                outcome
                            }
                            None => Outcome::Pending(env.ledger.will(key, &stage, &id)),
                        },
                        |(_, outcome)| outcome,
                    );
                    now.last = Some((key, outcome.clone()));
                    session.give(((row, outcome), time, count));
                    left -= 1;
                }
            }
            if leaving.is_some() {
                activator.activate();
            }
        }
    });
    looked.as_collection().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_went_as_often_as_they_came_are_not_looked_up() {
        let seen = |key: &str, id: &str, row: u8| (Digest::of(key.as_bytes()), (id.to_owned(), vec![row]));
        let came = [seen("a", "2", 0), seen("a", "1", 0), seen("a", "1", 1), seen("b", "0", 0), seen("b", "0", 0)];
        let went = [seen("a", "1", 0), seen("c", "3", 0)];
        let mut rows: Vec<(Seen, isize)> = came.into_iter().map(|seen| (seen, 1)).collect();
        rows.extend(went.clone().map(|seen| (seen, -1)));
        rows.push((went[1].clone(), 1));
        let mut expected = vec![(seen("a", "1", 1), 1), (seen("a", "2", 0), 1), (seen("b", "0", 0), 2)];
        // By key first, so that those of one key meet; the least id leads.
        expected.sort();
        assert_eq!(Summed::of(rows).collect::<Vec<_>>(), expected);
        assert!(Summed::of(Vec::new()).next().is_none());
    }
}
