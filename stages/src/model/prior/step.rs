//! One training step of a prior, and its score.
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use kernels::{cross_entropy, steer};

use super::config::PriorConfig;
use super::network::{CODES, GENRES, Network, UPPER};
use super::window::Windows;
use crate::model::infer::values;
use crate::model::weights::{Arrays, WeightsError};

type Engine = burn::backend::Autodiff<Flex>;

/// Nats that the codes of a batch take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surprise {
    /// Summed over the positions that count.
    pub(crate) nats: f64,
    /// How many count.
    pub(crate) codes: u64,
}

/// The surprise of the windows' codes under logits `[windows, codewords, context]`, and the gradient of their mean.
fn surprise(logits: Tensor<Flex, 3>, windows: &Windows) -> (Surprise, Tensor<Flex, 3>) {
    let shape = logits.dims();
    let mut logits = values(logits);
    let codes: u64 = windows.live.iter().map(|(from, to)| (to - from) as u64).sum();
    let share = 1.0 / codes.max(1) as f32;
    let nats = cross_entropy(&mut logits, shape[1], &windows.codes, &windows.live, share);
    (Surprise { nats, codes }, Tensor::from_data(TensorData::new(logits, shape), &Default::default()))
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
    Ok(surprise(network.logits(x, config)?, windows).0)
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
    let mut found = Surprise { nats: 0.0, codes: 0 };
    let end = steer(logits, |logits| {
        let (surprise, gradient) = surprise(logits, windows);
        found = surprise;
        gradient
    });
    let back = end.backward();
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
    Ok((found, named.into_values().collect()))
}
