//! The server's side of one RTMP connection: bytes and a time in, bytes and events out.
//!
//! [`Session::handle_input`] takes what it can, then [`Session::poll_output`] is drained until it
//! answers [`Output::Timeout`]. A [`Event::Connect`], [`Event::Publish`] or [`Event::Play`] waits for
//! the host's word (`accept_…` or [`Session::refuse`]); until then no input is taken.

mod answers;
mod commands;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::acks::Acks;
use super::chunk::{ChunkError, ChunkReader, ChunkWriter};
use super::frames;
use super::handshake::{HandshakeError, ServerHandshake};
use super::message::{Aggregate, Message, type_id, user_control};
use super::url::{StreamName, UrlError};
use crate::media::{Frame, Kind, Unwrap};
use crate::time::Time;
use crate::wire::{Malformed, Reader, limits};

pub use request::{ConnectRequest, StreamRequest, VIA};

/// How long a connection may stay without a publish or play after its last one ended.
const IDLE_BETWEEN: Duration = Duration::from_secs(180);

/// What a session gives out.
#[derive(Debug)]
pub enum Output {
    /// Bytes to send, in this order.
    Transmit(Bytes),
    /// Something that the peer wants or brings.
    Event(Event),
    /// The connection is to be closed once everything is sent.
    Close,
    /// Nothing more now; [`Session::handle_timeout`] is to be called at this time.
    Timeout(Option<Time>),
}

/// What the peer wants or brings.
#[derive(Debug)]
pub enum Event {
    /// It connects; waits for [`Session::accept_connect`] or [`Session::refuse`].
    Connect(Box<ConnectRequest>),
    /// It publishes; waits for [`Session::accept_publish`] or [`Session::refuse`].
    Publish(Box<StreamRequest>),
    /// It plays; waits for [`Session::accept_play`] or [`Session::refuse`].
    Play(Box<StreamRequest>),
    /// A frame of what it publishes.
    Frame {
        /// The message stream.
        stream: u32,
        /// The frame, timestamps as published, never wrapping.
        frame: Frame,
        /// The frame is metadata that says the timestamps are absolute (`bravo_atc`).
        atc: bool,
    },
    /// A frame that is not what its format says; it was left out.
    Bad {
        /// The message stream.
        stream: u32,
        /// What it was part of.
        kind: Kind,
        /// What was wrong with it.
        cause: Malformed,
    },
    /// It publishes no longer.
    Unpublish {
        /// The message stream.
        stream: u32,
    },
    /// It plays no longer.
    Stop {
        /// The message stream.
        stream: u32,
    },
    /// It pauses, or goes on.
    Pause {
        /// The message stream.
        stream: u32,
        /// Whether it pauses.
        paused: bool,
    },
    /// It wants, or no longer wants, one kind of frames.
    Receive {
        /// The message stream.
        stream: u32,
        /// The kind.
        kind: Kind,
        /// Whether it wants them.
        wanted: bool,
    },
}

/// What a vhost sets for a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// Our chunk size, in bytes.
    pub chunk_size: u32,
    /// Acknowledge after this many bytes; 0: as the peer asks.
    pub in_ack_size: u32,
    /// Ask the peer to acknowledge after this many bytes; 0: don't ask.
    pub out_ack_size: u32,
}

/// What a vhost sets for a publish.
#[derive(Debug, Clone, Copy)]
pub struct PublishOptions {
    /// How long the first message may take.
    pub first: Duration,
    /// How long the next message may take.
    pub normal: Duration,
}

/// Why the session ends: always the peer's doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionError {
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
    /// The name or URL is not one.
    Url(UrlError),
    /// A command came where it can't.
    Order {
        /// The command.
        command: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// More message streams than [`limits::RTMP_MESSAGE_STREAMS`].
    Streams,
    /// Something took too long.
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long, in ms.
        ms: u64,
    },
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(cause) => write!(f, "handshake: {cause}"),
            Self::Chunk(cause) => write!(f, "chunk stream: {cause}"),
            Self::Message { what, cause } => write!(f, "{what}: {cause}"),
            Self::Url(cause) => write!(f, "stream name: {cause}"),
            Self::Order { command, expected } => {
                write!(f, "command {command} came where {expected} is expected")
            }
            Self::Streams => {
                write!(f, "createStream: more than {} message streams", limits::RTMP_MESSAGE_STREAMS)
            }
            Self::Timeout { what, ms } => write!(f, "timeout: no {what} within {ms} ms"),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<HandshakeError> for SessionError {
    fn from(cause: HandshakeError) -> Self {
        Self::Handshake(cause)
    }
}

impl From<ChunkError> for SessionError {
    fn from(cause: ChunkError) -> Self {
        Self::Chunk(cause)
    }
}

impl From<UrlError> for SessionError {
    fn from(cause: UrlError) -> Self {
        Self::Url(cause)
    }
}

/// One connection, from its first byte on.
#[derive(Debug)]
pub struct Session {
    state: State,
    reader: ChunkReader,
    writer: ChunkWriter,
    out: BytesMut,
    event: Option<Event>,
    aggregate: Option<Box<Aggregate>>,
    waiting: Option<Waiting>,
    client: Option<Box<ConnectRequest>>,
    streams: SmallVec<[MessageStream; 1]>,
    next_stream: u32,
    acks: Acks,
    /// Since when nothing is published or played, and how long that may last.
    idle: (Time, Duration),
    /// The peer has sent FCPublish and expects onFCPublish.
    fc_publish: bool,
}

#[derive(Debug)]
enum State {
    Handshake(Box<ServerHandshake>),
    Messages,
    Closing,
}

/// The host's word is awaited.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Waiting {
    Connect { transaction: f64, since: Time },
    Publish { stream: u32 },
    Play { stream: u32, reset: bool },
}

#[derive(Debug)]
struct MessageStream {
    id: u32,
    role: StreamRole,
}

#[derive(Debug)]
enum StreamRole {
    Idle,
    Publishing(Box<Publishing>),
    Playing,
}

/// What only publishers need: players are many.
#[derive(Debug)]
struct Publishing {
    clock: Unwrap,
    /// When the last message came, or the publish began.
    last: Time,
    /// Whether a message has come.
    seen: bool,
    options: PublishOptions,
}

impl Session {
    /// A session whose connection was taken at `now`. `entropy` fills the handshake's random bytes;
    /// `timeout` is how long the peer may take to publish or play.
    pub fn new(now: Time, entropy: u64, timeout: Duration) -> Self {
        let mut reader = ChunkReader::new();
        reader.set_message_limit(limits::RTMP_MESSAGE_BYTES_BEFORE_PUBLISH);
        Self {
            state: State::Handshake(Box::new(ServerHandshake::new(entropy))),
            reader,
            writer: ChunkWriter::new(),
            out: BytesMut::new(),
            event: None,
            aggregate: None,
            waiting: None,
            client: None,
            streams: SmallVec::new(),
            next_stream: 1,
            acks: Acks::default(),
            idle: (now, timeout),
            fc_publish: false,
        }
    }

    /// Takes bytes off the front of `input`, until it is empty, an event is ready or the host's word is
    /// awaited. After an error the session is over.
    pub fn handle_input(&mut self, now: Time, input: &mut &[u8]) -> Result<(), SessionError> {
        let before = input.len();
        let result = self.advance(now, input);
        self.acks.count(before - input.len());
        self.acknowledge();
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
        // Give the answers' buffer back: an idle player holds none.
        self.out = BytesMut::new();
        Output::Timeout(self.timeout())
    }

    /// When [`Session::handle_timeout`] is to be called.
    pub fn timeout(&self) -> Option<Time> {
        self.deadline().map(|(at, ..)| at)
    }

    /// The time that [`Output::Timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        match self.deadline() {
            Some((at, what, limit)) if at <= now => {
                Err(SessionError::Timeout { what, ms: limit.as_millis().try_into().unwrap_or(u64::MAX) })
            }
            _ => Ok(()),
        }
    }

    /// Whether the host's word is awaited.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether there is more to take out without more input: an aggregate's rest.
    pub fn has_more(&self) -> bool {
        self.aggregate.is_some()
    }

    /// Bytes of messages that have begun and not ended.
    pub fn partial_bytes(&self) -> usize {
        self.reader.partial_bytes()
    }

    /// What the peer said of itself in `connect`.
    pub fn client(&self) -> Option<&ConnectRequest> {
        self.client.as_deref()
    }

    /// Our chunk size on this connection.
    pub fn chunk_size(&self) -> u32 {
        self.writer.chunk_size()
    }

    /// Bytes received in all.
    pub fn received(&self) -> u64 {
        self.acks.received
    }

    fn advance(&mut self, now: Time, input: &mut &[u8]) -> Result<(), SessionError> {
        while self.event.is_none() && self.waiting.is_none() {
            if let Some(aggregate) = &mut self.aggregate {
                match aggregate.next() {
                    Some(Ok(message)) => self.media(now, message),
                    Some(Err(cause)) => {
                        return Err(SessionError::Message { what: "aggregate message", cause });
                    }
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
                        self.state = State::Messages;
                    }
                }
                State::Messages => match self.reader.read(input)? {
                    Some(message) => self.message(now, message)?,
                    None => break,
                },
                State::Closing => *input = &[],
            }
        }
        Ok(())
    }

    fn message(&mut self, now: Time, message: Message) -> Result<(), SessionError> {
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
                self.send_window_ack_size(window);
                Ok(())
            }
            type_id::USER_CONTROL => {
                let (event, value) = control("user control", &message, |r| Ok((r.u16()?, r.u32()?)))?;
                if event == user_control::PING_REQUEST {
                    self.send_user_control(user_control::PING_RESPONSE, value);
                }
                Ok(())
            }
            // Acknowledgements tell what TCP tells better; shared objects are nobody's business here.
            _ => Ok(()),
        }
    }

    /// A message of what is published. Media for a stream that isn't published is passed over, as it
    /// may follow an unpublish that crossed it.
    fn media(&mut self, now: Time, message: Message) {
        let Some(stream) = publishing(&mut self.streams, message.stream_id) else { return };
        let StreamRole::Publishing(publishing) = &mut stream.role else { return };
        publishing.last = now;
        publishing.seen = true;
        let id = stream.id;
        let dts = publishing.clock.extend(message.timestamp);
        self.event = match frames::parse(message.type_id, dts, message.payload) {
            Some(Ok((frame, atc))) => Some(Event::Frame { stream: id, frame, atc }),
            Some(Err((kind, cause))) => Some(Event::Bad { stream: id, kind, cause }),
            None => return,
        };
    }

    /// What ends the session if nothing comes, when, and its limit.
    fn deadline(&self) -> Option<(Time, &'static str, Duration)> {
        if self.waiting.is_some() {
            return None;
        }
        let mut active = false;
        let mut first: Option<(Time, &'static str, Duration)> = None;
        for stream in &self.streams {
            match &stream.role {
                StreamRole::Idle => {}
                StreamRole::Playing => active = true,
                StreamRole::Publishing(publishing) => {
                    let Publishing { last, seen, options, .. } = publishing.as_ref();
                    active = true;
                    let (what, limit) = match seen {
                        false => ("first packet of the publish (firstpkt_timeout)", options.first),
                        true => ("packet of the publish (normal_timeout)", options.normal),
                    };
                    let at = *last + limit;
                    if first.is_none_or(|(earliest, ..)| at < earliest) {
                        first = Some((at, what, limit));
                    }
                }
            }
        }
        if active {
            return first;
        }
        let what = match &self.state {
            State::Handshake(_) => "whole handshake",
            _ if self.client.is_none() => "connect command",
            _ => "publish or play command",
        };
        Some((self.idle.0 + self.idle.1, what, self.idle.1))
    }

    fn idle_from(&mut self, now: Time) {
        self.idle = (now, IDLE_BETWEEN);
    }
}

/// The stream that media belongs to: the one it names, or else the only one that is being published,
/// since some encoders give media another id than the publish.
fn publishing(streams: &mut [MessageStream], id: u32) -> Option<&mut MessageStream> {
    let is_publishing = |s: &MessageStream| matches!(s.role, StreamRole::Publishing(_));
    let at = match streams.iter().position(|s| s.id == id && is_publishing(s)) {
        Some(at) => Some(at),
        None if streams.iter().filter(|s| is_publishing(s)).count() == 1 => {
            streams.iter().position(is_publishing)
        }
        None => None,
    }?;
    streams.get_mut(at)
}

fn control<T>(
    what: &'static str,
    message: &Message,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, SessionError> {
    read(&mut Reader::new(&message.payload)).map_err(|cause| SessionError::Message { what, cause })
}
