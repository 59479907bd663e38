//! FLAC streams (RFC 9639): where frames begin and end, and whether any is missing.
//!
//! symphonia 0.6.1 has a demuxer for them that looks for the next frame that fits and passes over what does not: holes
//! in a stream stay silent, the last frame is lost where a tag follows it, and the block sizes of STREAMINFO, which
//! encoders get wrong, decide what is a frame. Here a frame ends where its CRC-16 says so and the next number follows;
//! symphonia decodes it.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::audio::names::STEPS;
use crate::audio::names::read_up_to;
use crate::audio::refusal::{DecodeError, Reason};
use crate::audio::view::{at, be16, be64, between};

/// Size of STREAMINFO in bytes.
const INFO: usize = 34;
/// Size of the largest frame header, with its CRC-8.
const HEADER: usize = 16;
/// Bytes that are read together.
const BLOCK: usize = 1 << 16;
/// More bytes than any frame has: 65535 frames of 8 channels with 33 bits, uncompressed.
const MOST: usize = 65_535 * 8 * 33 / 8 + 1024;

/// Frames in a file, and what its STREAMINFO says of them.
#[derive(Debug)]
pub(crate) struct Stream {
    info: Option<[u8; INFO]>,
    frames: Range<u64>,
}

impl Stream {
    /// Frames of which nothing is said but by their headers.
    pub(super) fn without_info(frames: Range<u64>) -> Stream {
        Stream { info: None, frames }
    }

    /// The stream at `start`, which begins with the marker `fLaC` and STREAMINFO; `None` where its metadata do not end at
    /// a frame.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn find<R: Read + Seek>(reader: &mut R, start: u64, length: u64) -> std::io::Result<Option<Stream>> {
        let head: [u8; 42] = at(reader, start)?;
        if head[4] & 0x7f != 0 || head[5..8] != [0, 0, 34] {
            return Ok(None);
        }
        let mut info = [0; INFO];
        info.copy_from_slice(&head[8..]);
        let mut offset = start + 4;
        for _ in 0..STEPS {
            let head: [u8; 4] = at(reader, offset)?;
            let size = head[1..].iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
            offset += 4 + size;
            if offset >= length {
                return Ok(None);
            }
            if head[0] & 0x80 != 0 {
                let first = between(reader, offset..length, HEADER)?;
                let begins = first.len() > 1 && first[0] == 0xff && first[1] & 0xfc == 0xf8;
                return Ok(begins.then_some(Stream { info: Some(info), frames: offset..length }));
            }
        }
        Ok(None)
    }

    /// Frames of the whole stream, as stated.
    pub(crate) fn total(&self) -> Option<u64> {
        total(&self.info?)
    }

    /// STREAMINFO for the decoder, with bounds that hold for any frame: encoders state wrong ones. What a frame's header
    /// states goes before it.
    pub(crate) fn info(&self, first: &Header) -> [u8; INFO] {
        let mut info = self.info.unwrap_or([0; INFO]);
        let packed = be64(&info, 10);
        let rate = first.rate.map_or(packed >> 44, u64::from);
        let bits = first.bits.map_or(packed >> 36 & 31, |bits| u64::from(bits) - 1);
        let total = packed & ((1 << 36) - 1);
        let packed = rate << 44 | u64::from(first.channels - 1) << 41 | bits << 36 | total;
        info[10..18].copy_from_slice(&packed.to_be_bytes());
        info[..10].copy_from_slice(&[0, 16, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
        info
    }

    /// Rate in Hz and channels of a frame, with what STREAMINFO says where its header does not.
    pub(crate) fn form(&self, header: &Header) -> (Option<u32>, u8) {
        let stated = self.info.map(|info| u32::from(be16(&info, 10)) << 4 | u32::from(info[12] >> 4));
        (header.rate.or(stated), header.channels)
    }
}

/// Frames that STREAMINFO states; 0 stands for an unknown number.
pub(crate) fn total(info: &[u8]) -> Option<u64> {
    let low = info.get(14..18)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(u64::from(info[13] & 15) << 32 | low).filter(|total| *total > 0)
}

/// What a frame's header says (RFC 9639, section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether `number` counts frames of sound (a variable block size) rather than blocks.
    variable: bool,
    number: u64,
    /// Frames of sound in the block.
    pub(crate) block: u32,
    /// Rate in Hz, where it is not that of STREAMINFO.
    rate: Option<u32>,
    channels: u8,
    bits: Option<u8>,
}

impl Header {
    /// Reads a header whose CRC-8 is right.
    pub(crate) fn read(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < 6 || bytes[0] != 0xff || bytes[1] & 0xfe != 0xf8 || bytes[3] & 1 != 0 {
            return None;
        }
        let (number, mut at) = coded(bytes)?;
        let mut next = |many: usize| {
            let value = bytes.get(at..at + many)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            at += many;
            Some(value)
        };
        let block = match bytes[2] >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => next(1)? + 1,
            7 => next(2)? + 1,
            code => 256 << (code - 8),
        };
        let rate = match bytes[2] & 15 {
            0 => None,
            12 => Some(next(1)? * 1000),
            13 => Some(next(2)?),
            14 => Some(next(2)? * 10),
            15 => return None,
            code => Some(
                [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
                    [usize::from(code) - 1],
            ),
        };
        let channels = match bytes[3] >> 4 {
            code @ 0..=7 => code + 1,
            8..=10 => 2,
            _ => return None,
        };
        let bits = match bytes[3] >> 1 & 7 {
            0 => None,
            3 => return None,
            code => Some([8, 12, 0, 16, 20, 24, 32][usize::from(code) - 1]),
        };
        let sum = bytes[..at]
            .iter()
            .fold(0, |sum: u8, byte| (0..8).fold(sum ^ byte, |sum, _| sum << 1 ^ if sum & 0x80 != 0 { 7 } else { 0 }));
        let header = Header { variable: bytes[1] & 1 != 0, number, block, rate, channels, bits };
        (bytes.get(at) == Some(&sum)).then_some(header)
    }

    /// Whether the frame of `next` follows this one at once.
    pub(crate) fn precedes(&self, next: &Header) -> bool {
        let step = if self.variable { u64::from(self.block) } else { 1 };
        self.variable == next.variable && next.number == self.number + step
    }

    /// Whether `later` may be of the same stream, behind this frame.
    fn heralds(&self, later: &Header) -> bool {
        let reach = if self.variable { 1 << 32 } else { 1 << 20 };
        let form = |header: &Header| (header.variable, header.rate, header.channels, header.bits);
        form(self) == form(later) && later.number >= self.number && later.number - self.number < reach
    }
}

/// The number in the header, coded like UTF-8 in up to seven bytes, and the place behind it.
fn coded(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = bytes[4];
    let many = first.leading_ones() as usize;
    if many == 0 {
        return Some((u64::from(first), 5));
    }
    if many == 1 || many > 7 {
        return None;
    }
    let rest = bytes.get(5..4 + many)?;
    let start = u64::from(first) & (0x7f >> many);
    let whole = rest.iter().all(|byte| byte & 0xc0 == 0x80);
    whole.then(|| (rest.iter().fold(start, |value, byte| value << 6 | u64::from(byte & 0x3f)), 4 + many))
}

/// CRC-16 of frames (polynomial 0x8005), a byte at a time: 0 behind the checksum itself.
static CRC: [u16; 256] = {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        let (mut value, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            value = if value & 0x8000 != 0 { value << 1 ^ 0x8005 } else { value << 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// What is found where the next frame should be.
pub(crate) enum Next {
    /// A frame of this many bytes, at the start of [`Frames::bytes`], with another right behind it.
    Frame(Header, usize),
    /// The last frame: it ends behind one of these numbers of bytes, at which its checksum is right. None of them where the
    /// source ends within the frame.
    Last(Header, Vec<usize>),
    /// No frame, and none behind.
    End,
}

/// Frames one after another, from a source that is read once.
pub(crate) struct Frames<R> {
    reader: R,
    left: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl<R: Read + Seek> Frames<R> {
    /// Stands before the first frame.
    ///
    /// # Errors
    /// Failed where the source is.
    pub(crate) fn new(mut reader: R, stream: &Stream) -> Result<Frames<R>, DecodeError> {
        reader.seek(SeekFrom::Start(stream.frames.start)).map_err(DecodeError::Failed)?;
        Ok(Frames { reader, left: stream.frames.end - stream.frames.start, buffer: Vec::new(), start: 0 })
    }

    /// The bytes from the current place on that were read already.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Goes on behind a frame.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.start += bytes.min(self.buffer.len() - self.start);
    }

    /// Reads until so many bytes are there or the source ends.
    fn fill(&mut self, wanted: usize) -> Result<bool, DecodeError> {
        if self.bytes().len() >= wanted {
            return Ok(true);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < wanted && self.left > 0 {
            let (held, room) = (self.buffer.len(), self.left.min(BLOCK as u64) as usize);
            self.buffer.resize(held + room, 0);
            let read = read_up_to(&mut self.reader, &mut self.buffer[held..]).map_err(DecodeError::Failed)?;
            self.buffer.truncate(held + read);
            self.left = if read < room { 0 } else { self.left - read as u64 };
        }
        Ok(self.buffer.len() >= wanted)
    }

    /// Looks for the end of the frame that begins here.
    ///
    /// # Errors
    /// [`Reason::Corrupt`] where the frame does not end and others of the stream follow; failed where the source is.
    pub(crate) fn next(&mut self) -> Result<Next, DecodeError> {
        self.fill(HEADER)?;
        let Some(header) = Header::read(self.bytes()) else { return Ok(Next::End) };
        let (mut sum, mut at, mut ends, mut others) = (0_u16, 0, Vec::new(), false);
        let mut ended = false;
        while at < MOST && !ended {
            self.fill(at + HEADER + 1)?;
            // As far as a whole header lies in the buffer, or to the end of the source.
            let bytes = self.bytes();
            let stop = if self.left == 0 { bytes.len() } else { bytes.len() - HEADER };
            ended = self.left == 0;
            for place in at..stop {
                let byte = bytes[place];
                if sum == 0 && place >= HEADER / 2 {
                    match Header::read(&bytes[place..bytes.len().min(place + HEADER)]) {
                        Some(next) if header.precedes(&next) => return Ok(Next::Frame(header, place)),
                        Some(_) => return Ok(Next::Last(header, vec![place])),
                        None => ends.push(place),
                    }
                } else if byte == 0xff && place > 0 {
                    let other = Header::read(&bytes[place..bytes.len().min(place + HEADER)]);
                    others |= other.is_some_and(|other| header.heralds(&other));
                }
                if byte == b'f' && bytes[place..].starts_with(b"fLaC") && !ends.is_empty() {
                    return Ok(Next::Last(header, ends));
                }
                sum = sum << 8 ^ CRC[usize::from((sum >> 8) as u8 ^ byte)];
            }
            at = stop;
        }
        if ended && sum == 0 {
            ends.push(at);
        }
        // Of a whole frame that no other follows, nothing but a tag is behind.
        if others || !ended && ends.is_empty() {
            return Err(DecodeError::refuse(Reason::Corrupt, "flac: a frame is damaged or missing"));
        }
        Ok(Next::Last(header, ends))
    }

    /// Whether a frame of the same stream lies in what follows, which is no frame itself: then something was lost between.
    /// Another stream, which files joined to one begin with its marker, ends the search.
    ///
    /// # Errors
    /// Failed where the source is.
    pub(crate) fn lost(&mut self, last: &Header) -> Result<bool, DecodeError> {
        let mut seen = 0;
        while seen < MOST && self.fill(HEADER)? | !self.bytes().is_empty() {
            let bytes = self.bytes();
            let stop = if self.left == 0 { bytes.len() } else { bytes.len() - HEADER };
            for place in 0..stop {
                let rest = &bytes[place..bytes.len().min(place + HEADER)];
                if rest.starts_with(b"fLaC") {
                    return Ok(false);
                }
                if rest[0] == 0xff && Header::read(rest).is_some_and(|other| last.heralds(&other)) {
                    return Ok(true);
                }
            }
            seen += stop;
            self.skip(stop);
            if stop == 0 {
                break;
            }
        }
        Ok(false)
    }
}
