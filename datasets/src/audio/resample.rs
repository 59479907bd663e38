//! Downmix and sample-rate conversion in one stream, with rubato's FFT resampler.
//!
//! The resampler works in blocks of its own size, so the output does not depend on how the input is cut. Its delay
//! is removed and its length is exact: frame `i` of the output lies at time `i / to` of the input.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, Sample, WindowFunction};

use super::decode::RATES;

/// The version of the resampling, for memo keys: bump when any output bit may change.
pub const RESAMPLER: &str = "rubato 5.0.1 fft + refrain 1";

/// The least frames of a block on the side with the lower rate. The filter is as long as a block: at 1024 frames
/// the passband of 44.1 kHz (−0.1 dB) ends at 21.6 kHz and the stopband (−139 dB) begins below 22.1 kHz. Shorter blocks lose passband; longer ones are slower, since their
/// transforms leave the first-level cache, and gain nothing that can be heard.
const MIN_BLOCK: u64 = 1024;

/// The longest block that is worked in `f32`. There the signal-to-noise ratio is over 133 dB; but the library also
/// makes its filter in the working precision, and the error of that grows with the filter's length. Only rates with
/// a small common divisor need longer blocks.
const MAX_SINGLE: usize = 8192;

/// Why a pair of rates or of channel counts cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    /// A rate beyond what audio has. The limit bounds memory: coprime rates need blocks of two seconds.
    #[error("cannot resample from {from} Hz to {to} Hz: rates lie from {} to {} Hz", RATES.start(), RATES.end())]
    Rates {
        /// Rate of the input in Hz.
        from: u32,
        /// Rate of the output in Hz.
        to: u32,
    },
    /// Channels are averaged to one, kept, or copied from one.
    #[error("cannot make {to} channels of {from}: channels are kept, averaged to 1, or copied from 1")]
    Channels {
        /// Channels of the input.
        from: u16,
        /// Channels of the output.
        to: u16,
    },
    /// The resampler refused a block of its own size.
    #[error("the resampler failed: {0}")]
    Internal(String),
}

/// Frames of the output: `ceil(frames * to / from)`, exact. `from` must not be 0.
pub fn output_frames(frames: u64, from: u32, to: u32) -> u64 {
    let exact = (u128::from(frames) * u128::from(to)).div_ceil(u128::from(from));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// A stream of interleaved samples that is downmixed, then resampled.
#[derive(Debug)]
pub struct Resampler {
    from: u32,
    to: u32,
    channels_in: usize,
    channels_out: usize,
    /// Frames taken and frames returned so far.
    taken: u64,
    returned: u64,
    /// The resampler. `None` if both rates are equal.
    blocks: Option<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    engine: Engine,
    /// Frames of a block on either side.
    frames_in: usize,
    frames_out: usize,
    /// Mixed input short of a block, interleaved.
    pending: Vec<f32>,
    output: Vec<f32>,
    /// Frames of the resampler's delay that are still to be dropped.
    delay: usize,
}

/// The resampler proper, with the input of one block in its own precision.
#[derive(Debug)]
enum Engine {
    Single(Fft<f32>),
    Double { fft: Fft<f64>, input: Vec<f64>, output: Vec<f64> },
}

impl Resampler {
    /// A stream from `from` to `to` Hz, and from `channels_in` to `channels_out` channels.
    ///
    /// # Errors
    /// Where a rate lies outside [`RATES`] or the channels have no rule.
    pub fn new(from: u32, to: u32, channels_in: u16, channels_out: u16) -> Result<Self, ResampleError> {
        if !RATES.contains(&from) || !RATES.contains(&to) {
            return Err(ResampleError::Rates { from, to });
        }
        let ruled = channels_out == channels_in || channels_out == 1 || channels_in == 1;
        if channels_in == 0 || channels_out == 0 || !ruled {
            return Err(ResampleError::Channels { from: channels_in, to: channels_out });
        }
        // A mono stream is resampled once and copied afterwards.
        let worked = usize::from(channels_in.min(channels_out));
        let blocks = if from == to { None } else { Some(Blocks::new(from, to, worked)?) };
        Ok(Resampler {
            from,
            to,
            channels_in: usize::from(channels_in),
            channels_out: usize::from(channels_out),
            taken: 0,
            returned: 0,
            blocks,
        })
    }

    /// Takes whole interleaved frames and appends the output that is ready to `out`, interleaved.
    ///
    /// # Errors
    /// Only where the resampler breaks its own rules.
    ///
    /// # Panics
    /// If `samples` is no whole number of frames.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ResampleError> {
        assert!(samples.len().is_multiple_of(self.channels_in), "a part of a frame");
        self.taken += (samples.len() / self.channels_in) as u64;
        let mix_to = self.channels_in.min(self.channels_out);
        match &mut self.blocks {
            None => {
                let start = out.len();
                mix(samples, self.channels_in, mix_to, out);
                self.returned += ((out.len() - start) / mix_to) as u64;
                spread(out, start, mix_to, self.channels_out);
            }
            Some(blocks) => {
                mix(samples, self.channels_in, mix_to, &mut blocks.pending);
                let start = out.len();
                blocks.run(mix_to, u64::MAX, out)?;
                self.returned += ((out.len() - start) / mix_to) as u64;
                spread(out, start, mix_to, self.channels_out);
            }
        }
        Ok(())
    }

    /// Ends the stream and appends the rest of the output, so that in all [`output_frames`] of the frames taken
    /// have been returned.
    ///
    /// # Errors
    /// Only where the resampler breaks its own rules.
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let total = output_frames(self.taken, self.from, self.to);
        let mix_to = self.channels_in.min(self.channels_out);
        if let Some(blocks) = &mut self.blocks {
            // Whole blocks may have run past the end of the sound: nothing beyond `total` was ready before it.
            while self.returned < total {
                let block = blocks.frames_in * mix_to;
                blocks.pending.resize(block, 0.0);
                let start = out.len();
                blocks.run(mix_to, total - self.returned, out)?;
                self.returned += ((out.len() - start) / mix_to) as u64;
                spread(out, start, mix_to, self.channels_out);
            }
        }
        Ok(())
    }
}

impl Blocks {
    fn new(from: u32, to: u32, channels: usize) -> Result<Self, ResampleError> {
        let divisor = gcd(u64::from(from), u64::from(to));
        let (unit_in, unit_out) = (u64::from(from) / divisor, u64::from(to) / divisor);
        // An even number of units makes both block lengths even, and with that the delay a whole number of frames;
        // a power of two keeps the transforms' factors small.
        let units = MIN_BLOCK.div_ceil(unit_in.min(unit_out)).next_power_of_two().max(2);
        let (frames_in, frames_out) = ((units * unit_in) as usize, (units * unit_out) as usize);
        let engine = if frames_in > MAX_SINGLE {
            let (input, output) = (vec![0.0; frames_in * channels], vec![0.0; frames_out * channels]);
            Engine::Double { fft: fft(from, to, frames_in, channels)?, input, output }
        } else {
            Engine::Single(fft(from, to, frames_in, channels)?)
        };
        let output = vec![0.0; frames_out * channels];
        Ok(Blocks { engine, frames_in, frames_out, pending: Vec::new(), output, delay: frames_out / 2 })
    }

    /// Resamples every whole block that is pending; appends at most `limit` frames.
    fn run(&mut self, channels: usize, limit: u64, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let (frames_in, frames_out) = (self.frames_in, self.frames_out);
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut used = 0;
        while self.pending.len() - used >= frames_in * channels {
            let block = &self.pending[used..used + frames_in * channels];
            match &mut self.engine {
                Engine::Single(fft) => process(fft, block, &mut self.output, channels)?,
                Engine::Double { fft, input, output } => {
                    input.iter_mut().zip(block).for_each(|(wide, sample)| *wide = f64::from(*sample));
                    process(fft, input, output, channels)?;
                    self.output.iter_mut().zip(output).for_each(|(sample, wide)| *sample = *wide as f32);
                }
            }
            used += frames_in * channels;
            let skip = self.delay.min(frames_out);
            self.delay -= skip;
            let keep = (frames_out - skip).min(left);
            left -= keep;
            out.extend_from_slice(&self.output[skip * channels..(skip + keep) * channels]);
        }
        self.pending.drain(..used);
        Ok(())
    }
}

fn fft<T: Sample>(from: u32, to: u32, block: usize, channels: usize) -> Result<Fft<T>, ResampleError> {
    let (from, to) = (from as usize, to as usize);
    Fft::new_custom(from, to, block, 1, channels, WindowFunction::BlackmanHarris2, FixedSync::Both)
        .map_err(|error| ResampleError::Internal(error.to_string()))
}

/// Resamples one block of interleaved frames.
fn process<T: Sample>(fft: &mut Fft<T>, input: &[T], output: &mut [T], channels: usize) -> Result<(), ResampleError> {
    let internal = |error: &dyn std::fmt::Display| ResampleError::Internal(error.to_string());
    let (frames_in, frames_out) = (input.len() / channels, output.len() / channels);
    let input = InterleavedSlice::new(input, channels, frames_in).map_err(|error| internal(&error))?;
    let mut output = InterleavedSlice::new_mut(output, channels, frames_out).map_err(|error| internal(&error))?;
    fft.process_into_buffer(&input, &mut output, None).map_err(|error| internal(&error))?;
    Ok(())
}

/// Appends `samples`, averaged to one channel or as they are.
fn mix(samples: &[f32], channels: usize, to: usize, out: &mut Vec<f32>) {
    match (channels, to) {
        (from, to) if from == to => out.extend_from_slice(samples),
        (2, _) => out.extend(samples.as_chunks::<2>().0.iter().map(|[left, right]| (left + right) * 0.5)),
        _ => out.extend(samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32)),
    }
}

/// Copies each mono sample from `start` on into every one of `to` channels.
fn spread(out: &mut Vec<f32>, start: usize, from: usize, to: usize) {
    if from == to {
        return;
    }
    let mono = out.split_off(start);
    out.extend(mono.iter().flat_map(|sample| std::iter::repeat_n(*sample, to)));
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
