//! Causal self-attention with relative positions as one operation, after Music Transformer (Huang et al. 2018).
//!
//! `y_i = sum over j <= i of softmax_j(q_i . (k_j + e_(i - j)) / sqrt(size)) v_j`, where distances beyond the last of
//! the table are clipped to it. The matrix of all pairs is never in memory: a tile of queries goes over the tiles of
//! keys before it with a running maximum (Dao et al. 2022), and of the weights only the logarithm of each query's sum
//! is kept for the way back. Memory is linear in the positions.

mod backward;
mod forward;
mod plain;
mod tile;

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
use crate::simd::Level;
use tile::Shape;

/// Gradients of attention's operands, each of its operand's shape.
#[derive(Clone, Debug)]
pub struct AttentionGrads<T> {
    /// Of the queries.
    pub q: T,
    /// Of the keys.
    pub k: T,
    /// Of the values.
    pub v: T,
    /// Of the embeddings of distances.
    pub distances: T,
}

/// Attention of an engine: q, k and v are `[batch, channels, positions]`, distances `[heads, distances, channels /
/// heads]`. The defaults are the plain twin, made of single operations with the whole matrix in memory: what a backend
/// without a fused kernel runs, and what gradients of gradients go through.
pub trait Attention: Backend {
    /// What every position sees, `[batch, channels, positions]`.
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        distances: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::attend_kept(q, k, v, distances).0
    }

    /// The same, and the logarithm of each query's sum of exponentials `[batch, heads, positions]`.
    fn attend_kept(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        distances: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [q, k, v, distances] = [q, k, v, distances].map(cube::<Self>);
        let (y, sums) = plain::forward(q, k, v, distances);
        (primitive(y), primitive(sums))
    }

    /// All gradients, from the gradient `dy` of the result `y` and the logarithms that were kept.
    fn attend_grads(
        operands: [FloatTensor<Self>; 4],
        y: FloatTensor<Self>,
        sums: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> AttentionGrads<FloatTensor<Self>> {
        let [y, sums, dy] = [y, sums, dy].map(cube::<Self>);
        let g = plain::backward(operands.map(cube::<Self>), y, sums, dy);
        AttentionGrads { q: primitive(g.q), k: primitive(g.k), v: primitive(g.v), distances: primitive(g.distances) }
    }
}

fn cube<B: Backend>(t: FloatTensor<B>) -> Tensor<B, 3> {
    Tensor::from_primitive(TensorPrimitive::Float(t))
}

fn primitive<B: Backend>(t: Tensor<B, 3>) -> FloatTensor<B> {
    t.into_primitive().tensor()
}

/// Causal attention with relative positions and a gradient: q, k and v `[batch, channels, positions]`, distances
/// `[heads, distances, channels / heads]`, the embedding of distance 0 first; farther ones than the last share it.
///
/// A position's result depends on itself and the positions before it alone, so neither the batch nor the thread count
/// changes a bit.
///
/// # Panics
/// If the shapes do not fit each other, or there is no head or no distance.
pub fn relative_attention<B: Kernels>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    distances: Tensor<B, 3>,
) -> Tensor<B, 3> {
    let [q, k, v, distances] = [q, k, v, distances].map(primitive);
    cube::<B>(B::attend(q, k, v, distances))
}

/// The same by single operations, with the matrix of all pairs in memory: the plain twin of [`relative_attention`].
pub fn relative_attention_plain<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    distances: Tensor<B, 3>,
) -> Tensor<B, 3> {
    plain::forward(q, k, v, distances).0
}

/// The shape of four operands, checked.
fn shape(q: &FlexTensor, k: &FlexTensor, v: &FlexTensor, distances: &FlexTensor) -> Shape {
    let ([batch, channels, positions], [heads, known, size]) = (dims(q), dims(distances));
    assert_eq!(dims(k), dims(q), "attention: shapes of queries and keys");
    assert_eq!(dims(v), dims(q), "attention: shapes of queries and values");
    assert_eq!(heads * size, channels, "attention: {heads} heads of {size} for {channels} channels");
    assert!(known > 0, "attention: no distance has an embedding");
    Shape::new(batch, heads, size, positions, known)
}

impl Attention for Flex {
    fn attend_kept(q: FlexTensor, k: FlexTensor, v: FlexTensor, distances: FlexTensor) -> (FlexTensor, FlexTensor) {
        let [q, k, v, e] = [q, k, v, distances].map(|t| floats(&t));
        let s = shape(&q, &k, &v, &e);
        let (y, sums) = s.forward(Level::detect(), q.storage(), k.storage(), v.storage(), e.storage());
        (tensor(y, dims(&q)), tensor(sums, [s.batch, s.heads, s.positions]))
    }

    fn attend_grads(
        operands: [FlexTensor; 4],
        y: FlexTensor,
        sums: FlexTensor,
        dy: FlexTensor,
    ) -> AttentionGrads<FlexTensor> {
        let [q, k, v, e] = operands.map(|t| floats(&t));
        let [y, sums, dy] = [y, sums, dy].map(|t| floats(&t));
        let s = shape(&q, &k, &v, &e);
        let saved = [y.storage(), sums.storage(), dy.storage()];
        let g = s.backward(Level::detect(), [q.storage(), k.storage(), v.storage(), e.storage()], saved);
        AttentionGrads {
            q: tensor(g.q, dims(&q)),
            k: tensor(g.k, dims(&q)),
            v: tensor(g.v, dims(&q)),
            distances: tensor(g.distances, dims(&e)),
        }
    }
}

/// The step back through attention.
#[derive(Debug)]
struct Step;

impl<B: Kernels> Backward<B, 4> for Step {
    /// The operands on the graph, the result, and the logarithms of its sums.
    type State = ([NodeId; 4], [FloatTensor<B>; 2]);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (operands, [y, sums]) = ops.state;
        let operands = operands.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let g = B::attend_grads(operands, y, sums, dy);
        for (parent, d) in ops.parents.into_iter().zip([g.q, g.k, g.v, g.distances]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, d);
            }
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Attention for Autodiff<B, C> {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        distances: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [&q, &k, &v, &distances].map(|t| t.node.clone());
        match Backward::<B, 4>::prepare::<C>(Step, nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let operands = [&q, &k, &v, &distances].map(|t| prep.checkpoint(t));
                let (y, sums) = B::attend_kept(q.primitive, k.primitive, v.primitive, distances.primitive);
                prep.finish((operands, [y.clone(), sums]), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::attend(q.primitive, k.primitive, v.primitive, distances.primitive))
            }
        }
    }
}
