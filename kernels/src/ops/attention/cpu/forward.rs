//! The way forward: a tile of queries over the tiles of keys before it.

use rayon::prelude::*;

use super::tile::{Extents, Head, Table, position};
use crate::cpu::dispatch::Level;
use crate::cpu::exp::exp;
use crate::cpu::panel::{Grid, One, Panel, Start, Strips};
use crate::cpu::product::Out;
use crate::cpu::simd::LANES;
use crate::cpu::tile::{Shared, with_scratch};

impl Extents {
    /// What every position sees `[batch, channels, positions]` to y, and the logarithms of the sums `[batch, heads,
    /// positions]`.
    pub(crate) fn forward(&self, level: Level, [q, k, v, e]: [&[f32]; 4], [y, sums]: [&mut [f32]; 2]) {
        let (heads, n) = (self.batch * self.heads, self.head());
        assert!([q, k, v].iter().all(|x| x.len() == heads * n) && e.len() == self.heads * self.known * self.size);
        assert!(y.len() == heads * n && sums.len() == heads * self.positions);
        let tables = self.tables(e);
        let (y, sums) = (Shared::new(y), Shared::new(sums));
        (0..heads).into_par_iter().for_each(|h| {
            let [q, k, v] = [q, k, v].map(|x| &x[h * n..][..n]);
            let head = Head::new(self, q, k, v);
            (0..self.wide / self.tile).into_par_iter().for_each(|tile| {
                let i0 = tile * self.tile;
                // SAFETY: the tiles of all heads cover every position once, and each writes all channels of its own
                // positions of y, and their logarithms.
                unsafe {
                    let (y, sums) = (y.from(h * n + i0), sums.from(h * self.positions + i0));
                    self.queries(level, &head, &tables[h % self.heads], i0, y, sums);
                }
            });
        });
    }

    /// The embeddings of distances of every head.
    pub(super) fn tables(&self, e: &[f32]) -> Vec<Table> {
        e.par_chunks_exact(self.known * self.size).map(|e| Table::new(self, e)).collect()
    }

    /// One tile of queries.
    ///
    /// # Safety
    /// `y` and `sums` are at the first query of the first channel, and this thread's own for the tile's positions.
    unsafe fn queries(&self, level: Level, head: &Head, table: &Table, i0: usize, y: Shared, sums: Shared) {
        let (size, tile, row, pitch) = (self.size, self.tile, self.row, self.pitch());
        with_scratch(|[s, o, lanes, _]| {
            s.resize(tile * pitch, 0.0);
            o.clear();
            o.resize(size * tile, 0.0);
            lanes.clear();
            lanes.resize(4 * tile, 0.0);
            let (most, rest) = lanes.split_at_mut(tile);
            let (sum, rest) = rest.split_at_mut(tile);
            let (now, fade) = rest.split_at_mut(tile);
            most.fill(f32::NEG_INFINITY);
            for j0 in (0..=i0).step_by(tile) {
                self.scores(level, head, table, i0, j0, s);
                now.copy_from_slice(most);
                for row in self.lanes(s) {
                    for (now, s) in now.iter_mut().zip(row) {
                        *now = if *s > *now { *s } else { *now };
                    }
                }
                for ((fade, most), now) in fade.iter_mut().zip(&*most).zip(&*now) {
                    *fade = exp(most - now);
                }
                for (sum, fade) in sum.iter_mut().zip(&*fade) {
                    *sum *= fade;
                }
                for o in o.chunks_exact_mut(tile) {
                    for (o, fade) in o.iter_mut().zip(&*fade) {
                        *o *= fade;
                    }
                }
                for row in self.lanes_mut(s) {
                    for ((s, now), sum) in row.iter_mut().zip(&*now).zip(sum.iter_mut()) {
                        *s = exp(*s - now);
                        *sum += *s;
                    }
                }
                most.copy_from_slice(now);
                for (first, step) in self.parts(i0, j0) {
                    let panel = Panel { rows: size, terms: first + step, lanes: step };
                    let x = Strips { at: s[LANES + first..].as_ptr(), strip: LANES, term: pitch };
                    let values = One(Grid { at: position(&head.v, j0), row: row as isize, term: 1 });
                    let out = Out { at: o[first..].as_mut_ptr(), stride: tile };
                    // SAFETY: keys stay below `wide`, terms and lanes below the tile.
                    unsafe { panel.multiply(level, x, values, Start::Kept, out) };
                }
            }
            let live = tile.min(self.positions - i0);
            for (c, o) in o.chunks_exact_mut(tile).enumerate() {
                o.iter_mut().zip(&*sum).for_each(|(o, sum)| *o /= sum);
                // SAFETY: the caller's; a head has `size` channels.
                unsafe { core::ptr::copy_nonoverlapping(o.as_ptr(), y.at(c * self.positions), live) };
            }
            for (most, sum) in most.iter_mut().zip(&*sum) {
                *most += libm::logf(*sum);
            }
            // SAFETY: the caller's.
            unsafe { core::ptr::copy_nonoverlapping(most.as_ptr(), sums.at(0), live) };
        });
    }
}
