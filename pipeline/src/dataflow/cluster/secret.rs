//! The secret that the processes of one run share: made once, kept in a file or a variable, proven by each connection.

use crate::error::Error;
use datasets::environment::SECRET;
use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Length of a secret as text: 32 bytes in hexadecimal digits.
const DIGITS: usize = 64;
/// A file longer than this holds no secret.
const LONGEST: u64 = 1 << 10;
/// Separates keys made from a secret from whatever else may be made from it.
const CONTEXT: &str = "refrain 2026 secret of the processes of one run";

/// A shared secret as a key. Its text is never kept, shown or sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Derived from the text; [`blake3::Hash`] compares in constant time.
    key: blake3::Hash,
    given: bool,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.given { "Secret(..)" } else { "Secret(none)" })
    }
}

impl Secret {
    /// The public key of processes that were given no secret. It proves nothing, so such processes stay on one host.
    pub fn none() -> Secret {
        Secret { key: blake3::derive_key(CONTEXT, b"").into(), given: false }
    }

    /// The secret of the file, else that of `REFRAIN_SECRET`, else [`Secret::none`].
    ///
    /// # Errors
    /// [`Error::Usage`] if the file cannot be read, is open to other users, or either holds no secret.
    pub fn find(file: Option<&Path>) -> Result<Secret, Error> {
        match (file, SECRET.get()) {
            (Some(file), _) => Secret::read(file).map_err(Error::Usage),
            (None, Some(text)) => {
                Secret::of(&text.to_string_lossy()).ok_or_else(|| Error::Usage(no_secret(SECRET.name)))
            }
            (None, None) => Ok(Secret::none()),
        }
    }

    /// Parses the text of a secret; `None` for any other text.
    pub(super) fn of(text: &str) -> Option<Secret> {
        let text = text.trim();
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let whole = text.len() == DIGITS && text.bytes().all(digits);
        whole.then(|| Secret { key: blake3::derive_key(CONTEXT, text.as_bytes()).into(), given: true })
    }

    fn read(path: &Path) -> Result<Secret, String> {
        let name = path.display();
        let failed = |error: io::Error| format!("cannot read the secret {name}: {error}");
        let file = datasets::untrusted::open(path).map_err(failed)?;
        let facts = file.metadata().map_err(failed)?;
        if facts.mode() & 0o077 != 0 {
            return Err(format!("other users can read the secret {name}: `chmod 600 {name}`, or make a new one"));
        }
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
        str::from_utf8(&text).ok().and_then(Secret::of).ok_or_else(|| no_secret(&name.to_string()))
    }

    /// Whether there is a secret that strangers do not know.
    pub fn given(&self) -> bool {
        self.given
    }

    /// The key that proofs are made with.
    pub(super) fn key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }
}

fn no_secret(place: &str) -> String {
    format!("{place} holds no secret, which is {DIGITS} hexadecimal digits: `refrain hosts new-secret` makes one")
}

/// A new secret as text, from the random numbers of the operating system.
///
/// # Errors
/// [`Error::Usage`] if the system has none to give.
pub fn new_secret() -> Result<String, Error> {
    let mut bytes = [0; DIGITS / 2];
    random(&mut bytes).map_err(|error| Error::Usage(format!("no secret can be made: {error}")))?;
    Ok(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}

/// Writes a new secret to a new file that only its owner can read and write.
///
/// # Errors
/// [`Error::Usage`] if there is such a file already, or it cannot be written.
pub fn write_new_secret(path: &Path) -> Result<(), Error> {
    let name = path.display();
    let text = new_secret()? + "\n";
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::Usage(format!("{name} is there already, and may be in use: name another file, or remove it first"))
        }
        _ => Error::Usage(format!("cannot write the secret {name}: {error}")),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a secret is none.
        let _ = fs::remove_file(path);
        Error::Usage(format!("cannot write the secret {name}: {error}"))
    })
}

/// Fills `bytes` with random numbers of the operating system.
///
/// # Errors
/// When the system refuses.
pub(super) fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(format!("the system gives no random numbers: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        write_new_secret(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("its facts").mode() & 0o777, 0o600);
        let (text, secret) = (fs::read_to_string(&path).expect("text"), Secret::read(&path).expect("a secret"));
        assert!(secret.given() && secret != Secret::none());
        assert_eq!(Secret::of(&text), Some(secret.clone()));
        assert!(!format!("{secret:?}").contains(&text[..8]), "never shown");
        let again = write_new_secret(&path).expect_err("never overwritten");
        assert_eq!((again.code(), fs::read_to_string(&path).expect("text")), (2, text));
        assert_ne!(new_secret().expect("made"), new_secret().expect("made"));
    }

    #[test]
    fn what_is_no_secret_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let read = |text: &[u8], mode: u32| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
            Secret::read(&path).expect_err("no secret").replace(&path.display().to_string(), "FILE")
        };
        let none = "FILE holds no secret, which is 64 hexadecimal digits: `refrain hosts new-secret` makes one";
        for text in [&b""[..], b"password", b"\xff\xfe", &[b'g'; 64], &[b'a'; 65], &[b'0'; 1 << 20]] {
            assert_eq!(read(text, 0o600), none);
        }
        let open = read(&[b'a'; 64], 0o640);
        assert_eq!(open, "other users can read the secret FILE: `chmod 600 FILE`, or make a new one");
    }
}
