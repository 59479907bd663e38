//! Signals: Ctrl-C, and a file that outgrows the limit of this process.

use super::interrupt;
use crate::{error::INTERRUPTED, terminal::output};
use signal_hook::{
    consts::{SIGINT, SIGXFSZ},
    flag,
    iterator::Signals,
};
use stages::flow::Cancel;
use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

/// Ctrl-C asks once for a clean stop, for which there is a moment; a second one ends the process, whatever its threads are doing: it is the handler of
/// the signal itself that does it.
pub(super) fn cancel_on_interrupt() -> Cancel {
    let cancel = Cancel::default();
    let asked = cancel.clone();
    let heard = || -> io::Result<()> {
        let again = Arc::new(AtomicBool::new(false));
        let mut signals = Signals::new([SIGINT])?;
        // In this order: the first sets what the second finds set.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED.code.into(), again.clone())?;
        flag::register(SIGINT, again)?;
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            for _ in signals.forever() {
                asked.cancel();
                interrupt::end_soon(asked.clone());
                output::note("stopping; again to stop at once");
            }
        })?;
        Ok(())
    };
    if let Err(error) = heard() {
        tracing::warn!("Ctrl-C will not stop cleanly: {error}");
    }
    cancel
}

/// Makes a write beyond the largest file that this process may write (`ulimit -f`) an error of that write, which has its
/// sentence and exit code. By default the signal for it ends the process.
pub(super) fn outgrown() {
    if let Err(error) = flag::register(SIGXFSZ, Arc::default()) {
        tracing::debug!("a file that grows too large will end the process: {error}");
    }
}
