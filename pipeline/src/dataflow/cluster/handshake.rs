//! How processes find each other: everyone listens, the later one calls, both prove the secret, and then both say what they
//! were started with.
//!
//! Whoever connects or answers without the secret is told nothing and believed nothing; it costs a slot for some seconds and
//! ends no run. Threads of their own call and answer, so that the one that waits for all hears Ctrl-C at any time.

use super::{
    connect::{Calls, Came, Door},
    protocol::{BEAT, Hello, Word, say},
    seat::Seat,
    wire::Wire,
};
use crate::{error::Error, terminal::output};
use stages::flow::Cancel;
use std::{
    net::{TcpListener, ToSocketAddrs as _},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

/// Interval at which new connections and Ctrl-C are polled.
const LOOK: Duration = Duration::from_millis(20);
/// Connections that are accepted between two looks at everything else.
const AT_ONCE: usize = 64;
/// Delay before missing processes are first reported, and the interval between later reports.
const SAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Connections to every other process; none at the place of this one.
pub(super) struct Met {
    /// Connections that carry protocol messages, by process index.
    pub words: Vec<Option<Wire>>,
    /// Connections that carry the dataflow's rows, by process index.
    pub rows: Vec<Option<Wire>>,
}

struct Meeting<'m> {
    seat: &'m Seat,
    facts: &'m [(String, String)],
    met: Met,
    /// Why the last call to each failed, where that is more than that nobody listens yet.
    odd: Vec<Option<String>>,
    /// Connections that have not proven the secret, and why the last has not.
    strangers: (u64, String),
}

/// Connects with all others.
///
/// # Errors
/// [`Error::Usage`] where the address cannot be listened on, or a process was started with something else;
/// [`Error::Lost`] where one does not come in time or goes away; [`Error::Interrupted`].
pub(super) fn meet(seat: &Seat, facts: &[(String, String)], cancel: &Cancel) -> Result<Met, Error> {
    let listener = listen(seat)?;
    let (sender, came) = channel();
    let door = Arc::new(Door::new(seat.clone(), facts.to_vec(), sender)?);
    let none = || (0..seat.processes()).map(|_| None).collect::<Vec<_>>();
    let mut meeting = Meeting {
        seat,
        facts,
        met: Met { words: none(), rows: none() },
        odd: (0..seat.processes()).map(|_| None).collect(),
        strangers: (0, String::new()),
    };
    // Ends them when all have met, or this returns otherwise.
    let _calls = Calls::start(&door).map_err(|e| Error::Bug(format!("no thread can be started: {e}")))?;
    let (started, mut next, mut beat) = (Instant::now(), SAY.0, BEAT);
    loop {
        door.accept(&listener, AT_ONCE);
        meeting.take(&came)?;
        let missing = meeting.missing();
        if missing.is_empty() {
            return Ok(meeting.met);
        }
        if cancel.cancelled() {
            return Err(Error::Interrupted);
        }
        meeting.left()?;
        if started.elapsed() >= seat.wait {
            return Err(Error::Lost(format!(
                "{} did not come within {} s{}; nothing was done: start all {} processes, --wait SECONDS waits longer",
                missing.join(", "),
                seat.wait.as_secs(),
                meeting.refused(),
                seat.processes()
            )));
        }
        if started.elapsed() >= next {
            next += SAY.1;
            output::note(&format!("waiting for {}{}", missing.join(", "), meeting.refused()));
        }
        if started.elapsed() >= beat {
            beat += BEAT;
            meeting.beat();
        }
    }
}

fn listen(seat: &Seat) -> Result<TcpListener, Error> {
    let own = &seat.addresses[seat.process];
    let listener = own.to_socket_addrs().and_then(|addresses| {
        let addresses: Vec<_> = addresses.collect();
        addresses.iter().try_for_each(|address| seat.allows(address))?;
        let listener = TcpListener::bind(&addresses[..])?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        Error::Usage(format!(
            "process {} cannot listen at {own}: {error}; is this its host, and the port free?",
            seat.process
        ))
    })
}

impl Meeting<'_> {
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

    /// Phrase on the connections that were refused; empty where none was.
    fn refused(&self) -> String {
        match &self.strangers {
            (0, _) => String::new(),
            (1, last) => format!("; a connection proved no secret: {last}"),
            (count, last) => format!("; {count} connections proved no secret, the last: {last}"),
        }
    }

    /// Takes what calls and answers have come to since the last look.
    fn take(&mut self, came: &Receiver<Came>) -> Result<(), Error> {
        let mut first = came.recv_timeout(LOOK);
        loop {
            match first {
                Ok(Came::Peer { called, hello, wire }) => {
                    self.fits(&hello, called)?;
                    let (process, rows) = (hello.process, hello.rows);
                    self.odd[process] = None;
                    let slot = if rows { &mut self.met.rows } else { &mut self.met.words };
                    slot[process] = Some(wire);
                }
                Ok(Came::Odd { process, why }) => self.odd[process] = why,
                Ok(Came::Stranger(why)) => self.strangers = (self.strangers.0 + 1, why),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
            }
            first = came.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }

    /// A process that came and went again has refused another one, or was stopped.
    fn left(&self) -> Result<(), Error> {
        for (process, wire) in self.met.words.iter().enumerate() {
            if wire.as_ref().is_some_and(Wire::gone) {
                return Err(Error::Lost(format!("{} has gone; nothing was done", self.seat.name(process))));
            }
        }
        Ok(())
    }

    /// Says that this process is still there: others may have met all and listen already.
    fn beat(&mut self) {
        for wire in self.met.words.iter_mut().flatten() {
            // One that does not hear it has gone, which is noticed elsewhere.
            let _ = say(wire, &Word::Beat);
        }
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
