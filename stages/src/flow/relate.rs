//! The relational operators that stages use: group, pair, and without.
//!
//! Differential's operators are compiled anew for every type of row, at some ten seconds each. Here
//! they are compiled once, for rows as bytes; what goes in and comes out is typed.

use crate::stage::Rows;
use differential_dataflow::AsCollection;
use serde::{Serialize, de::DeserializeOwned};
use timely::dataflow::operators::core::OkErr;

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

type Logic = Box<dyn FnMut(&[u8], &[(&Vec<u8>, isize)]) -> Vec<(Vec<u8>, isize)>>;

fn group_raw<'s>(rows: Raw<'s>, name: &str, mut logic: Logic) -> Raw<'s> {
    rows.reduce_named(name, move |key, values, out| out.extend(logic(key, values)))
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
