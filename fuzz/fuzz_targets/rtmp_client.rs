//! A whole client's session under a virtual clock. The input begins with how the rest is cut, what the
//! rest is, what the client is for, and how the clock goes.

#![no_main]

use std::time::Duration;

use bytes::{Buf, BytesMut};
use camrill::amf;
use camrill::flv::{self, Hevc};
use camrill::media::{Codec, Frame, Kind, Role};
use camrill::rtmp::chunk::{ChunkReader, ChunkWriter};
use camrill::rtmp::client::{Ended, Error, Event, Handshake, Options, Output, Purpose, Session};
use camrill::rtmp::message::type_id;
use camrill::rtmp::url::RtmpUrl;
use camrill::time::Time;
use camrill::wire::limits;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

/// S0, S1 and S2; C0, C1 and C2.
const HANDSHAKE: usize = 1 + 2 * 1536;
/// No input of a few KB brings more than this.
const OUTPUTS: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    let [how, what, purpose, clock, rest @ ..] = data else { return };
    let bytes = match what % 3 {
        // All of it as it comes.
        0 => rest.to_vec(),
        // Chunks, after a handshake.
        1 => [&handshake()[..], rest].concat(),
        // Messages, which are cut into chunks.
        _ => [&handshake()[..], &messages(rest)[..]].concat(),
    };
    let cut = Host::run(*how, *purpose, *clock, &bytes);
    if *clock == 0 {
        // How it is cut changes nothing. Acknowledgements may go out at other places.
        assert_eq!(cut, Host::run(0, *purpose, 0, &bytes));
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
        let (body, tail) = rest.split_at(len.min(rest.len()));
        rest = tail;
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

fn options(purpose: u8) -> Options {
    let role = if purpose & 1 == 0 { Purpose::Play } else { Purpose::Publish };
    let url = if purpose & 2 == 0 { "rtmp://h/live/a?k=v" } else { "rtmp://u:p@h:19/live?vhost=b/a?k=v" };
    let mut options = Options::new(role, RtmpUrl::parse(url).expect("a URL"));
    options.handshake = if purpose & 4 == 0 { Handshake::Auto } else { Handshake::Simple };
    options.hevc = if purpose & 8 == 0 { Hevc::Enhanced } else { Hevc::Legacy };
    options.idle = (purpose & 16 == 0).then_some(Duration::from_secs(5));
    options.start_ms = if purpose & 32 == 0 { -2000 } else { -1000 };
    options
}

struct Host {
    session: Session,
    now: Time,
    plays: bool,
    connected: bool,
    started: bool,
    /// What closes the connection was said.
    last: bool,
    events: Vec<String>,
    sent: Vec<u8>,
    closed: bool,
}

impl Host {
    fn run(how: u8, purpose: u8, clock: u8, bytes: &[u8]) -> (Vec<String>, Option<Error>) {
        let mut host = Host {
            session: Session::new(Time::ZERO, 7, options(purpose)),
            now: Time::ZERO,
            plays: purpose & 1 == 0,
            connected: false,
            started: false,
            last: false,
            events: Vec::new(),
            sent: Vec::new(),
            closed: false,
        };
        host.drain();
        assert_eq!(host.sent.len(), 1 + 1536);
        let mut error = host.input(how, clock, bytes).err();
        if error.is_none() && !host.closed {
            // In the end nothing comes any more.
            error = host.silence().err();
        }
        if error.is_none() {
            host.session.finish();
            host.drain();
            assert!(host.closed);
        }
        host.answers();
        (host.events, error)
    }

    fn input(&mut self, how: u8, clock: u8, bytes: &[u8]) -> Result<(), Error> {
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
                let progress = self.drain();
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

    /// Takes out what there is. Says whether there was an event.
    fn drain(&mut self) -> bool {
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
                    return progress;
                }
                Output::Timeout(at) => {
                    assert_eq!(at, self.session.timeout());
                    assert!(!self.last);
                    return progress;
                }
            }
        }
        panic!("the session never comes to an end");
    }

    fn event(&mut self, event: Event) {
        assert!(!self.last, "nothing comes after the end");
        match event {
            Event::Connected(capabilities) => {
                assert!(!std::mem::replace(&mut self.connected, true));
                assert!(capabilities.fourccs.len() <= limits::RTMP_FOURCCS);
                assert!(capabilities.version.len() <= limits::RTMP_STATUS_BYTES);
            }
            Event::Started => {
                assert!(self.connected && !std::mem::replace(&mut self.started, true));
                assert_ne!(self.session.message_stream(), 0);
                self.publish();
            }
            Event::Frame { frame, .. } => {
                assert!(self.started && self.plays);
                for form in [Hevc::Legacy, Hevc::Enhanced] {
                    if frame.kind == Kind::Video
                        && let Some(body) = flv::body_as(&frame, form)
                    {
                        let again =
                            flv::frame(frame.kind, frame.dts, body.bytes()).expect("a frame that was written");
                        assert!(frame.role != Role::Key || again.role == Role::Key);
                    }
                }
            }
            Event::Bad { .. } => assert!(self.started && self.plays),
            Event::Redirect { url, goes_on } => {
                assert!(!url.host.is_empty() && url.stream.len() <= limits::NAME_BYTES);
                self.last = !goes_on;
            }
            Event::Authenticate(auth) => {
                assert!(!self.started);
                assert!(format!("{auth:?}").len() < 4 * limits::RTMP_AUTH_BYTES);
                self.last = true;
            }
            Event::Ended(how) => self.last = how == Ended::Closed,
        }
    }

    fn publish(&mut self) {
        let (kind, codec, role, dts) = (Kind::Video, Codec::H265, Role::Key, -5);
        let payload = b"nal".as_slice().into();
        let frame = Frame { kind, codec, role, dts, pts: i64::MAX, payload, relay: Default::default() };
        self.session.frame(&frame);
    }

    /// What was sent is a handshake and messages that a server can read.
    fn answers(&self) {
        let Some(mut chunks) = self.sent.get(HANDSHAKE..) else { return };
        let mut reader = ChunkReader::new();
        while let Some(message) = reader.read(&mut chunks).expect("chunks that were written") {
            if message.type_id == type_id::COMMAND_AMF0 {
                let values = amf::read_command(&message.payload, false).expect("a command that was written");
                assert!(values[0].as_str().is_some());
            }
        }
        assert_eq!(reader.partial_bytes(), 0);
    }

    /// The clock goes on until the session ends, unless it may go on for ever.
    fn silence(&mut self) -> Result<(), Error> {
        let Some(at) = self.session.timeout() else {
            assert!(self.started);
            return Ok(());
        };
        if at > self.now {
            self.session.handle_timeout(at - Duration::from_micros(1))?;
        }
        let result = self.session.handle_timeout(at);
        assert!(matches!(result, Err(Error::Timeout { .. })));
        result
    }
}
