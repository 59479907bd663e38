//! The plain twin: two convolutions by their definition, in any float.

use crate::ops::convolution::plain::{Conv, Real};

/// A residual block, by its extents.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Items.
    pub batch: usize,
    /// Channels in and out.
    pub channels: usize,
    /// Channels between the convolutions.
    pub hidden: usize,
    /// Frames in and out.
    pub frames: usize,
    /// Taps of the first convolution, odd.
    pub taps: usize,
    /// Frames from a tap to the next.
    pub dilation: usize,
}

impl Block {
    /// y, dx, dw1, db1, dw2 and db2 from x, w1, b1, w2, b2 and the gradient of y.
    pub fn all<T: Real + PartialOrd>(&self, [x, w1, b1, w2, b2, g]: [&[T]; 6]) -> [Vec<T>; 6] {
        let Self { batch, channels, hidden, frames, taps, dilation } = *self;
        let padding = dilation * (taps - 1) / 2;
        let first = Conv {
            transposed: false,
            batch,
            inputs: channels,
            outputs: hidden,
            frames,
            taps,
            stride: 1,
            padding,
            dilation,
        };
        let second = Conv { inputs: hidden, outputs: channels, taps: 1, padding: 0, dilation: 1, ..first };
        let gate = |v: &[T], at: &[T]| -> Vec<T> {
            v.iter().zip(at).map(|(v, a)| if *a > T::default() { *v } else { T::default() }).collect()
        };
        let add = |a: &[T], b: &[T]| -> Vec<T> { a.iter().zip(b).map(|(a, b)| *a + *b).collect() };
        let r = gate(x, x);
        let [pre, ..] = first.all(&r, w1, b1, &vec![T::default(); batch * hidden * frames]);
        let h = gate(&pre, &pre);
        let [branch, dh, dw2, db2] = second.all(&h, w2, b2, g);
        let [_, dr, dw1, db1] = first.all(&r, w1, b1, &gate(&dh, &pre));
        [add(x, &branch), add(g, &gate(&dr, x)), dw1, db1, dw2, db2]
    }
}
