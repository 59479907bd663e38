//! What becomes of decoded samples: they are trimmed, counted, hashed and handed on, or refused for what they are.

use std::io;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoder;

use super::refusal::{DecodeError, Reason};
use super::trim::{Edit, Trim};

/// The most channels of a kept file.
pub const MAX_CHANNELS: u16 = 64;
/// The sample rates of kept files, in Hz.
pub const RATES: RangeInclusive<u32> = 1_000..=768_000;
/// The longest kept file, in seconds: what ends a small file that unpacks without end.
pub const MAX_SECONDS: u64 = 24 * 3600;

/// A sample beyond this magnitude is no audio at any scale in use (the largest is that of 32-bit integers).
const MAX_MAGNITUDE: f32 = 4_294_967_296.0;
/// Samples are hashed and handed on in blocks of at least this many (64 KiB): blake3 is several times faster on
/// long inputs, and the receivers need fewer calls.
const BLOCK: usize = 16 * 1024;
/// Result of one pass over a file: frames, rate, channels, digest of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decoded {
    /// Frames handed to the sink, after trimming encoder delay and padding.
    pub frames: u64,
    /// Sample rate in Hz.
    pub rate: u32,
    /// Channels of a frame.
    pub channels: u16,
    /// blake3 of the rate (u32), the channels (u16) and all interleaved samples (f32), little-endian.
    pub digest: [u8; 32],
}

/// Takes interleaved samples (whole frames), the rate in Hz and the channels; both stay the same from call to call.
/// An error ends the decode with [`DecodeError::Sink`].
pub type Sink<'a> = &'a mut dyn FnMut(&[f32], u32, u16) -> io::Result<()>;

/// The running state of the output: what has been decoded, kept and hashed.
pub(super) struct Total<'a> {
    sink: Sink<'a>,
    /// Rate and channels, once known.
    form: Option<(u32, u16)>,
    pub(super) trim: Trim,
    /// What an MP4 file presents of the track: its trim, once the rate is known.
    pub(super) edit: Option<Edit>,
    /// Frames of the encoder's delay, where the file states no trim at all.
    pub(super) delay: u64,
    /// Frames decoded, trimmed ones included.
    pub(super) decoded: u64,
    /// Frames decoded before the stream that is read now, of several in a row.
    pub(super) since: u64,
    /// Frames kept.
    frames: u64,
    hasher: blake3::Hasher,
    block: Vec<f32>,
    bytes: Vec<u8>,
    packet: Vec<f32>,
}

impl<'a> Total<'a> {
    pub(super) fn new(sink: Sink<'a>) -> Total<'a> {
        Total {
            sink,
            form: None,
            trim: Trim::default(),
            edit: None,
            delay: 0,
            decoded: 0,
            since: 0,
            frames: 0,
            hasher: blake3::Hasher::new(),
            block: Vec::new(),
            bytes: Vec::new(),
            packet: Vec::new(),
        }
    }

    /// Position in the stream, for messages.
    pub(super) fn at(&self) -> String {
        let rate = self.form.map_or(1, |(rate, _)| rate);
        format!("at second {:.2}", self.decoded as f64 / f64::from(rate))
    }

    /// Takes what a decoder made of a packet.
    pub(super) fn take_buffer(&mut self, buffer: &GenericAudioBufferRef<'_>) -> Result<(), DecodeError> {
        if buffer.frames() == 0 {
            return Ok(());
        }
        let (rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
        let mut packet = std::mem::take(&mut self.packet);
        // Too many channels are refused before they are copied.
        if channels <= usize::from(MAX_CHANNELS) {
            buffer.copy_to_vec_interleaved(&mut packet);
        }
        let taken = self.take(rate, channels, buffer.frames() as u64, &packet);
        self.packet = packet;
        taken
    }

    /// Takes interleaved frames.
    pub(super) fn take(&mut self, rate: u32, channels: usize, frames: u64, samples: &[f32]) -> Result<(), DecodeError> {
        if frames == 0 {
            return Ok(());
        }
        let form = match u16::try_from(channels) {
            Ok(channels @ 1..=MAX_CHANNELS) => (rate, channels),
            _ => {
                let message = format!("{channels} channels; the most is {MAX_CHANNELS}");
                return Err(DecodeError::refuse(Reason::TooManyChannels, message));
            }
        };
        match self.form {
            None => self.start(form)?,
            Some(known) if known == form => {}
            Some(known) => return Err(self.changes(known, form)),
        }
        let kept = self.trim.keep(self.decoded, frames);
        self.decoded += frames;
        if self.decoded / u64::from(form.0) > MAX_SECONDS {
            let message = format!("longer than {} hours", MAX_SECONDS / 3600);
            return Err(DecodeError::refuse(Reason::TooLong, message));
        }
        for range in kept {
            self.frames += range.end - range.start;
            let part = range.start as usize * channels..range.end as usize * channels;
            self.block.extend_from_slice(&samples[part]);
        }
        if self.block.len() >= BLOCK { self.pass_on() } else { Ok(()) }
    }

    /// The refusal of a stream that goes on in another form.
    pub(super) fn changes(&self, was: (u32, u16), is: (u32, u16)) -> DecodeError {
        let at = self.at();
        let message = format!("{} Hz and {} channels turn into {} Hz and {} channels {at}", was.0, was.1, is.0, is.1);
        let reason = if was.0 == is.0 { Reason::ChannelsChangeMidway } else { Reason::RateChangesMidway };
        DecodeError::refuse(reason, message)
    }

    /// Holds a stream of FLAC to the MD5 of its samples. One that merely stops before the stated frames has none.
    pub(super) fn verify(&self, decoder: &mut dyn AudioDecoder, stated: Option<u64>) -> Result<(), DecodeError> {
        let cut = stated.is_some_and(|stated| self.decoded - self.since < stated);
        if !cut && decoder.finalize().verify_ok == Some(false) {
            let message = "flac: the samples are not those whose MD5 the file states";
            return Err(DecodeError::refuse(Reason::Corrupt, message));
        }
        Ok(())
    }

    fn start(&mut self, (rate, channels): (u32, u16)) -> Result<(), DecodeError> {
        if !RATES.contains(&rate) {
            let message = format!("{rate} Hz; from {} to {} Hz is kept", RATES.start(), RATES.end());
            return Err(DecodeError::refuse(Reason::UnsupportedRate, message));
        }
        self.form = Some((rate, channels));
        if let Some(edit) = &self.edit {
            self.trim = Trim::from_edit(edit, rate);
        }
        if self.trim == Trim::default() {
            self.trim.start = self.delay;
        }
        self.hasher.update(&rate.to_le_bytes());
        self.hasher.update(&channels.to_le_bytes());
        Ok(())
    }

    /// Hashes the block and hands it to the sink.
    fn pass_on(&mut self) -> Result<(), DecodeError> {
        let Some((rate, channels)) = self.form else { return Ok(()) };
        // A comparison that a NaN fails, without an early exit, so that it runs in vector registers.
        let sound = self.block.iter().fold(true, |sound, x| sound & (x.abs() <= MAX_MAGNITUDE));
        if !sound {
            let message = format!("holds a sample that is no number or over 2^32, before second {:.2}", {
                self.decoded as f64 / f64::from(rate)
            });
            return Err(DecodeError::refuse(Reason::NotFinite, message));
        }
        self.bytes.clear();
        self.bytes.extend(self.block.iter().flat_map(|sample| sample.to_le_bytes()));
        self.hasher.update(&self.bytes);
        (self.sink)(&self.block, rate, channels).map_err(DecodeError::Sink)?;
        self.block.clear();
        Ok(())
    }

    /// The result, once all sound was taken.
    pub(super) fn finish(mut self) -> Result<Decoded, DecodeError> {
        self.pass_on()?;
        match self.form {
            Some((rate, channels)) if self.frames > 0 => {
                Ok(Decoded { frames: self.frames, rate, channels, digest: *self.hasher.finalize().as_bytes() })
            }
            _ => Err(DecodeError::refuse(Reason::Empty, "the stream holds no frame of sound")),
        }
    }
}
