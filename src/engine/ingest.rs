//! A virtual live: an FLV file played in real time as a stream, over and over.
//!
//! The file is read a little at a time, as its frames fall due. Across the loop timestamps go on: the
//! file's length is its last timestamp plus the last step of that track.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;

use crate::config::{Ingest as Settings, Input};
use crate::flv::{self, file};
use crate::media::{Codec, Frame, Headers, Kind, Role};
use crate::time::Time;
use crate::wire::Malformed;

/// How long after a failure the file is tried again (SRS's ingest does so every 3 s).
pub(super) const RETRY: Duration = Duration::from_secs(3);
/// Bytes read from the file at a time.
const READ: usize = 32 * 1024;
/// A frame that is this late is not made up for: the clock starts anew.
const LATE: Duration = Duration::from_secs(5);
/// What the last frame of a track counts as when the file has only one.
const STEP_MS: i64 = 10;

/// Why a file can't be played.
#[derive(Debug)]
pub(super) enum IngestError {
    Io(io::Error),
    Malformed(u64, Malformed),
    NoFrames,
    NoFile,
}

impl std::fmt::Display for IngestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(e) => write!(f, "{e}"),
            Self::Malformed(at, cause) => write!(f, "not an FLV file before byte {at}: {cause}"),
            Self::NoFile => f.write_str("not a regular file"),
            Self::NoFrames => f.write_str("no audio or video frame in it"),
        }
    }
}

/// One virtual live, open or waiting to try again.
#[derive(Debug)]
pub(super) struct Ingest {
    pub(super) settings: Settings,
    pub(super) stream: Option<u32>,
    reader: Option<Reader>,
    next: Option<(i64, Frame)>,
    /// The wall time of timestamp 0.
    start: Time,
    /// Headers already given: repeats of the same at each loop are left out.
    given: Headers,
}

#[derive(Debug)]
struct Reader {
    file: File,
    demuxer: file::Demuxer,
    buffer: Vec<u8>,
    filled: usize,
    taken: usize,
    read: u64,
    /// What is added to the file's timestamps, in ms, in this round.
    offset: i64,
    first: Option<i64>,
    tracks: [Track; 2],
}

#[derive(Debug, Default, Clone, Copy)]
struct Track {
    last: Option<i64>,
    step: i64,
}

impl Ingest {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            stream: None,
            reader: None,
            next: None,
            start: Time::ZERO,
            given: Headers::default(),
        }
    }

    /// Opens the file and finds its first frame.
    pub(super) fn open(&mut self, now: Time) -> Result<(), IngestError> {
        let path = match &self.settings.input {
            Input::Files(paths) => paths.first().map_or("", String::as_str),
            Input::Url(_) | Input::Program(_) => "",
        };
        // A pipe would keep the loop waiting for its other end.
        if !std::fs::metadata(path).map_err(IngestError::Io)?.is_file() {
            return Err(IngestError::NoFile);
        }
        let file = File::open(path).map_err(IngestError::Io)?;
        self.reader = Some(Reader {
            file,
            demuxer: file::Demuxer::new(),
            buffer: vec![0; READ],
            filled: 0,
            taken: 0,
            read: 0,
            offset: 0,
            first: None,
            tracks: [Track::default(); 2],
        });
        self.given = Headers::default();
        self.start = now;
        self.next = None;
        self.advance()
    }

    /// Closes the file.
    pub(super) fn close(&mut self) {
        self.reader = None;
        self.next = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// When the next frame is due.
    pub(super) fn due(&self) -> Option<Time> {
        let (ms, _) = self.next.as_ref()?;
        Some(self.start + Duration::from_millis(u64::try_from(*ms).unwrap_or_default()))
    }

    /// The next frame, if it is due. After an error the file is to be closed.
    pub(super) fn poll(&mut self, now: Time) -> Result<Option<Frame>, IngestError> {
        let Some(due) = self.due() else { return Ok(None) };
        if due > now {
            return Ok(None);
        }
        if now.since(due) > LATE {
            self.start = self.start + now.since(due);
        }
        let frame = self.next.take().map(|(_, frame)| frame);
        self.advance()?;
        Ok(frame)
    }

    /// Finds the next frame that is to be given, from the start again at the file's end.
    fn advance(&mut self) -> Result<(), IngestError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        loop {
            let Some((ms, frame)) = reader.next()? else {
                reader.rewind()?;
                continue;
            };
            if frame.role == Role::Header {
                if self.given.holds(&frame) {
                    continue;
                }
                match frame.kind {
                    Kind::Audio => self.given.audio = Some(frame.clone()),
                    Kind::Video => self.given.video = Some(frame.clone()),
                    Kind::Data => self.given.metadata = Some(frame.clone()),
                }
            }
            self.next = Some((ms, frame));
            return Ok(());
        }
    }
}

impl Reader {
    /// The next frame of the file with its place in ms from the start of the live; `None` at the end.
    fn next(&mut self) -> Result<Option<(i64, Frame)>, IngestError> {
        loop {
            let mut input = self.buffer.get(self.taken..self.filled).unwrap_or_default();
            let before = input.len();
            let tag = self.demuxer.handle_input(&mut input);
            self.taken += before - input.len();
            match tag.map_err(|cause| IngestError::Malformed(self.read, cause))? {
                Some(tag) => {
                    if let Some(frame) = self.frame(tag) {
                        return Ok(Some(frame));
                    }
                }
                None if self.taken < self.filled => {}
                None => {
                    self.filled = self.file.read(&mut self.buffer).map_err(IngestError::Io)?;
                    self.taken = 0;
                    self.read += self.filled as u64;
                    if self.filled == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// A tag's frame at its place; `None` for what can't be relayed.
    fn frame(&mut self, tag: file::Tag) -> Option<(i64, Frame)> {
        let frame = match tag.kind {
            Kind::Data => metadata(&tag.body)?,
            kind => flv::frame(kind, 0, tag.body).ok()?,
        };
        let raw = i64::from(tag.timestamp_ms);
        let moves = matches!(frame.role, Role::Key | Role::Delta) && frame.kind != Kind::Data;
        let ms = raw.saturating_sub(self.first.unwrap_or(raw)).max(0);
        if moves {
            self.first.get_or_insert(raw);
            let track = &mut self.tracks[usize::from(frame.kind == Kind::Video)];
            if let Some(last) = track.last {
                track.step = ms.saturating_sub(last).clamp(1, 10_000);
            }
            track.last = Some(ms);
        }
        let at = self.offset.saturating_add(ms);
        let dts = at.saturating_mul(1000);
        let pts = dts.saturating_add(frame.pts.saturating_sub(frame.dts));
        Some((at, Frame { dts, pts, ..frame }))
    }

    /// Goes back to the file's start.
    fn rewind(&mut self) -> Result<(), IngestError> {
        use std::io::Seek;

        let end = |t: &Track| t.last.map(|last| last + if t.step > 0 { t.step } else { STEP_MS });
        let Some(length) = self.tracks.iter().filter_map(end).max() else {
            return Err(IngestError::NoFrames);
        };
        self.offset = self.offset.saturating_add(length);
        self.first = None;
        self.tracks = [Track::default(); 2];
        self.demuxer = file::Demuxer::new();
        self.filled = 0;
        self.taken = 0;
        self.read = 0;
        self.file.rewind().map_err(IngestError::Io)
    }
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
        payload: metadata.body,
        relay: Bytes::new(),
    })
}
