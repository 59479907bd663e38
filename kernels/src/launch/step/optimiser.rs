//! The norm of all gradients, clipping by it, and AdamW.

use crate::launch::sources::OPTIMISER;
use crate::launch::{Argument, Plan, blocks, int, long};

/// Floats whose squares one block sums.
const PIECE: usize = 1 << 16;

/// Inputs: the gradients, of these lengths. Output: facts, three floats: the norm of all together times `unscale`; what
/// gradients are to be multiplied by, `unscale` and what brings the norm down to `most` (0: no limit); 1 where the norm is
/// finite, else 0.
pub fn norm(lengths: &[usize], unscale: f32, most: f32) -> Plan {
    let mut plan = Plan::default();
    let all: usize = lengths.iter().map(|n| n.div_ceil(PIECE)).sum();
    let parts = plan.scratch(all.max(1) * 8);
    let mut offset = 0;
    for (i, n) in lengths.iter().enumerate() {
        let arguments = vec![Argument::Input(i), parts, int(offset), long(*n)];
        plan.launch(&OPTIMISER, "optimiser_squares", [blocks(*n, PIECE), 1, 1], 64, arguments);
        offset += n.div_ceil(PIECE);
    }
    let arguments = vec![parts, Argument::Output(0), Argument::Float(unscale), Argument::Float(most), int(all)];
    plan.launch(&OPTIMISER, "optimiser_norm", [1, 1, 1], 64, arguments);
    plan
}

/// The numbers of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub rate: f32,
    /// The learning rate times the weight decay; 0 is Adam.
    pub decay: f32,
    /// Shares that the moments keep.
    pub beta: [f32; 2],
    /// `1 / (1 - beta^step)` of each.
    pub correct: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// Inputs: the gradient, [`norm`]'s facts. Outputs: the parameter, its first and its second moment, all of `n` floats and
/// changed in place; not at all where the norm was not finite.
pub fn adamw(n: usize, rates: Rates) -> Plan {
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1, 2].map(Argument::Output).into();
    arguments.extend([0, 1].map(Argument::Input));
    let Rates { rate, decay, beta, correct, epsilon } = rates;
    let numbers = [rate, decay, beta[0], beta[1], correct[0], correct[1], epsilon];
    arguments.extend(numbers.map(Argument::Float));
    arguments.push(long(n));
    plan.launch(&OPTIMISER, "optimiser_adamw", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
