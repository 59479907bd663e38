//! The tape: gradients that meet, segments, memory, and the list of operations.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use std::path::Path;

use kernels::OPS;
use kernels::device::{Cpu, Device};
use kernels::ops::add::add;
use kernels::ops::gelu::gelu;
use kernels::ops::linear::linear;
use kernels::tape::{Tape, Value, segment};
use plain::Noise;

const SHAPE: [usize; 3] = [2, 8, 700];

fn noise(n: usize, seed: u64) -> Vec<f32> {
    Noise::new(seed).floats(n)
}

/// `x + gelu(w2 gelu(w1 x + b1) + b2)`.
fn branch(tape: &Tape<'_>, x: Value, parameters: &[Value]) -> Value {
    let half = |x: &Value, at: usize| gelu(tape, &linear(tape, x, &parameters[at], &parameters[at + 1]));
    let hidden = half(&half(&x, 0), 2);
    add(tape, x, hidden)
}

/// Several branches, the last twice with the same parameters: the result, all gradients, and the most bytes in use.
fn network(segments: bool) -> (Vec<f32>, Vec<Vec<f32>>, usize) {
    let device: &dyn Device = &Cpu::new();
    let tape = Tape::recording(device);
    let size = SHAPE.iter().product();
    let x = tape.leaf(device.tensor(&noise(size, 1), SHAPE));
    let parameters: Vec<[Value; 4]> = (0..6)
        .map(|i| {
            [(64, 0), (8, 1), (64, 2), (8, 3)]
                .map(|(n, at)| tape.leaf(device.tensor(&noise(n, 10 + 4 * i + at), [8, n / 8, 1])))
        })
        .collect();
    let mut y = x.clone();
    for part in parameters.iter().chain(parameters.last()) {
        y = if segments { segment(&tape, y, part, branch) } else { branch(&tape, y, part) };
    }
    let out = device.floats(y.tensor());
    let mut found = tape.backward(&y, device.tensor(&noise(size, 2), SHAPE));
    let leaves = std::iter::once(&x).chain(parameters.iter().flatten());
    let gradients = leaves.map(|leaf| device.floats(&found.take(leaf).expect("a gradient"))).collect();
    drop(y);
    (out, gradients, device.peak())
}

#[test]
fn segments_change_no_bit_and_need_less_memory() {
    let (y, gradients, peak) = network(false);
    let (again, of_segments, less) = network(true);
    assert!(y == again && gradients == of_segments);
    assert!(3 * less < 2 * peak, "{less} and {peak} bytes");
}

#[test]
fn gradients_that_meet_are_added_and_what_nobody_wants_is_not_computed() {
    let device: &dyn Device = &Cpu::new();
    let tape = Tape::recording(device);
    let leaf = tape.leaf(device.tensor(&[1.0, 2.0], [1, 1, 2]));
    let constant = Value::constant(device.tensor(&[5.0, 5.0], [1, 1, 2]));
    let twice = add(&tape, leaf.clone(), leaf.clone());
    let y = add(&tape, twice, constant.clone());
    assert_eq!(device.floats(y.tensor()), [7.0, 9.0]);
    // what was added in place was nobody else's
    assert_eq!((device.floats(leaf.tensor()), device.floats(constant.tensor())), (vec![1.0, 2.0], vec![5.0, 5.0]));
    let mut found = tape.backward(&y, device.tensor(&[1.0, 10.0], [1, 1, 2]));
    assert_eq!(device.floats(&found.take(&leaf).expect("a gradient")), [2.0, 20.0]);
    assert!(found.take(&leaf).is_none() && found.take(&constant).is_none());
}

#[test]
fn a_leaf_that_nothing_flows_to_has_no_gradient() {
    let device: &dyn Device = &Cpu::new();
    let tape = Tape::recording(device);
    let [a, b] = [1.0, 2.0].map(|v| tape.leaf(device.tensor(&[v], [1, 1, 1])));
    let y = gelu(&tape, &a);
    let mut found = tape.backward(&y, device.tensor(&[1.0], [1, 1, 1]));
    assert!(found.take(&a).is_some() && found.take(&b).is_none());
}

/// A second step finds the memory of the first.
#[test]
fn buffers_come_back() {
    let device: &dyn Device = &Cpu::new();
    let step = || {
        let tape = Tape::recording(device);
        let x = tape.leaf(device.tensor(&noise(SHAPE.iter().product(), 1), SHAPE));
        let y = gelu(&tape, &gelu(&tape, &x));
        drop(tape.backward(&y, device.tensor(&noise(SHAPE.iter().product(), 2), SHAPE)));
        drop((x, y));
        device.peak()
    };
    let first = step();
    assert_eq!(step(), first);
    // all of it is at rest now
    assert_eq!(device.peak(), 0);
}

#[test]
#[should_panic(expected = "a buffer that is shared cannot be written")]
fn a_shared_buffer_is_not_written() {
    let device: &dyn Device = &Cpu::new();
    let parameter = &mut kernels::tape::Parameter::new(device, &[1.0], [1, 1, 1], false);
    let (_held, gradient) = (parameter.value.clone(), device.tensor(&[1.0], [1, 1, 1]));
    let rule = kernels::ops::adam::Adam { step: 1, rate: 0.1, decay: 0.0, scale: 1.0 };
    rule.update(device, vec![(parameter, &gradient)]);
}

/// The list has every folder, and says rightly what is in it.
#[test]
fn the_list_of_operations_is_whole() {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut folders: Vec<String> = std::fs::read_dir(&ops)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    folders.sort();
    assert_eq!(folders, OPS.map(|op| op.name.to_owned()));
    for op in OPS {
        let folder = ops.join(op.name);
        let sources: String = std::fs::read_dir(&folder)
            .expect("a folder")
            .filter_map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).ok())
            .collect();
        // a linear layer is a convolution
        let backward = sources.contains("impl Backward for") || op.name == "linear";
        assert_eq!(backward, op.backward, "{}", op.name);
        // a residual block is two convolutions on a GPU
        let cuda = folder.join(format!("{}.cu", op.name)).is_file() || op.name == "residual";
        assert_eq!(cuda, op.cuda, "{}", op.name);
    }
}
