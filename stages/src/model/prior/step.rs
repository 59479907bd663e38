//! The way of one batch through a prior: its score, and the gradients of a training step.
use kernels::device::Device;
use kernels::ops::add::add;
use kernels::ops::cross_entropy::{Labels, cross_entropy};
use kernels::ops::embedding::embedding;
use kernels::tape::{Tape, Value};
use kernels::tensor::{Slice, Tensor};

use super::config::PriorConfig;
use super::network::{self, CODES, GENRES, POSITIONS, UPPER};
use super::window::Windows;
use crate::model::leaves::Leaves;
use crate::model::training::TrainingError;
use crate::model::training::crew::Team;
use crate::model::training::parameters::Parameters;
use crate::model::training::tree::{Gradients, Tree};
use crate::model::weights::WeightsError;

/// Nats that the codes of a batch take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrossEntropy {
    /// Summed over the positions that count.
    pub(crate) nats: f64,
    /// How many count.
    pub(crate) codes: u64,
}

/// Logits `[windows, codewords, context]` of the windows' codes.
fn logits(
    tape: &Tape<'_>,
    leaves: &Leaves,
    config: &PriorConfig,
    windows: &Windows,
    segments: usize,
) -> Result<Value, WeightsError> {
    let (items, width) = (windows.genres.len(), config.width);
    let rows = tape.device().upload(Slice::U32(&windows.rows(config)));
    let tables = [leaves.get(CODES)?, leaves.get(GENRES)?];
    let mut x = embedding(tape, &tables, &rows, [items, width, config.context]);
    if config.positions > 0 {
        let rows = tape.device().upload(Slice::U32(&windows.positions(config)));
        let table = [leaves.get(POSITIONS)?];
        x = add(tape, x, embedding(tape, &table, &rows, [items, width, config.context]));
    }
    if config.upper.is_some() {
        let rows = tape.device().upload(Slice::U32(&windows.rows_above()));
        let upper = embedding(tape, &[leaves.get(UPPER)?], &rows, [items, width, windows.above()]);
        x = add(tape, x, network::condition(tape, leaves, upper, config)?);
    }
    network::logits(tape, leaves, x, config, segments)
}

/// The cross-entropy of the windows' codes under logits, and in the logits' place its gradient times `share`.
fn compare(device: &dyn Device, logits: Tensor, windows: &Windows, share: f32) -> (CrossEntropy, Tensor) {
    let all: Vec<u32> = windows.codes.iter().map(|code| u32::from(*code)).collect();
    let live: Vec<u32> = windows.live.iter().flat_map(|(from, to)| [*from as u32, *to as u32]).collect();
    let [all, live] = [all, live].map(|data| device.upload(Slice::U32(&data)));
    let labels = Labels { codes: &all, live: &live, share };
    let (nats, gradient) = cross_entropy(device, logits, labels);
    (CrossEntropy { nats, codes: windows.counted() }, gradient)
}

/// Nats of a batch of windows, without gradients.
pub(crate) fn score(
    config: &PriorConfig,
    device: &dyn Device,
    leaves: &Leaves,
    windows: &Windows,
) -> Result<CrossEntropy, WeightsError> {
    let logits = logits(&Tape::forward_only(device), leaves, config, windows, 1)?;
    Ok(compare(device, logits.into_tensor(), windows, 1.0).0)
}

/// How a batch is gone through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passage {
    /// Windows at a time. Their gradients are added as [`Tree`] says, so it decides about the last bits.
    pub(crate) micro_batch: usize,
    /// Parts of the blocks of which only the input is kept, and that are computed again on the way back; of one, all is
    /// kept. It changes no bit.
    pub(crate) segments: usize,
}

/// Nats of a batch of windows, and the gradients of their mean by name, times `scale`, which a team makes at `step`.
///
/// # Errors
/// See [`Team::meet`].
pub(crate) fn gradients(
    config: &PriorConfig,
    parameters: &Parameters,
    windows: &Windows,
    passage: Passage,
    scale: f32,
    (team, step): (&Team<'_>, u64),
) -> Result<(CrossEntropy, Gradients), TrainingError> {
    let (device, of) = (&**parameters.device(), windows.counted());
    let own = team.own(windows.len().div_ceil(passage.micro_batch));
    let (mut tree, mut nats) = (Tree::from(own.start), Vec::with_capacity(own.len()));
    for part in windows.parts(passage.micro_batch).skip(own.start).take(own.len()) {
        let tape = Tape::recording(device);
        let leaves = parameters.leaves(&tape);
        let (end, logits) = logits(&tape, &leaves, config, &part, passage.segments)?.split();
        let (found, gradient) = compare(device, logits, &part, scale / of.max(1) as f32);
        let mut back = tape.backward_from(end, gradient);
        nats.push(found.nats);
        tree.add(device, leaves.gradients(&mut back));
    }
    let (gradients, nats) = team.meet(step, device, tree, nats)?;
    Ok((CrossEntropy { nats: nats.iter().fold(0.0, |all, own| all + own), codes: of }, gradients))
}
