//! Models of others, tried before they are used: weights that look like numbers may make a network that overflows.

use super::codec::Codec;
use super::infer::Coder;
use super::random::Random;
use super::weights::WeightsError;

/// Frames of the sound that is tried: noise at full scale, then silence.
const FRAMES: usize = 1 << 12;
/// Codes that are tried at each level.
const CODES: usize = 64;

/// A codec ready to use, which was tried on noise, on silence, and on codes of its whole codebook.
///
/// # Errors
/// A network that overflows on them.
pub fn ready(codec: &Codec) -> Result<Coder, WeightsError> {
    let overflow = |error: &dyn std::fmt::Display| WeightsError::Overflow(error.to_string());
    let coder = Coder::new(codec)?;
    let mut random = Random::new(&[0; 32], "probe", 0);
    let noise = (0..FRAMES / 2).map(|_| (2.0 * random.uniform() - 1.0) as f32);
    // Of stereo, half as many frames.
    let samples: Vec<f32> = noise.chain(std::iter::repeat_n(0.0, FRAMES / 2)).collect();
    coder.codes(&samples).map_err(|e| overflow(&e))?;
    for (level, config) in codec.config().levels.iter().enumerate() {
        let codes: Vec<u16> = (0..CODES).map(|i| (i * (config.codewords - 1) / (CODES - 1)) as u16).collect();
        coder.decode(level, &codes, &mut |_| {}).map_err(|e| overflow(&e))?;
    }
    Ok(coder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::codec::{CodecConfig, LevelConfig};
    use crate::model::infer::{DecodeError, Overflow};
    use crate::model::weights::{Array, Arrays};

    fn codec(change: impl Fn(&str) -> Option<f32>) -> Codec {
        let level = LevelConfig {
            downs: vec![2],
            strides: vec![],
            width: 4,
            depth: 2,
            dilation_growth: 3,
            codewords: 8,
            oscillators: 0,
        };
        let config = CodecConfig { rate: 8_000, channels: 1, dim: 4, levels: vec![level] };
        let mut random = Random::new(&[1; 32], "weights", 0);
        let array = |(name, shape): (String, Vec<usize>)| {
            let n: usize = shape.iter().product();
            let data = match change(&name) {
                Some(all) => vec![all; n],
                None => (0..n).map(|_| (0.2 * random.normal()) as f32).collect(),
            };
            (name, Array { shape, data })
        };
        let arrays: Arrays = crate::model::layer::shapes(&config, 0).into_iter().map(array).collect();
        Codec::new(config, arrays).expect("a codec")
    }

    #[test]
    fn a_network_that_overflows_is_refused_before_and_told_while_it_is_used() {
        assert!(ready(&codec(|_| None)).is_ok());
        let large = |part: &'static str| codec(move |name| name.starts_with(part).then_some(1e14));
        for part in ["encoders", "decoders"] {
            let codec = large(part);
            let error = ready(&codec).expect_err("refused").to_string();
            assert!(error.starts_with("the network overflows: the network of level 0 overflows"), "{error}");
            let coder = Coder::new(&codec).expect("a coder");
            let overflow = Overflow { level: 0 };
            let (codes, decoded) = (coder.codes(&[0.5; 64]), coder.decode(0, &[1; 16], &mut |_| {}));
            match part {
                "encoders" => assert_eq!(codes, Err(overflow)),
                _ => assert_eq!(decoded, Err(DecodeError::Overflow(overflow))),
            }
        }
    }

    #[test]
    fn frames_that_a_clip_only_states_take_no_memory() {
        let coder = ready(&codec(|_| None)).expect("ready");
        assert_eq!(coder.decode_samples(0, &[1; 4], u64::MAX).expect("decoded").len(), 16);
    }
}
