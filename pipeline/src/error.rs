//! Errors and exit codes: every error has a sentence and a documented exit code.

use crate::manifest::Complaints;
use datasets::store::StoreError;

/// One exit code, as help, manual and docs tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code of the process.
    pub code: u8,
    /// When a command ends with it.
    pub when: &'static str,
}

/// All went well.
pub const DONE: Exit = Exit { code: 0, when: "done" };
/// A bug of ours.
pub const BUG: Exit = Exit { code: 1, when: "a bug of Refrain" };
/// Manifest or command line.
pub const USAGE: Exit = Exit { code: 2, when: "the manifest or the command line is wrong" };
/// Sources and models.
pub const SOURCE: Exit = Exit {
    code: 3,
    when: "a source or a model is missing, cannot be read, or is of a newer version; what could be done of several files is done",
};
/// The store.
pub const STORE: Exit =
    Exit { code: 4, when: "the store cannot be read or written, is full, in use, damaged, or of a newer version" };
/// Guards.
pub const GUARD: Exit = Exit {
    code: 5,
    when: "a guard stopped the run: a source shrank by over 20 % or has nothing of what it lists, a stage dropped more than its \
           `max_dropped`, or the plan that it was to keep to does not hold any more",
};
/// Corpus-level stages.
pub const STAGE: Exit =
    Exit { code: 6, when: "a stage over the whole corpus failed; what does not rest on it is published" };
/// Other processes of the run.
pub const LOST: Exit = Exit { code: 7, when: "another process of the run did not come, was lost, or was interrupted" };
/// Standard output.
pub const OUTPUT: Exit =
    Exit { code: 8, when: "all was done, but standard output could not be written; one that is closed is no failure" };
/// Ctrl-C.
pub const INTERRUPTED: Exit = Exit { code: 130, when: "interrupted" };

/// Every exit code, in ascending order.
pub const EXITS: [Exit; 10] = [DONE, BUG, USAGE, SOURCE, STORE, GUARD, STAGE, LOST, OUTPUT, INTERRUPTED];

/// Error of a command that did not do what was asked; each kind has an exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bug of ours. Exit code 1.
    #[error("this is a bug of refrain: {0}")]
    Bug(String),
    /// The manifest is wrong. Exit code 2.
    #[error("{0}")]
    Manifest(Complaints),
    /// The command line is wrong. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A source cannot be read. Exit code 3.
    #[error("{0}")]
    Source(String),
    /// The store cannot be read or written. Exit code 4.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store lacks an object that the lock file names. Exit code 4.
    #[error("{0}")]
    Lock(String),
    /// The store held damaged objects. Exit code 4.
    #[error("{0}")]
    Damage(String),
    /// A guard stopped the run. Exit code 5.
    #[error("{0}")]
    Guard(String),
    /// A corpus-level stage failed. Exit code 6.
    #[error("{0}")]
    Stage(String),
    /// Another process of the run was lost, or ended before its time. Exit code 7.
    #[error("{0}")]
    Lost(String),
    /// Another process of the run ended it, with the exit code of that process.
    #[error("{why}")]
    Elsewhere {
        /// Exit code of the other process.
        code: u8,
        /// Error message of the other process.
        why: String,
    },
    /// A part of the answer is on no standard output. Exit code 8.
    #[error("standard output cannot be written: {0}")]
    Output(String),
    /// Ctrl-C. Exit code 130.
    #[error("interrupted; what was finished is kept, run again to go on from here")]
    Interrupted,
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Error::Bug(_) => BUG.code,
            Error::Manifest(_) | Error::Usage(_) => USAGE.code,
            Error::Source(_) => SOURCE.code,
            Error::Store(_) | Error::Lock(_) | Error::Damage(_) => STORE.code,
            Error::Guard(_) => GUARD.code,
            Error::Stage(_) => STAGE.code,
            Error::Lost(_) => LOST.code,
            Error::Elsewhere { code, .. } => *code,
            Error::Output(_) => OUTPUT.code,
            Error::Interrupted => INTERRUPTED.code,
        }
    }
}
