//! One level in training: its state and its step.
use std::sync::Arc;

use kernels::device::Device;
use kernels::ops::adam::Adam;
use kernels::ops::add::add;
use kernels::ops::norm::norm;
use kernels::tape::{LossScale, Tape, Value};
use kernels::tensor::Tensor;

use super::codebook::{Codebook, Rule};
use super::device::Precision;
use super::excerpts::Excerpts;
use super::fit::{FitSettings, StepRecord};
use super::layer::{self, Layer};
use super::loss::{Bandwidth, Mix, Spectral};
use super::quantise::{nearest, turned};
use super::random::Random;
use super::training::{
    TrainingError,
    parameters::Parameters,
    tree::{Gradients, Tree},
};
use super::weights::{Array, Arrays};

/// Batches over which the codebook is made from the data, at least so many vectors for each codeword.
pub(super) const VECTORS_PER_CODEWORD: usize = 8;

/// All that changes while a level is trained.
pub(crate) struct LevelState {
    /// Steps made.
    pub(crate) step: u64,
    pub(crate) parameters: Parameters,
    /// `None` until the unquantised start is over.
    pub(crate) codebook: Option<Codebook>,
    /// What the loss is multiplied by.
    pub(crate) scale: LossScale,
}

impl LevelState {
    /// Weights and biases uniform within 1 / sqrt(inputs per output) (He et al. 2015 with PyTorch's gain).
    pub(crate) fn new(device: &Arc<dyn Device>, settings: &FitSettings, level: usize, seed: &[u8; 32]) -> Self {
        let config = &settings.codec;
        let mut start = Arrays::new();
        for layer in layer::encoder(config, level).iter().chain(&layer::decoder(config, level)) {
            for (name, shape, fan) in layer.tensors() {
                let mut random = Random::new(seed, &format!("weights {name}"), 0);
                let bound = 1.0 / (fan as f64).sqrt();
                let n: usize = shape.iter().product();
                let data = (0..n).map(|_| ((2.0 * random.uniform() - 1.0) * bound) as f32).collect();
                start.insert(name, Array { shape, data });
            }
        }
        let scale = LossScale::of(settings.precision.dtype());
        Self { step: 0, parameters: Parameters::new(device.clone(), &start), codebook: None, scale }
    }
}

/// The latents of a step.
#[derive(Default)]
struct Seen {
    /// `[latents, dim]`.
    vectors: Vec<f32>,
    /// The nearest codeword of each.
    codes: Vec<u32>,
    /// The sum of the squares of their distances.
    away: f64,
}

/// What stays the same while a level is trained.
pub(crate) struct Trainer<'a> {
    settings: &'a FitSettings,
    level: usize,
    segments: usize,
    seed: [u8; 32],
    excerpts: &'a Excerpts<'a>,
    spectral: &'a Spectral,
    bandwidth: Bandwidth,
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        settings: &'a FitSettings,
        (level, segments): (usize, usize),
        seed: [u8; 32],
        excerpts: &'a Excerpts<'a>,
        spectral: &'a Spectral,
        bandwidth: Bandwidth,
    ) -> Self {
        Self {
            settings,
            level,
            segments,
            seed,
            excerpts,
            spectral,
            bandwidth,
            encoder: layer::encoder(&settings.codec, level),
            decoder: layer::decoder(&settings.codec, level),
        }
    }

    fn batch(&self, purpose: &str, counter: u64) -> Result<Vec<f32>, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let purpose = format!("{purpose} {}", self.level);
        self.excerpts.batch(&self.seed, &purpose, counter, fit.batch, fit.crop)
    }

    /// Steps at the start of which nothing is quantised.
    fn unquantised(&self) -> u64 {
        let level = &self.settings.levels[self.level];
        (level.steps as f64 * level.unquantised) as u64
    }

    /// Whether the next step makes the codebook first.
    pub(crate) fn makes_codebook(&self, state: &LevelState) -> bool {
        state.codebook.is_none() && state.step >= self.unquantised()
    }

    /// Makes one step.
    pub(crate) fn step(&self, state: &mut LevelState) -> Result<StepRecord, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let step = state.step;
        let unquantised = step < self.unquantised();
        if self.makes_codebook(state) {
            state.codebook = Some(self.codebook(state, step)?);
        }
        let x = self.batch("batch", step)?;
        let start = StepRecord {
            step,
            level: self.level,
            reconstruction: 0.0,
            spectral: 0.0,
            log_spectral: 0.0,
            commitment: 0.0,
            perplexity: 0.0,
            used: 0,
            revived: 0,
            unquantised,
        };
        let diverged = || Err(TrainingError::Diverged { what: format!("level {}", self.level), step });
        let (mut record, seen, factor, gradients) = loop {
            let (mut record, mut tree, mut seen) = (start, Tree::default(), Seen::default());
            let device = &**state.parameters.device();
            for x in x.chunks(fit.micro_batch * fit.crop) {
                tree.add(device, self.gradients(state, x, &mut seen, &mut record)?);
            }
            let (gradients, factor) = (tree.sum(device), state.scale.factor());
            // Only a scale that moves asks for the norm.
            if self.settings.precision != Precision::F16 || state.scale.accepts(norm(device, gradients.values())) {
                break (record, seen, factor, gradients);
            }
            // The same step again with half of the scale.
            if state.scale.factor() == factor {
                return diverged();
            }
        };
        if let Some(book) = state.codebook.as_mut().filter(|_| !unquantised) {
            record.commitment = seen.away / (fit.batch * fit.crop / self.hop() * self.settings.codec.dim) as f64;
            let rule = Rule { decay: self.settings.ema_decay, revival: self.settings.revival };
            let mut random = Random::new(&self.seed, &format!("revival {}", self.level), step);
            let usage = book.update(&seen.vectors, &seen.codes, rule, &mut random);
            record.perplexity = usage.perplexity;
            record.used = usage.used;
            record.revived = usage.revived;
        }
        if !(record.reconstruction + record.spectral + record.log_spectral + record.commitment).is_finite() {
            return diverged();
        }
        let rate = self.settings.rate().at(step, fit.steps);
        state.parameters.update(Adam { step: step + 1, rate, decay: 0.0, scale: 1.0 / factor }, &gradients);
        state.step += 1;
        Ok(record)
    }

    fn hop(&self) -> usize {
        self.settings.codec.levels[self.level].hop()
    }

    /// The gradients of some excerpts of a batch, as their share of the batch's; adds to what was `seen` and to the
    /// record's losses.
    fn gradients(
        &self,
        state: &LevelState,
        x: &[f32],
        seen: &mut Seen,
        record: &mut StepRecord,
    ) -> Result<Gradients, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let device = &**state.parameters.device();
        let extents = [x.len() / fit.crop, 1, fit.crop];
        // Two tapes: the decoder starts from a leaf of its own, whose gradient is handed to the encoder. That is the
        // straight-through estimator.
        let (first, second) = (Tape::recording(device), Tape::recording(device));
        let input = Value::constant(device.activation(x, extents));
        let of_encoder = state.parameters.leaves(&first);
        let z = layer::forward(&first, &layer::load(&self.encoder, &of_encoder)?, input, self.segments);
        let book = state.codebook.as_ref().filter(|_| !record.unquantised);
        let (quantised, commit) = match book {
            Some(book) => {
                let (quantised, commit) = self.quantise(state, book, z.tensor(), seen);
                (quantised, Some(commit))
            }
            None => (z.tensor().clone(), None),
        };
        let leaf = second.leaf(quantised);
        let of_decoder = state.parameters.leaves(&second);
        let y = layer::forward(&second, &layer::load(&self.decoder, &of_decoder)?, leaf.clone(), self.segments);
        let out = device.floats(y.tensor());
        let mix = Mix { spectral: fit.spectral, log_spectral: fit.log_spectral };
        let mut loss = self.spectral.loss([x, &out], fit.crop, fit.batch, mix, self.bandwidth);
        let scale = state.scale.factor();
        if scale != 1.0 {
            loss.gradient.iter_mut().for_each(|g| *g *= scale);
        }
        record.reconstruction += loss.reconstruction;
        record.spectral += loss.spectral;
        record.log_spectral += loss.log_spectral;
        let mut back = second.backward(&y, device.activation(&loss.gradient, extents));
        drop(y);
        let shape = z.shape();
        let towards = back.take(&leaf).unwrap_or_else(|| device.activation(&vec![0.0; z.tensor().len()], shape));
        let mut gradients = of_decoder.gradients(&mut back);
        let towards = match commit {
            Some(commit) => {
                let [towards, commit] = [towards, commit].map(Value::constant);
                add(&Tape::forward_only(device), towards, commit).into_tensor()
            }
            None => towards,
        };
        drop(leaf);
        gradients.extend(of_encoder.gradients(&mut first.backward(&z, towards)));
        Ok(gradients)
    }

    /// The codewords of latents z `[items, dim, time]`, which the decoder is given, and the gradient of the commitment loss.
    fn quantise(&self, state: &LevelState, book: &Codebook, z: &Tensor, seen: &mut Seen) -> (Tensor, Tensor) {
        let device = &**state.parameters.device();
        let shape @ [items, dim, time] = z.shape();
        let vectors = turned(&device.floats(z), dim, time);
        let codes = nearest(&vectors, &book.centres, dim);
        let mut quantised = vectors.clone();
        for (q, code) in quantised.chunks_exact_mut(dim).zip(&codes) {
            q.copy_from_slice(&book.centres[*code as usize * dim..][..dim]);
        }
        let mut away: Vec<f32> = vectors.iter().zip(&quantised).map(|(z, q)| z - q).collect();
        seen.away += away.iter().map(|d| f64::from(*d) * f64::from(*d)).sum::<f64>();
        let all = self.settings.levels[self.level].batch * (away.len() / items);
        let weight = (2.0 * self.settings.commitment / all as f64) as f32 * state.scale.factor();
        away.iter_mut().for_each(|d| *d *= weight);
        seen.vectors.extend(vectors);
        seen.codes.extend(codes);
        let [quantised, commit] = [quantised, away].map(|rows| device.activation(&turned(&rows, time, dim), shape));
        (quantised, commit)
    }

    /// A codebook from the latents of several batches; [`TrainingError::Stopped`] where whoever follows it says so.
    fn codebook(&self, state: &LevelState, step: u64) -> Result<Codebook, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let config = &self.settings.codec.levels[self.level];
        let per_step = fit.batch * fit.crop / config.hop();
        let device = &**state.parameters.device();
        let tape = Tape::forward_only(device);
        let encoder = layer::load(&self.encoder, &state.parameters.leaves(&tape))?;
        let (dim, kmeans) = (self.settings.codec.dim, self.settings.kmeans);
        let batches = (config.codewords * VECTORS_PER_CODEWORD).div_ceil(per_step);
        let parts = Codebook::parts(batches * per_step, dim, config.codewords, kmeans);
        let making = |done: usize| self.excerpts.clips.making(self.level, done as u64, (batches + parts) as u64);
        let mut vectors = Vec::new();
        for i in 0..batches {
            if !making(i) {
                return Err(TrainingError::Stopped(step));
            }
            for x in self.batch("codebook", step + i as u64)?.chunks(fit.micro_batch * fit.crop) {
                let x = Value::constant(device.activation(x, [x.len() / fit.crop, 1, fit.crop]));
                let z = layer::forward(&tape, &encoder, x, 1).into_tensor();
                let [_, dim, time] = z.shape();
                vectors.extend(turned(&device.floats(&z), dim, time));
            }
        }
        let mut random = Random::new(&self.seed, &format!("codebook {}", self.level), step);
        let making = |part: usize| making(batches + part);
        let book = Codebook::from_data(&vectors, dim, (config.codewords, kmeans), per_step, &mut random, &making);
        book.ok_or(TrainingError::Stopped(step))
    }

    /// Puts the level's tensors into `arrays`.
    pub(crate) fn finish(&self, state: LevelState, arrays: &mut Arrays) -> Result<(), TrainingError> {
        let book = match state.codebook {
            Some(book) => book,
            // Training that ended within the unquantised start.
            None => self.codebook(&state, state.step)?,
        };
        let shape = vec![book.counts.len(), book.dim];
        arrays.extend(state.parameters.values());
        arrays.insert(layer::codebook_name(self.level), Array { shape, data: book.centres });
        Ok(())
    }
}
