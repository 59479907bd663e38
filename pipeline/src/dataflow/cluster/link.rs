//! Timely's sockets: timely panics when one breaks, so a broken one never returns here. That a process was lost is
//! noticed where words are heard, and ends the run with a sentence.

use super::{peers::Watch, wire::Wire};
use std::{
    io::{self, Read, Write},
    net::Shutdown,
    sync::Arc,
    thread,
};
use timely::communication::allocator::zero_copy::stream::Stream;

/// A connection for the rows of a dataflow.
pub(super) struct Link {
    pub stream: Wire,
    /// Index of the process at the other end.
    pub process: usize,
    pub watch: Arc<Watch>,
}

/// Waits for the end of this process.
fn broken() -> ! {
    loop {
        thread::park();
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                // The end that timely expects, once the dataflow has ended there.
                Ok(0) if self.watch.drained(self.process) => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => broken(),
                read => return read,
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => broken(),
                written => return written,
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Link> {
        Ok(Link { stream: self.stream.try_clone()?, process: self.process, watch: self.watch.clone() })
    }
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // One that is closed already is what is asked for.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}
