//! Causal attention with relative positions, by loops that follow the definition, in f64.

use crate::plain::Noise;

/// One attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) size: usize,
    pub(crate) positions: usize,
    /// Distances with an embedding of their own.
    pub(crate) known: usize,
}

impl Case {
    pub(crate) fn shape(&self) -> [usize; 3] {
        [self.batch, self.heads * self.size, self.positions]
    }

    pub(crate) fn table(&self) -> [usize; 3] {
        [self.heads, self.known, self.size]
    }

    /// q, k, v, distances and the gradient of y; queries and keys in (-scale, scale).
    pub(crate) fn operands(&self, noise: &mut Noise, scale: f32) -> [Vec<f32>; 5] {
        let n = self.shape().iter().product();
        let mut floats = |n: usize, scale: f32| noise.floats(n).into_iter().map(|v| v * scale).collect::<Vec<_>>();
        let table = self.table().iter().product();
        [floats(n, scale), floats(n, scale), floats(n, 1.0), floats(table, 1.0), floats(n, 1.0)]
    }

    fn at(&self, item: usize, head: usize, channel: usize, position: usize) -> usize {
        ((item * self.heads + head) * self.size + channel) * self.positions + position
    }

    fn row(&self, head: usize, i: usize, j: usize) -> usize {
        (head * self.known + (i - j).min(self.known - 1)) * self.size
    }

    /// Of one query, the weights of all keys up to it, and what it sees.
    pub(crate) fn query(
        &self,
        [q, k, v, e, _]: &[Vec<f64>; 5],
        item: usize,
        head: usize,
        i: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let at = |c: usize, position: usize| self.at(item, head, c, position);
        let logit = |j: usize| {
            let term = |c: usize| q[at(c, i)] * (k[at(c, j)] + e[self.row(head, i, j) + c]);
            (0..self.size).map(term).sum::<f64>() / (self.size as f64).sqrt()
        };
        let logits: Vec<f64> = (0..=i).map(logit).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|l| (l - most).exp()).sum();
        let weights: Vec<f64> = logits.iter().map(|l| (l - most).exp() / sum).collect();
        let seen = |c: usize| weights.iter().enumerate().map(|(j, w)| w * v[at(c, j)]).sum();
        let y = (0..self.size).map(seen).collect();
        (weights, y)
    }

    /// y, dq, dk, dv and the gradient of distances.
    pub(crate) fn all(&self, operands: &[Vec<f64>; 5]) -> [Vec<f64>; 5] {
        let [q, k, v, e, g] = operands;
        let mut out = [q, q, k, v, e].map(|like| vec![0.0; like.len()]);
        let [y, dq, dk, dv, de] = &mut out;
        let scale = 1.0 / (self.size as f64).sqrt();
        for item in 0..self.batch {
            for head in 0..self.heads {
                let at = |c: usize, position: usize| self.at(item, head, c, position);
                for i in 0..self.positions {
                    let (weights, seen) = self.query(operands, item, head, i);
                    let own: f64 = seen.iter().enumerate().map(|(c, s)| s * g[at(c, i)]).sum();
                    for (c, s) in seen.iter().enumerate() {
                        y[at(c, i)] = *s;
                    }
                    for (j, w) in weights.iter().enumerate() {
                        let dw: f64 = (0..self.size).map(|c| g[at(c, i)] * v[at(c, j)]).sum();
                        let dl = w * (dw - own) * scale;
                        let row = self.row(head, i, j);
                        for c in 0..self.size {
                            dv[at(c, j)] += w * g[at(c, i)];
                            dq[at(c, i)] += dl * (k[at(c, j)] + e[row + c]);
                            dk[at(c, j)] += dl * q[at(c, i)];
                            de[row + c] += dl * q[at(c, i)];
                        }
                    }
                }
            }
        }
        out
    }
}
