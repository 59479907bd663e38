//! A Transformer over codes as a prior is one: tables of codes and classes, conditioning on a level above, two blocks, and
//! cross-entropy as its loss.

use kernels::device::Device;
use kernels::ops::add::add;
use kernels::ops::attention::relative_attention;
use kernels::ops::convolution::{Geometry, conv_transpose1d, conv1d};
use kernels::ops::cross_entropy::{Labels, cross_entropy};
use kernels::ops::embedding::{NO_ROW, embedding};
use kernels::ops::gelu::gelu;
use kernels::ops::layer_norm::layer_norm;
use kernels::ops::linear::linear;
use kernels::ops::residual::residual_block;
use kernels::tape::{Tape, Value, segment};
use kernels::tensor::Slice;

use super::{Numbers, Parameters, Said, train};

const ITEMS: usize = 2;
const CONTEXT: usize = 70;
const WIDTH: usize = 10;
const HEADS: usize = 2;
const SIZE: usize = 4;
const DISTANCES: usize = 40;
const HIDDEN: usize = 18;
const CODEWORDS: usize = 17;
const CLASSES: usize = 3;

/// Parameters of a block, and of what comes before the blocks.
const OF_BLOCK: usize = 16;
const BEFORE: usize = 13;

fn parameters(device: &dyn Device) -> Parameters {
    let mut all = Parameters::new();
    all.add(device, "codes", [CODEWORDS, WIDTH, 1], 1.0);
    all.add(device, "classes", [CLASSES, WIDTH, 1], 1.0);
    all.add(device, "upper", [CODEWORDS, WIDTH, 1], 1.0);
    all.layer(device, "in", [WIDTH, WIDTH, 3], WIDTH, 3 * WIDTH);
    all.layer(device, "conditioner.1", [WIDTH, WIDTH, 3], WIDTH, 3 * WIDTH);
    all.layer(device, "conditioner.2", [WIDTH, WIDTH, 1], WIDTH, WIDTH);
    all.layer(device, "conditioner.up", [WIDTH, WIDTH, 4], WIDTH, 2 * WIDTH);
    all.layer(device, "conditioner.norm", [WIDTH, 1, 1], WIDTH, 1);
    for block in 0..2 {
        let name = |part: &str| format!("{block}.{part}");
        let a = HEADS * SIZE;
        all.layer(device, &name("norm 1"), [WIDTH, 1, 1], WIDTH, 1);
        all.layer(device, &name("query"), [a, WIDTH, 1], a, WIDTH);
        // a key's bias shifts all scores of a query alike: its gradient is 0 but for rounding, so it is none here
        all.add(device, &name("key"), [a, WIDTH, 1], 0.3);
        all.layer(device, &name("value"), [a, WIDTH, 1], a, WIDTH);
        all.add(device, &name("distances"), [HEADS, DISTANCES, SIZE], 0.5);
        all.layer(device, &name("out"), [WIDTH, a, 1], WIDTH, a);
        all.layer(device, &name("norm 2"), [WIDTH, 1, 1], WIDTH, 1);
        all.layer(device, &name("up"), [HIDDEN, WIDTH, 1], HIDDEN, WIDTH);
        all.layer(device, &name("down"), [WIDTH, HIDDEN, 1], WIDTH, HIDDEN);
    }
    all.layer(device, "norm", [WIDTH, 1, 1], WIDTH, 1);
    all.layer(device, "logits", [CODEWORDS, WIDTH, 1], CODEWORDS, WIDTH);
    all
}

fn block(tape: &Tape<'_>, x: Value, p: &[Value]) -> Value {
    let normed = layer_norm(tape, &x, &p[0], &p[1]);
    let zeros = Value::constant(tape.device().tensor(&[0.0; HEADS * SIZE], [HEADS * SIZE, 1, 1]));
    let (q, k) = (linear(tape, &normed, &p[2], &p[3]), linear(tape, &normed, &p[4], &zeros));
    let v = linear(tape, &normed, &p[5], &p[6]);
    let seen = relative_attention(tape, &q, &k, &v, &p[7]);
    let x = add(tape, x, linear(tape, &seen, &p[8], &p[9]));
    let normed = layer_norm(tape, &x, &p[10], &p[11]);
    let hidden = gelu(tape, &linear(tape, &normed, &p[12], &p[13]));
    add(tape, x, linear(tape, &hidden, &p[14], &p[15]))
}

/// What the level above adds.
fn condition(tape: &Tape<'_>, p: &[Value], rows: &[u32]) -> Value {
    let rows = tape.device().upload(Slice::U32(rows));
    let x = embedding(tape, &[&p[2]], &rows, [ITEMS, WIDTH, CONTEXT / 2]);
    let x = conv1d(tape, &x, &p[3], &p[4], Geometry { stride: 1, padding: 1, dilation: 1 });
    let x = residual_block(tape, &x, [5, 6, 7, 8].map(|i| &p[i]), 3);
    let x = conv_transpose1d(tape, &x, &p[9], &p[10], 2, 1);
    layer_norm(tape, &x, &p[11], &p[12])
}

/// A prior in training, its blocks in segments or not.
pub fn prior(device: &dyn Device, segments: bool) -> Numbers {
    let codes: Vec<u32> = (0..ITEMS * CONTEXT).map(|i| (i * i / 3 % CODEWORDS) as u32).collect();
    // at the first position the class, then the code before; one position is silent
    let row = |i: usize| match i % CONTEXT {
        0 => (CODEWORDS + i / CONTEXT) as u32,
        50 => NO_ROW,
        _ => codes[i - 1],
    };
    let rows: Vec<u32> = (0..codes.len()).map(row).collect();
    let above: Vec<u32> = codes.iter().step_by(2).copied().collect();
    let (live, counted) = ([0, CONTEXT as u32, 9, CONTEXT as u32 - 4], CONTEXT + CONTEXT - 13);
    let [on_codes, on_live] = [&codes[..], &live].map(|words| device.upload(Slice::U32(words)));
    train(device, parameters(device), 0.01, |tape, p, scale| {
        let rows = device.upload(Slice::U32(&rows));
        let x = embedding(tape, &[&p[0], &p[1]], &rows, [ITEMS, WIDTH, CONTEXT]);
        let mut x = add(tape, x, condition(tape, p, &above));
        for at in 0..2 {
            let own = &p[BEFORE + at * OF_BLOCK..][..OF_BLOCK];
            x = if segments { segment(tape, x, own, block) } else { block(tape, x, own) };
        }
        let [.., gain, bias, w, b] = p else { panic!("parameters") };
        let end = linear(tape, &layer_norm(tape, &x, gain, bias), w, b);
        let output = device.floats(end.tensor());
        let labels = Labels { codes: &on_codes, live: &on_live, share: scale / counted as f32 };
        let (figure, gradient) = cross_entropy(device, device.activation(&output, end.shape()), labels);
        Said { figure, end, output, gradient }
    })
}
