//! The operations of a Transformer block, made of the engine's own.
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Int, Tensor};
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
    // The distance of each query to each key; those ahead of it are masked below.
    let at = |i: usize, j: usize| i.saturating_sub(j).min(known - 1);
    let index: Vec<i32> = (0..positions * positions).map(|n| at(n / positions, n % positions) as i32).collect();
    let index = Tensor::<B, 1, Int>::from_ints(index.as_slice(), &device);
    let index = index.reshape([1, 1, positions, positions]).repeat(&[batch, heads, 1, 1]);
    let far = q.clone().matmul(distances.swap_dims(1, 2).reshape([1, heads, size, known]).repeat(&[batch, 1, 1, 1]));
    let logits = (q.matmul(k) + far.gather(3, index)) / (size as f64).sqrt();
    let ahead = Tensor::<B, 2>::ones([positions, positions], &device).triu(1).reshape([1, 1, positions, positions]);
    let weights = softmax(logits + ahead * -1e9, 3);
    weights.matmul(v).swap_dims(2, 3).reshape([batch, channels, positions])
}
