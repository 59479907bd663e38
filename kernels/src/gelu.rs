//! The quick Gaussian error linear unit `x * sigmoid(1.702 x)` as one operation (Hendrycks and Gimpel 2016).

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData, TensorMetadata, TensorPrimitive};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use crate::Kernels;
use crate::convolve::floats;
use crate::exp::{exp, sigmoid};
use crate::gather::filled;

/// What the unit multiplies its input by within the sigmoid.
const SLOPE: f32 = 1.702;

/// Floats of one unit of work.
const CHUNK: usize = 1 << 14;

/// The unit of an engine, for tensors of any shape. The defaults are the plain twin, made of single operations.
pub trait Gelu: Backend {
    /// `x * sigmoid(1.702 x)`.
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let gate = Self::sigmoid(Self::float_mul_scalar(x.clone(), SLOPE.into()));
        Self::float_mul(x, gate)
    }

    /// The gradient of x, from that of the result.
    fn quick_gelu_grad(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self> {
        let inner = Self::float_mul_scalar(x, SLOPE.into());
        let gate = Self::sigmoid(inner.clone());
        let rest = Self::float_add_scalar(Self::float_neg(gate.clone()), 1.0f32.into());
        let slope = Self::float_add_scalar(Self::float_mul(inner, rest), 1.0f32.into());
        Self::float_mul(dy, Self::float_mul(gate, slope))
    }
}

/// `x * sigmoid(1.702 x)`, with a gradient.
pub fn quick_gelu<B: Kernels, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(B::quick_gelu(x.into_primitive().tensor())))
}

#[inline(always)]
fn unit(x: f32) -> f32 {
    x * sigmoid(SLOPE * x)
}

/// [`quick_gelu`] of every float, in place.
pub fn quick_gelu_in_place(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v = unit(*v));
}

/// A tensor of x's shape, computed chunk by chunk: `f` is given where to, and the floats of both.
fn each(x: &FlexTensor, other: &FlexTensor, f: impl Fn(&mut [f32], &[f32], &[f32]) + Sync) -> FlexTensor {
    let (x, other) = (floats(x), floats(other));
    assert_eq!(x.shape(), other.shape(), "quick_gelu: shapes of input and gradient");
    let (from, other) = (x.storage::<f32>(), other.storage::<f32>());
    let work = from.par_chunks(CHUNK).zip(other.par_chunks(CHUNK)).enumerate();
    // SAFETY: the chunks cover every float, and each is written whole by its own thread.
    let out = unsafe {
        filled(from.len(), |to| {
            work.for_each(|(i, (x, other))| {
                f(core::slice::from_raw_parts_mut(to.at(i * CHUNK), x.len()), x, other);
            });
        })
    };
    FlexTensor::from_data(TensorData::new(out, x.shape()))
}

impl Gelu for Flex {
    fn quick_gelu(x: FlexTensor) -> FlexTensor {
        each(&x, &x, |to, x, _| to.iter_mut().zip(x).for_each(|(to, x)| *to = unit(*x)))
    }

    fn quick_gelu_grad(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        each(&x, &dy, |to, x, dy| {
            for (to, (x, dy)) in to.iter_mut().zip(x.iter().zip(dy)) {
                let inner = SLOPE * x;
                let e = exp(-inner);
                let gate = 1.0 / (1.0 + e);
                // `e * gate` is 1 - gate without the loss of digits
                *to = dy * (gate * inner.mul_add(e * gate, 1.0));
            }
        })
    }
}

/// The step back through the unit.
#[derive(Debug)]
struct Step;

impl<B: Kernels> Backward<B, 1> for Step {
    /// x on the graph.
    type State = NodeId;

    fn backward(self, ops: Ops<NodeId, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(ops.state);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::quick_gelu_grad(x, dy));
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Gelu for Autodiff<B, C> {
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match Backward::<B, 1>::prepare::<C>(Step, [x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = prep.checkpoint(&x);
                prep.finish(saved, B::quick_gelu(x.primitive))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::quick_gelu(x.primitive)),
        }
    }
}
