//! `evaluate`: how far songs, reconstructions and controls are from real music, and how well codes are predicted.
//!
//! All that is compared by distances of vectors is equally much: as many clips of each, equally long. What a clip gives is
//! remembered by clip, so that a new set of songs costs the measurement of these songs alone.

mod effect;
mod measure;
mod select;
mod settings;

use crate::{
    flow::{
        group, memoised,
        whole::{ALL, all, close},
    },
    rows::{Input, Kind, Rows, end_of_build},
    settings::Complaint,
    stage::{
        Cardinality, Context, Places, Port, Stage, StageOutput, Version,
        memory::{Known, Memory},
    },
};
use datasets::row::{Audio, Clip, Codes, Metric, Prior, Waiting};
use select::Part;
pub(crate) use settings::Evaluate;

/// Narrows the rows of an input to parts; `None` if the input is left open.
fn parts<'s, R: Clone + 'static>(
    input: Option<Input<'s, R>>,
    narrow: impl Fn(R) -> Vec<Part> + Clone + 'static,
) -> Option<(Rows<'s, Part>, Rows<'s, Waiting>)> {
    input.map(|input| (input.kept.flat_map(narrow), input.pending))
}

impl Stage for Evaluate {
    const VERB: &'static str = "evaluate";
    const ABOUT: &'static str = "measures songs, reconstructions and controls against real clips";
    const REVISION: u32 = 3;
    const PORTS: &'static [Port] = &[
        Port::many("reference", Kind::Clip),
        Port::many("candidate", Kind::Audio).optional(),
        Port::many("codes", Kind::Codes).optional(),
        Port::many("priors", Kind::Prior).optional(),
    ];
    const CARDINALITY: Cardinality = Cardinality::Made;
    const UNIT: &'static str = "scores";
    const VERSIONS: &'static [Version] = &[Version::Networks, Version::Resampler, Version::Embedding];
    const RANDOM: bool = true;
    type In = (Clip, Option<Audio>, Option<Codes>, Option<Prior>);
    type Out = Metric;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let mut complain = |field: &str, message: String, help: &str| {
            complaints.push(Complaint::new(at.of(field), message).help(help));
        };
        if self.split == self.held_out && !self.split.is_empty() {
            let message = format!("`held_out` is the split `{}` that is the reference", self.split);
            complain("held_out", message, "name another split; empty takes none");
        }
        if !(0.01..=3600.0).contains(&self.seconds) {
            complain("seconds", format!("`seconds` is {}", self.seconds), "from 0.01 to 3600");
        }
        if self.clips == 0 {
            complain("clips", "`clips` is 0".into(), "at least 1");
        }
    }

    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        // Clips of no split are of every one.
        let Some(clips) = known.first().filter(|clips| clips.splits.is_some()) else { return };
        clips.filled("split", &self.split, at, complaints);
        // The default is measured where there is such a split.
        if at.table.get("held_out").is_some() {
            clips.filled("held_out", &self.held_out, at, complaints);
        }
    }

    fn memory(&self, known: &mut Known, workers: u64) -> Memory {
        let seconds = (self.seconds * f64::from(known.rate)) as u64;
        Memory::listening(&Known { clip: seconds.min(known.clip.max(1)), ..known.clone() }, workers)
    }

    fn render<'s>(
        self,
        cx: &Context<'s>,
        (reference, songs, codes, priors): <Self::In as crate::stage::Inputs>::Rows<'s>,
    ) -> StageOutput<'s, Metric> {
        let (clip, coded) = (self.clone(), self.clone());
        let fed = [
            parts(Some(reference), move |row: Clip| Part::of_clip(&row, &clip)),
            parts(songs, |row: Audio| vec![Part::of_song(&row)]),
            parts(codes, move |row: Codes| Part::of_codes(&row, &coded)),
            parts(priors, |row: Prior| vec![Part::Prior(row)]),
        ];
        let mut fed = fed.into_iter().flatten();
        let Some((first, waits)) = fed.next() else { unreachable!("there is a reference") };
        let (fed, pending) =
            fed.fold((first, waits), |(fed, waits), (more, pending)| (fed.concat(more), waits.concat(pending)));
        let sealed = fed.map(|part| ((), part)).delay(end_of_build);
        let corpus = group(sealed, &format!("{}: all parts", cx.stage), |(), parts: &[(Part, isize)]| {
            // A recording that comes twice is one; a song that was made twice counts twice.
            let times = |part: &Part, count: isize| if part.is_song() { count.max(1) as usize } else { 1 };
            let parts = parts.iter().flat_map(|(part, count)| std::iter::repeat_n(part.clone(), times(part, *count)));
            vec![(parts.collect::<Vec<Part>>(), 1)]
        });
        let (env, stage) = (cx.env.clone(), cx.stage.clone());
        let corpus = corpus.inspect(move |((_, parts), _, diff)| {
            if let Some(note) = select::equal_songs(parts).filter(|_| *diff > 0) {
                env.ledger.note(&stage, note);
            }
        });
        let (closed, open) = close(cx, corpus.map(|((), parts)| parts), pending);
        let done = memoised(cx, effect::Score::new(self, cx), closed.map(|parts| (parts, ())), |()| ALL.to_owned());
        done.split(cx, all).flat_map(|((), metrics)| metrics).and_pending(cx.may(open))
    }
}
