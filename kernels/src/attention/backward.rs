//! The way back: tiles of weights are computed again from the logarithms of their sums.
//!
//! The queries of a head fall into groups of equal work, whose sums over queries (for keys, values and distances) are
//! added in order; which groups there are depends on the number of positions alone.

use core::ops::Range;

use rayon::prelude::*;

use super::AttentionGrads;
use super::tile::{Head, Shape, Table, position};
use crate::exp::exp;
use crate::gather::{Shared, filled, row_stride, row_sum, with_scratch};
use crate::panel::{Each, Grid, One, Panel, Plus, Start, Strips};
use crate::product::Out;
use crate::simd::{LANES, Level};

/// The padded operands of one head of one item, and those that only the way back needs.
struct Saved<'a> {
    head: Head,
    /// The gradient of the result, in padded rows.
    dy: Vec<f32>,
    /// Queries, scaled, and the gradient, position by position: `[wide, size rounded up to 16]`.
    columns: [Vec<f32>; 2],
    /// Of each query, what the softmax takes off: the gradient times the result; and the logarithm of its sum.
    own: Vec<f32>,
    sums: &'a [f32],
    table: &'a Table,
}

/// What a group of queries adds up.
struct Sums {
    /// `[keys, size rounded up to 16]`, the keys up to the group's last query.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// `[size, distances]`, not yet clipped.
    distances: Vec<f32>,
    /// `[size]`, of tiles whose distances are all clipped.
    far: Vec<f32>,
}

impl Shape {
    /// All gradients, from the operands and `[y, sums, dy]`.
    pub(super) fn backward(
        &self,
        level: Level,
        [q, k, v, e]: [&[f32]; 4],
        [y, sums, dy]: [&[f32]; 3],
    ) -> AttentionGrads<Vec<f32>> {
        let (heads, n) = (self.batch * self.heads, self.head());
        assert!([q, k, v, y, dy].iter().all(|x| x.len() == heads * n) && sums.len() == heads * self.positions);
        assert_eq!(e.len(), self.heads * self.known * self.size);
        let tables = self.tables(e);
        let [mut dk, mut dv] = [0, 1].map(|_| vec![0.0; heads * n]);
        let mut of_distances = Vec::new();
        // SAFETY: the groups of all heads cover every query, and each writes all channels of its own.
        let dq = unsafe {
            filled(heads * n, |dq| {
                let work = dk.par_chunks_exact_mut(n).zip(dv.par_chunks_exact_mut(n)).enumerate();
                of_distances = work
                    .map(|(h, (dk, dv))| {
                        let [q, k, v, y, dy] = [q, k, v, y, dy].map(|x| &x[h * n..][..n]);
                        let sums = &sums[h * self.positions..][..self.positions];
                        let saved = self.saved(Head::new(self, q, k, v), y, dy, sums, &tables[h % self.heads]);
                        let groups = self.groups();
                        let work =
                            groups.par_windows(2).map(|g| self.group(level, &saved, g[0]..g[1], Shared(dq.at(h * n))));
                        self.gathered(work.collect(), dk, dv)
                    })
                    .collect::<Vec<_>>();
            })
        };
        // Items in their order, heads side by side.
        let mut distances = vec![0.0; e.len()];
        distances.par_chunks_exact_mut(self.known * self.size).enumerate().for_each(|(head, to)| {
            for part in of_distances.iter().skip(head).step_by(self.heads) {
                to.iter_mut().zip(part).for_each(|(to, v)| *to += v);
            }
        });
        AttentionGrads { q: dq, k: dk, v: dv, distances }
    }

    /// Channels of a head, rounded up to whole lanes.
    fn columns(&self) -> usize {
        self.size.next_multiple_of(LANES)
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

    /// The weights of a tile to `p`, and the gradients of its scores to `d`.
    fn weights(
        &self,
        level: Level,
        saved: &Saved<'_>,
        logs: &[f32],
        i0: usize,
        j0: usize,
        p: &mut [f32],
        d: &mut [f32],
    ) {
        let (tile, row, pitch) = (self.tile, self.row, self.pitch());
        assert!(d.len() == tile * pitch && saved.dy.len() == self.size * row && saved.head.v.len() == self.size * row);
        self.scores(level, &saved.head, saved.table, i0, j0, p);
        if i0 == j0 {
            d.fill(0.0);
        }
        for (first, rows) in self.parts(i0, j0) {
            let panel = Panel { rows, terms: self.size, lanes: tile - first };
            let x = Strips { at: position(&saved.dy, i0 + first), strip: LANES, term: row };
            let values = One(Grid { at: position(&saved.head.v, j0 + first), row: 1, term: row as isize });
            let out = Out { at: d[LANES + first * pitch + first..].as_mut_ptr(), stride: pitch };
            // SAFETY: keys and queries stay below `wide`, rows and lanes below the tile.
            unsafe { panel.multiply(level, x, values, Start::Zero, out) };
        }
        let own = &saved.own[i0..][..tile];
        for (p, d) in self.lanes_mut(p).zip(self.lanes_mut(d)) {
            for ((p, d), (log, own)) in p.iter_mut().zip(d).zip(logs.iter().zip(own)) {
                *p = exp(*p - log);
                *d = *p * (*d - own);
            }
        }
    }

    /// Adds a tile's share to the gradients of keys and values.
    fn keys_and_values(
        &self,
        level: Level,
        saved: &Saved<'_>,
        i0: usize,
        j0: usize,
        p: &[f32],
        d: &[f32],
        sums: &mut Sums,
    ) {
        let (tile, pitch, columns) = (self.tile, self.pitch(), self.columns());
        let [q, dy] = &saved.columns;
        for (from, x, to) in [(p, dy, &mut sums.values), (d, q, &mut sums.keys)] {
            assert!(from.len() >= tile * pitch && x.len() == self.wide * columns && to.len() >= (j0 + tile) * columns);
            for (first, rows) in self.parts(i0, j0) {
                let panel = Panel { rows, terms: tile - first, lanes: columns };
                let x = Strips { at: x[(i0 + first) * columns..].as_ptr(), strip: LANES, term: columns };
                let at = from[LANES + first * pitch + first..].as_ptr();
                let factor = One(Grid { at, row: pitch as isize, term: 1 });
                let out = Out { at: to[(j0 + first) * columns..].as_mut_ptr(), stride: columns };
                // SAFETY: queries stay below `wide`, keys below the group's end, rows and terms below the tile.
                unsafe { panel.multiply(level, x, factor, Start::Kept, out) };
            }
        }
    }

    /// Adds a tile's share to the gradients of its queries, not yet scaled.
    fn queries_back(&self, level: Level, saved: &Saved<'_>, i0: usize, j0: usize, d: &[f32], dq: &mut [f32]) {
        let (size, tile, pitch, row) = (self.size, self.tile, self.pitch(), self.row as isize);
        assert!(dq.len() == size * tile && d.len() == tile * pitch && saved.head.k.len() == size * self.row);
        let table = saved.table;
        for (first, step) in self.parts(i0, j0) {
            let panel = Panel { rows: size, terms: first + step, lanes: step };
            let x = Strips { at: d[LANES + first..].as_ptr(), strip: LANES, term: pitch };
            let keys = One(Grid { at: position(&saved.head.k, j0), row, term: 1 });
            let out = Out { at: dq[first..].as_mut_ptr(), stride: tile };
            let channel = table.row as isize;
            // SAFETY: keys stay below `wide`, terms and lanes below the tile; distances as for the scores.
            unsafe {
                if self.far(i0, j0) {
                    let last = One(Grid { at: table.at(self.known - 1), row: channel, term: 0 });
                    panel.multiply(level, x, Plus(keys, last), Start::Kept, out);
                } else {
                    let near = Each(Grid { at: table.at(i0 + first - j0), row: channel, term: -1 });
                    panel.multiply(level, x, Plus(keys, near), Start::Kept, out);
                }
            }
        }
    }

    /// Adds a tile's share to the gradients of distances, not yet clipped: along each diagonal of the tile, queries
    /// times gradients of scores.
    fn distances_back(
        &self,
        level: Level,
        saved: &Saved<'_>,
        i0: usize,
        j0: usize,
        d: &[f32],
        to: &mut [f32],
        width: usize,
    ) {
        let (size, tile, pitch) = (self.size, self.tile, self.pitch());
        assert!(d.len() == tile * pitch && to.len() == size * width && saved.head.q.len() == size * self.row);
        // lane 0 of a block is distance i0 - j0 + block - tile
        let blocks = if i0 == j0 { tile..2 * tile } else { 0..2 * tile };
        for block in blocks.step_by(LANES) {
            // the keys that have a query in the tile at one of the 16 distances
            let first = (tile + 1).saturating_sub(block + LANES);
            let end = tile.min(2 * tile - block);
            let panel = Panel { rows: size, terms: end - first, lanes: LANES };
            // lane of the first key's first distance, counted from the row's 16 zeros: at least 1, and its 16 lanes
            // end within the zeros behind
            let lane = LANES + first + block - tile;
            let x = Strips { at: d[first * pitch + lane..].as_ptr(), strip: LANES, term: pitch + 1 };
            let query = saved.head.q[i0 + lane..].as_ptr();
            let factor = Each(Grid { at: query, row: self.row as isize, term: 1 });
            let out = Out { at: to[i0 - j0 + block - tile..].as_mut_ptr(), stride: width };
            // SAFETY: lanes stay within a row of the tile with its zeros, queries within theirs, and distances below
            // those of the tile's last query from its first key.
            unsafe { panel.multiply(level, x, factor, Start::Kept, out) };
        }
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
