//! The plain twin: every product of the definition, one after the other, in any float.

use core::ops::{Add, AddAssign, Mul};

/// What plain loops need of a float.
pub trait Real: Copy + Default + Add<Output = Self> + Mul<Output = Self> + AddAssign {}
impl Real for f32 {}
impl Real for f64 {}

/// One convolution or transposed convolution, by its extents.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Whether it is [`conv_transpose1d`](super::conv_transpose1d()).
    pub transposed: bool,
    /// Items.
    pub batch: usize,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Frames in.
    pub frames: usize,
    /// Taps of the kernel.
    pub taps: usize,
    /// See [`Geometry`](super::Geometry), as the next two.
    pub stride: usize,
    /// Zeros before and behind.
    pub padding: usize,
    /// 1 where it is transposed.
    pub dilation: usize,
}

impl Conv {
    /// Whether an output has at least one frame.
    pub fn fits(&self) -> bool {
        let span = self.dilation * (self.taps - 1) + 1;
        match self.transposed {
            false => self.frames + 2 * self.padding >= span,
            true => (self.frames - 1) * self.stride + span > 2 * self.padding,
        }
    }

    /// The shape of x.
    pub fn x_shape(&self) -> [usize; 3] {
        [self.batch, self.inputs, self.frames]
    }

    /// The shape of the weights.
    pub fn w_shape(&self) -> [usize; 3] {
        match self.transposed {
            false => [self.outputs, self.inputs, self.taps],
            true => [self.inputs, self.outputs, self.taps],
        }
    }

    /// The shape of y.
    pub fn y_shape(&self) -> [usize; 3] {
        let span = self.dilation * (self.taps - 1) + 1;
        let frames = match self.transposed {
            false => (self.frames + 2 * self.padding - span) / self.stride + 1,
            true => (self.frames - 1) * self.stride + span - 2 * self.padding,
        };
        [self.batch, self.outputs, frames]
    }

    /// y, dx, dw and db: every product of the definition, one after the other.
    pub fn all<T: Real>(&self, x: &[T], w: &[T], bias: &[T], g: &[T]) -> [Vec<T>; 4] {
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
