//! TLS of our own: who this server is, and whom it trusts.

mod channel;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme,
};

use super::link::Secure;
use crate::config::{TlsClient, TlsServer};
use crate::error::{Code, Error, Result};
use crate::time::Time;
use crate::wire::limits::TLS_FILE_BYTES;

use channel::Channel;

/// A server's files are looked at for changes this long after the last time, when a client comes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where systems keep the certificates that they trust: Debian, Alpine, Buildroot and OpenWrt; Fedora; its
/// newer place; openSUSE; the BSDs.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who this server is, and whom it trusts.
#[derive(Debug)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    /// From the host; goes before the files.
    given: Option<Arc<ServerConfig>>,
    identities: Vec<Identity>,
    /// From the host; go before what is configured.
    roots: Option<Arc<RootCertStore>>,
    trust: TlsClient,
    /// Made when the first connection needs it.
    client: Option<Arc<ClientConfig>>,
}

/// What is configured, made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    identities: Vec<Identity>,
    trust: TlsClient,
}

impl Tls {
    pub(super) fn new() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            given: None,
            identities: Vec::new(),
            roots: None,
            trust: TlsClient { ca_file: String::new(), verify: true },
            client: None,
        }
    }

    /// Looks whether what is configured is right.
    pub(super) fn prepare(&self, servers: &[TlsServer], trust: &TlsClient) -> Result<Prepared> {
        let mut identities = Vec::<Identity>::new();
        for server in servers.iter().filter(|_| self.given.is_none()) {
            if !identities.iter().any(|identity| identity.server.is_same_identity(server)) {
                let identity = Identity::load(&self.provider, server).map_err(|e| server.error(&e))?;
                identities.push(identity);
            }
        }
        if !trust.ca_file.is_empty() && trust.verify && self.roots.is_none() {
            roots_of_file(&trust.ca_file)
                .map_err(|e| Error::new(Code::Config, format!("tls/ca_file {}: {e}", trust.ca_file)))?;
        }
        Ok(Prepared { identities, trust: trust.clone() })
    }

    pub(super) fn configure(&mut self, prepared: Prepared) {
        self.identities = prepared.identities;
        self.trust = prepared.trust;
        self.client = None;
    }

    pub(super) fn set_certificate(&mut self, pair: Option<(&[u8], &[u8])>) -> Result<()> {
        let made = pair.map(|(cert, key)| server_config(&self.provider, cert, key)).transpose();
        self.given = made.map_err(|e| Error::new(Code::Tls, e))?;
        Ok(())
    }

    pub(super) fn set_roots(&mut self, pem: Option<&[u8]>) -> Result<()> {
        let roots = pem.map(roots_of_pem).transpose().map_err(|e| Error::new(Code::Tls, e))?;
        self.roots = roots.map(Arc::new);
        self.client = None;
        Ok(())
    }

    /// The layer of a client's connection.
    pub(super) fn server(&mut self, now: Time, server: &TlsServer) -> Result<Box<dyn Secure>, String> {
        let config = match &self.given {
            Some(given) => given.clone(),
            None => self.identity(server)?.current(now),
        };
        let connection = ServerConnection::new(config).map_err(|e| e.to_string())?;
        Ok(Box::new(Channel::new(connection.into(), None)))
    }

    /// The layer of a connection to `host`.
    pub(super) fn client(&mut self, host: &str) -> Result<Box<dyn Secure>, String> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("{host:?} is neither a name nor an address"))?;
        let config = match &self.client {
            Some(config) => config.clone(),
            None => self.client.insert(self.client_config()?).clone(),
        };
        let connection = ClientConnection::new(config, name).map_err(|e| e.to_string())?;
        Ok(Box::new(Channel::new(connection.into(), Some(bare))))
    }

    /// The identity in a server's files. It is there since the configuration was applied, unless the host has
    /// taken back what it had given.
    fn identity(&mut self, server: &TlsServer) -> Result<&mut Identity, String> {
        let known = self.identities.iter().position(|identity| identity.server.is_same_identity(server));
        let at = match known {
            Some(at) => at,
            None => {
                self.identities.push(Identity::load(&self.provider, server)?);
                self.identities.len() - 1
            }
        };
        self.identities.get_mut(at).ok_or_else(|| "no certificate".to_owned())
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, String> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        if !self.trust.verify {
            let anyone = Arc::new(Anyone(self.provider.clone()));
            return Ok(Arc::new(
                builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth(),
            ));
        }
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None if self.trust.ca_file.is_empty() => Arc::new(system_roots()?),
            None => Arc::new(
                roots_of_file(&self.trust.ca_file)
                    .map_err(|e| format!("tls/ca_file {}: {e}", self.trust.ca_file))?,
            ),
        };
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }
}

/// Certificate and key in two files, taken up anew when these change.
#[derive(Debug)]
struct Identity {
    provider: Arc<CryptoProvider>,
    server: TlsServer,
    config: Arc<ServerConfig>,
    stamps: Stamps,
    looked: Option<Time>,
}

/// What tells that one of two files is another: place, length, and when it was written.
type Stamps = [Option<(u64, u64, i64, i64)>; 2];

impl Identity {
    fn load(provider: &Arc<CryptoProvider>, server: &TlsServer) -> Result<Self, String> {
        let stamps = stamps(server);
        let config = load(provider, server)?;
        Ok(Self { provider: provider.clone(), server: server.clone(), config, stamps, looked: None })
    }

    /// The pair as its files have it now. One that is wrong is reported once, and the last right one stays.
    fn current(&mut self, now: Time) -> Arc<ServerConfig> {
        if self.looked.is_none_or(|looked| looked + LOOK_AGAIN <= now) {
            self.looked = Some(now);
            let stamps = stamps(&self.server);
            if stamps != self.stamps {
                self.stamps = stamps;
                match load(&self.provider, &self.server) {
                    Ok(config) => {
                        self.config = config;
                        info!("the certificate in {} has changed and is used now", self.server.cert);
                    }
                    Err(e) => warn!("the last certificate stays in use: {e}"),
                }
            }
        }
        self.config.clone()
    }
}

fn stamps(server: &TlsServer) -> Stamps {
    [&server.cert, &server.key].map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    })
}

fn load(provider: &Arc<CryptoProvider>, server: &TlsServer) -> Result<Arc<ServerConfig>, String> {
    let cert = read(&server.cert).map_err(|e| format!("cert {}: {e}", server.cert))?;
    let key = read(&server.key).map_err(|e| format!("key {}: {e}", server.key))?;
    server_config(provider, &cert, &key)
        .map_err(|e| format!("cert {} and key {}: {e}", server.cert, server.key))
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    cert: &[u8],
    key: &[u8],
) -> Result<Arc<ServerConfig>, String> {
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "the key is none: PEM of PKCS #8, PKCS #1 or SEC 1 is expected, without a password")?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => "the key is not the certificate's".to_owned(),
        e => e.to_string(),
    })?;
    // They come behind the handshake, where librtmp on GnuTLS takes them for a lost connection.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn system_roots() -> Result<RootCertStore, String> {
    for path in SYSTEM_ROOTS {
        match roots_of_file(path) {
            Ok(roots) => return Ok(roots),
            Err(e) if !std::path::Path::new(path).exists() => drop(e),
            Err(e) => return Err(format!("{path}: {e}")),
        }
    }
    Err(format!(
        "there are no trusted certificates: neither tls/ca_file is set, nor is there {}",
        SYSTEM_ROOTS[0]
    ))
}

fn roots_of_file(path: &str) -> Result<RootCertStore, String> {
    roots_of_pem(&read(path).map_err(|e| e.to_string())?)
}

/// Roots that are too odd to be used are left out: systems carry some.
fn roots_of_pem(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates(pem)?) {
        (0, _) => Err("none of the certificates can be used".to_owned()),
        _ => Ok(roots),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("there is no certificate: PEM is expected".to_owned()),
    }
}

/// A file as a whole, which is to be a regular one of some hundred KB.
fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TLS_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TLS_FILE_BYTES {
        return Err(io::Error::other(format!("longer than {TLS_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Takes every server for the right one (`verify off`): who listens in could be it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
