//! One training step and one encoding of the codec, by the phase: `codec_step [quickstart|large] [steps]`.
//!
//! `quickstart`: three levels of 3, 5 and 7 halvings, width 32, 2 blocks a stage, batch 4 x 8192 samples. `large`: width
//! 64, 4 blocks, batch 4 x 65536. Latents of 64, codebook of 2048, losses on samples, spectra and commitment, Adam.
//! RAYON_NUM_THREADS sets the threads. `step.py` beside this file is the same in PyTorch.

use std::time::Instant;

use burn::module::{AutodiffModule, Module, Param};
use burn::nn::PaddingConfig1d;
use burn::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::activation::relu;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use kernels::{Kernels, Nearest, Stft, hann_window};

type A = Autodiff<Flex>;

/// What computes: the engine's own operations, our convolutions, or our convolutions and fused blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Stock,
    Convolutions,
    Fused,
}

fn bias<B: Backend>(b: &Option<Param<Tensor<B, 1>>>) -> Tensor<B, 1> {
    b.as_ref().expect("initialised with a bias").val()
}

fn conv<B: Kernels>(c: &Conv1d<B>, x: Tensor<B, 3>, mode: Mode) -> Tensor<B, 3> {
    let padding = match c.padding {
        PaddingConfig1d::Explicit(p, _) => p,
        _ => 0,
    };
    match mode {
        Mode::Stock => c.forward(x),
        _ => kernels::conv1d(x, c.weight.val(), bias(&c.bias), c.stride, padding, c.dilation),
    }
}

fn make<B: Backend>(
    i: usize,
    o: usize,
    taps: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    d: &B::Device,
) -> Conv1d<B> {
    Conv1dConfig::new(i, o, taps)
        .with_stride(stride)
        .with_dilation(dilation)
        .with_padding(PaddingConfig1d::Explicit(padding, padding))
        .init(d)
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    a: Conv1d<B>,
    b: Conv1d<B>,
}

impl<B: Kernels> Block<B> {
    fn new(width: usize, dilation: usize, d: &B::Device) -> Self {
        Self { a: make(width, width, 3, 1, dilation, dilation, d), b: make(width, width, 1, 1, 0, 1, d) }
    }

    fn run(&self, x: Tensor<B, 3>, mode: Mode) -> Tensor<B, 3> {
        if mode == Mode::Fused {
            let (w1, w2) = (self.a.weight.val(), self.b.weight.val());
            return kernels::residual_block(x, w1, bias(&self.a.bias), w2, bias(&self.b.bias), self.a.dilation);
        }
        let h = conv(&self.a, relu(x.clone()), mode);
        x + conv(&self.b, relu(h), mode)
    }
}

#[derive(Module, Debug)]
struct Level<B: Backend> {
    down: Vec<Conv1d<B>>,
    down_blocks: Vec<Block<B>>,
    latent: Conv1d<B>,
    start: Conv1d<B>,
    up_blocks: Vec<Block<B>>,
    up: Vec<ConvTranspose1d<B>>,
    last: Conv1d<B>,
}

impl<B: Kernels> Level<B> {
    fn new(downs: usize, width: usize, depth: usize, d: &B::Device) -> Self {
        let blocks = |_| (0..depth).map(|i| Block::new(width, 3usize.pow(i as u32), d)).collect::<Vec<_>>();
        Self {
            down: (0..downs).map(|i| make(if i == 0 { 1 } else { width }, width, 4, 2, 1, 1, d)).collect(),
            down_blocks: (0..downs).flat_map(blocks).collect(),
            latent: make(width, 64, 3, 1, 1, 1, d),
            start: make(64, width, 3, 1, 1, 1, d),
            up_blocks: (0..downs).flat_map(blocks).collect(),
            up: (0..downs)
                .map(|_| ConvTranspose1dConfig::new([width, width], 4).with_stride(2).with_padding(1).init(d))
                .collect(),
            last: make(width, 1, 3, 1, 1, 1, d),
        }
    }

    fn encode(&self, mut x: Tensor<B, 3>, mode: Mode) -> Tensor<B, 3> {
        let depth = self.down_blocks.len() / self.down.len();
        for (c, blocks) in self.down.iter().zip(self.down_blocks.chunks(depth)) {
            x = conv(c, x, mode);
            x = blocks.iter().fold(x, |x, b| b.run(x, mode));
        }
        conv(&self.latent, x, mode)
    }

    fn decode(&self, z: Tensor<B, 3>, mode: Mode) -> Tensor<B, 3> {
        let depth = self.up_blocks.len() / self.up.len();
        let mut x = conv(&self.start, z, mode);
        for (c, blocks) in self.up.iter().zip(self.up_blocks.chunks(depth)) {
            x = blocks.iter().fold(x, |x, b| b.run(x, mode));
            x = match mode {
                Mode::Stock => c.forward(x),
                _ => kernels::conv_transpose1d(x, c.weight.val(), bias(&c.bias), 2, 1),
            };
        }
        conv(&self.last, x, mode)
    }
}

/// The latents' codewords, as a tensor of their shape.
fn quantise<B: Backend>(z: Tensor<B, 3>, codebook: &[f32], ready: &Nearest<'_>) -> Tensor<B, 3> {
    let [batch, dim, frames] = z.dims();
    let device = z.device();
    let v: Vec<f32> = z.into_data().to_vec().expect("f32");
    let mut out = vec![0.0; v.len()];
    let mut codes = vec![0; frames];
    for b in 0..batch {
        ready.columns(&v[b * dim * frames..][..dim * frames], &mut codes, None);
        for (t, c) in codes.iter().enumerate() {
            for d in 0..dim {
                out[(b * dim + d) * frames + t] = codebook[*c as usize * dim + d];
            }
        }
    }
    Tensor::from_data(TensorData::new(out, [batch, dim, frames]), &device)
}

fn noise(n: usize, scale: f32, seed: u32) -> Vec<f32> {
    let mut s = seed;
    let mut next = || {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (s >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next() * scale).collect()
}

fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let large = args.get(1).is_some_and(|a| a == "large");
    let steps: usize = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(if large { 3 } else { 10 });
    let (width, depth, samples) = if large { (64, 4, 65536) } else { (32, 2, 8192) };
    let device = Default::default();
    let codebook = noise(2048 * 64, 0.1, 7);
    let ready = Nearest::new(&codebook, 64);
    let x = Tensor::<A, 1>::from_data(TensorData::new(noise(4 * samples, 0.3, 1), [4 * samples]), &device)
        .reshape([4, 1, samples]);
    let spectra =
        [(2048, 240, 1200), (1024, 120, 600), (512, 50, 240)].map(|(n, hop, w)| Stft::new(n, hop, &hann_window(w)));
    let modes: &[Mode] = if large || std::env::var_os("FUSED_ONLY").is_some() {
        &[Mode::Fused]
    } else {
        &[Mode::Stock, Mode::Convolutions, Mode::Fused]
    };
    for &mode in modes {
        let mut levels: Vec<_> = [3, 5, 7]
            .map(|downs| {
                (
                    Level::<A>::new(downs, width, depth, &device),
                    AdamConfig::new().with_epsilon(1e-8).init::<A, Level<A>>(),
                )
            })
            .into();
        let (mut forward, mut spectral, mut backward, mut update, mut total, mut encode) =
            (vec![], vec![], vec![], vec![], vec![], vec![]);
        for step in 0..steps + 1 {
            let mut t = [0.0f64; 6];
            let mut since = |i: usize, start: Instant| t[i] += start.elapsed().as_secs_f64() * 1e3;
            for (level, optimiser) in &mut levels {
                let start = Instant::now();
                let z = level.encode(x.clone(), mode);
                let codes = quantise(z.clone().inner(), &codebook, &ready);
                let q = Tensor::<A, 3>::from_inner(codes);
                let through = z.clone() + (q.clone() - z.clone()).detach();
                let y = level.decode(through, mode);
                let error = y.clone() - x.clone();
                let commit = z - q;
                let mut loss = (error.clone() * error).mean() + (commit.clone() * commit).mean() * 0.25;
                since(0, start);
                let start = Instant::now();
                for s in &spectra {
                    let e = s.magnitude(y.clone().reshape([4, samples])) - s.magnitude(x.clone().reshape([4, samples]));
                    loss = loss + (e.clone() * e).mean() * 0.1;
                }
                since(1, start);
                let start = Instant::now();
                let grads = loss.backward();
                since(2, start);
                let start = Instant::now();
                let grads = GradientsParams::from_grads(grads, &*level);
                *level = optimiser.step(3e-4, level.clone(), grads);
                since(3, start);
            }
            let start = Instant::now();
            for (level, _) in &levels {
                let inner = level.valid();
                let x: Tensor<<A as AutodiffBackend>::InnerBackend, 3> = x.clone().inner();
                let _ = quantise(inner.encode(x, mode), &codebook, &ready);
            }
            since(5, start);
            if step > 0 {
                forward.push(t[0]);
                spectral.push(t[1]);
                backward.push(t[2]);
                update.push(t[3]);
                total.push(t[..4].iter().sum());
                encode.push(t[5]);
            }
        }
        let [f, s, b, u, t, e] = [forward, spectral, backward, update, total, encode].map(median);
        println!(
            "{mode:?}: step {t:.1} ms (forward {f:.1}, spectra {s:.1}, backward {b:.1}, update {u:.1}); encode {e:.1} ms"
        );
    }
}
