//! `ingest`: one row per recording of a corpus.
//!
//! A scan lists the files, digests their bytes and reads their tags, and nothing else. Labels come from
//! sidecars or the table first, then from the file's tags, then from the settings. The built-in corpus
//! `synth` has no files: its pieces are rendered into the store.

mod scan;
mod synth;

use crate::{
    flow::{Either, Env, Event, Item, divide, group, memoised},
    rows::{Input, scan::Scan},
    settings::{Complaint, PathSetting},
    stage::{
        Cardinality, Context, Places, Port, SourceError, Stage, StageOutput,
        memory::{Known, Memory},
    },
};
use datasets::row::{Dropped, Found, Labels, Origin, Track};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

crate::choice! {
    /// Which kind of corpus.
    pub enum Corpus {
        /// A folder of audio files with sidecars `tracks.csv`, `tracks.json` or `tracks.jsonl`.
        Folder = "folder",
        /// A table (CSV, JSON lines or Parquet) that names audio files.
        Table = "table",
        /// Short pieces composed and rendered by Refrain, CC0.
        Synth = "synth",
    }
}

crate::settings! {
    /// Settings of `ingest`.
    pub struct Ingest {
        /// Which kind of corpus: a folder of files, a table that names files, or the built-in one.
        corpus: Corpus = Corpus::Folder,
        /// The folder with the files; of a table, where its paths start (default: the table's folder).
        #[path]
        root: Option<PathSetting> = None,
        /// The table's file (`corpus = "table"`).
        #[path]
        file: Option<PathSetting> = None,
        /// The table's column with the path of each file (`corpus = "table"`).
        path: String = "path".to_owned(),
        /// The table's column with the BLAKE3 of each file in hexadecimal: files are then first read when they are
        /// decoded, and their tags never (`corpus = "table"`).
        digest: Option<String> = None,
        /// Which column of the table holds a label, where it has another name: `{ title = "song" }` (`corpus = "table"`).
        columns: BTreeMap<String, String> = BTreeMap::new(),
        /// First part of every track's id; by default the corpus's name.
        dataset: Option<String> = None,
        /// License of the tracks for which nobody states one.
        license: Option<String> = None,
        /// Artist of the tracks for which nobody states one.
        artist: Option<String> = None,
        /// Genre of the tracks for which nobody states one.
        genre: Option<String> = None,
        /// Source of the tracks for which nobody states one.
        source: Option<String> = None,
        /// Number of pieces (`corpus = "synth"`).
        pieces: u32 = 36,
        /// Nominal length of a piece in seconds (`corpus = "synth"`).
        seconds: f64 = 8.0,
        /// Another seed composes other pieces (`corpus = "synth"`).
        compose: u64 = 1,
    }
}

impl Ingest {
    /// The first part of every id.
    fn dataset(&self) -> String {
        self.dataset.clone().unwrap_or_else(|| self.corpus.word().to_owned())
    }

    fn track(&self, found: Found, content: datasets::Digest, bytes: u64) -> Track {
        Track {
            id: format!("{}/{}", self.dataset(), found.key),
            content,
            bytes,
            license: found.license.or_else(|| self.license.clone()),
            labels: Labels {
                artist: found.labels.artist.or_else(|| self.artist.clone()),
                genre: found.labels.genre.or_else(|| self.genre.clone()),
                source: found.labels.source.or_else(|| self.source.clone()),
                ..found.labels
            },
            recording: None,
            chain: None,
            split: None,
        }
    }
}

impl Stage for Ingest {
    const VERB: &'static str = "ingest";
    const ABOUT: &'static str = "lists the recordings of a corpus with their labels and digests";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[];
    const CARDINALITY: Cardinality = Cardinality::Source;
    const UNIT: &'static str = "tracks";
    type In = Found;
    type Out = Track;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let belongs = |field: &str| match field {
            "root" => self.corpus != Corpus::Synth,
            "file" | "path" | "columns" | "digest" => self.corpus == Corpus::Table,
            "pieces" | "seconds" | "compose" => self.corpus == Corpus::Synth,
            _ => true,
        };
        for field in ["root", "file", "path", "columns", "digest", "pieces", "seconds", "compose"] {
            if at.table.get(field).is_some() && !belongs(field) {
                let message = format!("`{field}` means nothing for corpus = \"{}\"", self.corpus.word());
                complaints.push(
                    Complaint::new(at.of(field), message).help("leave it out, or choose the corpus it belongs to"),
                );
            }
        }
        let missing = match self.corpus {
            Corpus::Folder if self.root.is_none() => Some(("root", "the folder with the audio files")),
            Corpus::Table if self.file.is_none() => Some(("file", "the table")),
            _ => None,
        };
        if let Some((field, what)) = missing {
            let message = format!("corpus = \"{}\" needs `{field}`, {what}", self.corpus.word());
            complaints.push(Complaint::new(at.whole, message).help(format!("add `{field} = \"..\"`")));
        }
        if self.dataset.as_ref().is_some_and(|d| d.is_empty() || d.contains('/')) {
            complaints.push(Complaint::new(at.of("dataset"), "`dataset` must be a name without `/`"));
        }
        if self.corpus == Corpus::Synth && !(1..=10_000).contains(&self.pieces) {
            complaints
                .push(Complaint::new(at.of("pieces"), format!("`pieces`: {} is not from 1 to 10000", self.pieces)));
        }
        if self.corpus == Corpus::Synth && !(2.0..=600.0).contains(&self.seconds) {
            let message = format!("`seconds`: {} is not from 2 to 600", self.seconds);
            complaints.push(Complaint::new(at.of("seconds"), message));
        }
    }

    fn memory(&self, _: &mut Known, _: u64) -> Memory {
        match self.corpus {
            // A piece ends with its last bar, and what rings on.
            Corpus::Synth => Memory::rendering((2.0 * self.seconds * f64::from(datasets::synth::SAMPLE_RATE)) as u64),
            Corpus::Folder | Corpus::Table => Memory::default(),
        }
    }

    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError> {
        match self.corpus {
            Corpus::Folder => scan::folder(self, base, env),
            Corpus::Table => scan::table(self, base, env),
            Corpus::Synth => Ok(synth::found(self).into_iter().collect()),
        }
    }

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        let resolve = |path: &Option<PathSetting>| path.as_ref().map(|path| path.resolve(base));
        match self.corpus {
            Corpus::Folder => resolve(&self.root).into_iter().collect(),
            Corpus::Table => {
                let file = resolve(&self.file);
                let folder = || file.as_deref().and_then(Path::parent).map(Path::to_owned);
                let root = resolve(&self.root).or_else(folder);
                file.clone().into_iter().chain(root).collect()
            }
            Corpus::Synth => Vec::new(),
        }
    }

    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        let mut places = self.source_paths(base);
        // Files whose digests the table states are not looked at.
        if self.corpus == Corpus::Table && self.digest.is_some() {
            places.truncate(1);
        }
        places
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Found>) -> StageOutput<'s, Track> {
        let (files, others) = divide(input.kept, |found| match found.origin {
            Origin::File { content, bytes } => Either::One((found, content, bytes)),
            _ => Either::Other(found),
        });
        let (pieces, others) = divide(others, |found| match found.origin {
            Origin::Piece { .. } => Either::One((found.origin.clone(), found)),
            _ => Either::Other(found),
        });
        let ingest = self.clone();
        let (shared, lone) = divide(files, move |(found, content, bytes)| match found.shared {
            true => Either::One(ingest.track(found, content, bytes)),
            false => Either::Other(ingest.track(found, content, bytes)),
        });
        let (dataset, env, stage) = (self.dataset(), cx.env.clone(), cx.stage.to_string());
        let unusable = others.flat_map(move |found| {
            let id = format!("{dataset}/{}", found.key);
            match found.origin {
                Origin::Unreadable(why) => {
                    env.ledger.unreadable(format!("{id}: {why}"));
                    env.event(Event::Warning { stage: stage.clone(), message: format!("{id}: {why}") });
                    Some(Dropped::failed(id, why))
                }
                Origin::Unusable(code, why) => Some(Dropped { id, code: code.into(), why: why.into(), failed: false }),
                Origin::File { .. } | Origin::Piece { .. } => None,
            }
        });
        let done = memoised(cx, synth::Render { env: cx.env.clone() }, pieces, |found| found.key.clone());
        let (rendered, unrendered, sources) = (self.clone(), self.clone(), cx.env.clone());
        let nameless = datasets::Digest::default();
        let pieces = done.split(cx, move |found| Item::Track(Arc::new(unrendered.track(found, nameless, 0))));
        let pieces = pieces.map(move |(found, (content, bytes))| {
            sources.sources.add(content, &sources.store.path(&content));
            rendered.track(found, content, bytes)
        });
        // Of two tracks with one id the smaller content digest is kept.
        let named = shared.map(|track| (track.id.clone(), track));
        let judged = group(named, &format!("{}: one per id", cx.stage), |id, tracks: &[(Track, isize)]| {
            let mut tracks = tracks.to_vec();
            tracks.sort_by_key(|(track, _)| track.content);
            let mut judged = Vec::with_capacity(tracks.len());
            for (i, (track, count)) in tracks.into_iter().enumerate() {
                // A table may say the same twice: a row counts once.
                let others = if i == 0 { count - 1 } else { count };
                if i == 0 {
                    judged.push((Ok(track), 1));
                }
                if others > 0 {
                    let why = "another file or row of this corpus has the same id".to_owned();
                    judged.push((
                        Err(Dropped { id: id.clone(), code: "same-id".into(), why: why.into(), failed: false }),
                        others,
                    ));
                }
            }
            judged
        });
        let (kept, doubled) = divide(judged, |(_, judged)| judged.into());
        StageOutput { kept: kept.concatenate([lone, pieces.kept]), ..pieces }.and_dropped(unusable.concat(doubled))
    }
}
