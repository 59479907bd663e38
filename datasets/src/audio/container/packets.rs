//! Packets of a compressed codec whose places in the file are known, and the parameters of their decoder.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_QT, CODEC_ID_ALAC};

use crate::audio::names::read_up_to;
use crate::audio::refusal::{DecodeError, Reason};

/// Bytes of a packet of Apple's IMA ADPCM for each channel, and the frames that they hold.
pub(super) const IMA4_BYTES: u64 = 34;
pub(super) const IMA4_FRAMES: u64 = 64;
/// The longest packet that is read.
const MOST: u64 = 1 << 24;

/// Places of packets and what their decoder must know.
#[derive(Debug)]
pub(crate) struct Packets {
    /// Parameters for symphonia's decoder.
    pub(crate) params: AudioCodecParameters,
    /// Offsets in the file, in the order of time.
    parts: Vec<Range<u64>>,
    /// Bytes of a packet, of which each part then holds several; else a part is a packet.
    each: Option<u64>,
    /// Frames of a packet, where that is the same for all.
    pub(crate) frames: u64,
}

impl Packets {
    /// Apple's IMA ADPCM: packets of 34 bytes for each channel.
    ///
    /// # Errors
    /// [`Reason::UnsupportedCodec`] where there are not one or two channels.
    pub(super) fn ima4(rate: u32, channels: u16, parts: Vec<Range<u64>>) -> Result<Packets, DecodeError> {
        if !(1..=2).contains(&channels) {
            let message = format!("no decoder for IMA ADPCM of {channels} channels");
            return Err(DecodeError::refuse(Reason::UnsupportedCodec, message));
        }
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(CODEC_ID_ADPCM_IMA_QT)
            .with_sample_rate(rate)
            .with_channels(Channels::Discrete(channels))
            .with_max_frames_per_packet(IMA4_FRAMES)
            .with_frames_per_block(IMA4_FRAMES);
        Ok(Packets { params, parts, each: Some(IMA4_BYTES * u64::from(channels)), frames: IMA4_FRAMES })
    }

    /// Apple Lossless with the cookie that configures its decoder.
    pub(super) fn alac(cookie: Vec<u8>, parts: Vec<Range<u64>>) -> Packets {
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_ALAC).with_extra_data(cookie.into_boxed_slice());
        Packets { params, parts, each: None, frames: 0 }
    }

    /// Hands on packet after packet. One that the end of the file cuts off ends the stream.
    ///
    /// # Errors
    /// Failed where the source is, and whatever `take` returns.
    pub(crate) fn read<R: Read + Seek>(
        &self,
        reader: &mut R,
        take: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            let length = part.end.saturating_sub(part.start);
            let each = self.each.unwrap_or(length);
            if each > MOST {
                return Err(DecodeError::refuse(Reason::Corrupt, format!("a packet of {each} bytes")));
            }
            reader.seek(SeekFrom::Start(part.start)).map_err(DecodeError::Failed)?;
            bytes.resize(usize::try_from(each).unwrap_or(usize::MAX), 0);
            for _ in 0..length.checked_div(each).unwrap_or(0) {
                if read_up_to(reader, &mut bytes).map_err(DecodeError::Failed)? < bytes.len() {
                    return Err(DecodeError::Failed(io::ErrorKind::UnexpectedEof.into()));
                }
                take(&bytes)?;
            }
        }
        Ok(())
    }
}
