//! The way back: tiles of weights are computed again from the logarithms of their sums.
//!
//! The queries of a head fall into groups of equal work, whose sums over queries (for keys, values and distances) are
//! added in order; which groups there are depends on the number of positions alone.

use core::ops::Range;

use rayon::prelude::*;

use super::shares::{Saved, Sums};
use super::tile::{Extents, Head, Table};
use crate::cpu::dispatch::Level;
use crate::cpu::simd::LANES;
use crate::cpu::tile::{Shared, row_stride, row_sum, with_scratch};

impl Extents {
    /// The gradients of q, k, v and distances, from these and `[y, sums, dy]`.
    pub(crate) fn backward(
        &self,
        level: Level,
        [q, k, v, e]: [&[f32]; 4],
        [y, sums, dy]: [&[f32]; 3],
        [dq, dk, dv, distances]: [&mut [f32]; 4],
    ) {
        let (heads, n) = (self.batch * self.heads, self.head());
        assert!([q, k, v, y, dy].iter().all(|x| x.len() == heads * n) && sums.len() == heads * self.positions);
        assert!([&*dq, dk, dv].iter().all(|x| x.len() == heads * n) && distances.len() == e.len());
        assert_eq!(e.len(), self.heads * self.known * self.size);
        let tables = self.tables(e);
        let dq = Shared::new(dq);
        let work = dk.par_chunks_exact_mut(n).zip(dv.par_chunks_exact_mut(n)).enumerate();
        let of_distances: Vec<Vec<f32>> = work
            .map(|(h, (dk, dv))| {
                let [q, k, v, y, dy] = [q, k, v, y, dy].map(|x| &x[h * n..][..n]);
                let sums = &sums[h * self.positions..][..self.positions];
                let saved = self.saved(Head::new(self, q, k, v), y, dy, sums, &tables[h % self.heads]);
                let groups = self.groups();
                // SAFETY: the groups of all heads cover every query once, and each writes all channels of its own.
                let work =
                    groups.par_windows(2).map(|g| unsafe { self.group(level, &saved, g[0]..g[1], dq.from(h * n)) });
                self.gathered(work.collect(), dk, dv)
            })
            .collect();
        // Items in their order, heads side by side.
        distances.par_chunks_exact_mut(self.known * self.size).enumerate().for_each(|(head, to)| {
            to.fill(0.0);
            for part in of_distances.iter().skip(head).step_by(self.heads) {
                to.iter_mut().zip(part).for_each(|(to, v)| *to += v);
            }
        });
    }

    fn saved<'a>(&self, head: Head, y: &[f32], dy: &[f32], sums: &'a [f32], table: &'a Table) -> Saved<'a> {
        let dy_rows = self.padded(dy, 1.0);
        let columns = [&head.q, &dy_rows].map(|rows| {
            let mut out = vec![0.0; self.wide * self.columns()];
            for (c, row) in rows.chunks_exact(self.row).enumerate() {
                let to = out.chunks_exact_mut(self.columns());
                to.zip(&row[LANES..]).for_each(|(to, v)| to[c] = *v);
            }
            out
        });
        let mut own = vec![0.0; self.wide];
        for (y, dy) in y.chunks_exact(self.positions).zip(dy.chunks_exact(self.positions)) {
            for (own, (y, dy)) in own.iter_mut().zip(y.iter().zip(dy)) {
                *own = y.mul_add(*dy, *own);
            }
        }
        Saved { head, dy: dy_rows, columns, own, sums, table }
    }

    /// The first tile of each group, and the end: at most eight groups of about equal work, of at least 512 queries.
    fn groups(&self) -> Vec<usize> {
        let (tiles, count) = (self.wide / self.tile, (self.positions / 512).clamp(1, 8));
        // the work of the first n tiles grows with n * (n + 1)
        let end =
            |group: usize| (0..tiles).find(|n| n * (n + 1) * count >= group * tiles * (tiles + 1)).unwrap_or(tiles);
        let mut firsts: Vec<usize> = (0..=count).map(end).collect();
        firsts.dedup();
        firsts
    }

    /// One group of tiles of queries: writes their gradients at `dq`, the first position of the head's first channel,
    /// and sums what they add to the others.
    ///
    /// # Safety
    /// In every channel of the head, the positions of these tiles are this thread's own.
    unsafe fn group(&self, level: Level, saved: &Saved<'_>, tiles: Range<usize>, dq: Shared) -> Sums {
        let (size, tile, pitch) = (self.size, self.tile, self.pitch());
        let width = row_stride(self.distances());
        let rows = tiles.end * tile * self.columns();
        let mut sums = Sums {
            keys: vec![0.0; rows],
            values: vec![0.0; rows],
            distances: vec![0.0; size * width],
            far: vec![0.0; size],
        };
        with_scratch(|[p, d, own_dq, lanes]| {
            p.resize(tile * pitch, 0.0);
            // the lanes on both sides of a row stay 0
            d.clear();
            d.resize(tile * pitch, 0.0);
            for i0 in tiles.map(|t| t * tile) {
                own_dq.clear();
                own_dq.resize(size * tile, 0.0);
                lanes.clear();
                lanes.resize(2 * tile, 0.0);
                let (down, logs) = lanes.split_at_mut(tile);
                let live = tile.min(self.positions - i0);
                logs[..live].copy_from_slice(&saved.sums[i0..][..live]);
                for j0 in (0..=i0).step_by(tile) {
                    self.weights(level, saved, logs, i0, j0, p, d);
                    self.keys_and_values(level, saved, i0, j0, p, d, &mut sums);
                    self.queries_back(level, saved, i0, j0, d, own_dq);
                    if self.far(i0, j0) {
                        for row in self.lanes(d) {
                            down.iter_mut().zip(row).for_each(|(s, d)| *s += d);
                        }
                    } else {
                        self.distances_back(level, saved, i0, j0, d, &mut sums.distances, width);
                    }
                }
                for (c, far) in sums.far.iter_mut().enumerate() {
                    let q = &saved.head.q[c * self.row + LANES + i0..][..tile];
                    logs.iter_mut().zip(q.iter().zip(&*down)).for_each(|(to, (q, d))| *to = q * d);
                    *far += row_sum(logs);
                }
                let scale = self.scale();
                for (c, row) in own_dq.chunks_exact_mut(tile).enumerate() {
                    row.iter_mut().for_each(|v| *v *= scale);
                    // SAFETY: the caller's.
                    unsafe { core::ptr::copy_nonoverlapping(row.as_ptr(), dq.at(c * self.positions + i0), live) };
                }
            }
        });
        sums
    }

    /// Adds up the groups in order: keys and values `[size, positions]` to their places; returns the distances
    /// `[distances, size]`, clipped.
    fn gathered(&self, groups: Vec<Sums>, dk: &mut [f32], dv: &mut [f32]) -> Vec<f32> {
        let columns = self.columns();
        let mut all: Option<Sums> = None;
        // the last group has the most keys
        for group in groups.into_iter().rev() {
            all = Some(match all {
                None => group,
                Some(mut all) => {
                    let pairs = [
                        (&mut all.keys, &group.keys),
                        (&mut all.values, &group.values),
                        (&mut all.distances, &group.distances),
                        (&mut all.far, &group.far),
                    ];
                    for (to, from) in pairs {
                        to.iter_mut().zip(from).for_each(|(to, v)| *to += v);
                    }
                    all
                }
            });
        }
        let mut distances = vec![0.0; self.known * self.size];
        let Some(all) = all else { return distances };
        for (to, from) in [(dk, &all.keys), (dv, &all.values)] {
            for (c, row) in to.chunks_exact_mut(self.positions).enumerate() {
                row.iter_mut().zip(from.chunks_exact(columns)).for_each(|(to, from)| *to = from[c]);
            }
        }
        let width = self.distances();
        for (c, row) in all.distances.chunks_exact(row_stride(width)).enumerate() {
            for (d, v) in row[..width].iter().enumerate() {
                distances[d.min(self.known - 1) * self.size + c] += v;
            }
            distances[(self.known - 1) * self.size + c] += all.far[c];
        }
        distances
    }
}
