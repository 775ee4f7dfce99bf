//! The client's side of one HTTP connection: requests in, answers out.

mod answer;
mod request;
#[cfg(test)]
mod tests;
mod url;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::incoming::{Deframer, Framing, Piece, take_line};
use super::{Method, Refusal};
use crate::time::Time;
use crate::wire::limits::HTTP_HEAD_BYTES;

pub use answer::ResponseHead;
use answer::{Answer, Body};
pub use request::Request;
pub use url::{Url, UrlError};

/// What a session gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes to send, in this order.
    Transmit(Bytes),
    /// The answer to the request begins.
    Head(Box<ResponseHead>),
    /// The next bytes of its body, without any transfer coding.
    Body(Bytes),
    /// The answer is whole. If [`Session::is_idle`] then, the connection serves for another request.
    End,
    /// The connection is to be closed.
    Close,
    /// Nothing more now; [`Session::handle_timeout`] is to be called at this time.
    Timeout(Option<Time>),
}

/// The bounds of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take from a request to the end of its answer's head.
    pub head: Duration,
    /// How long a body may pause.
    pub stall: Duration,
    /// The longest body of an answer, in bytes. [`u64::MAX`] for a stream.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), stall: Duration::from_secs(10), body_bytes: u64::MAX }
    }
}

/// Why a request has no answer, or not a whole one: always the peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The answer is not HTTP/1, or beyond a limit.
    Malformed(&'static str),
    /// The body is longer than [`Limits::body_bytes`].
    TooLong,
    /// The connection ended before the answer began. If it had served before, the request may be made again
    /// on another: the server may just have closed it.
    NoAnswer,
    /// The connection ended before the answer did.
    CutOff,
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
            Self::Malformed(what) => write!(f, "HTTP answer: {what}"),
            Self::TooLong => f.write_str("HTTP answer: body too long"),
            Self::NoAnswer => f.write_str("the connection was closed without an HTTP answer"),
            Self::CutOff => f.write_str("the connection was closed within an HTTP answer"),
            Self::Timeout { what, ms } => write!(f, "timeout: no {what} within {ms} ms"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal.status {
            413 => Self::TooLong,
            _ => Self::Malformed(refusal.what),
        }
    }
}

/// One connection, over which requests are made one after another.
///
/// After [`Session::request`], what comes is handed to [`Session::handle_input`] and its end to
/// [`Session::handle_end`]; after each, [`Session::poll_output`] is drained until it answers
/// [`Output::Timeout`]. Answers of status 1xx are passed over. Redirects are told, not followed: see
/// [`ResponseHead::redirect`].
#[derive(Debug)]
pub struct Session {
    state: State,
    limits: Limits,
    out: VecDeque<Output>,
    received: u64,
    is_paused: bool,
}

#[derive(Debug)]
enum State {
    /// A request may be made.
    Idle,
    /// The answer's head is awaited since then; `line` is where its last line begins.
    Head {
        asked: Asked,
        held: Vec<u8>,
        line: usize,
        since: Time,
    },
    /// The answer's body is read; the last of it came then.
    Body {
        body: Framed,
        keep_alive: bool,
        left: u64,
        since: Time,
    },
    Closed,
}

/// What of a request its answer hangs on.
#[derive(Debug)]
struct Asked {
    method: Method,
    url: Url,
}

/// How a body's end is told.
#[derive(Debug)]
enum Framed {
    Deframer(Deframer),
    UntilClose,
}

impl Session {
    /// A session over a connection that has just been made.
    pub fn new(limits: Limits) -> Self {
        Self { state: State::Idle, limits, out: VecDeque::new(), received: 0, is_paused: false }
    }

    /// Makes a request. Whether it was made: not while another has no whole answer, nor when the connection
    /// is to be closed.
    pub fn request(&mut self, now: Time, request: &Request<'_>) -> bool {
        if !self.is_idle() {
            return false;
        }
        self.out.push_back(Output::Transmit(request.head()));
        if !request.body.is_empty() {
            self.out.push_back(Output::Transmit(request.body.clone()));
        }
        let asked = Asked { method: request.method, url: request.url.clone() };
        self.state = State::Head { asked, held: Vec::new(), line: 0, since: now };
        true
    }

    /// Other bounds hold for the next request.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Nothing is read for a while, or again: a body may pause meanwhile.
    pub fn pause(&mut self, now: Time, is_paused: bool) {
        self.is_paused = is_paused;
        if let State::Body { since, .. } = &mut self.state {
            *since = now;
        }
    }

    /// Takes bytes off the front of `input`, all there are. After an error the session is over.
    pub fn handle_input(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        self.received = self.received.wrapping_add(input.len() as u64);
        let result = self.advance(now, input);
        if result.is_err() {
            self.state = State::Closed;
        }
        *input = &[];
        result
    }

    /// The peer will send nothing more.
    pub fn handle_end(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Head { held, .. } if held.is_empty() => Err(Error::NoAnswer),
            State::Body { body: Framed::UntilClose, .. } => {
                self.out.push_back(Output::End);
                Ok(())
            }
            State::Head { .. } | State::Body { .. } => Err(Error::CutOff),
            State::Idle | State::Closed => Ok(()),
        }
    }

    /// What the session gives out, to be drained until it answers [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        match (self.out.pop_front(), &self.state) {
            (Some(output), _) => output,
            (None, State::Closed) => Output::Close,
            (None, _) => Output::Timeout(self.timeout()),
        }
    }

    /// When [`Session::handle_timeout`] is to be called. Never between requests: how long a connection is
    /// kept is up to the caller.
    pub fn timeout(&self) -> Option<Time> {
        match &self.state {
            State::Head { since, .. } => Some(*since + self.limits.head),
            State::Body { .. } if self.is_paused => None,
            State::Body { since, .. } => Some(*since + self.limits.stall),
            State::Idle | State::Closed => None,
        }
    }

    /// The time that [`Output::Timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), Error> {
        if self.timeout().is_none_or(|at| at > now) {
            return Ok(());
        }
        let (what, limit) = match &self.state {
            State::Head { .. } => ("whole head of an HTTP answer", self.limits.head),
            _ => ("more of an HTTP answer", self.limits.stall),
        };
        self.state = State::Closed;
        Err(Error::Timeout { what, ms: limit.as_millis().try_into().unwrap_or(u64::MAX) })
    }

    /// Whether a request may be made.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Bytes received in all.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn advance(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        while !input.is_empty() {
            match &mut self.state {
                State::Head { held, line, .. } => {
                    let limit = HTTP_HEAD_BYTES;
                    if !take_line(held, input, limit).ok_or(Error::Malformed("head too long"))? {
                        return Ok(());
                    }
                    let is_last = matches!(held.get(*line..), Some(b"\r\n" | b"\n"));
                    *line = held.len();
                    if is_last {
                        self.head(now)?;
                    }
                }
                State::Body { .. } => self.body(now, input)?,
                // What nobody has asked for: the server is about to close the connection.
                State::Idle => self.state = State::Closed,
                State::Closed => return Ok(()),
            }
        }
        Ok(())
    }

    /// A head is whole.
    fn head(&mut self, now: Time) -> Result<(), Error> {
        let State::Head { asked, held, since, .. } = std::mem::replace(&mut self.state, State::Closed) else {
            return Ok(());
        };
        let Some(Answer { head, body, keep_alive }) = Answer::parse(&held, asked.method, &asked.url)? else {
            self.state = State::Head { asked, held: Vec::new(), line: 0, since };
            return Ok(());
        };
        self.out.push_back(Output::Head(Box::new(head)));
        let left = self.limits.body_bytes;
        let body = match body {
            Body::None => return self.end(keep_alive),
            Body::Framed(Framing::Length(len)) if len > left => return Err(Error::TooLong),
            Body::Framed(framing) => Framed::Deframer(Deframer::new(framing)),
            Body::UntilClose => Framed::UntilClose,
        };
        self.state = State::Body { body, keep_alive, left, since: now };
        Ok(())
    }

    fn body(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        let State::Body { body, keep_alive, left, since } = &mut self.state else { return Ok(()) };
        *since = now;
        let piece = match body {
            Framed::Deframer(deframer) => deframer.read(input, *left)?,
            Framed::UntilClose => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                let (now, later) = input.split_at_checked(n).filter(|_| n > 0).ok_or(Error::TooLong)?;
                *input = later;
                Piece::Data(now)
            }
        };
        if let Piece::Data(bytes) = piece {
            *left = left.saturating_sub(bytes.len() as u64);
            self.out.push_back(Output::Body(Bytes::copy_from_slice(bytes)));
        }
        // The end may be known without more input.
        let is_end = match body {
            Framed::Deframer(deframer) => deframer.read(&mut &[][..], *left)? == Piece::End,
            Framed::UntilClose => false,
        };
        let keep_alive = *keep_alive;
        if is_end { self.end(keep_alive) } else { Ok(()) }
    }

    /// The answer is whole.
    fn end(&mut self, keep_alive: bool) -> Result<(), Error> {
        self.out.push_back(Output::End);
        self.state = if keep_alive { State::Idle } else { State::Closed };
        Ok(())
    }
}
