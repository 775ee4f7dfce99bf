//! The server's side of one HTTP connection: bytes and a time in, bytes and requests out.

mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::headers::is_token;
use super::incoming::{Incoming, take_line};
use super::request::Head;
use super::response::Outgoing;
use super::websocket::{Message, Opcode, Violation};
use super::{Body, Method, Refusal, Request, Response, chunked};
use crate::time::Time;
use crate::wire::limits::{HTTP_BODY_BYTES, HTTP_HEAD_BYTES};

use socket::Socket;

/// What is set aside for a response's head, in bytes; most have no more.
const HEAD_BYTES: usize = 512;

/// What a session gives out.
#[derive(Debug)]
pub enum Output {
    /// Bytes to send, in this order.
    Transmit(Bytes),
    /// A whole request; waits for [`Session::respond`] or [`Session::upgrade`].
    Request(Box<Request>),
    /// A text or bytes from a WebSocket's client. Its control frames are answered here.
    WebSocket(Message),
    /// The connection is to be closed once everything is sent.
    Close,
    /// Nothing more now; [`Session::handle_timeout`] is to be called at this time.
    Timeout(Option<Time>),
}

/// The bounds of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest body of a request, in bytes.
    pub body_bytes: usize,
    /// How long a request's head may take, from its first byte on, and a new connection until that.
    pub head: Duration,
    /// How long a request's body may take, from the head's end on.
    pub body: Duration,
    /// How long a connection may stay behind an answer; zero: it ends there.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: HTTP_BODY_BYTES,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(15),
        }
    }
}

/// Why the session ends: always the peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The request is malformed or beyond a limit.
    Request(Refusal),
    /// A WebSocket's client broke the protocol.
    WebSocket(Violation),
    /// Something took too long.
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long, in ms.
        ms: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(refusal) => write!(f, "request: {refusal}"),
            Self::WebSocket(violation) => write!(f, "WebSocket: {violation}"),
            Self::Timeout { what, ms } => write!(f, "timeout: no {what} within {ms} ms"),
        }
    }
}

impl std::error::Error for Error {}

/// One connection, from its first byte on.
///
/// [`Session::handle_input`] takes what it can, then [`Session::poll_output`] is drained until it answers
/// [`Output::Timeout`]. A request waits for the host's answer; until that is whole no input is taken, so
/// that what a client sends ahead stays with the caller. After an error the answer that tells the client,
/// and [`Output::Close`], are still to be taken out.
#[derive(Debug)]
pub struct Session {
    state: State,
    limits: Limits,
    out: VecDeque<Bytes>,
    /// A request or message that nobody has taken out yet.
    event: Option<Output>,
    received: u64,
    /// Whether a request has been answered.
    answered: bool,
}

#[derive(Debug)]
enum State {
    /// A request's head, as far as it has come, is read since then; without a byte of it: awaited.
    Head {
        held: Vec<u8>,
        line: usize,
        since: Time,
    },
    /// A request's body is read since then.
    Body {
        request: Box<Request>,
        incoming: Box<Incoming>,
        since: Time,
    },
    /// The host's answer is awaited.
    Waiting(Asked),
    /// The host's answer goes out.
    Answering {
        framing: Outgoing,
        close: bool,
    },
    /// A WebSocket.
    Socket(Box<Socket>),
    Closing,
}

/// What of a request its answer hangs on.
#[derive(Debug, Clone, Copy)]
struct Asked {
    is_head: bool,
    version_1_0: bool,
    keep_alive: bool,
}

impl Session {
    /// A session whose connection was taken at `now`.
    pub fn new(now: Time, limits: Limits) -> Self {
        Self {
            state: State::next(now),
            limits,
            out: VecDeque::new(),
            event: None,
            received: 0,
            answered: false,
        }
    }

    /// Takes bytes off the front of `input`, until it is empty, something is ready or the host's answer is
    /// awaited. After an error the session is over; see [`Session`].
    pub fn handle_input(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        let before = input.len();
        let result = self.advance(now, input);
        self.received = self.received.wrapping_add(before.saturating_sub(input.len()) as u64);
        if let Err(cause) = result {
            self.fail(&cause);
        }
        result
    }

    /// What the session gives out, to be drained until it answers [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        if let Some(bytes) = self.out.pop_front() {
            return Output::Transmit(bytes);
        }
        if let Some(event) = self.event.take() {
            return event;
        }
        if matches!(self.state, State::Closing) {
            return Output::Close;
        }
        Output::Timeout(self.timeout())
    }

    /// When [`Session::handle_timeout`] is to be called. Never while the host's answer is awaited or goes
    /// out.
    pub fn timeout(&self) -> Option<Time> {
        match &self.state {
            State::Head { held, since, .. } if held.is_empty() && self.answered => {
                Some(*since + self.limits.idle)
            }
            State::Head { since, .. } => Some(*since + self.limits.head),
            State::Body { since, .. } => Some(*since + self.limits.body),
            State::Socket(socket) => Some(socket.timeout()),
            State::Waiting(_) | State::Answering { .. } | State::Closing => None,
        }
    }

    /// The time that [`Output::Timeout`] named has come. A connection that is merely idle is closed without
    /// an error.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), Error> {
        if self.timeout().is_none_or(|at| at > now) {
            return Ok(());
        }
        let result = match &mut self.state {
            State::Head { held, .. } if held.is_empty() => {
                self.state = State::Closing;
                Ok(())
            }
            State::Head { .. } => Err(timeout("whole head of a request", self.limits.head)),
            State::Body { .. } => Err(timeout("whole body of a request", self.limits.body)),
            State::Socket(socket) => match socket.handle_timeout(now, &mut self.out) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    self.state = State::Closing;
                    Ok(())
                }
                Err(cause) => Err(cause),
            },
            State::Waiting(_) | State::Answering { .. } | State::Closing => Ok(()),
        };
        if let Err(cause) = result {
            self.fail(&cause);
        }
        result
    }

    /// Whether no input is taken, since a request's answer is not whole.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_) | State::Answering { .. })
    }

    /// Whether this is a WebSocket now.
    pub fn is_websocket(&self) -> bool {
        matches!(self.state, State::Socket(_))
    }

    /// Bytes received in all.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Answers the request. Whether a body is to follow, by [`Session::body`] and [`Session::end`]: not to
    /// HEAD, nor where there is none or it is in the response already. Nothing is done if no request waits.
    pub fn respond(&mut self, now: Time, response: &Response) -> bool {
        let State::Waiting(asked) = self.state else { return false };
        let framing = match &response.body {
            _ if response.is_bodiless() => Outgoing::Unsaid,
            Body::None => Outgoing::Length(0),
            Body::Full(body) => Outgoing::Length(body.len() as u64),
            Body::Length(len) => Outgoing::Length(*len),
            Body::Chunked if !asked.version_1_0 => Outgoing::Chunked,
            Body::Chunked | Body::UntilClose => Outgoing::Unsaid,
        };
        let is_endless = framing == Outgoing::Unsaid && !response.is_bodiless();
        let close = response.close || !asked.keep_alive || is_endless || self.limits.idle.is_zero();
        let connection = match (close, asked.version_1_0) {
            (true, _) => Some("close"),
            (false, true) => Some("keep-alive"),
            (false, false) => None,
        };
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        response.write_head(&mut head, framing, connection);
        self.out.push_back(head.freeze());

        let follows = matches!(response.body, Body::Length(_) | Body::Chunked | Body::UntilClose)
            && !asked.is_head
            && !response.is_bodiless();
        if follows {
            self.state = State::Answering { framing, close };
            return true;
        }
        if let Body::Full(body) = &response.body
            && !asked.is_head
            && !response.is_bodiless()
        {
            queue(&mut self.out, body.clone());
        }
        self.finish(now, close);
        false
    }

    /// The next bytes of the answer's body; they are put into a chunk where the answer has chunks. What is
    /// beyond the length that was named, or comes where no body is due, is left out.
    pub fn body(&mut self, mut bytes: Bytes) {
        let State::Answering { framing, .. } = &mut self.state else { return };
        match framing {
            Outgoing::Length(left) => {
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(bytes.len() as u64);
                queue(&mut self.out, bytes);
            }
            Outgoing::Chunked if bytes.is_empty() => {}
            Outgoing::Chunked => {
                self.out.push_back(Bytes::copy_from_slice(&chunked::head(bytes.len())));
                self.out.push_back(bytes);
                self.out.push_back(Bytes::from_static(chunked::TAIL));
            }
            Outgoing::Unsaid => queue(&mut self.out, bytes),
        }
    }

    /// The answer's body is whole. The next request is awaited, or the connection closed: also if the body
    /// is shorter than the length that was named.
    pub fn end(&mut self, now: Time) {
        let State::Answering { framing, close } = self.state else { return };
        if framing == Outgoing::Chunked {
            self.out.push_back(Bytes::from_static(chunked::END));
        }
        self.finish(now, close || matches!(framing, Outgoing::Length(1..)));
    }

    /// Answers the request with a WebSocket, by what [`Request::websocket`] said. Nothing is done if no
    /// request waits.
    pub fn upgrade(&mut self, now: Time, accept: &str) {
        if !matches!(self.state, State::Waiting(_)) {
            return;
        }
        let mut response = Response::new(101);
        response.headers.push("Upgrade", "websocket");
        response.headers.push("Sec-WebSocket-Accept", accept);
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        response.write_head(&mut head, Outgoing::Unsaid, Some("Upgrade"));
        self.out.push_back(head.freeze());
        self.state = State::Socket(Box::new(Socket::new(now)));
    }

    /// Sends a WebSocket's message. Nothing is done before [`Session::upgrade`] and after
    /// [`Session::close`]. Frames that the host sends past the session (see [`super::websocket::head`]) must
    /// be whole before what the session gives out.
    pub fn send(&mut self, opcode: Opcode, payload: Bytes) {
        if let State::Socket(socket) = &self.state
            && !socket.is_closing()
        {
            socket::send(&mut self.out, opcode, payload);
        }
    }

    /// Ends a WebSocket with a code (see [`super::websocket::close`]); the client has 5 s to answer.
    pub fn close(&mut self, now: Time, code: u16) {
        if let State::Socket(socket) = &mut self.state {
            socket.close(now, code, &mut self.out);
        }
    }

    fn advance(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        while self.event.is_none() && !input.is_empty() {
            match &mut self.state {
                State::Head { held, line, since } => {
                    if held.is_empty() && !begins(input).map_err(Error::Request)? {
                        continue;
                    }
                    if held.is_empty() {
                        *since = now;
                    }
                    if !read_head(held, line, input).map_err(Error::Request)? {
                        continue;
                    }
                    let held = std::mem::take(held);
                    let head = Head::parse(&held).map_err(Error::Request)?;
                    self.begin(now, head).map_err(Error::Request)?;
                }
                State::Body { incoming, .. } => {
                    if incoming.read(input).map_err(Error::Request)?
                        && let State::Body { mut request, incoming, .. } =
                            std::mem::replace(&mut self.state, State::Closing)
                    {
                        request.body = incoming.into_body().into();
                        self.ask(request);
                    }
                }
                State::Waiting(_) | State::Answering { .. } => break,
                State::Socket(socket) => match socket.read(now, input, &mut self.out)? {
                    socket::Read::Message(message) => self.event = Some(Output::WebSocket(message)),
                    socket::Read::Nothing => {}
                    socket::Read::End => self.state = State::Closing,
                },
                State::Closing => *input = &[],
            }
        }
        Ok(())
    }

    /// A head is whole.
    fn begin(&mut self, now: Time, head: Head) -> Result<(), Refusal> {
        let request = Box::new(head.request);
        let Some(framing) = head.framing else {
            self.ask(request);
            return Ok(());
        };
        let incoming = Box::new(Incoming::new(framing, self.limits.body_bytes)?);
        if head.expects_continue {
            self.out.push_back(Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"));
        }
        self.state = State::Body { request, incoming, since: now };
        Ok(())
    }

    /// A request is whole.
    fn ask(&mut self, request: Box<Request>) {
        self.state = State::Waiting(Asked {
            is_head: request.method == Method::Head,
            version_1_0: request.version_1_0,
            keep_alive: request.keep_alive,
        });
        self.event = Some(Output::Request(request));
    }

    /// An answer is whole.
    fn finish(&mut self, now: Time, close: bool) {
        self.answered = true;
        self.state = if close { State::Closing } else { State::next(now) };
    }

    /// Tells the client why the session is over.
    fn fail(&mut self, cause: &Error) {
        let refusal = match cause {
            Error::Request(refusal) => Some(*refusal),
            Error::Timeout { what, .. } if !self.is_websocket() => Some(Refusal::new(408, what)),
            Error::Timeout { .. } | Error::WebSocket(_) => None,
        };
        if let Some(refusal) = refusal {
            let asked = Asked { is_head: false, version_1_0: false, keep_alive: false };
            self.state = State::Waiting(asked);
            self.respond(Time::ZERO, &Response::refusal(&refusal));
        }
        if let Error::WebSocket(violation) = cause {
            self.send(Opcode::Close, Bytes::copy_from_slice(&violation.code.to_be_bytes()));
        }
        self.state = State::Closing;
    }
}

impl State {
    /// A request is awaited from `now` on.
    fn next(now: Time) -> Self {
        Self::Head { held: Vec::new(), line: 0, since: now }
    }
}

/// Whether a request begins, once the empty lines before it are passed over (RFC 9112, 2.2). Another
/// protocol, TLS most of all, is told at its first byte, and not after a time.
fn begins(input: &mut &[u8]) -> Result<bool, Refusal> {
    while let Some((b'\r' | b'\n', rest)) = input.split_first() {
        *input = rest;
    }
    match input.first() {
        Some(first) if !is_token(*first) => Err(Refusal::bad("this is not HTTP")),
        first => Ok(first.is_some()),
    }
}

/// Takes input up to the end of a line of a head; whether the head is whole. `line` is where its last line
/// begins.
fn read_head(held: &mut Vec<u8>, line: &mut usize, input: &mut &[u8]) -> Result<bool, Refusal> {
    let is_whole = take_line(held, input, HTTP_HEAD_BYTES).ok_or(match *line == 0 {
        true => Refusal::new(414, "request line too long"),
        false => Refusal::new(431, "header fields too long"),
    })?;
    if !is_whole {
        return Ok(false);
    }
    let is_empty = matches!(held.get(*line..), Some(b"\r\n" | b"\n"));
    *line = held.len();
    Ok(is_empty)
}

fn timeout(what: &'static str, limit: Duration) -> Error {
    Error::Timeout { what, ms: limit.as_millis().try_into().unwrap_or(u64::MAX) }
}

fn queue(out: &mut VecDeque<Bytes>, bytes: Bytes) {
    if !bytes.is_empty() {
        out.push_back(bytes);
    }
}
