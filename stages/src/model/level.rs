//! One level in training: its state and its step.
use std::ops::Range;
use std::sync::Arc;

use kernels::device::Device;
use kernels::ops::adam::Adam;
use kernels::ops::add::add;
use kernels::ops::norm::norm;
use kernels::tape::{LossScale, Tape, Value};
use kernels::tensor::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::codebook::{Codebook, Rule};
use super::device::Precision;
use super::excerpts::Excerpts;
use super::fit::{FitSettings, StepRecord};
use super::layer::{self, Layer};
use super::loss::{Bandwidth, Loss, Mix, Spectral};
use super::oscillators::{Distance, Instrument, distance, principal};
use super::quantise::{nearest, turned};
use super::random::Random;
use super::training::{
    TrainingError,
    crew::{Crew, Team},
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
    ///
    /// # Errors
    /// Excerpts that cannot be read, where the start is made of them.
    pub(crate) fn new(
        device: &Arc<dyn Device>,
        settings: &FitSettings,
        (level, instrument): (usize, Option<&Instrument>),
        seed: &[u8; 32],
        excerpts: &Excerpts<'_>,
    ) -> Result<Self, TrainingError> {
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
        if let Some(instrument) = instrument {
            linear(settings, (level, instrument), seed, excerpts, &mut start)?;
        }
        let scale = LossScale::of(settings.precision.dtype());
        Ok(Self { step: 0, parameters: Parameters::new(device.clone(), &start), codebook: None, scale })
    }
}

/// Excerpts of which the principal components are found.
const PRINCIPAL: usize = 64;

/// Encoder and decoder of a level that plays an instrument begin as the principal components of what it hears, and the
/// networks beside them at zero: what comes out is right from the first step, but for its detail.
fn linear(
    settings: &FitSettings,
    (level, instrument): (usize, &Instrument),
    seed: &[u8; 32],
    excerpts: &Excerpts<'_>,
    start: &mut Arrays,
) -> Result<(), TrainingError> {
    let (dim, fit) = (settings.codec.dim, &settings.levels[level]);
    let (_, channels) = settings.codec.grain(level);
    let purpose = format!("principal {level}");
    let batch = excerpts.batch(seed, &purpose, 0, 0..PRINCIPAL, (fit.crop, Instrument::AROUND))?;
    let heard = batch.par_chunks_exact(fit.crop + 2 * Instrument::AROUND).map(|x| instrument.listen(x));
    let heard: Vec<Vec<f32>> = heard.collect();
    let rows: Vec<f32> = heard.iter().flat_map(|x| turned(x, channels, x.len() / channels)).collect();
    let (mean, mut basis) = principal(&rows, channels, dim, &mut Random::new(seed, &purpose, 1));
    basis.resize(dim * channels, 0.0);
    let centre = basis.chunks_exact(channels).map(|row| -row.iter().zip(&mean).map(|(b, m)| b * m).sum::<f32>());
    let mut put = |name: String, data: Vec<f32>| {
        if let Some(array) = start.get_mut(&name) {
            array.data = data;
        }
    };
    put(format!("encoders.{level}.linear.bias"), centre.collect());
    put(format!("decoders.{level}.linear.weight"), turned(&basis, dim, channels));
    put(format!("encoders.{level}.linear.weight"), basis);
    put(format!("decoders.{level}.linear.bias"), mean);
    for (part, outputs) in [("encoders", dim), ("decoders", channels)] {
        let inputs = settings.codec.levels[level].width;
        put(format!("{part}.{level}.proj_out.weight"), vec![0.0; outputs * inputs * 3]);
        put(format!("{part}.{level}.proj_out.bias"), vec![0.0; outputs]);
    }
    Ok(())
}

/// What a part of a batch tells beside its gradients.
#[derive(Default, Serialize, Deserialize)]
struct Part {
    reconstruction: f64,
    spectral: f64,
    log_spectral: f64,
    /// The latents that were quantised, `[latents, dim]`.
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
    team: Team<'a>,
    seed: [u8; 32],
    excerpts: &'a Excerpts<'a>,
    spectral: &'a Spectral,
    bandwidth: Bandwidth,
    instrument: Option<Instrument>,
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        settings: &'a FitSettings,
        (level, segments, instrument): (usize, usize, Option<Instrument>),
        crew: &'a dyn Crew,
        seed: [u8; 32],
        excerpts: &'a Excerpts<'a>,
        spectral: &'a Spectral,
        bandwidth: Bandwidth,
    ) -> Self {
        Self {
            settings,
            level,
            segments,
            team: Team::new(crew, level),
            seed,
            excerpts,
            spectral,
            bandwidth,
            instrument,
            encoder: layer::encoder(&settings.codec, level),
            decoder: layer::decoder(&settings.codec, level),
        }
    }

    /// Some excerpts of a batch as the network takes them, `[items, channels, positions]`.
    fn batch(&self, purpose: &str, counter: u64, items: Range<usize>) -> Result<Vec<f32>, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let purpose = format!("{purpose} {}", self.level);
        let around = self.instrument.as_ref().map_or(0, |_| Instrument::AROUND);
        let batch = self.excerpts.batch(&self.seed, &purpose, counter, items, (fit.crop, around))?;
        let Some(instrument) = &self.instrument else {
            return Ok(batch);
        };
        let heard = batch.par_chunks_exact(fit.crop + 2 * around).map(|x| instrument.listen(x));
        Ok(heard.collect::<Vec<_>>().concat())
    }

    /// Positions of an excerpt, and the channels of each.
    fn extents(&self) -> [usize; 2] {
        let (frames, channels) = self.settings.codec.grain(self.level);
        [channels, self.settings.levels[self.level].crop / frames]
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
        let own = self.team.own(fit.batch.div_ceil(fit.micro_batch));
        let items = own.start * fit.micro_batch..(own.end * fit.micro_batch).min(fit.batch);
        let x = self.batch("batch", step, items)?;
        let mut record = StepRecord {
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
        let (parts, factor, gradients) = loop {
            let (mut tree, mut parts) = (Tree::from(own.start), Vec::with_capacity(own.len()));
            let device = &**state.parameters.device();
            for x in x.chunks(fit.micro_batch * self.extents().iter().product::<usize>()) {
                let (gradients, part) = self.gradients(state, x, unquantised)?;
                tree.add(device, gradients);
                parts.push(part);
            }
            let (gradients, parts) = self.team.meet(step, device, tree, parts)?;
            let factor = state.scale.factor();
            // Only a scale that moves asks for the norm.
            if self.settings.precision != Precision::F16 || state.scale.accepts(norm(device, gradients.values())) {
                break (parts, factor, gradients);
            }
            // The same step again with half of the scale.
            if state.scale.factor() == factor {
                return diverged();
            }
        };
        let (mut vectors, mut codes, mut away) = (Vec::new(), Vec::new(), 0.0);
        for part in parts {
            record.reconstruction += part.reconstruction;
            record.spectral += part.spectral;
            record.log_spectral += part.log_spectral;
            vectors.extend(part.vectors);
            codes.extend(part.codes);
            away += part.away;
        }
        if let Some(book) = state.codebook.as_mut().filter(|_| !unquantised) {
            record.commitment = away / (fit.batch * fit.crop / self.hop() * self.settings.codec.dim) as f64;
            let rule = Rule { decay: self.settings.ema_decay, revival: self.settings.revival };
            let mut random = Random::new(&self.seed, &format!("revival {}", self.level), step);
            let usage = book.update(&vectors, &codes, rule, &mut random);
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

    /// The gradients of some excerpts of a batch and their losses, as their share of the batch's, and their latents.
    fn gradients(&self, state: &LevelState, x: &[f32], unquantised: bool) -> Result<(Gradients, Part), TrainingError> {
        let fit = &self.settings.levels[self.level];
        let device = &**state.parameters.device();
        let [channels, positions] = self.extents();
        let extents = [x.len() / (channels * positions), channels, positions];
        // Two tapes: the decoder starts from a leaf of its own, whose gradient is handed to the encoder. That is the
        // straight-through estimator.
        let (first, second) = (Tape::recording(device), Tape::recording(device));
        let input = Value::constant(device.activation(x, extents));
        let of_encoder = state.parameters.leaves(&first);
        let z = layer::forward(&first, &layer::load(&self.encoder, &of_encoder)?, input, self.segments);
        let book = state.codebook.as_ref().filter(|_| !unquantised);
        let mut part = Part::default();
        let (quantised, commit) = match book {
            Some(book) => {
                let (quantised, commit) = self.quantise(state, book, z.tensor(), &mut part);
                (quantised, Some(commit))
            }
            None => (z.tensor().clone(), None),
        };
        let leaf = second.leaf(quantised);
        let of_decoder = state.parameters.leaves(&second);
        let y = layer::forward(&second, &layer::load(&self.decoder, &of_decoder)?, leaf.clone(), self.segments);
        let out = device.floats(y.tensor());
        let mut loss = match self.instrument {
            None => {
                let mix = Mix { spectral: fit.spectral, log_spectral: fit.log_spectral };
                // Each channel is a sound of its own.
                self.spectral.loss([x, &out], fit.crop, fit.batch * channels, mix, self.bandwidth)
            }
            Some(_) => {
                let Distance { smooth, nats, gradient } = distance([x, &out], fit.batch * channels * positions);
                Loss { reconstruction: smooth, spectral: 0.0, log_spectral: nats, gradient }
            }
        };
        let scale = state.scale.factor();
        if scale != 1.0 {
            loss.gradient.iter_mut().for_each(|g| *g *= scale);
        }
        (part.reconstruction, part.spectral, part.log_spectral) =
            (loss.reconstruction, loss.spectral, loss.log_spectral);
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
        Ok((gradients, part))
    }

    /// The codewords of latents z `[items, dim, time]`, which the decoder is given, and the gradient of the commitment loss.
    fn quantise(&self, state: &LevelState, book: &Codebook, z: &Tensor, part: &mut Part) -> (Tensor, Tensor) {
        let device = &**state.parameters.device();
        let shape @ [items, dim, time] = z.shape();
        let vectors = turned(&device.floats(z), dim, time);
        let codes = nearest(&vectors, &book.centres, dim);
        let mut quantised = vectors.clone();
        for (q, code) in quantised.chunks_exact_mut(dim).zip(&codes) {
            q.copy_from_slice(&book.centres[*code as usize * dim..][..dim]);
        }
        let mut away: Vec<f32> = vectors.iter().zip(&quantised).map(|(z, q)| z - q).collect();
        part.away = away.iter().map(|d| f64::from(*d) * f64::from(*d)).sum::<f64>();
        let all = self.settings.levels[self.level].batch * (away.len() / items);
        let weight = (2.0 * self.settings.commitment / all as f64) as f32 * state.scale.factor();
        away.iter_mut().for_each(|d| *d *= weight);
        (part.vectors, part.codes) = (vectors, codes);
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
            let [channels, positions] = self.extents();
            let each = channels * positions;
            for x in self.batch("codebook", step + i as u64, 0..fit.batch)?.chunks(fit.micro_batch * each) {
                let x = Value::constant(device.activation(x, [x.len() / each, channels, positions]));
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
