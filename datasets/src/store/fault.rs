//! Faults on purpose: lets a test see what a full or broken disk does, on a disk that is neither.
//!
//! `REFRAIN_FAULT=POINT:ERROR[:AFTER[:TIMES]]` makes operations named POINT (`read`, `write`, `fsync`, `rename`,
//! `remove`) of the store fail with ERROR (`full`, `io`, `readonly`) once AFTER of them have gone well: TIMES of them, or
//! all that follow. The operation `stage NAME` is the work of a stage over a whole corpus. Permissions cannot play a read-only disk to a test that runs as root.

use crate::environment;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

struct Fault {
    point: String,
    errno: i32,
    after: u64,
    times: u64,
    seen: AtomicU64,
}

fn parse(text: &str) -> Option<Fault> {
    let mut parts = text.split(':');
    let point = parts.next()?.to_owned();
    let errno = match parts.next()? {
        "full" => 28,
        "io" => 5,
        "readonly" => 30,
        _ => return None,
    };
    let after = parts.next().map_or(Some(0), |n| n.parse().ok())?;
    let times = parts.next().map_or(Some(u64::MAX), |n| n.parse().ok())?;
    Some(Fault { point, errno, after, times, seen: AtomicU64::new(0) })
}

/// Called before each operation of the store that a disk can refuse.
///
/// # Errors
/// Only when the environment asks for it; see the module's text.
pub fn point(name: &str) -> io::Result<()> {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| environment::FAULT.text().and_then(|text| parse(&text)));
    let Some(fault) = fault.as_ref().filter(|fault| fault.point == name) else { return Ok(()) };
    let seen = fault.seen.fetch_add(1, Ordering::Relaxed);
    let fails = seen >= fault.after && seen - fault.after < fault.times;
    if fails { Err(io::Error::from_raw_os_error(fault.errno)) } else { Ok(()) }
}

/// Called before a stage does its work over a whole corpus: the operation `stage NAME`.
///
/// # Errors
/// Only when the environment asks for it; see the module's text.
pub fn stage(name: &str) -> io::Result<()> {
    point(&format!("stage {name}"))
}

/// Reads a whole file of the store.
///
/// # Errors
/// When the disk refuses.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    point("read").and_then(|()| crate::untrusted::read(path, u64::MAX))
}

/// Writes all bytes to a log of the store. A disk that fills up takes a part of them, and so does a fault on purpose.
///
/// # Errors
/// When the disk refuses.
pub fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if let Err(error) = point("write") {
        file.write_all(&bytes[..bytes.len() / 2])?;
        return Err(error);
    }
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_it_documents() {
        let fault = parse("write:full:3").expect("a fault");
        assert_eq!((fault.point.as_str(), fault.errno, fault.after), ("write", 28, 3));
        assert_eq!(parse("rename:io").map(|f| (f.errno, f.after, f.times)), Some((5, 0, u64::MAX)));
        assert_eq!(parse("read:io:2:1").map(|f| (f.after, f.times)), Some((2, 1)));
        assert!(parse("write:sometimes").is_none());
    }
}
