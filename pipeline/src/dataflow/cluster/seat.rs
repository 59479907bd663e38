//! Which process this is, and where all of them are.

use super::secret::Secret;
use crate::error::Error;
use datasets::environment::SECRET;
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

/// The port of the first process where no list of hosts says otherwise; the others follow.
pub const PORT: u16 = 2101;

/// One process among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which one this is; 0 leads: it reads the sources and publishes.
    pub process: usize,
    /// Listening addresses of all processes, as `host:port`.
    pub addresses: Vec<String>,
    /// Time limit for all processes to connect.
    pub wait: Duration,
    /// Secret that all processes prove to each other.
    pub secret: Secret,
    /// Whether all that they say goes through TLS.
    pub tls: bool,
}

impl Seat {
    /// The seat that the command line names; none for a process alone.
    ///
    /// # Errors
    /// A sentence where the numbers or the list of hosts make no sense, or strangers could take part: without a secret only
    /// addresses of the host itself are allowed.
    pub fn of(
        processes: Option<usize>,
        process: Option<usize>,
        hosts: Option<&Path>,
        wait: Duration,
        secret: Secret,
        tls: bool,
    ) -> Result<Option<Seat>, Error> {
        let listed = hosts.map(read).transpose().map_err(Error::Usage)?;
        let count = processes.or(listed.as_ref().map(Vec::len)).unwrap_or(1);
        let wrong = |why: String| Err(Error::Usage(why));
        let process = match process {
            Some(process) if process >= count => {
                return wrong(format!("-p {process} is none of {count} processes: they are counted from 0"));
            }
            Some(process) => process,
            None if count == 1 => 0,
            None => return wrong(format!("-p says which of the {count} processes this is, from 0 to {}", count - 1)),
        };
        let addresses = match (listed, hosts) {
            (Some(listed), Some(file)) if listed.len() < count => {
                return wrong(format!("{} names {} hosts, and -n asks for {count}", file.display(), listed.len()));
            }
            (Some(mut listed), _) => {
                // The first of a longer list: a run may go on with fewer.
                listed.truncate(count);
                listed
            }
            (None, _) if count > usize::from(u16::MAX - PORT) => {
                return wrong(format!("-n {count} is too many for one host"));
            }
            (None, _) => (0..count).map(|i| format!("127.0.0.1:{}", usize::from(PORT) + i)).collect(),
        };
        let seat = (count > 1).then_some(Seat { process, addresses, wait, secret, tls });
        seat.as_ref().map_or(Ok(()), Seat::private)?;
        Ok(seat)
    }

    /// Refuses what would let strangers take part.
    fn private(&self) -> Result<(), Error> {
        if self.secret.given() {
            return Ok(());
        }
        let wrong = |what: String| {
            Err(Error::Usage(format!(
                "{what} needs a secret that all processes share: `refrain hosts new-secret FILE` makes one, \
                 --secret FILE or {} gives it",
                SECRET.name
            )))
        };
        match self.addresses.iter().find(|address| !local(address)) {
            Some(address) => wrong(format!("{address} can be reached by other hosts, which")),
            None if self.tls => wrong("--tls".into()),
            None => Ok(()),
        }
    }

    /// Whether this process may listen at an address or call it.
    ///
    /// # Errors
    /// When it is of another host and there is no secret: a name that means this host may come to mean another.
    pub(super) fn allows(&self, address: &SocketAddr) -> io::Result<()> {
        match self.secret.given() || loopback(address.ip()) {
            true => Ok(()),
            false => Err(io::Error::other(format!("without a secret, {} is not of this host", address.ip()))),
        }
    }

    /// Number of processes.
    pub fn processes(&self) -> usize {
        self.addresses.len()
    }

    /// A process as people know it.
    pub fn name(&self, process: usize) -> String {
        format!("process {process} at {}", self.addresses[process])
    }
}

/// Whether an address `host:port` is one of this host alone, as far as its text tells.
fn local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(loopback)
}

fn loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Reads a list of hosts: a line `host:port` for each process; empty lines and those that start with # say nothing.
fn read(file: &Path) -> Result<Vec<String>, String> {
    let text = datasets::untrusted::text(file, datasets::untrusted::LARGEST_TEXT)
        .map_err(|e| format!("cannot read the hosts {}: {e}", file.display()))?;
    let (mut hosts, mut seen) = (Vec::new(), BTreeSet::new());
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let port = line.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
        if port.is_none_or(|port: u16| port == 0) || line.contains(char::is_whitespace) {
            return Err(format!("{}:{number}: `{line}` is no `host:port`, such as `node1:{PORT}`", file.display()));
        }
        if !seen.insert(line) {
            return Err(format!(
                "{}:{number}: `{line}` stands here twice: every process needs its own",
                file.display()
            ));
        }
        hosts.push(line.to_owned());
    }
    if hosts.is_empty() { Err(format!("{} names no host", file.display())) } else { Ok(hosts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn secret() -> Secret {
        Secret::of(&"0".repeat(64)).expect("a secret")
    }

    #[test]
    fn without_a_secret_processes_stay_on_their_host() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hosts");
        let of = |hosts: &str, secret: Secret, tls: bool| {
            fs::write(&file, hosts).expect("written");
            Seat::of(None, Some(0), Some(&file), Duration::ZERO, secret, tls).map_err(|e| (e.code(), e.to_string()))
        };
        let own = "127.0.0.1:1\n127.8.9.1:1\nlocalhost:2\n[::1]:3\n[::ffff:127.0.0.1]:4\n";
        assert!(of(own, Secret::none(), false).is_ok());
        let needs = "needs a secret that all processes share: `refrain hosts new-secret FILE` makes one, \
                     --secret FILE or REFRAIN_SECRET gives it";
        assert_eq!(of(own, Secret::none(), true), Err((2, format!("--tls {needs}"))));
        for other in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "node1:1", "[::ffff:10.0.0.1]:1", "128.0.0.1:1"] {
            let hosts = format!("127.0.0.1:1\n{other}\n");
            let why = format!("{other} can be reached by other hosts, which {needs}");
            assert_eq!(of(&hosts, Secret::none(), false), Err((2, why)));
            assert!(of(&hosts, secret(), true).is_ok());
        }
        let bare = of(own, Secret::none(), false).expect("a seat").expect("several");
        let allows = |address: &str| bare.allows(&address.parse().expect("an address")).is_ok();
        assert!(allows("127.0.0.1:1") && !allows("10.0.0.1:1"));
    }

    #[test]
    fn seats_and_what_is_wrong_with_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hosts");
        let of = |n, p, hosts: Option<&str>| {
            if let Some(text) = hosts {
                fs::write(&file, text).expect("written");
            }
            Seat::of(n, p, hosts.map(|_| file.as_path()), Duration::ZERO, secret(), false).map_err(|e| {
                assert_eq!(e.code(), 2);
                e.to_string().replace(&file.display().to_string(), "FILE")
            })
        };
        let seat = |process, addresses: &[&str]| {
            let addresses = addresses.iter().map(|a| (*a).to_owned()).collect();
            Ok(Some(Seat { process, addresses, wait: Duration::ZERO, secret: secret(), tls: false }))
        };
        assert_eq!(of(None, None, None), Ok(None));
        assert_eq!(of(Some(1), Some(0), None), Ok(None));
        assert_eq!(of(Some(2), Some(1), None), seat(1, &["127.0.0.1:2101", "127.0.0.1:2102"]));
        let three = "# ours\na:1\n\n  b:2\n[::1]:3\n";
        assert_eq!(of(None, Some(2), Some(three)), seat(2, &["a:1", "b:2", "[::1]:3"]));
        assert_eq!(of(Some(2), Some(0), Some(three)), seat(0, &["a:1", "b:2"]));
        assert_eq!(of(Some(1), None, Some(three)), Ok(None));
        let wrong = |n, p, hosts| of(n, p, hosts).expect_err("wrong");
        assert_eq!(wrong(Some(2), None, None), "-p says which of the 2 processes this is, from 0 to 1");
        assert_eq!(wrong(Some(2), Some(2), None), "-p 2 is none of 2 processes: they are counted from 0");
        assert_eq!(wrong(Some(4), Some(0), Some(three)), "FILE names 3 hosts, and -n asks for 4");
        assert_eq!(wrong(None, Some(0), Some("a:1\nb\n")), "FILE:2: `b` is no `host:port`, such as `node1:2101`");
        assert_eq!(
            wrong(None, Some(0), Some("a:1\na:1\n")),
            "FILE:2: `a:1` stands here twice: every process needs its own"
        );
        assert_eq!(wrong(None, Some(0), Some("#\n")), "FILE names no host");
    }
}
