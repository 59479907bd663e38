//! Vectors to the nearest codewords.

/// Every item of `[batch, a, b]` turned to `[b, a]`.
pub(crate) fn turned(x: &[f32], a: usize, b: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for (x, to) in x.chunks_exact(a * b).zip(out.chunks_exact_mut(a * b)) {
        for (i, row) in x.chunks_exact(b).enumerate() {
            row.iter().enumerate().for_each(|(j, v)| to[j * a + i] = *v);
        }
    }
    out
}

/// Multiplications of one part of a long search on each thread: some tenths of a second.
const PART: usize = 1 << 31;
/// Rows that the kernel hands to a thread at once.
const TILE: usize = 384;

/// Rows of one part of a search among `floats` numbers of codewords: at least two tiles for each thread.
fn part(floats: usize) -> usize {
    TILE * (PART / (TILE * floats.max(1))).max(2) * rayon::current_num_threads()
}

/// Parts of a search for `rows` rows among `floats` numbers of codewords.
pub(crate) fn parts(rows: usize, floats: usize) -> usize {
    rows.div_ceil(part(floats))
}

/// [`nearest`] part by part, with the same result; `None` where `go_on`, asked before each with its number, says no.
pub(crate) fn nearest_in_parts(
    rows: &[f32],
    centres: &[f32],
    dim: usize,
    go_on: &dyn Fn(usize) -> bool,
) -> Option<Vec<u32>> {
    let mut codes = Vec::with_capacity(rows.len() / dim);
    for (number, rows) in rows.chunks(part(centres.len()) * dim).enumerate() {
        if !go_on(number) {
            return None;
        }
        codes.extend(nearest(rows, centres, dim));
    }
    Some(codes)
}

/// For each row of `rows` (`[n, dim]`) the nearest of `centres` (`[codewords, dim]`) by Euclidean distance; the first of
/// several that are equally near.
pub(crate) fn nearest(rows: &[f32], centres: &[f32], dim: usize) -> Vec<u32> {
    let mut codes = vec![0; rows.len() / dim];
    kernels::ops::nearest::nearest(rows, dim, centres, &mut codes, None);
    codes
}
