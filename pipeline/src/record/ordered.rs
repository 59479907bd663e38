//! Serialization of fields in the order of their names, as JSON of this program has them.

use serde::{Serialize, Serializer, ser};

/// Writes fields in the order of their names where a type declares them in another one, which decides its own order.
pub(crate) fn by_name<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    serde_json::to_value(value).map_err(ser::Error::custom)?.serialize(to)
}
