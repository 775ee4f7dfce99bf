//! Ports behind TLS, and what outgoing connections trust.

use std::net::SocketAddr;

use super::block::Block;
use super::tree::Source;
use crate::error::{Error, Result};

/// Ports behind TLS: RTMPS, or HTTPS of the web server or the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServer {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The file of the private key, in PEM.
    pub key: String,
    /// The file of the certificate and those that it was issued by, in PEM.
    pub cert: String,
    path: &'static str,
    source: Source,
}

/// TLS of outgoing connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClient {
    /// The file of the certificates that are trusted, in PEM; empty for the system's.
    pub ca_file: String,
    /// Whether a server has to be whom it says.
    pub verify: bool,
}

impl TlsServer {
    pub(super) fn read(block: &Block<'_>) -> Result<Option<Self>> {
        if !block.switch("enabled")? {
            return Ok(None);
        }
        let enabled = block.find("enabled");
        Ok(Some(Self {
            listen: block.listen_or_default("listen")?,
            key: block.text("key")?,
            cert: block.text("cert")?,
            path: block.path,
            source: enabled.map_or_else(|| Source::named(block.path), |node| node.source.clone()),
        }))
    }

    /// Whether it is the same server that both name.
    pub fn is_same_identity(&self, other: &Self) -> bool {
        (&self.key, &self.cert) == (&other.key, &other.cert)
    }

    /// An error of the configuration that concerns it.
    pub fn error(&self, message: &str) -> Error {
        self.source.error(format_args!("{}: {message}", self.path))
    }
}

impl TlsClient {
    pub(super) fn read(block: &Block<'_>) -> Result<Self> {
        Ok(Self { ca_file: block.text("ca_file")?, verify: block.switch("verify")? })
    }
}
