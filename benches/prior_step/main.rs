//! Training steps of a prior: `bench_prior_step [top|middle|bottom|large] [steps]`.
//!
//! The first three are the quickstart's priors: width 128, 2 blocks of 4 heads, windows of 256 codes, batch 8. `large`:
//! width 256, 6 blocks of 8 heads, windows of 512 codes of 2048, batch 4, no level above. RAYON_NUM_THREADS sets the
//! threads. Prints the median time of a step. `step.py` beside this file is the same in PyTorch.

mod priors;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use priors::{codes, settings};
use stages::model::{
    prior::fit::{PriorRecord, fit},
    training::{TrainingSink, crew::Alone},
};

/// Takes the time of every step.
struct Clock {
    last: Instant,
    steps: Vec<f64>,
    bits: f64,
}

impl TrainingSink<PriorRecord> for Clock {
    fn step(&mut self, record: &PriorRecord) {
        self.steps.push(self.last.elapsed().as_secs_f64() * 1e3);
        self.last = Instant::now();
        self.bits = record.bits;
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

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let name = args.get(1).map_or("large", String::as_str);
    let steps = args.get(2).and_then(|n| n.parse().ok()).unwrap_or(10);
    let Some(settings) = settings(name, steps + 1) else {
        eprintln!("no prior is called {name}: top, middle, bottom or large");
        return ExitCode::FAILURE;
    };
    let codes = codes(&settings.config);
    let mut clock = Clock { last: Instant::now(), steps: Vec::new(), bits: 0.0 };
    match fit(&settings, 1, [1; 32], &codes, None, &mut clock, &Alone) {
        Ok(_) => {
            let mut times = clock.steps.split_off(1);
            times.sort_by(f64::total_cmp);
            println!("Refrain: {name}, step {:.1} ms ({:.6} bits)", times[times.len() / 2], clock.bits);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
