//! Trains the codec on the built-in corpus and measures it on held-out pieces: for finding settings.
//!
//! `cargo run --release --example fit_synth [-- KEY=VALUE ...]`; keys are those of `apply`. A value for all levels, or one
//! for each, separated by commas.
use std::io;
use std::time::Instant;

use burn_flex::Flex;
use datasets::synth::{SAMPLE_RATE, Synth};
use rayon::prelude::*;
use stages::metric::log_mel::LogMel;
use stages::metric::si_sdr::si_sdr;
use stages::model::codec::{Codec, CodecConfig, LevelConfig};
use stages::model::fit::{Clips, FitSettings, FitSink, LevelFit, Schedule, StepRecord, fit};
use stages::model::infer::Coder;

struct Pieces(Vec<Vec<f32>>);

impl Clips for Pieces {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn frames(&self, i: usize) -> u64 {
        self.0[i].len() as u64
    }
    fn read(&self, i: usize, first: u64, out: &mut [f32]) -> Result<(), String> {
        out.copy_from_slice(&self.0[i][first as usize..][..out.len()]);
        Ok(())
    }
}

struct Print {
    every: u64,
}

impl FitSink for Print {
    fn step(&mut self, r: &StepRecord) {
        if (r.step + 1) % self.every == 0 || r.revived > 0 && r.step % 10 == 0 {
            println!(
                "level {} step {:4}: reconstruction {:.4} spectral {:.4} commitment {:.5} perplexity {:.0} used {} revived {}",
                r.level,
                r.step + 1,
                r.reconstruction,
                r.spectral,
                r.commitment,
                r.perplexity,
                r.used,
                r.revived
            );
        }
    }
    fn due(&mut self) -> bool {
        false
    }
    fn checkpoint(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn stop(&mut self) -> bool {
        false
    }
}

/// User and system seconds of this process so far, all threads.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    fields.get(11).zip(fields.get(12)).map_or(f64::NAN, |(u, s)| (u + s) / 100.0)
}

fn apply(settings: &mut FitSettings, key: &str, value: &str) {
    let values: Vec<f64> = value.split(',').map(|v| v.parse().expect("a number")).collect();
    let of = |i: usize| values[i.min(values.len() - 1)];
    let one = values[0];
    match key {
        "rate" => settings.learning_rate = one,
        "warmup" => settings.warmup = one as u64,
        "final" => settings.final_rate = one,
        "commitment" => settings.commitment = one,
        "unquantised" => settings.unquantised = one,
        "decay" => settings.ema_decay = one,
        "revival" => settings.revival = one,
        "kmeans" => settings.kmeans = one as usize,
        "dim" => settings.codec.dim = one as usize,
        _ => {
            for (i, (fit, level)) in settings.levels.iter_mut().zip(&mut settings.codec.levels).enumerate() {
                match key {
                    "steps" => fit.steps = of(i) as u64,
                    "batch" => fit.batch = of(i) as usize,
                    "crop" => fit.crop = of(i) as usize,
                    "spectral" => fit.spectral = of(i),
                    "width" => level.width = of(i) as usize,
                    "depth" => level.depth = of(i) as usize,
                    "codewords" => level.codewords = of(i) as usize,
                    _ => panic!("unknown key {key}"),
                }
            }
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let level = |downs: &[u32], codewords| LevelConfig {
        downs: downs.to_vec(),
        width: 32,
        depth: 2,
        dilation_growth: 3,
        codewords,
    };
    let mut settings = FitSettings {
        codec: CodecConfig {
            rate: SAMPLE_RATE,
            dim: 64,
            levels: vec![level(&[3], 1024), level(&[3, 2], 1024), level(&[3, 2, 2], 512)],
        },
        levels: vec![LevelFit { steps: 250, batch: 4, crop: 8192, spectral: 0.1 }; 3],
        learning_rate: 1e-3,
        warmup: 10,
        schedule: Schedule::Cosine,
        final_rate: 0.1,
        commitment: 0.25,
        unquantised: 0.4,
        ema_decay: 0.99,
        revival: 0.1,
        kmeans: 3,
    };
    let mut every = 25;
    let mut only: Option<usize> = None;
    for argument in std::env::args().skip(1) {
        let (key, value) = argument.split_once('=').expect("KEY=VALUE");
        match key {
            "every" => every = value.parse().expect("a number"),
            "only" => only = Some(value.parse().expect("a level")),
            _ => apply(&mut settings, key, value),
        }
    }
    if let Some(level) = only {
        settings.codec.levels = vec![settings.codec.levels[level].clone()];
        settings.levels = vec![settings.levels[level].clone()];
    }
    let synth = Synth::default();
    let pieces: Vec<Vec<f32>> = (0..synth.pieces).into_par_iter().map(|i| synth.render(i)).collect();
    // The last 4 pieces of each genre are held out.
    let train = synth.pieces - 16;
    let held: Vec<usize> = (train..synth.pieces).map(|i| i as usize).collect();
    let train = Pieces(pieces[..train as usize].to_vec());

    let (start, before) = (Instant::now(), processor());
    let bytes = fit(&settings, [17; 32], &train, None, &mut Print { every }).expect("training");
    println!("trained in {:.1} s wall, {:.1} s of processor", start.elapsed().as_secs_f64(), processor() - before);
    if let Some(path) = std::env::var_os("CODEC_OUT") {
        std::fs::write(path, &bytes).expect("a file");
    }

    let (start, before) = (Instant::now(), processor());
    let codec = Codec::load(&bytes).expect("a codec");
    let coder = Coder::<Flex>::new(&codec, Default::default()).expect("a coder");
    let mut used: Vec<Vec<bool>> = settings.codec.levels.iter().map(|l| vec![false; l.codewords]).collect();
    for clip in &train.0 {
        for (used, codes) in used.iter_mut().zip(coder.encode_samples(clip)) {
            codes.iter().for_each(|c| used[usize::from(*c)] = true);
        }
    }
    let spectra: Vec<LogMel> = pieces.par_iter().map(|p| LogMel::new(p, SAMPLE_RATE)).collect();
    let mean = LogMel::mean(&spectra[..train.0.len()]);
    let codes: Vec<Vec<Vec<u16>>> = held.iter().map(|i| coder.encode_samples(&pieces[*i])).collect();
    for level in 0..settings.levels.len() {
        let mut ratios = Vec::new();
        let (mut share_train, mut share_own) = (Vec::new(), Vec::new());
        for (i, codes) in held.iter().zip(&codes) {
            let mut sound = Vec::new();
            coder.decode(level, &codes[level], &mut |y| sound.extend_from_slice(y)).expect("codes");
            sound.truncate(pieces[*i].len());
            ratios.push(si_sdr(&pieces[*i], &sound).expect("sound"));
            let distance = spectra[*i].distance(&LogMel::new(&sound, SAMPLE_RATE));
            let own = LogMel::mean(std::slice::from_ref(&spectra[*i]));
            share_train.push(distance / spectra[*i].distance_to(&mean));
            share_own.push(distance / spectra[*i].distance_to(&own));
        }
        let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "level {level}: SI-SDR median {:.2} worst {worst:.2} dB; log-mel over distance to the mean of training {:.3}, of the \
             piece {:.3}; codewords used {} of {}",
            median(&mut ratios),
            median(&mut share_train),
            median(&mut share_own),
            used[level].iter().filter(|u| **u).count(),
            used[level].len()
        );
    }
    println!("evaluated in {:.1} s wall, {:.1} s of processor", start.elapsed().as_secs_f64(), processor() - before);
}
