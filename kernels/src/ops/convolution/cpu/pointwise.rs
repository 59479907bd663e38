//! Weight gradient of a pointwise (1x1) convolution, which is a linear layer at every frame.
//!
//! Where a correlation of rows ends every few frames in a sum over lanes, this is a product with x turned position by
//! position: sums run over frames, lanes are inputs, and nothing is added across lanes.

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::cpu::panel::{Grid, One, Panel, Start, Strips};
use crate::cpu::product::Out;
use crate::cpu::simd::LANES;
use crate::cpu::tile::{Shared, row_stride, row_sum, with_scratch};

/// Outputs and inputs of one unit of work.
const ROWS: usize = 32;
const COLUMNS: usize = 4 * LANES;

/// Frames that are summed at a time: what they take of x and dy stays in the first-level cache, and sums of sums are
/// more precise.
const TERMS: usize = 128;

/// The gradients of weights `[outputs, inputs]` and of the bias `[outputs]`, from x `[batch, inputs, frames]` and the
/// gradient `dy` `[batch, outputs, frames]`.
pub(crate) fn weights(
    level: Level,
    x: &[f32],
    dy: &[f32],
    [batch, inputs, outputs, frames]: [usize; 4],
    dw: &mut [f32],
    db: &mut [f32],
) {
    assert!(x.len() == batch * inputs * frames && dy.len() == batch * outputs * frames);
    assert!(dw.len() == outputs * inputs && db.len() == outputs);
    let total = batch * frames;
    let turned = turned(x, batch, inputs, frames);
    let columns = inputs.div_ceil(COLUMNS);
    let units = outputs.div_ceil(ROWS) * columns;
    let row = row_stride(TERMS);
    let dw = Shared::new(dw);
    (0..units).into_par_iter().for_each(|unit| {
        let (first, column) = (unit / columns * ROWS, unit % columns * COLUMNS);
        let (rows, live) = (ROWS.min(outputs - first), COLUMNS.min(inputs - column));
        let lanes = live.next_multiple_of(LANES);
        with_scratch(|[g, part, sum, _]| {
            g.resize(ROWS * row, 0.0);
            part.resize(ROWS * COLUMNS, 0.0);
            sum.clear();
            sum.resize(rows * lanes, 0.0);
            for item in 0..batch {
                for t in (0..frames).step_by(TERMS) {
                    let terms = TERMS.min(frames - t);
                    for (r, g) in g.chunks_exact_mut(row).take(rows).enumerate() {
                        let from = (item * outputs + first + r) * frames + t;
                        g[..terms].copy_from_slice(&dy[from..][..terms]);
                    }
                    let at = turned[(column * total) + (item * frames + t) * LANES..].as_ptr();
                    let x = Strips { at, strip: total * LANES, term: LANES };
                    let factor = One(Grid { at: g.as_ptr(), row: row as isize, term: 1 });
                    let out = Out { at: part.as_mut_ptr(), stride: lanes };
                    // SAFETY: the strips hold 16 inputs of every frame, the factors `rows` rows; `part` has room for all.
                    unsafe { Panel { rows, terms, lanes }.multiply(level, x, factor, Start::Zero, out) };
                    sum.iter_mut().zip(&*part).for_each(|(s, p)| *s += p);
                }
            }
            for (r, sum) in sum.chunks_exact(lanes).enumerate() {
                // SAFETY: the units cover every weight, each its own outputs and inputs.
                unsafe {
                    let to = dw.at((first + r) * inputs + column);
                    core::ptr::copy_nonoverlapping(sum.as_ptr(), to, live);
                }
            }
        });
    });
    let row = |o: usize, item: usize| row_sum(&dy[(item * outputs + o) * frames..][..frames]);
    db.par_iter_mut().enumerate().for_each(|(o, db)| *db = (0..batch).map(|item| row(o, item)).sum());
}

/// x `[batch, inputs, frames]` as strips of 16 inputs, `[strips, batch * frames, 16]`.
fn turned(x: &[f32], batch: usize, inputs: usize, frames: usize) -> Vec<f32> {
    let (total, strips) = (batch * frames, inputs.div_ceil(LANES));
    let write = |to: Shared, strip: usize, item: usize| {
        let first = strip * LANES;
        for lane in 0..LANES {
            let from = (item * inputs + first + lane) * frames;
            let zeros = first + lane >= inputs;
            for t in 0..frames {
                let v = if zeros { 0.0 } else { x[from + t] };
                // SAFETY: this lane of a frame of the item, in the strip; every call has a strip and an item of its own.
                unsafe { *to.at(((strip * total) + item * frames + t) * LANES + lane) = v };
            }
        }
    };
    let mut out = vec![0.0; strips * total * LANES];
    let to = Shared::new(&mut out);
    (0..strips * batch).into_par_iter().for_each(|i| write(to, i / batch, i % batch));
    out
}

#[cfg(test)]
mod tests {
    use super::weights;
    use crate::cpu::dispatch::Level;

    #[test]
    fn is_its_definition_on_every_instruction_set() {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        for [batch, inputs, outputs, frames] in [[1, 1, 1, 1], [2, 17, 33, 130], [3, 70, 5, 257], [1, 64, 32, 128]] {
            let x: Vec<f32> = (0..batch * inputs * frames).map(value).collect();
            let dy: Vec<f32> = (0..batch * outputs * frames).map(|i| value(i + 5)).collect();
            let run = |level| {
                let (mut dw, mut db) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
                weights(level, &x, &dy, [batch, inputs, outputs, frames], &mut dw, &mut db);
                (dw, db)
            };
            let (dw, db) = run(Level::Portable);
            for level in Level::available() {
                assert!(run(level) == (dw.clone(), db.clone()), "{level:?}");
            }
            let row = |v: &[f32], channels: usize, item: usize, c: usize, t: usize| {
                f64::from(v[(item * channels + c) * frames + t])
            };
            let places = || (0..batch).flat_map(|item| (0..frames).map(move |t| (item, t)));
            for o in 0..outputs {
                for i in 0..inputs {
                    let pairs = places().map(|(n, t)| row(&dy, outputs, n, o, t) * row(&x, inputs, n, i, t));
                    let (sum, size) = pairs.fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()));
                    let got = f64::from(dw[o * inputs + i]);
                    assert!((got - sum).abs() < 1e-6 * (1.0 + size), "{o}, {i}: {got} and {sum}");
                }
                let all = places().map(|(n, t)| row(&dy, outputs, n, o, t));
                let (sum, size) = all.fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()));
                assert!((f64::from(db[o]) - sum).abs() < 1e-6 * (1.0 + size), "{o}: {} and {sum}", db[o]);
            }
        }
    }
}
