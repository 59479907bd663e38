//! The sounds that are measured, and what is remembered of each: its vectors, and how far it is from its original.

use super::select::{Coded, Piece, frames_for};
use crate::{
    flow::Env,
    media::models,
    media::pcm::{self, Excerpt, chain_version},
    metric::{
        channels::mono,
        embedding::Embedding,
        log_mel,
        notes::{self, Notes},
        si_sdr, spectral,
    },
    model::{codec::CodecConfig, infer::Coder, random::Random},
};
use datasets::{
    Digest, Key,
    audio::{decode::decode_bytes, resample::Resampler},
    codes::unpack,
    effect::{Fault, networks},
    row::Real,
    store::{Memo, StoreError},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One sound.
#[derive(Clone, Debug)]
pub(super) enum Sound {
    /// A real clip.
    Clip(Excerpt),
    /// A stretch of a song.
    Piece(Piece),
    /// A clip's codes, decoded at one level.
    Reconstruction(Coded, usize),
    /// Codes of one level drawn independently by their frequency in the reference, and decoded; the number tells draws
    /// apart.
    Unigram(usize, u64),
    /// White noise, normally distributed, as loud as a clip.
    Noise(Excerpt),
}

/// Remembered measurement of a sound.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// An object of the store: its vectors, as little-endian numbers of 64 bits.
    pub(super) vectors: Digest,
    /// Distance of a reconstruction from its original; `None` for other sounds.
    pub(super) apart: Option<Apart>,
    /// Its notes.
    pub(super) notes: Heard,
}

/// The notes of a sound: sounding, onsets, pulse and salience.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Heard {
    pub(super) figures: [Real; 4],
    /// Length of the sound in frames.
    pub(super) frames: u64,
}

impl Heard {
    /// Listens to mono samples.
    fn of(mono: &[f32], rate: u32) -> Heard {
        let Notes { sounding, onsets, pulse, salience } = Notes::of(mono, rate);
        Heard { figures: [sounding, onsets, pulse, salience].map(Real::from), frames: mono.len() as u64 }
    }
}

/// Distances of a reconstruction from its original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Apart {
    pub(super) spectral_mse: Real,
    pub(super) log_mel: Real,
    pub(super) stft: Real,
    /// Signal-to-noise ratio in dB; `None` of a silent original.
    pub(super) snr: Option<Real>,
    /// Number of spectra that each distance is a mean of.
    pub(super) spectra: u64,
}

/// A codec ready to decode.
pub(super) struct Decoder {
    digest: Digest,
    coder: Coder,
    pub(super) config: CodecConfig,
    pub(super) rate: u32,
    /// Hop of each level in frames.
    pub(super) hops: Vec<u64>,
    /// Cumulative counts of the codes in the reference, by level and code.
    drawn: Vec<Vec<u64>>,
}

/// Listens to sounds of one length.
pub(super) struct Listener<'a> {
    pub(super) env: &'a Arc<Env>,
    pub(super) embedding: &'a dyn Embedding,
    /// Length of every sound, in frames at the embedding's rate.
    pub(super) length: u64,
    pub(super) seed: Digest,
    pub(super) decoder: Option<Decoder>,
    /// Codes of the reference.
    pub(super) learned: &'a [Coded],
    /// Digest of the codes of the reference.
    pub(super) drawn_from: Digest,
}

fn bug(error: &dyn std::fmt::Display) -> Fault {
    Fault::refused("no-sound", error.to_string())
}

impl Decoder {
    pub(super) fn load(env: &Env, digest: Digest) -> Result<Decoder, Fault> {
        let codec = models::load(env, &digest)?;
        let coder = Coder::new(&codec).map_err(|e| bug(&e))?;
        let hops = codec.config().levels.iter().map(|level| level.hop() as u64).collect();
        let config = codec.config().clone();
        Ok(Decoder { digest, coder, rate: config.rate, config, hops, drawn: Vec::new() })
    }
}

impl Listener<'_> {
    /// Digest of a sound: the same for any embedding and length.
    pub(super) fn identity(&self, sound: &Sound) -> Digest {
        let codec = self.decoder.as_ref().map(|decoder| decoder.digest).unwrap_or_default();
        match sound {
            Sound::Clip(excerpt) => excerpt.key(Key::new("clip")),
            Sound::Piece(piece) => Key::new("piece").digest(&piece.song.file).number(piece.start).number(piece.frames),
            Sound::Reconstruction(coded, level) => {
                let key = Key::new("reconstruction").digest(&codec).digest(&coded.blob).number(*level as u64);
                coded.excerpt.key(key)
            }
            Sound::Unigram(level, number) => {
                let key = Key::new("unigram").digest(&codec).digest(&self.drawn_from).number(*level as u64);
                key.digest(&self.seed).number(*number)
            }
            Sound::Noise(excerpt) => excerpt.key(Key::new("noise").digest(&self.seed)),
        }
        .finish()
    }

    /// Digest of the recording that a sound was made of: sounds of one recording are alike, and are resampled together.
    pub(super) fn recording(&self, sound: &Sound) -> Digest {
        match sound {
            Sound::Clip(excerpt) => excerpt.samples,
            Sound::Piece(piece) => piece.song.file,
            Sound::Reconstruction(coded, _) => coded.excerpt.samples,
            Sound::Unigram(..) | Sound::Noise(_) => self.identity(sound),
        }
    }

    fn memo(&self, sound: &Sound) -> Memo<Measurement> {
        let key = Key::new("heard")
            .text(self.embedding.name())
            .number(self.embedding.version().into())
            .number(spectral::VERSION.into())
            .number(spectral::STFT_VERSION.into())
            .number(si_sdr::VERSION.into())
            .number(log_mel::VERSION.into())
            .number(notes::VERSION.into())
            .text(&chain_version())
            .text(networks())
            .number(self.length)
            .digest(&self.identity(sound))
            .finish();
        Memo::at(key)
    }

    /// Recalls the measurement of a sound; `None` if there is none, or its vectors are gone.
    pub(super) fn remembered(&self, sound: &Sound) -> Option<Measurement> {
        self.memo(sound).get(&self.env.store).filter(|heard| self.env.store.has(&heard.vectors))
    }

    /// Counts the reference's codes, for sounds that are drawn from them.
    ///
    /// # Errors
    /// A blob that is missing or damaged.
    pub(super) fn count(&mut self) -> Result<(), Fault> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut counts: Vec<Vec<u64>> = Vec::new();
        for coded in self.learned {
            let blob = self.env.store.get(&coded.blob)?;
            let levels = unpack(&blob).ok_or(StoreError::Damaged(coded.blob))?;
            counts.resize_with(coded.codewords.len(), Vec::new);
            for ((counts, codes), codewords) in counts.iter_mut().zip(levels).zip(&coded.codewords) {
                counts.resize(*codewords as usize, 0);
                for code in codes {
                    *counts.get_mut(usize::from(code)).ok_or(StoreError::Damaged(coded.blob))? += 1;
                }
            }
        }
        for level in &mut counts {
            let mut sum = 0;
            level.iter_mut().for_each(|count| {
                sum += *count;
                *count = sum;
            });
        }
        decoder.drawn = counts;
        Ok(())
    }

    /// Measures a sound and remembers what came of it.
    ///
    /// # Errors
    /// A source that cannot be read, codes that are not the codec's, a store that refuses.
    pub(super) fn hear(&self, sound: &Sound) -> Result<Measurement, Fault> {
        if self.env.cancel.cancelled() {
            return Err(Fault::Interrupted);
        }
        let (samples, rate, channels) = self.samples(sound)?;
        let apart = match sound {
            Sound::Reconstruction(coded, _) => {
                let (original, ..) = self.clip(&coded.excerpt)?;
                let [original, decoded] = [&original, &samples].map(|samples| mono(samples, channels));
                let (mse, spectra) = spectral::spectral_mse(&original, &decoded);
                let spectrum = |samples: &[f32]| log_mel::LogMel::new(samples, rate);
                let log_mel = spectrum(&original).distance(&spectrum(&decoded));
                let stft = spectral::multi_resolution(&original, &decoded).into();
                let snr = si_sdr::snr(&original, &decoded).map(Real::from);
                Some(Apart { spectral_mse: mse.into(), log_mel: log_mel.into(), stft, snr, spectra })
            }
            _ => None,
        };
        let notes = Heard::of(&mono(&samples, channels), rate);
        let vectors = self.embedding.embed(&resampled(&samples, rate, channels, self.embedding.rate(), self.length)?);
        let bytes: Vec<u8> = vectors.iter().flat_map(|v| v.to_le_bytes()).collect();
        let heard = Measurement { vectors: self.env.store.put(&bytes)?, apart, notes };
        self.memo(sound).put(&self.env.store, &heard, &[])?;
        Ok(heard)
    }

    /// The vectors of what was heard, `[vectors, dims]`.
    pub(super) fn vectors(&self, heard: &Measurement) -> Result<Vec<f64>, Fault> {
        let bytes = self.env.store.get(&heard.vectors)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok(numbers.iter().map(|number| f64::from_le_bytes(*number)).collect())
    }

    /// A sound's samples, interleaved, with rate and channels.
    fn samples(&self, sound: &Sound) -> Result<(Vec<f32>, u32, u16), Fault> {
        match sound {
            Sound::Clip(excerpt) => self.clip(excerpt),
            Sound::Piece(piece) => self.piece(piece),
            Sound::Reconstruction(coded, level) => {
                let decoder = self.decoder()?;
                let frames = self.frames(&coded.excerpt);
                let blob = self.env.store.get(&coded.blob)?;
                let levels = unpack(&blob).ok_or(StoreError::Damaged(coded.blob))?;
                let codes = levels.get(*level).map(Vec::as_slice).unwrap_or_default();
                let codes = &codes[..codes.len().min(frames.div_ceil(decoder.hops[*level]) as usize)];
                let samples = decoder.coder.decode_samples(*level, codes, frames).map_err(|e| bug(&e))?;
                Ok((samples, decoder.rate, decoder.coder.channels() as u16))
            }
            Sound::Unigram(level, number) => {
                let decoder = self.decoder()?;
                let frames = frames_for(self.length, decoder.rate, self.embedding);
                let sums = decoder.drawn.get(*level).map(Vec::as_slice).unwrap_or_default();
                let all = sums.last().copied().filter(|all| *all > 0);
                let all = all.ok_or_else(|| bug(&"the reference has no codes to draw from"))?;
                let mut random = Random::new(&self.seed.0, &format!("unigram of level {level}"), *number);
                let codes: Vec<u16> = (0..frames.div_ceil(decoder.hops[*level]))
                    .map(|_| {
                        let drawn = random.below(all);
                        sums.partition_point(|sum| *sum <= drawn) as u16
                    })
                    .collect();
                let samples = decoder.coder.decode_samples(*level, &codes, frames).map_err(|e| bug(&e))?;
                Ok((samples, decoder.rate, decoder.coder.channels() as u16))
            }
            Sound::Noise(excerpt) => {
                let (clip, rate, channels) = self.clip(excerpt)?;
                let square: f64 = clip.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
                let loudness = (square / clip.len().max(1) as f64).sqrt();
                let mut random = Random::new(&self.identity(sound).0, "white noise", 0);
                let frames = clip.len() / usize::from(channels.max(1));
                Ok(((0..frames).map(|_| (loudness * random.normal()) as f32).collect(), rate, 1))
            }
        }
    }

    fn decoder(&self) -> Result<&Decoder, Fault> {
        self.decoder.as_ref().ok_or_else(|| bug(&"there is no codec"))
    }

    /// Frames of a clip that are measured.
    fn frames(&self, excerpt: &Excerpt) -> u64 {
        frames_for(self.length, excerpt.rate, self.embedding).min(excerpt.frames)
    }

    fn clip(&self, excerpt: &Excerpt) -> Result<(Vec<f32>, u32, u16), Fault> {
        let track = pcm::open(self.env, excerpt)?;
        let measured = Excerpt { frames: self.frames(excerpt), ..excerpt.clone() };
        Ok((track.samples(&measured)?, excerpt.rate, excerpt.channels))
    }

    fn piece(&self, piece: &Piece) -> Result<(Vec<f32>, u32, u16), Fault> {
        let file = self.env.store.get(&piece.song.file)?;
        let mut samples = Vec::with_capacity(piece.frames as usize);
        let (mut at, mut form) = (0u64, (piece.song.rate, 1));
        let mut sink = |more: &[f32], rate: u32, channels: u16| {
            form = (rate, channels);
            let width = usize::from(channels.max(1));
            let frames = (more.len() / width) as u64;
            let inside = |frame: u64| (frame.clamp(at, at + frames) - at) as usize * width;
            samples.extend_from_slice(&more[inside(piece.start)..inside(piece.start + piece.frames)]);
            at += frames;
            Ok(())
        };
        decode_bytes(&file, &mut sink).map_err(|e| bug(&e))?;
        Ok((samples, form.0, form.1))
    }
}

/// Mono at a rate, cut to `length` frames.
fn resampled(samples: &[f32], rate: u32, channels: u16, to: u32, length: u64) -> Result<Vec<f32>, Fault> {
    let mut out = Vec::with_capacity(length as usize + 1);
    let mut resampler = Resampler::new(rate, to, channels, 1).map_err(|e| bug(&e))?;
    resampler.push(samples, &mut out).map_err(|e| bug(&e))?;
    resampler.finish(&mut out).map_err(|e| bug(&e))?;
    out.truncate(length as usize);
    Ok(out)
}
