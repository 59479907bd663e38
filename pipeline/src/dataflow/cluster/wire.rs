//! A connection between two processes: a socket, plain or under TLS, with a deadline while nothing is proven.

use super::tls::Tls;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// Value that a proof of the secret is bound to on a plain connection: nothing of its own tells it from others.
const PLAIN: [u8; 32] = [0; 32];

/// One end of a connection. Clones share the socket, each with a deadline of its own; one may read while another writes.
pub(super) struct Wire {
    socket: Armed,
    tls: Option<Arc<Tls>>,
}

/// A socket whose reads and writes end at a deadline, however slowly bytes come.
pub(super) struct Armed {
    socket: TcpStream,
    until: Option<Instant>,
}

impl Armed {
    /// Time until the deadline. `None`: there is no deadline.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(until) = self.until else { return Ok(None) };
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        left.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it took too long"))
    }
}

impl Read for &Armed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(left) = self.left()? {
            self.socket.set_read_timeout(Some(left))?;
        }
        (&self.socket).read(buffer)
    }
}

impl Write for &Armed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(left) = self.left()? {
            self.socket.set_write_timeout(Some(left))?;
        }
        (&self.socket).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire {
    /// Takes a connected socket. Until [`Wire::settle`], everything on it ends with an error at `until`.
    ///
    /// # Errors
    /// When the socket refuses.
    pub(super) fn new(socket: TcpStream, until: Instant) -> io::Result<Wire> {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        Ok(Wire { socket: Armed { socket, until: Some(until) }, tls: None })
    }

    /// Goes on under TLS, made by `begin` on the socket.
    ///
    /// # Errors
    /// When the other end speaks no TLS or has another key.
    pub(super) fn secure(self, begin: impl FnOnce(&Armed) -> io::Result<Tls>) -> io::Result<Wire> {
        let tls = begin(&self.socket)?;
        Ok(Wire { tls: Some(Arc::new(tls)), ..self })
    }

    /// Value that both ends of this connection have, and no two connections under TLS share.
    ///
    /// # Errors
    /// When TLS has none to give.
    pub(super) fn channel(&self) -> io::Result<[u8; 32]> {
        self.tls.as_ref().map_or(Ok(PLAIN), |tls| tls.channel())
    }

    /// Lifts the deadline.
    ///
    /// # Errors
    /// When the socket refuses.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.socket.until = None;
        self.set_timeouts(None)
    }

    /// Sets the longest time of a read and of a write.
    ///
    /// # Errors
    /// When the socket refuses.
    pub(super) fn set_timeouts(&self, longest: Option<Duration>) -> io::Result<()> {
        self.socket.socket.set_read_timeout(longest)?;
        self.socket.socket.set_write_timeout(longest)
    }

    /// Another handle of the same connection.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub(super) fn try_clone(&self) -> io::Result<Wire> {
        let socket = Armed { socket: self.socket.socket.try_clone()?, until: self.socket.until };
        Ok(Wire { socket, tls: self.tls.clone() })
    }

    /// Whether the other end has closed the connection. Reads nothing.
    pub(super) fn gone(&self) -> bool {
        let socket = &self.socket.socket;
        let looked = socket.set_nonblocking(true).and_then(|()| socket.peek(&mut [0]));
        let gone = match looked {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        gone || socket.set_nonblocking(false).is_err()
    }

    /// Sets whether the socket blocks.
    ///
    /// # Errors
    /// When the socket refuses.
    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.socket.set_nonblocking(nonblocking)
    }

    /// Says that nothing more comes, then closes what `how` names.
    ///
    /// # Errors
    /// When the connection is closed already.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if let (Some(tls), Shutdown::Write | Shutdown::Both) = (&self.tls, how) {
            tls.close(&mut &self.socket)?;
        }
        self.socket.socket.shutdown(how)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.read(&mut &self.socket, buffer),
            None => (&self.socket).read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.write(&mut &self.socket, bytes),
            None => (&self.socket).write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
