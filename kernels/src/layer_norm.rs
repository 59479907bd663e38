//! Layer normalisation over channels as one operation (Ba et al. 2016).
//!
//! Positions are the innermost axis, so means and variances are sums of rows, many positions at once. For the way back
//! the mean and the reciprocal deviation of every position are kept.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::{Flex, FlexTensor};

use crate::Kernels;
use crate::convolve::{dims, floats, tensor};
use crate::gather::{Tiles, filled, row_sum};

/// Positions of one tile.
const TILE: usize = 256;

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// Gradients of a normalisation's input and parameters.
#[derive(Clone, Debug)]
pub struct LayerNormGrads<T> {
    /// Of x `[batch, channels, positions]`.
    pub x: T,
    /// Of the gain `[channels]`.
    pub gain: T,
    /// Of the bias `[channels]`.
    pub bias: T,
}

/// Layer normalisation of an engine: x `[batch, channels, positions]`, gain and bias `[channels]`. The defaults are the
/// plain twin, made of single operations.
pub trait LayerNorm: Backend {
    /// x with mean 0 and variance 1 over the channels, times the gain, plus the bias.
    fn normalise(x: FloatTensor<Self>, gain: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::normalise_kept(x, gain, bias).0
    }

    /// The same, and the mean and the reciprocal deviation of every position, `[batch, 2, positions]`.
    fn normalise_kept(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (x, gain, bias) = (wrap::<Self, 3>(x), wrap::<Self, 1>(gain), wrap::<Self, 1>(bias));
        let channels = gain.dims()[0];
        let mean = x.clone().mean_dim(1);
        let centred = x - mean.clone();
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        let scale = (variance + EPSILON).sqrt().recip();
        let y = centred * scale.clone() * gain.reshape([1, channels, 1]) + bias.reshape([1, channels, 1]);
        (unwrap(y), unwrap(Tensor::cat(vec![mean, scale], 1)))
    }

    /// All gradients, from x, the gain, what was kept, and the gradient `dy` of the result.
    fn normalise_grads(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> LayerNormGrads<FloatTensor<Self>> {
        let (x, gain, kept) = (wrap::<Self, 3>(x), wrap::<Self, 1>(gain), wrap::<Self, 3>(kept));
        let (dy, channels) = (wrap::<Self, 3>(dy), gain.dims()[0]);
        let (mean, scale) = (kept.clone().narrow(1, 0, 1), kept.narrow(1, 1, 1));
        let normed = (x - mean) * scale.clone();
        let towards = dy.clone() * gain.reshape([1, channels, 1]);
        let along = (towards.clone() * normed.clone()).mean_dim(1);
        let dx = (towards.clone() - towards.mean_dim(1) - normed.clone() * along) * scale;
        let sums = |t: Tensor<Self, 3>| unwrap(t.sum_dim(2).sum_dim(0).reshape([channels]));
        LayerNormGrads { x: unwrap(dx), gain: sums(dy.clone() * normed), bias: sums(dy) }
    }
}

fn wrap<B: Backend, const D: usize>(t: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(t))
}

fn unwrap<B: Backend, const D: usize>(t: Tensor<B, D>) -> FloatTensor<B> {
    t.into_primitive().tensor()
}

/// `(x - mean) / sqrt(variance + 1e-5) * gain + bias` over the channels of x `[batch, channels, positions]`, with a
/// gradient; gain and bias are `[channels]`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn layer_norm<B: Kernels>(x: Tensor<B, 3>, gain: Tensor<B, 1>, bias: Tensor<B, 1>) -> Tensor<B, 3> {
    wrap::<B, 3>(B::normalise(unwrap(x), unwrap(gain), unwrap(bias)))
}

/// Rows of one tile, from `first` on: the channels of an item.
fn rows(x: &[f32], positions: usize, first: usize, n: usize) -> impl Iterator<Item = &[f32]> {
    x.chunks_exact(positions).map(move |row| &row[first..][..n])
}

/// y and, of every position, mean and reciprocal deviation `[batch, 2, positions]`.
fn forward(x: &[f32], gain: &[f32], bias: &[f32], [batch, channels, positions]: [usize; 3]) -> (Vec<f32>, Vec<f32>) {
    let size = channels * positions;
    assert!(x.len() == batch * size && gain.len() == channels && bias.len() == channels);
    let tiles = Tiles { items: batch, frames: positions, tile: TILE };
    let mut kept = Vec::new();
    // SAFETY: the tiles cover every position of every item; each writes all channels of its own positions, and their
    // means and deviations.
    let y = unsafe {
        filled(batch * size, |y| {
            kept = filled(2 * batch * positions, |kept| {
                tiles.each(|item, first, n, [mean, scale, ..]| {
                    let x = &x[item * size..][..size];
                    moments(x, channels, positions, first, n, mean, scale);
                    for (i, v) in [&*mean, scale].into_iter().enumerate() {
                        let to = kept.at((2 * item + i) * positions + first);
                        core::ptr::copy_nonoverlapping(v.as_ptr(), to, n);
                    }
                    for (c, row) in rows(x, positions, first, n).enumerate() {
                        let to = core::slice::from_raw_parts_mut(y.at(item * size + c * positions + first), n);
                        for ((to, v), (mean, scale)) in to.iter_mut().zip(row).zip(mean.iter().zip(&*scale)) {
                            *to = ((v - mean) * scale).mul_add(gain[c], bias[c]);
                        }
                    }
                });
            })
        })
    };
    (y, kept)
}

/// Mean and reciprocal deviation of `n` positions; the sums run over the channels in order.
fn moments(
    x: &[f32],
    channels: usize,
    positions: usize,
    first: usize,
    n: usize,
    mean: &mut Vec<f32>,
    scale: &mut Vec<f32>,
) {
    for v in [&mut *mean, scale] {
        v.clear();
        v.resize(n, 0.0);
    }
    let share = 1.0 / channels as f32;
    for row in rows(x, positions, first, n) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m *= share);
    for row in rows(x, positions, first, n) {
        for ((s, v), m) in scale.iter_mut().zip(row).zip(&*mean) {
            *s = (v - m).mul_add(v - m, *s);
        }
    }
    scale.iter_mut().for_each(|s| *s = 1.0 / s.mul_add(share, EPSILON).sqrt());
}

/// Gradients from x, the gain, what was kept, and the gradient of the result.
fn backward(
    x: &[f32],
    gain: &[f32],
    kept: &[f32],
    dy: &[f32],
    [batch, channels, positions]: [usize; 3],
) -> LayerNormGrads<Vec<f32>> {
    let size = channels * positions;
    assert!(x.len() == batch * size && dy.len() == batch * size && gain.len() == channels);
    assert_eq!(kept.len(), 2 * batch * positions);
    let tiles = Tiles { items: batch, frames: positions, tile: TILE };
    let share = 1.0 / channels as f32;
    let mut sums = Vec::new();
    // SAFETY: the tiles cover every position of every item, and each writes all channels of its own positions.
    let dx = unsafe {
        filled(batch * size, |dx| {
            sums = tiles.sum(2 * channels, |item, first, n, [flat, along, normed, _], sums| {
                let (x, dy) = (&x[item * size..][..size], &dy[item * size..][..size]);
                let [mean, scale] = [0, 1].map(|i| &kept[(2 * item + i) * positions + first..][..n]);
                for v in [&mut *flat, along] {
                    v.clear();
                    v.resize(n, 0.0);
                }
                normed.resize(n, 0.0);
                let (gains, biases) = sums.split_at_mut(channels);
                for (c, (x, dy)) in rows(x, positions, first, n).zip(rows(dy, positions, first, n)).enumerate() {
                    for ((h, x), (mean, scale)) in normed.iter_mut().zip(x).zip(mean.iter().zip(scale)) {
                        *h = (x - mean) * scale;
                    }
                    for ((h, dy), (flat, along)) in normed.iter_mut().zip(dy).zip(flat.iter_mut().zip(along.iter_mut()))
                    {
                        let g = dy * gain[c];
                        *flat += g;
                        *along = g.mul_add(*h, *along);
                        *h *= dy;
                    }
                    gains[c] += row_sum(&normed[..n]);
                    biases[c] += row_sum(dy);
                }
                flat.iter_mut().chain(along.iter_mut()).for_each(|v| *v *= share);
                for (c, (x, dy)) in rows(x, positions, first, n).zip(rows(dy, positions, first, n)).enumerate() {
                    let to = core::slice::from_raw_parts_mut(dx.at(item * size + c * positions + first), n);
                    let of_position = mean.iter().zip(scale).zip(flat.iter().zip(&*along));
                    for ((to, (x, dy)), ((mean, scale), (flat, along))) in
                        to.iter_mut().zip(x.iter().zip(dy)).zip(of_position)
                    {
                        let h = (x - mean) * scale;
                        *to = (dy * gain[c] - flat - h * along) * scale;
                    }
                }
            });
        })
    };
    let bias = sums.split_off(channels);
    LayerNormGrads { x: dx, gain: sums, bias }
}

impl LayerNorm for Flex {
    fn normalise_kept(x: FlexTensor, gain: FlexTensor, bias: FlexTensor) -> (FlexTensor, FlexTensor) {
        let [x, gain, bias] = [x, gain, bias].map(|t| floats(&t));
        let shape = dims(&x);
        let (y, kept) = forward(x.storage(), gain.storage(), bias.storage(), shape);
        (tensor(y, shape), tensor(kept, [shape[0], 2, shape[2]]))
    }

    fn normalise_grads(
        x: FlexTensor,
        gain: FlexTensor,
        kept: FlexTensor,
        dy: FlexTensor,
    ) -> LayerNormGrads<FlexTensor> {
        let [x, gain, kept, dy] = [x, gain, kept, dy].map(|t| floats(&t));
        let shape = dims(&x);
        let g = backward(x.storage(), gain.storage(), kept.storage(), dy.storage(), shape);
        LayerNormGrads { x: tensor(g.x, shape), gain: tensor(g.gain, [shape[1]]), bias: tensor(g.bias, [shape[1]]) }
    }
}

/// The step back through a normalisation.
#[derive(Debug)]
struct Step;

impl<B: Kernels> Backward<B, 3> for Step {
    /// x and the gain on the graph; the moments.
    type State = ([NodeId; 2], FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (saved, kept) = ops.state;
        let [x, gain] = saved.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let g = B::normalise_grads(x, gain, kept, dy);
        for (parent, d) in ops.parents.into_iter().zip([g.x, g.gain, g.bias]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, d);
            }
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> LayerNorm for Autodiff<B, C> {
    fn normalise(x: FloatTensor<Self>, gain: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [&x, &gain, &bias].map(|t| t.node.clone());
        match Backward::<B, 3>::prepare::<C>(Step, nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&gain)];
                let (y, kept) = B::normalise_kept(x.primitive, gain.primitive, bias.primitive);
                prep.finish((saved, kept), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::normalise(x.primitive, gain.primitive, bias.primitive)),
        }
    }
}
