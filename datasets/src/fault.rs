//! Faults on purpose: lets a test see what a full or broken disk does, on a disk that is neither.
//!
//! `REFRAIN_FAULT=POINT:ERROR[:AFTER]` makes every operation named POINT (`write`, `fsync`, `rename`, `remove`)
//! of the store fail with ERROR (`full`, `io`, `readonly`) once AFTER of them have gone well.
//! Permissions cannot play a read-only disk to a test that runs as root.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

struct Fault {
    point: String,
    errno: i32,
    after: u64,
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
    Some(Fault { point, errno, after, seen: AtomicU64::new(0) })
}

/// Called before each operation of the store that a disk can refuse.
///
/// # Errors
/// Only when the environment asks for it; see the module's text.
pub fn point(name: &str) -> io::Result<()> {
    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| std::env::var("REFRAIN_FAULT").ok().and_then(|text| parse(&text)));
    match fault {
        Some(fault) if fault.point == name && fault.seen.fetch_add(1, Ordering::Relaxed) >= fault.after => {
            Err(io::Error::from_raw_os_error(fault.errno))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_it_documents() {
        let fault = parse("write:full:3").expect("a fault");
        assert_eq!((fault.point.as_str(), fault.errno, fault.after), ("write", 28, 3));
        assert_eq!(parse("rename:io").map(|f| (f.errno, f.after)), Some((5, 0)));
        assert!(parse("write:sometimes").is_none());
    }
}
