//! Whether sound has notes, and whether they come in time.
//!
//! | figure | is | music has | shaped noise has |
//! |---|---|---|---|
//! | sounding | the share of stretches of 46 ms within 40 dB of the loudest | nearly 1 | 1 |
//! | onsets | rises of the mel spectrum, a second | a few | a dozen |
//! | pulse | how alike the rises are to themselves one beat later (0.25 to 1.6 s), at the best beat: 1 is a machine's | 0.5 to 1 | 0.1 to 0.2 |
//! | salience | the share of the energy from 80 to 2,000 Hz in the strongest 5 % of frequencies | 0.8 to 1 | 0.4 |
//!
//! Onsets are peaks of the rectified difference of a log-mel spectrum, the pulse is the highest value of the difference's
//! autocorrelation, as is usual (Bello et al. 2005; Ellis 2007).

use super::mel::Mel;
use super::stft::Stft;

/// The version of these figures: raised when the same sounds would measure otherwise.
pub const VERSION: u32 = 1;

/// Window and hop of the spectra whose rises are onsets, in frames.
const RISES: (usize, usize) = (1024, 256);
/// Mel bands of these.
const BANDS: usize = 80;
/// Spectra under this share of the loudest band of the sound count as this: 60 dB.
const FLOOR: f64 = 1e-3;
/// Half of the Hann window that smooths the rises, in spectra.
const SMOOTH: usize = 4;
/// A peak is no onset under this share of the strongest rises.
const STRONG: f64 = 0.3;
/// Seconds between two onsets at least.
const APART: f64 = 0.06;
/// Shortest and longest beat in seconds.
const BEAT: (f64, f64) = (0.25, 1.6);
/// Window and hop of the spectra whose peaks are pitches, in frames.
const PITCHES: (usize, usize) = (8192, 2048);
/// Lowest and highest frequency in Hz that salience looks at.
const HEARD: (f64, f64) = (80.0, 2000.0);
/// The share of frequencies that a sound with pitches has its energy in.
const PEAKED: f64 = 0.05;
/// Spectra under this share of the loudest have no say in salience.
const LOUD: f64 = 0.05;
/// Frames of a stretch that sounds or does not.
const STRETCH: usize = 2048;
/// A stretch under this share of the loudest is silent: 40 dB.
const SILENT: f64 = 0.01;

/// What was found of a sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Notes {
    /// The share of stretches that are not silent; 0 for a silent sound.
    pub sounding: f64,
    /// Onsets a second.
    pub onsets: f64,
    /// The highest autocorrelation of the rises over a beat, at most 1.
    pub pulse: f64,
    /// The median share of the energy in the strongest frequencies.
    pub salience: f64,
}

impl Notes {
    /// What mono samples at a rate have.
    pub fn of(samples: &[f32], rate: u32) -> Notes {
        let hertz = f64::from(rate);
        let rises = rises(samples, rate);
        let per_second = hertz / RISES.1 as f64;
        let seconds = samples.len() as f64 / hertz;
        Notes {
            sounding: sounding(samples),
            onsets: onsets(&rises, per_second) as f64 / seconds.max(1e-9),
            pulse: pulse(&rises, per_second),
            salience: salience(samples, hertz),
        }
    }
}

fn sounding(samples: &[f32]) -> f64 {
    let power = |stretch: &[f32]| stretch.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    let powers: Vec<f64> = samples.chunks(STRETCH).map(power).collect();
    let least = powers.iter().copied().fold(0.0, f64::max) * SILENT * SILENT;
    powers.iter().filter(|power| **power > least).count() as f64 / powers.len().max(1) as f64
}

/// The mean rise over all bands from each spectrum to the next, in natural logarithms, smoothed.
fn rises(samples: &[f32], rate: u32) -> Vec<f64> {
    let (stft, mel) = (Stft::new(RISES.0, RISES.1), Mel::new(rate, RISES.0, BANDS));
    let mut all = Vec::with_capacity(stft.spectra(samples.len()) * BANDS);
    stft.magnitudes(samples, |magnitudes| all.extend(mel.sums(magnitudes, f64::MIN_POSITIVE)));
    let floor = all.iter().copied().fold(f64::MIN, f64::max) + libm::log(FLOOR);
    all.iter_mut().for_each(|v| *v = v.max(floor));
    let spectra: Vec<&[f64]> = all.chunks_exact(BANDS).collect();
    let rise = |pair: &[&[f64]]| pair[1].iter().zip(pair[0]).map(|(b, a)| (b - a).max(0.0)).sum::<f64>() / BANDS as f64;
    let raw: Vec<f64> = spectra.windows(2).map(rise).collect();
    let window: Vec<f64> = (0..=2 * SMOOTH)
        .map(|i| 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * i as f64 / (2 * SMOOTH) as f64))
        .collect();
    let all: f64 = window.iter().sum();
    let smooth = |t: usize| {
        let around = window.iter().enumerate().filter_map(|(i, w)| Some(w * raw.get((t + i).checked_sub(SMOOTH)?)?));
        around.sum::<f64>() / all
    };
    (0..raw.len()).map(smooth).collect()
}

/// Peaks that are strong enough, the strongest first, none close to a stronger one.
fn onsets(rises: &[f64], per_second: f64) -> usize {
    let mut sorted = rises.to_vec();
    sorted.sort_by(f64::total_cmp);
    let strongest = sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0.0);
    let peak = |t: &usize| {
        let (before, here, after) = (rises[t - 1], rises[*t], rises[t + 1]);
        here > 0.0 && here >= STRONG * strongest && here > before && here >= after
    };
    let mut peaks: Vec<usize> = (1..rises.len().saturating_sub(1)).filter(peak).collect();
    peaks.sort_by(|a, b| rises[*b].total_cmp(&rises[*a]).then(a.cmp(b)));
    let apart = (APART * per_second) as usize;
    let mut kept: Vec<usize> = Vec::new();
    for peak in peaks {
        if kept.iter().all(|other| other.abs_diff(peak) >= apart) {
            kept.push(peak);
        }
    }
    kept.len()
}

fn pulse(rises: &[f64], per_second: f64) -> f64 {
    let mean = rises.iter().sum::<f64>() / rises.len().max(1) as f64;
    let centred: Vec<f64> = rises.iter().map(|v| v - mean).collect();
    // By pair, so that a long beat in a short sound is not at a disadvantage.
    let at = |lag: usize| {
        let pairs = centred.len().saturating_sub(lag);
        centred.iter().zip(centred.get(lag..).unwrap_or_default()).map(|(a, b)| a * b).sum::<f64>()
            / pairs.max(1) as f64
    };
    let itself = at(0);
    if itself <= 0.0 {
        return 0.0;
    }
    let (shortest, longest) = ((BEAT.0 * per_second) as usize, (BEAT.1 * per_second) as usize);
    // Half of the sound has to have a beat to be like.
    let beats = (shortest..longest.min(rises.len() / 2)).map(|lag| at(lag) / itself);
    beats.fold(0.0, f64::max).min(1.0)
}

fn salience(samples: &[f32], rate: f64) -> f64 {
    let stft = Stft::new(PITCHES.0, PITCHES.1);
    let bin = |hertz: f64| (hertz * PITCHES.0 as f64 / rate) as usize;
    let (first, last) = (bin(HEARD.0), bin(HEARD.1).min(PITCHES.0 / 2));
    let mut found = Vec::new();
    stft.magnitudes(samples, |magnitudes| {
        let mut powers: Vec<f64> = magnitudes[first.min(last)..=last].iter().map(|m| m * m).collect();
        powers.sort_by(|a, b| b.total_cmp(a));
        let all: f64 = powers.iter().sum();
        let most = libm::ceil(powers.len() as f64 * PEAKED) as usize;
        found.push((all, powers[..most].iter().sum::<f64>() / all.max(1e-30)));
    });
    let loudest = found.iter().map(|(all, _)| *all).fold(0.0, f64::max);
    let heard = found.iter().filter(|(all, _)| *all > 0.0 && *all >= LOUD * LOUD * loudest);
    let mut shares: Vec<f64> = heard.map(|(_, share)| *share).collect();
    shares.sort_by(f64::total_cmp);
    shares.get(shares.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datasets::synth::{SAMPLE_RATE, Synth};

    /// Notes of a tempered scale, each with an attack, `beat` seconds apart but for what `late` adds.
    fn played(beat: f64, late: impl Fn(usize) -> f64) -> Vec<f32> {
        let mut samples = vec![0.0f32; 8 * 44_100];
        for i in 0.. {
            let start = ((i as f64 * beat + late(i)) * 44_100.0) as usize;
            if start >= samples.len() {
                return samples;
            }
            let pitch = 220.0 * libm::exp2([0.0, 4.0, 7.0, 12.0][i % 4] / 12.0);
            for (t, sample) in samples[start..].iter_mut().take(40_000).enumerate() {
                let at = t as f64 / 44_100.0;
                let loud = 0.3 * libm::exp(-4.0 * at);
                *sample += (loud * libm::sin(std::f64::consts::TAU * pitch * at)) as f32;
            }
        }
        samples
    }

    fn noise() -> Vec<f32> {
        let mut random = crate::model::random::Random::new(&[5; 32], "noise", 0);
        (0..8 * 44_100).map(|_| 0.1 * random.normal() as f32).collect()
    }

    #[test]
    fn notes_in_time_have_a_pulse() {
        let steady = Notes::of(&played(0.5, |_| 0.0), 44_100);
        assert!((steady.onsets - 2.0).abs() < 0.3, "{steady:?}");
        assert!(steady.pulse > 0.8 && steady.salience > 0.9 && steady.sounding > 0.95, "{steady:?}");
        // The same notes at any time.
        let uneven = Notes::of(&played(0.5, |i| 0.37 * (i as f64 * i as f64 * 0.71).fract()), 44_100);
        assert!(uneven.pulse < 0.6 * steady.pulse && uneven.salience > 0.9, "{uneven:?}");
    }

    #[test]
    fn noise_has_neither_notes_nor_pulse() {
        let found = Notes::of(&noise(), 44_100);
        assert!(found.pulse < 0.3 && found.salience < 0.5 && found.sounding == 1.0, "{found:?}");
    }

    #[test]
    fn silence_and_next_to_nothing_are_no_notes() {
        let none = Notes { sounding: 0.0, onsets: 0.0, pulse: 0.0, salience: 0.0 };
        assert_eq!(Notes::of(&vec![0.0; 44_100], 44_100), none);
        assert_eq!(Notes::of(&[], 44_100), none);
        assert!(Notes::of(&[0.5; 3], 44_100).onsets.is_finite());
        // A song that falls silent halfway.
        let mut half = played(0.5, |_| 0.0);
        half[4 * 44_100..].fill(0.0);
        let found = Notes::of(&half, 44_100);
        assert!((found.sounding - 0.5).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn pieces_of_the_built_in_corpus_have_both() {
        let synth = Synth { pieces: 4, ..Synth::default() };
        for index in 0..4 {
            let found = Notes::of(&synth.render(index), SAMPLE_RATE);
            assert!(found.pulse > 0.7 && found.salience > 0.8 && found.sounding > 0.8, "{index}: {found:?}");
            assert!((1.0..7.0).contains(&found.onsets), "{index}: {found:?}");
        }
    }
}
