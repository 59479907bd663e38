//! Vorbis of more than two channels, decoded by lewton.
//!
//! symphonia 0.6.1 gets three things of the Vorbis I specification wrong that mono and stereo do not meet: it undoes
//! channel couplings in the order in which they are listed instead of the reverse (4.3.5), reads classifications of a
//! channel that lie past its last partition into those of the next channel (8.6.2), and finds the second channel of a
//! pair at the wrong place (8.6.5). Mono and stereo stay with it, because it is the faster one.

use lewton::audio::{PreviousWindowRight, read_audio_packet_generic};
use lewton::header::{IdentHeader, SetupHeader, read_header_ident, read_header_setup};
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;

/// Size of the identification header in bytes, behind which the demuxers put the setup header.
const IDENT: usize = 30;
/// The most frames that a packet gives.
const MOST: usize = 1 << 13;

/// A decoder in the place of symphonia's.
pub(super) struct Vorbis {
    params: AudioCodecParameters,
    ident: IdentHeader,
    setup: SetupHeader,
    window: PreviousWindowRight,
    buffer: AudioBuffer<f32>,
}

impl Vorbis {
    /// The decoder for a track, if it is one of Vorbis with more than two channels whose headers can be read.
    pub(super) fn of_many_channels(params: &AudioCodecParameters) -> Option<Box<dyn AudioDecoder>> {
        let extra = params.extra_data.as_deref().filter(|_| params.codec == CODEC_ID_VORBIS)?;
        let (ident, setup) = extra.split_at_checked(IDENT)?;
        let ident = read_header_ident(ident).ok().filter(|ident| ident.audio_channels > 2)?;
        let setup = read_header_setup(setup, ident.audio_channels, (ident.blocksize_0, ident.blocksize_1)).ok()?;
        let spec = AudioSpec::new(ident.audio_sample_rate, Channels::Discrete(u16::from(ident.audio_channels)));
        let (params, buffer) = (params.clone(), AudioBuffer::new(spec, MOST));
        Some(Box::new(Vorbis { params, ident, setup, window: PreviousWindowRight::new(), buffer }))
    }

    fn packet(&mut self, packet: &PacketRef<'_>) -> Result<()> {
        self.buffer.clear();
        let read = read_audio_packet_generic::<Vec<Vec<f32>>>(&self.ident, &self.setup, packet.data, &mut self.window);
        let planes = read.map_err(|_| Error::DecodeError("vorbis: a packet cannot be decoded"))?;
        let frames = planes.first().map_or(0, Vec::len).min(MOST);
        self.buffer.render_uninit(Some(frames));
        for (channel, samples) in planes.iter().enumerate() {
            let place = place(self.ident.audio_channels, channel);
            let plane = self.buffer.plane_mut(place).ok_or(Error::DecodeError("vorbis: a channel is missing"))?;
            let samples = samples.get(..frames).ok_or(Error::DecodeError("vorbis: channels differ in length"))?;
            plane.copy_from_slice(samples);
        }
        self.buffer.trim(packet.trim_start.get() as usize, packet.trim_end.get() as usize);
        Ok(())
    }
}

/// The place of a channel in the order of WAV, in which symphonia's decoder hands them out (Vorbis I, 4.3.9).
fn place(channels: u8, channel: usize) -> usize {
    let places: &[usize] = match channels {
        3 => &[0, 2, 1],
        5 => &[0, 2, 1, 3, 4],
        6 => &[0, 2, 1, 4, 5, 3],
        7 => &[0, 2, 1, 5, 6, 4, 3],
        8 => &[0, 2, 1, 6, 7, 4, 5, 3],
        _ => &[],
    };
    places.get(channel).copied().unwrap_or(channel)
}

impl AudioDecoder for Vorbis {
    fn reset(&mut self) {
        self.window = PreviousWindowRight::new();
    }

    fn codec_info(&self) -> &CodecInfo {
        const INFO: CodecInfo = CodecInfo { short_name: "vorbis", long_name: "Vorbis", profiles: &[] };
        &INFO
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        if let Err(error) = self.packet(packet) {
            self.buffer.clear();
            return Err(error);
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}
