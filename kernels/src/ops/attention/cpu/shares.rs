//! What one tile of weights adds to each gradient.

use super::tile::{Extents, Head, Table, position};
use crate::cpu::dispatch::Level;
use crate::cpu::exp::exp;
use crate::cpu::panel::{Each, Grid, One, Panel, Plus, Start, Strips};
use crate::cpu::product::Out;
use crate::cpu::simd::LANES;

/// The padded operands of one head of one item, and those that only the way back needs.
pub(super) struct Saved<'a> {
    pub(super) head: Head,
    /// The gradient of the result, in padded rows.
    pub(super) dy: Vec<f32>,
    /// Queries, scaled, and the gradient, position by position: `[wide, size rounded up to 16]`.
    pub(super) columns: [Vec<f32>; 2],
    /// For each query, what the softmax takes off: the gradient times the result; and the logarithm of its sum.
    pub(super) own: Vec<f32>,
    pub(super) sums: &'a [f32],
    pub(super) table: &'a Table,
}

/// What a group of queries adds up.
pub(super) struct Sums {
    /// `[keys, size rounded up to 16]`, the keys up to the group's last query.
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
    /// `[size, distances]`, not yet clipped.
    pub(super) distances: Vec<f32>,
    /// `[size]`, of tiles whose distances are all clipped.
    pub(super) far: Vec<f32>,
}

impl Extents {
    /// Channels of a head, rounded up to whole lanes.
    pub(super) fn columns(&self) -> usize {
        self.size.next_multiple_of(LANES)
    }

    /// The weights of a tile to `p`, and the gradients of its scores to `d`.
    pub(super) fn weights(
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
    pub(super) fn keys_and_values(
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
    pub(super) fn queries_back(
        &self,
        level: Level,
        saved: &Saved<'_>,
        i0: usize,
        j0: usize,
        d: &[f32],
        dq: &mut [f32],
    ) {
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
    pub(super) fn distances_back(
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
}
