//! What a command on several files could not use: named when it is met, and again at the end.

use crate::{error::Error, terminal::output};
use std::path::{Path, PathBuf};

/// Files in the last sentence at most.
const SHOWN: usize = 5;

/// Files that a command left out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    files: Vec<PathBuf>,
    done: usize,
}

impl LeftOut {
    /// Names a file that cannot be used, and why.
    pub(super) fn file(&mut self, file: &Path, why: &str) {
        output::error(&format!("{}: {why}", file.display()));
        if self.files.last().is_none_or(|last| last != file) {
            self.files.push(file.to_owned());
        }
    }

    /// Counts a file that was written.
    pub(super) fn done(&mut self) {
        self.done += 1;
    }

    /// The end of the command, which was to do something (`done`, such as "encoded") with `all` files.
    ///
    /// # Errors
    /// When files were left out.
    pub(super) fn ended(&self, done: &str, all: usize) -> Result<(), Error> {
        let shown: Vec<String> = self.files.iter().take(SHOWN).map(|file| file.display().to_string()).collect();
        let more = match self.files.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match (self.files.len(), self.done) {
            (0, _) => Ok(()),
            (_, 0) => Err(Error::Source(format!("no file could be {done}"))),
            (left, _) => {
                Err(Error::Source(format!("{left} of {all} files could not be {done}: {}{more}", shown.join(", "))))
            }
        }
    }
}
