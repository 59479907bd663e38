//! Encoding and decoding of clips of any length, in bounded memory, with one result.
//!
//! A clip passes through the layers in tiles of one length. Every layer keeps the end of what it has seen (its context),
//! so that each tile is computed once, without overlap; what a layer puts out lags behind what it takes in by the reach of
//! its taps. Positions outside the clip are set to zero after every layer, which is the zero padding of a network that
//! takes the whole clip at once. Tiles are laid from the clip's first frame and all have the same shape: the codes of a
//! clip do not depend on what is encoded beside it, on how it is read, or on the number of threads.
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use kernels::Kernels;

use super::codec::Codec;
use super::layer::{self, Affine, Kind, Loaded};
use super::quantise::{nearest, rows};
use super::weights::WeightsError;

/// Frames of audio in a tile, where the hop allows it.
const TILE: usize = 1 << 14;

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
}

/// How a layer cuts its input: all lengths in positions at the rate of that input.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Positions kept from before the tile.
    context: usize,
    /// Positions at the end of the tile left for the next one.
    trim: usize,
    channels: usize,
    /// Length of the tile it puts out, and how far that tile lies behind its nominal place.
    tile: usize,
    lag: usize,
}

/// The cuts of `layers` for tiles of `tile` positions at the input.
fn cuts<B: Kernels>(layers: &[Loaded<B>], tile: usize) -> Vec<Cut> {
    let (mut tile, mut lag) = (tile, 0);
    layers
        .iter()
        .map(|layer| {
            let (context, trim, channels);
            match layer.kind {
                Kind::Down { input, .. } => {
                    // Output o reads 2o-1..=2o+2, so the buffer has to start at an odd position.
                    (context, trim) = if lag % 2 == 1 { (2, 0) } else { (3, 1) };
                    (tile, lag, channels) = (tile / 2, lag / 2 + 1, input);
                }
                Kind::Up { input, .. } => {
                    (context, trim) = (2, 0);
                    (tile, lag, channels) = (tile * 2, (lag + 1) * 2, input);
                }
                Kind::Same { input, .. } => {
                    (context, trim) = (2, 0);
                    (lag, channels) = (lag + 1, input);
                }
                Kind::Residual { width, dilation } => {
                    (context, trim) = (2 * dilation, 0);
                    (lag, channels) = (lag + dilation, width);
                }
            }
            Cut {
                context,
                trim,
                channels,
                tile,
                lag,
            }
        })
        .collect()
}

/// Layers, cut.
#[derive(Debug, Clone)]
struct Chain<B: Kernels> {
    layers: Vec<Loaded<B>>,
    cuts: Vec<Cut>,
    tile: usize,
}

impl<B: Kernels> Chain<B> {
    fn new(layers: Vec<Loaded<B>>, tile: usize) -> Self {
        let cuts = cuts(&layers, tile);
        Self { layers, cuts, tile }
    }

    fn out(&self) -> (usize, usize) {
        self.cuts.last().map_or((self.tile, 0), |c| (c.tile, c.lag))
    }

    /// Feeds `length` positions tile by tile. `next` gives tile number `i` (all `tile` positions, zeros behind the end);
    /// `put` takes each tile of the output with the range of it that lies in the sequence.
    fn run<E>(
        &self,
        length: u64,
        device: &B::Device,
        mut next: impl FnMut(u64) -> Result<Tensor<B, 3>, E>,
        mut put: impl FnMut(Tensor<B, 3>, std::ops::Range<usize>),
    ) -> Result<(), E> {
        let (tile_out, lag_out) = self.out();
        let length_out = length * tile_out as u64 / self.tile as u64;
        let tiles_in = length.div_ceil(self.tile as u64);
        let mut contexts: Vec<Option<Tensor<B, 3>>> = vec![None; self.layers.len()];
        for i in 0..(length_out + lag_out as u64).div_ceil(tile_out as u64) {
            let mut x = if i < tiles_in { Some(next(i)?) } else { None };
            for ((layer, cut), context) in self.layers.iter().zip(&self.cuts).zip(&mut contexts) {
                let length = length * cut.tile as u64 / self.tile as u64;
                let inside = inside(i, cut.tile, cut.lag, length);
                x = advance(layer, cut, context, x, inside, device);
            }
            if let Some(x) = x {
                put(x, inside(i, tile_out, lag_out, length_out));
            }
        }
        Ok(())
    }
}

/// Which positions of output tile `i` lie in a sequence of `length`.
fn inside(i: u64, tile: usize, lag: usize, length: u64) -> std::ops::Range<usize> {
    let (start, end) = (i * tile as u64, (i + 1) * tile as u64);
    let lag = lag as u64;
    let first = lag.saturating_sub(start).min(tile as u64);
    let last = (length + lag).min(end).saturating_sub(start).max(first);
    first as usize..last as usize
}

/// One layer, one tile. A tile of zeros, outside the sequence, is `None` and costs nothing.
fn advance<B: Kernels>(
    layer: &Loaded<B>,
    cut: &Cut,
    context: &mut Option<Tensor<B, 3>>,
    x: Option<Tensor<B, 3>>,
    inside: std::ops::Range<usize>,
    device: &B::Device,
) -> Option<Tensor<B, 3>> {
    if x.is_none() && context.is_none() && inside.is_empty() {
        return None;
    }
    let tile_in = match layer.kind {
        Kind::Down { .. } => cut.tile * 2,
        Kind::Up { .. } => cut.tile / 2,
        Kind::Same { .. } | Kind::Residual { .. } => cut.tile,
    };
    let zeros = |n: usize| Tensor::zeros([1, cut.channels, n], device);
    let before = context.take().unwrap_or_else(|| zeros(cut.context));
    let buffer = Tensor::cat(vec![before, x.unwrap_or_else(|| zeros(tile_in))], 2);
    let all = cut.context + tile_in;
    *context = Some(buffer.clone().narrow(2, tile_in, cut.context));
    if inside.is_empty() {
        return None;
    }
    let Affine { weight, bias } = layer.first.clone();
    let y = match (layer.kind, &layer.second) {
        (Kind::Down { .. }, _) => {
            let seen = if cut.trim > 0 { buffer.narrow(2, 0, all - cut.trim) } else { buffer };
            kernels::conv1d(seen, weight, bias, 2, 0, 1)
        }
        // Padding 3: the two positions of context reach six outputs that belong to the tiles beside this one.
        (Kind::Up { .. }, _) => kernels::conv_transpose1d(buffer, weight, bias, 2, 3),
        (Kind::Same { .. }, _) | (Kind::Residual { .. }, None) => kernels::conv1d(buffer, weight, bias, 1, 0, 1),
        (Kind::Residual { dilation, .. }, Some(second)) => {
            let Affine { weight: outer, bias: last } = second.clone();
            if 4 * dilation <= tile_in {
                kernels::residual_block(buffer, weight, bias, outer, last, dilation).narrow(2, dilation, tile_in)
            } else {
                // The fused block would compute the whole context as well, and here that is most of the buffer.
                let x = buffer.clone().narrow(2, dilation, tile_in);
                let h = kernels::conv1d(relu(buffer), weight, bias, 1, 0, dilation);
                x + kernels::conv1d(relu(h), outer, last, 1, 0, 1)
            }
        }
    };
    if inside == (0..cut.tile) {
        return Some(y);
    }
    let channels = y.dims()[1];
    let mut parts = vec![y.narrow(2, inside.start, inside.len())];
    if inside.start > 0 {
        parts.insert(0, Tensor::zeros([1, channels, inside.start], device));
    }
    if inside.end < cut.tile {
        parts.push(Tensor::zeros([1, channels, cut.tile - inside.end], device));
    }
    Some(Tensor::cat(parts, 2))
}

#[derive(Debug, Clone)]
struct Level<B: Kernels> {
    hop: usize,
    encoder: Chain<B>,
    decoder: Chain<B>,
    codebook: Vec<f32>,
}

/// A codec on a device, ready to encode and decode. Threads may share it.
#[derive(Debug, Clone)]
pub struct Coder<B: Kernels> {
    device: B::Device,
    dim: usize,
    align: u64,
    levels: Vec<Level<B>>,
}

impl<B: Kernels> Coder<B> {
    /// Puts the codec's tensors on `device`.
    pub fn new(codec: &Codec, device: B::Device) -> Result<Self, WeightsError> {
        let config = codec.config();
        let levels = (0..config.levels.len())
            .map(|level| {
                let hop = config.levels[level].hop();
                let codes = (TILE / hop).max(8);
                let load = |layers: &[layer::Layer]| layer::load(layers, codec.arrays(), &device);
                Ok(Level {
                    hop,
                    encoder: Chain::new(load(&config.encoder(level))?, codes * hop),
                    decoder: Chain::new(load(&config.decoder(level))?, codes),
                    codebook: codec.codebook(level).to_vec(),
                })
            })
            .collect::<Result<_, WeightsError>>()?;
        Ok(Self {
            dim: config.dim,
            align: config.align() as u64,
            device,
            levels,
        })
    }

    /// Codes of each level for a clip of `frames` frames: the clip is padded with zeros to a multiple of the largest hop.
    pub fn lengths(&self, frames: u64) -> Vec<u64> {
        let padded = frames.next_multiple_of(self.align);
        self.levels.iter().map(|l| padded / l.hop as u64).collect()
    }

    /// Encodes a clip, one level after the other.
    ///
    /// `read(first, out)` fills `out` with the mono frames from `first` on; it is called once per tile and level, in order,
    /// never beyond `frames`. `put(level, codes)` takes the codes in order. Memory does not grow with the clip.
    pub fn encode<E>(
        &self,
        frames: u64,
        read: &mut dyn FnMut(u64, &mut [f32]) -> Result<(), E>,
        put: &mut dyn FnMut(usize, &[u16]),
    ) -> Result<(), E> {
        for (number, level) in self.levels.iter().enumerate() {
            self.encoded(number, frames, read, &mut |vectors| {
                let codes = nearest(vectors, &level.codebook, self.dim);
                let codes: Vec<u16> = codes.iter().map(|c| *c as u16).collect();
                put(number, &codes);
            })?;
        }
        Ok(())
    }

    /// What the encoder of `level` makes of a clip, as rows of `dim`, tile by tile.
    fn encoded<E>(
        &self,
        level: usize,
        frames: u64,
        read: &mut dyn FnMut(u64, &mut [f32]) -> Result<(), E>,
        put: &mut dyn FnMut(&[f32]),
    ) -> Result<(), E> {
        let encoder = &self.levels[level].encoder;
        let tile = encoder.tile;
        encoder.run(
            frames.next_multiple_of(self.align),
            &self.device,
            |i| {
                let first = i * tile as u64;
                let mut samples = vec![0.0; tile];
                let real = frames.saturating_sub(first).min(tile as u64) as usize;
                if real > 0 {
                    read(first, &mut samples[..real])?;
                }
                Ok(Tensor::from_data(TensorData::new(samples, [1, 1, tile]), &self.device))
            },
            |z, inside| put(&rows(z)[inside.start * self.dim..inside.end * self.dim]),
        )
    }

    /// The encoder's output before quantisation for a clip held in memory, `[codes, dim]` in row-major order.
    ///
    /// Panics if there is no such level.
    pub fn latents(&self, level: usize, samples: &[f32]) -> Vec<f32> {
        let mut latents = Vec::new();
        let read = &mut |first: u64, out: &mut [f32]| {
            out.copy_from_slice(&samples[first as usize..][..out.len()]);
            Ok::<(), std::convert::Infallible>(())
        };
        match self.encoded(level, samples.len() as u64, read, &mut |rows| latents.extend_from_slice(rows)) {
            Ok(()) => latents,
            Err(never) => match never {},
        }
    }

    /// The codes of every level of a clip held in memory.
    pub fn encode_samples(&self, samples: &[f32]) -> Vec<Vec<u16>> {
        let mut codes = vec![Vec::new(); self.levels.len()];
        let read = &mut |first: u64, out: &mut [f32]| {
            out.copy_from_slice(&samples[first as usize..][..out.len()]);
            Ok::<(), std::convert::Infallible>(())
        };
        match self.encode(samples.len() as u64, read, &mut |level, c| codes[level].extend_from_slice(c)) {
            Ok(()) => codes,
            Err(never) => match never {},
        }
    }

    /// Decodes the codes of one level, by that level's decoder alone: `codes.len() * hop` frames, given to `put` in order.
    pub fn decode(&self, level: usize, codes: &[u16], put: &mut dyn FnMut(&[f32])) -> Result<(), DecodeError> {
        let levels = self.levels.len();
        let chosen = self.levels.get(level).ok_or(DecodeError::Level { level, levels })?;
        let codewords = chosen.codebook.len() / self.dim;
        if let Some(at) = codes.iter().position(|c| usize::from(*c) >= codewords) {
            let code = codes[at];
            return Err(DecodeError::Code {
                level,
                at,
                code,
                codewords,
            });
        }
        let tile = chosen.decoder.tile;
        chosen.decoder.run(
            codes.len() as u64,
            &self.device,
            |i| {
                let rest = &codes[i as usize * tile..];
                let mut z = vec![0.0; self.dim * tile];
                for (t, code) in rest.iter().take(tile).enumerate() {
                    let word = &chosen.codebook[usize::from(*code) * self.dim..][..self.dim];
                    for (c, v) in word.iter().enumerate() {
                        z[c * tile + t] = *v;
                    }
                }
                Ok(Tensor::from_data(TensorData::new(z, [1, self.dim, tile]), &self.device))
            },
            |y, inside| put(&values(y)[inside]),
        )
    }
}

/// A tensor's elements in row-major order.
pub(crate) fn values<B: Kernels, const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().into_vec().expect("the engine computes in f32")
}
