//! Which bytes of a file the demuxers see. Tags and pictures around the sound are cut away first: a damaged tag is
//! no reason to refuse a sound file, and the demuxers refuse over details of tags that they need not read.

use std::io::{self, Read, Seek, SeekFrom};

use super::names::{self, read_up_to};
use super::refusal::{DecodeError, Reason};

/// A part of the file, behind bytes of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Bytes that stand before the part.
    pub(super) prefix: Vec<u8>,
    /// Offset of the part in the file.
    pub(super) start: u64,
    /// Offset of its end.
    pub(super) end: u64,
}

/// Tags in a row, metadata blocks and RIFF chunks that are looked through before giving up.
const STEPS: usize = 4096;

/// Finds the sound in a file of `length` bytes, and refuses what is known by its first bytes to have no reader.
///
/// # Errors
/// [`Reason::UnsupportedFormat`] or [`Reason::UnsupportedCodec`] by the first bytes; failed where the source is.
pub(super) fn survey<R: Read + Seek>(reader: &mut R, length: u64) -> Result<View, DecodeError> {
    let start = skip_id3(reader, length).map_err(DecodeError::Failed)?;
    let head: [u8; 64] = at(reader, start).map_err(DecodeError::Failed)?;
    if let Some(name) = names::foreign(&head) {
        return Err(DecodeError::refuse(Reason::UnsupportedFormat, format!("no reader for {name}")));
    }
    // The reader of Ogg pages passes over streams that it cannot map, down to the end of the file.
    if head.starts_with(b"OggS") && head[28..].starts_with(b"Speex   ") {
        return Err(DecodeError::refuse(Reason::UnsupportedCodec, "no decoder for Speex"));
    }
    let part = if head.starts_with(b"fLaC") {
        flac(reader, start, length)
    } else if head.starts_with(b"RIFF") && &head[8..12] == b"WAVE" {
        riff_mpeg(reader, start, length)
    } else {
        Ok(None)
    };
    let whole = View { prefix: Vec::new(), start, end: length };
    Ok(part.map_err(DecodeError::Failed)?.unwrap_or(whole))
}

/// `N` bytes at an offset; zeros beyond the end of the source.
pub(super) fn at<const N: usize, R: Read + Seek>(reader: &mut R, offset: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.seek(SeekFrom::Start(offset))?;
    read_up_to(reader, &mut bytes)?;
    Ok(bytes)
}

/// The offset behind all ID3v2 tags at the start (id3v2.4.0-structure, 3.1), or 0 where they leave nothing.
fn skip_id3<R: Read + Seek>(reader: &mut R, length: u64) -> io::Result<u64> {
    let mut offset = 0;
    for _ in 0..STEPS {
        let head: [u8; 10] = at(reader, offset)?;
        if !head.starts_with(b"ID3") || head[6..].iter().any(|byte| *byte >= 0x80) {
            return Ok(offset);
        }
        let size = head[6..].iter().fold(0, |size, byte| size << 7 | u64::from(*byte));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        let next = offset + 10 + size + footer;
        if next >= length {
            return Ok(0);
        }
        offset = next;
    }
    Ok(0)
}

/// A FLAC stream with no metadata but STREAMINFO (RFC 9639, section 8), if its metadata end where a frame begins.
fn flac<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> io::Result<Option<View>> {
    let info: [u8; 42] = at(reader, start)?;
    if info[4] & 0x7f != 0 || info[5..8] != [0, 0, 34] {
        return Ok(None);
    }
    let mut offset = start + 4;
    for _ in 0..STEPS {
        let head: [u8; 4] = at(reader, offset)?;
        let size = head[1..].iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
        offset += 4 + size;
        if offset >= length {
            return Ok(None);
        }
        if head[0] & 0x80 != 0 {
            let sync: [u8; 2] = at(reader, offset)?;
            if sync[0] != 0xff || sync[1] & 0xfc != 0xf8 {
                return Ok(None);
            }
            let mut prefix = info.to_vec();
            prefix[4] = 0x80;
            return Ok(Some(View { prefix, start: offset, end: length }));
        }
    }
    Ok(None)
}

/// The stream in the `data` chunk of a WAV file whose format is MPEG layer 3 (tag 0x55), which the reader of WAV
/// files does not take, though its stream stands alone.
fn riff_mpeg<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> io::Result<Option<View>> {
    let mut offset = start + 12;
    let mut mpeg = false;
    for _ in 0..STEPS {
        if offset + 8 > length {
            return Ok(None);
        }
        let head: [u8; 10] = at(reader, offset)?;
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let body = offset + 8;
        match &head[..4] {
            b"fmt " => mpeg = head[8..10] == [0x55, 0],
            b"data" if mpeg => {
                return Ok(Some(View { prefix: Vec::new(), start: body, end: (body + size).min(length) }));
            }
            b"data" => return Ok(None),
            _ => {}
        }
        offset = body + size + size % 2;
    }
    Ok(None)
}
