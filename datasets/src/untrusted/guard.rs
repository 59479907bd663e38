//! Calls into libraries that may panic on bytes of others.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Guarded calls under way on this thread: their panics are told by whoever asked.
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

/// Counts a guarded call for as long as it lives.
struct Quiet;

impl Quiet {
    fn new() -> Quiet {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |panic| {
                if GUARDED.get() == 0 {
                    before(panic);
                }
            }));
        });
        GUARDED.set(GUARDED.get() + 1);
        Quiet
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        GUARDED.set(GUARDED.get() - 1);
    }
}

/// Runs one call into a library. A panic in there is a property of the bytes that it was given: it is no message on
/// the terminal, but the error.
///
/// # Errors
/// What the panic said.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let quiet = Quiet::new();
    let result = catch_unwind(AssertUnwindSafe(call));
    drop(quiet);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| 7), Ok(7));
        let index = std::hint::black_box(3);
        let said = guarded(|| [1, 2][index]).expect_err("out of bounds");
        assert!(said.starts_with("index out of bounds"), "{said}");
        assert_eq!(guarded(|| guarded(|| panic!("inner")).is_err()), Ok(true));
        assert_eq!(GUARDED.get(), 0);
    }
}
