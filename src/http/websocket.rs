//! WebSocket (RFC 6455): a client's frames put together to messages, and the heads of a server's frames.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use sha1_smol::Sha1;
use smallvec::SmallVec;

/// What is added to a key before it is hashed (1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The longest payload of a control frame, in bytes (5.5).
pub const CONTROL_BYTES: usize = 125;

/// Codes of a close frame (7.4.1).
pub mod close {
    /// All is done.
    pub const NORMAL: u16 = 1000;
    /// The server stops, or the stream has ended.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A text was not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// What the peer does is not allowed.
    pub const POLICY: u16 = 1008;
    /// A message was too long.
    pub const TOO_BIG: u16 = 1009;
}

/// What `Sec-WebSocket-Accept` answers to `Sec-WebSocket-Key` (4.2.2).
pub fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.digest().bytes())
}

/// What a server's frame is (5.2). Its messages are never fragmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A message of UTF-8.
    Text = 1,
    /// A message of bytes.
    Binary = 2,
    /// The last frame.
    Close = 8,
    /// To be answered with a pong.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

/// What stands before the payload of a server's frame of `len` bytes: at most 10 bytes.
pub fn head(opcode: Opcode, len: usize) -> SmallVec<[u8; 10]> {
    const FIN: u8 = 0x80;
    let mut out = SmallVec::new();
    out.push(FIN | opcode as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=125), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out
}

/// A message of the client, or one of its control frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// A ping, at most [`CONTROL_BYTES`]; the pong carries the same.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The last frame, with its code, if it has one. The reason that may follow it is left out.
    Close(Option<u16>),
}

/// What the client did that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The code of the close frame that answers it, one of [`close`].
    pub code: u16,
    /// What it was.
    pub what: &'static str,
}

impl Violation {
    const fn protocol(what: &'static str) -> Self {
        Self { code: close::PROTOCOL, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.code)
    }
}

impl std::error::Error for Violation {}

/// Puts a client's frames together.
#[derive(Debug)]
pub struct Decoder {
    /// The head of a frame as far as it has come.
    head: SmallVec<[u8; 14]>,
    frame: Option<Frame>,
    /// The message that has begun, and whether it is a text.
    message: BytesMut,
    is_text: Option<bool>,
    control: BytesMut,
    limit: usize,
}

/// A frame whose head is whole.
#[derive(Debug, Clone, Copy)]
struct Frame {
    is_final: bool,
    opcode: u8,
    /// Bytes of its payload that are missing.
    missing: usize,
    /// The mask, its first byte for the next byte of the payload.
    mask: [u8; 4],
}

impl Frame {
    fn is_control(&self) -> bool {
        self.opcode >= Opcode::Close as u8
    }
}

impl Decoder {
    /// Takes messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            head: SmallVec::new(),
            frame: None,
            message: BytesMut::new(),
            is_text: None,
            control: BytesMut::new(),
            limit,
        }
    }

    /// Takes input up to the end of the next message or control frame. `None` if it is not there yet: all of
    /// the input is taken then. After an error nothing more can be read.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        loop {
            let frame = match &mut self.frame {
                Some(frame) => frame,
                None => match self.read_head(input)? {
                    Some(frame) => self.frame.insert(frame),
                    None => return Ok(None),
                },
            };
            let payload = if frame.is_control() { &mut self.control } else { &mut self.message };
            let (piece, rest) = input.split_at_checked(frame.missing).unwrap_or((input, &[]));
            *input = rest;
            payload.extend(piece.iter().zip(frame.mask.iter().cycle()).map(|(b, mask)| b ^ mask));
            frame.mask.rotate_left(piece.len() % 4);
            frame.missing = frame.missing.saturating_sub(piece.len());
            if frame.missing > 0 {
                return Ok(None);
            }
            let frame = *frame;
            self.frame = None;
            if let Some(message) = self.end(frame)? {
                return Ok(Some(message));
            }
        }
    }

    /// Bytes of messages and frames that have begun and not ended.
    pub fn partial_bytes(&self) -> usize {
        self.message.len().saturating_add(self.control.len())
    }

    /// A frame's head. `None` if it is not whole yet.
    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.head.push(*byte);
            // What is wrong is told by the byte that is.
            match self.head.as_slice() {
                [first] => self.check_first(*first)?,
                [first, second] => check_second(*first, *second)?,
                [_, second, extended @ ..] => {
                    if let Some((len, mask)) = split_head(second & 0x7f, extended) {
                        let frame = self.begin(len, mask)?;
                        self.head.clear();
                        return Ok(Some(frame));
                    }
                }
                [] => {}
            }
        }
        Ok(None)
    }

    fn check_first(&self, first: u8) -> Result<(), Violation> {
        if first & 0x70 != 0 {
            return Err(Violation::protocol("reserved bits of a frame are set"));
        }
        let is_final = first & 0x80 != 0;
        match (first & 0xf, self.is_text) {
            (0, None) => Err(Violation::protocol("a continuation of nothing")),
            (1 | 2, Some(_)) => Err(Violation::protocol("a new message within a fragmented one")),
            (8..=10, _) if !is_final => Err(Violation::protocol("a fragmented control frame")),
            (0..=2 | 8..=10, _) => Ok(()),
            _ => Err(Violation::protocol("a reserved opcode")),
        }
    }

    /// A frame of `len` bytes begins.
    fn begin(&mut self, len: u64, mask: [u8; 4]) -> Result<Frame, Violation> {
        let [first, second, ..] = *self.head.as_slice() else {
            return Err(Violation::protocol("a frame without a head"));
        };
        let is_minimal = match second & 0x7f {
            126 => len > 125,
            127 => len > u16::MAX.into(),
            _ => true,
        };
        if !is_minimal || len > i64::MAX as u64 {
            return Err(Violation::protocol("a length is not in its shortest form"));
        }
        let mut frame = Frame { is_final: first & 0x80 != 0, opcode: first & 0xf, missing: 0, mask };
        let room = match frame.is_control() {
            true => CONTROL_BYTES,
            false => self.limit.saturating_sub(self.message.len()),
        };
        frame.missing = usize::try_from(len)
            .ok()
            .filter(|len| *len <= room)
            .ok_or(Violation { code: close::TOO_BIG, what: "a message is too long" })?;
        match frame.opcode {
            1 => self.is_text = Some(true),
            2 => self.is_text = Some(false),
            _ => {}
        }
        Ok(frame)
    }

    /// A frame's payload is whole.
    fn end(&mut self, frame: Frame) -> Result<Option<Message>, Violation> {
        if frame.is_control() {
            let payload = std::mem::take(&mut self.control).freeze();
            return Ok(Some(match frame.opcode {
                9 => Message::Ping(payload),
                10 => Message::Pong(payload),
                _ => Message::Close(close_code(&payload)?),
            }));
        }
        if !frame.is_final {
            return Ok(None);
        }
        let message = std::mem::take(&mut self.message);
        Ok(Some(match self.is_text.take() {
            Some(true) => Message::Text(String::from_utf8(message.into()).map_err(|_| NOT_UTF8)?),
            _ => Message::Binary(message.freeze()),
        }))
    }
}

const NOT_UTF8: Violation = Violation { code: close::NOT_UTF8, what: "a text is not UTF-8" };

fn check_second(first: u8, second: u8) -> Result<(), Violation> {
    if second & 0x80 == 0 {
        return Err(Violation::protocol("a frame without a mask"));
    }
    if first & 0xf >= Opcode::Close as u8 && usize::from(second & 0x7f) > CONTROL_BYTES {
        return Err(Violation::protocol("a control frame is too long"));
    }
    Ok(())
}

/// Length and mask, from what follows the first two bytes of a head, once it is whole.
fn split_head(short: u8, extended: &[u8]) -> Option<(u64, [u8; 4])> {
    let (len, mask) = match short {
        126 => {
            let (len, mask) = extended.split_first_chunk()?;
            (u16::from_be_bytes(*len).into(), mask)
        }
        127 => {
            let (len, mask) = extended.split_first_chunk()?;
            (u64::from_be_bytes(*len), mask)
        }
        len => (len.into(), extended),
    };
    Some((len, *mask.first_chunk()?))
}

/// The code of a close frame (5.5.1, 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Violation::protocol("half a code in a close frame")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::protocol("a code in a close frame that can't be sent"));
    }
    str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    Ok(Some(code))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client's frame, built by the picture of RFC 6455, 5.2.
    pub(in crate::http) fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            n @ 0..126 => out.push(0x80 | n as u8),
            n @ 126..65536 => out.extend([0xfe, (n >> 8) as u8, n as u8]),
            n => out.extend([&[0xff][..], &(n as u64).to_be_bytes()].concat()),
        }
        out.extend(mask);
        out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
        out
    }

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// All messages of `bytes` in pieces of `n`, and how it ended.
    fn read(bytes: &[u8], n: usize, limit: usize) -> (Vec<Message>, Option<Violation>) {
        let mut decoder = Decoder::new(limit);
        let mut messages = Vec::new();
        for mut piece in bytes.chunks(n.max(1)) {
            loop {
                match decoder.read(&mut piece) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(violation) => return (messages, Some(violation)),
                }
                assert!(decoder.partial_bytes() <= limit + CONTROL_BYTES);
            }
            assert!(piece.is_empty());
        }
        (messages, None)
    }

    #[test]
    fn the_standards_examples() {
        // RFC 6455, 1.3 and 5.7.
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read(&hello, 99, 99), (vec![Message::Text("Hello".into())], None));
        assert_eq!(head(Opcode::Text, 5).as_slice(), [0x81, 5]);
        assert_eq!(head(Opcode::Ping, 5).as_slice(), [0x89, 5]);
        assert_eq!(head(Opcode::Binary, 256).as_slice(), [0x82, 0x7e, 1, 0]);
        assert_eq!(head(Opcode::Binary, 65536).as_slice(), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(head(Opcode::Close, 125).as_slice(), [0x88, 125]);
        assert_eq!(head(Opcode::Pong, 126).as_slice(), [0x8a, 0x7e, 0, 126]);
        assert_eq!(head(Opcode::Binary, 65535).as_slice(), [0x82, 0x7e, 0xff, 0xff]);
    }

    #[test]
    fn control_frames_stand_within_a_fragmented_message() {
        let bytes = [
            frame(0x01, "é".as_bytes().split_at(1).0, MASK),
            frame(0x89, b"p", MASK),
            frame(0x00, &[], MASK),
            frame(0x80, "é!".as_bytes().split_at(1).1, MASK),
            frame(0x8a, b"", MASK),
            frame(0x82, &[0xff; 300], MASK),
            frame(0x88, b"\x03\xe8bye", MASK),
        ]
        .concat();
        for n in [1, 2, 3, 5, 1000] {
            let expected = vec![
                Message::Ping(Bytes::from_static(b"p")),
                Message::Text("é!".into()),
                Message::Pong(Bytes::new()),
                Message::Binary(vec![0xff; 300].into()),
                Message::Close(Some(1000)),
            ];
            assert_eq!(read(&bytes, n, 300), (expected, None));
        }
        assert_eq!(read(&frame(0x88, b"", MASK), 9, 9).0, [Message::Close(None)]);
    }

    #[test]
    fn violations_are_told_by_code() {
        let masked = |first, payload: &[u8]| frame(first, payload, MASK);
        for (bytes, code) in [
            (vec![0x81, 5], close::PROTOCOL),
            (masked(0xc1, b""), close::PROTOCOL),
            (masked(0xa1, b""), close::PROTOCOL),
            (masked(0x91, b""), close::PROTOCOL),
            (masked(0x83, b""), close::PROTOCOL),
            (masked(0x8b, b""), close::PROTOCOL),
            (masked(0x80, b""), close::PROTOCOL),
            ([masked(0x01, b"a"), masked(0x81, b"b")].concat(), close::PROTOCOL),
            (masked(0x09, b""), close::PROTOCOL),
            (masked(0x89, &[0; 126]), close::PROTOCOL),
            (vec![0x82, 0xfe, 0, 125, 0, 0, 0, 0], close::PROTOCOL),
            (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0], close::PROTOCOL),
            ([&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat(), close::PROTOCOL),
            (masked(0x88, b"\x03"), close::PROTOCOL),
            (masked(0x88, &999u16.to_be_bytes()), close::PROTOCOL),
            (masked(0x88, &1005u16.to_be_bytes()), close::PROTOCOL),
            (masked(0x88, &1006u16.to_be_bytes()), close::PROTOCOL),
            (masked(0x88, &1015u16.to_be_bytes()), close::PROTOCOL),
            (masked(0x88, &2999u16.to_be_bytes()), close::PROTOCOL),
            (masked(0x88, &5000u16.to_be_bytes()), close::PROTOCOL),
            (masked(0x88, b"\x03\xe8\xff"), close::NOT_UTF8),
            (masked(0x81, b"\xc3"), close::NOT_UTF8),
            ([masked(0x01, b"\xff"), masked(0x80, b"")].concat(), close::NOT_UTF8),
            (masked(0x82, &[0; 1001]), close::TOO_BIG),
            ([masked(0x02, &[0; 999]), masked(0x80, &[0; 2])].concat(), close::TOO_BIG),
            (vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], close::TOO_BIG),
        ] {
            for n in [1, 3, 10_000] {
                let (messages, violation) = read(&bytes, n, 1000);
                assert_eq!(violation.map(|v| v.code), Some(code), "{bytes:x?}");
                assert!(messages.is_empty());
            }
        }
        assert_eq!(read(&frame(0x82, &[0; 1000], MASK), 7, 1000).1, None);
    }

    #[derive(Debug, Clone)]
    enum Sent {
        Message { is_text: bool, parts: Vec<String> },
        Ping(Vec<u8>),
        Pong(Vec<u8>),
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let control = || prop::collection::vec(any::<u8>(), 0..126);
        prop_oneof![
            (any::<bool>(), prop::collection::vec("\\PC{0,200}", 1..4))
                .prop_map(|(is_text, parts)| Sent::Message { is_text, parts }),
            control().prop_map(Sent::Ping),
            control().prop_map(Sent::Pong),
        ]
    }

    proptest! {
        #[test]
        fn what_a_client_sends_is_read(all in prop::collection::vec((sent(), any::<[u8; 4]>()), 0..6), n in 1..50usize) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (sent, mask) in all {
                match sent {
                    Sent::Message { is_text, parts } => {
                        let last = parts.len() - 1;
                        for (at, part) in parts.iter().enumerate() {
                            let opcode = if at > 0 { 0 } else { 2 - u8::from(is_text) };
                            let fin = u8::from(at == last) << 7;
                            bytes.extend(frame(fin | opcode, part.as_bytes(), mask));
                        }
                        let whole = parts.concat();
                        expected.push(match is_text {
                            true => Message::Text(whole),
                            false => Message::Binary(whole.into()),
                        });
                    }
                    Sent::Ping(payload) => {
                        bytes.extend(frame(0x89, &payload, mask));
                        expected.push(Message::Ping(payload.into()));
                    }
                    Sent::Pong(payload) => {
                        bytes.extend(frame(0x8a, &payload, mask));
                        expected.push(Message::Pong(payload.into()));
                    }
                }
            }
            prop_assert_eq!(read(&bytes, n, 4000), (expected, None));
        }

        #[test]
        fn any_bytes_are_the_same_however_they_are_cut(bytes in prop::collection::vec(any::<u8>(), 0..300), n in 1..20usize) {
            prop_assert_eq!(read(&bytes, n, 100), read(&bytes, 1000, 100));
        }
    }
}
