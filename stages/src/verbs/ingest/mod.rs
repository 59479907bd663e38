//! `ingest`: one row per recording of a corpus.
//!
//! A scan lists the files, digests their bytes and reads their tags, and nothing else. Labels come from
//! sidecars or the table first, then from the file's tags, then from the settings. The built-in corpus
//! `synth` has no files: its pieces are rendered into the store.

pub mod corpora;
mod recorded;
mod scan;
mod settings;

pub use settings::Ingest;

use crate::{
    flow::{Either, Env, Event, Item, divide, group, memoised},
    rows::{Input, scan::Scan},
    settings::Complaint,
    stage::{
        Cardinality, Context, Facts, Places, Port, SourceError, Stage, StageOutput,
        memory::{Known, Memory},
    },
};
use corpora::synth;
use datasets::{
    license::both,
    row::{Dropped, Found, Origin, Track},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

impl Stage for Ingest {
    const VERB: &'static str = "ingest";
    const ABOUT: &'static str = "lists the recordings of a corpus with their labels and digests";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[];
    const CARDINALITY: Cardinality = Cardinality::Source;
    const UNIT: &'static str = "tracks";
    const FACTS: Facts = Facts { light: true, ..Facts::NONE };
    type In = Found;
    type Out = Track;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let word = self.spec.word;
        for (field, _) in &at.table.0 {
            let mut owners = settings::owners(&field.text).peekable();
            if owners.peek().is_some() && owners.all(|owner| owner.word != word) {
                let message = format!("`{}` means nothing for corpus = \"{word}\"", field.text);
                complaints.push(
                    Complaint::new(at.of(&field.text), message)
                        .help("leave it out, or choose the corpus it belongs to"),
                );
            }
        }
        for (field, what) in self.spec.needs.iter().filter(|(field, _)| at.table.get(field).is_none()) {
            let message = format!("corpus = \"{word}\" needs `{field}`, {what}");
            complaints.push(Complaint::new(at.whole, message).help(format!("add `{field} = \"..\"`")));
        }
        if self.common.dataset.as_ref().is_some_and(|d| d.is_empty() || d.contains('/')) {
            complaints.push(Complaint::new(at.of("dataset"), "`dataset` must be a name without `/`"));
        }
        self.corpus.check(at, complaints);
    }

    fn memory(&self, _: &mut Known, _: u64) -> Memory {
        self.corpus.memory()
    }

    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError> {
        let Some(mut adapter) = self.corpus.adapter(&self.corpus.source_paths(base)) else {
            unreachable!("`check` asked for what `{}` needs", self.spec.word)
        };
        adapter.leave_out(env.sources.left_out());
        scan::scan(self, &*adapter, env)
    }

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.corpus.source_paths(base)
    }

    fn watched_paths(&self, base: &Path) -> Vec<PathBuf> {
        self.corpus.watched_paths(base)
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
        let (dataset, env, stage) = (self.dataset().to_owned(), cx.env.clone(), cx.stage.to_string());
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
            // Rows that put the same bytes under several licenses: which of them holds is nobody's to guess, so the track
            // has them all, which is none that could be read.
            let same = tracks.iter().filter(|(track, _)| track.content == tracks[0].0.content);
            let licenses: BTreeSet<&String> = same.filter_map(|(track, _)| track.license.as_ref()).collect();
            tracks[0].0.license = licenses.into_iter().cloned().reduce(|one, next| both(one, &next));
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
