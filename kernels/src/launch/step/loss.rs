//! What reconstruction costs, with gradients.

use crate::launch::sources::LOSS;
use crate::launch::stft::Transform;
use crate::launch::{Argument, Plan, blocks, int};

/// Numbers of one block.
const PIECE: usize = 1 << 14;

/// A double of each warp.
const SHARED: usize = 64;

fn sum(plan: &mut Plan, items: usize, parts: Argument, n: u32, to: Argument, scale: f64, root: bool) {
    let arguments = vec![parts, to, Argument::Double(scale), int(n as usize), Argument::Int(root.into())];
    plan.launch(&LOSS, "loss_sum", [blocks(items, 1), 1, 1], SHARED, arguments);
}

/// Inputs: x, y `[items, length]`. Outputs: the gradient of `weight` times the sum of `(y - x)^2` over all, and that sum of
/// each item, unweighted, in f64.
pub fn samples(items: usize, length: usize, weight: f64) -> Plan {
    let (mut plan, pieces) = (Plan::default(), blocks(length, PIECE));
    let parts = plan.scratch(items * pieces as usize * 8);
    let [x, y] = [0, 1].map(Argument::Input);
    let arguments = vec![x, y, Argument::Output(0), parts, Argument::Double(2.0 * weight), int(length)];
    plan.launch(&LOSS, "loss_samples", [pieces, blocks(items, 1), 1], SHARED, arguments);
    sum(&mut plan, items, parts, pieces, Argument::Output(1), 1.0, false);
    plan
}

/// Weights of the distances of an item's spectra.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Weight of the norm of the difference of magnitudes.
    pub norm: f64,
    /// Weight of the mean absolute difference of their logarithms.
    pub logarithms: f64,
    /// Magnitudes below this count as this in logarithms.
    pub floor: f32,
}

/// Input: spectra x `[items, times, 2 * bins]`. Outputs: spectra y, which become the gradient; of each item, in f64, the
/// norm of the difference of magnitudes, and the mean absolute difference of their logarithms (0 where its weight is).
pub fn spectra(s: Transform, by: Weights) -> Plan {
    let (mut plan, n) = (Plan::default(), s.times() * s.bins());
    let pieces = blocks(n, PIECE);
    let [norms, logarithms] = [0, 1].map(|_| plan.scratch(s.batch * pieces as usize * 8));
    let (x, [y, norm, logarithm]) = (Argument::Input(0), [0, 1, 2].map(Argument::Output));
    let grid = [pieces, blocks(s.batch, 1), 1];
    plan.launch(&LOSS, "loss_magnitudes", grid, SHARED, vec![x, y, norms, int(s.bins()), int(n)]);
    sum(&mut plan, s.batch, norms, pieces, norm, 1.0, true);
    let each = 1.0 / n as f64;
    let mut arguments = vec![x, y, norm, logarithms, Argument::Double(by.norm)];
    arguments.extend([(by.logarithms * each) as f32, by.floor].map(Argument::Float));
    arguments.extend([s.bins(), n].map(int));
    plan.launch(&LOSS, "loss_spectra", grid, SHARED, arguments);
    sum(&mut plan, s.batch, logarithms, pieces, logarithm, each, false);
    plan
}
