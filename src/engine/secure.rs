//! Where secure layers come from: the host's transport, else TLS of our own where it is built in.

use std::fmt;

use super::Engine;
use super::link::{Layer, Secure};
use super::tls::Prepared;
use crate::config::{HttpServer, Settings, TlsServer};
use crate::error::Result;
use crate::time::Time;

/// TLS as the host has it. Its layers work inside the engine's turns, and it must not use the engine there.
pub trait Transport: fmt::Debug + Send {
    /// The layer of a connection to `host`, a name or an address, which it is to verify; or of a client's to
    /// this server, where there is none. An error is a sentence for a log, and no connection.
    fn open(&mut self, host: Option<&str>) -> Result<Box<dyn Secure>, String>;
}

impl Engine {
    /// Has connections made secure by the host from now on; `None`: by TLS of our own again.
    pub fn set_transport(&mut self, transport: Option<Box<dyn Transport>>) {
        self.transport = transport;
    }

    /// Takes certificate and key from the host instead of from files, for all ports behind TLS and from the next
    /// connection on; both in PEM, the certificate with those that it was issued by. `None`: from files again.
    pub fn set_certificate(&mut self, pair: Option<(&[u8], &[u8])>) -> Result<()> {
        self.tls.set_certificate(pair)
    }

    /// Takes the certificates that servers are trusted by from the host, in PEM. `None`: as it is configured.
    pub fn set_roots(&mut self, pem: Option<&[u8]>) -> Result<()> {
        self.tls.set_roots(pem)
    }

    /// Looks whether what the settings ask for is right. A host's transport has certificates of its own.
    pub(super) fn prepare_tls(&self, settings: &Settings) -> Result<Prepared> {
        let https = |server: &Option<HttpServer>| server.as_ref().and_then(|server| server.https.clone());
        let servers = [settings.rtmps.clone(), https(&settings.http_server), https(&settings.http_api)];
        let ours = servers.into_iter().flatten().filter(|_| self.transport.is_none());
        self.tls.prepare(&ours.collect::<Vec<_>>(), &settings.tls)
    }

    /// The layer of a client's connection.
    pub(super) fn secure_server(&mut self, now: Time, server: &TlsServer) -> Result<Layer, String> {
        let channel = match &mut self.transport {
            Some(transport) => transport.open(None),
            None => self.tls.server(now, server),
        };
        channel.map(Layer::secure)
    }

    /// The layer of a connection to `host`, a name or an address, which is verified.
    pub(super) fn secure_client(&mut self, host: &str) -> Result<Layer, String> {
        let channel = match &mut self.transport {
            Some(transport) => transport.open(Some(host)),
            None => self.tls.client(host),
        };
        channel.map(Layer::secure)
    }
}
