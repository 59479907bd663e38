//! Line numbers as editors show them, whatever ends the lines: LF, CRLF or CR.
//!
//! The parser of CSV knows where in the file it begins to look for a record, which is amid the end of the line before and
//! before any blank lines. [`Lines`] sees the bytes on their way to it and counts.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

/// A reader that remembers where lines ended, up to what was asked for.
pub(super) struct Lines<R> {
    inner: R,
    /// Bytes read.
    read: u64,
    /// Offsets of line ends that were not asked for yet, with whether the byte is LF.
    ends: VecDeque<(u64, bool)>,
    /// Line ends before those.
    before: u64,
    /// Offset of the last CR that was counted.
    counted: Option<u64>,
}

impl<R> Lines<R> {
    pub(super) fn new(inner: R) -> Lines<R> {
        Lines { inner, read: 0, ends: VecDeque::new(), before: 0, counted: None }
    }

    /// The line, from 1, on which the first byte at or behind `offset` stands that ends no line. Offsets that are asked for
    /// grow; the bytes up to there have been read.
    pub(super) fn line(&mut self, offset: u64) -> u64 {
        let mut next = offset;
        while let Some(&(end, feed)) = self.ends.front() {
            if end > next {
                break;
            }
            self.ends.pop_front();
            // The LF of a CRLF ends nothing more.
            let second = feed && end.checked_sub(1).is_some_and(|cr| self.counted == Some(cr));
            if !feed {
                self.counted = Some(end);
            }
            self.before += u64::from(!second);
            next = next.max(end + 1);
        }
        self.before + 1
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let ends = buffer[..count].iter().enumerate().filter(|(_, byte)| matches!(byte, b'\n' | b'\r'));
        self.ends.extend(ends.map(|(at, byte)| (self.read + at as u64, *byte == b'\n')));
        self.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_an_editor() {
        for (text, expected) in [
            ("h\na\nb\n", [2, 3]),
            ("h\r\na\r\nb\r\n", [2, 3]),
            ("h\ra\rb\r", [2, 3]),
            ("h\n\n\na\n\nb", [4, 6]),
            ("h\r\n\r\na\r\n\r\n\r\nb", [3, 6]),
            ("\"h\r\n\"\r\n\"a\r\n\r\n\"\r\nb\r\n", [3, 6]),
        ] {
            // A byte at a time: an end of a line may be torn.
            for capacity in [1, 2, 1 << 10] {
                let mut reader =
                    csv::ReaderBuilder::new().buffer_capacity(capacity).from_reader(Lines::new(text.as_bytes()));
                reader.byte_headers().expect("a header");
                let (mut record, mut lines) = (csv::ByteRecord::new(), Vec::new());
                while reader.read_byte_record(&mut record).expect("a record") {
                    let offset = record.position().expect("a position").byte();
                    lines.push(reader.get_mut().line(offset));
                }
                assert_eq!(lines, expected, "{text:?} by {capacity}");
            }
        }
    }
}
