//! The session against a client in memory, under a virtual clock.

use proptest::prelude::*;

use super::*;
use crate::http::websocket::{close, tests::frame};

const SERVER: &str = concat!("Server: camrill/", env!("CARGO_PKG_VERSION"), "\r\n");
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &str = "GET /live/a.flv HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const MASK: [u8; 4] = [1, 2, 3, 4];

struct Client {
    session: Session,
    now: Time,
    /// Each request is answered with this.
    answer: Option<Response>,
    requests: Vec<Request>,
    messages: Vec<Message>,
    sent: Vec<u8>,
    closed: bool,
    error: Option<Error>,
}

impl Client {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            session: Session::new(Time::ZERO, limits),
            now: Time::ZERO,
            answer: None,
            requests: Vec::new(),
            messages: Vec::new(),
            sent: Vec::new(),
            closed: false,
            error: None,
        }
    }

    fn answering(response: Response) -> Self {
        Self { answer: Some(response), ..Self::new() }
    }

    fn socket() -> Self {
        let mut client = Self::new();
        client.give(UPGRADE);
        let accept = client.requests.last().unwrap().websocket().unwrap().unwrap();
        client.session.upgrade(client.now, &accept);
        client.drain();
        client
    }

    /// Hands in all that is taken; how many bytes were not.
    fn give(&mut self, bytes: impl AsRef<[u8]>) -> usize {
        let mut input = bytes.as_ref();
        loop {
            let (before, received) = (input.len(), self.session.received());
            if let Err(error) = self.session.handle_input(self.now, &mut input) {
                self.error = Some(error);
            }
            assert_eq!(self.session.received() - received, (before - input.len()) as u64);
            let progress = self.drain() || input.len() < before;
            if !progress || self.error.is_some() {
                return input.len();
            }
        }
    }

    /// Takes out what there is; whether that was something.
    fn drain(&mut self) -> bool {
        let mut progress = false;
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    assert!(!bytes.is_empty());
                    self.sent.extend_from_slice(&bytes);
                }
                Output::Request(request) => {
                    assert!(self.session.is_waiting() && self.session.timeout().is_none());
                    self.requests.push(*request);
                    if let Some(response) = &self.answer {
                        self.session.respond(self.now, response);
                    }
                }
                Output::WebSocket(message) => self.messages.push(message),
                Output::Close => {
                    self.closed = true;
                    return progress;
                }
                Output::Timeout(at) => {
                    assert_eq!(at, self.session.timeout());
                    return progress;
                }
            }
            progress = true;
        }
    }

    /// The clock goes on to `ms`, and what is due is done.
    fn pass(&mut self, ms: u64) -> Result<(), Error> {
        self.now = Time::from_millis(ms);
        let result = self.session.handle_timeout(self.now);
        self.drain();
        result
    }

    fn respond(&mut self, response: &Response) -> bool {
        let follows = self.session.respond(self.now, response);
        self.drain();
        follows
    }

    fn body(&mut self, bytes: &'static str) {
        self.session.body(Bytes::from_static(bytes.as_bytes()));
        self.drain();
    }

    fn end(&mut self) {
        self.session.end(self.now);
        self.drain();
    }

    fn take_sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent)).unwrap().replace(SERVER, "")
    }
}

fn with(body: Body) -> Response {
    Response { body, ..Response::new(200) }
}

fn full(body: &'static str) -> Response {
    with(Body::Full(Bytes::from_static(body.as_bytes())))
}

#[test]
fn requests_are_answered_one_after_the_other() {
    let mut c = Client::new();
    let two = format!("{GET}GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    let left = c.give(&two);
    assert_eq!((c.requests.len(), left), (1, two.len() - GET.len()));
    assert_eq!(c.give(&two[GET.len()..]), left, "nothing is taken before the answer");
    assert!(c.session.is_waiting());
    assert!(!c.respond(&full("hi")));
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert!(!c.session.is_waiting());
    assert_eq!(c.give(&two[GET.len()..]), 0);
    assert_eq!(c.requests[1].path, "/b");
    assert!(c.respond(&with(Body::Length(3))));
    c.body("ab");
    assert_eq!(c.give(GET), GET.len(), "nothing is taken before the answer's end");
    c.body("c");
    c.end();
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((c.give(GET), c.requests.len()), (0, 3));
    assert!(!c.closed);
}

#[test]
fn an_answer_without_a_request_is_none() {
    let mut c = Client::new();
    assert!(!c.respond(&full("x")));
    c.body("x");
    c.end();
    c.session.upgrade(c.now, "x");
    c.session.send(Opcode::Text, Bytes::from_static(b"x"));
    c.session.close(c.now, close::NORMAL);
    c.drain();
    assert!(c.sent.is_empty() && !c.closed && !c.session.is_websocket());
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let head = GET.replace("GET", "HEAD");
    for (body, field) in [
        (Body::None, "Content-Length: 0\r\n"),
        (Body::Full(Bytes::from_static(b"hi")), "Content-Length: 2\r\n"),
        (Body::Length(u64::MAX), "Content-Length: 18446744073709551615\r\n"),
        (Body::Chunked, "Transfer-Encoding: chunked\r\n"),
    ] {
        let mut c = Client::new();
        c.give(&head);
        assert!(!c.respond(&with(body)));
        c.body("x");
        c.end();
        assert_eq!(c.take_sent(), format!("HTTP/1.1 200 OK\r\n{field}\r\n"));
        assert_eq!((c.give(&head), c.closed), (0, false));
    }
}

#[test]
fn some_statuses_have_no_body() {
    for status in [204, 304] {
        for body in [Body::None, Body::Full(Bytes::from_static(b"x")), Body::Length(1), Body::UntilClose] {
            let mut c = Client::new();
            c.give(GET);
            assert!(!c.respond(&Response { body, ..Response::new(status) }));
            assert_eq!(c.take_sent(), format!("HTTP/1.1 {status} {}\r\n\r\n", super::super::reason(status)));
            assert_eq!((c.give(GET), c.requests.len()), (0, 2));
        }
    }
}

#[test]
fn bodies_are_framed() {
    let mut c = Client::new();
    c.give(GET);
    assert!(c.respond(&with(Body::Chunked)));
    c.body("hello");
    c.body("");
    c.body("0123456789abcdef");
    c.end();
    let chunks = "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
    assert_eq!(c.take_sent(), format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    assert!(!c.closed);

    c.give(GET);
    assert!(c.respond(&with(Body::UntilClose)));
    c.body("a");
    c.body("b");
    assert!(!c.closed);
    c.end();
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab");
    assert!(c.closed);
}

#[test]
fn a_length_that_was_named_is_kept() {
    let mut c = Client::new();
    c.give(GET);
    c.respond(&with(Body::Length(3)));
    c.body("abcd");
    c.body("e");
    c.end();
    assert!(c.take_sent().ends_with("\r\n\r\nabc") && !c.closed);
    c.give(GET);
    c.respond(&with(Body::Length(3)));
    c.body("ab");
    c.end();
    assert!(c.closed, "the client would take the next answer for the rest");
}

#[test]
fn older_clients_get_what_they_know() {
    let old = "GET / HTTP/1.0\r\n\r\n";
    let stays = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut c = Client::answering(full("x"));
    c.give(stays);
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx");
    c.give(old);
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
    assert!(c.closed);

    let mut c = Client::new();
    c.give(stays);
    assert!(c.respond(&with(Body::Chunked)));
    c.body("x");
    c.end();
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx");
    assert!(c.closed);
}

#[test]
fn connections_are_closed_where_one_side_says_so() {
    let close = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let silent = Limits { idle: Duration::ZERO, ..Limits::default() };
    for (limits, request, response) in [
        (Limits::default(), close.as_str(), full("x")),
        (Limits::default(), GET, Response { close: true, ..full("x") }),
        (silent, GET, full("x")),
    ] {
        let mut c = Client::with(limits);
        c.answer = Some(response);
        c.give(format!("{request}{GET}"));
        assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
        assert!(c.closed && c.requests.len() == 1);
        assert_eq!(c.give(GET), 0, "what still comes is passed over");
    }
}

#[test]
fn bodies_of_requests_are_read() {
    let post = "POST /a HTTP/1.1\r\nHost: a\r\n";
    let mut c = Client::answering(full("x"));
    c.give(format!(
        "{post}Content-Length: 3\r\n\r\nabc{post}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    ));
    c.give(format!("{post}Content-Length: 0\r\n\r\n{GET}"));
    let bodies: Vec<_> = c.requests.iter().map(|r| r.body.as_ref()).collect();
    assert_eq!(bodies, [&b"abc"[..], b"ab", b"", b""]);
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let mut c = Client::answering(full("x"));
    c.give(post);
    assert_eq!(c.take_sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    c.give("abc");
    assert_eq!(c.take_sent(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");

    c.give(post.replace("length: 3", "length: 0").replace("Length: 3", "Length: 0"));
    assert_eq!(
        c.take_sent(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "there is nothing to wait for"
    );

    c.give(post.replace("Length: 3", "Length: 999999999"));
    assert!(c.take_sent().starts_with("HTTP/1.1 413 "), "it is not told to go on");
}

#[test]
fn a_bad_request_is_answered_and_the_connection_closed() {
    let long = "x".repeat(HTTP_HEAD_BYTES);
    let too_long = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", HTTP_BODY_BYTES + 1);
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
        ("\x16\x03\x01".to_owned(), 400),
        ("\r\n\r\n{".to_owned(), 400),
        ("\r\nGET\n\r\n".to_owned(), 400),
        (format!("GET /{long}"), 414),
        (format!("GET /{long} HTTP/1.1\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(HTTP_HEAD_BYTES / 6)), 431),
        (too_long, 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".to_owned(), 400),
    ] {
        for n in [1, 1000, 100_000] {
            let mut c = Client::new();
            for piece in bytes.as_bytes().chunks(n) {
                c.give(piece);
            }
            let Some(Error::Request(refusal)) = c.error else { panic!("{bytes}: {:?}", c.error) };
            assert_eq!(refusal.status, status, "{bytes}");
            let body = format!("{refusal}\n");
            assert_eq!(
                c.take_sent(),
                format!(
                    "HTTP/1.1 {status} {}\r\nContent-Length: {}\r\nConnection: close\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n\r\n{body}",
                    super::super::reason(status),
                    body.len()
                )
            );
            assert!(c.closed && c.requests.is_empty());
        }
    }
}

#[test]
fn the_longest_head_is_taken() {
    let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let head = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(n - fixed));
    let mut c = Client::answering(full("x"));
    c.give(head(HTTP_HEAD_BYTES));
    assert_eq!((c.requests.len(), c.error), (1, None));
    c.give(head(HTTP_HEAD_BYTES + 1));
    assert!(matches!(c.error, Some(Error::Request(Refusal { status: 431, .. }))));
}

#[test]
fn slow_clients_are_told_so() {
    // A connection on which nothing comes.
    let mut c = Client::new();
    assert_eq!(c.session.timeout(), Some(Time::from_millis(10_000)));
    assert_eq!((c.pass(9_999), c.closed), (Ok(()), false));
    assert_eq!((c.pass(10_000), c.closed), (Ok(()), true));
    assert!(c.sent.is_empty());

    // A head of which only a part comes; empty lines before it don't count.
    let mut c = Client::new();
    c.now = Time::from_millis(1000);
    c.give("\r");
    c.give("\n\r\n");
    assert_eq!(c.session.timeout(), Some(Time::from_millis(10_000)));
    c.give("G");
    c.now = Time::from_millis(9000);
    c.give("ET / HTTP/1.1\r\n");
    assert_eq!(c.session.timeout(), Some(Time::from_millis(11_000)));
    assert!(matches!(c.pass(11_000), Err(Error::Timeout { ms: 10_000, .. })));
    assert!(c.take_sent().starts_with("HTTP/1.1 408 Request Timeout\r\n") && c.closed);

    // A body.
    let mut c = Client::new();
    c.give("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    assert_eq!(c.pass(29_999), Ok(()));
    assert!(matches!(c.pass(30_000), Err(Error::Timeout { ms: 30_000, .. })));
    assert!(c.take_sent().starts_with("HTTP/1.1 408 ") && c.closed);

    // Between requests; not while one is answered.
    let mut c = Client::new();
    c.give(GET);
    assert_eq!((c.session.timeout(), c.pass(100_000), c.closed), (None, Ok(()), false));
    c.respond(&with(Body::Chunked));
    assert_eq!(c.session.timeout(), None);
    c.end();
    assert_eq!(c.session.timeout(), Some(Time::from_millis(115_000)));
    assert_eq!((c.pass(115_000), c.closed), (Ok(()), true));
}

#[test]
fn a_request_becomes_a_websocket() {
    let mut c = Client::new();
    let bytes = [UPGRADE.as_bytes(), &frame(0x81, b"hi", MASK)].concat();
    let left = c.give(&bytes);
    assert_eq!(left, 8, "its first frame stays with the caller");
    c.session.upgrade(c.now, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    c.give(&bytes[bytes.len() - left..]);
    assert_eq!(
        c.take_sent(),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
    assert!(c.session.is_websocket() && !c.session.is_waiting());
    assert_eq!(c.messages, [Message::Text("hi".into())]);
    c.session.send(Opcode::Binary, Bytes::from_static(b"abc"));
    c.session.send(Opcode::Text, Bytes::new());
    c.drain();
    assert_eq!(c.sent, b"\x82\x03abc\x81\x00");
}

#[test]
fn a_websockets_control_frames_are_answered() {
    let mut c = Client::socket();
    c.sent.clear();
    let frames =
        [frame(0x89, b"p", MASK), frame(0x82, b"m", MASK), frame(0x8a, b"", MASK), frame(0x89, b"", MASK)];
    c.give(frames.concat());
    assert_eq!(c.sent, b"\x8a\x01p\x8a\x00");
    assert_eq!(c.messages, [Message::Binary(Bytes::from_static(b"m"))]);
    c.sent.clear();
    c.give(frame(0x88, b"\x03\xe9gone", MASK));
    assert_eq!(c.sent, b"\x88\x02\x03\xe9");
    assert!(c.closed && c.error.is_none());

    let mut c = Client::socket();
    c.sent.clear();
    c.give(frame(0x88, b"", MASK));
    assert_eq!((c.sent.as_slice(), c.closed), (&b"\x88\x00"[..], true));
}

#[test]
fn a_websocket_is_closed_from_here() {
    let mut c = Client::socket();
    c.sent.clear();
    c.session.close(c.now, close::GOING_AWAY);
    c.session.close(c.now, close::NORMAL);
    c.session.send(Opcode::Binary, Bytes::from_static(b"late"));
    c.drain();
    assert_eq!((c.sent.as_slice(), c.closed), (&b"\x88\x02\x03\xe9"[..], false));
    // What crosses the close frame is passed over.
    c.give([frame(0x81, b"x", MASK), frame(0x89, b"x", MASK)].concat());
    assert!(c.messages.is_empty() && !c.closed);
    c.give(frame(0x88, b"\x03\xe9", MASK));
    assert_eq!((c.sent.len(), c.closed), (4, true));

    let mut c = Client::socket();
    c.session.close(c.now, close::NORMAL);
    c.drain();
    assert_eq!((c.pass(4_999), c.closed), (Ok(()), false));
    assert_eq!((c.pass(5_000), c.closed), (Ok(()), true));
}

#[test]
fn a_websocket_that_breaks_the_protocol_is_closed() {
    let mut c = Client::socket();
    c.sent.clear();
    c.give(b"\x82\x01x");
    assert!(matches!(c.error, Some(Error::WebSocket(Violation { code: 1002, .. }))));
    assert_eq!((c.sent.as_slice(), c.closed), (&b"\x88\x02\x03\xea"[..], true));

    let mut c = Client::socket();
    c.give(frame(0x82, &[0; crate::wire::limits::WEBSOCKET_MESSAGE_BYTES], MASK));
    assert_eq!((c.messages.len(), c.error), (1, None));
    c.give(frame(0x82, &[0; crate::wire::limits::WEBSOCKET_MESSAGE_BYTES + 1], MASK));
    assert!(matches!(c.error, Some(Error::WebSocket(Violation { code: 1009, .. }))));
}

#[test]
fn a_silent_websocket_is_asked_and_then_closed() {
    let mut c = Client::socket();
    c.sent.clear();
    assert_eq!((c.pass(29_999), c.sent.len()), (Ok(()), 0));
    assert_eq!(c.pass(30_000), Ok(()));
    assert_eq!(c.sent, b"\x89\x00");
    c.now = Time::from_millis(59_999);
    c.give(frame(0x8a, b"", MASK));
    assert_eq!(c.session.timeout(), Some(Time::from_millis(89_999)));
    assert_eq!((c.pass(89_999), c.closed), (Ok(()), false));
    assert!(matches!(c.pass(119_999), Err(Error::Timeout { ms: 30_000, .. })));
    assert_eq!((c.sent.as_slice(), c.closed), (&b"\x89\x00\x89\x00"[..], true));
}

/// A request that is good, or nearly so.
fn some_request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("X: y\r\n".to_owned()),
        Just("Connection: close\r\n".to_owned()),
        Just("Expect: 100-continue\r\n".to_owned()),
        Just("Host: b\r\n".to_owned()),
        "[A-Za-z]{1,5}: ?[ -~]{0,9}\r?\n",
    ];
    let body = prop_oneof![
        Just("\r\n".to_owned()),
        "[a-z]{0,9}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())),
        prop::collection::vec("[a-z]{1,20}", 0..4).prop_map(|chunks| {
            let chunk = |chunk: &String| format!("{:x}\r\n{chunk}\r\n", chunk.len());
            let chunks: String = chunks.iter().map(chunk).collect();
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        }),
    ];
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS"]);
    let version = prop::sample::select(vec!["1.1", "1.1", "1.1", "1.0"]);
    (method, "/[a-z/.%?]{0,6}", version, prop::collection::vec(line, 0..3), body).prop_map(
        |(method, target, version, lines, body)| {
            format!("{method} {target} HTTP/{version}\r\nHost: a\r\n{}{body}", lines.concat()).into_bytes()
        },
    )
}

/// What comes of bytes that come in pieces of `n`.
fn outcome(bytes: &[u8], n: usize) -> (Vec<Request>, Vec<u8>, bool, Option<Error>) {
    let limits = Limits { body_bytes: 40, ..Limits::default() };
    let mut c = Client { answer: Some(full("x")), ..Client::with(limits) };
    for piece in bytes.chunks(n) {
        if c.closed {
            break;
        }
        assert!(c.give(piece) == 0 || c.error.is_some());
    }
    (c.requests, c.sent, c.closed, c.error)
}

proptest! {
    #[test]
    fn requests_are_the_same_however_they_are_cut(
        requests in prop::collection::vec(some_request(), 1..4), n in 1..40usize,
    ) {
        let bytes = requests.concat();
        prop_assert_eq!(outcome(&bytes, n), outcome(&bytes, bytes.len()));
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 1..200), n in 1..40usize) {
        let get = [GET.as_bytes(), &bytes].concat();
        prop_assert_eq!(outcome(&bytes, n), outcome(&bytes, bytes.len()));
        prop_assert_eq!(outcome(&get, n), outcome(&get, get.len()));
    }

    #[test]
    fn any_bytes_are_taken_by_a_websocket(bytes in prop::collection::vec(any::<u8>(), 1..200), n in 1..40usize) {
        let run = |n: usize| {
            let mut c = Client::socket();
            for piece in bytes.chunks(n) {
                if !c.closed {
                    assert!(c.give(piece) == 0 || c.error.is_some());
                }
            }
            (c.messages, c.sent, c.closed, c.error)
        };
        prop_assert_eq!(run(n), run(bytes.len()));
    }
}
