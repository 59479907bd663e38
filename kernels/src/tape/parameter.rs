//! Parameters: what an optimiser moves, with its moments beside it, on the device from step to step.

use crate::device::Device;
use crate::tensor::{Shape, Tensor};

/// A parameter and the running moments of its gradient.
#[derive(Debug)]
pub struct Parameter {
    /// The values.
    pub value: Tensor,
    /// The running mean of the gradient.
    pub first: Tensor,
    /// The running mean of its square.
    pub second: Tensor,
    /// Whether weight decay takes hold of it: biases and gains are no weights.
    pub decays: bool,
}

impl Parameter {
    /// A parameter with these values and no moments yet.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    pub fn new(device: &dyn Device, values: &[f32], shape: Shape, decays: bool) -> Self {
        let zeros = vec![0.0; values.len()];
        Self::resumed(device, [values, &zeros, &zeros], shape, decays)
    }

    /// A parameter with the values and both moments that it had.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    pub fn resumed(device: &dyn Device, data: [&[f32]; 3], shape: Shape, decays: bool) -> Self {
        let [value, first, second] = data.map(|data| device.tensor(data, shape));
        Self { value, first, second, decays }
    }
}
