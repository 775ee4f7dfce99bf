//! The client's side of one RTMP connection, which publishes or plays one stream: bytes and a time in, bytes
//! and events out.
//!
//! [`Session::handle_input`] takes what it can, then [`Session::poll_output`] is drained until it answers
//! [`Output::Timeout`]; what comes first are C0 and C1. With [`Event::Started`] media may flow. One who
//! publishes sends [`crate::rtmp::relay`]'s images behind the session's own bytes, or has the session write
//! frames.

mod auth;
mod capabilities;
mod commands;
mod options;
mod requests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::acks::Acks;
use super::chunk::{ChunkError, ChunkReader, ChunkWriter};
use super::frames;
use super::handshake::{ClientHandshake, HandshakeError};
use super::message::{Aggregate, Message, type_id, user_control};
use super::url::RtmpUrl;
use crate::amf::{Value, amf0};
use crate::flv::Hevc;
use crate::media::{Frame, Kind, Unwrap};
use crate::time::Time;
use crate::wire::{Malformed, Reader, limits};

pub use auth::Auth;
pub use capabilities::Capabilities;
pub use options::{Handshake, Options, Purpose};

/// What a session gives out.
#[derive(Debug)]
pub enum Output {
    /// Bytes to send, in this order.
    Transmit(Bytes),
    /// Something that the server says or brings.
    Event(Event),
    /// The connection is to be closed once everything is sent.
    Close,
    /// Nothing more now; [`Session::handle_timeout`] is to be called at this time.
    Timeout(Option<Time>),
}

/// What the server says or brings.
#[derive(Debug)]
pub enum Event {
    /// It has let us connect.
    Connected(Box<Capabilities>),
    /// It has let us publish or play: media may flow.
    Started,
    /// A frame of what is played.
    Frame {
        /// The frame, timestamps as they came, never wrapping.
        frame: Frame,
        /// The frame is metadata that says the timestamps are absolute (`bravo_atc`).
        atc: bool,
    },
    /// A frame that is not what its format says; it was left out.
    Bad {
        /// What it was part of.
        kind: Kind,
        /// What was wrong with it.
        cause: Malformed,
    },
    /// The stream is to be had elsewhere. User and password go along.
    Redirect {
        /// Where.
        url: Box<RtmpUrl>,
        /// Whether this connection goes on meanwhile, so that one may change over at a keyframe (Enhanced
        /// RTMP v2, "Reconnect Request"). Otherwise it is closed.
        goes_on: bool,
    },
    /// The server asks who we are, and the URL says it: the connection is closed, and the next one is to be
    /// made with this in [`Options::auth`].
    Authenticate(Auth),
    /// The stream has ended.
    Ended(Ended),
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nobody publishes it any longer (`NetStream.Play.UnpublishNotify`), or the server has ended our publish.
    /// A play goes on when it is published again.
    Unpublished,
    /// What was played is over (`NetStream.Play.Stop`, `NetStream.Play.Complete`).
    Stopped,
    /// The server closes the connection.
    Closed,
}

/// Why the session ends: always the peer's doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The handshake went wrong.
    Handshake(HandshakeError),
    /// The chunk stream went wrong.
    Chunk(ChunkError),
    /// A message is not what its type says.
    Message {
        /// What was being read.
        what: &'static str,
        /// What was wrong with it.
        cause: Malformed,
    },
    /// The server says no.
    Rejected {
        /// What was asked for, or was going on.
        what: &'static str,
        /// The server's code (`NetStream.Publish.BadName`), or nothing.
        code: String,
        /// The server's sentence, or nothing.
        description: String,
    },
    /// `createStream` was answered without a message stream.
    NoStream,
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
            Self::Handshake(cause) => write!(f, "handshake: {cause}"),
            Self::Chunk(cause) => write!(f, "chunk stream: {cause}"),
            Self::Message { what, cause } => write!(f, "{what}: {cause}"),
            Self::Rejected { what, code, description } => {
                write!(f, "the server refuses {what}: {code} ({description})")
            }
            Self::NoStream => {
                write!(f, "createStream: the answer has no message stream, a number was expected")
            }
            Self::Timeout { what, ms } => write!(f, "timeout: no {what} within {ms} ms"),
        }
    }
}

impl std::error::Error for Error {}

impl From<HandshakeError> for Error {
    fn from(cause: HandshakeError) -> Self {
        Self::Handshake(cause)
    }
}

impl From<ChunkError> for Error {
    fn from(cause: ChunkError) -> Self {
        Self::Chunk(cause)
    }
}

/// One connection, from its first byte on.
#[derive(Debug)]
pub struct Session {
    options: Options,
    state: State,
    reader: ChunkReader,
    writer: ChunkWriter,
    out: BytesMut,
    event: Option<Event>,
    aggregate: Option<Box<Aggregate>>,
    /// Media that came before the server said that there would be some.
    held: Option<Message>,
    /// That of the last call.
    transaction: u32,
    /// The message stream; 0 before there is one.
    stream: u32,
    acks: Acks,
    clock: Unwrap,
    /// When the connection was made or, once media may flow, when some came last.
    since: Time,
    hevc: Hevc,
    /// Bits that a response to a challenge is made of.
    entropy: u32,
    /// Whether the server was asked to measure the bandwidth.
    bandwidth_asked: bool,
    /// Its own words, where it has let us neither publish nor play.
    refusal: Option<Box<str>>,
}

/// What is awaited. The numbers are those of the calls.
#[derive(Debug)]
enum State {
    Handshake(Box<ClientHandshake>),
    Connecting(u32),
    Creating(u32),
    Starting(u32),
    Started,
    Closing,
}

impl Session {
    /// A session whose connection was made at `now`. `entropy` fills the handshake's random bytes.
    pub fn new(now: Time, entropy: u64, options: Options) -> Self {
        let mut reader = ChunkReader::new();
        reader.set_message_limit(limits::RTMP_MESSAGE_BYTES_BEFORE_PUBLISH);
        let mut handshake = match options.handshake {
            Handshake::Auto => ClientHandshake::lenient(entropy),
            Handshake::Digest => ClientHandshake::new(entropy, true),
            Handshake::Simple => ClientHandshake::new(entropy, false),
        };
        let mut out = BytesMut::new();
        handshake.start(&mut out);
        Self {
            hevc: options.hevc,
            options,
            state: State::Handshake(Box::new(handshake)),
            reader,
            writer: ChunkWriter::new(),
            out,
            event: None,
            aggregate: None,
            held: None,
            transaction: 0,
            stream: 0,
            acks: Acks::default(),
            clock: Unwrap::default(),
            since: now,
            entropy: (entropy ^ entropy >> 32) as u32,
            bandwidth_asked: false,
            refusal: None,
        }
    }

    /// Takes bytes off the front of `input`, until it is empty or an event is ready. After an error the
    /// session is over.
    pub fn handle_input(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        let before = input.len();
        let result = self.advance(now, input);
        self.acks.count(before.saturating_sub(input.len()));
        if let Some(total) = self.acks.due()
            && !matches!(self.state, State::Closing)
        {
            self.send_control(type_id::ACK, &total.to_be_bytes());
        }
        result
    }

    /// What the session gives out, to be drained until it answers [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        if !self.out.is_empty() {
            return Output::Transmit(self.out.split().freeze());
        }
        if let Some(event) = self.event.take() {
            return Output::Event(event);
        }
        if matches!(self.state, State::Closing) {
            return Output::Close;
        }
        // Give the buffer back: one who plays sends nothing for minutes.
        self.out = BytesMut::new();
        Output::Timeout(self.timeout())
    }

    /// When [`Session::handle_timeout`] is to be called.
    pub fn timeout(&self) -> Option<Time> {
        self.deadline().map(|(at, ..)| at)
    }

    /// The time that [`Output::Timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), Error> {
        match self.deadline() {
            Some((at, what, limit)) if at <= now => {
                Err(Error::Timeout { what, ms: limit.as_millis().try_into().unwrap_or(u64::MAX) })
            }
            _ => Ok(()),
        }
    }

    /// Whether there is more to take out without more input: an aggregate's rest.
    pub fn has_more(&self) -> bool {
        self.aggregate.is_some() || self.held.is_some()
    }

    /// Bytes of messages that have begun and not ended.
    pub fn partial_bytes(&self) -> usize {
        self.reader.partial_bytes()
    }

    /// Bytes received in all.
    pub fn received(&self) -> u64 {
        self.acks.received
    }

    /// The stream that is published or played.
    pub fn url(&self) -> &RtmpUrl {
        &self.options.url
    }

    /// Our chunk size on this connection.
    pub fn chunk_size(&self) -> u32 {
        self.writer.chunk_size()
    }

    /// The message stream that the server has given us; 0 before there is one.
    pub fn message_stream(&self) -> u32 {
        self.stream
    }

    /// How this server wants H.265.
    pub fn hevc(&self) -> Hevc {
        self.hevc
    }

    /// What the server has refused us with: its sentence, or else its code. `None` where the session goes on,
    /// or has ended in another way.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether media may flow.
    pub fn is_started(&self) -> bool {
        matches!(self.state, State::Started)
    }

    fn advance(&mut self, now: Time, input: &mut &[u8]) -> Result<(), Error> {
        while self.event.is_none() {
            if let Some(message) = self.held.take() {
                self.media(now, message);
                continue;
            }
            if let Some(aggregate) = &mut self.aggregate {
                match aggregate.next() {
                    Some(Ok(message)) => self.media(now, message),
                    Some(Err(cause)) => return Err(Error::Message { what: "aggregate message", cause }),
                    None => self.aggregate = None,
                }
                continue;
            }
            if input.is_empty() {
                break;
            }
            match &mut self.state {
                State::Handshake(handshake) => {
                    if handshake.handle_input(input, &mut self.out)? {
                        self.connect();
                    }
                }
                State::Closing => *input = &[],
                _ => match self.reader.read(input)? {
                    Some(message) => self.message(now, message)?,
                    None => break,
                },
            }
        }
        Ok(())
    }

    fn message(&mut self, now: Time, message: Message) -> Result<(), Error> {
        match message.type_id {
            type_id::AUDIO | type_id::VIDEO | type_id::DATA_AMF0 | type_id::DATA_AMF3 => {
                self.media(now, message);
                Ok(())
            }
            type_id::AGGREGATE => {
                self.aggregate = Some(Box::new(Aggregate::new(&message)));
                Ok(())
            }
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => self.command(now, &message),
            type_id::WINDOW_ACK_SIZE => {
                let window = control("window acknowledgement size", &message, |r| r.u32())?;
                self.acks.ask(window);
                Ok(())
            }
            type_id::SET_PEER_BANDWIDTH => {
                let window = control("set peer bandwidth", &message, |r| r.u32())?;
                self.send_control(type_id::WINDOW_ACK_SIZE, &window.to_be_bytes());
                Ok(())
            }
            type_id::USER_CONTROL => {
                let event = control("user control", &message, |r| r.u16())?;
                if event == user_control::PING_REQUEST {
                    let value = control("ping", &message, |r| r.skip(2).and_then(|()| r.u32()))?;
                    self.send_user_control(user_control::PING_RESPONSE, &value.to_be_bytes());
                }
                Ok(())
            }
            // Acknowledgements tell what TCP tells better.
            _ => Ok(()),
        }
    }

    /// A message of what is played. The connection has one stream, so whatever message stream it names it
    /// belongs to that.
    fn media(&mut self, now: Time, message: Message) {
        if self.options.purpose != Purpose::Play || self.is_server_talk(&message) {
            return;
        }
        match self.state {
            State::Started => {}
            // Some servers send media without saying that they will.
            State::Starting(_) => {
                self.start(now);
                self.held = Some(message);
                return;
            }
            _ => return,
        }
        self.since = now;
        let dts = self.clock.extend(message.timestamp);
        self.event = match frames::parse(message.type_id, dts, message.payload) {
            Some(Ok((frame, atc))) => Some(Event::Frame { frame, atc }),
            Some(Err((kind, cause))) => Some(Event::Bad { kind, cause }),
            None => return,
        };
    }

    /// Whether a data message is the server's own and none of the stream's; one of them tells that the
    /// stream is over.
    fn is_server_talk(&mut self, message: &Message) -> bool {
        if !matches!(message.type_id, type_id::DATA_AMF0 | type_id::DATA_AMF3) {
            return false;
        }
        let body = message.payload.strip_prefix(&[0]).unwrap_or(&message.payload);
        let mut r = Reader::new(body);
        match amf0::read(&mut r).as_ref().map(Value::as_str) {
            Ok(Some("onPlayStatus")) => {
                let status = amf0::read(&mut r).ok();
                let code = status.as_ref().and_then(|s| s.property("code")).and_then(Value::as_str);
                if code == Some("NetStream.Play.Complete") && self.is_started() {
                    self.event = Some(Event::Ended(Ended::Stopped));
                }
                true
            }
            Ok(Some("|RtmpSampleAccess" | "onStatus")) => true,
            _ => false,
        }
    }

    /// Media may flow.
    fn start(&mut self, now: Time) {
        self.state = State::Started;
        self.since = now;
        self.event = Some(Event::Started);
    }

    /// What ends the session if nothing comes, when, and its limit.
    fn deadline(&self) -> Option<(Time, &'static str, Duration)> {
        let (what, limit) = match (&self.state, self.options.purpose) {
            (State::Closing, _) | (State::Started, Purpose::Publish) => return None,
            (State::Started, Purpose::Play) => ("media", self.options.idle?),
            (State::Handshake(_), _) => ("whole handshake", self.options.timeout),
            (State::Connecting(_), _) => ("answer to connect", self.options.timeout),
            (State::Creating(_), _) => ("answer to createStream", self.options.timeout),
            (State::Starting(_), Purpose::Publish) => ("answer to publish", self.options.timeout),
            (State::Starting(_), Purpose::Play) => ("answer to play", self.options.timeout),
        };
        Some((self.since + limit, what, limit))
    }
}

fn control<T>(
    what: &'static str,
    message: &Message,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, Error> {
    read(&mut Reader::new(&message.payload)).map_err(|cause| Error::Message { what, cause })
}

/// What a server says, for people: bounded, and without what would break a line.
fn text(said: &str) -> String {
    let mut text = String::new();
    for c in said.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if text.len().saturating_add(c.len_utf8()) > limits::RTMP_STATUS_BYTES {
            break;
        }
        text.push(c);
    }
    text
}
