//! Bands evenly spaced on the mel scale.

use std::ops::Range;

/// Triangular bands of height 1, scaled to unit sum, between 0 and half the rate.
pub(super) struct Mel {
    fft: usize,
    /// Weight of each FFT bin in each band: the bins that have one, and theirs.
    bands: Vec<(Range<usize>, Vec<f64>)>,
    /// Bins that a band stands for: what its weights were divided by.
    widths: Vec<f64>,
}

/// Mel of a frequency (O'Shaughnessy 1987, as in HTK).
pub(crate) fn mel(hertz: f64) -> f64 {
    2595.0 * libm::log10(1.0 + hertz / 700.0)
}

impl Mel {
    /// `bands` bands over the bins of a transform of `fft` frames at `rate`.
    pub(super) fn new(rate: u32, fft: usize, bands: usize) -> Mel {
        let nyquist = f64::from(rate) / 2.0;
        let step = mel(nyquist) / (bands + 1) as f64;
        let bins = fft / 2 + 1;
        let band = |band: usize| -> (f64, (Range<usize>, Vec<f64>)) {
            let centre = (band + 1) as f64;
            let mut row: Vec<f64> = (0..bins)
                .map(|bin| {
                    let at = mel(nyquist * bin as f64 / (bins - 1) as f64) / step;
                    (1.0 - (at - centre).abs()).max(0.0)
                })
                .collect();
            // Low bands are narrower than a bin: the nearest bin stands for them.
            if row.iter().all(|w| *w == 0.0) {
                let hertz = 700.0 * (libm::pow(10.0, centre * step / 2595.0) - 1.0);
                let bin = libm::round(hertz / nyquist * (bins - 1) as f64) as usize;
                row[bin.min(bins - 1)] = 1.0;
            }
            let sum: f64 = row.iter().sum();
            let first = row.iter().position(|w| *w > 0.0).unwrap_or(0);
            let last = row.iter().rposition(|w| *w > 0.0).unwrap_or(0);
            (sum, (first..last + 1, row[first..=last].iter().map(|w| w / sum).collect()))
        };
        let (widths, bands) = (0..bands).map(band).unzip();
        Mel { fft, bands, widths }
    }

    /// The same as [`Mel::logarithms`] of the sums over bands in place of their means, in which high bands count as more.
    pub(super) fn sums<'a>(&'a self, magnitudes: &'a [f64], floor: f64) -> impl Iterator<Item = f64> + 'a {
        self.logarithms(magnitudes, floor).zip(&self.widths).map(|(mean, width)| mean + libm::log(*width))
    }

    /// Natural logarithms of the bands' magnitudes, at least `floor`, where a full-scale sine at a bin's centre has
    /// magnitude 1 in that bin.
    pub(super) fn logarithms<'a>(&'a self, magnitudes: &'a [f64], floor: f64) -> impl Iterator<Item = f64> + 'a {
        self.bands.iter().map(move |(bins, weights)| {
            let sum: f64 = weights.iter().zip(&magnitudes[bins.clone()]).map(|(w, m)| w * m).sum();
            libm::log((sum * 4.0 / self.fft as f64).max(floor))
        })
    }
}
