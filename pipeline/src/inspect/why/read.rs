//! The parts of a published run that `why` reads.

use super::{Evidence, Subject, Tracks, evidence::Source};
use crate::{
    error::Error,
    record::{
        Record,
        history::{History, Name},
        made::Made,
        published::tracks,
        stage_record::{FailedStage, StageRecord},
        tainted::Tainted,
        timing::Timing,
    },
};
use datasets::{
    Digest,
    shard::{ShardReader, members},
    store::Store,
    tables::tracks::Listed,
};
use serde::Serialize;
use stages::{media::lineage, rows::Kind, settings::Role, spec};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

impl Made {
    pub(super) fn is_song(&self) -> bool {
        self.kind == "song"
    }

    pub(super) fn is_prior(&self) -> bool {
        self.kind == "prior"
    }

    pub(super) fn what(&self) -> String {
        let with = match (self.kind.as_str(), self.models.len()) {
            ("song", models) => format!(" that was sampled from {models} models"),
            _ => String::new(),
        };
        format!("a {}{with}, from `{}`", self.kind, self.stage)
    }
}

/// A stage, with what of its settings is not the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageLine {
    /// Name of the stage.
    pub name: String,
    /// Verb of the stage.
    pub verb: String,
    /// The verb's revision.
    pub revision: u32,
    /// Settings in TOML.
    pub settings: BTreeMap<String, String>,
}

/// A published run.
pub(super) struct Run {
    pub name: String,
    pub folder: PathBuf,
    pub tracks: BTreeMap<String, Listed>,
    /// Dropped and withdrawn rows.
    pub refused: Vec<Subject>,
    /// Files that the record lists, with their digests.
    pub files: BTreeMap<String, String>,
    pub made: Vec<Made>,
    pub tainted: Vec<Tainted>,
    /// Stages that failed: where there are any, a part of the run was published.
    pub failed: Vec<FailedStage>,
    /// Names of the stages of which something was published.
    published: BTreeSet<String>,
    stages: Vec<StageRecord>,
    timing: Timing,
    store: Option<Store>,
    history: Option<History>,
}

impl Run {
    pub fn read(folder: &Path, store: &Path) -> Result<Run, Error> {
        let record: Record = Record::read(folder)?;
        let tracks = tracks(folder, &record.files)?.ok_or_else(|| {
            let sentence = "lacks its tracks.parquet: run its manifest again, an older refrain has published it";
            Error::Source(format!("{} {sentence}", folder.display()))
        })?;
        let published = record.stages.iter().filter(|stage| !record.withholds(&stage.name));
        let published = published.map(|stage| stage.name.clone()).collect();
        let dropped = record.dropped.into_iter().map(|row| Subject::Dropped {
            id: row.id.into_owned(),
            stage: row.stage.into_owned(),
            code: row.code.into_owned(),
            why: row.why.unwrap_or_default().into_owned(),
        });
        let quarantine =
            datasets::untrusted::text(&folder.join("quarantine.tsv"), datasets::untrusted::LARGEST).unwrap_or_default();
        let withdrawn = quarantine.lines().skip(1).filter_map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            Some(Subject::Withdrawn { id: cells.next()?, date: cells.next()?, evidence: cells.next()? })
        });
        // The store that a tree lies in, before any other.
        let around = folder.parent().and_then(Path::parent).filter(|root| root.join("format").is_file());
        let store = around.or(Some(store).filter(|root| root.join("format").is_file()));
        let store = store.map(Store::look).transpose()?;
        let history = store.as_ref().map(|store| History::of(store, &record.name)).transpose()?.flatten();
        Ok(Run {
            timing: Timing::read(folder).unwrap_or_default(),
            folder: folder.into(),
            tracks: tracks.into_iter().map(|track| (track.track.clone(), track)).collect(),
            refused: dropped.chain(withdrawn).collect(),
            files: record.files.into_iter().map(|(path, digest)| (path, digest.hex())).collect(),
            made: record.made.into_iter().collect(),
            history: history.and_then(|history| history.of_run(&record.run)),
            name: record.run,
            stages: record.stages,
            tainted: record.tainted,
            failed: record.failed,
            published,
            store,
        })
    }

    /// The file that a word names: a path in the tree, or one that leads there.
    pub fn file(&self, word: &str) -> Option<String> {
        let there = |path: &Path| path.is_relative() && self.folder.join(path).is_file();
        let plain = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let path = Path::new(word.trim_start_matches("./"));
        if plain(path) && there(path) {
            return Some(path.display().to_string());
        }
        let folder = fs::canonicalize(&self.folder).ok()?;
        let inside = fs::canonicalize(word).ok()?;
        let inside = inside.strip_prefix(folder).ok()?;
        there(inside).then(|| inside.display().to_string())
    }

    /// Paths of the published files with this digest.
    pub fn paths(&self, digest: &Digest) -> Vec<String> {
        let digest = digest.hex();
        self.files.iter().filter(|(_, own)| **own == digest).map(|(path, _)| path.clone()).collect()
    }

    fn shards(&self) -> impl Iterator<Item = &String> {
        self.files.keys().filter(|path| path.starts_with("codes/") && path.ends_with(".parquet"))
    }

    /// The shards that may hold a track, by its split and the digest of its id.
    fn shards_for(&self, track: &Listed) -> impl Iterator<Item = &String> {
        let (name, split) = (Name::of(&track.track), if track.split.is_empty() { "train" } else { &track.split });
        self.shards().filter(move |path| {
            let mut parts = path.trim_end_matches(".parquet").rsplit('/');
            let (prefix, own) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            own == split && (prefix == "all" || prefix.bytes().all(|b| b"01".contains(&b)) && name.starts_with(prefix))
        })
    }

    /// The clips of a track, at several points of a sweep each once, and the shards that hold them.
    pub fn clips(&self, track: &Listed) -> Result<(Vec<String>, Vec<String>), Error> {
        let (mut clips, mut shards): (BTreeSet<(u64, String)>, Vec<String>) = Default::default();
        for path in self.shards_for(track) {
            let rows = members(&self.folder.join(path)).map_err(|e| Error::Source(format!("{path}: {e}")))?;
            let own: Vec<_> = rows.into_iter().filter(|row| row.track == track.track).collect();
            shards.extend((!own.is_empty()).then(|| path.clone()));
            clips.extend(own.into_iter().map(|row| (row.start, row.clip)));
        }
        Ok((clips.into_iter().map(|(_, clip)| clip).collect(), shards))
    }

    /// The shards whose codes are a codec's.
    pub fn shards_by(&self, codec: &Digest) -> Result<Vec<String>, Error> {
        let mut shards = Vec::new();
        for path in self.shards() {
            let open = ShardReader::open(&self.folder.join(path)).map_err(|e| Error::Source(format!("{path}: {e}")))?;
            shards.extend((open.meta().codec == codec.0).then(|| path.clone()));
        }
        Ok(shards)
    }

    /// Songs that were made with one of these models.
    pub fn songs_of(&self, models: &BTreeSet<Digest>) -> Vec<String> {
        let songs = self.made.iter().filter(|made| made.is_song());
        let songs = songs.filter(|made| made.models.iter().any(|model| models.contains(model)));
        songs.flat_map(|made| self.paths(&made.digest)).collect()
    }

    /// Digests of the samples that something was trained on, or rests on by its models.
    pub fn trained_on(&self, made: &Made, notes: &mut Vec<String>) -> BTreeSet<String> {
        let mut note = |why: &str| {
            let note = format!("what the {} {} was trained on is not known: {why}", made.kind, made.digest.short(12));
            if !notes.contains(&note) {
                notes.push(note);
            }
        };
        let Some(store) = &self.store else {
            note("the store of the run is not here; name it with --store");
            return BTreeSet::new();
        };
        let mut samples = BTreeSet::new();
        for object in &made.lineage {
            match lineage::read(store, [object]) {
                Ok(known) => samples.extend(known.iter().map(Digest::hex)),
                Err(error) => note(&error.to_string()),
            }
        }
        if made.kind == "codec" && made.lineage.is_empty() {
            // One that was loaded from a file may have been trained in this store.
            samples.extend(lineage::of_loaded(store, &made.digest).iter().map(Digest::hex));
            if samples.is_empty() {
                note("it was loaded from a file");
            }
        }
        samples
    }

    /// The tracks that samples are of.
    pub fn listed(&self, samples: &BTreeSet<String>) -> Tracks {
        let (mut tracks, mut there) = (Tracks::default(), BTreeSet::new());
        for track in self.tracks.values().filter(|track| samples.contains(&track.samples)) {
            there.insert(&track.samples);
            let license = if track.license.is_empty() { "NOASSERTION" } else { &track.license };
            *tracks.licenses.entry(license.to_owned()).or_default() += 1;
            tracks.ids.push(track.track.clone());
        }
        tracks.gone = (samples.len() - there.len()) as u64;
        tracks
    }

    fn line(stage: &StageRecord) -> StageLine {
        let entry = spec(&stage.verb);
        let defaults: BTreeMap<&str, Option<String>> =
            entry.into_iter().flat_map(|entry| (entry.fields)()).map(|field| (field.name, field.default)).collect();
        let other = |(name, value): &(&String, &String)| {
            defaults.get(name.as_str()).is_none_or(|default| default.as_ref() != Some(value))
        };
        let settings = stage.settings.iter().filter(other);
        StageLine {
            name: stage.name.clone(),
            verb: stage.verb.clone(),
            revision: stage.revision,
            settings: settings.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Every stage.
    pub fn all_stages(&self) -> Vec<StageLine> {
        self.stages.iter().map(Run::line).collect()
    }

    /// A stage and all that it rests on, in the order of the run.
    pub fn before(&self, stage: &str) -> Vec<StageLine> {
        self.behind(BTreeSet::from([stage.to_owned()]))
    }

    /// The stages that give rows of a kind, and all that they rest on.
    pub fn giving(&self, kind: Kind) -> Vec<StageLine> {
        let gives = |stage: &&StageRecord| spec(&stage.verb).is_some_and(|spec| spec.gives == kind);
        self.behind(self.stages.iter().filter(gives).map(|stage| stage.name.clone()).collect())
    }

    fn behind(&self, mut names: BTreeSet<String>) -> Vec<StageLine> {
        // Each stage stands after those that it rests on.
        for stage in self.stages.iter().rev() {
            if names.contains(&stage.name) {
                names.extend(stage.from.iter().cloned());
            }
        }
        self.stages.iter().filter(|stage| names.contains(&stage.name)).map(Run::line).collect()
    }

    /// The stages that a track went through: those that kept a row of it, where this is the last run of its name;
    /// otherwise all that may have.
    pub fn path_of(&self, track: &str) -> Vec<StageLine> {
        let name = Name::of(track);
        let of_tracks = |stage: &&StageRecord| {
            use Kind::{Clip, Codes, Track};
            self.published.contains(&stage.name)
                && spec(&stage.verb).is_some_and(|spec| [Track, Clip, Codes].contains(&spec.gives))
        };
        let went = |stage: &&StageRecord| {
            let past = self.history.as_ref().and_then(|history| history.stage(&stage.name));
            past.is_none_or(|past| past.kept_of(name))
        };
        self.stages.iter().filter(of_tracks).filter(went).map(Run::line).collect()
    }

    /// Finds the place that states the license of a track; `listed` is its entry if the run kept it. The source is read
    /// as it is now: if it says something else than it said then, a note tells.
    pub fn evidence(&self, track: &str, listed: Option<&Listed>, notes: &mut Vec<String>) -> Option<Evidence> {
        let words = listed.map(|listed| listed.stated.as_str());
        if words == Some("") {
            return None;
        }
        let (mut other, mut unknown) = (None, None);
        for source in self.stages.iter().filter_map(|stage| Source::of(stage, &self.timing)) {
            let Some(key) = source.key(track) else { continue };
            match source.look(key, words) {
                Ok(Some(found)) if words.is_none_or(|words| words == found.license) => return Some(found),
                Ok(found) => other = found.or(other),
                Err(why) => unknown = Some(why),
            }
        }
        match (unknown, other, words) {
            (Some(why), ..) => notes.push(format!("what states its license cannot be looked up: {why}")),
            (_, Some(Evidence { license, place }), _) => {
                notes.push(format!("its source has changed since the run: {place} states `{license}` now"));
            }
            (_, None, Some(_)) => {
                notes
                    .push("its source has changed since the run: nothing there states a license for it now".to_owned());
            }
            // It may have been dropped because nothing does.
            (_, None, None) => {}
        }
        None
    }

    /// The license of a track, what states it, and why it was kept by the stages that it went through.
    pub fn license(&self, track: &Listed, evidence: Option<&Evidence>, stages: &[StageLine]) -> Vec<String> {
        let license = if track.license.is_empty() { "none stated" } else { &track.license };
        let mut said = vec![license.to_owned()];
        if !track.stated.is_empty() && track.stated != track.license {
            said.push(format!("stated as `{}`", track.stated));
        }
        said.extend(evidence.map(|evidence| format!("stated by {}", evidence.place)));
        let judges = |stage: &&StageLine| spec(&stage.verb).is_some_and(|spec| spec.facts.judges);
        for stage in stages.iter().filter(judges) {
            let fields = spec(&stage.verb).into_iter().flat_map(|spec| (spec.fields)());
            let policy: Vec<String> = fields
                .filter(|field| field.role == Role::Live)
                .filter_map(|field| Some(format!("{} = {}", field.name, stage.settings.get(field.name)?)))
                .collect();
            said.push(format!("kept by `{}` ({})", stage.name, policy.join(", ")));
        }
        if !stages.iter().any(|stage| judges(&stage)) {
            said.push("as it was stated: no stage `license` has judged it".to_owned());
        }
        said
    }
}
