//! A codebook learned by exponential moving averages (van den Oord et al. 2017, appendix A.1), with revival.
use kernels::ops::nearest::accumulate;

use super::quantise::{nearest_in_parts, parts};
use super::random::Random;

/// How a codebook is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    /// The share of a count or sum that one step keeps.
    pub(crate) decay: f64,
    /// A codeword whose average count per step is under this share of `vectors / codewords` is revived.
    ///
    /// Relative, because an absolute threshold (Jukebox's is 1) revives nearly every codeword at each step when a step has
    /// fewer vectors than a large cluster's.
    pub(crate) revival: f64,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Two to the power of the entropy of the codes, in codewords.
    pub(crate) perplexity: f64,
    /// Codewords that were the nearest to a vector at least once.
    pub(crate) used: usize,
    /// Codewords replaced by a vector of this step.
    pub(crate) revived: usize,
}

/// Codewords and the averages that they are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Codebook {
    pub(crate) dim: usize,
    /// `[codewords, dim]`: `sums / counts`.
    pub(crate) centres: Vec<f32>,
    /// Average number of vectors per step, `[codewords]`.
    pub(crate) counts: Vec<f32>,
    /// Average sum of vectors per step, `[codewords, dim]`.
    pub(crate) sums: Vec<f32>,
}

impl Codebook {
    /// Parts of the work of [`Codebook::from_data`] with so many rows: equal shares of each pass over them.
    pub(crate) fn parts(rows: usize, dim: usize, codewords: usize, iterations: usize) -> usize {
        parts(rows, codewords * dim) * (iterations + 1)
    }

    /// Codewords drawn from `rows` (`[n, dim]`, not empty), moved `iterations` times to the means of their vectors
    /// (Lloyd's k-means), with counts as for steps of `per_step` vectors. Asks before each part whether to `go_on`, with
    /// the number of parts done; `None` where not.
    ///
    /// With fewer rows than codewords, rows are repeated with noise of 0.01 / sqrt(dim) times their scale.
    pub(crate) fn from_data(
        rows: &[f32],
        dim: usize,
        (codewords, iterations): (usize, usize),
        per_step: usize,
        random: &mut Random,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Option<Self> {
        let n = rows.len() / dim;
        let order = random.distinct(n, n);
        let scale = (rows.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / rows.len() as f64).sqrt();
        let noise = 0.01 / (dim as f64).sqrt() * scale;
        let mut centres = Vec::with_capacity(codewords * dim);
        for i in 0..codewords {
            let row = &rows[order[i % n] * dim..][..dim];
            let first = i < n;
            centres.extend(row.iter().map(|v| if first { *v } else { v + (noise * random.normal()) as f32 }));
        }
        let parts = parts(n, codewords * dim);
        for pass in 0..iterations {
            let codes = nearest_in_parts(rows, &centres, dim, &|part| go_on(pass * parts + part))?;
            let (counts, sums) = accumulate(rows, &codes, codewords, dim);
            let mut spare = random.distinct(codewords, n).into_iter();
            for ((centre, sum), count) in centres.chunks_mut(dim).zip(sums.chunks(dim)).zip(&counts) {
                if *count > 0 {
                    centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / *count as f32);
                } else if let Some(row) = spare.next() {
                    centre.copy_from_slice(&rows[row * dim..][..dim]);
                }
            }
        }
        let codes = nearest_in_parts(rows, &centres, dim, &|part| go_on(iterations * parts + part))?;
        let (counts, _) = accumulate(rows, &codes, codewords, dim);
        let share = per_step as f32 / n as f32;
        // At least what one vector in `n` gives, so that no count is zero.
        let counts: Vec<f32> = counts.iter().map(|c| (*c).max(1) as f32 * share).collect();
        let sums = centres.chunks(dim).zip(&counts).flat_map(|(c, n)| c.iter().map(move |v| v * n)).collect();
        Some(Self { dim, centres, counts, sums })
    }

    /// Moves the codewords towards the vectors `rows` (`[n, dim]`) whose `codes` they are, and revives those out of use.
    pub(crate) fn update(&mut self, rows: &[f32], codes: &[u32], rule: Rule, random: &mut Random) -> Usage {
        let (dim, codewords) = (self.dim, self.counts.len());
        let n = codes.len();
        let (counts, sums) = accumulate(rows, codes, codewords, dim);
        let (keep, take) = (rule.decay as f32, (1.0 - rule.decay) as f32);
        for (average, count) in self.counts.iter_mut().zip(&counts) {
            *average = keep * *average + take * *count as f32;
        }
        for (average, sum) in self.sums.iter_mut().zip(&sums) {
            *average = keep * *average + take * sum;
        }
        let threshold = (rule.revival * n as f64 / codewords as f64) as f32;
        let dead: Vec<usize> = (0..codewords).filter(|i| self.counts[*i] < threshold).collect();
        let donors = random.distinct(dead.len(), n);
        for (word, row) in dead.iter().zip(&donors) {
            // Count and sum as well: with the old ones the next step would undo the move.
            let count = 2.0 * threshold;
            self.counts[*word] = count;
            for (sum, v) in self.sums[word * dim..][..dim].iter_mut().zip(&rows[row * dim..][..dim]) {
                *sum = v * count;
            }
        }
        for ((centre, sum), count) in self.centres.chunks_mut(dim).zip(self.sums.chunks(dim)).zip(&self.counts) {
            if *count > 0.0 {
                centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / count);
            }
        }
        let mut entropy = 0.0;
        for p in counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n as f64) {
            entropy -= p * libm::log2(p);
        }
        Usage {
            perplexity: libm::exp2(entropy),
            used: counts.iter().filter(|c| **c > 0).count(),
            revived: donors.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { decay: 0.5, revival: 0.1 };

    #[test]
    fn initial_averages_agree_with_the_centres() {
        let rows: Vec<f32> = (0..40).map(|i| (i % 7) as f32).collect();
        let mut random = Random::new(&[1; 32], "test", 0);
        for codewords in [4, 50] {
            let asked = std::cell::Cell::new(0);
            let go_on = |part| part == asked.replace(part + 1);
            let book = Codebook::from_data(&rows, 2, (codewords, 3), 5, &mut random, &go_on).expect("a codebook");
            assert_eq!(asked.get(), Codebook::parts(20, 2, codewords, 3), "every part in turn");
            let stopped = Codebook::from_data(&rows, 2, (codewords, 3), 5, &mut random, &|part| part < 2);
            assert_eq!(stopped, None);
            assert_eq!(book.counts.len(), codewords);
            assert!(book.counts.iter().all(|c| *c > 0.0));
            for i in 0..codewords * 2 {
                assert!((book.centres[i] * book.counts[i / 2] - book.sums[i]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn used_words_move_to_their_vectors_and_dead_ones_are_revived_for_good() {
        let mut book = Codebook { dim: 1, centres: vec![0.0, 100.0], counts: vec![1.0, 1e-3], sums: vec![0.0, 0.1] };
        let mut random = Random::new(&[1; 32], "test", 0);
        let rows = [2.0, 2.0, 2.0, 2.0];
        let usage = book.update(&rows, &[0; 4], RULE, &mut random);
        // Average count 2.5 and sum 4; the dead word becomes a vector of the step.
        assert!((book.centres[0] - 1.6).abs() < 1e-6, "{:?}", book.centres);
        assert_eq!((book.centres[1], usage.revived, usage.used), (2.0, 1, 1));
        assert!((usage.perplexity - 1.0).abs() < 1e-12);
        // One step without use is not enough to lose it again, nor does its old sum come back.
        let usage = book.update(&rows, &[0; 4], RULE, &mut random);
        assert_eq!((usage.revived, book.centres[1]), (0, 2.0));
    }
}
