//! TLS where none is built in: what asks for it is refused.

use super::link::Secure;
use crate::config::{TlsClient, TlsServer};
use crate::error::{Code, Error, Result};
use crate::time::Time;

const ABSENT: &str =
    "this library is built without the feature `tls`, and the host has given it no transport";

/// No TLS.
#[derive(Debug)]
pub(super) struct Tls;

/// Nothing to make ready.
#[derive(Debug)]
pub(super) struct Prepared;

impl Tls {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn prepare(&self, servers: &[TlsServer], _: &TlsClient) -> Result<Prepared> {
        servers.first().map_or(Ok(Prepared), |server| Err(server.error(ABSENT)))
    }

    pub(super) fn configure(&mut self, _: Prepared) {}

    pub(super) fn set_certificate(&mut self, _: Option<(&[u8], &[u8])>) -> Result<()> {
        Err(Error::new(Code::Tls, ABSENT))
    }

    pub(super) fn set_roots(&mut self, _: Option<&[u8]>) -> Result<()> {
        Err(Error::new(Code::Tls, ABSENT))
    }

    pub(super) fn server(&mut self, _: Time, _: &TlsServer) -> Result<Box<dyn Secure>, String> {
        Err(ABSENT.to_owned())
    }

    pub(super) fn client(&mut self, _: &str) -> Result<Box<dyn Secure>, String> {
        Err(ABSENT.to_owned())
    }
}
