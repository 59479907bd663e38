//! Checkpoints: the unfinished state of effects.

use super::{Memo, Store};
use crate::{Digest, Key};
use std::path::PathBuf;

impl Store {
    /// Path of the checkpoint of the effect of a key. Also writes the receipt that keeps this file from being cleaned
    /// up.
    pub fn checkpoint(&self, key: &Digest) -> PathBuf {
        // It stays as long as this receipt. Where that cannot be written, the state itself cannot either, and says so.
        let _ = Memo::at(checkpoint_of(key)).put(self, key, &[]);
        self.root.join("checkpoints").join(key.hex())
    }
}

/// Key of the receipt that says that an effect has a checkpoint.
pub(super) fn checkpoint_of(key: &Digest) -> Digest {
    Key::new("checkpoint").digest(key).finish()
}
