//! Messages into chunks: with header compression for one connection, or as an image that many share.

use bytes::{BufMut, BytesMut};

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, MAX_CHUNK_STREAM_ID};
use crate::media::{Chain, Gather};
use crate::wire::limits::{RTMP_CHUNK_SIZE_MAX, RTMP_CHUNK_SIZE_MIN};

/// The longest message that a header can tell, in bytes; what is longer is cut.
const MESSAGE_MAX: usize = 0xFF_FFFF;
/// Bytes of small parts of a payload, such as the lengths before NAL units, that there is room for beforehand.
const SMALL: usize = 64;

/// What the last message on a chunk stream said, for headers that leave it out.
#[derive(Debug, Clone, Copy)]
struct Last {
    csid: u32,
    timestamp: u32,
    /// What a type 3 header would repeat, in milliseconds; none where readers disagree about it.
    delta: Option<u32>,
    len: u32,
    type_id: u8,
    stream_id: u32,
}

/// Writes messages as chunks of one connection, each header as short as what went before allows.
///
/// Type 0 opens a chunk stream, changes the message stream, steps back in time, or leaps so far that the
/// delta would need an extended timestamp, which readers take in different ways (RTMP 1.0, 5.3.1.2).
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
    last: Vec<Last>,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkWriter {
    /// A writer at the start of a connection: chunks of 128 bytes.
    pub fn new() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE, last: Vec::new() }
    }

    /// Sets the size of chunks from now on, in bytes (1 to 0xFFFFFF). The Set Chunk Size message that
    /// tells the peer is for the caller to write, before.
    pub fn set_chunk_size(&mut self, n: u32) {
        self.chunk_size = n.clamp(RTMP_CHUNK_SIZE_MIN, RTMP_CHUNK_SIZE_MAX);
    }

    /// The size of chunks, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Appends a message to `out` on chunk stream `csid` (2 to 65599); `timestamp` in milliseconds.
    /// A payload beyond 0xFFFFFF bytes is cut there.
    pub fn write(
        &mut self,
        out: &mut BytesMut,
        csid: u32,
        timestamp: u32,
        type_id: u8,
        stream_id: u32,
        payload: &[u8],
    ) {
        let (csid, payload) = in_range(csid, payload);
        let len = payload.len() as u32;
        let at = self.last.iter().position(|l| l.csid == csid);
        let last = at.and_then(|i| self.last.get_mut(i));

        let (fmt, field) = match &last {
            Some(l) if l.stream_id == stream_id => {
                let delta = timestamp.wrapping_sub(l.timestamp);
                // A step back is a huge delta, the wrap at 32 bits is a small one.
                if delta >= EXTENDED {
                    (0, timestamp)
                } else if l.len != len || l.type_id != type_id {
                    (1, delta)
                } else if l.delta != Some(delta) {
                    (2, delta)
                } else {
                    (3, delta)
                }
            }
            _ => (0, timestamp),
        };
        // After type 0 the specification repeats its timestamp, and others zero: where they agree, use it.
        let delta = if fmt == 0 { Some(0).filter(|_| timestamp == 0) } else { Some(field) };
        let now = Last { csid, timestamp, delta, len, type_id, stream_id };
        match last {
            Some(last) => *last = now,
            None => self.last.push(now),
        }

        let size = self.chunk_size as usize;
        out.reserve(wire_len(size, csid, field, payload.len()));
        put_basic_header(out, fmt, csid);
        if fmt <= 2 {
            out.put_uint(field.min(EXTENDED).into(), 3);
        }
        if fmt <= 1 {
            out.put_uint(len.into(), 3);
            out.put_u8(type_id);
        }
        if fmt == 0 {
            out.put_u32_le(stream_id);
        }
        put_payload(out, size, csid, field, payload);
    }
}

/// One message as chunks whose headers need nothing that went before: type 0, then type 3. Large parts of the
/// payload are shared. `timestamp` in milliseconds, `csid` from 2 to 65599, `chunk_size` at least 1. A payload
/// beyond 0xFFFFFF bytes is cut there.
pub fn image(
    chunk_size: u32,
    csid: u32,
    timestamp: u32,
    type_id: u8,
    stream_id: u32,
    payload: &Chain,
) -> Chain {
    let csid = csid.clamp(2, MAX_CHUNK_STREAM_ID);
    let size = chunk_size.clamp(RTMP_CHUNK_SIZE_MIN, RTMP_CHUNK_SIZE_MAX) as usize;
    let len = payload.len().min(MESSAGE_MAX);
    let whole = wire_len(size, csid, timestamp, len);
    // Chunks below that are copied, each behind its header.
    let copied = if size < payload.shared_min() { len } else { payload.unshared().min(len) + SMALL };
    let mut out = Gather::image_of(payload, (whole - len).saturating_add(copied));
    put_basic_header(out.small(), 0, csid);
    out.small().put_uint(timestamp.min(EXTENDED).into(), 3);
    out.small().put_uint(len as u64, 3);
    out.small().put_u8(type_id);
    out.small().put_u32_le(stream_id);
    put_extended(out.small(), timestamp);
    let (mut left, mut room) = (len, size);
    for piece in payload.pieces() {
        let mut piece = piece.slice(..piece.len().min(left));
        left -= piece.len();
        while !piece.is_empty() {
            if room == 0 {
                put_basic_header(out.small(), 3, csid);
                put_extended(out.small(), timestamp);
                room = size;
            }
            let part = piece.split_to(piece.len().min(room));
            room -= part.len();
            out.share(part);
        }
    }
    out.finish_as(payload)
}

fn in_range(csid: u32, payload: &[u8]) -> (u32, &[u8]) {
    (csid.clamp(2, MAX_CHUNK_STREAM_ID), payload.get(..MESSAGE_MAX).unwrap_or(payload))
}

/// The bytes of a message with a type 0 header, as chunks of `size`; other types need fewer.
fn wire_len(size: usize, csid: u32, field: u32, payload: usize) -> usize {
    let basic = match csid {
        0..64 => 1,
        64..320 => 2,
        _ => 3,
    };
    let extended = if field >= EXTENDED { 4 } else { 0 };
    let chunks = payload.div_ceil(size).max(1);
    11 + payload + chunks * (basic + extended)
}

fn put_basic_header(out: &mut BytesMut, fmt: u8, csid: u32) {
    let fmt = fmt << 6;
    match csid {
        0..64 => out.put_u8(fmt | csid as u8),
        64..320 => out.put_slice(&[fmt, (csid - 64) as u8]),
        _ => {
            out.put_u8(fmt | 1);
            out.put_u16_le((csid - 64) as u16);
        }
    }
}

/// The extended timestamp, if there is one, and the payload in its chunks.
fn put_payload(out: &mut BytesMut, size: usize, csid: u32, field: u32, payload: &[u8]) {
    put_extended(out, field);
    for (i, part) in payload.chunks(size).enumerate() {
        if i > 0 {
            put_basic_header(out, 3, csid);
            put_extended(out, field);
        }
        out.put_slice(part);
    }
}

fn put_extended(out: &mut BytesMut, field: u32) {
    if field >= EXTENDED {
        out.put_u32(field);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// An image in one piece.
    fn image(size: u32, csid: u32, timestamp: u32, type_id: u8, stream_id: u32, payload: &[u8]) -> Bytes {
        let payload = Bytes::copy_from_slice(payload).into();
        super::image(size, csid, timestamp, type_id, stream_id, &payload).bytes()
    }

    #[test]
    fn large_parts_of_a_payload_are_shared() {
        for is_lent in [false, true] {
            let chain = |pieces: Vec<Bytes>| if is_lent { Chain::lent(pieces) } else { Chain::new(pieces) };
            let min = chain(Vec::new()).shared_min();
            let large = Bytes::from(vec![7; 2 * min]);
            let payload = chain(vec![Bytes::from_static(b"head"), large.clone()]);
            let size = min as u32 + 4;
            let shared = super::image(size, 6, 1, 9, 1, &payload);
            assert_eq!(shared.bytes(), image(size, 6, 1, 9, 1, &payload.bytes()));
            let lens: Vec<_> = shared.pieces().iter().map(Bytes::len).collect();
            assert_eq!(lens, [12 + 4, min, 1, min]);
            assert_eq!(shared.pieces()[3].as_ptr(), large[min..].as_ptr());
            assert_eq!(shared.is_lent(), is_lent);
            assert_eq!(super::image(128, 6, 1, 9, 1, &payload).pieces().len(), 1);
        }
    }

    fn write(writer: &mut ChunkWriter, csid: u32, timestamp: u32, stream_id: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        writer.write(&mut out, csid, timestamp, 8, stream_id, payload);
        out.to_vec()
    }

    #[test]
    fn headers_are_as_short_as_they_can_be() {
        let mut w = ChunkWriter::new();
        assert_eq!(write(&mut w, 4, 1000, 1, b"ab"), [4, 0, 3, 232, 0, 0, 2, 8, 1, 0, 0, 0, b'a', b'b']);
        assert_eq!(write(&mut w, 4, 1020, 1, b"abc"), [0x44, 0, 0, 20, 0, 0, 3, 8, b'a', b'b', b'c']);
        assert_eq!(write(&mut w, 4, 1041, 1, b"def"), [0x84, 0, 0, 21, b'd', b'e', b'f']);
        assert_eq!(write(&mut w, 4, 1062, 1, b"ghi"), [0xc4, b'g', b'h', b'i']);
        assert_eq!(write(&mut w, 4, 1061, 1, b"")[0], 0x04);
        assert_eq!(write(&mut w, 4, 1061, 2, b"")[0], 0x04);
    }

    #[test]
    fn type_3_follows_type_0_only_from_zero() {
        let mut w = ChunkWriter::new();
        write(&mut w, 4, 20, 1, b"a");
        assert_eq!(write(&mut w, 4, 40, 1, b"a")[0], 0x84);
        write(&mut w, 5, 0, 1, b"a");
        assert_eq!(write(&mut w, 5, 0, 1, b"a")[0], 0xc5);
    }

    #[test]
    fn the_wrap_at_32_bits_is_no_step_back() {
        let mut w = ChunkWriter::new();
        write(&mut w, 4, u32::MAX - 9, 1, b"a");
        assert_eq!(write(&mut w, 4, 10, 1, b"a"), [0x84, 0, 0, 20, b'a']);
    }

    #[test]
    fn chunk_stream_ids_take_one_to_three_bytes() {
        let mut w = ChunkWriter::new();
        assert_eq!(write(&mut w, 63, 0, 0, b"")[..1], [63]);
        assert_eq!(write(&mut w, 64, 0, 0, b"")[..2], [0, 0]);
        assert_eq!(write(&mut w, 319, 0, 0, b"")[..2], [0, 255]);
        assert_eq!(write(&mut w, 320, 0, 0, b"")[..3], [1, 0, 1]);
        assert_eq!(write(&mut w, 65599, 0, 0, b"")[..3], [1, 255, 255]);
    }

    #[test]
    fn an_image_is_one_exact_allocation_with_extended_timestamps_throughout() {
        let wire = image(3, 6, 0x0100_0000, 9, 1, b"abcdefg");
        let extended = [1, 0, 0, 0];
        let mut expected = vec![6, 255, 255, 255, 0, 0, 7, 9, 1, 0, 0, 0];
        for (i, part) in b"abcdefg".chunks(3).enumerate() {
            if i > 0 {
                expected.push(0xc6);
            }
            expected.extend(extended);
            expected.extend(part);
        }
        assert_eq!(wire, expected);
        for (csid, timestamp, len) in [(4, 0, 0), (4, 0, 3), (70, EXTENDED, 4), (400, EXTENDED, 10)] {
            let payload = vec![0; len];
            assert_eq!(image(3, csid, timestamp, 9, 1, &payload).len(), wire_len(3, csid, timestamp, len));
        }
    }
}
