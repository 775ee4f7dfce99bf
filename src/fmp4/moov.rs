//! `moov` (ISO/IEC 14496-12, 8.2.1): that of an init segment, whose tables are empty, and that of a file
//! without fragments.

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::{Name, begin, begin_full, end, patch};
use super::{NEXT_ID, default_flags, micros, track_id};
use crate::media::Kind;

/// Ticks per second of `mvhd`, and of what `tkhd` and `elst` say.
pub(super) const MOVIE_TIMESCALE: u32 = 1000;

/// The transformation that changes nothing (6.2.2).
const MATRIX: [u32; 9] = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30];
/// "und", the language that isn't known (8.4.2.3).
const UNDETERMINED: u16 = 0x55c4;

/// A track as `moov` has it.
#[derive(Debug, Clone)]
pub(super) struct Trak {
    pub(super) kind: Kind,
    pub(super) timescale: u32,
    pub(super) width: u16,
    pub(super) height: u16,
    /// `stsd`, whole.
    pub(super) descriptions: Bytes,
    /// When it begins to be shown, in ms of the movie. 0 where it begins with the movie, as it is.
    pub(super) start: u64,
    /// From which of its ticks on it is shown, where it starts late.
    pub(super) media_time: u64,
    /// How long it is, in its ticks. 0 where fragments follow.
    pub(super) duration: u64,
    pub(super) tables: Tables,
}

/// A track's samples. Runs are a count and what each of so many has.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) durations: Vec<(u32, u32)>,
    pub(super) compositions: Vec<(u32, i32)>,
    pub(super) sizes: Vec<u32>,
    /// Numbers of the samples at which decoding can begin, from 1 on.
    pub(super) syncs: Vec<u32>,
    /// Where each chunk begins, counted from the first, and how many samples it has.
    pub(super) chunks: Vec<(u64, u32)>,
}

/// Where the first chunk stands in the file, and whether offsets take 32 bits or 64.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChunkOffsets {
    /// `stco`
    Short(u64),
    /// `co64`
    Long(u64),
}

impl Trak {
    /// When it ends, in ms of the movie.
    pub(super) fn end_ms(&self) -> u64 {
        self.start.saturating_add(self.duration_ms())
    }

    /// How long it is shown.
    fn duration_ms(&self) -> u64 {
        // To the nearest, as players count.
        let shown = self.duration.saturating_sub(self.media_time);
        u64::try_from(micros(shown, self.timescale)).unwrap_or(0).saturating_add(500) / 1000
    }
}

/// Appends `moov`, with what announces fragments if the file is `fragmented`.
pub(super) fn write(traks: &[Trak], fragmented: bool, offsets: ChunkOffsets, out: &mut BytesMut) {
    let moov = begin(out, b"moov");
    movie_header(traks.iter().map(Trak::end_ms).max().unwrap_or(0), out);
    for trak in traks {
        track(trak, offsets, out);
    }
    if fragmented {
        let mvex = begin(out, b"mvex");
        for trak in traks {
            let trex = begin_full(out, b"trex", 0, 0);
            out.put_u32(track_id(trak.kind).unwrap_or(0));
            out.put_u32(1); // sample_description_index
            out.put_u32(0); // duration
            out.put_u32(0); // size
            out.put_u32(default_flags(trak.kind));
            end(out, trex);
        }
        end(out, mvex);
    }
    end(out, moov);
}

/// `mvhd` (8.2.2).
fn movie_header(duration: u64, out: &mut BytesMut) {
    let at = header(b"mvhd", 0, &[MOVIE_TIMESCALE], duration, out);
    out.put_u32(1 << 16); // rate
    out.put_u16(1 << 8); // volume
    out.put_bytes(0, 10);
    matrix(out);
    out.put_bytes(0, 24);
    out.put_u32(NEXT_ID);
    end(out, at);
}

fn track(trak: &Trak, offsets: ChunkOffsets, out: &mut BytesMut) {
    const ENABLED_IN_MOVIE: u32 = 3;
    let is_video = trak.kind == Kind::Video;
    let at = begin(out, b"trak");

    let tkhd = header(b"tkhd", ENABLED_IN_MOVIE, &[track_id(trak.kind).unwrap_or(0), 0], trak.end_ms(), out);
    out.put_bytes(0, 8);
    out.put_u32(0); // layer, alternate_group
    out.put_u16(if is_video { 0 } else { 1 << 8 }); // volume
    out.put_u16(0);
    matrix(out);
    out.put_u32(u32::from(trak.width) << 16);
    out.put_u32(u32::from(trak.height) << 16);
    end(out, tkhd);
    if trak.start > 0 {
        edits(trak, out);
    }

    let mdia = begin(out, b"mdia");
    let mdhd = header(b"mdhd", 0, &[trak.timescale], trak.duration, out);
    out.put_u16(UNDETERMINED);
    out.put_u16(0);
    end(out, mdhd);
    let hdlr = begin_full(out, b"hdlr", 0, 0);
    out.put_u32(0);
    out.put_slice(if is_video { b"vide" } else { b"soun" });
    out.put_bytes(0, 12);
    out.put_u8(0); // name
    end(out, hdlr);
    media_information(trak, offsets, out);
    end(out, mdia);
    end(out, at);
}

/// `elst` (8.6.6): nothing until the track begins, and then all of it from what is shown first.
fn edits(trak: &Trak, out: &mut BytesMut) {
    const RATE: u32 = 1 << 16;
    let edts = begin(out, b"edts");
    let elst = begin_full(out, b"elst", 1, 0);
    out.put_u32(2);
    for (duration, media_time) in [(trak.start, u64::MAX), (trak.duration_ms(), trak.media_time)] {
        out.put_u64(duration);
        out.put_u64(media_time); // -1 for nothing
        out.put_u32(RATE);
    }
    end(out, elst);
    end(out, edts);
}

fn media_information(trak: &Trak, offsets: ChunkOffsets, out: &mut BytesMut) {
    const IN_THIS_FILE: u32 = 1;
    let minf = begin(out, b"minf");
    let is_video = trak.kind == Kind::Video;
    let media = begin_full(out, if is_video { b"vmhd" } else { b"smhd" }, 0, u32::from(is_video));
    out.put_bytes(0, if is_video { 8 } else { 4 });
    end(out, media);
    let dinf = begin(out, b"dinf");
    let dref = begin_full(out, b"dref", 0, 0);
    out.put_u32(1);
    let url = begin_full(out, b"url ", 0, IN_THIS_FILE);
    end(out, url);
    end(out, dref);
    end(out, dinf);

    let stbl = begin(out, b"stbl");
    out.put_slice(&trak.descriptions);
    tables(&trak.tables, offsets, out);
    end(out, stbl);
    end(out, minf);
}

/// The sample tables (8.6.1, 8.7). Those that may be left out stand only where they say something.
fn tables(tables: &Tables, offsets: ChunkOffsets, out: &mut BytesMut) {
    let stts = begin_full(out, b"stts", 0, 0);
    put_count(tables.durations.len(), out);
    for (count, duration) in &tables.durations {
        out.put_u32(*count);
        out.put_u32(*duration);
    }
    end(out, stts);

    if tables.compositions.iter().any(|(_, offset)| *offset != 0) {
        let signed = tables.compositions.iter().any(|(_, offset)| *offset < 0);
        let ctts = begin_full(out, b"ctts", u8::from(signed), 0);
        put_count(tables.compositions.len(), out);
        for (count, offset) in &tables.compositions {
            out.put_u32(*count);
            out.put_i32(*offset);
        }
        end(out, ctts);
    }

    if tables.syncs.len() < tables.sizes.len() {
        let stss = begin_full(out, b"stss", 0, 0);
        put_list(&tables.syncs, out);
        end(out, stss);
    }

    let stsc = begin_full(out, b"stsc", 0, 0);
    let count_at = out.len();
    out.put_u32(0);
    let (mut entries, mut before) = (0u32, None);
    for ((_, samples), number) in tables.chunks.iter().zip(1u32..) {
        if before != Some(*samples) {
            before = Some(*samples);
            entries = entries.saturating_add(1);
            out.put_u32(number);
            out.put_u32(*samples);
            out.put_u32(1); // sample_description_index
        }
    }
    patch(out, count_at, entries);
    end(out, stsc);

    let stsz = begin_full(out, b"stsz", 0, 0);
    out.put_u32(0);
    put_list(&tables.sizes, out);
    end(out, stsz);

    let at = match offsets {
        ChunkOffsets::Short(_) => begin_full(out, b"stco", 0, 0),
        ChunkOffsets::Long(_) => begin_full(out, b"co64", 0, 0),
    };
    put_count(tables.chunks.len(), out);
    for (offset, _) in &tables.chunks {
        match offsets {
            ChunkOffsets::Short(base) => {
                out.put_u32(u32::try_from(base.saturating_add(*offset)).unwrap_or(u32::MAX));
            }
            ChunkOffsets::Long(base) => out.put_u64(base.saturating_add(*offset)),
        }
    }
    end(out, at);
}

/// Begins a header with the times of creation and modification (not known), some fields, and a duration:
/// in 64 bits where it needs them.
fn header(name: &Name, flags: u32, fields: &[u32], duration: u64, out: &mut BytesMut) -> usize {
    let short = u32::try_from(duration);
    let at = begin_full(out, name, u8::from(short.is_err()), flags);
    out.put_bytes(0, if short.is_ok() { 8 } else { 16 });
    for field in fields {
        out.put_u32(*field);
    }
    match short {
        Ok(short) => out.put_u32(short),
        Err(_) => out.put_u64(duration),
    }
    at
}

fn matrix(out: &mut BytesMut) {
    for value in MATRIX {
        out.put_u32(value);
    }
}

fn put_list(list: &[u32], out: &mut BytesMut) {
    put_count(list.len(), out);
    for value in list {
        out.put_u32(*value);
    }
}

/// Tables have limits far below 32 bits.
fn put_count(count: usize, out: &mut BytesMut) {
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}
