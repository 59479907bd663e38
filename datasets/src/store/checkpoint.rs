//! Checkpoints: the unfinished state of effects.

use super::{Memo, Store, StoreError, checked, write_checked};
use crate::{Digest, Key};
use std::path::PathBuf;

/// Times that a state is read, if the disk fails to give it.
const TRIES: usize = 3;

impl Store {
    /// Path of the checkpoint of the effect of a key. Also writes the receipt that keeps this file from being cleaned
    /// up.
    pub fn checkpoint(&self, key: &Digest) -> PathBuf {
        // It stays as long as this receipt. Where that cannot be written, the state itself cannot either, and says so.
        let _ = Memo::at(checkpoint_of(key)).put(self, key, &[]);
        self.state(key)
    }

    fn state(&self, key: &Digest) -> PathBuf {
        self.root.join("checkpoints").join(key.hex())
    }

    /// The state that was last saved of the effect of a key. `None` where there is none that can be used: one that is
    /// damaged is gone, with a warning; one that the disk does not give stays until the next is saved.
    ///
    /// # Errors
    /// When a damaged one cannot be removed.
    pub fn saved(&self, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.state(key);
        let mut tries = 0;
        loop {
            tries += 1;
            match checked::read_kept(&path, key) {
                Err(StoreError::Io { doing: "read", .. }) if tries < TRIES => {}
                Err(error @ StoreError::Io { doing: "read", .. }) => {
                    tracing::warn!("{error}: the work whose state it holds starts over");
                    return Ok(None);
                }
                read => return read,
            }
        }
    }

    /// Saves the state of the effect of a key, after [`Store::checkpoint`] has said that there will be one.
    ///
    /// # Errors
    /// When the disk refuses; then the state that was saved before is still there.
    pub fn save(&self, key: &Digest, state: &[u8]) -> Result<(), StoreError> {
        write_checked(&self.state(key), key, state)
    }
}

/// Key of the receipt that says that an effect has a checkpoint.
pub(super) fn checkpoint_of(key: &Digest) -> Digest {
    Key::new("checkpoint").digest(key).finish()
}
