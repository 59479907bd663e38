//! One training step of a prior, and its score.
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use rayon::prelude::*;

use super::config::PriorConfig;
use super::network::{CODES, GENRES, Network, UPPER};
use super::window::Windows;
use crate::model::infer::values;
use crate::model::weights::{Arrays, WeightsError};

type Engine = burn::backend::Autodiff<Flex>;

/// Positions whose logits are summed side by side.
const STRIP: usize = 16;

/// Nats that the codes of a batch take, and the gradient of their mean.
pub(crate) struct Surprise {
    /// Summed over the positions that count.
    pub(crate) nats: f64,
    /// How many count.
    pub(crate) codes: u64,
    /// With respect to the logits `[windows, codewords, context]`, where asked for.
    pub(crate) gradient: Vec<f32>,
}

/// The cross-entropy of logits `[windows, codewords, context]` and the codes of the windows.
pub(crate) fn surprise(logits: Vec<f32>, windows: &Windows, context: usize, gradient: bool) -> Surprise {
    let items = windows.genres.len();
    let size = logits.len() / items.max(1);
    let codes: u64 = windows.live.iter().map(|(from, to)| (to - from) as u64).sum();
    let share = 1.0 / codes.max(1) as f32;
    let mut logits = logits;
    let nats: Vec<f64> = logits
        .par_chunks_mut(size.max(1))
        .zip(windows.codes.par_chunks(context).zip(&windows.live))
        .map(|(item, (codes, live))| {
            (0..context).step_by(STRIP).map(|first| strip(item, codes, *live, context, first, share)).sum()
        })
        .collect();
    Surprise { nats: nats.iter().sum(), codes, gradient: if gradient { logits } else { Vec::new() } }
}

/// One strip of positions of one item: its logits become the gradient; returns the nats of those that count.
fn strip(item: &mut [f32], codes: &[u16], live: (usize, usize), context: usize, first: usize, share: f32) -> f64 {
    let n = STRIP.min(context - first);
    let mut most = [f32::NEG_INFINITY; STRIP];
    for row in item.chunks_exact(context) {
        for (m, v) in most[..n].iter_mut().zip(&row[first..first + n]) {
            *m = if *v > *m { *v } else { *m };
        }
    }
    let mut own = [0.0f32; STRIP];
    for at in 0..n {
        own[at] = item[usize::from(codes[first + at]) * context + first + at] - most[at];
    }
    let mut sums = [0.0f32; STRIP];
    for row in item.chunks_exact_mut(context) {
        for ((v, m), s) in row[first..first + n].iter_mut().zip(&most).zip(&mut sums) {
            *v = libm::expf(*v - m);
            *s += *v;
        }
    }
    let mut scale = [0.0f32; STRIP];
    let mut nats = 0.0;
    for at in 0..n {
        if (live.0..live.1).contains(&(first + at)) {
            nats += f64::from(libm::logf(sums[at])) - f64::from(own[at]);
            scale[at] = share / sums[at];
        }
    }
    for row in item.chunks_exact_mut(context) {
        for (v, s) in row[first..first + n].iter_mut().zip(&scale) {
            *v *= s;
        }
    }
    for at in (0..n).filter(|at| (live.0..live.1).contains(&(first + at))) {
        item[usize::from(codes[first + at]) * context + first + at] -= share;
    }
    nats
}

fn input<B: kernels::Kernels>(data: Vec<f32>, items: usize, width: usize) -> Tensor<B, 3> {
    let positions = data.len() / (items * width);
    Tensor::from_data(TensorData::new(data, [items, width, positions]), &Default::default())
}

/// Nats of a batch of windows, without gradients.
pub(crate) fn score(
    config: &PriorConfig,
    network: &Network<Flex>,
    arrays: &Arrays,
    windows: &Windows,
) -> Result<Surprise, WeightsError> {
    let items = windows.genres.len();
    let mut x = input::<Flex>(windows.embed(config, arrays), items, config.width);
    if config.upper.is_some() {
        x = x + network.condition(input(windows.embed_upper(config, arrays), items, config.width), config)?;
    }
    Ok(surprise(values(network.logits(x, config)?), windows, config.context, false))
}

/// Nats of a batch of windows, and the gradients of their mean in the order of the arrays' names.
pub(crate) fn gradients(
    config: &PriorConfig,
    arrays: &Arrays,
    windows: &Windows,
) -> Result<(Surprise, Vec<Vec<f32>>), WeightsError> {
    let items = windows.genres.len();
    let network = Network::<Engine>::load(arrays, &Default::default()).track();
    let codes = input::<Engine>(windows.embed(config, arrays), items, config.width).require_grad();
    let upper = config
        .upper
        .as_ref()
        .map(|_| input::<Engine>(windows.embed_upper(config, arrays), items, config.width).require_grad());
    let x = match &upper {
        Some(upper) => codes.clone() + network.condition(upper.clone(), config)?,
        None => codes.clone(),
    };
    let logits = network.logits(x, config)?;
    let mut surprise = surprise(values(logits.clone().inner()), windows, config.context, true);
    let towards = input::<Flex>(std::mem::take(&mut surprise.gradient), items, config.vocabulary());
    let back = (logits * Tensor::from_inner(towards)).sum().backward();
    let mut named = network.gradients(&back);
    let mut of_codes = vec![0.0; arrays[CODES].data.len()];
    let mut of_genres = vec![0.0; arrays[GENRES].data.len()];
    if let Some(gradient) = codes.grad(&back) {
        windows.scatter(config, &values::<Flex, 3>(gradient), &mut of_codes, &mut of_genres);
    }
    named.extend([(CODES.to_owned(), of_codes), (GENRES.to_owned(), of_genres)]);
    if let Some(upper) = upper {
        let mut table = vec![0.0; arrays[UPPER].data.len()];
        if let Some(gradient) = upper.grad(&back) {
            windows.scatter_upper(config, &values::<Flex, 3>(gradient), &mut table);
        }
        named.insert(UPPER.to_owned(), table);
    }
    Ok((surprise, named.into_values().collect()))
}
