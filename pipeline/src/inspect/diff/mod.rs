//! `refrain diff`: two published runs side by side, from what they published: settings, data, scores.

mod text;

pub use text::text;

use crate::{
    error::Error,
    record::{Outline, published::tracks, scores::Basis, stage_record::FailedStage},
};
use datasets::tables::tracks::Listed;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Two runs, what differs between them, and the scores of both.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// The first run's name.
    pub a: String,
    /// The second run's name.
    pub b: String,
    /// Stages of the first run that failed; of these and what rests on them it has no scores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_a: Vec<FailedStage>,
    /// Stages of the second run that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_b: Vec<FailedStage>,
    /// Settings that differ.
    pub settings: Vec<Setting>,
    /// Tracks by license, and those that differ.
    pub data: Data,
    /// Scores of both.
    pub scores: Vec<ScoreChange>,
}

/// A setting that differs between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Name of the stage. `None` if the setting stands at the top of the manifest.
    pub stage: Option<String>,
    /// The setting; `do` where only one of the runs has the stage.
    pub setting: String,
    /// Value in the first run, as TOML. `None` if that run does not have the setting.
    pub a: Option<String>,
    /// Value in the second run, as TOML. `None` if that run does not have the setting.
    pub b: Option<String>,
}

/// Comparison of the tracks of two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Data {
    /// Counts by license.
    pub licenses: BTreeMap<String, Counts>,
    /// Tracks that only the second run has.
    pub added: Vec<TrackLine>,
    /// Tracks that only the first run has.
    pub removed: Vec<TrackLine>,
    /// Tracks of both with what differs.
    pub changed: Vec<Changed>,
}

/// Tracks of one license.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Number of tracks in the first run.
    pub a: u64,
    /// Number of tracks in the second run.
    pub b: u64,
    /// Number of tracks that only the second run has under this license.
    pub added: u64,
    /// Number of tracks that only the first run has under this license.
    pub removed: u64,
}

/// A track of one of the runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackLine {
    /// Id of the track.
    pub track: String,
    /// License of the track; empty if none is stated.
    pub license: String,
}

/// A track of both runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Id of the track.
    pub track: String,
    /// Names of the facts that differ: `content`, `license`, `title` ..
    pub what: Vec<&'static str>,
}

/// A score of one or both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreChange {
    /// The stage that gave it.
    pub stage: String,
    /// Name of the score.
    pub name: String,
    /// Value in the first run. `None` if that run does not have the score.
    pub a: Option<f64>,
    /// Value in the second run. `None` if that run does not have the score.
    pub b: Option<f64>,
    /// The second value less the first. `None` if they do not compare.
    pub difference: Option<f64>,
    /// Bases of the two values where they differ, so that the values do not compare. `None` if they compare.
    pub mismatch: Option<(Basis, Basis)>,
}

/// A published run.
struct Side {
    record: Outline,
    tracks: BTreeMap<String, Listed>,
}

impl Side {
    fn read(folder: &Path) -> Result<Side, Error> {
        let broken = |what: &str, why: &dyn std::fmt::Display| {
            Error::Usage(format!("{} cannot be compared: its {what} {why}", folder.display()))
        };
        let record = Outline::read(folder)?;
        let tracks = tracks(folder, &record.files)?.ok_or_else(|| {
            broken("tracks.parquet is missing:", &"run its manifest again, an older refrain has published it")
        })?;
        let tracks = tracks.into_iter().map(|track| (track.track.clone(), track)).collect();
        Ok(Side { record, tracks })
    }

    /// Every setting by stage and name, in the order of the record.
    fn settings(&self) -> Vec<((Option<String>, String), String)> {
        let Outline { name, seed, numerics, stages, .. } = &self.record;
        let top = [("name", name.clone()), ("seed", seed.to_string()), ("numerics", numerics.clone())];
        let mut all: Vec<_> = top.map(|(key, value)| ((None, key.to_owned()), value)).into();
        for stage in stages {
            let mut add =
                |setting: &str, value: String| all.push(((Some(stage.name.clone()), setting.to_owned()), value));
            add("do", stage.verb.clone());
            if !stage.from.is_empty() {
                add("from", stage.from.join(", "));
            }
            if !stage.salt.is_empty() {
                add("salt", stage.salt.clone());
            }
            add("revision", stage.revision.to_string());
            stage.settings.iter().for_each(|(setting, value)| add(setting, value.clone()));
        }
        all
    }

    /// Every score by stage and name, in the order of the record. A figure that is no number does not compare.
    fn scores(&self) -> Vec<((String, String), (f64, Basis))> {
        let scores = self.record.scores.iter().filter(|score| !score.value.is_nan());
        scores.map(|s| ((s.stage.clone(), s.name.clone()), (s.value, s.basis.clone()))).collect()
    }
}

/// Compares the runs that two folders hold.
///
/// # Errors
/// When one of them cannot be read.
pub fn diff(a: &Path, b: &Path) -> Result<Diff, Error> {
    let (a, b) = (Side::read(a)?, Side::read(b)?);
    Ok(Diff {
        settings: settings(&a, &b),
        data: data(&a, &b),
        scores: scores(&a, &b),
        a: a.record.run,
        b: b.record.run,
        failed_a: a.record.failed,
        failed_b: b.record.failed,
    })
}

/// Joins two lists by key, in the order of the first; what only the second has comes last.
fn both<K: Ord + Clone, V: Clone>(a: Vec<(K, V)>, b: Vec<(K, V)>) -> Vec<(K, Option<V>, Option<V>)> {
    let of_b: BTreeMap<&K, &V> = b.iter().map(|(key, value)| (key, value)).collect();
    let known: BTreeSet<&K> = a.iter().map(|(key, _)| key).collect();
    let first = a.iter().map(|(key, value)| (key.clone(), Some(value.clone()), of_b.get(key).map(|v| (*v).clone())));
    let more = b.iter().filter(|(key, _)| !known.contains(key));
    first.chain(more.map(|(key, value)| (key.clone(), None, Some(value.clone())))).collect()
}

fn settings(a: &Side, b: &Side) -> Vec<Setting> {
    let differing = both(a.settings(), b.settings()).into_iter().filter(|(_, a, b)| a != b);
    let all: Vec<Setting> = differing.map(|((stage, setting), a, b)| Setting { stage, setting, a, b }).collect();
    // A stage that one run does not have is one difference.
    let alone: BTreeSet<Option<String>> = all
        .iter()
        .filter(|s| s.stage.is_some() && s.setting == "do" && (s.a.is_none() || s.b.is_none()))
        .map(|s| s.stage.clone())
        .collect();
    all.into_iter().filter(|s| s.setting == "do" || !alone.contains(&s.stage)).collect()
}

fn data(a: &Side, b: &Side) -> Data {
    let mut data = Data::default();
    let row = |track: &Listed| TrackLine { track: track.track.clone(), license: track.license.clone() };
    for track in a.tracks.values() {
        let counts = data.licenses.entry(track.license.clone()).or_default();
        counts.a += 1;
        match b.tracks.get(&track.track) {
            None => {
                counts.removed += 1;
                data.removed.push(row(track));
            }
            Some(other) => {
                counts.removed += u64::from(other.license != track.license);
                let what = track.differences(other);
                if !what.is_empty() {
                    data.changed.push(Changed { track: track.track.clone(), what });
                }
            }
        }
    }
    for track in b.tracks.values() {
        let counts = data.licenses.entry(track.license.clone()).or_default();
        counts.b += 1;
        match a.tracks.get(&track.track) {
            None => {
                counts.added += 1;
                data.added.push(row(track));
            }
            Some(other) => counts.added += u64::from(other.license != track.license),
        }
    }
    data
}

fn scores(a: &Side, b: &Side) -> Vec<ScoreChange> {
    let score = |((stage, name), a, b): ((String, String), Option<(f64, Basis)>, Option<(f64, Basis)>)| {
        let (mut difference, mut mismatch) = (None, None);
        if let (Some((a, on_a)), Some((b, on_b))) = (&a, &b) {
            match on_a == on_b {
                true => difference = Some(b - a),
                false => mismatch = Some((apart(on_a, on_b), apart(on_b, on_a))),
            }
        }
        ScoreChange { stage, name, a: a.map(|(value, _)| value), b: b.map(|(value, _)| value), difference, mismatch }
    };
    both(a.scores(), b.scores()).into_iter().map(score).collect()
}

/// Entries of `one` that `other` lacks or has with another value.
fn apart(one: &Basis, other: &Basis) -> Basis {
    one.iter().filter(|(key, value)| other.get(*key) != Some(value)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests;
