//! A small RTMP client that knows nothing of the library: simple handshake, connect, createStream, publish
//! or play, and a chunk reader; and the server's side of a publish. It does no I/O: bytes in, bytes out.

use std::io;

use super::sys::monotonic_ns;

/// The message types that are media.
pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;

const SET_CHUNK_SIZE: u8 = 1;
const ACKNOWLEDGEMENT: u8 = 3;
const USER_CONTROL: u8 = 4;
const WINDOW_ACK_SIZE: u8 = 5;
const COMMAND: u8 = 20;
const DATA: u8 = 18;

/// The chunk size that publisher, servers and floor send with.
pub(crate) const CHUNK_SIZE: usize = 60_000;

/// The chunk size until another is announced.
const SMALL_CHUNKS: usize = 128;

const APP: &str = "live";
const STREAM: &str = "camera";
const HANDSHAKE: usize = 1536;

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

// ---- chunks ---------------------------------------------------------------------------------------

/// Appends a message, cut into chunks of `chunk_size`, headed by a full header of 12 bytes.
pub(crate) fn write_message(
    out: &mut Vec<u8>,
    (csid, kind, stream_id): (u8, u8, u32),
    timestamp: u32,
    body: &[u8],
    chunk_size: usize,
) {
    out.push(csid);
    out.extend(&timestamp.min(0xff_ffff).to_be_bytes()[1..]);
    out.extend(&(body.len() as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend(stream_id.to_le_bytes());
    for (i, chunk) in body.chunks(chunk_size).enumerate() {
        if i > 0 {
            out.push(0xc0 | csid);
        }
        out.extend(chunk);
    }
}

/// A message of a stream as the publisher sends it, and as the floor hands it on.
pub(crate) fn write_media(out: &mut Vec<u8>, kind: u8, timestamp: u32, body: &[u8]) {
    let csid = if kind == AUDIO { 4 } else { 6 };
    write_message(out, (csid, kind, 1), timestamp, body, CHUNK_SIZE);
}

#[derive(Default, Clone)]
struct ChunkStream {
    length: usize,
    kind: u8,
    extended: bool,
    body: Vec<u8>,
}

/// Puts messages together from chunks.
struct Reader {
    input: Vec<u8>,
    chunk_size: usize,
    streams: Vec<ChunkStream>,
}

impl Reader {
    fn new(chunk_size: usize) -> Self {
        Self { input: Vec::new(), chunk_size, streams: Vec::new() }
    }

    /// Takes bytes in and hands out the messages that they complete.
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(u8, &[u8]) -> io::Result<()>) -> io::Result<()> {
        self.input.extend(bytes);
        let mut at = 0;
        while let Some(used) = self.chunk(at, &mut each)? {
            at += used;
        }
        self.input.drain(..at);
        Ok(())
    }

    /// Reads the chunk at `at`, if it is whole; answers its size.
    fn chunk(
        &mut self,
        at: usize,
        each: &mut impl FnMut(u8, &[u8]) -> io::Result<()>,
    ) -> io::Result<Option<usize>> {
        let input = &self.input[at..];
        let Some(&first) = input.first() else { return Ok(None) };
        let (csid, basic) = match first & 0x3f {
            0 if input.len() >= 2 => (usize::from(input[1]) + 64, 2),
            1 if input.len() >= 3 => (usize::from(input[1]) + usize::from(input[2]) * 256 + 64, 3),
            0 | 1 => return Ok(None),
            n => (usize::from(n), 1),
        };
        let header = [11, 7, 3, 0][usize::from(first >> 6)];
        let Some(fields) = input.get(basic..basic + header) else { return Ok(None) };
        if self.streams.len() <= csid {
            self.streams.resize(csid + 1, ChunkStream::default());
        }
        let stream = &mut self.streams[csid];
        let extended = if header >= 3 { fields[..3] == [0xff; 3] } else { stream.extended };
        let (length, kind) = if header >= 7 {
            (u32::from_be_bytes([0, fields[3], fields[4], fields[5]]) as usize, fields[6])
        } else {
            (stream.length, stream.kind)
        };
        let start = basic + header + if extended { 4 } else { 0 };
        let size = length.saturating_sub(stream.body.len()).min(self.chunk_size);
        let Some(data) = input.get(start..start + size) else { return Ok(None) };
        stream.extended = extended;
        stream.length = length;
        stream.kind = kind;
        stream.body.extend(data);
        if stream.body.len() >= length {
            let body = std::mem::take(&mut stream.body);
            if kind == SET_CHUNK_SIZE {
                self.chunk_size = be32(&body)?.max(1) as usize;
            }
            each(kind, &body)?;
            let stream = &mut self.streams[csid];
            stream.body = body;
            stream.body.clear();
        }
        Ok(Some(start + size))
    }
}

fn be32(body: &[u8]) -> io::Result<u32> {
    let bytes = body.first_chunk::<4>().ok_or_else(|| broken("control message of less than 4 bytes"))?;
    Ok(u32::from_be_bytes(*bytes))
}

// ---- AMF0, as much as is needed -------------------------------------------------------------------

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(2);
    key(out, text);
}

fn key(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, value: f64) {
    out.push(0);
    out.extend(value.to_be_bytes());
}

const NULL: u8 = 5;
const OBJECT: u8 = 3;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: [u8; 3] = [0, 0, 9];

fn command(name: &str, transaction: f64) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, name);
    number(&mut body, transaction);
    body
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The body of the metadata message.
fn metadata() -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, "@setDataFrame");
    string(&mut body, "onMetaData");
    let fields = [
        ("width", 1280.0),
        ("height", 720.0),
        ("framerate", 30.0),
        ("videocodecid", 7.0),
        ("audiocodecid", 10.0),
    ];
    body.push(ECMA_ARRAY);
    body.extend((fields.len() as u32).to_be_bytes());
    for (name, value) in fields {
        key(&mut body, name);
        number(&mut body, value);
    }
    body.extend(OBJECT_END);
    body
}

// ---- the client -----------------------------------------------------------------------------------

/// What a client is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Goal {
    /// Send the stream.
    Publish,
    /// Receive it.
    Play,
    /// Receive it as the server to which a client publishes it.
    Take,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Handshake,
    Connecting,
    Creating,
    Starting,
    Running,
}

/// One client connection.
pub(crate) struct Client {
    goal: Goal,
    port: u16,
    state: State,
    greeting: Vec<u8>,
    reader: Reader,
    /// What has to be sent.
    pub(crate) out: Vec<u8>,
    received: u64,
    acknowledged: u64,
    window: u64,
    /// When the play (or publish) command was written.
    pub(crate) asked_ns: u64,
}

impl Client {
    /// A client whose first bytes are in `out`.
    pub(crate) fn new(goal: Goal, port: u16) -> Self {
        let mut out = vec![3];
        out.extend([0; 8]);
        out.extend((8..HANDSHAKE).map(|i| (i * 7 + i / 251) as u8));
        Self {
            goal,
            port,
            state: State::Handshake,
            greeting: Vec::new(),
            reader: Reader::new(SMALL_CHUNKS),
            out,
            received: 0,
            acknowledged: 0,
            window: 0,
            asked_ns: 0,
        }
    }

    /// A player of the floor, which sends media at once.
    pub(crate) fn of_floor(port: u16) -> Self {
        let reader = Reader::new(CHUNK_SIZE);
        let asked_ns = monotonic_ns();
        Self { state: State::Running, out: Vec::new(), reader, asked_ns, ..Self::new(Goal::Play, port) }
    }

    /// The server's side of a connection from one who publishes.
    pub(crate) fn of_publisher(port: u16) -> Self {
        Self { out: Vec::new(), ..Self::new(Goal::Take, port) }
    }

    /// Whether the server has agreed to the publishing or playing.
    pub(crate) fn running(&self) -> bool {
        self.state == State::Running
    }

    /// Takes in what the server sent; `media` sees each audio and video message.
    pub(crate) fn input(&mut self, mut bytes: &[u8], mut media: impl FnMut(u8, &[u8])) -> io::Result<()> {
        self.count(bytes.len());
        if self.state == State::Handshake {
            let need = 1 + 2 * HANDSHAKE - self.greeting.len();
            let (greeting, rest) = bytes.split_at(need.min(bytes.len()));
            let before = self.greeting.len();
            self.greeting.extend(greeting);
            bytes = rest;
            if self.goal == Goal::Take && (before..self.greeting.len()).contains(&HANDSHAKE) {
                self.welcome();
            }
            if greeting.len() < need {
                return Ok(());
            }
            self.greet()?;
        }
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(0));
        let result = reader.push(bytes, |kind, body| match kind {
            AUDIO | VIDEO => {
                media(kind, body);
                Ok(())
            }
            _ => self.message(kind, body),
        });
        self.reader = reader;
        result
    }

    /// Counts bytes that were received, and acknowledges them as the server wants it.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if self.window > 0 && self.received - self.acknowledged >= self.window / 2 {
            self.acknowledged = self.received;
            let total = (self.received as u32).to_be_bytes();
            write_message(&mut self.out, (2, ACKNOWLEDGEMENT, 0), 0, &total, SMALL_CHUNKS);
        }
    }

    /// Frees what only reading needs.
    pub(crate) fn stop_reading(&mut self) {
        self.reader = Reader::new(0);
        self.greeting = Vec::new();
    }

    fn greet(&mut self) -> io::Result<()> {
        if self.greeting[0] != 3 {
            return Err(broken(format!("handshake of version {}", self.greeting[0])));
        }
        if self.goal == Goal::Take {
            self.greeting = Vec::new();
            self.state = State::Connecting;
            return Ok(());
        }
        self.out.extend(&self.greeting[1..1 + HANDSHAKE]);
        self.greeting = Vec::new();
        // Players leave it at 128, as players do.
        if self.goal == Goal::Publish {
            let size = (CHUNK_SIZE as u32).to_be_bytes();
            write_message(&mut self.out, (2, SET_CHUNK_SIZE, 0), 0, &size, SMALL_CHUNKS);
        }
        let mut body = command("connect", 1.0);
        body.push(OBJECT);
        let url = format!("rtmp://127.0.0.1:{}/{APP}", self.port);
        for (name, value) in [("app", APP), ("flashVer", "LNX 9,0,124,2"), ("tcUrl", &url)] {
            key(&mut body, name);
            string(&mut body, value);
        }
        body.extend(OBJECT_END);
        self.command(&body, 0);
        self.state = State::Connecting;
        Ok(())
    }

    /// What answers C0 and C1: S0, S1 and S2.
    fn welcome(&mut self) {
        self.out.push(3);
        self.out.extend([0; HANDSHAKE]);
        self.out.extend(&self.greeting[1..1 + HANDSHAKE]);
    }

    fn command(&mut self, body: &[u8], stream_id: u32) {
        let chunk_size = if self.goal == Goal::Publish { CHUNK_SIZE } else { SMALL_CHUNKS };
        write_message(&mut self.out, (3, COMMAND, stream_id), 0, body, chunk_size);
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        match kind {
            WINDOW_ACK_SIZE => self.window = u64::from(be32(body)?),
            COMMAND => self.answer(body)?,
            // A ping: 6 asks, 7 answers.
            USER_CONTROL if body.starts_with(&[0, 6]) => {
                let mut pong = body.to_vec();
                pong[1] = 7;
                write_message(&mut self.out, (2, USER_CONTROL, 0), 0, &pong, SMALL_CHUNKS);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets a publisher in, step by step.
    fn let_in(&mut self, body: &[u8]) -> io::Result<()> {
        // A string: its type, its length of two bytes, its text. A number: its type and eight bytes.
        let text = body.get(1..3).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
        let value = body.get(3 + text + 1..).and_then(|rest| rest.first_chunk::<8>());
        let name = body.get(3..3 + text).unwrap_or_default();
        let transaction = f64::from_be_bytes(*value.ok_or_else(|| broken("a command without a number"))?);
        let mut answer = command("_result", transaction);
        answer.push(NULL);
        match name {
            b"connect" => self.command(&answer, 0),
            b"createStream" => {
                number(&mut answer, 1.0);
                self.command(&answer, 0);
            }
            b"publish" => {
                let mut status = command("onStatus", 0.0);
                status.extend([NULL, OBJECT]);
                for (name, value) in [("level", "status"), ("code", "NetStream.Publish.Start")] {
                    key(&mut status, name);
                    string(&mut status, value);
                }
                status.extend(OBJECT_END);
                self.command(&status, 1);
                self.asked_ns = monotonic_ns();
                self.state = State::Running;
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, body: &[u8]) -> io::Result<()> {
        if self.goal == Goal::Take {
            return self.let_in(body);
        }
        if contains(body, "_error") || contains(body, "NetStream.Play.StreamNotFound") {
            return Err(broken(format!("refused while {:?}", self.state)));
        }
        let result = contains(body, "_result");
        match self.state {
            State::Connecting if result => {
                let mut create = command("createStream", 2.0);
                create.push(NULL);
                self.command(&create, 0);
                self.state = State::Creating;
            }
            State::Creating if result => {
                // "_result", the transaction, null, the stream's id
                let id = body.get(10 + 9 + 2..).and_then(|rest| rest.first_chunk::<8>());
                let id = id.ok_or_else(|| broken("createStream was answered without an id"))?;
                self.start(f64::from_be_bytes(*id) as u32);
            }
            State::Starting if contains(body, "NetStream.Play.Start") => self.state = State::Running,
            State::Starting if contains(body, "NetStream.Publish.Start") => {
                let mut data = Vec::new();
                write_message(&mut data, (4, DATA, 1), 0, &metadata(), CHUNK_SIZE);
                self.out.extend(data);
                self.state = State::Running;
            }
            State::Starting if contains(body, "error") => return Err(broken("refused to start")),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, stream_id: u32) {
        let publish = self.goal == Goal::Publish;
        let mut body = command(if publish { "publish" } else { "play" }, 3.0);
        body.push(NULL);
        string(&mut body, STREAM);
        if publish {
            string(&mut body, APP);
        } else {
            // live, or recorded where there is none
            number(&mut body, -2000.0);
        }
        self.command(&body, stream_id);
        if !publish {
            // SetBufferLength: 100 ms
            let mut buffer = vec![0, 3];
            buffer.extend(stream_id.to_be_bytes());
            buffer.extend(100u32.to_be_bytes());
            write_message(&mut self.out, (2, USER_CONTROL, 0), 0, &buffer, SMALL_CHUNKS);
        }
        self.asked_ns = monotonic_ns();
        self.state = State::Starting;
    }
}
