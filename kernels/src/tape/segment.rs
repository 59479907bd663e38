//! Segments: parts of a network of which only the input is kept, and that run again on the way back.

use std::sync::Arc;

use super::{Backward, Tape, Value};
use crate::device::Device;
use crate::tensor::Tensor;

/// A part of a network: a function of a value and of parameters.
type Part = dyn Fn(&Tape<'_>, Value, &[Value]) -> Value + Send + Sync;

/// The way back through a segment: forward again, recording, and back from there.
struct Segment(Arc<Part>);

impl Backward for Segment {
    fn backward(
        &self,
        device: &dyn Device,
        saved: &[Tensor],
        gradient: Tensor,
        wanted: &[bool],
    ) -> Vec<Option<Tensor>> {
        let tape = Tape::recording(device);
        let leaf = |(tensor, wanted): (&Tensor, &bool)| match wanted {
            true => tape.leaf(tensor.clone()),
            false => Value::constant(tensor.clone()),
        };
        let leaves: Vec<Value> = saved.iter().zip(wanted).map(leaf).collect();
        let end = (self.0)(&tape, leaves[0].clone(), &leaves[1..]);
        let mut gradients = tape.backward(&end, gradient);
        leaves.iter().map(|leaf| gradients.take(leaf)).collect()
    }
}

/// `part` of x and of `parameters`. Of all that is computed within, only x, the parameters and the result are kept. Where
/// the part uses each parameter once, gradients have the bits that they would have without a segment.
pub fn segment(
    tape: &Tape<'_>,
    x: Value,
    parameters: &[Value],
    part: impl Fn(&Tape<'_>, Value, &[Value]) -> Value + Send + Sync + 'static,
) -> Value {
    let places: Vec<Option<usize>> = std::iter::once(&x).chain(parameters).map(Value::place).collect();
    let part: Arc<Part> = Arc::new(part);
    if !tape.records(&places) {
        return part(tape, x, parameters);
    }
    let plain: Vec<Value> = parameters.iter().map(|p| Value::constant(p.tensor().clone())).collect();
    let within = Tape::forward_only(tape.device());
    let result = part(&within, Value::constant(x.tensor().clone()), &plain).into_tensor();
    let saved: Vec<&Tensor> = std::iter::once(&x).chain(parameters).map(Value::tensor).collect();
    tape.record(&places, &saved, Segment(part), result)
}
