//! The nearest codeword of every vector, and the sums that an exponential moving average of a codebook needs.
//!
//! `|z - c|^2 = |z|^2 + 2 (|c|^2 / 2 - z . c)`: the bracket decides. It is computed as one fused multiply-add after
//! another over the dimensions, beginning with `|c|^2 / 2`, and compared in registers, so the matrix of distances is
//! never written. A row's result depends on that row and the codebook alone; among equals the lowest index wins.

mod search;

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::cpu::product::{Least, Out, Weights};
use crate::cpu::simd::LANES;
use crate::cpu::tile::{row_stride, with_scratch};

pub use search::{search, tally};

/// Vectors of one unit of work.
const TILE: usize = 384;

/// A codebook made ready for searching.
pub struct Nearest<'a> {
    codebook: &'a [f32],
    dim: usize,
    weights: Weights,
}

impl<'a> Nearest<'a> {
    /// Packs a codebook `[codewords, dim]`.
    ///
    /// # Panics
    /// If `dim` is 0, there is no codeword, or the length is no multiple of `dim`.
    pub fn new(codebook: &'a [f32], dim: usize) -> Self {
        assert!(
            dim > 0 && !codebook.is_empty() && codebook.len().is_multiple_of(dim),
            "nearest: codebook of {} floats, dim {dim}",
            codebook.len()
        );
        let halves: Vec<f32> = codebook.chunks(dim).map(half_square).collect();
        let weights = Weights::pack(halves.len(), dim, Some(&halves), |row, d| -codebook[row * dim + d]);
        Self { codebook, dim, weights }
    }

    /// The nearest codeword of each of the vectors z `[vectors, dim]`, and its squared distance.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn rows(&self, z: &[f32], out: &mut [u32], distance: Option<&mut [f32]>) {
        let dim = self.dim;
        assert_eq!(z.len(), out.len() * dim, "nearest: floats and vectors");
        self.search(out, distance, |d, i| z[i * dim + d]);
    }

    /// The same for vectors that lie in the columns of z `[dim, frames]`.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn columns(&self, z: &[f32], out: &mut [u32], distance: Option<&mut [f32]>) {
        let frames = out.len();
        assert_eq!(z.len(), frames * self.dim, "nearest: floats and frames");
        self.search(out, distance, |d, i| z[d * frames + i]);
    }

    fn search(&self, out: &mut [u32], distance: Option<&mut [f32]>, z: impl Fn(usize, usize) -> f32 + Sync) {
        let (level, row) = (Level::detect(), row_stride(TILE));
        let offsets: Vec<usize> = (0..self.dim).map(|d| d * row).collect();
        let mut none = vec![];
        let distance = match distance {
            Some(d) => {
                assert_eq!(d.len(), out.len(), "nearest: distances and vectors");
                d
            }
            None => {
                none.resize(out.len(), 0.0);
                &mut none[..]
            }
        };
        let tiles = out.par_chunks_mut(TILE).zip(distance.par_chunks_mut(TILE)).enumerate();
        tiles.for_each(|(tile, (out, distance))| {
            let first = tile * TILE;
            with_scratch(|[zt, values, rows, _]| {
                zt.resize(self.dim * row, 0.0);
                for (d, zt) in zt.chunks_mut(row).enumerate() {
                    for (i, v) in zt[..out.len()].iter_mut().enumerate() {
                        *v = z(d, first + i);
                    }
                }
                let room = out.len().next_multiple_of(LANES);
                values.clear();
                values.resize(room, f32::INFINITY);
                rows.clear();
                rows.resize(room, 0.0);
                let least = Least { values: values.as_mut_ptr(), rows: rows.as_mut_ptr() };
                let nowhere = Out { at: core::ptr::null_mut(), stride: 0 };
                // SAFETY: `Least` stores to its own two buffers, which have room for the frames rounded up to 16.
                unsafe { self.weights.apply(level, zt, &offsets, out.len(), nowhere, least) };
                for (i, (o, dist)) in out.iter_mut().zip(distance).enumerate() {
                    *o = rows[i].to_bits();
                    let c = &self.codebook[*o as usize * self.dim..][..self.dim];
                    *dist = squared_distance(c, |d| zt[d * row + i]);
                }
            });
        });
    }
}

/// `|c|^2 / 2`.
fn half_square(c: &[f32]) -> f32 {
    0.5 * c.iter().fold(0.0f32, |s, v| v.mul_add(*v, s))
}

fn squared_distance(c: &[f32], z: impl Fn(usize) -> f32) -> f32 {
    c.iter().enumerate().fold(0.0, |s, (d, c)| {
        let e = z(d) - c;
        e.mul_add(e, s)
    })
}

/// The nearest of the codewords `[codewords, dim]` for each of the vectors z `[vectors, dim]`: indices to `out`,
/// squared distances to `distance`. [`Nearest`] spares packing the codebook every time.
///
/// # Panics
/// If the lengths do not fit each other, `dim` is 0, or there is no codeword.
pub fn nearest(z: &[f32], dim: usize, codebook: &[f32], out: &mut [u32], distance: Option<&mut [f32]>) {
    Nearest::new(codebook, dim).rows(z, out, distance);
}

/// The plain twin of [`nearest`]: the same values, one codeword after the other.
pub fn nearest_plain(z: &[f32], dim: usize, codebook: &[f32], out: &mut [u32]) {
    for (z, o) in z.chunks(dim).zip(out) {
        let mut best = f32::INFINITY;
        *o = 0;
        for (i, c) in codebook.chunks(dim).enumerate() {
            let score = z.iter().zip(c).fold(half_square(c), |s, (z, c)| (-c).mul_add(*z, s));
            if score < best {
                (best, *o) = (score, i as u32);
            }
        }
    }
}

/// How many of the vectors z `[vectors, dim]` have each of `k` codes, and the sum of those vectors `[k, dim]`, added
/// in the order of the vectors.
///
/// # Panics
/// If a code is not below `k`, or the lengths do not fit each other.
pub fn accumulate(z: &[f32], codes: &[u32], k: usize, dim: usize) -> (Vec<u32>, Vec<f32>) {
    assert_eq!(z.len(), codes.len() * dim, "accumulate: floats and codes");
    let (mut counts, mut sums) = (vec![0; k], vec![0.0; k * dim]);
    for (z, code) in z.chunks(dim.max(1)).zip(codes) {
        let code = *code as usize;
        counts[code] += 1;
        for (s, v) in sums[code * dim..][..dim].iter_mut().zip(z) {
            *s += v;
        }
    }
    (counts, sums)
}
