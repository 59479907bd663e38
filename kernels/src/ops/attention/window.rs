//! Causal attention with relative positions for the next positions of a window, keys and values kept on the device.

use rayon::prelude::*;

use super::cpu::Extents;
use crate::cpu::dispatch::Level;
use crate::cpu::exp::exp;
use crate::cpu::tile::row_sum;
use crate::device::{Device, Kernel, Operand, check, floats, floats_mut};
use crate::launch::{Plan, attention as launch};
use crate::tensor::{DType, Slice, SliceMut, Tensor};

/// Keys and values of the positions so far of several sequences that go on together, in one layer, on a device.
/// ([`CachedAttention`](super::CachedAttention) is what the host has for sequences that go on one by one.)
#[derive(Debug)]
pub struct Window {
    /// `[items, channels, context]`.
    keys: Tensor,
    values: Tensor,
    filled: usize,
}

impl Window {
    /// Room for `context` positions of `items` sequences, of which there is none yet.
    pub fn new(device: &dyn Device, items: usize, channels: usize, context: usize) -> Self {
        let shape = [items, channels, context];
        let [keys, values] =
            [0, 1].map(|_| Tensor::new(device.alloc(device.precision(), shape.iter().product()), shape));
        Self { keys, values, filled: 0 }
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Positions of each sequence.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Adds positions with their keys and values `[items, channels, count]`, and gives what their queries q of the same shape
    /// see of all positions up to them; `distances` are those of [`relative_attention`](super::relative_attention()).
    ///
    /// # Panics
    /// If the window has no room for them, or the shapes do not fit each other.
    pub fn attend(&mut self, device: &dyn Device, [q, k, v]: [&Tensor; 3], distances: &Tensor) -> Tensor {
        let (shape @ [items, channels, count], [heads, known, size]) = (q.shape(), distances.shape());
        let [_, _, context] = self.keys.shape();
        assert!(k.shape() == shape && v.shape() == shape, "attention: shapes of queries, keys and values");
        assert_eq!(self.keys.shape(), [items, channels, context], "attention: sequences of a window");
        assert!(heads * size == channels && known > 0, "attention: {heads} heads of {size} for {channels} channels");
        let at = self.filled;
        assert!(at + count <= context, "attention: {count} positions behind {at} in a window of {context}");
        let part = Part { whole: Extents::new(items, heads, size, context, known), at, count };
        let mut all = [&mut self.keys, &mut self.values].map(Tensor::buffer_mut);
        device.launch(&Push(part), &[k.buffer(), v.buffer()], &mut all);
        self.filled += count;
        let mut y = device.like(q, shape);
        let inputs = [q, &self.keys, &self.values, distances].map(Tensor::buffer);
        device.launch(&See(part), &inputs, &mut [y.buffer_mut()]);
        y
    }
}

/// `count` positions of a window from `at` on.
#[derive(Clone, Copy)]
struct Part {
    whole: Extents,
    at: usize,
    count: usize,
}

impl Part {
    /// Rows of positions: the channels of all items.
    fn rows(&self) -> usize {
        self.whole.batch * self.whole.heads * self.whole.size
    }
}

/// Keys and values to their positions.
struct Push(Part);
impl Kernel for Push {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let Part { whole, at, count } = self.0;
        let (own, all): ([&[f32]; 2], [&mut [f32]; 2]) = (floats(inputs), floats_mut(outputs));
        for (from, to) in own.into_iter().zip(all) {
            assert!(from.len() == self.0.rows() * count && to.len() == self.0.rows() * whole.positions);
            let rows = to.chunks_exact_mut(whole.positions).zip(from.chunks_exact(count.max(1)));
            rows.for_each(|(to, from)| to[at..][..count].copy_from_slice(from));
        }
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let (Part { whole, at, count }, dtype) = (self.0, inputs[0].dtype);
        check("attention", inputs, &[(dtype, self.0.rows() * count); 2]);
        check("attention", outputs, &[(dtype, self.0.rows() * whole.positions); 2]);
        launch::push(whole.shape(), at, count, dtype)
    }
}

/// What queries see.
struct See(Part);
impl Kernel for See {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let (Part { whole, at, count }, [q, keys, values, e], [y]) = (self.0, floats(inputs), floats_mut(outputs));
        let Extents { heads, size, positions, known, .. } = whole;
        assert!(q.len() == self.0.rows() * count && y.len() == q.len() && e.len() == heads * known * size);
        assert!(keys.len() == self.0.rows() * positions && values.len() == keys.len());
        let scale = 1.0 / (size as f32).sqrt();
        y.par_chunks_exact_mut((size * count).max(1)).enumerate().for_each(|(head, y)| {
            let [keys, values] = [keys, values].map(|all| &all[head * size * positions..][..size * positions]);
            let (q, e) = (&q[head * size * count..][..size * count], &e[head % heads * known * size..][..known * size]);
            for i in 0..count {
                let seen = at + i + 1;
                let mut scores = vec![0.0f32; seen];
                for (c, keys) in keys.chunks_exact(positions).enumerate() {
                    for (j, (score, key)) in scores.iter_mut().zip(keys).enumerate() {
                        let far = e[(seen - 1 - j).min(known - 1) * size + c];
                        *score = q[c * count + i].mul_add(key + far, *score);
                    }
                }
                let most = scores.iter().fold(f32::NEG_INFINITY, |most, s| if *s > most { *s } else { most });
                scores.iter_mut().for_each(|s| *s = exp((*s - most) * scale));
                let sum = row_sum(&scores);
                for (c, values) in values.chunks_exact(positions).enumerate() {
                    let own = scores.iter().zip(values).fold(0.0f32, |s, (weight, value)| weight.mul_add(*value, s));
                    y[c * count + i] = own / sum;
                }
            }
        });
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let (Part { whole, at, count }, dtype) = (self.0, inputs[0].dtype);
        let [own, all] = [count, whole.positions].map(|n| (dtype, self.0.rows() * n));
        check("attention", inputs, &[own, all, all, (DType::F32, whole.heads * whole.known * whole.size)]);
        check("attention", outputs, &[own]);
        launch::see(whole.shape(), at, count, dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Cpu;
    use crate::ops::attention::relative_attention;
    use crate::tape::{Tape, Value};

    /// Whatever positions are added at a time, they see what they see in a whole sequence.
    #[test]
    fn parts_of_a_window_see_what_the_whole_sees() {
        let (items, heads, size, context, known) = (2, 3, 5, 23, 9);
        let (device, shape) = (&Cpu::new() as &dyn Device, [items, heads * size, context]);
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        let noise = |seed: usize, n: usize| (0..n).map(|i| value(i + 1000 * seed)).collect::<Vec<f32>>();
        let n = shape.iter().product();
        let all = [0, 1, 2].map(|seed| noise(seed, n));
        let distances = device.tensor(&noise(3, heads * known * size), [heads, known, size]);
        let [q, k, v] = all.each_ref().map(|x| Value::constant(device.tensor(x, shape)));
        let tape = Tape::forward_only(device);
        let want = relative_attention(&tape, &q, &k, &v, &Value::constant(distances.clone()));
        let want = device.floats(want.tensor());
        let mut window = Window::new(device, items, heads * size, context);
        for (first, count) in [(0, 1), (1, 1), (2, 6), (8, 8), (16, 7)] {
            let part =
                |x: &[f32]| -> Vec<f32> { x.chunks(context).flat_map(|row| &row[first..][..count]).copied().collect() };
            let own = all.each_ref().map(|x| device.tensor(&part(x), [items, heads * size, count]));
            let got = device.floats(&window.attend(device, own.each_ref(), &distances));
            for (got, want) in got.iter().zip(part(&want)) {
                assert!((got - want).abs() < 1e-6, "{got} and {want}");
            }
        }
        assert_eq!(window.filled(), context);
    }
}
