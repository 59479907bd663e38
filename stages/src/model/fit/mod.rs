//! Training of a codec.
//!
//! Levels are independent: each has its own batches, moments and codebook, and they are trained side by side. All
//! randomness is a function of (seed, level, step), so a checkpoint needs no generator's state, and a run that goes on from
//! one ends with the bytes of a run that was never stopped.
mod settings;

use super::checkpoint::{self, CodecState};
use super::codec::Codec;
use super::device::device;
use super::excerpts::Excerpts;
use super::level::{LevelState, Trainer};
use super::loss::{Bandwidth, Spectral};
use super::oscillators::Instrument;
use super::training::{Learner, TrainingError, TrainingSink, crew::Crew, identity, train};
use super::weights::Arrays;

pub use settings::{Clips, FitSettings, LevelFit, StepRecord};

/// Excerpts over which the bandwidths of the losses are measured.
pub(super) const MEASURED: usize = 256;

/// Trains a codec and returns the bytes of its file ([`Codec::load`] reads them).
///
/// `segments` is the number of segments of each level's encoder and decoder, `resume` a checkpoint of the same settings,
/// seed and clips. The result is a function of settings, seed and clips: neither segments nor the number of threads, nor
/// who else of a `crew` takes part, nor interruptions change a bit.
///
/// # Errors
/// See [`TrainingError`].
pub fn fit(
    settings: &FitSettings,
    segments: &[usize],
    seed: [u8; 32],
    clips: &dyn Clips,
    resume: Option<&[u8]>,
    sink: &mut dyn TrainingSink<StepRecord>,
    crew: &dyn Crew,
) -> Result<Vec<u8>, TrainingError> {
    settings.validate()?;
    let excerpts = Excerpts::new(clips, settings.codec.channels)?;
    let spectral = Spectral::new();
    let identity = identity(settings, &seed, (0..clips.len()).map(|clip| clips.frames(clip)));
    let (device, levels) = (device(settings.precision), 0..settings.levels.len());
    let instruments: Vec<Option<Instrument>> =
        levels.clone().map(|level| Instrument::of(&settings.codec, level)).collect();
    let state = match resume {
        Some(bytes) => checkpoint::read(bytes, settings, &identity, &device)?,
        None => CodecState {
            rounds: 0,
            levels: levels
                .clone()
                .map(|level| {
                    let of = (level, instruments[level].as_ref());
                    LevelState::new(&device, settings, of, &seed, &excerpts)
                })
                .collect::<Result<_, _>>()?,
            bandwidths: levels
                .map(|level| measure(settings.levels[level].crop, &excerpts, &seed, &spectral))
                .collect::<Result<_, _>>()?,
        },
    };
    let bandwidths = state.bandwidths.iter().zip(instruments).enumerate();
    let trainers = bandwidths
        .map(|(level, (bandwidth, instrument))| {
            Trainer::new(
                settings,
                (level, segments.get(level).copied().unwrap_or(1), instrument),
                crew,
                seed,
                &excerpts,
                &spectral,
                *bandwidth,
            )
        })
        .collect();
    let mut learner = Levels { settings, identity, trainers, state };
    train(&mut learner, sink)?;
    let mut arrays = Arrays::new();
    for (trainer, state) in learner.trainers.iter().zip(learner.state.levels) {
        trainer.finish(state, &mut arrays)?;
    }
    Ok(Codec::new(settings.codec.clone(), arrays)?.to_bytes()?)
}

/// All levels of a codec in training; a step of it is a round, in which each level makes at most one.
struct Levels<'a> {
    settings: &'a FitSettings,
    identity: String,
    trainers: Vec<Trainer<'a>>,
    state: CodecState,
}

impl Learner for Levels<'_> {
    type Record = StepRecord;
    fn total(&self) -> u64 {
        self.settings.rounds()
    }
    fn made(&self) -> u64 {
        self.state.rounds
    }
    fn long(&self) -> bool {
        let round = self.state.rounds + 1;
        let levels = self.trainers.iter().zip(&self.state.levels).enumerate();
        levels
            .filter(|(level, (_, state))| state.step < self.settings.steps_after(*level, round))
            .any(|(_, (trainer, state))| trainer.makes_codebook(state))
    }
    fn whole(&self) -> bool {
        let own = self.state.levels.iter().enumerate();
        own.map(|(level, state)| (state.step, self.settings.steps_after(level, self.state.rounds)))
            .all(|(made, told)| made == told)
    }
    fn step(&mut self, record: &mut dyn FnMut(&StepRecord)) -> Result<(), TrainingError> {
        let round = self.state.rounds + 1;
        let target = |level| self.settings.steps_after(level, round);
        for made in step_levels(&self.trainers, &mut self.state.levels, target) {
            record(&made?);
        }
        self.state.rounds = round;
        Ok(())
    }
    fn state(&self) -> Result<Vec<u8>, TrainingError> {
        checkpoint::write(&self.state, &self.identity)
    }
}

/// One step of every level that is behind its `target`, side by side; the records in the order of levels.
fn step_levels(
    trainers: &[Trainer],
    states: &mut [LevelState],
    target: impl Fn(usize) -> u64,
) -> Vec<Result<StepRecord, TrainingError>> {
    let due = trainers
        .iter()
        .zip(states)
        .enumerate()
        .filter(|(level, (_, state))| state.step < target(*level))
        .map(|(_, pair)| pair);
    if rayon::current_num_threads() == 1 {
        return due.map(|(trainer, state)| trainer.step(state)).collect();
    }
    // Threads of their own, not tasks of the pool: a pool thread that waits for its kernel could take up another level's
    // step, and the first level would wait for all of it.
    std::thread::scope(|scope| {
        let running: Vec<_> = due.map(|(trainer, state)| scope.spawn(|| trainer.step(state))).collect();
        running
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The bandwidths of excerpts of `crop` frames.
fn measure(crop: usize, excerpts: &Excerpts, seed: &[u8; 32], spectral: &Spectral) -> Result<Bandwidth, TrainingError> {
    let batch = excerpts.batch(seed, "bandwidth", 0, 0..MEASURED, (crop, 0))?;
    let power = batch.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / batch.len() as f64;
    let norm = spectral.norm(&batch, crop);
    if power == 0.0 {
        return Err(TrainingError::Silent);
    }
    Ok(Bandwidth {
        power,
        // Crops shorter than every transform have no spectrum, and then no spectral loss either.
        spectral: if norm > 0.0 { norm } else { 1.0 },
    })
}
