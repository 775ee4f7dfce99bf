//! A peer in memory, with the host that answers for the session.

use super::*;

/// A peer, and the host that answers for the session.
pub(super) struct Peer {
    pub(super) session: Session,
    writer: ChunkWriter,
    reader: ChunkReader,
    pub(super) now: Time,
    pub(super) options: ConnectOptions,
    /// Whether the host says yes at once.
    pub(super) allows: bool,
    /// Input that waits for the host's word.
    pub(super) held: Vec<u8>,
    pub(super) events: Vec<Event>,
    pub(super) answers: Vec<Message>,
    pub(super) closed: bool,
    pub(super) error: Option<SessionError>,
    pub(super) transaction: f64,
}

impl Peer {
    /// A peer that has sent nothing.
    pub(super) fn silent() -> Self {
        Self {
            session: Session::new(Time::ZERO, 7, HANDSHAKE),
            writer: ChunkWriter::new(),
            reader: ChunkReader::new(),
            now: Time::ZERO,
            options: OPTIONS,
            allows: true,
            held: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            closed: false,
            error: None,
            transaction: 0.0,
        }
    }

    /// A peer whose handshake is done.
    pub(super) fn new() -> Self {
        let mut peer = Self::silent();
        let mut client = ClientHandshake::new(3, false);
        let mut out = BytesMut::new();
        client.start(&mut out);
        peer.feed_handshake(&out, &mut client);
        peer
    }

    pub(super) fn feed_handshake(&mut self, c0c1: &[u8], client: &mut ClientHandshake) {
        let mut input = c0c1;
        self.session.handle_input(self.now, &mut input).unwrap();
        let Output::Transmit(answer) = self.session.poll_output() else { panic!("no S0 S1 S2") };
        let mut c2 = BytesMut::new();
        assert!(client.handle_input(&mut answer.as_ref(), &mut c2).unwrap());
        self.feed(&c2);
    }

    /// A peer that has connected to `live`.
    pub(super) fn connected() -> Self {
        let mut peer = Self::new();
        peer.connect(&[]);
        assert_eq!(peer.codes(), ["NetConnection.Connect.Success"]);
        peer.answers.clear();
        peer.events.clear();
        peer
    }

    /// A peer that publishes `live/a` on message stream 1.
    pub(super) fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.command(0, "createStream", &[Value::Null]);
        peer.command(1, "publish", &[Value::Null, "a".into(), "live".into()]);
        assert!(matches!(peer.events.as_slice(), [Event::Publish(_)]));
        peer.answers.clear();
        peer.events.clear();
        peer
    }

    /// A peer that plays `live/a` on message stream 1.
    pub(super) fn playing() -> Self {
        let mut peer = Self::connected();
        peer.command(0, "createStream", &[Value::Null]);
        peer.command(1, "play", &[Value::Null, "a".into()]);
        assert!(matches!(peer.events.as_slice(), [Event::Play(_)]));
        peer.answers.clear();
        peer.events.clear();
        peer
    }

    pub(super) fn connect(&mut self, more: &[(&str, Value)]) {
        let mut object: Vec<(String, Value)> = vec![
            ("app".into(), "live".into()),
            ("flashVer".into(), "FMLE/3.0".into()),
            ("tcUrl".into(), "rtmp://example.com/live".into()),
            ("pageUrl".into(), "http://example.com/page".into()),
        ];
        object.extend(more.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
        self.command(0, "connect", &[Value::Object(object)]);
    }

    pub(super) fn command(&mut self, stream: u32, name: &str, arguments: &[Value]) -> f64 {
        self.transaction += 1.0;
        let body = command(name, self.transaction, arguments);
        self.message(3, 0, type_id::COMMAND_AMF0, stream, &body);
        self.transaction
    }

    pub(super) fn message(&mut self, csid: u32, ts: u32, type_id: u8, stream: u32, body: &[u8]) {
        let mut out = BytesMut::new();
        self.writer.write(&mut out, csid, ts, type_id, stream, body);
        self.feed(&out);
    }

    pub(super) fn media(&mut self, ts: u32, type_id: u8, body: &[u8]) {
        self.message(6, ts, type_id, 1, body);
    }

    /// Gives the session bytes, as the engine does.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut input = held.as_slice();
        while self.error.is_none() && !self.closed {
            let result = self.session.handle_input(self.now, &mut input);
            self.drain();
            self.error = result.err();
            if self.session.is_waiting() || (input.is_empty() && !self.session.has_more()) {
                break;
            }
        }
        self.held = input.to_vec();
    }

    pub(super) fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => {
                    let mut input = bytes.as_ref();
                    while let Some(message) = self.reader.read(&mut input).unwrap() {
                        self.answers.push(message);
                    }
                }
                Output::Event(event) => {
                    if self.allows {
                        self.allow(&event);
                    }
                    self.events.push(event);
                }
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

    pub(super) fn allow(&mut self, event: &Event) {
        match event {
            Event::Connect(_) => self.session.accept_connect(self.now, &self.options),
            Event::Publish(_) => self.session.accept_publish(self.now, PUBLISH),
            Event::Play(_) => self.session.accept_play(),
            _ => {}
        }
    }

    /// Time goes on; whether the session's deadline came by then.
    pub(super) fn pass(&mut self, time: Duration) -> Option<String> {
        self.now = self.now + time;
        self.session.handle_timeout(self.now).err().map(|e| e.to_string())
    }

    /// The commands that came: name, transaction and all values.
    pub(super) fn commands(&self) -> Vec<Vec<Value>> {
        let commands = self.answers.iter().filter(|m| m.type_id == type_id::COMMAND_AMF0);
        commands.map(|m| amf::read_command(&m.payload, false).unwrap()).collect()
    }

    /// The names of the commands with their transactions, and `id` for what a result carries.
    pub(super) fn said(&self) -> Vec<(String, f64)> {
        let of = |v: Vec<Value>| (v[0].as_str().unwrap().to_owned(), v[1].as_f64().unwrap());
        self.commands().into_iter().map(of).collect()
    }

    /// The codes of all answers that carry one.
    pub(super) fn codes(&self) -> Vec<String> {
        let code = |v: &Vec<Value>| {
            v.iter().find_map(|v| v.property("code")).and_then(Value::as_str).map(str::to_owned)
        };
        self.commands().iter().filter_map(code).collect()
    }

    /// Type, message stream and payload of the control messages that came.
    pub(super) fn controls(&self) -> Vec<(u8, Vec<u8>)> {
        let controls = self.answers.iter().filter(|m| m.type_id <= 6);
        controls.map(|m| (m.type_id, m.payload.to_vec())).collect()
    }

    /// Kind, role and dts in ms of the frames that came.
    pub(super) fn frames(&self) -> Vec<(Kind, Role, i64)> {
        let frame = |e: &Event| match e {
            Event::Frame { frame, .. } => Some((frame.kind, frame.role, frame.dts / 1000)),
            _ => None,
        };
        self.events.iter().filter_map(frame).collect()
    }
}
