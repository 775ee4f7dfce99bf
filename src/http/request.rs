//! A request, and how its head is read (RFC 9112, 2 to 6).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::incoming::Framing;
use super::{Headers, Refusal, path, websocket};
use crate::wire::limits::HTTP_HEADERS;

/// What is to be done with a resource (RFC 9110, 9.3). Other methods are answered with 501.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD: the answer to GET without its body.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
}

impl Method {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Delete, Self::Options];
        all.into_iter().find(|method| method.as_str() == name)
    }
}

/// A request with its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path that is meant, as of [`path::normalise`]: decoded, without dot segments, beginning with `/`.
    /// `/` for `OPTIONS *`.
    pub path: String,
    /// The path as it was sent, without the query.
    pub raw_path: String,
    /// What stands behind `?`, as it was sent; empty if there is nothing.
    pub query: String,
    /// Host and port, of the target or else of the `Host` field; empty if an older client names none.
    pub authority: String,
    /// The client speaks HTTP/1.0.
    pub version_1_0: bool,
    /// Header fields.
    pub headers: Headers,
    /// The body, without any transfer coding.
    pub body: Bytes,
    /// Whether the client expects the connection to stay.
    pub keep_alive: bool,
}

impl Request {
    /// The value of a parameter of the query, decoded; the first of several. `+` stands for a space, and a
    /// parameter without `=` is empty.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| decode_query(key) == name).map(|(_, value)| decode_query(value)).next()
    }

    /// The value of the first header field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The host that is asked, without its port and an IPv6 address's brackets; empty if none is named.
    pub fn host(&self) -> &str {
        split_authority(&self.authority).map_or("", |(host, _)| host)
    }

    /// The port that is named beside the host.
    pub fn port(&self) -> Option<u16> {
        split_authority(&self.authority).and_then(|(_, port)| port)
    }

    /// Whether the client asks for a WebSocket (RFC 6455, 4.2.1): what [`super::Session::upgrade`] accepts
    /// it with. A request that asks and can't have one is refused with 400 or, for another version, 426.
    pub fn websocket(&self) -> Result<Option<String>, Refusal> {
        if !self.headers.has_token("Upgrade", "websocket") || self.method != Method::Get || self.version_1_0 {
            return Ok(None);
        }
        if !self.headers.has_token("Connection", "upgrade") {
            return Err(Refusal::bad("Upgrade without Connection: upgrade"));
        }
        if self.header("Sec-WebSocket-Version") != Some("13") {
            return Err(Refusal::new(426, "WebSocket version 13 was expected"));
        }
        let key = self.header("Sec-WebSocket-Key").unwrap_or_default();
        match STANDARD.decode(key) {
            Ok(bytes) if bytes.len() == 16 => Ok(Some(websocket::accept(key))),
            _ => Err(Refusal::bad("Sec-WebSocket-Key is not 16 bytes in Base64")),
        }
    }
}

/// A whole head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request,
    /// How the body is framed, if there is one.
    pub(super) framing: Option<Framing>,
    /// The client waits for 100 before it sends the body.
    pub(super) expects_continue: bool,
}

impl Head {
    /// Reads a head, its empty line included.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; HTTP_HEADERS];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(n)) if n == bytes.len() => {}
            Ok(_) => return Err(Refusal::bad("malformed head")),
            Err(cause) => return Err(malformed(cause, bytes)),
        }
        let name = parsed.method.unwrap_or_default();
        let method = Method::parse(name).ok_or(Refusal::new(501, "unknown method"))?;
        let mut headers = Headers::new();
        for field in &*parsed.headers {
            headers.push(field.name, &String::from_utf8_lossy(field.value));
        }
        let version_1_0 = parsed.version == Some(0);
        let target = Target::parse(method, parsed.path.unwrap_or_default())?;
        let host = host(&headers, version_1_0)?;
        let path = path::normalise(target.path).ok_or(Refusal::bad("malformed path"))?;
        let keep_alive = !headers.has_token("Connection", "close")
            && (!version_1_0 || headers.has_token("Connection", "keep-alive"));
        let framing = framing(&headers, version_1_0)?;
        let expects_continue = expects_continue(&headers, version_1_0)?;
        let request = Request {
            method,
            path,
            raw_path: target.raw_path.to_owned(),
            query: target.query.to_owned(),
            // The target's stands above the field's (RFC 9112, 3.2.2).
            authority: target.authority.unwrap_or(host).to_owned(),
            version_1_0,
            headers,
            body: Bytes::new(),
            keep_alive,
        };
        Ok(Self { request, framing, expects_continue })
    }
}

/// A request's target (RFC 9112, 3.2).
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    raw_path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(method: Method, target: &'a str) -> Result<Self, Refusal> {
        if target == "*" && method == Method::Options {
            return Ok(Self { authority: None, path: "/", raw_path: target, query: "" });
        }
        // A fragment is the client's own affair; some send it.
        let target = target.split('#').next().unwrap_or_default();
        let (authority, rest) = match absolute(target) {
            None => (None, target),
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if authority.is_empty() || split_authority(authority).is_none() {
                    return Err(Refusal::bad("malformed host in the target"));
                }
                (Some(authority), rest)
            }
        };
        let (raw_path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if raw_path.is_empty() && authority.is_some() { "/" } else { raw_path };
        Ok(Self { authority, path, raw_path, query })
    }
}

/// What follows the scheme of an absolute target.
fn absolute(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_http.then_some(rest)
}

/// The one `Host` field, which HTTP/1.1 demands (RFC 9112, 3.2).
fn host(headers: &Headers, version_1_0: bool) -> Result<&str, Refusal> {
    let mut hosts = headers.all("Host");
    let host = match hosts.next() {
        Some(host) => host,
        None if version_1_0 => "",
        None => return Err(Refusal::bad("no Host")),
    };
    if hosts.next().is_some() {
        return Err(Refusal::bad("several Host fields"));
    }
    split_authority(host).map(|_| host).ok_or(Refusal::bad("malformed Host"))
}

/// What `Content-Length` says (RFC 9110, 8.6).
pub(super) fn content_length(headers: &Headers) -> Result<Option<u64>, Refusal> {
    let mut length = None;
    for value in headers.all("Content-Length") {
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Refusal::bad("malformed Content-Length"));
        }
        // What no 64 bits hold is too long, whatever it is.
        let value: u64 = value.parse().unwrap_or(u64::MAX);
        if length.is_some_and(|other| other != value) {
            return Err(Refusal::bad("several values of Content-Length"));
        }
        length = Some(value);
    }
    Ok(length)
}

/// How the body is framed (RFC 9112, 6). What two servers may read differently is refused.
fn framing(headers: &Headers, version_1_0: bool) -> Result<Option<Framing>, Refusal> {
    let length = content_length(headers)?;
    let mut codings = headers.all("Transfer-Encoding");
    let Some(coding) = codings.next() else {
        return Ok(length.filter(|length| *length > 0).map(Framing::Length));
    };
    if length.is_some() {
        return Err(Refusal::bad("both Content-Length and Transfer-Encoding"));
    }
    if version_1_0 {
        return Err(Refusal::bad("Transfer-Encoding in HTTP/1.0"));
    }
    if !coding.eq_ignore_ascii_case("chunked") || codings.next().is_some() {
        return Err(Refusal::new(501, "unknown Transfer-Encoding"));
    }
    Ok(Some(Framing::Chunked))
}

/// `Expect` (RFC 9110, 10.1.1); older clients can't mean it.
fn expects_continue(headers: &Headers, version_1_0: bool) -> Result<bool, Refusal> {
    match headers.get("Expect") {
        Some(expected) if !version_1_0 => match expected.eq_ignore_ascii_case("100-continue") {
            true => Ok(true),
            false => Err(Refusal::new(417, "unknown expectation")),
        },
        _ => Ok(false),
    }
}

/// What httparse doesn't take.
fn malformed(cause: httparse::Error, bytes: &[u8]) -> Refusal {
    match cause {
        httparse::Error::TooManyHeaders => Refusal::new(431, "too many header fields"),
        httparse::Error::Version if names_version(bytes) => {
            Refusal::new(505, "HTTP/1.0 or HTTP/1.1 was expected")
        }
        httparse::Error::HeaderName => Refusal::bad("malformed name of a header field"),
        httparse::Error::HeaderValue => Refusal::bad("malformed value of a header field"),
        _ => Refusal::bad("malformed request line"),
    }
}

/// Whether the request line is one of some other version of HTTP.
fn names_version(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').skip(2);
    let version = words.next().and_then(|version| version.strip_prefix(b"HTTP/"));
    words.next().is_none() && version.and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// Host, without brackets, and port; `None` if it is not one and not the other (RFC 3986, 3.2.2 and 3.2.3).
/// No host at all is one too.
pub(super) fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, after) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            let is_address = host.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
            (host, if is_address && !host.is_empty() { after } else { return None })
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, after) = authority.split_at_checked(end)?;
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&b);
            (host, if host.bytes().all(is_name) { after } else { return None })
        }
    };
    match after.strip_prefix(':') {
        None if after.is_empty() => Some((host, None)),
        Some("") => Some((host, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some((host, Some(port.parse().ok()?))),
        _ => None,
    }
}

/// A name or a value of a query. What is not percent-encoded stays as it is.
fn decode_query(s: &str) -> Cow<'_, str> {
    if !s.contains(['+', '%']) {
        return Cow::Borrowed(s);
    }
    let spaced = s.replace('+', " ");
    let decoded: Vec<u8> = percent_decode_str(&spaced).collect();
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(head: &str) -> Result<Head, Refusal> {
        Head::parse(head.as_bytes())
    }

    fn request(head: &str) -> Request {
        parse(head).unwrap_or_else(|e| panic!("{head}: {e}")).request
    }

    /// A request line and `Host`, and these lines.
    fn get(target: &str, lines: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    }

    #[test]
    fn a_head_is_taken_apart() {
        let r = request("POST /live/%61.flv?token=x%20y&b HTTP/1.1\r\nHost: a.b:8080\r\nX-Y:  z \r\n\r\n");
        assert_eq!((r.method, r.version_1_0, r.keep_alive), (Method::Post, false, true));
        assert_eq!((r.path.as_str(), r.raw_path.as_str()), ("/live/a.flv", "/live/%61.flv"));
        assert_eq!(r.query, "token=x%20y&b");
        assert_eq!((r.host(), r.port()), ("a.b", Some(8080)));
        assert_eq!(r.header("x-y"), Some("z"));
    }

    #[test]
    fn lines_may_end_in_lf_alone() {
        let r = request("GET / HTTP/1.1\nHost: a\nX: y\n\n");
        assert_eq!((r.host(), r.header("x")), ("a", Some("y")));
    }

    #[test]
    fn targets_come_in_three_forms() {
        let r = request(&get("http://b.c:81/x?y", ""));
        assert_eq!((r.host(), r.port(), r.path.as_str(), r.query.as_str()), ("b.c", Some(81), "/x", "y"));
        let r = request(&get("HTTPS://b.c?y", ""));
        assert_eq!((r.path.as_str(), r.raw_path.as_str(), r.query.as_str()), ("/", "", "y"));
        let r = request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((r.path.as_str(), r.raw_path.as_str()), ("/", "*"));
        assert_eq!(request(&get("/a#b?c", "")).path, "/a");
        for target in
            ["*", "a", "a:80", "?a", "http://", "http:///a", "http://u@b/", "ftp://a/b", "/%", "/%00", "/.."]
        {
            assert_eq!(parse(&get(target, "")).err().map(|e| e.status), Some(400), "{target}");
        }
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (authority, parts) in [
            ("", Some(("", None))),
            ("a.b", Some(("a.b", None))),
            ("a:1", Some(("a", Some(1)))),
            ("a:", Some(("a", None))),
            ("[::1]", Some(("::1", None))),
            ("[fe80::1]:8080", Some(("fe80::1", Some(8080)))),
            ("__defaultVhost__", Some(("__defaultVhost__", None))),
            ("::1", None),
            ("[::1", None),
            ("[]", None),
            ("[a]b", None),
            ("[/]", None),
            ("a:x", None),
            ("a:65536", None),
            ("a:+1", None),
            ("a/b", None),
            ("a b", None),
            ("a@b", None),
        ] {
            assert_eq!(split_authority(authority), parts, "{authority}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_status() {
        let many = "X: y\r\n".repeat(HTTP_HEADERS);
        for (head, status) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            (get("/", "Host: a\r\n"), 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
            (get("/", "X : y\r\n"), 400),
            (get("/", "X: y\r\n z\r\n"), 400),
            (get("/", "X: a\0b\r\n"), 400),
            (get("/", "Content-Length: x\r\n"), 400),
            (get("/", "Content-Length: -1\r\n"), 400),
            (get("/", "Content-Length: 1, 1\r\n"), 400),
            (get("/", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
            (get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
            (get("/", "Transfer-Encoding: gzip\r\n"), 501),
            (get("/", "Transfer-Encoding: gzip, chunked\r\n"), 501),
            (get("/", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501),
            (get("/", "Transfer-Encoding: \r\n"), 501),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
            (get("/", "Expect: a-miracle\r\n"), 417),
            (get("/", &many), 431),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505),
            ("GET / HTTP/0.9\r\n\r\n".to_owned(), 505),
            ("GET / HTTP/x\r\n\r\n".to_owned(), 400),
            ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("GET /\r\n\r\n".to_owned(), 400),
            ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
        ] {
            let refusal = parse(&head).expect_err(&head);
            assert_eq!(refusal.status, status, "{head}: {refusal}");
        }
        assert!(parse(&get("/", &"X: y\r\n".repeat(HTTP_HEADERS - 1))).is_ok());
    }

    #[test]
    fn bodies_are_framed() {
        let framing = |lines: &str| parse(&get("/", lines)).unwrap().framing;
        assert_eq!(framing(""), None);
        assert_eq!(framing("Content-Length: 0\r\n"), None);
        assert_eq!(framing("Content-Length: 12\r\nContent-Length: 012\r\n"), Some(Framing::Length(12)));
        assert_eq!(framing("Content-Length: 99999999999999999999\r\n"), Some(Framing::Length(u64::MAX)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Some(Framing::Chunked));
        assert!(parse(&get("/", "Expect: 100-Continue\r\n")).unwrap().expects_continue);
        assert!(!parse("GET / HTTP/1.0\r\nExpect: x\r\n\r\n").unwrap().expects_continue);
    }

    #[test]
    fn connections_stay_as_the_client_says() {
        let stays = |version: &str, lines: &str| {
            request(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).keep_alive
        };
        assert!(stays("1.1", "") && stays("1.1", "Connection: x\r\n"));
        assert!(!stays("1.1", "Connection: x, Close\r\n"));
        assert!(!stays("1.0", "") && stays("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!stays("1.0", "Connection: keep-alive, close\r\n"));
    }

    #[test]
    fn parameters_of_the_query_are_decoded() {
        let r = request(&get("/?a=1&b=x%26y+z&c&%64=%zz&a=2&e=%ff", ""));
        let value = |name| r.query_value(name);
        assert_eq!(value("a").as_deref(), Some("1"));
        assert_eq!(value("b").as_deref(), Some("x&y z"));
        assert_eq!(value("c").as_deref(), Some(""));
        assert_eq!(value("d").as_deref(), Some("%zz"));
        assert_eq!(value("e").as_deref(), Some("\u{fffd}"));
        assert_eq!(value("x"), None);
    }

    #[test]
    fn a_websocket_is_accepted_with_its_key() {
        let asked = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let ask = |lines: &str| request(&get("/chat", lines)).websocket();
        assert_eq!(ask(asked), Ok(Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned())));
        assert_eq!(ask(""), Ok(None));
        assert_eq!(ask("Upgrade: h2c\r\nConnection: Upgrade\r\n"), Ok(None));
        let status = |from: &str, to: &str| ask(&asked.replace(from, to)).map_err(|e| e.status);
        assert_eq!(status(": 13", ": 8"), Err(426));
        assert_eq!(status("Version", "X"), Err(426));
        assert_eq!(status(", Upgrade", ""), Err(400));
        assert_eq!(status("ZQ==", ""), Err(400));
        assert_eq!(status("dGhl", "!!!!"), Err(400));
        let post = get("/", asked).replace("GET", "POST");
        assert_eq!(request(&post).websocket(), Ok(None));
        assert_eq!(request(&get("/", asked).replace("/1.1", "/1.0")).websocket(), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(refusal) = Head::parse(&bytes) {
                prop_assert!((400..600).contains(&refusal.status));
            }
        }

        #[test]
        fn any_target_and_field(target in "[!-~]{1,30}", name in "[!-~]{1,9}", value in "\\PC{0,20}") {
            if let Ok(head) = parse(&get(&target, &format!("{name}: {value}\r\n"))) {
                prop_assert!(head.request.path.starts_with('/'));
                prop_assert!(head.request.query_value("a").is_none_or(|a| a.len() <= target.len() * 3));
            }
        }
    }
}
