//! What runs without a way back: tiles of an encoder with their context, the search for codewords, and sampling position by
//! position.

use kernels::device::Device;
use kernels::ops::attention::Window;
use kernels::ops::columns::{Piece, columns};
use kernels::ops::convolution::{Geometry, conv1d};
use kernels::ops::embedding::embedding;
use kernels::ops::finite::finite;
use kernels::ops::linear::linear;
use kernels::ops::nearest::{search, tally};
use kernels::ops::residual::residual_block_within;
use kernels::tape::{Tape, Value};
use kernels::tensor::{Buffer, Shape, Slice, SliceMut, Tensor};

use super::{Noise, Numbers};

const WIDTH: usize = 6;
const DIM: usize = 4;
const CODEWORDS: usize = 30;

/// A parameter at random.
fn parameter(device: &dyn Device, seed: u64, shape: Shape) -> Value {
    Value::constant(device.tensor(&Noise::new(seed).floats(shape.iter().product()), shape))
}

fn words(device: &dyn Device, buffer: &Buffer) -> Vec<u32> {
    let mut out = vec![0; buffer.len()];
    device.download(buffer, SliceMut::U32(&mut out));
    out
}

/// Latents of a piece of sound by two tiles.
pub fn encode(device: &dyn Device) -> Numbers {
    let tape = Tape::forward_only(device);
    let p = |seed, shape| parameter(device, seed, shape);
    let weights = [p(1, [5, WIDTH, 3]), p(2, [5, 1, 1]), p(3, [WIDTH, 5, 1]), p(4, [WIDTH, 1, 1])];
    let (w, b) = (p(5, [DIM, WIDTH, 4]), p(6, [DIM, 1, 1]));
    let x = device.activation(&Noise::new(8).floats(WIDTH * 90), [1, WIDTH, 90]);
    let of = |first, count| Piece::Of(x.clone(), first, count);
    let tile = |pieces: [Piece; 2]| {
        let wide = Value::constant(columns(device, WIDTH, &pieces));
        let y = residual_block_within(&tape, &wide, weights.each_ref(), 3);
        assert!(finite(device, y.tensor()));
        let z = conv1d(&tape, &y, &w, &b, Geometry { stride: 2, padding: 1, dilation: 1 });
        device.floats(z.tensor())
    };
    let tiles = [[Piece::Zeros(3), of(0, 50)], [of(44, 46), Piece::Zeros(3)]];
    tiles.into_iter().enumerate().map(|(i, pieces)| (format!("tile {i}"), tile(pieces))).collect()
}

/// Codes of vectors, and counts and sums of the vectors of each code: the same bits on each device.
pub fn search_and_tally(device: &dyn Device) -> Numbers {
    let mut numbers = Numbers::new();
    for (items, dim, frames) in [(2, DIM, 45), (1, 70, 5), (3, 130, 2)] {
        let z = device.activation(&Noise::new(9).floats(items * dim * frames), [items, dim, frames]);
        let codes = search(device, &z, parameter(device, 7, [CODEWORDS, dim, 1]).tensor());
        let (counts, sums) = tally(device, &z, &codes, CODEWORDS);
        for (name, words) in [("codes", words(device, &codes)), ("counts", words(device, &counts))] {
            numbers.push((format!("{name} of {dim} dimensions"), words.iter().map(|v| *v as f32).collect()));
        }
        numbers.push((format!("sums of {dim} dimensions"), device.floats(&sums)));
    }
    numbers
}

/// Logits of two sequences: the first positions together, then one by one.
pub fn sample(device: &dyn Device) -> Numbers {
    let (tape, items, context, size, heads) = (Tape::forward_only(device), 2, 20, 3, 2);
    let p = |seed, shape| parameter(device, seed, shape);
    let table = p(1, [CODEWORDS, WIDTH, 1]);
    let [q, k, v] = [2, 3, 4].map(|seed| p(seed, [heads * size, WIDTH, 1]));
    let (none, distances) = (p(5, [heads * size, 1, 1]), p(6, [heads, 9, size]));
    let (w, b) = (p(7, [CODEWORDS, heads * size, 1]), p(8, [CODEWORDS, 1, 1]));
    let mut window = Window::new(device, items, heads * size, context);
    let mut numbers = Numbers::new();
    for count in [7, 1, 1, 1] {
        let at = window.filled();
        let codes: Vec<u32> = (0..items * count).map(|i| ((at + i) * 7 % CODEWORDS) as u32).collect();
        let rows = device.upload(Slice::U32(&codes));
        let x = embedding(&tape, &[&table], &rows, [items, WIDTH, count]);
        let qkv = [&q, &k, &v].map(|w| linear(&tape, &x, w, &none));
        let seen: Tensor = window.attend(device, qkv.each_ref().map(Value::tensor), distances.tensor());
        let logits = linear(&tape, &Value::constant(seen), &w, &b);
        numbers.push((format!("logits from position {at} on"), device.floats(logits.tensor())));
    }
    numbers
}
