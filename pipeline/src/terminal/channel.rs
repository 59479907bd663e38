//! Standard output and standard error as this process writes them. Nothing else of the workspace writes to either.
//!
//! `print!` and its like panic where a write fails, and keep the end of a line back. A [`Channel`] does neither: each write
//! is a write of the system, and what fails is remembered, never raised.
//!
//! | the channel | standard output | standard error |
//! |---|---|---|
//! | closed: the reader went away | the rest is dropped in silence | the rest is dropped in silence |
//! | fails otherwise: a full disk | the rest is dropped, the command ends with the code for it | that line is dropped |

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a full pipe that does not block may stay full before a line for standard error is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// One of the two streams.
pub(super) struct Channel {
    error: bool,
    state: Mutex<State>,
}

/// What became of a channel.
enum State {
    /// Not yet written to.
    Fresh,
    /// Open, by a descriptor of its own.
    Open(File),
    /// Not written to any more; with the reason where that was not a reader that went away.
    Ended(Option<io::Error>),
}

/// Standard output.
pub(super) static OUT: Channel = Channel { error: false, state: Mutex::new(State::Fresh) };
/// Standard error.
pub(super) static ERR: Channel = Channel { error: true, state: Mutex::new(State::Fresh) };

impl Channel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        if self.error { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// Writes all of the bytes, or drops them.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut state = self.state();
        if let State::Fresh = *state {
            let own = if self.error {
                io::stderr().as_fd().try_clone_to_owned()
            } else {
                io::stdout().as_fd().try_clone_to_owned()
            };
            *state = match own {
                Ok(own) => State::Open(own.into()),
                Err(error) => State::Ended(Some(error)),
            };
        }
        let State::Open(file) = &*state else { return };
        match write_all(file, bytes, self.error.then_some(PATIENCE)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *state = State::Ended(None),
            // The next line may find room, and is worth a try.
            Err(_) if self.error => {}
            // A text with a hole in it is worse than one that ends.
            Err(error) => *state = State::Ended(Some(error)),
            Ok(()) => {}
        }
    }

    /// The reason for which something was not written, unless its reader went away.
    pub(super) fn failure(&self) -> Option<String> {
        match &*self.state() {
            State::Ended(Some(error)) => Some(error.to_string()),
            _ => None,
        }
    }
}

fn write_all(mut file: &File, mut bytes: &[u8], patience: Option<Duration>) -> io::Result<()> {
    let started = Instant::now();
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another program made the terminal or the pipe non-blocking.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && patience.is_none_or(|patience| started.elapsed() < patience) =>
            {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
