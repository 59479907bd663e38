//! Magnitudes of the short-time Fourier transform, with a gradient.
//!
//! PyTorch's `stft(center = True, pad_mode = "reflect")`, unnormalised: frame `t` is centred on sample `t * hop`, the
//! window lies in the middle of the transform, and what lies beyond the ends is mirrored at them.
//!
//! The complex spectrum is linear in the signal, so its gradient is its adjoint and the other way round; the
//! magnitude is an operation of its own on the spectrum.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata, TensorPrimitive};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_autodiff::{Autodiff, NodeId};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::Kernels;
use crate::convolve::{dims, floats, tensor};
use crate::gather::filled;

/// Transforms of one unit of work.
const CHUNK: usize = 16;

/// The setting of a transform: size, hop, and the window padded to the size.
#[derive(Clone)]
pub struct Stft {
    fft: usize,
    hop: usize,
    window: Arc<[f32]>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl core::fmt::Debug for Stft {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Stft {{ fft: {}, hop: {} }}", self.fft, self.hop)
    }
}

/// The Hann window of `n` samples, periodic as PyTorch's: `0.5 - 0.5 cos(2 pi i / n)`, computed in f64 by `libm`.
pub fn hann_window(n: usize) -> Vec<f32> {
    (0..n).map(|i| (0.5 - 0.5 * libm::cos(core::f64::consts::TAU * i as f64 / n as f64)) as f32).collect()
}

impl Stft {
    /// A transform of `fft` samples every `hop`; a window shorter than `fft` is centred in it.
    ///
    /// # Panics
    /// If `fft` is odd or 0, `hop` is 0, or the window is longer than `fft`.
    pub fn new(fft: usize, hop: usize, window: &[f32]) -> Self {
        static PLANNER: LazyLock<Mutex<RealFftPlanner<f32>>> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));
        assert!(fft > 0 && fft.is_multiple_of(2) && hop > 0, "stft: size {fft} must be even and hop {hop} positive");
        assert!(window.len() <= fft, "stft: window of {} in a transform of {fft}", window.len());
        let mut padded = vec![0.0; fft];
        padded[(fft - window.len()) / 2..][..window.len()].copy_from_slice(window);
        let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
        let (forward, inverse) = (planner.plan_fft_forward(fft), planner.plan_fft_inverse(fft));
        Self { fft, hop, window: padded.into(), forward, inverse }
    }

    /// Frequencies of a spectrum.
    pub fn bins(&self) -> usize {
        self.fft / 2 + 1
    }

    /// Transforms over a signal of `frames` samples.
    pub fn times(&self, frames: usize) -> usize {
        frames / self.hop + 1
    }

    /// [`stft_magnitude`] with a setting made before.
    pub fn magnitude<B: Kernels>(&self, x: Tensor<B, 2>) -> Tensor<B, 3> {
        let spectrum = B::spectrum(x.into_primitive().tensor(), self);
        Tensor::from_primitive(TensorPrimitive::Float(B::magnitude(spectrum)))
    }

    /// The sample that padded position `p` mirrors.
    fn source(&self, p: usize, frames: usize) -> usize {
        let i = (p as isize - (self.fft / 2) as isize).unsigned_abs();
        if i < frames { i } else { 2 * (frames - 1) - i }
    }

    fn check(&self, frames: usize) {
        assert!(frames > self.fft / 2, "stft: {frames} samples cannot be mirrored by {}", self.fft / 2);
    }

    /// Spectra `[batch, times, 2, bins]` (real parts, then imaginary) of x `[batch, frames]`.
    fn spectra(&self, x: &[f32], frames: usize) -> Vec<f32> {
        self.check(frames);
        let (times, bins) = (self.times(frames), self.bins());
        let mut out = vec![0.0; x.len() / frames * times * 2 * bins];
        let items = out.chunks_mut(times * 2 * bins).zip(x.chunks(frames));
        let chunks: Vec<_> = items
            .flat_map(|(out, x)| out.chunks_mut(CHUNK * 2 * bins).enumerate().map(move |(i, out)| (i * CHUNK, out, x)))
            .collect();
        chunks.into_par_iter().for_each(|(first, out, x)| {
            let (mut time, mut freq) = (self.forward.make_input_vec(), self.forward.make_output_vec());
            let mut scratch = self.forward.make_scratch_vec();
            for (t, out) in out.chunks_mut(2 * bins).enumerate() {
                let start = (first + t) * self.hop;
                let inside = (start >= self.fft / 2).then(|| x.get(start - self.fft / 2..)?.get(..self.fft)).flatten();
                match inside {
                    Some(x) => time.iter_mut().zip(x).zip(&*self.window).for_each(|((o, x), w)| *o = x * w),
                    None => {
                        for n in 0..self.fft {
                            time[n] = x[self.source(start + n, frames)] * self.window[n];
                        }
                    }
                }
                self.transform(&mut time, &mut freq, &mut scratch);
                let (re, im) = out.split_at_mut(bins);
                for (k, v) in freq.iter().enumerate() {
                    (re[k], im[k]) = (v.re, v.im);
                }
            }
        });
        out
    }

    fn transform(&self, time: &mut [f32], freq: &mut [Complex<f32>], scratch: &mut [Complex<f32>]) {
        // the only failure is a wrong length, and all buffers come from the plan
        let done = self.forward.process_with_scratch(time, freq, scratch);
        assert!(done.is_ok(), "stft: {done:?}");
    }

    /// The adjoint: x `[batch, frames]` from g `[batch, times, 2, bins]`. Chunks of transforms are added in order.
    fn adjoint(&self, g: &[f32], frames: usize) -> Vec<f32> {
        self.check(frames);
        let (times, bins) = (self.times(frames), self.bins());
        let chunks: Vec<Vec<f32>> = g
            .chunks(times * 2 * bins)
            .flat_map(|g| g.chunks(CHUNK * 2 * bins))
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|g| {
                let (mut freq, mut time) = (self.inverse.make_input_vec(), self.inverse.make_output_vec());
                let mut scratch = self.inverse.make_scratch_vec();
                let mut sum = vec![0.0; (g.len() / (2 * bins) - 1) * self.hop + self.fft];
                for (t, g) in g.chunks(2 * bins).enumerate() {
                    let (re, im) = g.split_at(bins);
                    // the inverse counts every bin twice but the first and the last, whose imaginary part is no output
                    for k in 0..bins {
                        freq[k] = Complex::new(0.5 * re[k], 0.5 * im[k]);
                    }
                    freq[0] = Complex::new(re[0], 0.0);
                    freq[bins - 1] = Complex::new(re[bins - 1], 0.0);
                    let done = self.inverse.process_with_scratch(&mut freq, &mut time, &mut scratch);
                    assert!(done.is_ok(), "stft: {done:?}");
                    for ((s, v), w) in sum[t * self.hop..].iter_mut().zip(&time).zip(&*self.window) {
                        *s += v * w;
                    }
                }
                sum
            })
            .collect();
        let mut out = vec![0.0; g.len() / (times * 2 * bins) * frames];
        let per_item = times.div_ceil(CHUNK);
        for (x, chunks) in out.chunks_mut(frames).zip(chunks.chunks(per_item)) {
            for (i, sum) in chunks.iter().enumerate() {
                let start = i * CHUNK * self.hop;
                for (n, v) in sum.iter().enumerate() {
                    x[self.source(start + n, frames)] += v;
                }
            }
        }
        out
    }
}

/// Spectra of an engine.
pub trait Spectral: Backend {
    /// `[batch, frames]` to `[batch, times, 2 * bins]`: real parts, then imaginary parts.
    fn spectrum(x: FloatTensor<Self>, stft: &Stft) -> FloatTensor<Self>;

    /// The adjoint of [`Spectral::spectrum`], to `frames` samples.
    fn spectrum_adjoint(g: FloatTensor<Self>, frames: usize, stft: &Stft) -> FloatTensor<Self>;

    /// `[batch, times, 2 * bins]` to magnitudes `[batch, bins, times]`.
    fn magnitude(spectrum: FloatTensor<Self>) -> FloatTensor<Self> {
        let [re, im] = parts::<Self>(spectrum);
        let m = (re.clone() * re + im.clone() * im).sqrt().swap_dims(1, 2);
        m.into_primitive().tensor()
    }

    /// The gradient of [`Spectral::magnitude`]: 0 where the squared magnitude is 0 in f32.
    fn magnitude_grad(spectrum: FloatTensor<Self>, g: FloatTensor<Self>) -> FloatTensor<Self> {
        let [re, im] = parts::<Self>(spectrum);
        let square = re.clone() * re.clone() + im.clone() * im.clone();
        let zero = square.clone().equal_elem(0.0);
        let inverse = square.mask_fill(zero.clone(), 1.0).sqrt().recip().mask_fill(zero, 0.0);
        let g = Tensor::<Self, 3>::from_primitive(TensorPrimitive::Float(g)).swap_dims(1, 2) * inverse;
        Tensor::cat(vec![re * g.clone(), im * g], 2).into_primitive().tensor()
    }
}

/// Real and imaginary parts `[batch, times, bins]`.
fn parts<B: Backend>(spectrum: FloatTensor<B>) -> [Tensor<B, 3>; 2] {
    let s = Tensor::<B, 3>::from_primitive(TensorPrimitive::Float(spectrum));
    let bins = s.dims()[2] / 2;
    [s.clone().narrow(2, 0, bins), s.narrow(2, bins, bins)]
}

/// Magnitudes `[batch, fft / 2 + 1, frames / hop + 1]` of the short-time Fourier transform of x `[batch, frames]`,
/// with a gradient (0 where a magnitude is 0). A window shorter than `fft` is centred in it.
///
/// # Panics
/// If x is not longer than half a transform, and where [`Stft::new`] does.
pub fn stft_magnitude<B: Kernels>(x: Tensor<B, 2>, fft: usize, hop: usize, window: &[f32]) -> Tensor<B, 3> {
    Stft::new(fft, hop, window).magnitude(x)
}

/// Batch and frames of a tensor of rank 2.
fn dims2<T: TensorMetadata>(t: &T) -> [usize; 2] {
    let s = t.shape();
    assert_eq!(s.num_dims(), 2, "expected [batch, frames], found {s:?}");
    [s[0], s[1]]
}

impl Spectral for Flex {
    fn spectrum(x: FlexTensor, stft: &Stft) -> FlexTensor {
        let x = floats(&x);
        let [batch, frames] = dims2(&x);
        tensor(stft.spectra(x.storage(), frames), [batch, stft.times(frames), 2 * stft.bins()])
    }

    fn spectrum_adjoint(g: FlexTensor, frames: usize, stft: &Stft) -> FlexTensor {
        let g = floats(&g);
        let [batch, times, parts] = dims(&g);
        assert_eq!([times, parts], [stft.times(frames), 2 * stft.bins()], "stft: shape of the spectrum");
        tensor(stft.adjoint(g.storage(), frames), [batch, frames])
    }

    fn magnitude(spectrum: FlexTensor) -> FlexTensor {
        let s = floats(&spectrum);
        let [batch, times, parts] = dims(&s);
        let bins = parts / 2;
        let s: &[f32] = s.storage();
        let work = chunks(batch, times);
        // SAFETY: the chunks cover every time of every item, and each writes all bins of its own times.
        let m = unsafe {
            filled(batch * bins * times, |m| {
                work.into_par_iter().for_each(|(item, first, n)| {
                    for t in first..first + n {
                        let (re, im) = s[(item * times + t) * parts..][..parts].split_at(bins);
                        for k in 0..bins {
                            m.at((item * bins + k) * times + t).write((re[k] * re[k] + im[k] * im[k]).sqrt());
                        }
                    }
                });
            })
        };
        tensor(m, [batch, bins, times])
    }

    fn magnitude_grad(spectrum: FlexTensor, g: FlexTensor) -> FlexTensor {
        let (s, g) = (floats(&spectrum), floats(&g));
        let [batch, times, parts] = dims(&s);
        let bins = parts / 2;
        assert_eq!(dims(&g), [batch, bins, times], "stft: shape of the gradient");
        let (s, g): (&[f32], &[f32]) = (s.storage(), g.storage());
        let mut out = vec![0.0; s.len()];
        out.par_chunks_mut(parts).zip(s.par_chunks(parts)).enumerate().with_min_len(CHUNK).for_each(
            |(at, (out, s))| {
                let (item, t) = (at / times, at % times);
                let ((re, im), (dre, dim)) = (s.split_at(bins), out.split_at_mut(bins));
                for k in 0..bins {
                    let square = re[k] * re[k] + im[k] * im[k];
                    let g = g[(item * bins + k) * times + t];
                    let scale = if square == 0.0 { 0.0 } else { g / square.sqrt() };
                    (dre[k], dim[k]) = (re[k] * scale, im[k] * scale);
                }
            },
        );
        tensor(out, [batch, times, parts])
    }
}

/// (item, first time, times) of every unit of work.
fn chunks(batch: usize, times: usize) -> Vec<(usize, usize, usize)> {
    (0..batch).flat_map(|item| (0..times).step_by(CHUNK).map(move |t| (item, t, CHUNK.min(times - t)))).collect()
}

/// The step back through a spectrum or its adjoint.
#[derive(Debug)]
struct Linear;

/// Frames of the signal where the gradient of a spectrum is wanted, none where that of its adjoint is.
type LinearState = (Option<usize>, Stft);

impl<B: Kernels> Backward<B, 1> for Linear {
    type State = LinearState;

    fn backward(self, ops: Ops<LinearState, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let (frames, stft) = ops.state;
        if let [Some(node)] = ops.parents {
            let d = match frames {
                Some(frames) => B::spectrum_adjoint(g, frames, &stft),
                None => B::spectrum(g, &stft),
            };
            grads.register::<B>(node.id, d);
        }
    }
}

/// The step back through a magnitude.
#[derive(Debug)]
struct Magnitude;

impl<B: Kernels> Backward<B, 1> for Magnitude {
    type State = NodeId;

    fn backward(self, ops: Ops<NodeId, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let spectrum = checkpointer.retrieve_node_output::<FloatTensor<B>>(ops.state);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::magnitude_grad(spectrum, g));
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Spectral for Autodiff<B, C> {
    fn spectrum(x: FloatTensor<Self>, stft: &Stft) -> FloatTensor<Self> {
        let frames = dims2(&x)[1];
        match Backward::<B, 1>::prepare::<C>(Linear, [x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((Some(frames), stft.clone()), B::spectrum(x.primitive, stft)),
            OpsKind::UnTracked(prep) => prep.finish(B::spectrum(x.primitive, stft)),
        }
    }

    fn spectrum_adjoint(g: FloatTensor<Self>, frames: usize, stft: &Stft) -> FloatTensor<Self> {
        match Backward::<B, 1>::prepare::<C>(Linear, [g.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((None, stft.clone()), B::spectrum_adjoint(g.primitive, frames, stft)),
            OpsKind::UnTracked(prep) => prep.finish(B::spectrum_adjoint(g.primitive, frames, stft)),
        }
    }

    fn magnitude(spectrum: FloatTensor<Self>) -> FloatTensor<Self> {
        match Backward::<B, 1>::prepare::<C>(Magnitude, [spectrum.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = prep.checkpoint(&spectrum);
                prep.finish(saved, B::magnitude(spectrum.primitive))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::magnitude(spectrum.primitive)),
        }
    }
}
