//! An estimator that hears only samples finds the tempo and the key that the sidecars state.
//!
//! Tempo: onset strength from the spectral flux of log-compressed bands, its autocorrelation
//! under a comb of four periods, weighted by a log-normal preference for walking pace (Ellis,
//! "Beat tracking by dynamic programming", 2007; Parncutt 1994). Key: a chroma histogram of
//! spectral peaks against the profiles of Temperley (2007). No genre, sidecar or prior of the
//! corpus enters.

use std::f64::consts::PI;

use datasets::synth::{SAMPLE_RATE, Synth};
use realfft::RealFftPlanner;

const RATE: f64 = SAMPLE_RATE as f64;

/// Magnitude spectra of Hann windows of `size` samples, `hop` apart; one row a frame.
fn spectra(samples: &[f32], size: usize, hop: usize) -> Vec<Vec<f64>> {
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(size);
    let window: Vec<f64> = (0..size).map(|n| 0.5 - 0.5 * (2.0 * PI * n as f64 / size as f64).cos()).collect();
    let mut buffer = fft.make_input_vec();
    let mut spectrum = fft.make_output_vec();
    let mut rows = Vec::new();
    // Half a window of silence on both sides: frame i is centred on sample i * hop.
    for centre in (0..samples.len()).step_by(hop) {
        for (n, value) in buffer.iter_mut().enumerate() {
            let at = (centre + n).checked_sub(size / 2);
            *value = window[n] * at.and_then(|at| samples.get(at)).map_or(0.0, |&x| f64::from(x));
        }
        fft.process(&mut buffer, &mut spectrum).unwrap();
        rows.push(spectrum.iter().map(|z| z.norm() * 4.0 / size as f64).collect());
    }
    rows
}

const ONSET_HOP: usize = 220;
const ONSET_RATE: f64 = RATE / ONSET_HOP as f64;

/// How much each frame adds to the bands' log energies, less its local mean.
fn onset_strength(samples: &[f32]) -> Vec<f64> {
    const SIZE: usize = 2048;
    // Edges a third of an octave apart from 40 Hz to 16 kHz.
    let edges: Vec<usize> =
        (0..27).map(|k| ((40.0 * 2f64.powf(f64::from(k) / 3.0)) * SIZE as f64 / RATE).round() as usize).collect();
    let bands: Vec<Vec<f64>> = spectra(samples, SIZE, ONSET_HOP)
        .iter()
        .map(|row| {
            edges
                .windows(2)
                .map(|e| {
                    let power: f64 = row[e[0]..e[1].max(e[0] + 1)].iter().map(|x| x * x).sum();
                    (1.0 + 1e3 * power.sqrt()).ln()
                })
                .collect()
        })
        .collect();
    let lag = 3;
    let flux: Vec<f64> = (0..bands.len())
        .map(|i| match i.checked_sub(lag) {
            Some(before) => bands[i].iter().zip(&bands[before]).map(|(a, b)| (a - b).max(0.0)).sum(),
            None => 0.0,
        })
        .collect();
    let half = (0.25 * ONSET_RATE) as usize;
    (0..flux.len())
        .map(|i| {
            let near = &flux[i.saturating_sub(half)..(i + half).min(flux.len())];
            (flux[i] - near.iter().sum::<f64>() / near.len() as f64).max(0.0)
        })
        .collect()
}

/// The tempo in pulses a minute.
fn tempo(samples: &[f32]) -> f64 {
    let onsets = onset_strength(samples);
    let mean = onsets.iter().sum::<f64>() / onsets.len() as f64;
    let centred: Vec<f64> = onsets.iter().map(|x| x - mean).collect();
    let correlation: Vec<f64> = (0..centred.len().min((5.0 * ONSET_RATE) as usize))
        .map(|lag| {
            let pairs = centred.len() - lag;
            centred[lag..].iter().zip(&centred).map(|(a, b)| a * b).sum::<f64>() / pairs as f64
        })
        .collect();
    // The highest value within a frame or two of a lag: onsets are not sharper than that.
    let at = |lag: f64| {
        let (low, high) = ((lag - 1.5).ceil().max(0.0) as usize, (lag + 1.5).floor() as usize);
        correlation.get(low..=high).map_or(0.0, |near| near.iter().fold(f64::MIN, |m, &x| m.max(x)))
    };
    let score = |bpm: f64| {
        let period = 60.0 / bpm * ONSET_RATE;
        let comb: f64 = (1..=4).map(|k| at(period * f64::from(k)) / f64::from(k).sqrt()).sum();
        let octaves = (bpm / 110.0).log2();
        comb * (-0.5 * (octaves / 0.6).powi(2)).exp()
    };
    let grid: Vec<f64> = (0..1000).map(|i| 40.0 * 2f64.powf(f64::from(i) / 400.0)).collect();
    let best = grid.iter().copied().max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap();
    refine(&correlation, best)
}

/// Fits the period to the interpolated maxima of the correlation near its first multiples.
fn refine(correlation: &[f64], bpm: f64) -> f64 {
    let period = 60.0 / bpm * ONSET_RATE;
    let (mut top, mut bottom) = (0.0, 0.0);
    for k in 1..=8 {
        let around = period * f64::from(k);
        let reach = (0.04 * period).max(3.0) as usize;
        let low = (around as usize).saturating_sub(reach).max(1);
        let Some(near) = correlation.get(low..=around as usize + reach + 1) else { break };
        let peak = (0..near.len()).max_by(|&a, &b| near[a].total_cmp(&near[b])).unwrap();
        top += f64::from(k) * (low + peak) as f64;
        bottom += f64::from(k * k);
    }
    if bottom > 0.0 { 60.0 * ONSET_RATE * bottom / top } else { bpm }
}

/// Temperley's profiles (Music and Probability, 2007): how often each step occurs in a key.
const MAJOR: [f64; 12] = [0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400];
const MINOR: [f64; 12] = [0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330];

/// The tonic's pitch class (C = 0), and whether the key is minor.
fn musical_key(samples: &[f32]) -> (usize, bool) {
    const SIZE: usize = 16_384;
    let mut chroma = [0.0; 12];
    for row in spectra(samples, SIZE, SIZE / 4) {
        let low = (55.0 * SIZE as f64 / RATE) as usize;
        let high = (1500.0 * SIZE as f64 / RATE) as usize;
        for bin in low..high {
            if row[bin] > row[bin - 1] && row[bin] >= row[bin + 1] {
                // The peak of a parabola through the logarithms of three bins.
                let [a, b, c] = [row[bin - 1], row[bin], row[bin + 1]].map(|x| (x + 1e-9).ln());
                let bin = bin as f64 + 0.5 * (a - c) / (a - 2.0 * b + c).min(-1e-9);
                let pitch = 69.0 + 12.0 * (bin * RATE / SIZE as f64 / 440.0).log2();
                let off = pitch - pitch.round();
                chroma[pitch.round() as usize % 12] += b.exp().sqrt() * (-0.5 * (off / 0.2).powi(2)).exp();
            }
        }
    }
    let fit = |tonic: usize, profile: &[f64; 12]| {
        let mean = |v: &[f64; 12]| v.iter().sum::<f64>() / 12.0;
        let (mc, mp) = (mean(&chroma), mean(profile));
        let pairs = (0..12).map(|k| (chroma[(tonic + k) % 12] - mc, profile[k] - mp));
        let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in pairs {
            (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
        }
        xy / (xx * yy).sqrt()
    };
    (0..24)
        .map(|k| (k / 2, k % 2 == 1))
        .max_by(|a, b| {
            let score = |&(tonic, minor): &(usize, bool)| fit(tonic, if minor { &MINOR } else { &MAJOR });
            score(a).total_cmp(&score(b))
        })
        .unwrap()
}

/// `F# minor` as pitch class and mode.
fn parse_key(name: &str) -> (usize, bool) {
    let (tonic, mode) = name.split_once(' ').unwrap();
    let letter = match tonic.as_bytes()[0] {
        b'C' => 0,
        b'D' => 2,
        b'E' => 4,
        b'F' => 5,
        b'G' => 7,
        b'A' => 9,
        _ => 11,
    };
    let sign = match &tonic[1..] {
        "#" => 1,
        "b" => 11,
        _ => 0,
    };
    ((letter + sign) % 12, mode == "minor")
}

#[test]
fn tempo_and_key_are_heard() {
    let synth = Synth::default();
    let (mut tempi, mut keys) = (0, 0);
    for index in 0..synth.pieces {
        let piece = synth.piece(index);
        let samples = synth.render(index);
        let bpm = tempo(&samples);
        let key = musical_key(&samples);
        let in_time = (bpm / piece.tempo_bpm - 1.0).abs() <= 0.04;
        let in_key = key == parse_key(&piece.musical_key);
        tempi += u32::from(in_time);
        keys += u32::from(in_key);
        println!(
            "{:<11} tempo {:6.1} heard {bpm:6.1} {}   key {:<9} heard {key:?} {}",
            piece.key,
            piece.tempo_bpm,
            if in_time { "" } else { "MISSED" },
            piece.musical_key,
            if in_key { "" } else { "MISSED" },
        );
    }
    println!("tempo {tempi} of {}, key {keys} of {}", synth.pieces, synth.pieces);
    assert!(10 * tempi >= 9 * synth.pieces, "tempo recovered for {tempi} of {} pieces", synth.pieces);
    assert!(10 * keys >= 9 * synth.pieces, "key recovered for {keys} of {} pieces", synth.pieces);
}

#[test]
fn the_estimator_knows_clicks_and_chords() {
    // A click every 0.5 s, and an A minor triad, of which only the first is in time.
    let mut samples = vec![0.0f32; 10 * SAMPLE_RATE as usize];
    for start in (0..samples.len()).step_by(SAMPLE_RATE as usize / 2) {
        for n in 0..400.min(samples.len() - start) {
            samples[start + n] += 0.5 * (1.0 - n as f32 / 400.0) * if n % 2 == 0 { 1.0 } else { -1.0 };
        }
    }
    assert!((tempo(&samples) / 120.0 - 1.0).abs() < 0.01);
    for (n, sample) in samples.iter_mut().enumerate() {
        *sample = [220.0, 261.63, 329.63].iter().map(|hz| (2.0 * PI * hz * n as f64 / RATE).sin() as f32 * 0.2).sum();
    }
    assert_eq!(musical_key(&samples), (9, true));
}
