//! Files played one after another in real time, once or over and over, as one stream whose time goes on.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::reader::{Cause, Reader, Step};
use super::timeline::{Timeline, is_media};
use crate::amf::amf0;
use crate::media::{Codec, Frame, Headers, Kind, Role};
use crate::time::Time;

/// A frame that is this late is not made up for: the clock starts anew.
const LATE: Duration = Duration::from_secs(5);
/// Bytes read at most in one turn without coming upon a frame; the search goes on in the next.
const TURN_BYTES: usize = 1024 * 1024;
/// What opening a file counts as, in bytes read.
const OPEN_COST: usize = 32 * 1024;
/// When a search goes on: as soon as the loop has served everybody else.
const MOMENT: Duration = Duration::from_micros(1);
/// Warnings that are held for the caller; of more nothing is said.
const WARNINGS: usize = 64;

/// Why nothing is played.
#[derive(Debug)]
pub(in crate::engine) enum FileError {
    /// The only file can't be played.
    One(Cause),
    /// No file of the list can be played: each with what is wrong.
    All(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(e) => e.fmt(f),
            Self::All(wrong) => write!(f, "none of its files can be played: {wrong}"),
        }
    }
}

/// A list of files at play.
///
/// A file begins where the one before has ended, which is its last timestamp and the last step of that
/// track, the greatest of the tracks; so does what follows a jump of the timestamps within a file. Headers that
/// are in force already are left out. A file that can't be played is passed over, and one that is broken or
/// cut off ends there; what was wrong is for [`Files::take_warning`].
#[derive(Debug)]
pub(super) struct Files {
    list: Vec<Listed>,
    looped: bool,
    /// The place in the list of the file that is open or, if none is, of the next.
    at: usize,
    reader: Option<Reader>,
    /// This file and this round have given a frame.
    file_played: bool,
    round_played: bool,
    next: Next,
    /// The wall time of timestamp 0.
    start: Time,
    timeline: Timeline,
    /// Headers already given.
    given: Headers,
    /// The metadata in force is of another file.
    stale_metadata: bool,
    warnings: VecDeque<String>,
}

#[derive(Debug)]
struct Listed {
    path: String,
    /// What was wrong when it was last played: it is told when it changes.
    wrong: Option<Cause>,
}

#[derive(Debug)]
enum Next {
    /// This frame, so many µs after the start.
    Due(i64, Frame),
    /// One that has not been found yet: on from this time.
    Sought(Time),
    /// There are no more, because of this.
    Failed(Time, FileError),
    Ended,
}

impl Files {
    /// Opens the first file that can be played and looks for its first frame; where that takes long the search
    /// goes on when [`Files::due`] says. With `looped` the list begins anew at its end.
    pub(super) fn open(now: Time, paths: &[String], looped: bool) -> Result<Self, FileError> {
        let list = paths.iter().map(|path| Listed { path: path.clone(), wrong: None });
        let mut files = Self {
            list: list.collect(),
            looped,
            at: 0,
            reader: None,
            file_played: false,
            round_played: false,
            next: Next::Ended,
            start: now,
            timeline: Timeline::default(),
            given: Headers::default(),
            stale_metadata: false,
            warnings: VecDeque::new(),
        };
        files.next = files.find(now);
        match std::mem::replace(&mut files.next, Next::Ended) {
            Next::Failed(_, e) => Err(e),
            next => Ok(Self { next, ..files }),
        }
    }

    /// When there is something for [`Files::poll`]; `None` at the end.
    pub(super) fn due(&self) -> Option<Time> {
        match &self.next {
            Next::Due(us, _) => {
                Some(self.start + Duration::from_micros(u64::try_from(*us).unwrap_or_default()))
            }
            Next::Sought(at) | Next::Failed(at, _) => Some(*at),
            Next::Ended => None,
        }
    }

    /// The next frame, if it is due. After an error there are no more.
    pub(super) fn poll(&mut self, now: Time) -> Result<Option<Frame>, FileError> {
        if matches!(self.next, Next::Sought(at) if at <= now) {
            self.next = self.find(now);
        }
        let Some(due) = self.due().filter(|due| *due <= now) else { return Ok(None) };
        match std::mem::replace(&mut self.next, Next::Ended) {
            Next::Due(_, frame) => {
                if now.since(due) > LATE {
                    self.start = self.start + now.since(due);
                }
                self.next = self.find(now);
                Ok(Some(frame))
            }
            Next::Failed(_, e) => Err(e),
            Next::Sought(_) | Next::Ended => Ok(None),
        }
    }

    /// What was wrong with a file that was passed over or has ended early. It is told once, and again when it
    /// was played well in between.
    pub(super) fn take_warning(&mut self) -> Option<String> {
        self.warnings.pop_front()
    }

    /// Looks for the next frame that is to be given, for one turn.
    fn find(&mut self, now: Time) -> Next {
        let mut budget = TURN_BYTES;
        loop {
            let Some(reader) = &mut self.reader else {
                if self.at >= self.list.len() {
                    if !self.round_played {
                        return Next::Failed(now + MOMENT, self.why());
                    }
                    if !self.looped {
                        return Next::Ended;
                    }
                    (self.at, self.round_played) = (0, false);
                }
                if budget == 0 {
                    return Next::Sought(now + MOMENT);
                }
                budget = budget.saturating_sub(OPEN_COST);
                self.open_next();
                continue;
            };
            match reader.next(&mut budget) {
                Ok(Step::Frame(frame)) => {
                    if let Some((us, frame)) = self.take(frame) {
                        return Next::Due(us, frame);
                    }
                }
                Ok(Step::Pause) => return Next::Sought(now + MOMENT),
                Ok(Step::End) => self.finish(None),
                Err(e) => self.finish(Some(e)),
            }
        }
    }

    fn open_next(&mut self) {
        let Some(listed) = self.list.get(self.at) else { return };
        self.file_played = false;
        self.stale_metadata = self.given.metadata.is_some();
        match Reader::open(&listed.path) {
            Ok(reader) => self.reader = Some(reader),
            Err(e) => self.finish(Some(e)),
        }
    }

    /// The file at this place is done with, well or not.
    fn finish(&mut self, wrong: Option<Cause>) {
        self.reader = None;
        self.timeline.begin_next();
        if let Some(listed) = self.list.get_mut(self.at) {
            let wrong = if self.file_played { wrong } else { wrong.or(Some(Cause::NoFrames)) };
            let told = listed.wrong.as_ref().map(ToString::to_string);
            if let Some(wrong) = &wrong
                && told != Some(wrong.to_string())
                && self.warnings.len() < WARNINGS
            {
                let what = if self.file_played { "ends early" } else { "is passed over" };
                self.warnings.push_back(format!("{} {what}: {wrong}", listed.path));
            }
            listed.wrong = wrong;
        }
        self.at = self.at.saturating_add(1);
    }

    /// Why a whole round has given no frame.
    fn why(&mut self) -> FileError {
        self.warnings.clear();
        if let [only] = &mut self.list[..] {
            return FileError::One(only.wrong.take().unwrap_or(Cause::NoFrames));
        }
        let mut text = String::new();
        for Listed { path, wrong } in &self.list {
            let separator = if text.is_empty() { "" } else { "; " };
            let wrong = wrong.as_ref().unwrap_or(&Cause::NoFrames);
            let _ = write!(text, "{separator}{path}: {wrong}");
        }
        FileError::All(text)
    }

    /// The frame at its place, if it is to be given.
    fn take(&mut self, frame: Frame) -> Option<(i64, Frame)> {
        let is_metadata = frame.kind == Kind::Data;
        if std::mem::take(&mut self.stale_metadata) && !is_metadata {
            self.given.metadata = None;
            if let Some(reader) = &mut self.reader {
                reader.put_back(frame);
            }
            return Some(self.timeline.place(no_metadata()));
        }
        if frame.role == Role::Header && self.given.holds(&frame) {
            return None;
        }
        let given = match frame.kind {
            Kind::Audio => &mut self.given.audio,
            Kind::Video => &mut self.given.video,
            Kind::Data => &mut self.given.metadata,
        };
        if frame.role == Role::Header {
            *given = Some(frame.clone());
        } else if is_media(&frame) {
            // The header of another codec is to be given again before that codec comes back.
            given.take_if(|held| held.codec != frame.codec);
            (self.file_played, self.round_played) = (true, true);
        }
        Some(self.timeline.place(frame))
    }
}

/// Metadata that says nothing: what another file has said holds no longer.
fn no_metadata() -> Frame {
    let mut body = BytesMut::new();
    amf0::string(&mut body, "onMetaData");
    amf0::ecma_array(&mut body, &[]);
    Frame {
        kind: Kind::Data,
        codec: Codec::Script,
        role: Role::Header,
        dts: 0,
        pts: 0,
        payload: body.freeze().into(),
        relay: Bytes::new(),
    }
}
