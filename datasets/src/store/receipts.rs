//! Receipts: an append-only log of finished work, key -> the objects that it names and small bytes.
//!
//! The body of a record is key, number of objects (u32), objects and value. A segment is written by one process run and
//! never appended to by another, so that a torn tail ends only itself. Its first record says which manifest's run wrote it.

use super::{StoreError, log, write_atomic};
use crate::{Digest, Key, store::fault};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

/// Key and number of objects.
const LEAST: usize = 36;
/// The ending of a segment's name. Format 1 wrote `.log`, which did not name objects.
const ENDING: &str = "seg";

/// The value remembered under a key, with the objects that it needs.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Objects without which it is of no use.
    pub objects: Box<[Digest]>,
    /// The remembered value, as bytes.
    pub value: Arc<[u8]>,
}

/// One segment of the log, for those who clean up.
pub struct Segment {
    /// Number of the segment: its place in the log.
    pub number: u64,
    /// The name of the manifest whose run wrote it; empty for one that was made of others.
    pub name: String,
    /// Receipts by key.
    pub receipts: HashMap<Digest, Receipt>,
    /// Size of the segment in bytes.
    pub bytes: u64,
    /// When it was last written to.
    pub written: Option<SystemTime>,
    /// Whether records before its end are damaged.
    pub damaged: bool,
}

struct Known {
    receipt: Receipt,
    /// Whether this process looked it up or wrote it.
    touched: AtomicBool,
}

/// The segment that this process writes.
struct Open {
    path: PathBuf,
    file: File,
    /// Bytes of its whole records.
    length: u64,
}

impl Open {
    /// Appends a record in one write: a crash tears at most the last one.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        fault::append(&mut self.file, record)?;
        self.length += record.len() as u64;
        Ok(())
    }
}

pub(super) struct Receipts {
    folder: PathBuf,
    /// Whether they are written to the disk.
    lasting: bool,
    index: RwLock<HashMap<Digest, Known>>,
    segment: Mutex<Option<Open>>,
    name: OnceLock<String>,
}

/// The key of a segment's first record.
fn writer() -> Digest {
    Key::new("written by runs of").finish()
}

fn record(key: &Digest, objects: &[Digest], value: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(LEAST + 32 * objects.len() + value.len());
    body.extend(key.0);
    body.extend((objects.len() as u32).to_le_bytes());
    objects.iter().for_each(|object| body.extend(object.0));
    body.extend(value);
    log::record(&body)
}

/// Key and receipt of a record's body.
fn parse(body: &[u8]) -> Option<(Digest, Receipt)> {
    let key = Digest(body.get(..32)?.try_into().ok()?);
    let end = LEAST + 32 * u32::from_le_bytes(body.get(32..LEAST)?.try_into().ok()?) as usize;
    let objects = Digest::list(body.get(LEAST..end)?).collect();
    Some((key, Receipt { objects, value: body[end..].into() }))
}

/// Hands out every whole record; says whether there was damage between them.
fn load(bytes: &[u8], mut take: impl FnMut(Digest, Receipt)) -> bool {
    let mut whole = log::Salvage::of(bytes);
    whole.by_ref().filter_map(parse).for_each(|(key, receipt)| take(key, receipt));
    whole.damaged()
}

/// Whether the body of a record is that of a segment's first.
pub(super) fn is_first(body: &[u8]) -> bool {
    parse(body).is_some_and(|(key, _)| key == writer())
}

/// Reads a segment.
fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fault::read(path).map_err(StoreError::io("read", path))
}

/// Tells of a segment with damage.
fn tell(path: &Path) {
    tracing::warn!(
        "the receipts in {} are damaged: those that cannot be read are thrown away, and their work is done again",
        path.display()
    );
}

/// The segments in their order: a later one wins where two processes remembered one key. Files of other names are
/// somebody's.
pub(super) fn segments(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreError::io("read", folder))? {
        let path = entry.map_err(StoreError::io("read", folder))?.path();
        let number = path.file_name().and_then(|name| number(name.to_str()?.strip_suffix(ENDING)?.strip_suffix('.')?));
        segments.extend(number.map(|number| (number, path)));
    }
    segments.sort();
    Ok(segments)
}

/// The number of a segment, as it stands in its name.
pub(super) fn number(stem: &str) -> Option<u64> {
    (stem.len() >= 8 && stem.bytes().all(|digit| digit.is_ascii_digit())).then(|| stem.parse().ok())?
}

impl Receipts {
    pub(super) fn open(folder: &Path) -> Result<Receipts, StoreError> {
        let mut index = HashMap::new();
        for (_, path) in segments(folder)? {
            let bytes = read(&path)?;
            let damaged = load(&bytes, |key, receipt| {
                index.insert(key, Known { receipt, touched: AtomicBool::new(false) });
            });
            if damaged {
                tell(&path);
            }
        }
        let (index, segment) = (RwLock::new(index), Mutex::new(None));
        Ok(Receipts { folder: folder.into(), lasting: true, index, segment, name: OnceLock::new() })
    }

    /// None, and none will be written.
    pub(super) fn nowhere() -> Receipts {
        let (folder, index, segment) = (PathBuf::new(), RwLock::default(), Mutex::new(None));
        Receipts { folder, lasting: false, index, segment, name: OnceLock::new() }
    }

    fn segments(&self) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        if self.lasting { segments(&self.folder) } else { Ok(Vec::new()) }
    }

    /// Names the manifest whose run writes from here on; only the first call counts.
    pub(super) fn begin(&self, name: &str) {
        self.name.get_or_init(|| name.to_owned());
    }

    /// The receipt under a key; whoever looks does not rest on it yet.
    pub(super) fn find(&self, key: &Digest) -> Option<Receipt> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.get(key).map(|known| known.receipt.clone())
    }

    /// Counts a receipt as looked up.
    pub(super) fn touch(&self, key: &Digest) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = index.get(key) {
            known.touched.store(true, Ordering::Relaxed);
        }
    }

    /// What `pick` makes of each receipt.
    pub(super) fn all<T: Eq + std::hash::Hash>(&self, pick: impl Fn(&Digest, &Receipt) -> Option<T>) -> HashSet<T> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.iter().filter_map(|(key, known)| pick(key, &known.receipt)).collect()
    }

    /// The objects that a receipt names.
    pub(super) fn objects(&self, key: &Digest) -> Option<Box<[Digest]>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let known = index.get(key)?;
        known.touched.store(true, Ordering::Relaxed);
        Some(known.receipt.objects.clone())
    }

    pub(super) fn put(&self, key: Digest, objects: &[Digest], value: &[u8]) -> Result<(), StoreError> {
        let record = record(&key, objects, value);
        if self.lasting {
            let mut segment = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
            let open = match &mut *segment {
                Some(open) => open,
                none => {
                    let name = self.name.get().map_or("", String::as_str);
                    none.insert(create(&self.folder, name)?)
                }
            };
            if let Err(error) = open.append(&record) {
                let error = StoreError::io("write", &open.path)(error);
                // What a full disk took of it must not stand before later records: they would be lost with it.
                if open.file.set_len(open.length).is_err() {
                    // Nor the earlier ones, which nobody syncs from here on.
                    let _ = open.file.sync_all();
                    *segment = None;
                }
                return Err(error);
            }
        }
        let receipt = Receipt { objects: objects.into(), value: value.into() };
        let known = Known { receipt, touched: AtomicBool::new(true) };
        self.index.write().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        match &*self.segment.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Open { path, file, .. }) => {
                fault::point("fsync").and_then(|()| file.sync_all()).map_err(StoreError::io("write", path))
            }
            None => Ok(()),
        }
    }

    /// Loads the receipts that others have written since the log was opened, and counts those of `keys` as looked up.
    pub(super) fn adopt(&self, keys: &[Digest]) -> Result<(), StoreError> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if keys.iter().any(|key| !index.contains_key(key)) {
            for (_, path) in self.segments()? {
                let bytes = read(&path)?;
                load(&bytes, |key, receipt| {
                    index.entry(key).or_insert(Known { receipt, touched: AtomicBool::new(false) });
                });
            }
        }
        for known in keys.iter().filter_map(|key| index.get(key)) {
            known.touched.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Keys of what this process looked up or wrote and `which` picks, sorted.
    pub(super) fn touched(&self, which: impl Fn(&Receipt) -> bool) -> Vec<Digest> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let touched = index.iter().filter(|(_, known)| known.touched.load(Ordering::Relaxed) && which(&known.receipt));
        let mut keys: Vec<Digest> = touched.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// The number of the last segment; 0 where there is none.
    pub(super) fn last(&self) -> Result<u64, StoreError> {
        Ok(self.segments()?.last().map_or(0, |(number, _)| *number))
    }

    /// Every segment with all its receipts.
    pub(super) fn read(&self) -> Result<Vec<Segment>, StoreError> {
        let mut read = Vec::new();
        for (number, path) in self.segments()? {
            let written = fs::metadata(&path).and_then(|facts| facts.modified()).ok();
            let bytes = self::read(&path)?;
            let (mut name, mut receipts) = (String::new(), HashMap::new());
            let damaged = load(&bytes, |key, receipt| {
                if key == writer() {
                    name = String::from_utf8_lossy(&receipt.value).into_owned();
                } else {
                    receipts.insert(key, receipt);
                }
            });
            read.push(Segment { number, name, receipts, bytes: bytes.len() as u64, written, damaged });
        }
        Ok(read)
    }

    /// Puts one segment in the place of several, given by their numbers in order; later ones win. It takes the last
    /// number, so that at no moment a receipt that stays is missing. `keep` picks what stays.
    pub(super) fn merge(
        &self,
        segments: &[&Segment],
        keep: impl Fn(&Digest, &Receipt) -> bool,
    ) -> Result<(), StoreError> {
        let Some((last, before)) = segments.split_last() else { return Ok(()) };
        let mut kept: HashMap<&Digest, &Receipt> = HashMap::new();
        for segment in segments {
            kept.extend(segment.receipts.iter().filter(|(key, receipt)| keep(key, receipt)));
        }
        let mut sorted: Vec<_> = kept.into_iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| **key);
        // One that stands for itself stays what it is: finished work or not.
        let name = if before.is_empty() { last.name.as_str() } else { "" };
        let first = if name.is_empty() { Vec::new() } else { record(&writer(), &[], name.as_bytes()) };
        let records = sorted.into_iter().map(|(key, receipt)| record(key, &receipt.objects, &receipt.value));
        let bytes: Vec<u8> = std::iter::once(first).chain(records).flatten().collect();
        let path = place(&self.folder, last.number);
        write_atomic(&path, &bytes)?;
        // What is written anew is no work that went on.
        if let Some(written) = last.written {
            let _ = crate::untrusted::open(&path).and_then(|file| file.set_modified(written));
        }
        for segment in before {
            super::remove(&place(&self.folder, segment.number))?;
        }
        Ok(())
    }
}

fn place(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{ENDING}"))
}

/// The first free number; `create_new` settles a race between processes.
fn create(folder: &Path, name: &str) -> Result<Open, StoreError> {
    let mut number = segments(folder)?.last().map_or(1, |(number, _)| number + 1);
    loop {
        let path = place(folder, number);
        match fault::point("write").and_then(|()| OpenOptions::new().append(true).create_new(true).open(&path)) {
            Ok(file) => {
                let mut open = Open { path, file, length: 0 };
                let first = record(&writer(), &[], name.as_bytes());
                open.append(&first).map_err(StoreError::io("write", &open.path))?;
                return Ok(open);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(StoreError::Io { doing: "create", path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: &[u8]) -> usize {
        let mut count = 0;
        load(bytes, |_, _| count += 1);
        count
    }

    #[test]
    fn a_torn_tail_loses_only_the_last_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys: Vec<Digest> = (0..5u8).map(|i| Digest::of(&[i])).collect();
        let first = record(&writer(), &[], b"songs").len();
        let whole = {
            let receipts = Receipts::open(folder.path()).expect("open");
            receipts.begin("songs");
            for key in &keys {
                receipts.put(*key, &[keys[0]], b"value").expect("put");
            }
            fs::read(place(folder.path(), 1)).expect("a segment")
        };
        for cut in 0..whole.len() {
            let records = if cut < first { 0 } else { 1 + (cut - first) / (log::HEAD + LEAST + 32 + 5) };
            assert_eq!(count(&whole[..cut]), records, "cut at {cut}");
        }
        // A second run starts a segment of its own and sees all of the first.
        let receipts = Receipts::open(folder.path()).expect("open");
        receipts.put(Digest::of(b"new"), &[], b"x").expect("put");
        assert!(place(folder.path(), 2).exists());
        assert!(keys.iter().all(|k| receipts.find(k).is_some_and(|found| *found.value == *b"value")));
        assert_eq!(receipts.touched(|_| true), [Digest::of(b"new")]);
        // What another process of the same run has written meanwhile.
        let (other, later) = (Receipts::open(folder.path()).expect("open"), Digest::of(b"later"));
        other.put(later, &[], b"y").expect("put");
        receipts.adopt(&[later, keys[0], Digest::of(b"nowhere")]).expect("adopted");
        assert_eq!(receipts.find(&later).expect("adopted").value[..], b"y"[..]);
        let mut touched = vec![Digest::of(b"new"), later, keys[0]];
        touched.sort();
        assert_eq!(receipts.touched(|_| true), touched);
    }

    #[test]
    fn damage_costs_the_receipt_in_which_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys: Vec<Digest> = (0..5u8).map(|i| Digest::of(&[i])).collect();
        {
            let receipts = Receipts::open(folder.path()).expect("open");
            receipts.begin("songs");
            keys.iter().for_each(|key| receipts.put(*key, &[keys[0]], b"value").expect("put"));
        }
        let path = place(folder.path(), 1);
        let whole = fs::read(&path).expect("a segment");
        let (first, each) = (record(&writer(), &[], b"songs").len(), record(&keys[0], &[keys[0]], b"value").len());
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).expect("damaged");
            let receipts = Receipts::open(folder.path()).expect("open");
            let lost = at.checked_sub(first).map(|at| at / each);
            let there: Vec<bool> = keys.iter().map(|key| receipts.find(key).is_some()).collect();
            assert_eq!(there, (0..5).map(|i| Some(i) != lost).collect::<Vec<_>>(), "at {at}");
            // Nothing follows the last one: it may be what a kill tore off.
            let segment = &receipts.read().expect("read")[0];
            assert_eq!(segment.damaged, at < whole.len() - each, "at {at}");
            assert_eq!(segment.name, if at < first { "" } else { "songs" });
        }
    }

    #[test]
    fn merged_segments_hold_what_stays_and_the_later_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b, c] = [b"a", b"b", b"c"].map(|key| Digest::of(key));
        for (name, key, value) in [("one", a, b"1"), ("two", b, b"2"), ("two", a, b"3"), ("last", c, b"4")] {
            let receipts = Receipts::open(folder.path()).expect("open");
            receipts.begin(name);
            receipts.put(key, &[b], value).expect("put");
        }
        let receipts = Receipts::open(folder.path()).expect("open");
        let read = receipts.read().expect("read");
        assert_eq!(read.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["one", "two", "two", "last"]);
        receipts.merge(&read[..3].iter().collect::<Vec<_>>(), |key, _| *key != b).expect("merged");
        let read = receipts.read().expect("read");
        assert_eq!(read.iter().map(|s| (s.number, s.name.as_str())).collect::<Vec<_>>(), [(3, ""), (4, "last")]);
        assert_eq!(
            (read[0].receipts.len(), &*read[0].receipts[&a].value, &*read[0].receipts[&a].objects),
            (1, &b"3"[..], &[b][..])
        );
    }
}
