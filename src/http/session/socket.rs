//! A connection that has become a WebSocket: its control frames, its silence and its end.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Error, queue, timeout};
use crate::http::websocket::{self, Decoder, Message, Opcode};
use crate::time::Time;
use crate::wire::limits::WEBSOCKET_MESSAGE_BYTES;

/// How long a client may be silent before it is asked, and how long it may take to answer.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a client may take to answer a close.
const CLOSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Socket {
    decoder: Decoder,
    state: State,
}

/// What is waited for, since when.
#[derive(Debug, Clone, Copy)]
enum State {
    Heard(Time),
    Asked(Time),
    Closing(Time),
}

/// What came of input.
#[derive(Debug)]
pub(super) enum Read {
    /// A text or bytes.
    Message(Message),
    /// Nothing for the host yet.
    Nothing,
    /// The client has closed.
    End,
}

impl Socket {
    pub(super) fn new(now: Time) -> Self {
        Self { decoder: Decoder::new(WEBSOCKET_MESSAGE_BYTES), state: State::Heard(now) }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing(_))
    }

    /// Takes input up to the end of a message or control frame.
    pub(super) fn read(
        &mut self,
        now: Time,
        input: &mut &[u8],
        out: &mut VecDeque<Bytes>,
    ) -> Result<Read, Error> {
        if !self.is_closing() {
            self.state = State::Heard(now);
        }
        let message = self.decoder.read(input).map_err(Error::WebSocket)?;
        Ok(match message {
            Some(Message::Close(code)) => {
                if !self.is_closing() {
                    let code = code.map(u16::to_be_bytes);
                    send(out, Opcode::Close, code.map_or(Bytes::new(), |c| Bytes::copy_from_slice(&c)));
                }
                Read::End
            }
            _ if self.is_closing() => Read::Nothing,
            Some(Message::Ping(payload)) => {
                send(out, Opcode::Pong, payload);
                Read::Nothing
            }
            Some(message @ (Message::Text(_) | Message::Binary(_))) => Read::Message(message),
            Some(Message::Pong(_)) | None => Read::Nothing,
        })
    }

    /// Sends a close frame, and waits for the client's.
    pub(super) fn close(&mut self, now: Time, code: u16, out: &mut VecDeque<Bytes>) {
        if !self.is_closing() {
            send(out, Opcode::Close, Bytes::copy_from_slice(&code.to_be_bytes()));
            self.state = State::Closing(now);
        }
    }

    pub(super) fn timeout(&self) -> Time {
        match self.state {
            State::Heard(since) | State::Asked(since) => since + SILENCE,
            State::Closing(since) => since + CLOSE,
        }
    }

    /// The time has come. Whether the connection goes on.
    pub(super) fn handle_timeout(&mut self, now: Time, out: &mut VecDeque<Bytes>) -> Result<bool, Error> {
        match self.state {
            State::Heard(_) => {
                send(out, Opcode::Ping, Bytes::new());
                self.state = State::Asked(now);
                Ok(true)
            }
            State::Asked(_) => Err(timeout("answer to a ping", SILENCE)),
            State::Closing(_) => Ok(false),
        }
    }
}

pub(super) fn send(out: &mut VecDeque<Bytes>, opcode: Opcode, payload: Bytes) {
    out.push_back(Bytes::copy_from_slice(&websocket::head(opcode, payload.len())));
    queue(out, payload);
}
