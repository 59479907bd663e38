//! Calls to other processes and answers to theirs, each on a thread of its own until its other end is proven.

use super::{
    proof::{Role, Session, bound, prove},
    protocol::{Hello, MAGIC, hear_sealed, say_sealed},
    seat::Seat,
    slots::{Held, Slots},
    tls::Begin,
    wire::Wire,
};
use crate::error::Error;
use std::{
    io,
    net::{IpAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

/// Timeout of one attempt to connect to a process.
const CALL: Duration = Duration::from_secs(1);
/// Time within which both ends prove themselves and say their first word, for the one that answers.
const ANSWER: Duration = Duration::from_secs(5);
/// The same for the one that calls.
const CALLED: Duration = Duration::from_secs(10);
/// Delay between two calls to a process: where nobody listens, and where somebody else seems to.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Result of a call or an answer.
pub(super) enum Came {
    /// A process that knows the secret.
    Peer {
        /// Index of the process that was called. `None` if it called.
        called: Option<usize>,
        /// Its first word.
        hello: Hello,
        /// The connection.
        wire: Wire,
    },
    /// A call that failed.
    Odd {
        /// Index of the process that was called.
        process: usize,
        /// Why it failed; `None` if nobody listens there yet.
        why: Option<String>,
    },
    /// Somebody called who does not know the secret: where from, and what was wrong.
    Stranger(String),
}

/// What calls and answers need.
pub(super) struct Door {
    seat: Seat,
    facts: Vec<(String, String)>,
    tls: Option<Begin>,
    slots: Mutex<Slots>,
    came: Mutex<Sender<Came>>,
}

impl Door {
    /// # Errors
    /// [`Error::Bug`] if TLS cannot be set up.
    pub(super) fn new(seat: Seat, facts: Vec<(String, String)>, came: Sender<Came>) -> Result<Door, Error> {
        let tls = seat.tls.then(|| Begin::of(&seat.secret)).transpose();
        let tls = tls.map_err(|error| Error::Bug(format!("TLS cannot be set up: {error}")))?;
        Ok(Door { seat, facts, tls, slots: Mutex::default(), came: Mutex::new(came) })
    }

    fn tell(&self, came: Came) {
        // Nobody hears it once all have met.
        let _ = self.came.lock().unwrap_or_else(PoisonError::into_inner).send(came);
    }

    /// Takes up to `most` connections that wait at the listener. Never waits itself.
    pub(super) fn accept(self: &Arc<Door>, listener: &TcpListener, most: usize) {
        for _ in 0..most {
            let Ok((socket, address)) = listener.accept() else { return };
            let held = self.slots.lock().unwrap_or_else(PoisonError::into_inner).take(&socket, address.ip());
            // Without a descriptor or a thread to spare it is dropped, and comes again if it is ours.
            let Ok(held) = held else { return };
            let door = self.clone();
            let answer = move || door.answer(socket, address.ip(), &held);
            let _ = thread::Builder::new().name("answer".into()).spawn(answer);
        }
    }

    fn answer(&self, socket: TcpStream, address: IpAddr, held: &Held) {
        let met = (|| {
            let wire = Wire::new(socket, Instant::now() + ANSWER)?;
            let mut wire = match &self.tls {
                Some(tls) => wire.secure(|mut socket| tls.answer(&mut socket))?,
                None => wire,
            };
            let bound = bound(wire.channel()?, self.seat.process);
            let session = prove(&mut wire, &self.seat.secret, Role::Listener, &bound, || held.proven())?;
            let hello = hear_sealed(&mut wire, &session)?;
            say_sealed(&mut wire, &session, &self.hello(hello.rows))?;
            wire.settle()?;
            Ok::<_, io::Error>((hello, wire))
        })();
        self.tell(match met {
            Ok((hello, wire)) => Came::Peer { called: None, hello, wire },
            Err(error) => Came::Stranger(format!("from {address}, {}", wrong(&error))),
        });
    }

    fn hello(&self, rows: bool) -> Hello {
        Hello { magic: MAGIC.into(), process: self.seat.process, rows, facts: self.facts.clone() }
    }

    fn call(&self, process: usize, rows: bool) -> io::Result<(Wire, Hello)> {
        let mut last = io::Error::other("its name means no address");
        for address in self.seat.addresses[process].to_socket_addrs()? {
            self.seat.allows(&address)?;
            match TcpStream::connect_timeout(&address, CALL) {
                Ok(socket) => return self.greet(socket, process, rows),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(&self, socket: TcpStream, process: usize, rows: bool) -> io::Result<(Wire, Hello)> {
        let wire = Wire::new(socket, Instant::now() + CALLED)?;
        let mut wire = match &self.tls {
            Some(tls) => wire.secure(|mut socket| tls.call(&mut socket))?,
            None => wire,
        };
        let bound = bound(wire.channel()?, process);
        let session: Session = prove(&mut wire, &self.seat.secret, Role::Caller, &bound, || Ok(()))?;
        say_sealed(&mut wire, &session, &self.hello(rows))?;
        let theirs = hear_sealed(&mut wire, &session)?;
        wire.settle()?;
        Ok((wire, theirs))
    }

    /// Calls a process until both connections are there, or `over` is set.
    fn call_all(&self, process: usize, over: &AtomicBool) {
        for rows in [false, true] {
            loop {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                match self.call(process, rows) {
                    Ok((wire, hello)) => {
                        self.tell(Came::Peer { called: Some(process), hello, wire });
                        break;
                    }
                    Err(error) => {
                        let usual = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut);
                        self.tell(Came::Odd { process, why: (!usual).then(|| wrong(&error)) });
                        thread::sleep(if usual { AGAIN.0 } else { AGAIN.1 });
                    }
                }
            }
        }
    }
}

/// Why a connection failed, in few words.
fn wrong(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "it closed the connection early".into(),
        // So reads end at a deadline.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it took too long".into(),
        io::ErrorKind::InvalidData => format!("it speaks no TLS under this secret: {error}"),
        _ => error.to_string(),
    }
}

/// Threads that call the processes before this one. Dropping it ends them.
pub(super) struct Calls(Arc<AtomicBool>);

impl Calls {
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(door: &Arc<Door>) -> io::Result<Calls> {
        let calls = Calls(Arc::default());
        for process in 0..door.seat.process {
            let (door, over) = (door.clone(), calls.0.clone());
            thread::Builder::new().name(format!("call-{process}")).spawn(move || door.call_all(process, &over))?;
        }
        Ok(calls)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
