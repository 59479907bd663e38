//! The songs of a run, as the report tells of them.

use crate::{
    error::Error,
    execute::Outcome,
    plan::Plan,
    report::data::{self, SongView},
};
use datasets::{
    Digest,
    audio::decode::decode_bytes,
    row::{Audio, Track},
};
use stages::{flow::Env, stage::AnyRow};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Every song with its sound and the licenses that it rests on.
///
/// # Errors
/// When an object is missing from the store.
pub fn views(plan: &Plan, outcome: &Outcome, tracks: &[Arc<Track>], env: &Env) -> Result<Vec<SongView>, Error> {
    let mut views = Vec::new();
    for (stage, own) in plan.stages.iter().zip(&outcome.stages) {
        for row in &own.kept {
            if let AnyRow::Audio(song) = &**row {
                views.push(view(&stage.name, song, tracks, env)?);
            }
        }
    }
    Ok(views)
}

fn view(stage: &str, song: &Audio, tracks: &[Arc<Track>], env: &Env) -> Result<SongView, Error> {
    let mut rests_on: BTreeSet<Digest> = BTreeSet::new();
    for digest in &song.lineage {
        rests_on.extend(Digest::list(&env.store.get(digest)?));
    }
    let mut licenses: BTreeMap<String, u64> = BTreeMap::new();
    for track in tracks {
        if track.recording.as_ref().is_some_and(|recording| rests_on.contains(&recording.samples)) {
            let license = track.license.clone().unwrap_or_else(|| "NOASSERTION".to_owned());
            *licenses.entry(license).or_default() += 1;
        }
    }
    Ok(SongView {
        name: song.name.clone(),
        stage: stage.to_owned(),
        genre: song.genre.clone(),
        seed: song.seed.short(12),
        codec: song.codec.short(12),
        priors: song.priors.iter().map(|prior| prior.short(12)).collect(),
        licenses: licenses.into_iter().collect(),
        audio: data::Audio { rate: song.rate, samples: samples(song, env)? },
    })
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
