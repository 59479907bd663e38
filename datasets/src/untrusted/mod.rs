//! Files of others: opened, bounded and looked through in one place, before a reader trusts them.
//!
//! Whatever a user, a table, a manifest or a stranger names goes through here. A pipe, a socket, a device or a folder
//! is refused before anything waits for it; sizes that a file states are checked against the bytes that are there; a
//! library that panics on some bytes gives an error.
//!
//! | function | refuses |
//! |---|---|
//! | [`open`] | whatever is no regular file |
//! | [`read`], [`text`] | the same, and files beyond a size |
//! | [`model::read`] | safetensors whose data are not as long as their header says |
//! | [`tensors::TensorFile`] | checkpoints whose pickle names what is no tensor, tensors that lie outside of their file |
//! | [`parquet::Vetted`] | Parquet whose footer or pages state what cannot be, or that unpacks to far more than it is |
//! | [`lines`] | a line without end, within a file of lines |
//! | [`guarded`] | nothing: it turns a panic of a library into an error |
//!
//! ```
//! use datasets::untrusted;
//!
//! let folder = tempfile::tempdir()?;
//! let list = folder.path().join("list.csv");
//! std::fs::write(&list, "path\na.wav\n")?;
//! assert_eq!(untrusted::text(&list, 100)?, "path\na.wav\n");
//! assert!(untrusted::text(&list, 10).unwrap_err().to_string().ends_with("more than the 10 that are read"));
//! assert_eq!(untrusted::open(folder.path()).unwrap_err().to_string(), "it is a folder, not a file");
//! # Ok::<(), std::io::Error>(())
//! ```

mod guard;
mod input;
pub mod lines;
pub mod model;
pub mod parquet;
pub mod tensors;
mod thrift;

pub use guard::guarded;

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The largest file that is read as a whole, in bytes: records, lists of tracks, saved plans.
pub const LARGEST: u64 = 4 << 30;
/// The largest text that people write, in bytes: lock files, lists of hosts.
pub const LARGEST_TEXT: u64 = 64 << 20;

/// Tries, each a twentieth of a second, for a file on which another process holds a lease.
const LEASE: u32 = 100;

/// Opens a regular file for reading, links followed.
///
/// The type is looked at twice: before, because opening a device may do something to it, and on the open descriptor,
/// because the name may have been given to something else meanwhile. Opening never waits for a writer.
///
/// # Errors
/// Those of the system, and `InvalidInput` for a pipe, a socket or a device, `IsADirectory` for a folder.
pub fn open(path: &Path) -> io::Result<File> {
    regular(fs::metadata(path)?.file_type())?;
    let mut tries = 0;
    let file = loop {
        match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
            // A lease of a file server: the system asks its holder to give it up.
            Err(error) if error.kind() == ErrorKind::WouldBlock && tries < LEASE => {
                tries += 1;
                sleep(Duration::from_millis(50));
            }
            other => break other?,
        }
    };
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Checks that something is a regular file.
fn regular(kind: FileType) -> io::Result<()> {
    let (error, what) = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => (ErrorKind::IsADirectory, "a folder"),
        kind if kind.is_fifo() => (ErrorKind::InvalidInput, "a pipe"),
        kind if kind.is_socket() => (ErrorKind::InvalidInput, "a socket"),
        _ => (ErrorKind::InvalidInput, "a device"),
    };
    Err(io::Error::new(error, format!("it is {what}, not a file")))
}

/// Reads a regular file of at most `most` bytes as a whole.
///
/// # Errors
/// Those of [`open`], and `FileTooLarge` for more bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    if size > most {
        return Err(too_large(size, most));
    }
    whole(file, size, most)
}

/// The rest of a file, which had `size` bytes.
fn whole(file: File, size: u64, most: u64) -> io::Result<Vec<u8>> {
    // A file may grow while it is read.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size as usize).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        size if size > most => Err(too_large(size, most)),
        _ => Ok(bytes),
    }
}

/// Reads a regular file of at most `most` bytes as text.
///
/// # Errors
/// Those of [`read`], and `InvalidData` for what is not UTF-8.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

fn too_large(size: u64, most: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has {size} bytes, more than the {most} that are read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo").success());
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        fs::create_dir(at("folder")).expect("a folder");
        std::os::unix::fs::symlink(at("pipe"), at("link")).expect("a link");
        let said = |path: &Path| open(path).expect_err("refused").to_string();
        assert_eq!(said(&at("pipe")), "it is a pipe, not a file");
        assert_eq!(said(&at("link")), "it is a pipe, not a file");
        assert_eq!(said(&at("socket")), "it is a socket, not a file");
        assert_eq!(said(&at("folder")), "it is a folder, not a file");
        assert_eq!(said(Path::new("/dev/zero")), "it is a device, not a file");
        assert_eq!(open(&at("none")).expect_err("none").kind(), ErrorKind::NotFound);
        fs::write(at("file"), "abc").expect("written");
        std::os::unix::fs::symlink(at("file"), at("good")).expect("a link");
        assert_eq!(read(&at("good"), 3).expect("read"), b"abc");
    }

    #[test]
    fn a_file_beyond_the_size_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("holes");
        File::create(&path).and_then(|file| file.set_len(1 << 42)).expect("a file of holes");
        let error = read(&path, 1 << 20).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it has 4398046511104 bytes, more than the 1048576 that are read");
        fs::write(&path, [0xff]).expect("written");
        assert_eq!(text(&path, 10).expect_err("no text").to_string(), "it is not UTF-8");
    }
}
