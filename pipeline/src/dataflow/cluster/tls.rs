//! TLS 1.3 between processes, where the network is not private. Both ends have one key, made from the shared secret, and accept
//! no other: there are no certificates to issue (raw public keys, RFC 7250).

use super::secret::Secret;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName,
    ServerConfig, ServerConnection, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use std::{
    io::{self, Read, Write},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// Label under which TLS gives the value that a proof of the secret is bound to.
const LABEL: &[u8] = b"EXPORTER-refrain-hosts";
/// Bytes that are taken from the socket at once.
const TAKEN: usize = 1 << 14;

/// How this process begins TLS, as caller and as listener.
#[derive(Clone)]
pub(super) struct Begin {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Begin {
    /// Makes the key of both ends from the secret.
    ///
    /// # Errors
    /// When the TLS library refuses it.
    pub(super) fn of(secret: &Secret) -> Result<Begin, rustls::Error> {
        let seed = blake3::keyed_hash(secret.key(), b"refrain hosts tls key");
        let der = [&PKCS8[..], seed.as_bytes()].concat();
        let key = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der))?;
        let public = key.public_key().ok_or_else(|| rustls::Error::General("a key without a public one".into()))?;
        let public = CertificateDer::from(public.as_ref().to_vec());
        let key = Arc::new(CertifiedKey::new(vec![public.clone()], key));
        let provider = Arc::new(ring::default_provider());
        let pinned = Arc::new(Pinned { key: public, algorithms: provider.signature_verification_algorithms });
        let client = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
        let mut client = client
            .dangerous()
            .with_custom_certificate_verifier(pinned.clone())
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key.clone())));
        client.resumption = Resumption::disabled();
        let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let mut server = server
            .with_client_cert_verifier(pinned)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Begin { client: Arc::new(client), server: Arc::new(server) })
    }

    /// Begins TLS on a connection that this process made.
    ///
    /// # Errors
    /// When the other end speaks no TLS or has another key.
    pub(super) fn call(&self, socket: &mut (impl Read + Write)) -> io::Result<Tls> {
        // The key decides, no name.
        let nobody = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let connection = ClientConnection::new(self.client.clone(), nobody).map_err(io::Error::other)?;
        Tls::begin(connection.into(), socket)
    }

    /// Begins TLS on a connection that this process accepted.
    ///
    /// # Errors
    /// When the other end speaks no TLS or has another key.
    pub(super) fn answer(&self, socket: &mut (impl Read + Write)) -> io::Result<Tls> {
        let connection = ServerConnection::new(self.server.clone()).map_err(io::Error::other)?;
        Tls::begin(connection.into(), socket)
    }
}

/// Accepts the one key of both ends.
#[derive(Debug)]
struct Pinned {
    key: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn check(&self, key: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        match key.as_ref() == self.key.as_ref() {
            true => Ok(()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn signed(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn older() -> rustls::Error {
        rustls::Error::General("TLS 1.2 is not spoken".into())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Pinned::older())
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(message, key, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Pinned::older())
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(message, key, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// A connection under TLS. One thread may read while another writes: neither holds the state while it waits for the socket.
pub(super) struct Tls {
    connection: Mutex<Connection>,
    /// Bytes from the socket that TLS has not taken yet. Held by whoever reads.
    taken: Mutex<Taken>,
    /// Held by whoever writes, so that records go out in order.
    order: Mutex<()>,
}

struct Taken {
    bytes: Box<[u8]>,
    from: usize,
    to: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tls {
    fn begin(mut connection: Connection, socket: &mut (impl Read + Write)) -> io::Result<Tls> {
        while connection.is_handshaking() {
            connection.complete_io(socket)?;
        }
        // The last flight of a client may still be here.
        while connection.wants_write() {
            connection.write_tls(socket)?;
        }
        let taken = Taken { bytes: vec![0; TAKEN].into(), from: 0, to: 0 };
        Ok(Tls { connection: Mutex::new(connection), taken: Mutex::new(taken), order: Mutex::default() })
    }

    /// Value that both ends have, and no two connections share.
    pub(super) fn channel(&self) -> io::Result<[u8; 32]> {
        lock(&self.connection).export_keying_material([0; 32], LABEL, None).map_err(io::Error::other)
    }

    /// Reads from the connection; 0 bytes where the other end said that nothing more comes.
    pub(super) fn read(&self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let mut taken = lock(&self.taken);
        loop {
            match lock(&self.connection).reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let Taken { bytes, from, to } = &mut *taken;
            if from == to {
                (*from, *to) = (0, socket.read(bytes)?);
            }
            let mut connection = lock(&self.connection);
            // None is the end of the socket: TLS says whether it was to come.
            *from += connection.read_tls(&mut &bytes[*from..*to])?;
            connection.process_new_packets().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        }
    }

    /// Writes to the connection.
    pub(super) fn write(&self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        let _order = lock(&self.order);
        let mut sealed = Vec::new();
        let count = {
            let mut connection = lock(&self.connection);
            let count = connection.writer().write(bytes)?;
            drain(&mut connection, &mut sealed)?;
            count
        };
        socket.write_all(&sealed)?;
        Ok(count)
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self, socket: &mut impl Write) -> io::Result<()> {
        let _order = lock(&self.order);
        let mut sealed = Vec::new();
        {
            let mut connection = lock(&self.connection);
            connection.send_close_notify();
            drain(&mut connection, &mut sealed)?;
        }
        socket.write_all(&sealed)
    }
}

fn drain(connection: &mut Connection, sealed: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(sealed)?;
    }
    Ok(())
}
