//! Challenge and response: both ends of a connection prove the shared secret before either tells or believes anything.
//!
//! | | caller | listener |
//! |---|---|---|
//! | 1 | its nonce, 32 random bytes | |
//! | 2 | | its nonce |
//! | 3 | its proof, 32 bytes | |
//! | 4 | | its proof |
//! | 5 | its first word, sealed | |
//! | 6 | | its first word, sealed |
//!
//! A session's key is BLAKE3, keyed by the secret, over both nonces and what both ends know of the connection ([`Bound`]);
//! proofs and seals are BLAKE3, keyed by the session, over the step and the role. So a proof holds for one connection,
//! one direction and one process: sent again, sent back, or handed on to another process, it proves nothing. A stranger
//! gets random bytes of the caller, of the listener no more than a nonce, and only for one of its own.

use super::secret::{Secret, random};
use std::io::{self, Read, Write};

/// Length of a nonce and of a proof.
const SIZE: usize = 32;
/// Separates this protocol from others under the same secret, and from later ones.
const PROTOCOL: &[u8; 16] = b"refrain hosts/1\n";

/// What both ends of a connection know of it: the value of its channel, and the index of the process that listens.
pub(super) type Bound = [u8; 40];

/// Joins what both ends of a connection know of it.
pub(super) fn bound(channel: [u8; 32], listener: usize) -> Bound {
    let mut bound = [0; 40];
    bound[..32].copy_from_slice(&channel);
    bound[32..].copy_from_slice(&(listener as u64).to_le_bytes());
    bound
}

/// The end of a connection that this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It connected.
    Caller,
    /// It accepted.
    Listener,
}

impl Role {
    fn other(self) -> Role {
        match self {
            Role::Caller => Role::Listener,
            Role::Listener => Role::Caller,
        }
    }
}

/// A connection whose other end has proven the secret.
pub(super) struct Session {
    key: blake3::Hash,
    role: Role,
}

impl Session {
    fn of(secret: &Secret, role: Role, nonces: [&[u8; SIZE]; 2], bound: &Bound) -> Session {
        let mut hasher = blake3::Hasher::new_keyed(secret.key());
        hasher.update(PROTOCOL).update(nonces[0]).update(nonces[1]).update(bound);
        Session { key: hasher.finalize(), role }
    }

    /// All fields but the last have fixed lengths, so no two meanings share bytes.
    fn code(&self, step: u8, role: Role, body: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(self.key.as_bytes());
        hasher.update(&[step, u8::from(role == Role::Caller)]).update(body);
        hasher.finalize()
    }

    /// The proof of one end.
    fn proof(&self, role: Role) -> blake3::Hash {
        self.code(0, role, b"")
    }

    /// The seal of this process on its first word.
    pub(super) fn seal(&self, body: &[u8]) -> [u8; SIZE] {
        *self.code(1, self.role, body).as_bytes()
    }

    /// Whether a seal is that of the other end on this first word.
    pub(super) fn sealed(&self, body: &[u8], seal: [u8; SIZE]) -> bool {
        // Hashes compare in constant time.
        self.code(1, self.role.other(), body) == blake3::Hash::from_bytes(seal)
    }
}

/// Proves the secret to the other end, and has it proven. `bound` must be the same at both ends. `proven` is
/// called once the other end's proof holds and before this end's goes to it, where this end listens.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] if the other end does not know the secret; else what the connection or `proven` says.
pub(super) fn prove(
    stream: &mut (impl Read + Write),
    secret: &Secret,
    role: Role,
    bound: &Bound,
    proven: impl FnOnce() -> io::Result<()>,
) -> io::Result<Session> {
    let mut own = [0; SIZE];
    random(&mut own)?;
    match role {
        Role::Caller => {
            stream.write_all(&own)?;
            let theirs = take(stream)?;
            let session = Session::of(secret, role, [&own, &theirs], bound);
            stream.write_all(session.proof(role).as_bytes())?;
            let answer = take(stream).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                    denied("it did not accept this process: has it the same secret, and is its -p its own?")
                }
                _ => error,
            })?;
            check(&session, answer)?;
            proven()?;
            Ok(session)
        }
        Role::Listener => {
            let theirs = take(stream)?;
            stream.write_all(&own)?;
            let session = Session::of(secret, role, [&theirs, &own], bound);
            check(&session, take(stream)?)?;
            proven()?;
            stream.write_all(session.proof(role).as_bytes())?;
            Ok(session)
        }
    }
}

fn check(session: &Session, answer: [u8; SIZE]) -> io::Result<()> {
    match session.proof(session.role.other()) == blake3::Hash::from_bytes(answer) {
        true => Ok(()),
        false => Err(denied("it does not prove the secret: has it the same, and is its -p its own?")),
    }
}

fn denied(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

fn take(stream: &mut impl Read) -> io::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixStream, thread};

    const BARE: Bound = [0; 40];

    fn secret(digit: char) -> Secret {
        Secret::of(&digit.to_string().repeat(64)).expect("a secret")
    }

    /// What both ends say of each other.
    fn both(caller: (Secret, Bound), listener: (Secret, Bound)) -> [Result<Session, io::ErrorKind>; 2] {
        let (mut a, mut b) = UnixStream::pair().expect("a pair");
        let other = thread::spawn(move || {
            prove(&mut b, &listener.0, Role::Listener, &listener.1, || Ok(())).map_err(|e| e.kind())
        });
        let own = prove(&mut a, &caller.0, Role::Caller, &caller.1, || Ok(())).map_err(|e| e.kind());
        drop(a);
        [own, other.join().expect("it ends")]
    }

    #[test]
    fn only_the_same_secret_on_the_same_channel_is_proven() {
        let [Ok(caller), Ok(listener)] = both((secret('a'), BARE), (secret('a'), BARE)) else { panic!("the same") };
        let seal = caller.seal(b"word");
        assert!(listener.sealed(b"word", seal));
        assert!(!listener.sealed(b"worse", seal) && !caller.sealed(b"word", seal), "another word, or its own");
        let [Ok(again), Ok(_)] = both((secret('a'), BARE), (secret('a'), BARE)) else { panic!("the same") };
        assert!(!again.sealed(b"word", listener.seal(b"word")), "the seal of another session");
        let denied = Some(io::ErrorKind::PermissionDenied);
        for other in [
            (secret('b'), BARE),
            (Secret::none(), BARE),
            (secret('a'), bound([1; 32], 0)),
            (secret('a'), bound([0; 32], 1)),
        ] {
            let ends = both((secret('a'), BARE), other);
            assert_eq!(ends.map(Result::err), [denied; 2]);
        }
    }

    #[test]
    fn a_stranger_gets_a_nonce_and_cannot_send_it_or_a_proof_back() {
        // What a listener says to somebody who says each of these.
        let told = |words: &dyn Fn(&mut UnixStream)| {
            let (mut a, mut b) = UnixStream::pair().expect("a pair");
            let listener = thread::spawn(move || {
                prove(&mut b, &secret('a'), Role::Listener, &BARE, || Ok(())).err().map(|e| e.kind())
            });
            words(&mut a);
            a.shutdown(std::net::Shutdown::Write).expect("the end");
            let mut all = Vec::new();
            let _ = a.read_to_end(&mut all);
            (all.len(), listener.join().expect("it ends"))
        };
        let (eof, denied) = (io::ErrorKind::UnexpectedEof, io::ErrorKind::PermissionDenied);
        assert_eq!(told(&|_| ()), (0, Some(eof)), "nothing for nothing");
        assert_eq!(told(&|a| a.write_all(&[7; 31]).expect("said")), (0, Some(eof)));
        assert_eq!(told(&|a| a.write_all(&[7; 32]).expect("said")), (SIZE, Some(eof)));
        assert_eq!(told(&|a| a.write_all(&[7; 64]).expect("said")), (SIZE, Some(denied)), "garbage");
        let reflected = |a: &mut UnixStream| {
            a.write_all(&[7; 32]).expect("said");
            let nonce = take(a).expect("a nonce");
            a.write_all(&nonce).expect("sent back");
        };
        assert_eq!(told(&reflected), (0, Some(denied)), "no more than the nonce");
    }

    #[test]
    fn a_proof_sent_back_or_sent_again_is_none() {
        // An impostor calls the caller itself, and hands each end's words to the other: both are callers.
        let (mut a, mut b) = UnixStream::pair().expect("a pair");
        let ends = thread::spawn(move || prove(&mut b, &secret('a'), Role::Caller, &BARE, || Ok(())).err());
        let own = prove(&mut a, &secret('a'), Role::Caller, &BARE, || Ok(())).err();
        drop(a);
        for end in [own, ends.join().expect("it ends")] {
            assert_eq!(end.map(|e| e.kind()), Some(io::ErrorKind::PermissionDenied));
        }
        // A listener answers a recorded caller with another nonce, for which its proof is wrong.
        let session = |listener: u8| Session::of(&secret('a'), Role::Caller, [&[1; 32], &[listener; 32]], &BARE);
        assert!(session(2).proof(Role::Caller) != session(3).proof(Role::Caller));
        assert!(session(2).proof(Role::Caller) != session(2).proof(Role::Listener));
    }
}
