//! Causal attention with relative positions.

use super::sources::{ATTENTION, ATTENTION_MMA, CACHED};
use super::step::cast;
use super::{Argument, Plan, blocks, int, long, of};
use crate::tensor::{DType, Half};

/// Queries, keys or distances of a block, and the channels that it writes.
const TILE: usize = 64;
const CHANNELS: usize = 128;

/// Bytes of shared memory of a block: weights of a tile, and the operands of its products.
const SHARED: usize = TILE * (TILE + 1) * 4 + 16 * (2 * (TILE + 4) + (2 * TILE + 4) + CHANNELS + 1) * 4;

/// The extents of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Items.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Channels of a head.
    pub size: usize,
    /// Positions.
    pub positions: usize,
    /// Distances with an embedding of their own, at least 1.
    pub known: usize,
}

impl AttentionShape {
    fn rows(&self) -> usize {
        self.batch * self.heads
    }

    fn scale(&self) -> Argument {
        Argument::Float(1.0 / (self.size as f32).sqrt())
    }

    fn extents(&self) -> [Argument; 5] {
        let [heads, size, positions, known] = [self.heads, self.size, self.positions, self.known].map(int);
        [heads, size, positions, known, self.scale()]
    }

    fn grid(&self, rows: usize) -> [u32; 3] {
        [blocks(self.positions, TILE), blocks(rows, 1), blocks(self.size, CHANNELS)]
    }
}

/// Inputs: q, k, v `[batch, heads * size, positions]`, distances `[heads, known, size]`. Outputs: y, and the logarithm of
/// each query's sum of exponentials `[batch, heads, positions]`. q, k, v, y and their gradients are of the type that is given,
/// all else is of 32 bits.
pub fn forward(s: AttentionShape, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1, 2, 3].map(Argument::Input).into();
    arguments.extend([0, 1].map(Argument::Output));
    arguments.extend(s.extents());
    plan.launch(
        &ATTENTION,
        of(dtype, ["attention_forward_f32", "attention_forward_f16", "attention_forward_bf16"]),
        s.grid(s.rows()),
        SHARED,
        arguments,
    );
    plan
}

/// Inputs: q, k, v, distances, y, the logarithms, dy. Outputs: dq, dk, dv, and the gradient of distances.
pub fn backward(s: AttentionShape, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let own = plan.scratch(s.rows() * s.positions * 4);
    let all = plan.scratch(s.heads * s.positions * s.size * 4);
    let [q, k, v, e, y, sums, dy] = [0, 1, 2, 3, 4, 5, 6].map(Argument::Input);
    let [dq, dk, dv, de] = [0, 1, 2, 3].map(Argument::Output);
    let each = s.rows() * s.positions;
    let arguments = vec![y, dy, own, int(s.size), int(s.positions), int(s.rows())];
    plan.launch(
        &ATTENTION,
        of(dtype, ["attention_own_f32", "attention_own_f16", "attention_own_bf16"]),
        [blocks(each, 256), 1, 1],
        0,
        arguments,
    );
    let operands = [q, k, v, e, dy, sums, own];
    let given = |to: &[Argument], more: Option<Argument>| -> Vec<Argument> {
        operands.iter().chain(to).copied().chain(more).chain(s.extents()).collect()
    };
    plan.launch(
        &ATTENTION,
        of(dtype, ["attention_queries_f32", "attention_queries_f16", "attention_queries_bf16"]),
        s.grid(s.rows()),
        SHARED,
        given(&[dq], None),
    );
    plan.launch(
        &ATTENTION,
        of(dtype, ["attention_keys_f32", "attention_keys_f16", "attention_keys_bf16"]),
        s.grid(s.rows()),
        SHARED,
        given(&[dk, dv], None),
    );
    plan.launch(
        &ATTENTION,
        of(dtype, ["attention_distances_f32", "attention_distances_f16", "attention_distances_bf16"]),
        s.grid(s.heads),
        SHARED,
        given(&[all], Some(int(s.batch))),
    );
    let mut arguments = vec![all, de];
    arguments.extend([s.heads, s.size, s.positions, s.known].map(int));
    plan.launch(&ATTENTION, "attention_clip", [blocks(s.heads * s.known * s.size, 256), 1, 1], 0, arguments);
    plan
}

/// Inputs: keys and values `[items, heads * size, count]` of the positions from `at` on. Outputs: all keys and all values
/// `[items, heads * size, context]`. `s` has items as its batch and the context as its positions.
pub fn push(s: AttentionShape, at: usize, count: usize, dtype: DType) -> Plan {
    let (mut plan, n) = (Plan::default(), s.rows() * s.size * count);
    let mut arguments: Vec<Argument> = [0, 1].map(Argument::Input).into();
    arguments.extend([0, 1].map(Argument::Output));
    arguments.extend([s.positions, at, count].map(int));
    arguments.push(long(n));
    let kernel = of(dtype, ["attention_push_f32", "attention_push_f16", "attention_push_bf16"]);
    plan.launch(&CACHED, kernel, [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Inputs: queries q `[items, heads * size, count]` of the positions from `at` on, all keys, all values, distances in 32 bits.
/// Output: what they see of the positions up to them. `s` as above.
///
/// # Panics
/// If a position is not within the context.
pub fn see(s: AttentionShape, at: usize, count: usize, dtype: DType) -> Plan {
    assert!(at + count <= s.positions, "attention: {count} positions from {at} on of {}", s.positions);
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1, 2, 3].map(Argument::Input).into();
    arguments.push(Argument::Output(0));
    arguments.extend([s.size, s.positions, s.known, at, count].map(int));
    arguments.push(s.scale());
    let shared = 32 + (s.size + at + count) * 4;
    let kernel = of(dtype, ["attention_see_f32", "attention_see_f16", "attention_see_bf16"]);
    let grid = [blocks(s.heads, 1), blocks(s.batch, 1), blocks(count, 1)];
    plan.launch(&CACHED, kernel, grid, shared, arguments);
    plan
}

/// The channels that a head of this size takes on tensor cores, of which the last ones are zeros; `None` for a head that
/// their kernels do not take.
pub fn room(size: usize) -> Option<usize> {
    [64, 128, 160].into_iter().find(|room| size <= *room)
}

/// [`forward`] on tensor cores. Inputs in 16 bits: q, k, v, and distances `[heads, known, room]` with zeros behind each row,
/// as a cast makes them. Outputs: y in 16 bits, and the logarithms in f32. `None` for a head that [`room`] does not know.
pub fn forward_half(s: AttentionShape, half: Half) -> Option<Plan> {
    let room = room(s.size)?;
    let kernel = match (half, room) {
        (Half::F16, 64) => "attention_f16_64",
        (Half::F16, 128) => "attention_f16_128",
        (Half::F16, _) => "attention_f16_160",
        (Half::Bf16, 64) => "attention_bf16_64",
        (Half::Bf16, 128) => "attention_bf16_128",
        (Half::Bf16, _) => "attention_bf16_160",
    };
    let mut plan = Plan::default();
    let mut arguments: Vec<Argument> = [0, 1, 2, 3].map(Argument::Input).into();
    arguments.extend([0, 1].map(Argument::Output));
    arguments.extend(s.extents());
    // a ring of distances in f32; keys and values by channel; distances by row
    let shared = TILE * (2 * TILE + 8) * 4 + 2 * room * (TILE + 8) * 2 + TILE * (room + 8) * 2;
    let grid = [blocks(s.positions, TILE), blocks(s.rows(), 1), 1];
    plan.launch_of(128, &ATTENTION_MMA, kernel, grid, shared, arguments);
    Some(plan)
}

/// [`forward`], where activations of 16 bits run on tensor cores if the head is known there.
pub fn forward_of(s: AttentionShape, dtype: DType) -> Plan {
    let on_tensor_cores = dtype.half().and_then(|half| Some((half, room(s.size)?, forward_half(s, half)?)));
    let Some((half, room, part)) = on_tensor_cores else { return forward(s, dtype) };
    let (mut plan, rows) = (Plan::default(), s.heads * s.known);
    let table = plan.scratch(rows * room * 2);
    plan.join(cast::narrow(half, rows, s.size, room), &[Argument::Input(3)], &[table]);
    let [q, k, v] = [0, 1, 2].map(Argument::Input);
    plan.join(part, &[q, k, v, table], &[0, 1].map(Argument::Output));
    plan
}
