//! The little linear algebra of Gaussians, in 64 bits, with one order for every sum.
//!
//! Written here rather than taken from a library because libraries choose the order of their sums by instruction set
//! and threads, and results are promised to the last bit.

use rayon::prelude::*;

/// The inner product, in eight partial sums that any instruction set may add side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            lanes[i] += a[i] * b[i];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The square of a length that is nothing beside a matrix: a thousandth of what rounding leaves of the whole, and at
/// least so much that no square or quotient of what is longer leaves the range of numbers.
fn nothing(matrix: &[f64]) -> f64 {
    (dot(matrix, matrix) * (f64::EPSILON * f64::EPSILON * 1e-6)).max(1e-280)
}

/// Rows that are factored at a time, and at least so many times as many as dimensions.
const BLOCK: usize = 1024;
const TIMES: usize = 4;

/// `R` of the QR factorisation of `rows`, `[n, dims]`: `[min(n, dims), dims]`, upper triangular. Blocks of rows are
/// factored side by side and their factors two by two (tall and skinny QR, Demmel and others 2012), in one order.
pub(super) fn factor(rows: Vec<f64>, dims: usize) -> Vec<f64> {
    let block = BLOCK.max(TIMES * dims) * dims;
    if rows.len() <= block {
        return reduce(&rows, dims);
    }
    let mut factors: Vec<Vec<f64>> = rows.par_chunks(block).map(|rows| reduce(rows, dims)).collect();
    while factors.len() > 1 {
        let two = |pair: &[Vec<f64>]| if pair.len() == 1 { pair[0].clone() } else { reduce(&pair.concat(), dims) };
        factors = factors.par_chunks(2).map(two).collect();
    }
    factors.pop().unwrap_or_default()
}

/// [`factor`] of one block, by Householder's reflections.
fn reduce(rows: &[f64], dims: usize) -> Vec<f64> {
    let n = rows.len() / dims;
    let (rank, nothing) = (n.min(dims), nothing(rows));
    let mut columns: Vec<Vec<f64>> = (0..dims).map(|j| rows.iter().skip(j).step_by(dims).copied().collect()).collect();
    for k in 0..rank {
        let (head, tail) = columns.split_at_mut(k + 1);
        let v = &mut head[k][k..];
        let square = dot(v, v);
        if square <= nothing {
            v.fill(0.0);
            continue;
        }
        let norm = square.sqrt();
        // Away from the first element, so that nothing cancels.
        let diagonal = if v[0] > 0.0 { -norm } else { norm };
        v[0] -= diagonal;
        let scale = 2.0 / dot(v, v);
        for column in tail {
            let column = &mut column[k..];
            let along = scale * dot(v, column);
            column.iter_mut().zip(&*v).for_each(|(c, v)| *c -= along * v);
        }
        v[0] = diagonal;
        v[1..].fill(0.0);
    }
    (0..rank).flat_map(|i| columns.iter().map(move |column| column[i])).collect()
}

/// Rotations of all pairs stop after this many rounds; ten are usual.
const ROUNDS: usize = 64;

/// The singular values of a matrix of rows, `[rows, width]`, unsorted: rotates pairs of rows until all are orthogonal
/// (Hestenes 1958); what is left of the rows are their lengths times orthonormal vectors.
pub(super) fn singular(matrix: &mut [f64], width: usize) -> Vec<f64> {
    let rows = matrix.len() / width;
    // The directions of rows this short are noise.
    let nothing = nothing(matrix);
    for _ in 0..ROUNDS {
        let mut turned = false;
        for p in 0..rows {
            let (head, tail) = matrix.split_at_mut((p + 1) * width);
            let a = &mut head[p * width..];
            for b in tail.chunks_exact_mut(width) {
                let (own, other, cross) = (dot(a, a), dot(b, b), dot(a, b));
                if cross.abs() <= f64::EPSILON * (own * other).sqrt() || own.min(other) <= nothing {
                    continue;
                }
                turned = true;
                let zeta = (other - own) / (2.0 * cross);
                let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                let sine = cosine * tangent;
                for (x, y) in a.iter_mut().zip(b) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
        }
        if !turned {
            break;
        }
    }
    matrix.chunks_exact(width).map(|row| dot(row, row).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_has_the_squares_of_its_rows() {
        for (n, dims) in [(1, 3), (3, 3), (7, 3), (40, 9), (5000, 4)] {
            let rows: Vec<f64> = (0..n * dims).map(|i| ((i * 37 + 11) % 29) as f64 - 14.0).collect();
            let r = factor(rows.clone(), dims);
            assert_eq!(r.len(), n.min(dims) * dims);
            for i in 0..dims {
                for j in 0..dims {
                    let square = |m: &[f64]| m.chunks_exact(dims).map(|row| row[i] * row[j]).sum::<f64>();
                    assert!((square(&rows) - square(&r)).abs() < 1e-9 * n as f64 * 196.0, "{n} {dims} {i} {j}");
                }
            }
            assert!((0..n.min(dims)).all(|i| r[i * dims..i * dims + i].iter().all(|v| *v == 0.0)), "triangular");
        }
        assert_eq!(factor(vec![0.0; 6], 3), [0.0; 6]);
        // Columns that are alike but for rounding, and for the rounding of that.
        let alike: Vec<f64> =
            (0..40).flat_map(|i| (0..9).map(move |j| f64::from(i % 5) * 0.1f64.powi(3 + 17 * j))).collect();
        let r = factor(alike.clone(), 9);
        assert!(r.iter().all(|v| v.is_finite()), "{r:?}");
        let (whole, left) = (dot(&alike, &alike), dot(&r, &r));
        assert!((left / whole - 1.0).abs() < 1e-12);
    }

    #[test]
    fn known_singular_values() {
        // [[3, 0], [4, 5]] has 3 sqrt 5 and sqrt 5 (Golub and Van Loan).
        let mut values = singular(&mut [3.0, 0.0, 4.0, 5.0], 2);
        values.sort_by(f64::total_cmp);
        let root = 5.0f64.sqrt();
        assert!((values[0] - root).abs() < 1e-14 && (values[1] - 3.0 * root).abs() < 1e-14, "{values:?}");
        // Rank one, and nothing at all.
        let mut values = singular(&mut [1.0, 2.0, 2.0, 2.0, 4.0, 4.0], 3);
        values.sort_by(f64::total_cmp);
        assert!(values[0] < 1e-14 && (values[1] - 45.0f64.sqrt()).abs() < 1e-14, "{values:?}");
        assert_eq!(singular(&mut [0.0; 4], 2), [0.0, 0.0]);
    }
}
