//! AIFF and AIFF-C (Apple, Audio Interchange File Format, version 1.3, 1989; AIFF-C draft, 1991), and Sun's AU.
//!
//! Read here where samples are plain, because symphonia 0.6.1 refuses files whose sizes are wrong or that are cut, blocks
//! of SSND, and most compression types.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::packets::Packets;
use super::samples::{Encoding, Samples};
use super::sound::Sound;
use crate::audio::names::STEPS;
use crate::audio::refusal::{DecodeError, Reason};
use crate::audio::view::{at, be16, be32, be64, between};

/// Whether a file that begins like this is an AIFF.
pub(super) fn is(head: &[u8]) -> bool {
    head.starts_with(b"FORM") && matches!(&head[8..12], b"AIFF" | b"AIFC")
}

/// Whether a file that begins like this is an AU.
pub(super) fn is_au(head: &[u8]) -> bool {
    head.starts_with(b".snd")
}

/// The COMM chunk and the range of the samples in SSND, wherever either lies.
fn chunks<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> io::Result<(Vec<u8>, Option<Range<u64>>)> {
    let (mut common, mut sound, mut offset) = (Vec::new(), None, start + 12);
    for _ in 0..STEPS {
        if offset + 8 > length || sound.is_some() && !common.is_empty() {
            break;
        }
        let head: [u8; 16] = at(reader, offset)?;
        let (size, body) = (u64::from(be32(&head, 4)), offset + 8);
        let end = body.saturating_add(size).min(length);
        match &head[..4] {
            b"COMM" => common = between(reader, body..end, 256)?,
            b"SSND" => {
                let first = (body + 8).saturating_add(u64::from(be32(&head, 8))).min(length);
                // A size of 0 was never written.
                sound = Some(first..if size == 0 { length } else { end.max(first) });
            }
            _ => {}
        }
        offset = body + size + size % 2;
    }
    Ok((common, sound))
}

/// What an AIFF file holds, which begins at `start`.
///
/// # Errors
/// Refused for what the header says, failed where the source is.
pub(super) fn survey<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> Result<Sound, DecodeError> {
    let (common, sound) = chunks(reader, start, length).map_err(DecodeError::Failed)?;
    let corrupt = |what: &str| DecodeError::refuse(Reason::Corrupt, format!("aiff: {what}"));
    if common.len() < 18 {
        return Err(corrupt("no COMM chunk"));
    }
    let Some(mut sound) = sound else { return Err(corrupt("no SSND chunk")) };
    let (channels, frames, bits) = (be16(&common, 0), u64::from(be32(&common, 2)), be16(&common, 6));
    let rate = extended(&common[8..18]).ok_or_else(|| corrupt("the sample rate is no number"))?;
    let depth = u8::try_from(bits.div_ceil(8)).unwrap_or(u8::MAX);
    let kind = common.get(18..22).unwrap_or(b"NONE");
    let (encoding, width, big_endian) = match kind {
        b"NONE" | b"twos" => (Encoding::Signed, depth, true),
        b"sowt" => (Encoding::Signed, depth, false),
        b"raw " => (Encoding::Unsigned, 1, true),
        b"in24" => (Encoding::Signed, 3, true),
        b"42ni" => (Encoding::Signed, 3, false),
        b"in32" => (Encoding::Signed, 4, true),
        b"23ni" => (Encoding::Signed, 4, false),
        b"fl32" | b"FL32" => (Encoding::Float, 4, true),
        b"fl64" | b"FL64" => (Encoding::Float, 8, true),
        b"alaw" | b"ALAW" => (Encoding::ALaw, 1, true),
        b"ulaw" | b"ULAW" => (Encoding::MuLaw, 1, true),
        b"ima4" => return Packets::ima4(rate, channels, vec![sound]).map(Sound::Packets),
        kind => {
            let message = format!("no decoder for AIFF-C of type {:?}", String::from_utf8_lossy(kind));
            return Err(DecodeError::refuse(Reason::UnsupportedCodec, message));
        }
    };
    // SSND may be longer than its frames: it is padded to an even length, and by some to blocks.
    let stated = frames.saturating_mul(u64::from(width)).saturating_mul(u64::from(channels));
    if stated > 0 {
        sound.end = sound.end.min(sound.start.saturating_add(stated));
    }
    Samples { rate, channels, encoding, width, big_endian, parts: vec![sound] }.checked("aiff").map(Sound::Samples)
}

/// What an AU file holds (audio file format of SunOS 4, `audio_filehdr`), which begins at `start`.
///
/// # Errors
/// Refused for what the header says, failed where the source is.
pub(super) fn survey_au<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> Result<Sound, DecodeError> {
    let head: [u8; 24] = at(reader, start).map_err(DecodeError::Failed)?;
    let first = start.saturating_add(u64::from(be32(&head, 4))).min(length);
    let end = match be32(&head, 8) {
        u32::MAX => length,
        size => first.saturating_add(u64::from(size)).min(length),
    };
    let (encoding, width) = match be32(&head, 12) {
        1 => (Encoding::MuLaw, 1),
        kind @ 2..=5 => (Encoding::Signed, (kind - 1) as u8),
        6 => (Encoding::Float, 4),
        7 => (Encoding::Float, 8),
        27 => (Encoding::ALaw, 1),
        kind => {
            let message = format!("no decoder for encoding {kind} of AU");
            return Err(DecodeError::refuse(Reason::UnsupportedCodec, message));
        }
    };
    let channels = u16::try_from(be32(&head, 20)).unwrap_or(u16::MAX);
    let (rate, data) = (be32(&head, 16), first..end);
    Samples { rate, channels, encoding, width, big_endian: true, parts: vec![data] }.checked("au").map(Sound::Samples)
}

/// The whole part of a number in extended precision (IEEE 754, 80 bits), if it fits.
fn extended(bytes: &[u8]) -> Option<u32> {
    let shift = 16_383 + 63 - i32::from(be16(bytes, 0));
    u32::try_from(be64(bytes, 2).checked_shr(u32::try_from(shift).ok()?)?).ok()
}
