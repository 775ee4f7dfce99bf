//! A response, and how its head is written (RFC 9112, 4 and 6).

use std::fmt::Write;

use bytes::{Bytes, BytesMut};

use super::{Headers, Refusal, conditional, mime};

const SERVER: &str = concat!("camrill/", env!("CARGO_PKG_VERSION"));

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: u16,
    /// Header fields, without those that the session writes: `Server`, `Date`, `Connection`,
    /// `Content-Length` and `Transfer-Encoding`.
    pub headers: Headers,
    /// How the body goes out.
    pub body: Body,
    /// What the time is, in seconds since 1970, for `Date`; `None` if no clock is set.
    pub date: Option<u64>,
    /// Whether the connection is closed behind it, even if the client would have it stay.
    pub close: bool,
}

/// How a response's body goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// All of it, here.
    Full(Bytes),
    /// So many bytes follow.
    Length(u64),
    /// It follows in chunks; to a client of HTTP/1.0 as [`Body::UntilClose`].
    Chunked,
    /// It follows, and the connection's end is its end.
    UntilClose,
}

impl Response {
    /// An answer without fields or body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Headers::new(), body: Body::None, date: None, close: false }
    }

    /// An answer with a body of that media type.
    pub fn with_body(status: u16, mime: &str, body: impl Into<Bytes>) -> Self {
        let mut response = Self::new(status);
        response.headers.push("Content-Type", mime);
        response.body = Body::Full(body.into());
        response
    }

    /// A short text that says the status and why.
    pub fn refusal(refusal: &Refusal) -> Self {
        let mut response = Self::with_body(refusal.status, mime::TEXT, format!("{refusal}\n"));
        if refusal.status == 426 {
            response.headers.push("Upgrade", "websocket");
            response.headers.push("Sec-WebSocket-Version", "13");
        }
        response
    }

    /// Whether this status has no body, whatever is said of one (RFC 9110, 6.4.1).
    pub(super) fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..200 | 204 | 304)
    }

    /// Writes the head, its empty line included. The body's framing and the connection's fate are given, as
    /// they hang on the request too.
    pub(super) fn write_head(&self, out: &mut BytesMut, framing: Outgoing, connection: Option<&str>) {
        // Writing to memory can't fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\nServer: {SERVER}\r\n", self.status, reason(self.status));
        if let Some(date) = self.date.and_then(conditional::date) {
            let _ = write!(out, "Date: {date}\r\n");
        }
        match framing {
            Outgoing::Length(len) => {
                let _ = write!(out, "Content-Length: {len}\r\n");
            }
            Outgoing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Outgoing::Unsaid => {}
        }
        if let Some(connection) = connection {
            let _ = write!(out, "Connection: {connection}\r\n");
        }
        out.extend_from_slice(self.headers.as_str().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// So many bytes, or so many left.
    Length(u64),
    /// In chunks.
    Chunked,
    /// No body, or one that ends with the connection.
    Unsaid,
}

/// The words that go with a status (RFC 9110, 15).
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(response: &Response, framing: Outgoing, connection: Option<&str>) -> String {
        let mut out = BytesMut::new();
        response.write_head(&mut out, framing, connection);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_head_is_written() {
        let mut response = Response::new(200);
        response.headers.push("X", "y");
        response.date = Some(784_903_526);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            head(&response, Outgoing::Length(12), Some("close")),
            format!(
                "HTTP/1.1 200 OK\r\nServer: camrill/{version}\r\nDate: Tue, 15 Nov 1994 12:45:26 GMT\r\n\
                Content-Length: 12\r\nConnection: close\r\nX: y\r\n\r\n"
            )
        );
        response.date = Some(u64::MAX);
        assert_eq!(
            head(&response, Outgoing::Chunked, None),
            format!(
                "HTTP/1.1 200 OK\r\nServer: camrill/{version}\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
            )
        );
    }

    #[test]
    fn a_refusal_says_why() {
        let response = Response::refusal(&Refusal::new(426, "why"));
        assert_eq!(response.body, Body::Full(Bytes::from("426 Upgrade Required: why\n")));
        assert_eq!(response.headers.get("Sec-WebSocket-Version"), Some("13"));
        assert_eq!(Response::refusal(&Refusal::bad("x")).headers.get("Upgrade"), None);
    }
}
