//! The resampler against its bar: tones at −6 dBFS and an impulse, measured in f64.

use std::f64::consts::TAU;

use datasets::audio::resample::{Resampler, output_frames};

fn resample(input: &[f32], from: u32, to: u32) -> Vec<f32> {
    let mut stream = Resampler::new(from, to, 1, 1).expect("rates of audio");
    let mut out = Vec::new();
    stream.push(input, &mut out).expect("a push");
    stream.finish(&mut out).expect("an end");
    out
}

fn tone(frequency: f64, rate: u32, frames: usize) -> Vec<f32> {
    (0..frames).map(|i| (0.5 * (TAU * frequency * i as f64 / f64::from(rate)).sin()) as f32).collect()
}

/// What a least-squares fit of a sine of known frequency finds in the middle of a signal.
struct Fit {
    amplitude: f64,
    /// Of `sin(2πft + phase)`, t = 0 at the first frame.
    phase: f64,
    /// Power of the rest.
    rest: f64,
}

fn fit(signal: &[f32], frequency: f64, rate: u32) -> Fit {
    let middle = signal.len() / 6..signal.len() * 5 / 6;
    let angle = |i: usize| TAU * frequency * i as f64 / f64::from(rate);
    let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for i in middle.clone() {
        let (s, c) = angle(i).sin_cos();
        let x = f64::from(signal[i]);
        (ss, sc, cc, xs, xc) = (ss + s * s, sc + s * c, cc + c * c, xs + x * s, xc + x * c);
    }
    let determinant = ss * cc - sc * sc;
    let a = (xs * cc - xc * sc) / determinant;
    let b = (xc * ss - xs * sc) / determinant;
    let rest = middle.clone().map(|i| {
        let (s, c) = angle(i).sin_cos();
        (f64::from(signal[i]) - a * s - b * c).powi(2)
    });
    let rest = rest.sum::<f64>() / middle.len() as f64;
    Fit { amplitude: a.hypot(b), phase: b.atan2(a), rest }
}

fn decibels(power: f64) -> f64 {
    10.0 * power.log10()
}

/// Power of the middle of a signal, against that of a tone of amplitude 0.5.
fn level(signal: &[f32]) -> f64 {
    let middle = &signal[signal.len() / 6..signal.len() * 5 / 6];
    let power = middle.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / middle.len() as f64;
    decibels(power / 0.125)
}

fn snr(frequency: f64, from: u32, to: u32) -> (f64, Fit) {
    // Coprime rates have a filter of two seconds, which rings as long where the tone begins and ends.
    let seconds = if from == 44_101 { 12 } else { 1 };
    let out = resample(&tone(frequency, from, from as usize * seconds), from, to);
    let fit = fit(&out, frequency, to);
    (decibels(fit.amplitude * fit.amplitude / 2.0 / fit.rest), fit)
}

#[test]
fn tones_pass_unchanged_in_level_time_and_purity() {
    for (from, to) in [
        (48_000, 44_100),
        (22_050, 44_100),
        (96_000, 44_100),
        (88_200, 44_100),
        (8_000, 44_100),
        (16_000, 44_100),
        (11_025, 44_100),
        (32_000, 44_100),
        (37_800, 44_100),
        (4_410, 44_100),
        (192_000, 44_100),
        (44_100, 48_000),
        (44_100, 22_050),
        (44_101, 44_100),
        (44_100, 16_000),
    ] {
        let top = (f64::from(from.min(to)) * 0.5 * 0.9).min(10_000.0);
        let mut worst = f64::INFINITY;
        for step in 1..=10 {
            let frequency = (top * f64::from(step) / 10.0 - 7.3).max(20.0);
            let (ratio, fit) = snr(frequency, from, to);
            worst = worst.min(ratio);
            let gain = 20.0 * (fit.amplitude / 0.5).log10();
            assert!(gain.abs() < 1e-3, "{from} -> {to}, {frequency} Hz: gain {gain} dB");
            // A millionth of a period is far below a hundredth of a frame.
            assert!(fit.phase.abs() < TAU * 1e-6, "{from} -> {to}, {frequency} Hz: phase {}", fit.phase);
        }
        println!("{from} -> {to}: SNR at least {worst:.1} dB up to {top:.0} Hz");
        assert!(worst >= 130.0, "{from} -> {to}: {worst} dB");
    }
}

#[test]
fn the_band_ends_where_it_should() {
    let pass = |frequency: f64, from, to| 20.0 * (snr(frequency, from, to).1.amplitude / 0.5).log10();
    let reject = |frequency: f64, from, to| level(&resample(&tone(frequency, from, from as usize), from, to));
    for from in [48_000, 96_000, 88_200, 192_000] {
        let edge = (200..=220).map(|f| f64::from(f) * 100.0).take_while(|f| pass(*f, from, 44_100) >= -0.1).last();
        let edge = edge.expect("20 kHz passes");
        let stop = [22_100.0, 22_500.0, 23_000.0, 23_900.0].map(|f| reject(f, from, 44_100));
        println!(
            "{from} -> 44100: -0.1 dB up to {edge} Hz, 22.1 kHz at {:.1} dB, 23 kHz at {:.1} dB",
            stop[0], stop[2]
        );
        assert!(edge >= 20_500.0, "{from}: edge at {edge} Hz");
        assert!(stop.iter().all(|level| *level <= -135.0), "{from}: {stop:?}");
    }
    // Upwards nothing may appear above the old band: the image of f lies at 22050 − f.
    for frequency in [1_000.0, 5_000.0, 9_000.0, 10_000.0] {
        let out = resample(&tone(frequency, 22_050, 22_050), 22_050, 44_100);
        // The tone itself is taken out first: its skirts in a finite window are above the image.
        let found = fit(&out, frequency, 44_100);
        let rest: Vec<f32> = (0..out.len())
            .map(|i| {
                let angle = TAU * frequency * i as f64 / 44_100.0 + found.phase;
                (f64::from(out[i]) - found.amplitude * angle.sin()) as f32
            })
            .collect();
        let image = fit(&rest, 22_050.0 - frequency, 44_100);
        let level = 20.0 * (image.amplitude / 0.5).log10();
        println!("22050 -> 44100: image of {frequency} Hz at {level:.1} dB");
        assert!(level <= -135.0, "image of {frequency} Hz at {level} dB");
    }
}

#[test]
fn an_impulse_stays_where_it_is() {
    // Positions that fall on a frame of both rates.
    for (from, to, at, expected) in [
        (48_000, 44_100, 160 * 40, 147 * 40),
        (22_050, 44_100, 5_000, 10_000),
        (8_000, 44_100, 80 * 50, 441 * 50),
        (96_000, 44_100, 320 * 30, 147 * 30),
        (37_800, 44_100, 6 * 1_000, 7 * 1_000),
    ] {
        let mut input = vec![0.0; at * 2];
        input[at] = 1.0;
        let out = resample(&input, from, to);
        let peak = (0..out.len()).max_by(|a, b| out[*a].abs().total_cmp(&out[*b].abs())).expect("frames");
        assert_eq!(peak, expected, "{from} -> {to}");
        // A linear-phase filter: both sides alike, so not even a part of a frame of delay.
        let asymmetry = (1..2_000).map(|i| (out[expected + i] - out[expected - i]).abs()).fold(0.0, f32::max);
        assert!(asymmetry < 2e-7, "{from} -> {to}: {asymmetry}");
    }
    // And at the very start.
    let mut input = vec![0.0; 4_800];
    input[0] = 1.0;
    let out = resample(&input, 48_000, 44_100);
    assert!(out[0] > 0.8 && out[1..].iter().all(|x| *x < out[0]), "{}", out[0]);
}

#[test]
fn lengths_are_exact() {
    for from in [1_000, 8_000, 11_025, 22_050, 37_800, 44_099, 44_100, 48_000, 192_000] {
        for to in [16_000, 44_100, 48_000] {
            for frames in [0, 1, 2, 3, 159, 160, 161, 1_279, 1_280, 1_281, 10_007] {
                let out = resample(&vec![0.25; frames], from, to);
                let expected = (frames * to as usize).div_ceil(from as usize);
                assert_eq!(out.len(), expected, "{frames} frames, {from} -> {to}");
                assert_eq!(output_frames(frames as u64, from, to), expected as u64);
            }
        }
    }
    assert_eq!(output_frames(u64::MAX, 1_000, 768_000), u64::MAX);
    assert_eq!(output_frames(1 << 60, 48_000, 44_100), ((1_u128 << 60) * 147).div_ceil(160) as u64);
}

#[test]
fn a_constant_stays_constant() {
    let out = resample(&vec![0.5; 48_000], 48_000, 44_100);
    let off = out[2_000..42_000].iter().map(|x| (x - 0.5).abs()).fold(0.0, f32::max);
    assert!(off < 1e-6, "{off}");
}
