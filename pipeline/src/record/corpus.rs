//! The corpus of a run: the tracks that its last stages hold.

use crate::dataflow::outcome::Outcome;
use stages::rows::{
    Kind,
    kept::{Corpus, Kept},
};

/// The corpus: the tracks of the last stages that still speak of tracks, in order of their ids.
pub fn corpus(outcome: &Outcome) -> Corpus<'_> {
    let kept = || outcome.stages.iter().map(|stage| &stage.kept);
    let parts: Vec<&Kept> = kept().filter(|kept| kept.are(Kind::Clip) || kept.are(Kind::Codes)).collect();
    let tracks = || kept().rfind(|kept| kept.are(Kind::Track)).into_iter().collect();
    Corpus::of(if parts.is_empty() { tracks() } else { parts })
}
