//! MP4 and QuickTime files (ISO/IEC 14496-12; QuickTime File Format, 2001): what part of each track is presented, and the
//! samples of codecs that symphonia 0.6.1 does not find there.
//!
//! symphonia reads 24-bit and 64-bit samples of QuickTime in the wrong order, and knows neither companded samples, bytes,
//! IMA ADPCM nor the place of ALAC's cookie there. These few are read here by their tables of chunks.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::packets::{IMA4_BYTES, IMA4_FRAMES, Packets};
use super::samples::{Encoding, Samples};
use super::sound::Sound;
use crate::audio::refusal::{DecodeError, Reason};
use crate::audio::trim::{Edit, Gapless};
use crate::audio::view::{View, at as at_offset, be16, be32, be64, between};

/// Nesting limit of boxes: moov / trak / mdia / minf / stbl / stsd and moov / udta / meta / ilst / ----.
const DEPTH: u32 = 7;
/// Limit on the number of boxes that are read.
const BOXES: u32 = 10_000;
/// Bytes of a sample description that are read.
const DESCRIPTION: usize = 1 << 12;
/// Bytes of a table that are read.
const TABLE: usize = 1 << 26;

/// What the boxes of a file say of its tracks.
#[derive(Debug, Default)]
pub(crate) struct Movie {
    tracks: Vec<Track>,
    /// Units of a second in which edits last.
    timescale: u32,
    /// Frames that are sound, as iTunes' gapless tag states them for the only audio track.
    gapless: Option<Gapless>,
    /// Whether more media follow in fragments.
    fragmented: bool,
    /// Offset of the last box, if its size is 0 or beyond the end, and where its body begins.
    open: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Track {
    id: u32,
    sound: bool,
    timescale: u32,
    /// Start and duration of the only presented segment, in units of the track and of the movie.
    edit: Option<(u64, u64)>,
    /// Duration of all samples, in units of the track.
    media: u64,
    /// The first sample description, from its format on.
    description: Vec<u8>,
    /// Tables of chunks: offsets, runs of samples in chunks, sizes of samples.
    offsets: Vec<u64>,
    runs: Vec<(u32, u32)>,
    size: u32,
    sizes: Vec<u32>,
}

impl Movie {
    /// Reads the boxes of an MP4 or QuickTime file. Damaged ones count as absent.
    ///
    /// # Errors
    /// Only those of the source.
    pub(super) fn read<R: Read + Seek>(reader: &mut R, start: u64, end: u64) -> io::Result<Movie> {
        let mut walk = Walk { reader, movie: Movie::default(), left: BOXES, name: Vec::new() };
        walk.boxes(start, end, DEPTH)?;
        Ok(walk.movie)
    }

    /// The presented part of a track.
    pub(crate) fn edit(&self, id: u32) -> Option<Edit> {
        let track = self.tracks.iter().find(|track| track.id == id)?;
        Some(Edit {
            timescale: track.timescale,
            movie: self.timescale,
            segment: track.edit,
            media: if self.fragmented { 0 } else { track.media },
            gapless: self.gapless,
        })
    }

    /// The sound track that is read here, with its id.
    ///
    /// # Errors
    /// Refused for what the description says: HE-AAC, widths that nothing reads.
    pub(super) fn sound(&self, length: u64) -> Result<Option<(u32, Sound)>, DecodeError> {
        let Some(track) = self.tracks.iter().find(|track| track.sound && track.description.len() >= 32) else {
            return Ok(None);
        };
        if has_sbr(&track.description) {
            let message = "no decoder for HE-AAC (spectral band replication), of which AAC-LC is a part";
            return Err(DecodeError::refuse(Reason::UnsupportedCodec, message));
        }
        if self.fragmented {
            return Ok(None);
        }
        Ok(track.read_here(length)?.map(|sound| (track.id, sound)))
    }

    /// The file with the size of its last box set right, if that is 0 or beyond the end: symphonia reads past it.
    pub(super) fn view(&self, range: Range<u64>) -> View {
        let patch = self.open.and_then(|(at, body)| match body - at {
            8 => Some((at, u32::try_from(range.end - at).ok()?.to_be_bytes().to_vec())),
            _ => Some((at + 8, (range.end - at).to_be_bytes().to_vec())),
        });
        View::patched(range, patch.into_iter().collect())
    }
}

impl Track {
    fn read_here(&self, length: u64) -> Result<Option<Sound>, DecodeError> {
        let entry = &self.description;
        let version = be16(entry, 12);
        let (mut channels, bits) = (be16(entry, 20), be16(entry, 22));
        let mut rate = u32::from(be16(entry, 28));
        let extensions = match version {
            0 => entry.get(32..),
            1 => entry.get(48..),
            _ => entry.get(68..),
        };
        let extensions = extensions.unwrap_or_default();
        let depth = (bits / 8) as u8;
        let little = find(extensions, b"enda").is_some_and(|body| body.get(..2) == Some(&[0, 1]));
        let (encoding, width, big_endian) = match &entry[..4] {
            b"raw " if bits == 8 => (Encoding::Unsigned, 1, true),
            b"twos" => (Encoding::Signed, depth, true),
            b"sowt" => (Encoding::Signed, depth, false),
            b"in24" => (Encoding::Signed, 3, !little),
            b"in32" => (Encoding::Signed, 4, !little),
            b"fl32" => (Encoding::Float, 4, !little),
            b"fl64" => (Encoding::Float, 8, !little),
            b"alaw" => (Encoding::ALaw, 1, true),
            b"ulaw" => (Encoding::MuLaw, 1, true),
            b"lpcm" if version == 2 && entry.len() >= 68 => {
                let (flags, coded) = (be32(entry, 56), be32(entry, 52));
                rate = f64::from_bits(be64(entry, 36)) as u32;
                channels = u16::try_from(be32(entry, 44)).unwrap_or(u16::MAX);
                let encoding = if flags & 1 != 0 { Encoding::Float } else { Encoding::Signed };
                let width = be32(entry, 60).checked_div(u32::from(channels)).unwrap_or(0).max(coded / 8);
                (encoding, u8::try_from(width).unwrap_or(u8::MAX), flags & 2 != 0)
            }
            b"ima4" => {
                let packet = IMA4_BYTES * u64::from(channels);
                // Some count a packet as a sample, with its size, and some each frame in it.
                let parts = match self.size > 1 || !self.sizes.is_empty() {
                    true => self.samples(length),
                    false => self.chunks(length, |samples| (samples / IMA4_FRAMES).saturating_mul(packet)),
                };
                return Packets::ima4(rate, channels, parts).map(|packets| Some(Sound::Packets(packets)));
            }
            b"alac" => {
                let wave = find(extensions, b"wave");
                let cookie = wave.and_then(|body| find(body, b"alac")).and_then(|body| body.get(4..));
                let sound = |cookie: &[u8]| Sound::Packets(Packets::alac(cookie.to_vec(), self.samples(length)));
                return Ok(cookie.filter(|cookie| cookie.len() >= 24).map(sound));
            }
            _ => return Ok(None),
        };
        let frame = u64::from(width) * u64::from(channels);
        let parts = self.chunks(length, |samples| samples.saturating_mul(frame));
        let samples = Samples { rate, channels, encoding, width, big_endian, parts };
        samples.checked("mp4").map(|samples| Some(Sound::Samples(samples)))
    }

    /// The samples in each chunk.
    fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut runs = self.runs.iter().peekable();
        let mut samples = 0;
        self.offsets.iter().enumerate().map(move |(chunk, offset)| {
            while let Some((_, many)) = runs.next_if(|(first, _)| *first as usize <= chunk + 1) {
                samples = u64::from(*many);
            }
            (*offset, samples)
        })
    }

    /// The range of each chunk, whose bytes follow from its samples.
    fn chunks(&self, length: u64, bytes: impl Fn(u64) -> u64) -> Vec<Range<u64>> {
        let range = |(offset, samples)| u64::min(offset, length)..offset.saturating_add(bytes(samples)).min(length);
        self.counts().map(range).collect()
    }

    /// The range of each sample, as far as the file holds it.
    fn samples(&self, length: u64) -> Vec<Range<u64>> {
        let (mut ranges, mut sizes) = (Vec::new(), self.sizes.iter());
        for (mut offset, samples) in self.counts() {
            for _ in 0..samples {
                // One size stands for all samples, where they have one.
                let size = if self.size > 0 { Some(&self.size) } else { sizes.next() };
                let Some(size) = size.filter(|size| **size > 0) else { break };
                let end = offset.saturating_add(u64::from(*size));
                if end > length {
                    return ranges;
                }
                ranges.push(offset..end);
                offset = end;
            }
        }
        ranges
    }
}

/// The body of the first box of a kind among boxes, and in `wave` and `esds`-like boxes below them.
fn find<'b>(mut boxes: &'b [u8], kind: &[u8; 4]) -> Option<&'b [u8]> {
    while boxes.len() >= 8 {
        let size = (be32(boxes, 0) as usize).min(boxes.len());
        if size < 8 {
            return None;
        }
        let (this, rest) = boxes.split_at(size);
        if &this[4..8] == kind {
            return Some(&this[8..]);
        }
        if &this[4..8] == b"wave"
            && let Some(found) = find(&this[8..], kind)
        {
            return Some(found);
        }
        boxes = rest;
    }
    None
}

/// Whether an AudioSpecificConfig says, behind the configuration of AAC-LC, that spectral band replication belongs to it
/// (ISO/IEC 14496-3, 1.6.5.3).
fn has_sbr(entry: &[u8]) -> bool {
    let Some(place) = entry.windows(4).position(|name| name == b"esds") else { return false };
    let Some(body) = entry.get(place + 8..) else { return false };
    // Descriptors: a tag, a length of up to four bytes, a body. The configuration is that of tag 5.
    let mut at = 0;
    while let Some(tag) = body.get(at) {
        let mut many = 1;
        while many < 4 && body.get(at + many).is_some_and(|byte| byte & 0x80 != 0) {
            many += 1;
        }
        let Some(length) = body.get(at + many) else { return false };
        let inner = at + many + 1;
        match tag {
            3 => at = inner + 3,
            4 => at = inner + 13,
            5 => {
                let config = &body[inner..body.len().min(inner + usize::from(length & 0x7f))];
                return signals_sbr(config);
            }
            _ => return false,
        }
    }
    false
}

fn signals_sbr(config: &[u8]) -> bool {
    let bits = config.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let many = config.len().min(16) * 8;
    let read = |at: usize, width: usize| {
        (at + width <= many).then(|| (bits >> (many - at - width) & ((1 << width) - 1)) as u32)
    };
    let mut at = if read(5, 4) == Some(15) { 37 } else { 13 };
    // Program configurations and scalable streams are no matter of SBR in music files.
    if read(0, 5) != Some(2) || read(at - 4, 4) == Some(0) || read(at + 1, 1) == Some(1) {
        return false;
    }
    at += 3;
    read(at, 11) == Some(0x2b7) && read(at + 11, 5) == Some(5) && read(at + 16, 1) == Some(1)
}

struct Walk<'a, R> {
    reader: &'a mut R,
    movie: Movie,
    left: u32,
    /// The name of the free-form tag being read.
    name: Vec<u8>,
}

impl<R: Read + Seek> Walk<'_, R> {
    /// Visits the boxes between two offsets (ISO/IEC 14496-12, 4.2).
    fn boxes(&mut self, mut at: u64, end: u64, depth: u32) -> io::Result<()> {
        while at.saturating_add(8) <= end && self.left > 0 {
            self.left -= 1;
            let head = at_offset::<16, _>(self.reader, at)?;
            let (size, body) = match be32(&head, 0) {
                0 => (end - at, at + 8),
                1 => (be64(&head, 8), at + 16),
                size => (u64::from(size), at + 8),
            };
            let stop = at.saturating_add(size);
            let kind = [head[4], head[5], head[6], head[7]];
            if kind == *b"mdat" && depth == DEPTH && (stop > end || be32(&head, 0) == 0) {
                self.movie.open = Some((at, body));
            }
            if stop < body || stop > end {
                return Ok(());
            }
            self.visit(&kind, body, stop, depth)?;
            at = stop;
        }
        Ok(())
    }

    fn visit(&mut self, kind: &[u8; 4], body: u64, stop: u64, depth: u32) -> io::Result<()> {
        let inner = depth.saturating_sub(1);
        match kind {
            b"moov" | b"mdia" | b"minf" | b"stbl" | b"edts" | b"udta" | b"ilst" | b"----" if inner > 0 => {
                return self.boxes(body, stop, inner);
            }
            // A full box: four bytes of version and flags come first.
            b"meta" if inner > 0 => return self.boxes(body + 4, stop, inner),
            b"trak" if inner > 0 => {
                self.movie.tracks.push(Track::default());
                return self.boxes(body, stop, inner);
            }
            b"mvex" | b"moof" => self.movie.fragmented = true,
            b"mvhd" => {
                let head = at_offset::<24, _>(self.reader, body)?;
                self.movie.timescale = if head[0] == 1 { be32(&head, 20) } else { be32(&head, 12) };
            }
            b"name" => self.name = between(self.reader, body + 4..stop, 256)?,
            b"data" if self.name == b"iTunSMPB" => {
                let value = between(self.reader, body + 8..stop, 256)?;
                self.movie.gapless = Gapless::parse(&value);
            }
            _ => return self.track_box(kind, body, stop),
        }
        Ok(())
    }

    /// Reads a box that belongs to the last track.
    fn track_box(&mut self, kind: &[u8; 4], body: u64, stop: u64) -> io::Result<()> {
        let Some(track) = self.movie.tracks.last_mut() else { return Ok(()) };
        let reader = &mut *self.reader;
        match kind {
            b"tkhd" => {
                let head = at_offset::<24, _>(reader, body)?;
                track.id = if head[0] == 1 { be32(&head, 20) } else { be32(&head, 12) };
            }
            b"mdhd" => {
                let head = at_offset::<24, _>(reader, body)?;
                track.timescale = if head[0] == 1 { be32(&head, 20) } else { be32(&head, 12) };
            }
            b"hdlr" => track.sound |= at_offset::<12, _>(reader, body)?[8..] == *b"soun",
            b"elst" => track.edit = edit_list(reader, body, stop)?,
            b"stsd" => {
                let bytes = between(reader, body + 12..stop, DESCRIPTION)?;
                track.description = bytes;
            }
            b"stts" => {
                let table = table::<8, _>(reader, body + 4, stop)?;
                track.media = table
                    .iter()
                    .fold(0, |sum: u64, run| sum.saturating_add(u64::from(be32(run, 0)) * u64::from(be32(run, 4))));
            }
            b"stsc" => {
                let table = table::<12, _>(reader, body + 4, stop)?;
                track.runs = table.iter().map(|run| (be32(run, 0), be32(run, 4))).collect();
            }
            b"stsz" => {
                track.size = be32(&at_offset::<4, _>(reader, body + 4)?, 0);
                let table = table::<4, _>(reader, body + 8, stop)?;
                track.sizes = table.iter().map(|size| be32(size, 0)).collect();
            }
            b"stco" => {
                let table = table::<4, _>(reader, body + 4, stop)?;
                track.offsets = table.iter().map(|offset| u64::from(be32(offset, 0))).collect();
            }
            b"co64" => {
                let table = table::<8, _>(reader, body + 4, stop)?;
                track.offsets = table.iter().map(|offset| be64(offset, 0)).collect();
            }
            _ => {}
        }
        Ok(())
    }
}

/// A table of entries behind their number.
fn table<const N: usize, R: Read + Seek>(reader: &mut R, body: u64, stop: u64) -> io::Result<Vec<[u8; N]>> {
    let many = be32(&at_offset::<4, _>(reader, body)?, 0) as usize;
    let bytes = between(reader, body + 4..stop, TABLE.min(many.saturating_mul(N)))?;
    Ok(bytes.as_chunks::<N>().0.to_vec())
}

/// Start and duration of the segment of an edit list (ISO/IEC 14496-12, 8.6.6) that presents one.
fn edit_list<R: Read + Seek>(reader: &mut R, body: u64, stop: u64) -> io::Result<Option<(u64, u64)>> {
    let head = at_offset::<8, _>(reader, body)?;
    let long = head[0] == 1;
    let width = if long { 20 } else { 12 };
    let mut shown = Vec::new();
    for entry in 0..u64::from(be32(&head, 4).min(16)) {
        let at = body + 8 + entry * width;
        if at + width > stop {
            break;
        }
        let fields = at_offset::<20, _>(reader, at)?;
        let (lasts, time) = match long {
            true => (be64(&fields, 0), be64(&fields, 8).cast_signed()),
            false => (u64::from(be32(&fields, 0)), i64::from(be32(&fields, 4).cast_signed())),
        };
        if let Ok(time) = u64::try_from(time) {
            shown.push((time, lasts));
        }
    }
    Ok(match shown[..] {
        [only] => Some(only),
        _ => None,
    })
}
