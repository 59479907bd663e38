//! RIFF files of sound (Multimedia Programming Interface and Data Specifications 1.0, 1991) and their kin with sizes of
//! 64 bits: RF64 and BW64 (ITU-R BS.2088) and Sony's Wave64.
//!
//! The sizes of many such files are wrong: written before the end was known, or past 4 GiB. What counts is where the
//! `data` chunk begins; it ends where it says or where the file does. symphonia 0.6.1 refuses most of them, takes more
//! than 32 channels for others and the bits of a sample for the bytes that hold them, so plain samples are read here.

use std::io::{Read, Seek};
use std::ops::Range;

use super::mpeg;
use super::samples::{Encoding, Samples};
use super::sound::Sound;
use crate::audio::names;
use crate::audio::names::STEPS;
use crate::audio::refusal::{DecodeError, Reason};
use crate::audio::view::{Piece, View, at, between, le16, le32, le64};

/// Identifiers of Wave64's chunks begin with those of RIFF (in lower case) and go on like this.
const RIFF_TAIL: &[u8] = b"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";
const W64_TAIL: &[u8] = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
/// The end of every format's identifier in WAVE_FORMAT_EXTENSIBLE; its first two bytes are the tag.
const TAG_TAIL: &[u8] = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71";
/// Bytes of a `fmt ` or `fact` chunk that are read.
const SMALL: usize = 1 << 12;

/// Whether a file that begins like this is one of these.
pub(super) fn is(head: &[u8]) -> bool {
    let riff = [&b"RIFF"[..], b"RF64", b"BW64"].iter().any(|form| head.starts_with(form)) && &head[8..12] == b"WAVE";
    riff || is_wave64(head)
}

fn is_wave64(head: &[u8]) -> bool {
    head.starts_with(b"riff") && &head[4..16] == RIFF_TAIL && &head[24..28] == b"wave"
}

/// Chunks that say what the sound is.
#[derive(Default)]
struct Chunks {
    format: Vec<u8>,
    fact: Vec<u8>,
    /// Size of `data` in 64 bits, from `ds64`.
    size: Option<u64>,
    data: Option<Range<u64>>,
}

/// What the file holds, which begins at `start`.
///
/// # Errors
/// Refused for what the header says, failed where the source is.
pub(super) fn survey<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> Result<Sound, DecodeError> {
    let head: [u8; 28] = at(reader, start).map_err(DecodeError::Failed)?;
    let chunks = if is_wave64(&head) { wave64(reader, start, length) } else { riff(reader, start, length) };
    let chunks = chunks.map_err(DecodeError::Failed)?;
    let corrupt = |what: &str| DecodeError::refuse(Reason::Corrupt, format!("wav: {what}"));
    let Some(data) = chunks.data.clone() else { return Err(corrupt("no data chunk")) };
    if chunks.format.len() < 16 {
        return Err(corrupt("no fmt chunk before the data"));
    }
    let format = Format::of(&chunks.format);
    let plain = |encoding, width| {
        let (rate, channels) = (format.rate, format.channels);
        let samples = Samples { rate, channels, encoding, width, big_endian: false, parts: vec![data.clone()] };
        samples.checked("wav").map(Sound::Samples)
    };
    match format.tag {
        1 => match format.width()? {
            1 => plain(Encoding::Unsigned, 1),
            width => plain(Encoding::Signed, width),
        },
        3 => plain(Encoding::Float, format.width()?),
        6 => plain(Encoding::ALaw, 1),
        7 => plain(Encoding::MuLaw, 1),
        // MPEG audio: its stream stands alone.
        0x50 | 0x55 => {
            let frames = mpeg::survey(reader, data.clone())?;
            Ok(Sound::Stream(frames.unwrap_or_else(|| View::part(data))))
        }
        // ADPCM is symphonia's, behind a header with the sizes that are right.
        2 | 0x11 => Ok(Sound::Stream(canonical(&chunks, data))),
        tag => {
            let message = format!("no decoder for {} in WAV", names::wave_format(tag));
            Err(DecodeError::refuse(Reason::UnsupportedCodec, message))
        }
    }
}

/// The fields of a `fmt ` chunk.
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    /// Bytes of a frame, as stated.
    block: u16,
    bits: u16,
}

impl Format {
    fn of(bytes: &[u8]) -> Format {
        let tag = match le16(bytes, 0) {
            0xfffe if bytes.len() >= 40 && &bytes[26..40] == TAG_TAIL => le16(bytes, 24),
            tag => tag,
        };
        let (channels, rate) = (le16(bytes, 2), le32(bytes, 4));
        Format { tag, channels, rate, block: le16(bytes, 12), bits: le16(bytes, 14) }
    }

    /// Bytes of a sample: those of a frame among its channels, or the bits rounded up where these do not fit.
    fn width(&self) -> Result<u8, DecodeError> {
        let by_bits = self.bits.div_ceil(8);
        let by_block = self.block.checked_div(self.channels).filter(|each| each * self.channels == self.block);
        let width = by_block.filter(|each| *each >= by_bits && (1..=8).contains(each)).unwrap_or(by_bits);
        match u8::try_from(width) {
            Ok(width @ 1..=8) => Ok(width),
            _ => Err(DecodeError::refuse(Reason::Corrupt, format!("wav: samples of {} bits", self.bits))),
        }
    }
}

fn riff<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> std::io::Result<Chunks> {
    let mut chunks = Chunks::default();
    let mut offset = start + 12;
    for _ in 0..STEPS {
        if offset + 8 > length {
            break;
        }
        let head: [u8; 8] = at(reader, offset)?;
        let (size, body) = (u64::from(le32(&head, 4)), offset + 8);
        let end = body.saturating_add(size).min(length);
        match &head[..4] {
            b"fmt " if chunks.format.is_empty() => chunks.format = between(reader, body..end, SMALL)?,
            b"fact" => chunks.fact = between(reader, body..end, SMALL)?,
            b"ds64" => {
                let sizes: [u8; 16] = at(reader, body)?;
                chunks.size = Some(le64(&sizes, 8));
            }
            b"data" => {
                let end = match size {
                    0xffff_ffff => chunks.size.map_or(length, |size| body.saturating_add(size).min(length)),
                    // No size was written, unless other chunks follow at once: then there is no sound.
                    0 if !reaches_the_end(reader, body, length)? => length,
                    _ => end,
                };
                chunks.data = Some(body..end);
                return Ok(chunks);
            }
            _ => {}
        }
        offset = body + size + size % 2;
    }
    Ok(chunks)
}

/// Whether chunks from here on lead to the end of the file.
fn reaches_the_end<R: Read + Seek>(reader: &mut R, mut offset: u64, length: u64) -> std::io::Result<bool> {
    for _ in 0..STEPS {
        if offset >= length {
            return Ok(true);
        }
        let head: [u8; 8] = at(reader, offset)?;
        if offset + 8 > length || !head[..4].iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Ok(false);
        }
        let size = u64::from(le32(&head, 4));
        offset += 8 + size + size % 2;
    }
    Ok(false)
}

fn wave64<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> std::io::Result<Chunks> {
    let mut chunks = Chunks::default();
    let mut offset = start + 40;
    for _ in 0..STEPS {
        if offset + 24 > length {
            break;
        }
        let head: [u8; 24] = at(reader, offset)?;
        // The size counts the header of 24 bytes; chunks begin at multiples of eight bytes.
        let (size, body) = (le64(&head, 16), offset + 24);
        let end = offset.saturating_add(size.max(24)).min(length);
        match &head[..4] {
            _ if &head[4..16] != W64_TAIL => {}
            b"fmt " => chunks.format = between(reader, body..end, SMALL)?,
            b"fact" => chunks.fact = between(reader, body..end, SMALL)?,
            b"data" => {
                chunks.data = Some(body..if size <= 24 { length } else { end });
                return Ok(chunks);
            }
            _ => {}
        }
        let Some(next) = offset.checked_add(size.max(24)).and_then(|end| end.checked_next_multiple_of(8)) else {
            break;
        };
        offset = next;
    }
    Ok(chunks)
}

/// The same sound in a RIFF file whose sizes are right.
fn canonical(chunks: &Chunks, data: Range<u64>) -> View {
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut own = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, bytes) in [(b"fmt ", &chunks.format), (b"fact", &chunks.fact)] {
        if !bytes.is_empty() {
            own.extend(name);
            own.extend(size(bytes.len() as u64));
            own.extend(bytes);
            own.extend(vec![0; bytes.len() % 2]);
        }
    }
    own.extend(b"data");
    own.extend(size(data.end - data.start));
    let all = size(own.len() as u64 - 8 + (data.end - data.start));
    own[4..8].copy_from_slice(&all);
    View::default().and(Piece::Own(own)).and(Piece::File(data))
}
