//! The operations of a Transformer block, made of the engine's own.
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softmax};
use kernels::Kernels;

/// Layer normalisation over the channels of `[batch, channels, positions]` (Ba et al. 2016).
pub(super) fn layer_norm<B: Kernels>(x: Tensor<B, 3>, gain: Tensor<B, 1>, bias: Tensor<B, 1>) -> Tensor<B, 3> {
    let channels = gain.dims()[0];
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    let normed = centred / (variance + 1e-5).sqrt();
    normed * gain.reshape([1, channels, 1]) + bias.reshape([1, channels, 1])
}

/// `x * sigmoid(1.702 x)` (Hendrycks and Gimpel 2016).
pub(super) fn quick_gelu<B: Kernels>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    x.clone() * sigmoid(x * 1.702)
}

/// Causal attention of `[batch, channels, positions]` with relative positions (Huang et al. 2018): distances are
/// `[heads, distances, channels / heads]`, and those beyond the last are clipped to it.
pub(super) fn relative_attention<B: Kernels>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    distances: Tensor<B, 3>,
) -> Tensor<B, 3> {
    let [batch, channels, positions] = q.dims();
    let [heads, known, size] = distances.dims();
    let device = q.device();
    let split = |x: Tensor<B, 3>| x.reshape([batch, heads, size, positions]);
    let (q, k, v) = (split(q).swap_dims(2, 3), split(k), split(v).swap_dims(2, 3));
    // One embedding for each distance that occurs, the farthest first: those beyond the last known one share it.
    let near = distances.clone().narrow(1, 0, known.min(positions));
    let all = match positions > known {
        true => {
            let last = distances.narrow(1, known - 1, 1).repeat(&[1, positions - known, 1]);
            Tensor::cat(vec![near, last], 1)
        }
        false => near,
    };
    let all = all.flip([1]).swap_dims(1, 2).reshape([1, heads, size, positions]);
    // The skew: a column before the first moves row i by i + 1 places, which brings distance i - j under key j. What
    // comes to lie ahead of the query is masked below.
    let far = q.clone().matmul(all.repeat(&[batch, 1, 1, 1]));
    let gap = Tensor::zeros([batch, heads, positions, 1], &device);
    let far = Tensor::cat(vec![gap, far], 3).reshape([batch, heads, positions + 1, positions]);
    let far = far.narrow(2, 1, positions);
    let logits = (q.matmul(k) + far) / (size as f64).sqrt();
    let ahead = Tensor::<B, 2>::ones([positions, positions], &device).triu(1).reshape([1, 1, positions, positions]);
    let weights = softmax(logits + ahead * -1e9, 3);
    weights.matmul(v).swap_dims(2, 3).reshape([batch, channels, positions])
}
