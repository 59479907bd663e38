//! Files of lines and records, of which none is endless.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;

/// The longest line or record, in bytes.
pub const LONGEST: u64 = 16 << 20;

/// Bytes that may still be read before the record under way ends: shared by a [`Paced`] file and the reader of its
/// records.
#[derive(Clone, Debug)]
pub struct Pace(Rc<Cell<u64>>);

impl Pace {
    /// Tells that a record has ended.
    pub fn record(&self) {
        self.0.set(0);
    }
}

/// A file that is read record by record: reading fails where a record does not end within [`LONGEST`] bytes.
#[derive(Debug)]
pub struct Paced {
    file: File,
    pace: Pace,
}

impl Paced {
    /// Opens a regular file.
    ///
    /// # Errors
    /// Those of [`open`](super::open).
    pub fn open(path: &Path) -> io::Result<(Paced, Pace)> {
        let pace = Pace(Rc::default());
        Ok((Paced { file: super::open(path)?, pace: pace.clone() }, pace))
    }
}

impl Read for Paced {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.pace.0.get() > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a row has more than {LONGEST} bytes")));
        }
        let read = self.file.read(out)?;
        self.pace.0.set(self.pace.0.get() + read as u64);
        Ok(read)
    }
}

/// Hands out the lines of a regular file, without their ends, each with its number from 1; bytes that are no UTF-8 are
/// an error of the line.
///
/// # Errors
/// Those of the system, of [`open`](super::open), and `InvalidData` for a line of more than [`LONGEST`] bytes, or what
/// `take` fails with.
pub fn lines<E: From<io::Error>>(
    path: &Path,
    mut take: impl FnMut(u64, Result<&str, std::str::Utf8Error>) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = BufReader::new(super::open(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = file.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if read as u64 > LONGEST {
            let message = format!("line {number} has more than {LONGEST} bytes");
            return Err(io::Error::new(ErrorKind::InvalidData, message).into());
        }
        let end = line.strip_suffix(b"\n").unwrap_or(&line);
        take(number, std::str::from_utf8(end.strip_suffix(b"\r").unwrap_or(end)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_with_their_numbers_and_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines");
        std::fs::write(&path, b"a\r\n\n\xff\nlast").expect("written");
        let mut all = Vec::new();
        let take = |number, line: Result<&str, _>| {
            all.push((number, line.map(str::to_owned).map_err(|_| ())));
            Ok::<(), io::Error>(())
        };
        lines(&path, take).expect("read");
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(all, [(1, text("a")), (2, text("")), (3, Err(())), (4, text("last"))]);
        File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a file of holes");
        let error = lines(&path, |_, _| Ok::<(), io::Error>(())).expect_err("no end");
        assert_eq!(error.to_string(), "line 1 has more than 16777216 bytes");
        let (mut paced, _) = Paced::open(&path).expect("open");
        let error = io::copy(&mut paced, &mut io::sink()).expect_err("no end");
        assert_eq!(error.to_string(), "a row has more than 16777216 bytes");
    }
}
