//! Looking at a folder or a table: which files there are, their digests, their tags.
//!
//! Digests decide. The hint that saves reading a file again is (device, inode, size, mtime, ctime), and it
//! is trusted only if it was stored when ctime was more than two seconds older than the reading: a
//! file that changes within a tick of the clock cannot hide.

use super::Ingest;
use crate::{flow::Env, stage::SourceError};
use datasets::{
    Digest, Key,
    audio::tags::{self, Tags},
    corpus::{self, Entry, Oddity, Table, TableOptions},
    row::{Found, Labels, Origin},
    store::StoreError,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// Nanoseconds that a file must have rested before its digest is remembered by its times.
const REST: i128 = 2_000_000_000;

pub(super) fn folder(ingest: &Ingest, base: &Path, env: &Env) -> Result<Vec<Found>, SourceError> {
    let Some(root) = &ingest.root else { unreachable!("`check` asked for a root") };
    let root = root.resolve(base);
    let scan = corpus::scan(&root).map_err(|e| SourceError::Unreadable(e.to_string()))?;
    let mut found = read(&scan.entries, env)?;
    // What is odd about a folder is a row too, unless the file itself is there and stands for it.
    found.extend(scan.complaints.into_iter().filter(|c| c.oddity != Oddity::DuplicateKey).map(|complaint| {
        let unreadable = complaint.oddity == Oddity::UnreadableFolder;
        let origin = match unreadable {
            true => Origin::Unreadable(complaint.sentence),
            false => Origin::Unusable(complaint.oddity.code().into(), complaint.sentence),
        };
        Found { key: complaint.key, origin, license: None, labels: Labels::default() }
    }));
    Ok(found)
}

pub(super) fn table(ingest: &Ingest, base: &Path, env: &Env) -> Result<Vec<Found>, SourceError> {
    let Some(file) = &ingest.file else { unreachable!("`check` asked for a file") };
    let options = TableOptions {
        path: ingest.path.clone(),
        columns: ingest.columns.clone(),
        digest: None,
        root: ingest.root.as_ref().map(|root| root.resolve(base)),
    };
    let table = Table::read(&file.resolve(base), &options).map_err(|e| SourceError::Unreadable(e.to_string()))?;
    let mut found = read(&table.entries, env)?;
    found.extend(table.errors.into_iter().map(|wrong| Found {
        key: format!("row {}", wrong.row),
        origin: Origin::Unusable("unusable-row".into(), wrong.reason),
        license: None,
        labels: Labels::default(),
    }));
    Ok(found)
}

/// Reads all files' digests and tags, in parallel; the order of the result is the order of the entries.
fn read(entries: &[Entry], env: &Env) -> Result<Vec<Found>, SourceError> {
    let rows: Vec<Result<Found, StoreError>> = entries.par_iter().map(|entry| one(entry, env)).collect();
    Ok(rows.into_iter().collect::<Result<Vec<_>, _>>()?)
}

fn one(entry: &Entry, env: &Env) -> Result<Found, StoreError> {
    let mut found = Found {
        key: entry.key.clone(),
        origin: Origin::Unreadable(String::new()),
        license: entry.metadata.license.clone(),
        labels: Labels {
            title: entry.metadata.title.clone(),
            artist: entry.metadata.artist.clone(),
            genre: entry.metadata.genre.clone(),
            source: entry.metadata.source.clone(),
            extra: entry.metadata.extra.clone(),
        },
    };
    let (content, bytes) = match content(&entry.path, env)? {
        Ok(read) => read,
        Err(error) => {
            found.origin = Origin::Unreadable(format!("cannot read {}: {error}", entry.path.display()));
            return Ok(found);
        }
    };
    env.sources.add(content, &entry.path);
    let tags = remembered_tags(&entry.path, &content, env)?;
    let Labels { title, artist, genre, source, .. } = &mut found.labels;
    for (label, tag) in [(title, tags.title), (artist, tags.artist), (genre, tags.genre), (source, tags.url)] {
        if label.is_none() {
            *label = tag;
        }
    }
    found.license = found.license.or(tags.license);
    found.origin = Origin::File { content, bytes };
    Ok(found)
}

/// The digest and size of a file, from its hint or from its bytes.
fn content(path: &Path, env: &Env) -> Result<io::Result<(Digest, u64)>, StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let facts = match file.metadata() {
        Ok(facts) => facts,
        Err(error) => return Ok(Err(error)),
    };
    let hint = hint(&facts);
    if !env.rehash
        && let Some(known) = env.store.receipt(&hint)
        && let Ok(digest) = <[u8; 32]>::try_from(&*known)
    {
        return Ok(Ok((Digest(digest), facts.len())));
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let mut hasher = blake3::Hasher::new();
    if let Err(error) = hasher.update_reader(&mut file) {
        return Ok(Err(error));
    }
    let digest = Digest(*hasher.finalize().as_bytes());
    let rested = started - (i128::from(facts.ctime()) * 1_000_000_000 + i128::from(facts.ctime_nsec())) > REST;
    let same = fs::metadata(path).is_ok_and(|after| hint_of(&after) == hint_of(&facts));
    if rested && same {
        env.store.remember(hint, &digest.0)?;
    }
    Ok(Ok((digest, facts.len())))
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

fn hint(facts: &Metadata) -> Digest {
    hint_of(facts).iter().fold(Key::new("file hint"), |key, part| key.number(*part as u64)).finish()
}

#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    title: Option<String>,
    artist: Option<String>,
    genre: Option<String>,
    license: Option<String>,
    url: Option<String>,
}

/// A file's tags, remembered under the digest of its bytes.
fn remembered_tags(path: &Path, content: &Digest, env: &Env) -> Result<Remembered, StoreError> {
    let key = Key::new("tags").number(TAGS).digest(content).finish();
    if let Some(known) = env.store.receipt(&key).and_then(|bytes| postcard::from_bytes(&bytes).ok()) {
        return Ok(known);
    }
    let Tags { title, artist, genre, license, url, .. } = tags::read(path);
    let read = Remembered { title, artist, genre, license, url };
    // Serialising five strings cannot fail; were it to, the tags would be read again.
    if let Ok(bytes) = postcard::to_stdvec(&read) {
        env.store.remember(key, &bytes)?;
    }
    Ok(read)
}

/// Bumped when the same bytes would give other tags.
const TAGS: u64 = 2;
