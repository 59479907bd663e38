//! Memos: a typed value under a key, as a receipt of the store.

use super::{Store, StoreError};
use crate::Digest;
use serde::{Serialize, de::DeserializeOwned};
use std::{io, marker::PhantomData, sync::atomic::Ordering};

/// A value that the store remembers under a key, packed with postcard.
///
/// ```
/// use datasets::{Key, store::{Memo, Store}};
///
/// let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path())?;
/// let file = store.put(b"tick tock")?;
///
/// let tempo: Memo<f64> = Memo::at(Key::new("tempo").digest(&file).finish());
/// assert_eq!(tempo.get(&store), None);
/// tempo.put(&store, &120.0, &[file])?;
/// assert_eq!(tempo.get(&store), Some(120.0));
///
/// // Without an object that it names, a memo is of no use.
/// std::fs::remove_file(store.path(&file))?;
/// assert_eq!(tempo.get(&store), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Memo<T> {
    key: Digest,
    value: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Memo<T> {
    /// The memo under `key`. One key holds values of one type.
    pub fn at(key: Digest) -> Memo<T> {
        Memo { key, value: PhantomData }
    }

    /// The value; the run that asks rests on it. `None` where there is none, where it cannot be read as a `T`, or where
    /// the store lacks an object that it names.
    pub fn get(&self, store: &Store) -> Option<T> {
        let value = self.peek(store);
        if value.is_some() {
            self.touch(store);
        }
        value
    }

    /// [`Memo::get`] for somebody who may yet do without it: the run rests on it from [`Memo::touch`] on.
    pub fn peek(&self, store: &Store) -> Option<T> {
        let receipt = store.receipts.find(&self.key)?;
        let value = postcard::from_bytes(&receipt.value);
        // The log has its checks: such bytes were written whole, by a version to which they meant something else.
        if value.is_err() && !store.unread.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the store {} holds a result that this refrain cannot read (key {}): it is made again, and so are others \
                 like it, without another warning",
                store.root().display(),
                self.key.short(12)
            );
        }
        value.ok().filter(|_| receipt.objects.iter().all(|object| store.has(object)))
    }

    /// Counts the value among what the run rests on.
    pub fn touch(&self, store: &Store) {
        store.receipts.touch(&self.key);
    }

    /// Remembers `value` with the objects that it names: these have been stored before, and stay as long as the memo.
    /// Returns the digest of the value's bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put(&self, store: &Store, value: &T, objects: &[Digest]) -> Result<Digest, StoreError> {
        let packed = postcard::to_stdvec(value).map_err(io::Error::other);
        let packed = packed.map_err(StoreError::io("write", &store.root().join("receipts")))?;
        store.receipts.put(self.key, objects, &packed)?;
        Ok(Digest::of(&packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    type Pair = (String, u64);

    fn key() -> Digest {
        Digest::of(b"key")
    }

    #[test]
    fn a_value_is_remembered_as_its_packed_bytes_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let digest = Digest::of(b"of an object");
        assert_eq!(Memo::at(key()).put(&store, &digest, &[]).expect("put"), Digest::of(&digest.0));
        assert_eq!(store.receipts.find(&key()).expect("a receipt").value[..], digest.0);
        let store = Store::open(folder.path()).expect("opened again");
        assert_eq!(Memo::<Digest>::at(key()).get(&store), Some(digest));
    }

    #[test]
    fn a_damaged_receipt_is_none_and_gives_way_to_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let memo: Memo<Pair> = Memo::at(key());
        memo.put(&store, &("whole".to_owned(), 7), &[]).expect("put");
        let whole = store.receipts.find(&key()).expect("a receipt").value;
        for damaged in [&whole[..whole.len() - 1], b"", &[0xff; 16]] {
            Store::open(folder.path()).expect("a store").receipts.put(key(), &[], damaged).expect("written");
            let store = Store::open(folder.path()).expect("opened again");
            assert_eq!(memo.get(&store), None, "{damaged:?}");
            assert!(store.unread.load(Ordering::Relaxed), "a warning");
            assert_eq!(store.touched(&BTreeSet::new()), [], "no run rests on what is no use to it");
            memo.put(&store, &("again".to_owned(), 8), &[]).expect("put");
            assert_eq!(memo.get(&store), Some(("again".to_owned(), 8)));
        }
    }

    #[test]
    fn a_lost_object_makes_it_none_without_a_warning() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let objects = [store.put(b"one").expect("stored"), store.put(b"two").expect("stored")];
        let memo: Memo<Pair> = Memo::at(key());
        memo.put(&store, &("two objects".to_owned(), 2), &objects).expect("put");
        assert!(memo.get(&store).is_some());
        fs::remove_file(store.path(&objects[1])).expect("removed");
        assert_eq!(memo.get(&store), None);
        assert!(!store.unread.load(Ordering::Relaxed));
        store.put(b"two").expect("stored again");
        assert!(memo.get(&store).is_some());
    }

    #[test]
    fn a_run_rests_on_what_it_got_and_not_on_what_it_peeked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        Memo::at(key()).put(&Store::open(folder.path()).expect("a store"), &1u64, &[]).expect("put");
        let store = Store::open(folder.path()).expect("opened again");
        let memo: Memo<u64> = Memo::at(key());
        assert_eq!(memo.peek(&store), Some(1));
        assert_eq!(store.touched(&BTreeSet::new()), []);
        assert_eq!(memo.get(&store), Some(1));
        assert_eq!(store.touched(&BTreeSet::new()), [key()]);
    }
}
