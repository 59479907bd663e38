//! Distances of spectrograms.

use super::stft::Stft;

/// The version of [`spectral_mse`]: raised when the same sounds would measure otherwise.
pub const VERSION: u32 = 1;
/// The version of [`multi_resolution`]: raised when the same sounds would measure otherwise.
pub const STFT_VERSION: u32 = 1;
/// Length of the transform and of its Hann window, in frames, of [`spectral_mse`].
const FFT: usize = 2048;
/// Frames from one spectrum to the next, of [`spectral_mse`].
const HOP: usize = 512;
/// Magnitudes below this count as this where logarithms are compared: the rounding of an empty bin is no level.
const FLOOR: f64 = 1e-7;

/// Transforms of [`multi_resolution`]: lengths and hops in frames (Yamamoto, Song and Kim 2020).
pub const RESOLUTIONS: [(usize, usize); 3] = [(512, 128), (1024, 256), (2048, 512)];

/// Distances between the STFT magnitudes of two signals, over a periodic Hann window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpectralDistance {
    /// Mean squared difference of magnitudes, not scaled.
    pub squared: f64,
    /// Mean squared difference of power spectra in dB.
    pub squared_db: f64,
    /// Log-spectral distance in dB (Gray and Markel 1976): root of the mean squared difference over the bins of a
    /// spectrum, then the mean over spectra.
    pub log_spectral: f64,
    /// Spectral convergence (Arik, Jun and Diamos 2019): the norm of the difference over that of the first.
    pub convergence: f64,
    /// Mean absolute difference of natural logarithms of magnitudes.
    pub log_magnitude: f64,
    /// Number of spectra.
    pub spectra: u64,
}

/// Distances of the spectra of `b` from those of the original `a`, with transforms of `fft` frames every `hop`. What is
/// beyond the shorter signal's end is not compared. Windows lie wholly inside the signals, or, `centered`, around every
/// `hop`-th sample, with the signals mirrored at their ends, as in `torch.stft`.
pub fn spectral_distance<T: Copy + Into<f64>>(
    a: &[T],
    b: &[T],
    (fft, hop): (usize, usize),
    centered: bool,
) -> SpectralDistance {
    let frames = a.len().min(b.len());
    let stft = Stft::new(fft, hop);
    let signal = |of: &[T]| {
        let own: Vec<f64> = of[..frames].iter().map(|sample| (*sample).into()).collect();
        if centered { mirrored(&own, fft / 2) } else { own }
    };
    let mut first: Vec<f64> = Vec::new();
    stft.magnitudes(&signal(a), |magnitudes| first.extend_from_slice(magnitudes));
    let (mut squares, mut decibels, mut roots, mut logarithms, mut spectra) = (0.0, 0.0, 0.0, 0.0, 0);
    stft.magnitudes(&signal(b), |magnitudes| {
        let own = &first[spectra * magnitudes.len()..];
        let mut in_spectrum = 0.0;
        for (x, y) in own.iter().zip(magnitudes) {
            squares += (x - y) * (x - y);
            let ratio = libm::log(x.max(FLOOR) / y.max(FLOOR));
            logarithms += ratio.abs();
            in_spectrum += ratio * ratio;
        }
        decibels += in_spectrum;
        roots += (in_spectrum / magnitudes.len() as f64).sqrt();
        spectra += 1;
    });
    // A ratio of magnitudes of e is as many dB.
    let neper = 20.0 / std::f64::consts::LN_10;
    let (count, energy) = (first.len() as f64, first.iter().map(|v| v * v).sum::<f64>());
    SpectralDistance {
        squared: squares / count,
        squared_db: neper * neper * decibels / count,
        log_spectral: neper * roots / spectra as f64,
        convergence: if squares == 0.0 { 0.0 } else { (squares / energy).sqrt() },
        log_magnitude: logarithms / count,
        spectra: spectra as u64,
    }
}

/// A signal with `by` frames of its mirror image at either end, without the end itself twice; a signal that is too short
/// for it is mirrored again and again.
fn mirrored(signal: &[f64], by: usize) -> Vec<f64> {
    let n = signal.len() as isize;
    let at = |i: isize| match n {
        0 => 0.0,
        1 => signal[0],
        _ => {
            let place = i.rem_euclid(2 * (n - 1));
            signal[(if place < n { place } else { 2 * (n - 1) - place }) as usize]
        }
    };
    (-(by as isize)..n + by as isize).map(at).collect()
}

/// The mean over spectra and bins of the squared difference of STFT magnitudes, not scaled, and the number of spectra;
/// windows lie wholly inside the signals, and what is beyond the shorter one's end is not compared.
pub fn spectral_mse(a: &[f32], b: &[f32]) -> (f64, u64) {
    let found = spectral_distance(a, b, (FFT, HOP), false);
    (found.squared, found.spectra)
}

/// The multi-resolution STFT distance of `b` from the original `a` (Yamamoto, Song and Kim 2020): the mean over
/// [`RESOLUTIONS`] of spectral convergence and of the mean absolute difference of log magnitudes, added.
pub fn multi_resolution(a: &[f32], b: &[f32]) -> f64 {
    let each = RESOLUTIONS.map(|resolution| spectral_distance(a, b, resolution, true));
    each.iter().map(|found| found.convergence + found.log_magnitude).sum::<f64>() / each.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::draws::Draws;

    fn pair() -> (Vec<f64>, Vec<f64>) {
        let (mut own, mut more) = (Draws::new(4700), Draws::new(4701));
        let x: Vec<f64> = (0..8000).map(|_| (own.uniform() * 2.0 - 1.0) * 0.5).collect();
        let y = x.iter().map(|v| v + (more.uniform() * 2.0 - 1.0) * 0.05).collect();
        (x, y)
    }

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} for {expected}");
    }

    /// Transform, whether centered, spectra, and the five distances by torch.stft and numpy in float64.
    type Case = ((usize, usize), bool, u64, [f64; 5]);

    const CASES: [Case; 6] = [
        (
            (512, 128),
            true,
            63,
            [0.08200160481256266, 2.3423756930883135, 1.485427214555529, 0.07149369484872982, 0.09818546612371314],
        ),
        (
            (512, 128),
            false,
            59,
            [0.08067452045788387, 2.187082733452254, 1.4552200289384227, 0.07088016221445038, 0.09613650212706708],
        ),
        (
            (1024, 256),
            true,
            32,
            [0.16597705843611615, 2.978751578470408, 1.6045802148381296, 0.07192507787399317, 0.10126917315846555],
        ),
        (
            (1024, 256),
            false,
            28,
            [0.15933198166019474, 2.282601029299453, 1.4908454137851788, 0.07036936854035573, 0.09458108875549504],
        ),
        (
            (2048, 512),
            true,
            16,
            [0.33485175883341917, 3.3706699734355388, 1.683321562966221, 0.07226076833672102, 0.10369303369129816],
        ),
        (
            (2048, 512),
            false,
            12,
            [0.314312114259732, 2.3166815741486735, 1.5024761435949383, 0.06988920055959, 0.09432663336774495],
        ),
    ];

    #[test]
    fn agrees_with_other_implementations() {
        let (x, y) = pair();
        for (resolution, centered, spectra, [squared, squared_db, log_spectral, convergence, log_magnitude]) in CASES {
            let found = spectral_distance(&x, &y, resolution, centered);
            near(found.squared, squared);
            near(found.squared_db, squared_db);
            near(found.log_spectral, log_spectral);
            near(found.convergence, convergence);
            near(found.log_magnitude, log_magnitude);
            assert_eq!(found.spectra, spectra);
        }
        let [x, y] = [x, y].map(|of| of.iter().map(|v| *v as f32).collect::<Vec<f32>>());
        let (mse, spectra) = spectral_mse(&x, &y);
        assert!((mse / 0.314_312_114_259_732 - 1.0).abs() < 1e-6 && spectra == 12, "{mse} {spectra}");
        assert_eq!((spectral_mse(&x, &x).0, multi_resolution(&x, &x)), (0.0, 0.0));
        let centered = CASES.iter().filter(|case| case.1).map(|(.., all)| all[3] + all[4]);
        assert!((multi_resolution(&x, &y) / (centered.sum::<f64>() / 3.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn silence_and_short_signals_have_distances() {
        let found = spectral_distance(&[0.0f32; 3000], &[0.0f32; 3000], (512, 128), true);
        assert_eq!((found.squared, found.convergence, found.log_spectral), (0.0, 0.0, 0.0));
        assert!(spectral_distance(&[0.5f32; 3], &[0.25f32; 3], (512, 128), true).convergence.is_finite());
        assert_eq!(mirrored(&[1.0, 2.0, 3.0], 2), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
    }
}
