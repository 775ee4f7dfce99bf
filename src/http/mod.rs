//! HTTP/1.1 as a server speaks it (RFC 9110, 9112) and WebSocket (RFC 6455), and as a client does.
//!
//! [`Session`] is one connection: requests out, answers in. Around it stand what answers are made of:
//! ranges, validators, types, CORS, safe file names, and JSON. [`client::Session`] is the other side of a
//! connection.

pub mod chunked;
pub mod client;
pub mod conditional;
pub mod cors;
mod headers;
mod incoming;
pub mod json;
pub mod mime;
pub mod path;
pub mod range;
mod request;
mod response;
mod session;
pub mod websocket;

use std::fmt;

pub use headers::Headers;
pub use request::{Method, Request};
pub use response::{Body, Response, reason};
pub use session::{Error, Limits, Output, Session};

/// A request that is not served, and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer, 400 to 599.
    pub status: u16,
    /// What is wrong with the request.
    pub what: &'static str,
}

impl Refusal {
    const fn new(status: u16, what: &'static str) -> Self {
        Self { status, what }
    }

    const fn bad(what: &'static str) -> Self {
        Self::new(400, what)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, reason(self.status), self.what)
    }
}

impl std::error::Error for Refusal {}
