//! Attention by single operations of the engine, with the matrix of all pairs in memory.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::AttentionGrads;

/// The heads of `[batch, channels, positions]` apart, `[batch, heads, size, positions]`.
fn split<B: Backend>(x: Tensor<B, 3>, heads: usize) -> Tensor<B, 4> {
    let [batch, channels, positions] = x.dims();
    x.reshape([batch, heads, channels / heads, positions])
}

/// One embedding for each distance that occurs, the farthest first, `[1, heads, size, positions]`.
fn table<B: Backend>(distances: Tensor<B, 3>, positions: usize) -> Tensor<B, 4> {
    let [heads, known, size] = distances.dims();
    let near = distances.clone().narrow(1, 0, known.min(positions));
    let all = match positions > known {
        true => {
            let last = distances.narrow(1, known - 1, 1).repeat(&[1, positions - known, 1]);
            Tensor::cat(vec![near, last], 1)
        }
        false => near,
    };
    all.flip([1]).swap_dims(1, 2).reshape([1, heads, size, positions])
}

/// The logits `[batch, heads, positions, positions]` of split operands; those ahead of the query are very low.
fn logits<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, table: Tensor<B, 4>) -> Tensor<B, 4> {
    let ([batch, heads, size, positions], device) = (q.dims(), q.device());
    let q = q.swap_dims(2, 3);
    // The skew: a column before the first moves row i by i + 1 places, which brings distance i - j under key j. What
    // comes to lie ahead of the query is masked below.
    let far = q.clone().matmul(table.repeat(&[batch, 1, 1, 1]));
    let gap = Tensor::zeros([batch, heads, positions, 1], &device);
    let far = Tensor::cat(vec![gap, far], 3).reshape([batch, heads, positions + 1, positions]);
    let far = far.narrow(2, 1, positions);
    let ahead = Tensor::<B, 2>::ones([positions, positions], &device).triu(1).reshape([1, 1, positions, positions]);
    (q.matmul(k) + far) / (size as f64).sqrt() + ahead * -1e9
}

/// What every position sees, and the logarithm of its sum of exponentials `[batch, heads, positions]`.
pub(super) fn forward<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    distances: Tensor<B, 3>,
) -> (Tensor<B, 3>, Tensor<B, 3>) {
    let ([batch, channels, positions], heads) = (q.dims(), distances.dims()[0]);
    let all = table(distances, positions);
    let logits = logits(split(q, heads), split(k, heads), all);
    let most = logits.clone().max_dim(3).detach();
    let weights = (logits - most.clone()).exp();
    let sums = weights.clone().sum_dim(3);
    let y = (weights / sums.clone()).matmul(split(v, heads).swap_dims(2, 3));
    (y.swap_dims(2, 3).reshape([batch, channels, positions]), (sums.log() + most).reshape([batch, heads, positions]))
}

/// All gradients.
pub(super) fn backward<B: Backend>(
    [q, k, v, distances]: [Tensor<B, 3>; 4],
    y: Tensor<B, 3>,
    sums: Tensor<B, 3>,
    dy: Tensor<B, 3>,
) -> AttentionGrads<Tensor<B, 3>> {
    let ([batch, channels, positions], [heads, known, size]) = (q.dims(), distances.dims());
    let device = q.device();
    let together = |x: Tensor<B, 4>| x.reshape([batch, channels, positions]);
    let all = table(distances, positions).repeat(&[batch, 1, 1, 1]);
    let (q, k, v) = (split(q, heads), split(k, heads), split(v, heads));
    let logits = logits(q.clone(), k.clone(), all.clone().narrow(0, 0, 1));
    let weights = (logits - sums.reshape([batch, heads, positions, 1])).exp();
    // both [batch, heads, positions, size]
    let (y, dy) = (split(y, heads).swap_dims(2, 3), split(dy, heads).swap_dims(2, 3));
    let dv = together(dy.clone().swap_dims(2, 3).matmul(weights.clone()));
    let own = (y * dy.clone()).sum_dim(3);
    let dl = weights * (dy.matmul(v) - own) / (size as f64).sqrt();
    let dk = together(q.clone().matmul(dl.clone()));
    // Back through the skew: what was masked is 0.
    let gap = Tensor::zeros([batch, heads, 1, positions], &device);
    let far = Tensor::cat(vec![gap, dl.clone()], 2).reshape([batch, heads, positions, positions + 1]);
    let far = far.narrow(3, 1, positions);
    let dq = together(k.matmul(dl.swap_dims(2, 3)) + all.matmul(far.clone().swap_dims(2, 3)));
    let all = q.matmul(far).sum_dim(0).reshape([heads, size, positions]).swap_dims(1, 2).flip([1]);
    let near = all.clone().narrow(1, 0, known.min(positions));
    let distances = if positions > known {
        let last = all.narrow(1, known - 1, positions + 1 - known).sum_dim(1);
        match known {
            1 => last,
            _ => Tensor::cat(vec![near.narrow(1, 0, known - 1), last], 1),
        }
    } else {
        let unseen = Tensor::zeros([heads, known - positions, size], &device);
        if known > positions { Tensor::cat(vec![near, unseen], 1) } else { near }
    };
    AttentionGrads { q: dq, k: dk, v: dv, distances }
}
