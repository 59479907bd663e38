//! The additive synthesiser: a note is a sum of harmonics, each a phasor that turns and decays.
//!
//! A phasor is advanced by complex multiplication, eight samples at a time, so that a harmonic
//! costs a few multiplications a sample; sines are evaluated once a block. No harmonic above
//! [`HIGHEST`] is sounded, so nothing folds back.

use super::RATE;

/// The highest frequency a harmonic may have, in Hz.
const HIGHEST: f64 = 12_000.0;
/// Samples between two changes of pitch in a vibrato.
const BLOCK: usize = 64;
/// Samples between two looks at whether a steady harmonic still sounds.
const STEADY: usize = 4096;
/// Samples that one phasor step advances.
const LANES: usize = 8;
const TURN: f64 = 2.0 * std::f64::consts::PI;

/// Timbre of an instrument. Times in seconds, rates in 1/s, amplitudes linear.
pub(super) struct Timbre {
    /// Amplitudes of the harmonics, from the fundamental.
    pub(super) harmonics: &'static [f64],
    /// Decay rate of the fundamental, and what each further harmonic adds to it.
    pub(super) decay: (f64, f64),
    pub(super) attack: f64,
    pub(super) release: f64,
    /// Depth of the vibrato as a fraction of the frequency.
    pub(super) vibrato: f64,
}

/// Principal stops of 8', 4', 2 2/3' and 2'.
pub(super) static ORGAN: Timbre = Timbre {
    harmonics: &[1.0, 0.42, 0.16, 0.12, 0.02, 0.03, 0.0, 0.025],
    decay: (0.25, 0.02),
    attack: 0.018,
    release: 0.09,
    vibrato: 0.0,
};
/// Soft sustained voices.
pub(super) static PAD: Timbre = Timbre {
    harmonics: &[1.0, 0.4, 0.2, 0.1, 0.05, 0.03, 0.02],
    decay: (0.0, 0.0),
    attack: 0.06,
    release: 0.16,
    vibrato: 0.0,
};
/// The bass pipes.
pub(super) static PEDAL: Timbre = Timbre {
    harmonics: &[1.0, 0.6, 0.3, 0.14, 0.07, 0.04, 0.02, 0.01],
    decay: (0.8, 0.3),
    attack: 0.012,
    release: 0.08,
    vibrato: 0.0,
};
/// A plucked string with a round tone.
pub(super) static HARP: Timbre = Timbre {
    harmonics: &[1.0, 0.5, 0.26, 0.14, 0.1, 0.05, 0.03, 0.02, 0.01, 0.01],
    decay: (2.2, 1.1),
    attack: 0.004,
    release: 0.12,
    vibrato: 0.0,
};
/// A plucked string, damped, for chords.
pub(super) static GUITAR: Timbre = Timbre {
    harmonics: &[1.0, 0.7, 0.4, 0.16, 0.05, 0.09, 0.08, 0.04, 0.02, 0.02],
    decay: (3.5, 1.6),
    attack: 0.004,
    release: 0.06,
    vibrato: 0.0,
};
/// A plucked bass.
pub(super) static UPRIGHT: Timbre = Timbre {
    harmonics: &[1.0, 0.75, 0.4, 0.2, 0.1, 0.06, 0.03, 0.02],
    decay: (1.6, 0.9),
    attack: 0.006,
    release: 0.07,
    vibrato: 0.0,
};
/// A saw through a closing filter.
pub(super) static SAW_BASS: Timbre = Timbre {
    harmonics: &[1.0, 0.5, 0.33, 0.24, 0.17, 0.13, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015, 0.01],
    decay: (1.2, 1.2),
    attack: 0.006,
    release: 0.04,
    vibrato: 0.0,
};
/// Off-beat chords.
pub(super) static STAB: Timbre = Timbre {
    harmonics: &[1.0, 0.5, 0.33, 0.22, 0.14, 0.1, 0.06, 0.04, 0.03, 0.02],
    decay: (4.0, 1.5),
    attack: 0.005,
    release: 0.05,
    vibrato: 0.0,
};
/// A softened square wave.
pub(super) static LEAD: Timbre = Timbre {
    harmonics: &[1.0, 0.08, 0.3, 0.04, 0.14, 0.02, 0.06, 0.01, 0.03],
    decay: (1.2, 0.5),
    attack: 0.008,
    release: 0.07,
    vibrato: 0.0,
};
/// A wooden flute.
pub(super) static FLUTE: Timbre = Timbre {
    harmonics: &[1.0, 0.34, 0.16, 0.05, 0.025, 0.01],
    decay: (0.3, 0.1),
    attack: 0.016,
    release: 0.05,
    vibrato: 0.004,
};
/// Reeds that hold tonic and fifth.
pub(super) static DRONE: Timbre = Timbre {
    harmonics: &[1.0, 0.6, 0.45, 0.3, 0.18, 0.12, 0.07, 0.05, 0.03, 0.02],
    decay: (0.0, 0.0),
    attack: 0.08,
    release: 0.12,
    vibrato: 0.0,
};
/// A double-strung lute.
pub(super) static BOUZOUKI: Timbre = Timbre {
    harmonics: &[1.0, 0.8, 0.5, 0.3, 0.16, 0.12, 0.08, 0.06, 0.04, 0.03, 0.02, 0.015],
    decay: (1.8, 1.0),
    attack: 0.004,
    release: 0.06,
    vibrato: 0.0,
};

/// The frequency of a MIDI pitch in equal temperament, A4 = 440 Hz.
fn frequency(pitch: i32) -> f64 {
    440.0 * libm::exp2(f64::from(pitch - 69) / 12.0)
}

/// `3 t^2 - 2 t^3`: a ramp without corners.
pub(super) fn smooth(t: f64) -> f64 {
    t * t * (3.0 - 2.0 * t)
}

/// Adds a note of `len` frames (its release sounds after them) to `out`, which it never overruns.
/// `scratch` is cleared and reused.
pub(super) fn sound(
    timbre: &Timbre,
    pitch: i32,
    gain: f64,
    start: usize,
    len: usize,
    out: &mut [f64],
    scratch: &mut Vec<f64>,
) {
    let release = (timbre.release * RATE) as usize;
    let total = (len + release).min(out.len().saturating_sub(start));
    scratch.clear();
    scratch.resize(total.next_multiple_of(LANES), 0.0);
    let step = TURN * frequency(pitch) / RATE;
    let count = timbre.harmonics.len();
    for (i, &amplitude) in timbre.harmonics.iter().enumerate() {
        let order = (i + 1) as f64;
        if amplitude == 0.0 || step * order > TURN * HIGHEST / RATE {
            continue;
        }
        // Schroeder's phases keep the peak of the sum low.
        let phase = std::f64::consts::PI * order * order / count as f64;
        let decay = libm::exp(-(timbre.decay.0 + timbre.decay.1 * i as f64) / RATE);
        harmonic(scratch, amplitude, phase, step * order, decay, timbre.vibrato);
    }
    let attack = ((timbre.attack * RATE) as usize).clamp(1, total.max(1));
    for (n, (sample, out)) in scratch.iter().zip(&mut out[start..start + total]).enumerate() {
        let mut envelope = gain;
        if n < attack {
            envelope *= smooth(n as f64 / attack as f64);
        }
        if n >= len {
            envelope *= smooth(1.0 - (n - len) as f64 / release.max(1) as f64);
        }
        *out += envelope * sample;
    }
}

/// Adds one decaying sine to `out`, whose length is a multiple of [`LANES`].
fn harmonic(out: &mut [f64], amplitude: f64, phase: f64, step: f64, decay: f64, vibrato: f64) {
    let block = if vibrato > 0.0 { BLOCK } else { STEADY };
    let (mut phase, mut amplitude) = (phase, amplitude);
    for (b, chunk) in out.chunks_mut(block).enumerate() {
        // Inaudible: 100 dB below a full note.
        if amplitude < 1e-5 {
            break;
        }
        let mut step = step;
        if vibrato > 0.0 {
            let seconds = (b * BLOCK) as f64 / RATE;
            let depth = vibrato * (seconds / 0.35).min(1.0);
            step *= 1.0 + depth * libm::sin(TURN * 5.2 * seconds);
        }
        let (mut re, mut im) = ([0.0; LANES], [0.0; LANES]);
        let turn = (decay * libm::cos(step), decay * libm::sin(step));
        let mut z = (amplitude * libm::cos(phase), amplitude * libm::sin(phase));
        for lane in 0..LANES {
            (re[lane], im[lane]) = z;
            z = (z.0 * turn.0 - z.1 * turn.1, z.0 * turn.1 + z.1 * turn.0);
        }
        let far = LANES as f64;
        let shrink = libm::pow(decay, far);
        let leap = (shrink * libm::cos(far * step), shrink * libm::sin(far * step));
        for eight in chunk.chunks_exact_mut(LANES) {
            for lane in 0..LANES {
                eight[lane] += im[lane];
                let turned = re[lane] * leap.0 - im[lane] * leap.1;
                im[lane] = re[lane] * leap.1 + im[lane] * leap.0;
                re[lane] = turned;
            }
        }
        let samples = chunk.len() as f64;
        phase += step * samples;
        phase -= TURN * libm::floor(phase / TURN);
        amplitude *= libm::pow(decay, samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phasors_equal_sines() {
        for vibrato in [0.0, 0.004] {
            let mut fast = vec![0.0; 44_096];
            harmonic(&mut fast, 0.7, 0.3, 0.11, 0.99999, vibrato);
            let (mut phase, mut amplitude) = (0.3, 0.7);
            for (n, &sample) in fast.iter().enumerate() {
                let slow = amplitude * libm::sin(phase);
                assert!((sample - slow).abs() < 1e-9, "sample {n}: {sample} against {slow}");
                let seconds = (n / BLOCK * BLOCK) as f64 / RATE;
                let depth = vibrato * (seconds / 0.35_f64).min(1.0);
                phase += 0.11 * (1.0 + depth * libm::sin(TURN * 5.2 * seconds));
                amplitude *= 0.99999;
            }
        }
    }

    #[test]
    fn a_note_begins_and_ends_in_silence() {
        let mut out = vec![0.0; 30_000];
        sound(&HARP, 60, 1.0, 1000, 8000, &mut out, &mut Vec::new());
        let release = (HARP.release * RATE) as usize;
        assert!(out[..1001].iter().all(|&x| x == 0.0));
        assert!(out[9000 + release..].iter().all(|&x| x == 0.0));
        assert!(out[9000 + release - 2].abs() < 1e-4 && out[3000..8000].iter().any(|x| x.abs() > 0.1));
    }
}
