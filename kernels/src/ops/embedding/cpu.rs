//! Rows of tables on the CPU.

use rayon::prelude::*;

use crate::cpu::tile::Shared;
use crate::tensor::Shape;

/// The row that gives zeros.
pub const NO_ROW: u32 = u32::MAX;

/// Channels of one unit of the scatter: a cache line of a row.
const CHANNELS: usize = 16;

/// Where a row that is numbered through all tables lies: table and first float. `None` for [`NO_ROW`].
fn place(row: u32, sizes: &[usize], width: usize) -> Option<(usize, usize)> {
    if row == NO_ROW {
        return None;
    }
    let mut at = row as usize * width;
    for (table, size) in sizes.iter().enumerate() {
        if at < *size {
            return Some((table, at));
        }
        at -= size;
    }
    panic!("embedding: there is no row {row}")
}

/// `[items, width, positions]` from the rows of every position.
pub(super) fn lookup(rows: &[u32], tables: &[&[f32]], [items, width, positions]: Shape, y: &mut [f32]) {
    assert!(rows.len() == items * positions && y.len() == rows.len() * width, "embedding: rows and result");
    let sizes: Vec<usize> = tables.iter().map(|t| t.len()).collect();
    assert!(sizes.iter().all(|n| n % width == 0), "embedding: width of the tables");
    let each = y.par_chunks_mut((width * positions).max(1)).zip(rows.par_chunks(positions.max(1)));
    each.for_each(|(y, rows)| {
        let silent = vec![0.0; width];
        let found = |row: &u32| place(*row, &sizes, width).map_or(&silent[..], |(t, at)| &tables[t][at..][..width]);
        let found: Vec<&[f32]> = rows.iter().map(found).collect();
        for (c, y) in y.chunks_exact_mut(positions).enumerate() {
            y.iter_mut().zip(&found).for_each(|(y, row)| *y = row[c]);
        }
    });
}

/// The gradients of the tables: of each row the sum over the positions that it was given to, in their order.
pub(super) fn scatter(rows: &[u32], dy: &[f32], [items, width, positions]: Shape, mut tables: Vec<&mut [f32]>) {
    assert!(rows.len() == items * positions && dy.len() == rows.len() * width, "embedding: rows and gradient");
    let sizes: Vec<usize> = tables.iter().map(|t| t.len()).collect();
    assert!(sizes.iter().all(|n| n % width == 0), "embedding: width of the tables");
    let places: Vec<_> = rows.iter().map(|row| place(*row, &sizes, width)).collect();
    tables.iter_mut().for_each(|table| table.fill(0.0));
    let tables: Vec<Shared> = tables.into_iter().map(Shared::new).collect();
    (0..width.div_ceil(CHANNELS)).into_par_iter().for_each(|unit| {
        let channels = unit * CHANNELS..width.min((unit + 1) * CHANNELS);
        for (at, place) in places.iter().enumerate() {
            let Some((table, first)) = place else { continue };
            let (item, position) = (at / positions, at % positions);
            for c in channels.clone() {
                // SAFETY: `place` found a whole row in this table; every unit has channels of its own.
                unsafe { *tables[*table].at(first + c) += dy[(item * width + c) * positions + position] };
            }
        }
    });
}
