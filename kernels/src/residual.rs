//! The residual block of a codec as one operation: `x + conv1(relu(conv(relu(x))))`.
//!
//! Unfused, a narrow block spends more time in reading and writing activations than in its products. Here a tile of
//! frames goes through the whole block while it is in cache; of the activations only the rectified hidden one is
//! kept for the way back, where plain operations keep four.

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
use crate::convolve::{Convolve, Geometry, dims, floats, tensor};
use crate::correlate::correlate;
use crate::gather::{Phases, Shared, Tiles, fill_tile, filled, rectify, row_stride, row_sum};
use crate::product::{Add, Gate, GateAdd, Out, Relu, Rows, Weights};
use crate::simd::Level;

/// Frames of one tile of the way forward.
const TILE: usize = 768;

/// Gradients of a block's input and parameters.
#[derive(Clone, Debug)]
pub struct ResidualGrads<T> {
    /// Of x `[batch, channels, frames]`.
    pub x: T,
    /// Of w1 `[hidden, channels, taps]`.
    pub w1: T,
    /// Of b1 `[hidden]`.
    pub b1: T,
    /// Of w2 `[channels, hidden, 1]`.
    pub w2: T,
    /// Of b2 `[channels]`.
    pub b2: T,
}

/// Where the two convolutions of a block lie; the first has as many frames out as in.
fn geometries(taps: usize, dilation: usize) -> [Geometry; 2] {
    assert!(taps % 2 == 1, "residual_block: {taps} taps have no middle");
    let first = Geometry { stride: 1, padding: dilation * (taps - 1) / 2, dilation };
    [first, Geometry { stride: 1, padding: 0, dilation: 1 }]
}

/// Residual blocks of an engine. The defaults are the plain twin, made of single operations: what a backend without
/// a fused block runs, and what gradients of gradients go through.
pub trait Residual: Convolve {
    /// The block: x `[batch, channels, frames]`, w1 `[hidden, channels, taps]`, w2 `[channels, hidden, 1]`.
    fn residual(
        x: FloatTensor<Self>,
        w1: FloatTensor<Self>,
        b1: FloatTensor<Self>,
        w2: FloatTensor<Self>,
        b2: FloatTensor<Self>,
        dilation: usize,
    ) -> FloatTensor<Self> {
        Self::residual_hidden(x, w1, b1, w2, b2, dilation).0
    }

    /// The block and its rectified hidden activation `[batch, hidden, frames]`.
    fn residual_hidden(
        x: FloatTensor<Self>,
        w1: FloatTensor<Self>,
        b1: FloatTensor<Self>,
        w2: FloatTensor<Self>,
        b2: FloatTensor<Self>,
        dilation: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [first, second] = geometries(dims(&w1)[2], dilation);
        let hidden = Self::relu(Self::convolve(Self::relu(x.clone()), w1, Some(b1), first));
        (Self::float_add(x, Self::convolve(hidden.clone(), w2, Some(b2), second)), hidden)
    }

    /// All gradients, from the gradient `dy` of the output. The gradient of relu at 0 is 0.
    fn residual_grads(
        x: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        w1: FloatTensor<Self>,
        w2: FloatTensor<Self>,
        dilation: usize,
    ) -> ResidualGrads<FloatTensor<Self>> {
        let ([_, _, frames], [_, _, taps]) = (dims(&x), dims(&w1));
        let [first, second] = geometries(taps, dilation);
        let (dw2, db2) = Self::convolve_weights(hidden.clone(), dy.clone(), 1, second);
        let dh = Self::relu_backward(hidden, Self::convolve_transposed(dy.clone(), w2, None, frames, second));
        let (dw1, db1) = Self::convolve_weights(Self::relu(x.clone()), dh.clone(), taps, first);
        let dx = Self::relu_backward(x, Self::convolve_transposed(dh, w1, None, frames, first));
        ResidualGrads { x: Self::float_add(dy, dx), w1: dw1, b1: db1, w2: dw2, b2: db2 }
    }
}

fn primitive<B: Backend, const D: usize>(t: Tensor<B, D>) -> FloatTensor<B> {
    t.into_primitive().tensor()
}

/// `x + b2 + w2 relu(b1 + w1 * relu(x))`, with a gradient: x `[batch, channels, frames]`, w1
/// `[hidden, channels, taps]` with an odd number of taps `dilation` frames apart, w2 `[channels, hidden, 1]`.
///
/// # Panics
/// If the shapes do not fit each other, the number of taps is even, or `dilation` is 0.
pub fn residual_block<B: Kernels>(
    x: Tensor<B, 3>,
    w1: Tensor<B, 3>,
    b1: Tensor<B, 1>,
    w2: Tensor<B, 3>,
    b2: Tensor<B, 1>,
    dilation: usize,
) -> Tensor<B, 3> {
    let y = B::residual(primitive(x), primitive(w1), primitive(b1), primitive(w2), primitive(b2), dilation);
    Tensor::from_primitive(TensorPrimitive::Float(y))
}

/// The same by single operations: the plain twin of [`residual_block`].
pub fn residual_block_plain<B: Kernels>(
    x: Tensor<B, 3>,
    w1: Tensor<B, 3>,
    b1: Tensor<B, 1>,
    w2: Tensor<B, 3>,
    b2: Tensor<B, 1>,
    dilation: usize,
) -> Tensor<B, 3> {
    let [_, _, taps] = w1.dims();
    let relu = burn::tensor::activation::relu;
    let h = crate::conv1d(relu(x.clone()), w1, b1, 1, dilation * (taps - 1) / 2, dilation);
    x + crate::conv1d(relu(h), w2, b2, 1, 0, 1)
}

/// The extents of a block, checked.
#[derive(Clone, Copy)]
struct Block {
    batch: usize,
    channels: usize,
    frames: usize,
    hidden: usize,
    taps: usize,
    dilation: usize,
}

impl Block {
    fn new(x: &FlexTensor, w1: &FlexTensor, w2: &FlexTensor, dilation: usize) -> Self {
        let ([batch, channels, frames], [hidden, c, taps]) = (dims(x), dims(w1));
        assert_eq!(c, channels, "residual_block: channels of input and first weight");
        assert_eq!(dims(w2), [channels, hidden, 1], "residual_block: shape of the second weight");
        assert!(taps % 2 == 1 && dilation > 0, "residual_block: an odd number of taps, dilation at least 1");
        Self { batch, channels, frames, hidden, taps, dilation }
    }

    fn padding(&self) -> usize {
        self.dilation * (self.taps - 1) / 2
    }

    fn tiles(&self, tile: usize) -> Tiles {
        Tiles { items: self.batch, frames: self.frames, tile }
    }

    fn phases(&self, channels: usize, tile: usize) -> Phases {
        Phases::new(self.taps, channels, tile.min(self.frames), 1, self.padding(), self.dilation)
    }

    /// y, and the hidden activation if `keep`.
    fn forward(&self, level: Level, x: &[f32], [w1, b1, w2, b2]: [&[f32]; 4], keep: bool) -> (Vec<f32>, Vec<f32>) {
        let Self { batch, channels, frames, hidden, taps, .. } = *self;
        let size = channels * frames;
        assert!(x.len() == batch * size && b1.len() == hidden && b2.len() == channels);
        let phases = self.phases(channels, TILE);
        let row = row_stride(TILE.min(frames));
        let between: Vec<usize> = (0..hidden).map(|j| j * row).collect();
        let first_w = Weights::pack(hidden, taps * channels, Some(b1), |j, term| {
            w1[(j * channels + term % channels) * taps + term / channels]
        });
        let second_w = Weights::pack(channels, hidden, Some(b2), |i, j| w2[i * hidden + j]);
        let kept = if keep { batch * hidden * frames } else { 0 };
        let mut h = Vec::new();
        // SAFETY: the tiles cover every frame of every item; each writes all rows of y, and of h where kept, at its
        // own frames. The addend x has the shape of y.
        let y = unsafe {
            filled(batch * size, |y| {
                h = filled(kept, |h| {
                    self.tiles(TILE).each(|item, first, n, [xt, ht, ..]| {
                        phases.fill(xt, &x[item * size..][..size], first);
                        rectify(xt);
                        ht.resize(hidden * row, 0.0);
                        let to = Out { at: ht.as_mut_ptr(), stride: row };
                        first_w.apply(level, xt, &phases.offsets, n, to, Relu);
                        if keep {
                            scatter(h, (item * hidden) * frames + first, frames, ht, row, hidden, n);
                        }
                        let at = item * size + first;
                        let to = Out { at: y.at(at), stride: frames };
                        let addend = Add(Rows { at: x.as_ptr().add(at), stride: frames });
                        second_w.apply(level, ht, &between, n, to, addend);
                    });
                })
            })
        };
        (y, h)
    }

    /// Gradients from x, the hidden activation and the gradient of the output.
    fn backward(
        &self,
        level: Level,
        x: &[f32],
        h: &[f32],
        dy: &[f32],
        w1: &[f32],
        w2: &[f32],
    ) -> ResidualGrads<Vec<f32>> {
        let Self { batch, channels, frames, hidden, taps, dilation } = *self;
        let (size, inner) = (channels * frames, hidden * frames);
        assert!(x.len() == batch * size && dy.len() == batch * size && h.len() == batch * inner);
        // four scratch buffers of this length share the second-level cache
        let tile = if channels.max(hidden) > 48 { 512 } else { 1024 };
        let phases = self.phases(channels, tile);
        let back = Weights::pack(hidden, channels, None, |j, i| w2[i * hidden + j]);
        let (terms1, terms2) = (taps * channels * hidden, hidden * channels);
        let mut sums = Vec::new();
        // SAFETY: the tiles cover every frame of every item, and each writes all rows of the hidden gradient there.
        let dh = unsafe {
            filled(batch * inner, |dh| {
                sums = self.tiles(tile).sum(
                    terms1 + hidden + terms2 + channels,
                    |item, first, n, [xt, gt, ht, dht], sums| {
                        let (s1, sums) = sums.split_at_mut(terms1);
                        let (t1, sums) = sums.split_at_mut(hidden);
                        let (s2, t2) = sums.split_at_mut(terms2);
                        let row = fill_tile(gt, &dy[item * size..][..size], channels, first, n);
                        fill_tile(ht, &h[item * inner..][..inner], hidden, first, n);
                        let at: Vec<usize> = (0..channels.max(hidden)).map(|i| i * row).collect();
                        correlate(level, gt, row, channels, ht, &at[..hidden], n, s2);
                        tile_sums(gt, row, n, t2);
                        dht.resize(hidden * row, 0.0);
                        let gate = Gate(Rows { at: ht.as_ptr(), stride: row });
                        back.apply(level, gt, &at[..channels], n, Out { at: dht.as_mut_ptr(), stride: row }, gate);
                        for j in 0..hidden {
                            dht[j * row + n..(j + 1) * row].fill(0.0);
                        }
                        scatter(dh, item * inner + first, frames, dht, row, hidden, n);
                        phases.fill(xt, &x[item * size..][..size], first);
                        rectify(xt);
                        correlate(level, dht, row, hidden, xt, &phases.offsets, n, s1);
                        tile_sums(dht, row, n, t1);
                    },
                );
            })
        };
        // the adjoint of a convolution of stride 1 is one with its taps reversed
        let phases = Phases::new(taps, hidden, TILE.min(frames), 1, dilation * (taps - 1) - self.padding(), dilation);
        let first_w = Weights::pack(channels, taps * hidden, None, |i, term| {
            w1[((term % hidden) * channels + i) * taps + taps - 1 - term / hidden]
        });
        // SAFETY: the tiles cover every frame of every item; x and dy have the shape of dx.
        let dx = unsafe {
            filled(batch * size, |dx| {
                self.tiles(TILE).each(|item, first, n, [dht, ..]| {
                    phases.fill(dht, &dh[item * inner..][..inner], first);
                    let at = item * size + first;
                    let rows = |v: &[f32]| Rows { at: v.as_ptr().add(at), stride: frames };
                    let to = Out { at: dx.at(at), stride: frames };
                    first_w.apply(level, dht, &phases.offsets, n, to, GateAdd(rows(x), rows(dy)));
                });
            })
        };
        let mut dw1 = vec![0.0; terms1];
        for (at, v) in sums[..terms1].iter().enumerate() {
            let (term, j) = (at / hidden, at % hidden);
            dw1[(j * channels + term % channels) * taps + term / channels] = *v;
        }
        let (b1, rest) = sums[terms1..].split_at(hidden);
        let (w2t, b2) = rest.split_at(terms2);
        let dw2 = (0..terms2).map(|at| w2t[(at % hidden) * channels + at / hidden]).collect();
        ResidualGrads { x: dx, w1: dw1, b1: b1.to_vec(), w2: dw2, b2: b2.to_vec() }
    }
}

/// Adds the sum of each row's first `n` frames.
fn tile_sums(rows: &[f32], row: usize, n: usize, sums: &mut [f32]) {
    for (i, s) in sums.iter_mut().enumerate() {
        *s += row_sum(&rows[i * row..][..n]);
    }
}

/// Copies `n` frames of scratch rows to rows `stride` apart, from float `at` on.
///
/// # Safety
/// These floats of `to` must be this thread's own.
unsafe fn scatter(to: Shared, at: usize, stride: usize, from: &[f32], row: usize, rows: usize, n: usize) {
    for r in 0..rows {
        let from = &from[r * row..][..n];
        // SAFETY: the caller's; `from` holds `n` floats.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to.at(at + r * stride), n) };
    }
}

impl Residual for Flex {
    fn residual(
        x: FlexTensor,
        w1: FlexTensor,
        b1: FlexTensor,
        w2: FlexTensor,
        b2: FlexTensor,
        dilation: usize,
    ) -> FlexTensor {
        let [x, w1, b1, w2, b2] = [x, w1, b1, w2, b2].map(|t| floats(&t));
        let block = Block::new(&x, &w1, &w2, dilation);
        let w = [w1.storage(), b1.storage(), w2.storage(), b2.storage()];
        tensor(block.forward(Level::detect(), x.storage(), w, false).0, dims(&x))
    }

    fn residual_hidden(
        x: FlexTensor,
        w1: FlexTensor,
        b1: FlexTensor,
        w2: FlexTensor,
        b2: FlexTensor,
        dilation: usize,
    ) -> (FlexTensor, FlexTensor) {
        let [x, w1, b1, w2, b2] = [x, w1, b1, w2, b2].map(|t| floats(&t));
        let block = Block::new(&x, &w1, &w2, dilation);
        let w = [w1.storage(), b1.storage(), w2.storage(), b2.storage()];
        let (y, h) = block.forward(Level::detect(), x.storage(), w, true);
        (tensor(y, dims(&x)), tensor(h, [block.batch, block.hidden, block.frames]))
    }

    fn residual_grads(
        x: FlexTensor,
        hidden: FlexTensor,
        dy: FlexTensor,
        w1: FlexTensor,
        w2: FlexTensor,
        dilation: usize,
    ) -> ResidualGrads<FlexTensor> {
        let [x, h, dy, w1, w2] = [x, hidden, dy, w1, w2].map(|t| floats(&t));
        let block = Block::new(&x, &w1, &w2, dilation);
        let Block { channels, hidden, taps, .. } = block;
        let g = block.backward(Level::detect(), x.storage(), h.storage(), dy.storage(), w1.storage(), w2.storage());
        ResidualGrads {
            x: tensor(g.x, dims(&x)),
            w1: tensor(g.w1, [hidden, channels, taps]),
            b1: tensor(g.b1, [hidden]),
            w2: tensor(g.w2, [channels, hidden, 1]),
            b2: tensor(g.b2, [channels]),
        }
    }
}

/// The step back through a block.
#[derive(Debug)]
struct Step;

impl<B: Kernels> Backward<B, 5> for Step {
    /// x, w1 and w2 on the graph; the hidden activation; the dilation.
    type State = ([NodeId; 3], FloatTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (saved, hidden, dilation) = ops.state;
        let [x, w1, w2] = saved.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let g = B::residual_grads(x, hidden, dy, w1, w2, dilation);
        for (parent, d) in ops.parents.into_iter().zip([g.x, g.w1, g.b1, g.w2, g.b2]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, d);
            }
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Residual for Autodiff<B, C> {
    fn residual(
        x: FloatTensor<Self>,
        w1: FloatTensor<Self>,
        b1: FloatTensor<Self>,
        w2: FloatTensor<Self>,
        b2: FloatTensor<Self>,
        dilation: usize,
    ) -> FloatTensor<Self> {
        let nodes = [&x, &w1, &b1, &w2, &b2].map(|t| t.node.clone());
        match Backward::<B, 5>::prepare::<C>(Step, nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&w1), prep.checkpoint(&w2)];
                let (y, h) =
                    B::residual_hidden(x.primitive, w1.primitive, b1.primitive, w2.primitive, b2.primitive, dilation);
                prep.finish((saved, h, dilation), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::residual(x.primitive, w1.primitive, b1.primitive, w2.primitive, b2.primitive, dilation))
            }
        }
    }
}
