//! Causal relative attention, forward and with its gradients: `attention [positions] [fused|plain] [repeats]`.
//!
//! One item of 8 heads of 64 channels, a distance for every position. RAYON_NUM_THREADS sets the threads. Prints median
//! times and the process's peak memory. `attention.py` beside this file is the same in PyTorch, by the skew.

use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use kernels::{Kernels, relative_attention, relative_attention_plain};

const HEADS: usize = 8;
const SIZE: usize = 64;

fn noise<B: Kernels>(shape: [usize; 3], seed: u32) -> Tensor<B, 3> {
    let mut s = seed;
    let mut next = || {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (s >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(data, shape), &Default::default())
}

fn attend<B: Kernels>([q, k, v, e]: [Tensor<B, 3>; 4], plain: bool) -> Tensor<B, 3> {
    match plain {
        false => relative_attention(q, k, v, e),
        true => relative_attention_plain(q, k, v, e),
    }
}

fn operands<B: Kernels>(positions: usize) -> [Tensor<B, 3>; 4] {
    let x = |seed| noise([1, HEADS * SIZE, positions], seed);
    [x(1), x(2), x(3), noise([HEADS, positions, SIZE], 4)]
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
    let plain = args.get(2).is_some_and(|a| a == "plain");
    let repeats = args.get(3).and_then(|a| a.parse().ok()).unwrap_or(3);
    let inner = operands::<Flex>(positions);
    let forward = median(repeats, || drop(attend(inner.clone(), plain)));
    let both = median(repeats, || {
        let tracked = operands::<Autodiff<Flex>>(positions).map(Tensor::require_grad);
        let grads = attend(tracked.clone(), plain).sum().backward();
        let got = tracked.iter().filter(|t| t.grad(&grads).is_some()).count();
        assert_eq!(got, 4, "every operand has a gradient");
    });
    let peak = peak().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
    println!("Refrain: {positions} positions, forward {forward:.1} ms, with gradients {both:.1} ms, peak {peak}");
}
