//! Streaming decode of any sound file to interleaved `f32`, by content alone.
//!
//! One pass, in bounded memory, whatever a header claims. A file either decodes as a whole or is refused: a
//! packet that cannot be decoded, once sound has begun, refuses the file. A stream that merely stops (a truncated
//! WAV, say) is kept as far as it goes, as other decoders keep it.

use std::io::{self, Cursor, ErrorKind, Read, Seek};
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_FLAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;

pub use super::refusal::{AudioRefusal, DecodeError, Reason};
use super::source::{Health, Source};
use super::{names, trim, view};
use crate::untrusted::{self, guarded};

/// The decoder's version, for memo keys: refusals and samples are a function of the bytes and of this.
pub const DECODER: &str = "symphonia 0.6.1 + refrain 1";

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
/// Limit on packets without data: they cost the file no bytes and could go on for ever.
const EMPTY_PACKETS: u32 = 1 << 16;

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

/// Decodes the first audio track with a known codec of the file at `path`, whatever its name.
///
/// # Errors
/// Refused for what the bytes are, failed where the file cannot be read; see [`DecodeError`].
pub fn decode(path: &Path, sink: Sink<'_>) -> Result<Decoded, DecodeError> {
    let file = untrusted::open(path).map_err(DecodeError::Failed)?;
    let length = file.metadata().map_err(DecodeError::Failed)?.len();
    decode_reader(file, length, sink)
}

/// Decodes a file that lies in memory, like [`decode`].
///
/// # Errors
/// Refused for what the bytes are; never failed.
pub fn decode_bytes(bytes: &[u8], sink: Sink<'_>) -> Result<Decoded, DecodeError> {
    decode_reader(Cursor::new(bytes), bytes.len() as u64, sink)
}

/// Decodes a seekable source of `length` bytes, like [`decode`].
///
/// # Errors
/// Refused for what the bytes are, failed where the source returns an error.
pub fn decode_reader<R: Read + Seek + Send + Sync>(
    mut reader: R,
    length: u64,
    sink: Sink<'_>,
) -> Result<Decoded, DecodeError> {
    if length == 0 {
        return Err(DecodeError::refuse(Reason::Empty, "the file has no bytes"));
    }
    let view = view::survey(&mut reader, length)?;
    let edit = trim::mp4_edit(&mut reader).map_err(DecodeError::Failed)?;
    let (source, health) = Source::new(reader, view);
    let mut pass = Pass { health: &health, edit, total: Total::default(), sink };
    let decoded = pass.run(MediaSourceStream::new(Box::new(source), Default::default()));
    // Of a source that failed nothing is known, whatever the library made of it: a probe takes it for no sound, a demuxer
    // for the end of the stream.
    match health.failure() {
        Some(failure) if !matches!(decoded, Err(DecodeError::Sink(_))) => Err(DecodeError::Failed(failure)),
        _ => decoded,
    }
}

/// Runs one call into the decoder library. A panic in there is a property of the bytes it was given.
fn guard<T>(call: impl FnOnce() -> T) -> Result<T, DecodeError> {
    guarded(call)
        .map_err(|said| DecodeError::refuse(Reason::Panicked, format!("the decoder panicked on these bytes: {said}")))
}

struct Pass<'a> {
    health: &'a Health,
    edit: Option<trim::Edit>,
    total: Total,
    sink: Sink<'a>,
}

impl Pass<'_> {
    fn run(&mut self, stream: MediaSourceStream<'_>) -> Result<Decoded, DecodeError> {
        let probed = guard(|| {
            symphonia::default::get_probe().probe(&Default::default(), stream, Default::default(), Default::default())
        })?;
        let mut format = probed.map_err(|error| match error {
            Error::Unsupported(what) if what.starts_with("core (probe)") => {
                DecodeError::refuse(Reason::UnknownFormat, "no reader recognises the contents as sound")
            }
            other => Self::because(other, "at the start"),
        })?;
        let (mut id, mut decoder) = self.open(format.as_ref())?;
        let codec = decoder.codec_params().codec;
        let stated = format.tracks().iter().find(|track| track.id == id).and_then(stated_frames);
        let mut empty = 0;
        let (mut first, mut oversized) = (true, false);
        loop {
            let next = guard(|| format.next_packet())?;
            let packet = match next {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(Error::ResetRequired) => {
                    // A chained stream: another begins. It is kept if it goes on in the same form.
                    (id, decoder) = self.open(format.as_ref())?;
                    continue;
                }
                Err(Error::IoError(error)) if self.is_end(&error) => break,
                Err(error) => return Err(Self::because(error, &self.total.at())),
            };
            if packet.data.is_empty() {
                empty += 1;
                if empty > EMPTY_PACKETS {
                    return Err(DecodeError::refuse(Reason::Corrupt, "the stream holds countless empty packets"));
                }
            }
            if packet.track_id == id {
                if codec == CODEC_ID_AAC && first && self.total.trim == trim::Trim::default() {
                    self.total.trim.start = trim::faac_delay(&packet.data);
                }
                first = false;
                oversized |= packet.data.len() as u64 > self.total.most_bytes(&packet);
                self.packet(decoder.as_mut(), &packet)?;
            }
        }
        // The reader of FLAC looks for the next frame that fits and passes over what does not, so a gap may lie
        // anywhere. The header's count of frames shows it. Where it states none, the checksum of all samples does,
        // if there is one, and so does a packet too large for its frame, beyond what tags at the end explain.
        let damaged = codec == CODEC_ID_FLAC
            && match stated {
                Some(stated) => self.total.decoded < stated,
                None => oversized || decoder.finalize().verify_ok == Some(false),
            };
        if damaged {
            let message = format!("frames are missing or damaged: {} of them decode", self.total.decoded);
            return Err(DecodeError::refuse(Reason::Corrupt, message));
        }
        self.total.finish(self.sink)
    }

    /// Picks the track, makes its decoder and settles what is trimmed.
    fn open(&mut self, format: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>), DecodeError> {
        let track = choose(format)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        let Some(params) = params else {
            return Err(DecodeError::refuse(Reason::NoAudioStream, "the container has no audio track"));
        };
        let mpeg = is_mpeg_audio(params.codec);
        self.total.trim =
            if mpeg { trim::Trim::from_lame(track) } else { trim::Trim::from_edit(self.edit.as_ref(), track) };
        // The MPEG reader estimates the length of a stream without a Xing header from its first packets and cuts
        // what lies beyond; only the delay and padding that a header states are trimmed here.
        let verify = params.codec == CODEC_ID_FLAC && stated_frames(track).is_none();
        let options = AudioDecoderOptions::default().gapless(!mpeg).verify(verify);
        let made = guard(|| symphonia::default::get_codecs().make_audio_decoder(params, &options))?;
        let decoder = made.map_err(|error| match error {
            Error::Unsupported(what) => DecodeError::refuse(
                Reason::UnsupportedCodec,
                format!("no decoder for {}: {what}", names::codec(params.codec)),
            ),
            other => Self::because(other, "at the start"),
        })?;
        Ok((track.id, decoder))
    }

    fn packet(&mut self, decoder: &mut dyn AudioDecoder, packet: &Packet) -> Result<(), DecodeError> {
        let decoded = guard(|| decoder.decode(packet))?;
        match decoded {
            Ok(buffer) => self.total.take(&buffer, self.sink),
            // Before the first frame of sound, a packet may lean on others that were cut away.
            Err(Error::DecodeError(_)) if self.total.decoded == 0 => Ok(()),
            Err(error) => Err(Self::because(error, &self.total.at())),
        }
    }

    /// Whether the demuxer met the end of the bytes, rather than a failing source.
    fn is_end(&self, error: &io::Error) -> bool {
        error.kind() == ErrorKind::UnexpectedEof && !self.health.exhausted() && self.health.is_sound()
    }

    /// The refusal for an error of the library. Where the source failed, [`decode_reader`] says so in its place.
    fn because(error: Error, at: &str) -> DecodeError {
        match error {
            Error::Unsupported(what) => {
                DecodeError::refuse(Reason::UnsupportedCodec, format!("unsupported feature {at}: {what}"))
            }
            other => DecodeError::refuse(Reason::Corrupt, format!("{other}, {at}")),
        }
    }
}

/// The length that a header states; 0 stands for an unknown one.
fn stated_frames(track: &Track) -> Option<u64> {
    track.num_frames.filter(|frames| *frames > 0)
}

fn is_mpeg_audio(codec: AudioCodecId) -> bool {
    [CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3].contains(&codec)
}

/// The first audio track whose codec has a decoder, or the reason why there is none.
fn choose(format: &dyn FormatReader) -> Result<&Track, DecodeError> {
    let codec =
        |track: &Track| track.codec_params.as_ref().and_then(|params| params.audio()).map(|params| params.codec);
    let registry = symphonia::default::get_codecs();
    let has_decoder = |track: &&Track| {
        codec(track).is_some_and(|id| id != CODEC_ID_NULL_AUDIO && registry.get_audio_decoder(id).is_some())
    };
    if let Some(track) = format.tracks().iter().find(has_decoder) {
        return Ok(track);
    }
    match format.first_track(TrackType::Audio).and_then(codec) {
        Some(id) => Err(DecodeError::refuse(Reason::UnsupportedCodec, format!("no decoder for {}", names::codec(id)))),
        None => Err(DecodeError::refuse(Reason::NoAudioStream, "the container has no audio track")),
    }
}

/// The running state of the output: what has been decoded, kept and hashed.
#[derive(Default)]
struct Total {
    /// Rate and channels, once known.
    form: Option<(u32, u16)>,
    trim: trim::Trim,
    /// Frames decoded, trimmed ones included.
    decoded: u64,
    /// Frames kept.
    frames: u64,
    hasher: blake3::Hasher,
    block: Vec<f32>,
    bytes: Vec<u8>,
    packet: Vec<f32>,
}

impl Total {
    /// Position in the stream, for messages.
    fn at(&self) -> String {
        let rate = self.form.map_or(1, |(rate, _)| rate);
        format!("at second {:.2}", self.decoded as f64 / f64::from(rate))
    }

    /// More bytes than a FLAC packet needs: 33 bits for each sample, and room for tags at the end.
    fn most_bytes(&self, packet: &Packet) -> u64 {
        let channels = self.form.map_or(u64::from(MAX_CHANNELS), |(_, channels)| u64::from(channels));
        packet.block_dur().get().saturating_mul(channels).saturating_mul(5).saturating_add(1 << 16)
    }

    fn take(&mut self, buffer: &GenericAudioBufferRef<'_>, sink: Sink<'_>) -> Result<(), DecodeError> {
        let frames = buffer.frames() as u64;
        if frames == 0 {
            return Ok(());
        }
        let channels = buffer.spec().channels().count();
        let form = match u16::try_from(channels) {
            Ok(channels @ 1..=MAX_CHANNELS) => (buffer.spec().rate(), channels),
            _ => {
                let message = format!("{channels} channels; the most is {MAX_CHANNELS}");
                return Err(DecodeError::refuse(Reason::TooManyChannels, message));
            }
        };
        match self.form {
            None => self.start(form)?,
            Some(known) if known == form => {}
            Some((rate, channels)) => {
                let message = format!(
                    "{rate} Hz and {channels} channels turn into {} Hz and {} channels {}",
                    form.0,
                    form.1,
                    self.at()
                );
                return Err(DecodeError::refuse(Reason::RateChangesMidway, message));
            }
        }
        let kept = self.trim.keep(self.decoded, frames);
        self.decoded += frames;
        if self.decoded / u64::from(form.0) > MAX_SECONDS {
            let message = format!("longer than {} hours", MAX_SECONDS / 3600);
            return Err(DecodeError::refuse(Reason::TooLong, message));
        }
        buffer.copy_to_vec_interleaved(&mut self.packet);
        for range in kept {
            self.frames += range.end - range.start;
            let samples = range.start as usize * channels..range.end as usize * channels;
            self.block.extend_from_slice(&self.packet[samples]);
        }
        if self.block.len() >= BLOCK { self.pass_on(sink) } else { Ok(()) }
    }

    fn start(&mut self, (rate, channels): (u32, u16)) -> Result<(), DecodeError> {
        if !RATES.contains(&rate) {
            let message = format!("{rate} Hz; from {} to {} Hz is kept", RATES.start(), RATES.end());
            return Err(DecodeError::refuse(Reason::UnsupportedRate, message));
        }
        self.form = Some((rate, channels));
        self.hasher.update(&rate.to_le_bytes());
        self.hasher.update(&channels.to_le_bytes());
        Ok(())
    }

    /// Hashes the block and hands it to the sink.
    fn pass_on(&mut self, sink: Sink<'_>) -> Result<(), DecodeError> {
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
        sink(&self.block, rate, channels).map_err(DecodeError::Sink)?;
        self.block.clear();
        Ok(())
    }

    fn finish(&mut self, sink: Sink<'_>) -> Result<Decoded, DecodeError> {
        self.pass_on(sink)?;
        match self.form {
            Some((rate, channels)) if self.frames > 0 => {
                Ok(Decoded { frames: self.frames, rate, channels, digest: *self.hasher.finalize().as_bytes() })
            }
            _ => Err(DecodeError::refuse(Reason::Empty, "the stream holds no frame of sound")),
        }
    }
}
