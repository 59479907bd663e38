//! Percussion: short strokes of swept sines, high partials and filtered noise.

use super::RATE;
use super::rng::Rng;
use super::voice::smooth;

const TURN: f64 = 2.0 * std::f64::consts::PI;

/// A percussion instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Drum {
    Kick,
    Clap,
    Hat,
    Brush,
    Shaker,
    Frame,
    Bodhran,
    Cymbal,
    Triangle,
}

/// Number of instruments.
pub(super) const DRUMS: usize = 9;

/// A second-order section in direct form I (R. Bristow-Johnson's cookbook).
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    x: [f64; 2],
    y: [f64; 2],
}

impl Biquad {
    /// A high pass at `hz`.
    fn high(hz: f64, q: f64) -> Self {
        let w = TURN * hz / RATE;
        let (sin, cos) = (libm::sin(w), libm::cos(w));
        let alpha = sin / (2.0 * q);
        let a0 = 1.0 + alpha;
        let side = (1.0 + cos) / 2.0 / a0;
        Self { b: [side, -2.0 * side, side], a: [-2.0 * cos / a0, (1.0 - alpha) / a0], x: [0.0; 2], y: [0.0; 2] }
    }

    /// A band pass about `hz` with unit gain there.
    fn band(hz: f64, q: f64) -> Self {
        let w = TURN * hz / RATE;
        let (sin, cos) = (libm::sin(w), libm::cos(w));
        let alpha = sin / (2.0 * q);
        let a0 = 1.0 + alpha;
        Self { b: [alpha / a0, 0.0, -alpha / a0], a: [-2.0 * cos / a0, (1.0 - alpha) / a0], x: [0.0; 2], y: [0.0; 2] }
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.b[1] * self.x[0] + self.b[2] * self.x[1]
            - self.a[0] * self.y[0]
            - self.a[1] * self.y[1];
        self.x = [x, self.x[0]];
        self.y = [y, self.y[0]];
        y
    }
}

impl Drum {
    /// One stroke at full velocity, from silence to silence.
    pub(super) fn stroke(self) -> Vec<f64> {
        match self {
            Self::Kick => sum(&[
                sweep(0.55, 120.0, 47.0, 30.0, 9.0, 0.32),
                noise(1, 0.02, Biquad::high(5000.0, 0.7), 0.001, 220.0, 0.03),
            ]),
            Self::Frame => sum(&[
                sweep(0.20, 130.0, 82.0, 20.0, 9.0, 0.35),
                noise(2, 0.012, Biquad::high(4500.0, 0.7), 0.001, 160.0, 0.04),
            ]),
            Self::Bodhran => sum(&[
                sweep(0.36, 150.0, 88.0, 26.0, 13.0, 0.26),
                noise(3, 0.02, Biquad::high(4500.0, 0.7), 0.001, 160.0, 0.04),
            ]),
            Self::Clap => noise(4, 0.10, Biquad::band(2400.0, 0.9), 0.002, 32.0, 0.16),
            Self::Hat => noise(5, 0.055, Biquad::high(7500.0, 0.8), 0.001, 60.0, 0.09),
            Self::Brush => noise(6, 0.05, Biquad::band(5200.0, 0.7), 0.006, 30.0, 0.16),
            Self::Shaker => noise(7, 0.065, Biquad::band(6800.0, 1.1), 0.010, 45.0, 0.12),
            Self::Cymbal => ring(0.028, &[4310.0, 6130.0, 9270.0], 5.0, 0.7),
            Self::Triangle => ring(0.018, &[4720.0, 7010.0, 10_230.0], 7.0, 0.5),
        }
    }
}

/// The envelope of a stroke: a ramp of `attack` seconds, a decay at `rate`, a ramp to zero over
/// the last quarter.
fn envelope(n: usize, frames: usize, attack: f64, rate: f64) -> f64 {
    let t = n as f64 / RATE;
    let rise = if t < attack { smooth(t / attack) } else { 1.0 };
    let left = (frames - 1 - n) as f64 / (frames as f64 / 4.0);
    rise * libm::exp(-rate * t) * if left < 1.0 { smooth(left) } else { 1.0 }
}

/// A sine that falls from `from` to `to` Hz at `bend` per second.
fn sweep(level: f64, from: f64, to: f64, bend: f64, rate: f64, seconds: f64) -> Vec<f64> {
    let frames = (seconds * RATE) as usize;
    let mut phase = 0.0;
    (0..frames)
        .map(|n| {
            let t = n as f64 / RATE;
            phase += TURN * (to + (from - to) * libm::exp(-bend * t)) / RATE;
            level * libm::sin(phase) * envelope(n, frames, 0.003, rate)
        })
        .collect()
}

/// Noise through a filter, scaled so that its RMS before the envelope is about `level`.
fn noise(seed: u64, level: f64, mut filter: Biquad, attack: f64, rate: f64, seconds: f64) -> Vec<f64> {
    let frames = (seconds * RATE) as usize;
    let mut rng = Rng::new(seed, 0x5eed);
    let raw: Vec<f64> = (0..frames).map(|_| filter.next(rng.signed())).collect();
    let power = raw.iter().map(|x| x * x).sum::<f64>() / frames as f64;
    let gain = level / libm::sqrt(power);
    raw.iter().enumerate().map(|(n, x)| gain * x * envelope(n, frames, attack, rate)).collect()
}

/// High partials that ring on, the higher the shorter.
fn ring(level: f64, partials: &[f64], rate: f64, seconds: f64) -> Vec<f64> {
    let frames = (seconds * RATE) as usize;
    let mut out = vec![0.0; frames];
    for (i, hz) in partials.iter().enumerate() {
        let order = (i + 1) as f64;
        for (n, out) in out.iter_mut().enumerate() {
            let phase = TURN * hz * n as f64 / RATE;
            *out += level / order * libm::sin(phase) * envelope(n, frames, 0.002, rate * order);
        }
    }
    out
}

/// Strokes on top of each other.
fn sum(layers: &[Vec<f64>]) -> Vec<f64> {
    let frames = layers.iter().map(Vec::len).max().unwrap_or(0);
    (0..frames).map(|n| layers.iter().filter_map(|layer| layer.get(n)).sum()).collect()
}
