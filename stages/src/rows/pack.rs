//! Rows as bytes, and back: plain structs of strings and numbers, with which nothing can go wrong.

use serde::{Deserialize, Serialize};

/// The bytes of a value.
pub(crate) fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    append(value, Vec::new())
}

/// Bytes with those of a value behind them.
pub(crate) fn append<T: Serialize>(value: &T, to: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, to).unwrap_or_else(|error| unreachable!("a row cannot be packed: {error}"))
}

/// The value with whose bytes these begin.
pub(crate) fn unpack<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> T {
    let value = postcard::take_from_bytes(bytes);
    value.unwrap_or_else(|error| unreachable!("a row packed here cannot be unpacked: {error}")).0
}
