//! The nearest codeword of every vector, and the moving averages of a codebook.

use super::sources::{NEAREST, NEAREST_MMA};
use super::step::cast;
use super::{Argument, Plan, blocks, int, long};
use crate::tensor::DType;

/// The extents of a search: the frames of z `[items, dim, frames]` (with one frame: rows) among `[codewords, dim]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Items.
    pub items: usize,
    /// Dimensions of a vector.
    pub dim: usize,
    /// Vectors of an item.
    pub frames: usize,
    /// Codewords.
    pub codewords: usize,
}

impl Search {
    /// Vectors.
    pub fn vectors(&self) -> usize {
        self.items * self.frames
    }
}

/// Inputs: z, codebook. Outputs: the index of each vector's nearest, and its squared distance. The CPU's bits.
pub fn nearest(s: Search) -> Plan {
    let mut plan = Plan::default();
    let half = plan.scratch(s.codewords * 4);
    let [z, codebook] = [0, 1].map(Argument::Input);
    let arguments = vec![codebook, half, int(s.codewords), int(s.dim)];
    plan.launch(&NEAREST, "nearest_half_squares", [blocks(s.codewords, 256), 1, 1], 0, arguments);
    let mut arguments = vec![z, codebook, half, Argument::Output(0), Argument::Output(1), long(s.vectors())];
    arguments.extend([s.codewords, s.dim, s.frames].map(int));
    plan.launch(&NEAREST, "nearest_f32", [blocks(s.vectors(), 64), 1, 1], 2 * 16 * 68 * 4, arguments);
    plan
}

/// [`nearest`] on tensor cores, with the same indices and distances: candidates are found with products in bf16 whose error
/// is bounded, and what the bound leaves is computed again in f32. With `tally`, output 2 is two counts, 0 at first, to which
/// are added the codewords that were compared in f32 and the vectors that were compared with all. `None` where a vector has
/// more than 128 dimensions.
pub fn nearest_half(s: Search, tally: bool) -> Option<Plan> {
    let size = [64, 128].into_iter().find(|size| s.dim <= *size)?;
    let (prepare, kernel) = match size {
        64 => ("nearest_prepare_64", "nearest_64"),
        _ => ("nearest_prepare_128", "nearest_128"),
    };
    let mut plan = Plan::default();
    let [first, second] = [0, 1].map(|_| plan.scratch(s.codewords * size * 2));
    let facts = plan.scratch(s.codewords * 8);
    let [z, codebook] = [0, 1].map(Argument::Input);
    let arguments = vec![codebook, first, second, facts, int(s.codewords), int(s.dim)];
    plan.launch(&NEAREST_MMA, prepare, [blocks(s.codewords, 256), 1, 1], 0, arguments);
    let counts = if tally { Argument::Output(2) } else { Argument::Null };
    let mut arguments = vec![z, codebook, first, second, facts, Argument::Output(0), Argument::Output(1), counts];
    arguments.push(long(s.vectors()));
    arguments.extend([s.codewords, s.dim, s.frames].map(int));
    // two tiles of 64 codewords in two parts with their facts; of 128 vectors 32 candidates each with their bounds
    let shared = 2 * (2 * 64 * (size + 8) * 2 + 64 * 8) + 128 * (32 * 8 + 4);
    plan.launch_of(128, &NEAREST_MMA, kernel, [blocks(s.vectors(), 128), 1, 1], shared, arguments);
    Some(plan)
}

/// Inputs: z, codes. Outputs: how many vectors have each code, and their sums `[codewords, dim]` in the order of vectors.
pub fn accumulate(s: Search) -> Plan {
    let mut plan = Plan::default();
    let mut arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(0), Argument::Output(1)];
    arguments.extend([long(s.vectors()), int(s.dim), int(s.frames)]);
    let grid = [blocks(s.codewords, 1), blocks(s.dim, 256), 1];
    plan.launch(&NEAREST, "nearest_sums", grid, (256 + 8) * 4, arguments);
    plan
}

/// z of any float in 32 bits: itself, or widened to scratch memory.
fn wide(plan: &mut Plan, s: Search, dtype: DType) -> Argument {
    let Some(half) = dtype.half() else { return Argument::Input(0) };
    let n = s.vectors() * s.dim;
    let to = plan.scratch(n * 4);
    plan.join(cast::widen(half, n), &[Argument::Input(0)], &[to]);
    to
}

/// Inputs: z of any float, codebook. Output: the index of each vector's nearest. Where activations are of 16 bits tensor cores
/// search, with the same indices.
pub fn search(s: Search, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let (z, distances) = (wide(&mut plan, s, dtype), plan.scratch(s.vectors() * 4));
    let part = dtype.half().and_then(|_| nearest_half(s, false)).unwrap_or_else(|| nearest(s));
    plan.join(part, &[z, Argument::Input(1)], &[Argument::Output(0), distances]);
    plan
}

/// [`accumulate`] for z of any float.
pub fn tally(s: Search, dtype: DType) -> Plan {
    let mut plan = Plan::default();
    let z = wide(&mut plan, s, dtype);
    plan.join(accumulate(s), &[z, Argument::Input(1)], &[0, 1].map(Argument::Output));
    plan
}

/// The shares of a moving average, and when a codeword is out of use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// The share of a count or sum that a step keeps.
    pub keep: f32,
    /// The share that it takes of its own.
    pub take: f32,
    /// A codeword with a lower average count is replaced.
    pub threshold: f32,
    /// Vectors that may replace one.
    pub donors: usize,
}

/// Inputs: [`accumulate`]'s counts and sums, z, and the numbers of the vectors that replace codewords out of use, in their
/// order. Outputs, changed in place: average counts, average sums, codebook; and written: `codewords + 1` integers, of each
/// codeword its place among those out of use or -1, then their number.
pub fn average(s: Search, by: Average) -> Plan {
    let (mut plan, n) = (Plan::default(), s.codewords * s.dim);
    let [counts, sums, z, donors] = [0, 1, 2, 3].map(Argument::Input);
    let [average_counts, average_sums, codebook, rank] = [0, 1, 2, 3].map(Argument::Output);
    let mut arguments = vec![counts, sums, average_counts, average_sums];
    arguments.extend([Argument::Float(by.keep), Argument::Float(by.take), int(s.codewords), int(s.dim)]);
    plan.launch(&NEAREST, "nearest_average", [blocks(n, 256), 1, 1], 0, arguments);
    let arguments = vec![average_counts, rank, Argument::Float(by.threshold), int(s.codewords)];
    plan.launch(&NEAREST, "nearest_out_of_use", [1, 1, 1], 32, arguments);
    let mut arguments = vec![z, rank, donors, average_counts, average_sums, codebook, Argument::Float(by.threshold)];
    arguments.extend([by.donors, s.codewords, s.dim, s.frames].map(int));
    plan.launch(&NEAREST, "nearest_centres", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
