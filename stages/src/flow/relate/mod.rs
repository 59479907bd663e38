//! The relational operators that stages use: group, pair, and without.
//!
//! Differential's operators are compiled anew for every type of row, at some ten seconds each. Here
//! they are compiled once, for rows as bytes; what goes in and comes out is typed.

#[cfg(test)]
mod tests;

use super::bytes::Texts;
use crate::rows::{
    Rows, Time,
    pack::{pack, unpack},
};
use differential_dataflow::{
    AsCollection, VecCollection,
    batcher::merge::{MergeBatcher, chunker::ContainerChunker, vec::VecMerger},
    consolidation::consolidate,
    operators::arrange::{Arranged, TraceAgent},
    trace::{
        Cursor, Navigable, TraceReader,
        cursor::{CursorList, cursor_list},
        implementations::{
            OffsetList,
            ord_neu::{OrdValBatch, OrdValBuilder},
            spine_fueled::Spine,
        },
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::VecDeque, rc::Rc};
use timely::{
    dataflow::{
        channels::pact::Pipeline,
        operators::{CapabilitySet, generic::Operator},
    },
    progress::{Antichain, Timestamp},
};

/// Rows as they travel: a key and a value, both as bytes.
type Raw<'s> = VecCollection<'s, Time, (Vec<u8>, Vec<u8>), isize>;
/// A change of such rows: row, time and difference.
type Update = ((Vec<u8>, Vec<u8>), Time, isize);
/// Layout of a trace: keys, values, times, multiplicities, and the offsets of each key's values.
type Flat = (Texts, Texts, Vec<Time>, Vec<isize>, OffsetList);
type Batch = Rc<OrdValBatch<Flat>>;
type Trace = TraceAgent<Spine<Batch>>;
type Batcher = MergeBatcher<
    ContainerChunker<Vec<Update>>,
    VecMerger<(Vec<u8>, Vec<u8>), Time, isize>,
    OrdValBuilder<Flat, Vec<Update>>,
>;

/// A value that travels as bytes.
pub trait Travels: Clone + Ord + Serialize + DeserializeOwned + 'static {}
impl<T: Clone + Ord + Serialize + DeserializeOwned + 'static> Travels for T {}

fn raw<'s, K: Travels, V: Travels>(rows: Rows<'s, (K, V)>) -> Raw<'s> {
    rows.map(|(key, value)| (pack(&key), pack(&value))).typed()
}

fn arrange<'s>(rows: Raw<'s>, name: &str) -> Arranged<'s, Trace> {
    rows.arrange_named::<Batcher, Spine<Batch>>(name, Batcher::new)
}

/// Number of rows passed on at a time: the rows of a large batch are not all unpacked before the operators
/// after it have had the first.
const AT_ONCE: usize = 1 << 12;

/// Values of one key in their order, with how often each is there.
type Values<'v> = Vec<(&'v [u8], isize)>;
type Logic = Box<dyn FnMut(&[u8], &[(&[u8], isize)]) -> Vec<(Vec<u8>, isize)>>;

/// Batches that can be walked through as one.
struct Walk {
    cursor: CursorList<<Batch as Navigable>::Cursor>,
    batches: Vec<Batch>,
}

impl Walk {
    fn of(batches: Vec<Batch>) -> Walk {
        let (cursor, batches) = cursor_list(batches);
        Walk { cursor, batches }
    }

    /// The values of a key that comes after those that were asked for before.
    fn seek(&mut self, key: &[u8]) -> Values<'_> {
        let Walk { cursor, batches } = self;
        let mut values = Vec::new();
        cursor.seek_key(batches, key);
        if cursor.get_key(batches) == Some(key) {
            while let Some(value) = cursor.get_val(batches) {
                let mut count = 0;
                cursor.map_times(batches, |_, diff| count += diff);
                values.extend((count != 0).then_some((value, count)));
                cursor.step_val(batches);
            }
        }
        values
    }
}

/// One batch of changes, and the trace before it.
struct Step {
    capabilities: CapabilitySet<Time>,
    new: Walk,
    old: Walk,
}

impl Step {
    /// Works on the next key and gives the changes of its rows. Returns how many they were; `None` at the end.
    fn next(&mut self, logic: &mut Logic, mut give: impl FnMut(Update)) -> Option<usize> {
        let Step { new: Walk { cursor, batches }, old, .. } = self;
        let key = cursor.get_key(batches)?;
        let mut updates: Vec<(Time, &[u8], isize)> = Vec::new();
        while let Some(value) = cursor.get_val(batches) {
            cursor.map_times(batches, |time, diff| updates.push((*time, value, *diff)));
            cursor.step_val(batches);
        }
        // Of each time in the order of values, as they came.
        updates.sort_by_key(|(time, ..)| *time);
        let mut values = old.seek(key);
        let mut was = rows(logic, key, &values);
        let mut given = 0;
        let mut times = updates.chunk_by(|(a, ..), (b, ..)| a == b).peekable();
        while let Some(some) = times.next() {
            values = changed(&values, some);
            let is = rows(logic, key, &values);
            let mut changes: Vec<_> = was.drain(..).map(|(row, count)| (row, -count)).collect();
            if times.peek().is_some() {
                was.clone_from(&is);
            }
            match changes.is_empty() {
                true => changes = is,
                false => {
                    changes.extend(is);
                    consolidate(&mut changes);
                }
            }
            given += changes.len();
            changes.into_iter().for_each(|(row, count)| give(((key.to_vec(), row), some[0].0, count)));
        }
        cursor.step_key(batches);
        Some(given)
    }
}

/// Applies the logic to the values of a key. No values give no rows.
fn rows(logic: &mut Logic, key: &[u8], values: &Values<'_>) -> Vec<(Vec<u8>, isize)> {
    if values.is_empty() { Vec::new() } else { logic(key, values) }
}

/// Values after some changes, both in order.
fn changed<'v>(values: &Values<'v>, updates: &[(Time, &'v [u8], isize)]) -> Values<'v> {
    let mut changed = Vec::with_capacity(values.len() + updates.len());
    let mut rest = values.as_slice();
    for (_, value, diff) in updates {
        let before = rest.iter().take_while(|(own, _)| own < value).count();
        changed.extend_from_slice(&rest[..before]);
        rest = &rest[before..];
        let same = rest.first().filter(|(own, _)| own == value);
        let count = same.map_or(0, |(_, count)| *count) + diff;
        rest = &rest[usize::from(same.is_some())..];
        changed.extend((count != 0).then_some((*value, count)));
    }
    changed.extend_from_slice(rest);
    changed
}

/// Groups rows as differential's `reduce` does, but keeps no trace of its output: times are in one order and the logic
/// is pure, so the earlier output is what the logic gives for the earlier values.
fn group_raw<'s>(rows: Raw<'s>, name: &str, mut logic: Logic) -> Raw<'s> {
    let Arranged { stream, mut trace } = arrange(rows, name);
    let scope = stream.scope();
    let grouped = stream.unary_frontier(Pipeline, name, move |_, info| {
        let activator = scope.activator_for(info.address);
        let mut upper = Antichain::from_elem(Time::minimum());
        let mut steps: VecDeque<Step> = VecDeque::new();
        move |(input, _), output| {
            let (mut capabilities, mut batches, lower) = (CapabilitySet::new(), Vec::new(), upper.clone());
            input.for_each(|time, spans| {
                time.retain_stamp(0).iter().for_each(|capability| capabilities.insert(capability.clone()));
                for span in spans.drain(..) {
                    // They come in order.
                    upper.clone_from(span.upper());
                    batches.extend(span.inner);
                }
            });
            if !batches.is_empty() {
                let old = trace.batches_through(lower.borrow());
                let old = old.unwrap_or_else(|| unreachable!("nothing merges batches that were not read"));
                steps.push_back(Step { capabilities, new: Walk::of(batches), old: Walk::of(old) });
            }
            let mut left = AT_ONCE;
            while let Some(step) = steps.front_mut().filter(|_| left > 0) {
                let capabilities = step.capabilities.clone();
                let mut session = output.session(&capabilities);
                let mut given = None;
                while left > 0 {
                    given = step.next(&mut logic, |update| session.give(update));
                    let Some(given) = given else { break };
                    left = left.saturating_sub(given + 1);
                }
                if given.is_none() {
                    steps.pop_front();
                }
            }
            if !steps.is_empty() {
                activator.activate();
            }
            trace.advance_upper(&mut upper);
            trace.set_logical_compaction(upper.borrow());
            trace.set_physical_compaction(upper.borrow());
        }
    });
    grouped.as_collection()
}

fn pair_raw<'s>(left: Raw<'s>, right: Raw<'s>) -> VecCollection<'s, Time, (Vec<u8>, Vec<u8>, Vec<u8>), isize> {
    arrange(left, "left")
        .join_core(arrange(right, "right"), |key, left, right| Some((key.to_vec(), left.to_vec(), right.to_vec())))
}

fn once_raw(keys: Rows<'_, Vec<u8>>) -> Raw<'_> {
    group_raw(keys.map(|key| (key, Vec::new())).typed(), "distinct", Box::new(|_, _| vec![(Vec::new(), 1)]))
}

fn without_raw<'s>(rows: Raw<'s>, keys: Rows<'s, Vec<u8>>) -> Raw<'s> {
    let named = pair_raw(rows.clone(), once_raw(keys));
    rows.concat(named.map(|(key, value, _)| (key, value)).negate())
}

/// Rows that share a key become other rows. The values come sorted, each with its multiplicity; for the same values the logic
/// must give what it gave in any earlier build: what it gave is not kept but asked for again.
///
/// ```
/// # use {differential_dataflow::input::Input, stages::{flow::group, rows::Time}};
/// # timely::execute_directly(|worker| worker.dataflow::<Time, _, _>(|scope| {
/// let (_, plays) = scope.new_collection_from([('a', 3_u32), ('a', 5), ('b', 4)]);
/// let most = group(plays.into(), "most", |_, plays| plays.last().map(|(most, _)| (*most, 1)).into_iter().collect());
/// let (_, expected) = scope.new_collection_from([('a', 5), ('b', 4)]);
/// most.typed().assert_eq(expected);
/// # }));
/// ```
pub fn group<'s, K: Travels, V: Travels, O: Travels>(
    rows: Rows<'s, (K, V)>,
    name: &str,
    mut logic: impl FnMut(&K, &[(V, isize)]) -> Vec<(O, isize)> + 'static,
) -> Rows<'s, (K, O)> {
    let logic = move |key: &[u8], values: &[(&[u8], isize)]| {
        let mut values: Vec<(V, isize)> = values.iter().map(|(value, count)| (unpack(value), *count)).collect();
        values.sort();
        logic(&unpack(key), &values).into_iter().map(|(row, count)| (pack(&row), count)).collect()
    };
    Rows::from(group_raw(raw(rows), name, Box::new(logic))).map(|(key, row)| (unpack(&key), unpack(&row)))
}

/// Joins rows that share a key: every pair of them.
///
/// ```
/// # use {differential_dataflow::input::Input, stages::{flow::pair, rows::Time}};
/// # timely::execute_directly(|worker| worker.dataflow::<Time, _, _>(|scope| {
/// let (_, titles) = scope.new_collection_from([(1_u32, 'x'), (2, 'y')]);
/// let (_, clips) = scope.new_collection_from([(1, 10_u32), (1, 11), (3, 30)]);
/// let (_, expected) = scope.new_collection_from([(1, 'x', 10), (1, 'x', 11)]);
/// pair(titles.into(), clips.into()).typed().assert_eq(expected);
/// # }));
/// ```
pub fn pair<'s, K: Travels, A: Travels, B: Travels>(
    left: Rows<'s, (K, A)>,
    right: Rows<'s, (K, B)>,
) -> Rows<'s, (K, A, B)> {
    Rows::from(pair_raw(raw(left), raw(right))).map(|(key, left, right)| (unpack(&key), unpack(&left), unpack(&right)))
}

/// Rows whose key is not among the keys.
///
/// ```
/// # use {differential_dataflow::input::Input, stages::{flow::without, rows::Time}};
/// # timely::execute_directly(|worker| worker.dataflow::<Time, _, _>(|scope| {
/// let (_, tracks) = scope.new_collection_from([(1_u32, 'x'), (2, 'y')]);
/// // A key that is named twice takes its rows away once.
/// let (_, withdrawn) = scope.new_collection_from([1, 1, 7]);
/// let (_, expected) = scope.new_collection_from([(2, 'y')]);
/// without(tracks.into(), withdrawn.into()).typed().assert_eq(expected);
/// # }));
/// ```
pub fn without<'s, K: Travels, V: Travels>(rows: Rows<'s, (K, V)>, keys: Rows<'s, K>) -> Rows<'s, (K, V)> {
    Rows::from(without_raw(raw(rows), keys.map(|key| pack(&key)))).map(|(key, row)| (unpack(&key), unpack(&row)))
}

/// One of two alternatives, for [`divide`].
pub enum Either<A, B> {
    /// The first alternative.
    One(A),
    /// The second alternative.
    Other(B),
}

impl<A, B> From<Result<A, B>> for Either<A, B> {
    fn from(result: Result<A, B>) -> Either<A, B> {
        match result {
            Ok(one) => Either::One(one),
            Err(other) => Either::Other(other),
        }
    }
}

/// Rows that are either one thing or another, each kind by itself.
///
/// ```
/// # use {differential_dataflow::input::Input, stages::{flow::{Either, divide}, rows::Time}};
/// # timely::execute_directly(|worker| worker.dataflow::<Time, _, _>(|scope| {
/// let (_, numbers) = scope.new_collection_from([1_u32, 2, 3]);
/// let (even, odd) = divide(numbers.into(), |n| if n % 2 == 0 { Either::One(n) } else { Either::Other(format!("{n} is odd")) });
/// let (_, expected) = scope.new_collection_from([2]);
/// even.typed().assert_eq(expected);
/// let (_, expected) = scope.new_collection_from(["1 is odd", "3 is odd"].map(str::to_owned));
/// odd.typed().assert_eq(expected);
/// # }));
/// ```
pub fn divide<'s, R: Clone + 'static, A: Clone + 'static, B: Clone + 'static>(
    rows: Rows<'s, R>,
    mut logic: impl FnMut(R) -> Either<A, B> + 'static,
) -> (Rows<'s, A>, Rows<'s, B>) {
    rows.divide(move |row| match logic(row) {
        Either::One(row) => Ok(row),
        Either::Other(row) => Err(row),
    })
}

/// Distinct rows: each row once.
///
/// ```
/// # use {differential_dataflow::input::Input, stages::{flow::once_each, rows::Time}};
/// # timely::execute_directly(|worker| worker.dataflow::<Time, _, _>(|scope| {
/// let (_, genres) = scope.new_collection_from(['j', 'j', 'r']);
/// let (_, expected) = scope.new_collection_from(['j', 'r']);
/// once_each(genres.into()).typed().assert_eq(expected);
/// # }));
/// ```
pub fn once_each<'s, V: Travels>(rows: Rows<'s, V>) -> Rows<'s, V> {
    Rows::from(once_raw(rows.map(|row| pack(&row)))).map(|(row, _)| unpack(&row))
}
