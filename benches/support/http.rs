//! Small HTTP clients that know nothing of the library: enough of heads to find the bodies, and of FLV and
//! of MP4 over WebSocket to find the frames. They do no I/O: bytes in, bytes out.

use std::io;

use super::rtmp::{AUDIO, VIDEO};
use super::sys::monotonic_ns;

/// The longest head of an answer.
const HEAD_MAX: usize = 16 * 1024;
/// FLV's own header, and the size of the tag before the first.
const FLV_HEADER: usize = 13;
/// A tag's header, and the size behind it.
const TAG_HEADER: usize = 11;
const TAG_TAIL: usize = 4;

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// An answer's head, as much of it as is needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes that it takes up, the empty line included.
    pub(crate) size: usize,
    pub(crate) status: u16,
    pub(crate) content_length: Option<usize>,
}

impl Head {
    /// The head at the front of `bytes`; `None` until it is whole.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() > HEAD_MAX { Err(broken("a head without end")) } else { Ok(None) };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| broken("a head that is no text"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let status = status.ok_or_else(|| broken("no HTTP/1.1 answer"))?;
        Ok(Some(Self { size: end + 4, status, content_length: length }))
    }
}

/// What a player plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// FLV as the body of an answer.
    Flv,
    /// Fragmented MP4 as WebSocket messages.
    WebSocketMp4,
}

/// One player's connection.
pub(crate) struct Client {
    format: Format,
    /// Bytes before the first tag or message that are still to come; `None` before the head is whole.
    ahead: Option<usize>,
    input: Vec<u8>,
    body: Vec<u8>,
    /// What has to be sent.
    pub(crate) out: Vec<u8>,
    /// When the request was written.
    pub(crate) asked_ns: u64,
}

impl Client {
    /// A client whose request is in `out`.
    pub(crate) fn new(format: Format, port: u16) -> Self {
        let (path, more) = match format {
            Format::Flv => ("/live/camera.flv", ""),
            Format::WebSocketMp4 => (
                "/live/camera.mp4",
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ),
        };
        let out = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n").into_bytes();
        let (input, body, asked_ns) = (Vec::new(), Vec::new(), monotonic_ns());
        Self { format, ahead: None, input, body, out, asked_ns }
    }

    /// Takes in what the server sent; `media` sees each audio and video frame as the body of an FLV tag.
    pub(crate) fn input(&mut self, bytes: &[u8], mut media: impl FnMut(u8, &[u8])) -> io::Result<()> {
        self.input.extend(bytes);
        let mut at = 0;
        if self.ahead.is_none() {
            let Some(head) = Head::parse(&self.input)? else { return Ok(()) };
            let (wanted, ahead) = match self.format {
                Format::Flv => (200, FLV_HEADER),
                Format::WebSocketMp4 => (101, 0),
            };
            if head.status != wanted {
                return Err(broken(format!("answered with {}", head.status)));
            }
            at = head.size;
            self.ahead = Some(ahead);
        }
        let ahead = self.ahead.unwrap_or(0).min(self.input.len() - at);
        at += ahead;
        self.ahead = self.ahead.map(|left| left - ahead);
        while let Some(used) = match self.format {
            Format::Flv => tag(&self.input[at..], &mut media),
            Format::WebSocketMp4 => message(&self.input[at..], &mut self.body, &mut media),
        } {
            at += used;
        }
        self.input.drain(..at);
        Ok(())
    }

    /// Frees what only reading needs.
    pub(crate) fn stop_reading(&mut self) {
        self.input = Vec::new();
        self.body = Vec::new();
    }
}

/// The tag at the front; answers its size if it is whole.
fn tag(input: &[u8], media: &mut impl FnMut(u8, &[u8])) -> Option<usize> {
    let header = input.get(..TAG_HEADER)?;
    let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    let body = input.get(TAG_HEADER..TAG_HEADER + size)?;
    input.get(TAG_HEADER + size..TAG_HEADER + size + TAG_TAIL)?;
    if matches!(header[0], AUDIO | VIDEO) {
        media(header[0], body);
    }
    Some(TAG_HEADER + size + TAG_TAIL)
}

/// The WebSocket message at the front; answers its size if it is whole. What is in an `mdat` is one frame.
fn message(input: &[u8], body: &mut Vec<u8>, media: &mut impl FnMut(u8, &[u8])) -> Option<usize> {
    let (start, size) = match *input.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize),
        short => (2, usize::from(short)),
    };
    let mut rest = input.get(start..start + size)?;
    while let Some(length) = rest.first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some(inner) = rest.get(8..length) else { break };
        if &rest[4..8] == b"mdat" {
            // As the publisher had put it: slices with a length of four bytes before, or else audio.
            let is_video = inner
                .get(5..8)
                .is_some_and(|slice| slice == [0x88, 0x84, 0x21] || slice == [0x9a, 0x24, 0x6c]);
            let is_key = inner.get(4) == Some(&0x65);
            body.clear();
            body.extend(if is_key { [0x17, 1, 0, 0, 0] } else { [0x27, 1, 0, 0, 0] });
            body.extend(inner);
            media(if is_video { VIDEO } else { AUDIO }, body);
        }
        rest = &rest[length..];
    }
    Some(start + size)
}
