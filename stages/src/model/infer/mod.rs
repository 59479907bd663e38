//! Encoding and decoding of clips of any length, in bounded memory, with one result.
//!
//! A clip passes through the layers in tiles of one length. Every layer keeps the end of what it has seen (its context),
//! so that each tile is computed once, without overlap; what a layer puts out lags behind what it takes in by the reach of
//! its taps. Positions outside the clip are set to zero after every layer, which is the zero padding of a network that
//! takes the whole clip at once. Tiles are laid from the clip's first frame and all have the same shape: the codes of a
//! clip do not depend on what is encoded beside it, on how it is read, or on the number of threads.
mod chain;

use std::ops::Range;
use std::sync::Arc;

use kernels::device::Device;

use super::codec::Codec;
use super::device::{Precision, device};
use super::layer;
use super::leaves::Leaves;
use super::oscillators::Instrument;
use super::quantise::{nearest, turned};
use super::weights::{WeightsError, within};
use chain::Chain;

/// Frames of audio in a tile, where the hop allows it.
const TILE: usize = 1 << 14;

/// Codes of a tile of a level that plays an instrument.
pub(super) const PLAYED: usize = 64;

/// Codes of a tile of a level that works on samples.
pub(super) fn codes(hop: usize) -> usize {
    (TILE / hop).max(8)
}

/// Codes that a codec cannot decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The codec has no such level.
    #[error("level {level} of a codec with {levels} levels")]
    Level {
        /// The level asked for.
        level: usize,
        /// The levels there are.
        levels: usize,
    },
    /// There is no room for what comes of the codes.
    #[error("no memory for {frames} samples")]
    Memory {
        /// Samples that the codes stand for.
        frames: usize,
    },
    /// A code has no codeword.
    #[error("code {code} at position {at}, but level {level} has {codewords} codewords")]
    Code {
        /// The level.
        level: usize,
        /// The position in the sequence.
        at: usize,
        /// The code.
        code: u16,
        /// Codewords of the level.
        codewords: usize,
    },
    /// The network overflows.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// A network whose numbers left the range of 32-bit floats: what came of it means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network of level {level} overflows: it gives numbers that are not finite")]
pub struct Overflow {
    /// The level.
    pub level: usize,
}

/// Some columns of `x`, `[channels, columns]`.
fn columns(x: &[f32], channels: usize, inside: Range<usize>) -> Vec<f32> {
    x.chunks_exact(x.len() / channels).flat_map(|row| &row[inside.clone()]).copied().collect()
}

#[derive(Debug, Clone)]
struct Level {
    hop: usize,
    instrument: Option<Instrument>,
    encoder: Chain,
    decoder: Chain,
    codebook: Vec<f32>,
}

/// `[frames, channels]` as `[channels, frames]`: what is interleaved, channel by channel.
fn channel_by_channel(interleaved: Vec<f32>, channels: usize) -> Vec<f32> {
    if channels == 1 { interleaved } else { turned(&interleaved, interleaved.len() / channels, channels) }
}

/// A codec on a device, ready to encode and decode. Threads may share it.
#[derive(Debug, Clone)]
pub struct Coder {
    device: Arc<dyn Device>,
    channels: usize,
    dim: usize,
    align: u64,
    levels: Vec<Level>,
}

impl Coder {
    /// Puts the codec's tensors on a device.
    pub fn new(codec: &Codec) -> Result<Self, WeightsError> {
        let (config, device) = (codec.config(), device(Precision::F32));
        let books: Vec<String> = (0..config.levels.len()).map(layer::codebook_name).collect();
        let leaves = Leaves::constants(&*device, codec.arrays(), |name| !books.iter().any(|book| book == name));
        let levels = (0..config.levels.len())
            .map(|level| {
                let hop = config.levels[level].hop();
                let (grain, _) = config.grain(level);
                let codes = if grain == 1 { codes(hop) } else { PLAYED };
                let load = |layers: &[layer::Layer]| layer::load(layers, &leaves);
                Ok(Level {
                    hop,
                    instrument: Instrument::of(config, level),
                    encoder: Chain::new(load(&layer::encoder(config, level))?, codes * hop / grain),
                    decoder: Chain::new(load(&layer::decoder(config, level))?, codes),
                    codebook: codec.codebook(level).to_vec(),
                })
            })
            .collect::<Result<_, WeightsError>>()?;
        Ok(Self { channels: config.channels, dim: config.dim, align: config.align() as u64, device, levels })
    }

    /// Channels of what is encoded and decoded, interleaved.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Codes of each level for a clip of `frames` frames: the clip is padded with zeros to a multiple of the largest hop.
    pub fn lengths(&self, frames: u64) -> Vec<u64> {
        let padded = frames.next_multiple_of(self.align);
        self.levels.iter().map(|l| padded / l.hop as u64).collect()
    }

    /// Encodes a clip, one level after the other.
    ///
    /// `read(first, out)` fills `out` with the frames from `first` on, channels interleaved; it is called once per tile and
    /// level, in order, never beyond `frames`; a level that plays an instrument reads ahead. `put(level, codes)` takes the
    /// codes in order. Memory does not grow with the clip. Codes of a network that overflows on this clip are of no use: the
    /// inner result says so.
    pub fn encode<E>(
        &self,
        frames: u64,
        read: &mut dyn FnMut(u64, &mut [f32]) -> Result<(), E>,
        put: &mut dyn FnMut(usize, &[u16]),
    ) -> Result<Result<(), Overflow>, E> {
        for (number, level) in self.levels.iter().enumerate() {
            let mut near = true;
            let finite = self.encoded(number, frames, read, &mut |vectors| {
                // Distances to what lies farther are not finite.
                near &= within(vectors);
                let codes = nearest(vectors, &level.codebook, self.dim);
                let codes: Vec<u16> = codes.iter().map(|c| *c as u16).collect();
                put(number, &codes);
            })?;
            if !(finite && near) {
                return Ok(Err(Overflow { level: number }));
            }
        }
        Ok(Ok(()))
    }

    /// What the encoder of `level` makes of a clip, as rows of `dim`, tile by tile. `Ok(false)` if it overflows.
    fn encoded<E>(
        &self,
        level: usize,
        frames: u64,
        read: &mut dyn FnMut(u64, &mut [f32]) -> Result<(), E>,
        put: &mut dyn FnMut(&[f32]),
    ) -> Result<bool, E> {
        let Level { hop, instrument, encoder, .. } = &self.levels[level];
        let (tile, padded) = (encoder.tile, frames.next_multiple_of(self.align));
        let put = |z: Vec<f32>, inside: Range<usize>| {
            put(&turned(&columns(&z, self.dim, inside.clone()), self.dim, inside.len()))
        };
        // `length` frames from `first` on, zeros behind the clip's end.
        let mut samples = |first: u64, length: usize| -> Result<Vec<f32>, E> {
            let mut samples = vec![0.0; length * self.channels];
            let real = frames.saturating_sub(first).min(length as u64) as usize;
            if real > 0 {
                read(first, &mut samples[..real * self.channels])?;
            }
            Ok(channel_by_channel(samples, self.channels))
        };
        let Some(instrument) = instrument else {
            return encoder.run(padded, self.channels, &*self.device, |i| samples(i * tile as u64, tile), put);
        };
        // What the instrument wants before the samples that come next.
        let mut held = vec![0.0; Instrument::AROUND];
        let heard = |i: u64| {
            let wanted = tile * hop + 2 * Instrument::AROUND;
            let first = (i as usize * tile * hop + held.len()) as u64 - Instrument::AROUND as u64;
            held.extend(samples(first, wanted - held.len())?);
            let mut heard = instrument.listen(&held);
            held.drain(..tile * hop);
            // Behind the end there is nothing, not even silence.
            let real = (padded / *hop as u64).saturating_sub(i * tile as u64).min(tile as u64) as usize;
            heard.chunks_exact_mut(tile).for_each(|channel| channel[real..].fill(0.0));
            Ok(heard)
        };
        encoder.run(padded / *hop as u64, instrument.channels(), &*self.device, heard, put)
    }

    /// The encoder's output before quantisation for a clip held in memory (channels interleaved), `[codes, dim]` in row-major
    /// order.
    ///
    /// Panics if there is no such level.
    pub fn latents(&self, level: usize, samples: &[f32]) -> Vec<f32> {
        let mut latents = Vec::new();
        let read = &mut |first: u64, out: &mut [f32]| {
            out.copy_from_slice(&samples[first as usize * self.channels..][..out.len()]);
            Ok::<(), std::convert::Infallible>(())
        };
        match self
            .encoded(level, (samples.len() / self.channels) as u64, read, &mut |rows| latents.extend_from_slice(rows))
        {
            Ok(_) => latents,
            Err(never) => match never {},
        }
    }

    /// The codes of every level of a clip held in memory, channels interleaved.
    ///
    /// # Panics
    /// If the network overflows on it; see [`Coder::codes`].
    pub fn encode_samples(&self, samples: &[f32]) -> Vec<Vec<u16>> {
        self.codes(samples).unwrap_or_else(|overflow| panic!("{overflow}"))
    }

    /// The codes of every level of a clip held in memory, channels interleaved.
    ///
    /// # Errors
    /// A network that overflows on it.
    pub fn codes(&self, samples: &[f32]) -> Result<Vec<Vec<u16>>, Overflow> {
        let mut codes = vec![Vec::new(); self.levels.len()];
        let read = &mut |first: u64, out: &mut [f32]| {
            out.copy_from_slice(&samples[first as usize * self.channels..][..out.len()]);
            Ok::<(), std::convert::Infallible>(())
        };
        match self
            .encode((samples.len() / self.channels) as u64, read, &mut |level, c| codes[level].extend_from_slice(c))
        {
            Ok(done) => done.map(|()| codes),
            Err(never) => match never {},
        }
    }

    /// Decodes the codes of one level to at most `frames` frames, channels interleaved.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode_samples(&self, level: usize, codes: &[u16], frames: u64) -> Result<Vec<f32>, DecodeError> {
        // A clip may state more frames than its codes make.
        let hop = self.levels.get(level).map_or(1, |level| level.hop);
        let most = codes.len().saturating_mul(hop);
        let mut samples = Vec::new();
        let room = usize::try_from(frames).map_or(most, |frames| frames.min(most)).saturating_mul(self.channels);
        samples.try_reserve_exact(room).map_err(|_| DecodeError::Memory { frames: room })?;
        // The last tile may go beyond what is asked for.
        self.decode(level, codes, &mut |more| {
            samples.extend_from_slice(&more[..more.len().min(room - samples.len())])
        })?;
        Ok(samples)
    }

    /// Decodes the codes of one level, by that level's decoder alone: `codes.len() * hop` frames, channels interleaved, given
    /// to `put` in order. Memory does not grow with the codes.
    pub fn decode(&self, level: usize, codes: &[u16], put: &mut dyn FnMut(&[f32])) -> Result<(), DecodeError> {
        let levels = self.levels.len();
        let chosen = self.levels.get(level).ok_or(DecodeError::Level { level, levels })?;
        let codewords = chosen.codebook.len() / self.dim;
        if let Some(at) = codes.iter().position(|c| usize::from(*c) >= codewords) {
            let code = codes[at];
            return Err(DecodeError::Code { level, at, code, codewords });
        }
        let tile = chosen.decoder.tile;
        let mut performance = chosen.instrument.as_ref().map(Instrument::perform);
        let finite = chosen.decoder.run(
            codes.len() as u64,
            self.dim,
            &*self.device,
            |i| {
                let rest = &codes[i as usize * tile..];
                let mut z = vec![0.0; self.dim * tile];
                for (t, code) in rest.iter().take(tile).enumerate() {
                    let word = &chosen.codebook[usize::from(*code) * self.dim..][..self.dim];
                    for (c, v) in word.iter().enumerate() {
                        z[c * tile + t] = *v;
                    }
                }
                Ok::<_, DecodeError>(z)
            },
            |y, inside| match &mut performance {
                None if self.channels == 1 => put(&y[inside]),
                None => put(&turned(&columns(&y, self.channels, inside.clone()), self.channels, inside.len())),
                Some(performance) => performance.play(&columns(&y, y.len() / tile, inside), put),
            },
        )?;
        if let Some(performance) = performance {
            performance.end(put);
        }
        if finite { Ok(()) } else { Err(Overflow { level }.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::codec::{CodecConfig, LevelConfig};
    use crate::model::random::Random;
    use crate::model::weights::{Array, Arrays};
    use kernels::tape::{Tape, Value};

    /// What the tiles of a level of oscillators compute is what its network computes of the whole clip.
    #[test]
    fn tiles_of_oscillators_are_the_whole() {
        let level = LevelConfig {
            downs: vec![10],
            strides: vec![],
            width: 6,
            depth: 2,
            dilation_growth: 3,
            codewords: 8,
            oscillators: 12,
        };
        let config = CodecConfig { rate: 44_100, channels: 1, dim: 4, levels: vec![level] };
        let mut random = Random::new(&[1; 32], "weights", 0);
        let array = |(name, shape): (String, Vec<usize>)| {
            let n: usize = shape.iter().product();
            (name, Array { shape, data: (0..n).map(|_| (0.1 * random.normal()) as f32).collect() })
        };
        let arrays: Arrays = layer::shapes(&config, 0).into_iter().map(array).collect();
        let codec = Codec::new(config, arrays).expect("a codec");
        let coder = Coder::new(&codec).expect("a coder");
        let (instrument, device) = (Instrument::of(codec.config(), 0).expect("an instrument"), device(Precision::F32));
        // Shorter than a tile, and several of them with a rest that is no whole code.
        for frames in [3000, 150 * 1024 + 77] {
            let codes = usize::div_ceil(frames, 1024);
            let clip: Vec<f32> =
                (0..frames).map(|t| 0.3 * libm::sinf(0.05 * t as f32 + 1e-6 * (t * t) as f32)).collect();
            let mut samples = vec![0.0; codes * 1024 + 2 * Instrument::AROUND];
            samples[Instrument::AROUND..][..frames].copy_from_slice(&clip);
            let heard = instrument.listen(&samples);
            let tape = Tape::forward_only(&*device);
            let leaves = Leaves::constants(&*device, codec.arrays(), |_| true);
            let layers = layer::load(&layer::encoder(codec.config(), 0), &leaves).expect("layers");
            let x = Value::constant(device.tensor(&heard, [1, instrument.channels(), codes]));
            let z = device.floats(layer::forward(&tape, &layers, x, 1).tensor());
            let tiled = coder.latents(0, &clip);
            assert_eq!(tiled.len(), z.len());
            for (a, b) in tiled.iter().zip(turned(&z, 4, codes)) {
                assert!((a - b).abs() < 1e-4, "{frames}: {a} {b}");
            }
        }
    }
}
