//! A recording's FLV file: its header and metadata, its tags, and what is put right when it ends.

use bytes::{BufMut, Bytes, BytesMut};

use crate::flv::{self, file};
use crate::media::{Frame, Headers, Kind, Role};
use crate::wire::limits::{AMF_DEPTH, DVR_INDEX_KEYFRAMES, FLV_TAG_BYTES};
use crate::wire::{Malformed, Reader};

use super::recorder::Patch;

/// Where the flags for audio and video stand.
const FLAGS_AT: u64 = 4;
/// Where the file's own entries of the metadata stand: behind the file's header, the tag's header, the
/// name and the array's count.
const ENTRIES_AT: u64 = 13 + 11 + NAME.len() as u64 + 5;
/// The name of metadata, as an AMF0 string.
const NAME: &[u8] = b"\x02\x00\x0aonMetaData";

/// What other recordings' metadata may say and is not true of this file.
const OF_FILES: [&[u8]; 12] = [
    b"duration",
    b"filesize",
    b"keyframes",
    b"unindexed",
    b"hasKeyframes",
    b"canSeekToEnd",
    b"lasttimestamp",
    b"lastkeyframetimestamp",
    b"lastkeyframelocation",
    b"datasize",
    b"videosize",
    b"audiosize",
];

const NUMBER: u8 = 0x00;
const OBJECT: u8 = 0x03;
const ECMA_ARRAY: u8 = 0x08;
const STRICT_ARRAY: u8 = 0x0a;
const OBJECT_END: [u8; 3] = [0, 0, 9];
/// Bytes of a number in an array.
const NUMBER_BYTES: usize = 9;

/// One file.
#[derive(Debug)]
pub(super) struct FlvFile {
    /// Bytes written.
    position: u64,
    /// What the file's own entries hold, unless it was begun by somebody else.
    index: Option<Index>,
    /// Whether the header announces audio and video, and whether there is any.
    announced: [bool; 2],
    seen: [bool; 2],
}

impl FlvFile {
    /// Begins a file: its header, and the metadata with room for what is known only in the end.
    pub(super) fn new(headers: &Headers, with_index: bool, out: &mut BytesMut) -> Self {
        let announced = [headers.audio.is_some(), headers.video.is_some()];
        let index = if with_index { Index::new() } else { Index::none() };
        let mut body = BytesMut::from(NAME);
        let mut published = BytesMut::new();
        let count = headers.metadata.as_ref().map_or(0, |m| of_stream(&m.payload.bytes(), &mut published));
        let own = index.entries(0, 0);
        body.put_u8(ECMA_ARRAY);
        body.put_u32(count.saturating_add(index.count()));
        body.put_slice(&own);
        body.put_slice(&published);
        body.put_slice(&OBJECT_END);
        let before = out.len();
        out.put_slice(&file::header(announced[0], announced[1]));
        // What a message may have is a tag's length by far.
        let _ = file::tag(Kind::Data, 0, &body.freeze().into(), out);
        let position = out.len().saturating_sub(before) as u64;
        Self { position, index: Some(index), announced, seen: [false; 2] }
    }

    /// Goes on with a file that has `position` bytes.
    pub(super) fn resume(position: u64) -> Self {
        Self { position, index: None, announced: [true; 2], seen: [false; 2] }
    }

    /// Bytes written.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Adds a frame's tag. `false` if the frame is longer than a tag that is taken back may be.
    pub(super) fn write(&mut self, dts_us: i64, frame: &Frame, out: &mut BytesMut) -> bool {
        if !flv::carries(frame.codec) {
            return true;
        }
        let body = flv::body(frame);
        let ms = dts_us.div_euclid(1000);
        let before = out.len();
        // The field is the low 32 bits of the time, and wraps.
        if body.len() > FLV_TAG_BYTES || file::tag(frame.kind, ms as u32, &body, out).is_err() {
            return false;
        }
        match frame.kind {
            Kind::Audio => self.seen[0] = true,
            Kind::Video => self.seen[1] = true,
            Kind::Data => {}
        }
        if let Some(index) = self.index.as_mut()
            && frame.is_video_key()
        {
            index.add(self.position, ms);
        }
        self.position = self.position.saturating_add(out.len().saturating_sub(before) as u64);
        true
    }

    /// What is put right in a file that lasts `duration_us`.
    pub(super) fn finish(self, duration_us: i64) -> impl Iterator<Item = Patch> {
        let entries = self.index.map(|index| Patch {
            offset: ENTRIES_AT,
            bytes: index.entries(duration_us.div_euclid(1000), self.position).freeze(),
        });
        let flags = file::header(self.seen[0], self.seen[1]).get(4..5).map(Bytes::copy_from_slice);
        let flags = flags.filter(|_| entries.is_some() && self.announced != self.seen);
        flags.map(|bytes| Patch { offset: FLAGS_AT, bytes }).into_iter().chain(entries)
    }
}

/// Where keyframes stand. When it is full every second one is left out, and so on from then on.
#[derive(Debug)]
struct Index {
    /// Entries at most: what there is room for in the file.
    room: usize,
    /// Offset in the file and time in ms.
    keyframes: Vec<(u64, i64)>,
    /// Of so many keyframes one is noted.
    stride: u32,
    /// Keyframes since the last one noted.
    passed: u32,
}

impl Index {
    fn new() -> Self {
        Self { room: DVR_INDEX_KEYFRAMES, keyframes: Vec::new(), stride: 1, passed: 0 }
    }

    fn none() -> Self {
        Self { room: 0, ..Self::new() }
    }

    fn add(&mut self, offset: u64, ms: i64) {
        self.passed = self.passed.saturating_add(1);
        if self.room == 0 || (self.passed < self.stride && !self.keyframes.is_empty()) {
            return;
        }
        if self.keyframes.len() >= self.room {
            let mut even = false;
            self.keyframes.retain(|_| {
                even = !even;
                even
            });
            self.stride = self.stride.saturating_mul(2);
            // The last one noted was odd: this one is the next.
        }
        self.keyframes.push((offset, ms));
        self.passed = 0;
    }

    /// How many entries of the metadata are the file's own.
    fn count(&self) -> u32 {
        if self.room == 0 { 2 } else { 3 }
    }

    /// The file's own entries of the metadata. They have the same length whatever they say: `spacer` is
    /// what `filepositions` and `times` leave.
    fn entries(&self, duration_ms: i64, bytes: u64) -> BytesMut {
        let mut out = BytesMut::with_capacity(128 + 2 * NUMBER_BYTES * self.room);
        key(&mut out, b"duration");
        number(&mut out, seconds(duration_ms));
        key(&mut out, b"filesize");
        number(&mut out, bytes as f64);
        if self.room == 0 {
            return out;
        }
        // FFmpeg complains of an index of fewer than two. As long as there is none it has another name,
        // of the same length.
        key(&mut out, if self.keyframes.len() < 2 { b"unindexed" } else { b"keyframes" });
        out.put_u8(OBJECT);
        array(&mut out, b"filepositions", self.keyframes.iter().map(|(offset, _)| *offset as f64));
        array(&mut out, b"times", self.keyframes.iter().map(|(_, ms)| seconds(*ms)));
        let left = self.room.saturating_sub(self.keyframes.len()).saturating_mul(2);
        array(&mut out, b"spacer", std::iter::repeat_n(0.0, left));
        out.put_slice(&OBJECT_END);
        out
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn key(out: &mut BytesMut, name: &[u8]) {
    out.put_u16(u16::try_from(name.len()).unwrap_or(0));
    out.put_slice(name);
}

fn number(out: &mut BytesMut, n: f64) {
    out.put_u8(NUMBER);
    out.put_f64(n);
}

fn array(out: &mut BytesMut, name: &[u8], values: impl ExactSizeIterator<Item = f64>) {
    key(out, name);
    out.put_u8(STRICT_ARRAY);
    out.put_u32(u32::try_from(values.len()).unwrap_or(0));
    values.for_each(|n| number(out, n));
}

/// Appends the entries of a stream's metadata that hold for a file too, and says how many they are. What
/// isn't metadata has none.
fn of_stream(payload: &Bytes, out: &mut BytesMut) -> u32 {
    let Ok(Some(metadata)) = flv::metadata(payload) else { return 0 };
    let mut count = 0u32;
    // It is well-formed, having just been written; an error would only end the list early.
    let _ = entries(&metadata.body, |name, value| {
        // A reference counts the objects before it, which are others here.
        if !OF_FILES.contains(&name) && value.first() != Some(&REFERENCE) {
            key(out, name);
            out.put_slice(value);
            count = count.saturating_add(1);
        }
    });
    count
}

/// Each entry of a metadata body: its name, and its value with its type.
fn entries<'a>(body: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), Malformed> {
    let mut r = Reader::new(body);
    r.skip(NAME.len())?;
    // The array's type and count.
    r.skip(5)?;
    loop {
        let length = r.u16()?;
        let name = r.take(usize::from(length))?;
        let rest = r.rest();
        skip_value(&mut r, AMF_DEPTH)?;
        if name.is_empty() && rest.first() == Some(&9) {
            return Ok(());
        }
        each(name, rest.get(..rest.len().saturating_sub(r.remaining())).unwrap_or_default());
    }
}

const REFERENCE: u8 = 0x07;

/// Passes over one AMF0 value with its type, or the mark that ends an object.
fn skip_value(r: &mut Reader<'_>, depth: usize) -> Result<(), Malformed> {
    let deeper =
        depth.checked_sub(1).ok_or(Malformed::Limit { what: "AMF depth", limit: AMF_DEPTH as u32 })?;
    let size = match r.u8()? {
        NUMBER => 8,
        0x01 => 1,
        0x02 => usize::from(r.u16()?),
        OBJECT => return skip_properties(r, deeper),
        REFERENCE => 2,
        ECMA_ARRAY => {
            r.skip(4)?;
            return skip_properties(r, deeper);
        }
        STRICT_ARRAY => {
            for _ in 0..r.u32()? {
                skip_value(r, deeper)?;
            }
            0
        }
        0x0b => 10,
        0x0c | 0x0f => usize::try_from(r.u32()?).unwrap_or(usize::MAX),
        0x10 => {
            let length = r.u16()?;
            r.skip(usize::from(length))?;
            return skip_properties(r, deeper);
        }
        // null, undefined, unsupported and the end of an object.
        _ => 0,
    };
    r.skip(size)
}

fn skip_properties(r: &mut Reader<'_>, depth: usize) -> Result<(), Malformed> {
    loop {
        let length = r.u16()?;
        r.skip(usize::from(length))?;
        let is_end = length == 0 && r.peek_u8()? == 9;
        skip_value(r, depth)?;
        if is_end {
            return Ok(());
        }
    }
}

/// Whether the frame moves the clock: headers and scripts don't.
pub(super) fn has_time(frame: &Frame) -> bool {
    frame.kind != Kind::Data && frame.role != Role::Header
}
