//! A whole HTTP session under a virtual clock, and what is asked of its requests. The input begins with how
//! the rest is cut, the host's words bit by bit, and how the clock goes.

#![no_main]

use std::time::Duration;

use bytes::Bytes;
use camrill::http::conditional::Validators;
use camrill::http::range::Range;
use camrill::http::websocket::{Opcode, close};
use camrill::http::{Body, Error, Limits, Output, Request, Response, Session, cors, mime, path};
use camrill::time::Time;
use camrill::wire::limits;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// Small enough to be passed.
const BODY_BYTES: usize = 100;
/// How long files are.
const FILE_BYTES: u64 = 1000;
/// No input of a few KB asks for more answers than this.
const OUTPUTS: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    let [how, words, clock, bytes @ ..] = data else { return };
    let cut = Host::run(*how, *words, *clock, bytes);
    if *clock == 0 {
        // How it is cut changes nothing.
        assert_eq!(cut, Host::run(0, *words, 0, bytes));
    }
});

struct Host {
    session: Session,
    now: Time,
    words: u8,
    events: Vec<String>,
    sent: Vec<u8>,
    closed: bool,
}

/// What came of it: requests and messages, all that was sent, and how it ended.
type Outcome = (Vec<String>, Vec<u8>, Option<Error>);

impl Host {
    fn run(how: u8, words: u8, clock: u8, bytes: &[u8]) -> Outcome {
        let limits = Limits { body_bytes: BODY_BYTES, ..Limits::default() };
        let mut host = Host {
            session: Session::new(Time::ZERO, limits),
            now: Time::ZERO,
            words,
            events: Vec::new(),
            sent: Vec::new(),
            closed: false,
        };
        let mut error = host.input(how, clock, bytes).err();
        assert!(error.is_none() || host.closed);
        assert!(host.sent.is_empty() || host.sent.starts_with(b"HTTP/1.1 "));
        if !host.closed {
            error = host.silence();
        }
        (host.events, host.sent, error)
    }

    fn input(&mut self, how: u8, clock: u8, bytes: &[u8]) -> Result<(), Error> {
        let mut taken = 0;
        for mut piece in pieces(how, bytes) {
            self.now = self.now + Duration::from_millis(u64::from(clock) * 16);
            let mut result = self.session.handle_timeout(self.now);
            loop {
                let before = piece.len();
                if result.is_ok() {
                    result = self.session.handle_input(self.now, &mut piece);
                }
                taken += (before - piece.len()) as u64;
                assert_eq!(self.session.received(), taken);
                let progress = self.drain();
                result?;
                if self.closed {
                    return Ok(());
                }
                if !progress && piece.is_empty() {
                    break;
                }
                assert!(progress || before > piece.len(), "the session stands still");
            }
        }
        Ok(())
    }

    /// Takes out what there is, and answers. Says whether there was something.
    fn drain(&mut self) -> bool {
        for n in 0..OUTPUTS {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    assert!(!bytes.is_empty());
                    self.sent.extend_from_slice(&bytes);
                }
                Output::Request(request) => {
                    self.events.push(format!("{request:?}"));
                    self.answer(&request);
                }
                Output::WebSocket(message) => {
                    assert!(self.session.is_websocket());
                    self.events.push(format!("{message:?}"));
                    if self.word() {
                        self.session.send(Opcode::Binary, Bytes::from_static(b"hello"));
                    }
                }
                Output::Close => {
                    self.closed = true;
                    return n > 0;
                }
                Output::Timeout(at) => {
                    assert_eq!(at, self.session.timeout());
                    return n > 0;
                }
            }
        }
        panic!("the session never comes to an end");
    }

    fn answer(&mut self, request: &Request) {
        // Until the answer, nothing is taken.
        assert!(self.session.is_waiting());
        let mut input = GET;
        assert_eq!(self.session.handle_input(self.now, &mut input), Ok(()));
        assert_eq!(input.len(), GET.len());
        assert_eq!(self.session.timeout(), None);

        check(request);
        if let Ok(Some(accept)) = request.websocket() {
            self.session.upgrade(self.now, &accept);
            assert!(self.session.is_websocket());
            return;
        }
        let response = self.response(request);
        if self.session.respond(self.now, &response) {
            self.session.body(Bytes::from_static(b"hello, "));
            self.session.body(Bytes::from_static(b"world"));
            self.session.end(self.now);
        }
        assert!(!self.session.is_waiting());
    }

    fn response(&mut self, request: &Request) -> Response {
        if let Some(response) = cors::preflight(request) {
            return response;
        }
        let validators = Validators::new(784_903_526, FILE_BYTES);
        if validators.not_modified(request) {
            return Response::new(304);
        }
        let mut response = Response::with_body(200, mime::of(&request.path), request.body.clone());
        response.date = Some(784_903_526);
        cors::write(request, &mut response.headers);
        validators.write(&mut response.headers);
        if let Range::Part { offset, len } = validators.range(request) {
            assert!(len > 0 && offset + len <= FILE_BYTES);
            response.status = 206;
        }
        response.close = self.word() && self.word();
        response.body = match (self.word(), self.word()) {
            (false, false) => return response,
            (false, true) => Body::Length(12),
            (true, false) => Body::Chunked,
            (true, true) => Body::UntilClose,
        };
        response
    }

    fn word(&mut self) -> bool {
        self.words = self.words.rotate_right(1);
        self.words & 0x80 != 0
    }

    /// The clock goes on until the session ends.
    fn silence(&mut self) -> Option<Error> {
        if self.words & 1 != 0 {
            self.session.close(self.now, close::GOING_AWAY);
        }
        let mut error = None;
        for _ in 0..3 {
            let Some(at) = self.session.timeout() else { break };
            self.now = at;
            error = self.session.handle_timeout(at).err();
            self.drain();
        }
        assert!(self.closed, "silence doesn't end the session");
        error
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What holds for every request.
fn check(request: &Request) {
    assert!(request.body.len() <= BODY_BYTES);
    assert!(request.headers.as_str().len() <= 3 * limits::HTTP_HEAD_BYTES);
    assert!(request.headers.iter().count() <= limits::HTTP_HEADERS);
    assert!(request.path.starts_with('/') && !request.path.contains("//"));
    assert!(request.path.split('/').all(|segment| segment != "." && segment != ".."));
    if let Some(name) = path::beneath(&request.path) {
        assert!(!name.starts_with(['/', '.']) && !name.contains("/.") && !name.contains('\\'));
    }
    assert!(!request.host().contains(['/', '[', ' ']));
    if let Some(value) = request.query_value("a") {
        assert!(value.len() <= 3 * request.query.len());
    }
}
