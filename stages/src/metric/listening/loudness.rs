//! Integrated loudness (ITU-R BS.1770-4), in LUFS.

/// A biquad filter: numerator and denominator, the latter without its leading 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
}

/// Blocks below this are silence, in LUFS.
const SILENCE: f64 = -70.0;
/// How far below the mean of what is no silence a block no longer counts, in LU.
const RELATIVE: f64 = -10.0;

/// The loudness of a signal with what it follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loudness {
    /// Integrated loudness in LUFS.
    pub lufs: f64,
    /// Blocks of 400 ms, three quarters overlapping.
    pub blocks: usize,
    /// Blocks over -70 LUFS.
    pub over_silence: usize,
    /// Blocks that count: also over the relative threshold.
    pub counted: usize,
    /// The relative threshold in LUFS: 10 LU under the mean of the blocks over silence.
    pub threshold: f64,
}

impl Biquad {
    /// The filters of the K-weighting at a rate: a shelf for the head, and a high-pass. At 48 kHz they are the tables of
    /// the Recommendation; at other rates the bilinear transforms of the analog filters behind these (as in libebur128).
    fn weighting(rate: u32) -> [Biquad; 2] {
        let shelf = {
            let (f, gain, q) = (1681.974450955533, 3.999843853973347, 0.7071752369554196);
            let k = libm::tan(std::f64::consts::PI * f / f64::from(rate));
            let high = libm::pow(10.0, gain / 20.0);
            let band = libm::pow(high, 0.4996667741545416);
            let a0 = 1.0 + k / q + k * k;
            Biquad {
                b: [(high + band * k / q + k * k) / a0, 2.0 * (k * k - high) / a0, (high - band * k / q + k * k) / a0],
                a: [2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0],
            }
        };
        let (f, q) = (38.13547087602444, 0.5003270373238773);
        let k = libm::tan(std::f64::consts::PI * f / f64::from(rate));
        let a0 = 1.0 + k / q + k * k;
        let high_pass = Biquad { b: [1.0, -2.0, 1.0], a: [2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0] };
        [shelf, high_pass]
    }

    /// Filters in place, from rest.
    fn apply(&self, signal: &mut [f64]) {
        let mut state = [0.0; 2];
        for sample in signal {
            let x = *sample;
            let y = self.b[0] * x + state[0];
            state = [self.b[1] * x - self.a[0] * y + state[1], self.b[2] * x - self.a[1] * y];
            *sample = y;
        }
    }
}

fn lufs(power: f64) -> f64 {
    -0.691 + 10.0 * libm::log10(power)
}

/// The integrated loudness of channels of one length at `rate`; front channels only, which weigh 1. `None` where no block
/// of 400 ms is over -70 LUFS.
pub fn loudness(channels: &[Vec<f64>], rate: u32) -> Option<Loudness> {
    let filters = Biquad::weighting(rate);
    let weighted: Vec<Vec<f64>> = channels
        .iter()
        .map(|channel| {
            let mut signal = channel.clone();
            filters.iter().for_each(|filter| filter.apply(&mut signal));
            signal
        })
        .collect();
    // 400 ms every 100 ms, in frames.
    let at = |tenths: usize| (tenths as f64 * 0.1 * f64::from(rate)).round() as usize;
    let frames = weighted.first().map_or(0, Vec::len);
    let blocks = (0..).take_while(|block| at(block + 4) <= frames);
    let power = |block: usize| {
        let (from, to) = (at(block), at(block + 4));
        let squares = weighted.iter().map(|signal| signal[from..to].iter().map(|v| v * v).sum::<f64>());
        squares.sum::<f64>() / (to - from) as f64
    };
    let powers: Vec<f64> = blocks.map(power).collect();
    let mean_over = |threshold: f64| {
        let over: Vec<f64> = powers.iter().copied().filter(|power| lufs(*power) > threshold).collect();
        (over.iter().sum::<f64>() / over.len() as f64, over.len())
    };
    let (mean, over_silence) = mean_over(SILENCE);
    if over_silence == 0 {
        return None;
    }
    let threshold = lufs(mean) + RELATIVE;
    let (mean, counted) = mean_over(threshold.max(SILENCE));
    Some(Loudness { lufs: lufs(mean), blocks: powers.len(), over_silence, counted, threshold })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_at_48_khz_are_the_tables_of_the_recommendation() {
        let [shelf, high_pass] = Biquad::weighting(48_000);
        let near = |found: f64, table: f64| assert!((found - table).abs() < 1e-12, "{found} for {table}");
        for (found, table) in shelf.b.iter().zip([1.53512485958697, -2.69169618940638, 1.19839281085285]) {
            near(*found, table);
        }
        for (found, table) in shelf.a.iter().zip([-1.69065929318241, 0.73248077421585]) {
            near(*found, table);
        }
        for (found, table) in high_pass.a.iter().zip([-1.99004745483398, 0.99007225036621]) {
            near(*found, table);
        }
    }

    #[test]
    fn silence_has_no_loudness() {
        assert_eq!(loudness(&[vec![0.0; 48_000]], 48_000), None);
        assert_eq!(loudness(&[vec![0.5; 100]], 48_000), None);
        assert_eq!(loudness(&[], 48_000), None);
    }
}
