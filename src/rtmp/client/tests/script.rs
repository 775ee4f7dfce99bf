//! A server that says what a test has it say.

use std::collections::VecDeque;

use super::*;
use crate::rtmp::handshake::ServerHandshake;

pub(super) struct Script {
    pub(super) session: Session,
    writer: ChunkWriter,
    reader: ChunkReader,
    pub(super) now: Time,
    pub(super) events: Vec<Event>,
    /// What the session has sent.
    pub(super) sent: VecDeque<Message>,
    /// The message that was looked at last.
    pub(super) message: Message,
    pub(super) error: Option<Error>,
    pub(super) closed: bool,
    /// Where to keep what would be said, instead of saying it.
    pub(super) record: Option<Vec<u8>>,
}

/// An event's name.
pub(super) fn name(event: &Event) -> String {
    match event {
        Event::Ended(how) => format!("Ended({how:?})"),
        event => format!("{event:?}").split(['(', ' ']).next().unwrap().to_owned(),
    }
}

impl Script {
    /// A client whose handshake is done and whose `connect` has been sent.
    pub(super) fn new(options: Options) -> Self {
        let mut session = Session::new(Time::ZERO, 5, options);
        let Output::Transmit(c0c1) = session.poll_output() else { panic!("no C0 C1") };
        let (mut server, mut answer) = (ServerHandshake::new(6), BytesMut::new());
        assert!(!server.handle_input(&mut &c0c1[..], &mut answer).unwrap());
        session.handle_input(Time::ZERO, &mut &answer[..]).unwrap();
        let Output::Transmit(rest) = session.poll_output() else { panic!("no C2") };
        let mut rest = rest.as_ref();
        assert!(server.handle_input(&mut rest, &mut answer).unwrap());
        let message = Message { timestamp: 0, type_id: 0, stream_id: 0, payload: Bytes::new() };
        let mut script = Self {
            session,
            writer: ChunkWriter::new(),
            reader: ChunkReader::new(),
            now: Time::ZERO,
            events: Vec::new(),
            sent: VecDeque::new(),
            message,
            error: None,
            closed: false,
            record: None,
        };
        script.read(rest);
        script
    }

    /// A client that has called createStream: a publish as its fourth call, a play as its second.
    pub(super) fn creating(&mut self) {
        self.connected(&[]);
        self.sent.clear();
    }

    /// A client that has sent `publish` or `play`.
    pub(super) fn starting(options: Options) -> Self {
        let call = if options.purpose == Purpose::Publish { 4.0 } else { 2.0 };
        let mut script = Self::new(options);
        script.creating();
        script.command("_result", call, &[Value::Null, 1.0.into()]);
        script.sent.clear();
        assert_eq!(script.said(), ["Connected"]);
        script.events.clear();
        script
    }

    pub(super) fn publishing() -> Self {
        let mut script = Self::starting(publish());
        script.status("status", "NetStream.Publish.Start");
        assert_eq!(script.said(), ["Started"]);
        script.events.clear();
        script
    }

    pub(super) fn playing() -> Self {
        let mut script = Self::starting(play());
        script.status("status", "NetStream.Play.Start");
        assert_eq!(script.said(), ["Started"]);
        script.events.clear();
        script
    }

    pub(super) fn connected(&mut self, more: &[(String, Value)]) {
        let Value::Object(mut info) = Self::info("status", "NetConnection.Connect.Success") else { panic!() };
        info.extend_from_slice(more);
        let version = vec![("fmsVer".to_owned(), "x".into())];
        self.command("_result", 1.0, &[Value::Object(version), Value::Object(info)]);
    }

    pub(super) fn info(level: &str, code: &str) -> Value {
        let of = |name: &str, value: &str| (name.to_owned(), Value::from(value));
        Value::Object(vec![of("level", level), of("code", code), of("description", "why")])
    }

    pub(super) fn status(&mut self, level: &str, code: &str) {
        self.command("onStatus", 0.0, &[Value::Null, Self::info(level, code)]);
    }

    pub(super) fn command(&mut self, name: &str, transaction: f64, arguments: &[Value]) {
        let mut body = BytesMut::new();
        amf0::string(&mut body, name);
        amf0::number(&mut body, transaction);
        arguments.iter().for_each(|argument| amf0::write(&mut body, argument));
        self.write(3, 0, type_id::COMMAND_AMF0, 0, &body);
    }

    pub(super) fn control(&mut self, type_id: u8, body: &[u8]) {
        self.write(2, 0, type_id, 0, body);
        if type_id == type_id::SET_CHUNK_SIZE
            && let Ok(size) = body.try_into().map(u32::from_be_bytes)
            && size > 0
        {
            self.writer.set_chunk_size(size);
        }
    }

    pub(super) fn media(&mut self, ms: u32, type_id: u8, body: &[u8]) {
        self.write(6, ms, type_id, 1, body);
    }

    fn write(&mut self, csid: u32, ms: u32, type_id: u8, stream: u32, body: &[u8]) {
        let mut out = BytesMut::new();
        self.writer.write(&mut out, csid, ms, type_id, stream, body);
        match &mut self.record {
            Some(record) => record.extend_from_slice(&out),
            None => self.feed(&out),
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while self.error.is_none() && (!bytes.is_empty() || self.session.has_more()) {
            self.error = self.session.handle_input(self.now, &mut bytes).err();
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.read(&bytes),
                Output::Event(event) => self.events.push(event),
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

    fn read(&mut self, mut bytes: &[u8]) {
        while let Some(message) = self.reader.read(&mut bytes).unwrap() {
            self.sent.push_back(message);
        }
    }

    /// The next message that the session has sent.
    pub(super) fn next_message(&mut self) -> Message {
        if self.sent.is_empty()
            && let Output::Transmit(bytes) = self.session.poll_output()
        {
            self.read(&bytes);
        }
        self.message = self.sent.pop_front().expect("a message");
        self.message.clone()
    }

    pub(super) fn next_command(&mut self) -> Vec<Value> {
        self.next_message();
        self.last()
    }

    /// The command that was looked at last.
    pub(super) fn last(&self) -> Vec<Value> {
        assert_eq!(self.message.type_id, type_id::COMMAND_AMF0);
        amf::read_command(&self.message.payload, false).unwrap()
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.events.iter().map(name).collect()
    }

    /// The times of the frames, in ms.
    pub(super) fn times(&self) -> Vec<i64> {
        let ms = |event: &Event| match event {
            Event::Frame { frame, .. } => Some(frame.dts / 1000),
            _ => None,
        };
        self.events.iter().filter_map(ms).collect()
    }
}
