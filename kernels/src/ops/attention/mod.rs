//! Causal self-attention with relative positions as one operation, after Music Transformer (Huang et al. 2018).
//!
//! `y_i = sum over j <= i of softmax_j(q_i . (k_j + e_(i - j)) / sqrt(size)) v_j`, where distances beyond the last of
//! the table are clipped to it. The matrix of all pairs is never in memory: a tile of queries goes over the tiles of
//! keys before it with a running maximum (Dao et al. 2022), and of the weights only the logarithm of each query's sum
//! is kept for the way back. Memory is linear in the positions.

mod cached;
mod cpu;
pub mod plain;
mod window;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::attention::AttentionShape;
use crate::launch::{self, Plan};
use crate::tape::{Backward, Tape, Value};
use crate::tensor::{DType, Slice, SliceMut, Tensor};
use cpu::Extents;

pub use cached::{CachedAttention, KeyValues};
pub use window::Window;

/// Causal attention with relative positions: q, k and v `[batch, channels, positions]`, distances `[heads, distances,
/// channels / heads]`, the embedding of distance 0 first; farther ones than the last share it.
///
/// A position's result depends on itself and the positions before it alone, so neither the batch nor the thread count
/// changes a bit.
///
/// # Panics
/// If the shapes do not fit each other, or there is no head or no distance.
pub fn relative_attention(tape: &Tape<'_>, q: &Value, k: &Value, v: &Value, distances: &Value) -> Value {
    let (device, operands) = (tape.device(), [q, k, v, distances]);
    let extents = extents(operands.map(Value::tensor));
    let mut y = device.like(q.tensor(), q.shape());
    let mut sums = device.empty([extents.batch, extents.heads, extents.positions]);
    let inputs = operands.map(|v| v.tensor().buffer());
    device.launch(&Forward(extents), &inputs, &mut [y.buffer_mut(), sums.buffer_mut()]);
    let saved = [q.tensor(), k.tensor(), v.tensor(), distances.tensor(), &y, &sums];
    tape.record(&operands.map(Value::place), &saved, extents, y.clone())
}

/// The extents of four operands, checked.
fn extents([q, k, v, distances]: [&Tensor; 4]) -> Extents {
    let ([batch, channels, positions], [heads, known, size]) = (q.shape(), distances.shape());
    assert_eq!(k.shape(), q.shape(), "attention: shapes of queries and keys");
    assert_eq!(v.shape(), q.shape(), "attention: shapes of queries and values");
    assert_eq!(heads * size, channels, "attention: {heads} heads of {size} for {channels} channels");
    assert!(known > 0, "attention: no distance has an embedding");
    Extents::new(batch, heads, size, positions, known)
}

impl Extents {
    fn shape(&self) -> AttentionShape {
        let Self { batch, heads, size, positions, known, .. } = *self;
        AttentionShape { batch, heads, size, positions, known }
    }

    /// Types and lengths of activations, of what is kept of queries, and of the table.
    fn operands(&self, dtype: DType) -> [(DType, usize); 3] {
        let queries = self.batch * self.heads * self.positions;
        [(dtype, queries * self.size), (DType::F32, queries), (DType::F32, self.heads * self.known * self.size)]
    }
}

/// What every position sees, and the logarithm of each query's sum of exponentials `[batch, heads, positions]`.
struct Forward(Extents);
impl Kernel for Forward {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        self.0.forward(level, floats(inputs), floats_mut(outputs));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let (s, dtype) = (self.0.shape(), inputs[0].dtype);
        let [n, queries, table] = self.0.operands(dtype);
        check("attention", inputs, &[n, n, n, table]);
        check("attention", outputs, &[n, queries]);
        launch::attention::forward_of(s, dtype)
    }
}

/// All gradients, from the operands, the result, the logarithms and the gradient of the result.
struct Gradients(Extents);
impl Kernel for Gradients {
    fn cpu(&self, level: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [q, k, v, e, y, sums, dy] = floats(inputs);
        self.0.backward(level, [q, k, v, e], [y, sums, dy], floats_mut(outputs));
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let (s, dtype) = (self.0.shape(), inputs[0].dtype);
        let [n, queries, table] = self.0.operands(dtype);
        check("attention", inputs, &[n, n, n, table, n, queries, n]);
        check("attention", outputs, &[n, n, n, table]);
        launch::attention::backward(s, dtype)
    }
}

impl Backward for Extents {
    fn backward(&self, device: &dyn Device, saved: &[Tensor], dy: Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let [q, k, v, e, y, sums] = [0, 1, 2, 3, 4, 5].map(|i| &saved[i]);
        let [mut dq, mut dk, mut dv, mut de] = [q, k, v, e].map(|t| device.like(t, t.shape()));
        let inputs = [q, k, v, e, y, sums, &dy].map(Tensor::buffer);
        let mut outputs = [&mut dq, &mut dk, &mut dv, &mut de].map(Tensor::buffer_mut);
        device.launch(&Gradients(*self), &inputs, &mut outputs);
        [dq, dk, dv, de].map(Some).into()
    }
}
