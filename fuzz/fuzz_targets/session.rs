//! A whole server's session under a virtual clock. The input begins with how the rest is cut, what the
//! rest is, the host's words bit by bit, and how the clock goes.

#![no_main]

use std::time::Duration;

use bytes::{Buf, BytesMut};
use camrill::amf;
use camrill::flv;
use camrill::rtmp::chunk::{ChunkReader, ChunkWriter};
use camrill::rtmp::message::type_id;
use camrill::rtmp::server::{
    ConnectOptions, Event, Output, PublishOptions, Session, SessionError, StreamRequest,
};
use camrill::time::Time;
use camrill::wire::limits;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// C0, C1 and C2; S0, S1 and S2.
const HANDSHAKE: usize = 1 + 2 * 1536;
/// No input of a few KB asks for more answers than this.
const OUTPUTS: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    let [how, what, words, clock, rest @ ..] = data else { return };
    let bytes = match what % 3 {
        // All of it as it comes.
        0 => rest.to_vec(),
        // Chunks, after a handshake.
        1 => [&handshake()[..], rest].concat(),
        // Messages, which are cut into chunks.
        _ => [&handshake()[..], &messages(rest)[..]].concat(),
    };
    let cut = Host::run(*how, *words, *clock, &bytes);
    if *clock == 0 {
        // How it is cut changes nothing. Acknowledgements may go out at other places.
        assert_eq!(cut, Host::run(0, *words, 0, &bytes));
    }
});

fn handshake() -> Vec<u8> {
    let mut bytes = vec![0; HANDSHAKE];
    bytes[0] = 3;
    bytes
}

/// Each message is its type, chunk stream and message stream, its time, its length and its body.
fn messages(mut rest: &[u8]) -> Vec<u8> {
    let mut writer = ChunkWriter::new();
    let mut out = BytesMut::new();
    while rest.len() >= 7 {
        let (type_id, csid, stream) = (rest.get_u8(), rest.get_u8(), rest.get_u8());
        let (time, len) = (rest.get_u16(), usize::from(rest.get_u16()));
        let len = len.min(rest.len());
        let body = rest.split_to_slice(len);
        writer.write(&mut out, csid.into(), u32::from(time) << (csid & 15), type_id, stream.into(), body);
        if type_id == type_id::SET_CHUNK_SIZE
            && let Some(size) = body.first_chunk()
            && let size @ 1..=0x7FFF_FFFF = u32::from_be_bytes(*size)
        {
            writer.set_chunk_size(size);
        }
    }
    out.to_vec()
}

trait SplitTo<'a> {
    fn split_to_slice(&mut self, n: usize) -> &'a [u8];
}

impl<'a> SplitTo<'a> for &'a [u8] {
    fn split_to_slice(&mut self, n: usize) -> &'a [u8] {
        let (head, tail) = self.split_at(n);
        *self = tail;
        head
    }
}

struct Host {
    session: Session,
    now: Time,
    words: u8,
    /// What was published and played, by message stream.
    publishing: Vec<u32>,
    playing: Option<u32>,
    events: Vec<String>,
    sent: Vec<u8>,
    closed: bool,
}

impl Host {
    fn run(how: u8, words: u8, clock: u8, bytes: &[u8]) -> (Vec<String>, Option<SessionError>) {
        let session = Session::new(Time::ZERO, 7, Duration::from_secs(10));
        let mut host = Host {
            session,
            now: Time::ZERO,
            words,
            publishing: Vec::new(),
            playing: None,
            events: Vec::new(),
            sent: Vec::new(),
            closed: false,
        };
        let mut error = host.input(how, clock, bytes).err();
        host.answers();
        if error.is_none() && !host.closed {
            // In the end nothing comes any more.
            error = host.silence().err();
        }
        (host.events, error)
    }

    fn input(&mut self, how: u8, clock: u8, bytes: &[u8]) -> Result<(), SessionError> {
        let mut taken = 0;
        for mut piece in pieces(how, bytes) {
            self.now = self.now + Duration::from_millis(u64::from(clock) * 16);
            self.session.handle_timeout(self.now)?;
            loop {
                let before = piece.len();
                let result = self.session.handle_input(self.now, &mut piece);
                taken += (before - piece.len()) as u64;
                assert_eq!(self.session.received(), taken);
                assert!(self.session.partial_bytes() <= (taken as usize).min(limits::RTMP_PARTIAL_BYTES));
                let progress = self.drain()?;
                result?;
                if self.closed {
                    return Ok(());
                }
                if !progress && piece.is_empty() && !self.session.has_more() {
                    break;
                }
                assert!(progress || before > piece.len(), "the session stands still");
            }
        }
        Ok(())
    }

    /// Takes out what there is, and gives the host's word. Says whether there was an event.
    fn drain(&mut self) -> Result<bool, SessionError> {
        let mut progress = false;
        for _ in 0..OUTPUTS {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    assert!(!bytes.is_empty());
                    self.sent.extend_from_slice(&bytes);
                }
                Output::Event(event) => {
                    progress = true;
                    self.events.push(format!("{event:?}"));
                    self.event(event);
                }
                Output::Close => {
                    self.closed = true;
                    return Ok(progress);
                }
                Output::Timeout(at) => {
                    assert_eq!(at, self.session.timeout());
                    return Ok(progress);
                }
            }
        }
        panic!("the session never comes to an end");
    }

    fn event(&mut self, event: Event) {
        let is_request = matches!(event, Event::Connect(_) | Event::Publish(_) | Event::Play(_));
        assert_eq!(self.session.is_waiting(), is_request);
        if is_request {
            // Until the host's word, nothing is taken.
            let mut input = &[0xff; 8][..];
            assert_eq!(self.session.handle_input(self.now, &mut input), Ok(()));
            assert_eq!(input.len(), 8);
            assert_eq!(self.session.timeout(), None);
            self.words = self.words.rotate_right(1);
            if self.words & 0x80 != 0 {
                self.session.refuse("no");
                assert!(!self.session.is_waiting());
                return;
            }
        }
        match event {
            Event::Connect(request) => {
                assert!(request.name.stream.is_empty());
                let options = ConnectOptions {
                    chunk_size: 1 + u32::from(self.words) * 300,
                    in_ack_size: u32::from(self.words & 1) * 1000,
                    out_ack_size: u32::from(self.words & 2) * 1000,
                };
                self.session.accept_connect(self.now, &options);
                assert_eq!(self.session.chunk_size(), options.chunk_size);
            }
            Event::Publish(request) => {
                let StreamRequest { stream, name } = *request;
                assert!(name.stream.len() <= limits::NAME_BYTES && !name.stream.contains('/'));
                assert!(name.param.len() <= 2 * limits::PARAM_BYTES);
                assert!(!self.publishing.contains(&stream) && self.playing != Some(stream));
                self.publishing.push(stream);
                assert!(self.publishing.len() <= limits::RTMP_MESSAGE_STREAMS);
                let options =
                    PublishOptions { first: Duration::from_secs(20), normal: Duration::from_secs(5) };
                self.session.accept_publish(self.now, options);
            }
            Event::Play(request) => {
                assert_eq!(self.playing.replace(request.stream), None);
                assert!(!self.publishing.contains(&request.stream));
                self.session.accept_play();
            }
            Event::Frame { stream, frame, .. } => {
                assert!(self.publishing.contains(&stream));
                let body = flv::body(&frame);
                assert!(frame.relay.is_empty() || body == frame.relay);
            }
            Event::Bad { stream, .. } => assert!(self.publishing.contains(&stream)),
            Event::Unpublish { stream } => {
                let at = self.publishing.iter().position(|s| *s == stream).expect("a publish that ends");
                self.publishing.swap_remove(at);
            }
            Event::Stop { stream } => assert_eq!(self.playing.take(), Some(stream)),
            Event::Pause { stream, .. } | Event::Receive { stream, .. } => {
                assert_eq!(self.playing, Some(stream));
            }
        }
        assert!(!self.session.is_waiting());
    }

    /// What was sent is a handshake and messages that a client can read.
    fn answers(&self) {
        let Some(mut chunks) = self.sent.get(HANDSHAKE..) else { return assert!(self.sent.is_empty()) };
        let mut reader = ChunkReader::new();
        while let Some(message) = reader.read(&mut chunks).expect("chunks that were written") {
            if matches!(message.type_id, type_id::COMMAND_AMF0 | type_id::DATA_AMF0) {
                let values = amf::read_command(&message.payload, false).expect("a command that was written");
                assert!(values[0].as_str().is_some());
            }
        }
        assert_eq!(reader.partial_bytes(), 0);
    }

    /// The clock goes on until the session ends, unless it plays.
    fn silence(&mut self) -> Result<(), SessionError> {
        let Some(at) = self.session.timeout() else {
            assert!(self.playing.is_some() && self.publishing.is_empty());
            return Ok(());
        };
        if at > self.now {
            self.session.handle_timeout(at - Duration::from_micros(1))?;
        }
        let result = self.session.handle_timeout(at);
        assert!(matches!(result, Err(SessionError::Timeout { .. })));
        result
    }
}
