//! Looking at a folder or a table: which files there are, their digests, their tags.
//!
//! Digests decide. The hint that saves reading a file again is (device, inode, size, mtime, ctime), and it
//! is trusted only if it was stored when ctime was more than two seconds older than the reading: a
//! file that changes within a tick of the clock cannot hide.

use super::settings::Ingest;
use crate::{
    flow::{Env, Event},
    rows::scan::{Part, Scan},
    stage::SourceError,
};
use datasets::{
    Digest, Key,
    audio::tags::{self, Tags},
    corpus::{Adapter, Entry, Listing, Member, ScanError},
    row::{Found, Labels, Origin},
    store::{Memo, StoreError},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Nanoseconds that a file must have rested before its digest is remembered by its times.
const REST: i128 = 2_000_000_000;

/// Files are read so many at a time: what is known of them is packed before the next are read.
const AT_ONCE: usize = 4096;

/// A part of a corpus as listed: files whose digests are stated, packed, and files that are to be read.
type Listed = (Result<(Part, Vec<Place>), StoreError>, Vec<Entry>);

/// Lists a corpus, and reads the digests and tags of its files.
pub(super) fn scan(ingest: &Ingest, corpus: &dyn Adapter, env: &Env) -> Result<Scan, SourceError> {
    let listed: Mutex<BTreeMap<usize, Listed>> = Mutex::default();
    let tags = corpus.trusts_tags();
    // Files are read when the whole corpus is known to be one.
    let take = |number: usize, entries: Vec<Entry>| {
        let (stated, rest): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.digest.is_some());
        let stated = stated.into_iter().map(|entry| one(ingest, tags, entry, env));
        let stated = stated.collect::<Result<Vec<_>, StoreError>>().map(packed);
        listed.lock().unwrap_or_else(PoisonError::into_inner).insert(number, (stated, rest));
    };
    let Listing { rows: odd, remarks } = corpus.scan(&take).map_err(|error| match error {
        ScanError::NothingThere { .. } => SourceError::Nothing(error.to_string()),
        error => SourceError::Unreadable(error.to_string()),
    })?;
    for message in remarks {
        env.event(Event::Warning { stage: ingest.dataset().to_owned(), message });
    }
    let listed = listed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (stated, rest): (Vec<_>, Vec<Vec<Entry>>) = listed.into_values().unzip();
    let mut read = stated.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
    read.extend(in_parts(ingest, tags, rest.into_iter().flatten().collect(), env)?);
    Ok(whole(read, odd.into_iter(), env))
}

/// Reads files' digests and tags, in parallel.
fn read(ingest: &Ingest, tags: bool, entries: Vec<Entry>, env: &Env) -> Result<(Part, Vec<Place>), SourceError> {
    let read = entries.into_par_iter().map(|entry| match env.cancel.cancelled() {
        true => Err(SourceError::Interrupted),
        false => Ok(one(ingest, tags, entry, env)?),
    });
    Ok(packed(read.collect::<Result<Vec<_>, SourceError>>()?))
}

/// Reads the files of all entries, some at a time.
fn in_parts(
    ingest: &Ingest,
    tags: bool,
    entries: Vec<Entry>,
    env: &Env,
) -> Result<Vec<(Part, Vec<Place>)>, SourceError> {
    let mut entries = entries.into_iter();
    let mut parts = Vec::new();
    while entries.len() > 0 {
        parts.push(read(ingest, tags, entries.by_ref().take(AT_ONCE).collect(), env)?);
    }
    Ok(parts)
}

fn packed(rows: impl IntoIterator<Item = (Found, Option<Place>)>) -> (Part, Vec<Place>) {
    let (mut part, mut places) = (Part::default(), Vec::new());
    for (found, place) in rows {
        part.push(&found);
        places.extend(place);
    }
    (part, places)
}

/// The scan of the whole corpus: the parts that were read, and the rows for oddities.
fn whole(read: Vec<(Part, Vec<Place>)>, odd: impl Iterator<Item = Found>, env: &Env) -> Scan {
    let (mut parts, places): (Vec<Part>, Vec<Vec<Place>>) = read.into_iter().unzip();
    env.sources.extend(places.into_iter().flatten().collect());
    parts.extend(Part::several(odd));
    Scan::of(parts)
}

/// A file with the digest of its bytes.
type Place = (Digest, PathBuf);

/// The row of a file. `tags`: whether they fill in what the corpus does not state.
fn one(ingest: &Ingest, tags: bool, entry: Entry, env: &Env) -> Result<(Found, Option<Place>), StoreError> {
    let Entry { key, path, license, labels, digest } = entry;
    let mut found = Found { license, labels, ..Found::bare(key, Origin::Unreadable(String::new())) };
    // The table's word is taken until the file is decoded, which reads it and finds out.
    if let Some(stated) = digest {
        let content = Digest(stated);
        found.origin = Origin::File { content, bytes: 0 };
        return Ok((found, Some((content, path))));
    }
    let read = content(&path, env).and_then(|read| {
        let told = if tags { tags_of(&read, env)? } else { (Remembered::default(), Note::None) };
        Ok((told, read))
    });
    let ((told, noted), File { content, bytes, hint, .. }) = match read {
        Ok(read) => read,
        Err(error) => {
            found.origin = Origin::Unreadable(format!("cannot read {}: {error}", path.display()));
            return Ok((found, None));
        }
    };
    let Remembered { title, artist, genre, license, url } = told;
    found.labels.fill_from(&Labels { title, artist, genre, source: url, ..Labels::default() });
    found.license = found.license.or(license);
    found.origin = Origin::File { content, bytes };
    // The store keeps nothing of a track that is withdrawn: its file is read again each time.
    if !withdrawn(ingest, &found, content, bytes, env) {
        hint.keep(env)?;
        noted.keep(env)?;
    }
    Ok((found, Some((content, path))))
}

/// Whether a list of the plan names a track.
fn withdrawn(ingest: &Ingest, found: &Found, content: Digest, bytes: u64, env: &Env) -> bool {
    !env.optouts.is_empty() && {
        let track = ingest.track(found.clone(), content, bytes);
        let track = Member::of(&track.view());
        env.optouts.values().any(|list| list.find(&track).is_some())
    }
}

/// A file that was read, and is open still: its tags are those of the bytes that were digested, whatever its name leads to
/// by then.
struct File {
    open: fs::File,
    facts: Metadata,
    content: Digest,
    bytes: u64,
    hint: Note<Digest>,
}

/// A fact about a file, as the store may remember it.
enum Note<T> {
    /// A memo that the store has.
    Known(Memo<T>),
    /// A memo that the store lacks, and its value.
    New(Memo<T>, T),
    /// Nothing to remember.
    None,
}

impl<T: Serialize + DeserializeOwned> Note<T> {
    fn keep(self, env: &Env) -> Result<(), StoreError> {
        match self {
            Note::Known(memo) => memo.touch(&env.store),
            Note::New(memo, value) => {
                memo.put(&env.store, &value, &[])?;
            }
            Note::None => {}
        }
        Ok(())
    }
}

/// The digest and size of a file, from its hint or from its bytes.
fn content(path: &Path, env: &Env) -> io::Result<File> {
    let mut file = datasets::untrusted::open(path)?;
    let facts = file.metadata()?;
    let (hint, bytes) = (hint(&facts), facts.len());
    if !env.rehash
        && let Some(content) = hint.peek(&env.store)
    {
        return Ok(File { open: file, facts, content, bytes, hint: Note::Known(hint) });
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?;
    let digest = Digest(*hasher.finalize().as_bytes());
    let rested = started - (i128::from(facts.ctime()) * 1_000_000_000 + i128::from(facts.ctime_nsec())) > REST;
    let same = fs::metadata(path).is_ok_and(|after| hint_of(&after) == hint_of(&facts));
    let hint = if rested && same { Note::New(hint, digest) } else { Note::None };
    Ok(File { open: file, facts, content: digest, bytes, hint })
}

fn hint_of(facts: &Metadata) -> [i64; 7] {
    [
        facts.dev() as i64,
        facts.ino() as i64,
        facts.len() as i64,
        facts.mtime(),
        facts.mtime_nsec(),
        facts.ctime(),
        facts.ctime_nsec(),
    ]
}

fn hint(facts: &Metadata) -> Memo<Digest> {
    Memo::at(hint_of(facts).iter().fold(Key::new("file hint"), |key, part| key.number(*part as u64)).finish())
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Remembered {
    title: Option<String>,
    artist: Option<String>,
    genre: Option<String>,
    license: Option<String>,
    url: Option<String>,
}

/// A file's tags, remembered under the digest of its bytes.
///
/// # Errors
/// When the file cannot be read, or was written to since it was digested: that says nothing about these bytes.
fn tags_of(file: &File, env: &Env) -> io::Result<(Remembered, Note<Remembered>)> {
    let memo: Memo<Remembered> = Memo::at(Key::new("tags").number(TAGS).digest(&file.content).finish());
    if let Some(known) = memo.peek(&env.store) {
        return Ok((known, Note::Known(memo)));
    }
    let Tags { title, artist, genre, license, url, .. } = tags::read_file(&file.open)?;
    if hint_of(&file.open.metadata()?) != hint_of(&file.facts) {
        return Err(io::Error::other("it changed while it was read; run again"));
    }
    let read = Remembered { title, artist, genre, license, url };
    Ok((read.clone(), Note::New(memo, read)))
}

/// Bumped when the same bytes would give other tags.
const TAGS: u64 = 3;
