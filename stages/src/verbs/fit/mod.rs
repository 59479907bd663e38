//! `fit`: trains a codec, levels of vector-quantised autoencoders on samples or on the amplitudes of oscillators.
//!
//! Reads clips in the order of their content digests, never of ids, so that a rename trains nothing.
//! The state is saved at most fifteen seconds apart; a run that was killed goes on from there and ends
//! with the same bytes.

mod effect;
mod settings;

pub(crate) use settings::Fit;

use crate::{
    flow::{
        group, memoised,
        whole::{ALL, all, close},
    },
    media::pcm::Excerpt,
    model::{cost, scale::Training},
    rows::{Input, Kind, end_of_build},
    settings::Complaint,
    stage::{
        Cardinality, Context, Facts, Places, Port, Refresh, Stage, StageOutput, Version,
        memory::{Known, Memory, memory},
    },
};
use datasets::row::{Clip, Weights};

impl Stage for Fit {
    const VERB: &'static str = "fit";
    const ABOUT: &'static str =
        "trains a codec: vector-quantised autoencoders, one for each level, of samples or of notes";
    const REVISION: u32 = 2;
    const PORTS: &'static [Port] = &[Port::many("clips", Kind::Clip)];
    const CARDINALITY: Cardinality = Cardinality::Corpus;
    const UNIT: &'static str = "models";
    const FACTS: Facts = Facts { on_card: true, ..Facts::NONE };
    const VERSIONS: &'static [Version] = &[Version::Networks, Version::Resampler];
    const RANDOM: bool = true;
    type In = Clip;
    type Out = Weights;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        self.complain(at, complaints);
    }

    fn refresh(&self) -> Option<Refresh> {
        Some(self.refresh)
    }

    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        // Pinned weights stand in, whatever the clips are.
        if let ([clips], Refresh::Auto) = (known, self.refresh) {
            clips.filled("split", &self.split, at, complaints);
            clips.formed((self.rate, self.channels as u16), "rate", at, complaints);
        }
    }

    fn trainings(&self, _: &Known) -> Vec<Training> {
        cost::trainings(&self.training())
    }

    fn memory(&self, known: &mut Known, workers: u64) -> Memory {
        let training = self.training();
        let limit = memory().unwrap_or(u64::MAX);
        // Of what does not fit, the run will say what would.
        let segments = cost::check(&training, self.segments(), limit, workers);
        let bytes = cost::cost(&training, &segments.unwrap_or_default()).with(workers);
        known.codec = Some(training.codec);
        known.without_rows();
        Memory::alone(bytes)
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Clip>) -> StageOutput<'s, Weights> {
        let split = self.split.clone();
        let chosen = input.kept.filter(move |clip| split.is_empty() || clip.track.split.as_ref() == Some(&split));
        let sealed = chosen.map(|clip| ((), Excerpt::of(&clip))).delay(end_of_build);
        let corpus = group(sealed, &format!("{}: all clips", cx.stage), |(), clips: &[(Excerpt, isize)]| {
            // One excerpt for each span of samples: two tracks with the same sound count once. The order is that
            // of sample digests.
            let mut corpus: Vec<Excerpt> = clips.iter().map(|(excerpt, _)| excerpt.clone()).collect();
            corpus.dedup_by(|b, a| (a.samples, a.start, a.frames) == (b.samples, b.start, b.frames));
            vec![(corpus, 1)]
        });
        let corpus = corpus.map(|(_, corpus)| corpus);
        if let Some(pinned) = cx.pinned {
            return effect::pinned(cx, pinned, corpus, input.pending);
        }
        let (closed, open) = close(cx, corpus, input.pending);
        let done = memoised(cx, effect::Train::new(self, cx), closed.map(|corpus| (corpus, ())), |()| ALL.to_owned());
        done.split(cx, all).map(|((), weights)| weights).and_pending(cx.may(open))
    }
}
