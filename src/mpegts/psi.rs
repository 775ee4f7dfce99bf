//! The tables: which program there is, and which streams it has (ISO/IEC 13818-1, 2.4.4).

use bytes::{BufMut, BytesMut};
use crc::{CRC_32_MPEG_2, Crc, NoTable};
use smallvec::SmallVec;

use super::packet::{PACKET_BYTES, Stream};

/// The PID of the program association table.
pub(super) const PAT_PID: u16 = 0;
/// The PID of the program map table.
pub(super) const PMT_PID: u16 = 0x1000;
/// The PID that says that there is no clock reference.
pub(super) const NO_PID: u16 = 0x1fff;

pub(super) const PAT_TABLE: u8 = 0;
pub(super) const PMT_TABLE: u8 = 2;
/// transport_stream_id and program_number.
const ONLY: u16 = 1;
/// Bytes of a section behind its length, without its body: what stands before it, and the checksum.
const SECTION_FIXED: u8 = 5 + 4;

/// Sections are some thirty bytes: a table would be longer than it is fast.
pub(super) const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_MPEG_2);

/// Appends a program association table (2.4.4.3).
pub(super) fn put_pat(pat: &mut Stream, out: &mut BytesMut) {
    let ([a, b], [c, d]) = (ONLY.to_be_bytes(), (0xe000 | PMT_PID).to_be_bytes());
    put_section(pat, PAT_TABLE, 0, &[a, b, c, d], out);
}

/// Appends a program map table (2.4.4.8) of the streams as stream_type and PID.
pub(super) fn put_pmt(
    pmt: &mut Stream,
    version: u8,
    pcr_pid: u16,
    streams: impl Iterator<Item = (u8, u16)>,
    out: &mut BytesMut,
) {
    let mut body = SmallVec::<[u8; 16]>::new();
    body.extend_from_slice(&(0xe000 | pcr_pid).to_be_bytes());
    body.extend_from_slice(&[0xf0, 0]); // no descriptors of the program
    for (stream_type, pid) in streams {
        body.push(stream_type);
        body.extend_from_slice(&(0xe000 | pid).to_be_bytes());
        body.extend_from_slice(&[0xf0, 0]); // none of the stream
    }
    put_section(pmt, PMT_TABLE, version, &body, out);
}

/// A packet with one section from its first byte on; `body` has at most 170 bytes.
fn put_section(stream: &mut Stream, table_id: u8, version: u8, body: &[u8], out: &mut BytesMut) {
    let end = out.len().saturating_add(PACKET_BYTES);
    out.reserve(PACKET_BYTES);
    stream.put_header(true, false, true, out);
    out.put_u8(0); // pointer_field
    let start = out.len();
    let len = u8::try_from(body.len()).unwrap_or(u8::MAX).saturating_add(SECTION_FIXED);
    out.put_slice(&[table_id, 0xb0, len]);
    out.put_u16(ONLY);
    out.put_slice(&[0xc1 | version << 1, 0, 0]);
    out.put_slice(body);
    let crc = CRC.checksum(out.get(start..).unwrap_or_default());
    out.put_u32(crc);
    out.resize(end, 0xff);
}
