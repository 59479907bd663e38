//! Numbers on the command line: every numeric option has bounds, and a complaint names the one that was passed.

use std::{num::NonZeroUsize, ops::RangeInclusive, thread};

/// Workers that any machine may be asked for.
const WORKERS: usize = 64;

/// The greatest number of workers: several for each core, and at least so many that results can be compared between
/// machines.
pub fn most_workers() -> usize {
    WORKERS.max(4 * thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

/// A whole number within bounds.
///
/// # Errors
/// What is expected, as a fragment.
pub fn whole(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let (least, most) = bounds.into_inner();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(match most {
            u64::MAX => format!("expected a whole number of at least {least}"),
            _ => format!("expected a whole number from {least} to {most}"),
        });
    }
    if text.starts_with('-') && digits.bytes().any(|byte| byte != b'0') {
        return Err(format!("expected at least {least}"));
    }
    // More digits than fit are a number that is too large.
    match digits.parse::<u64>() {
        Ok(number) if number < least => Err(format!("expected at least {least}")),
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("expected at most {most}")),
    }
}

/// [`whole`] for counts that are used as an index.
///
/// # Errors
/// See [`whole`].
pub fn size(text: &str, bounds: RangeInclusive<usize>) -> Result<usize, String> {
    whole(text, *bounds.start() as u64..=*bounds.end() as u64).map(|number| number as usize)
}

/// A number of workers, at most [`most_workers`].
///
/// # Errors
/// See [`whole`].
pub fn workers(text: &str) -> Result<NonZeroUsize, String> {
    let number = size(text, 1..=most_workers())?;
    NonZeroUsize::new(number).ok_or_else(|| "expected at least 1".to_owned())
}

/// A number that may have a fraction.
///
/// # Errors
/// What is expected, as a fragment.
pub fn real(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| !number.is_nan()).ok_or_else(|| "expected a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_bound_that_was_passed() {
        assert_eq!(whole("64", 1..=64), Ok(64));
        assert_eq!(whole("-0", 0..=64), Ok(0));
        assert_eq!(whole(&u64::MAX.to_string(), 0..=u64::MAX), Ok(u64::MAX));
        let twenty = "9".repeat(20);
        for (text, wrong) in [
            ("0", "expected at least 1"),
            ("-1", "expected at least 1"),
            ("65", "expected at most 64"),
            ("99999999999", "expected at most 64"),
            (&twenty, "expected at most 64"),
            ("", "expected a whole number from 1 to 64"),
            ("-", "expected a whole number from 1 to 64"),
            ("1.5", "expected a whole number from 1 to 64"),
            ("two", "expected a whole number from 1 to 64"),
        ] {
            assert_eq!(whole(text, 1..=64), Err(wrong.to_owned()), "{text:?}");
        }
        assert_eq!(whole("x", 0..=u64::MAX), Err("expected a whole number of at least 0".into()));
        assert!(workers("1").is_ok() && workers("64").is_ok() && workers("99999999999").is_err());
        assert_eq!((real("-1"), real("nan").is_err(), real("x").is_err()), (Ok(-1.0), true, true));
    }
}
