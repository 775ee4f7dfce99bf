//! What is asked, and how it goes over the wire (RFC 9112, 3).

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::Url;
use crate::http::{Headers, Method};

const USER_AGENT: &str = concat!("camrill/", env!("CARGO_PKG_VERSION"));
/// What is set aside for a request's head, in bytes; most have no more.
const HEAD_BYTES: usize = 512;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// What is asked for. User and password are sent as Basic authentication (RFC 7617).
    pub url: &'a Url,
    /// Header fields, without `Host`, `Content-Length` and `Transfer-Encoding`. Those given here stand
    /// instead of ours: `User-Agent`, `Accept`, `Authorization`.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

impl<'a> Request<'a> {
    /// A GET without fields of its own.
    pub fn get(url: &'a Url) -> Self {
        Self { method: Method::Get, url, headers: Headers::new(), body: Bytes::new() }
    }

    /// A POST of a body of that media type.
    pub fn post(url: &'a Url, mime: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = Headers::new();
        headers.push("Content-Type", mime);
        Self { method: Method::Post, url, headers, body: body.into() }
    }

    /// The head, its empty line included.
    pub(super) fn head(&self) -> Bytes {
        let mut own = Headers::new();
        let mut default = |name: &str, value: &str| {
            if self.headers.get(name).is_none() {
                own.push(name, value);
            }
        };
        default("User-Agent", USER_AGENT);
        default("Accept", "*/*");
        if let Some((user, password)) = self.url.user_info() {
            default("Authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        }
        let mut out = BytesMut::with_capacity(HEAD_BYTES);
        let (method, url) = (self.method.as_str(), self.url);
        // Writing to memory can't fail.
        let _ = write!(out, "{method} {} HTTP/1.1\r\nHost: {}\r\n", url.target(), url.authority());
        if !self.body.is_empty() || matches!(self.method, Method::Post | Method::Put) {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        let _ = write!(out, "{}{}\r\n", own.as_str(), self.headers.as_str());
        out.freeze()
    }
}
