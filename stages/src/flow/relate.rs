//! The relational operators that stages use: group, pair, and without.
//!
//! Differential's operators are compiled anew for every type of row, at some ten seconds each. Here
//! they are compiled once, for rows as bytes; what goes in and comes out is typed.

use crate::stage::Rows;
use differential_dataflow::AsCollection;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use timely::dataflow::{
    channels::pact::Pipeline,
    operators::{core::OkErr, generic::Operator},
};

/// Rows as they travel: a key and a value, both as bytes.
type Raw<'s> = Rows<'s, (Vec<u8>, Vec<u8>)>;

/// A value that travels as bytes.
pub trait Travels: Clone + Ord + Serialize + DeserializeOwned + 'static {}
impl<T: Clone + Ord + Serialize + DeserializeOwned + 'static> Travels for T {}

fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    // Rows are plain structs of strings and numbers: there is nothing that could fail.
    postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("a row cannot be packed: {error}"))
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).unwrap_or_else(|error| unreachable!("a row packed here cannot be unpacked: {error}"))
}

fn raw<'s, K: Travels, V: Travels>(rows: Rows<'s, (K, V)>) -> Raw<'s> {
    rows.map(|(key, value)| (pack(&key), pack(&value)))
}

/// So many containers are passed on at a time.
const AT_ONCE: usize = 16;

/// The same rows, passed on little by little: a reduce gives all its rows at once, packed, and every operator after it would
/// hold all of them unpacked before the next one is asked.
fn gradually<'s>(rows: Raw<'s>) -> Raw<'s> {
    let scope = rows.inner.scope();
    let passed = rows.inner.unary(Pipeline, "gradually", move |_, info| {
        let activator = scope.activator_for(info.address);
        let mut waiting = VecDeque::new();
        move |input, output| {
            input.for_each(|time, batch| {
                // Every batch has a time.
                let capability = time.retain_least(output.output_index());
                waiting.extend(capability.map(|capability| (capability, std::mem::take(batch))));
            });
            for (capability, mut batch) in waiting.drain(..AT_ONCE.min(waiting.len())) {
                output.session(&capability).give_container(&mut batch);
            }
            if !waiting.is_empty() {
                activator.activate();
            }
        }
    });
    passed.as_collection()
}

type Logic = Box<dyn FnMut(&[u8], &[(&Vec<u8>, isize)]) -> Vec<(Vec<u8>, isize)>>;

fn group_raw<'s>(rows: Raw<'s>, name: &str, mut logic: Logic) -> Raw<'s> {
    gradually(rows.reduce_named(name, move |key, values, out| out.extend(logic(key, values))))
}

fn pair_raw<'s>(left: Raw<'s>, right: Raw<'s>) -> Rows<'s, (Vec<u8>, Vec<u8>, Vec<u8>)> {
    left.join_map(right, |key, left, right| (key.clone(), left.clone(), right.clone()))
}

fn without_raw<'s>(rows: Raw<'s>, keys: Rows<'s, Vec<u8>>) -> Raw<'s> {
    rows.antijoin(keys.distinct())
}

/// Rows that share a key become other rows. The values come sorted, each with its multiplicity; the logic must
/// be pure, it may run again.
pub fn group<'s, K: Travels, V: Travels, O: Travels>(
    rows: Rows<'s, (K, V)>,
    name: &str,
    mut logic: impl FnMut(&K, &[(V, isize)]) -> Vec<(O, isize)> + 'static,
) -> Rows<'s, (K, O)> {
    let logic = move |key: &[u8], values: &[(&Vec<u8>, isize)]| {
        let mut values: Vec<(V, isize)> = values.iter().map(|(value, count)| (unpack(value), *count)).collect();
        values.sort();
        logic(&unpack(key), &values).into_iter().map(|(row, count)| (pack(&row), count)).collect()
    };
    group_raw(raw(rows), name, Box::new(logic)).map(|(key, row)| (unpack(&key), unpack(&row)))
}

/// Every pair of rows that share a key.
pub fn pair<'s, K: Travels, A: Travels, B: Travels>(
    left: Rows<'s, (K, A)>,
    right: Rows<'s, (K, B)>,
) -> Rows<'s, (K, A, B)> {
    pair_raw(raw(left), raw(right)).map(|(key, left, right)| (unpack(&key), unpack(&left), unpack(&right)))
}

/// Rows whose key is not among the keys.
pub fn without<'s, K: Travels, V: Travels>(rows: Rows<'s, (K, V)>, keys: Rows<'s, K>) -> Rows<'s, (K, V)> {
    without_raw(raw(rows), keys.map(|key| pack(&key))).map(|(key, row)| (unpack(&key), unpack(&row)))
}

/// One of two things.
pub enum Either<A, B> {
    /// The first.
    One(A),
    /// The second.
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
pub fn divide<'s, R: Clone + 'static, A: Clone + 'static, B: Clone + 'static>(
    rows: Rows<'s, R>,
    mut logic: impl FnMut(R) -> Either<A, B> + 'static,
) -> (Rows<'s, A>, Rows<'s, B>) {
    let (one, other) = rows.inner.ok_err(move |(row, time, diff)| match logic(row) {
        Either::One(row) => Ok((row, time, diff)),
        Either::Other(row) => Err((row, time, diff)),
    });
    (one.as_collection(), other.as_collection())
}

/// Each row once.
pub fn once_each<'s, V: Travels>(rows: Rows<'s, V>) -> Rows<'s, V> {
    group(rows.map(|row| (row, ())), "distinct", |_, _| vec![((), 1)]).map(|(row, ())| row)
}
