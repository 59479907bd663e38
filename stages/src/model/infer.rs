//! Encoding and decoding of clips of any length, in bounded memory, with one result.
//!
//! A clip passes through the layers in tiles of one length. Every layer keeps the end of what it has seen (its context),
//! so that each tile is computed once, without overlap; what a layer puts out lags behind what it takes in by the reach of
//! its taps. Positions outside the clip are set to zero after every layer, which is the zero padding of a network that
//! takes the whole clip at once. Tiles are laid from the clip's first frame and all have the same shape: the codes of a
//! clip do not depend on what is encoded beside it, on how it is read, or on the number of threads.
use std::ops::Range;

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use kernels::Kernels;

use super::codec::Codec;
use super::layer::{self, Affine, Kind, Loaded};
use super::quantise::nearest;
use super::weights::WeightsError;

/// Frames of audio in a tile, where the hop allows it.
const TILE: usize = 1 << 14;

/// Codes of a tile of a level.
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
            Cut { context, trim, channels, tile, lag }
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
        mut next: impl FnMut(u64) -> Result<Vec<f32>, E>,
        mut put: impl FnMut(Vec<f32>, Range<usize>),
    ) -> Result<(), E> {
        let (tile_out, lag_out) = self.out();
        let length_out = length * tile_out as u64 / self.tile as u64;
        let tiles_in = length.div_ceil(self.tile as u64);
        let mut contexts: Vec<Option<Vec<f32>>> = vec![None; self.layers.len()];
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
fn inside(i: u64, tile: usize, lag: usize, length: u64) -> Range<usize> {
    let (start, end) = (i * tile as u64, (i + 1) * tile as u64);
    let lag = lag as u64;
    let first = lag.saturating_sub(start).min(tile as u64);
    let last = (length + lag).min(end).saturating_sub(start).max(first);
    first as usize..last as usize
}

/// One layer, one tile, `[channels, tile]`. A tile of zeros, outside the sequence, is `None` and costs nothing.
///
/// Tiles are put together on the host: the CPU engine copies slices element by element, and on narrow layers that costs
/// more than the products.
fn advance<B: Kernels>(
    layer: &Loaded<B>,
    cut: &Cut,
    context: &mut Option<Vec<f32>>,
    x: Option<Vec<f32>>,
    inside: Range<usize>,
    device: &B::Device,
) -> Option<Vec<f32>> {
    if x.is_none() && context.is_none() && inside.is_empty() {
        return None;
    }
    let tile_in = match layer.kind {
        Kind::Down { .. } => cut.tile * 2,
        Kind::Up { .. } => cut.tile / 2,
        Kind::Same { .. } | Kind::Residual { .. } => cut.tile,
    };
    let all = cut.context + tile_in;
    let mut buffer = Vec::with_capacity(cut.channels * all);
    for channel in 0..cut.channels {
        for (part, n) in [(&*context, cut.context), (&x, tile_in)] {
            match part {
                Some(rows) => buffer.extend_from_slice(&rows[channel * n..][..n]),
                None => buffer.resize(buffer.len() + n, 0.0),
            }
        }
    }
    *context = Some(columns(&buffer, all, tile_in..all));
    if inside.is_empty() {
        return None;
    }
    let input = |rows: Vec<f32>, length: usize| {
        Tensor::<B, 3>::from_data(TensorData::new(rows, [1, cut.channels, length]), device)
    };
    let Affine { weight, bias } = layer.first.clone();
    let mut y = match (layer.kind, &layer.second) {
        (Kind::Down { .. }, _) => {
            let seen = all - cut.trim;
            values(kernels::conv1d(input(columns(&buffer, all, 0..seen), seen), weight, bias, 2, 0, 1))
        }
        // Padding 3: the two positions of context reach six outputs that belong to the tiles beside this one.
        (Kind::Up { .. }, _) => values(kernels::conv_transpose1d(input(buffer, all), weight, bias, 2, 3)),
        (Kind::Same { .. }, _) | (Kind::Residual { .. }, None) => {
            values(kernels::conv1d(input(buffer, all), weight, bias, 1, 0, 1))
        }
        (Kind::Residual { dilation, .. }, Some(second)) => {
            let Affine { weight: outer, bias: last } = second.clone();
            if 4 * dilation <= tile_in {
                let y = kernels::residual_block(input(buffer, all), weight, bias, outer, last, dilation);
                columns(&values(y), all, dilation..dilation + tile_in)
            } else {
                // The fused block would compute the whole context as well, and here that is most of the buffer.
                let x = input(columns(&buffer, all, dilation..dilation + tile_in), tile_in);
                let h = kernels::conv1d(relu(input(buffer, all)), weight, bias, 1, 0, dilation);
                values(x + kernels::conv1d(relu(h), outer, last, 1, 0, 1))
            }
        }
    };
    for row in y.chunks_exact_mut(cut.tile) {
        row[..inside.start].fill(0.0);
        row[inside.end..].fill(0.0);
    }
    Some(y)
}

/// The columns `range` of rows of `length`.
fn columns(rows: &[f32], length: usize, range: Range<usize>) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() / length * range.len());
    rows.chunks_exact(length).for_each(|row| out.extend_from_slice(&row[range.clone()]));
    out
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
                let codes = codes(hop);
                let load = |layers: &[layer::Layer]| layer::load(layers, codec.arrays(), &device);
                Ok(Level {
                    hop,
                    encoder: Chain::new(load(&config.encoder(level))?, codes * hop),
                    decoder: Chain::new(load(&config.decoder(level))?, codes),
                    codebook: codec.codebook(level).to_vec(),
                })
            })
            .collect::<Result<_, WeightsError>>()?;
        Ok(Self { dim: config.dim, align: config.align() as u64, device, levels })
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
                Ok(samples)
            },
            |z, inside| {
                let length = z.len() / self.dim;
                let vectors: Vec<f32> =
                    inside.flat_map(|t| (0..self.dim).map(move |c| c * length + t)).map(|i| z[i]).collect();
                put(&vectors);
            },
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

    /// Decodes the codes of one level to at most `frames` samples.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode_samples(&self, level: usize, codes: &[u16], frames: u64) -> Result<Vec<f32>, DecodeError> {
        let mut samples = Vec::with_capacity(frames as usize);
        self.decode(level, codes, &mut |more| samples.extend_from_slice(more))?;
        samples.truncate(frames as usize);
        Ok(samples)
    }

    /// Decodes the codes of one level, by that level's decoder alone: `codes.len() * hop` frames, given to `put` in order.
    pub fn decode(&self, level: usize, codes: &[u16], put: &mut dyn FnMut(&[f32])) -> Result<(), DecodeError> {
        let levels = self.levels.len();
        let chosen = self.levels.get(level).ok_or(DecodeError::Level { level, levels })?;
        let codewords = chosen.codebook.len() / self.dim;
        if let Some(at) = codes.iter().position(|c| usize::from(*c) >= codewords) {
            let code = codes[at];
            return Err(DecodeError::Code { level, at, code, codewords });
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
                Ok(z)
            },
            |y, inside| put(&y[inside]),
        )
    }
}

/// A tensor's elements in row-major order.
pub(crate) fn values<B: Kernels, const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
    x.into_data().into_vec().expect("the engine computes in f32")
}
