//! Causal relative attention, forward and with its gradients: `attention [positions] [repeats]`.
//!
//! One item of 8 heads of 64 channels, a distance for every position. RAYON_NUM_THREADS sets the threads. Prints median
//! times and the process's peak memory. `attention.py` beside this file is the same in PyTorch, by the skew.

use std::time::Instant;

use kernels::device::{Cpu, Device};
use kernels::ops::attention::relative_attention;
use kernels::tape::{Tape, Value};
use kernels::tensor::Tensor;

const HEADS: usize = 8;
const SIZE: usize = 64;

fn noise(device: &dyn Device, shape: [usize; 3], seed: u32) -> Tensor {
    let mut s = seed;
    let mut next = || {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (s >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    device.tensor(&data, shape)
}

/// The median time of `f` in milliseconds, after one run that does not count.
fn median(repeats: usize, f: impl Fn()) -> f64 {
    f();
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The most memory that the process had, in MiB, where the system says so.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn main() {
    let args: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let positions: usize = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(512);
    let repeats = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(3);
    let device: &dyn Device = &Cpu::new();
    let shape = [1, HEADS * SIZE, positions];
    let [q, k, v] = [1, 2, 3].map(|seed| noise(device, shape, seed));
    let operands = [q, k, v, noise(device, [HEADS, positions, SIZE], 4)];
    let ones = device.tensor(&vec![1.0; shape.iter().product()], shape);
    let attend = |tape: &Tape<'_>, [q, k, v, e]: [&Value; 4]| relative_attention(tape, q, k, v, e);
    let forward = median(repeats, || {
        let constants = operands.clone().map(Value::constant);
        drop(attend(&Tape::forward_only(device), constants.each_ref()));
    });
    let both = median(repeats, || {
        let tape = Tape::recording(device);
        let leaves = operands.clone().map(|tensor| tape.leaf(tensor));
        let y = attend(&tape, leaves.each_ref());
        let mut found = tape.backward(&y, ones.clone());
        assert!(leaves.iter().all(|leaf| found.take(leaf).is_some()), "every operand has a gradient");
    });
    let peak = peak().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
    println!("Refrain: {positions} positions, forward {forward:.1} ms, with gradients {both:.1} ms, peak {peak}");
}
