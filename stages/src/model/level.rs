//! One level in training: its state and its step.
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use kernels::Kernels;

use super::batch::Excerpts;
use super::codec::CodecConfig;
use super::ema::{Codebook, Rule};
use super::fit::{FitSettings, StepRecord};
use super::infer::values;
use super::layer::{self, Layer, Loaded};
use super::loss::{Bandwidth, Mix, Spectral};
use super::quantise::{nearest, rows};
use super::random::Random;
use super::training::{TrainingError, adam::Adam};
use super::weights::{Array, Arrays};

/// The engine of training.
type Engine = burn::backend::Autodiff<Flex>;
type Device = <Engine as burn::tensor::backend::BackendTypes>::Device;

/// Batches over which the codebook is made from the data, at least so many vectors for each codeword.
pub(super) const VECTORS_PER_CODEWORD: usize = 8;

/// All that changes while a level is trained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LevelState {
    /// Steps made.
    pub(crate) step: u64,
    pub(crate) parameters: Arrays,
    pub(crate) adam: Adam,
    /// `None` until the unquantised start is over.
    pub(crate) codebook: Option<Codebook>,
}

impl LevelState {
    /// Weights and biases uniform within 1 / sqrt(inputs per output) (He et al. 2015 with PyTorch's gain).
    pub(crate) fn new(config: &CodecConfig, level: usize, seed: &[u8; 32]) -> Self {
        let mut parameters = Arrays::new();
        for layer in config.encoder(level).iter().chain(&config.decoder(level)) {
            for (name, shape, fan) in layer.tensors() {
                let mut random = Random::new(seed, &format!("weights {name}"), 0);
                let bound = 1.0 / (fan as f64).sqrt();
                let n: usize = shape.iter().product();
                let data = (0..n).map(|_| ((2.0 * random.uniform() - 1.0) * bound) as f32).collect();
                parameters.insert(name, Array { shape, data });
            }
        }
        Self { step: 0, adam: Adam::new(&parameters), parameters, codebook: None }
    }
}

/// What stays the same while a level is trained.
pub(crate) struct Trainer<'a> {
    settings: &'a FitSettings,
    level: usize,
    seed: [u8; 32],
    excerpts: &'a Excerpts<'a>,
    spectral: &'a Spectral,
    bandwidth: Bandwidth,
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    device: Device,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        settings: &'a FitSettings,
        level: usize,
        seed: [u8; 32],
        excerpts: &'a Excerpts<'a>,
        spectral: &'a Spectral,
        bandwidth: Bandwidth,
    ) -> Self {
        Self {
            settings,
            level,
            seed,
            excerpts,
            spectral,
            bandwidth,
            encoder: settings.codec.encoder(level),
            decoder: settings.codec.decoder(level),
            device: Device::default(),
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

    /// Makes one step.
    pub(crate) fn step(&self, state: &mut LevelState) -> Result<StepRecord, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let step = state.step;
        let unquantised = step < self.unquantised();
        if !unquantised && state.codebook.is_none() {
            state.codebook = Some(self.codebook(state, step)?);
        }
        let x = self.batch("batch", step)?;
        let input = Tensor::from_data(TensorData::new(x.clone(), [fit.batch, 1, fit.crop]), &self.device);
        let encoder = track(layer::load::<Engine>(&self.encoder, &state.parameters, &self.device)?);
        let decoder = track(layer::load::<Engine>(&self.decoder, &state.parameters, &self.device)?);
        let z = layer::forward(&encoder, input);
        let shape = z.dims();

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
        // The decoder starts from a leaf of its own, whose gradient is handed to the encoder: that is the straight-through
        // estimator, and lets losses and quantisation be computed outside of the graph.
        let plain = z.clone().inner();
        let mut commit = None;
        let leaf = match &mut state.codebook {
            Some(book) if !unquantised => {
                let vectors = rows(plain);
                let codes = nearest(&vectors, &book.centres, book.dim);
                let mut quantised = vectors.clone();
                for (q, code) in quantised.chunks_exact_mut(book.dim).zip(&codes) {
                    q.copy_from_slice(&book.centres[*code as usize * book.dim..][..book.dim]);
                }
                let away: Vec<f32> = vectors.iter().zip(&quantised).map(|(z, q)| z - q).collect();
                record.commitment = away.iter().map(|d| f64::from(*d) * f64::from(*d)).sum::<f64>() / away.len() as f64;
                let weight = (2.0 * self.settings.commitment / away.len() as f64) as f32;
                let rule = Rule { decay: self.settings.ema_decay, revival: self.settings.revival };
                let mut random = Random::new(&self.seed, &format!("revival {}", self.level), step);
                let usage = book.update(&vectors, &codes, rule, &mut random);
                record.perplexity = usage.perplexity;
                record.used = usage.used;
                record.revived = usage.revived;
                commit = Some(from_rows(away, shape, &self.device).mul_scalar(weight));
                from_rows(quantised, shape, &self.device)
            }
            _ => plain,
        };
        let leaf = Tensor::<Engine, 3>::from_inner(leaf).require_grad();
        let y = layer::forward(&decoder, leaf.clone());
        let out = values(y.clone().inner());
        let mix = Mix { spectral: fit.spectral, log_spectral: fit.log_spectral };
        let loss = self.spectral.loss(&x, &out, fit.crop, mix, self.bandwidth);
        record.reconstruction = loss.reconstruction;
        record.spectral = loss.spectral;
        record.log_spectral = loss.log_spectral;
        if !(loss.reconstruction + loss.spectral + loss.log_spectral + record.commitment).is_finite() {
            return Err(TrainingError::Diverged { what: format!("level {}", self.level), step });
        }
        let back =
            backward(y, Tensor::from_data(TensorData::new(loss.gradient, [fit.batch, 1, fit.crop]), &self.device));
        let mut towards = leaf.grad(&back).unwrap_or_else(|| Tensor::zeros(shape, &self.device));
        if let Some(commit) = commit {
            towards = towards + commit;
        }
        let mut gradients = Vec::new();
        collect(&self.decoder, &decoder, &back, &mut gradients);
        collect(&self.encoder, &encoder, &backward(z, towards), &mut gradients);
        gradients.sort_by(|a, b| a.0.cmp(&b.0));
        let gradients: Vec<Vec<f32>> = gradients.into_iter().map(|(_, g)| g).collect();
        let rate = self.settings.rate().at(step, fit.steps);
        state.adam.update(&mut state.parameters, &gradients, rate, 0.0, step + 1);
        state.step += 1;
        Ok(record)
    }

    /// A codebook from the latents of several batches.
    fn codebook(&self, state: &LevelState, step: u64) -> Result<Codebook, TrainingError> {
        let fit = &self.settings.levels[self.level];
        let config = &self.settings.codec.levels[self.level];
        let per_step = fit.batch * fit.crop / config.hop();
        let encoder = layer::load::<Flex>(&self.encoder, &state.parameters, &self.device)?;
        let mut vectors = Vec::new();
        for i in 0..(config.codewords * VECTORS_PER_CODEWORD).div_ceil(per_step) {
            let x = self.batch("codebook", step + i as u64)?;
            let x = Tensor::from_data(TensorData::new(x, [fit.batch, 1, fit.crop]), &self.device);
            vectors.extend(rows(layer::forward(&encoder, x)));
        }
        let mut random = Random::new(&self.seed, &format!("codebook {}", self.level), step);
        let (dim, kmeans) = (self.settings.codec.dim, self.settings.kmeans);
        Ok(Codebook::from_data(&vectors, dim, config.codewords, kmeans, per_step, &mut random))
    }

    /// Puts the level's tensors into `arrays`.
    pub(crate) fn finish(&self, state: LevelState, arrays: &mut Arrays) -> Result<(), TrainingError> {
        let book = match state.codebook {
            Some(book) => book,
            // Training that ended within the unquantised start.
            None => self.codebook(&state, state.step)?,
        };
        let shape = vec![book.counts.len(), book.dim];
        arrays.extend(state.parameters);
        arrays.insert(layer::codebook_name(self.level), Array { shape, data: book.centres });
        Ok(())
    }
}

/// The layers with gradients wanted.
fn track(layers: Vec<Loaded<Engine>>) -> Vec<Loaded<Engine>> {
    let affine =
        |a: layer::Affine<Engine>| layer::Affine { weight: a.weight.require_grad(), bias: a.bias.require_grad() };
    layers.into_iter().map(|l| Loaded { kind: l.kind, first: affine(l.first), second: l.second.map(affine) }).collect()
}

/// The gradients of everything behind `y`, given that of `y`.
fn backward<B: AutodiffBackend>(y: Tensor<B, 3>, gradient: Tensor<B::InnerBackend, 3>) -> B::Gradients {
    (y * Tensor::from_inner(gradient)).sum().backward()
}

/// Rows `[batch * time, dim]` as `[batch, dim, time]`.
fn from_rows(rows: Vec<f32>, [batch, dim, time]: [usize; 3], device: &Device) -> Tensor<Flex, 3> {
    Tensor::from_data(TensorData::new(rows, [batch, time, dim]), device).swap_dims(1, 2)
}

fn collect(
    layers: &[Layer],
    loaded: &[Loaded<Engine>],
    gradients: &<Engine as AutodiffBackend>::Gradients,
    out: &mut Vec<(String, Vec<f32>)>,
) {
    for (layer, loaded) in layers.iter().zip(loaded) {
        let mut names = layer.tensors().into_iter();
        for affine in [Some(&loaded.first), loaded.second.as_ref()].into_iter().flatten() {
            let pair = [gradient(&affine.weight, gradients), gradient(&affine.bias, gradients)];
            out.extend(names.by_ref().zip(pair).map(|((name, _, _), g)| (name, g)));
        }
    }
}

fn gradient<const D: usize>(x: &Tensor<Engine, D>, gradients: &<Engine as AutodiffBackend>::Gradients) -> Vec<f32> {
    match x.grad(gradients) {
        Some(g) => values::<Flex, D>(g),
        None => vec![0.0; x.shape().num_elements()],
    }
}

/// That training needs nothing of the engine but the kernels.
const _: fn() = || {
    fn check<B: Kernels>() {}
    check::<Engine>();
};
