//! Looking at a folder or a table: which files there are, their digests, their tags.
//!
//! Digests decide. The hint that saves reading a file again is (device, inode, size, mtime, ctime), and it
//! is trusted only if it was stored when ctime was more than two seconds older than the reading: a
//! file that changes within a tick of the clock cannot hide.

use super::Ingest;
use crate::{
    flow::Env,
    rows::scan::{Part, Scan},
    stage::SourceError,
};
use datasets::{
    Digest, Key,
    audio::tags::{self, Tags},
    corpus::{self, Entry, Member, Oddity, Table, TableOptions},
    row::{Found, Labels, Origin},
    store::{Memo, StoreError},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Nanoseconds that a file must have rested before its digest is remembered by its times.
const REST: i128 = 2_000_000_000;

/// Files are read so many at a time: what is known of them is packed before the next are read.
const AT_ONCE: usize = 4096;

pub(super) fn folder(ingest: &Ingest, base: &Path, env: &Env) -> Result<Scan, SourceError> {
    let Some(root) = &ingest.root else { unreachable!("`check` asked for a root") };
    let root = root.resolve(base);
    let scan = corpus::scan(&root).map_err(|e| SourceError::Unreadable(e.to_string()))?;
    let read = in_parts(ingest, scan.entries, env)?;
    // What is odd about a folder is a row too, unless the file itself is there and stands for it.
    let odd = scan.complaints.into_iter().filter(|c| c.oddity != Oddity::DuplicateKey).map(|complaint| {
        let unreadable = complaint.oddity == Oddity::UnreadableFolder;
        let origin = match unreadable {
            true => Origin::Unreadable(complaint.sentence),
            false => Origin::Unusable(complaint.oddity.code().into(), complaint.sentence),
        };
        Found { key: complaint.key, origin, shared: false, license: None, labels: Labels::default() }
    });
    Ok(whole(read, odd, env))
}

pub(super) fn table(ingest: &Ingest, base: &Path, env: &Env) -> Result<Scan, SourceError> {
    let Some(file) = &ingest.file else { unreachable!("`check` asked for a file") };
    let options = TableOptions {
        path: ingest.path.clone(),
        columns: ingest.columns.clone(),
        digest: ingest.digest.clone(),
        root: ingest.root.as_ref().map(|root| root.resolve(base)),
    };
    // Files are read when the whole table is known to be one.
    let read = Table::each(&file.resolve(base), &options, |entries| {
        let (stated, rest): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.digest.is_some());
        let stated = stated.into_iter().map(|entry| one(ingest, entry, env));
        (stated.collect::<Result<Vec<_>, StoreError>>().map(packed), rest)
    });
    let (read, errors) = read.map_err(|e| SourceError::Unreadable(e.to_string()))?;
    let (stated, rest): (Vec<_>, Vec<Vec<Entry>>) = read.into_iter().unzip();
    let mut read = stated.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
    read.extend(in_parts(ingest, rest.into_iter().flatten().collect(), env)?);
    let odd = errors.into_iter().map(|wrong| Found {
        key: format!("row {}", wrong.row),
        origin: Origin::Unusable("unusable-row".into(), wrong.reason),
        shared: false,
        license: None,
        labels: Labels::default(),
    });
    Ok(whole(read, odd, env))
}

/// Reads files' digests and tags, in parallel.
fn read(ingest: &Ingest, entries: Vec<Entry>, env: &Env) -> Result<(Part, Vec<Place>), StoreError> {
    let read = entries.into_par_iter().map(|entry| one(ingest, entry, env));
    Ok(packed(read.collect::<Result<Vec<_>, StoreError>>()?))
}

/// Reads the files of all entries, some at a time.
fn in_parts(ingest: &Ingest, entries: Vec<Entry>, env: &Env) -> Result<Vec<(Part, Vec<Place>)>, StoreError> {
    let mut entries = entries.into_iter();
    let mut parts = Vec::new();
    while entries.len() > 0 {
        parts.push(read(ingest, entries.by_ref().take(AT_ONCE).collect(), env)?);
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

/// All that was read, and what is odd.
fn whole(read: Vec<(Part, Vec<Place>)>, odd: impl Iterator<Item = Found>, env: &Env) -> Scan {
    let (mut parts, places): (Vec<Part>, Vec<Vec<Place>>) = read.into_iter().unzip();
    env.sources.extend(places.into_iter().flatten().collect());
    parts.extend(Part::several(odd));
    Scan::of(parts)
}

/// A file with the digest of its bytes.
type Place = (Digest, PathBuf);

fn one(ingest: &Ingest, entry: Entry, env: &Env) -> Result<(Found, Option<Place>), StoreError> {
    let Entry { key, path, metadata, digest } = entry;
    let mut found = Found {
        key,
        origin: Origin::Unreadable(String::new()),
        shared: false,
        license: metadata.license,
        labels: Labels {
            title: metadata.title,
            artist: metadata.artist,
            genre: metadata.genre,
            source: metadata.source,
            extra: metadata.extra,
        },
    };
    // The table's word is taken until the file is decoded, which reads it and finds out.
    if let Some(stated) = digest {
        let content = Digest(stated);
        found.origin = Origin::File { content, bytes: 0 };
        return Ok((found, Some((content, path))));
    }
    let File { content, bytes, hint } = match content(&path, env) {
        Ok(read) => read,
        Err(error) => {
            found.origin = Origin::Unreadable(format!("cannot read {}: {error}", path.display()));
            return Ok((found, None));
        }
    };
    let (tags, noted) = tags_of(&path, &content, env);
    let Labels { title, artist, genre, source, .. } = &mut found.labels;
    for (label, tag) in [(title, tags.title), (artist, tags.artist), (genre, tags.genre), (source, tags.url)] {
        if label.is_none() {
            *label = tag;
        }
    }
    found.license = found.license.or(tags.license);
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

/// A file that was read.
struct File {
    content: Digest,
    bytes: u64,
    hint: Note<Digest>,
}

/// Something about a file that the store may remember.
enum Note<T> {
    /// The store has it.
    Known(Memo<T>),
    /// It is new.
    New(Memo<T>, T),
    /// It is not to be remembered.
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
    let mut file = fs::File::open(path)?;
    let facts = file.metadata()?;
    let (hint, bytes) = (hint(&facts), facts.len());
    if !env.rehash
        && let Some(content) = hint.peek(&env.store)
    {
        return Ok(File { content, bytes, hint: Note::Known(hint) });
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?;
    let digest = Digest(*hasher.finalize().as_bytes());
    let rested = started - (i128::from(facts.ctime()) * 1_000_000_000 + i128::from(facts.ctime_nsec())) > REST;
    let same = fs::metadata(path).is_ok_and(|after| hint_of(&after) == hint_of(&facts));
    let hint = if rested && same { Note::New(hint, digest) } else { Note::None };
    Ok(File { content: digest, bytes, hint })
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
fn tags_of(path: &Path, content: &Digest, env: &Env) -> (Remembered, Note<Remembered>) {
    let memo: Memo<Remembered> = Memo::at(Key::new("tags").number(TAGS).digest(content).finish());
    if let Some(known) = memo.peek(&env.store) {
        return (known, Note::Known(memo));
    }
    let Tags { title, artist, genre, license, url, .. } = tags::read(path);
    let read = Remembered { title, artist, genre, license, url };
    (read.clone(), Note::New(memo, read))
}

/// Bumped when the same bytes would give other tags.
const TAGS: u64 = 2;
