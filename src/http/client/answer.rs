//! The head of an answer, and what it says of the body and the connection (RFC 9112, 4, 6 and 9).

use super::{Error, Url};
use crate::http::incoming::Framing;
use crate::http::request::content_length;
use crate::http::{Headers, Method};
use crate::wire::limits::HTTP_HEADERS;

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status, 200 to 999.
    pub status: u16,
    /// Header fields.
    pub headers: Headers,
    /// Where else the request is to be made, if the status says that it is: `Location`, resolved. `None` also
    /// if that is no URL of HTTP. How often that is followed is up to the caller; 301, 302 and 303 make a GET
    /// of a POST (RFC 9110, 15.4).
    pub redirect: Option<Url>,
}

/// An answer whose head has come.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    /// Whether the connection serves for another request behind it.
    pub(super) keep_alive: bool,
}

/// An answer's body.
pub(super) enum Body {
    None,
    Framed(Framing),
    UntilClose,
}

impl Answer {
    /// Reads a head, its empty line included, that answers a request of that method for that URL. `None` for
    /// one that is followed by another (RFC 9110, 15.2).
    pub(super) fn parse(bytes: &[u8], method: Method, url: &Url) -> Result<Option<Self>, Error> {
        let mut fields = [httparse::EMPTY_HEADER; HTTP_HEADERS];
        let mut parsed = httparse::Response::new(&mut fields);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(n)) if n == bytes.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Error::Malformed("too many header fields")),
            Err(httparse::Error::Version | httparse::Error::Status | httparse::Error::Token) => {
                return Err(Error::Malformed("malformed status line"));
            }
            _ => return Err(Error::Malformed("malformed head")),
        }
        let status = parsed.code.unwrap_or_default();
        match status {
            0..100 => return Err(Error::Malformed("malformed status")),
            // Nothing else was asked for.
            101 => return Err(Error::Malformed("another protocol")),
            100..200 => return Ok(None),
            _ => {}
        }
        let mut headers = Headers::new();
        for field in &*parsed.headers {
            headers.push(field.name, &String::from_utf8_lossy(field.value));
        }
        let version_1_0 = parsed.version == Some(0);
        let body = match status {
            204 | 304 => Body::None,
            _ if method == Method::Head => Body::None,
            _ => body(&headers)?,
        };
        // With both, somebody on the way may have seen another end (RFC 9112, 6.3).
        let is_ambiguous =
            headers.get("Transfer-Encoding").is_some() && headers.get("Content-Length").is_some();
        let keep_alive = !headers.has_token("Connection", "close")
            && (!version_1_0 || headers.has_token("Connection", "keep-alive"))
            && !is_ambiguous;
        let redirect = match status {
            301 | 302 | 303 | 307 | 308 => headers.get("Location").and_then(|to| url.join(to).ok()),
            _ => None,
        };
        Ok(Some(Self { head: ResponseHead { status, headers, redirect }, body, keep_alive }))
    }
}

/// How the body is framed (RFC 9112, 6.3).
fn body(headers: &Headers) -> Result<Body, Error> {
    let mut codings = headers.all("Transfer-Encoding");
    if let Some(coding) = codings.next() {
        if !coding.eq_ignore_ascii_case("chunked") || codings.next().is_some() {
            return Err(Error::Malformed("unknown Transfer-Encoding"));
        }
        return Ok(Body::Framed(Framing::Chunked));
    }
    Ok(match content_length(headers)? {
        Some(0) => Body::None,
        Some(length) => Body::Framed(Framing::Length(length)),
        None => Body::UntilClose,
    })
}
