//! Packets, the adaptation fields in them, and the PES packets over them (ISO/IEC 13818-1, 2.4.3).

use std::mem;

use bytes::{BufMut, BytesMut};

/// Bytes of a packet.
pub const PACKET_BYTES: usize = 188;
/// How far each PTS and DTS lies behind the stream's own time, in µs, while the clock reference (PCR) is
/// that time itself: what a decoder has to take a frame in before it is due.
pub const OFFSET_US: i64 = 700_000;

/// The most that a PES packet with a length can carry behind a header with a PTS alone, in bytes.
pub(super) const PES_DATA_MAX: usize = 0xffff - 3 - STAMP;

/// Bytes of a packet behind its header.
const ROOM: usize = 184;
/// Bytes of a PES packet up to its stamps.
const PES_FIXED: usize = 9;
/// Bytes of a PTS or DTS.
const STAMP: usize = 5;

/// One PID: its number, and what the next packet of it says.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: u16,
    /// The continuity_counter of the next packet with payload.
    counter: u8,
    /// Whether the next adaptation field announces a discontinuity.
    pub(super) discontinuity: bool,
}

impl Stream {
    pub(super) fn new(pid: u16) -> Self {
        Self { pid, counter: 0, discontinuity: false }
    }

    /// Appends a packet's header. The counter goes on with payload only (2.4.3.3).
    pub(super) fn put_header(&mut self, start: bool, adaptation: bool, payload: bool, out: &mut BytesMut) {
        let counter = if payload { self.counter } else { self.counter.wrapping_sub(1) & 0xf };
        out.put_u8(0x47);
        out.put_u16(u16::from(start) << 14 | self.pid);
        out.put_u8(u8::from(adaptation) << 5 | u8::from(payload) << 4 | counter);
        if payload {
            self.counter = self.counter.wrapping_add(1) & 0xf;
        }
    }

    /// Appends a packet with nothing but a clock reference of `pcr` µs.
    pub(super) fn put_clock(&mut self, pcr: i64, out: &mut BytesMut) {
        self.put_header(false, true, false, out);
        let first = First { pcr: Some(pcr), ..First::default() };
        first.put(mem::take(&mut self.discontinuity), ROOM, out);
    }
}

/// What the adaptation field of a PES packet's first packet says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct First {
    /// program_clock_reference, in µs.
    pub(super) pcr: Option<i64>,
    /// random_access_indicator: whether decoding can begin here.
    pub(super) random_access: bool,
}

impl First {
    /// Bytes that the field needs, its length included.
    fn size(&self, discontinuity: bool) -> usize {
        match self.pcr {
            Some(_) => 8,
            None if self.random_access || discontinuity => 2,
            None => 0,
        }
    }

    /// Appends an adaptation field of `size` bytes, stuffed (2.4.3.4). One byte is the length alone.
    fn put(&self, discontinuity: bool, size: usize, out: &mut BytesMut) {
        let Some(len) = size.checked_sub(1).and_then(|len| u8::try_from(len).ok()) else { return };
        out.put_u8(len);
        if len == 0 {
            return;
        }
        let flags = [(discontinuity, 0x80), (self.random_access, 0x40), (self.pcr.is_some(), 0x10)];
        out.put_u8(flags.iter().filter(|(set, _)| *set).fold(0, |flags, (_, flag)| flags | flag));
        if let Some(pcr) = self.pcr {
            out.put_uint(clock_reference(pcr), 6);
        }
        let stuffing = size.saturating_sub(if self.pcr.is_some() { 8 } else { 2 });
        out.put_bytes(0xff, stuffing);
    }
}

/// A PES packet being written over packets. What is put must be as many bytes as was told.
pub(super) struct Pes<'a> {
    out: &'a mut BytesMut,
    stream: &'a mut Stream,
    first: Option<First>,
    /// Bytes of the PES packet that are still to come, and of the packet that it is in.
    left: usize,
    room: usize,
}

impl<'a> Pes<'a> {
    /// Begins a PES packet of `data_len` bytes behind its header; `pts` and `dts` in µs. One that is too
    /// long to tell its length tells 0, which is for video only (2.4.3.7).
    pub(super) fn begin(
        stream: &'a mut Stream,
        stream_id: u8,
        first: First,
        (pts, dts): (i64, i64),
        data_len: usize,
        out: &'a mut BytesMut,
    ) -> Self {
        let (pts, dts) = (time_stamp(pts), time_stamp(dts));
        let stamps = if pts == dts { STAMP } else { 2 * STAMP };
        let left = data_len.saturating_add(PES_FIXED).saturating_add(stamps);
        // One packet more for what adaptation fields take.
        out.reserve((left / ROOM).saturating_add(2).saturating_mul(PACKET_BYTES));
        let mut pes = Self { out, stream, first: Some(first), left, room: 0 };

        let [len_high, len_low] = u16::try_from(left.saturating_sub(6)).unwrap_or(0).to_be_bytes();
        let mut header = [0; PES_FIXED + 2 * STAMP];
        let mut rest = &mut header[..];
        rest.put_slice(&[0, 0, 1, stream_id, len_high, len_low]);
        rest.put_u8(0x84); // what follows begins with a start code or syncword
        if pts == dts {
            rest.put_slice(&[0x80, 5]);
            put_stamp(2, pts, &mut rest);
        } else {
            rest.put_slice(&[0xc0, 10]);
            put_stamp(3, pts, &mut rest);
            put_stamp(1, dts, &mut rest);
        }
        pes.put(header.get(..PES_FIXED.saturating_add(stamps)).unwrap_or_default());
        pes
    }

    /// Appends the next bytes.
    pub(super) fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.left > 0 {
            if self.room == 0 {
                self.open();
            }
            let Some((head, tail)) = bytes.split_at_checked(bytes.len().min(self.room)) else { return };
            self.out.put_slice(head);
            self.room = self.room.saturating_sub(head.len());
            self.left = self.left.saturating_sub(head.len());
            bytes = tail;
        }
    }

    /// Begins a packet. The first has what it has to say, the last is stuffed.
    fn open(&mut self) {
        let start = self.first.is_some();
        let first = self.first.take().unwrap_or_default();
        let discontinuity = start && mem::take(&mut self.stream.discontinuity);
        self.room = ROOM.saturating_sub(first.size(discontinuity)).min(self.left);
        let adaptation = ROOM.saturating_sub(self.room);
        self.stream.put_header(start, adaptation > 0, true, self.out);
        first.put(discontinuity, adaptation, self.out);
    }
}

/// The low 33 bits of a time in units of 1/90000 s. The product may wrap: its low bits are right still.
fn ticks(us: i64) -> i64 {
    let rest = us.rem_euclid(100).saturating_mul(9) / 100;
    us.div_euclid(100).wrapping_mul(9).wrapping_add(rest) & 0x1_ffff_ffff
}

/// A PTS or DTS: the time and [`OFFSET_US`].
fn time_stamp(us: i64) -> i64 {
    ticks(us).saturating_add(ticks(OFFSET_US)) & 0x1_ffff_ffff
}

/// program_clock_reference: 33 bits of 1/90000 s, 6 reserved, 9 of 1/27000000 s (2.4.3.5).
fn clock_reference(us: i64) -> u64 {
    let extension = us.rem_euclid(100).saturating_mul(27) % 300;
    (ticks(us) << 15 | 0x3f << 9 | extension).cast_unsigned()
}

/// A stamp of 33 bits in five bytes, each part before a marker bit (2.4.3.6).
fn put_stamp(prefix: i64, ticks: i64, out: &mut impl BufMut) {
    let parts = prefix << 36
        | (ticks >> 30 & 7) << 33
        | 1 << 32
        | (ticks >> 15 & 0x7fff) << 17
        | 1 << 16
        | (ticks & 0x7fff) << 1
        | 1;
    out.put_uint(parts.cast_unsigned(), STAMP);
}
