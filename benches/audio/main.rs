//! Decodes each file named and resamples it to 44.1 kHz mono `f32`, as the pipeline does, and throws the result away.
//! `run.sh` measures this program's CPU time against that of other decoders.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use datasets::audio::pcm::materialize;

fn main() -> ExitCode {
    for file in std::env::args_os().skip(1) {
        match materialize(Path::new(&file), 44_100, 1, &mut io::sink()) {
            Ok(done) => {
                let line = format!("{} frames at {} Hz: {} frames", done.source.frames, done.source.rate, done.frames);
                if writeln!(io::stdout(), "{line}").is_err() {
                    return ExitCode::FAILURE;
                }
            }
            Err(error) => {
                eprintln!("{}: {error}", Path::new(&file).display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
