//! Which decoded frames are sound: encoder delay and padding, as the LAME header of an MPEG stream or the edit
//! list and iTunes' gapless tag of an MP4 file state them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::formats::Track;

use super::view::at as at_offset;

/// Frames of the decoded stream that are no sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trim {
    /// Frames before the first of sound.
    pub(super) start: u64,
    /// A later range without sound. What follows it is kept: headers are known to count too few frames.
    pub(super) gap: Range<u64>,
}

impl Trim {
    /// Trim from the delay, padding and length in a Xing/LAME header.
    pub(super) fn from_lame(track: &Track) -> Self {
        let (Some(delay), Some(padding)) = (track.delay, track.padding) else { return Trim::default() };
        let start = u64::from(delay);
        let gap = match track.num_frames {
            // A delay and a padding beyond the stated length cannot both be right.
            Some(0) | None => 0..0,
            Some(frames) => start + frames..start + frames + u64::from(padding),
        };
        Trim { start, gap }
    }

    /// Trim from an MP4 file's edit list of this track.
    pub(super) fn from_edit(edit: Option<&Edit>, track: &Track) -> Self {
        let rate = match &track.codec_params {
            Some(CodecParameters::Audio(params)) => params.sample_rate,
            _ => None,
        };
        let (Some(edit), Some(rate)) = (edit, rate) else { return Trim::default() };
        Trim { start: edit.start(track.id, rate).unwrap_or(0), gap: 0..0 }
    }

    /// The parts, in frames relative to the block, that are sound in a block of `frames` decoded frames that
    /// starts at frame `at` of the stream.
    pub(super) fn keep(&self, at: u64, frames: u64) -> [Range<u64>; 2] {
        let end = at + frames;
        let clamp = |x: u64| x.clamp(at, end) - at;
        let first = clamp(self.start.max(at))..clamp(self.gap.start.max(self.start));
        let second = clamp(self.gap.end.max(self.start))..frames;
        if self.gap.is_empty() { [clamp(self.start)..frames, 0..0] } else { [first, second] }
    }
}

/// The part of each track of an MP4 file that is presented.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edit {
    tracks: Vec<TrackEdit>,
    /// The encoder delay in frames that iTunes' gapless tag states for the only audio track.
    gapless: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct TrackEdit {
    id: u32,
    timescale: u32,
    /// Start of the first presented segment, in units of the timescale.
    media_time: Option<u64>,
}

impl Edit {
    /// Frames before the presented part of a track.
    fn start(&self, id: u32, rate: u32) -> Option<u64> {
        let track = self.tracks.iter().find(|track| track.id == id)?;
        let from_list = || {
            let time = track.media_time?;
            (track.timescale > 0).then(|| {
                let frames = u128::from(time) * u128::from(rate) / u128::from(track.timescale);
                u64::try_from(frames).unwrap_or(u64::MAX)
            })
        };
        // The tag counts frames; the list is often rounded to the movie's coarser clock.
        self.gapless.or_else(from_list)
    }
}

/// Nesting limit of MP4 boxes: moov / trak / mdia / mdhd and moov / udta / meta / ilst / ----.
const DEPTH: u32 = 6;
/// Limit on the number of boxes that are read.
const BOXES: u32 = 10_000;

/// Reads the edits of an MP4 file; `None` for any other file. A damaged list counts as absent.
///
/// # Errors
/// Only those of the source.
pub(super) fn mp4_edit<R: Read + Seek>(reader: &mut R) -> io::Result<Option<Edit>> {
    let end = reader.seek(SeekFrom::End(0))?;
    let head: [u8; 8] = at_offset(reader, 0)?;
    if &head[4..] != b"ftyp" {
        return Ok(None);
    }
    let mut walk = Walk { reader, edit: Edit::default(), left: BOXES, name: Vec::new() };
    walk.boxes(0, end, DEPTH)?;
    Ok(Some(walk.edit))
}

struct Walk<'a, R> {
    reader: &'a mut R,
    edit: Edit,
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
            if stop < body || stop > end {
                return Ok(());
            }
            let kind = [head[4], head[5], head[6], head[7]];
            self.visit(&kind, body, stop, depth)?;
            at = stop;
        }
        Ok(())
    }

    fn visit(&mut self, kind: &[u8; 4], body: u64, stop: u64, depth: u32) -> io::Result<()> {
        let inner = depth.saturating_sub(1);
        match kind {
            b"moov" | b"mdia" | b"edts" | b"udta" | b"ilst" | b"----" if inner > 0 => self.boxes(body, stop, inner),
            // A full box: four bytes of version and flags come first.
            b"meta" if inner > 0 => self.boxes(body + 4, stop, inner),
            b"trak" if inner > 0 => {
                self.edit.tracks.push(TrackEdit::default());
                self.boxes(body, stop, inner)
            }
            b"tkhd" => {
                let head = at_offset::<24, _>(self.reader, body)?;
                let id = if head[0] == 1 { be32(&head, 20) } else { be32(&head, 12) };
                self.track(|track| track.id = id);
                Ok(())
            }
            b"mdhd" => {
                let head = at_offset::<24, _>(self.reader, body)?;
                let timescale = if head[0] == 1 { be32(&head, 20) } else { be32(&head, 12) };
                self.track(|track| track.timescale = timescale);
                Ok(())
            }
            b"elst" => self.edit_list(body, stop),
            b"name" => {
                self.name = self.tail(body + 4, stop)?;
                Ok(())
            }
            b"data" if self.name == b"iTunSMPB" => {
                let value = self.tail(body + 8, stop)?;
                self.edit.gapless = gapless_delay(&value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The first segment that shows media. A list of several segments rearranges the track; that is not followed,
    /// and neither is its trimming.
    fn edit_list(&mut self, body: u64, stop: u64) -> io::Result<()> {
        let head = at_offset::<8, _>(self.reader, body)?;
        let long = head[0] == 1;
        let width = if long { 20 } else { 12 };
        let mut shown = Vec::new();
        for entry in 0..u64::from(be32(&head, 4).min(16)) {
            let at = body + 8 + entry * width;
            if at + width > stop {
                break;
            }
            let fields = at_offset::<20, _>(self.reader, at)?;
            let time = if long { be64(&fields, 8).cast_signed() } else { i64::from(be32(&fields, 4).cast_signed()) };
            if let Ok(time) = u64::try_from(time) {
                shown.push(time);
            }
        }
        if let [time] = shown[..] {
            self.track(|track| track.media_time = Some(time));
        }
        Ok(())
    }

    fn track(&mut self, set: impl FnOnce(&mut TrackEdit)) {
        if let Some(track) = self.edit.tracks.last_mut() {
            set(track);
        }
    }

    /// The bytes between two offsets, at most 256.
    fn tail(&mut self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let bytes = at_offset::<256, _>(self.reader, from)?;
        Ok(bytes[..to.saturating_sub(from).min(256) as usize].to_vec())
    }
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4))
}

/// The second of the hexadecimal words of iTunes' gapless tag: the encoder delay in frames.
fn gapless_delay(value: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(value).ok()?.split_ascii_whitespace().nth(1)?;
    u64::from_str_radix(word, 16).ok().filter(|delay| *delay < 1 << 16)
}

/// The delay in frames of the encoder FAAC, which states no delay but its name, in a fill element (ISO/IEC 14496-3,
/// 4.4.2.7) at the start of its first packet. Other decoders drop a block of 1024 frames for it.
pub(super) fn faac_delay(first_packet: &[u8]) -> u64 {
    let fills = first_packet.first().is_some_and(|byte| byte >> 5 == 6);
    if fills && first_packet.get(4..).is_some_and(|text| text.starts_with(b"libfaac ")) { 1024 } else { 0 }
}
