//! Chunks into messages, from input that comes in any pieces.

use std::fmt;

use bytes::Bytes;
use heapless::Vec as Stash;

use super::{DEFAULT_CHUNK_SIZE, EXTENDED};
use crate::rtmp::message::{Message, type_id};
use crate::wire::limits::{RTMP_CHUNK_SIZE_MAX, RTMP_CHUNK_STREAMS, RTMP_MESSAGE_BYTES, RTMP_PARTIAL_BYTES};
use crate::wire::{Malformed, Reader};

/// The longest chunk header: basic 3, message 11, extended timestamp 4 bytes.
const HEADER_MAX: usize = 18;
/// The least that is set aside for a payload that isn't all here, in bytes.
const FIRST_STEP: usize = 1024;

/// What is wrong with a peer's chunk stream. The connection can't go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkError {
    /// A chunk stream begins with a header that builds on one before it.
    NoPrevious {
        /// The chunk stream id.
        csid: u32,
        /// The header's type, 2 or 3.
        fmt: u8,
    },
    /// A peer uses more chunk streams than it may.
    ChunkStreams {
        /// The chunk stream id that is one too many.
        csid: u32,
        /// How many there may be.
        limit: usize,
    },
    /// A message is longer than it may be.
    MessageTooLong {
        /// The length in the header, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Begun messages hold more than they may, all together.
    PartialBytes {
        /// What they would hold, in bytes.
        held: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Set Chunk Size says zero, or its top bit is not zero.
    ChunkSize {
        /// What it says.
        value: u32,
    },
    /// A Set Chunk Size or Abort message is too short.
    Control {
        /// The message's type, 1 or 2.
        type_id: u8,
        /// What is missing.
        why: Malformed,
    },
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrevious { csid, fmt } => {
                write!(f, "chunk stream {csid} begins with a type {fmt} header, type 0 or 1 was expected")
            }
            Self::ChunkStreams { csid, limit } => {
                write!(f, "chunk stream {csid} is one too many, at most {limit} may be used")
            }
            Self::MessageTooLong { len, limit } => {
                write!(f, "a message of {len} bytes, at most {limit} are allowed")
            }
            Self::PartialBytes { held, limit } => {
                write!(f, "unfinished messages hold {held} bytes, at most {limit} are allowed")
            }
            Self::ChunkSize { value } => {
                write!(f, "chunk size is {value} (0x{value:x}), 1 to 0x7fffffff was expected")
            }
            Self::Control { type_id, why } => write!(f, "control message of type {type_id}: {why}"),
        }
    }
}

impl std::error::Error for ChunkError {}

/// What is known of one chunk stream.
#[derive(Debug)]
struct Stream {
    csid: u32,
    /// Of the current or last message, in milliseconds.
    timestamp: u32,
    /// What a new message on a type 3 header adds, in milliseconds.
    delta: u32,
    /// The extended timestamp of the last type 0, 1 or 2 header, as it stood there.
    extended: Option<u32>,
    len: u32,
    stream_id: u32,
    type_id: u8,
    /// Whether a message is begun and not whole.
    partial: bool,
    payload: Vec<u8>,
}

/// A chunk header, its fields as they stand on the wire.
#[derive(Debug)]
struct Header {
    /// Bytes of it all.
    size: usize,
    csid: u32,
    fmt: u8,
    /// Timestamp or delta, extended or not; of type 0, 1 and 2.
    time: u32,
    /// Whether an extended timestamp stood there.
    extended: bool,
    len: u32,
    type_id: u8,
    stream_id: u32,
}

/// What bytes at the start of a chunk are.
enum Parsed {
    /// So many bytes are needed to go on.
    Needs(usize),
    Header(Header),
}

/// Puts messages together from chunks.
///
/// Set Chunk Size and Abort are obeyed and not handed out. What it holds for a peer is bounded by
/// [`RTMP_CHUNK_STREAMS`] and [`RTMP_PARTIAL_BYTES`]; buffers grow with what arrived, not with what was
/// announced.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: u32,
    message_limit: usize,
    partial_bytes: usize,
    streams: Vec<Stream>,
    /// Where in `streams` the last chunk went.
    current: usize,
    /// Bytes of the current chunk that are still to come.
    chunk_left: usize,
    /// The beginning of a header, or what was looked at to find its end and is not part of it.
    stash: Stash<u8, HEADER_MAX>,
}

impl Default for ChunkReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkReader {
    /// A reader at the start of a connection: chunks of 128 bytes, messages of up to
    /// [`RTMP_MESSAGE_BYTES`].
    pub fn new() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            message_limit: RTMP_MESSAGE_BYTES,
            partial_bytes: 0,
            streams: Vec::new(),
            current: 0,
            chunk_left: 0,
            stash: Stash::new(),
        }
    }

    /// Sets the longest message that is taken from now on, in bytes.
    pub fn set_message_limit(&mut self, bytes: usize) {
        self.message_limit = bytes;
    }

    /// Bytes held of messages that are begun and not whole.
    pub fn partial_bytes(&self) -> usize {
        self.partial_bytes
    }

    /// Takes from `input` up to the end of the first whole message and returns it, or takes all of it and
    /// returns `None`.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            if self.chunk_left == 0 {
                let Some(header) = self.read_header(input)? else { return Ok(None) };
                self.begin_chunk(&header)?;
            }
            if !self.read_payload(input)? {
                return Ok(None);
            }
            if let Some(message) = self.end_chunk()? {
                return Ok(Some(message));
            }
        }
    }

    /// Takes a chunk's header from the stash and `input`; `None` if there isn't enough of it.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, ChunkError> {
        if self.stash.is_empty()
            && let Parsed::Header(header) = self.parse_header(input)?
        {
            *input = input.get(header.size..).unwrap_or_default();
            return Ok(Some(header));
        }
        loop {
            match self.parse_header(&self.stash)? {
                Parsed::Header(header) => {
                    // What is left was looked at and turned out to be payload, or the next chunk.
                    let rest = self.stash.get(header.size..).unwrap_or_default();
                    self.stash = Stash::from_slice(rest).unwrap_or_default();
                    return Ok(Some(header));
                }
                Parsed::Needs(n) => {
                    let n = n.saturating_sub(self.stash.len()).min(input.len());
                    let Some((head, tail)) = input.split_at_checked(n) else { return Ok(None) };
                    if n == 0 || self.stash.extend_from_slice(head).is_err() {
                        return Ok(None);
                    }
                    *input = tail;
                }
            }
        }
    }

    /// Reads the header that `bytes` begin with (5.3.1).
    fn parse_header(&self, bytes: &[u8]) -> Result<Parsed, ChunkError> {
        match self.try_header(bytes) {
            Err(Malformed::Truncated { needed, had }) => {
                Ok(Parsed::Needs(bytes.len().saturating_sub(had).saturating_add(needed)))
            }
            // The reader of integers knows no other error.
            Err(_) => Ok(Parsed::Needs(HEADER_MAX)),
            Ok(header) => {
                if header.fmt >= 2 && self.find(header.csid).is_none() {
                    return Err(ChunkError::NoPrevious { csid: header.csid, fmt: header.fmt });
                }
                Ok(Parsed::Header(header))
            }
        }
    }

    fn try_header(&self, bytes: &[u8]) -> Result<Header, Malformed> {
        let mut r = Reader::new(bytes);
        let first = r.u8()?;
        let fmt = first >> 6;
        let csid = match first & 0x3f {
            0 => u32::from(r.u8()?).saturating_add(64),
            1 => {
                let low = u32::from(r.u8()?);
                let high = u32::from(r.u8()?);
                (high << 8 | low).saturating_add(64)
            }
            n => n.into(),
        };
        let mut header =
            Header { size: 0, csid, fmt, time: 0, extended: false, len: 0, type_id: 0, stream_id: 0 };
        if fmt <= 2 {
            header.time = r.u24()?;
        }
        if fmt <= 1 {
            header.len = r.u24()?;
            header.type_id = r.u8()?;
        }
        if fmt == 0 {
            header.stream_id = r.u32_le()?;
        }
        if header.time == EXTENDED {
            header.time = r.u32()?;
            header.extended = true;
        }
        if fmt == 3
            && let Some(stream) = self.find(csid).and_then(|i| self.streams.get(i))
        {
            header.extended = repeats_extended(stream, &mut r)?;
        }
        header.size = r.position();
        Ok(header)
    }

    /// Where the chunk stream stands. Most chunks continue the one before.
    fn find(&self, csid: u32) -> Option<usize> {
        if self.streams.get(self.current).is_some_and(|s| s.csid == csid) {
            return Some(self.current);
        }
        self.streams.iter().position(|s| s.csid == csid)
    }

    /// Goes on with a chunk stream's message, or begins one.
    fn begin_chunk(&mut self, header: &Header) -> Result<(), ChunkError> {
        let csid = header.csid;
        self.current = match self.find(csid) {
            Some(at) => at,
            None if self.streams.len() >= RTMP_CHUNK_STREAMS => {
                return Err(ChunkError::ChunkStreams { csid, limit: RTMP_CHUNK_STREAMS });
            }
            None => {
                self.streams.push(Stream {
                    csid,
                    timestamp: 0,
                    delta: 0,
                    extended: None,
                    len: 0,
                    stream_id: 0,
                    type_id: 0,
                    partial: false,
                    payload: Vec::new(),
                });
                self.streams.len().saturating_sub(1)
            }
        };
        let Some(stream) = self.streams.get_mut(self.current) else { return Ok(()) };
        if !(stream.partial && header.fmt == 3) {
            // A header that says more than "go on" begins a message anew, as a sender that gave up one does.
            self.partial_bytes = self.partial_bytes.saturating_sub(stream.payload.len());
            stream.begin(header);
            let len = stream.len as usize;
            if len > self.message_limit {
                return Err(ChunkError::MessageTooLong { len, limit: self.message_limit });
            }
        }
        self.chunk_left = stream.left().min(self.chunk_size as usize);
        Ok(())
    }

    /// Takes what is there of the current chunk's payload; says whether the chunk is whole.
    fn read_payload(&mut self, input: &mut &[u8]) -> Result<bool, ChunkError> {
        let Some(stream) = self.streams.get_mut(self.current) else { return Ok(true) };
        let stashed = self.chunk_left.min(self.stash.len());
        let fresh = self.chunk_left.saturating_sub(stashed).min(input.len());
        let taken = stashed.saturating_add(fresh);
        let held = self.partial_bytes.saturating_add(taken);
        let limit = self.message_limit.saturating_add(self.message_limit / 2).min(RTMP_PARTIAL_BYTES);
        if held > limit {
            return Err(ChunkError::PartialBytes { held, limit });
        }
        stream.make_room(taken);
        if let Some((head, rest)) = self.stash.split_at_checked(stashed)
            && stashed > 0
        {
            stream.payload.extend_from_slice(head);
            self.stash = Stash::from_slice(rest).unwrap_or_default();
        }
        if let Some((head, rest)) = input.split_at_checked(fresh) {
            stream.payload.extend_from_slice(head);
            *input = rest;
        }
        self.partial_bytes = held;
        self.chunk_left = self.chunk_left.saturating_sub(taken);
        Ok(self.chunk_left == 0)
    }

    /// The message, if it is whole with this chunk and not for the chunk stream itself.
    fn end_chunk(&mut self) -> Result<Option<Message>, ChunkError> {
        let Some(stream) = self.streams.get_mut(self.current) else { return Ok(None) };
        if stream.left() > 0 {
            return Ok(None);
        }
        let payload = std::mem::take(&mut stream.payload);
        stream.partial = false;
        self.partial_bytes = self.partial_bytes.saturating_sub(payload.len());
        let type_id = stream.type_id;
        let value = || Reader::new(&payload).u32().map_err(|why| ChunkError::Control { type_id, why });
        match type_id {
            type_id::SET_CHUNK_SIZE => {
                let value = value()?;
                if value == 0 || value >> 31 != 0 {
                    return Err(ChunkError::ChunkSize { value });
                }
                // No message is longer than the cap, so a larger size means the same (5.4.1).
                self.chunk_size = value.min(RTMP_CHUNK_SIZE_MAX);
                Ok(None)
            }
            type_id::ABORT => {
                let csid = value()?;
                if let Some(stream) = self.find(csid).and_then(|i| self.streams.get_mut(i)) {
                    self.partial_bytes = self.partial_bytes.saturating_sub(stream.payload.len());
                    stream.payload = Vec::new();
                    stream.partial = false;
                }
                Ok(None)
            }
            _ => Ok(Some(Message {
                timestamp: stream.timestamp,
                type_id,
                stream_id: stream.stream_id,
                payload: Bytes::from(payload),
            })),
        }
    }
}

impl Stream {
    /// Begins a message with a chunk's header (5.3.1.2).
    fn begin(&mut self, header: &Header) {
        self.payload = Vec::new();
        self.partial = true;
        match header.fmt {
            0 => {
                self.timestamp = header.time;
                self.stream_id = header.stream_id;
                // By 5.3.1.2.4 a type 3 message repeats the time of type 0 as its delta, and FFmpeg writes
                // it so when they happen to agree. A delta of hours nobody means.
                self.delta = if header.extended { 0 } else { header.time };
            }
            1 | 2 => {
                self.delta = header.time;
                self.timestamp = self.timestamp.wrapping_add(header.time);
            }
            _ => self.timestamp = self.timestamp.wrapping_add(self.delta),
        }
        if header.fmt <= 1 {
            self.len = header.len;
            self.type_id = header.type_id;
        }
        if header.fmt <= 2 {
            self.extended = header.extended.then_some(header.time);
        }
    }

    /// Bytes of the message that are still to come.
    fn left(&self) -> usize {
        (self.len as usize).saturating_sub(self.payload.len())
    }

    /// Makes room for `taken` bytes more. Doubling holds the copies down; nothing is set aside beyond the
    /// message's end, so a whole one needs no trimming, nor much beyond what came.
    fn make_room(&mut self, taken: usize) {
        if self.payload.capacity().saturating_sub(self.payload.len()) < taken {
            let step = taken.max(self.payload.len()).max(FIRST_STEP);
            self.payload.reserve_exact(step.min(self.left()));
        }
    }
}

/// Takes the extended timestamp of a type 3 header, if it is there (5.3.1.3). Some senders repeat the
/// message's time instead of the field, and old librtmp repeats nothing: then payload stands there.
fn repeats_extended(stream: &Stream, r: &mut Reader<'_>) -> Result<bool, Malformed> {
    let Some(extended) = stream.extended else { return Ok(false) };
    let is_start_of = |value: u32, bytes: &[u8]| value.to_be_bytes().starts_with(bytes);
    let next = r.rest().get(..4).unwrap_or(r.rest());
    // Says so at the first byte that differs: a message's last bytes may be fewer than four.
    if !is_start_of(extended, next) && !is_start_of(stream.timestamp, next) {
        return Ok(false);
    }
    if next.len() < 4 {
        // One at a time, so as to wait for no byte that isn't needed to tell.
        return Err(Malformed::Truncated { needed: next.len().saturating_add(1), had: next.len() });
    }
    r.skip(4)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ChunkWriter, image as chain_of};
    use super::*;

    /// An image in one piece.
    fn image(size: u32, csid: u32, timestamp: u32, type_id: u8, stream_id: u32, payload: &[u8]) -> Bytes {
        let payload = Bytes::copy_from_slice(payload).into();
        chain_of(size, csid, timestamp, type_id, stream_id, &payload).bytes()
    }

    fn read_all(reader: &mut ChunkReader, mut wire: &[u8]) -> Result<Vec<Message>, ChunkError> {
        let mut all = Vec::new();
        while let Some(message) = reader.read(&mut wire)? {
            all.push(message);
        }
        assert!(wire.is_empty());
        Ok(all)
    }

    /// The same in one piece and byte for byte.
    fn read(wire: &[u8]) -> Result<Vec<Message>, ChunkError> {
        let whole = read_all(&mut ChunkReader::new(), wire);
        let mut reader = ChunkReader::new();
        let mut single = Ok(Vec::new());
        for byte in wire {
            match (read_all(&mut reader, std::slice::from_ref(byte)), &mut single) {
                (Ok(mut some), Ok(all)) => all.append(&mut some),
                (Err(e), Ok(_)) => single = Err(e),
                (_, Err(_)) => break,
            }
        }
        assert_eq!(whole, single);
        whole
    }

    fn times(wire: &[u8]) -> Vec<u32> {
        read(wire).unwrap().iter().map(|m| m.timestamp).collect()
    }

    fn type_0(csid: u8, time: u32, len: u8, type_id: u8) -> Vec<u8> {
        let mut v = vec![csid];
        v.extend_from_slice(&time.min(EXTENDED).to_be_bytes()[1..]);
        v.extend_from_slice(&[0, 0, len, type_id, 1, 0, 0, 0]);
        if time >= EXTENDED {
            v.extend_from_slice(&time.to_be_bytes());
        }
        v
    }

    #[test]
    fn type_3_repeats_the_delta() {
        let mut wire = type_0(4, 20, 1, 8);
        wire.extend_from_slice(b"a\xc4b\x84\x00\x00\x05c\xc4d\xc4e");
        assert_eq!(times(&wire), [20, 40, 45, 50, 55]);
    }

    #[test]
    fn type_1_may_open_a_chunk_stream_and_2_and_3_may_not() {
        let got = read(b"\x43\x00\x00\x07\x00\x00\x01\x14x").unwrap();
        assert_eq!((got[0].timestamp, got[0].stream_id, got[0].type_id), (7, 0, 20));
        assert_eq!(read(b"\x83\x00\x00\x00x"), Err(ChunkError::NoPrevious { csid: 3, fmt: 2 }));
        assert_eq!(read(b"\xc3x"), Err(ChunkError::NoPrevious { csid: 3, fmt: 3 }));
    }

    #[test]
    fn extended_deltas_are_deltas() {
        let mut wire = type_0(4, 10, 1, 8);
        wire.extend_from_slice(b"a\x84\xff\xff\xff\x01\x00\x00\x00b\xc4\x01\x00\x00\x00c");
        assert_eq!(times(&wire), [10, 0x0100_000a, 0x0200_000a]);
    }

    #[test]
    fn extended_timestamps_on_type_3_may_be_left_out() {
        let body: Vec<u8> = (0..=255).take(250).collect();
        for time in [EXTENDED, 0x0102_0304, u32::MAX] {
            for len in [250, 130, 129] {
                let body = &body[..len];
                let mut old = type_0(4, time, len as u8, 9);
                old.extend_from_slice(&body[..128]);
                old.push(0xc4);
                let mut new = old.clone();
                old.extend_from_slice(&body[128..]);
                new.extend_from_slice(&time.to_be_bytes());
                new.extend_from_slice(&body[128..]);
                for wire in [old, new] {
                    // Twice, so that what was looked at beyond the end is seen to be taken right.
                    let got = read(&[wire.clone(), wire].concat()).unwrap();
                    assert_eq!(got.len(), 2);
                    assert!(got.iter().all(|m| m.timestamp == time && m.payload == body));
                }
            }
        }
    }

    #[test]
    fn the_time_of_the_message_may_stand_for_the_extended_delta() {
        let mut wire = type_0(4, 10, 1, 9);
        wire.extend_from_slice(b"a\x44\xff\xff\xff\x00\x00\x82\x09\x01\x00\x00\x00");
        wire.extend_from_slice(&[7; 128]);
        wire.extend_from_slice(b"\xc4\x01\x00\x00\x0abc");
        let got = read(&wire).unwrap();
        assert_eq!((got[1].timestamp, &got[1].payload[128..]), (0x0100_000a, &b"bc"[..]));
    }

    #[test]
    fn a_repeated_message_at_an_extended_time_stays_there() {
        let mut wire = type_0(4, 0x0100_0000, 1, 8);
        wire.extend_from_slice(b"a\xc4b\xc4\x01\x00\x00\x00c");
        assert_eq!(times(&wire), [0x0100_0000; 3]);
    }

    #[test]
    fn chunk_streams_interleave() {
        let (a, b) = (vec![1; 200], vec![2; 300]);
        let (one, two) = (image(128, 4, 5, 8, 1, &a), image(128, 70, 6, 9, 1, &b));
        let mut wire = two[..141].to_vec();
        wire.extend_from_slice(&one[..140]);
        wire.extend_from_slice(&two[141..271]);
        wire.extend_from_slice(&one[140..]);
        wire.extend_from_slice(&two[271..]);
        let got = read(&wire).unwrap();
        assert_eq!(got[0].payload, a);
        assert_eq!(got[1].payload, b);
    }

    #[test]
    fn abort_drops_what_is_partial() {
        let wire = image(128, 4, 5, 8, 1, &[1; 200]);
        let mut reader = ChunkReader::new();
        assert_eq!(read_all(&mut reader, &wire[..140]), Ok(vec![]));
        assert_eq!(reader.partial_bytes(), 128);
        assert_eq!(read_all(&mut reader, &image(128, 2, 0, 2, 0, &[0, 0, 0, 4])), Ok(vec![]));
        assert_eq!(reader.partial_bytes(), 0);
        let got = read_all(&mut reader, &image(128, 4, 6, 8, 1, b"next")).unwrap();
        assert_eq!(got[0].payload, &b"next"[..]);
    }

    #[test]
    fn a_new_header_drops_what_is_partial() {
        let mut wire = image(128, 4, 5, 8, 1, &[1; 200])[..140].to_vec();
        wire.extend_from_slice(&image(128, 4, 6, 8, 1, b"next"));
        let got = read(&wire).unwrap();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].payload, &b"next"[..]);
    }

    #[test]
    fn zero_length_messages_are_messages() {
        let mut wire = type_0(4, 1, 0, 8);
        wire.push(0xc4);
        assert_eq!(times(&wire), [1, 2]);
    }

    #[test]
    fn chunk_sizes_are_held_to_what_they_may_be() {
        let set = |n: u32| image(128, 2, 0, 1, 0, &n.to_be_bytes());
        assert_eq!(read(&set(0)), Err(ChunkError::ChunkSize { value: 0 }));
        assert_eq!(read(&set(1 << 31)), Err(ChunkError::ChunkSize { value: 1 << 31 }));
        let why = Malformed::Truncated { needed: 4, had: 2 };
        assert_eq!(read(&image(128, 2, 0, 1, 0, &[0, 1])), Err(ChunkError::Control { type_id: 1, why }));
        let mut reader = ChunkReader::new();
        assert_eq!(read_all(&mut reader, &set(0x7fff_ffff)), Ok(vec![]));
        assert_eq!(reader.chunk_size, RTMP_CHUNK_SIZE_MAX);
    }

    #[test]
    fn limits_hold() {
        let mut reader = ChunkReader::new();
        reader.set_message_limit(10);
        assert_eq!(read_all(&mut reader, &image(128, 3, 0, 8, 0, &[0; 10])).map(|m| m.len()), Ok(1));
        let error = read_all(&mut reader, &image(128, 3, 0, 8, 0, &[0; 11]));
        assert_eq!(error, Err(ChunkError::MessageTooLong { len: 11, limit: 10 }));

        let mut reader = ChunkReader::new();
        for csid in 3..67 {
            read_all(&mut reader, &image(128, csid, 0, 8, 0, b"")).unwrap();
        }
        let error = read_all(&mut reader, &image(128, 67, 0, 8, 0, b""));
        assert_eq!(error, Err(ChunkError::ChunkStreams { csid: 67, limit: RTMP_CHUNK_STREAMS }));

        let mut reader = ChunkReader::new();
        read_all(&mut reader, &image(128, 2, 0, 1, 0, &0xFF_FFFFu32.to_be_bytes())).unwrap();
        read_all(&mut reader, &image(128, 2, 0, 1, 0, &0x40_0000u32.to_be_bytes())).unwrap();
        let begun = |csid| image(0x40_0000, csid, 0, 9, 1, &vec![0; 0x40_0001])[..0x40_0000 + 12].to_vec();
        for csid in 3..6 {
            read_all(&mut reader, &begun(csid)).unwrap();
        }
        assert_eq!(reader.partial_bytes(), RTMP_PARTIAL_BYTES);
        assert!(matches!(read_all(&mut reader, &begun(6)), Err(ChunkError::PartialBytes { .. })));
    }

    #[test]
    fn what_is_announced_is_not_set_aside() {
        let mut reader = ChunkReader::new();
        let wire = image(0xFF_FFFF, 4, 0, 9, 1, &vec![0; 7_000_000]);
        read_all(&mut reader, &wire[..20]).unwrap();
        assert!(reader.streams[0].payload.capacity() <= FIRST_STEP);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_stay_bounded(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0..6u8, 0xc0..0xc8u8, Just(0xff)], 0..3000),
            splits in proptest::collection::vec(1..40usize, 1..5),
        ) {
            let mut reader = ChunkReader::new();
            let mut rest = &bytes[..];
            let mut splits = splits.iter().cycle();
            'all: while !rest.is_empty() {
                let (mut head, tail) = rest.split_at((*splits.next().unwrap()).min(rest.len()));
                rest = tail;
                loop {
                    match reader.read(&mut head) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
                prop_assert!(head.is_empty());
            }
            let held: usize = reader.streams.iter().map(|s| s.payload.len()).sum();
            prop_assert_eq!(held, reader.partial_bytes());
            prop_assert!(held <= bytes.len());
        }

        #[test]
        fn corrupted_streams_never_panic(flips in proptest::collection::vec((0..2000usize, any::<u8>()), 1..6)) {
            let mut writer = ChunkWriter::new();
            let mut wire = bytes::BytesMut::new();
            for i in 0..10u32 {
                writer.write(&mut wire, 3 + i % 3, i * 0x40_0000, 8, 1, &[i as u8; 190]);
            }
            for (at, with) in flips {
                let at = at % wire.len();
                wire[at] = with;
            }
            let mut reader = ChunkReader::new();
            let mut input = &wire[..];
            while let Ok(Some(_)) = reader.read(&mut input) {}
        }
    }
}
