//! Streaming decode of any sound file to interleaved `f32`, by content alone.
//!
//! One pass, in bounded memory, whatever a header claims. A file either decodes as a whole or is refused: a
//! packet that cannot be decoded, once sound has begun, refuses the file. A stream that merely stops (a truncated
//! WAV, say) is kept as far as it goes, as other decoders keep it.

use std::io::{Cursor, Read, Seek};
use std::path::Path;

use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::container::flac::{Frames, Header, Next, Stream};
use super::container::{self, Sound};
use super::pass::{Pass, because, decoder, guard};
pub use super::refusal::{AudioRefusal, DecodeError, Reason};
use super::source::Source;
use super::total::Total;
pub use super::total::{Decoded, MAX_CHANNELS, MAX_SECONDS, RATES, Sink};
use crate::untrusted;

/// The decoder's version, for memo keys: refusals and samples are a function of the bytes and of this.
pub const DECODER: &str = "symphonia 0.6.1 + refrain 2";

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
    let found = container::survey(&mut reader, length)?;
    let mut total = Total::new(sink);
    total.edit = found.track.and_then(|track| found.movie.as_ref()?.edit(track));
    match found.sound {
        Sound::Samples(samples) => {
            let (rate, channels) = (samples.rate, usize::from(samples.channels));
            samples
                .read(&mut reader, &mut |block| total.take(rate, channels, (block.len() / channels) as u64, block))?;
            total.finish()
        }
        Sound::Packets(packets) => {
            let mut decoder = decoder(&packets.params, &AudioDecoderOptions::default())?;
            packets.read(&mut reader, &mut |bytes| take(decoder.as_mut(), bytes, packets.frames, &mut total))?;
            total.finish()
        }
        Sound::Flac(stream) => flac(reader, &stream, total),
        Sound::Stream(view) => {
            let (source, health) = Source::new(reader, view);
            let pass = Pass { health: &health, movie: found.movie.as_ref(), total };
            let decoded = pass.run(MediaSourceStream::new(Box::new(source), Default::default()));
            // Of a source that failed nothing is known, whatever the library made of it: a probe takes it for no sound, a
            // demuxer for the end of the stream.
            match health.failure() {
                Some(failure) if !matches!(decoded, Err(DecodeError::Sink(_))) => Err(DecodeError::Failed(failure)),
                _ => decoded,
            }
        }
    }
}

/// Decodes one packet and takes its sound.
fn take(decoder: &mut dyn AudioDecoder, bytes: &[u8], frames: u64, total: &mut Total<'_>) -> Result<(), DecodeError> {
    let packet = PacketRef::new(0, Timestamp::ZERO, Duration::new(frames), bytes);
    match guard(|| decoder.decode_ref(&packet))? {
        Ok(buffer) => total.take_buffer(&buffer),
        Err(error) => Err(because(error, &total.at())),
    }
}

/// Decodes a FLAC stream frame by frame.
fn flac<R: Read + Seek>(reader: R, stream: &Stream, mut total: Total<'_>) -> Result<Decoded, DecodeError> {
    let mut frames = Frames::new(reader, stream)?;
    let mut first: Option<(Header, Box<dyn AudioDecoder>)> = None;
    let missing = |total: &Total<'_>| {
        DecodeError::refuse(Reason::Corrupt, format!("frames are missing or damaged {}", total.at()))
    };
    loop {
        let (header, ends, last) = match frames.next()? {
            Next::End => break,
            Next::Frame(header, end) => (header, vec![end], false),
            Next::Last(header, ends) => (header, ends, true),
        };
        let (begun, decoder) = match &mut first {
            Some((begun, decoder)) => (*begun, decoder),
            none => {
                let (_, decoder) = none.insert((header, flac_decoder(stream, &header)?));
                (header, decoder)
            }
        };
        let (was, is) = (stream.form(&begun), stream.form(&header));
        if was != is {
            let form = |(rate, channels): (Option<u32>, u8)| (rate.unwrap_or(0), u16::from(channels));
            return Err(total.changes(form(was), form(is)));
        }
        if ends.is_empty() {
            // The file ends within the frame: of a whole one whose checksum is wrong, all samples would decode.
            let packet = PacketRef::new(0, Timestamp::ZERO, Duration::new(u64::from(header.block)), frames.bytes());
            match guard(|| decoder.decode_ref(&packet).is_ok())? {
                true => return Err(missing(&total)),
                false => frames.skip(usize::MAX),
            }
            break;
        }
        // Where nothing but the checksum says where the last frame ends, it may be right by chance: too early, and samples
        // are missing.
        let mut outcome = Err(missing(&total));
        for end in ends {
            outcome = take(decoder.as_mut(), &frames.bytes()[..end], u64::from(header.block), &mut total);
            if !matches!(outcome, Err(DecodeError::Refused(_))) || !last {
                frames.skip(end);
                break;
            }
        }
        outcome?;
        if last {
            // Of a stream whose length is stated, nothing but tags may follow the last frame.
            let short = stream.total().is_some_and(|stated| total.decoded < stated) && !frames.bytes().is_empty();
            if short || frames.lost(&header)? {
                return Err(missing(&total));
            }
            break;
        }
    }
    let Some((_, mut decoder)) = first else {
        return Err(DecodeError::refuse(Reason::Corrupt, "flac: no frame where the metadata end"));
    };
    total.verify(decoder.as_mut(), stream.total())?;
    total.finish()
}

fn flac_decoder(stream: &Stream, first: &Header) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    let mut params = AudioCodecParameters::new();
    params.for_codec(CODEC_ID_FLAC).with_extra_data(Box::from(stream.info(first)));
    decoder(&params, &AudioDecoderOptions::default().verify(true))
}
