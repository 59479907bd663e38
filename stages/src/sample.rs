//! `sample`: songs from priors and a codec, the top level first, then each level given the one above, then audio.
//!
//! Every window is saved as it is done. Songs are named by genre and number; what one becomes depends on its own seed
//! alone, not on those beside it.

mod work;

use crate::{
    flow::{
        corpus::{ALL, close, refused, waiting},
        group, memoised, pair,
    },
    settings::Complaint,
    stage::{Context, Input, Kind, Places, Port, Shape, Split, Stage, seal},
};
use datasets::row::{Audio, Prior, Weights};

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

impl Stage for Sample {
    const VERB: &'static str = "sample";
    const ABOUT: &'static str = "samples songs from priors and decodes them to WAV";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::one("codec", Kind::Weights), Port::many("priors", Kind::Prior)];
    const SHAPE: Shape = Shape::Made;
    const UNIT: &'static str = "songs";
    const RANDOM: bool = true;
    type In = (Weights, Prior);
    type Out = Audio;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let mut complain = |field: &str, message: String, help: &str| {
            complaints.push(Complaint::new(at.of(field), message).help(help));
        };
        if self.songs == 0 {
            complain("songs", "`songs` is 0".into(), "at least 1");
        }
        let real = [
            ("seconds", self.seconds, 0.01, 3600.0),
            ("temperature", self.temperature, 0.0, 100.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("overlap", self.overlap, 0.0, 0.95),
        ];
        for (field, value, least, most) in real.iter().filter(|(_, v, least, most)| !(*least..=*most).contains(v)) {
            complain(field, format!("`{field}` is {value}"), &format!("from {least} to {most}"));
        }
    }

    fn render<'s>(self, cx: &Context<'s>, (codec, priors): (Input<'s, Weights>, Input<'s, Prior>)) -> Split<'s, Audio> {
        let sealed = priors.kept.map(|prior| ((), prior)).delay(seal);
        let all = group(sealed, &format!("{}: all priors", cx.stage), |(), priors: &[(Prior, isize)]| {
            vec![(priors.iter().map(|(prior, _)| prior.clone()).collect::<Vec<Prior>>(), 1)]
        });
        let codecs = codec.kept.map(|weights| ((), weights)).delay(seal);
        let models = pair(all, codecs).map(|((), priors, codec)| (codec, priors));
        let (closed, open) = close(cx, models, codec.pending.concat(priors.pending));
        let work = closed.map(|(codec, priors)| (work::models(&codec, &priors), (codec, priors)));
        let done = memoised(cx, work::Songs::new(self, cx), work, |_| ALL.to_owned());
        Split {
            kept: done.ok.flat_map(|((codec, priors), songs)| {
                songs.into_iter().map(move |song| song.row(&codec, &priors)).collect::<Vec<Audio>>()
            }),
            dropped: refused(done.refused.map(|(_, refusal)| refusal)),
            pending: cx.may(open).concat(waiting(cx, ALL, done.pending.map(|(_, cause)| cause))),
        }
    }
}
