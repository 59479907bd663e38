//! The list of a zip archive (PKWARE's APPNOTE 6.3), with the 64-bit records of large ones. Only entries that are stored as
//! they are can be read, which is how `torch.save` writes them: what a small file unpacks to is no question.

use super::place::{bytes_at, wrong};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

/// The end record without its comment, and the longest comment.
const END: u64 = 22;
const COMMENT: u64 = 0xffff;
/// The largest list of entries, in bytes.
const LARGEST_LIST: u64 = 64 << 20;

/// An entry of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of its own header.
    header: u64,
    /// Length of its bytes.
    length: u64,
    /// Whether its bytes stand there as they are.
    stored: bool,
}

/// Little-endian numbers at an offset; bytes that are not there count as a damaged archive.
struct Record<'b>(&'b [u8]);

impl Record<'_> {
    fn number<const N: usize>(&self, at: usize) -> io::Result<u64> {
        let bytes = self.0.get(at..at + N).ok_or_else(cut)?;
        let mut number = [0; 8];
        number[..N].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(number))
    }

    fn u16(&self, at: usize) -> io::Result<u64> {
        self.number::<2>(at)
    }

    fn u32(&self, at: usize) -> io::Result<u64> {
        self.number::<4>(at)
    }

    fn u64(&self, at: usize) -> io::Result<u64> {
        self.number::<8>(at)
    }
}

fn cut() -> io::Error {
    wrong("the zip archive is damaged or cut short")
}

/// Offset and length of the list of entries.
fn list<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<(u64, u64)> {
    let room = size.min(END + COMMENT);
    let tail = bytes_at(file, size - room, room)?;
    let end = (0..tail.len().saturating_sub(END as usize - 1)).rev().find(|&at| {
        let record = Record(&tail[at..]);
        tail[at..].starts_with(b"PK\x05\x06")
            && record.u16(20).is_ok_and(|comment| at as u64 + END + comment == tail.len() as u64)
    });
    let end = end.ok_or_else(cut)?;
    let record = Record(&tail[end..]);
    let (length, start) = (record.u32(12)?, record.u32(16)?);
    let large = [record.u16(10)? == 0xffff, length == u64::from(u32::MAX), start == u64::from(u32::MAX)];
    if !large.contains(&true) {
        return Ok((start, length));
    }
    let at = (size - room + end as u64).checked_sub(20).ok_or_else(cut)?;
    let locator = bytes_at(file, at, 20)?;
    let at = Record(&locator).u64(8)?;
    if !locator.starts_with(b"PK\x06\x07") || at.checked_add(56).is_none_or(|end| end > size) {
        return Err(cut());
    }
    let record = bytes_at(file, at, 56)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(cut());
    }
    Ok((Record(&record).u64(48)?, Record(&record).u64(40)?))
}

/// The entries of an archive of `size` bytes, by name.
///
/// # Errors
/// Those of the reader, and `InvalidData` for a damaged archive, or one with two entries of a name.
pub(super) fn entries<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<BTreeMap<String, Entry>> {
    let (start, length) = list(file, size)?;
    if length > LARGEST_LIST || start.checked_add(length).is_none_or(|end| end > size) {
        return Err(cut());
    }
    let list = bytes_at(file, start, length)?;
    let (mut entries, mut rest) = (BTreeMap::new(), &list[..]);
    while !rest.is_empty() {
        let record = Record(rest);
        if !rest.starts_with(b"PK\x01\x02") {
            return Err(cut());
        }
        let [name, extra, comment] = [record.u16(28)?, record.u16(30)?, record.u16(32)?].map(|n| n as usize);
        let own = rest.get(46..46 + name).ok_or_else(cut)?;
        let own =
            std::str::from_utf8(own).map_err(|_| wrong("an entry of the zip archive has a name that is not UTF-8"))?;
        let more = rest.get(46 + name..46 + name + extra).ok_or_else(cut)?;
        let sizes = [record.u32(24)?, record.u32(20)?, record.u32(42)?];
        let [unpacked, packed, header] = wide(sizes, more)?;
        let stored = record.u16(10)? == 0 && record.u16(8)? & 1 == 0 && packed == unpacked;
        let entry = Entry { header, length: packed, stored };
        if entries.insert(own.to_owned(), entry).is_some() {
            return Err(wrong(format!("two entries of the zip archive are named {own}")));
        }
        rest = rest.get(46 + name + extra + comment..).ok_or_else(cut)?;
    }
    Ok(entries)
}

/// Sizes and offset of an entry, from its 64-bit field where 32 bits do not hold them.
fn wide(sizes: [u64; 3], mut extra: &[u8]) -> io::Result<[u64; 3]> {
    let large = |size: u64| size == u64::from(u32::MAX);
    if !sizes.iter().any(|size| large(*size)) {
        return Ok(sizes);
    }
    while !extra.is_empty() {
        let record = Record(extra);
        let (kind, length) = (record.u16(0)?, record.u16(2)? as usize);
        let field = extra.get(4..4 + length).ok_or_else(cut)?;
        if kind == 1 {
            let (mut wide, mut at) = (sizes, 0);
            for size in wide.iter_mut().filter(|size| large(**size)) {
                *size = Record(field).u64(at)?;
                at += 8;
            }
            return Ok(wide);
        }
        extra = &extra[4 + length..];
    }
    Err(cut())
}

/// Offset and length of the bytes of an entry, which were seen to lie inside the file.
///
/// # Errors
/// Those of the reader, and `InvalidData` for a compressed or encrypted entry, or one that is not where the list says.
pub(super) fn place<R: Read + Seek>(file: &mut R, size: u64, name: &str, entry: Entry) -> io::Result<(u64, u64)> {
    if !entry.stored {
        return Err(wrong(format!("{name} is compressed in the zip archive, which `torch.save` never does")));
    }
    if entry.header.checked_add(30).is_none_or(|end| end > size) {
        return Err(cut());
    }
    let header = bytes_at(file, entry.header, 30)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(cut());
    }
    let start = entry.header + 30 + Record(&header).u16(26)? + Record(&header).u16(28)?;
    match start.checked_add(entry.length) {
        Some(end) if end <= size => Ok((start, entry.length)),
        _ => Err(cut()),
    }
}
