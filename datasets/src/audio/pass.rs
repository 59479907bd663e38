//! One pass over a stream whose container symphonia reads.

use std::io::{self, ErrorKind};

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_FLAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3,
};
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;

use super::container::{flac, mp4::Movie};
use super::refusal::{DecodeError, Reason};
use super::source::Health;
use super::total::{Decoded, Total};
use super::vorbis::Vorbis;
use super::{names, trim};
use crate::untrusted::guarded;

/// Limit on packets without data: they cost the file no bytes and could go on for ever.
const EMPTY_PACKETS: u32 = 1 << 16;

/// Runs one call into the decoder library. A panic in there is a property of the bytes it was given.
pub(super) fn guard<T>(call: impl FnOnce() -> T) -> Result<T, DecodeError> {
    guarded(call)
        .map_err(|said| DecodeError::refuse(Reason::Panicked, format!("the decoder panicked on these bytes: {said}")))
}

/// One pass over a stream that a demuxer of symphonia's reads.
pub(super) struct Pass<'a> {
    pub(super) health: &'a Health,
    pub(super) movie: Option<&'a Movie>,
    pub(super) total: Total<'a>,
}

impl Pass<'_> {
    pub(super) fn run(mut self, stream: MediaSourceStream<'_>) -> Result<Decoded, DecodeError> {
        let probed = guard(|| {
            symphonia::default::get_probe().probe(&Default::default(), stream, Default::default(), Default::default())
        })?;
        let mut format = probed.map_err(|error| match error {
            Error::Unsupported(what) if what.starts_with("core (probe)") => {
                DecodeError::refuse(Reason::UnknownFormat, "no reader recognises the contents as sound")
            }
            other => because(other, "at the start"),
        })?;
        let (mut id, mut decoder) = self.open(format.as_ref())?;
        let codec = decoder.codec_params().codec;
        let mut empty = 0;
        let (mut first, mut before) = (true, None);
        loop {
            let next = guard(|| format.next_packet())?;
            let packet = match next {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(Error::ResetRequired) => {
                    // A chained stream: another begins. It is kept if it goes on in the same form.
                    self.verify(decoder.as_mut())?;
                    (id, decoder) = self.open(format.as_ref())?;
                    before = None;
                    continue;
                }
                Err(Error::IoError(error)) if self.is_end(&error) => break,
                Err(error) => return Err(because(error, &self.total.at())),
            };
            if packet.data.is_empty() {
                empty += 1;
                if empty > EMPTY_PACKETS {
                    return Err(DecodeError::refuse(Reason::Corrupt, "the stream holds countless empty packets"));
                }
            }
            if packet.track_id == id {
                if codec == CODEC_ID_AAC && first {
                    self.total.delay = trim::faac_delay(&packet.data);
                }
                first = false;
                if codec == CODEC_ID_FLAC {
                    self.follows(&mut before, &packet.data)?;
                }
                self.packet(decoder.as_mut(), &packet)?;
            }
        }
        self.verify(decoder.as_mut())?;
        self.total.finish()
    }

    /// Refuses a frame of FLAC that does not follow the one before: containers have holes of which they say nothing.
    fn follows(&self, before: &mut Option<flac::Header>, frame: &[u8]) -> Result<(), DecodeError> {
        let next = flac::Header::read(frame);
        if let (Some(before), Some(next)) = (*before, next)
            && !before.precedes(&next)
        {
            let message = format!("frames are missing {}", self.total.at());
            return Err(DecodeError::refuse(Reason::Corrupt, message));
        }
        *before = next;
        Ok(())
    }

    /// Holds a stream of FLAC to its checksum.
    fn verify(&self, decoder: &mut dyn AudioDecoder) -> Result<(), DecodeError> {
        let params = decoder.codec_params();
        if params.codec != CODEC_ID_FLAC {
            return Ok(());
        }
        let stated = params.extra_data.as_deref().and_then(flac::total);
        self.total.verify(decoder, stated)
    }

    /// Picks the track, makes its decoder and settles what is trimmed.
    fn open(&mut self, format: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>), DecodeError> {
        let track = choose(format)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        let Some(params) = params else {
            return Err(DecodeError::refuse(Reason::NoAudioStream, "the container has no audio track"));
        };
        let mpeg = is_mpeg_audio(params.codec);
        self.total.since = self.total.decoded;
        self.total.edit = self.movie.and_then(|movie| movie.edit(track.id));
        self.total.trim =
            if mpeg && self.movie.is_none() { trim::Trim::from_lame(track) } else { trim::Trim::default() };
        // The MPEG reader estimates the length of a stream without a Xing header from its first packets and cuts
        // what lies beyond; only the delay and padding that a header states are trimmed here.
        let options = AudioDecoderOptions::default().gapless(!mpeg).verify(params.codec == CODEC_ID_FLAC);
        Ok((track.id, decoder(params, &options)?))
    }

    fn packet(&mut self, decoder: &mut dyn AudioDecoder, packet: &Packet) -> Result<(), DecodeError> {
        let decoded = guard(|| decoder.decode(packet))?;
        match decoded {
            Ok(buffer) => self.total.take_buffer(&buffer),
            // Before the first frame of sound, a packet may lean on others that were cut away.
            Err(Error::DecodeError(_)) if self.total.decoded == 0 => Ok(()),
            Err(error) => Err(because(error, &self.total.at())),
        }
    }

    /// Whether the demuxer met the end of the bytes, rather than a failing source.
    fn is_end(&self, error: &io::Error) -> bool {
        error.kind() == ErrorKind::UnexpectedEof && !self.health.exhausted() && self.health.is_sound()
    }
}

/// The refusal for an error of the library. Where the source failed, whoever made it says so in its place.
pub(super) fn because(error: Error, at: &str) -> DecodeError {
    match error {
        Error::Unsupported(what) => {
            DecodeError::refuse(Reason::UnsupportedCodec, format!("unsupported feature {at}: {what}"))
        }
        other => DecodeError::refuse(Reason::Corrupt, format!("{other}, {at}")),
    }
}

/// The decoder for a codec.
pub(super) fn decoder(
    params: &AudioCodecParameters,
    options: &AudioDecoderOptions,
) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    if let Some(made) = guard(|| Vorbis::of_many_channels(params))? {
        return Ok(made);
    }
    let made = guard(|| symphonia::default::get_codecs().make_audio_decoder(params, options))?;
    made.map_err(|error| match error {
        Error::Unsupported(what) => DecodeError::refuse(
            Reason::UnsupportedCodec,
            format!("no decoder for {}: {what}", names::codec(params.codec)),
        ),
        other => because(other, "at the start"),
    })
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
