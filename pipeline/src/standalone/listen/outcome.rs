//! The outcome of a listening test.

use serde_json::Value;

/// Statistics as data, and as tables.
pub(super) struct Results {
    pub(super) json: Value,
    pub(super) text: String,
}
