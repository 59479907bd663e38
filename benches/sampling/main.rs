//! Sampling songs from priors that were hardly trained, which is the hardest case of drawing from the most likely codes:
//! `bench_sampling [quickstart|large] [seconds] [songs]`.
//!
//! `quickstart`: the priors of all three levels, width 128, 2 blocks, windows of 256 codes. `large`: one level, width 256,
//! 6 blocks of 8 heads, windows of 512 of 2048 codes. RAYON_NUM_THREADS sets the threads; the time includes the codes of a
//! window's first half, which are known. `sample.py` beside this file is the same in PyTorch.

#[path = "../prior_step/priors.rs"]
mod priors;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use priors::{codes, settings};
use stages::model::prior::sample::{Draw, SampleError, Sampler, Song};
use stages::model::{
    prior::fit::{PriorRecord, fit},
    training::{TrainingSink, crew::Alone},
};

struct Silent;

impl TrainingSink<PriorRecord> for Silent {
    fn step(&mut self, _: &PriorRecord) {}
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

fn run(large: bool, seconds: f64, songs: usize) -> Result<(), String> {
    let names: &[&str] = if large { &["large"] } else { &["bottom", "middle", "top"] };
    let mut priors = Vec::new();
    for name in names {
        let mut settings = settings(name, 1).ok_or("an unknown prior")?;
        settings.batch = 1;
        if large {
            (settings.config.level, settings.config.hops, settings.config.codewords) = (0, vec![128], vec![2048]);
        }
        let prior = fit(&settings, 1, [1; 32], &codes(&settings.config), None, &mut Silent, &Alone);
        priors.push(prior.map_err(|e| e.to_string())?);
    }
    let sampler = Sampler::new(&priors).map_err(|e| e.to_string())?;
    let frames = (seconds * 44_100.0) as u64;
    let songs: Vec<Song> = (0..songs).map(|i| Song { genre: None, frames, seed: [i as u8; 32] }).collect();
    let mut sampled = sampler.silence(songs.len());
    let draw = Draw { temperature: 1.0, top_p: 0.9, overlap: 0.5 };
    let start = Instant::now();
    sampler.sample(&songs, draw, &mut sampled, &mut |_| Ok::<(), SampleError>(())).map_err(|e| e.to_string())?;
    let took = start.elapsed().as_secs_f64();
    let codes: usize = sampled.iter().flat_map(|s| &s.levels).map(Vec::len).sum();
    println!("Refrain: {codes} codes, {:.0} codes/s, {took:.2} s", codes as f64 / took);
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let large = args.get(1).is_some_and(|a| a == "large");
    let seconds = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(if large { 3.0 } else { 1.0 });
    let songs = args.get(3).and_then(|a| a.parse().ok()).unwrap_or(4);
    match run(large, seconds, songs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
