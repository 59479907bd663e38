//! The songs of a run and the models that they came from, for the report.

use crate::{
    dataflow::outcome::Outcome,
    error::Error,
    plan::Plan,
    publish::layout,
    record::{kinds, lineage::Lineage},
    report::data::{self, ModelView, SongView},
};
use datasets::{Digest, audio::decode::decode_bytes, row::Audio};
use stages::{flow::Env, rows::kept::Corpus};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The samples that any model of a run was trained on.
///
/// # Errors
/// When an object is missing from the store.
pub fn lineage(plan: &Plan, outcome: &Outcome, env: &Env) -> Result<Lineage, Error> {
    let objects: Vec<Digest> = kinds::models(plan, outcome).flat_map(|(_, model)| model.lineage).collect();
    Ok(Lineage::read(&env.store, &objects)?)
}

/// Every song with its sound and the licenses that it rests on.
///
/// # Errors
/// When an object is missing from the store.
pub fn views(plan: &Plan, outcome: &Outcome, corpus: &Corpus<'_>, env: &Env) -> Result<Vec<SongView>, Error> {
    let mut views = Vec::new();
    for part in layout::parts(plan) {
        let files = part.files(outcome);
        for &index in &part.stages {
            for song in &outcome.stages[index].kept.rows::<Audio>() {
                views.push(view(&plan.stages[index].name, file(song, &files), song, corpus, env)?);
            }
        }
    }
    Ok(views)
}

/// Path of a song in the tree. If two songs are the same sound, the name tells them apart.
fn file(song: &Audio, files: &BTreeMap<PathBuf, Digest>) -> String {
    let own = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem.to_string_lossy() == song.name);
    let same = || files.iter().filter(|(_, digest)| **digest == song.file).map(|(path, _)| path);
    let found = same().find(own).or_else(|| same().next());
    found.map(|path| path.display().to_string()).unwrap_or_default()
}

fn view(stage: &str, file: String, song: &Audio, corpus: &Corpus<'_>, env: &Env) -> Result<SongView, Error> {
    let on = Lineage::read(&env.store, &song.lineage)?.rests_on(corpus);
    Ok(SongView {
        name: song.name.clone(),
        stage: stage.to_owned(),
        file,
        genre: song.genre.clone(),
        seed: song.seed.hex(),
        codec: song.codec.hex(),
        priors: song.priors.iter().map(Digest::hex).collect(),
        licenses: on.licenses.into_iter().collect(),
        gone: on.gone,
        audio: data::Audio { rate: song.rate, samples: samples(song, env)? },
    })
}

/// The models that the songs of a run came from, in the order of the plan; none without songs.
///
/// # Errors
/// When an object is missing from the store.
pub fn models(plan: &Plan, outcome: &Outcome, corpus: &Corpus<'_>, env: &Env) -> Result<Vec<ModelView>, Error> {
    let mut used: BTreeSet<Digest> = kinds::songs(plan, outcome).flat_map(|(_, song)| song.models).collect();
    let mut views = Vec::new();
    for (stage, model) in kinds::models(plan, outcome) {
        // Two stages may have made the same.
        if used.remove(&model.digest) {
            let on = Lineage::read(&env.store, &model.lineage)?.rests_on(corpus);
            views.push(ModelView {
                stage: stage.name.clone(),
                what: model.title,
                digest: model.digest.hex(),
                licenses: on.licenses.into_iter().collect(),
                gone: on.gone,
                recorded: !model.lineage.is_empty(),
            });
        }
    }
    Ok(views)
}

fn samples(song: &Audio, env: &Env) -> Result<Vec<f32>, Error> {
    let file = env.store.get(&song.file)?;
    let mut samples = Vec::with_capacity(song.frames as usize);
    let mut sink = |more: &[f32], _: u32, _: u16| {
        samples.extend_from_slice(more);
        Ok(())
    };
    decode_bytes(&file, &mut sink).map_err(|e| Error::Bug(format!("a song cannot be read: {e}")))?;
    Ok(samples)
}
