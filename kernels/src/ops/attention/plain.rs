//! The plain twin: loops that follow the definition, in `f64`.

/// One attention, by its extents.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Items.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Channels of a head.
    pub size: usize,
    /// Positions.
    pub positions: usize,
    /// Distances with an embedding of their own.
    pub known: usize,
}

impl Case {
    /// The shape of queries, keys, values and result.
    pub fn shape(&self) -> [usize; 3] {
        [self.batch, self.heads * self.size, self.positions]
    }

    /// The shape of the embeddings of distances.
    pub fn table(&self) -> [usize; 3] {
        [self.heads, self.known, self.size]
    }

    fn at(&self, item: usize, head: usize, channel: usize, position: usize) -> usize {
        ((item * self.heads + head) * self.size + channel) * self.positions + position
    }

    fn row(&self, head: usize, i: usize, j: usize) -> usize {
        (head * self.known + (i - j).min(self.known - 1)) * self.size
    }

    /// Of one query, the weights of all keys up to it, and what it sees.
    pub fn query(&self, [q, k, v, e, _]: &[Vec<f64>; 5], item: usize, head: usize, i: usize) -> (Vec<f64>, Vec<f64>) {
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
    pub fn all(&self, operands: &[Vec<f64>; 5]) -> [Vec<f64>; 5] {
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
