//! An autoencoder of sound as the codec is one: strided convolutions, residual blocks, transposed convolutions, and the
//! distances of samples and of spectra as its loss.

use kernels::device::Device;
use kernels::launch::loss::Weights;
use kernels::ops::add::add;
use kernels::ops::cast::cast;
use kernels::ops::convolution::{Geometry, conv_transpose1d, conv1d};
use kernels::ops::loss::{samples, spectra};
use kernels::ops::residual::residual_block;
use kernels::ops::stft::{Spectrum, Stft, hann_window};
use kernels::tape::{Tape, Value, segment};
use kernels::tensor::{DType, Tensor};

use super::{Noise, Numbers, Parameters, Said, train};

const ITEMS: usize = 2;
const LENGTH: usize = 272;
const WIDTH: usize = 6;
const HIDDEN: usize = 5;
const DIM: usize = 3;

const DOWN: Geometry = Geometry { stride: 2, padding: 1, dilation: 1 };
const SAME: Geometry = Geometry { stride: 1, padding: 1, dilation: 1 };

fn parameters(device: &dyn Device) -> Parameters {
    let mut all = Parameters::new();
    let block = |all: &mut Parameters, name: &str| {
        all.layer(device, &format!("{name}.1"), [HIDDEN, WIDTH, 3], HIDDEN, 3 * WIDTH);
        all.layer(device, &format!("{name}.2"), [WIDTH, HIDDEN, 1], WIDTH, HIDDEN);
    };
    all.layer(device, "down", [WIDTH, 1, 4], WIDTH, 4);
    block(&mut all, "first");
    block(&mut all, "second");
    all.layer(device, "code", [DIM, WIDTH, 3], DIM, 3 * WIDTH);
    all.layer(device, "wide", [WIDTH, DIM, 3], WIDTH, 3 * DIM);
    block(&mut all, "third");
    all.layer(device, "up", [WIDTH, DIM, 4], DIM, 2 * WIDTH);
    all.layer(device, "out", [1, DIM, 3], 1, 3 * DIM);
    all
}

/// Two residual blocks of different reach.
fn blocks(tape: &Tape<'_>, x: Value, p: &[Value]) -> Value {
    let x = residual_block(tape, &x, [0, 1, 2, 3].map(|i| &p[i]), 1);
    residual_block(tape, &x, [4, 5, 6, 7].map(|i| &p[i]), 3)
}

fn network(tape: &Tape<'_>, x: Value, p: &[Value], segments: bool) -> Value {
    let x = conv1d(tape, &x, &p[0], &p[1], DOWN);
    let x = if segments { segment(tape, x, &p[2..10], blocks) } else { blocks(tape, x, &p[2..10]) };
    let z = conv1d(tape, &x, &p[10], &p[11], SAME);
    let x = conv1d(tape, &z, &p[12], &p[13], SAME);
    let x = residual_block(tape, &x, [14, 15, 16, 17].map(|i| &p[i]), 9);
    let x = conv_transpose1d(tape, &x, &p[18], &p[19], 2, 1);
    conv1d(tape, &x, &p[20], &p[21], SAME)
}

/// What the output costs, and the scaled gradient, in the type of activations.
fn loss(device: &dyn Device, by: &Spectrum, x: &Tensor, y: &Tensor, scale: f32) -> (f64, Tensor) {
    let (y, scale) = (cast(device, y, DType::F32), f64::from(scale));
    let weights = Weights { norm: 0.02 * scale, logarithms: 0.05 * scale, floor: 0.1 };
    let (square, gradient) = samples(device, x, &y, scale / y.len() as f64);
    let ([norms, logs], more) = spectra(device, by, x, &y, weights);
    let tape = Tape::forward_only(device);
    let gradient = add(&tape, Value::constant(gradient), Value::constant(more)).into_tensor();
    let figure = square / y.len() as f64 + 0.02 * norms + 0.05 * logs;
    (figure, cast(device, &gradient, device.precision()))
}

/// A codec in training, its first blocks in a segment or not.
pub fn codec(device: &dyn Device, segments: bool) -> Numbers {
    let shape = [ITEMS, 1, LENGTH];
    let x = Noise::new(99).floats(ITEMS * LENGTH);
    let by = Spectrum::new(device, Stft::new(64, 16, &hann_window(48)));
    train(device, parameters(device), 0.0, |tape, p, scale| {
        let end = network(tape, Value::constant(device.activation(&x, shape)), p, segments);
        let output = device.floats(end.tensor());
        let (figure, gradient) = loss(device, &by, &device.tensor(&x, shape), end.tensor(), scale);
        Said { figure, end, output, gradient }
    })
}
