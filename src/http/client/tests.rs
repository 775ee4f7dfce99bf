//! The session against answers as they come, under a virtual clock, and against our own server.

use proptest::prelude::*;

use super::*;
use crate::http;
use crate::wire::limits::HTTP_HEADERS;

const UNLIMITED: Limits =
    Limits { head: Duration::from_secs(10), stall: Duration::from_secs(5), body_bytes: u64::MAX };

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

struct Client {
    session: Session,
    now: Time,
    sent: Vec<u8>,
    heads: Vec<ResponseHead>,
    bodies: Vec<Vec<u8>>,
    ended: usize,
    closed: bool,
}

impl Client {
    fn new(limits: Limits) -> Self {
        let (sent, heads, bodies) = (vec![], vec![], vec![]);
        let session = Session::new(limits);
        Self { session, now: Time::ZERO, sent, heads, bodies, ended: 0, closed: false }
    }

    /// One that has asked for this.
    fn asking(method: Method, limits: Limits) -> Self {
        let mut client = Self::new(limits);
        let url = url("http://a.b/live/x?y=z");
        assert!(client.session.request(Time::ZERO, &Request { method, ..Request::get(&url) }));
        client.drain();
        client
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.sent.extend_from_slice(&bytes),
                Output::Head(head) => {
                    assert_eq!(self.heads.len(), self.ended);
                    self.heads.push(*head);
                    self.bodies.push(Vec::new());
                }
                Output::Body(bytes) => {
                    assert!(!bytes.is_empty() && self.ended < self.heads.len());
                    self.bodies.last_mut().unwrap().extend_from_slice(&bytes);
                }
                Output::End => self.ended += 1,
                Output::Close => {
                    self.closed = true;
                    return;
                }
                Output::Timeout(at) => {
                    assert_eq!(at, self.session.timeout());
                    return;
                }
            }
        }
    }

    fn give(&mut self, bytes: &[u8], cut: usize) -> Result<(), Error> {
        for mut piece in bytes.chunks(cut) {
            let result = self.session.handle_input(self.now, &mut piece);
            assert!(piece.is_empty());
            self.drain();
            result?;
        }
        Ok(())
    }
}

/// What comes of an answer to a request, and whether the connection stays; however it is cut.
fn answer(method: Method, answer: &str, end: bool) -> Result<(u16, String, bool), Error> {
    let mut all = Vec::new();
    for cut in [1, 2, 7, 10_000] {
        let mut client = Client::asking(method, UNLIMITED);
        let mut result = client.give(answer.as_bytes(), cut);
        if end && result.is_ok() {
            result = client.session.handle_end();
            client.drain();
        }
        assert!(
            result.is_ok() || {
                client.drain();
                client.closed
            }
        );
        all.push(result.map(|()| {
            assert_eq!((client.heads.len(), client.ended), (1, 1), "{answer}");
            let body = String::from_utf8(client.bodies.remove(0)).unwrap();
            assert_ne!(client.session.is_idle(), client.closed);
            (client.heads[0].status, body, client.session.is_idle())
        }));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
    all.remove(0)
}

fn get(text: &str) -> Result<(u16, String, bool), Error> {
    answer(Method::Get, text, false)
}

#[test]
fn requests_are_written() {
    let version = env!("CARGO_PKG_VERSION");
    let sent = |request: &Request<'_>| {
        let mut client = Client::new(UNLIMITED);
        assert!(client.session.request(Time::ZERO, request));
        assert!(!client.session.request(Time::ZERO, request) && !client.session.is_idle());
        client.drain();
        String::from_utf8(client.sent).unwrap()
    };
    let plain = url("http://[::1]:8080/live/a b?x");
    assert_eq!(
        sent(&Request::get(&plain)),
        format!(
            "GET /live/a%20b?x HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: camrill/{version}\r\nAccept: */*\r\n\r\n"
        )
    );
    // The example of RFC 7617.
    let user = url("https://Aladdin:open%20sesame@a");
    let mut request = Request::post(&user, "application/json", "{}");
    request.headers.push("user-agent", "x");
    assert_eq!(
        sent(&request),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nAccept: */*\r\n\
        Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nContent-Type: application/json\r\nuser-agent: x\r\n\r\n{}"
    );
    assert!(sent(&Request::post(&user, "a/b", "")).contains("\r\nContent-Length: 0\r\n"));
}

#[test]
fn bodies_end_where_they_say() {
    let ok = |body: &str, stays| Ok((200, body.to_owned(), stays));
    assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), ok("abc", true));
    assert_eq!(get("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), ok("", true));
    assert_eq!(get("HTTP/1.1 200 OK\nContent-Length: 3\nX: y\n\nabc"), ok("abc", true));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n";
    let body = "\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n";
    assert_eq!(get(&format!("{chunked}{body}")), ok("abcde", true));
    assert_eq!(get(&format!("{chunked}Connection: x, Close\r\n{body}")), ok("abcde", false));
    assert_eq!(get(&format!("{chunked}Content-Length: 9\r\n{body}")), ok("abcde", false));
    assert_eq!(get("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"), ok("a", false));
    let old = "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(get(old), ok("a", true));
    assert_eq!(answer(Method::Get, "HTTP/1.1 200 OK\r\n\r\nabc", true), ok("abc", false));
    assert_eq!(answer(Method::Get, "HTTP/1.1 200 OK\r\n\r\n", true), ok("", false));
    assert_eq!(answer(Method::Head, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false), ok("", true));
    let bodiless = Ok((304, String::new(), true));
    assert_eq!(get("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), bodiless);
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    assert_eq!(get(&format!("{early}HTTP/1.1 204 No Content\r\n\r\n")), Ok((204, String::new(), true)));
}

#[test]
fn what_is_no_answer_ends_the_session() {
    let malformed = |text: &str| match get(text) {
        Err(Error::Malformed(what)) => what,
        other => panic!("{text}: {other:?}"),
    };
    for (text, what) in [
        ("ICY 200 OK\r\n\r\n", "malformed status line"),
        ("HTTP/2 200\r\n\r\n", "malformed status line"),
        ("GET / HTTP/1.1\r\n\r\n", "malformed status line"),
        ("\r\n\r\n", "malformed head"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "malformed status line"),
        ("HTTP/1.1 099 OK\r\n\r\n", "malformed status"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "another protocol"),
        ("HTTP/1.1 200 OK\r\nX y\r\n\r\n", "malformed head"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "unknown Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "malformed Content-Length"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "several values of Content-Length",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "malformed size of a chunk"),
    ] {
        assert_eq!(malformed(text), what, "{text}");
    }
    let many = "X: y\r\n".repeat(HTTP_HEADERS + 1);
    assert_eq!(malformed(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")), "too many header fields");
    let long = "x".repeat(HTTP_HEAD_BYTES);
    assert_eq!(malformed(&format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n")), "head too long");
}

#[test]
fn connections_end_too_early() {
    let ended = |text: &str| answer(Method::Get, text, true);
    assert_eq!(ended(""), Err(Error::NoAnswer));
    assert_eq!(ended("HTTP/1.1 200 OK\r\n"), Err(Error::CutOff));
    assert_eq!(ended("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), Err(Error::CutOff));
    assert_eq!(
        ended("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        Err(Error::CutOff)
    );
    let mut idle = Session::new(UNLIMITED);
    assert_eq!(idle.handle_end(), Ok(()));
    assert_eq!(idle.poll_output(), Output::Close);
}

#[test]
fn one_connection_serves_many_requests() {
    let mut client = Client::asking(Method::Get, UNLIMITED);
    for n in 0..3 {
        client.give(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 3).unwrap();
        assert_eq!((client.ended, client.session.timeout()), (n + 1, None));
        assert!(client.session.request(Time::ZERO, &Request::get(&url("http://a.b/c"))));
        client.drain();
    }
    assert_eq!(client.session.received(), 3 * 39);
    client
        .give(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 408 Request Timeout\r\n\r\n", 999)
        .unwrap();
    // What nobody has asked for ends it.
    assert!(client.closed && client.heads.len() == 4);
    assert!(!client.session.request(Time::ZERO, &Request::get(&url("http://a.b/c"))));
}

#[test]
fn redirects_are_told() {
    let redirect = |status: u16, location: &str| {
        let mut client = Client::asking(Method::Get, UNLIMITED);
        let text = format!("HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\n\r\n");
        client.give(text.as_bytes(), 9).unwrap();
        client.heads.remove(0).redirect.map(|url| url.to_string())
    };
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(redirect(status, "Location: ../c?d#e\r\n").as_deref(), Some("http://a.b/c?d"));
    }
    assert_eq!(redirect(302, "location: https://c/\r\n").as_deref(), Some("https://c/"));
    assert_eq!(redirect(302, ""), None);
    assert_eq!(redirect(302, "Location: rtmp://a/b\r\n"), None);
    assert_eq!(redirect(200, "Location: /c\r\n"), None);
    assert_eq!(redirect(304, "Location: /c\r\n"), None);
}

#[test]
fn what_takes_too_long_ends() {
    let mut client = Client::asking(Method::Get, UNLIMITED);
    client.now = Time::from_millis(9_000);
    client.give(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 99).unwrap();
    assert_eq!(client.session.handle_timeout(Time::from_millis(9_999)), Ok(()));
    let e = client.session.handle_timeout(Time::from_millis(10_000)).unwrap_err();
    assert_eq!(e.to_string(), "timeout: no whole head of an HTTP answer within 10000 ms");
    assert_eq!(client.session.poll_output(), Output::Close);

    let mut client = Client::asking(Method::Get, UNLIMITED);
    client.give(b"HTTP/1.1 200 OK\r\n\r\n", 99).unwrap();
    for ms in [4_000, 8_000] {
        client.now = Time::from_millis(ms);
        client.give(b"abc", 1).unwrap();
        assert_eq!(client.session.timeout(), Some(Time::from_millis(ms + 5_000)));
    }
    let e = client.session.handle_timeout(Time::from_millis(13_000)).unwrap_err();
    assert_eq!(e.to_string(), "timeout: no more of an HTTP answer within 5000 ms");
}

#[test]
fn bodies_have_their_limit() {
    let limits = Limits { body_bytes: 5, ..UNLIMITED };
    for (framing, five, six) in [
        ("Content-Length: 5\r\n", "abcde", ""),
        ("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", "4\r\nabcd\r\n2\r\nef\r\n"),
        ("", "abcde", "abcdef"),
    ] {
        for cut in [1, 100] {
            let mut client = Client::asking(Method::Get, limits);
            client.give(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{five}").as_bytes(), cut).unwrap();
            assert_eq!(client.bodies[0], b"abcde");
            let mut client = Client::asking(Method::Get, limits);
            let framing = framing.replace('5', "6");
            let e = client.give(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{six}").as_bytes(), cut);
            assert_eq!(e, Err(Error::TooLong));
            assert!(client.closed);
        }
    }
}

/// How our own server answers.
#[derive(Debug, Clone, Copy)]
enum How {
    Full,
    Length,
    Chunked,
    UntilClose,
}

proptest! {
    #[test]
    fn our_own_server_is_understood(
        requests in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..300), prop::collection::vec(any::<u8>(), 0..99),
             prop_oneof![Just(How::Full), Just(How::Length), Just(How::Chunked)]), 1..5),
        endless in any::<bool>(), cut in 1usize..99,
    ) {
        let mut client = Client::new(UNLIMITED);
        let mut server = http::Session::new(Time::ZERO, http::Limits::default());
        let url = url("http://u:p@a.b/x/y?z");
        let last = requests.len() - 1;
        for (n, (asked, answered, how)) in requests.iter().enumerate() {
            let how = if n == last && endless { How::UntilClose } else { *how };
            prop_assert!(client.session.request(Time::ZERO, &Request::post(&url, "a/b", asked.clone())));
            client.drain();
            let sent = std::mem::take(&mut client.sent);
            let mut input = &sent[..];
            server.handle_input(Time::ZERO, &mut input).unwrap();
            prop_assert!(input.is_empty());
            let http::Output::Request(request) = server.poll_output() else { panic!("no request") };
            prop_assert_eq!((&request.body[..], request.query.as_str(), request.host()), (&asked[..], "z", "a.b"));

            let mut response = http::Response::new(200);
            response.body = match how {
                How::Full => http::Body::Full(answered.clone().into()),
                How::Length => http::Body::Length(answered.len() as u64),
                How::Chunked => http::Body::Chunked,
                How::UntilClose => http::Body::UntilClose,
            };
            if server.respond(Time::ZERO, &response) {
                answered.chunks(20).for_each(|piece| server.body(piece.to_vec().into()));
                server.end(Time::ZERO);
            }
            loop {
                match server.poll_output() {
                    http::Output::Transmit(bytes) => client.give(&bytes, cut).unwrap(),
                    http::Output::Close => {
                        client.session.handle_end().unwrap();
                        client.drain();
                        break;
                    }
                    _ => break,
                }
            }
            prop_assert_eq!((client.ended, client.bodies.last()), (n + 1, Some(answered)));
        }
        prop_assert_eq!(client.closed, endless);
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..99), chunked in any::<bool>(), cut in 1usize..50,
    ) {
        let mut client = Client::asking(Method::Get, UNLIMITED);
        let head = if chunked { &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..] } else { b"" };
        let result = client.give(&[head, &bytes].concat(), cut);
        client.drain();
        prop_assert!(result.is_ok() || client.closed);
    }
}
