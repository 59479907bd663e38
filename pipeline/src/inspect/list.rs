//! `refrain runs`: the published runs of a store, with sizes and what is new in each.

use crate::{
    error::Error,
    inspect::runs::{Read, each, files},
    record::{Outline, published, scores::Score},
    terminal::table::aligned,
};
use datasets::{store::turns, tables};
use serde::Serialize;
use stages::STAGES;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A published run in the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Name and id.
    pub run: String,
    /// Whether `latest` means this one.
    pub latest: bool,
    /// Whether a stage failed, so that a part of the run was published.
    pub partial: bool,
    /// Tracks that its sources gave. `None` if another version of Refrain wrote the record.
    pub tracks: Option<u64>,
    /// Shards with codes. `None` if another version of Refrain wrote the record.
    pub shards: Option<u64>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of those of its files that no other published run of the store has.
    pub own_bytes: u64,
    /// Differences from the previous run of the same name. `None` if there is none.
    pub since: Option<Since>,
    /// Sentence on why the run's record cannot be read: another version wrote it, or it is damaged. `None` if it can.
    pub note: Option<String>,
}

/// Differences between a run and the previous one of the same name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Since {
    /// The run before.
    pub run: String,
    /// Rows of tracks that are new; a track that differs is one that is gone and one that is new. `None` if the list of one
    /// of the runs cannot be read.
    pub added: Option<u64>,
    /// Rows of tracks that are gone.
    pub retracted: Option<u64>,
    /// Scores that differ, or that only one of the runs has.
    pub scores: Vec<ChangedScore>,
}

/// A score that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangedScore {
    /// The stage that gave it.
    pub stage: String,
    /// Name of the score.
    pub name: String,
    /// Value in the previous run. `None` if that run does not have the score.
    pub before: Option<f64>,
    /// Value in this run. `None` if this run does not have the score.
    pub now: Option<f64>,
}

/// All published runs of a store, in the order in which they were published.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub fn listed(store: &Path) -> Result<Vec<Listed>, Error> {
    let mut runs: Vec<(String, (PathBuf, Read))> =
        each(store, |folder, record| (folder, record))?.into_iter().collect();
    let turns = turns(store)?;
    // Runs that the store has no root of come first, by name.
    runs.sort_by_key(|(run, _)| turns.get(run).copied().unwrap_or(0));
    let latest = fs::read_link(store.join("runs").join("latest")).ok();
    let files: Vec<Vec<(u64, u64, u64)>> = runs.iter().map(|(_, (folder, _))| inodes(folder)).collect();
    let mut holders: HashMap<(u64, u64), usize> = HashMap::new();
    for (device, inode, _) in files.iter().flatten() {
        *holders.entry((*device, *inode)).or_default() += 1;
    }
    let mut before: BTreeMap<&str, Published<'_>> = BTreeMap::new();
    let mut listed = Vec::new();
    for ((run, (folder, record)), files) in runs.iter().zip(&files) {
        let own = files.iter().filter(|(device, inode, _)| holders.get(&(*device, *inode)) == Some(&1));
        let mut line = Listed {
            run: run.clone(),
            latest: latest.as_deref() == Some(Path::new(run)),
            partial: false,
            tracks: None,
            shards: None,
            bytes: files.iter().map(|(.., bytes)| bytes).sum(),
            own_bytes: own.map(|(.., bytes)| bytes).sum(),
            since: None,
            note: None,
        };
        match record {
            Ok(record) => {
                let now = Published { folder, record };
                let earlier = before.insert(&record.name, now);
                line.partial = !record.failed.is_empty();
                line.tracks = Some(kept(record, "tracks", true));
                line.shards = Some(kept(record, "shards", false));
                line.since = earlier.map(|earlier| since(earlier, now));
            }
            Err(other) => line.note = Some(other.to_string()),
        }
        listed.push(line);
    }
    Ok(listed)
}

/// A published run whose record was read.
#[derive(Clone, Copy)]
struct Published<'a> {
    folder: &'a Path,
    record: &'a Outline,
}

/// Rows of all stages that count in `unit`; `source`: of those alone that no other stage feeds.
fn kept(record: &Outline, unit: &str, source: bool) -> u64 {
    let counts = |verb: &str| {
        STAGES.iter().any(|spec| spec.verb == verb && spec.unit == unit && (!source || spec.ports.is_empty()))
    };
    record.stages.iter().filter(|stage| counts(&stage.verb)).map(|stage| stage.kept).sum()
}

/// Device, inode and bytes of all files under a folder; each file once.
fn inodes(folder: &Path) -> Vec<(u64, u64, u64)> {
    let meta = files(folder).into_iter().filter_map(|path| path.metadata().ok());
    let mut inodes: Vec<(u64, u64, u64)> = meta.map(|meta| (meta.dev(), meta.ino(), meta.len())).collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes
}

fn since(before: Published<'_>, now: Published<'_>) -> Since {
    let rows = rows(before, now);
    let of = |record: &Outline, own: &Score| {
        let score = record.scores.iter().find(|score| score.stage == own.stage && score.name == own.name);
        score.filter(|score| !score.value.is_nan()).map(|score| (score.value, score.basis.clone()))
    };
    let (was, is) = (before.record, now.record);
    let gone = was.scores.iter().filter(|own| of(is, own).is_none());
    let changed = is.scores.iter().chain(gone).filter_map(|own| {
        let (a, b) = (of(was, own), of(is, own));
        let (before, now) = (a.as_ref().map(|(value, _)| *value), b.as_ref().map(|(value, _)| *value));
        (a != b).then(|| ChangedScore { stage: own.stage.clone(), name: own.name.clone(), before, now })
    });
    Since {
        run: was.run.clone(),
        added: rows.map(|(new, _)| new),
        retracted: rows.map(|(_, gone)| gone),
        scores: changed.collect(),
    }
}

/// Counts the rows of tracks that are new, and that are gone. `None` if one of the lists cannot be read.
fn rows(before: Published<'_>, now: Published<'_>) -> Option<(u64, u64)> {
    let digest = |run: Published<'_>| run.record.files.get(published::TRACKS).copied();
    if digest(before).is_some() && digest(before) == digest(now) {
        return Some((0, 0));
    }
    let read = |run: Published<'_>| published::tracks(run.folder, &run.record.files).ok()?;
    let (was, is) = (read(before)?, read(now)?);
    let old: HashMap<&str, &tables::tracks::Listed> = was.iter().map(|track| (track.track.as_str(), track)).collect();
    let known = |track: &&tables::tracks::Listed| {
        old.get(track.track.as_str()).is_some_and(|old| old.differences(track).is_empty())
    };
    let same = is.iter().filter(known).count();
    Some(((is.len() - same) as u64, (was.len() - same) as u64))
}

/// The list as a table. Rows and scores are told against the run before of the same name.
pub fn text(runs: &[Listed]) -> String {
    if runs.is_empty() {
        return "no run was published yet\n".to_owned();
    }
    let head = ["run", "tracks", "shards", "size", "own", "added", "retracted", "scores", ""].map(str::to_owned);
    let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let line = |run: &Listed| {
        let [added, retracted, scores] = match &run.since {
            None => ["-", "-", "-"].map(str::to_owned),
            Some(since) => [count(since.added), count(since.retracted), since.scores.len().to_string()],
        };
        let (size, own) = (bytes(run.bytes), bytes(run.own_bytes));
        let words = [(run.latest, "latest"), (run.partial, "partial")];
        let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        let (tracks, shards) = (count(run.tracks), count(run.shards));
        [run.run.clone(), tracks, shards, size, own, added, retracted, scores, words.join(", ")]
    };
    let lines: Vec<[String; 9]> = std::iter::once(head).chain(runs.iter().map(line)).collect();
    let mut text = aligned(&lines);
    for note in runs.iter().filter_map(|run| run.note.as_ref()) {
        text += &format!("note: {note}\n");
    }
    let told = runs.iter().filter(|run| run.latest).find_map(|run| run.since.as_ref().map(|since| (run, since)));
    let figure = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| format!("{value:.3}"));
    if let Some((run, since)) = told.filter(|(_, since)| !since.scores.is_empty()) {
        text += &format!("scores of {} that are not as in {}:\n", run.run, since.run);
        let shown = since.scores.iter().take(SCORES);
        let line = |own: &ChangedScore| {
            [format!("  {}.{}", own.stage, own.name), figure(own.before), "->".into(), figure(own.now)]
        };
        text += &aligned(&shown.map(line).collect::<Vec<_>>());
        if since.scores.len() > SCORES {
            text += &format!("  and {} more: refrain diff {} {}\n", since.scores.len() - SCORES, since.run, run.run);
        }
    }
    text
}

/// Maximum number of changed scores that are shown.
const SCORES: usize = 6;

/// `12.3 MiB`
fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// The list as one JSON event.
pub fn json(runs: &[Listed]) -> String {
    serde_json::json!({ "event": "runs", "runs": runs }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_what_is_new() {
        let first = Listed {
            run: "songs-0123".into(),
            latest: false,
            partial: true,
            tracks: Some(5),
            shards: Some(2),
            bytes: 5 << 20,
            own_bytes: 1536,
            since: None,
            note: None,
        };
        let score = |name: &str, before, now| ChangedScore { stage: "scores".into(), name: name.into(), before, now };
        let scores = vec![score("distance", Some(2.5), Some(2.25)), score("bits", None, Some(11.0))];
        let since = Since { run: first.run.clone(), added: Some(12), retracted: Some(1), scores };
        let second = Listed {
            run: "songs-abcdef".into(),
            latest: true,
            partial: false,
            tracks: Some(16),
            since: Some(since),
            ..first.clone()
        };
        let other = Listed {
            run: "old-77".into(),
            partial: false,
            tracks: None,
            shards: None,
            note: Some("the run old-77 has format 1".into()),
            ..first.clone()
        };
        assert_eq!(
            text(&[other, first, second]),
            "run           tracks  shards     size      own  added  retracted  scores\n\
             old-77             ?       ?  5.0 MiB  1.5 KiB      -          -       -\n\
             songs-0123         5       2  5.0 MiB  1.5 KiB      -          -       -  partial\n\
             songs-abcdef      16       2  5.0 MiB  1.5 KiB     12          1       2   latest\n\
             note: the run old-77 has format 1\n\
             scores of songs-abcdef that are not as in songs-0123:\n\
             \x20 scores.distance  2.500  ->   2.250\n\
             \x20 scores.bits       none  ->  11.000\n"
        );
        assert_eq!(text(&[]), "no run was published yet\n");
        assert_eq!(bytes(1023), "1023 B");
    }
}
