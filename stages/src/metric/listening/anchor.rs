//! Anchors of MUSHRA tests: low-pass filters of linear phase (ITU-R BS.1534-3, 3.4).

use std::f64::consts::PI;

/// The anchors of the Recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// 3.5 kHz: ripple of at most 0.1 dB below, 25 dB down at 4 kHz, 50 dB at 4.5 kHz.
    Low,
    /// 7 kHz, for which the Recommendation states no mask: the same at twice the frequencies.
    Mid,
}

/// Attenuation that filters are designed for, in dB: ten more than the mask asks.
const ATTENUATION: f64 = 60.0;

impl Anchor {
    /// The end of the pass band and the beginning of the stop band in hertz.
    pub fn edges(self) -> [f64; 2] {
        match self {
            Anchor::Low => [3500.0, 4000.0],
            Anchor::Mid => [7000.0, 8000.0],
        }
    }

    /// The taps of the filter at a rate: a sinc under a Kaiser window, an odd number, of unit sum. `None` where the stop
    /// band begins over half the rate, so that there is nothing to filter.
    pub fn taps(self, rate: u32) -> Option<Vec<f64>> {
        let ([pass, stop], nyquist) = (self.edges(), f64::from(rate) / 2.0);
        if stop > nyquist {
            return None;
        }
        let width = (stop - pass) / nyquist;
        let count = ((ATTENUATION - 7.95) / (2.285 * PI * width) + 1.0).ceil() as usize | 1;
        let beta = 0.1102 * (ATTENUATION - 8.7);
        let (cutoff, middle) = ((pass + stop) / 2.0 / nyquist, (count / 2) as f64);
        let tap = |i: usize| {
            let x = i as f64 - middle;
            let sinc = if x == 0.0 { cutoff } else { libm::sin(PI * cutoff * x) / (PI * x) };
            let place = x / middle;
            sinc * bessel(beta * (1.0 - place * place).sqrt()) / bessel(beta)
        };
        let mut taps: Vec<f64> = (0..count).map(tap).collect();
        let sum: f64 = taps.iter().sum();
        taps.iter_mut().for_each(|tap| *tap /= sum);
        Some(taps)
    }

    /// The anchor of a signal: filtered, as long as the signal and in time with it. The signal itself where it has nothing
    /// to filter.
    pub fn of(self, signal: &[f32], rate: u32) -> Vec<f32> {
        let Some(taps) = self.taps(rate) else { return signal.to_vec() };
        let middle = taps.len() / 2;
        let sample = |at: usize| {
            // Taps are symmetric: the one of each later sample is that of the earlier one.
            let (from, to) = (at.saturating_sub(middle), (at + middle + 1).min(signal.len()));
            let own = &taps[from + middle - at..];
            signal[from..to].iter().zip(own).map(|(sample, tap)| f64::from(*sample) * tap).sum::<f64>() as f32
        };
        (0..signal.len()).map(sample).collect()
    }
}

/// The modified Bessel function of order zero by its series.
fn bessel(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > f64::EPSILON * sum {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gain of a symmetric filter at a frequency in dB.
    fn gain(taps: &[f64], frequency: f64, rate: u32) -> f64 {
        let middle = (taps.len() / 2) as f64;
        let term =
            |(i, tap): (usize, &f64)| tap * libm::cos(2.0 * PI * frequency / f64::from(rate) * (i as f64 - middle));
        20.0 * libm::log10(taps.iter().enumerate().map(term).sum::<f64>().abs().max(1e-12))
    }

    #[test]
    fn anchors_keep_within_the_mask() {
        // Lengths of filters designed with scipy's `kaiserord` and `firwin`.
        let lengths = [
            (Anchor::Low, 16_000, 119),
            (Anchor::Low, 44_100, 321),
            (Anchor::Low, 48_000, 351),
            (Anchor::Mid, 22_050, 81),
            (Anchor::Mid, 44_100, 161),
            (Anchor::Mid, 96_000, 351),
        ];
        for (anchor, rate, length) in lengths {
            let taps = anchor.taps(rate).expect("a filter");
            assert_eq!(taps.len(), length);
            let [pass, stop] = anchor.edges();
            let steps = |from: f64, to: f64| (0..=400).map(move |i| from + (to - from) * f64::from(i) / 400.0);
            let ripple = steps(0.0, pass).map(|f| gain(&taps, f, rate).abs()).fold(0.0, f64::max);
            assert!(ripple < 0.1 && ripple > 0.001, "{anchor:?} {rate}: {ripple}");
            let nyquist = f64::from(rate) / 2.0;
            let loudest = |from: f64| steps(from, nyquist).map(|f| gain(&taps, f, rate)).fold(f64::MIN, f64::max);
            assert!(loudest(stop) < -59.0 && loudest(stop + (stop - pass)) < -68.0, "{anchor:?} {rate}");
        }
        assert_eq!(Anchor::Mid.taps(15_000), None);
    }

    #[test]
    fn anchors_are_in_time() {
        let mut click = vec![0.0f32; 1000];
        click[0] = 1.0;
        click[500] = 1.0;
        let anchor = Anchor::Low.of(&click, 44_100);
        assert_eq!(anchor.len(), 1000);
        let loudest = (300..700).max_by(|a, b| anchor[*a].abs().total_cmp(&anchor[*b].abs()));
        assert_eq!(loudest, Some(500));
        assert!((anchor[480] - anchor[520]).abs() < 1e-7 && anchor[0] == anchor[500], "symmetric");
    }
}
