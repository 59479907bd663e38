//! Failures that end a build.

use datasets::store::StoreError;
use std::any::Any;

/// Reasons for a run to end without publishing.
#[derive(Debug)]
pub enum Failure {
    /// A corpus-level stage failed: exit code 6.
    Stage {
        /// The stage's name.
        stage: String,
        /// The reason as a sentence.
        why: String,
    },
    /// A source kept a corpus-level stage from starting: exit code 3.
    Source {
        /// The stage's name.
        stage: String,
        /// The reason as a sentence.
        why: String,
    },
    /// The store does not hold, or know, the model that a stage is pinned to: exit code 4.
    Pin(String),
    /// A thread died beside its work: exit code 1.
    Bug(String),
    /// The store failed: exit code 4.
    Store(StoreError),
    /// An effect was about to run that the approved plan does not name: exit code 5.
    Unplanned {
        /// The stage's name.
        stage: String,
        /// The id of the row on which it would have run.
        id: String,
    },
    /// Another process of this run failed.
    Elsewhere {
        /// Exit code of that process.
        code: u8,
        /// The reason as a sentence.
        why: String,
    },
}

/// What a panic says.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}
