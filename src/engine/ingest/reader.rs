//! One file that is played: FLV, MP4 or MPEG-TS, as its first bytes say, read a little at a time.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

#[cfg(any(feature = "http", feature = "hls"))]
use super::merge::Merge;
use crate::flv;
#[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
use crate::fmp4;
use crate::media::{Codec, Frame, Kind, Role, Unwrap};
#[cfg(any(feature = "http", feature = "hls"))]
use crate::mpegts;
use crate::wire::Malformed;

/// Bytes read at a time.
const READ: usize = 32 * 1024;
/// What a read counts as at least, in bytes: many short ones take their time too.
const READ_COST: usize = 4 * 1024;
/// Bytes read without coming upon a frame after which the file is given up.
const BARREN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the beginning by which the format is told: five packets of a transport stream.
const HEAD: usize = 5 * 204;
/// Packets in a row that make a transport stream.
const TS_PACKETS: usize = 3;
/// Frames at a file's beginning among which its tracks' headers are looked for, to go before all others, and
/// their bytes.
const BEGINNING_FRAMES: usize = 32;
const BEGINNING_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of room that are kept from one range of an MP4 file to the next.
#[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
const KEPT: usize = 1024 * 1024;

/// What is wrong with a file.
#[derive(Debug)]
pub(in crate::engine) enum Cause {
    Io(io::Error),
    /// It is a folder, a pipe, a device.
    NotRegular,
    /// It begins like none of the formats.
    Unknown(Vec<u8>),
    /// Its format has been left out of this build, which needs these features for it.
    #[cfg(not(any(feature = "http", feature = "hls")))]
    NotBuilt(&'static str, &'static str),
    /// An FLV file that is malformed before this byte.
    Flv(u64, Malformed),
    #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
    Mp4(fmp4::DemuxError),
    #[cfg(any(feature = "http", feature = "hls"))]
    Ts(mpegts::NoSync),
    /// A transport stream without a track of a known codec, but with one of this stream_type.
    #[cfg(any(feature = "http", feature = "hls"))]
    Refused(u8),
    CutOff,
    Barren,
    NoFrames,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => write!(f, "{e}"),
            Self::NotRegular => f.write_str("not a regular file"),
            Self::Unknown(head) => {
                f.write_str("FLV, MP4 or MPEG-TS was expected, but it begins with the bytes")?;
                head.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
            #[cfg(not(any(feature = "http", feature = "hls")))]
            Self::NotBuilt(format, features) => {
                write!(f, "{format} is not in this build: it comes with the feature {features}")
            }
            Self::Flv(at, cause) => write!(f, "FLV, malformed before byte {at}: {cause}"),
            #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
            Self::Mp4(e) => write!(f, "{e}"),
            #[cfg(any(feature = "http", feature = "hls"))]
            Self::Ts(e) => write!(f, "{e}"),
            #[cfg(any(feature = "http", feature = "hls"))]
            Self::Refused(stream_type) => write!(
                f,
                "MPEG-TS without a track of a known codec: its stream_type 0x{stream_type:02x} is none of \
                H.264, H.265, AAC in ADTS and MP3"
            ),
            Self::CutOff => f.write_str("it is cut off: what is announced goes on behind its end"),
            Self::Barren => write!(f, "no audio or video frame in {} MiB", BARREN_BYTES / 1024 / 1024),
            Self::NoFrames => f.write_str("no audio or video frame in it"),
        }
    }
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    format: Format,
    /// Where the next read begins; of MP4, the range that is wanted.
    position: u64,
    buffer: Vec<u8>,
    /// What of the buffer has been read, and what of that the demuxer has taken.
    filled: usize,
    taken: usize,
    /// Frames that are found and not given.
    ready: VecDeque<Frame>,
    /// The headers have been looked for.
    begun: bool,
    /// Nothing more is read, because of this or because all has been.
    over: bool,
    wrong: Option<Cause>,
    /// Bytes read since the last frame.
    barren: usize,
}

#[derive(Debug)]
enum Format {
    Flv {
        demuxer: flv::Demuxer,
        clock: Unwrap,
    },
    #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
    Mp4(fmp4::FileDemuxer),
    #[cfg(any(feature = "http", feature = "hls"))]
    Ts {
        demuxer: Box<mpegts::Demuxer>,
        merge: Merge,
    },
}

/// What comes next of a file.
#[derive(Debug)]
pub(super) enum Step {
    Frame(Frame),
    /// What may be read in one turn has been read.
    Pause,
    End,
}

/// What has become of a read.
enum Piece {
    Read,
    Pause,
    End,
}

impl Reader {
    /// Opens a file and tells its format.
    pub(super) fn open(path: &str) -> Result<Self, Cause> {
        // A pipe would keep the loop waiting for its other end.
        if !std::fs::metadata(path).map_err(Cause::Io)?.is_file() {
            return Err(Cause::NotRegular);
        }
        let file = File::open(path).map_err(Cause::Io)?;
        let mut head = [0; HEAD];
        let mut len = 0;
        while let Some(room) = head.get_mut(len..).filter(|room| !room.is_empty()) {
            match read_at(&file, room, len as u64)? {
                0 => break,
                n => len = len.saturating_add(n),
            }
        }
        let format = Format::of(head.get(..len).unwrap_or_default(), &file)?;
        Ok(Self {
            file,
            format,
            position: 0,
            buffer: Vec::new(),
            filled: 0,
            taken: 0,
            ready: VecDeque::new(),
            begun: false,
            over: false,
            wrong: None,
            barren: 0,
        })
    }

    /// The next frame. What is read for it is taken off the budget, of bytes. At the end an error says what was
    /// wrong with the file, if anything was.
    pub(super) fn next(&mut self, budget: &mut usize) -> Result<Step, Cause> {
        loop {
            if !self.begun && (self.over || self.has_beginning()) {
                self.begin();
            }
            if self.begun
                && let Some(frame) = self.ready.pop_front()
            {
                self.barren = 0;
                return Ok(Step::Frame(frame));
            }
            if self.over {
                return self.wrong.take().map_or(Ok(Step::End), Err);
            }
            let piece = match self.format {
                #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
                Format::Mp4(_) => self.next_range(budget),
                _ => self.next_piece(budget),
            };
            match piece {
                Ok(Piece::Read) => {}
                Ok(Piece::Pause) => return Ok(Step::Pause),
                Ok(Piece::End) => self.end(None),
                Err(e) => self.end(Some(e)),
            }
        }
    }

    /// Whether both tracks have shown themselves, or there seems to be only one.
    fn has_beginning(&self) -> bool {
        let has = |kind| self.ready.iter().any(|f| f.kind == kind && f.role != Role::Header);
        self.ready.len() >= BEGINNING_FRAMES
            || self.ready.iter().map(Frame::size).fold(0, usize::saturating_add) > BEGINNING_BYTES
            || (has(Kind::Video) && has(Kind::Audio))
    }

    /// Puts the headers first, so that who begins with the file knows its tracks. One behind frames of its own
    /// track stays there: it is another.
    fn begin(&mut self) {
        self.begun = true;
        let (mut headers, mut rest) = (VecDeque::new(), VecDeque::new());
        for frame in self.ready.drain(..) {
            let is_first = rest.iter().all(|before: &Frame| before.kind != frame.kind);
            if frame.role == Role::Header && is_first { &mut headers } else { &mut rest }.push_back(frame);
        }
        headers.append(&mut rest);
        self.ready = headers;
    }

    /// Has a frame be the next again.
    pub(super) fn put_back(&mut self, frame: Frame) {
        self.ready.push_front(frame);
    }

    /// Nothing more is read: what is held back goes out.
    fn end(&mut self, wrong: Option<Cause>) {
        let complaint = match &mut self.format {
            Format::Flv { demuxer, .. } => demuxer.is_cut_off().then_some(Cause::CutOff),
            #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
            Format::Mp4(demuxer) => demuxer.is_cut_off().then_some(Cause::CutOff),
            #[cfg(any(feature = "http", feature = "hls"))]
            Format::Ts { demuxer, merge } => {
                demuxer.flush();
                while let Ok(Some(frame)) = demuxer.handle_input(&mut &[][..]) {
                    merge.push(frame);
                }
                self.ready.extend(std::iter::from_fn(|| merge.take()));
                demuxer.refused().map(Cause::Refused)
            }
        };
        (self.over, self.wrong) = (true, wrong.or(complaint));
    }

    /// Takes what has been read up to the next frame, or reads on.
    fn next_piece(&mut self, budget: &mut usize) -> Result<Piece, Cause> {
        let mut input = self.buffer.get(self.taken..self.filled).unwrap_or_default();
        let before = input.len();
        let at = self.position;
        let is_news = match &mut self.format {
            Format::Flv { demuxer, clock } => {
                let tag = demuxer.handle_input(&mut input).map_err(|cause| Cause::Flv(at, cause))?;
                let is_news = tag.is_some();
                self.ready.extend(tag.and_then(|tag| flv_frame(tag, clock)));
                is_news
            }
            #[cfg(any(feature = "http", feature = "hls"))]
            Format::Ts { demuxer, merge } => {
                let frame = demuxer.handle_input(&mut input).map_err(Cause::Ts)?;
                let is_news = frame.is_some();
                frame.into_iter().for_each(|frame| merge.push(frame));
                self.ready.extend(std::iter::from_fn(|| merge.pop()));
                is_news
            }
            #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
            Format::Mp4(_) => false,
        };
        self.taken = self.taken.saturating_add(before.saturating_sub(input.len()));
        if is_news || self.taken < self.filled {
            return Ok(Piece::Read);
        }
        self.buffer.resize(READ, 0);
        (self.filled, self.taken) = (0, 0);
        let piece = self.read(READ, budget)?;
        self.position = self.position.saturating_add(self.filled as u64);
        Ok(piece)
    }

    /// Reads on in the range that is wanted, and takes it when it is whole.
    #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
    fn next_range(&mut self, budget: &mut usize) -> Result<Piece, Cause> {
        let Format::Mp4(demuxer) = &self.format else { return Ok(Piece::End) };
        let Some(wanted) = demuxer.wanted() else { return Ok(Piece::End) };
        let missing = wanted.len.saturating_sub(self.filled).min(READ);
        let mut is_short = false;
        if missing > 0 {
            self.position = wanted.offset.saturating_add(self.filled as u64);
            let end = self.filled.saturating_add(missing);
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            match self.read(missing, budget)? {
                Piece::Read => {}
                Piece::Pause => return Ok(Piece::Pause),
                Piece::End => is_short = true,
            }
        }
        if !is_short && self.filled < wanted.len {
            return Ok(Piece::Read);
        }
        let Format::Mp4(demuxer) = &mut self.format else { return Ok(Piece::End) };
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        self.ready.extend(demuxer.handle_input(bytes).map_err(Cause::Mp4)?);
        self.filled = 0;
        if self.buffer.len() > KEPT {
            self.buffer = Vec::new();
        }
        Ok(Piece::Read)
    }

    /// Reads up to `len` bytes behind those that fill the buffer.
    fn read(&mut self, len: usize, budget: &mut usize) -> Result<Piece, Cause> {
        if *budget == 0 {
            return Ok(Piece::Pause);
        }
        if self.barren > BARREN_BYTES {
            return Err(Cause::Barren);
        }
        let room = self.buffer.get_mut(self.filled..self.filled.saturating_add(len)).unwrap_or_default();
        let n = read_at(&self.file, room, self.position)?;
        let cost = n.max(READ_COST);
        *budget = budget.saturating_sub(cost);
        self.barren = self.barren.saturating_add(cost);
        self.filled = self.filled.saturating_add(n);
        Ok(if n == 0 { Piece::End } else { Piece::Read })
    }
}

impl Format {
    /// The format of a file that begins with `head`.
    fn of(head: &[u8], file: &File) -> Result<Self, Cause> {
        if head.is_empty() {
            return Err(Cause::NoFrames);
        }
        if head.starts_with(b"FLV") {
            return Ok(Self::Flv { demuxer: flv::Demuxer::new(), clock: Unwrap::default() });
        }
        if is_mp4(head) {
            return Self::mp4(file);
        }
        if is_transport_stream(head) {
            return Self::transport_stream();
        }
        Err(Cause::Unknown(head.iter().take(8).copied().collect()))
    }

    #[cfg(any(feature = "http", feature = "hls", feature = "dvr"))]
    fn mp4(file: &File) -> Result<Self, Cause> {
        let len = file.metadata().map_err(Cause::Io)?.len();
        Ok(Self::Mp4(fmp4::FileDemuxer::new(len)))
    }

    #[cfg(not(any(feature = "http", feature = "hls", feature = "dvr")))]
    fn mp4(_: &File) -> Result<Self, Cause> {
        Err(Cause::NotBuilt("MP4", "http, hls or dvr"))
    }

    #[cfg(any(feature = "http", feature = "hls"))]
    fn transport_stream() -> Result<Self, Cause> {
        Ok(Self::Ts { demuxer: Box::default(), merge: Merge::default() })
    }

    #[cfg(not(any(feature = "http", feature = "hls")))]
    fn transport_stream() -> Result<Self, Cause> {
        Err(Cause::NotBuilt("MPEG-TS", "http or hls"))
    }
}

/// Whether the file begins with a box that files begin with.
fn is_mp4(head: &[u8]) -> bool {
    const BOXES: [&[u8; 4]; 11] =
        [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"prft", b"uuid"];
    head.get(4..8).is_some_and(|name| BOXES.iter().any(|known| name == *known))
}

/// Whether packets follow one another, alone or with something between them, from wherever the first begins.
fn is_transport_stream(head: &[u8]) -> bool {
    const SYNC_BYTE: u8 = 0x47;
    let is_in_step = |at: usize, stride: usize| {
        let mut packets = head.iter().skip(at).step_by(stride);
        packets.len() >= TS_PACKETS && packets.all(|byte| *byte == SYNC_BYTE)
    };
    [188, 192, 204].into_iter().any(|stride| (0..stride).any(|at| is_in_step(at, stride)))
}

/// The frame of a tag, its time on a clock that doesn't wrap; `None` for what can't be relayed.
fn flv_frame(tag: flv::Tag, clock: &mut Unwrap) -> Option<Frame> {
    let frame = match tag.kind {
        Kind::Data => return metadata(&tag.body),
        kind => flv::frame(kind, 0, tag.body).ok()?,
    };
    // Headers have any time, often 0.
    if frame.role == Role::Header {
        return Some(frame);
    }
    let dts = clock.extend(tag.timestamp_ms);
    Some(Frame { dts, pts: dts.saturating_add(frame.pts), ..frame })
}

/// A script tag as a publisher would send it.
fn metadata(body: &Bytes) -> Option<Frame> {
    let metadata = flv::metadata(body).ok()??;
    Some(Frame {
        kind: Kind::Data,
        codec: Codec::Script,
        role: Role::Header,
        dts: 0,
        pts: 0,
        payload: metadata.body.into(),
        relay: Bytes::new(),
    })
}

fn read_at(file: &File, room: &mut [u8], at: u64) -> Result<usize, Cause> {
    loop {
        match file.read_at(room, at) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(Cause::Io),
        }
    }
}
