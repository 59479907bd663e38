//! Opens a page in the browser that the desktop has for it.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The program that opens a file with what the desktop has for it.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// A program that has not failed within this time shows the page: some wait until the browser is closed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens a page.
///
/// # Errors
/// A sentence on why nothing was opened.
pub(crate) fn open(page: &Path) -> Result<(), String> {
    let mut command = Command::new(OPENER);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("{OPENER} does not start: {error}"))?;
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{OPENER} found nothing to open it with ({status})")),
            Ok(None) if started.elapsed() > PATIENCE => return Ok(()),
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(format!("{OPENER}: {error}")),
        }
    }
}
