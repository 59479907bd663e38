//! What the training of a prior needs in memory, before it starts.
//!
//! An estimate from above, in arrays that the engine's autodiff holds at once. It is linear in the positions: attention goes
//! over its pairs tile by tile.
use super::config::PriorConfig;
use super::fit::PriorSettings;
use super::network;
use crate::model::device::Precision;
use crate::model::scale::{PARAMETER, Training};
use crate::model::training::{TrainingError, segments::held, tree};

/// Arrays of `[width, positions]` that a block holds: its input, both norms with what they keep, sums and projections.
const WIDE: u64 = 12;
/// Arrays of `[attention, positions]`: queries, keys, values, what was seen, and rearranged copies of them.
const ATTENTION: u64 = 8;
/// Arrays of `[hidden, positions]`: before and after the activation, and what it keeps.
const HIDDEN: u64 = 4;
/// Arrays of `[heads, positions]`: the logarithm of each query's sum, which is all that attention keeps of its weights.
const SUMS: u64 = 2;
/// Arrays of `[width, positions]` of a residual block of the conditioner.
const RESIDUAL: u64 = 6;
/// Arrays of `[codewords, positions]`: logits, their gradient and copies of both.
const LOGITS: u64 = 5;
/// Arrays of the widest layer's size that are in 32 bits at once where activations have 16.
const WIDENED: u64 = 3;
/// Floats for each weight: value, tensor, gradient, two moments, and a checkpoint with its bytes.
const WEIGHT: u64 = 11;

/// An estimate of the bytes that training needs at its peak, its blocks in so many segments.
pub fn cost(settings: &PriorSettings, segments: usize) -> u64 {
    let config = &settings.config;
    // What is wider for a while on a CPU: what a kernel reads and writes.
    let wide = match settings.precision {
        Precision::F32 => 0,
        _ => positions(settings) * 4 * WIDENED * config.hidden.max(config.vocabulary()) as u64,
    };
    activations(settings, segments) + wide + 4 * (WEIGHT + nodes(settings)) * weights(config)
}

/// Positions that are computed at a time.
fn positions(settings: &PriorSettings) -> u64 {
    settings.micro_batch as u64 * settings.config.context as u64
}

/// Gradients of parts of a batch that wait for others.
fn nodes(settings: &PriorSettings) -> u64 {
    tree::nodes(settings.batch.div_ceil(settings.micro_batch.max(1)))
}

/// Bytes of activations and their gradients.
fn activations(settings: &PriorSettings, segments: usize) -> u64 {
    let config = &settings.config;
    let of = |n: usize| n as u64;
    let block = WIDE * of(config.width)
        + ATTENTION * of(config.attention)
        + HIDDEN * of(config.hidden)
        + SUMS * of(config.heads);
    let mut floats = held(&vec![(block, of(config.width)); config.depth], segments) + LOGITS * of(config.vocabulary());
    if let Some(upper) = &config.upper {
        // Each doubling works at twice the rate of the one before it: together, less than twice the last.
        floats += 2 * (of(upper.depth) * RESIDUAL + 4) * of(config.width);
    }
    positions(settings) * settings.precision.bytes() * floats
}

/// The size of the training.
pub fn training(settings: &PriorSettings) -> Training {
    let (config, of) = (&settings.config, |n: usize| n as f64);
    let (width, codes) = (of(config.width), of(settings.batch) * of(config.context));
    // Of a position: products with weights, then queries by keys, by distances, and weights by values, over half a context.
    let block = 2.0 * (4.0 * width * of(config.attention) + 2.0 * width * of(config.hidden))
        + 3.0 * of(config.attention) * of(config.context);
    let mut each = of(config.depth) * block + 2.0 * width * of(config.vocabulary());
    if let Some(upper) = &config.upper {
        let doublings = upper.ratio.ilog2();
        // Three taps for the first layer; three and one for a block; four for a doubling, at the rate before it.
        let at = |doubling: u32| of(1 << doubling) / of(upper.ratio);
        each += 6.0 * width * width * at(0);
        each += (0..doublings).map(|d| at(d) * 2.0 * width * width * (4.0 * of(upper.depth) + 4.0)).sum::<f64>();
    }
    let bytes = |segments| activations(settings, segments) + (PARAMETER + 4 * nodes(settings)) * weights(config);
    Training {
        part: String::new(),
        parameters: weights(config),
        steps: settings.steps,
        half: settings.precision != Precision::F32,
        forward: codes * each,
        on_card: (1..=config.depth.max(1)).map(bytes).collect(),
    }
}

/// The fewest segments with which training needs at most `limit` bytes; none where no number of them does.
pub fn fewest(settings: &PriorSettings, limit: u64) -> Option<usize> {
    (1..=settings.config.depth.max(1)).find(|segments| cost(settings, *segments) <= limit)
}

/// Weights of a prior.
fn weights(config: &PriorConfig) -> u64 {
    network::tensors(config).iter().map(|tensor| tensor.shape.iter().map(|n| *n as u64).product::<u64>()).sum()
}

/// Bytes that scoring takes of so many windows at a time: without gradients, one block after the other.
pub fn scoring(config: &PriorConfig, windows: usize) -> u64 {
    let of = |n: usize| n as u64;
    let block = WIDE * of(config.width) + ATTENTION * of(config.attention) + HIDDEN * of(config.hidden);
    let upper = config.upper.as_ref().map_or(0, |_| 2 * RESIDUAL * of(config.width));
    let positions = of(windows) * of(config.context);
    4 * (positions * (block + upper + LOGITS * of(config.vocabulary())) + 3 * weights(config))
}

/// Bytes of a prior that samples: its file, its arrays, the same laid out for single positions, its conditioner's tensors,
/// and what attention adds for each distance.
pub fn loaded(config: &PriorConfig) -> u64 {
    let tables = config.depth * config.attention * (config.context + 64);
    4 * (4 * weights(config) + tables as u64)
}

/// Bytes of the keys and values of one song.
pub fn cache(config: &PriorConfig) -> u64 {
    let (channels, positions) = (config.attention + 64, config.context + 64);
    4 * (config.depth * 2 * channels * positions) as u64
}

/// The segments of a training that needs at most `limit` bytes: as many as asked for, or the fewest.
///
/// # Errors
/// [`TrainingError::Memory`], which says what would fit.
pub fn check(settings: &PriorSettings, asked: Option<usize>, limit: u64) -> Result<usize, TrainingError> {
    let fitting = |settings: &PriorSettings| match asked {
        Some(segments) => (cost(settings, segments) <= limit).then_some(segments),
        None => fewest(settings, limit),
    };
    if let Some(segments) = fitting(settings) {
        return Ok(segments);
    }
    let needed = cost(settings, asked.unwrap_or(settings.config.depth.max(1)));
    let refused = |remedy: String| Err(TrainingError::Memory { needed, limit, remedy });
    if fewest(settings, limit).is_some() {
        return refused("`segments = \"auto\"` would fit".to_owned());
    }
    let mut smaller = settings.clone();
    let ratio = smaller.config.upper.as_ref().map_or(1, |upper| upper.ratio);
    while fitting(&smaller).is_none() {
        if smaller.micro_batch > 1 {
            smaller.micro_batch /= 2;
        } else if smaller.config.context / 2 >= 64.max(ratio) {
            smaller.config.context = (smaller.config.context / 2).next_multiple_of(ratio);
        } else {
            return refused(
                "neither fewer windows at a time nor a shorter context fits: the network has to be narrower or less deep"
                    .to_owned(),
            );
        }
    }
    let micro = format!("`micro_batch = {}`", smaller.micro_batch);
    refused(match smaller.config.context == settings.config.context {
        true => format!("{micro} would fit"),
        false => format!("{micro} with `context = {}` would fit", smaller.config.context),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::prior::config::{PriorConfig, Upper};

    fn settings(batch: usize, context: usize, width: usize) -> PriorSettings {
        PriorSettings {
            corruption: 0.0,
            config: PriorConfig {
                level: 0,
                width,
                depth: 8,
                heads: 8,
                attention: width,
                hidden: 4 * width,
                context,
                distances: context,
                positions: 0,
                upper: Some(Upper { codewords: 2048, ratio: 4, depth: 4 }),
                genres: Vec::new(),
                codec: String::new(),
                rate: 44_100,
                hops: vec![8, 32],
                codewords: vec![2048, 2048],
            },
            steps: 1,
            batch,
            micro_batch: batch,
            precision: Precision::F32,
            learning_rate: 1e-3,
            warmup: 0,
            final_rate: 0.1,
            weight_decay: 0.0,
            clip: 1.0,
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_what_would() {
        let asked = settings(16, 1024, 512);
        let whole = cost(&asked, 1);
        assert_eq!(check(&asked, Some(1), whole).expect("fits"), 1);
        let remedy = |settings: &PriorSettings, segments, limit| match check(settings, segments, limit) {
            Err(TrainingError::Memory { needed, limit: told, remedy }) => {
                assert!(needed > limit && told == limit);
                remedy
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(remedy(&asked, Some(1), whole - 1), "`segments = \"auto\"` would fit");
        // Of the segments that fit, the fewest; and none that is one too few.
        let two = cost(&asked, 2);
        assert!(two < whole && cost(&asked, 8) < two);
        assert_eq!(
            [whole, whole - 1, two, two - 1].map(|limit| check(&asked, None, limit).expect("fits")),
            [1, 2, 2, 3]
        );
        let least = cost(&asked, 8);
        assert_eq!(remedy(&asked, None, least - 1), "`micro_batch = 8` would fit");
        let one = cost(&settings(1, 1024, 512), 8);
        let alone = |context| PriorSettings { micro_batch: 1, ..settings(16, context, 512) };
        assert!(one < cost(&alone(1024), 8), "gradients of the parts before");
        let said = remedy(&settings(1, 1024, 512), None, one - 1);
        assert_eq!(said, "`micro_batch = 1` with `context = 512` would fit");
        assert!(cost(&settings(1, 512, 512), 8) < one);
        assert!(remedy(&settings(1, 64, 8192), None, 1 << 20).contains("narrower or less deep"));
        // As many positions in fewer windows need little more: their table of distances is longer.
        let (long, short) = (cost(&settings(8, 2048, 512), 1), cost(&settings(16, 1024, 512), 1));
        assert!((short..short * 11 / 10).contains(&long), "{long} and {short}");
    }
}
