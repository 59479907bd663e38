//! Plans of real Fourier transforms, by rustfft.
//!
//! rustfft is generic over the number's type and compiled anew by every crate that makes a plan. So the crates above ask for
//! theirs here.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

pub use realfft::num_complex::Complex;
pub use realfft::{ComplexToReal, RealToComplex};

use realfft::{FftNum, RealFftPlanner};

type Planner<T> = LazyLock<Mutex<RealFftPlanner<T>>>;

static SINGLE: Planner<f32> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));
static DOUBLE: Planner<f64> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));

fn plan<T: FftNum, P>(planner: &Planner<T>, plan: impl FnOnce(&mut RealFftPlanner<T>) -> P) -> P {
    // a panic elsewhere leaves the planner whole: it only caches
    plan(&mut planner.lock().unwrap_or_else(PoisonError::into_inner))
}

/// From `len` samples to `len / 2 + 1` frequencies.
pub fn forward(len: usize) -> Arc<dyn RealToComplex<f32>> {
    plan(&SINGLE, |planner| planner.plan_fft_forward(len))
}

/// From `len / 2 + 1` frequencies to `len` samples, not divided by `len`.
pub fn inverse(len: usize) -> Arc<dyn ComplexToReal<f32>> {
    plan(&SINGLE, |planner| planner.plan_fft_inverse(len))
}

/// [`forward`] in 64 bits.
pub fn forward_double(len: usize) -> Arc<dyn RealToComplex<f64>> {
    plan(&DOUBLE, |planner| planner.plan_fft_forward(len))
}
