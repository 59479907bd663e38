//! A step of AdamW.

use crate::launch::sources::ADAM;
use crate::launch::{Argument, Plan, blocks, long};

/// The numbers of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// What gradients are multiplied by first.
    pub scale: f32,
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

/// Input: the gradient. Outputs: the parameter, its first and its second moment, all of `n` floats and changed in place.
pub fn adamw(n: usize, rates: Rates) -> Plan {
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1, 2].map(Argument::Output).into();
    arguments.push(Argument::Input(0));
    let Rates { scale, rate, decay, beta, correct, epsilon } = rates;
    let numbers = [scale, rate, decay, beta[0], beta[1], correct[0], correct[1], epsilon];
    arguments.extend(numbers.map(Argument::Float));
    arguments.push(long(n));
    plan.launch(&ADAM, "adam_step", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
