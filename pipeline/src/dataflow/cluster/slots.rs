//! Slots for connections that have proven nothing yet: few, short, and fair between addresses.
//!
//! A connection takes a slot for as long as its proof takes, a few milliseconds, or until its deadline. Where all are taken,
//! the oldest connection of the address that holds the most makes room: a flood from one host pushes out itself.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Connections that may be unproven at one time.
pub(super) const SLOTS: usize = 64;

/// The connections that hold a slot, the oldest first.
#[derive(Default)]
pub(super) struct Slots(Vec<Slot>);

struct Slot {
    socket: TcpStream,
    address: IpAddr,
    over: Arc<AtomicBool>,
}

/// A slot as its connection sees it. Dropping it gives the slot back.
pub(super) struct Held(Arc<AtomicBool>);

impl Held {
    /// Gives the slot back, once the connection is proven.
    ///
    /// # Errors
    /// When the connection had to make room before.
    pub(super) fn proven(&self) -> io::Result<()> {
        match self.0.swap(true, Ordering::SeqCst) {
            false => Ok(()),
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it made room for others")),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Slots {
    /// Takes a slot for a connection.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub(super) fn take(&mut self, socket: &TcpStream, address: IpAddr) -> io::Result<Held> {
        self.0.retain(|slot| !slot.over.load(Ordering::SeqCst));
        while self.0.len() >= SLOTS {
            let slot = self.0.remove(self.crowded());
            // One that has proven itself meanwhile stays.
            if !slot.over.swap(true, Ordering::SeqCst) {
                let _ = slot.socket.shutdown(Shutdown::Both);
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        self.0.push(Slot { socket: socket.try_clone()?, address, over: over.clone() });
        Ok(Held(over))
    }

    /// Index of the oldest connection of the address that holds the most slots.
    fn crowded(&self) -> usize {
        let mut held: BTreeMap<IpAddr, usize> = BTreeMap::new();
        self.0.iter().for_each(|slot| *held.entry(slot.address).or_default() += 1);
        let most = held.values().max().copied().unwrap_or_default();
        self.0.iter().position(|slot| held[&slot.address] == most).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read as _, net::TcpListener, time::Duration};

    #[test]
    fn a_flood_pushes_out_itself_and_what_is_proven_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let mut slots = Slots::default();
        let mut take = |from: [u8; 4]| {
            let stranger = TcpStream::connect(address).expect("connected");
            stranger.set_read_timeout(Some(Duration::from_millis(20))).expect("set");
            let (socket, _) = listener.accept().expect("accepted");
            let held = slots.take(&socket, from.into()).expect("a slot");
            (stranger, socket, held)
        };
        let peer = take([10, 0, 0, 1]);
        let proven = take([10, 0, 0, 66]);
        proven.2.proven().expect("proven in time");
        let flood: Vec<_> = (0..SLOTS + 7).map(|_| take([10, 0, 0, 66])).collect();
        let out = |(stranger, ..): &(TcpStream, TcpStream, Held)| matches!((&*stranger).read(&mut [0]), Ok(0));
        assert!(!out(&peer) && !out(&proven));
        peer.2.proven().expect("the peer was left alone");
        let pushed: Vec<bool> = flood.iter().map(out).collect();
        assert_eq!(pushed.iter().filter(|pushed| **pushed).count(), 8);
        assert!(pushed[..8].iter().all(|pushed| *pushed), "the oldest go");
        assert!(flood[0].2.proven().is_err(), "too late");
        // Whoever ends gives its slot back.
        drop(flood);
        let last = take([10, 0, 0, 66]);
        assert!(!out(&last));
        assert!(slots.0.len() <= 2);
    }
}
