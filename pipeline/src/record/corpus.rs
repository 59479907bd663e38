//! The corpus of a run: the tracks that its last stages hold.

use crate::{dataflow::outcome::Outcome, plan::Plan};
use stages::rows::{
    Kind,
    kept::{Corpus, Kept},
};
use std::collections::BTreeSet;

/// The corpus: the tracks of the last stages that still speak of tracks, in order of their ids. A stage that dropped all of
/// them holds none; one that was withheld says nothing.
pub fn corpus<'o>(plan: &Plan, outcome: &'o Outcome, withheld: &BTreeSet<String>) -> Corpus<'o> {
    let stages = plan.stages.iter().zip(&outcome.stages).filter(|(stage, _)| !withheld.contains(&stage.name));
    let kept: Vec<(Kind, &Kept)> = stages.map(|(stage, own)| (stage.entry.gives, &own.kept)).collect();
    let of = |kinds: &[Kind]| kept.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, kept)| *kept).collect();
    let parts: Vec<&Kept> = of(&[Kind::Clip, Kind::Codes]);
    let tracks: Vec<&Kept> = of(&[Kind::Track]);
    Corpus::of(if parts.is_empty() { tracks.last().copied().into_iter().collect() } else { parts })
}
