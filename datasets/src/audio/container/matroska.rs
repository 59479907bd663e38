//! Matroska and WebM files that stop early (RFC 9559; EBML, RFC 8794).
//!
//! symphonia 0.6.1 refuses elements that reach beyond the end of the file, a Segment first of all. Of a file that is cut,
//! the view ends at the last whole element of the last Cluster, and the sizes around it say so.

use std::io::{self, Read, Seek};
use std::ops::Range;

use crate::audio::view::{View, at};

const HEADER: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const SEEK_HEAD: u32 = 0x114d_9b74;
const VOID: u8 = 0xec;
/// Elements of a Segment that are looked through before giving up.
const CHILDREN: usize = 1 << 20;

/// Whether a file that begins like this is one.
pub(super) fn is(head: &[u8]) -> bool {
    head.starts_with(&HEADER.to_be_bytes())
}

/// An element's header.
struct Element {
    id: u32,
    /// Offset of its size field, and how many bytes that has.
    place: u64,
    width: u8,
    body: u64,
    /// Offset of its end; `None` where the size is unknown.
    end: Option<u64>,
}

fn element<R: Read + Seek>(reader: &mut R, offset: u64) -> io::Result<Option<Element>> {
    let head: [u8; 12] = at(reader, offset)?;
    let named = head[0].leading_zeros() as usize + 1;
    let width = head.get(named).map_or(9, |byte| byte.leading_zeros() as usize + 1);
    if named > 4 || width > 8 {
        return Ok(None);
    }
    let id = head[..named].iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let coded = head[named..named + width].iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
    let size = coded & !(1 << (7 * width));
    let place = offset + named as u64;
    let body = place + width as u64;
    let known = size != (1 << (7 * width)) - 1;
    Ok(Some(Element { id, place, width: width as u8, body, end: known.then(|| body.saturating_add(size)) }))
}

/// A size in so many bytes, if it fits.
fn coded(size: u64, width: u8) -> Option<Vec<u8>> {
    let marker = 1 << (7 * width);
    (size < marker - 1).then(|| (marker | size).to_be_bytes()[8 - usize::from(width)..].to_vec())
}

/// The bytes of a file from its header on, with sizes that its end allows.
///
/// # Errors
/// Only those of the source.
pub(super) fn view<R: Read + Seek>(reader: &mut R, range: Range<u64>) -> io::Result<View> {
    let whole = View::part(range.clone());
    let Some(head) = element(reader, range.start)?.and_then(|head| head.end) else { return Ok(whole) };
    let segment = element(reader, head)?.filter(|segment| segment.id == SEGMENT);
    let Some(segment) = segment.filter(|segment| segment.end.is_some_and(|end| end > range.end)) else {
        return Ok(whole);
    };
    let (mut offset, mut patches, mut cut) = (segment.body, Vec::new(), range.end);
    for _ in 0..CHILDREN {
        if offset >= range.end {
            break;
        }
        let Some(child) = element(reader, offset)? else { break };
        let end = child.end.unwrap_or(u64::MAX);
        if child.id == SEEK_HEAD && end <= range.end {
            // It points beyond the end: an element of nothing, of the same length, stands in its place.
            let width = 8.min(3 + child.width);
            let size = (end - offset).checked_sub(1 + u64::from(width)).and_then(|nothing| coded(nothing, width));
            patches.extend(size.map(|size| (offset, [&[VOID][..], &size].concat())));
        }
        if end > range.end {
            cut = if child.id == CLUSTER { last_whole(reader, child.body, range.end)? } else { offset };
            if child.id == CLUSTER && child.end.is_some() {
                patches.extend(coded(cut - child.body, child.width).map(|bytes| (child.place, bytes)));
            }
            break;
        }
        offset = end;
    }
    patches.extend(coded(cut - segment.body, segment.width).map(|bytes| (segment.place, bytes)));
    patches.sort();
    Ok(View::patched(range.start..cut, patches))
}

/// The end of the last element from `offset` on that lies before `end`.
fn last_whole<R: Read + Seek>(reader: &mut R, mut offset: u64, end: u64) -> io::Result<u64> {
    while offset < end {
        match element(reader, offset)?.and_then(|child| child.end) {
            Some(next) if next <= end && next > offset => offset = next,
            _ => break,
        }
    }
    Ok(offset)
}
