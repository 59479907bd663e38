//! The end of a process after Ctrl-C, for work that does not hear it: a large table that is parsed, a file on a slow disk, a
//! join of a million rows, a report.
//!
//! Everything that takes long looks at its cancellation flag, stops, and says how the command ends. What cannot look is
//! ended here: all that is on disk is whole at any time, as after a kill, and the next command goes on from there.

use crate::{error::Error, terminal::output};
use stages::flow::Cancel;
use std::{
    process,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

/// Time that work has to stop by itself.
const MOMENT: Duration = Duration::from_millis(700);
/// The same for work that saves where it is, such as a training amid a step.
const SAVING: Duration = Duration::from_secs(10);
/// Interval at which its end is polled.
const LOOK: Duration = Duration::from_millis(50);

/// Ends this process with exit code 130 within a moment, if it has not ended by itself. `cancel` is set.
pub(super) fn end_soon(cancel: Cancel) {
    let end = move || {
        let asked = Instant::now();
        thread::sleep(MOMENT);
        if cancel.held() {
            while cancel.held() && asked.elapsed() < SAVING {
                thread::sleep(LOOK);
            }
            thread::sleep(MOMENT);
        }
        // Standard error may be full, and nobody reads it.
        let (said, heard) = channel();
        let say = move || {
            output::error(&Error::Interrupted.to_string());
            let _ = said.send(());
        };
        if thread::Builder::new().spawn(say).is_ok() {
            let _ = heard.recv_timeout(LOOK);
        }
        process::exit(Error::Interrupted.code().into());
    };
    if let Err(error) = thread::Builder::new().name("interrupt".into()).spawn(end) {
        tracing::warn!("it may take a while to stop: {error}");
    }
}
