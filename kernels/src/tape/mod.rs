//! The tape: what ran forward, to be gone through backward.
//!
//! An operation computes its result at once and leaves a node behind: which values it was made of, the handles of what
//! its way back needs, and the way back itself, a function of these and of the gradient of the result.
//! [`Tape::backward`] goes through the nodes from the last to the first, each once, and lets go of what a node holds as soon
//! as it has run. Gradients that meet are added in that order, which is a function of the network alone.
//!
//! ```
//! use kernels::{device::Cpu, ops::gelu::gelu, tape::Tape};
//!
//! let device: &dyn kernels::device::Device = &Cpu::new();
//! let tape = Tape::recording(device);
//! let x = tape.leaf(device.tensor(&[0.0, 3.0], [1, 1, 2]));
//! let y = gelu(&tape, &x);
//! let mut gradients = tape.backward(&y, device.tensor(&[1.0, 1.0], [1, 1, 2]));
//! let dx = device.floats(&gradients.take(&x).unwrap());
//! assert_eq!(dx[0], 0.5);
//! ```

mod parameter;
mod scale;
mod segment;
mod sum;

use std::cell::RefCell;

use crate::device::Device;
use crate::tensor::{Shape, Tensor};

pub use parameter::Parameter;
pub use scale::LossScale;
pub use segment::segment;
pub use sum::sum;

/// A tensor, and its place on the tape if its gradient is wanted.
#[derive(Clone, Debug)]
pub struct Value {
    tensor: Tensor,
    place: Option<usize>,
}

impl Value {
    /// A value without a gradient.
    pub fn constant(tensor: Tensor) -> Self {
        Self { tensor, place: None }
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The tensor alone.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// Its extents.
    pub fn shape(&self) -> Shape {
        self.tensor.shape()
    }

    /// Its place on the tape, to go back from, and the tensor, for whoever writes the gradient into it.
    pub fn split(self) -> (Place, Tensor) {
        (Place(self.place), self.tensor)
    }

    /// The place on the tape; `None` if no gradient is wanted.
    pub(crate) fn place(&self) -> Option<usize> {
        self.place
    }
}

/// A place on a tape.
#[derive(Clone, Copy, Debug)]
pub struct Place(Option<usize>);

/// The way back through an operation.
pub trait Backward {
    /// The gradient of each input, in the order in which they were recorded; `None` where `wanted` says that nobody asks.
    /// `saved` is what was recorded, `gradient` that of the result.
    fn backward(&self, device: &dyn Device, saved: &[Tensor], gradient: Tensor, wanted: &[bool])
    -> Vec<Option<Tensor>>;
}

/// What an operation left behind.
struct Node {
    way: Box<dyn Backward>,
    inputs: Vec<Option<usize>>,
    saved: Vec<Tensor>,
}

/// Records operations, if it is on.
pub struct Tape<'d> {
    device: &'d dyn Device,
    /// `None` for a leaf.
    nodes: RefCell<Vec<Option<Node>>>,
    on: bool,
}

impl<'d> Tape<'d> {
    /// A tape that can be gone back.
    pub fn recording(device: &'d dyn Device) -> Self {
        Self { device, nodes: RefCell::default(), on: true }
    }

    /// A tape that keeps nothing, for networks that only run forward.
    pub fn forward_only(device: &'d dyn Device) -> Self {
        Self { device, nodes: RefCell::default(), on: false }
    }

    /// The device of all its values.
    pub fn device(&self) -> &'d dyn Device {
        self.device
    }

    /// A value whose gradient is wanted.
    pub fn leaf(&self, tensor: Tensor) -> Value {
        let place = self.on.then(|| self.push(None));
        Value { tensor, place }
    }

    fn push(&self, node: Option<Node>) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        nodes.len() - 1
    }

    /// Whether an operation on these inputs is recorded.
    pub fn records(&self, inputs: &[Option<usize>]) -> bool {
        self.on && inputs.iter().any(Option::is_some)
    }

    /// The result of an operation on values at these places; `saved` is what `way` back needs.
    pub fn record(
        &self,
        inputs: &[Option<usize>],
        saved: &[&Tensor],
        way: impl Backward + 'static,
        result: Tensor,
    ) -> Value {
        let place = self.records(inputs).then(|| {
            let saved = saved.iter().map(|t| (*t).clone()).collect();
            self.push(Some(Node { way: Box::new(way), inputs: inputs.to_vec(), saved }))
        });
        Value { tensor: result, place }
    }

    /// Goes back from `end`, whose gradient is given.
    pub fn backward(self, end: &Value, given: Tensor) -> Gradients<'d> {
        self.backward_from(Place(end.place), given)
    }

    /// The same from a place whose tensor is not needed any more.
    pub fn backward_from(self, end: Place, given: Tensor) -> Gradients<'d> {
        let mut nodes = self.nodes.into_inner();
        let mut gradients = Gradients { device: self.device, slots: vec![None; nodes.len()] };
        gradients.add(end.0, Some(given));
        while let Some(node) = nodes.pop() {
            let Some(Node { way, inputs, saved }) = node else { continue };
            let Some(gradient) = gradients.slots[nodes.len()].take() else { continue };
            let wanted: Vec<bool> = inputs.iter().map(Option::is_some).collect();
            let found = way.backward(self.device, &saved, gradient, &wanted);
            drop(saved);
            inputs.into_iter().zip(found).for_each(|(input, gradient)| gradients.add(input, gradient));
        }
        gradients
    }
}

/// Gradients on their way back, by the place of what they belong to.
pub struct Gradients<'d> {
    device: &'d dyn Device,
    slots: Vec<Option<Tensor>>,
}

impl Gradients<'_> {
    fn add(&mut self, place: Option<usize>, gradient: Option<Tensor>) {
        let (Some(place), Some(gradient)) = (place, gradient) else { return };
        self.slots[place] = Some(match self.slots[place].take() {
            Some(before) => sum(self.device, before, gradient),
            None => gradient,
        });
    }

    /// The gradient of a leaf; `None` if nothing flowed there.
    pub fn take(&mut self, leaf: &Value) -> Option<Tensor> {
        self.slots.get_mut(leaf.place?)?.take()
    }
}
