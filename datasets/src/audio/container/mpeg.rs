//! Streams of MPEG audio (ISO/IEC 11172-3, 2.4.1) and of AAC in ADTS (ISO/IEC 14496-3, 1.A.2): frame after frame without
//! a container, and tags between them.
//!
//! symphonia 0.6.1 takes bytes of tags for frames, passes over the header of encoder delays where its frame has a
//! checksum, and goes on at the first rate where another follows. So frames are counted off here first: tags between
//! them are cut out, and a change of form is named.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::audio::names::STEPS;
use crate::audio::names::read_up_to;
use crate::audio::refusal::{DecodeError, Reason};
use crate::audio::view::{Piece, View, be32, le32};

/// Bytes of a file, a stretch of which is held.
struct Window<'r, R> {
    reader: &'r mut R,
    end: u64,
    start: u64,
    held: Vec<u8>,
}

impl<R: Read + Seek> Window<'_, R> {
    /// At most `N` bytes at an offset; zeros beyond the end.
    fn at<const N: usize>(&mut self, offset: u64) -> io::Result<[u8; N]> {
        let stop = (offset + N as u64).min(self.end);
        if offset < self.start || stop > self.start + self.held.len() as u64 {
            self.held.resize(usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX).min(1 << 16), 0);
            self.reader.seek(SeekFrom::Start(offset))?;
            let read = read_up_to(self.reader, &mut self.held)?;
            self.held.truncate(read);
            self.start = offset;
        }
        let mut bytes = [0; N];
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let held = self.held.get(from..).unwrap_or_default();
        let many = held.len().min(N);
        bytes[..many].copy_from_slice(&held[..many]);
        Ok(bytes)
    }
}

/// What a frame header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// Version and layer, as in the header: the same in all of a stream.
    kind: u8,
    rate: u32,
    channels: u8,
    /// Length in bytes.
    length: u64,
}

fn frame(head: &[u8; 8]) -> Option<Frame> {
    if head[0] != 0xff || head[1] & 0xe0 != 0xe0 {
        return None;
    }
    let (version, layer) = (head[1] >> 3 & 3, head[1] >> 1 & 3);
    if layer == 0 {
        return adts(head);
    }
    let (bits, rate, pad) = (head[2] >> 4, head[2] >> 2 & 3, u64::from(head[2] >> 1 & 1));
    if version == 1 || rate == 3 || bits == 0 || bits == 15 {
        return None;
    }
    let full = version == 3;
    let rate = [44_100, 48_000, 32_000][usize::from(rate)] >> [2, 0, 1, 0][usize::from(version)];
    let table: &[u32; 14] = match (full, layer) {
        (true, 3) => &[32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        (true, 2) => &[32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        (true, _) => &[32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        (false, 3) => &[32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (false, _) => &[8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    };
    let bits = u64::from(table[usize::from(bits) - 1]) * 1000;
    let length = match layer {
        3 => (12 * bits / u64::from(rate) + pad) * 4,
        1 if !full => 72 * bits / u64::from(rate) + pad,
        _ => 144 * bits / u64::from(rate) + pad,
    };
    Some(Frame { kind: head[1] & 0x1e, rate, channels: if head[3] >> 6 == 3 { 1 } else { 2 }, length })
}

fn adts(head: &[u8; 8]) -> Option<Frame> {
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    let rate = *RATES.get(usize::from(head[2] >> 2 & 15))?;
    let channels = (head[2] & 1) << 2 | head[3] >> 6;
    let length = u64::from(be32(head, 3) >> 13 & 0x1fff);
    (head[1] & 0xf0 == 0xf0 && length >= 7).then_some(Frame { kind: 0, rate, channels, length })
}

/// The end of a tag that begins at an offset: ID3v2, APEv2 (header or, where there is none, footer), ID3v1 or Lyrics3.
fn tag_end<R: Read + Seek>(bytes: &mut Window<'_, R>, at: u64) -> io::Result<Option<u64>> {
    let head: [u8; 32] = bytes.at(at)?;
    if head.starts_with(b"ID3") && head[3] < 0xff && head[6..10].iter().all(|byte| *byte < 0x80) {
        let size = head[6..10].iter().fold(0, |size, byte| size << 7 | u64::from(*byte));
        return Ok(Some(at + 10 + size + if head[5] & 0x10 != 0 { 10 } else { 0 }));
    }
    if head.starts_with(b"APETAGEX") {
        // The size counts items and footer. A header that does not add up is followed by its footer all the same.
        let stated = at + 32 + u64::from(le32(&head, 12));
        if le32(&head, 20) & 0x2000_0000 == 0 {
            return Ok(Some(at + 32));
        }
        let footer = |place: u64, bytes: &mut Window<'_, R>| -> io::Result<bool> {
            Ok(place > at && bytes.at::<8>(place)? == *b"APETAGEX")
        };
        if footer(stated.saturating_sub(32), bytes)? {
            return Ok(Some(stated));
        }
        for place in at + 32..(at + (1 << 20)).min(bytes.end) {
            if footer(place, bytes)? {
                return Ok(Some(place + 32));
            }
        }
        return Ok(Some(stated));
    }
    if head.starts_with(b"TAG") && bytes.end - at == 128 {
        return Ok(Some(bytes.end));
    }
    Ok(None)
}

/// The offset of the first byte that is neither of a tag nor one of zeros.
pub(super) fn first<R: Read + Seek>(reader: &mut R, range: Range<u64>) -> io::Result<u64> {
    let mut bytes = Window { reader, end: range.end, start: 0, held: Vec::new() };
    let mut at = range.start;
    for _ in 0..STEPS {
        if let Some(end) = tag_end(&mut bytes, at)? {
            if end >= range.end {
                return Ok(range.start);
            }
            at = end;
        } else if bytes.at::<64>(at)? == [0; 64] {
            // Some zeros begin the boxes of MP4; so many begin nothing.
            while at < range.end && bytes.at::<1>(at)? == [0] {
                at += 1;
            }
            if at >= range.end {
                return Ok(range.start);
            }
        } else {
            break;
        }
    }
    Ok(at)
}

/// The frames of a stream without what lies between them; `None` where it does not begin with some.
///
/// # Errors
/// Refused where rate or channels change, failed where the source is.
pub(super) fn survey<R: Read + Seek>(reader: &mut R, range: Range<u64>) -> Result<Option<View>, DecodeError> {
    let mut bytes = Window { reader, end: range.end, start: 0, held: Vec::new() };
    frames(&mut bytes, range).map_err(DecodeError::Failed)?.transpose()
}

fn frames<R: Read + Seek>(
    bytes: &mut Window<'_, R>,
    range: Range<u64>,
) -> io::Result<Option<Result<View, DecodeError>>> {
    let Some(one) = frame(&bytes.at(range.start)?) else { return Ok(None) };
    let form = |frame: &Frame| (frame.rate, frame.channels);
    let (mut view, mut at, mut from, mut tags) = (View::default(), range.start, range.start, 0);
    if let Some(own) = unprotected(bytes, at, &one)? {
        from += own.len() as u64;
        view = view.and(Piece::Own(own));
    }
    while at < range.end && tags < STEPS {
        let next = frame(&bytes.at(at)?).filter(|next| next.kind & 0x06 == one.kind & 0x06);
        match next {
            Some(next) if form(&next) == form(&one) => at += next.length,
            Some(next) => {
                // Of another form: that of the stream, if frames of it go on.
                let beyond = frame(&bytes.at(at + next.length)?);
                if at == range.start || beyond.is_none_or(|beyond| form(&beyond) != form(&next)) {
                    break;
                }
                return Ok(Some(Err(changes(&one, &next))));
            }
            None => match tag_end(bytes, at)? {
                Some(end) => {
                    view = view.and(Piece::File(from..at));
                    (at, from, tags) = (end.min(range.end), end.min(range.end), tags + 1);
                }
                // Something else: symphonia looks for the next frame.
                None => break,
            },
        }
    }
    Ok(Some(Ok(view.and(Piece::File(from..range.end)))))
}

fn changes(one: &Frame, next: &Frame) -> DecodeError {
    let message = format!(
        "{} Hz and {} channels turn into {} Hz and {} channels",
        one.rate, one.channels, next.rate, next.channels
    );
    let reason = if one.rate == next.rate { Reason::ChannelsChangeMidway } else { Reason::RateChangesMidway };
    DecodeError::refuse(reason, message)
}

/// The header of a first frame that states encoder delays and has a checksum, as one without: `lame -p` writes the checksum
/// over the side information after it has made that of the tag, which covers these bytes and is then that of others;
/// symphonia takes no delays from a tag whose own checksum is wrong.
fn unprotected<R: Read + Seek>(bytes: &mut Window<'_, R>, at: u64, one: &Frame) -> io::Result<Option<Vec<u8>>> {
    let head: [u8; 192] = bytes.at(at)?;
    if head[1] & 1 != 0 || one.kind & 0x06 != 2 {
        return Ok(None);
    }
    let side = match (one.kind & 0x18 == 0x18, one.channels) {
        (true, 2) => 32,
        (true, _) | (false, 2) => 17,
        _ => 9,
    };
    let (tag, flags) = (&head[4 + side..8 + side], usize::from(head[11 + side]));
    if ![&b"Xing"[..], b"Info"].contains(&tag) {
        return Ok(None);
    }
    // Frames, bytes, places and quality, as far as the flags say that they are there; then LAME's part, with its checksum.
    let fields = [4, 4, 100, 4].iter().enumerate().map(|(bit, bytes)| (flags >> bit & 1) * bytes);
    let end = side + 12 + fields.sum::<usize>() + 34;
    if checksum(&head[..end]) == u16::from_be_bytes([head[end], head[end + 1]]) {
        return Ok(None);
    }
    Ok(Some(vec![head[0], head[1] | 1, head[2], head[3], 0, 0]))
}

/// The checksum of LAME's tag: CRC-16 with the polynomial 0x8005, the least bit first.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 })
    })
}
