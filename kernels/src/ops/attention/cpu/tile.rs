//! What both ways through attention have in common: extents, padded operands, and the scores of one tile.
//!
//! A tile of scores holds a row for each key and a lane for each query, so that maxima, sums and exponentials run
//! down the rows, many queries at once.

use crate::cpu::dispatch::Level;
use crate::cpu::panel::{Each, Grid, One, Panel, Plus, Start, Strips};
use crate::cpu::product::Out;
use crate::cpu::simd::LANES;
use crate::cpu::tile::row_stride;

/// Queries and keys of one tile, unless there are fewer positions.
const TILE: usize = 64;

/// The extents of an attention, and how its positions are cut.
#[derive(Clone, Copy)]
pub(crate) struct Extents {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    /// Channels of a head.
    pub(crate) size: usize,
    pub(crate) positions: usize,
    /// Distances with an embedding of their own.
    pub(crate) known: usize,
    /// Queries and keys of a tile, a multiple of 16.
    pub(super) tile: usize,
    /// Positions, rounded up to whole tiles.
    pub(super) wide: usize,
    /// Floats from a padded row of positions to the next: 16 zeros before the first position and 16 behind the last.
    pub(super) row: usize,
}

impl Extents {
    pub(crate) fn new(batch: usize, heads: usize, size: usize, positions: usize, known: usize) -> Self {
        let tile = TILE.min(positions.next_multiple_of(LANES)).max(LANES);
        let wide = positions.next_multiple_of(tile);
        Self { batch, heads, size, positions, known, tile, wide, row: row_stride(wide + 2 * LANES) }
    }

    /// Floats of one head of one item.
    pub(super) fn head(&self) -> usize {
        self.size * self.positions
    }

    /// Floats from a row of a tile to the next, with room for 16 zeros on both sides.
    pub(super) fn pitch(&self) -> usize {
        self.tile + 2 * LANES
    }

    /// Whether every distance from the keys at `j0` to the queries at `i0` is clipped to the last.
    pub(super) fn far(&self, i0: usize, j0: usize) -> bool {
        i0 + 1 >= j0 + self.known + self.tile
    }

    /// Distances, not clipped, that occur in tiles which are not far.
    pub(super) fn distances(&self) -> usize {
        self.wide.min(self.known - 1 + 2 * self.tile)
    }

    /// What the scores are multiplied by.
    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// The first rows (and lanes) of the parts of a tile that need computing, and how many rows each has: keys from
    /// there on, queries from there on. On the diagonal what lies ahead of the query is left out by 16.
    pub(super) fn parts(&self, i0: usize, j0: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let step = if i0 == j0 { LANES } else { self.tile };
        (0..self.tile).step_by(step).map(move |first| (first, step))
    }

    /// A head `[size, positions]` in padded rows, times `scale`.
    pub(super) fn padded(&self, x: &[f32], scale: f32) -> Vec<f32> {
        let mut out = vec![0.0; self.size * self.row];
        for (to, x) in out.chunks_exact_mut(self.row).zip(x.chunks_exact(self.positions)) {
            for (to, x) in to[LANES..].iter_mut().zip(x) {
                *to = x * scale;
            }
        }
        out
    }
}

/// The embeddings of distances of one head, `[size, distances that occur]`: 16 zeros before the first, clipped ones
/// behind the last.
pub(super) struct Table {
    data: Vec<f32>,
    pub(super) row: usize,
}

impl Table {
    /// From one head's `[distances, size]`.
    pub(super) fn new(s: &Extents, distances: &[f32]) -> Self {
        let width = s.distances();
        let row = row_stride(width + LANES);
        let mut data = vec![0.0; s.size * row];
        for (c, to) in data.chunks_exact_mut(row).enumerate() {
            for (d, to) in to[LANES..][..width].iter_mut().enumerate() {
                *to = distances[d.min(s.known - 1) * s.size + c];
            }
        }
        Self { data, row }
    }

    /// The first channel's embedding of a distance.
    pub(super) fn at(&self, distance: usize) -> *const f32 {
        assert!(LANES + distance < self.row, "attention: distance {distance} of {}", self.row - LANES);
        // not a slice from there on: some read the zeros before it
        self.data.as_ptr().wrapping_add(LANES + distance)
    }
}

/// The padded operands of one head of one item; the queries are scaled.
pub(super) struct Head {
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
}

impl Head {
    pub(super) fn new(s: &Extents, q: &[f32], k: &[f32], v: &[f32]) -> Self {
        Self { q: s.padded(q, s.scale()), k: s.padded(k, 1.0), v: s.padded(v, 1.0) }
    }
}

/// A position of the first channel in padded rows.
pub(super) fn position(rows: &[f32], at: usize) -> *const f32 {
    rows[LANES + at..].as_ptr()
}

impl Extents {
    /// The scores of the queries from `i0` on and the keys from `j0` on, a row for each key: lanes from 16 on. Those
    /// ahead of the query are the least there is.
    pub(super) fn scores(&self, level: Level, head: &Head, table: &Table, i0: usize, j0: usize, to: &mut [f32]) {
        let (size, tile, row, pitch) = (self.size, self.tile, self.row, self.pitch());
        assert!(to.len() >= tile * pitch && j0 <= i0 && i0 + tile <= self.wide);
        assert!(head.q.len() == size * row && head.k.len() == size * row);
        if i0 == j0 {
            to[..tile * pitch].fill(f32::NEG_INFINITY);
        }
        for (first, rows) in self.parts(i0, j0) {
            let panel = Panel { rows, terms: size, lanes: tile - first };
            let x = Strips { at: position(&head.q, i0 + first), strip: LANES, term: row };
            let keys = One(Grid { at: position(&head.k, j0 + first), row: 1, term: row as isize });
            let term = table.row as isize;
            // SAFETY: keys and queries stay below `wide`; the distances of a part go from -15 to that of its last
            // query from its first key, which the table holds unless the tile is far, where one is enough.
            unsafe {
                let out = Out { at: to[LANES + first * pitch + first..].as_mut_ptr(), stride: pitch };
                if self.far(i0, j0) {
                    let last = One(Grid { at: table.at(self.known - 1), row: 0, term });
                    panel.multiply(level, x, Plus(keys, last), Start::Zero, out);
                } else {
                    let near = Each(Grid { at: table.at(i0 - j0), row: -1, term });
                    panel.multiply(level, x, Plus(keys, near), Start::Zero, out);
                }
            }
        }
        if i0 == j0 {
            for key in 0..tile {
                to[LANES + key * pitch..][key / LANES * LANES..key].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// The lanes of each row of a tile.
    pub(super) fn lanes<'a>(&self, tile: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let n = self.tile;
        tile[..n * self.pitch()].chunks_exact(self.pitch()).map(move |row| &row[LANES..][..n])
    }

    /// The same to write to.
    pub(super) fn lanes_mut<'a>(&self, tile: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> + use<'a> {
        let n = self.tile;
        tile[..n * self.pitch()].chunks_exact_mut(self.pitch()).map(move |row| &mut row[LANES..][..n])
    }
}
