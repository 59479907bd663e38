//! Plain loops, in any float: the twins that the kernels are compared with.

use core::ops::{Add, AddAssign, Mul};

/// Seeded noise in (-1, 1).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next value (splitmix64).
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

pub(crate) fn to_f64(v: &[f32]) -> Vec<f64> {
    v.iter().map(|v| *v as f64).collect()
}

/// What plain loops need of a float.
pub(crate) trait Real: Copy + Default + Add<Output = Self> + Mul<Output = Self> + AddAssign {}
impl Real for f32 {}
impl Real for f64 {}

/// One convolution or transposed convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    pub(crate) transposed: bool,
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) frames: usize,
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
}

impl Conv {
    pub(crate) fn fits(&self) -> bool {
        let span = self.dilation * (self.taps - 1) + 1;
        match self.transposed {
            false => self.frames + 2 * self.padding >= span,
            true => (self.frames - 1) * self.stride + span > 2 * self.padding,
        }
    }

    pub(crate) fn x_shape(&self) -> [usize; 3] {
        [self.batch, self.inputs, self.frames]
    }

    pub(crate) fn y_shape(&self) -> [usize; 3] {
        let span = self.dilation * (self.taps - 1) + 1;
        let frames = match self.transposed {
            false => (self.frames + 2 * self.padding - span) / self.stride + 1,
            true => (self.frames - 1) * self.stride + span - 2 * self.padding,
        };
        [self.batch, self.outputs, frames]
    }

    /// y, dx, dw and db: every product of the definition, one after the other.
    pub(crate) fn all<T: Real>(&self, x: &[T], w: &[T], bias: &[T], g: &[T]) -> [Vec<T>; 4] {
        let [_, _, yn] = self.y_shape();
        let mut y: Vec<T> = (0..self.batch * self.outputs * yn).map(|i| bias[i / yn % self.outputs]).collect();
        let (mut dx, mut dw, mut db) =
            (vec![T::default(); x.len()], vec![T::default(); w.len()], vec![T::default(); bias.len()]);
        for (i, g) in g.iter().enumerate() {
            db[i / yn % self.outputs] += *g;
        }
        let short = if self.transposed { self.frames } else { yn };
        let long = if self.transposed { yn } else { self.frames };
        for b in 0..self.batch {
            for o in 0..self.outputs {
                for i in 0..self.inputs {
                    for k in 0..self.taps {
                        for s in 0..short {
                            let l = (s * self.stride + k * self.dilation) as isize - self.padding as isize;
                            if l < 0 || l >= long as isize {
                                continue;
                            }
                            let (xt, yt) = if self.transposed { (s, l as usize) } else { (l as usize, s) };
                            let xi = (b * self.inputs + i) * self.frames + xt;
                            let yi = (b * self.outputs + o) * yn + yt;
                            let wi = match self.transposed {
                                false => (o * self.inputs + i) * self.taps + k,
                                true => (i * self.outputs + o) * self.taps + k,
                            };
                            y[yi] += w[wi] * x[xi];
                            dx[xi] += w[wi] * g[yi];
                            dw[wi] += g[yi] * x[xi];
                        }
                    }
                }
            }
        }
        [y, dx, dw, db]
    }
}
