//! The convolutions as operations of the tensor engine, with gradients of any order.
//!
//! A convolution without bias is linear in x and in w. Paired with a gradient of its output it is a form linear in
//! three arguments, `<dy, convolve(x, w)>`; its three partial derivatives are [`Convolve::convolve`],
//! [`Convolve::convolve_transposed`] and [`Convolve::convolve_weights`], and the gradient of each of these is made
//! of the other two.

use burn::tensor::TensorMetadata;
use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, FloatTensorOps};
use burn::tensor::{DType, TensorData};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::{Flex, FlexTensor};

use crate::simd::Level;
use crate::{Kernels, conv_transpose1d, conv1d};

/// How the frames of a kernel lie on the frames of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Input frames from an output to the next, at least 1.
    pub stride: usize,
    /// Zeros before the first and after the last input frame.
    pub padding: usize,
    /// Input frames from a tap to the next, at least 1.
    pub dilation: usize,
}

/// Everything that describes one convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) frames: usize,
    pub(crate) outputs: usize,
    pub(crate) taps: usize,
    pub(crate) geometry: Geometry,
}

impl Shape {
    /// Checked: the kernel fits the padded input, and nothing is 0 that must not be.
    fn new(batch: usize, inputs: usize, frames: usize, outputs: usize, taps: usize, geometry: Geometry) -> Self {
        let Geometry { stride, padding, dilation } = geometry;
        assert!(stride > 0 && dilation > 0 && taps > 0, "convolution: stride, dilation and taps must be positive");
        assert!(
            frames + 2 * padding > dilation * (taps - 1),
            "convolution: {taps} taps of dilation {dilation} do not fit {frames} frames padded by {padding}"
        );
        Self { batch, inputs, frames, outputs, taps, geometry }
    }

    /// Frames of the convolution's output.
    pub(crate) fn frames_out(&self) -> usize {
        let Geometry { stride, padding, dilation } = self.geometry;
        (self.frames + 2 * padding - dilation * (self.taps - 1) - 1) / stride + 1
    }
}

/// Convolutions of an engine: x `[batch, in, frames]`, w `[out, in, taps]`, y `[batch, out, frames out]`.
pub trait Convolve: Backend {
    /// y from x; `bias` is `[out]`.
    fn convolve(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;

    /// The adjoint: x of `frames` frames from y; `bias` is `[in]`.
    fn convolve_transposed(
        y: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        frames: usize,
        geometry: Geometry,
    ) -> FloatTensor<Self>;

    /// The gradients of w and of the bias `[out]`, from x and the gradient of y.
    fn convolve_weights(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        taps: usize,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// `[batch, channels, frames]` summed to `[channels]`.
    fn channel_sums(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The three extents of a tensor of rank 3.
pub(crate) fn dims<T: TensorMetadata>(t: &T) -> [usize; 3] {
    let s = t.shape();
    assert_eq!(s.num_dims(), 3, "expected [batch, channels, frames], found {s:?}");
    [s[0], s[1], s[2]]
}

/// The floats of a tensor, in order.
pub(crate) fn floats(t: &FlexTensor) -> FlexTensor {
    assert_eq!(t.dtype(), DType::F32, "these kernels compute in f32");
    t.to_contiguous()
}

/// A tensor that owns `v`.
pub(crate) fn tensor<const D: usize>(v: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(v, shape))
}

impl Convolve for Flex {
    fn convolve(x: FlexTensor, w: FlexTensor, bias: Option<FlexTensor>, geometry: Geometry) -> FlexTensor {
        let (x, w, bias) = (floats(&x), floats(&w), bias.as_ref().map(floats));
        let ([batch, inputs, frames], [outputs, wi, taps]) = (dims(&x), dims(&w));
        assert_eq!(inputs, wi, "conv1d: channels of input and weight");
        let s = Shape::new(batch, inputs, frames, outputs, taps, geometry);
        let y = conv1d::forward(Level::detect(), x.storage(), w.storage(), bias.as_ref().map(|b| b.storage()), s);
        tensor(y, [batch, outputs, s.frames_out()])
    }

    fn convolve_transposed(
        y: FlexTensor,
        w: FlexTensor,
        bias: Option<FlexTensor>,
        frames: usize,
        geometry: Geometry,
    ) -> FlexTensor {
        let (y, w, bias) = (floats(&y), floats(&w), bias.as_ref().map(floats));
        let ([batch, outputs, n], [wo, inputs, taps]) = (dims(&y), dims(&w));
        assert_eq!(outputs, wo, "conv_transpose1d: channels of input and weight");
        let s = Shape::new(batch, inputs, frames, outputs, taps, geometry);
        assert_eq!(n, s.frames_out(), "conv_transpose1d: frames");
        let x =
            conv_transpose1d::adjoint(Level::detect(), y.storage(), w.storage(), bias.as_ref().map(|b| b.storage()), s);
        tensor(x, [batch, inputs, frames])
    }

    fn convolve_weights(x: FlexTensor, dy: FlexTensor, taps: usize, geometry: Geometry) -> (FlexTensor, FlexTensor) {
        let (x, dy) = (floats(&x), floats(&dy));
        let ([batch, inputs, frames], [_, outputs, n]) = (dims(&x), dims(&dy));
        let s = Shape::new(batch, inputs, frames, outputs, taps, geometry);
        assert_eq!(n, s.frames_out(), "conv1d: frames of the gradient");
        let (dw, db) = conv1d::weight_grad(Level::detect(), x.storage(), dy.storage(), s);
        (tensor(dw, [outputs, inputs, taps]), tensor(db, [outputs]))
    }

    fn channel_sums(x: FlexTensor) -> FlexTensor {
        let x = floats(&x);
        let s = dims(&x);
        tensor(conv_transpose1d::channel_sums(x.storage(), s), [s[1]])
    }
}

/// Which derivative of the form a node of the graph is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Forward,
    Transposed,
    Weights,
}

/// The step back through one of the three.
#[derive(Debug)]
struct Trilinear;

#[derive(Clone, Debug)]
struct Saved {
    kind: Kind,
    operands: [NodeId; 2],
    geometry: Geometry,
}

impl<B: Kernels, const N: usize> Backward<B, N> for Trilinear {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let Saved { kind, operands, geometry } = ops.state;
        let [a, b] = operands.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let wanted = |i: usize| ops.parents.get(i).and_then(Option::as_ref).map(|n| n.id);
        let (frames, taps) = (dims(&a)[2], dims(&b)[2]);
        if let Some(id) = wanted(0) {
            let d = match kind {
                Kind::Forward => B::convolve_transposed(g.clone(), b, None, frames, geometry),
                Kind::Transposed => B::convolve(g.clone(), b, None, geometry),
                Kind::Weights => B::convolve_transposed(b, g.clone(), None, frames, geometry),
            };
            grads.register::<B>(id, d);
        }
        let (second, third) = (wanted(1), wanted(2));
        let (d, bias) = match kind {
            Kind::Forward if second.is_some() || third.is_some() => {
                let (d, bias) = B::convolve_weights(a, g, taps, geometry);
                (Some(d), Some(bias))
            }
            Kind::Transposed => {
                let bias = third.map(|_| B::channel_sums(g.clone()));
                (second.map(|_| B::convolve_weights(g, a, taps, geometry).0), bias)
            }
            Kind::Weights => (second.map(|_| B::convolve(a, g, None, geometry)), None),
            Kind::Forward => (None, None),
        };
        for (id, d) in [(second, d), (third, bias)] {
            if let (Some(id), Some(d)) = (id, d) {
                grads.register::<B>(id, d);
            }
        }
    }
}

/// Records one of the three on the graph; `run` computes its value on the inner backend.
fn record<B: Kernels, C: CheckpointStrategy>(
    kind: Kind,
    [a, b]: [FloatTensor<Autodiff<B, C>>; 2],
    bias: Option<FloatTensor<Autodiff<B, C>>>,
    geometry: Geometry,
    run: impl FnOnce(FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>) -> FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    macro_rules! node {
        ($nodes:expr, $bias:expr) => {
            match Backward::<B, _>::prepare::<C>(Trilinear, $nodes).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    let operands = [prep.checkpoint(&a), prep.checkpoint(&b)];
                    prep.finish(Saved { kind, operands, geometry }, run(a.primitive, b.primitive, $bias))
                }
                OpsKind::UnTracked(prep) => prep.finish(run(a.primitive, b.primitive, $bias)),
            }
        };
    }
    match bias {
        Some(bias) => node!([a.node.clone(), b.node.clone(), bias.node.clone()], Some(bias.primitive)),
        None => node!([a.node.clone(), b.node.clone()], None),
    }
}

impl<B: Kernels, C: CheckpointStrategy> Convolve for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        record::<B, C>(Kind::Forward, [x, w], bias, geometry, |x, w, bias| B::convolve(x, w, bias, geometry))
    }

    fn convolve_transposed(
        y: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        frames: usize,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        record::<B, C>(Kind::Transposed, [y, w], bias, geometry, |y, w, bias| {
            B::convolve_transposed(y, w, bias, frames, geometry)
        })
    }

    fn convolve_weights(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        taps: usize,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let bias = Self::channel_sums(dy.clone());
        (
            record::<B, C>(Kind::Weights, [x, dy], None, geometry, |x, dy, _| {
                B::convolve_weights(x, dy, taps, geometry).0
            }),
            bias,
        )
    }

    fn channel_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let channels = dims(&x)[1];
        let sums = Self::float_sum_dim(Self::float_sum_dim(x, 2), 0);
        Self::float_reshape(sums, burn::tensor::Shape::new([channels]))
    }
}
