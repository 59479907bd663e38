//! The nearest codeword, counts and sums, and moving averages.

use kernels::launch::nearest::{self, Average, Search};

use crate::plain::Noise;
use crate::{bytes, room, run, words};

/// z `[items, dim, frames]` and a codebook in which codewords repeat, so that ties are there.
pub(crate) fn operands(s: Search, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut noise = Noise::new(seed);
    let mut codebook = noise.floats(s.codewords * s.dim);
    let half = s.codewords / 2;
    codebook.copy_within(..half * s.dim, (s.codewords - half) * s.dim);
    (noise.floats(s.vectors() * s.dim), codebook)
}

/// The vectors as rows.
pub(crate) fn rows(s: Search, z: &[f32]) -> Vec<f32> {
    let at = |i: usize, d: usize| z[(i / s.frames * s.dim + d) * s.frames + i % s.frames];
    (0..s.vectors()).flat_map(|i| (0..s.dim).map(move |d| at(i, d))).collect()
}

pub(crate) const CASES: [(usize, usize, usize, usize); 6] =
    [(1, 1, 1, 1), (5, 7, 1, 3), (2, 32, 33, 64), (130, 64, 1, 70), (1, 33, 65, 65), (3, 5, 20, 200)];

#[test]
#[ignore = "needs a C++ compiler"]
fn nearest_is_the_plain_twins_to_the_bit() {
    for (seed, (items, dim, frames, codewords)) in CASES.into_iter().enumerate() {
        let s = Search { items, dim, frames, codewords };
        let (mut z, codebook) = operands(s, seed as u64);
        if s.vectors() > 4 {
            z[dim * frames - 1] = f32::NAN;
            z[0] = f32::INFINITY;
        }
        let got = run(&nearest::nearest(s), &[bytes(&z), bytes(&codebook)], &[room(s.vectors()), room(s.vectors())]);
        let (rows, mut want) = (rows(s, &z), vec![9; s.vectors()]);
        kernels::ops::nearest::nearest_plain(&rows, dim, &codebook, &mut want);
        assert_eq!(words::<u32>(&got[0]), want, "{s:?}");
        for (i, got) in words::<f32>(&got[1]).into_iter().enumerate() {
            let code = &codebook[want[i] as usize * dim..][..dim];
            let exact = rows[i * dim..][..dim].iter().zip(code).fold(0.0f32, |s, (z, c)| (z - c).mul_add(z - c, s));
            assert!(got.to_bits() == exact.to_bits() || (got.is_nan() && exact.is_nan()), "{i}: {got} and {exact}");
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn counts_and_sums_are_the_cpus_to_the_bit() {
    for (seed, (items, dim, frames, codewords)) in
        [(1, 1, 1, 1), (3, 5, 200, 6), (2, 300, 20, 3)].into_iter().enumerate()
    {
        let s = Search { items, dim, frames, codewords };
        let (z, _) = operands(s, seed as u64);
        let codes: Vec<u32> = (0..s.vectors()).map(|i| (i * i % codewords.max(2).min(codewords)) as u32).collect();
        let (counts, sums) = kernels::ops::nearest::accumulate(&rows(s, &z), &codes, codewords, dim);
        let got = run(&nearest::accumulate(s), &[bytes(&z), bytes(&codes)], &[room(codewords), room(codewords * dim)]);
        assert_eq!(words::<u32>(&got[0]), counts);
        assert_eq!(words::<f32>(&got[1]), sums);
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn averages_move_and_codewords_out_of_use_are_replaced() {
    let s = Search { items: 4, dim: 3, frames: 50, codewords: 600 };
    let mut noise = Noise::new(4);
    let (k, dim, n) = (s.codewords, s.dim, s.vectors());
    let z = noise.floats(n * dim);
    let vectors = rows(s, &z);
    let counts: Vec<u32> = (0..k).map(|i| (i * i % 5) as u32).collect();
    let (sums, mut codebook) = (noise.floats(k * dim), noise.floats(k * dim));
    let mut average_counts: Vec<f32> = noise.floats(k).into_iter().map(f32::abs).collect();
    average_counts[7] = 0.0;
    let mut average_sums = noise.floats(k * dim);
    let donors: Vec<u32> = (0..20).map(|i| (i * 37 % n) as u32).collect();
    let by = Average { keep: 0.9, take: 0.1, threshold: 0.2, donors: donors.len() };
    let outputs = [bytes(&average_counts), bytes(&average_sums), bytes(&codebook), room(k + 1)];
    let got = run(&nearest::average(s, by), &[bytes(&counts), bytes(&sums), bytes(&z), bytes(&donors)], &outputs);
    // as `stages` does it
    average_counts.iter_mut().zip(&counts).for_each(|(a, c)| *a = 0.9 * *a + 0.1 * *c as f32);
    average_sums.iter_mut().zip(&sums).for_each(|(a, s)| *a = 0.9 * *a + 0.1 * s);
    let dead: Vec<usize> = (0..k).filter(|i| average_counts[*i] < 0.2).collect();
    for (word, row) in dead.iter().zip(&donors) {
        average_counts[*word] = 0.4;
        for d in 0..dim {
            average_sums[word * dim + d] = vectors[*row as usize * dim + d] * 0.4;
        }
    }
    for i in (0..k * dim).filter(|i| average_counts[i / dim] > 0.0) {
        codebook[i] = average_sums[i] / average_counts[i / dim];
    }
    assert!(dead.len() > donors.len(), "{} out of use", dead.len());
    assert_eq!(words::<f32>(&got[0]), average_counts);
    assert_eq!(words::<f32>(&got[1]), average_sums);
    assert_eq!(words::<f32>(&got[2]), codebook);
    assert_eq!(words::<i32>(&got[3])[k] as usize, dead.len());
}
