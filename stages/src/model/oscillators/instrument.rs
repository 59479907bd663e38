//! A bank as a level has it: all sets of amplitudes of a code side by side, as logarithms.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::analysis::{AROUND, Analysis, MARGIN};
use super::bank::{Bank, HOP, Player};
use crate::model::codec::CodecConfig;

/// Amplitudes under this are silence: 80 dB under full scale.
const FLOOR: f32 = 1e-4;
/// What a decoder says of less is not played.
const HEARD: f32 = 1.5e-4;

/// An instrument for codes of so many sets of amplitudes each.
#[derive(Clone)]
pub(in crate::model) struct Instrument {
    analysis: Arc<Analysis>,
    /// Sets of amplitudes of a code.
    sets: usize,
}

impl std::fmt::Debug for Instrument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instrument {{ channels: {}, sets: {} }}", self.analysis.bank.channels(), self.sets)
    }
}

/// Decades of amplitude to a unit of a logarithm.
pub(super) const DECADES: f32 = 2.0;

/// Instruments by rate and pitches to the octave: measuring one takes some tenths of a second.
static MEASURED: LazyLock<Mutex<BTreeMap<(u32, usize), Arc<Analysis>>>> = LazyLock::new(Mutex::default);

/// A logarithm of an amplitude: -1 is silence, 1 is full scale.
fn logarithm(amplitude: f32) -> f32 {
    libm::log10f(amplitude.max(FLOOR)) / DECADES + 1.0
}

/// The amplitude of a logarithm.
fn amplitude(logarithm: f32) -> f32 {
    let amplitude = libm::exp10f(DECADES * (logarithm.clamp(-1.2, 1.2) - 1.0));
    if amplitude < HEARD { 0.0 } else { amplitude }
}

impl Instrument {
    /// The instrument of a level; `None` where its decoder gives samples.
    pub(in crate::model) fn of(codec: &CodecConfig, level: usize) -> Option<Instrument> {
        let config = &codec.levels[level];
        if config.oscillators == 0 {
            return None;
        }
        // A panic elsewhere leaves the map whole.
        let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (codec.rate, config.oscillators);
        let new = || Arc::new(Analysis::new(Bank::new(key.0, key.1)));
        let analysis = measured.entry(key).or_insert_with(new).clone();
        Some(Instrument { analysis, sets: config.hop() / HOP })
    }

    /// Channels of what it hears and plays: of each set of a code, its oscillators and bands of noise.
    pub(in crate::model) fn channels(&self) -> usize {
        self.sets * self.analysis.bank.channels()
    }

    /// Samples before and after those of the codes that [`Instrument::listen`] wants.
    pub(in crate::model) const AROUND: usize = AROUND * HOP + MARGIN;

    /// The logarithms of the amplitudes that explain the samples of some codes, `[channels, codes]`, each channel of each
    /// set of a code a channel. `samples` are those of the codes with [`Instrument::AROUND`] before and after.
    pub(in crate::model) fn listen(&self, samples: &[f32]) -> Vec<f32> {
        let sets = (samples.len() - 2 * Self::AROUND) / HOP;
        self.stacked(&self.analysis.explain(samples), sets)
    }

    /// `[channels, sets]` as logarithms, a code's sets side by side.
    fn stacked(&self, amplitudes: &[f32], sets: usize) -> Vec<f32> {
        let (channels, codes) = (self.analysis.bank.channels(), sets / self.sets);
        let mut out = vec![0.0; channels * self.sets * codes];
        for (channel, row) in amplitudes.chunks_exact(sets).enumerate() {
            for (set, a) in row.iter().enumerate() {
                let (code, set) = (set / self.sets, set % self.sets);
                out[(set * channels + channel) * codes + code] = logarithm(*a);
            }
        }
        out
    }

    /// Amplitudes `[channels, sets]` of what a decoder gives.
    fn laid_out(&self, stacked: &[f32]) -> Vec<f32> {
        let channels = self.analysis.bank.channels();
        let codes = stacked.len() / (channels * self.sets);
        let mut out = vec![0.0; stacked.len()];
        for (row, values) in stacked.chunks_exact(codes).enumerate() {
            let (set, channel) = (row / channels, row % channels);
            for (code, value) in values.iter().enumerate() {
                out[(channel * codes + code) * self.sets + set] = amplitude(*value);
            }
        }
        out
    }

    /// Begins to play.
    pub(in crate::model) fn perform(&self) -> Performance<'_> {
        Performance { instrument: self, player: Player::new(&self.analysis.bank) }
    }
}

/// An instrument while it plays.
pub(in crate::model) struct Performance<'i> {
    instrument: &'i Instrument,
    player: Player<'i>,
}

impl Performance<'_> {
    /// Plays what a decoder gives for the codes that follow, `[channels, codes]`.
    pub(in crate::model) fn play(&mut self, stacked: &[f32], put: &mut dyn FnMut(&[f32])) {
        self.player.play(&self.instrument.laid_out(stacked), put);
    }

    /// What still sounds.
    pub(in crate::model) fn end(self, put: &mut dyn FnMut(&[f32])) {
        self.player.end(put);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::codec::LevelConfig;
    use std::f64::consts::TAU;

    const RATE: f64 = 44_100.0;

    fn instrument() -> Instrument {
        let level = LevelConfig {
            downs: vec![11],
            strides: vec![],
            width: 4,
            depth: 1,
            dilation_growth: 3,
            codewords: 8,
            oscillators: 12,
        };
        let codec = CodecConfig { rate: 44_100, channels: 1, dim: 4, levels: vec![level] };
        Instrument::of(&codec, 0).expect("an instrument")
    }

    /// The tone of an oscillator, counted from the lowest.
    fn tone(voice: i32, loud: f64, length: usize) -> Vec<f32> {
        let pitch = 440.0 * libm::exp2(f64::from(voice - 45) / 12.0);
        (0..length).map(|t| (loud * libm::sin(TAU * pitch * t as f64 / RATE)) as f32).collect()
    }

    fn heard(instrument: &Instrument, samples: &[f32]) -> Vec<f32> {
        instrument.laid_out(&instrument.listen(samples))
    }

    fn played(instrument: &Instrument, stacked: &[f32]) -> Vec<f32> {
        let (mut samples, mut performance) = (Vec::new(), instrument.perform());
        performance.play(stacked, &mut |more| samples.extend_from_slice(more));
        performance.end(&mut |more| samples.extend_from_slice(more));
        samples
    }

    #[test]
    fn tones_are_heard_as_their_oscillators_and_noise_as_noise() {
        let instrument = instrument();
        let voices = instrument.analysis.bank.pitches.len();
        assert_eq!((voices, instrument.channels()), (96, 4 * 128));
        let (codes, sets) = (6, 24);
        let length = codes * 2048 + 2 * Instrument::AROUND;
        // Lower, semitones are closer to each other than the window tells apart.
        for voice in [36, 45, 60, 90] {
            let found = heard(&instrument, &tone(voice as i32, 0.3, length));
            let mean = |channel: usize| found[channel * sets..][..sets].iter().sum::<f32>() / sets as f32;
            let own: f32 = (voice - 1..=voice + 1).map(mean).sum();
            assert!((own - 0.3).abs() < 0.06 && mean(voice) > 0.2, "{voice}: {own}, {}", mean(voice));
            for other in (0..voices).filter(|other| other.abs_diff(voice) > 1) {
                assert!(mean(other) < 0.03, "{voice} is also heard as {other}: {}", mean(other));
            }
        }
        let mut random = crate::model::random::Random::new(&[1; 32], "noise", 0);
        let noise: Vec<f32> = (0..length).map(|_| 0.1 * random.normal() as f32).collect();
        let found = heard(&instrument, &noise);
        let power = |channels: std::ops::Range<usize>| {
            found[channels.start * sets..channels.end * sets].iter().map(|a| f64::from(a * a)).sum::<f64>()
        };
        assert!(power(96..128) > 4.0 * power(0..96), "{} {}", power(96..128), power(0..96));
    }

    #[test]
    fn what_is_heard_is_played_again_and_in_parts_the_same() {
        let instrument = instrument();
        let length = 20 * 2048;
        let mut samples = vec![0.0; Instrument::AROUND];
        let chord: Vec<f32> = tone(40, 0.2, length).iter().zip(tone(47, 0.1, length)).map(|(a, b)| a + b).collect();
        samples.extend(chord);
        samples.extend(vec![0.0; Instrument::AROUND]);
        let stacked = instrument.listen(&samples);
        let whole = played(&instrument, &stacked);
        assert_eq!(whole.len(), length);
        let power = |x: &[f32]| x.iter().map(|v| f64::from(v * v)).sum::<f64>();
        let ratio = power(&whole) / power(&samples);
        assert!((0.7..1.4).contains(&ratio), "{ratio}");
        // A part of a code at a time, in the order of time.
        let channels = instrument.channels();
        let (mut parts, mut performance) = (Vec::new(), instrument.perform());
        for code in 0..20 {
            let part: Vec<f32> = (0..channels).map(|channel| stacked[channel * 20 + code]).collect();
            performance.play(&part, &mut |more| parts.extend_from_slice(more));
        }
        performance.end(&mut |more| parts.extend_from_slice(more));
        assert_eq!(parts.len(), length);
        assert!(parts.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert_eq!(played(&instrument, &vec![-1.0; channels * 3]), vec![0.0; 3 * 2048], "silence");
    }
}
