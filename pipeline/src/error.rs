//! How a command ends: every error has a sentence and a documented exit code.

use crate::manifest::Complaints;
use datasets::store::StoreError;

/// Why a command ended without doing what was asked.
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
    /// The store lacks what the lock file names. Exit code 4.
    #[error("{0}")]
    Lock(String),
    /// The store held what was damaged. Exit code 4.
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
    /// Another process of the run ended it.
    #[error("{why}")]
    Elsewhere {
        /// Its exit code.
        code: u8,
        /// Its sentence.
        why: String,
    },
    /// Ctrl-C. Exit code 130.
    #[error("interrupted; what was finished is kept, run again to go on from here")]
    Interrupted,
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Error::Bug(_) => 1,
            Error::Manifest(_) | Error::Usage(_) => 2,
            Error::Source(_) => 3,
            Error::Store(_) | Error::Lock(_) | Error::Damage(_) => 4,
            Error::Guard(_) => 5,
            Error::Stage(_) => 6,
            Error::Lost(_) => 7,
            Error::Elsewhere { code, .. } => *code,
            Error::Interrupted => 130,
        }
    }
}
