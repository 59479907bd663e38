//! `sample`: songs from priors and a codec, the top level first, then each level given the one above, then audio.
//!
//! Every window is saved as it is done. Songs are named by genre and number; what one becomes depends on its own seed
//! alone, not on those beside it.

mod effect;

use crate::{
    flow::{
        group, memoised, pair,
        whole::{ALL, all, close},
    },
    media::generate::Ask,
    model::prior::sample::Draw,
    rows::{Input, Kind, end_of_build},
    settings::Complaint,
    stage::{
        Cardinality, Context, Places, Port, Stage, StageOutput, Version,
        memory::{Known, Memory},
        seed,
    },
};
use datasets::{
    Digest,
    row::{Audio, Prior, Weights},
};

crate::settings! {
    /// Settings of `sample`.
    pub struct Sample {
        /// Genres to ask for, one after the other; none takes every genre that all priors know.
        genres: Vec<String> = Vec::new(),
        /// Songs of each genre.
        songs: u32 = 1,
        /// Length of a song in seconds.
        seconds: f64 = 20.0,
        /// Logits are divided by this; at 0 the most likely code is taken.
        temperature: f64 = 1.0,
        /// Codes are drawn from the most likely ones that make up this share.
        top_p: f64 = 0.9,
        /// The share of a window of codes that it has in common with the one before it.
        overlap: f64 = 0.5,
        /// The level whose decoder makes the sound; 0, the bottom, is the closest.
        level: u32 = 0,
    }
}

impl Sample {
    fn ask(&self) -> Ask {
        Ask {
            genres: self.genres.clone(),
            songs: self.songs,
            seconds: self.seconds,
            draw: Draw { temperature: self.temperature, top_p: self.top_p, overlap: self.overlap },
            level: self.level as usize,
        }
    }
}

impl Stage for Sample {
    const VERB: &'static str = "sample";
    const ABOUT: &'static str = "samples songs from priors and decodes them to WAV";
    const REVISION: u32 = 2;
    const PORTS: &'static [Port] = &[Port::one("codec", Kind::Weights), Port::many("priors", Kind::Prior)];
    // Which level a prior is of, it says itself.
    const NAMES: &'static [(&'static str, &'static str)] =
        &[("top", "priors"), ("middle", "priors"), ("bottom", "priors")];
    const CARDINALITY: Cardinality = Cardinality::Made;
    const UNIT: &'static str = "songs";
    const VERSIONS: &'static [Version] = &[Version::Numerics];
    const RANDOM: bool = true;
    type In = (Weights, Prior);
    type Out = Audio;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let wrong = self.ask().complaints();
        complaints
            .extend(wrong.into_iter().map(|(field, message, help)| Complaint::new(at.of(field), message).help(help)));
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        let frames = self.seconds * known.codec.as_ref().map_or(0.0, |codec| f64::from(codec.rate));
        // Of all genres that the priors know, where none is named: for each as much again.
        Memory::sampling(known, u64::from(self.songs) * self.genres.len().max(1) as u64, frames as u64)
    }

    fn render<'s>(
        self,
        cx: &Context<'s>,
        (codec, priors): (Input<'s, Weights>, Input<'s, Prior>),
    ) -> StageOutput<'s, Audio> {
        let sealed = priors.kept.map(|prior| ((), prior)).delay(end_of_build);
        let together = group(sealed, &format!("{}: all priors", cx.stage), |(), priors: &[(Prior, isize)]| {
            vec![(priors.iter().map(|(prior, _)| prior.clone()).collect::<Vec<Prior>>(), 1)]
        });
        let codecs = codec.kept.map(|weights| ((), weights)).delay(end_of_build);
        let models = pair(together, codecs).map(|((), priors, codec)| (codec, priors));
        let (closed, open) = close(cx, models, codec.pending.concat(priors.pending));
        let work = closed.map(|(codec, priors)| (effect::models(&codec, &priors), (codec, priors)));
        let done = memoised(cx, effect::Songs::new(self, cx), work, |_| ALL.to_owned());
        let songs = done.split(cx, all).flat_map(|((codec, priors), songs)| {
            songs.into_iter().map(move |song| song.row(&codec, &priors)).collect::<Vec<Audio>>()
        });
        songs.and_pending(cx.may(open))
    }
}

/// The seed of all songs of a stage `sample` without a salt, in a manifest with this seed.
pub fn seed_of(manifest: u64) -> Digest {
    seed(manifest, Sample::VERB, "")
}
