//! Which bytes of a file the demuxers see: parts of the file in a row, and bytes of our own between them. Tags and
//! pictures around the sound are cut away, and sizes that lie are set right, before a demuxer refuses over them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::names::read_up_to;

/// A stretch of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes that stand in the place of those of the file.
    Own(Vec<u8>),
    /// Bytes of the file, by their offsets.
    File(Range<u64>),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Own(bytes) => bytes.len() as u64,
            Piece::File(range) => range.end.saturating_sub(range.start),
        }
    }
}

/// Pieces of a file, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pieces: Vec<Piece>,
    /// The offset in the view at which each piece ends.
    ends: Vec<u64>,
}

impl View {
    /// The bytes between two offsets of the file.
    pub(super) fn part(range: Range<u64>) -> View {
        View::default().and(Piece::File(range))
    }

    /// This view with another piece at its end. Empty pieces are left out.
    pub(super) fn and(mut self, piece: Piece) -> View {
        if piece.length() > 0 {
            self.ends.push(self.length() + piece.length());
            self.pieces.push(piece);
        }
        self
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The piece that holds the byte at an offset of the view, and how far behind its start that byte lies.
    pub(super) fn piece_at(&self, at: u64) -> Option<(usize, u64)> {
        let piece = self.ends.partition_point(|end| *end <= at);
        let end = self.ends.get(piece)?;
        Some((piece, at - (end - self.pieces[piece].length())))
    }

    /// The bytes between two offsets of a file, with others in the place of some: pairs of an offset and bytes, in order.
    pub(super) fn patched(range: Range<u64>, patches: Vec<(u64, Vec<u8>)>) -> View {
        let (mut view, mut at) = (View::default(), range.start);
        for (offset, bytes) in patches {
            if offset < at || offset >= range.end {
                continue;
            }
            let end = offset + bytes.len() as u64;
            view = view.and(Piece::File(at..offset)).and(Piece::Own(bytes));
            at = end.min(range.end);
        }
        view.and(Piece::File(at..range.end))
    }
}

/// `N` bytes at an offset; zeros beyond the end of the source.
pub(super) fn at<const N: usize, R: Read + Seek>(reader: &mut R, offset: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.seek(SeekFrom::Start(offset))?;
    read_up_to(reader, &mut bytes)?;
    Ok(bytes)
}

/// At most `most` bytes between two offsets.
pub(super) fn between<R: Read + Seek>(reader: &mut R, range: Range<u64>, most: usize) -> io::Result<Vec<u8>> {
    let room = range.end.saturating_sub(range.start);
    let mut bytes = vec![0; most.min(usize::try_from(room).unwrap_or(usize::MAX))];
    reader.seek(SeekFrom::Start(range.start))?;
    let read = read_up_to(reader, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Big-endian number of 16 bits at a place in bytes that are known to hold it.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from(bytes[at]) << 8 | u16::from(bytes[at + 1])
}

/// Big-endian number of 32 bits, like [`be16`].
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at)) << 16 | u32::from(be16(bytes, at + 2))
}

/// Big-endian number of 64 bits, like [`be16`].
pub(super) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4))
}

/// Little-endian number of 16 bits, like [`be16`].
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    be16(bytes, at).swap_bytes()
}

/// Little-endian number of 32 bits, like [`be16`].
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    be32(bytes, at).swap_bytes()
}

/// Little-endian number of 64 bits, like [`be16`].
pub(super) fn le64(bytes: &[u8], at: usize) -> u64 {
    be64(bytes, at).swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_stands_in_the_place_of_bytes() {
        let view = View::patched(0..10, vec![(2, vec![1, 2, 3]), (8, vec![9, 9])]);
        assert_eq!(view.length(), 10);
        assert_eq!(view.piece_at(4), Some((1, 2)));
        assert_eq!(view.piece_at(5), Some((2, 0)));
        assert_eq!(view.piece_at(9), Some((3, 1)));
        assert_eq!(view.piece_at(10), None);
    }
}
