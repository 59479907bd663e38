//! Principal components.

use crate::model::random::Random;

/// Rounds of the iteration; the largest components are settled long before.
const ROUNDS: usize = 30;

/// The mean of `rows` (`[n, width]`) and their `count` largest principal components, `[count, width]`, orthonormal, by
/// subspace iteration (Bauer 1957) from random vectors.
pub(in crate::model) fn principal(
    rows: &[f32],
    width: usize,
    count: usize,
    random: &mut Random,
) -> (Vec<f32>, Vec<f32>) {
    let n = (rows.len() / width).max(1) as f64;
    let mut mean = vec![0.0f64; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n);
    }
    // The lower half is filled in below.
    let mut covariance = vec![0.0f64; width * width];
    let mut centred = vec![0.0f64; width];
    for row in rows.chunks_exact(width) {
        centred.iter_mut().zip(row).zip(&mean).for_each(|((c, v), m)| *c = f64::from(*v) - m);
        for (i, a) in centred.iter().enumerate() {
            let to = &mut covariance[i * width + i..(i + 1) * width];
            to.iter_mut().zip(&centred[i..]).for_each(|(c, b)| *c += a * b / n);
        }
    }
    for i in 0..width {
        for j in 0..i {
            covariance[i * width + j] = covariance[j * width + i];
        }
    }
    let count = count.min(width);
    let mut basis: Vec<f64> = (0..count * width).map(|_| random.normal()).collect();
    orthonormal(&mut basis, width);
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; basis.len()];
        for (from, to) in basis.chunks_exact(width).zip(next.chunks_exact_mut(width)) {
            for (weight, row) in from.iter().zip(covariance.chunks_exact(width)) {
                to.iter_mut().zip(row).for_each(|(t, c)| *t += weight * c);
            }
        }
        basis = next;
        orthonormal(&mut basis, width);
    }
    let floats = |all: Vec<f64>| all.into_iter().map(|v| v as f32).collect();
    (floats(mean), floats(basis))
}

/// Makes rows orthonormal, one after the other (Gram and Schmidt, each twice, against rounding). A row that depends on those
/// before it becomes zero.
fn orthonormal(rows: &mut [f64], width: usize) {
    for i in 0..rows.len() / width {
        let (before, rest) = rows.split_at_mut(i * width);
        let row = &mut rest[..width];
        let size = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for _ in 0..2 {
            for other in before.chunks_exact(width) {
                let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let left = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let scale = if left > 1e-9 * size { 1.0 / left } else { 0.0 };
        row.iter_mut().for_each(|v| *v *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_components_are_found() {
        let mut random = Random::new(&[3; 32], "principal", 0);
        // Two directions with variances 9 and 4, noise of 0.01 in eight others, around a mean of 1.
        let mut rows = Vec::new();
        for _ in 0..2000 {
            let (a, b) = (3.0 * random.normal(), 2.0 * random.normal());
            rows.extend((0..10).map(|i| {
                let own = 0.1 * random.normal();
                (1.0 + own + if i == 2 { a } else { 0.0 } + if i == 5 { b } else { 0.0 }) as f32
            }));
        }
        let (mean, basis) = principal(&rows, 10, 2, &mut random);
        assert!(mean.iter().all(|m| (m - 1.0).abs() < 0.2), "{mean:?}");
        assert!(basis[2].abs() > 0.999 && basis[15].abs() > 0.999, "{basis:?}");
        let along: f32 = basis[..10].iter().zip(&basis[10..]).map(|(a, b)| a * b).sum();
        assert!(along.abs() < 1e-6);
    }

    #[test]
    fn rows_that_span_less_than_is_asked_for_give_zeros() {
        let mut random = Random::new(&[3; 32], "principal", 0);
        let rows: Vec<f32> = (0..40).map(|i| if i % 4 == 1 { (i / 4) as f32 } else { 0.0 }).collect();
        let (_, basis) = principal(&rows, 4, 3, &mut random);
        assert!((basis[1].abs() - 1.0).abs() < 1e-6);
        assert!(basis[4..].iter().all(|v| v.abs() < 1e-6), "{basis:?}");
    }
}
