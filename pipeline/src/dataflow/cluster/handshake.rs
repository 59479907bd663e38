//! How processes find each other: everyone listens, the later one calls, and both say what they were started with.

use super::{
    protocol::{Hello, MAGIC, hear_hello, say},
    seat::Seat,
};
use crate::{error::Error, terminal::output};
use stages::flow::Cancel;
use std::{
    io,
    net::{TcpListener, TcpStream, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

/// Timeout of one attempt to connect to a process.
const CALL: Duration = Duration::from_secs(1);
/// A process that has called says its first word within this time.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// A process that was called may be busy calling others.
const ANSWER: Duration = Duration::from_secs(30);
/// Delay before missing processes are first reported, and the interval between later reports.
const SAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Connections to every other process; none at the place of this one.
pub(super) struct Met {
    /// Connections that carry protocol messages, by process index.
    pub words: Vec<Option<TcpStream>>,
    /// Connections that carry the dataflow's rows, by process index.
    pub rows: Vec<Option<TcpStream>>,
}

struct Meeting<'m> {
    seat: &'m Seat,
    facts: &'m [(String, String)],
    met: Met,
    /// Why the last call to each failed, where that is more than that nobody listens yet.
    odd: Vec<Option<String>>,
}

/// Connects with all others.
///
/// # Errors
/// [`Error::Usage`] where the address cannot be listened on, or a process was started with something else;
/// [`Error::Lost`] where one does not come in time or goes away; [`Error::Interrupted`].
pub(super) fn meet(seat: &Seat, facts: &[(String, String)], cancel: &Cancel) -> Result<Met, Error> {
    let own = &seat.addresses[seat.process];
    let listener = TcpListener::bind(own.as_str()).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = listener.map_err(|error| {
        Error::Usage(format!(
            "process {} cannot listen at {own}: {error}; is this its host, and the port free?",
            seat.process
        ))
    })?;
    let none = || (0..seat.processes()).map(|_| None).collect::<Vec<_>>();
    let mut meeting = Meeting {
        seat,
        facts,
        met: Met { words: none(), rows: none() },
        odd: (0..seat.processes()).map(|_| None).collect(),
    };
    let (started, mut next) = (Instant::now(), SAY.0);
    loop {
        let mut came = meeting.accept(&listener)?;
        for process in 0..seat.process {
            came |= meeting.call(process)?;
        }
        let missing = meeting.missing();
        if missing.is_empty() {
            return Ok(meeting.met);
        }
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        meeting.left()?;
        if started.elapsed() >= seat.wait {
            let names = missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::Lost(format!(
                "{names} did not come within {} s; nothing was done: start all {} processes, --wait SECONDS waits longer",
                seat.wait.as_secs(),
                seat.processes()
            )));
        }
        if started.elapsed() >= next {
            next += SAY.1;
            output::note(&format!("waiting for {}", missing.join(", ")));
        }
        if !came {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Meeting<'_> {
    fn hello(&self, rows: bool) -> Hello {
        Hello { magic: MAGIC.into(), process: self.seat.process, rows, facts: self.facts.to_vec() }
    }

    fn slot(&mut self, process: usize, rows: bool) -> &mut Option<TcpStream> {
        if rows { &mut self.met.rows[process] } else { &mut self.met.words[process] }
    }

    /// Names of the processes that are not connected yet.
    fn missing(&self) -> Vec<String> {
        let is = |process: &usize| self.met.rows[*process].is_none() || self.met.words[*process].is_none();
        let others = (0..self.seat.processes()).filter(|process| *process != self.seat.process).filter(is);
        others
            .map(|process| match &self.odd[process] {
                Some(why) => format!("{} ({why})", self.seat.name(process)),
                None => self.seat.name(process),
            })
            .collect()
    }

    /// A process that came and went again has refused another one, or was stopped.
    fn left(&self) -> Result<(), Error> {
        for (process, stream) in self.met.words.iter().enumerate() {
            let Some(stream) = stream else { continue };
            let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
            let gone = match looked {
                Ok(count) => count == 0,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            };
            if gone || stream.set_nonblocking(false).is_err() {
                return Err(Error::Lost(format!("{} has gone; nothing was done", self.seat.name(process))));
            }
        }
        Ok(())
    }

    /// Takes one call, if there is one; whoever is none of ours is left alone.
    fn accept(&mut self, listener: &TcpListener) -> Result<bool, Error> {
        let Ok((mut stream, _)) = listener.accept() else { return Ok(false) };
        let heard = (|| {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(FIRST_WORD))?;
            let theirs = hear_hello(&mut stream)?;
            say(&mut stream, &self.hello(theirs.rows))?;
            stream.set_read_timeout(None)?;
            Ok::<_, io::Error>(theirs)
        })();
        let Ok(theirs) = heard else { return Ok(true) };
        self.fits(&theirs, None)?;
        *self.slot(theirs.process, theirs.rows) = Some(stream);
        Ok(true)
    }

    /// Calls a process for what is not connected yet; whether it answered.
    fn call(&mut self, process: usize) -> Result<bool, Error> {
        let mut answered = false;
        for rows in [false, true] {
            if self.slot(process, rows).is_some() {
                continue;
            }
            match self.try_call(process, rows) {
                Ok((stream, theirs)) => {
                    self.fits(&theirs, Some(process))?;
                    *self.slot(process, rows) = Some(stream);
                    self.odd[process] = None;
                    answered = true;
                }
                Err(error) => {
                    let usual = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut);
                    self.odd[process] = (!usual).then(|| error.to_string());
                    return Ok(answered);
                }
            }
        }
        Ok(answered)
    }

    fn try_call(&self, process: usize, rows: bool) -> io::Result<(TcpStream, Hello)> {
        let mut last = io::Error::other("its name means no address");
        for address in self.seat.addresses[process].to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CALL) {
                Ok(mut stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(ANSWER))?;
                    say(&mut stream, &self.hello(rows))?;
                    let theirs = hear_hello(&mut stream)?;
                    stream.set_read_timeout(None)?;
                    return Ok((stream, theirs));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether a process belongs to the same run.
    fn fits(&self, theirs: &Hello, called: Option<usize>) -> Result<(), Error> {
        let name = match self.seat.addresses.get(theirs.process) {
            Some(_) => self.seat.name(theirs.process),
            None => format!("process {}", theirs.process),
        };
        for ((what, ours), (_, other)) in self.facts.iter().zip(&theirs.facts) {
            if ours != other {
                return Err(Error::Usage(format!(
                    "{name} was started with another {what}: {other} there, {ours} here"
                )));
            }
        }
        let expected = match called {
            Some(process) => theirs.process == process,
            None => theirs.process > self.seat.process && theirs.process < self.seat.processes(),
        };
        if expected && self.facts.len() == theirs.facts.len() {
            return Ok(());
        }
        let place = called.map_or_else(|| "has called".to_owned(), |p| format!("answers for {}", self.seat.name(p)));
        Err(Error::Usage(format!("{name} {place}: every process needs its own -p")))
    }
}
