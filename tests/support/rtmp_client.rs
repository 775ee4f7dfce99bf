//! A small RTMP client on a blocking socket, built from camrill's own pure parts. It does what it is told,
//! also what no honest client does.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use camrill::amf::{self, Value, amf0};
use camrill::rtmp::chunk::{ChunkReader, ChunkWriter};
use camrill::rtmp::handshake::{ClientHandshake, ServerHandshake};
use camrill::rtmp::message::{Message, type_id, user_control};

use super::PATIENCE;

/// Media as it stands in a message: type, timestamp in ms, body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Media(pub(crate) u8, pub(crate) u32, pub(crate) Bytes);

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = self.2.get(..self.2.len().min(10)).unwrap_or_default();
        write!(f, "Media({}, {} ms, {} bytes {head:02x?})", self.0, self.1, self.2.len())
    }
}

impl Media {
    /// An H.264 sequence header; `n` tells it from others.
    pub(crate) fn video_header(ts: u32, n: u8) -> Self {
        Self(type_id::VIDEO, ts, vec![0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe0, 0, n].into())
    }

    /// A keyframe of about `size` bytes.
    pub(crate) fn key(ts: u32, size: usize) -> Self {
        Self(type_id::VIDEO, ts, filled(&[0x17, 1, 0, 0, 0], ts, size))
    }

    /// A frame that needs others.
    pub(crate) fn delta(ts: u32, size: usize) -> Self {
        Self(type_id::VIDEO, ts, filled(&[0x27, 1, 0, 0, 0], ts, size))
    }

    pub(crate) fn audio_header(ts: u32) -> Self {
        Self(type_id::AUDIO, ts, Bytes::from_static(&[0xaf, 0, 0x12, 0x10]))
    }

    pub(crate) fn audio(ts: u32) -> Self {
        Self(type_id::AUDIO, ts, filled(&[0xaf, 1], ts, 40))
    }

    /// Metadata as a publisher sends it.
    pub(crate) fn metadata(entries: &[(&str, Value)]) -> Self {
        let mut out = BytesMut::new();
        amf0::string(&mut out, "@setDataFrame");
        out.extend_from_slice(&metadata(entries));
        Self(type_id::DATA_AMF0, 0, out.freeze())
    }

    /// The same frame as players get it, at another time.
    pub(crate) fn at(&self, ts: u32) -> Self {
        Self(self.0, ts, self.2.clone())
    }

    pub(crate) fn is_key(&self) -> bool {
        self.0 == type_id::VIDEO && self.2.starts_with(&[0x17, 1])
    }

    pub(crate) fn is_video_header(&self) -> bool {
        self.0 == type_id::VIDEO && self.2.starts_with(&[0x17, 0])
    }

    pub(crate) fn is_video(&self) -> bool {
        self.0 == type_id::VIDEO
    }
}

/// Metadata as players get it.
pub(crate) fn metadata(entries: &[(&str, Value)]) -> Bytes {
    let mut out = BytesMut::new();
    amf0::string(&mut out, "onMetaData");
    let entries: Vec<_> = entries.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    amf0::ecma_array(&mut out, &entries);
    out.freeze()
}

fn filled(head: &[u8], ts: u32, size: usize) -> Bytes {
    let mut body = head.to_vec();
    body.extend_from_slice(&ts.to_be_bytes());
    body.resize(body.len().max(size), ts as u8);
    body.into()
}

/// One connection to the server; or, in [`super::rtmp_server`], one from a client.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) writer: ChunkWriter,
    reader: ChunkReader,
    waiting: VecDeque<Message>,
    transaction: f64,
}

impl Client {
    /// A connection whose handshake is done.
    pub(crate) fn open(server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).expect("the server takes connections");
        Self::handshake(socket)
    }

    /// Does the handshake on a socket that has sent nothing yet.
    pub(crate) fn handshake(mut socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a socket option");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        let mut handshake = ClientHandshake::new(1, false);
        let mut out = BytesMut::new();
        handshake.start(&mut out);
        socket.write_all(&out).expect("C0 and C1 go out");
        out.clear();
        let mut answer = vec![0; 1 + 2 * 1536];
        socket.read_exact(&mut answer).expect("S0, S1 and S2 come");
        let mut input = answer.as_slice();
        assert!(handshake.handle_input(&mut input, &mut out).expect("a handshake"));
        socket.write_all(&out).expect("C2 goes out");
        let (writer, reader) = (ChunkWriter::new(), ChunkReader::new());
        Self { socket, writer, reader, waiting: VecDeque::new(), transaction: 0.0 }
    }

    /// The server's side of a socket on which a client begins.
    pub(crate) fn taken(mut socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a socket option");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        let mut handshake = ServerHandshake::new(1);
        let mut out = BytesMut::new();
        let mut buffer = [0; 2048];
        loop {
            let n = socket.read(&mut buffer).expect("C0, C1 and C2 come");
            assert!(n > 0, "the client has gone within its handshake");
            let mut input = &buffer[..n];
            let done = handshake.handle_input(&mut input, &mut out).expect("a handshake");
            socket.write_all(&out.split()).expect("S0, S1 and S2 go out");
            if done {
                let (writer, mut reader, mut waiting) =
                    (ChunkWriter::new(), ChunkReader::new(), VecDeque::new());
                while let Some(message) = reader.read(&mut input).expect("sound chunks") {
                    waiting.push_back(message);
                }
                return Self { socket, writer, reader, waiting, transaction: 0.0 };
            }
        }
    }

    /// A connection to `app` of a vhost: the connect command is answered well.
    #[track_caller]
    pub(crate) fn connect_to(server: SocketAddr, vhost: &str, app: &str) -> Self {
        let mut client = Self::open(server);
        let info = client.connect_command(vhost, app).expect("an answer to connect");
        assert_eq!(code(&info), "NetConnection.Connect.Success");
        client
    }

    /// The answer to a connect command; `None` if the connection ended instead.
    pub(crate) fn connect_command(&mut self, vhost: &str, app: &str) -> Option<Vec<Value>> {
        let object = Value::Object(vec![
            ("app".into(), app.into()),
            ("flashVer".into(), "test".into()),
            ("tcUrl".into(), format!("rtmp://{vhost}/{app}").into()),
        ]);
        self.call(0, "connect", &[object])
    }

    pub(crate) fn connect(server: SocketAddr, app: &str) -> Self {
        Self::connect_to(server, "127.0.0.1", app)
    }

    /// A publisher that has been let in.
    #[track_caller]
    pub(crate) fn publish(server: SocketAddr, app: &str, stream: &str) -> Self {
        let mut client = Self::connect(server, app);
        assert_eq!(client.publish_as(stream).as_deref(), Some("NetStream.Publish.Start"));
        client
    }

    /// A player that has been let in.
    #[track_caller]
    pub(crate) fn play(server: SocketAddr, app: &str, stream: &str) -> Self {
        let mut client = Self::connect(server, app);
        assert_eq!(client.play_as(stream).as_deref(), Some("NetStream.Play.Start"));
        client
    }

    /// Creates a message stream, publishes on it, and answers what the server says.
    pub(crate) fn publish_as(&mut self, stream: &str) -> Option<String> {
        let id = self.create_stream()?;
        self.command(id, "publish", &[Value::Null, stream.into(), "live".into()]);
        self.status()
    }

    /// Creates a message stream, plays on it, and answers what the server says in the end.
    pub(crate) fn play_as(&mut self, stream: &str) -> Option<String> {
        let id = self.create_stream()?;
        self.command(id, "play", &[Value::Null, stream.into()]);
        let status = self.status()?;
        if status == "NetStream.Play.Reset" { self.status() } else { Some(status) }
    }

    pub(crate) fn create_stream(&mut self) -> Option<u32> {
        let answer = self.call(0, "createStream", &[Value::Null])?;
        Some(answer.get(3).and_then(Value::as_f64).expect("a message stream's id") as u32)
    }

    /// Sends a command and waits for its `_result` or `_error`.
    pub(crate) fn call(&mut self, stream: u32, name: &str, arguments: &[Value]) -> Option<Vec<Value>> {
        self.command(stream, name, arguments);
        let transaction = Value::Number(self.transaction);
        loop {
            let values = self.command_from_server()?;
            if values.get(1) == Some(&transaction) && matches!(values[0].as_str(), Some("_result" | "_error"))
            {
                return Some(values);
            }
        }
    }

    /// Sends a command.
    pub(crate) fn command(&mut self, stream: u32, name: &str, arguments: &[Value]) {
        self.transaction += 1.0;
        let body = command(name, self.transaction, arguments);
        self.message(3, 0, type_id::COMMAND_AMF0, stream, &body);
    }

    /// Sends one message.
    pub(crate) fn message(&mut self, csid: u32, ts: u32, type_id: u8, stream: u32, payload: &[u8]) {
        let mut out = BytesMut::new();
        self.writer.write(&mut out, csid, ts, type_id, stream, payload);
        self.raw(&out);
    }

    /// Sends one message and says whether the socket took it.
    pub(crate) fn try_message(&mut self, csid: u32, ts: u32, type_id: u8, stream: u32, body: &[u8]) -> bool {
        let mut out = BytesMut::new();
        self.writer.write(&mut out, csid, ts, type_id, stream, body);
        self.socket.write_all(&out).is_ok()
    }

    /// Sends media on message stream 1.
    pub(crate) fn send(&mut self, media: &Media) {
        let csid = if media.0 == type_id::VIDEO { 6 } else { 4 };
        self.message(csid, media.1, media.0, 1, &media.2);
    }

    pub(crate) fn send_all<'a>(&mut self, media: impl IntoIterator<Item = &'a Media>) {
        for media in media {
            self.send(media);
        }
    }

    pub(crate) fn set_chunk_size(&mut self, size: u32) {
        self.message(2, 0, type_id::SET_CHUNK_SIZE, 0, &size.to_be_bytes());
        self.writer.set_chunk_size(size);
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server takes what is sent");
    }

    /// The next message; `None` when the server has closed.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Option<Message> {
        self.receive_within(PATIENCE).expect("a message in time")
    }

    /// The next message: `Some(None)` when the server has closed, `None` when nothing came in time.
    pub(crate) fn receive_within(&mut self, patience: Duration) -> Option<Option<Message>> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(Some(message));
            }
            self.socket.set_read_timeout(Some(patience)).expect("a socket option");
            let mut buffer = [0; 16 * 1024];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Some(None),
                Ok(n) => {
                    let mut input = &buffer[..n];
                    while let Some(message) = self.reader.read(&mut input).expect("sound chunks") {
                        self.waiting.push_back(message);
                    }
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(_) => return Some(None),
            }
        }
    }

    /// The next command of the server's.
    #[track_caller]
    pub(crate) fn command_from_server(&mut self) -> Option<Vec<Value>> {
        loop {
            let message = self.receive()?;
            if message.type_id == type_id::COMMAND_AMF0 {
                return Some(amf::read_command(&message.payload, false).expect("a command"));
            }
        }
    }

    /// The code of the next onStatus, or of the error that comes instead.
    #[track_caller]
    pub(crate) fn status(&mut self) -> Option<String> {
        loop {
            let values = self.command_from_server()?;
            if matches!(values[0].as_str(), Some("onStatus" | "_error")) {
                return Some(code(&values));
            }
        }
    }

    /// The next audio, video or metadata message; `None` when the server has closed. The messages that
    /// go before a play's frames are passed over.
    #[track_caller]
    pub(crate) fn media(&mut self) -> Option<Media> {
        loop {
            let message = self.receive()?;
            if let Some(media) = as_media(message) {
                return Some(media);
            }
        }
    }

    /// The next `n` of them.
    #[track_caller]
    pub(crate) fn medias(&mut self, n: usize) -> Vec<Media> {
        let mut all = Vec::new();
        for _ in 0..n {
            all.push(self.media().unwrap_or_else(|| panic!("closed after {all:?}")));
        }
        all
    }

    /// Media up to and with the one that has this timestamp and kind.
    #[track_caller]
    pub(crate) fn until(&mut self, last: &Media) -> Vec<Media> {
        let mut all = Vec::new();
        loop {
            let media = self.media().unwrap_or_else(|| panic!("closed before {last:?} came, after {all:?}"));
            let done = media == *last;
            all.push(media);
            if done {
                return all;
            }
        }
    }

    /// Waits until the server has handled all that was sent, by a ping.
    #[track_caller]
    pub(crate) fn sync(&mut self) {
        let mut body = user_control::PING_REQUEST.to_be_bytes().to_vec();
        body.extend_from_slice(&77u32.to_be_bytes());
        self.message(2, 0, type_id::USER_CONTROL, 0, &body);
        let mut aside = VecDeque::new();
        loop {
            let message = self.receive().expect("the answer to a ping");
            if message.type_id == type_id::USER_CONTROL
                && message.payload.starts_with(&user_control::PING_RESPONSE.to_be_bytes())
            {
                break;
            }
            aside.push_back(message);
        }
        aside.append(&mut self.waiting);
        self.waiting = aside;
    }

    /// Reads on until the server closes.
    #[track_caller]
    pub(crate) fn wait_closed(&mut self) {
        while self.receive().is_some() {}
    }

    /// The bare socket, to read as it is.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Says goodbye and waits until the server has seen it.
    pub(crate) fn close(mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
        self.wait_closed();
    }
}

fn as_media(message: Message) -> Option<Media> {
    let is_media = match message.type_id {
        type_id::AUDIO | type_id::VIDEO => true,
        type_id::DATA_AMF0 => {
            // What is said of the play itself is not the stream's.
            let own: [&[u8]; 2] = [b"\x02\x00\x11|RtmpSampleAccess", b"\x02\x00\x08onStatus"];
            !own.iter().any(|begin| message.payload.starts_with(begin))
        }
        _ => false,
    };
    is_media.then_some(Media(message.type_id, message.timestamp, message.payload))
}

/// A command's body.
pub(crate) fn command(name: &str, transaction: f64, arguments: &[Value]) -> Bytes {
    let mut body = BytesMut::new();
    amf0::string(&mut body, name);
    amf0::number(&mut body, transaction);
    for argument in arguments {
        amf0::write(&mut body, argument);
    }
    body.freeze()
}

/// The code that an answer's last object carries.
pub(crate) fn code(values: &[Value]) -> String {
    let code = values.iter().rev().find_map(|value| value.property("code"));
    code.and_then(Value::as_str).unwrap_or_default().to_owned()
}
