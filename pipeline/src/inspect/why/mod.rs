//! `refrain why`: one row or file of a published run, both ways: what it came from, and what rests on it.
//!
//! It is read from what the run published and, for what models were trained on, from the store: no manifest is needed. A
//! source is looked at for where the license of one track is stated.

mod evidence;
mod read;
mod subject;
mod text;

use crate::{
    error::Error,
    record::{history::parts, made::Made},
};
pub use datasets::corpus::{Evidence, Place};
use datasets::{Digest, shard::members, tables::tracks::Listed};
use read::Run;
pub use read::StageLine;
use serde::Serialize;
use serde_json::{Value, json};
use stages::{rows::Kind, settings::suggest};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
pub use subject::{Subject, Tracks};

/// Maximum number of names in a suggestion.
const NEAR: usize = 5;
/// Minimum number of digits that name a digest.
const DIGITS: usize = 6;

/// An answer.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Name of the run.
    pub run: String,
    /// The row or file that was asked for.
    pub subject: Subject,
    /// Description of the subject in a few words.
    pub what: String,
    /// Entry of the track in the run's list of tracks. `None` if the subject is no kept track.
    pub track: Option<Listed>,
    /// The license, where it is stated and why it was kept, in sentences.
    pub license: Vec<String>,
    /// Place that states the license, looked up in the source as it is now. `None` if there is none.
    pub evidence: Option<Evidence>,
    /// Ids of the clips of a track or of a shard.
    pub clips: Vec<String>,
    /// The models that it was made from.
    pub models: Vec<Made>,
    /// Tracks that it rests on, and how many under each license.
    pub tracks: Tracks,
    /// The stages that it went through, with the settings that differ from their defaults.
    pub stages: Vec<StageLine>,
    /// Published files that rest on the subject.
    pub used_by: UsedBy,
    /// Sentences on what cannot be told, and why.
    pub notes: Vec<String>,
}

/// Paths in the published tree of the files that rest on the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsedBy {
    /// Files of codes.
    pub shards: Vec<String>,
    /// Codecs and priors.
    pub models: Vec<String>,
    /// Songs.
    pub songs: Vec<String>,
}

impl Answer {
    /// The answer as one JSON event.
    ///
    /// # Errors
    /// Only a bug of ours.
    pub fn json(&self) -> Result<String, Error> {
        let mut value = serde_json::to_value(self).map_err(|e| Error::Bug(e.to_string()))?;
        value["event"] = "why".into();
        value["kept"] = json!(!matches!(self.subject, Subject::Dropped { .. } | Subject::Withdrawn { .. }));
        Ok(Value::to_string(&value))
    }

    fn new(run: &Run, subject: Subject, what: String) -> Answer {
        Answer {
            run: run.name.clone(),
            subject,
            what,
            track: None,
            license: Vec::new(),
            evidence: None,
            clips: Vec::new(),
            models: Vec::new(),
            tracks: Tracks::default(),
            stages: Vec::new(),
            used_by: UsedBy::default(),
            notes: run.failed.iter().map(|failed| format!("the run is partial: {failed}")).collect(),
        }
    }
}

/// Explains the row or file that `word` names in the run of `folder`. `store` is where its store may be.
///
/// # Errors
/// When the run cannot be read, or the word names nothing in it or more than one thing.
pub fn why(folder: &Path, store: &Path, word: &str) -> Result<Answer, Error> {
    let run = Run::read(folder, store)?;
    let subject = find(&run, word)?;
    match &subject {
        Subject::Track { id } => of_track(&run, id, subject.clone()),
        Subject::Clip { track, .. } => of_track(&run, track, subject.clone()),
        Subject::Dropped { id, stage, .. } => Ok(of_dropped(&run, id, stage, &subject)),
        Subject::Withdrawn { id, .. } => Ok(of_withdrawn(&run, id, &subject)),
        Subject::File { path, digest } => of_file(&run, path, digest.as_deref(), &subject),
    }
}

/// Finds the subject that a word names: an id, a file, or the first digits of a digest.
fn find(run: &Run, word: &str) -> Result<Subject, Error> {
    if run.tracks.contains_key(word) {
        return Ok(Subject::Track { id: word.to_owned() });
    }
    let (track, span) = parts(word);
    if let (Some(listed), Some(_)) = (run.tracks.get(track), span) {
        let (clips, _) = run.clips(listed)?;
        return match clips.iter().any(|clip| clip == word) {
            true => Ok(Subject::Clip { id: word.to_owned(), track: track.to_owned() }),
            false => Err(unknown(run, word, &clips)),
        };
    }
    if let Some(subject) = run.refused.iter().find(|row| id(row) == word) {
        return Ok(subject.clone());
    }
    if let Some(path) = run.file(word) {
        return Ok(Subject::File { digest: run.files.get(&path).cloned(), path });
    }
    let mut hits: BTreeSet<Subject> = BTreeSet::new();
    if word.len() >= DIGITS && word.bytes().all(|b| b.is_ascii_hexdigit()) {
        let digits = word.to_ascii_lowercase();
        let files = run.files.iter().filter(|(_, digest)| digest.starts_with(&digits));
        hits.extend(files.map(|(path, digest)| Subject::File { path: path.clone(), digest: Some(digest.clone()) }));
        let tracks = run.tracks.values();
        let tracks = tracks.filter(|t| t.content.starts_with(&digits) || t.samples.starts_with(&digits));
        hits.extend(tracks.map(|track| Subject::Track { id: track.track.clone() }));
    }
    let all: Vec<&str> = hits.iter().map(id).collect();
    match (all.as_slice(), hits.first()) {
        ([_], Some(subject)) => Ok(subject.clone()),
        ([], _) => Err(unknown(run, word, &[])),
        (several, _) => Err(Error::Usage(format!("`{word}` may be any of {}", several.join(", ")))),
    }
}

/// The id or the path of a subject.
pub(crate) fn id(subject: &Subject) -> &str {
    match subject {
        Subject::Track { id }
        | Subject::Clip { id, .. }
        | Subject::Dropped { id, .. }
        | Subject::Withdrawn { id, .. }
        | Subject::File { path: id, .. } => id,
    }
}

/// Says what may have been meant: `clips` of the track that was named, or what holds the word or is spelled much like it.
fn unknown(run: &Run, word: &str, clips: &[String]) -> Error {
    let known = run.tracks.keys().chain(run.files.keys()).map(String::as_str).chain(run.refused.iter().map(id));
    let names: Vec<&str> = known.collect();
    let lower = word.to_lowercase();
    let mut near: Vec<&str> = match clips {
        [] => names.iter().copied().filter(|name| name.to_lowercase().contains(&lower)).take(NEAR).collect(),
        clips => clips.iter().map(String::as_str).take(NEAR).collect(),
    };
    if near.is_empty() {
        // A track may be meant by its key alone.
        let keys: BTreeMap<&str, &str> =
            names.iter().filter_map(|name| Some((name.split_once('/')?.1, *name))).collect();
        let spelled = suggest(word, names.iter().copied());
        near.extend(spelled.or_else(|| suggest(word, keys.keys().copied()).map(|key| keys[key])));
    }
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    let help = match near.as_slice() {
        [] => "an id is that of a track or a clip, a file of the run, or the first six digits of a digest or more"
            .to_owned(),
        near => format!("did you mean {}?", near.join(" or ")),
    };
    Error::Usage(format!("nothing in {} goes by `{word}`; {help}", run.name))
}

fn of_track(run: &Run, id: &str, subject: Subject) -> Result<Answer, Error> {
    let Some(listed) = run.tracks.get(id) else { return Err(unknown(run, id, &[])) };
    let what = if matches!(subject, Subject::Clip { .. }) {
        "a clip of a track that was kept"
    } else {
        "a track that was kept"
    };
    let mut answer = Answer::new(run, subject, what.into());
    (answer.clips, answer.used_by.shards) = run.clips(listed)?;
    let trained = run.made.iter().filter(|made| !made.is_song());
    let trained: Vec<&Made> =
        trained.filter(|made| run.trained_on(made, &mut answer.notes).contains(&listed.samples)).collect();
    let models: BTreeSet<Digest> = trained.iter().map(|made| made.digest).collect();
    answer.used_by.models = trained.iter().flat_map(|made| run.paths(&made.digest)).collect();
    answer.used_by.songs = run.songs_of(&models);
    answer.stages = run.path_of(id);
    answer.evidence = run.evidence(id, Some(listed), &mut answer.notes);
    answer.license = run.license(listed, answer.evidence.as_ref(), &answer.stages);
    answer.track = Some(listed.clone());
    Ok(answer)
}

fn of_dropped(run: &Run, id: &str, stage: &str, subject: &Subject) -> Answer {
    let mut answer = Answer::new(run, subject.clone(), format!("a row that `{stage}` dropped"));
    answer.stages = run.before(stage);
    let track = parts(id).0;
    answer.evidence = run.evidence(track, run.tracks.get(track), &mut answer.notes);
    let said = |evidence: &Evidence| vec![evidence.license.clone(), format!("stated by {}", evidence.place)];
    answer.license = answer.evidence.as_ref().map(said).unwrap_or_default();
    answer
}

fn of_withdrawn(run: &Run, id: &str, subject: &Subject) -> Answer {
    let mut answer = Answer::new(run, subject.clone(), "a track that was withdrawn".into());
    let tainted = run.tainted.iter().filter(|tainted| tainted.withdrawn.iter().any(|tombstone| tombstone.id == id));
    let tainted: BTreeSet<Digest> = tainted.map(|tainted| tainted.model).collect();
    answer.used_by.models = tainted.iter().flat_map(|digest| run.paths(digest)).collect();
    answer.used_by.songs = run.songs_of(&tainted);
    answer
}

fn of_file(run: &Run, path: &str, digest: Option<&str>, subject: &Subject) -> Result<Answer, Error> {
    let made = run.made.iter().find(|made| digest.is_some_and(|digest| digest == made.digest.hex()));
    if let Some(made) = made {
        let mut answer = Answer::new(run, subject.clone(), made.what());
        let trained_on = run.trained_on(made, &mut answer.notes);
        answer.tracks = run.listed(&trained_on);
        answer.models = run.made.iter().filter(|other| made.models.contains(&other.digest)).cloned().collect();
        if !made.is_song() {
            let models = BTreeSet::from([made.digest]);
            let rest = run.made.iter().filter(|other| !other.is_song() && other.models.contains(&made.digest));
            answer.used_by.models = rest.flat_map(|other| run.paths(&other.digest)).collect();
            answer.used_by.songs = run.songs_of(&models);
            answer.used_by.shards = run.shards_by(&made.digest)?;
        }
        answer.stages = run.before(&made.stage);
        return Ok(answer);
    }
    if path.starts_with("codes/") && path.ends_with(".parquet") {
        let rows = members(&run.folder.join(path)).map_err(|e| Error::Source(format!("{path}: {e}")))?;
        let tracks: BTreeSet<String> = rows.iter().map(|row| row.track.clone()).collect();
        let mut answer = Answer::new(run, subject.clone(), format!("{} clips as codes", rows.len()));
        let samples: BTreeSet<String> = rows.iter().map(|row| row.samples.clone()).collect();
        answer.tracks = run.listed(&samples);
        answer.tracks.ids.retain(|id| tracks.contains(id));
        answer.clips = rows.iter().map(|row| row.clip.clone()).collect();
        let codecs: BTreeSet<&str> = rows.iter().map(|row| row.codec.as_str()).collect();
        answer.models = run.made.iter().filter(|made| codecs.contains(made.digest.hex().as_str())).cloned().collect();
        // A prior reads the codes of whole shards: one that learned from a track of it learned from it.
        let priors = run.made.iter().filter(|made| made.is_prior());
        let priors: Vec<&Made> =
            priors.filter(|made| !run.trained_on(made, &mut answer.notes).is_disjoint(&samples)).collect();
        let models: BTreeSet<Digest> = priors.iter().map(|made| made.digest).collect();
        answer.used_by.models = priors.iter().flat_map(|made| run.paths(&made.digest)).collect();
        answer.used_by.songs = run.songs_of(&models);
        answer.stages = run.giving(Kind::Shard);
        return Ok(answer);
    }
    let what = if digest.is_some() {
        "a file that follows from the rows of all stages"
    } else {
        "a file that publishing writes"
    };
    let mut answer = Answer::new(run, subject.clone(), what.into());
    answer.stages = run.all_stages();
    Ok(answer)
}
