//! Training steps and an encoding of a codec: `bench_codec_step [quickstart|large] [steps]`.
//!
//! `quickstart`: three levels of 3, 5 and 7 halvings, width 32, 2 blocks a stage, batch 4 x 8192 samples. `large`: width
//! 64, 4 blocks, batch 4 x 65536. Latents of 64, codebook of 2048, losses on samples, spectra and commitment, Adam.
//! RAYON_NUM_THREADS sets the threads. Prints the median time of a step of all levels, and of encoding a batch. `step.py`
//! beside this file is the same in PyTorch.

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use stages::model::codec::{Codec, CodecConfig, LevelConfig};
use stages::model::device::Precision;
use stages::model::fit::{Clips, FitSettings, LevelFit, StepRecord, fit};
use stages::model::infer::Coder;
use stages::model::training::{Schedule, TrainingSink, crew::Alone};

/// One clip of noise.
struct Noise(Vec<f32>);

impl Noise {
    fn new(frames: usize) -> Self {
        let mut s = 1u32;
        let mut next = || {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((s >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.3
        };
        Self((0..frames).map(|_| next()).collect())
    }
}

impl Clips for Noise {
    fn len(&self) -> usize {
        1
    }
    fn frames(&self, _: usize) -> u64 {
        self.0.len() as u64
    }
    fn read(&self, _: usize, first: u64, out: &mut [f32]) -> Result<(), String> {
        out.copy_from_slice(&self.0[first as usize..][..out.len()]);
        Ok(())
    }
}

/// Takes the time of every step of all levels.
struct Clock {
    last: Instant,
    steps: Vec<f64>,
}

impl TrainingSink<StepRecord> for Clock {
    fn step(&mut self, record: &StepRecord) {
        if record.level == 2 {
            self.steps.push(self.last.elapsed().as_secs_f64() * 1e3);
            self.last = Instant::now();
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

fn settings(large: bool, steps: u64) -> FitSettings {
    let (width, depth, crop) = if large { (64, 4, 65_536) } else { (32, 2, 8192) };
    let level = |halvings| LevelConfig {
        downs: vec![halvings],
        strides: Vec::new(),
        width,
        depth,
        dilation_growth: 3,
        codewords: 2048,
        oscillators: 0,
    };
    let fit = LevelFit { steps, batch: 4, micro_batch: 4, crop, spectral: 0.1, log_spectral: 0.0, unquantised: 0.0 };
    FitSettings {
        codec: CodecConfig { rate: 44_100, channels: 1, dim: 64, levels: [3, 5, 7].map(level).into() },
        levels: vec![fit; 3],
        precision: Precision::F32,
        learning_rate: 3e-4,
        warmup: 0,
        schedule: Schedule::Constant,
        final_rate: 1.0,
        commitment: 0.25,
        ema_decay: 0.99,
        revival: 0.1,
        kmeans: 1,
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn run(large: bool, steps: u64) -> Result<String, Box<dyn std::error::Error>> {
    let settings = settings(large, steps + 1);
    let crop = settings.levels[0].crop;
    let noise = Noise::new(4 * crop);
    let mut clock = Clock { last: Instant::now(), steps: Vec::new() };
    let codec = Codec::load(&fit(&settings, &[1; 3], [1; 32], &noise, None, &mut clock, &Alone)?)?;
    let coder = Coder::new(&codec)?;
    let encode = || {
        let start = Instant::now();
        let codes: usize = noise.0.chunks(crop).map(|clip| coder.encode_samples(clip)[0].len()).sum();
        assert_eq!(codes, 4 * crop / 8, "every clip is encoded");
        start.elapsed().as_secs_f64() * 1e3
    };
    // the first step makes the codebooks
    let step = median(clock.steps.split_off(1));
    Ok(format!("Refrain: step {step:.1} ms; encode {:.1} ms", median((0..5).map(|_| encode()).collect())))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let large = args.get(1).is_some_and(|a| a == "large");
    let steps = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(if large { 3 } else { 10 });
    match run(large, steps) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
