//! Core Audio Format (Apple, Core Audio Format Specification 1.0).
//!
//! Plain samples and FLAC are read here; whatever else is symphonia's, which refuses a size of -1 (up to the end of the
//! file), cut files, bytes, companded samples, more than 26 channels, and FLAC.

use std::io::{Read, Seek};

use super::flac;
use super::samples::{Encoding, Samples};
use super::sound::Sound;
use crate::audio::names::STEPS;
use crate::audio::refusal::{DecodeError, Reason};
use crate::audio::view::{View, at, be32, be64};

/// Whether a file that begins like this is one.
pub(super) fn is(head: &[u8]) -> bool {
    head.starts_with(b"caff")
}

/// What the file holds, which begins at `start`.
///
/// # Errors
/// Refused for what the header says, failed where the source is.
pub(super) fn survey<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> Result<Sound, DecodeError> {
    let (mut description, mut data, mut offset) = ([0; 32], None, start + 8);
    for _ in 0..STEPS {
        if offset + 12 > length {
            break;
        }
        let head: [u8; 12] = at(reader, offset).map_err(DecodeError::Failed)?;
        let (size, body) = (be64(&head, 4), offset + 12);
        match &head[..4] {
            b"desc" => description = at(reader, body).map_err(DecodeError::Failed)?,
            b"data" => {
                let end = body.checked_add(size).filter(|end| *end <= length);
                data = Some((offset, body, end));
                break;
            }
            _ => {}
        }
        let Some(next) = body.checked_add(size) else { break };
        offset = next;
    }
    let corrupt = |what: &str| DecodeError::refuse(Reason::Corrupt, format!("caf: {what}"));
    let Some((chunk, body, end)) = data else { return Err(corrupt("no data chunk")) };
    // The data begin with the count of edits.
    let frames = (body + 4).min(length)..end.unwrap_or(length);
    let rate = f64::from_bits(be64(&description, 0));
    let rate = if (0.0..4e9).contains(&rate) { rate as u32 } else { 0 };
    let (flags, packet) = (be32(&description, 12), be32(&description, 16));
    let channels = u16::try_from(be32(&description, 24)).unwrap_or(u16::MAX);
    let plain = |encoding, width, big_endian| {
        let parts = vec![frames.clone()];
        Samples { rate, channels, encoding, width, big_endian, parts }.checked("caf").map(Sound::Samples)
    };
    match &description[8..12] {
        b"lpcm" => {
            let width = packet.checked_div(u32::from(channels)).and_then(|width| u8::try_from(width).ok());
            let encoding = if flags & 1 != 0 { Encoding::Float } else { Encoding::Signed };
            plain(encoding, width.unwrap_or(0), flags & 2 == 0)
        }
        b"alaw" => plain(Encoding::ALaw, 1, true),
        b"ulaw" => plain(Encoding::MuLaw, 1, true),
        b"flac" => Ok(Sound::Flac(flac::Stream::without_info(frames))),
        _ => Ok(Sound::Stream(match end {
            Some(_) => View::part(start..length),
            // The size of the data is that of the file.
            None => View::patched(start..length, vec![(chunk + 4, (length - body).to_be_bytes().to_vec())]),
        })),
    }
}
